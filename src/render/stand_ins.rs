//! Swaps liquid segments for words that XML and HTML parsers carry through unharmed, and finds them again.

use std::ops::Range;

use super::tokenizer::{Segment, SegmentKind};

const OPEN: &str = "mlpq";
const CLOSE: &str = "qplm";

/// The word that stands in for the segment at `index`.
pub(super) fn stand_in(index: usize) -> String {
    format!("{OPEN}{index}{CLOSE}")
}

/// A template with its liquid swapped out.
pub(super) struct Swapped {
    /// The text with stand-ins.
    pub(super) text: String,
    /// Starts of segments in the swapped text and in the source, ascending.
    starts: Vec<(usize, usize)>,
}

impl Swapped {
    /// The bytes of the source for bytes of the swapped text.
    pub(super) fn source_span(&self, span: Range<usize>) -> Range<usize> {
        let position = |at: usize| {
            let index = self.starts.partition_point(|(swapped, _)| *swapped <= at).saturating_sub(1);
            self.starts.get(index).map_or(at, |(swapped, source)| source + (at - swapped))
        };
        let start = position(span.start);
        start..position(span.end).max(start)
    }
}

/// Swaps every liquid segment of `text` for what `word` makes of its index.
pub(super) fn swap(text: &str, segments: &[Segment], word: impl Fn(usize) -> String) -> Swapped {
    let mut swapped = String::with_capacity(text.len());
    let mut starts = Vec::with_capacity(segments.len());
    for (index, segment) in segments.iter().enumerate() {
        starts.push((swapped.len(), segment.span.start));
        if segment.kind == SegmentKind::Text {
            swapped.push_str(&text[segment.span.clone()]);
        } else {
            swapped.push_str(&word(index));
        }
    }
    Swapped { text: swapped, starts }
}

/// Every stand-in of `text` in order: its bytes and its segment.
pub(super) fn find(text: &str) -> Vec<(Range<usize>, usize)> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(offset) = text[from..].find(OPEN) {
        let start = from + offset;
        let digits = start + OPEN.len();
        let length = text[digits..].bytes().take_while(u8::is_ascii_digit).count();
        let end = digits + length;
        if text[end..].starts_with(CLOSE)
            && let Ok(index) = text[digits..end].parse()
        {
            found.push((start..end + CLOSE.len(), index));
        }
        from = end.max(start + 1);
    }
    found
}

/// Puts something in the place of every stand-in.
pub(super) fn restore(text: &str, mut replacement: impl FnMut(usize, usize) -> String) -> String {
    let mut restored = String::with_capacity(text.len() * 2);
    let mut position = 0;
    for (occurrence, (span, index)) in find(text).into_iter().enumerate() {
        restored.push_str(&text[position..span.start]);
        restored.push_str(&replacement(occurrence, index));
        position = span.end;
    }
    restored.push_str(&text[position..]);
    restored
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::tokenizer::tokenize;

    #[test]
    fn swaps_and_restores() {
        let text = "a {% if a < b %}<b>{{ c }}</b>{% endif %}";
        let segments = tokenize(text).expect("closed");
        let swapped = swap(text, &segments, stand_in);
        assert!(!swapped.text.contains('{'));
        let restored = restore(&swapped.text, |_, index| text[segments[index].span.clone()].to_owned());
        assert_eq!(restored, text);
        let at = swapped.text.find("<b>").expect("kept");
        assert_eq!(&text[swapped.source_span(at..at + 3)], "<b>");
        assert!(find("mlpq mlpq12 mlpqqplm qplm").is_empty());
    }
}
