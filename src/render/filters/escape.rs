//! The filters that keep a value from becoming markup, a link that runs code, or a second header.

use std::fmt::Write as _;

use liquid_core::Value;

use super::{Call, Row, row};
use crate::render::plain_text;

/// Appended to every output of an HTML part.
pub(in crate::render) const ESCAPE: &str = "milepost_escape";
/// Appended where a value begins the address of a link or picture.
pub(in crate::render) const URL: &str = "milepost_url";
/// Appended where a value could still extend the scheme of such an address.
pub(in crate::render) const URL_REST: &str = "milepost_url_rest";
/// Appended to values in `style` attributes.
pub(in crate::render) const CSS: &str = "milepost_css";
/// Appended to every output of the unsubscribe address.
pub(in crate::render) const URL_PART: &str = "milepost_url_part";

pub(super) static ROWS: &[Row] = &[
    Row {
        name: "raw",
        arguments: &[],
        about: "Prints HTML as it is, without escaping; `check` lists each use. The text part shows its text.",
        example: ("{{ \"<b>Ann</b>\" | raw }}", "Ann"),
        html: |call| Ok(Value::scalar(call.input.to_kstr().into_string())),
        text: |call| Ok(Value::scalar(plain_text::of_html(&call.input.to_kstr()))),
        makes_html: true,
        public: true,
    },
    Row {
        name: "newline_to_br",
        arguments: &[],
        about: "Keeps the line breaks of a text in HTML, escaping the rest.",
        example: ("{{ \"a b\" | newline_to_br }}", "a b"),
        html: |call| Ok(Value::scalar(call.input.to_kstr().replace("\r\n", "\n").replace(['\r', '\n'], "<br>\n"))),
        text: |call| Ok(Value::scalar(call.input.to_kstr().into_string())),
        makes_html: true,
        public: true,
    },
    Row {
        name: "escape",
        arguments: &[],
        about: "Does nothing that is not done already: every value of an HTML part is escaped once.",
        example: ("{{ \"a < b\" | escape }}", "a < b"),
        html: |call| Ok(escape(call)),
        text: |call| Ok(Value::scalar(call.input.to_kstr().into_string())),
        makes_html: true,
        public: true,
    },
    internal(ESCAPE, |call| Ok(escape(call))),
    internal(URL, |call| Ok(Value::scalar(with_safe_scheme(&call.input.to_kstr())))),
    internal(URL_REST, |call| Ok(Value::scalar(call.input.to_kstr().replace(':', "%3A")))),
    internal(CSS, |call| Ok(Value::scalar(css_value(&call.input.to_kstr())))),
    internal(URL_PART, url_part),
];

const fn internal(name: &'static str, run: super::Run) -> Row {
    Row { public: false, ..row(name, &[], "", ("", ""), run) }
}

fn escape(call: &Call<'_>) -> Value {
    let text = call.input.to_kstr();
    if !text.bytes().any(|byte| matches!(byte, b'&' | b'<' | b'>' | b'"' | b'\'' | 0)) {
        return Value::scalar(text.into_owned());
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // HTML has no way to write NUL.
            '\0' => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    Value::scalar(escaped)
}

/// The address, or `#` when its scheme is none that a mail may open.
fn with_safe_scheme(address: &str) -> String {
    // Browsers drop these before they read the scheme.
    let read: String = address.chars().filter(|letter| !letter.is_control() && !letter.is_whitespace()).collect();
    let scheme = read.split_once(':').map(|(scheme, _)| scheme).filter(|scheme| !scheme.contains(['/', '?', '#']));
    match scheme {
        None => address.to_owned(),
        Some(scheme) if ["http", "https", "mailto", "tel"].contains(&scheme.to_ascii_lowercase().as_str()) => {
            address.to_owned()
        }
        Some(_) => "#".to_owned(),
    }
}

/// Only what a single CSS value needs.
fn css_value(text: &str) -> String {
    text.chars()
        .filter(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '#' | '.' | ',' | '%' | '-' | ' '))
        .collect()
}

fn url_part(call: &Call<'_>) -> Result<Value, String> {
    let text = call.input.to_kstr();
    if text.trim().is_empty() {
        return Err("got an empty value, which would make a link that belongs to nobody".into());
    }
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    Ok(Value::scalar(encoded))
}
