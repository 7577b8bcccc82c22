//! liquid's own filters of text: every value that prints is taken as the text it prints, null as none.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::kinds::ArgumentKind::{Printable, Whole};
use super::{Call, Gives, Misfit, Row, Takes, optional, required, standard};
use crate::render::liquid::{Data, LARGEST_PART};

const TEXT: (Takes, Gives) = (Takes::Printable, Gives::Text);

pub(super) static ROWS: &[Row] = &[
    standard("append", TEXT, &[required("text", "", Printable)], true, |call| {
        made(call, |text| format!("{text}{}", argument(call, 0)))
    }),
    standard("prepend", TEXT, &[required("text", "", Printable)], true, |call| {
        made(call, |text| format!("{}{text}", argument(call, 0)))
    }),
    standard("upcase", TEXT, &[], false, |call| made(call, str::to_uppercase)),
    standard("downcase", TEXT, &[], false, |call| made(call, str::to_lowercase)),
    standard("capitalize", TEXT, &[], false, |call| made(call, capitalized)),
    standard("strip", TEXT, &[], false, |call| made(call, |text| text.trim().to_owned())),
    standard("lstrip", TEXT, &[], false, |call| made(call, |text| text.trim_start().to_owned())),
    standard("rstrip", TEXT, &[], false, |call| made(call, |text| text.trim_end().to_owned())),
    standard("strip_newlines", TEXT, &[], false, |call| made(call, |text| text.replace(['\n', '\r'], ""))),
    standard("strip_html", TEXT, &[], false, |call| made(call, without_html)),
    standard("escape_once", TEXT, &[], false, |call| made(call, escaped_once)),
    standard("url_encode", TEXT, &[], false, |call| {
        made(call, |text| utf8_percent_encode(text, FORM).to_string().replace("%20", "+"))
    }),
    standard("url_decode", TEXT, &[], false, |call| {
        made(call, |text| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned())
    }),
    standard(
        "replace",
        TEXT,
        &[required("search", "", Printable), optional("replacement", "", Printable)],
        false,
        |call| replaced(call, usize::MAX, 1),
    ),
    standard(
        "replace_first",
        TEXT,
        &[required("search", "", Printable), optional("replacement", "", Printable)],
        false,
        |call| replaced(call, 1, 1),
    ),
    standard("remove", TEXT, &[required("search", "", Printable)], false, |call| replaced(call, usize::MAX, 9)),
    standard("remove_first", TEXT, &[required("search", "", Printable)], false, |call| replaced(call, 1, 9)),
    standard("truncate", TEXT, &[optional("length", "", Whole), optional("ellipsis", "", Printable)], false, |call| {
        made(call, |text| truncated(call, text))
    }),
    standard(
        "truncatewords",
        TEXT,
        &[optional("words", "", Whole), optional("ellipsis", "", Printable)],
        false,
        |call| made(call, |text| truncated_words(call, text)),
    ),
    standard("split", (Takes::Text, Gives::Texts), &[required("separator", "", Printable)], true, |call| {
        Ok(split(&call.input.to_text(), &argument(call, 0)))
    }),
];

/// What a form's address keeps as it is.
const FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');

fn argument(call: &Call<'_, '_>, position: usize) -> std::rc::Rc<str> {
    call.text(position).unwrap_or_else(|| "".into())
}

/// The text that a function makes of the input; lists and objects are no text.
fn made<'a>(call: &Call<'_, 'a>, make: impl Fn(&str) -> String) -> Result<Data<'a>, Misfit> {
    if call.input.size().is_some() && call.input.as_text().is_none() {
        return Err(Misfit::Unreadable);
    }
    Ok(Data::made(make(&call.input.to_text())))
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().collect::<String>() + letters.as_str())
}

/// At most so many occurrences of the first argument replaced by another.
fn replaced<'a>(call: &Call<'_, 'a>, most: usize, by: usize) -> Result<Data<'a>, Misfit> {
    let (search, replacement) = (argument(call, 0), argument(call, by));
    let text = call.input.to_text();
    if search.is_empty() && most == usize::MAX {
        // Between all letters there is nothing to be found that anybody means.
        return Ok(call.input.clone());
    }
    let found = text.matches(&*search).take(most).count();
    // What would not fit is not even made.
    if text.len().saturating_add(found.saturating_mul(replacement.len())) > LARGEST_PART {
        return Err(Misfit::Stops(crate::render::liquid::too_large()));
    }
    made(call, |text| text.replacen(&*search, &replacement, most))
}

fn truncated(call: &Call<'_, '_>, text: &str) -> String {
    let length = length_of(call, 50);
    let ellipsis = call.text(1).unwrap_or_else(|| "...".into());
    if text.chars().nth(length).is_none() {
        return text.to_owned();
    }
    let kept = length.saturating_sub(ellipsis.chars().count());
    text.chars().take(kept).collect::<String>() + &ellipsis
}

fn truncated_words(call: &Call<'_, '_>, text: &str) -> String {
    let length = length_of(call, 15).max(1);
    let ellipsis = call.text(1).unwrap_or_else(|| "...".into());
    if text.split_whitespace().nth(length).is_none() {
        return text.to_owned();
    }
    text.split_whitespace().take(length).collect::<Vec<_>>().join(" ") + &ellipsis
}

fn length_of(call: &Call<'_, '_>, otherwise: usize) -> usize {
    let asked = call.argument(0).and_then(super::arithmetic::whole);
    asked.map_or(otherwise, |asked| usize::try_from(asked.max(0)).unwrap_or(usize::MAX))
}

fn split<'a>(text: &str, separator: &str) -> Data<'a> {
    let piece = |piece: &str| Data::made(piece);
    if text.is_empty() {
        return Data::list([]);
    }
    if separator.is_empty() {
        return Data::list(text.chars().map(|letter| Data::made(letter.to_string())));
    }
    if separator == " " {
        return Data::list(text.split_whitespace().map(piece));
    }
    let mut pieces: Vec<&str> = text.split(separator).collect();
    while pieces.last().is_some_and(|last| last.is_empty()) {
        pieces.pop();
    }
    Data::list(pieces.into_iter().map(piece))
}

/// The text without scripts, styles, comments and tags.
fn without_html(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find('<') {
        kept.push_str(&rest[..open]);
        let tag = &rest[open..];
        let block = [("<script", "</script>"), ("<style", "</style>"), ("<!--", "-->")]
            .into_iter()
            .find(|(start, _)| tag.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start)))
            .and_then(|(_, end)| find_ignoring_case(tag, end).map(|at| at + end.len()));
        match block.or_else(|| tag.find('>').map(|at| at + 1)) {
            Some(end) => rest = &tag[end..],
            None => {
                kept.push_str(tag);
                return kept;
            }
        }
    }
    kept.push_str(rest);
    kept
}

fn find_ignoring_case(text: &str, word: &str) -> Option<usize> {
    text.as_bytes().windows(word.len()).position(|window| window.eq_ignore_ascii_case(word.as_bytes()))
}

fn escaped_once(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 16);
    for (at, letter) in text.char_indices() {
        let known = ["&lt;", "&gt;", "&#39;", "&quot;", "&amp;"].iter().any(|entity| text[at..].starts_with(entity));
        match letter {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '&' if !known => escaped.push_str("&amp;"),
            other => escaped.push(other),
        }
    }
    escaped
}
