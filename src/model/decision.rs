//! The one reason each candidate ends with, in the order in which reasons apply.

use serde::{Deserialize, Serialize};

/// What is done about a candidate; the variants stand in the order of precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// The ledger already has this job, profile and occasion dispatched or closed.
    Known,
    /// Reached before the job, milestone or level started.
    Baselined,
    /// `only_if` is false; asked again next run.
    Skipped,
    /// A higher level of the ladder is a candidate or was mailed.
    Superseded,
    /// Later than `mail_within` after it was reached.
    Expired,
    /// No valid address after trimming.
    InvalidAddress,
    /// Must not be mailed.
    Suppressed,
    /// Leaves now.
    Mail,
}

impl Decision {
    /// Every decision, in order of precedence.
    pub const ALL: [Self; 8] = [
        Self::Known,
        Self::Baselined,
        Self::Skipped,
        Self::Superseded,
        Self::Expired,
        Self::InvalidAddress,
        Self::Suppressed,
        Self::Mail,
    ];

    /// The name in the ledger, artifacts and output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Known => "known",
            Self::Baselined => "baselined",
            Self::Skipped => "skipped",
            Self::Superseded => "superseded",
            Self::Expired => "expired",
            Self::InvalidAddress => "invalid_address",
            Self::Suppressed => "suppressed",
            Self::Mail => "mail",
        }
    }
}
