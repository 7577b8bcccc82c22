//! HTML read into steps: what the text part needs to know of each tag and text, judged once.
//!
//! Pieces that never change are read when a template compiles; a writer plays their steps for every mail.

use html5gum::{DefaultEmitter, StartTag, Token, Tokenizer};

use super::elements::{self, Name};

/// A step of reading HTML.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// Text, its entities read.
    Text(Words),
    /// A start tag.
    Open(Box<Open>),
    /// An end tag.
    Close(Close),
}

/// Text with its white space judged once.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Words {
    /// As it is written, for `<pre>`, where that differs.
    pub(super) written: Option<Box<str>>,
    /// With each run of white space cut to one space, and none at the ends.
    pub(super) collapsed: Box<str>,
    pub(super) before: Gap,
    pub(super) after: Gap,
}

/// White space beside words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Gap {
    #[default]
    None,
    /// One no-break space.
    Fixed,
    Space,
    /// Between two cells of a row.
    Cell,
}

/// What matters of a start tag.
#[derive(Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is one fact of HTML, and they do not depend on each other")]
pub(super) struct Open {
    pub(super) name: Name,
    pub(super) hidden: bool,
    pub(super) void: bool,
    pub(super) self_closing: bool,
    pub(super) of_head: bool,
    pub(super) ends_paragraph: bool,
    pub(super) special: bool,
    pub(super) breaks: u8,
    /// The address of a link, the alternative text of a picture or the first number of a list.
    pub(super) detail: Option<String>,
}

/// What matters of an end tag.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Close {
    pub(super) name: Name,
    pub(super) special: bool,
    pub(super) breaks: u8,
}

/// Reads HTML that neither begins nor ends within a tag.
pub(super) fn read(html: &str) -> Vec<Op> {
    let mut emitter = DefaultEmitter::default();
    emitter.naively_switch_states(true);
    let mut ops = Vec::new();
    for token in Tokenizer::new_with_emitter(html, emitter) {
        match token {
            Ok(Token::StartTag(tag)) => ops.push(Op::Open(Box::new(Open::new(&tag)))),
            Ok(Token::EndTag(tag)) => {
                let name = String::from_utf8_lossy(&tag.name);
                ops.push(Op::Close(Close {
                    name: elements::name(&name),
                    special: elements::is_special(&name),
                    breaks: elements::breaks_around(&name),
                }));
            }
            Ok(Token::String(text)) => ops.push(Op::Text(Words::new(&String::from_utf8_lossy(&text)))),
            _ => {}
        }
    }
    ops
}

impl Open {
    fn new(tag: &StartTag<()>) -> Self {
        let name = String::from_utf8_lossy(&tag.name);
        let name = name.as_ref();
        let attribute = |wanted: &str| {
            tag.attributes.get(wanted.as_bytes()).map(|value| String::from_utf8_lossy(value).into_owned())
        };
        let detail = match name {
            "a" => attribute("href"),
            "img" => attribute("alt"),
            "ol" => attribute("start"),
            _ => None,
        };
        Self {
            hidden: elements::is_never_shown(name)
                || tag.attributes.contains_key("hidden".as_bytes())
                || attribute("style").is_some_and(|style| elements::is_hidden_by(&style)),
            void: elements::is_void(name),
            self_closing: tag.self_closing,
            of_head: elements::is_of_head(name),
            ends_paragraph: elements::ends_paragraph(name),
            special: elements::is_special(name),
            breaks: elements::breaks_around(name),
            name: elements::name(name),
            detail,
        }
    }
}

/// Characters that nobody sees, wherever they stand.
fn is_invisible(letter: char) -> bool {
    matches!(letter, '\u{ad}' | '\u{34f}' | '\u{180e}' | '\u{200b}' | '\u{2060}' | '\u{feff}')
}

impl Words {
    pub(super) fn new(text: &str) -> Self {
        let mut collapsed = String::with_capacity(text.len());
        let (mut before, mut gap) = (Gap::None, Gap::None);
        for letter in text.chars().filter(|letter| !is_invisible(*letter)) {
            if letter.is_whitespace() {
                gap = if letter == '\u{a0}' && gap == Gap::None { Gap::Fixed } else { Gap::Space };
            } else if gap == Gap::None || !is_joiner(letter) {
                if collapsed.is_empty() {
                    before = gap;
                } else {
                    push_gap(&mut collapsed, gap);
                }
                gap = Gap::None;
                collapsed.push(letter);
            }
        }
        if collapsed.chars().all(is_joiner) {
            collapsed.clear();
            before = before.max(gap);
        }
        let written = (collapsed != text).then(|| text.into());
        Self { written, collapsed: collapsed.into(), before, after: gap }
    }
}

/// Characters that join the letters beside them, and nothing where there are none.
fn is_joiner(letter: char) -> bool {
    matches!(letter, '\u{200c}' | '\u{200d}')
}

pub(super) fn push_gap(out: &mut String, gap: Gap) {
    out.push_str(match gap {
        Gap::None => "",
        Gap::Fixed => "\u{a0}",
        Gap::Space => " ",
        Gap::Cell => "  ",
    });
}
