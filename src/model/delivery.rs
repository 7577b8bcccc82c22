//! The states of a delivery in the ledger and the only legal ways between them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The state of one (job, profile, occasion).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Claimed durably; the request may have left.
    Dispatched,
    /// The provider took responsibility. Final.
    Accepted,
    /// The provider refused it. Final, unless a person retries it.
    Rejected,
    /// Proof that it was not accepted: may be dispatched again.
    Retryable,
    /// No proof either way.
    Unknown,
    /// A higher level of the ladder took its place. Final.
    Superseded,
    /// Too late to be mailed. Final.
    Expired,
    /// Qualified before the start, stored for own views without `reached_at`. Final.
    Baselined,
    /// No valid address; decided again each run.
    InvalidAddress,
    /// Must not be mailed; decided again each run.
    Suppressed,
    /// The template failed for this profile's data; tried again each run.
    RenderFailed,
    /// Another profile with this address has the occasion. Final.
    SameAddress,
    /// Withheld for comparison when it qualified. Final.
    HeldOut,
    /// Waits for a cap or a window; decided again each run.
    Deferred,
    /// Waited, and a later run no longer saw it. Final.
    Withdrawn,
}

impl DeliveryState {
    /// Every state.
    pub const ALL: [Self; 15] = [
        Self::Dispatched,
        Self::Accepted,
        Self::Rejected,
        Self::Retryable,
        Self::Unknown,
        Self::Superseded,
        Self::Expired,
        Self::Baselined,
        Self::InvalidAddress,
        Self::Suppressed,
        Self::RenderFailed,
        Self::SameAddress,
        Self::HeldOut,
        Self::Deferred,
        Self::Withdrawn,
    ];

    /// The name stored in the ledger.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Dispatched => "dispatched",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Retryable => "retryable",
            Self::Unknown => "unknown",
            Self::Superseded => "superseded",
            Self::Expired => "expired",
            Self::Baselined => "baselined",
            Self::InvalidAddress => "invalid_address",
            Self::Suppressed => "suppressed",
            Self::RenderFailed => "render_failed",
            Self::SameAddress => "same_address",
            Self::HeldOut => "held_out",
            Self::Deferred => "deferred",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// The state of a stored name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// True when the mail of this occasion left for an address, may have, or still may: another profile with the address
    /// needs none.
    #[must_use]
    pub fn takes_address(self) -> bool {
        matches!(
            self,
            Self::Dispatched
                | Self::Accepted
                | Self::Rejected
                | Self::Retryable
                | Self::Unknown
                | Self::HeldOut
                | Self::Deferred
        )
    }

    /// True when the mail was accepted or may have been: what caps count.
    #[must_use]
    pub fn counts_for_caps(self) -> bool {
        matches!(self, Self::Dispatched | Self::Accepted | Self::Unknown)
    }

    /// True when a run must leave the key alone: it is dispatched, answered or closed.
    #[must_use]
    pub fn is_known(self) -> bool {
        !matches!(self, Self::Retryable | Self::InvalidAddress | Self::Suppressed | Self::RenderFailed | Self::Deferred)
    }

    /// Whether a row may go from `from` (`None`: not stored yet) to `self`.
    #[must_use]
    pub fn may_follow(self, from: Option<Self>) -> bool {
        let Some(from) = from else {
            return !matches!(
                self,
                Self::Accepted | Self::Rejected | Self::Unknown | Self::Retryable | Self::Withdrawn
            );
        };
        match from {
            Self::Dispatched => matches!(self, Self::Accepted | Self::Rejected | Self::Retryable | Self::Unknown),
            Self::Unknown => matches!(self, Self::Accepted | Self::Rejected | Self::Retryable),
            Self::Rejected => matches!(self, Self::Retryable),
            Self::Deferred if self == Self::Withdrawn => true,
            Self::Retryable | Self::InvalidAddress | Self::Suppressed | Self::RenderFailed | Self::Deferred => {
                matches!(
                    self,
                    Self::Dispatched
                        | Self::Superseded
                        | Self::Expired
                        | Self::InvalidAddress
                        | Self::Suppressed
                        | Self::RenderFailed
                        | Self::SameAddress
                        | Self::HeldOut
                        | Self::Deferred
                )
            }
            Self::Accepted
            | Self::Superseded
            | Self::Expired
            | Self::Baselined
            | Self::SameAddress
            | Self::HeldOut
            | Self::Withdrawn => false,
        }
    }
}

impl fmt::Display for DeliveryState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for state in DeliveryState::ALL {
            assert_eq!(DeliveryState::from_name(state.name()), Some(state));
        }
    }

    #[test]
    fn accepted_is_never_left_and_never_entered_without_a_dispatch() {
        for state in DeliveryState::ALL {
            assert!(!state.may_follow(Some(DeliveryState::Accepted)));
            if DeliveryState::Accepted.may_follow(Some(state)) {
                assert!(matches!(state, DeliveryState::Dispatched | DeliveryState::Unknown));
            }
        }
        assert!(!DeliveryState::Accepted.may_follow(None));
        assert!(!DeliveryState::Dispatched.may_follow(Some(DeliveryState::Unknown)));
        assert!(!DeliveryState::Dispatched.may_follow(Some(DeliveryState::Dispatched)));
    }
}
