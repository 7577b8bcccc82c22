//! Lists of people who must not be mailed, read generously: whatever holds an address or an id counts as that address or id.
//!
//! Pure. Leaving somebody on a list by mistake costs a mail, so spellings that people and spreadsheets make are all one.

use std::borrow::Cow;

use super::address::EmailAddress;

/// What may stand around an address and is no part of it.
const AROUND: &[char] = &[
    '"', '\'', '`', '<', '>', '(', ')', '[', ']', '{', '}', ',', ';', ':', '.', '!', '?', '|', '*', '“', '”', '„', '‘',
    '’', '«', '»', '=',
];

/// What lies between two addresses.
const BETWEEN: &[char] = &[',', ';', '<', '>', '(', ')', '[', ']', '{', '}', '|', '"', '“', '”', '„', '«', '»'];

/// The addresses in a text, in the spelling in which addresses are compared; a part that has an `@` and is no address is
/// the error.
///
/// # Errors
/// The first such part.
pub fn addresses_in(text: &str) -> Result<Vec<String>, String> {
    let plain = plain(text);
    let mut addresses = Vec::new();
    let mut wrong = None;
    let parts = plain.split(|letter: char| letter.is_whitespace() || BETWEEN.contains(&letter));
    for part in parts.filter(|part| part.contains('@')) {
        match address(part) {
            Some(address) if !addresses.contains(&address) => addresses.push(address),
            Some(_) => {}
            None => {
                wrong.get_or_insert_with(|| part.to_owned());
            }
        }
    }
    match wrong {
        // What begins with `@` beside an address is part of a name, as in `Ann @ Acme <ann@acme.test>`.
        Some(wrong) if addresses.is_empty() || !wrong.trim_start_matches(AROUND).starts_with('@') => Err(wrong),
        _ => Ok(addresses),
    }
}

/// One address without what stands around it.
fn address(part: &str) -> Option<String> {
    let part = part.trim_matches(AROUND);
    let link = part.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("mailto:"));
    let part = if link { part[7..].split('?').next().unwrap_or_default() } else { part };
    let part = if link { percent_encoding::percent_decode_str(part).decode_utf8().ok()? } else { part.into() };
    let (local, domain) = part.trim_matches(AROUND).rsplit_once('@')?;
    let domain = match url::Host::parse(domain.trim_matches('.')).ok()? {
        url::Host::Domain(domain) => domain,
        url::Host::Ipv4(_) | url::Host::Ipv6(_) => return None,
    };
    let local = local.to_lowercase();
    // No mail goes to a local part beyond ASCII, and whoever asked is on the list all the same.
    let tried: String = local.chars().map(|letter| if letter.is_ascii() { letter } else { 'x' }).collect();
    EmailAddress::parse(&format!("{tried}@{domain}")).map(|_| format!("{local}@{}", domain.to_ascii_lowercase()))
}

/// An id in the spelling in which the list compares ids: without blanks around it, and as the number that a spreadsheet made of
/// it; `None` for a blank.
#[must_use]
pub fn listed_id(text: &str) -> Option<Cow<'_, str>> {
    let is_bare = text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'.' | b'"' | b'\'' | b'{'))
        && !(text.len() == 36 && text.contains('-'));
    if is_bare {
        return (!text.is_empty()).then_some(Cow::Borrowed(text));
    }
    let plain = plain(text);
    let id = plain.trim().trim_matches(['"', '\'', '“', '”']).trim();
    let whole = id.split_once('.').filter(|(digits, zeros)| {
        let digits = digits.strip_prefix('-').unwrap_or(digits);
        let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        are_digits(digits) && are_digits(zeros) && zeros.bytes().all(|digit| digit == b'0')
    });
    let id = whole.map_or(id, |(digits, _)| digits);
    let bare = id.trim_matches(['{', '}']);
    let is_uuid = bare.len() == 36
        && bare.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
    let id = if is_uuid { bare.to_ascii_lowercase() } else { id.to_owned() };
    (!id.is_empty()).then_some(Cow::Owned(id))
}

/// A text as a plain keyboard writes it: no invisible letters, no full-width ones, blanks of one kind.
fn plain(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let letters = text.chars().filter_map(|letter| match letter {
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{feff}' => None,
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(letter) - 0xfee0),
        '\u{3002}' | '\u{ff61}' => Some('.'),
        letter if letter.is_whitespace() => Some(' '),
        letter => Some(letter),
    });
    Cow::Owned(letters.collect())
}

/// A text as it may be shown: its first letter and its shape.
#[must_use]
pub fn masked(text: &str) -> String {
    const LETTERS_MAX: usize = 24;
    let mut letters = text.chars().enumerate();
    let shape = letters.by_ref().take(LETTERS_MAX).map(|(at, letter)| match letter {
        letter if letter.is_control() => ' ',
        letter if at > 0 && letter.is_alphanumeric() => '*',
        letter => letter,
    });
    let shape: String = shape.collect();
    if letters.next().is_some() { format!("{shape}...") } else { shape }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_an_address_is_the_address() {
        for text in [
            "ann@x.test",
            " Ann@X.Test\n",
            "\"ann@x.test\"",
            "'ann@x.test'",
            "<ann@x.test>",
            "Ann Lee <ann@x.test>",
            "\"Lee, Ann\" <ann@x.test>",
            "Ann @ Acme <ann@x.test>",
            "ann@x.test;",
            "ann@x.test,",
            "ann@x.test.",
            "(ann@x.test)",
            "mailto:ann@x.test",
            "<mailto:ann@x.test?subject=leave>",
            "\u{feff}ann@x.test",
            "ann\u{200b}@x.test\u{a0}",
            "ａｎｎ＠ｘ．ｔｅｓｔ",
            "ann@x。test",
            "e-mail: ann@x.test",
            "ann@x.test (left in May)",
        ] {
            let expected = vec!["ann@x.test".to_owned()];
            assert_eq!(addresses_in(text), Ok(expected), "{text:?}");
        }
        assert_eq!(addresses_in("o'neil@x.test"), Ok(vec!["o'neil@x.test".to_owned()]));
        assert_eq!(addresses_in("ann@münchen.test"), Ok(vec!["ann@xn--mnchen-3ya.test".to_owned()]));
        assert_eq!(addresses_in("jürgen@x.test"), Ok(vec!["jürgen@x.test".to_owned()]));
        let both = Ok(vec!["ann@x.test".to_owned(), "bob@y.test".to_owned()]);
        for text in ["ann@x.test, bob@y.test", "ann@x.test;bob@y.test", "Ann <ann@x.test> Bob <bob@y.test> ann@x.test"]
        {
            assert_eq!(addresses_in(text), both, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_told() {
        assert_eq!(addresses_in("n/a"), Ok(Vec::new()));
        assert_eq!(addresses_in(" "), Ok(Vec::new()));
        for text in ["@acme.test", "ann@", "ann@x.test; bob@", "a b@", "@"] {
            assert!(addresses_in(text).is_err(), "{text}");
        }
    }

    #[test]
    fn every_spelling_of_an_id_is_the_id() {
        for (text, expected) in [
            ("u7", "u7"),
            (" u7 ", "u7"),
            ("\u{a0}u7\u{200b}", "u7"),
            ("\"u7\"", "u7"),
            ("42.0", "42"),
            ("42.00", "42"),
            ("4.5", "4.5"),
            ("007", "007"),
            ("a.b", "a.b"),
            ("４２", "42"),
            ("{00112233-4455-6677-8899-AABBCCDDEEFF}", "00112233-4455-6677-8899-aabbccddeeff"),
            ("00112233-4455-6677-8899-AABBCCDDEEFF", "00112233-4455-6677-8899-aabbccddeeff"),
        ] {
            assert_eq!(listed_id(text).as_deref(), Some(expected), "{text:?}");
        }
        assert_eq!((listed_id(""), listed_id(" \u{200b}")), (None, None));
    }

    #[test]
    fn a_sample_tells_the_shape_alone() {
        assert_eq!(masked("ann at x"), "a** ** *");
        assert_eq!(masked("@acme.test"), "@****.****");
    }
}
