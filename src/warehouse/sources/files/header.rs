//! Whether the first line of a CSV file can be one of names. What cannot is never repeated: it may be anything.

use datafusion::common::Result;

use super::failure::FileFailure;

/// No column has a longer name, in bytes.
const NAME_BYTES_MAX: usize = 300;

/// Refuses a first line that holds no names.
pub(super) fn check(file: &str, line: &[u8]) -> Result<()> {
    match reason(line) {
        Some(reason) => Err(FileFailure::NoHeader { file: file.to_owned(), reason }.into()),
        None => Ok(()),
    }
}

fn reason(line: &[u8]) -> Option<&'static str> {
    let text = String::from_utf8_lossy(line);
    if text.chars().any(|letter| letter.is_control() && !matches!(letter, '\t' | '\r' | '\n')) {
        return Some("it holds bytes that no text has");
    }
    let start = text.trim_start().to_ascii_lowercase();
    if start.starts_with("<!doctype") || start.starts_with("<html") || start.starts_with("<?xml") {
        return Some("it is HTML or XML");
    }
    if serde_json::from_str::<serde_json::Value>(start.trim_end())
        .is_ok_and(|value| value.is_object() || value.is_array())
    {
        return Some("it is JSON");
    }
    let names: Vec<&str> = text.split(',').map(|name| name.trim().trim_matches('"')).collect();
    if names.iter().any(|name| name.len() > NAME_BYTES_MAX) {
        return Some("one of its names would be very long");
    }
    let values = names.iter().filter(|name| is_value(name)).count();
    (values * 2 > names.len()).then_some("it holds values, not names")
}

/// Whether a text is one that people keep in files, and no name of a column.
fn is_value(text: &str) -> bool {
    text.contains('@')
        || text.contains('=')
        || text.contains("://")
        || text.matches(':').count() > 1
        || text.starts_with("-----")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_what_else_a_first_line_may_be() {
        for (line, is_header) in [
            ("user_id,email,plan", true),
            ("\"a\nb\",c", true),
            ("Amount (EUR): total,at", true),
            ("2024,2025,2026", true),
            ("user_id;email", true),
            ("prénom,{nick},utm=source", true),
            ("{a},b", true),
            ("", true),
            ("PATH=/bin\0API_KEY=k", false),
            ("API_KEY=k", false),
            ("root:x:0:0:root:/root:/bin/sh", false),
            ("-----BEGIN PRIVATE KEY-----", false),
            ("ann@x.test,bob@x.test", false),
            ("{\"user_id\": 1}", false),
            ("[1, 2]", false),
            ("<!DOCTYPE html><html>", false),
            ("<?xml version='1.0'?>", false),
        ] {
            assert_eq!(reason(line.as_bytes()).is_none(), is_header, "{line}");
        }
        assert!(reason(&[b'a'; 4_000]).is_some());
    }
}
