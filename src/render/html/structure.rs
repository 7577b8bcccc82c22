//! Walks the elements of an MJML template and finds what MJML would drop, ignore or show to Outlook alone.

use std::collections::BTreeSet;
use std::ops::Range;

use html5gum::{DefaultEmitter, StartTag, Token, Tokenizer};

use super::components::{self, CONTAINERS, TAKE_RAW};
use crate::model::diagnostic::{Diagnostic, did_you_mean};
use crate::render::source::Source;
use crate::render::stand_ins::{self, Swapped};
use crate::render::tokenizer::SegmentKind;

/// What a walk finds; spans are bytes of the text that was walked.
#[derive(Default)]
pub(super) struct Found {
    pub(super) errors: Vec<Diagnostic>,
    pub(super) warnings: Vec<Diagnostic>,
    /// Contents of `<mj-style inline="inline">`.
    pub(super) inline_styles: Vec<Range<usize>>,
    /// Contents of `<mj-raw>` in `<mj-wrapper>` that are more than tags of liquid.
    pub(super) html_in_wrappers: Vec<Range<usize>>,
}

/// Checks the MJML that begins at `start` of the swapped text.
pub(super) fn check(source: &Source, swapped: &Swapped, start: usize) -> Found {
    let text = &swapped.text[start..];
    let tokens: Vec<Token<usize>> =
        Tokenizer::new_with_emitter(text, DefaultEmitter::<usize>::new_with_span()).filter_map(Result::ok).collect();
    let classes = tokens.iter().filter_map(class_name).collect();
    let mut walk =
        Walk { source, swapped, text, start, classes, open: Vec::new(), loops: Vec::new(), found: Found::default() };
    for token in &tokens {
        match token {
            Token::StartTag(tag) => walk.start(tag),
            Token::EndTag(tag) => walk.end(&String::from_utf8_lossy(&tag.name), tag.span.start),
            Token::String(words) => walk.text(&String::from_utf8_lossy(&words.value), words.span.start),
            _ => {}
        }
    }
    walk.found
}

/// The class that a `<mj-class>` declares.
fn class_name(token: &Token<usize>) -> Option<String> {
    match token {
        Token::StartTag(tag) if tag.name.as_slice() == b"mj-class" => attribute(tag, "name"),
        _ => None,
    }
}

fn attribute(tag: &StartTag<usize>, name: &str) -> Option<String> {
    tag.attributes.get(name.as_bytes()).map(|value| String::from_utf8_lossy(&value.value).into_owned())
}

/// An open component and where its content begins.
struct Open {
    name: String,
    content: usize,
    inlines: bool,
}

struct Walk<'a> {
    source: &'a Source,
    swapped: &'a Swapped,
    text: &'a str,
    start: usize,
    /// Every declared `mj-class`.
    classes: BTreeSet<String>,
    open: Vec<Open>,
    /// Open `for` tags: their segment and the depth of the component that holds them.
    loops: Vec<(usize, usize)>,
    found: Found,
}

impl Walk<'_> {
    fn error(&mut self, code: &'static str, message: String, span: Range<usize>, help: Option<String>) {
        let place = self.source.place(self.swapped.source_span(self.start + span.start..self.start + span.end));
        self.found.errors.push(Diagnostic::error(code, message, &place).with_optional_help(help));
    }

    /// How many components are open, not counting `mj-raw`.
    fn depth(&self) -> usize {
        self.open.iter().filter(|open| open.name != "mj-raw").count()
    }

    fn parent(&self) -> Option<&str> {
        self.open.last().map(|open| open.name.as_str())
    }

    fn start(&mut self, tag: &StartTag<usize>) {
        let name = String::from_utf8_lossy(&tag.name).into_owned();
        let at = tag.span.start + 1..tag.span.start + 1 + name.len();
        let is_component = name.starts_with("mj-") || name == "mjml";
        if !is_component {
            return self.html_element(&name, at);
        }
        if name == "mj-include" {
            let help = "write shared parts as HTML, and `{% include %}` them inside `<mj-text>` or `<mj-raw>`";
            return self.error("mjml", "MJML: `mj-include` is off".into(), at, Some(help.into()));
        }
        if !components::names().any(|known| known == name) {
            let help = did_you_mean(&name, components::names());
            self.error("mjml", format!("MJML: there is no component `<{name}>`"), at.clone(), help);
        }
        self.place_of_component(&name, at);
        self.attributes(&name, tag);
        self.loop_round_column(&name);
        if !tag.self_closing {
            let inlines = name == "mj-style" && attribute(tag, "inline").is_some_and(|value| value.trim() == "inline");
            self.open.push(Open { name, content: tag.span.end, inlines });
        }
    }

    /// An element of HTML where components stand: MJML drops it or shows it in one program alone.
    fn html_element(&mut self, name: &str, at: Range<usize>) {
        let Some(parent) = self.parent().filter(|parent| CONTAINERS.contains(parent)).map(ToOwned::to_owned) else {
            return;
        };
        let help = if TAKE_RAW.contains(&parent.as_str()) {
            format!("put it inside `<mj-text>` or `<mj-raw>`: `<mj-raw><{name}>...</{name}></mj-raw>`")
        } else {
            format!("`<{parent}>` holds components only")
        };
        self.error("mjml", format!("MJML: `<{name}>` stands between the components of `<{parent}>`"), at, Some(help));
    }

    fn place_of_component(&mut self, name: &str, at: Range<usize>) {
        let Some(parent) = self.parent().map(ToOwned::to_owned) else { return };
        let Some(children) = components::children(&parent) else { return };
        if children.contains(&name) || !components::names().any(|known| known == name) {
            return;
        }
        let message = format!("MJML: `<{name}>` cannot stand in `<{parent}>`");
        if name == "mj-raw" {
            return self.error("mjml", message, at, Some(help_without_raw(&parent)));
        }
        let place = self.source.place(self.swapped.source_span(self.start + at.start..self.start + at.end));
        let held: Vec<String> = children.iter().map(|child| format!("`<{child}>`")).collect();
        let help = format!("`<{parent}>` holds {}", held.join(", "));
        self.found.warnings.push(Diagnostic::warning("mjml", message, &place).with_help(help));
    }

    fn attributes(&mut self, name: &str, tag: &StartTag<usize>) {
        let known = components::attributes(name);
        for (written, value) in &tag.attributes {
            let written = String::from_utf8_lossy(written).into_owned();
            let at = value.span.start..value.span.start + written.len();
            if let Some(known) = known.as_ref().filter(|known| !known.contains(&written.as_str())) {
                // What liquid stands between attributes is told of elsewhere.
                if stand_ins::find(&written).is_empty() && !written.starts_with("xmlns") {
                    let help = did_you_mean(&written, known.iter().copied());
                    self.error(
                        "mjml-attribute",
                        format!("MJML: `<{name}>` has no attribute `{written}`"),
                        at.clone(),
                        help,
                    );
                }
            }
            if written != "mj-class" || name == "mj-class" {
                continue;
            }
            let value = String::from_utf8_lossy(&value.value).into_owned();
            for class in value.split_ascii_whitespace().filter(|class| stand_ins::find(class).is_empty()) {
                if !self.classes.contains(class) {
                    let help = did_you_mean(class, self.classes.iter().map(String::as_str))
                        .unwrap_or_else(|| format!("declare it: `<mj-attributes><mj-class name=\"{class}\" ... />`"));
                    self.error(
                        "mjml-class",
                        format!("MJML: there is no `mj-class` named `{class}`"),
                        at.clone(),
                        Some(help),
                    );
                }
            }
        }
    }

    fn loop_round_column(&mut self, name: &str) {
        let depth = self.depth();
        if name != "mj-column" {
            return;
        }
        let Some((index, _)) = self.loops.iter().find(|(_, held_by)| *held_by == depth) else { return };
        let place = self.source.place(self.source.segments[*index].span.clone());
        self.found.errors.push(
            Diagnostic::error(
                "loop-round-column",
                "a loop may not go round `<mj-column>`: widths are fixed when MJML compiles",
                &place,
            )
            .with_help("loop over rows inside one column, such as `<tr>` in `<mj-table>`"),
        );
    }

    fn end(&mut self, name: &str, at: usize) {
        let Some(position) = self.open.iter().rposition(|open| open.name == name) else { return };
        let content = self.open[position].content..at;
        if self.open[position].inlines {
            if let Some(rule) = self.text[content.clone()].find('@') {
                let message = "MJML: a rule that begins with `@` cannot be moved into the elements".to_owned();
                let help = "put it into a `<mj-style>` without `inline`".to_owned();
                self.error("mjml", message, content.start + rule..content.start + rule + 1, Some(help));
            }
            self.found.inline_styles.push(content);
        } else if name == "mj-raw"
            && position > 0
            && self.open[position - 1].name == "mj-wrapper"
            && self.is_more_than_tags(&content)
        {
            self.found.html_in_wrappers.push(content);
        }
        self.open.truncate(position);
    }

    /// Whether a stretch shows something itself.
    fn is_more_than_tags(&self, content: &Range<usize>) -> bool {
        let shown = stand_ins::restore(&self.text[content.clone()], |_, index| match self.source.segments.get(index) {
            Some(segment) if segment.kind == SegmentKind::Comment => String::new(),
            Some(segment) if segment.kind == SegmentKind::Tag => {
                let shows = matches!(segment.tag_name(&self.source.text), "include" | "render" | "cycle");
                if shows { "shown".into() } else { String::new() }
            }
            _ => "shown".into(),
        });
        !shown.trim().is_empty()
    }

    fn text(&mut self, words: &str, at: usize) {
        for (_, index) in stand_ins::find(words) {
            self.liquid(index);
        }
        let Some(parent) = self.parent().filter(|parent| CONTAINERS.contains(parent)).map(ToOwned::to_owned) else {
            return;
        };
        let shown = stand_ins::restore(words, |_, _| String::new());
        if !shown.trim().is_empty() {
            let blank = self.text[at..].len() - self.text[at..].trim_start().len();
            let message = format!("MJML: text stands between the components of `<{parent}>`, where it is dropped");
            self.error("mjml", message, at + blank..at + blank, Some("put it inside `<mj-text>`".into()));
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
        let parent = self.parent();
        let between = parent.is_none_or(|name| CONTAINERS.contains(&name));
        if !between || segment.kind == SegmentKind::Comment {
            return;
        }
        let text = &self.source.text[segment.span.clone()];
        let (message, help) = match parent {
            Some(parent) if TAKE_RAW.contains(&parent) => (
                format!("`{text}` stands between the components of `<{parent}>`, where MJML drops it"),
                format!("wrap it: `<mj-raw>{text}</mj-raw>`"),
            ),
            Some(parent) => (
                format!("`{text}` stands between the components of `<{parent}>`, where MJML drops it"),
                help_without_raw(parent),
            ),
            None => (
                format!("`{text}` stands after `</mjml>`, where MJML drops it"),
                format!("write it before `</mj-body>`: `<mj-raw>{text}</mj-raw>`"),
            ),
        };
        let place = self.source.place(segment.span.clone());
        self.found.errors.push(Diagnostic::error("liquid-between-components", message, &place).with_help(help));
    }
}

/// What works where `<mj-raw>` cannot stand.
fn help_without_raw(parent: &str) -> String {
    match parent {
        "mjml" => "write it before `<mjml>`, or inside `<mj-body>` in `<mj-raw>`".into(),
        "mj-attributes" | "mj-html-attributes" => {
            "attributes are fixed when MJML compiles: print the value in the attribute of each component instead, such as \
             `<mj-text color=\"{{ ... }}\">`"
                .into()
        }
        "mj-accordion-element" => "put the tags inside `<mj-accordion-title>` and `<mj-accordion-text>`".into(),
        parent => format!(
            "put the tags round the whole `<{parent}>`, each in its own `<mj-raw>`, with one `<{parent}>` per branch; for a \
             loop write HTML in `<mj-text>` or `<mj-table>`"
        ),
    }
}
