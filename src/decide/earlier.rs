//! What to ask the ledger for, so that what was mailed under a milestone's earlier name or another first day stays known.

use super::{Rules, anchors};
use crate::ledger::{AnchorStem, Anchored, Recorded};
use crate::model::{Candidate, DeliveryKey};

/// The keys of a chunk of candidates, and whose each of them is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    keys: Vec<DeliveryKey>,
    candidate_of_earlier: Vec<usize>,
    candidates: usize,
    stems: Vec<AnchorStem>,
    candidate_of_stem: Vec<usize>,
}

impl Lookup {
    /// The keys of the candidates, followed by those under earlier names of their milestones.
    #[must_use]
    pub fn new(rules: &Rules, candidates: &[Candidate]) -> Self {
        let mut keys: Vec<DeliveryKey> = candidates.iter().map(|candidate| candidate.key.clone()).collect();
        let mut candidate_of_earlier = Vec::new();
        for (place, candidate) in candidates.iter().enumerate() {
            let Some(part) = rules.parts.get(candidate.part) else { continue };
            for alias in &part.aliases {
                let Some(occasion) = occasion_under(&candidate.key.occasion, &part.name, alias) else { continue };
                keys.push(DeliveryKey { profile_id: candidate.key.profile_id.clone(), occasion });
                candidate_of_earlier.push(place);
            }
        }
        let (mut stems, mut candidate_of_stem) = (Vec::new(), Vec::new());
        for (place, candidate) in candidates.iter().enumerate() {
            stems.extend(anchors::stems(rules, candidate));
            candidate_of_stem.resize(stems.len(), place);
        }
        Self { keys, candidate_of_earlier, candidates: candidates.len(), stems, candidate_of_stem }
    }

    /// What to ask [`crate::ledger::Ledger::recorded`] for.
    #[must_use]
    pub fn keys(&self) -> &[DeliveryKey] {
        &self.keys
    }

    /// What to ask [`crate::ledger::LedgerAdministration::anchored`] for.
    #[must_use]
    pub fn stems(&self) -> &[AnchorStem] {
        &self.stems
    }

    /// The answers of [`Lookup::merge`], with what is known under another first day.
    #[must_use]
    pub fn merge_anchored(
        &self,
        rules: &Rules,
        candidates: &[Candidate],
        mut answers: Vec<Option<Recorded>>,
        anchored: &[Vec<Anchored>],
    ) -> Vec<Option<Recorded>> {
        for (place, rows) in self.candidate_of_stem.iter().zip(anchored) {
            let is_known = answers[*place].as_ref().is_some_and(|recorded| recorded.state.is_known());
            if let Some(same) = anchors::same(rules, &candidates[*place], rows).filter(|_| !is_known) {
                answers[*place] = Some(same.recorded.clone());
            }
        }
        answers
    }

    /// One answer per candidate: its own, unless only an earlier name's makes it known.
    #[must_use]
    pub fn merge(&self, mut answers: Vec<Option<Recorded>>) -> Vec<Option<Recorded>> {
        let earlier = answers.split_off(self.candidates.min(answers.len()));
        for (place, answer) in self.candidate_of_earlier.iter().zip(earlier) {
            let known = |answer: &Option<Recorded>| answer.as_ref().is_some_and(|recorded| recorded.state.is_known());
            if known(&answer) && !known(&answers[*place]) {
                answers[*place] = answer;
            }
        }
        answers
    }
}

/// The occasion with the milestone's name replaced; `None` for an own view's occasion that does not begin with it.
fn occasion_under(occasion: &str, name: &str, alias: &str) -> Option<String> {
    let rest = occasion.strip_prefix(name)?;
    (rest.is_empty() || rest.starts_with([':', '@', '/'])).then(|| format!("{alias}{rest}"))
}
