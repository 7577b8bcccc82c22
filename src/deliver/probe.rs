//! The first requests of a run try the account: as long as nothing was accepted, a refusal is taken for the account's.
//!
//! Refusals of single messages are held back and settle nobody. Once the provider accepts anything, they were about their
//! messages and become final. Where it accepts nothing at all, the account stops and everybody who was refused is given back.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::brake::Stopped;
use crate::ledger::Settlement;
use crate::model::{Fault, Outcome};

/// So many messages refused, each by itself, and none accepted: it is the account.
const MESSAGES_MAX: usize = 10;
/// So many requests refused and nothing accepted; cutting a batch of 100 down to one message takes eight.
const REQUESTS_MAX: usize = 20;
/// So few addresses that the provider does not like may be all that a run has to mail.
const ADDRESSES_MAX: usize = 4;

/// What is known about an account in this run.
#[derive(Default)]
pub(super) struct Probe {
    accepted: AtomicBool,
    requests: AtomicUsize,
    messages: AtomicUsize,
    /// The provider's code and words about the last refusal.
    said: Mutex<(String, String)>,
}

impl Probe {
    /// Learns from an answer: once the provider accepts something, a refusal is about its message.
    pub(super) fn look_at(&self, outcomes: &[Outcome]) {
        if self.passed() {
            return;
        }
        if outcomes.iter().any(|outcome| matches!(outcome, Outcome::Accepted { .. })) {
            self.accepted.store(true, Ordering::Release);
        }
        let said = outcomes.iter().find_map(|outcome| match outcome {
            Outcome::Rejected { code, detail, .. } | Outcome::RefusedTogether { code, detail } => Some((code, detail)),
            _ => None,
        });
        if let Some((code, detail)) = said {
            *self.said.lock().unwrap_or_else(PoisonError::into_inner) = (code.clone(), detail.clone());
        }
    }

    /// Whether anything was accepted.
    pub(super) fn passed(&self) -> bool {
        self.accepted.load(Ordering::Acquire)
    }

    /// Counts a request whose messages were refused, one by one or together; the reason to stop where it was one too many.
    pub(super) fn stops(&self, one_by_one: usize, together: bool) -> Option<Stopped> {
        if one_by_one == 0 && !together {
            return None;
        }
        let requests = self.requests.fetch_add(1, Ordering::AcqRel) + 1;
        let messages = self.messages.fetch_add(one_by_one, Ordering::AcqRel) + one_by_one;
        let too_many = messages >= MESSAGES_MAX || requests >= REQUESTS_MAX;
        (too_many && !self.passed()).then(|| self.stopped())
    }

    /// The account is stopped, since everything was refused.
    pub(super) fn stopped(&self) -> Stopped {
        let (code, detail) = self.said.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Stopped::RefusedAll { requests: self.requests.load(Ordering::Acquire), code, detail }
    }
}

/// A refusal that is not final yet.
#[derive(Clone, Debug)]
pub(super) struct Held {
    /// The refusal as it would be written.
    pub(super) settlement: Settlement,
    /// Whose fault the provider says it is.
    pub(super) fault: Fault,
}

/// The refusals of one session that are not final yet.
#[derive(Clone, Default)]
pub(super) struct HeldBack(Arc<Mutex<Vec<Held>>>);

impl HeldBack {
    /// Holds one more.
    pub(super) fn push(&self, held: Held) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(held);
    }

    /// All of them, which are then no longer held.
    pub(super) fn take(&self) -> Vec<Held> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Whether refusals are believed though nothing was accepted: of a few messages, and the provider speaks of their addresses.
pub(super) fn are_addresses(held: &[Held]) -> bool {
    held.len() <= ADDRESSES_MAX && held.iter().all(|held| held.fault == Fault::Address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::model::DeliveryState;

    #[test]
    fn what_was_accepted_once_is_no_longer_in_question() {
        let probe = Probe::default();
        probe.look_at(&[Outcome::RefusedTogether { code: "odd".into(), detail: "no".into() }]);
        assert!((1..MESSAGES_MAX).all(|_| probe.stops(1, false).is_none()));
        let stopped = Stopped::RefusedAll { requests: MESSAGES_MAX, code: "odd".into(), detail: "no".into() };
        assert_eq!(probe.stops(1, false), Some(stopped));
        probe.look_at(&[Outcome::Accepted { provider_id: None }]);
        assert_eq!(probe.stops(100, true), None);
    }

    #[test]
    fn batches_refused_whole_count_as_requests() {
        let probe = Probe::default();
        assert!((1..REQUESTS_MAX).all(|_| probe.stops(0, true).is_none()) && probe.stops(0, true).is_some());
        assert!(Probe::default().stops(MESSAGES_MAX, false).is_some(), "all of a batch, one by one");
        assert!((0..100).all(|_| probe.stops(0, false).is_none()), "nothing was refused");
    }

    #[test]
    fn a_refusal_is_believed_where_it_names_a_few_addresses() {
        let held = |fault| Held {
            settlement: Settlement {
                delivery_id: String::new(),
                state: DeliveryState::Rejected,
                reason: None,
                provider_message_id: None,
                at: Clock::System.now(),
            },
            fault,
        };
        let (address, message) = (held(Fault::Address), held(Fault::Message));
        assert!(are_addresses(std::slice::from_ref(&address)) && are_addresses(&vec![address.clone(); ADDRESSES_MAX]));
        assert!(!are_addresses(&vec![address.clone(); ADDRESSES_MAX + 1]));
        assert!(!are_addresses(std::slice::from_ref(&message)) && !are_addresses(&[address, message]));
    }
}
