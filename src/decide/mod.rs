//! Candidates plus facts to one decision each; pure: no clock, no ledger, no data is read here.
//!
//! Guarantees: every candidate gets exactly one [`Decision`], the first that applies in the order of its variants.
//! Never: looks at more than the chunk it is given, so all levels of one profile's milestone must stand in one chunk.

mod anchors;
mod earlier;
mod guard;
mod rules;
mod start;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use crate::ledger::{DecisionRecord, Recorded};
use crate::model::{Candidate, Decision, DeliveryKey, DeliveryState, EmailAddress, Level};

pub use earlier::Lookup;
pub use guard::{Refusal, Volume, guard};
pub use rules::{Part, Rules};

/// One candidate's decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// What is done.
    pub decision: Decision,
    /// Why, without personal data, where the decision alone does not say it.
    pub reason: Option<String>,
    /// Whether the ledger stores the decision; the others are only counted.
    pub stored: bool,
}

impl Decided {
    /// What the ledger is to record, where it is to record anything.
    #[must_use]
    pub fn record(&self, candidate: &Candidate, detected_at: Timestamp) -> Option<DecisionRecord> {
        let state = match self.decision {
            Decision::Baselined => DeliveryState::Baselined,
            Decision::Superseded => DeliveryState::Superseded,
            Decision::Expired => DeliveryState::Expired,
            Decision::InvalidAddress => DeliveryState::InvalidAddress,
            Decision::Suppressed => DeliveryState::Suppressed,
            Decision::Known | Decision::Skipped | Decision::Mail => return None,
        };
        self.stored.then(|| DecisionRecord {
            key: candidate.key.clone(),
            state,
            reason: self.reason.clone(),
            level: candidate.level(),
            reached_at: candidate.reached_at,
            detected_at,
        })
    }
}

/// Decides a chunk; `recorded` holds what [`Lookup::merge`] gave for each candidate, in order.
#[must_use]
pub fn decide(rules: &Rules, candidates: &[Candidate], recorded: &[Option<Recorded>]) -> Vec<Decided> {
    let mut seen: HashSet<&DeliveryKey> = HashSet::with_capacity(candidates.len());
    let standings: Vec<Standing> = candidates
        .iter()
        .enumerate()
        .map(|(place, candidate)| {
            let recorded = recorded.get(place).and_then(Option::as_ref);
            let repeated = !seen.insert(&candidate.key);
            standing(rules, candidate, recorded, repeated)
        })
        .collect();
    let highest = highest_levels(rules, candidates, &standings);
    let judged = candidates.iter().zip(standings);
    let mut decided =
        judged.map(|(candidate, standing)| judge(rules, candidate, standing, &highest)).collect::<Vec<_>>();
    anchors::settle_repeated(rules, candidates, &mut decided);
    decided
}

/// How a candidate stands before others of its ladder are looked at.
enum Standing {
    Settled(Decided),
    Open,
}

/// The first three reasons, which depend on the candidate alone.
fn standing(rules: &Rules, candidate: &Candidate, recorded: Option<&Recorded>, repeated: bool) -> Standing {
    if let Some(recorded) = recorded.filter(|recorded| recorded.state.is_known()) {
        return Standing::Settled(counted(Decision::Known, Some(recorded.state.name())));
    }
    if repeated {
        return Standing::Settled(counted(Decision::Known, Some("repeated_in_run")));
    }
    // What the ledger has without an instant of its own was seen after the start: it must not fall back behind it.
    if rules.is_baselined(candidate) && (candidate.dated || recorded.is_none()) {
        let decided = Decided { stored: !candidate.dated, ..counted(Decision::Baselined, None) };
        return Standing::Settled(decided);
    }
    if !candidate.wanted {
        return Standing::Settled(counted(Decision::Skipped, None));
    }
    Standing::Open
}

/// The other reasons, in their order.
fn judge(rules: &Rules, candidate: &Candidate, standing: Standing, highest: &HighestLevels) -> Decided {
    if let Standing::Settled(decided) = standing {
        return decided;
    }
    let higher =
        ladder(rules, candidate).and_then(|(ladder, level)| highest.get(&ladder).filter(|highest| **highest > level));
    if let Some(higher) = higher {
        return stored(Decision::Superseded, Some(format!("level {higher}")));
    }
    if rules.is_expired(candidate) {
        return stored(Decision::Expired, None);
    }
    let address = candidate.address.as_deref().unwrap_or_default();
    if EmailAddress::parse(address).is_none() {
        let reason = if address.trim().is_empty() { "no_address" } else { "not_an_address" };
        return stored(Decision::InvalidAddress, Some(reason.to_owned()));
    }
    if let Some(suppression) = &candidate.suppressed {
        return stored(Decision::Suppressed, Some(presentable(&suppression.reason)));
    }
    counted(Decision::Mail, None)
}

fn counted(decision: Decision, reason: Option<&str>) -> Decided {
    Decided { decision, reason: reason.map(str::to_owned), stored: false }
}

fn stored(decision: Decision, reason: Option<String>) -> Decided {
    Decided { decision, reason, stored: true }
}

/// A suppression's reason comes from the project's data and is kept only when it cannot be personal.
fn presentable(reason: &str) -> String {
    let plain = |character: char| character.is_ascii_alphabetic() || matches!(character, '_' | '-' | ' ');
    let fits = !reason.is_empty() && reason.len() <= 40 && reason.chars().all(plain);
    if fits { reason.to_owned() } else { "suppressed".to_owned() }
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
fn highest_levels<'a>(rules: &Rules, candidates: &'a [Candidate], standings: &[Standing]) -> HighestLevels<'a> {
    let mut highest: HighestLevels = HashMap::new();
    for (candidate, standing) in candidates.iter().zip(standings) {
        let Some((ladder, level)) = ladder(rules, candidate) else { continue };
        let counts = match standing {
            Standing::Open => true,
            Standing::Settled(decided) => decided.decision == Decision::Known,
        };
        if counts {
            highest.entry(ladder).and_modify(|known| *known = level.max(*known)).or_insert(level);
        }
    }
    highest
}
