//! MJML to HTML, once per template, with liquid swapped out; what MJML would lose is refused at its line.

use std::collections::HashMap;

use html5gum::{DefaultEmitter, StartTag, Token, Tokenizer};
use mrml::prelude::parser::Error as MjmlError;
use mrml::prelude::render::RenderOptions;

use super::source::Source;
use super::stand_ins::{self, Swapped, stand_in, swap};
use super::tokenizer::{Segment, SegmentKind};
use crate::model::diagnostic::{Diagnostic, did_you_mean};

/// Components whose children are components: text between those is lost.
const CONTAINERS: [&str; 15] = [
    "mjml",
    "mj-head",
    "mj-body",
    "mj-wrapper",
    "mj-section",
    "mj-group",
    "mj-column",
    "mj-hero",
    "mj-navbar",
    "mj-social",
    "mj-accordion",
    "mj-accordion-element",
    "mj-carousel",
    "mj-attributes",
    "mj-html-attributes",
];

/// The components there are beside the containers; the compiler passes others through as unknown HTML.
const COMPONENTS: [&str; 22] = [
    "mj-accordion-text",
    "mj-accordion-title",
    "mj-all",
    "mj-breakpoint",
    "mj-button",
    "mj-carousel-image",
    "mj-class",
    "mj-divider",
    "mj-font",
    "mj-html-attribute",
    "mj-image",
    "mj-navbar-link",
    "mj-preview",
    "mj-raw",
    "mj-selector",
    "mj-social-element",
    "mj-spacer",
    "mj-style",
    "mj-table",
    "mj-text",
    "mj-title",
    "mj-include",
];

/// Compiles MJML to HTML with stand-ins; liquid before `<mjml>` is put before the HTML.
pub(super) fn compile(source: &Source) -> Result<String, Vec<Diagnostic>> {
    let swapped = swap(&source.text, &source.segments, stand_in);
    let start = swapped.text.find("<mjml").unwrap_or(0);
    let mut findings = Structure::new(source, &swapped).check(start);
    if !findings.is_empty() {
        return Err(findings);
    }
    let output = mrml::parse(with_room_before_marks(&swapped.text[start..]))
        .map_err(|error| vec![explain(&error, source, &swapped, start)])?;
    // No font is loaded from elsewhere unless the template declares it with `mj-font`.
    let options = RenderOptions { fonts: HashMap::new(), ..RenderOptions::default() };
    let html = output.element.render(&options).map_err(|error| {
        vec![Diagnostic::error("mjml", format!("MJML cannot be rendered: {error}"), &source.start())]
    })?;
    findings.extend(lost(source, &html, &swapped.text[..start]));
    if findings.is_empty() { Ok(format!("{}{html}", leading(&swapped.text[..start]))) } else { Err(findings) }
}

/// The parser under mrml looks two bytes back from a `>` and panics inside a longer character; two spaces keep it apart.
fn with_room_before_marks(text: &str) -> String {
    let mut roomy = String::with_capacity(text.len() + 8);
    let mut position = 0;
    for (at, _) in text.match_indices('>').filter(|(at, _)| !text.is_char_boundary(at.saturating_sub(2))) {
        roomy.push_str(&text[position..at]);
        roomy.push_str("  ");
        position = at;
    }
    roomy.push_str(&text[position..]);
    roomy
}

/// The stand-ins before `<mjml>`.
fn leading(text: &str) -> String {
    stand_ins::find(text).into_iter().map(|(span, _)| &text[span]).collect()
}

/// Segments that the compiled HTML no longer holds.
fn lost(source: &Source, html: &str, before: &str) -> Vec<Diagnostic> {
    let kept: std::collections::BTreeSet<usize> =
        stand_ins::find(html).into_iter().chain(stand_ins::find(before)).map(|(_, index)| index).collect();
    let liquid =
        |segment: &Segment| matches!(segment.kind, SegmentKind::Output | SegmentKind::Tag | SegmentKind::Verbatim);
    source
        .segments
        .iter()
        .enumerate()
        .filter(|(index, segment)| liquid(segment) && !kept.contains(index))
        .map(|(_, segment)| {
            let message =
                "this is lost when MJML compiles: MJML reads this value itself, before anybody's data is known";
            Diagnostic::error("lost-in-mjml", message, &source.place(segment.span.clone()))
                .with_help("write a fixed value here, or move it into text, `href`, `src`, `alt` or `<mj-raw>`")
        })
        .collect()
}

fn explain(error: &MjmlError, source: &Source, swapped: &Swapped, start: usize) -> Diagnostic {
    let (message, at) = match error {
        MjmlError::UnexpectedElement { position, .. } => {
            ("this element is not known or may not stand here", Some(position))
        }
        MjmlError::UnexpectedToken { position, .. } => ("this may not stand here", Some(position)),
        MjmlError::MissingAttribute { position, .. } => ("this element lacks a required attribute", Some(position)),
        MjmlError::InvalidAttribute { position, .. } => ("this attribute is not valid", Some(position)),
        MjmlError::InvalidFormat { position, .. } => ("this is not written as MJML needs it", Some(position)),
        MjmlError::IncludeLoaderError { position, .. } => {
            ("`mj-include` is off: use `{% include %}` with HTML", Some(position))
        }
        MjmlError::EndOfStream { .. } => ("the file ends before every element is closed", None),
        MjmlError::NoRootNode => ("the file has no `<mjml>` element", None),
        _ => ("this is not MJML", None),
    };
    if let Some(position) = at {
        let span = swapped.source_span(start + position.start..start + position.end);
        return Diagnostic::error("mjml", format!("MJML: {message}"), &source.place(span));
    }
    if let MjmlError::ParserError { source: syntax, .. } = error {
        let position = syntax.pos();
        let (row, column) = (position.row as usize, position.col as usize);
        let text = &swapped.text[start..];
        let line: usize = text.split_inclusive('\n').take(row.saturating_sub(1)).map(str::len).sum();
        let within: usize = text[line..].chars().take(column.saturating_sub(1)).map(char::len_utf8).sum();
        let at = start + line + within;
        return Diagnostic::error("mjml", format!("MJML: {syntax}"), &source.place(swapped.source_span(at..at)));
    }
    let end = source.text.len();
    Diagnostic::error("mjml", format!("MJML: {message}"), &source.place(end..end))
}

/// Walks the elements of a template and looks at what liquid stands between.
struct Structure<'a> {
    source: &'a Source,
    swapped: &'a Swapped,
    open: Vec<String>,
    /// Open `for` tags: their segment and the depth of the component that holds them.
    loops: Vec<(usize, usize)>,
    findings: Vec<Diagnostic>,
}

impl<'a> Structure<'a> {
    fn new(source: &'a Source, swapped: &'a Swapped) -> Self {
        Self { source, swapped, open: Vec::new(), loops: Vec::new(), findings: Vec::new() }
    }

    fn check(mut self, start: usize) -> Vec<Diagnostic> {
        let text = &self.swapped.text[start..];
        for token in Tokenizer::new_with_emitter(text, DefaultEmitter::<usize>::new_with_span()) {
            match token {
                Ok(Token::StartTag(tag)) => {
                    self.known(&tag, start);
                    self.start(&tag);
                }
                Ok(Token::EndTag(tag)) => self.end(&String::from_utf8_lossy(&tag.name)),
                Ok(Token::String(words)) => {
                    for (_, index) in stand_ins::find(&String::from_utf8_lossy(&words.value)) {
                        self.liquid(index);
                    }
                }
                _ => {}
            }
        }
        self.findings
    }

    fn known(&mut self, tag: &StartTag<usize>, start: usize) {
        let name = String::from_utf8_lossy(&tag.name).into_owned();
        let known = || CONTAINERS.into_iter().chain(COMPONENTS);
        if !name.starts_with("mj-") || known().any(|component| component == name) {
            return;
        }
        let at = start + tag.span.start + 1;
        let place = self.source.place(self.swapped.source_span(at..at + name.len()));
        self.findings.push(
            Diagnostic::error("mjml", format!("MJML: there is no component `<{name}>`"), &place)
                .with_optional_help(did_you_mean(&name, known())),
        );
    }

    /// How many components are open, not counting `mj-raw`.
    fn depth(&self) -> usize {
        self.open.iter().filter(|name| *name != "mj-raw").count()
    }

    fn start(&mut self, tag: &StartTag<usize>) {
        let name = String::from_utf8_lossy(&tag.name).into_owned();
        let depth = self.depth();
        if name == "mj-column"
            && let Some((index, _)) = self.loops.iter().find(|(_, held_by)| *held_by == depth)
        {
            let place = self.source.place(self.source.segments[*index].span.clone());
            self.findings.push(
                Diagnostic::error(
                    "loop-round-column",
                    "a loop may not go round `<mj-column>`: widths are fixed when MJML compiles",
                    &place,
                )
                .with_help("loop over rows inside one column, such as `<tr>` in `<mj-table>`"),
            );
        }
        if (name.starts_with("mj-") || name == "mjml") && !tag.self_closing {
            self.open.push(name);
        }
    }

    fn end(&mut self, name: &str) {
        if let Some(position) = self.open.iter().rposition(|open| open == name) {
            self.open.truncate(position);
        }
    }

    fn liquid(&mut self, index: usize) {
        let Some(segment) = self.source.segments.get(index) else { return };
        match segment.tag_name(&self.source.text) {
            "for" => self.loops.push((index, self.depth())),
            "endfor" => {
                self.loops.pop();
            }
            _ => {}
        }
        let parent = self.open.last().map(String::as_str);
        let between = parent.is_none_or(|name| CONTAINERS.contains(&name));
        if between && segment.kind != SegmentKind::Comment {
            let text = &self.source.text[segment.span.clone()];
            let message = match parent {
                Some(parent) => format!("`{text}` stands between the components of `<{parent}>`, where MJML drops it"),
                None => format!("`{text}` stands after `</mjml>`, where MJML drops it"),
            };
            let place = self.source.place(segment.span.clone());
            self.findings.push(
                Diagnostic::error("liquid-between-components", message, &place)
                    .with_help(format!("wrap it: `<mj-raw>{text}</mj-raw>`")),
            );
        }
    }
}
