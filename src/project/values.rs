//! How single values are written: durations, days, zones, mailboxes, levels, measures, and the words of each choice.

use jiff::SignedDuration;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::job::{Category, Levels, Measure, OnUnknown, RecapZone, SendLevels, StreakUnit, Trend};
use super::json_schema::Definitions;
use super::node::{Content, Node};
use super::project::{PartitionKind, PartitionOf, SegmentLayout, SegmentRows};
use super::read::{Findings, Read, quoted, read_word, report_missing, wrong_type};
use super::schema::{EntityFields, SinceFields};
use crate::model::diagnostic::{Diagnostic, Located, did_you_mean};
use crate::model::number::Level;
use crate::model::period::{PeriodKind, WeekStart};
use crate::model::{EmailAddress, Mailbox, SuppressionReason};

/// A hundred years: beyond it a duration is a slip, and time arithmetic comes near its edges.
const MAX_DURATION_HOURS: i64 = 24 * 366 * 100;

const DURATION_HELP: &str = "write a whole number of hours, days or weeks, such as `6 hours` or `3 days`";

const MEASURE_HELP: &str = "write `count(*)`, `count(distinct x)`, `sum(x)`, `max(x)`, `streak(day)` or `streak(week)`";

macro_rules! words {
    ($kind:ty { $($word:literal => $value:expr),* $(,)? }) => {
        impl Read for $kind {
            fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
                read_word(node, &[$(($word, $value)),*], findings)
            }

            fn schema(_definitions: &mut Definitions) -> Value {
                json!({ "enum": [$($word),*] })
            }
        }
    };
}

words!(WeekStart { "monday" => Self::Monday, "sunday" => Self::Sunday });
words!(PartitionKind {
    "date" => Self::Date, "month" => Self::Month, "hour" => Self::Hour, "int" => Self::Int, "string" => Self::Text,
});
words!(PartitionOf { "received" => Self::Received, "time" => Self::Time });
words!(SegmentLayout { "s3_logs" => Self::S3Logs, "data_lake" => Self::DataLake, "warehouse" => Self::Warehouse });
words!(SegmentRows { "events" => Self::Events, "profiles" => Self::Profiles });
words!(Category { "marketing" => Self::Marketing, "transactional" => Self::Transactional });
words!(OnUnknown { "hold" => Self::Hold, "resend" => Self::Resend, "assume_accepted" => Self::AssumeAccepted });
words!(SendLevels { "highest" => Self::Highest, "each" => Self::Each });
words!(RecapZone { "project" => Self::Project, "profile" => Self::Profile });
words!(Trend { "day" => Self::Day, "week" => Self::Week, "month" => Self::Month });
words!(PeriodKind {
    "day" => Self::Day, "week" => Self::Week, "month" => Self::Month, "quarter" => Self::Quarter, "year" => Self::Year,
});

words!(SuppressionReason {
    "unsubscribed" => Self::Unsubscribed, "bounce" => Self::Bounce, "complaint" => Self::Complaint, "erase" => Self::Erase,
    "manual" => Self::Manual,
});

impl Read for EmailAddress {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        read_text(node, findings, |text| {
            Self::parse(text).ok_or_else(|| Diagnostic::error("bad-address", "this is no mail address", &node.place))
        })
    }

    fn schema(_definitions: &mut Definitions) -> Value {
        json!({ "type": "string" })
    }
}

/// Text that is read by a parser of its own; `None` after a finding.
fn read_text<T>(node: &Node, findings: &mut Findings, parse: impl Fn(&str) -> Result<T, Diagnostic>) -> Option<T> {
    let text = String::read(node, findings)?;
    parse(&text).map_err(|finding| findings.push(finding)).ok()
}

/// Durations are multiples of 24 hours or plain hours; a week is seven times 24 hours.
impl Read for SignedDuration {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        let Content::Text(text) = &node.content else {
            findings.push(wrong_type("a duration", node).with_help(DURATION_HELP));
            return None;
        };
        let duration = parse_duration(text);
        if duration.is_none() {
            let message = format!("{} is no duration", quoted(text));
            findings.push(Diagnostic::error("bad-duration", message, &node.place).with_help(DURATION_HELP));
        }
        duration
    }

    fn schema(_definitions: &mut Definitions) -> Value {
        json!({ "type": "string", "pattern": "^\\s*[0-9]+\\s*(hours?|days?|weeks?)\\s*$" })
    }
}

fn parse_duration(text: &str) -> Option<SignedDuration> {
    let trimmed = text.trim();
    let digits = trimmed.find(|letter: char| !letter.is_ascii_digit())?;
    let count: i64 = trimmed[..digits].parse().ok()?;
    let hours_each = match trimmed[digits..].trim_start() {
        "hour" | "hours" => 1,
        "day" | "days" => 24,
        "week" | "weeks" => 7 * 24,
        _ => return None,
    };
    let hours = count.checked_mul(hours_each).filter(|hours| *hours <= MAX_DURATION_HOURS)?;
    Some(SignedDuration::from_hours(hours))
}

impl Read for Date {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        read_text(node, findings, |text| {
            text.parse().map_err(|_| {
                Diagnostic::error("bad-date", format!("{} is no day of the calendar", quoted(text)), &node.place)
                    .with_help("write it as year-month-day, such as 2026-01-31")
            })
        })
    }

    fn schema(_definitions: &mut Definitions) -> Value {
        json!({ "type": "string", "format": "date" })
    }
}

impl Read for TimeZone {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        read_text(node, findings, |text| Self::get(text).map_err(|_| unknown_zone(text, node)))
    }

    fn schema(_definitions: &mut Definitions) -> Value {
        json!({ "type": "string" })
    }
}

fn unknown_zone(text: &str, node: &Node) -> Diagnostic {
    let names: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
    let help = did_you_mean(text, names.iter().map(String::as_str))
        .unwrap_or_else(|| "write an IANA name such as `Europe/Paris` or `UTC`".into());
    Diagnostic::error("unknown-zone", format!("{} is no time zone", quoted(text)), &node.place).with_help(help)
}

impl Read for Mailbox {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        read_text(node, findings, |text| {
            let one_line = !text.trim().contains(char::is_control);
            Self::parse(text).filter(|_| one_line).ok_or_else(|| {
                Diagnostic::error("bad-address", "this is no mail address", &node.place)
                    .with_help("write it as `hello@acme.test` or `Acme <hello@acme.test>`")
            })
        })
    }

    fn schema(_definitions: &mut Definitions) -> Value {
        json!({ "type": "string" })
    }
}

impl Read for Level {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        let Content::Number(number) = &node.content else {
            findings.push(wrong_type("a number above 0", node));
            return None;
        };
        let level = number.as_f64().and_then(Self::new);
        if level.is_none() {
            findings.push(Diagnostic::error("bad-level", "a level must be a number above 0", &node.place));
        }
        level
    }

    fn schema(_definitions: &mut Definitions) -> Value {
        json!({ "type": "number", "exclusiveMinimum": 0 })
    }
}

/// The levels of `reaches:`: one number, or ascending numbers without repeats.
#[derive(Clone, Debug)]
pub(super) struct Ladder(pub(super) Levels);

impl Read for Ladder {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        let Content::List(items) = &node.content else {
            return Level::read(node, findings).map(|level| Self(Levels::List(vec![level])));
        };
        let read: Vec<Located<Level>> = items.iter().filter_map(|item| Located::read(item, findings)).collect();
        if items.is_empty() {
            findings.push(Diagnostic::error("empty-list", "a milestone needs at least one level", &node.place));
        }
        for pair in read.windows(2) {
            let (lower, upper) = (pair[0].value, pair[1].value);
            if upper == lower {
                let message = format!("the level {upper} is given twice");
                findings.push(Diagnostic::error("duplicate-level", message, &pair[1].place));
            } else if upper < lower {
                let message = format!("levels must ascend, but {upper} comes after {lower}");
                findings.push(Diagnostic::error("unsorted-levels", message, &pair[1].place));
            }
        }
        let mut levels: Vec<Level> = read.into_iter().map(|level| level.value).collect();
        levels.sort();
        levels.dedup();
        (!levels.is_empty()).then_some(Self(Levels::List(levels)))
    }

    fn schema(definitions: &mut Definitions) -> Value {
        let level = Level::schema(definitions);
        json!({ "anyOf": [level, { "type": "array", "items": level, "minItems": 1 }] })
    }
}

impl Read for Measure {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        read_text(node, findings, |text| {
            parse_measure(text, node).ok_or_else(|| {
                Diagnostic::error("bad-measure", format!("{} is no measure", quoted(text)), &node.place)
                    .with_help(MEASURE_HELP)
            })
        })
    }

    fn schema(_definitions: &mut Definitions) -> Value {
        json!({ "type": "string" })
    }
}

fn parse_measure(text: &str, node: &Node) -> Option<Measure> {
    let open = text.find('(')?;
    let close = text.rfind(')').filter(|close| *close > open && text[close + 1..].trim().is_empty())?;
    let argument = text[open + 1..close].trim();
    let located = |expression: &str| {
        let start = expression.as_ptr() as usize - text.as_ptr() as usize;
        let exact = node.place.file.text[node.place.span.clone()] == *text;
        let place = if exact { node.place.within(start..start + expression.len()) } else { node.place.clone() };
        Located::new(expression.to_owned(), place)
    };
    let distinct = argument.get(..9).filter(|word| word.eq_ignore_ascii_case("distinct "));
    let distinct = distinct.map(|word| argument[word.len()..].trim_start());
    match (text[..open].trim().to_ascii_lowercase().as_str(), distinct) {
        ("count", None) if argument == "*" => Some(Measure::Count),
        ("count", Some(value)) => Some(Measure::Distinct(located(value))),
        ("sum", None) if !argument.is_empty() => Some(Measure::Sum(located(argument))),
        ("max", None) if !argument.is_empty() => Some(Measure::Max(located(argument))),
        ("streak", None) if argument == "day" => Some(Measure::Streak(StreakUnit::Day)),
        ("streak", None) if argument == "week" => Some(Measure::Streak(StreakUnit::Week)),
        _ => None,
    }
}

/// `start:` as written; a day becomes an instant once the project's zone is known.
#[derive(Clone, Copy, Debug)]
pub(super) enum StartChoice {
    /// `from_now`.
    FromNow,
    /// `all`.
    All,
    /// `{since: DAY}`.
    Since(Date),
}

impl Read for StartChoice {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        match &node.content {
            Content::Map(_) => {
                let fields = SinceFields::read(node, findings)?;
                report_missing(&fields.given, "since", "write `{since: 2026-01-31}`", &node.place, findings);
                fields.since.map(|since| Self::Since(since.value))
            }
            Content::Text(text) if text.parse::<Date>().is_ok() => {
                let finding = wrong_type("from_now, all or {since: DAY}", node);
                findings.push(finding.with_help(format!("write `{{since: {text}}}`")));
                None
            }
            _ => read_word(node, &[("from_now", Self::FromNow), ("all", Self::All)], findings),
        }
    }

    fn schema(definitions: &mut Definitions) -> Value {
        json!({ "anyOf": [{ "enum": ["from_now", "all"] }, SinceFields::schema(definitions)] })
    }
}

/// `entity:` as a column's name or as the names on both sides.
#[derive(Clone, Debug)]
pub(super) struct EntityChoice {
    /// The column of the event rows.
    pub(super) source: Located<String>,
    /// The column of the audience.
    pub(super) audience: Located<String>,
}

impl Read for EntityChoice {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        if !matches!(node.content, Content::Map(_)) {
            let column: Located<String> = Located::read(node, findings)?;
            return Some(Self { source: column.clone(), audience: column });
        }
        let fields = EntityFields::read(node, findings)?;
        let help = "name the columns on both sides: `{source: context_group_id, audience: account_id}`";
        report_missing(&fields.given, "source", help, &node.place, findings);
        report_missing(&fields.given, "audience", help, &node.place, findings);
        Some(Self { source: fields.source?, audience: fields.audience? })
    }

    fn schema(definitions: &mut Definitions) -> Value {
        json!({ "anyOf": [{ "type": "string" }, EntityFields::schema(definitions)] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_hours_days_and_weeks() {
        for (text, hours) in [("6 hours", 6), ("1 hour", 1), ("3 days", 72), ("2weeks", 336), ("0 hours", 0)] {
            assert_eq!(parse_duration(text), Some(SignedDuration::from_hours(hours)), "{text}");
        }
        for text in ["", "3", "days", "-1 days", "1.5 days", "1 month", "99999999999999999999 days", "9999999 weeks"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
