//! Addresses found in any text, and text that may be shown: pure, and the one place that says what an address looks like
//! when it does not stand alone.

use std::borrow::Cow;

/// Ways to write the `@` of an address without it.
const ENTITIES_OF_AT: [&str; 5] = ["&#64;", "&#x40;", "&#X40;", "&commat;", "\u{ff20}"];

/// What stands in place of an address.
const ADDRESS: &str = "<address>";

/// Whether an email address stands anywhere in a text: alone, behind `mailto:`, between angle brackets, percent-encoded.
#[must_use]
pub fn holds_address(text: &str) -> bool {
    with_plain_signs(text).split(is_outside).any(word_is_address)
}

/// A text with each word that is or holds an address replaced by `<address>`.
#[must_use]
pub fn without_addresses(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for piece in with_plain_signs(text).split_inclusive(is_outside) {
        let word = piece.trim_end_matches(is_outside);
        clean.push_str(if word_is_address(word) { ADDRESS } else { word });
        clean.push_str(&piece[word.len()..]);
    }
    clean
}

/// Serialises words that may name ids of the data, without the addresses that ids may hold.
///
/// # Errors
/// Those of the serializer.
pub fn serialize_words<S: serde::Serializer>(words: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&without_addresses(words))
}

/// A text on one line that no terminal obeys, of at most so many characters: what controls the terminal or turns the
/// direction of writing is a space, and a longer text ends in `...`.
#[must_use]
pub fn printable(text: &str, characters_max: usize) -> String {
    let shown = |character: char| if obeyed_by_terminals(character) { ' ' } else { character };
    let mut rest = text.chars().map(shown);
    let mut line: String = rest.by_ref().take(characters_max).collect();
    if rest.next().is_some() {
        line.push_str("...");
    }
    line
}

/// Controls, line separators, and marks that reorder what stands around them.
fn obeyed_by_terminals(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// What stands between words, and never within an address.
fn is_outside(character: char) -> bool {
    character.is_whitespace() || character.is_control() || "\"'`<>()[]{},;:|\\/=?".contains(character)
}

/// Something on both sides of an `@`, however that is written.
fn word_is_address(word: &str) -> bool {
    let surrounded = |(at, sign): (usize, &str)| {
        let before = word[..at].chars().next_back().is_some_and(|last| last.is_alphanumeric() || "_-+.".contains(last));
        before && word[at + sign.len()..].chars().next().is_some_and(char::is_alphanumeric)
    };
    word.match_indices('@').any(surrounded) || word.match_indices("%40").any(surrounded)
}

/// The text with every sign of an address that is written as an entity, or wide, as it usually is.
fn with_plain_signs(text: &str) -> Cow<'_, str> {
    if !text.contains(['&', '\u{ff20}']) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(ENTITIES_OF_AT.iter().fold(text.to_owned(), |text, entity| text.replace(entity, "@")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_wherever_they_stand() {
        for text in [
            "ann@example.test",
            "mailto:ann@example.test",
            "MAILTO:Ann@Example.test?subject=x",
            "Ann Lee <ann@example.test>",
            "user=ann%40example.test",
            "ann&#64;example.test",
            "urn:email:ann+news@example.test",
            "\u{e4}nn@example.test",
            "ann@localhost",
            "ann_@example.test",
            "ann\u{ff20}example.test",
            "\"ann@example.test\"",
            "crm/ann@example.test/7",
        ] {
            assert!(holds_address(text), "{text}");
            assert!(!without_addresses(text).to_lowercase().contains("example"), "{text}");
        }
        for text in ["u1", "@ann", "acme/7", "a @ b", "50%", "", "@", "ann@", "100%40", "AT&T"] {
            assert!(!holds_address(text), "{text}");
            assert_eq!(without_addresses(text), text);
        }
    }

    #[test]
    fn no_address_passes() {
        let cases = [
            ("Invalid `to`: ann@example.test.", "Invalid `to`: <address>"),
            ("\"Ann Lee\" <ann@example.test> bounced", "\"Ann Lee\" <<address>> bounced"),
            ("to=ann%40example.test&x", "to=<address>"),
            ("a@b.test,c@d.test", "<address>,<address>"),
            ("nothing here", "nothing here"),
        ];
        for (text, expected) in cases {
            assert_eq!(without_addresses(text), expected);
        }
    }

    #[test]
    fn what_is_shown_is_one_short_line() {
        assert_eq!(printable("line\r\nbreak \u{1b}[2J\u{202e}x", 99), "line  break  [2J x");
        assert_eq!(printable("\u{e9}\u{e9}\u{e9}", 3), "\u{e9}\u{e9}\u{e9}");
        assert_eq!(printable("\u{e9}\u{e9}\u{e9}\u{e9}", 3), "\u{e9}\u{e9}\u{e9}...");
    }
}
