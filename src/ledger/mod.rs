//! Durable truth about deliveries: who was dispatched what, and what the provider answered.
//!
//! Guarantees: every verb is one transaction, durable when it returns; an illegal change of state and a write by a
//! run that no longer holds its job's lease are refused; no address, name or text is stored. Never: sends, decides,
//! retries, or creates a database that is missing unless asked to.

mod administration;
mod allowance;
mod copying;
mod corrections;
mod family;
mod identity;
mod inquiry;
mod lifetime;
mod memory;
mod postgres;
mod sqlite;
mod stored_ids;
mod suppressions;
mod transition;
mod upkeep;

use std::collections::BTreeMap;
use std::time::Instant;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::model::{DeliveryKey, DeliveryState, Level};

pub use administration::{
    AnchorStem, Anchored, DeliveryFilter, DeliveryRow, JobStatus, LedgerAdministration, RunRow, STEMS_MAX,
};
pub use allowance::{Ask, Granted, LedgerAllowances};
pub use copying::copy;
pub use corrections::{Correction, CorrectionRow, LedgerCorrections};
pub use family::{CreatePolicy, LedgerStore, Owner, connect, connect_for_upkeep, create};
pub use identity::Identity;
pub(crate) use identity::hexadecimal;
pub use inquiry::{Answers, Inquiry, Recipient, RecipientFacts};
pub use lifetime::lease_lifetime;
use lifetime::lease_seconds;
pub use memory::MemoryLedger;
pub use postgres::PostgresLedger;
pub use sqlite::SqliteLedger;
pub use suppressions::{Erased, Halt, InForce, SuppressionChange, SuppressionRow, SuppressionSubject};
pub use upkeep::{LedgerUpkeep, Pruned, Unsound};

/// Why a ledger did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The ledger does not exist and is never created silently.
    #[error(
        "the ledger {location} does not exist and is never made silently, since an empty one would mail everybody \
         again: restore it, or make it with `milepost ledger create`"
    )]
    Missing {
        /// Where it was looked for.
        location: String,
    },
    /// A ledger was to be made where one is.
    #[error("the ledger {location} exists already and is left as it is: use it, or name another place in `ledger:`")]
    Exists {
        /// Where it is.
        location: String,
    },
    /// What `ledger:` refers to could not be read.
    #[error("the ledger of this project is not known: {reason}")]
    Unresolved {
        /// What is missing.
        reason: String,
    },
    /// Another run holds the job.
    #[error("another run holds the job `{job}`: wait for it to end, then run again")]
    Held {
        /// The job.
        job: String,
    },
    /// A later run took over; nothing was written.
    #[error("a later run took over the job `{job}`, so this one wrote nothing more: see the later run's results")]
    Fenced {
        /// The job.
        job: String,
    },
    /// A halt stands against the job; nothing was claimed.
    #[error("the job `{job}` is halted{}: `milepost resume` lifts it", because(.reason.as_ref()))]
    Halted {
        /// The job.
        job: String,
        /// Why, as the person who halted it wrote.
        reason: Option<String>,
    },
    /// The ledger belongs to another project or environment, or was written by a later version.
    #[error("the ledger {location} {reason}")]
    Foreign {
        /// The ledger.
        location: String,
        /// What does not fit, and what to do.
        reason: String,
    },
    /// The file is from before a run that noted itself beside it.
    #[error(
        "the ledger {location} is older than the last run that used it (by {runs} {}), so whom it mailed would be mailed \
         again",
        if *.runs == 1 { "run" } else { "runs" }
    )]
    Older {
        /// Where it is.
        location: String,
        /// How many runs it does not know.
        runs: u64,
    },
    /// Only a ledger in a file can be asked for this.
    #[error("the ledger {location} is no file")]
    NoFile {
        /// The ledger.
        location: String,
    },
    /// A change of state that the state machine does not allow; nothing was written.
    #[error("delivery {delivery_id} may not go from {from} to {to}: nothing of the request was written")]
    IllegalTransition {
        /// The delivery.
        delivery_id: String,
        /// Its state, or `nothing`.
        from: String,
        /// The state asked for.
        to: String,
    },
    /// The database could not be reached, read or written (disk full, permission, corruption).
    #[error("the ledger {location} cannot be used: {reason}")]
    Unavailable {
        /// The ledger.
        location: String,
        /// What the database said.
        reason: String,
    },
}

/// `: REASON`, where there is one.
fn because(reason: Option<&String>) -> String {
    reason.map(|reason| format!(" ({reason})")).unwrap_or_default()
}

/// How a run introduces itself.
#[derive(Clone, Debug)]
pub struct RunRequest {
    /// The run's id, `[0-9a-f]{32}`.
    pub run_id: String,
    /// The job.
    pub job: String,
    /// Earlier names of the job.
    pub aliases: Vec<String>,
    /// The project's name, checked against the ledger's.
    pub project: String,
    /// The environment, checked against the ledger's.
    pub environment: Option<String>,
    /// Whether the job's mails are marketing, which caps count; kept with the job.
    pub marketing: bool,
    /// The run's logical now.
    pub as_of: Timestamp,
    /// Wall-clock time.
    pub now: Timestamp,
}

/// A held job: what every write of the run carries.
#[derive(Clone, Debug)]
pub struct Lease {
    /// The job.
    pub job: String,
    /// Earlier names of the job: their rows count as its own.
    pub aliases: Vec<String>,
    /// The run that holds it.
    pub run_id: String,
    /// Rises with every run of the job; a write with a lower one is refused.
    pub epoch: i64,
    /// Monotonic: the lease lives for [`lease_lifetime`] from here at least.
    pub renewed: Instant,
    /// True until one unrestricted run of the job completed.
    pub first_run: bool,
    /// `start: from_now` instants by part (`""` for a recap, else `milestone` or `milestone:level`).
    pub starts: BTreeMap<String, Timestamp>,
    /// The provider of the job's last run that was not refused, by name and kind, such as `local/outbox`.
    pub last_provider: Option<String>,
    /// The halt that stands against the job, if any.
    pub halt: Option<Halt>,
    /// Mails of the last complete runs that mailed anybody: by period of a recap, by day of milestones; latest first, at
    /// most [`VOLUMES_KEPT`].
    pub volumes: Vec<(String, u64)>,
    /// The counts of the last completed run that looked at everybody; empty where there is none yet.
    pub last_counts: BTreeMap<String, u64>,
}

/// The count by which a run that looked at everybody is told: the rows of its audience.
pub const WHOLE_RUN: &str = "audience_rows";
/// Among so many completed runs the last one that looked at everybody is sought.
const COMPLETED_RUNS: i64 = 50;

/// The counts of the last run that looked at everybody; the latest run comes first.
fn last_whole(runs: impl IntoIterator<Item = BTreeMap<String, u64>>) -> BTreeMap<String, u64> {
    runs.into_iter().find(|counts| counts.contains_key(WHOLE_RUN)).unwrap_or_default()
}

/// The same from counts as stored.
fn last_whole_stored(runs: Vec<(String,)>) -> BTreeMap<String, u64> {
    last_whole(runs.into_iter().filter_map(|(counts,)| serde_json::from_str(&counts).ok()))
}

/// How many volumes a lease tells.
pub const VOLUMES_KEPT: usize = 10;

/// What the ledger has for one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// The state.
    pub state: DeliveryState,
    /// How often it was dispatched.
    pub attempt: u32,
    /// The reason as stored.
    pub reason: Option<String>,
    /// When a deferred one may be mailed at the earliest.
    pub not_before: Option<Timestamp>,
    /// The variant it qualified for.
    pub variant: Option<String>,
}

impl Recorded {
    /// A state without anything beside it.
    #[must_use]
    pub fn new(state: DeliveryState, attempt: u32) -> Self {
        Self { state, attempt, reason: None, not_before: None, variant: None }
    }
}

/// A decision that is stored without being dispatched.
#[derive(Clone, Debug)]
pub struct DecisionRecord {
    /// Profile and occasion.
    pub key: DeliveryKey,
    /// Superseded, expired, baselined, `invalid_address`, suppressed, `render_failed`, `same_address`, `held_out` or
    /// deferred.
    pub state: DeliveryState,
    /// One reason, without personal data.
    pub reason: Option<String>,
    /// When a deferred one may be mailed at the earliest.
    pub not_before: Option<Timestamp>,
    /// The variant it qualified for.
    pub variant: Option<String>,
    /// HMAC of the normalised address, where others with the address are to find it.
    pub address_hash: Option<String>,
    /// The level.
    pub level: Option<Level>,
    /// When it was reached.
    pub reached_at: Timestamp,
    /// When this run saw it.
    pub detected_at: Timestamp,
}

/// The durable record made before the first byte leaves.
#[derive(Clone, Debug)]
pub struct Dispatch {
    /// Profile and occasion.
    pub key: DeliveryKey,
    /// The only id that leaves for a provider.
    pub delivery_id: String,
    /// Its place in the batch, from 0.
    pub position: u32,
    /// The batch.
    pub batch_id: String,
    /// The level.
    pub level: Option<Level>,
    /// When it was reached.
    pub reached_at: Timestamp,
    /// When this run saw it and, for caps, dispatched it, by the run's clock: under `--replay` that is its `as_of`.
    pub detected_at: Timestamp,
    /// HMAC of the normalised address.
    pub address_hash: String,
    /// The variant of the message.
    pub variant: Option<String>,
    /// The 128 bits of the XXH3 of every byte that leaves, in hexadecimal.
    pub body_hash: String,
}

/// The frozen inputs of one request, so that it can be made again byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// `[0-9a-f]{32}`; the same for no other dispatch, and sorted by time.
    pub batch_id: String,
    /// The provider's name in the project.
    pub provider: String,
    /// The key sent to a provider that honours one.
    pub idempotency_key: Option<String>,
    /// The `as_of` of the evaluation that made it.
    pub as_of: Timestamp,
    /// The recap's period key.
    pub period: Option<String>,
    /// The project's checksum at that time.
    pub project_checksum: String,
    /// Wall-clock time of the dispatch.
    pub dispatched_at: Timestamp,
}

/// A batch in doubt, with its deliveries in order.
#[derive(Clone, Debug)]
pub struct PendingBatch {
    /// The frozen inputs.
    pub batch: Batch,
    /// Its deliveries by position; those already settled are left out.
    pub deliveries: Vec<PendingDelivery>,
    /// How many deliveries the request had in all.
    pub size: u32,
}

/// A delivery in doubt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingDelivery {
    /// Profile and occasion as stored: compare with [`Identity::stored_key`] of a candidate's key.
    pub key: DeliveryKey,
    /// Its id.
    pub delivery_id: String,
    /// Its place in the batch.
    pub position: u32,
    /// XXH3 of the bytes that left.
    pub body_hash: String,
    /// How often it was dispatched.
    pub attempt: u32,
    /// The variant of the message that left.
    pub variant: Option<String>,
}

/// An outcome to be written.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// The delivery.
    pub delivery_id: String,
    /// Accepted, rejected, retryable or unknown.
    pub state: DeliveryState,
    /// The provider's code or what happened, without personal data.
    pub reason: Option<String>,
    /// The provider's message id.
    pub provider_message_id: Option<String>,
    /// Wall-clock time.
    pub at: Timestamp,
}

/// How a run ends.
#[derive(Clone, Debug)]
pub struct RunEnd {
    /// `completed`, `refused`, `failed` or `interrupted`.
    pub status: String,
    /// Wall-clock time.
    pub now: Timestamp,
    /// The provider's name and kind, such as `local/outbox`.
    pub provider: String,
    /// Counts per decision and state, as stored in the run's row.
    pub counts: BTreeMap<String, u64>,
    /// `start: from_now` instants to keep, only of a completed unrestricted run; existing ones stay.
    pub starts: BTreeMap<String, Timestamp>,
    /// True for a completed run without `--only` or `--limit`: the job's first run is over.
    pub completes_first_run: bool,
    /// Mails of a completed unrestricted run by period or day, added to what the ledger has.
    pub volumes: BTreeMap<String, u64>,
    /// Its `as_of`, for a run that looked at every candidate of that instant: deferred deliveries about what was reached
    /// until then and that it did not decide again are withdrawn.
    pub saw_until: Option<Timestamp>,
}

/// The run path: eight verbs, each one transaction over many rows.
#[async_trait]
pub trait Ledger: LedgerAllowances + Send + Sync {
    /// Checks project and environment, takes the job's lease and raises its epoch.
    async fn open(&self, request: &RunRequest) -> Result<Lease, LedgerError>;

    /// Shows that the run is alive; refused when it was fenced. [`LedgerError::Halted`] where that was shown and a halt
    /// stands against the job.
    async fn heartbeat(&self, lease: &Lease, now: Timestamp) -> Result<(), LedgerError>;

    /// Turns `dispatched` rows of older epochs into `unknown` and returns every batch that is in doubt, oldest first.
    async fn recover(&self, lease: &Lease, now: Timestamp) -> Result<Vec<PendingBatch>, LedgerError>;

    /// Everything the decisions of a chunk need; rows under the job's aliases count.
    async fn recorded(&self, lease: &Lease, inquiry: &Inquiry) -> Result<Answers, LedgerError>;

    /// Stores decisions other than mail. A row that is already in the same state stays as it is, except that a deferral
    /// is renewed: its reason, instant and run are those of the last decision.
    async fn record(&self, lease: &Lease, decisions: &[DecisionRecord]) -> Result<(), LedgerError>;

    /// Claims deliveries: all of them, or none and an error; [`LedgerError::Halted`] where a halt stands against the job.
    async fn dispatch(&self, lease: &Lease, batches: &[Batch], deliveries: &[Dispatch]) -> Result<(), LedgerError>;

    /// Writes outcomes.
    async fn settle(&self, lease: &Lease, settlements: &[Settlement]) -> Result<(), LedgerError>;

    /// Writes the run's row, starts and volumes, withdraws what the run did not see again, and gives the lease back.
    /// Returns how many deliveries were withdrawn.
    async fn close(&self, lease: &Lease, end: &RunEnd) -> Result<u64, LedgerError>;

    /// The ledger's secret for delivery ids and address hashes.
    fn identity(&self) -> &Identity;
}
