//! Makes the text part out of HTML in one pass over its tokens; stand-ins for liquid pass through in order.
//!
//! Links become `text (address)`, pictures their alternative text, cells are kept apart, and what is not shown
//! (head, styles, scripts, comments, hidden elements) is left out.

use html5gum::{DefaultEmitter, StartTag, Token, Tokenizer};

use super::stand_ins;

/// What a stand-in stands for, as far as layout is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// A value: counts as text.
    Value,
    /// A tag: invisible, breaks are judged across it.
    Control,
    /// A tag that later text depends on: kept even where nothing is shown.
    Assignment,
}

/// The text of a piece of HTML.
pub(super) fn of_html(html: &str) -> String {
    tidy(&with_stand_ins(html, |_| Standing::Value))
}

/// The text of HTML whose liquid is swapped for stand-ins, not yet tidied.
pub(super) fn with_stand_ins(html: &str, standing: impl Fn(usize) -> Standing) -> String {
    let mut emitter = DefaultEmitter::default();
    emitter.naively_switch_states(true);
    let mut writer =
        Writer { standing, out: String::new(), space: false, cell: false, hidden: None, links: Vec::new() };
    for token in Tokenizer::new_with_emitter(html, emitter) {
        match token {
            Ok(Token::StartTag(tag)) => writer.open(&tag),
            Ok(Token::EndTag(tag)) => writer.close(&String::from_utf8_lossy(&tag.name)),
            Ok(Token::String(text)) => writer.text(&String::from_utf8_lossy(&text)),
            _ => {}
        }
    }
    writer.out
}

/// Lines trimmed, at most two spaces and one empty line in a row, no empty lines at the ends.
pub(super) fn tidy(text: &str) -> String {
    let mut tidied = String::with_capacity(text.len());
    let mut empty = 0;
    for line in text.split('\n') {
        let line = line.trim_matches([' ', '\t', '\r', '\u{a0}', '\u{200b}', '\u{feff}']);
        if line.is_empty() {
            empty += 1;
            continue;
        }
        if !tidied.is_empty() {
            tidied.push_str(if empty > 0 { "\n\n" } else { "\n" });
        }
        empty = 0;
        push_spaced(&mut tidied, line);
    }
    tidied
}

/// Adds a line with its longer gaps, left by empty cells and untaken branches, cut to two spaces.
fn push_spaced(tidied: &mut String, line: &str) {
    let mut rest = line;
    while let Some(at) = rest.find("   ") {
        tidied.push_str(&rest[..at + 2]);
        rest = rest[at..].trim_start_matches(' ');
    }
    tidied.push_str(rest);
}

struct Writer<F> {
    standing: F,
    out: String,
    /// Whether white space was seen since the last word.
    space: bool,
    /// Whether a cell ended before this one in its row.
    cell: bool,
    /// The hidden element being skipped and how often its name is open.
    hidden: Option<(String, usize)>,
    links: Vec<(String, usize)>,
}

const VOID: [&str; 8] = ["br", "hr", "img", "input", "link", "meta", "col", "wbr"];

impl<F: Fn(usize) -> Standing> Writer<F> {
    fn open(&mut self, tag: &StartTag<()>) {
        let name = String::from_utf8_lossy(&tag.name).into_owned();
        if let Some((hidden, depth)) = &mut self.hidden {
            *depth += usize::from(*hidden == name && !tag.self_closing);
            return;
        }
        if is_hidden(&name, tag) && !VOID.contains(&name.as_str()) {
            self.hidden = Some((name, 1));
            return;
        }
        match name.as_str() {
            "br" => self.line(),
            "img" => self.text(&attribute(tag, "alt").unwrap_or_default()),
            "a" => self.links.push((attribute(tag, "href").unwrap_or_default(), self.out.len())),
            "li" => {
                self.breaks(1);
                self.out.push_str("- ");
            }
            "tr" => {
                self.breaks(1);
                self.cell = false;
            }
            "td" | "th" => self.next_cell(),
            _ => self.breaks(breaks_around(&name)),
        }
    }

    fn close(&mut self, name: &str) {
        if let Some((hidden, depth)) = &mut self.hidden {
            *depth -= usize::from(*hidden == name);
            if *depth == 0 {
                self.hidden = None;
            }
            return;
        }
        match name {
            "a" => self.link_end(),
            "li" | "tr" => self.breaks(1),
            "td" | "th" => self.cell = true,
            _ => self.breaks(breaks_around(name)),
        }
    }

    fn text(&mut self, text: &str) {
        if self.hidden.is_some() {
            for (span, index) in stand_ins::find(text) {
                if (self.standing)(index) == Standing::Assignment {
                    self.out.push_str(&text[span]);
                }
            }
            return;
        }
        for letter in text.chars() {
            if letter.is_whitespace() && letter != '\u{a0}' {
                self.space = true;
                continue;
            }
            if self.space && !self.out.is_empty() && !self.out.ends_with('\n') {
                self.out.push(' ');
            }
            self.space = false;
            self.out.push(letter);
        }
    }

    fn link_end(&mut self) {
        let Some((href, start)) = self.links.pop() else { return };
        let label = self.out.get(start..).unwrap_or_default().trim().to_owned();
        let href = href.trim();
        let shown = href.strip_prefix("mailto:").unwrap_or(href);
        if !href.is_empty() && !href.starts_with('#') && shown != label {
            self.space = !label.is_empty();
            self.text(&format!("({href})"));
        }
    }

    fn next_cell(&mut self) {
        if self.cell && !self.out.trim_end_matches(' ').ends_with('\n') {
            self.out.push_str("  ");
        }
        self.cell = false;
        self.space = false;
    }

    fn line(&mut self) {
        self.out.push('\n');
        self.space = false;
    }

    /// Ends the line, with an empty one after it for `count` 2; tags of liquid do not count as text.
    fn breaks(&mut self, count: usize) {
        if count == 0 {
            return;
        }
        self.space = false;
        let mut seen: &str = self.out.trim_end_matches(' ');
        let mut present = 0;
        loop {
            let without = seen.trim_end_matches(['\n', ' ']);
            present += seen[without.len()..].matches('\n').count();
            match stand_ins::find(tail(without)).last() {
                Some((span, index))
                    if tail(without).len() == span.end && (self.standing)(*index) != Standing::Value =>
                {
                    seen = &without[..without.len() - span.len()];
                }
                _ => {
                    seen = without;
                    break;
                }
            }
        }
        if seen.is_empty() {
            return;
        }
        for _ in present..count {
            self.out.push('\n');
        }
    }
}

/// Enough of the end of a text to hold a stand-in.
fn tail(text: &str) -> &str {
    &text[text.ceil_char_boundary(text.len().saturating_sub(40))..]
}

/// How many line breaks an element is surrounded by.
fn breaks_around(name: &str) -> usize {
    match name {
        "p" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "ul" | "ol" | "div" | "table" | "blockquote" | "section"
        | "hr" => 2,
        "header" | "footer" | "article" | "center" | "body" | "tbody" | "thead" | "tfoot" | "pre" | "address" => 1,
        _ => 0,
    }
}

fn attribute(tag: &StartTag<()>, name: &str) -> Option<String> {
    tag.attributes.get(name.as_bytes()).map(|value| String::from_utf8_lossy(value).into_owned())
}

fn is_hidden(name: &str, tag: &StartTag<()>) -> bool {
    let style = attribute(tag, "style").unwrap_or_default().to_ascii_lowercase().replace(' ', "");
    matches!(name, "head" | "style" | "script" | "title" | "template" | "noscript" | "svg")
        || style.contains("display:none")
        || tag.attributes.contains_key("hidden".as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_a_reader_sees() {
        for (html, text) in [
            ("", ""),
            ("<p>Hi  <b>Ann</b>,\n you</p><p>did it</p>", "Hi Ann, you\n\ndid it"),
            ("<a href=\"https://a.test/?a=1&amp;b=2\">Go</a>", "Go (https://a.test/?a=1&b=2)"),
            (
                "<a href=\"https://a.test\">https://a.test</a> <a href=\"mailto:a@b.test\">a@b.test</a>",
                "https://a.test a@b.test",
            ),
            ("<a href=\"https://a.test\"><img alt=\"Badge\" src=x></a>", "Badge (https://a.test)"),
            ("<ul><li>one</li><li>two</li></ul>", "- one\n- two"),
            (
                "<table><tr><td>Logins</td><td>12</td></tr><tr><td>Polls</td><td>3</td></tr></table>",
                "Logins  12\nPolls  3",
            ),
            ("<head><title>t</title><style>p{}</style></head><div style=\"display: none\">x<div>y</div></div>z", "z"),
            ("a<!-- b --><!--[if mso]><p>c</p><![endif]-->d", "ad"),
            ("&lt;b&gt; &amp; caf&eacute;", "<b> & café"),
            ("one<br>two<br/><br>three", "one\ntwo\n\nthree"),
            ("<script>alert(1)</script>ok<p>", "ok"),
        ] {
            assert_eq!(of_html(html), text, "{html}");
        }
    }

    #[test]
    fn rows_of_a_loop_stay_rows() {
        let html = "<table>mlpq0qplm<tr><td>mlpq1qplm</td><td>x</td></tr>mlpq2qplm</table>";
        let standing = |index| if index == 1 { Standing::Value } else { Standing::Control };
        assert_eq!(with_stand_ins(html, standing), "mlpq0qplmmlpq1qplm  x\nmlpq2qplm\n");
    }

    #[test]
    fn tidies() {
        assert_eq!(tidy("\n\n a \n\n\n\nb    x  y\n c\n\n"), "a\n\nb  x  y\nc");
    }
}
