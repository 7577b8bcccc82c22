//! When a job, milestone or level begins to count.
//!
//! What was reached before the start is baselined; what was reached at that very instant is not.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Part, Rules};
use crate::model::{Candidate, Level};
use crate::project::Start;

impl Rules {
    /// Whether the candidate was reached before its part started.
    ///
    /// A candidate of an own view without `reached_at` has no instant to compare: those of the run that first sees the
    /// view count as reached before, later ones do not. `start: all` baselines nobody.
    pub(super) fn is_baselined(&self, candidate: &Candidate) -> bool {
        let kept = self.kept_start(candidate);
        match self.start {
            Start::All => false,
            Start::FromNow | Start::Since(_) if !candidate.dated => kept.is_none(),
            Start::FromNow => candidate.reached_at < kept.unwrap_or(self.as_of),
            Start::Since(instant) => candidate.reached_at < instant,
        }
    }

    /// The instant from which the candidate's part counts, where there is one.
    pub(super) fn start_of(&self, candidate: &Candidate) -> Option<Timestamp> {
        match self.start {
            Start::All => None,
            Start::FromNow => self.kept_start(candidate),
            Start::Since(instant) => Some(instant),
        }
    }

    /// The starts to keep when this run ends as the first complete one that saw their parts; the ledger leaves those it
    /// has as they are.
    #[must_use]
    pub fn starts_to_keep(&self) -> BTreeMap<String, Timestamp> {
        let mut starts = BTreeMap::new();
        for part in &self.parts {
            if !self.needs_kept_start(part) {
                // Not looked at for what counts: it tells a part that a run has seen from a new one.
                starts.insert(seen_key(&part.name), self.as_of);
                continue;
            }
            for key in part.start_keys() {
                let earlier = part.aliases.iter().find_map(|alias| self.starts.get(&renamed(&key, &part.name, alias)));
                let start = self.starts.get(&key).or(earlier).copied().unwrap_or(self.as_of);
                starts.insert(key, start);
            }
        }
        starts
    }

    /// The parts that no completed run has seen, under their names or earlier ones.
    pub fn new_parts(&self) -> impl Iterator<Item = &Part> {
        let has_levels = |name: &str| {
            let levels = format!("{name}:");
            self.starts.range(levels.clone()..).next().is_some_and(|(key, _)| key.starts_with(&levels))
        };
        let is_known = move |name: &String| {
            self.starts.contains_key(name) || self.starts.contains_key(&seen_key(name)) || has_levels(name)
        };
        self.parts.iter().filter(move |part| !std::iter::once(&part.name).chain(&part.aliases).any(&is_known))
    }

    fn needs_kept_start(&self, part: &Part) -> bool {
        match self.start {
            Start::FromNow => true,
            Start::Since(_) => part.own_view,
            Start::All => false,
        }
    }

    /// What the ledger has for the candidate's part, also under the milestone's earlier names.
    fn kept_start(&self, candidate: &Candidate) -> Option<Timestamp> {
        let part = self.parts.get(candidate.part)?;
        let mut names = std::iter::once(&part.name).chain(&part.aliases);
        let level = candidate.level().filter(|_| !part.levels.is_empty());
        names.find_map(|name| self.starts.get(&start_key(name, level))).copied()
    }
}

impl Part {
    /// The keys under which the ledger keeps this part's starts: one per level of a list, else one for the part.
    #[must_use]
    pub fn start_keys(&self) -> Vec<String> {
        if self.levels.is_empty() {
            return vec![start_key(&self.name, None)];
        }
        self.levels.iter().map(|level| start_key(&self.name, Some(*level))).collect()
    }
}

fn start_key(name: &str, level: Option<Level>) -> String {
    match level {
        Some(level) => format!("{name}:{level}"),
        None => name.to_owned(),
    }
}

/// Stands for a part whose start the job's policy does not keep.
fn seen_key(name: &str) -> String {
    format!("+{name}")
}

fn renamed(key: &str, name: &str, alias: &str) -> String {
    format!("{alias}{}", key.strip_prefix(name).unwrap_or_default())
}
