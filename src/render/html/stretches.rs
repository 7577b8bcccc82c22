//! One pass of liquid makes both parts: what never changes in a template is cut out and read once, a short mark stands
//! for it while liquid runs, and the HTML and its text are assembled from what liquid gave.

use crate::render::liquid::LARGEST_PART;
use std::collections::HashMap;

use super::elements;
use super::ops::{self, Op};
use super::plain_text::Writer;

/// Frames the number of a stretch.
const STRETCH: char = '\u{1}';
const STRETCH_END: char = '\u{2}';
/// Frames a picture made of HTML: the text it stands for, then the HTML.
const PICTURE: char = '\u{3}';
const PICTURE_HTML: char = '\u{4}';
const PICTURE_END: char = '\u{5}';

/// Whether a character is one of the marks, which no template and no value may hold.
pub(in crate::render) fn is_mark(letter: char) -> bool {
    (STRETCH..=PICTURE_END).contains(&letter)
}

/// HTML that draws something, with the text that says the same.
pub(in crate::render) fn picture(text: &str, html: &str) -> String {
    format!("{PICTURE}{text}{PICTURE_HTML}{html}{PICTURE_END}")
}

/// The stretches of a template and its partials that never change.
#[derive(Debug, Default)]
pub(in crate::render) struct Stretches {
    list: Vec<Stretch>,
    numbers: HashMap<String, usize>,
}

/// HTML that never changes.
#[derive(Debug, Default)]
struct Stretch {
    html: String,
    /// What it says, by how many of its bytes end a tag that something before it opened.
    readings: Vec<(usize, Reading)>,
}

/// What the end of a stretch says.
#[derive(Debug)]
struct Reading {
    ops: Vec<Op>,
    /// Where the last tag begins that it does not end.
    open: usize,
}

impl Reading {
    fn new(html: &str, from: usize) -> Self {
        let open = from + complete(&html[from..]);
        Self { ops: ops::read(&html[from..open]), open }
    }
}

impl Stretches {
    /// The mark of a stretch; `before` is the tag that is open where it begins, and becomes what is open at its end.
    pub(in crate::render) fn mark(&mut self, html: &str, before: &mut String) -> String {
        let number = *self.numbers.entry(html.to_owned()).or_insert_with(|| {
            self.list.push(Stretch { html: html.to_owned(), readings: Vec::new() });
            self.list.len() - 1
        });
        let length = before.len();
        before.push_str(html);
        let from = if length == 0 { Some(0) } else { token_end(before).map(|end| end.max(length) - length) };
        if let Some(from) = from {
            let readings = &mut self.list[number].readings;
            if !readings.iter().any(|(known, _)| *known == from) {
                readings.push((from, Reading::new(html, from)));
            }
            let open = readings.iter().find(|(known, _)| *known == from).map_or(html.len(), |(_, read)| read.open);
            html[open..].clone_into(before);
        }
        format!("{STRETCH}{number}{STRETCH_END}")
    }

    /// The HTML part and, where it is wanted, the text part of what liquid gave.
    pub(in crate::render) fn assemble(&self, given: &str, wants_text: bool, html_bytes: usize) -> (String, String) {
        let mut parts =
            Parts { html: String::with_capacity(html_bytes), open: String::new(), writer: Writer::with_capacity(4096) };
        let mut rest = given;
        while let Some(at) = rest.find(is_frame) {
            // What is too long is refused by whoever asked; the rest of it is not made.
            if parts.html.len() > LARGEST_PART {
                break;
            }
            parts.dynamic(&rest[..at], wants_text);
            let framed = &rest[at + 1..];
            rest = if rest[at..].starts_with(STRETCH) {
                let (number, after) = framed.split_once(STRETCH_END).unwrap_or((framed, ""));
                if let Some(stretch) = number.parse().ok().and_then(|number: usize| self.list.get(number)) {
                    parts.fixed(stretch, wants_text);
                }
                after
            } else if rest[at..].starts_with(PICTURE) {
                let (picture, after) = framed.split_once(PICTURE_END).unwrap_or((framed, ""));
                parts.picture(picture, wants_text);
                after
            } else {
                framed
            };
        }
        parts.dynamic(rest, wants_text);
        (parts.html, parts.writer.finish())
    }
}

fn is_frame(letter: char) -> bool {
    is_mark(letter)
}

/// Both parts while they are assembled.
struct Parts {
    html: String,
    /// A tag, comment or style that began and is not ended yet.
    open: String,
    writer: Writer,
}

impl Parts {
    fn dynamic(&mut self, html: &str, wants_text: bool) {
        if html.is_empty() {
            return;
        }
        self.html.push_str(html);
        if wants_text {
            self.read(html);
        }
    }

    fn fixed(&mut self, stretch: &Stretch, wants_text: bool) {
        self.html.push_str(&stretch.html);
        if !wants_text {
            return;
        }
        for (from, reading) in &stretch.readings {
            if self.ends_with(&stretch.html[..*from]) {
                self.writer.play(&reading.ops);
                self.open.push_str(&stretch.html[reading.open..]);
                return;
            }
        }
        self.read(&stretch.html);
    }

    /// Whether `rest` is all that was missing of the open tag; if so, the tag is read.
    fn ends_with(&mut self, rest: &str) -> bool {
        if rest.is_empty() || self.open.is_empty() {
            return rest.is_empty() && self.open.is_empty();
        }
        let length = self.open.len();
        self.open.push_str(rest);
        if token_end_after(&self.open, length) == Some(self.open.len()) {
            self.writer.play(&ops::read_tag(&self.open));
            self.open.clear();
            return true;
        }
        self.open.truncate(length);
        false
    }

    fn picture(&mut self, picture: &str, wants_text: bool) {
        let (text, html) = picture.split_once(PICTURE_HTML).unwrap_or(("", picture));
        self.html.push_str(html);
        if wants_text && self.open.is_empty() {
            self.writer.alternative(text);
        }
    }

    /// Reads HTML that was not read before.
    fn read(&mut self, html: &str) {
        let mut rest = html;
        if !self.open.is_empty() {
            let length = self.open.len();
            self.open.push_str(html);
            let Some(end) = token_end_after(&self.open, length) else { return };
            self.writer.play(&ops::read_tag(&self.open[..end]));
            self.open.clear();
            rest = &html[end.max(length) - length..];
        }
        if !rest.contains(['<', '&']) {
            return self.writer.plain(rest);
        }
        let end = complete(rest);
        self.writer.play(&ops::read(&rest[..end]));
        self.open.push_str(&rest[end..]);
    }
}

/// How many bytes of a text stand before the tag that it does not end.
fn complete(html: &str) -> usize {
    let mut at = 0;
    while let Some(offset) = html[at..].find('<') {
        at += offset;
        match token_end(&html[at..]) {
            Some(length) => at += length,
            None => return at,
        }
    }
    html.len()
}

/// Where the tag ends with which a text begins; a style or script ends with its end tag.
pub(super) fn token_end(html: &str) -> Option<usize> {
    token_end_after(html, 0)
}

/// The same where the first `seen` bytes are known not to end it.
fn token_end_after(html: &str, seen: usize) -> Option<usize> {
    let rest = html.get(1..)?;
    match rest.bytes().next()? {
        b'!' if rest.starts_with("!--") => comment_end(html, seen),
        // What may become a comment is not yet told apart.
        b'!' if "!--".starts_with(rest) => None,
        b'/' if rest.len() == 1 => None,
        b'/' if rest.as_bytes()[1].is_ascii_alphabetic() => tag_end(html),
        b'!' | b'?' | b'/' => html.find('>').map(|at| at + 1),
        letter if letter.is_ascii_alphabetic() => {
            let end = tag_end(html)?;
            let name = html[1..end].split(|letter: char| letter.is_ascii_whitespace() || matches!(letter, '/' | '>'));
            let name = name.into_iter().next().unwrap_or_default().to_ascii_lowercase();
            if elements::is_raw_text(&name) {
                raw_text_end(html, end.max(seen.saturating_sub(name.len() + 3)), &name)
            } else {
                Some(end)
            }
        }
        _ => Some(1),
    }
}

fn comment_end(html: &str, seen: usize) -> Option<usize> {
    let rest = &html[4..];
    if rest.starts_with('>') {
        return Some(5);
    }
    if rest.starts_with("->") {
        return Some(6);
    }
    let mut at = html.floor_char_boundary(seen.saturating_sub(4).max(4));
    while let Some(offset) = html[at..].find("--") {
        at += offset;
        for mark in ["-->", "--!>"] {
            if html[at..].starts_with(mark) {
                return Some(at + mark.len());
            }
        }
        at += 1;
    }
    None
}

/// Where a tag ends, outside of the quotes of its attributes.
fn tag_end(html: &str) -> Option<usize> {
    let mut quote = None;
    let mut expects_value = false;
    for (at, byte) in html.bytes().enumerate().skip(1) {
        match (quote, byte) {
            (Some(open), byte) => quote = (byte != open).then_some(open),
            (None, b'>') => return Some(at + 1),
            (None, b'"' | b'\'') if expects_value => {
                quote = Some(byte);
                expects_value = false;
            }
            (None, b'=') => expects_value = true,
            (None, byte) => expects_value = expects_value && byte.is_ascii_whitespace(),
        }
    }
    None
}

/// Where the end tag of an element ends whose content is text.
fn raw_text_end(html: &str, from: usize, name: &str) -> Option<usize> {
    let mut at = html.floor_char_boundary(from);
    while let Some(offset) = html[at..].find("</") {
        at += offset;
        let after = &html.as_bytes()[at + 2..];
        if after.len() > name.len()
            && after[..name.len()].eq_ignore_ascii_case(name.as_bytes())
            && (after[name.len()].is_ascii_whitespace() || matches!(after[name.len()], b'/' | b'>'))
        {
            return tag_end(&html[at..]).map(|length| at + length);
        }
        at += 2;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every way to cut a page in fixed and given pieces says the same.
    #[test]
    fn pieces_say_what_the_whole_says() {
        let pages = [
            "<p title=\"a>b\" style='color:red'>Hi <b>Ann</b> &amp; you</p><!-- x > y --><ul><li>one<li>two</ul>",
            "<style>p > a { }</style><a href='https://a.test/?a=1&amp;b=2'>Go</a><script>if (a<b) {}</script>",
            "<!--[if mso]><td><![endif]--><div style=\"display:none\">no</div>a < b<br>c<!-->d<table><tr><td>1<td>2</table>",
            "<title>a<b></title><textarea>x<y</textarea><p hidden>z</p><img alt=\"é\"><pre> a\n b</pre>",
        ];
        for page in pages {
            let whole = super::super::plain_text::of_html(page);
            let cuts: Vec<usize> = (0..=page.len()).filter(|at| page.is_char_boundary(*at)).collect();
            for first in &cuts {
                for second in cuts.iter().filter(|second| *second >= first) {
                    let pieces = [&page[..*first], &page[*first..*second], &page[*second..]];
                    // An entity that is cut is no entity; nor is a space that a tag's name or a comment begins with.
                    if pieces.concat() != page || page[..*first].ends_with("&am") {
                        continue;
                    }
                    let mut stretches = Stretches::default();
                    let mut open = String::new();
                    let mut given = String::new();
                    for (number, piece) in pieces.iter().enumerate() {
                        if number == 1 {
                            open.push_str(piece);
                            given.push_str(piece);
                        } else {
                            given.push_str(&stretches.mark(piece, &mut open));
                        }
                    }
                    let (html, text) = stretches.assemble(&given, true, 0);
                    assert_eq!(html, page);
                    let in_entity = [*first, *second].iter().any(|cut| {
                        page[..*cut]
                            .rfind('&')
                            .is_some_and(|at| page[at..].find(';').is_some_and(|end| at + end >= *cut))
                    });
                    if !in_entity {
                        assert_eq!(text, whole, "{pieces:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn pictures_have_a_text() {
        let stretches = Stretches::default();
        let (html, text) = stretches.assemble(&format!("a {} b", picture("[#]", "<table></table>")), true, 0);
        assert_eq!((html.as_str(), text.as_str()), ("a <table></table> b", "a [#] b"));
    }
}
