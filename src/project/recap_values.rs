//! How the values of a recap are written: what it is compared with, and whether a metric is ranked.

use super::job::Compare;
use super::node::{Content, Node};
use super::read::{Findings, Read, quoted, wrong_type};
use crate::model::diagnostic::{Diagnostic, did_you_mean};

/// Beyond it an average says little and the matrix grows wide. Less than a year of weeks, so that a week a year before is
/// never one of those averaged.
const MOST_AVERAGED: u16 = 51;

impl Read for Compare {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        let Content::Text(text) = &node.content else {
            findings.push(wrong_type("previous, last_year or average(N)", node));
            return None;
        };
        if let Some(count) = text.trim().strip_prefix("average(").and_then(|rest| rest.strip_suffix(')')) {
            let count = count.trim().parse().ok().filter(|count| (1..=MOST_AVERAGED).contains(count));
            if count.is_none() {
                let message = format!("an average takes 1 to {MOST_AVERAGED} earlier periods");
                let finding = Diagnostic::error("bad-average", message, &node.place);
                findings.push(finding.with_help("write `average(4)`"));
            }
            return count.map(Self::Average);
        }
        let known = [("previous", Self::Previous), ("last_year", Self::LastYear)];
        let found = known.iter().find(|(word, _)| word == text).map(|(_, value)| *value);
        if found.is_none() {
            let message = format!("{} is not one of previous, last_year, average(N)", quoted(text));
            let help = did_you_mean(text, ["previous", "last_year", "average(4)"]);
            findings.push(Diagnostic::error("unknown-value", message, &node.place).with_optional_help(help));
        }
        found
    }
}

impl Read for bool {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        let Content::Boolean(value) = node.content else {
            findings.push(wrong_type("true or false", node));
            return None;
        };
        Some(value)
    }
}
