//! One HTML template becomes two liquid templates: the HTML part with every value made harmless, and the text part.

use std::collections::BTreeSet;

use css_inline::{CSSInliner, InlineOptions};

use super::expression::{Chain, Reader};
use super::filters::{self, CSS, ESCAPE, URL, URL_REST};
use super::plain_text::{self, Standing};
use super::positions::{BETWEEN_ATTRIBUTES, Position, Written, dangerous_addresses, positions};
use super::source::Source;
use super::stand_ins::{self, stand_in, swap};
use super::tokenizer::{Segment, SegmentKind};
use super::{expression, mjml};
use crate::model::diagnostic::Diagnostic;

/// How a template is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Markup {
    /// MJML, compiled to HTML.
    Mjml,
    /// HTML whose styles are moved into its elements.
    Html,
    /// A piece of HTML, taken as it is.
    Partial,
}

/// Two liquid templates made from one.
#[derive(Debug)]
pub(super) struct Parts {
    /// The HTML part.
    pub(super) html: String,
    /// The text part, not yet tidied.
    pub(super) text: String,
    /// Whether the text part shows anything at all.
    pub(super) has_text: bool,
}

/// Compiles a template; `safe` names the variables that hold escaped HTML.
pub(super) fn compile(source: &Source, markup: Markup, safe: &BTreeSet<String>) -> Result<Parts, Vec<Diagnostic>> {
    let html = match markup {
        Markup::Mjml => mjml::compile(source)?,
        Markup::Html => inline(source)?,
        Markup::Partial => swap(&source.text, &source.segments, stand_in).text,
    };
    let is_control = |index: usize| source.segments.get(index).is_none_or(|one| one.kind != SegmentKind::Output);
    let places = positions(&html, is_control);
    let mut findings = Vec::new();
    if !dangerous_addresses(&html).is_empty() {
        let message = "an address in this template runs code, which no mail program follows";
        findings.push(
            Diagnostic::error("dangerous-address", message, &dangerous_place(source)).with_help("use an https address"),
        );
    }
    let writer = Harmless { source, safe };
    let compiled = stand_ins::restore(&html, |occurrence, index| {
        let Some(segment) = source.segments.get(index) else { return String::new() };
        writer.write(segment, &places[occurrence]).unwrap_or_else(|refusal| {
            let place = source.place(segment.span.clone());
            let finding = Diagnostic::error("unsafe-position", refusal.message, &place).with_help(refusal.help);
            if !findings.contains(&finding) {
                findings.push(finding);
            }
            String::new()
        })
    });
    if !findings.is_empty() {
        return Err(findings);
    }
    let (text, has_text) = text_part(source, &html);
    Ok(Parts { html: compiled, text, has_text })
}

/// The text part as a liquid template, and whether it shows anything.
fn text_part(source: &Source, html: &str) -> (String, bool) {
    let standing = |index: usize| match source.segments.get(index) {
        Some(segment) if segment.kind == SegmentKind::Output => Standing::Value,
        Some(segment) if segment.tag_name(&source.text) == "assign" => Standing::Assignment,
        _ => Standing::Control,
    };
    let text = plain_text::with_stand_ins(html, standing);
    let shown = stand_ins::restore(&text, |_, index| {
        let tag = source.segments.get(index).map_or("", |segment| segment.tag_name(&source.text));
        if standing(index) == Standing::Value || matches!(tag, "include" | "render") {
            "shown".into()
        } else {
            String::new()
        }
    });
    let guarded = text.replace("{{", "{{ '{{' }}").replace("{%", "{{ '{%' }}");
    let restored = stand_ins::restore(&guarded, |_, index| match source.segments.get(index) {
        Some(segment) if segment.kind != SegmentKind::Comment => source.text[segment.span.clone()].to_owned(),
        _ => String::new(),
    });
    (restored, !shown.trim().is_empty())
}

fn dangerous_place(source: &Source) -> crate::model::Place {
    let lower = source.text.to_ascii_lowercase();
    let at = ["javascript:", "vbscript:", "data:"].iter().find_map(|scheme| lower.find(scheme)).unwrap_or(0);
    source.place(at..at)
}

/// Moves the rules of `<style>` into the elements; nothing is loaded from elsewhere.
fn inline(source: &Source) -> Result<String, Vec<Diagnostic>> {
    let swapped = swap(&source.text, &source.segments, stand_in).text;
    if !swapped.to_ascii_lowercase().contains("<style") {
        return Ok(swapped);
    }
    let in_text: BTreeSet<usize> = stand_ins::find(&swapped)
        .into_iter()
        .zip(positions(&swapped, |_| true))
        .filter(|((span, _), position)| *position == Position::Text && !in_comment(&swapped, span.start))
        .map(|((_, index), _)| index)
        .collect();
    // A comment stays where it is between table rows, where a parser would move text out of the table.
    let word = |index: usize| {
        if in_text.contains(&index) { format!("<!--{}-->", stand_in(index)) } else { stand_in(index) }
    };
    let commented = swap(&source.text, &source.segments, word).text;
    let options = InlineOptions { load_remote_stylesheets: false, keep_at_rules: true, ..InlineOptions::default() };
    let inlined = CSSInliner::new(options).inline(&commented).map_err(|error| {
        vec![Diagnostic::error(
            "css",
            format!("the styles cannot be moved into the elements: {error}"),
            &source.start(),
        )]
    })?;
    let mut html = inlined;
    for index in in_text {
        let word = stand_in(index);
        html = html.replace(&format!("<!--{word}-->"), &word).replace(&format!("&lt;!--{word}--&gt;"), &word);
    }
    let kept: BTreeSet<usize> = stand_ins::find(&html).into_iter().map(|(_, index)| index).collect();
    let lost: Vec<Diagnostic> = source
        .segments
        .iter()
        .enumerate()
        .filter(|(index, segment)| {
            matches!(segment.kind, SegmentKind::Output | SegmentKind::Tag | SegmentKind::Verbatim)
                && !kept.contains(index)
        })
        .map(|(_, segment)| {
            let message = "this is lost when styles are moved into the elements";
            Diagnostic::error("lost-in-css", message, &source.place(segment.span.clone()))
                .with_help("put the value into a `style` attribute instead of `<style>`")
        })
        .collect();
    if lost.is_empty() { Ok(html) } else { Err(lost) }
}

/// Whether a byte stands within `<!-- -->`.
fn in_comment(html: &str, at: usize) -> bool {
    html[..at].rfind("<!--").is_some_and(|open| !html[open..at].contains("-->"))
}

/// Why a segment may not stand where it stands.
struct Refusal {
    message: String,
    help: &'static str,
}

/// Writes liquid segments back so that no value can become markup.
struct Harmless<'a> {
    source: &'a Source,
    safe: &'a BTreeSet<String>,
}

impl Harmless<'_> {
    fn write(&self, segment: &Segment, position: &Position) -> Result<String, Refusal> {
        let written = &self.source.text[segment.span.clone()];
        match segment.kind {
            SegmentKind::Comment => Ok(String::new()),
            SegmentKind::Output => self.output(segment, position),
            SegmentKind::Tag => self.tag(segment, position).map(|()| written.to_owned()),
            SegmentKind::Text | SegmentKind::Verbatim => Ok(written.to_owned()),
        }
    }

    fn tag(&self, segment: &Segment, position: &Position) -> Result<(), Refusal> {
        let name = segment.tag_name(&self.source.text);
        match position {
            Position::Refused(place) if *place == BETWEEN_ATTRIBUTES => {
                let message = format!("a tag cannot stand {place}");
                Err(Refusal { message, help: "put it inside the quotes of an attribute" })
            }
            Position::Attribute | Position::Address(_) | Position::Style
                if matches!(name, "assign" | "capture" | "endcapture" | "include" | "render") =>
            {
                let message = format!("`{name}` cannot stand in an attribute");
                Err(Refusal { message, help: "put it before the element, and print its result here" })
            }
            _ => Ok(()),
        }
    }

    fn output(&self, segment: &Segment, position: &Position) -> Result<String, Refusal> {
        let text = &self.source.text;
        let Some(chain) = read(text, segment) else { return Ok(text[segment.span.clone()].to_owned()) };
        let last = chain.filters.last();
        let is_raw = last.is_some_and(|filter| filter.name == "raw");
        let makes_html = last.is_some_and(|last| filters::rows().any(|row| row.name == last.name && row.makes_html));
        let keeps_breaks = last.filter(|filter| filter.name == "newline_to_br");
        let captured = match &chain.value {
            expression::Value::Variable(variable) => {
                chain.filters.is_empty() && variable.steps.is_empty() && self.safe.contains(&variable.root)
            }
            _ => false,
        };
        let escape = if makes_html || captured { None } else { Some(ESCAPE) };
        let appended: Vec<&str> = match position {
            _ if is_raw => Vec::new(),
            Position::Refused(place) => {
                let message = format!("no value can be printed safely {place}");
                return Err(Refusal { message, help: "move it into text or into a quoted attribute" });
            }
            Position::Text | Position::Attribute | Position::Address(Written::Scheme) => escape.into_iter().collect(),
            Position::Address(Written::Nothing) => [URL].into_iter().chain(escape).collect(),
            Position::Address(Written::OpenScheme) => [URL_REST].into_iter().chain(escape).collect(),
            Position::Style => vec![CSS],
        };
        let head = match keeps_breaks {
            Some(filter) => {
                format!(
                    "{}| {ESCAPE} {}",
                    &text[segment.span.start..filter.pipe],
                    &text[filter.pipe..segment.inner.end]
                )
            }
            None => text[segment.span.start..segment.inner.end].to_owned(),
        };
        let tail = &text[segment.inner.end..segment.span.end];
        Ok(appended.into_iter().fold(head, |chain, filter| chain + " | " + filter + " ") + tail)
    }
}

/// The chain of an output, where it can be read.
pub(super) fn read(text: &str, segment: &Segment) -> Option<Chain> {
    Reader::new(text, segment.inner.clone()).ok()?.chain().ok()
}
