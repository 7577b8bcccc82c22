//! Candidates plus facts to one decision each; pure: no clock, no ledger, no data is read here.
//!
//! Guarantees: every candidate gets exactly one [`Decision`], the first that applies in the order of its variants.
//! Never: looks at more than the chunk it is given and what [`Ahead`] kept of earlier ones, so all levels of one profile's
//! milestone must stand in one chunk.

mod ahead;
mod anchors;
mod case;
mod earlier;
mod facts;
mod guard;
mod health;
mod rules;
mod shares;
mod start;
mod steps;

#[cfg(test)]
mod health_tests;
#[cfg(test)]
mod restraint_tests;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ledger::DecisionRecord;
use crate::model::{Candidate, Decision, DeliveryKey, DeliveryState, Level};

pub use ahead::Ahead;
pub use earlier::Lookup;
pub use facts::{Facts, Recipients};
pub use guard::{Refusal, Volume, guard, usual};
pub use health::{JobFacts, Needs, Strangers, job_health, table_health};
pub use rules::{Part, Rules};
pub use shares::variant_for;
pub use steps::Step;

use anchors::MailedAnchors;
use case::Case;

/// One candidate's decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// What is done.
    pub decision: Decision,
    /// Why, without personal data, where the decision alone does not say it.
    pub reason: Option<String>,
    /// The state that the ledger stores; the other decisions are only counted.
    pub stored: Option<DeliveryState>,
    /// When a deferred one may be mailed at the earliest.
    pub not_before: Option<Timestamp>,
    /// The variant it qualified for.
    pub variant: Option<String>,
    /// HMAC of the normalised address, where others with the address are to find it.
    pub address_hash: Option<String>,
}

impl Decided {
    /// What the ledger is to record, where it is to record anything.
    #[must_use]
    pub fn record(&self, candidate: &Candidate, detected_at: Timestamp) -> Option<DecisionRecord> {
        self.stored.map(|state| DecisionRecord {
            key: candidate.key.clone(),
            state,
            reason: self.reason.clone(),
            not_before: self.not_before,
            variant: self.variant.clone(),
            address_hash: self.address_hash.clone(),
            level: candidate.level(),
            reached_at: candidate.reached_at,
            detected_at,
        })
    }

    fn counted(decision: Decision, reason: Option<&str>) -> Self {
        let reason = reason.map(str::to_owned);
        Self { decision, reason, stored: None, not_before: None, variant: None, address_hash: None }
    }

    fn stored(decision: Decision, state: DeliveryState, reason: Option<String>) -> Self {
        Self { reason, stored: Some(state), ..Self::counted(decision, None) }
    }
}

/// Decides a chunk; `facts` holds what is known of each candidate, in order.
#[must_use]
pub fn decide(rules: &Rules, candidates: &[Candidate], facts: &[Facts], ahead: &mut Ahead) -> Vec<Decided> {
    walk(rules, candidates, facts, ahead, |_| ()).into_iter().map(|(decided, ())| decided).collect()
}

/// Decides a chunk and tells the steps to each decision.
#[must_use]
pub fn explain(
    rules: &Rules,
    candidates: &[Candidate],
    facts: &[Facts],
    ahead: &mut Ahead,
) -> Vec<(Decided, Vec<Step>)> {
    #[expect(clippy::redundant_closure_for_method_calls, reason = "the method itself is of one lifetime only")]
    walk(rules, candidates, facts, ahead, |case| case.steps())
}

/// Decides candidate after candidate; `look` sees each case before what it means is kept.
fn walk<T>(
    rules: &Rules,
    candidates: &[Candidate],
    facts: &[Facts],
    ahead: &mut Ahead,
    look: impl Fn(&Case<'_>) -> T,
) -> Vec<(Decided, T)> {
    let mut seen: HashSet<&DeliveryKey> = HashSet::with_capacity(candidates.len());
    let repeated: Vec<bool> = candidates.iter().map(|candidate| !seen.insert(&candidate.key)).collect();
    let alone = |place: usize| case(rules, (&candidates[place], &facts[place], repeated[place]), ahead).settle();
    let settled: Vec<Option<Decided>> = (0..candidates.len()).map(alone).collect();
    let highest = highest_levels(rules, candidates, &settled);
    let mut mailed = MailedAnchors::default();
    let mut decided = Vec::with_capacity(candidates.len());
    for (place, settled) in settled.into_iter().enumerate() {
        let candidate = &candidates[place];
        let case = Case {
            higher: higher_level(rules, candidate, &highest),
            ..case(rules, (candidate, &facts[place], repeated[place]), ahead)
        };
        let mut one = settled.unwrap_or_else(|| case.decide_open());
        let looked = look(&case);
        if one.decision == Decision::Mail && mailed.repeats(rules, candidate) {
            one = Decided::counted(Decision::Known, Some("repeated_in_run"));
        }
        ahead.note(candidate, &facts[place], one.decision);
        decided.push((one, looked));
    }
    decided
}

/// A candidate before others of its ladder are looked at.
fn case<'a>(
    rules: &'a Rules,
    (candidate, facts, repeated): (&'a Candidate, &'a Facts, bool),
    ahead: &'a Ahead,
) -> Case<'a> {
    Case { rules, candidate, facts, ahead, higher: None, repeated }
}

/// Part, profile, and what of an occasion follows its level (a streak's first day, an entity): levels of the same three
/// stand on one ladder.
type Ladder<'a> = (usize, &'a str, &'a str);
type HighestLevels<'a> = HashMap<Ladder<'a>, Level>;

fn ladder<'a>(rules: &Rules, candidate: &'a Candidate) -> Option<(Ladder<'a>, Level)> {
    let highest_only = rules.parts.get(candidate.part).is_some_and(|part| part.highest_only);
    let level = candidate.level().filter(|_| highest_only)?;
    let occasion = &candidate.key.occasion;
    let end_of_level = occasion.find(['@', '/']).unwrap_or(occasion.len());
    Some(((candidate.part, &candidate.key.profile_id, &occasion[end_of_level..]), level))
}

/// The highest level of each ladder that is mailed about or was: baselined and skipped levels take no one's place.
fn highest_levels<'a>(rules: &Rules, candidates: &'a [Candidate], settled: &[Option<Decided>]) -> HighestLevels<'a> {
    let mut highest: HighestLevels = HashMap::new();
    for (candidate, settled) in candidates.iter().zip(settled) {
        let Some((ladder, level)) = ladder(rules, candidate) else { continue };
        if settled.as_ref().is_none_or(|decided| decided.decision == Decision::Known) {
            highest.entry(ladder).and_modify(|known| *known = level.max(*known)).or_insert(level);
        }
    }
    highest
}

fn higher_level(rules: &Rules, candidate: &Candidate, highest: &HighestLevels<'_>) -> Option<Level> {
    let (ladder, level) = ladder(rules, candidate)?;
    highest.get(&ladder).copied().filter(|highest| *highest > level)
}
