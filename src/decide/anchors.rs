//! Streaks and silences carry their first day in the occasion. Late rows or another zone may move that day, so two whose
//! spans touch, or nearly so, are the same one, and nobody is mailed about it twice.

use std::collections::HashMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::Rules;
use crate::ledger::{AnchorStem, Anchored};
use crate::model::Candidate;

/// The parts of an occasion such as `daily_writer:30@2026-10-02/acct_7`.
struct Occasion<'a> {
    /// What stands before the day.
    stem: &'a str,
    day: Date,
    /// The entity, with its slash.
    suffix: &'a str,
}

impl<'a> Occasion<'a> {
    fn parse(occasion: &'a str) -> Option<Self> {
        let (stem, rest) = occasion.split_once('@')?;
        let (day, suffix) = rest.split_at_checked(rest.find('/').unwrap_or(rest.len()))?;
        Some(Self { stem, day: day.parse().ok()?, suffix })
    }
}

/// From the first day's midnight to the moment of reaching.
#[derive(Clone, Copy)]
struct Span {
    first: Timestamp,
    last: Timestamp,
}

impl Span {
    fn new(day: Date, reached_at: Timestamp) -> Self {
        let first = TimeZone::UTC.to_timestamp(day.into()).unwrap_or(Timestamp::MIN);
        Self { first: first.min(reached_at), last: first.max(reached_at) }
    }

    fn is_near(self, other: Self, slack: SignedDuration) -> bool {
        let gap = self.first.max(other.first).duration_since(self.last.min(other.last));
        gap <= slack
    }
}

/// How near two anchored candidates of a part may be to be the same one.
fn slack(rules: &Rules, candidate: &Candidate) -> Option<SignedDuration> {
    rules.parts.get(candidate.part)?.anchor_slack
}

/// What to ask the ledger about a candidate, also under earlier names of its milestone; nothing for most.
pub(super) fn stems(rules: &Rules, candidate: &Candidate) -> Vec<AnchorStem> {
    let (Some(_), Some(occasion)) = (slack(rules, candidate), Occasion::parse(&candidate.key.occasion)) else {
        return Vec::new();
    };
    let part = &rules.parts[candidate.part];
    let level = occasion.stem.strip_prefix(&part.name).unwrap_or_default();
    let names = std::iter::once(&part.name).chain(&part.aliases);
    let stem =
        |name: &String| AnchorStem { profile_id: candidate.key.profile_id.clone(), occasion: format!("{name}{level}") };
    names.map(stem).collect()
}

/// The recorded delivery that makes a candidate known.
pub(super) fn same<'a>(rules: &Rules, candidate: &Candidate, recorded: &'a [Anchored]) -> Option<&'a Anchored> {
    let slack = slack(rules, candidate)?;
    let own = Occasion::parse(&candidate.key.occasion)?;
    let span = Span::new(own.day, candidate.reached_at);
    recorded.iter().filter(|row| row.recorded.state.is_known()).find(|row| {
        Occasion::parse(&row.occasion).is_some_and(|other| {
            same_entity(own.suffix, other.suffix) && span.is_near(Span::new(other.day, row.reached_at), slack)
        })
    })
}

/// A stored entity that is an address stands there as its hash; one profile has few, so any hash counts as the same.
fn same_entity(own: &str, stored: &str) -> bool {
    own == stored || stored.starts_with("/hmac:") && own.contains('@')
}

/// The streaks and silences of a chunk that are mailed: the first of those that are the same makes the others known.
#[derive(Default)]
pub(super) struct MailedAnchors<'a>(HashMap<(&'a str, &'a str, &'a str), Vec<Span>>);

impl<'a> MailedAnchors<'a> {
    /// Whether an earlier one is the same; keeps it where none is.
    pub(super) fn repeats(&mut self, rules: &Rules, candidate: &'a Candidate) -> bool {
        let Some(slack) = slack(rules, candidate) else { return false };
        let Some(occasion) = Occasion::parse(&candidate.key.occasion) else { return false };
        let span = Span::new(occasion.day, candidate.reached_at);
        let earlier = self.0.entry((&candidate.key.profile_id, occasion.stem, occasion.suffix)).or_default();
        if earlier.iter().any(|earlier| earlier.is_near(span, slack)) {
            return true;
        }
        earlier.push(span);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(day: &str, reached_at: &str) -> Span {
        Span::new(day.parse().expect("a day"), reached_at.parse().expect("an instant"))
    }

    #[test]
    fn occasions_are_taken_apart() {
        let occasion = Occasion::parse("days:30@2026-10-02/acct@7").expect("anchored");
        assert_eq!(
            (occasion.stem, occasion.day.to_string().as_str(), occasion.suffix),
            ("days:30", "2026-10-02", "/acct@7")
        );
        for plain in ["campaigns:50", "birthday@2027", "team:1/ann@example.test"] {
            assert!(Occasion::parse(plain).is_none(), "{plain}");
        }
    }

    #[test]
    fn spans_are_near_when_they_overlap_or_the_gap_is_within_the_slack() {
        let own = span("2026-10-10", "2026-10-16T12:00:00Z");
        let slack = SignedDuration::from_hours(48);
        for (day, reached_at, near) in [
            ("2026-10-12", "2026-10-18T12:00:00Z", true),
            ("2026-10-18", "2026-10-24T12:00:00Z", true),
            ("2026-10-19", "2026-10-25T12:00:00Z", false),
            ("2026-10-02", "2026-10-08T00:00:00Z", true),
            ("2026-10-01", "2026-10-07T23:59:59Z", false),
        ] {
            let other = span(day, reached_at);
            assert_eq!((own.is_near(other, slack), other.is_near(own, slack)), (near, near), "{day}");
        }
    }
}
