//! What people decide about deliveries that no run can decide about, kept with its reason.

use async_trait::async_trait;
use jiff::Timestamp;

use super::LedgerError;
use crate::model::DeliveryState;

/// A change of state that a person decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Correction {
    /// The state that the deliveries must be in: unknown or rejected.
    pub from: DeliveryState,
    /// The state they get: accepted, rejected or retryable; of a rejected one only retryable.
    pub to: DeliveryState,
    /// Why, in words for those who read it later.
    pub reason: String,
    /// Who says so.
    pub by: String,
    /// Wall-clock time.
    pub at: Timestamp,
}

/// A correction as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorrectionRow {
    /// The delivery.
    pub delivery_id: String,
    /// What was decided.
    pub correction: Correction,
}

/// The verbs of corrections.
#[async_trait]
pub trait LedgerCorrections: Send + Sync {
    /// Corrects all of these deliveries, or none: [`LedgerError::Held`] while a run holds the job of one,
    /// [`LedgerError::IllegalTransition`] where one is in another state than the correction is about.
    async fn correct(&self, delivery_ids: &[String], correction: &Correction) -> Result<(), LedgerError>;

    /// The corrections of one delivery, the first one first.
    async fn corrections(&self, delivery_id: &str) -> Result<Vec<CorrectionRow>, LedgerError>;
}

/// The refusal of a correction; `from` is the state found, or `nothing`.
pub(super) fn refusal(delivery_id: &str, from: Option<&str>, correction: &Correction) -> LedgerError {
    LedgerError::IllegalTransition {
        delivery_id: delivery_id.to_owned(),
        from: from.unwrap_or("nothing").to_owned(),
        to: correction.to.name().to_owned(),
    }
}
