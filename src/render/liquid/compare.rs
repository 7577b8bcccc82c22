//! Comparisons as Shopify's liquid means them: null equals null alone, kinds do not turn into each other.

use std::borrow::Cow;
use std::cmp::Ordering;

use jiff::Timestamp;
use serde_json::Value;

use super::data::Data;

/// Whether two values are equal.
pub(in crate::render) fn equal(left: &Data<'_>, right: &Data<'_>) -> bool {
    match (left, right) {
        (Data::Empty, other) | (other, Data::Empty) => other.is_empty(),
        (Data::Blank, other) | (other, Data::Blank) => other.is_blank(),
        (Data::Nil, Data::Nil) => true,
        (Data::Boolean(left), Data::Boolean(right)) => left == right,
        (Data::Integer(left), Data::Integer(right)) => left == right,
        (Data::Fields(left), Data::Fields(right)) => {
            let same = |(name, value): (&String, &Value)| {
                right.get(name).is_some_and(|other| equal(&Data::of(value), &Data::of(other)))
            };
            left.len() == right.len() && left.iter().all(same)
        }
        _ if left.as_number().is_some() => left.as_number() == right.as_number(),
        _ if left.list_len().is_some() => {
            left.list_len() == right.list_len()
                && left.sequence().iter().zip(right.sequence().iter()).all(|(left, right)| equal(left, right))
        }
        _ => matches!((text(left), text(right)), (Some(left), Some(right)) if left == right),
    }
}

/// The order of two numbers or of two texts; `None` for everything else. Texts that are instants compare as instants.
pub(in crate::render) fn order(left: &Data<'_>, right: &Data<'_>) -> Option<Ordering> {
    if let (Data::Integer(left), Data::Integer(right)) = (left, right) {
        return Some(left.cmp(right));
    }
    if let (Some(left), Some(right)) = (left.as_number(), right.as_number()) {
        return left.partial_cmp(&right);
    }
    let (left, right) = (text(left)?, text(right)?);
    match (instant(&left), instant(&right)) {
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        _ => Some(left.cmp(&right)),
    }
}

/// Whether a text holds a text, a list a value, or an object a field; nothing holds null, and null holds nothing.
pub(in crate::render) fn contains(whole: &Data<'_>, part: &Data<'_>) -> bool {
    if part.is_nil() {
        return false;
    }
    match whole {
        Data::Fields(fields) => part.as_text().is_some_and(|name| fields.contains_key(name)),
        Data::Items(_) | Data::List(_) => whole.sequence().iter().any(|item| equal(item, part)),
        _ => text(whole).is_some_and(|whole| whole.contains(&*part.to_text())),
    }
}

fn text<'d>(data: &'d Data<'_>) -> Option<Cow<'d, str>> {
    match data {
        Data::Moment(_) => Some(Cow::Owned(data.to_string())),
        other => other.as_text().map(Cow::Borrowed),
    }
}

/// The instant that a text in RFC 3339 names.
pub(in crate::render) fn instant(text: &str) -> Option<Timestamp> {
    let long_enough = text.len() >= "2026-11-21T06:00:00Z".len() && text.as_bytes().get(4) == Some(&b'-');
    if long_enough { text.parse().ok() } else { None }
}
