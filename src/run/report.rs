//! What a run did: counts and ids only, never an address.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::model::redaction;
use crate::project::Job;
use crate::warehouse::{LeftOut, Misfit, Warehouse};

use super::health::HealthNote;
use super::plan::{PlannedMail, PlannedSample};
use super::publish::Published;
use super::{Exit, RunError, StopCause};

/// How a job of a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JobStatus {
    /// Every candidate got its decision; see the counts for outcomes.
    Completed,
    /// Nothing was recorded or dispatched: `--dry-run`.
    DryRun,
    /// A guard refused before anything was dispatched.
    Refused,
    /// A signal or a deadline ended it; nothing is lost.
    Interrupted,
    /// It was not begun, since a signal or a deadline ended the run before.
    Skipped,
    /// It could not be carried out.
    Failed,
}

impl JobStatus {
    /// The word in the ledger's run row.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::DryRun => "dry_run",
            Self::Refused => "refused",
            Self::Interrupted => "interrupted",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
        }
    }
}

/// One job of a run.
#[derive(Clone, Debug, Serialize)]
pub struct JobReport {
    /// The job.
    pub job: String,
    /// How it ended.
    pub status: JobStatus,
    /// The recap's period key.
    pub period: Option<String>,
    /// The provider's name and kind, such as `local/outbox`.
    pub provider: String,
    /// Candidates per decision; every decision is listed.
    pub decisions: BTreeMap<&'static str, u64>,
    /// The known ones by the state the ledger has them in.
    pub known: BTreeMap<&'static str, u64>,
    /// Dispatched messages per outcome: accepted, rejected, retryable, unknown, `render_failed`.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// What became of the deliveries in doubt from earlier runs: found, accepted, rejected, retryable, unknown.
    pub recovered: BTreeMap<&'static str, u64>,
    /// Deliveries that waited and that this run no longer saw.
    pub withdrawn: u64,
    /// Rows that could not become candidates, by reason.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Mails with more HTML than Gmail shows, which ends them with a link to the rest.
    pub clipped: u64,
    /// Runs of control characters that became a space in subjects and headers.
    pub cleaned: u64,
    /// Outcomes by the provider's code or what happened.
    pub reasons: BTreeMap<String, u64>,
    /// Why mails could not be made, with the place in the template, and how often; the first few that differ.
    pub render_failures: BTreeMap<String, u64>,
    /// What the provider said to those it refused for good, and to how many of them.
    pub rejections: BTreeMap<String, u64>,
    /// Requests made to the provider.
    pub requests: u64,
    /// Seconds per phase.
    pub timing_seconds: BTreeMap<&'static str, f64>,
    /// What `publish:` wrote.
    pub published: Option<Published>,
    /// What was unhealthy and did not stop the job.
    pub health: Vec<HealthNote>,
    /// Rows of the audience, where they were counted.
    pub audience_rows: Option<u64>,
    /// Rows of the `suppressed:` relation, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suppressed_rows: Option<u64>,
    /// Why, where it is not simply completed; in artifacts without addresses.
    #[serde(serialize_with = "without_addresses")]
    pub message: Option<String>,
    /// What to do about it.
    #[serde(serialize_with = "without_addresses")]
    pub hint: Option<String>,
    /// What a log says in place of the message, where that may tell ids or values.
    #[serde(skip)]
    pub logged: Option<&'static str>,
    /// Which mails were decided, where the run keeps them; never part of an artifact.
    #[serde(skip)]
    pub mails: Vec<PlannedMail>,
    /// Mails of a plan that an earlier run carried out.
    #[serde(skip)]
    pub carried_out: Vec<PlannedMail>,
    /// The first of them with their subjects.
    #[serde(skip)]
    pub samples: Vec<PlannedSample>,
    /// The exit this job asks for.
    #[serde(serialize_with = "exit_code")]
    pub exit: Exit,
}

/// Words may name ids of the data, and ids may hold addresses.
fn without_addresses<'a, T, S: Serializer>(words: &'a T, serializer: S) -> Result<S::Ok, S::Error>
where
    &'a T: IntoIterator<Item = &'a String>,
{
    words.into_iter().next().map(|words| redaction::without_addresses(words)).serialize(serializer)
}

impl JobReport {
    /// A job that did nothing yet.
    pub(super) fn new(job: &Job, provider: &str) -> Self {
        Self::named(&job.name, provider)
    }

    /// The same for a job that is only known by name.
    pub(super) fn named(job: &str, provider: &str) -> Self {
        Self {
            job: job.to_owned(),
            status: JobStatus::Completed,
            period: None,
            provider: provider.to_owned(),
            decisions: BTreeMap::new(),
            known: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            recovered: BTreeMap::new(),
            withdrawn: 0,
            dropped: BTreeMap::new(),
            clipped: 0,
            cleaned: 0,
            reasons: BTreeMap::new(),
            render_failures: BTreeMap::new(),
            rejections: BTreeMap::new(),
            requests: 0,
            timing_seconds: BTreeMap::new(),
            published: None,
            health: Vec::new(),
            audience_rows: None,
            suppressed_rows: None,
            message: None,
            hint: None,
            logged: None,
            mails: Vec::new(),
            carried_out: Vec::new(),
            samples: Vec::new(),
            exit: Exit::Done,
        }
    }

    /// Ends with an error: its words, advice and exit.
    pub(super) fn fail(&mut self, error: &RunError) {
        self.exit = error.exit();
        self.status = match (error, self.exit) {
            (RunError::Stopped { .. }, _) => JobStatus::Interrupted,
            (RunError::Unhealthy { .. }, _) | (_, Exit::Refused) => JobStatus::Refused,
            _ => JobStatus::Failed,
        };
        self.message = Some(error.in_words());
        self.hint = error.hint();
        self.logged = error.logged();
    }

    /// What a log may say of the end: no ids, no values.
    #[must_use]
    pub fn logged(&self) -> Option<&str> {
        self.logged.or(self.message.as_deref())
    }

    /// Messages that a provider accepted in this run, fresh or recovered.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        let count = |counts: &BTreeMap<&'static str, u64>| counts.get("accepted").copied().unwrap_or(0);
        count(&self.outcomes) + count(&self.recovered)
    }

    /// Candidates that earlier runs' deliveries were accepted for: those this run cleared of doubt count as its own.
    #[must_use]
    pub fn accepted_before(&self) -> u64 {
        let count = |counts: &BTreeMap<&'static str, u64>| counts.get("accepted").copied().unwrap_or(0);
        count(&self.known).saturating_sub(count(&self.recovered))
    }

    /// True when nobody was to be mailed and nothing was in doubt.
    fn had_nothing_to_do(&self) -> bool {
        self.requests == 0 && self.recovered.is_empty() && self.decisions.get("mail").is_none_or(|mails| *mails == 0)
    }

    /// Candidates in all.
    #[must_use]
    pub fn candidates(&self) -> u64 {
        self.decisions.values().sum()
    }
}

/// What was read of tables of files.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TablesRead {
    /// Bytes: what tells the columns, and the columns that are needed.
    pub bytes: u64,
    /// Reads, each at least one request to a store that is away.
    pub reads: u64,
    /// Values that are not of their column's type and were read as null.
    pub misfits: Vec<Misfit>,
    /// Files at the tables' locations that were not read.
    pub left_out: Vec<LeftOut>,
}

impl TablesRead {
    /// What a warehouse read so far.
    pub(super) fn of(warehouse: &Warehouse) -> Self {
        let (bytes, reads) = (warehouse.meter().bytes(), warehouse.meter().reads());
        tracing::info!(code = "tables_read", bytes, reads, "read tables");
        Self { bytes, reads, misfits: warehouse.take_misfits(), left_out: warehouse.left_out() }
    }
}

/// One run.
#[derive(Clone, Debug, Serialize)]
pub struct RunReport {
    /// The run's id.
    pub run_id: String,
    /// Its logical now.
    pub as_of: Timestamp,
    /// Wall-clock start.
    pub started_at: Timestamp,
    /// Wall-clock end.
    pub finished_at: Timestamp,
    /// Its jobs, in the order in which they ran.
    pub jobs: Vec<JobReport>,
    /// What it read of tables of files; jobs share it.
    pub tables: TablesRead,
    /// Where people look next, such as the outbox's index.
    pub open: Vec<String>,
    /// Which artifacts of the run are missing, and why; the run itself is as it says.
    pub unwritten: Vec<Unwritten>,
    /// What ended the run before its end.
    pub stopped: Option<StopCause>,
    /// Whether a run that had nothing to do ends with [`Exit::Empty`].
    #[serde(skip)]
    pub tells_empty: bool,
}

/// An artifact of a run that could not be written.
#[derive(Clone, Debug, Serialize)]
pub struct Unwritten {
    /// Which, and why.
    pub message: String,
    /// The exit it asks for.
    #[serde(skip)]
    pub exit: Exit,
}

impl From<&RunError> for Unwritten {
    fn from(error: &RunError) -> Self {
        Self { message: error.in_words(), exit: error.exit() }
    }
}

impl RunReport {
    /// Whether a job was not begun or not carried out to its end.
    pub(super) fn is_cut_short(&self) -> bool {
        self.jobs.iter().any(|job| matches!(job.status, JobStatus::Interrupted | JobStatus::Skipped))
    }

    /// The exit of the run.
    #[must_use]
    pub fn exit(&self) -> Exit {
        let artifacts = self.unwritten.iter().map(|artifact| artifact.exit);
        let stopped = self.stopped.map(StopCause::exit);
        match Exit::of_all(self.jobs.iter().map(|job| job.exit).chain(artifacts).chain(stopped)) {
            Exit::Done if self.tells_empty && self.jobs.iter().all(JobReport::had_nothing_to_do) => Exit::Empty,
            exit => exit,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands fields over by reference")]
fn exit_code<S: Serializer>(exit: &Exit, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u8(exit.code())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_cleared_of_doubt_counts_once() {
        let report = JobReport {
            known: BTreeMap::from([("accepted", 288), ("expired", 5)]),
            outcomes: BTreeMap::from([("accepted", 3)]),
            recovered: BTreeMap::from([("found", 88), ("accepted", 88)]),
            ..JobReport::named("job", "local/outbox")
        };
        assert_eq!((report.accepted(), report.accepted_before()), (91, 200));
    }
}
