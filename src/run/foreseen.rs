//! The rows of a run that was stopped before its jobs began: every selected job has one.

use std::time::Duration;

use jiff::Timestamp;

use super::plan::Planned;
use super::runs::{CarriedOut, RunOptions};
use super::stop::StopCause;
use super::workspace::Loaded;
use super::{JobReport, JobStatus, RunReport, TablesRead};
use crate::clock::Clock;
use crate::project::{Job, Project};

/// How long a project may still be read after a run is to stop: without it nobody knows which jobs were selected.
pub(super) const READING_GRACE: Duration = Duration::from_millis(500);

/// What is known of a run once its project is read.
#[derive(Clone)]
pub(super) struct Foreseen {
    run_id: String,
    as_of: Timestamp,
    started_at: Timestamp,
    project: Planned,
    jobs: Vec<JobReport>,
}

impl Foreseen {
    /// The run of a project that could be read.
    pub(super) fn of(
        loaded: &Loaded,
        request: &RunOptions,
        run_id: &str,
        clocks: (Timestamp, Timestamp),
    ) -> Option<Self> {
        let project = loaded.project()?;
        let jobs = selected(project, &request.jobs).map(|job| JobReport::new(job, &provider_label(project, job)));
        let (as_of, started_at) = clocks;
        Some(Self { run_id: run_id.to_owned(), as_of, started_at, project: Planned::of(project), jobs: jobs.collect() })
    }

    /// The run, stopped before any of its jobs began.
    pub(super) fn stopped(mut self, cause: StopCause) -> CarriedOut {
        self.jobs.iter_mut().for_each(|job| job.skip(cause));
        self.ended(cause)
    }

    /// The run, whose threads had to be left: nobody knows how far its jobs were.
    pub(super) fn cut_off(mut self, cause: StopCause) -> CarriedOut {
        for job in &mut self.jobs {
            job.skip(cause);
            job.status = JobStatus::Interrupted;
            job.message = Some(format!("cut off: {cause}"));
        }
        self.ended(cause)
    }

    fn ended(self, cause: StopCause) -> CarriedOut {
        let report = RunReport {
            run_id: self.run_id,
            as_of: self.as_of,
            started_at: self.started_at,
            finished_at: Clock::System.now(),
            jobs: self.jobs,
            tables: TablesRead::default(),
            open: Vec::new(),
            unwritten: Vec::new(),
            stopped: Some(cause),
            tells_empty: false,
        };
        CarriedOut { project: self.project, report }
    }
}

/// The named jobs, or all, in the order in which they run: priority, then name.
pub(super) fn selected<'a>(project: &'a Project, names: &[String]) -> impl Iterator<Item = &'a Job> + use<'a> {
    let mut jobs: Vec<&Job> = project.jobs.iter().filter(|job| names.is_empty() || names.contains(&job.name)).collect();
    jobs.sort_by(|left, right| right.priority.cmp(&left.priority).then_with(|| left.name.cmp(&right.name)));
    jobs.into_iter()
}

/// A provider's name and kind, such as `local/outbox`.
pub(super) fn provider_label(project: &Project, job: &Job) -> String {
    let name = &job.provider.value;
    project.providers.get(name).map_or_else(|| name.clone(), |config| format!("{name}/{}", config.kind.value))
}

impl JobReport {
    /// A job that a stop left no time for.
    pub(super) fn skip(&mut self, cause: StopCause) {
        self.status = JobStatus::Skipped;
        self.exit = cause.exit();
        self.message = Some(format!("not begun: {cause}"));
        self.hint = Some(cause.hint());
    }
}
