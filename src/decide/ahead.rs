//! What a run decided so far and the ledger does not know yet: addresses that are taken and mails to each profile.
//!
//! Memory: about 40 bytes for each candidate that is mailed or waits, and as much again where there are caps.

use std::collections::{HashMap, HashSet};

use sha2::{Digest, Sha256};

use super::{Facts, Rules};
use crate::model::{Candidate, Decision};
use crate::settings::seeded;

/// What earlier chunks of a run decided.
#[derive(Clone, Debug, Default)]
pub struct Ahead {
    /// Address and occasion.
    addresses: HashSet<u128>,
    /// By profile, where there are caps.
    mails: HashMap<u128, u32>,
    counts_mails: bool,
}

impl Ahead {
    /// Nothing decided yet by a job.
    #[must_use]
    pub fn new(rules: &Rules) -> Self {
        Self { counts_mails: Self::counts_mails(rules), ..Self::default() }
    }

    /// Whether a job's mails count for caps, and with them those of jobs before it.
    #[must_use]
    pub fn counts_mails(rules: &Rules) -> bool {
        rules.marketing && !rules.caps.is_empty()
    }

    /// The same mails for the next job of a run that records nothing, so that caps see them; addresses count per job.
    #[must_use]
    pub fn next_job(self, rules: &Rules) -> Self {
        Self { mails: self.mails, ..Self::new(rules) }
    }

    /// Keeps what a decision means for later candidates.
    pub(super) fn note(&mut self, candidate: &Candidate, facts: &Facts, decision: Decision) {
        if decision > Decision::SameAddress {
            self.addresses.extend(address_key(candidate, facts));
        }
        if decision == Decision::Mail && self.counts_mails && !seeded!("cap_counted_after_dispatch") {
            *self.mails.entry(digest(&[&candidate.key.profile_id])).or_default() += 1;
        }
    }

    /// Whether the address has the occasion already.
    pub(super) fn has_address(&self, candidate: &Candidate, facts: &Facts) -> bool {
        address_key(candidate, facts).is_some_and(|key| self.addresses.contains(&key))
    }

    /// Mails to a profile so far.
    pub(super) fn mails_to(&self, profile_id: &str) -> u32 {
        if self.mails.is_empty() { 0 } else { self.mails.get(&digest(&[profile_id])).copied().unwrap_or(0) }
    }
}

fn address_key(candidate: &Candidate, facts: &Facts) -> Option<u128> {
    facts.address_hash.as_ref().map(|hash| digest(&[hash, &candidate.key.occasion]))
}

/// 128 bits that no two lists of parts share.
fn digest(parts: &[&str]) -> u128 {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    let bytes = hasher.finalize();
    u128::from_be_bytes(bytes[..16].try_into().expect("a digest has 32 bytes"))
}
