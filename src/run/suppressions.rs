//! Who must not be mailed: written and lifted by people, and forgetting a person.

use crate::clock::Clock;
use crate::ledger::{Erased, LedgerStore, SuppressionChange, SuppressionSubject};
use crate::model::{EmailAddress, SuppressionReason};

use super::ledger_access::{existing, load};
use super::{RunError, WorkspaceOptions};

/// Whom it is about.
#[derive(Clone, Debug)]
pub enum Target {
    /// A mail address; only its hash is stored.
    Address(String),
    /// A profile by its id.
    Profile(String),
}

/// What is written or lifted.
#[derive(Clone, Debug)]
pub struct SuppressRequest {
    /// Whom it is about.
    pub target: Target,
    /// Why; every reason when lifting without one.
    pub reason: Option<SuppressionReason>,
    /// The one job it is about.
    pub job: Option<String>,
}

/// Who says so.
const ORIGIN: &str = "command line";

/// Writes a suppression: decisions of later runs heed it.
///
/// # Errors
/// When the address is none, the reason is `erase`, a job is named for another reason than `unsubscribed`, or there is no
/// ledger.
pub async fn suppress(options: &WorkspaceOptions, request: SuppressRequest) -> Result<(), RunError> {
    let ledger = existing(&load(options)?).await?;
    let reason = request.reason.unwrap_or(SuppressionReason::Manual);
    if reason == SuppressionReason::Erase {
        return Err(RunError::Usage {
            message: "`erase` is no reason to give: it comes from forgetting a person".to_owned(),
            hint: "`milepost erase --profile P`".to_owned(),
        });
    }
    if request.job.is_some() && reason != SuppressionReason::Unsubscribed {
        return Err(RunError::Usage {
            message: format!("`{}` is about every job", reason.name()),
            hint: "take `--job` out, or say `--reason unsubscribed`".to_owned(),
        });
    }
    let change = change(ledger.as_ref(), SuppressRequest { reason: Some(reason), ..request })?;
    Ok(ledger.suppress(&change).await?)
}

/// Lifts suppressions and returns how many stood; those of a forgotten person stay.
///
/// # Errors
/// When the address is none or there is no ledger.
pub async fn unsuppress(options: &WorkspaceOptions, request: SuppressRequest) -> Result<u64, RunError> {
    let ledger = existing(&load(options)?).await?;
    let change = change(ledger.as_ref(), request)?;
    Ok(ledger.unsuppress(&change).await?)
}

/// Forgets a profile: what stays says only that this person is never mailed again.
///
/// # Errors
/// When the project cannot be read or there is no ledger.
pub async fn erase(options: &WorkspaceOptions, profile_id: &str) -> Result<Erased, RunError> {
    let ledger = existing(&load(options)?).await?;
    Ok(ledger.erase(profile_id, Clock::System.now()).await?)
}

fn change(ledger: &dyn LedgerStore, request: SuppressRequest) -> Result<SuppressionChange, RunError> {
    let subject = match request.target {
        Target::Profile(id) => SuppressionSubject::Profile(id),
        Target::Address(text) => {
            let address = EmailAddress::parse(&text).ok_or_else(|| RunError::Usage {
                message: "this is no mail address".to_owned(),
                hint: "write it as ann@example.test, or name the profile: `--profile P`".to_owned(),
            })?;
            SuppressionSubject::Address(ledger.identity().address_hash(&address))
        }
    };
    let (reason, job) = (request.reason, request.job);
    Ok(SuppressionChange { subject, reason, job, origin: ORIGIN.to_owned(), at: Clock::System.now() })
}
