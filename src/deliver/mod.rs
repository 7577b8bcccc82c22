//! Waves: claim durably, then send, then record; silence is an answer.
//!
//! Guarantees: nothing leaves before its dispatch is durable; a message that may have been accepted is never sent again
//! except under the same key with the same bytes; at most two waves are in doubt at any moment, which also bounds
//! memory; once a run is told to stop, no request starts. Never: decides who gets mail, renders, or reads the clock
//! of another machine.

mod account;
mod backoff;
mod body_hash;
mod brake;
mod breaker;
mod compose;
mod ended;
mod heartbeat;
mod pace;
mod places;
mod probe;
mod recorder;
mod replay;
mod request;
mod sender;
mod session;
mod summary;
mod wave;

use crate::ledger::LedgerError;

pub use account::Account;
pub use body_hash::body_hash;
pub use brake::{Shutdown, Stopped};
pub use compose::{Compose, ComposeFailure};
pub use ended::ended;
pub use session::{Session, SessionParts};
pub use summary::DeliverySummary;

/// Any error of the source of candidates.
pub type SourceError = Box<dyn std::error::Error + Send + Sync>;

/// Why delivering ended without an orderly end; what was dispatched is recovered by the next run.
#[derive(Debug, thiserror::Error)]
pub enum DeliverError {
    /// A later run took over the job; no request was started after that was known.
    #[error("a later run took over the job `{job}`; nothing further left, and that run carries on")]
    Fenced {
        /// The job.
        job: String,
    },
    /// The ledger refused or could not be used.
    #[error(transparent)]
    Ledger(LedgerError),
    /// The candidates ended with an error; what had been dispatched before was sent and recorded.
    #[error("the candidates could not be read to their end")]
    Source(#[source] SourceError),
}

impl From<LedgerError> for DeliverError {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Fenced { job } => Self::Fenced { job },
            error => Self::Ledger(error),
        }
    }
}
