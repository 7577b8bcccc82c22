//! Halting jobs and letting them go on.

use crate::clock::Clock;
use crate::ledger::Halt;
use crate::project::Project;

use super::ledger_access::{existing, load};
use super::{RunError, WorkspaceOptions};

/// Halts one job of the project, or all: no run claims a delivery until it is lifted.
///
/// # Errors
/// When the project cannot be read, the job is unknown, or there is no ledger.
pub async fn halt(options: &WorkspaceOptions, job: Option<String>, reason: Option<String>) -> Result<Halt, RunError> {
    let project = load(options)?;
    refuse_unknown(&project, job.as_deref())?;
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
    let lifted = ledger.resume(job).await?;
    Ok((lifted, ledger.halts().await?))
}

fn refuse_unknown(project: &Project, job: Option<&str>) -> Result<(), RunError> {
    let Some(name) = job else { return Ok(()) };
    if project.jobs.iter().any(|job| job.name == name) {
        return Ok(());
    }
    let known = project.jobs.iter().map(|job| job.name.as_str());
    let hint = crate::model::diagnostic::did_you_mean(name, known.clone())
        .unwrap_or_else(|| format!("the project's jobs are: {}", known.collect::<Vec<_>>().join(", ")));
    Err(RunError::UnknownJob { name: name.to_owned(), hint })
}
