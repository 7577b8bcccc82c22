//! Why an address or profile must not be mailed, and what that stands in the way of.

/// Why the ledger says that an address or profile must not be mailed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SuppressionReason {
    /// The person left: one job's mails, or all marketing.
    Unsubscribed,
    /// The address does not exist.
    Bounce,
    /// The person called a mail spam.
    Complaint,
    /// The person asked to be forgotten. Never lifted.
    Erase,
    /// A person decided it.
    Manual,
}

impl SuppressionReason {
    /// Every reason.
    pub const ALL: [Self; 5] = [Self::Unsubscribed, Self::Bounce, Self::Complaint, Self::Erase, Self::Manual];

    /// The word in the ledger, on the command line and in output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unsubscribed => "unsubscribed",
            Self::Bounce => "bounce",
            Self::Complaint => "complaint",
            Self::Erase => "erase",
            Self::Manual => "manual",
        }
    }

    /// The reason of a word.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }

    /// Whether a word, also one of the project's own, stands in the way of marketing only: mail that was asked for still
    /// reaches those who left a list.
    #[must_use]
    pub fn is_about_marketing(name: &str) -> bool {
        name == Self::Unsubscribed.name()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for reason in SuppressionReason::ALL {
            assert_eq!(SuppressionReason::from_name(reason.name()), Some(reason));
        }
        assert!(!SuppressionReason::is_about_marketing("bounce"));
    }
}
