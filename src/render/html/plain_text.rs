//! Makes the text part out of rendered HTML: what a reader sees, in the order it is seen.
//!
//! Links become `text (address)`, pictures their alternative text, list items get their mark, cells are kept apart, and
//! what is not shown (head, styles, scripts, comments, hidden elements) is left out.

use super::elements::{self, Name};
use super::ops::{Close, Gap, Op, Open, Words, push_gap, read};

/// The text of a whole piece of HTML.
pub(in crate::render) fn of_html(html: &str) -> String {
    let mut writer = Writer::default();
    writer.play(&read(html));
    writer.finish()
}

/// A list that is open.
enum List {
    Marks,
    Numbers(i64),
}

/// Plays [`Op`]s and writes text: lines trimmed, at most one empty line in a row, none at the ends.
#[derive(Default)]
pub(super) struct Writer {
    out: String,
    /// Line breaks before the next word.
    breaks: u8,
    gap: Gap,
    /// The mark of the list item whose first word is still to come.
    mark: Option<String>,
    /// Whether a cell ended before this one in its row.
    cell: bool,
    /// The open elements, and whether they are more than a stretch of text.
    stack: Vec<(Name, bool)>,
    /// How many `<p>` are open.
    paragraphs: usize,
    /// The depth of the outermost hidden element that is open.
    hidden: Option<usize>,
    links: Vec<Link>,
    /// Open lists and their depth.
    lists: Vec<(usize, List)>,
    /// The depth of the outermost `<pre>` that is open.
    preformatted: Option<usize>,
    /// Spaces of a `<pre>` before its next word.
    blanks: String,
}

/// An open link.
struct Link {
    depth: usize,
    address: String,
    /// Where its text begins, once it has any.
    start: Option<usize>,
}

impl Writer {
    /// A writer with room for a text of `bytes`.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self { out: String::with_capacity(bytes), ..Self::default() }
    }

    /// The text.
    pub(super) fn finish(mut self) -> String {
        self.pop_to(0);
        let length = self.out.trim_end().len();
        self.out.truncate(length);
        self.out
    }

    pub(super) fn play(&mut self, ops: &[Op]) {
        for op in ops {
            match op {
                Op::Text(words) => self.words(words),
                Op::Open(tag) => self.open(tag),
                Op::Close(tag) => self.close(tag),
            }
        }
    }

    /// Text that a picture stands for.
    pub(super) fn alternative(&mut self, text: &str) {
        if self.hidden.is_none() {
            self.words(&Words::new(text));
        }
    }

    /// Text that holds neither tags nor entities.
    pub(super) fn plain(&mut self, text: &str) {
        self.words(&Words::new(text));
    }

    fn is_in_head(&self) -> bool {
        self.stack.last().is_some_and(|(name, _)| *name == elements::HEAD)
    }

    fn words(&mut self, words: &Words) {
        if self.hidden.is_some() {
            if words.collapsed.is_empty() || !self.is_in_head() {
                return;
            }
            self.pop_to(self.stack.len() - 1);
        }
        if self.preformatted.is_some() {
            return self.written(words.written.as_deref().unwrap_or(&words.collapsed));
        }
        self.gap = self.gap.max(words.before);
        if !words.collapsed.is_empty() {
            self.before_word();
            self.out.push_str(&words.collapsed);
            self.gap = words.after;
        }
    }

    /// Text of a `<pre>`, whose lines and spaces are kept.
    fn written(&mut self, text: &str) {
        for (number, line) in text.split('\n').enumerate() {
            if number > 0 {
                self.breaks = self.breaks.saturating_add(1);
                self.gap = Gap::None;
            }
            let line = line.trim_end_matches('\r');
            if number > 0 {
                self.blanks.clear();
            }
            self.blanks.push_str(line);
            if !line.trim().is_empty() {
                self.before_word();
                self.out.push_str(&self.blanks);
                self.blanks.clear();
            }
        }
    }

    fn before_word(&mut self) {
        if self.out.is_empty() {
            // Nothing stands before it.
        } else if self.breaks > 0 {
            let length = self.out.trim_end_matches([' ', '\u{a0}']).len();
            self.out.truncate(length);
            for _ in 0..self.breaks.min(2) {
                self.out.push('\n');
            }
        } else {
            push_gap(&mut self.out, self.gap);
        }
        self.breaks = 0;
        self.gap = Gap::None;
        if let Some(mark) = self.mark.take() {
            self.out.push_str(&mark);
        }
        for link in self.links.iter_mut().rev().take_while(|link| link.start.is_none()) {
            link.start = Some(self.out.len());
        }
    }

    fn break_line(&mut self, count: u8) {
        if count == 0 {
            return;
        }
        self.gap = Gap::None;
        // A block at the start of a list item stands beside its mark.
        if self.mark.is_none() {
            self.breaks = self.breaks.max(count);
        }
    }

    fn is_in_svg(&self) -> bool {
        self.stack.iter().any(|(name, _)| *name == elements::SVG)
    }

    fn open(&mut self, tag: &Open) {
        if !tag.of_head && self.is_in_head() {
            self.pop_to(self.stack.len() - 1);
        }
        self.end_implied(tag);
        let shown = self.hidden.is_none();
        let is_empty = tag.void || (tag.self_closing && self.is_in_svg());
        if !is_empty && tag.name != elements::HTML {
            self.stack.push((tag.name, tag.special));
            self.paragraphs += usize::from(tag.name == elements::P);
            if tag.hidden && shown {
                self.hidden = Some(self.stack.len());
            }
        }
        if !shown || tag.hidden {
            return;
        }
        match tag.name {
            elements::BR => {
                self.gap = Gap::None;
                self.breaks = self.breaks.saturating_add(1);
            }
            elements::IMG => self.alternative(tag.detail.as_deref().unwrap_or_default()),
            elements::A => {
                let address = tag.detail.clone().unwrap_or_default();
                self.links.push(Link { depth: self.stack.len(), address, start: None });
            }
            elements::UL => self.open_list(List::Marks),
            elements::OL => {
                let first = tag.detail.as_deref().and_then(|start| start.trim().parse().ok()).unwrap_or(1);
                self.open_list(List::Numbers(first));
            }
            elements::LI => self.open_item(),
            elements::TR => {
                self.break_line(1);
                self.cell = false;
            }
            elements::TD | elements::TH => {
                self.gap = if self.cell { Gap::Cell } else { Gap::None };
                self.cell = false;
            }
            elements::PRE => {
                self.break_line(tag.breaks);
                self.preformatted = self.preformatted.or(Some(self.stack.len()));
                self.blanks.clear();
            }
            _ => self.break_line(tag.breaks),
        }
    }

    fn open_list(&mut self, list: List) {
        // Lists in lists follow each other line by line.
        self.break_line(if self.lists.is_empty() { 2 } else { 1 });
        self.mark = None;
        self.lists.push((self.stack.len(), list));
    }

    fn open_item(&mut self) {
        self.break_line(1);
        let indent = self.lists.len().saturating_sub(1).min(8) * 2;
        let mark = match self.lists.last_mut() {
            Some((_, List::Numbers(next))) => {
                *next = next.saturating_add(1);
                format!("{}. ", next.saturating_sub(1))
            }
            _ => "- ".to_owned(),
        };
        self.breaks = self.breaks.max(1);
        self.mark = Some(format!("{:indent$}{mark}", ""));
    }

    /// Ends what a start tag ends without an end tag.
    fn end_implied(&mut self, tag: &Open) {
        if tag.ends_paragraph
            && self.paragraphs > 0
            && let Some(at) = self.find(elements::P, true)
        {
            self.pop_to(at);
        }
        let (ended, stops) = elements::implied_ends(tag.name);
        let mut lowest = None;
        for (at, (name, _)) in self.stack.iter().enumerate().rev() {
            if ended.contains(name) {
                lowest = Some(at);
            } else if ended.is_empty() || stops.contains(name) {
                break;
            }
        }
        if let Some(at) = lowest {
            self.pop_to(at);
        }
    }

    /// Where an element is open, as far as an end tag reaches.
    fn find(&self, name: Name, special: bool) -> Option<usize> {
        let far = elements::is_of_table(name);
        for (at, (open, open_is_special)) in self.stack.iter().enumerate().rev() {
            if *open == name {
                return Some(at);
            }
            let stops = if far {
                *open == elements::TABLE
            } else {
                elements::is_barrier(*open) || (*open_is_special && !special)
            };
            if stops {
                return None;
            }
        }
        None
    }

    fn close(&mut self, tag: &Close) {
        let shown = self.hidden.is_none();
        if let Some(at) = self.find(tag.name, tag.special) {
            self.pop_to(at);
        } else if tag.name == elements::A {
            // A link that is closed inside a block it holds ends there.
            while let Some(link) = self.links.pop() {
                self.end_link(&link);
            }
        }
        if !shown || self.hidden.is_some() {
            return;
        }
        match tag.name {
            elements::UL | elements::OL if !self.lists.is_empty() => self.break_line(1),
            elements::BR => self.breaks = self.breaks.saturating_add(1),
            _ => self.break_line(tag.breaks),
        }
    }

    /// Closes the elements from `depth` on.
    fn pop_to(&mut self, depth: usize) {
        for (name, _) in &self.stack[depth..] {
            self.paragraphs -= usize::from(*name == elements::P);
            if self.hidden.is_none() && matches!(*name, elements::TD | elements::TH) {
                self.cell = !self.out.is_empty();
            }
        }
        self.stack.truncate(depth);
        self.hidden = self.hidden.filter(|hidden| *hidden <= depth);
        self.preformatted = self.preformatted.filter(|open| *open <= depth);
        while self.links.last().is_some_and(|link| link.depth > depth) {
            if let Some(link) = self.links.pop() {
                self.end_link(&link);
            }
        }
        while self.lists.last().is_some_and(|(at, _)| *at > depth) {
            self.lists.pop();
            self.mark = None;
        }
    }

    fn end_link(&mut self, link: &Link) {
        let label = link.start.and_then(|start| self.out.get(start..)).unwrap_or_default().trim();
        let address = link.address.trim();
        let shown = address.strip_prefix("mailto:").or(address.strip_prefix("tel:")).unwrap_or(address);
        if address.is_empty() || address.starts_with('#') || shown == label {
            return;
        }
        if label.is_empty() {
            let stands_apart = self.out.is_empty() || self.gap != Gap::None || self.breaks > 0;
            self.gap = Gap::Space;
            self.push_address(address);
            self.gap = if stands_apart { Gap::Space } else { Gap::None };
            return;
        }
        // The address stands beside its text, before whatever follows the last block of the link.
        let (breaks, mark, gap) = (std::mem::take(&mut self.breaks), self.mark.take(), self.gap);
        self.gap = Gap::Space;
        self.push_address(address);
        (self.breaks, self.mark, self.gap) = (breaks, mark, gap);
    }

    fn push_address(&mut self, address: &str) {
        self.before_word();
        self.out.push('(');
        for letter in address.chars() {
            match letter {
                // A space would end the link in a mail program.
                letter if letter.is_whitespace() || letter.is_control() => self.out.push_str("%20"),
                letter => self.out.push(letter),
            }
        }
        self.out.push(')');
    }
}

#[cfg(test)]
#[path = "plain_text_tests.rs"]
mod tests;
