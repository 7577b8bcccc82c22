//! Cuts template text into liquid segments and plain text, losing nothing: the segments joined are the text.
//!
//! This one tokenizer serves the tokens that stand in for liquid while MJML compiles, the walk of `check` through all
//! branches, the escape filter appended to every output, and the trees that render.

use std::ops::Range;

/// What a segment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SegmentKind {
    /// Anything that is not liquid.
    Text,
    /// `{{ ... }}`.
    Output,
    /// `{% ... %}`.
    Tag,
    /// `{% raw %} ... {% endraw %}` as a whole.
    Verbatim,
    /// `{% comment %} ... {% endcomment %}` as a whole.
    Comment,
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// What it is.
    pub(super) kind: SegmentKind,
    /// The bytes of the whole segment.
    pub(super) span: Range<usize>,
    /// The bytes between the delimiters and their trim markers; the whole span for other kinds.
    pub(super) inner: Range<usize>,
}

impl Segment {
    /// The name of a tag, such as `if`; empty for other kinds.
    pub(super) fn tag_name<'t>(&self, text: &'t str) -> &'t str {
        if self.kind != SegmentKind::Tag {
            return "";
        }
        let inner = text[self.inner.clone()].trim_start();
        let end = inner.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').unwrap_or(inner.len());
        &inner[..end]
    }
}

/// A place where the text stops being liquid.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unclosed {
    /// Where the segment opens.
    pub(super) span: Range<usize>,
    /// What would have closed it.
    pub(super) expected: &'static str,
}

/// A segment as it is written, with the byte of its source that it comes from: compiling moves it elsewhere.
pub(super) fn marked(written: &str, offset: usize) -> String {
    let open = if written.starts_with("{{-") || written.starts_with("{%-") { 3 } else { 2 };
    match written.split_at_checked(open) {
        Some((open, rest)) if open.starts_with('{') => format!("{open}@{offset} {rest}"),
        _ => written.to_owned(),
    }
}

/// The byte of the source that an output or tag comes from, and the bytes of what is written in it.
pub(super) fn origin(text: &str, segment: &Segment) -> (usize, Range<usize>) {
    let inner = segment.inner.clone();
    let mark = text[inner.clone()].strip_prefix('@').and_then(|rest| rest.split_once(' '));
    match mark.and_then(|(digits, _)| Some((digits.parse().ok()?, digits.len()))) {
        Some((offset, digits)) => (offset, inner.start + 1 + digits..inner.end),
        None => (segment.span.start, inner),
    }
}

/// Cuts `text` into segments.
///
/// # Errors
/// When an output, a tag, a `raw` or a `comment` block is never closed.
pub(super) fn tokenize(text: &str) -> Result<Vec<Segment>, Unclosed> {
    let mut segments = Vec::new();
    let mut position = 0;
    while let Some(segment) = next_liquid(text, position)? {
        if segment.span.start > position {
            segments.push(plain(position..segment.span.start));
        }
        let segment = match segment.tag_name(text) {
            "raw" => whole_block(text, segment, "endraw", SegmentKind::Verbatim)?,
            "comment" => whole_block(text, segment, "endcomment", SegmentKind::Comment)?,
            _ => segment,
        };
        position = segment.span.end;
        segments.push(segment);
    }
    if position < text.len() {
        segments.push(plain(position..text.len()));
    }
    Ok(segments)
}

fn plain(span: Range<usize>) -> Segment {
    Segment { kind: SegmentKind::Text, inner: span.clone(), span }
}

fn next_liquid(text: &str, from: usize) -> Result<Option<Segment>, Unclosed> {
    let rest = &text[from..];
    // One search for both: two would each read to the end of the text wherever one of them is rare.
    let opened = rest.match_indices('{').find_map(|(at, _)| match rest.as_bytes().get(at + 1) {
        Some(b'{') => Some((at, SegmentKind::Output, "}}")),
        Some(b'%') => Some((at, SegmentKind::Tag, "%}")),
        _ => None,
    });
    let Some((offset, kind, close)) = opened else { return Ok(None) };
    let start = from + offset;
    let end = closing(text, start + 2, close)
        .ok_or_else(|| Unclosed { span: start..(start + 2).min(text.len()), expected: close })?;
    let mut inner = start + 2..end;
    if text[inner.clone()].starts_with('-') {
        inner.start += 1;
    }
    if text[inner.clone()].ends_with('-') {
        inner.end -= 1;
    }
    Ok(Some(Segment { kind, span: start..end + 2, inner }))
}

/// The offset of `close` after `from`, outside of quotes where the quotes are closed.
fn closing(text: &str, from: usize, close: &str) -> Option<usize> {
    let mut quote = None;
    for (offset, letter) in text[from..].char_indices() {
        match quote {
            Some(open) if letter == open => quote = None,
            None if letter == '"' || letter == '\'' => quote = Some(letter),
            None if text[from + offset..].starts_with(close) => return Some(from + offset),
            // What opens next shows that this one was never closed.
            None if text[from + offset..].starts_with("{{") || text[from + offset..].starts_with("{%") => return None,
            _ => {}
        }
    }
    text[from..].find(close).map(|offset| from + offset)
}

/// Extends an opening tag to the end of its block, whose content is not liquid.
fn whole_block(text: &str, open: Segment, end: &'static str, kind: SegmentKind) -> Result<Segment, Unclosed> {
    let mut from = open.span.end;
    while let Some(offset) = text[from..].find("{%") {
        let start = from + offset;
        let Some(length) = text[start..].find("%}") else { break };
        let inner = text[start + 2..start + length].trim_matches(['-', ' ', '\t', '\r', '\n']);
        if inner == end {
            let span = open.span.start..start + length + 2;
            return Ok(Segment { kind, inner: span.clone(), span });
        }
        from = start + 2;
    }
    Err(Unclosed { span: open.span, expected: end })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<(SegmentKind, &str)> {
        let segments = tokenize(text).expect("closed");
        assert_eq!(segments.iter().map(|segment| &text[segment.span.clone()]).collect::<String>(), text);
        segments.iter().map(|segment| (segment.kind, &text[segment.inner.clone()])).collect()
    }

    #[test]
    fn cuts_without_loss() {
        use SegmentKind::{Comment, Output, Tag, Text, Verbatim};
        assert_eq!(kinds("a{{ b }}c"), [(Text, "a"), (Output, " b "), (Text, "c")]);
        assert_eq!(kinds("{%- if a < b -%}"), [(Tag, " if a < b ")]);
        assert_eq!(kinds("{{ '}}' }}"), [(Output, " '}}' ")]);
        assert_eq!(kinds("{% raw %}{{ x }}{% endraw %}y"), [(Verbatim, "{% raw %}{{ x }}{% endraw %}"), (Text, "y")]);
        assert_eq!(kinds("{% comment %}{% if %}{%- endcomment -%}").len(), 1);
        assert_eq!(kinds("{% comment %}{% if %}{%- endcomment -%}")[0].0, Comment);
        assert_eq!(kinds("it's {{ x }} isn't"), [(Text, "it's "), (Output, " x "), (Text, " isn't")]);
        assert!(kinds("").is_empty());
    }

    #[test]
    fn says_where_an_unclosed_segment_opens() {
        assert_eq!(tokenize("ab{{ c").expect_err("unclosed").span, 2..4);
        assert_eq!(tokenize("{% raw %}x").expect_err("unclosed").expected, "endraw");
        assert_eq!(tokenize("{{ a {{ b }}").expect_err("unclosed").span, 0..2);
        assert!(tokenize("{{").is_err() && tokenize("{%-").is_err());
    }

    #[test]
    fn a_marked_segment_knows_where_it_comes_from() {
        for written in ["{{ a }}", "{{- a -}}", "{% if a %}", "{%- if a -%}", "{{a}}"] {
            let plain = tokenize(written).expect("closed").remove(0);
            let text = format!("é{}", marked(written, 17));
            let segment = tokenize(&text).expect("closed").remove(1);
            let (offset, inner) = origin(&text, &segment);
            assert_eq!((offset, text[inner].trim()), (17, written[plain.inner].trim()), "{written}");
        }
    }

    #[test]
    fn names_tags() {
        let text = "{%- endif -%}";
        assert_eq!(tokenize(text).expect("closed")[0].tag_name(text), "endif");
    }
}
