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
    /// Another profile with this address has this occasion in this job.
    SameAddress,
    /// Withheld by a stable hash, so that lift can be measured.
    HeldOut,
    /// The profile had as many marketing mails lately as `caps:` allow; decided again later.
    Capped,
    /// The job's window is closed in the profile's zone; decided again when it opens.
    OutsideWindow,
    /// The same, and the window that was waited for opened and closed without a run in it.
    MissedWindow,
    /// Leaves now.
    Mail,
}

impl Decision {
    /// Every decision, in order of precedence.
    pub const ALL: [Self; 13] = [
        Self::Known,
        Self::Baselined,
        Self::Skipped,
        Self::Superseded,
        Self::Expired,
        Self::InvalidAddress,
        Self::Suppressed,
        Self::SameAddress,
        Self::HeldOut,
        Self::Capped,
        Self::OutsideWindow,
        Self::MissedWindow,
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
            Self::SameAddress => "same_address",
            Self::HeldOut => "held_out",
            Self::Capped => "capped",
            Self::OutsideWindow => "outside_window",
            Self::MissedWindow => "missed_window",
            Self::Mail => "mail",
        }
    }
}
