//! Tags such as `!secret` before a value: the parser drops all but a few, and a value without its tag means something else.

use std::ops::Range;
use std::sync::Arc;

use serde_saphyr::Spanned;

use super::{Raw, span_of};
use crate::model::diagnostic::{Diagnostic, Place, SourceFile};
use crate::project::read::quoted;

/// Tags that say a type, which the parser heeds.
const HEEDED: [&str; 7] = ["!!str", "!!int", "!!float", "!!bool", "!!null", "!!seq", "!!map"];

/// A finding for each tag of a file.
pub(super) fn findings(raw: &Spanned<Raw>, file: &Arc<SourceFile>) -> Vec<Diagnostic> {
    let (mut starts, mut scalars) = (Vec::new(), Vec::new());
    each(raw, &file.text, &mut |span: Range<usize>, is_scalar| {
        starts.push(span.start);
        if is_scalar {
            scalars.push(span);
        }
    });
    let mut tags: Vec<Range<usize>> = starts.into_iter().filter_map(|start| tag_of(&file.text, start)).collect();
    // What looks like a tag inside a text is text.
    tags.retain(|tag| !HEEDED.contains(&&file.text[tag.clone()]));
    tags.retain(|tag| !scalars.iter().any(|scalar| scalar.start < tag.start && tag.end <= scalar.end));
    tags.sort_by_key(|tag| (tag.start, tag.end));
    tags.dedup();
    let finding = |tag: Range<usize>| {
        let message = format!("the tag {} has no meaning here", quoted(&file.text[tag.clone()]));
        Diagnostic::error("yaml-tag", message, &Place::new(file, tag))
            .with_help("take it out, or put the whole value in quotes; a secret is written as env:NAME or file:PATH")
    };
    tags.into_iter().map(finding).collect()
}

/// Calls `visit` with the span of every key and value, and whether it is a scalar.
fn each(raw: &Spanned<Raw>, text: &str, visit: &mut impl FnMut(Range<usize>, bool)) {
    let is_scalar = !matches!(raw.value, Raw::List(_) | Raw::Map(_));
    visit(span_of(raw.defined, text), is_scalar);
    match &raw.value {
        Raw::List(items) => items.iter().for_each(|item| each(item, text, visit)),
        Raw::Map(entries) => {
            for (key, value) in entries {
                visit(span_of(key.defined, text), true);
                each(value, text, visit);
            }
        }
        _ => {}
    }
}

/// The tag of the node that starts here; it stands before the node, or at its start, beside an anchor perhaps.
fn tag_of(text: &str, start: usize) -> Option<Range<usize>> {
    if text[start..].starts_with('!') {
        let end = text[start..].find(char::is_whitespace).map_or(text.len(), |length| start + length);
        return Some(start..end);
    }
    let mut before = text[..start].trim_end();
    let mut tag = None;
    loop {
        let opens = |letter: char| letter.is_whitespace() || matches!(letter, '[' | '{' | ',');
        // A tag in full, `!<tag:example.org,2026:x>`, may hold what parts others.
        let whole = before.strip_suffix('>').and_then(|inner| inner.rfind("!<"));
        let whole = whole.filter(|at| !before[*at..].contains(char::is_whitespace));
        let token = before.rfind(opens).map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
        let token = whole.unwrap_or(token);
        match before[token..].chars().next() {
            Some('!') => tag = Some(token..before.len()),
            Some('&') => {}
            _ => break,
        }
        before = before[..token].trim_end();
    }
    let tag = tag?;
    let line = text[..tag.start].rsplit('\n').next().unwrap_or_default();
    let is_comment = line.trim_start().starts_with('#') || line.contains(" #") || line.contains("\t#");
    let last = before.rsplit(char::is_whitespace).next().unwrap_or_default();
    let may_begin = last.is_empty() || last.ends_with([':', '[', '{', ',']) || matches!(last, "-" | "?" | "---");
    (may_begin && !is_comment).then_some(tag)
}
