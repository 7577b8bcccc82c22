//! The read side of a ledger for people: what is recorded, about whom, by which run. Never writes.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{
    Erased, Halt, Lease, LedgerError, Owner, Recorded, RunRequest, SuppressionChange, SuppressionRow,
    SuppressionSubject,
};
use crate::model::DeliveryState;

/// How many stems are told of a job: own views may have one per delivery.
pub const STEMS_MAX: u32 = 1_000;

/// Which deliveries are asked for; every given field must match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryFilter {
    /// Of this job only.
    pub job: Option<String>,
    /// In this state only.
    pub state: Option<DeliveryState>,
    /// Of this profile only, by its id as the warehouse has it.
    pub profile_id: Option<String>,
    /// Of occasions with this stem only: a milestone's name, or a period key.
    pub stem: Option<String>,
    /// This one only, by the id that left for the provider.
    pub delivery_id: Option<String>,
    /// The most rows, newest first; `None`: all.
    pub limit: Option<u32>,
}

/// One row of `deliveries`, as `schema.sql` documents it.
#[derive(Clone, Debug, PartialEq)]
pub struct DeliveryRow {
    /// The job.
    pub job: String,
    /// The profile's id as stored: `hmac:` and a hash where the id is an address.
    pub profile_id: String,
    /// The occasion as stored.
    pub occasion: String,
    /// The only id that leaves for a provider.
    pub delivery_id: String,
    /// The state.
    pub state: DeliveryState,
    /// One reason, without personal data.
    pub reason: Option<String>,
    /// The level reached.
    pub level: Option<f64>,
    /// When it was reached.
    pub reached_at: Timestamp,
    /// When a run first saw it.
    pub detected_at: Timestamp,
    /// When it was last dispatched.
    pub dispatched_at: Option<Timestamp>,
    /// When its last outcome was written.
    pub settled_at: Option<Timestamp>,
    /// When the row last changed.
    pub updated_at: Timestamp,
    /// The request it was last part of.
    pub batch_id: Option<String>,
    /// How often it was dispatched.
    pub attempt: u32,
    /// The provider's name in the project.
    pub provider: Option<String>,
    /// The provider's message id.
    pub provider_message_id: Option<String>,
    /// When a deferred one may be mailed at the earliest.
    pub not_before: Option<Timestamp>,
    /// The variant of the message.
    pub variant: Option<String>,
    /// HMAC of the normalised address.
    pub address_hash: Option<String>,
    /// The 128 bits of the XXH3 of every byte that left, in hexadecimal.
    pub body_hash: Option<String>,
    /// The run that last dispatched or decided it.
    pub run_id: String,
}

/// One row of `runs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRow {
    /// The run's id.
    pub run_id: String,
    /// The run's logical now.
    pub as_of: Timestamp,
    /// Wall-clock time.
    pub started_at: Timestamp,
    /// Wall-clock time; `None` while it runs or when it was killed.
    pub ended_at: Option<Timestamp>,
    /// `running`, `abandoned` (killed), or what the run said when it ended.
    pub status: String,
    /// The provider's name and kind.
    pub provider: Option<String>,
    /// Counts per decision and state.
    pub counts: BTreeMap<String, u64>,
}

/// How a job stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobStatus {
    /// The job.
    pub job: String,
    /// True while a run holds it.
    pub held: bool,
    /// True until one unrestricted run completed.
    pub first_run: bool,
    /// The run that began last.
    pub last_run: Option<RunRow>,
    /// Deliveries by state; states without any are absent.
    pub counts: BTreeMap<DeliveryState, u64>,
}

impl JobStatus {
    /// Deliveries without proof either way.
    #[must_use]
    pub fn unknown(&self) -> u64 {
        self.counts.get(&DeliveryState::Unknown).copied().unwrap_or(0)
    }
}

/// A streak or silence of one profile and level, whatever its first day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnchorStem {
    /// The profile's id as the warehouse has it.
    pub profile_id: String,
    /// What stands before the first day: `daily_writer:30` or `gone_quiet`.
    pub occasion: String,
}

/// A delivery about a streak or silence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchored {
    /// The occasion as stored, with its first day.
    pub occasion: String,
    /// When it was reached.
    pub reached_at: Timestamp,
    /// What is recorded.
    pub recorded: Recorded,
}

/// What people ask a ledger; the run path is [`super::Ledger`].
#[async_trait]
pub trait LedgerAdministration: Send + Sync {
    /// Whose ledger it is.
    fn owner(&self) -> &Owner;

    /// Called when a run has ended: a ledger in a file becomes whole without its log, as far as nobody else reads it.
    async fn rest(&self) {}

    /// What [`super::Ledger::open`] would say of a job, without taking it: for plans and dry runs. The lease answers
    /// [`super::Ledger::recorded`]; every write with it is refused as fenced.
    async fn look(&self, request: &RunRequest) -> Result<Lease, LedgerError>;

    /// What is recorded about each streak or silence under any first day, in order; rows under the job's aliases count.
    async fn anchored(&self, lease: &Lease, stems: &[AnchorStem]) -> Result<Vec<Vec<Anchored>>, LedgerError>;

    /// Deliveries, the last changed first.
    async fn deliveries(&self, filter: &DeliveryFilter) -> Result<Vec<DeliveryRow>, LedgerError>;

    /// Every job that ever ran, by name.
    async fn jobs(&self) -> Result<Vec<JobStatus>, LedgerError>;

    /// The stems of the occasions of a job's deliveries ([`crate::model::occasion_stem`]) with their numbers, the most
    /// frequent first and at most [`STEMS_MAX`]. Looks through all of them: for questions that are rarely asked.
    async fn stems(&self, job: &str) -> Result<Vec<(String, u64)>, LedgerError>;

    /// Deliveries of one job by state; states without any are absent.
    async fn counts(&self, job: &str) -> Result<BTreeMap<DeliveryState, u64>, LedgerError>;

    /// How many unknown deliveries of a job were dispatched at or after an instant.
    async fn unknown_since(&self, job: &str, instant: Timestamp) -> Result<u64, LedgerError>;

    /// Jobs with deferred deliveries, by name.
    async fn deferring_jobs(&self) -> Result<Vec<String>, LedgerError>;

    /// Writes a suppression; the same one again stands anew. Needs a reason.
    async fn suppress(&self, change: &SuppressionChange) -> Result<(), LedgerError>;

    /// Lifts suppressions, `erase` never; returns how many stood.
    async fn unsuppress(&self, change: &SuppressionChange) -> Result<u64, LedgerError>;

    /// Suppressions of one subject, or all, also lifted ones; the latest first.
    async fn suppressions(&self, subject: Option<&SuppressionSubject>) -> Result<Vec<SuppressionRow>, LedgerError>;

    /// Forgets a profile: keys of its deliveries become HMACs, what else they tell is removed, and the profile and every
    /// address it was mailed at are never mailed again.
    async fn erase(&self, profile_id: &str, at: Timestamp) -> Result<Erased, LedgerError>;

    /// Halts one job or all; a halt that stands keeps its instant and takes the new reason.
    async fn halt(&self, halt: &Halt) -> Result<(), LedgerError>;

    /// Lifts the halt of one job (`None`: the one of all jobs); true when there was one.
    async fn resume(&self, job: Option<&str>) -> Result<bool, LedgerError>;

    /// Every halt that stands, the one of all jobs first.
    async fn halts(&self) -> Result<Vec<Halt>, LedgerError>;
}
