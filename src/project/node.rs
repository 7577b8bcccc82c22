//! A YAML file as a tree in which every key and value knows its place; the only file that speaks to the YAML crate.
//!
//! Guarantees: duplicate keys are reported at both places and the first one stays; whatever the parser refuses becomes
//! one finding at its line and column; hostile input (alias bombs, deep nesting, huge files) ends in a finding too.

mod tags;

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Number;
use serde_saphyr::{
    DuplicateKeyPolicy, Location, MessageFormatter, NonFiniteFloatPolicy, Spanned, UserMessageFormatter,
};

use super::read::quoted;
use crate::model::diagnostic::{Diagnostic, Located, Place, SourceFile};

/// Far above any file a person writes, far below what costs memory.
const MAX_NODES: usize = 50_000;
const MAX_DEPTH: usize = 32;
const MAX_ALIASES: usize = 500;

/// A value and where it stands. The place of a text is its content without the quotes wherever both are the same
/// bytes, so that offsets into the text are offsets into the file.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// What it holds.
    pub(super) content: Content,
    /// Where it stands.
    pub(super) place: Place,
}

/// What a node holds; scalars keep the type YAML gives them.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// Nothing after the colon, `~` or `null`.
    Null,
    /// `true` or `false`; `yes` and `no` are text.
    Boolean(bool),
    /// A finite number; `.inf` and `.nan` are text.
    Number(Number),
    /// Any other scalar.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping in written order, each key once.
    Map(Vec<Entry>),
}

/// One key of a mapping and its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// The key.
    pub(super) key: Located<String>,
    /// The value.
    pub(super) value: Node,
}

impl Node {
    /// Reads a whole file; `None` when it is no YAML. An empty file is an empty map.
    pub(super) fn parse(file: &Arc<SourceFile>, findings: &mut Vec<Diagnostic>) -> Option<Self> {
        let options = serde_saphyr::options! {
            budget: serde_saphyr::budget! {
                max_nodes: MAX_NODES,
                max_depth: MAX_DEPTH,
                max_aliases: MAX_ALIASES,
            },
            alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_NODES },
            duplicate_keys: DuplicateKeyPolicy::PassThrough,
            strict_booleans: true,
            leading_zero_numbers_as_strings: true,
            non_finite_float_policy: NonFiniteFloatPolicy::AsString,
            with_snippet: false,
        };
        match serde_saphyr::from_str_with_options::<Spanned<Raw>>(&file.text, options) {
            Ok(raw) => {
                findings.extend(tags::findings(&raw, file));
                let mut node = locate(raw, file, findings);
                if matches!(node.content, Content::Null) {
                    node.content = Content::Map(Vec::new());
                }
                Some(node)
            }
            Err(error) => {
                let span = error.location().map_or(0..0, |location| span_of(location, &file.text));
                let message = format!("this cannot be read as YAML: {}", UserMessageFormatter.format_message(&error));
                findings.push(Diagnostic::error("yaml-syntax", message, &Place::new(file, span)));
                None
            }
        }
    }

    /// The entries of a map; none for anything else.
    pub(super) fn entries(&self) -> &[Entry] {
        match &self.content {
            Content::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|entry| entry.key.value == key).map(|entry| &entry.value)
    }

    /// The node under `overlay`: maps merge deep, everything else is replaced; places stay with the text they came from.
    pub(super) fn overlaid(&self, overlay: &Node) -> Node {
        let (Content::Map(base), Content::Map(over)) = (&self.content, &overlay.content) else {
            return overlay.clone();
        };
        let mut merged = base.clone();
        for entry in over {
            match merged.iter_mut().find(|present| present.key.value == entry.key.value) {
                Some(present) => {
                    present.value = present.value.overlaid(&entry.value);
                    present.key = entry.key.clone();
                }
                None => merged.push(entry.clone()),
            }
        }
        Node { content: Content::Map(merged), place: overlay.place.clone() }
    }

    /// Words for what stands here, as in "found a list".
    pub(super) fn description(&self) -> String {
        match &self.content {
            Content::Null => "nothing".into(),
            Content::Boolean(value) => format!("`{value}`"),
            Content::Number(number) => format!("the number {number}"),
            Content::Text(text) if text.trim().is_empty() => "empty text".into(),
            Content::Text(_) => "text".into(),
            Content::List(_) => "a list".into(),
            Content::Map(_) => "a map".into(),
        }
    }
}

/// The tree as the parser gives it, spans in characters and bytes.
enum Raw {
    Null,
    Boolean(bool),
    Number(Number),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a scalar, a list or a map")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Boolean(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Number(value.into()))
    }

    fn visit_i128<E: serde::de::Error>(self, value: i128) -> Result<Raw, E> {
        self.visit_f64(value as f64)
    }

    fn visit_u128<E: serde::de::Error>(self, value: u128) -> Result<Raw, E> {
        self.visit_f64(value as f64)
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Number::from_f64(value).map_or_else(|| Raw::Text(value.to_string()), Raw::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}

fn locate(raw: Spanned<Raw>, file: &Arc<SourceFile>, findings: &mut Vec<Diagnostic>) -> Node {
    let place = Place::new(file, span_of(raw.defined, &file.text));
    match raw.value {
        Raw::Null => Node { content: Content::Null, place },
        Raw::Boolean(value) => Node { content: Content::Boolean(value), place },
        Raw::Number(number) => Node { content: Content::Number(number), place },
        Raw::Text(text) => Node { place: content_place(place, &text), content: Content::Text(text) },
        Raw::List(items) => {
            let items = items.into_iter().map(|item| locate(item, file, findings)).collect();
            Node { content: Content::List(items), place }
        }
        Raw::Map(entries) => Node { content: Content::Map(locate_entries(entries, file, findings)), place },
    }
}

fn locate_entries(
    raw: Vec<(Spanned<String>, Spanned<Raw>)>,
    file: &Arc<SourceFile>,
    findings: &mut Vec<Diagnostic>,
) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::with_capacity(raw.len());
    let mut places: HashMap<String, usize> = HashMap::with_capacity(raw.len());
    for (key, value) in raw {
        let place = Place::new(file, span_of(key.defined, &file.text));
        let key = Located::new(key.value.clone(), content_place(place, &key.value));
        let value = locate(value, file, findings);
        if let Some(first) = places.get(&key.value).and_then(|place| entries.get(*place)) {
            let message = format!("{} is given twice in one map", quoted(&key.value));
            let help = format!("it was first given at {}; keep one of the two", first.key.place);
            findings.push(Diagnostic::error("duplicate-key", message, &key.place).with_help(help));
        } else {
            places.insert(key.value.clone(), entries.len());
            entries.push(Entry { key, value });
        }
    }
    entries
}

/// The part of a scalar's place that begins with the text itself: quotes, block marks and blanks are left out. Where
/// the text is escaped or folded there is no such part, and the whole stays.
fn content_place(place: Place, text: &str) -> Place {
    let written = &place.file.text[place.span.clone()];
    let first_line = text.lines().next().unwrap_or_default();
    match written.find(first_line).filter(|_| !first_line.is_empty()) {
        Some(start) if written[start..].starts_with(text) => place.within(start..start + text.len()),
        Some(start) => place.within(start..written.trim_end().len().max(start)),
        None => place,
    }
}

/// Bytes where the parser gives them; some of its errors only know line and column.
fn span_of(location: Location, text: &str) -> Range<usize> {
    let bytes = || {
        let start = usize::try_from(location.span().byte_offset()?).ok()?;
        Some(start..start + usize::try_from(location.span().byte_len()?).ok()?)
    };
    let counted = || {
        let above = usize::try_from(location.line()).ok()?.checked_sub(1)?;
        let before = usize::try_from(location.column()).ok()?.checked_sub(1)?;
        let line_start: usize = text.split_inclusive('\n').take(above).map(str::len).sum();
        let column: usize = text[line_start..].chars().take(before).map(char::len_utf8).sum();
        Some(line_start + column..line_start + column)
    };
    bytes().or_else(counted).unwrap_or(0..0)
}

#[cfg(test)]
mod tests;
