//! The ways in which the fake misbehaves, drawn per request by probability from a seeded sequence.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::Failure;

/// One way to misbehave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Accepts and never answers.
    AcceptThenTimeOut,
    /// Accepts and resets the connection.
    AcceptThenReset,
    /// Accepts and answers 500.
    AcceptThen500,
    /// Accepts and breaks the 200 off in its middle.
    Truncated200,
    /// Refuses the content.
    Reject422,
    /// Too fast: not accepted, come back after a while.
    Throttle429,
    /// A daily quota: not accepted, and no wait helps.
    Quota429,
    /// The key is wrong.
    Unauthorized401,
    /// The key is wrong, said as an error of validation.
    BadKey400,
    /// The sender's domain is not verified, said as an error of validation.
    Domain422,
    /// Nothing but the account's own address may be mailed.
    Testing403,
    /// Something that no document names.
    Odd422,
    /// Not accepted, but nobody can tell.
    Refuse503,
    /// Accepts the first half of a batch and answers for that half only.
    PartialBatch,
    /// Accepts and answers byte by byte.
    SlowDrip,
    /// Points elsewhere.
    Redirect,
}

impl Fault {
    const NAMES: [(&'static str, Self); 16] = [
        ("accept_then_time_out", Self::AcceptThenTimeOut),
        ("accept_then_reset", Self::AcceptThenReset),
        ("accept_then_500", Self::AcceptThen500),
        ("truncated_200", Self::Truncated200),
        ("reject_422", Self::Reject422),
        ("throttle_429", Self::Throttle429),
        ("quota_429", Self::Quota429),
        ("unauthorized_401", Self::Unauthorized401),
        ("bad_key_400", Self::BadKey400),
        ("domain_422", Self::Domain422),
        ("testing_403", Self::Testing403),
        ("odd_422", Self::Odd422),
        ("refuse_503", Self::Refuse503),
        ("partial_batch", Self::PartialBatch),
        ("slow_drip", Self::SlowDrip),
        ("redirect", Self::Redirect),
    ];

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, fault)| *fault == self).map_or("", |(name, _)| name)
    }

    /// The fault of a name.
    pub(crate) fn named(name: &str) -> Result<Self, Failure> {
        let found = Self::NAMES.iter().find(|(known, _)| *known == name);
        found.map(|(_, fault)| *fault).ok_or_else(|| format!("unknown fault {name}").into())
    }

    /// Whether the messages are accepted nevertheless.
    pub(crate) fn accepts(self) -> bool {
        use Fault::{AcceptThen500, AcceptThenReset, AcceptThenTimeOut, PartialBatch, SlowDrip, Truncated200};
        matches!(self, AcceptThenTimeOut | AcceptThenReset | AcceptThen500 | Truncated200 | PartialBatch | SlowDrip)
    }
}

/// Which fault strikes next.
pub(crate) struct Faults {
    chances: Vec<(Fault, f64)>,
    places: Vec<(Fault, u64)>,
    drawn: AtomicU64,
    calm: AtomicBool,
    state: Mutex<u64>,
    /// Requests that may still be struck.
    left: AtomicU64,
}

impl Faults {
    /// Each fault with its probability per request over the first `requests`, and those that strike the Nth request.
    pub(crate) fn new(chances: Vec<(Fault, f64)>, places: Vec<(Fault, u64)>, seed: u64, requests: u64) -> Self {
        let state = Mutex::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let left = AtomicU64::new(requests);
        Self { chances, places, drawn: AtomicU64::new(0), calm: AtomicBool::new(false), state, left }
    }

    /// No fault strikes any more.
    pub(crate) fn calm(&self) {
        self.calm.store(true, Ordering::SeqCst);
    }

    /// The fault of the next request, if one strikes.
    pub(crate) fn draw(&self) -> Option<Fault> {
        let place = self.drawn.fetch_add(1, Ordering::SeqCst) + 1;
        if self.calm.load(Ordering::SeqCst) {
            return None;
        }
        if let Some((fault, _)) = self.places.iter().find(|(_, wanted)| *wanted == place) {
            return Some(*fault);
        }
        self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).ok()?;
        let mut state = self.state.lock().expect("nobody panics while drawing");
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
        let mut place = (*state >> 11) as f64 / (1_u64 << 53) as f64;
        for (fault, chance) in &self.chances {
            if place < *chance {
                return Some(*fault);
            }
            place -= chance;
        }
        None
    }
}
