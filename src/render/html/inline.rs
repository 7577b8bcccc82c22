//! Rules of CSS moved into the elements, with liquid carried through unharmed.

use std::collections::BTreeSet;

use css_inline::{CSSInliner, InlineOptions};

use super::contexts::{self, Context};
use super::markup::piece;
use crate::model::diagnostic::Diagnostic;
use crate::render::source::Source;
use crate::render::stand_ins::{self, stand_in};
use crate::render::tokenizer::SegmentKind;

/// Moves rules of CSS into the elements; nothing is loaded from elsewhere.
/// Without `css` these are the rules of `<style>`, which is then left out but for its `@` rules.
///
/// # Errors
/// When the rules cannot be read, or liquid in `<style>` would be lost.
pub(super) fn inline(source: &Source, html: &str, css: Option<String>) -> Result<String, Vec<Diagnostic>> {
    let style_tags = css.is_none();
    let places = contexts::contexts(html, |index| piece(source, index));
    // A comment stays where it is between table rows, where a parser would move text out of the table.
    let commented = stand_ins::restore(html, |occurrence, index| {
        let word = stand_in(index);
        if places[occurrence] == Context::Text { format!("{COMMENT}{word}{COMMENT_END}") } else { word }
    });
    let options = InlineOptions {
        load_remote_stylesheets: false,
        keep_at_rules: style_tags,
        inline_style_tags: style_tags,
        keep_style_tags: !style_tags,
        extra_css: css.map(Into::into),
        ..InlineOptions::default()
    };
    let inlined = CSSInliner::new(options).inline(&mark_table_bodies(&commented)).map_err(|error| {
        vec![Diagnostic::error(
            "css",
            format!("the styles cannot be moved into the elements: {error}"),
            &source.start(),
        )]
    })?;
    let html = without_comments(&without_implied_bodies(&inlined));
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

/// Frames a stand-in that is carried as a comment; apart from what a template may write.
const COMMENT: &str = "<!--mlpc";
const COMMENT_END: &str = "cplm-->";
/// The same where a parser reads text alone, as in a title.
const WRITTEN_OUT: (&str, &str) = ("&lt;!--mlpc", "cplm--&gt;");

/// Takes the comments off the stand-ins.
fn without_comments(html: &str) -> String {
    [(COMMENT, COMMENT_END), WRITTEN_OUT]
        .iter()
        .fold(html.to_owned(), |html, (open, close)| html.replace(open, "").replace(close, ""))
}

/// Marks the table bodies that are written, since a parser adds those that are not.
const WRITTEN: &str = " data-mlpwritten=\"\"";

fn mark_table_bodies(html: &str) -> String {
    let mut marked = String::with_capacity(html.len() + 256);
    each_tag(html, |text, is_tag| {
        marked.push_str(text);
        if is_tag && text.to_ascii_lowercase().starts_with("<tbody") && !text.ends_with("/>") {
            marked.truncate(marked.len() - 1);
            marked.push_str(WRITTEN);
            marked.push('>');
        }
    });
    marked
}

/// A body that a parser added round the rows of a loop would begin in the loop and end after it.
fn without_implied_bodies(html: &str) -> String {
    let mut kept = String::with_capacity(html.len());
    let mut bodies = Vec::new();
    each_tag(html, |text, is_tag| {
        let is_kept = match text {
            tag if is_tag && tag.starts_with("<tbody") => {
                let written = tag.contains(WRITTEN);
                bodies.push(written);
                written
            }
            "</tbody>" if is_tag => bodies.pop().unwrap_or(true),
            _ => true,
        };
        if is_kept {
            kept.push_str(text);
        }
    });
    kept.replace(WRITTEN, "")
}

/// Hands out tags and what stands between them; comments and styles are no tags.
fn each_tag(html: &str, mut take: impl FnMut(&str, bool)) {
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        take(&rest[..at], false);
        rest = &rest[at..];
        let end = super::stretches::token_end(rest).unwrap_or(rest.len());
        take(&rest[..end], !rest.starts_with("<!"));
        rest = &rest[end..];
    }
    take(rest, false);
}
