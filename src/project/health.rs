//! `health:` of a table: what its rows must be like before anybody is mailed from them.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::json_schema::Definitions;
use super::node::{Content, Node};
use super::read::{Findings, Read, quoted, read_word};
use crate::model::diagnostic::{Diagnostic, Located};

const BOUND_HELP: &str = "write a number of rows such as `1000`, or a share of the usual such as `50% of usual`";
const NULLS_HELP: &str = "write the most that may be null, from `0%` to `100%`";

/// What a table declares of its health; checks that need no declaration are not here.
#[derive(Clone, Debug, Default)]
pub struct TableHealth {
    /// The age at `as_of` from which the newest row is too old.
    pub fresh: Option<SignedDuration>,
    /// The fewest rows of a whole day.
    pub rows_min: Option<RowsBound>,
    /// The most rows of a whole day.
    pub rows_max: Option<RowsBound>,
    /// The greatest share of nulls, from 0 to 1, by column.
    pub nulls: Vec<(Located<String>, f64)>,
    /// Conditions of aggregates that hold over the rows of a whole day.
    pub sql: Vec<Located<String>>,
    /// What a failed check of this table does.
    pub severity: HealthSeverity,
}

impl TableHealth {
    /// Whether bounds of rows are declared.
    #[must_use]
    pub fn bounds_rows(&self) -> bool {
        self.rows_min.is_some() || self.rows_max.is_some()
    }
}

/// A bound of the rows of a day.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RowsBound {
    /// So many rows.
    Rows(u64),
    /// A multiple of what is usual; 0.5 is half of it.
    OfUsual(f64),
}

/// What a failed check does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HealthSeverity {
    /// The run refuses before anything leaves.
    #[default]
    Refuse,
    /// The run tells it and goes on.
    Warn,
}

/// The span of rows that a bound is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RowsPer {
    /// A day.
    Day,
}

impl Read for HealthSeverity {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        read_word(node, &[("refuse", Self::Refuse), ("warn", Self::Warn)], findings)
    }

    fn schema(_definitions: &mut Definitions) -> Value {
        json!({ "enum": ["refuse", "warn"] })
    }
}

impl Read for RowsPer {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        read_word(node, &[("day", Self::Day)], findings)
    }

    fn schema(_definitions: &mut Definitions) -> Value {
        json!({ "enum": ["day"] })
    }
}

impl Read for RowsBound {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        let bound = match &node.content {
            Content::Number(number) => number.as_u64().map(Self::Rows),
            Content::Text(text) => text.trim().strip_suffix("of usual").and_then(percent).map(Self::OfUsual),
            _ => None,
        };
        if bound.is_none() {
            findings.push(not_of_kind(node, "is no bound of rows", "bad-bound", BOUND_HELP));
        }
        bound
    }

    fn schema(_definitions: &mut Definitions) -> Value {
        let text = json!({ "type": "string", "pattern": "^\\s*[0-9]+(\\.[0-9]+)?\\s*%\\s*of usual\\s*$" });
        json!({ "anyOf": [{ "type": "integer", "minimum": 0 }, text] })
    }
}

/// The greatest share of nulls, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct NullShare(pub(super) f64);

impl Read for NullShare {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        let share = match &node.content {
            Content::Text(text) => percent(text).filter(|share| *share <= 1.0),
            _ => None,
        };
        if share.is_none() {
            findings.push(not_of_kind(node, "is no share of nulls", "bad-share", NULLS_HELP));
        }
        share.map(Self)
    }

    fn schema(_definitions: &mut Definitions) -> Value {
        json!({ "type": "string", "pattern": "^\\s*[0-9]+(\\.[0-9]+)?\\s*%\\s*$" })
    }
}

fn not_of_kind(node: &Node, what: &str, code: &'static str, help: &str) -> Diagnostic {
    let written = match &node.content {
        Content::Text(text) => quoted(text),
        _ => node.description(),
    };
    Diagnostic::error(code, format!("{written} {what}"), &node.place).with_help(help)
}

/// `50%` as 0.5.
fn percent(text: &str) -> Option<f64> {
    let digits = text.trim().strip_suffix('%')?.trim();
    let is_plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    digits.parse::<f64>().ok().filter(|percent| is_plain && percent.is_finite()).map(|percent| percent / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_written_in_per_cent() {
        for (text, expected) in
            [("50%", Some(0.5)), (" 2.5 % ", Some(0.025)), ("0%", Some(0.0)), ("250%", Some(2.5)), ("100%", Some(1.0))]
        {
            assert_eq!(percent(text), expected, "{text}");
        }
        for text in ["", "%", "50", "-1%", "1e2%", ".%", "1.2.3%"] {
            assert_eq!(percent(text), None, "{text}");
        }
    }
}
