//! Who must not be mailed: written and lifted by people, and forgetting a person.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Serialize;

use crate::clock::Clock;
use crate::ledger::{DeliveryFilter, Erased, LedgerStore, SuppressionChange, SuppressionSubject};
use crate::model::address_list::{addresses_in, listed_id};
use crate::model::{EmailAddress, SuppressionReason};
use crate::providers;

use super::ledger_access::{existing, load};
use super::{RunError, WorkspaceOptions, names, people, preview};

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
    /// Write it also about a profile that neither the ledger nor an audience has.
    pub unknown: bool,
}

/// Who says so.
const ORIGIN: &str = "command line";

/// Writes a suppression: decisions of later runs heed it.
///
/// # Errors
/// When the address is none, the reason is `erase`, a job is named for another reason than `unsubscribed`, or there is no
/// ledger.
pub async fn suppress(options: &WorkspaceOptions, request: SuppressRequest) -> Result<(), RunError> {
    let project = load(options)?;
    let ledger = existing(&project).await?;
    names::refuse_unknown_to_both(&project, ledger.as_ref(), request.job.as_deref()).await?;
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
    if let Target::Profile(profile_id) = &request.target
        && !request.unknown
    {
        refuse_unknown_spelling(options, ledger.as_ref(), profile_id).await?;
    }
    for change in changes(ledger.as_ref(), SuppressRequest { reason: Some(reason), ..request })? {
        ledger.suppress(&change).await?;
    }
    Ok(())
}

/// Lifts suppressions and returns how many stood; those of a forgotten person stay.
///
/// # Errors
/// When the address is none or there is no ledger.
pub async fn unsuppress(options: &WorkspaceOptions, request: SuppressRequest) -> Result<u64, RunError> {
    let project = load(options)?;
    let ledger = existing(&project).await?;
    names::refuse_unknown_to_both(&project, ledger.as_ref(), request.job.as_deref()).await?;
    let mut lifted = 0;
    for change in changes(ledger.as_ref(), request)? {
        lifted += ledger.unsuppress(&change).await?;
    }
    Ok(lifted)
}

/// What was forgotten, and what is left of the person outside the ledger.
#[derive(Clone, Debug, Serialize)]
pub struct Forgotten {
    /// What the ledger let go of.
    #[serde(flatten)]
    pub erased: Erased,
    /// Files with the person's mails that still lie here: in outbox folders and among previews.
    pub files: Vec<String>,
}

/// Forgets a profile: what stays in the ledger says only that this person is never mailed again. Files are named, not
/// removed.
///
/// # Errors
/// [`RunError::UnknownProfile`] unless `unknown`; when the project cannot be read or there is no ledger.
pub async fn erase(options: &WorkspaceOptions, profile_id: &str, unknown: bool) -> Result<Forgotten, RunError> {
    let project = load(options)?;
    let ledger = existing(&project).await?;
    if !unknown {
        people::refuse_unknown(options, ledger.as_ref(), profile_id).await.map_err(may_be_unknown)?;
    }
    let filter = DeliveryFilter { profile_id: Some(profile_id.to_owned()), ..DeliveryFilter::default() };
    let ids: Vec<String> = ledger.deliveries(&filter).await?.into_iter().map(|row| row.delivery_id).collect();
    let mut files: Vec<PathBuf> =
        project.providers.values().flat_map(|provider| providers::kept_mails(provider, &project.root, &ids)).collect();
    files.extend(preview::files_of(&project.root, profile_id));
    let erased = ledger.erase(profile_id, Clock::System.now()).await?;
    Ok(Forgotten { erased, files: files.into_iter().map(|file| file.display().to_string()).collect() })
}

/// Refuses an id that nobody has, neither as it was written nor as the list would read it.
async fn refuse_unknown_spelling(
    options: &WorkspaceOptions,
    ledger: &dyn LedgerStore,
    profile_id: &str,
) -> Result<(), RunError> {
    let written = people::refuse_unknown(options, ledger, profile_id).await;
    match (written, listed_id(profile_id)) {
        (Err(RunError::UnknownProfile { .. }), Some(listed)) if listed != profile_id => {
            people::refuse_unknown(options, ledger, &listed).await.map_err(may_be_unknown)
        }
        (written, _) => written.map_err(may_be_unknown),
    }
}

/// The advice to a typing error, and the way for somebody whom no table has any more.
fn may_be_unknown(error: RunError) -> RunError {
    let hint = error.hint();
    match error {
        RunError::UnknownProfile { .. } => {
            let near =
                hint.filter(|hint| hint.starts_with("did you mean")).map(|hint| format!("{hint} ")).unwrap_or_default();
            RunError::Unsure {
                message: format!("{error}, neither in an audience nor in the ledger; nothing was written"),
                hint: format!("{near}`--unknown` writes it all the same"),
            }
        }
        other => other,
    }
}

/// What is to change: an id that somebody pasted with blanks around it is also the id without them.
fn changes(ledger: &dyn LedgerStore, request: SuppressRequest) -> Result<Vec<SuppressionChange>, RunError> {
    let subjects = match request.target {
        Target::Profile(id) => {
            let listed = listed_id(&id).map(std::borrow::Cow::into_owned).ok_or_else(|| RunError::Usage {
                message: "this is no profile's id".to_owned(),
                hint: "write the id as the audience has it".to_owned(),
            })?;
            let ids: BTreeSet<String> = [id, listed].into();
            ids.into_iter().map(SuppressionSubject::Profile).collect()
        }
        Target::Address(text) => {
            vec![SuppressionSubject::Address(ledger.identity().address_hash(&one_address(&text)?))]
        }
    };
    let (reason, job, at) = (request.reason, request.job, Clock::System.now());
    let change = |subject| SuppressionChange { subject, reason, job: job.clone(), origin: ORIGIN.to_owned(), at };
    Ok(subjects.into_iter().map(change).collect())
}

/// The one address that a text holds, however it is written.
fn one_address(text: &str) -> Result<EmailAddress, RunError> {
    let refused = |message: &str| RunError::Usage {
        message: message.to_owned(),
        hint: "write it as ann@example.test, or name the profile: `--profile P`".to_owned(),
    };
    match addresses_in(text).unwrap_or_default().as_slice() {
        [address] => EmailAddress::parse(address).ok_or_else(|| refused("no mail can be sent to this address")),
        [] => Err(refused("this is no mail address")),
        _ => Err(refused("these are several addresses: name one at a time")),
    }
}
