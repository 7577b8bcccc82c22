//! What the decisions of a chunk ask the ledger, and what it answers.

use jiff::Timestamp;

use super::{InForce, Recorded};
use crate::model::DeliveryKey;

/// Questions of one chunk; each list is answered in its own order.
#[derive(Clone, Debug, Default)]
pub struct Inquiry {
    /// Deliveries whose state is asked for.
    pub keys: Vec<DeliveryKey>,
    /// Who would be mailed about what.
    pub recipients: Vec<Recipient>,
    /// Since when each recipient's marketing dispatches are asked for; `None`: not at all.
    pub dispatched_since: Option<Timestamp>,
}

impl Inquiry {
    /// Asks for states only.
    #[must_use]
    pub fn of_keys(keys: &[DeliveryKey]) -> Self {
        Self { keys: keys.to_vec(), ..Self::default() }
    }
}

/// One candidate that may be mailed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// Profile and occasion.
    pub key: DeliveryKey,
    /// HMAC of the normalised address; `None` without a valid one.
    pub address_hash: Option<String>,
}

/// The answers to an [`Inquiry`].
#[derive(Clone, Debug, Default)]
pub struct Answers {
    /// By key: what is recorded; of rows under several names the known one counts.
    pub recorded: Vec<Option<Recorded>>,
    /// By recipient.
    pub recipients: Vec<RecipientFacts>,
}

/// What stands against mailing one candidate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecipientFacts {
    /// Suppressions in force of the profile or the address, whatever job they are about.
    pub suppressions: Vec<InForce>,
    /// Another profile with this address has the occasion in this job.
    pub address_taken: bool,
    /// Marketing dispatches to the profile across jobs since the instant asked for, ascending; those proven not to be
    /// accepted are left out.
    pub dispatched: Vec<Timestamp>,
}
