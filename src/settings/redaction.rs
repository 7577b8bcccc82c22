//! What others said, before it is stored, logged or shown: without our own secrets, without addresses, on one short line.

use std::sync::{Mutex, PoisonError};

use base64::Engine as _;

use crate::model::redaction::{printable, without_addresses};

/// What a provider or another program said is cut to this.
const WORDS_MAX: usize = 300;

/// The longest id of another program that is kept whole.
const ID_MAX: usize = 200;

/// A secret of fewer characters would take words out of every text.
const SECRET_MIN: usize = 6;

/// So much of a secret is not to be shown either.
const PART_MIN: usize = 6;

const SECRET: &str = "<secret>";

/// Every secret that this process read.
static KNOWN: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Remembers a secret, so that no text that passes [`redacted`] shows it.
pub(super) fn remember(secret: &str) {
    let secret = secret.trim();
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if secret.chars().count() >= SECRET_MIN && !known.iter().any(|one| one == secret) {
        known.push(secret.to_owned());
    }
}

/// Another program's words as they may be stored, logged and shown: no secret of this process, whole, in part or encoded; no
/// address; one line without control characters, cut to 300 characters.
#[must_use]
pub fn redacted(text: &str) -> String {
    // Nobody looks for secrets in megabytes of which 300 characters are shown; a secret at the cut is found in part.
    let near = text.char_indices().nth(WORDS_MAX * 8).map_or(text, |(at, _)| &text[..at]);
    let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let clean = known.iter().fold(near.to_owned(), |text, secret| without_secret(&text, secret));
    drop(known);
    printable(&without_addresses(&clean), WORDS_MAX)
}

/// Another program's id of something as it may be stored and shown: one line, at most 200 characters, no secret. An id may
/// look like an address, as those of mails do, and stays.
#[must_use]
pub fn redacted_id(id: &str) -> String {
    let near = id.char_indices().nth(ID_MAX * 2).map_or(id, |(at, _)| &id[..at]);
    let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let clean = known.iter().fold(near.to_owned(), |text, secret| without_secret(&text, secret));
    drop(known);
    printable(clean.trim(), ID_MAX)
}

fn without_secret(text: &str, secret: &str) -> String {
    let encoded = base64::engine::general_purpose::STANDARD.encode(secret);
    let percent: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let mut clean = text.to_owned();
    for written in [secret, encoded.as_str(), percent.as_str()] {
        clean = clean.replace(written, SECRET);
    }
    let outside = |character: char| !(character.is_alphanumeric() || "_-+/=.".contains(character));
    let mut shown = String::with_capacity(clean.len());
    for piece in clean.split_inclusive(outside) {
        let word = piece.trim_end_matches(outside);
        let part = word.trim_matches(['.', '-', '_', '=']);
        let is_part = part.len() >= PART_MIN && (secret.starts_with(part) || secret.ends_with(part));
        shown.push_str(if is_part { SECRET } else { word });
        shown.push_str(&piece[word.len()..]);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown_whole_in_part_or_encoded() {
        remember("re_9Fk2xPq7LmT4\n");
        for text in [
            "the key re_9Fk2xPq7LmT4 is not known",
            "Authorization: Bearer re_9Fk2xPq7LmT4",
            "key=re_9Fk2xPq7LmT4&x",
            "re_9Fk2... was revoked",
            "re_9Fk2xPq****",
            "****q7LmT4",
            "cmVfOUZrMnhQcTdMbVQ0",
        ] {
            let shown = redacted(text);
            assert!(shown.contains(SECRET) && !shown.contains("9Fk2") && !shown.contains("7LmT4"), "{shown}");
        }
        assert!(!redacted_id("id-re_9Fk2xPq7LmT4").contains("9Fk2"));
    }

    #[test]
    fn short_texts_are_no_secrets_and_ordinary_words_stay() {
        remember("to");
        let text = "Invalid `to` field. The email address needs to follow another format";
        assert_eq!(redacted(text), text);
    }

    #[test]
    fn what_others_say_is_bounded() {
        assert!(redacted(&"\u{e9}".repeat(100_000)).chars().count() <= WORDS_MAX + 3);
        assert!(redacted_id(&format!("{}\n", "x".repeat(100_000))).chars().count() <= ID_MAX + 3);
        assert_eq!(redacted_id("<a.1@mail.test>\u{1b}[2J"), "<a.1@mail.test> [2J");
    }
}
