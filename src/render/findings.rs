//! Findings in the order in which they were made, each once.

use std::collections::BTreeSet;

use crate::model::diagnostic::{Diagnostic, Severity};

/// A list of findings.
#[derive(Debug, Default)]
pub(super) struct Findings {
    list: Vec<Diagnostic>,
    /// What tells them apart; comparing each with all would take the square of their number.
    seen: BTreeSet<(&'static str, Option<(String, usize, usize)>, String)>,
}

impl Findings {
    /// Adds a finding that is not there yet.
    pub(super) fn add(&mut self, finding: Diagnostic) {
        let place = finding.place.as_ref().map(|place| (place.file.path.clone(), place.span.start, place.span.end));
        if self.seen.insert((finding.code, place, finding.message.clone())) {
            self.list.push(finding);
        }
    }

    /// Whether none of them is an error.
    pub(super) fn are_harmless(&self) -> bool {
        self.list.iter().all(|finding| finding.severity != Severity::Error)
    }

    /// The findings.
    pub(super) fn into_list(self) -> Vec<Diagnostic> {
        self.list
    }
}
