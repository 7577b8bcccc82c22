//! Words of refusals that mean the same from every provider, whatever status and code they come with.

use super::verdict::Meaning::{self, Address, Configuration, Quota, Throttled};

/// The first that stand in a refusal count: what is surely the account's, then the recipient's address, then words that
/// speak of the account unless they stand beside an address.
pub(super) const ACCOUNT_PHRASES: &[(&str, Meaning)] = &[
    ("quota", Quota),
    ("daily limit", Quota),
    ("monthly limit", Quota),
    ("sending limit", Quota),
    ("daily sending", Quota),
    ("monthly sending", Quota),
    ("rate limit", Throttled),
    ("rate exceeded", Throttled),
    ("too many requests", Throttled),
    ("api key", Configuration),
    ("api keys", Configuration),
    ("apikey", Configuration),
    ("api token", Configuration),
    ("access token", Configuration),
    ("server token", Configuration),
    ("bearer", Configuration),
    ("credentials", Configuration),
    ("unauthorized", Configuration),
    ("unauthorised", Configuration),
    ("not authorized", Configuration),
    ("not authorised", Configuration),
    ("authentication", Configuration),
    ("authenticate", Configuration),
    ("permission", Configuration),
    ("permissions", Configuration),
    ("testing emails", Configuration),
    ("test emails", Configuration),
    ("test mode", Configuration),
    ("testing domain", Configuration),
    ("sandbox", Configuration),
    ("verify a domain", Configuration),
    ("verify your domain", Configuration),
    ("domain is not verified", Configuration),
    ("domain not verified", Configuration),
    ("domain is not allowed", Configuration),
    ("domain not found", Configuration),
    ("unverified domain", Configuration),
    ("sender signature", Configuration),
    ("sender identity", Configuration),
    ("from address", Configuration),
    ("from email", Configuration),
    ("from field", Configuration),
    ("`from`", Configuration),
    ("`from` field", Configuration),
    ("reply to field", Configuration),
    ("`reply to`", Configuration),
    ("suspended", Configuration),
    ("suspension", Configuration),
    ("deactivated", Configuration),
    ("billing", Configuration),
    ("payment", Configuration),
    ("credits", Configuration),
    ("your plan", Configuration),
    ("current plan", Configuration),
    ("upgrade", Configuration),
    ("trial", Configuration),
    ("your account", Configuration),
    ("this account", Configuration),
    ("account is", Configuration),
    ("account has", Configuration),
    ("your team", Configuration),
    ("ip address", Configuration),
    ("security issue", Configuration),
    ("`to`", Address),
    ("`to` field", Address),
    ("to field", Address),
    ("to address", Address),
    ("recipient", Address),
    ("recipients", Address),
    ("not verified", Configuration),
    ("unverified", Configuration),
    ("sender", Configuration),
    ("paused", Configuration),
    ("disabled", Configuration),
    ("forbidden", Configuration),
    ("not allowed to send", Configuration),
];

/// Whether a phrase in lower case stands in a text in lower case, not as a part of longer words.
pub(super) fn holds_phrase(text: &str, phrase: &str) -> bool {
    let is_word = |character: Option<char>| character.is_some_and(char::is_alphanumeric);
    let ends = |side: Option<char>, inner: Option<char>| !(is_word(side) && is_word(inner));
    text.match_indices(phrase).any(|(at, found)| {
        ends(text[..at].chars().next_back(), found.chars().next())
            && ends(text[at + found.len()..].chars().next(), found.chars().next_back())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_are_whole_words() {
        for (text, phrase, expected) in [
            ("upgrade your plan", "your plan", true),
            ("your planet", "your plan", false),
            ("(quota)", "quota", true),
            ("quotation", "quota", false),
            ("invalid `to` field", "`to`", true),
            ("", "quota", false),
        ] {
            assert_eq!(holds_phrase(text, phrase), expected, "{text}");
        }
    }

    #[test]
    fn phrases_are_written_as_they_are_compared() {
        for (phrase, _) in ACCOUNT_PHRASES {
            assert_eq!(*phrase, phrase.to_lowercase().replace('_', " "));
        }
    }
}
