//! How the values of a table's keys are written: types of columns, and folders that spell dates.

use serde_json::{Value, json};

use super::json_schema::Definitions;
use super::node::Node;
use super::project::{ColumnKind, PathDates};
use super::read::{Findings, Read, quoted};
use crate::model::EpochUnit;
use crate::model::diagnostic::{Diagnostic, did_you_mean};

const KINDS: [(&str, ColumnKind); 7] = [
    ("string", ColumnKind::Text),
    ("int", ColumnKind::Int),
    ("double", ColumnKind::Double),
    ("boolean", ColumnKind::Boolean),
    ("date", ColumnKind::Date),
    ("timestamp", ColumnKind::Timestamp),
    ("json", ColumnKind::Json),
];

const DECIMAL_DIGITS_MAX: u8 = 38;

impl Read for ColumnKind {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        let text = String::read(node, findings)?;
        let kind = KINDS.iter().find(|(name, _)| *name == text.trim()).map(|(_, kind)| *kind);
        let kind = kind.or_else(|| decimal(&text)).or_else(|| epoch(&text));
        if kind.is_none() {
            let names = KINDS.map(|(name, _)| name);
            let help = did_you_mean(text.trim(), names)
                .unwrap_or_else(|| format!("write {}, decimal(12, 2) or timestamp(ms)", names.join(", ")));
            let message = format!("{} is no type of a column", quoted(&text));
            findings.push(Diagnostic::error("bad-type", message, &node.place).with_help(help));
        }
        kind
    }

    fn schema(_definitions: &mut Definitions) -> Value {
        json!({ "type": "string", "pattern": "^(string|int|double|boolean|date|timestamp|timestamp\\(\\s*(s|ms|us|ns)\\s*\\)|json|decimal\\(\\s*[0-9]+\\s*,\\s*[0-9]+\\s*\\))$" })
    }
}

/// `decimal(precision, scale)`.
fn decimal(text: &str) -> Option<ColumnKind> {
    let (precision, scale) = text.trim().strip_prefix("decimal(")?.strip_suffix(')')?.split_once(',')?;
    let precision: u8 = precision.trim().parse().ok()?;
    let scale: u8 = scale.trim().parse().ok()?;
    let fits = (1..=DECIMAL_DIGITS_MAX).contains(&precision) && scale <= precision;
    Some(ColumnKind::Decimal { precision, scale: i8::try_from(scale).ok()? }).filter(|_| fits)
}

/// `timestamp(ms)`: a number of a unit since 1970.
fn epoch(text: &str) -> Option<ColumnKind> {
    let unit = text.trim().strip_prefix("timestamp(")?.strip_suffix(')')?.trim();
    EpochUnit::ALL.into_iter().find(|known| known.name() == unit).map(ColumnKind::Epoch)
}

impl Read for PathDates {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        let text = String::read(node, findings)?;
        let folders: Vec<String> = text.trim().trim_matches('/').split('/').map(str::to_owned).collect();
        let unknown = folders.iter().find_map(|folder| unknown_directive(folder));
        let dates = Self { folders };
        let message = if let Some(directive) = unknown {
            format!("`{directive}` is no part of a date in a path")
        } else if !dates.spells("%Y") && !dates.spells("%s") {
            format!("{} spells no date", quoted(&text))
        } else {
            return Some(dates);
        };
        let help =
            "write folders of %Y, %m, %d and %H, such as `%Y/%m/%d/%H`; or %s for seconds or milliseconds since 1970";
        findings.push(Diagnostic::error("bad-path-dates", message, &node.place).with_help(help));
        None
    }

    fn schema(_definitions: &mut Definitions) -> Value {
        json!({ "type": "string", "pattern": "%[Ys]" })
    }
}

fn unknown_directive(folder: &str) -> Option<String> {
    folder.match_indices('%').find_map(|(at, _)| {
        let directive: String = folder[at..].chars().take(2).collect();
        (!PathDates::DIRECTIVES.contains(&directive.as_str())).then_some(directive)
    })
}
