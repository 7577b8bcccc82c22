//! MJML to HTML, once per template, with liquid swapped out; what MJML would lose is refused at its line.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use mrml::prelude::parser::Error as MjmlError;
use mrml::prelude::render::RenderOptions;

use super::structure;
use crate::model::diagnostic::Diagnostic;
use crate::render::source::Source;
use crate::render::stand_ins::{self, Swapped, stand_in, swap};
use crate::render::tokenizer::{Segment, SegmentKind};

/// MJML as HTML.
pub(super) struct Html {
    /// The HTML, with stand-ins.
    pub(super) html: String,
    /// Rules of `<mj-style inline="inline">`, still to be moved into the elements.
    pub(super) inline_css: Option<String>,
    /// What MJML shows otherwise than it reads.
    pub(super) warnings: Vec<Diagnostic>,
}

/// Where HTML in a wrapper leaves the comment that only Outlook reads, and where it comes back to it.
const LEAVES: &str = "mlpwleavesmlp";
const RETURNS: &str = "mlpwreturnsmlp";

/// Compiles MJML to HTML with stand-ins; liquid before `<mjml>` is put before the HTML.
pub(super) fn compile(source: &Source) -> Result<Html, Vec<Diagnostic>> {
    let swapped = swap(&source.text, &source.segments, stand_in);
    let start = swapped.text.find("<mjml").unwrap_or(0);
    let found = structure::check(source, &swapped, start);
    if !found.errors.is_empty() {
        return Err(found.errors);
    }
    let mut text = swapped.text[start..].to_owned();
    let mut inline_css = String::new();
    for span in &found.inline_styles {
        inline_css.push_str(&text[span.clone()]);
        // Blanks keep every other place where it is.
        let blank: String = text[span.clone()].chars().map(|letter| if letter == '\n' { '\n' } else { ' ' }).collect();
        let length = span.len() - blank.len();
        text.replace_range(span.clone(), &(blank + &" ".repeat(length)));
    }
    for span in found.html_in_wrappers.iter().rev() {
        text.insert_str(span.end, RETURNS);
        text.insert_str(span.start, LEAVES);
    }
    let html = rendered(source, &swapped, start, &with_room_before_marks(&text))?;
    let html = html.replace(LEAVES, "<![endif]-->").replace(RETURNS, "<!--[if mso | IE]>");
    let errors = lost(source, &html, &swapped.text[..start]);
    if !errors.is_empty() {
        return Err(errors);
    }
    Ok(Html {
        html: format!("{}{html}", leading(&swapped.text[..start])),
        inline_css: Some(inline_css).filter(|css| !css.trim().is_empty()),
        warnings: found.warnings,
    })
}

fn rendered(source: &Source, swapped: &Swapped, start: usize, text: &str) -> Result<String, Vec<Diagnostic>> {
    // mrml 6 panics where it is not finished.
    let parsed = catch_unwind(AssertUnwindSafe(|| mrml::parse(text)));
    let output = parsed
        .map_err(|_| vec![Diagnostic::error("mjml", "MJML cannot read this template", &source.start())])?
        .map_err(|error| vec![explain(&error, source, swapped, start)])?;
    // No font is loaded from elsewhere unless the template declares it with `mj-font`.
    let options = RenderOptions { fonts: HashMap::new(), ..RenderOptions::default() };
    let html = catch_unwind(AssertUnwindSafe(|| output.element.render(&options)))
        .map_err(|_| vec![Diagnostic::error("mjml", "MJML cannot render this template", &source.start())])?;
    html.map_err(|error| vec![Diagnostic::error("mjml", format!("MJML cannot be rendered: {error}"), &source.start())])
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
