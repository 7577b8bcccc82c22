//! One HTML template becomes one liquid template, with every value made harmless and all that never changes cut out.

use std::collections::BTreeSet;

use super::contexts::{self, BETWEEN_ATTRIBUTES, Context, IN_CODE};
use super::flow::Piece;
use super::inline::inline;
use super::mjml;
use super::plain_text;
use super::stretches::{self, Stretches};
use crate::model::diagnostic::Diagnostic;
use crate::render::expression::{self, Chain, Reader};
use crate::render::filters::{self, ESCAPE, PLAIN};
use crate::render::source::Source;
use crate::render::stand_ins::{self, stand_in, swap};
use crate::render::tokenizer::{Segment, SegmentKind, marked};

/// How a template is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::render) enum Markup {
    /// MJML, compiled to HTML.
    Mjml,
    /// HTML whose styles are moved into its elements.
    Html,
    /// A piece of HTML, taken as it is.
    Partial,
}

/// What a template is compiled with.
pub(in crate::render) struct Ground<'a> {
    /// Variables that hold escaped HTML.
    pub(in crate::render) safe: &'a BTreeSet<String>,
    /// Variables that hold a value its author encoded for addresses.
    pub(in crate::render) encoded: &'a BTreeSet<String>,
    /// Partials that print no value.
    pub(in crate::render) fixed_partials: &'a BTreeSet<String>,
    /// Whether what never changes may be cut out; not where a variable may capture it.
    pub(in crate::render) cuts: bool,
}

/// A liquid template made from one of HTML.
#[derive(Debug)]
pub(in crate::render) struct Compiled {
    /// The template, with marks for what never changes.
    pub(in crate::render) template: String,
    /// How many bytes of HTML never change.
    pub(in crate::render) fixed_bytes: usize,
    /// Whether its text shows anything at all.
    pub(in crate::render) has_text: bool,
    /// What deserves a look but hinders nothing.
    pub(in crate::render) warnings: Vec<Diagnostic>,
}

/// Compiles a template; what never changes goes into `stretches`.
pub(in crate::render) fn compile(
    source: &Source,
    markup: Markup,
    ground: &Ground<'_>,
    stretches: &mut Stretches,
) -> Result<Compiled, Vec<Diagnostic>> {
    if let Some(at) = source.text.find(stretches::is_mark) {
        let finding =
            Diagnostic::error("control-character", "no mail program shows this character", &source.place(at..at + 1));
        return Err(vec![finding.with_help("delete it")]);
    }
    let (html, warnings) = match markup {
        Markup::Mjml => {
            let compiled = mjml::compile(source)?;
            let html = match compiled.inline_css {
                Some(css) => inline(source, &compiled.html, Some(css))?,
                None => compiled.html,
            };
            (html, compiled.warnings)
        }
        Markup::Html => {
            let swapped = swap(&source.text, &source.segments, stand_in).text;
            let has_styles = swapped.to_ascii_lowercase().contains("<style");
            (if has_styles { inline(source, &swapped, None)? } else { swapped }, Vec::new())
        }
        Markup::Partial => (swap(&source.text, &source.segments, stand_in).text, Vec::new()),
    };
    let places = contexts::contexts(&html, |index| piece(source, index));
    let mut findings = Vec::new();
    if !contexts::dangerous_addresses(&html).is_empty() {
        let message = "an address in this template runs code, which no mail program follows";
        findings.push(
            Diagnostic::error("dangerous-address", message, &dangerous_place(source)).with_help("use an https address"),
        );
    }
    let mut cutter = Cutter {
        harmless: Harmless { source, ground },
        stretches,
        captures: 0,
        open: String::new(),
        template: String::new(),
        fixed_bytes: 0,
        findings,
    };
    cutter.cut(&html, &places);
    let Cutter { template, fixed_bytes, findings, .. } = cutter;
    if findings.is_empty() {
        Ok(Compiled { has_text: has_text(source, &html), template, fixed_bytes, warnings })
    } else {
        Err(findings)
    }
}

pub(super) fn piece(source: &Source, index: usize) -> Piece {
    match source.segments.get(index) {
        Some(segment) if segment.kind == SegmentKind::Output => Piece::Value,
        Some(segment) if segment.kind == SegmentKind::Tag => Piece::Tag(segment.tag_name(&source.text).to_owned()),
        _ => Piece::Other,
    }
}

/// Whether the text part shows anything when every value is shown.
fn has_text(source: &Source, html: &str) -> bool {
    let shown = stand_ins::restore(html, |_, index| match piece(source, index) {
        Piece::Value => "shown".into(),
        Piece::Tag(name) if matches!(name.as_str(), "include" | "render") => "shown".into(),
        Piece::Tag(_) => String::new(),
        Piece::Other => {
            let verbatim = source.segments.get(index).is_some_and(|segment| segment.kind == SegmentKind::Verbatim);
            if verbatim { "shown".into() } else { String::new() }
        }
    });
    !plain_text::of_html(&shown).is_empty()
}

/// Variables of which every definition ends in `url_encode`.
pub(in crate::render) fn encoded_names<'a>(sources: impl Iterator<Item = &'a Source>) -> BTreeSet<String> {
    let (mut encoded, mut others) = (BTreeSet::new(), BTreeSet::new());
    for source in sources {
        for segment in source.segments.iter().filter(|segment| segment.kind == SegmentKind::Tag) {
            let Ok(mut reader) = Reader::new(&source.text, segment.inner.clone()) else { continue };
            let (Ok((tag, _)), Ok((name, _))) = (reader.name("a tag"), reader.name("a name")) else { continue };
            let encodes = tag == "assign"
                && reader.expect("=").is_ok()
                && reader.chain().is_ok_and(|chain| chain.filters.last().is_some_and(|last| last.name == "url_encode"));
            match tag.as_str() {
                "assign" if encodes => encoded.insert(name),
                "assign" | "capture" | "for" => others.insert(name),
                _ => false,
            };
        }
    }
    encoded.retain(|name| !others.contains(name));
    encoded
}

/// Writes the template: liquid with its filters, and marks for what stands between.
struct Cutter<'a> {
    harmless: Harmless<'a>,
    stretches: &'a mut Stretches,
    /// How many `capture` blocks are open.
    captures: usize,
    /// The tag that is open where the next stretch begins.
    open: String,
    template: String,
    fixed_bytes: usize,
    findings: Vec<Diagnostic>,
}

impl Cutter<'_> {
    fn cut(&mut self, html: &str, places: &[Context]) {
        let source = self.harmless.source;
        let mut at = 0;
        let mut trims = false;
        for (occurrence, (span, index)) in stand_ins::find(html).into_iter().enumerate() {
            let Some(segment) = source.segments.get(index) else { continue };
            let written = &source.text[segment.span.clone()];
            self.fixed(&html[at..span.start], trims, Some(segment));
            trims = written.ends_with("-}}") || written.ends_with("-%}");
            at = span.end;
            match self.harmless.write(segment, &places[occurrence]) {
                Ok(liquid) => self.template.push_str(&located(segment, &liquid)),
                Err(refusal) => {
                    let place = source.place(segment.span.clone());
                    let finding = Diagnostic::error("unsafe-position", refusal.message, &place).with_help(refusal.help);
                    if !self.findings.contains(&finding) {
                        self.findings.push(finding);
                    }
                }
            }
            match segment.tag_name(&source.text) {
                "capture" => self.captures += 1,
                "endcapture" => self.captures = self.captures.saturating_sub(1),
                _ => {}
            }
        }
        self.fixed(&html[at..], trims, None);
    }

    /// Writes what stands between two segments; liquid would trim it, so it is trimmed here.
    fn fixed(&mut self, html: &str, trims_start: bool, next: Option<&Segment>) {
        let written = next.map_or("", |next| &self.harmless.source.text[next.span.clone()]);
        let trims_end = written.starts_with("{{-") || written.starts_with("{%-");
        let before_value = next.is_some_and(|next| next.kind == SegmentKind::Output);
        let space = |letter: char| letter.is_ascii_whitespace();
        let html = if trims_start { html.trim_start_matches(space) } else { html };
        let html = if trims_end { html.trim_end_matches(space) } else { html };
        // A value could make an entity of a bare `&` before it.
        let escaped = (before_value && html.ends_with('&')).then(|| format!("{html}amp;"));
        let html = escaped.as_deref().unwrap_or(html);
        if html.is_empty() {
            return;
        }
        self.fixed_bytes += html.len();
        if self.captures > 0 || !self.harmless.ground.cuts {
            // Braces that were written as entities are text still.
            self.template.push_str(&html.replace("{{", "{{ '{{' }}").replace("{%", "{{ '{%' }}"));
        } else {
            let mark = self.stretches.mark(html, &mut self.open);
            self.template.push_str(&mark);
        }
    }
}

fn dangerous_place(source: &Source) -> crate::model::Place {
    let lower = source.text.to_ascii_lowercase();
    let at = ["javascript:", "vbscript:", "data:"].iter().find_map(|scheme| lower.find(scheme)).unwrap_or(0);
    source.place(at..at)
}

/// A segment with the place it comes from, for what is said when a profile's data breaks it.
fn located(segment: &Segment, written: &str) -> String {
    match segment.kind {
        SegmentKind::Output | SegmentKind::Tag => marked(written, segment.span.start),
        _ => written.to_owned(),
    }
}

/// Why a segment may not stand where it stands.
struct Refusal {
    message: String,
    help: &'static str,
}

/// Writes liquid segments back so that no value can become markup.
struct Harmless<'a> {
    source: &'a Source,
    ground: &'a Ground<'a>,
}

impl Harmless<'_> {
    fn write(&self, segment: &Segment, context: &Context) -> Result<String, Refusal> {
        let written = &self.source.text[segment.span.clone()];
        match segment.kind {
            SegmentKind::Comment => Ok(String::new()),
            SegmentKind::Output => self.output(segment, context),
            SegmentKind::Tag => self.tag(segment, context).map(|()| written.to_owned()),
            SegmentKind::Text | SegmentKind::Verbatim => Ok(written.to_owned()),
        }
    }

    fn tag(&self, segment: &Segment, context: &Context) -> Result<(), Refusal> {
        let name = segment.tag_name(&self.source.text);
        match context {
            Context::Refused(place, _) if place == BETWEEN_ATTRIBUTES => {
                let message = format!("a tag cannot stand {place}");
                Err(Refusal { message, help: "put it inside the quotes of an attribute" })
            }
            Context::Refused(place, _) if place == IN_CODE => {
                if matches!(name, "include" | "render") && !self.is_fixed_partial(segment) {
                    let message = format!("a partial that prints a value cannot stand {place}");
                    return Err(Refusal { message, help: "write the values into `style` attributes" });
                }
                Ok(())
            }
            Context::Attribute(_) | Context::Piece | Context::Refused(..)
                if matches!(name, "assign" | "capture" | "endcapture" | "include" | "render") =>
            {
                let message = format!("`{name}` cannot stand in an attribute");
                Err(Refusal { message, help: "put it before the element, and print its result here" })
            }
            _ => Ok(()),
        }
    }

    fn is_fixed_partial(&self, segment: &Segment) -> bool {
        let text = &self.source.text[segment.inner.clone()];
        let name = text.split(['"', '\'']).nth(1).unwrap_or_default();
        self.ground.fixed_partials.contains(name)
    }

    fn output(&self, segment: &Segment, context: &Context) -> Result<String, Refusal> {
        let text = &self.source.text;
        let Some(chain) = read(text, segment) else { return Ok(text[segment.span.clone()].to_owned()) };
        let last = chain.filters.last();
        let named = |name: &str| last.is_some_and(|last| last.name == name);
        let makes_html = last.is_some_and(|last| filters::rows().any(|row| row.name == last.name && row.makes_html));
        let keeps_breaks = last.filter(|filter| filter.name == "newline_to_br");
        let is_html = makes_html || holds(self.ground.safe, &chain);
        let appended: Vec<&str> = match context {
            _ if named("raw") => Vec::new(),
            Context::Refused(place, help) => {
                let message = format!("no value can be printed safely {place}");
                return Err(Refusal { message, help });
            }
            Context::Text | Context::Comment => {
                if is_html {
                    Vec::new()
                } else {
                    vec![ESCAPE]
                }
            }
            Context::Attribute([ESCAPE]) if named("escape") => Vec::new(),
            Context::Attribute(_) | Context::Piece if makes_html && !named("escape") => {
                let message =
                    format!("`{}` makes HTML, which cannot stand in an attribute", last.map_or("", |last| &last.name));
                return Err(Refusal { message, help: "print the value without it here" });
            }
            Context::Attribute(filters) => {
                is_html.then_some(PLAIN).into_iter().chain(filters.iter().copied()).collect()
            }
            Context::Piece => {
                let encoded = chain.filters.iter().any(|filter| filter.name == "url_encode")
                    || holds(self.ground.encoded, &chain);
                let filters = contexts::piece_filters(encoded);
                is_html.then_some(PLAIN).into_iter().chain(filters.iter().copied()).collect()
            }
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

/// Whether a chain is one of some variables, unchanged.
fn holds(names: &BTreeSet<String>, chain: &Chain) -> bool {
    match &chain.value {
        expression::Value::Variable(variable) => {
            chain.filters.is_empty() && variable.steps.is_empty() && names.contains(&variable.root)
        }
        _ => false,
    }
}

/// The chain of an output, where it can be read.
pub(in crate::render) fn read(text: &str, segment: &Segment) -> Option<Chain> {
    Reader::new(text, segment.inner.clone()).ok()?.chain().ok()
}
