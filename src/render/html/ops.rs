//! HTML read into steps: what the text part needs to know of each tag and text, judged once.
//!
//! Pieces that never change are read when a template compiles; a writer plays their steps for every mail.

use std::borrow::Cow;

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

/// Reads one whole tag, as most tags are that a mail completes.
pub(super) fn read_tag(tag: &str) -> Vec<Op> {
    match start_tag(tag) {
        Some(open) => vec![Op::Open(Box::new(open))],
        None => read(tag),
    }
}

/// A start tag whose attributes are quoted and hold no entity but those that escaping writes; others are left to [`read`].
fn start_tag(tag: &str) -> Option<Open> {
    let inside = tag.strip_prefix('<')?.strip_suffix('>')?;
    let end =
        inside.find(|letter: char| !letter.is_ascii_lowercase() && !letter.is_ascii_digit()).unwrap_or(inside.len());
    let (name, mut rest) = inside.split_at(end);
    if name.is_empty() || elements::is_raw_text(name) {
        return None;
    }
    let mut facts = Facts::default();
    loop {
        rest = rest.trim_ascii_start();
        if rest.is_empty() || rest == "/" {
            facts.self_closing = !rest.is_empty();
            return Some(Open::of(name, facts));
        }
        let equals = rest.find('=')?;
        let attribute = &rest[..equals];
        if attribute.is_empty()
            || !attribute.bytes().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'-' | b':'))
        {
            return None;
        }
        let quote = rest[equals + 1..].chars().next().filter(|letter| matches!(letter, '"' | '\''))?;
        let value = &rest[equals + 2..];
        let end = value.find(quote)?;
        facts.attribute(name, attribute, &unescaped(&value[..end])?)?;
        rest = &value[end + 1..];
        if !rest.is_empty() && !rest.starts_with(|letter: char| letter.is_ascii_whitespace() || letter == '/') {
            return None;
        }
    }
}

/// The text that escaping made a value of; `None` for any other entity.
fn unescaped(value: &str) -> Option<Cow<'_, str>> {
    if value.contains(['\0', '\r']) {
        return None;
    }
    let Some(first) = value.find('&') else { return Some(Cow::Borrowed(value)) };
    let mut text = value[..first].to_owned();
    let mut rest = &value[first..];
    while let Some(at) = rest.find('&') {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        let entities = [("&amp;", '&'), ("&lt;", '<'), ("&gt;", '>'), ("&quot;", '"'), ("&#39;", '\'')];
        let (entity, letter) = entities.iter().find(|(entity, _)| rest.starts_with(entity))?;
        text.push(*letter);
        rest = &rest[entity.len()..];
    }
    text.push_str(rest);
    Some(Cow::Owned(text))
}

/// What the attributes of a start tag say.
#[derive(Default)]
struct Facts {
    hidden: bool,
    self_closing: bool,
    seen_style: bool,
    detail: Option<String>,
}

impl Facts {
    /// Takes an attribute; `None` when it is there twice.
    fn attribute(&mut self, element: &str, name: &str, value: &str) -> Option<()> {
        match (element, name) {
            (_, "hidden") => self.hidden = true,
            (_, "style") => {
                if self.seen_style {
                    return None;
                }
                self.seen_style = true;
                self.hidden |= elements::is_hidden_by(value);
            }
            ("a", "href") | ("img", "alt") | ("ol", "start") => {
                if self.detail.is_some() {
                    return None;
                }
                self.detail = Some(value.to_owned());
            }
            _ => {}
        }
        Some(())
    }
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
        let mut facts = Facts { self_closing: tag.self_closing, ..Facts::default() };
        for (attribute, value) in &tag.attributes {
            // The tokenizer keeps the first of each name.
            let _ = facts.attribute(&name, &String::from_utf8_lossy(attribute), &String::from_utf8_lossy(value));
        }
        Self::of(&name, facts)
    }

    fn of(name: &str, facts: Facts) -> Self {
        Self {
            hidden: facts.hidden || elements::is_never_shown(name),
            void: elements::is_void(name),
            self_closing: facts.self_closing,
            of_head: elements::is_of_head(name),
            ends_paragraph: elements::ends_paragraph(name),
            special: elements::is_special(name),
            breaks: elements::breaks_around(name),
            name: elements::name(name),
            detail: facts.detail,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_reads_alike_on_both_ways() {
        for (tag, is_short) in [
            ("<a href=\"https://a.test/?a=1&amp;b=%20\">", true),
            ("<a class='x' href='https://a.test'>", true),
            ("<p style=\"color:red;display:none\">", true),
            ("<img alt=\"it&#39;s &lt;b&gt; &quot;x&quot;\" src=\"https://a.test\" />", true),
            ("<td hidden=\"\">", true),
            ("<ol start=\"3\">", true),
            ("<br>", true),
            ("<a href=https://a.test>", false),
            ("<p hidden>", false),
            ("<A HREF=\"https://a.test\">", false),
            ("<a href=\"&copy;\">", false),
            ("<a href=\"a\" href=\"b\">", false),
            ("<a href = \"a\">", false),
            ("<p style=\"\" style=\"display:none\">", false),
            ("</a>", false),
            ("<!-- <a> -->", false),
            ("<title>x</title>", false),
            ("<a href=\"a\"title=\"b\">", false),
        ] {
            assert_eq!(read_tag(tag), read(tag), "{tag}");
            assert_eq!(start_tag(tag).is_some(), is_short, "{tag}");
        }
    }
}
