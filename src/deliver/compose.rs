//! Candidates become messages on threads made for work, with every hash the ledger keeps.

use std::sync::Arc;

use jiff::Timestamp;

use super::body_hash::body_hash;
use super::ended::ended;
use crate::ledger::{Identity, Lease, Ledger};
use crate::model::{Candidate, EmailAddress, Message};

/// Makes the message of a candidate: candidate, delivery id, `as_of`. The same inputs must give the same message.
pub type Compose = dyn Fn(&Candidate, &str, Timestamp) -> Result<Message, ComposeFailure> + Send + Sync;

/// Why one candidate's message could not be made: held, and tried again by the next run.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{reason}")]
pub struct ComposeFailure {
    /// What happened, without personal data.
    pub reason: String,
}

/// A message and what the ledger keeps of it.
pub(super) struct Composed {
    pub(super) candidate: Candidate,
    pub(super) message: Message,
    pub(super) address_hash: String,
    pub(super) body_hash: String,
}

/// What composing needs, shared by its threads.
#[derive(Clone)]
pub(super) struct Composing {
    compose: Arc<Compose>,
    identity: Identity,
    job: String,
}

impl Composing {
    pub(super) fn new(compose: Arc<Compose>, ledger: &dyn Ledger, lease: &Lease) -> Self {
        Self { compose, identity: ledger.identity().clone(), job: lease.job.clone() }
    }

    /// The only id of the candidate's delivery that leaves.
    pub(super) fn delivery_id(&self, candidate: &Candidate) -> String {
        self.identity.delivery_id(&self.job, &candidate.key)
    }

    /// Every candidate with its message or why there is none, in order.
    pub(super) async fn all(
        &self,
        candidates: Vec<Candidate>,
        as_of: Timestamp,
    ) -> Vec<Result<Composed, (Candidate, ComposeFailure)>> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let share = candidates.len().div_ceil(threads).max(1);
        let mut shares = Vec::with_capacity(threads);
        let mut rest = candidates.into_iter();
        loop {
            let some: Vec<_> = rest.by_ref().take(share).collect();
            if some.is_empty() {
                break;
            }
            let composing = self.clone();
            shares.push(tokio::task::spawn_blocking(move || {
                some.into_iter().map(|candidate| composing.one(candidate, as_of)).collect::<Vec<_>>()
            }));
        }
        let mut composed = Vec::new();
        for handle in shares {
            composed.extend(ended(handle.await).unwrap_or_default());
        }
        composed
    }

    fn one(&self, candidate: Candidate, as_of: Timestamp) -> Result<Composed, (Candidate, ComposeFailure)> {
        let delivery_id = self.delivery_id(&candidate);
        match (self.compose)(&candidate, &delivery_id, as_of) {
            Err(failure) => Err((candidate, failure)),
            Ok(message) => {
                let own = candidate.address.as_deref().and_then(EmailAddress::parse);
                let address_hash = self.identity.address_hash(own.as_ref().unwrap_or(&message.to.address));
                Ok(Composed { address_hash, body_hash: body_hash(&message), candidate, message })
            }
        }
    }
}
