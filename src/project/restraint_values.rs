//! How shares, hours and days of a window are written.

use serde_json::{Value, json};

use super::json_schema::Definitions;
use super::node::{Content, Node};
use super::read::{Findings, Read, quoted, read_word, wrong_type};
use super::restraint::{Share, WindowZone};
use crate::model::diagnostic::{Diagnostic, did_you_mean};
use crate::model::window::DAY_NAMES;

const SHARE_HELP: &str = "write a share such as `5%` or `0.5%`, above 0% and below 100%";
const HOURS_HELP: &str =
    "write `09:00-18:00`; hours that cross midnight, such as `22:00-02:00`, belong to the day they begin on";
const DAYS_HELP: &str = "write days such as `mon-fri`, `sat` or `mon, wed, fri`";

impl Read for Share {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        let share = match &node.content {
            Content::Text(text) => parse_share(text),
            _ => None,
        };
        if share.is_none() {
            let written = match &node.content {
                Content::Text(text) => quoted(text),
                _ => node.description(),
            };
            let message = format!("{written} is no share");
            findings.push(Diagnostic::error("bad-share", message, &node.place).with_help(SHARE_HELP));
        }
        share
    }

    fn schema(_definitions: &mut Definitions) -> Value {
        json!({ "type": "string", "pattern": "^\\s*[0-9]+(\\.[0-9]+)?\\s*%\\s*$" })
    }
}

fn parse_share(text: &str) -> Option<Share> {
    let number = text.trim().strip_suffix('%')?.trim();
    let plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    Share::of_percent(number.parse().ok().filter(|_| plain)?)
}

impl Read for WindowZone {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        read_word(node, &[("profile", Self::Profile), ("project", Self::Project)], findings)
    }

    fn schema(_definitions: &mut Definitions) -> Value {
        json!({ "enum": ["profile", "project"] })
    }
}

/// From one minute of the day to another, both from 0 to 1440.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hours(pub(super) u16, pub(super) u16);

impl Read for Hours {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        let hours = match &node.content {
            Content::Text(text) => parse_hours(text),
            _ => None,
        };
        if hours.is_none() {
            let message = "these are no hours of a day";
            findings.push(Diagnostic::error("bad-hours", message, &node.place).with_help(HOURS_HELP));
        }
        hours
    }

    fn schema(_definitions: &mut Definitions) -> Value {
        json!({ "type": "string", "pattern": "^\\s*[0-9]{1,2}:[0-9]{2}\\s*-\\s*[0-9]{1,2}:[0-9]{2}\\s*$" })
    }
}

fn parse_hours(text: &str) -> Option<Hours> {
    let (opens, closes) = text.split_once('-')?;
    let (opens, closes) = (parse_minute(opens)?, parse_minute(closes)?);
    (opens != closes && opens < 24 * 60).then_some(Hours(opens, closes))
}

fn parse_minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.trim().split_once(':')?;
    let digits = |text: &str| text.len() <= 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(hour) || minute.len() != 2 || !digits(minute) {
        return None;
    }
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    let total = hour * 60 + minute;
    (minute < 60 && total <= 24 * 60).then_some(total)
}

/// What stands for an entry that is no text.
const NO_DAY: &str = "";

/// Days of the week, from Monday; at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Days(pub(super) [bool; 7]);

impl Read for Days {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        let mut days = [false; 7];
        let texts: Vec<(&str, &Node)> = match &node.content {
            Content::Text(text) => text.split(',').map(|part| (part, node)).collect(),
            Content::List(items) => items
                .iter()
                .map(|item| match &item.content {
                    Content::Text(text) => (text.as_str(), item),
                    _ => (NO_DAY, item),
                })
                .collect(),
            _ => Vec::new(),
        };
        if texts.is_empty() {
            findings.push(wrong_type("days", node).with_help(DAYS_HELP));
            return None;
        }
        for (text, node) in texts {
            match parse_days(text) {
                Ok(found) => found.into_iter().for_each(|day| days[day] = true),
                Err(NO_DAY) => {
                    findings.push(wrong_type("a day", node).with_help(DAYS_HELP));
                    return None;
                }
                Err(word) => {
                    let message = format!("{} is no day of the week", quoted(word));
                    let help = did_you_mean(word, DAY_NAMES).unwrap_or_else(|| DAYS_HELP.to_owned());
                    findings.push(Diagnostic::error("bad-days", message, &node.place).with_help(help));
                    return None;
                }
            }
        }
        Some(Self(days))
    }

    fn schema(_definitions: &mut Definitions) -> Value {
        json!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" }, "minItems": 1 }] })
    }
}

/// The places of `mon` or `fri-mon`, or the word that is no day.
fn parse_days(text: &str) -> Result<Vec<usize>, &str> {
    let place = |word: &'_ str| DAY_NAMES.iter().position(|name| name.eq_ignore_ascii_case(word));
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.trim(), last.trim());
    let from = place(first).ok_or(first)?;
    let to = place(last).ok_or(last)?;
    Ok((0..=(to + 7 - from) % 7).map(|step| (from + step) % 7).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_hours_and_days() {
        for (text, share) in [("5%", Some(0.05)), (" 0.5 % ", Some(0.005)), ("99.9%", Some(0.999))] {
            assert_eq!(parse_share(text).map(Share::get), share, "{text}");
        }
        for text in ["0%", "100%", "5", "-5%", "5e1%", "five%", "%", "nan%"] {
            assert_eq!(parse_share(text), None, "{text}");
        }
        for (text, hours) in
            [("09:00-18:00", Hours(540, 1080)), ("9:00 - 24:00", Hours(540, 1440)), ("22:00-02:00", Hours(1320, 120))]
        {
            assert_eq!(parse_hours(text), Some(hours), "{text}");
        }
        for text in
            ["09:00", "9-18", "09:60-10:00", "24:00-25:00", "09:00-09:00", "24:00-02:00", "a:00-b:00", "09:0-10:00"]
        {
            assert_eq!(parse_hours(text), None, "{text}");
        }
        assert_eq!(parse_days("mon-fri"), Ok(vec![0, 1, 2, 3, 4]));
        assert_eq!(parse_days(" Fri - mon "), Ok(vec![4, 5, 6, 0]));
        assert_eq!(parse_days("sun"), Ok(vec![6]));
        assert_eq!(parse_days("mon-fry"), Err("fry"));
    }
}
