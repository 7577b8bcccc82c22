//! What a person sees of one delivery, and what a person may decide about it.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::clock::Clock;
use crate::ledger::{Correction, DeliveryFilter, LedgerError};
use crate::model::DeliveryState;
use crate::settings;

use super::ledger_access::{existing, load};
use super::{RunError, WorkspaceOptions, names, people};

/// Everything the ledger has of one delivery; no address, no text.
#[derive(Clone, Debug, Serialize)]
pub struct ShownDelivery {
    /// The fields of its row, in the order in which people ask for them; absent ones are left out.
    pub fields: Map<String, Value>,
    /// What people decided about it, the first one first.
    pub corrections: Vec<ShownCorrection>,
}

/// One decision of a person.
#[derive(Clone, Debug, Serialize)]
pub struct ShownCorrection {
    /// When.
    pub at: String,
    /// The state before.
    pub from: &'static str,
    /// The state after.
    pub to: &'static str,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// Which deliveries a person corrects, and how.
#[derive(Clone, Debug)]
pub struct CorrectionRequest {
    /// These, by id; with none, those of the filter.
    pub delivery_ids: Vec<String>,
    /// Of this job.
    pub job: Option<String>,
    /// Of this profile.
    pub profile_id: Option<String>,
    /// The state they must be in.
    pub from: DeliveryState,
    /// The state they get.
    pub to: DeliveryState,
    /// Why.
    pub reason: String,
    /// Who says so; the account of the process by default.
    pub by: Option<String>,
    /// The number a person agreed to; needed with a filter.
    pub confirm: Option<u64>,
}

/// What was corrected.
#[derive(Clone, Debug, Serialize)]
pub struct CorrectionReport {
    /// How many deliveries.
    pub corrected: u64,
    /// The state they had.
    pub from: &'static str,
    /// The state they have.
    pub to: &'static str,
}

/// One delivery by the id that left for the provider.
///
/// # Errors
/// When the project cannot be read, there is no ledger, or no such delivery.
pub async fn show_delivery(options: &WorkspaceOptions, delivery_id: &str) -> Result<ShownDelivery, RunError> {
    let ledger = existing(&load(options)?).await?;
    let filter = DeliveryFilter { delivery_id: Some(delivery_id.to_owned()), ..DeliveryFilter::default() };
    let Some(row) = ledger.deliveries(&filter).await?.into_iter().next() else {
        return Err(RunError::Usage {
            message: format!("the ledger has no delivery `{delivery_id}`"),
            hint: "`milepost deliveries list --profile ID` shows the ids of a profile's deliveries".to_owned(),
        });
    };
    let instant = |at: jiff::Timestamp| Some(at.to_string());
    let fields = [
        ("delivery_id", Some(row.delivery_id)),
        ("job", Some(row.job)),
        ("profile_id", Some(row.profile_id)),
        ("occasion", Some(row.occasion)),
        ("state", Some(row.state.name().to_owned())),
        ("reason", row.reason),
        ("level", row.level.map(|level| level.to_string())),
        ("variant", row.variant),
        ("reached_at", instant(row.reached_at)),
        ("detected_at", instant(row.detected_at)),
        ("not_before", row.not_before.and_then(instant)),
        ("dispatched_at", row.dispatched_at.and_then(instant)),
        ("settled_at", row.settled_at.and_then(instant)),
        ("updated_at", instant(row.updated_at)),
        ("attempt", Some(row.attempt.to_string())),
        ("provider", row.provider),
        ("provider_message_id", row.provider_message_id),
        ("batch_id", row.batch_id),
        ("address_hash", row.address_hash),
        ("body_hash", row.body_hash),
        ("run_id", Some(row.run_id)),
    ];
    let corrections = ledger.corrections(delivery_id).await?.into_iter().map(|row| ShownCorrection {
        at: row.correction.at.to_string(),
        from: row.correction.from.name(),
        to: row.correction.to.name(),
        by: row.correction.by,
        reason: row.correction.reason,
    });
    Ok(ShownDelivery {
        fields: fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into()))).collect(),
        corrections: corrections.collect(),
    })
}

/// Corrects deliveries, all or none.
///
/// # Errors
/// When they are not in the state that the correction is about, a run holds their job, or a filter finds more of them
/// than a person agreed to.
pub async fn correct_deliveries(
    options: &WorkspaceOptions,
    request: CorrectionRequest,
) -> Result<CorrectionReport, RunError> {
    refuse_empty_and_personal(&request)?;
    let project = load(options)?;
    let ledger = existing(&project).await?;
    names::refuse_unknown_to_both(&project, ledger.as_ref(), request.job.as_deref()).await?;
    let mut ids = request.delivery_ids.clone();
    if ids.is_empty() {
        let filter = DeliveryFilter {
            job: request.job.clone(),
            state: Some(request.from),
            profile_id: request.profile_id.clone(),
            ..DeliveryFilter::default()
        };
        ids = ledger.deliveries(&filter).await?.into_iter().map(|row| row.delivery_id).collect();
        if let Some(profile_id) = request.profile_id.as_ref().filter(|_| ids.is_empty()) {
            people::refuse_unknown(options, ledger.as_ref(), profile_id).await?;
        }
        refuse_unconfirmed(&request, ids.len() as u64)?;
    }
    let correction = Correction {
        from: request.from,
        to: request.to,
        reason: request.reason,
        by: request.by.or_else(|| settings::variable("USER")).unwrap_or_else(|| "command line".to_owned()),
        at: Clock::System.now(),
    };
    if !ids.is_empty() {
        ledger.correct(&ids, &correction).await.map_err(in_another_state)?;
    }
    Ok(CorrectionReport { corrected: ids.len() as u64, from: correction.from.name(), to: correction.to.name() })
}

/// What is in another state is the person's mistake, not the ledger's.
fn in_another_state(error: LedgerError) -> RunError {
    match error {
        LedgerError::IllegalTransition { delivery_id, from, to } => RunError::Usage {
            message: format!("delivery {delivery_id} is {from} and cannot become {to} this way; nothing was changed"),
            hint:
                "`resolve` settles unknown outcomes, `retry` frees rejected ones; `milepost deliveries show ID` shows \
                   how one stands"
                    .to_owned(),
        },
        other => RunError::Ledger(other),
    }
}

fn refuse_empty_and_personal(request: &CorrectionRequest) -> Result<(), RunError> {
    let wrong = |message: &str, hint: &str| Err(RunError::Usage { message: message.to_owned(), hint: hint.to_owned() });
    if request.reason.trim().is_empty() {
        return wrong("a correction needs a reason", "say how you know: `--reason \"delivered, says the provider\"`");
    }
    if request.reason.contains('@') {
        return wrong("the reason holds an address, and the ledger keeps none", "say it without the address");
    }
    if request.delivery_ids.is_empty() && request.job.is_none() && request.profile_id.is_none() {
        return wrong("it is not said which deliveries", "name their ids, or `--job` or `--profile`");
    }
    Ok(())
}

fn refuse_unconfirmed(request: &CorrectionRequest, found: u64) -> Result<(), RunError> {
    if found == 0 || request.confirm.is_some_and(|confirm| found <= confirm) {
        return Ok(());
    }
    let (from, to) = (request.from, request.to);
    Err(RunError::Refused {
        message: format!("{found} {from} deliveries would become {to}, and nothing was changed"),
        hint: format!("`--confirm {found}` agrees; `milepost deliveries list --state {from}` shows them"),
    })
}
