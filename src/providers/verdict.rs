//! What an answer proves: one pure function for every HTTP provider.
//!
//! The provider's own code counts first, then its words, then the status. Only proof moves a message out of doubt: a refused
//! connection or a throttling answer proves that nothing was accepted; silence, 5xx and redirects prove nothing. A refusal
//! of a whole request is a verdict on the account, or on a message that was alone in it, and on no message of several.

use super::http::{Answer, Exchange};
use super::phrases::{ACCOUNT_PHRASES, holds_phrase};
use crate::model::{Fault, Outcome};
use crate::settings::seeded;

/// What a refusal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Too fast: nothing was accepted.
    Throttled,
    /// The account, key, sender or plan.
    Configuration,
    /// A day's or a month's messages are spent.
    Quota,
    /// The recipient's address.
    Address,
    /// The content of a message.
    Message,
    /// It tells nothing about whether an earlier request was accepted.
    Undecided,
}

/// What one provider's codes and words mean.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vocabulary {
    /// Codes that mean the same under every status.
    pub(super) codes: &'static [(&'static str, Meaning)],
    /// Words that mean something whatever the code is; the first that stand in a refusal count.
    pub(super) phrases: &'static [(&'static str, Meaning)],
    /// Reads code and text out of a body.
    pub(super) read: fn(&[u8]) -> Words,
}

/// What a provider said about a refusal.
#[derive(Debug, Default)]
pub(super) struct Words {
    /// Its error code.
    pub(super) code: Option<String>,
    /// Its text.
    pub(super) text: Option<String>,
}

/// The verdict on a request of so many messages; `None` when it succeeded and the provider's file reads the items.
pub(super) fn verdict(exchange: &Exchange, vocabulary: &Vocabulary, messages: usize) -> Option<Outcome> {
    let answer = match exchange {
        Exchange::NoConnection(why) => return Some(Outcome::NotAccepted { why: why.clone() }),
        Exchange::Silence(why) => return Some(Outcome::Unknown { why: why.clone() }),
        Exchange::Answer(answer) => answer,
    };
    if (200..300).contains(&answer.status) {
        return None;
    }
    let words = answer.body.as_deref().map(vocabulary.read).unwrap_or_default();
    let about = meaning(vocabulary, answer.status, &words);
    Some(match outcome(about, answer, &words) {
        // All of them were refused with the one that is at fault.
        Outcome::Rejected { code, fault: Fault::Address | Fault::Message, detail } if messages > 1 => {
            Outcome::RefusedTogether { code, detail }
        }
        outcome => outcome,
    })
}

/// The verdict on one message that a provider refused by itself, within a request whose other messages it took.
pub(super) fn verdict_on_item(answer: &Answer, vocabulary: &Vocabulary, words: &Words) -> Outcome {
    const AS_IF_ALONE: u16 = 422;
    outcome(meaning(vocabulary, AS_IF_ALONE, words), answer, words)
}

/// What a refusal is about: by the provider's code, else by its words, else by the status.
pub(super) fn meaning(vocabulary: &Vocabulary, status: u16, words: &Words) -> Meaning {
    let known = words.code.as_deref().and_then(|code| vocabulary.codes.iter().find(|(name, _)| *name == code));
    if let Some((_, meaning)) = known {
        return *meaning;
    }
    let by_status = meaning_of_status(status);
    if !(400..500).contains(&status) || by_status == Meaning::Undecided {
        return by_status;
    }
    let said = [&words.code, &words.text].into_iter().flatten().map(|text| text.to_lowercase().replace('_', " "));
    let said = said.collect::<Vec<_>>().join(" ");
    let said_of = |(phrase, _): &&(&str, Meaning)| holds_phrase(&said, phrase);
    let mut spoken = vocabulary.phrases.iter().chain(ACCOUNT_PHRASES).filter(said_of).map(|(_, meaning)| *meaning);
    match by_status {
        // Advice about plans and limits stands in many of these.
        Meaning::Throttled => spoken.find(|meaning| *meaning == Meaning::Quota),
        _ => spoken.next(),
    }
    .unwrap_or(by_status)
}

fn meaning_of_status(status: u16) -> Meaning {
    match status {
        429 => Meaning::Throttled,
        // The key, the bill, a right, or an address of the API that does not exist.
        401..=405 => Meaning::Configuration,
        408 | 409 | 425 => Meaning::Undecided,
        400..=499 => Meaning::Message,
        500.. if seeded!("server_error_counted_as_refusal") => Meaning::Message,
        _ => Meaning::Undecided,
    }
}

fn outcome(meaning: Meaning, answer: &Answer, words: &Words) -> Outcome {
    let code = words.code.clone().unwrap_or_else(|| answer.status.to_string());
    let detail = words.text.clone().unwrap_or_default();
    let rejected = |fault| Outcome::Rejected { code: code.clone(), fault, detail: detail.clone() };
    match meaning {
        Meaning::Throttled => Outcome::Throttled { retry_after: answer.retry_after },
        Meaning::Configuration => rejected(Fault::Configuration),
        Meaning::Quota => rejected(Fault::Quota),
        Meaning::Address => rejected(Fault::Address),
        Meaning::Message => rejected(Fault::Message),
        Meaning::Undecided => Outcome::Unknown { why: format!("status {}, {code}", answer.status) },
    }
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
