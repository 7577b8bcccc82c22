//! Text that must stay on one line: subjects and header values.

use base64::Engine as _;

/// The longest subject in characters; longer ones end in an ellipsis.
pub(super) const LONGEST_SUBJECT: usize = 500;

/// Headers that the message itself makes.
const RESERVED: [&str; 16] = [
    "from",
    "to",
    "cc",
    "bcc",
    "sender",
    "reply-to",
    "subject",
    "date",
    "message-id",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
    "list-unsubscribe",
    "list-unsubscribe-post",
    "return-path",
    "received",
];

/// One line: each run of control characters, line separators and direction overrides becomes one space.
/// The second value tells how many such runs there were.
pub(super) fn one_line(text: &str) -> (String, u64) {
    let mut line = String::with_capacity(text.len());
    let mut runs = 0;
    let mut in_run = false;
    for letter in text.trim().chars() {
        let breaks = letter.is_control()
            || matches!(letter, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if breaks && !in_run {
            runs += 1;
            line.push(' ');
        } else if !breaks {
            line.push(letter);
        }
        in_run = breaks;
    }
    (line.trim().to_owned(), runs)
}

/// Cuts a subject to [`LONGEST_SUBJECT`] characters.
pub(super) fn cut_subject(subject: String) -> String {
    if subject.chars().nth(LONGEST_SUBJECT).is_none() {
        return subject;
    }
    let kept: String = subject.chars().take(LONGEST_SUBJECT - 1).collect();
    format!("{}…", kept.trim_end())
}

/// Why a header may not be set; `None` when it may.
pub(super) fn refused_name(name: &str) -> Option<&'static str> {
    let token = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if !token {
        Some("a header's name is letters, digits and `-` only")
    } else if RESERVED.contains(&name.to_ascii_lowercase().as_str()) {
        Some("this header is made by milepost")
    } else {
        None
    }
}

/// A header's value in ASCII: encoded words of RFC 2047 where it holds anything else.
pub(super) fn ascii_value(value: &str) -> String {
    // An encoded word holds 75 characters, of which 12 are its frame; base64 makes four of three bytes.
    const BYTES_PER_WORD: usize = 45;
    if value.is_ascii() {
        return value.to_owned();
    }
    let mut words = Vec::new();
    let mut rest = value;
    while !rest.is_empty() {
        let (word, after) = rest.split_at(rest.floor_char_boundary(BYTES_PER_WORD.min(rest.len())));
        words.push(format!("=?utf-8?B?{}?=", base64::engine::general_purpose::STANDARD.encode(word)));
        rest = after;
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_the_line() {
        assert_eq!(one_line("Hi\r\nBcc: x@y.test\u{0}!"), ("Hi Bcc: x@y.test !".into(), 2));
        assert_eq!(one_line(" a\u{202e}b\u{2028}c\u{85}d \n"), ("a b c d".into(), 3));
        assert_eq!(one_line("שלום 🎉"), ("שלום 🎉".into(), 0));
    }

    #[test]
    fn long_subjects_end_in_an_ellipsis() {
        assert_eq!(cut_subject("é".repeat(500)).chars().count(), 500);
        let cut = cut_subject("é".repeat(501));
        assert!(cut.ends_with('…') && cut.chars().count() == 500);
    }

    #[test]
    fn values_are_ascii_and_names_are_tokens() {
        assert_eq!(ascii_value("plain"), "plain");
        let encoded = ascii_value(&"é".repeat(60));
        assert!(encoded.is_ascii() && encoded.split(' ').all(|word| word.len() <= 75));
        assert!(refused_name("X-Campaign").is_none());
        assert!(refused_name("Bcc").is_some() && refused_name("A: b").is_some() && refused_name("").is_some());
    }
}
