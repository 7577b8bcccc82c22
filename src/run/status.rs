//! How each job stands: its last run, what is in doubt, and the next period of a recap.

use jiff::Timestamp;
use serde::Serialize;

use crate::clock::Clock;
use crate::ledger::{JobStatus, LedgerError};
use crate::model::{DeliveryState, Period};
use crate::project::{Job, Project};

use super::ledger_access::{existing, load};
use super::{RunError, WorkspaceOptions, names};

/// Every job of the project.
#[derive(Clone, Debug, Serialize)]
pub struct StatusReport {
    /// The jobs by name.
    pub jobs: Vec<JobStanding>,
    /// False while there is no ledger: nothing ran yet.
    pub has_ledger: bool,
}

/// One job.
#[derive(Clone, Debug, Serialize)]
pub struct JobStanding {
    /// The job.
    pub job: String,
    /// When its last run began, wall clock.
    pub last_run_at: Option<Timestamp>,
    /// How that ended: completed, refused, failed, interrupted, running or abandoned.
    pub last_status: Option<String>,
    /// Deliveries accepted in all.
    pub accepted: u64,
    /// Deliveries without proof either way.
    pub unknown: u64,
    /// Deliveries that the provider refused for good.
    pub rejected: u64,
    /// Deliveries that the next run tries again.
    pub retryable: u64,
    /// Deliveries that wait for a cap or a window.
    pub deferred: u64,
    /// Whether a halt stands against it.
    pub halted: bool,
    /// Whether a run holds it now.
    pub held: bool,
    /// The recap's next period and when it is due.
    pub next_period: Option<String>,
}

/// The standing of the named jobs, or of every job.
///
/// # Errors
/// When the project cannot be read, a name is not a job's, or the ledger is there but cannot be used.
pub async fn status(options: &WorkspaceOptions, names: &[String]) -> Result<StatusReport, RunError> {
    let project = load(options)?;
    for name in names {
        names::refuse_unknown_job(&project, name)?;
    }
    let (known, halts, has_ledger) = match existing(&project).await {
        Ok(ledger) => (ledger.jobs().await?, ledger.halts().await?, true),
        Err(RunError::Ledger(LedgerError::Missing { .. })) => (Vec::new(), Vec::new(), false),
        Err(error) => return Err(error),
    };
    let now = Clock::System.now();
    let mut jobs: Vec<_> = project
        .jobs
        .iter()
        .filter(|job| names.is_empty() || names.contains(&job.name))
        .map(|job| JobStanding {
            halted: halts.iter().any(|halt| halt.job.as_ref().is_none_or(|halted| *halted == job.name)),
            ..standing(&project, job, known.iter().find(|status| status.job == job.name), now)
        })
        .collect();
    jobs.sort_by(|left, right| left.job.cmp(&right.job));
    Ok(StatusReport { jobs, has_ledger })
}

fn standing(project: &Project, job: &Job, status: Option<&JobStatus>, now: Timestamp) -> JobStanding {
    let count = |state| status.and_then(|status| status.counts.get(&state)).copied().unwrap_or(0);
    let last_run = status.and_then(|status| status.last_run.as_ref());
    JobStanding {
        job: job.name.clone(),
        last_run_at: last_run.map(|run| run.started_at),
        last_status: last_run.map(|run| run.status.clone()),
        accepted: count(DeliveryState::Accepted),
        unknown: count(DeliveryState::Unknown),
        rejected: count(DeliveryState::Rejected),
        retryable: count(DeliveryState::Retryable),
        deferred: count(DeliveryState::Deferred),
        halted: false,
        held: status.is_some_and(|status| status.held),
        next_period: next_period(project, job, now),
    }
}

/// `2026-W48, due 2026-11-30T05:00:00Z`: the first period that is not due yet.
fn next_period(project: &Project, job: &Job, now: Timestamp) -> Option<String> {
    let recap = job.recap()?;
    let settled = now.checked_sub(recap.settle).ok()?;
    let period = Period::containing(settled, recap.period, project.week_starts, &project.timezone)?;
    Some(format!("{}, due {}", period.key(), recap.due(&period)))
}
