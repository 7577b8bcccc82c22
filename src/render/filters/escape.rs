//! The filters that keep a value from becoming markup, a link that runs code, or a second header.

use std::fmt::Write as _;

use super::{Call, Gives, Misfit, Row, Takes, css, row};
use crate::render::html::plain_text;
use crate::render::html::stretches::{self, Stretches};
use crate::render::liquid::Data;

/// Appended to every output of an HTML part.
pub(in crate::render) const ESCAPE: &str = "milepost_escape";
/// Appended where a value begins the address of a link or picture.
pub(in crate::render) const URL: &str = "milepost_url";
/// Appended where a value could still extend the scheme of such an address.
pub(in crate::render) const URL_REST: &str = "milepost_url_rest";
/// Appended to a piece of an address: its path, its query or its fragment.
pub(in crate::render) const URL_PIECE: &str = "milepost_url_piece";
/// Appended to a piece of an address that its author encodes, or that may hold all of the address after `https://`.
pub(in crate::render) const URL_TAIL: &str = "milepost_url_tail";
/// Appended to a piece of an address without a host, such as `mailto:`.
pub(in crate::render) const URL_OPAQUE: &str = "milepost_url_opaque";
/// Appended to the value of a property in a `style` attribute.
pub(in crate::render) const CSS: &str = "milepost_css";
/// Appended within quotes in a `style` attribute.
pub(in crate::render) const CSS_TEXT: &str = "milepost_css_text";
/// Appended to an address in `url()` of a `style` attribute.
pub(in crate::render) const CSS_URL: &str = "milepost_css_url";
/// Appended to HTML that is printed where only text may stand.
pub(in crate::render) const PLAIN: &str = "milepost_plain";
/// Appended to every output of the unsubscribe address.
pub(in crate::render) const URL_PART: &str = "milepost_url_part";

pub(super) static ROWS: &[Row] = &[
    Row {
        name: "raw",
        takes: Takes::Printable,
        arguments: &[],
        gives: Gives::Text,
        takes_null: false,
        about: "Prints HTML as it is, without escaping; `check` lists each use. The text part shows its text.",
        example: ("{{ \"<b>Ann</b>\" | raw }}", "Ann"),
        html: |call| Ok(Data::made(call.input.to_text().replace(stretches::is_mark, "\u{fffd}"))),
        text: |call| Ok(Data::made(plain_text::of_html(&call.input.to_text()))),
        makes_html: true,
        public: true,
    },
    Row {
        name: "newline_to_br",
        takes: Takes::Printable,
        arguments: &[],
        gives: Gives::Text,
        takes_null: false,
        about: "Keeps the line breaks of a text in HTML, escaping the rest.",
        example: ("{{ \"a b\" | newline_to_br }}", "a b"),
        html: |call| Ok(Data::made(call.input.to_text().replace("\r\n", "\n").replace(['\r', '\n'], "<br>\n"))),
        text: |call| Ok(Data::made(call.input.to_text())),
        makes_html: true,
        public: true,
    },
    Row {
        name: "escape",
        takes: Takes::Printable,
        arguments: &[],
        gives: Gives::Text,
        takes_null: false,
        about: "Does nothing that is not done already: every value of an HTML part is escaped once.",
        example: ("{{ \"a < b\" | escape }}", "a < b"),
        html: |call| Ok(escape(call)),
        text: |call| Ok(Data::made(call.input.to_text())),
        makes_html: true,
        public: true,
    },
    internal(ESCAPE, |call| Ok(escape(call))),
    internal(URL, |call| Ok(Data::made(with_safe_scheme(&call.input.to_text())))),
    internal(URL_REST, |call| Ok(Data::made(call.input.to_text().replace(':', "%3A")))),
    internal(URL_PIECE, |call| Ok(Data::made(encoded(&call.input.to_text(), "")))),
    internal(URL_TAIL, |call| Ok(Data::made(encoded(call.input.to_text().trim(), URL_MARKS)))),
    internal(URL_OPAQUE, |call| Ok(Data::made(encoded(call.input.to_text().trim(), "@+,;:=/")))),
    internal(CSS, |call| css_value(call, &css::is_value)),
    internal(CSS_TEXT, |call| css_value(call, &css::is_text)),
    internal(CSS_URL, |call| Ok(Data::made(encoded(&with_safe_scheme(&call.input.to_text()), URL_MARKS)))),
    internal(PLAIN, |call| Ok(Data::made(Stretches::default().assemble(&call.input.to_text(), true, 0).1))),
    internal(URL_PART, url_part),
];

const fn internal(name: &'static str, run: super::Run) -> Row {
    Row { public: false, takes_null: true, ..row(name, (Takes::Printable, Gives::Text), &[], ("", ("", "")), run) }
}

fn escape<'a>(call: &Call<'_, 'a>) -> Data<'a> {
    if matches!(call.input, Data::Integer(_) | Data::Double(_) | Data::Boolean(_) | Data::Nil) {
        return call.input.clone();
    }
    let text = call.input.to_text();
    if !text.bytes().any(|byte| matches!(byte, b'&' | b'<' | b'>' | b'"' | b'\'' | 0..=5)) {
        return call.input.clone();
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
            letter if stretches::is_mark(letter) => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    Data::made(escaped)
}

/// Characters that have a meaning in an address, and a percent sign that encodes.
const URL_MARKS: &str = ":/?#[]@!$&*+,;=%";

/// The address, or `#` when its scheme is none that a mail may open.
fn with_safe_scheme(address: &str) -> String {
    let address = address.trim_matches(|letter: char| letter.is_whitespace() || letter.is_control());
    // Browsers drop these before they read the scheme.
    let read: String = address.chars().filter(|letter| !letter.is_control() && !letter.is_whitespace()).collect();
    // A share of somebody's network, which asks for credentials.
    if read.starts_with('\\') || read.starts_with("/\\") {
        return "#".to_owned();
    }
    // An address without a scheme takes that of its page; a mail has none.
    if read.starts_with("//") {
        return encode_breaks(&format!("https:{address}"));
    }
    let scheme = read.split_once(':').map(|(scheme, _)| scheme).filter(|scheme| !scheme.contains(['/', '?', '#']));
    match scheme {
        None => encode_breaks(address),
        Some(scheme) if ["http", "https", "mailto", "tel"].contains(&scheme.to_ascii_lowercase().as_str()) => {
            encode_breaks(address)
        }
        Some(_) => "#".to_owned(),
    }
}

/// White space and control characters percent-encoded, the rest as it is written.
fn encode_breaks(address: &str) -> String {
    let breaks = |letter: char| letter.is_whitespace() || letter.is_control();
    if !address.contains(breaks) {
        return address.to_owned();
    }
    let mut written = String::with_capacity(address.len() + 8);
    for letter in address.chars() {
        if breaks(letter) {
            written.push_str(&encoded(letter.encode_utf8(&mut [0; 4]), ""));
        } else {
            written.push(letter);
        }
    }
    written
}

/// Everything percent-encoded except letters, digits, `-._~` and the characters to keep.
fn encoded(text: &str, keep: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') || keep.as_bytes().contains(&byte)
        {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// The value when it is safe where it stands; a mail whose style would read otherwise is not made.
fn css_value<'a>(call: &Call<'_, 'a>, is_safe: &dyn Fn(&str) -> bool) -> Result<Data<'a>, Misfit> {
    let text = call.input.to_text();
    if is_safe(&text) {
        return Ok(Data::made(text.trim().to_owned()));
    }
    Err(Misfit::Stops("a value in a `style` attribute is no colour, size or word".into()))
}

fn url_part<'a>(call: &Call<'_, 'a>) -> Result<Data<'a>, Misfit> {
    let text = call.input.to_text();
    if text.trim().is_empty() {
        return Err(Misfit::Stops("an empty value would make a link that belongs to nobody".into()));
    }
    Ok(Data::made(encoded(&text, "")))
}
