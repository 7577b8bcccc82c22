//! A provider's answer about one message.

use std::time::Duration;

/// Whose fault a rejection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The recipient's address.
    Address,
    /// This message's content.
    Message,
    /// The account, key, sender or plan: stops the provider for this run, until a person has mended it.
    Configuration,
    /// What the account may mail in a day or a month is spent: stops the provider for this run, and waiting mends it.
    Quota,
}

/// What one attempt proved about one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The provider took responsibility; its id where it gave one.
    Accepted {
        /// The provider's message id.
        provider_id: Option<String>,
    },
    /// The provider refused the message.
    Rejected {
        /// The provider's error code, else the HTTP status.
        code: String,
        /// Who must act.
        fault: Fault,
        /// The provider's words, without addresses.
        detail: String,
    },
    /// The request was refused whole because of some of its messages, and not which: none of them was accepted.
    RefusedTogether {
        /// The provider's error code, else the HTTP status.
        code: String,
        /// The provider's words, without addresses.
        detail: String,
    },
    /// Not accepted; may be tried again after the stated delay.
    Throttled {
        /// The delay the provider asked for.
        retry_after: Option<Duration>,
    },
    /// Proof that nothing was accepted, such as a refused connection.
    NotAccepted {
        /// What happened.
        why: String,
    },
    /// No proof either way.
    Unknown {
        /// What happened.
        why: String,
    },
}

impl Outcome {
    /// The word for reports and counts.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Accepted { .. } => "accepted",
            Self::Rejected { .. } => "rejected",
            Self::RefusedTogether { .. } => "refused_together",
            Self::Throttled { .. } => "throttled",
            Self::NotAccepted { .. } => "not_accepted",
            Self::Unknown { .. } => "unknown",
        }
    }
}
