//! Halting jobs and letting them go on.

use crate::clock::Clock;
use crate::ledger::Halt;

use super::ledger_access::{existing, load};
use super::{RunError, WorkspaceOptions, names};

/// Halts one job of the project, or all: no run claims a delivery until it is lifted.
///
/// # Errors
/// When the project cannot be read, the job is unknown, or there is no ledger.
pub async fn halt(options: &WorkspaceOptions, job: Option<String>, reason: Option<String>) -> Result<Halt, RunError> {
    let project = load(options)?;
    if let Some(name) = &job {
        names::refuse_unknown_job(&project, name)?;
    }
    let halt = Halt { job, reason, halted_at: Clock::System.now() };
    existing(&project).await?.halt(&halt).await?;
    Ok(halt)
}

/// Lifts the halt of one job, or the one of all; false when there was none. Returns the halts that still stand, too.
///
/// # Errors
/// When the project cannot be read or there is no ledger.
pub async fn resume(options: &WorkspaceOptions, job: Option<&str>) -> Result<(bool, Vec<Halt>), RunError> {
    let project = load(options)?;
    let ledger = existing(&project).await?;
    let standing = ledger.halts().await?;
    if let Some(name) = job.filter(|name| !standing.iter().any(|halt| halt.job.as_deref() == Some(*name))) {
        // A job that was removed while it was halted can be resumed; a name that nobody knows cannot.
        names::refuse_unknown_job(&project, name)?;
    }
    let lifted = ledger.resume(job).await?;
    Ok((lifted, ledger.halts().await?))
}
