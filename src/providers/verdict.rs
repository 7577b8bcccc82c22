//! What an answer proves: one pure function for every HTTP provider.
//!
//! The provider's own code counts first, then the status. Only proof moves a message out of doubt: a refused
//! connection or a throttling answer proves that nothing was accepted; silence, 5xx and redirects prove nothing.

use super::http::{Answer, Exchange};
use crate::model::{Fault, Outcome};
use crate::settings::seeded;

/// What a provider's own error code means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Too fast: nothing was accepted.
    Throttled,
    /// The account, key, sender or quota.
    Configuration,
    /// This message's content.
    Message,
    /// It tells nothing about whether an earlier request was accepted.
    Undecided,
}

/// What a provider said about a refusal.
#[derive(Debug, Default)]
pub(super) struct Words {
    /// Its error code.
    pub(super) code: Option<String>,
    /// Its text.
    pub(super) text: Option<String>,
}

/// The verdict on a whole request; `None` when it succeeded and the provider's file reads the items.
pub(super) fn verdict(exchange: &Exchange, codes: &[(&str, Meaning)], read: fn(&[u8]) -> Words) -> Option<Outcome> {
    let answer = match exchange {
        Exchange::NoConnection(why) => return Some(Outcome::NotAccepted { why: without_addresses(why) }),
        Exchange::Silence(why) => return Some(Outcome::Unknown { why: without_addresses(why) }),
        Exchange::Answer(answer) => answer,
    };
    if (200..300).contains(&answer.status) {
        return None;
    }
    let words = answer.body.as_deref().map(read).unwrap_or_default();
    let known = words.code.as_deref().and_then(|code| codes.iter().find(|(name, _)| *name == code));
    let meaning = known.map_or_else(|| meaning_of_status(answer.status), |(_, meaning)| *meaning);
    Some(outcome(meaning, answer, words))
}

fn meaning_of_status(status: u16) -> Meaning {
    match status {
        429 => Meaning::Throttled,
        401..=403 => Meaning::Configuration,
        408 | 409 => Meaning::Undecided,
        400..=499 => Meaning::Message,
        500.. if seeded!("server_error_counted_as_refusal") => Meaning::Message,
        _ => Meaning::Undecided,
    }
}

fn outcome(meaning: Meaning, answer: &Answer, words: Words) -> Outcome {
    let code = words.code.map_or_else(|| answer.status.to_string(), |code| without_addresses(&code));
    let detail = without_addresses(&words.text.unwrap_or_default());
    match meaning {
        Meaning::Throttled => Outcome::Throttled { retry_after: answer.retry_after },
        Meaning::Configuration => Outcome::Rejected { code, fault: Fault::Configuration, detail },
        Meaning::Message => Outcome::Rejected { code, fault: Fault::Message, detail },
        Meaning::Undecided => Outcome::Unknown { why: format!("status {}, {code}", answer.status) },
    }
}

/// A provider's words with every address replaced and cut to a length that fits a report.
pub(super) fn without_addresses(text: &str) -> String {
    const CHARACTERS_MAX: usize = 300;
    let outside = |character: char| {
        character.is_whitespace() || character.is_control() || "\"'`<>()[]{},;:|\\/=".contains(character)
    };
    let mut clean = String::with_capacity(text.len().min(CHARACTERS_MAX));
    for piece in text.split_inclusive(outside) {
        let word = piece.trim_end_matches(outside);
        // An address may arrive percent-encoded as well.
        if word.contains('@') || word.to_ascii_lowercase().contains("%40") {
            clean.push_str("<address>");
        } else {
            clean.push_str(word);
        }
        clean.extend(piece[word.len()..].chars().map(|character| if character.is_control() { ' ' } else { character }));
    }
    match clean.char_indices().nth(CHARACTERS_MAX) {
        Some((at, _)) => format!("{}...", &clean[..at]),
        None => clean,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;

    const CODES: &[(&str, Meaning)] = &[("slow_down", Meaning::Throttled), ("no_quota", Meaning::Configuration)];

    fn words(body: &[u8]) -> Words {
        Words { code: std::str::from_utf8(body).ok().filter(|text| !text.is_empty()).map(str::to_owned), text: None }
    }

    fn answered(status: u16, code: &'static str) -> Exchange {
        let body = Some(Bytes::from_static(code.as_bytes()));
        Exchange::Answer(Answer { status, retry_after: Some(Duration::from_secs(7)), body })
    }

    #[test]
    fn the_table() {
        let cases = [
            (Exchange::NoConnection("refused".into()), "not_accepted", None),
            (Exchange::Silence("reset".into()), "unknown", None),
            (answered(429, ""), "throttled", None),
            (answered(400, "slow_down"), "throttled", None),
            (answered(500, "slow_down"), "throttled", None),
            (answered(429, "no_quota"), "rejected", Some(Fault::Configuration)),
            (answered(401, ""), "rejected", Some(Fault::Configuration)),
            (answered(402, ""), "rejected", Some(Fault::Configuration)),
            (answered(403, ""), "rejected", Some(Fault::Configuration)),
            (answered(400, "odd"), "rejected", Some(Fault::Message)),
            (answered(404, ""), "rejected", Some(Fault::Message)),
            (answered(413, ""), "rejected", Some(Fault::Message)),
            (answered(422, ""), "rejected", Some(Fault::Message)),
            (answered(408, ""), "unknown", None),
            (answered(409, ""), "unknown", None),
            (answered(500, ""), "unknown", None),
            (answered(503, "odd"), "unknown", None),
            (answered(302, ""), "unknown", None),
            (answered(100, ""), "unknown", None),
        ];
        for (exchange, name, fault) in cases {
            let outcome = verdict(&exchange, CODES, words).expect("a failure");
            assert_eq!(outcome.name(), name, "{exchange:?}");
            let found = match outcome {
                Outcome::Rejected { fault, .. } => Some(fault),
                _ => None,
            };
            assert_eq!(found, fault, "{exchange:?}");
        }
        assert!(verdict(&answered(200, ""), CODES, words).is_none());
        assert_eq!(
            verdict(&answered(429, ""), CODES, words),
            Some(Outcome::Throttled { retry_after: Some(Duration::from_secs(7)) })
        );
    }

    #[test]
    fn an_unreadable_refusal_still_counts_by_its_status() {
        let exchange = Exchange::Answer(Answer { status: 422, retry_after: None, body: None });
        assert_eq!(verdict(&exchange, CODES, words).expect("a failure").name(), "rejected");
    }

    #[test]
    fn no_address_passes() {
        let cases = [
            ("Invalid `to`: ann@example.test.", "Invalid `to`: <address>"),
            ("\"Ann Lee\" <ann@example.test> bounced", "\"Ann Lee\" <<address>> bounced"),
            ("to=ann%40example.test&x", "to=<address>"),
            ("a@b.test,c@d.test", "<address>,<address>"),
            ("line\r\nbreak", "line  break"),
            ("nothing here", "nothing here"),
        ];
        for (text, expected) in cases {
            assert_eq!(without_addresses(text), expected);
        }
        assert!(without_addresses(&"é".repeat(10_000)).chars().count() <= 303);
    }
}
