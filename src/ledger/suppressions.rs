//! What people tell a ledger beside its runs: who must not be mailed, who must be forgotten, and which jobs stand still.

use jiff::Timestamp;

use crate::model::SuppressionReason;

/// A suppression that stands, as decisions see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InForce {
    /// Why.
    pub reason: SuppressionReason,
    /// The one job it is about; `None`: all.
    pub job: Option<String>,
}

/// Whom a suppression is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SuppressionSubject {
    /// A profile, by its id as the warehouse has it.
    Profile(String),
    /// An address, by the HMAC of its normalised spelling.
    Address(String),
}

/// A suppression to be written or lifted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuppressionChange {
    /// Whom it is about.
    pub subject: SuppressionSubject,
    /// Why; when lifting, `None` means every reason but `erase`, which is never lifted.
    pub reason: Option<SuppressionReason>,
    /// The one job it is about; `None`: all.
    pub job: Option<String>,
    /// Who says so, such as `command line`.
    pub origin: String,
    /// Wall-clock time.
    pub at: Timestamp,
}

/// One row of `suppressions`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuppressionRow {
    /// `profile` or `address`.
    pub kind: String,
    /// The profile's id as stored, or the address's hash.
    pub subject: String,
    /// Why.
    pub reason: SuppressionReason,
    /// The one job it is about; `None`: all.
    pub job: Option<String>,
    /// Who said so.
    pub origin: String,
    /// Since when, wall clock.
    pub created_at: Timestamp,
    /// When it was lifted; `None` while it stands.
    pub lifted_at: Option<Timestamp>,
}

/// What forgetting a profile changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Erased {
    /// Deliveries whose key is now a tombstone and whose other facts about the person are gone.
    pub deliveries: u64,
    /// Addresses that are never mailed again.
    pub addresses: u64,
}

/// A halt of one job or of all.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Halt {
    /// The job; `None`: all.
    pub job: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// Since when, wall clock.
    pub halted_at: Timestamp,
}
