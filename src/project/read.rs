//! Typed reading of a YAML tree: every wrong value is a finding at its place, and reading goes on.
//!
//! [`record!`] is the one place where a map's keys are named: the same list makes the struct, finds unknown keys and
//! suggests the nearest one. A key that is plainly a slip of a known one is reported and then read as meant, so that
//! one mistake hides no other.

use serde_json::{Number, Value, json};

use super::json_schema::Definitions;
use super::node::{Content, Entry, Node};
use crate::model::diagnostic::{Diagnostic, Located, Place, did_you_mean, nearest};

/// What is wrong so far.
pub(super) type Findings = Vec<Diagnostic>;

/// A value that can be read from a node; `None` after a finding was added.
pub(super) trait Read: Sized {
    /// Reads the node or says what is wrong with it.
    fn read(node: &Node, findings: &mut Findings) -> Option<Self>;

    /// What an editor may know of the value: anything goes where this is not said.
    fn schema(_definitions: &mut Definitions) -> Value {
        json!({})
    }
}

/// Makes a struct of optional located fields from the keys of a YAML map, and the way to read it.
/// `field as "key"` names a key that is no Rust identifier.
macro_rules! record {
    ($(#[doc = $doc:literal])* $name:ident { $($(#[doc = $field_doc:literal])* $field:ident $(as $key:literal)?: $kind:ty,)* }) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, Default)]
        #[allow(dead_code, reason = "every key is checked by being read; some are needed for nothing else")]
        pub(super) struct $name {
            $($(#[doc = $field_doc])* pub(super) $field: Option<$crate::model::diagnostic::Located<$kind>>,)*
            /// The keys that were written, also those whose value was refused.
            pub(super) given: Vec<&'static str>,
        }

        impl $name {
            /// Every key of the map.
            pub(super) const KEYS: &'static [&'static str] = &[$($crate::project::read::key!($field $($key)?)),*];
        }

        impl $crate::project::read::Read for $name {
            fn read(node: &$crate::project::node::Node, findings: &mut $crate::project::read::Findings) -> Option<Self> {
                let fields = $crate::project::read::Fields::of(node, Self::KEYS, findings)?;
                Some(Self {
                    $($field: fields.read($crate::project::read::key!($field $($key)?), findings),)*
                    given: fields.given(),
                })
            }

            fn schema(definitions: &mut $crate::project::json_schema::Definitions) -> serde_json::Value {
                definitions.record(stringify!($name), &[$($doc),*], &[$((
                    $crate::project::read::key!($field $($key)?),
                    &[$($field_doc),*],
                    <$kind as $crate::project::read::Read>::schema,
                )),*])
            }
        }
    };
}

macro_rules! key {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $key:literal) => {
        $key
    };
}

pub(super) use {key, record};

/// The known keys of one map.
pub(super) struct Fields<'a> {
    entries: Vec<(&'static str, &'a Entry)>,
}

impl<'a> Fields<'a> {
    /// Sorts a map's entries by the keys it may have; unknown ones are findings.
    pub(super) fn of(node: &'a Node, known: &'static [&'static str], findings: &mut Findings) -> Option<Self> {
        let Content::Map(entries) = &node.content else {
            findings.push(wrong_type("a map", node).with_help(format!("its keys may be {}", known.join(", "))));
            return None;
        };
        let mut fields = Self { entries: Vec::with_capacity(entries.len()) };
        for entry in entries {
            if let Some(name) = known.iter().find(|name| **name == entry.key.value) {
                fields.entries.push((name, entry));
            }
        }
        for entry in entries.iter().filter(|entry| !known.contains(&entry.key.value.as_str())) {
            let free = known.iter().copied().filter(|name| fields.get(name).is_none());
            let near = nearest(&entry.key.value, free);
            findings.push(unknown_key(&entry.key, known));
            if let Some(name) = near.and_then(|near| known.iter().find(|name| **name == near)) {
                fields.entries.push((name, entry));
            }
        }
        Some(fields)
    }

    fn get(&self, name: &str) -> Option<&'a Entry> {
        self.entries.iter().find(|(key, _)| *key == name).map(|(_, entry)| *entry)
    }

    /// The keys that were written.
    pub(super) fn given(&self) -> Vec<&'static str> {
        self.entries.iter().map(|(name, _)| *name).collect()
    }

    /// Reads one field; `None` when it is absent or wrong.
    pub(super) fn read<T: Read>(&self, name: &str, findings: &mut Findings) -> Option<Located<T>> {
        let entry = self.get(name)?;
        if matches!(entry.value.content, Content::Null) {
            let message = format!("`{name}` has no value");
            let help = "give it one, or take the line out";
            findings.push(Diagnostic::error("missing-value", message, &entry.key.place).with_help(help));
            return None;
        }
        T::read(&entry.value, findings).map(|value| Located::new(value, entry.value.place.clone()))
    }
}

fn unknown_key(key: &Located<String>, known: &[&'static str]) -> Diagnostic {
    let help = did_you_mean(&key.value, known.iter().copied())
        .unwrap_or_else(|| format!("the keys known here are {}", known.join(", ")));
    Diagnostic::error("unknown-key", format!("unknown key {}", quoted(&key.value)), &key.place).with_help(help)
}

/// The finding for a required key that is absent; nothing when it was written and refused.
pub(super) fn report_missing(
    given: &[&'static str],
    key: &'static str,
    what: &str,
    place: &Place,
    findings: &mut Findings,
) {
    if !given.contains(&key) {
        findings.push(Diagnostic::error("missing-key", format!("`{key}` is missing"), place).with_help(what));
    }
}

/// The finding for a value of another type.
pub(super) fn wrong_type(expected: &str, node: &Node) -> Diagnostic {
    let finding = format!("expected {expected}, found {}", node.description());
    Diagnostic::error("wrong-type", finding, &node.place)
}

/// Text of the author's in a message: on one line, harmless to a terminal, and not too long.
pub(super) fn quoted(text: &str) -> String {
    const MOST_LETTERS: usize = 80;
    let mut letters = text.chars();
    let shown: String = letters
        .by_ref()
        .take(MOST_LETTERS)
        .flat_map(|letter| if letter.is_control() { letter.escape_default().collect() } else { vec![letter] })
        .collect();
    let rest = if letters.next().is_some() { "…" } else { "" };
    format!("`{shown}{rest}`")
}

/// Reads one of a few words.
pub(super) fn read_word<T: Copy>(node: &Node, words: &[(&str, T)], findings: &mut Findings) -> Option<T> {
    let list = words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
    let Content::Text(text) = &node.content else {
        findings.push(wrong_type(&format!("one of {list}"), node));
        return None;
    };
    let found = words.iter().find(|(word, _)| word == text).map(|(_, value)| *value);
    if found.is_none() {
        let message = match words.len() {
            1 => format!("{} is unknown here, only `{list}` is known", quoted(text)),
            _ => format!("{} is not one of {list}", quoted(text)),
        };
        let finding = Diagnostic::error("unknown-value", message, &node.place);
        findings.push(finding.with_optional_help(did_you_mean(text, words.iter().map(|(word, _)| *word))));
    }
    found
}

impl Read for String {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        match &node.content {
            Content::Text(text) if !text.trim().is_empty() => Some(text.clone()),
            Content::Boolean(_) | Content::Number(_) => {
                let written = &node.place.file.text[node.place.span.clone()];
                let help = format!("put it in quotes: \"{written}\"");
                findings.push(wrong_type("text", node).with_help(help));
                None
            }
            _ => {
                findings.push(wrong_type("text", node));
                None
            }
        }
    }

    fn schema(_definitions: &mut Definitions) -> Value {
        json!({ "type": "string" })
    }
}

impl Read for u64 {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        let whole = match &node.content {
            Content::Number(number) => number.as_u64(),
            _ => None,
        };
        if whole.is_none() {
            findings.push(wrong_type("a whole number from 0", node));
        }
        whole
    }

    fn schema(_definitions: &mut Definitions) -> Value {
        json!({ "type": "integer", "minimum": 0 })
    }
}

impl Read for i64 {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        let whole = match &node.content {
            Content::Number(number) => number.as_i64(),
            _ => None,
        };
        if whole.is_none() {
            findings.push(wrong_type("a whole number", node));
        }
        whole
    }

    fn schema(_definitions: &mut Definitions) -> Value {
        json!({ "type": "integer" })
    }
}

impl<T: Read> Read for Located<T> {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        T::read(node, findings).map(|value| Self::new(value, node.place.clone()))
    }

    fn schema(definitions: &mut Definitions) -> Value {
        T::schema(definitions)
    }
}

impl<T: Read> Read for Vec<T> {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        let Content::List(items) = &node.content else {
            findings.push(wrong_type("a list", node));
            return None;
        };
        Some(items.iter().filter_map(|item| T::read(item, findings)).collect())
    }

    fn schema(definitions: &mut Definitions) -> Value {
        json!({ "type": "array", "items": T::schema(definitions) })
    }
}

/// A map whose keys are names of the author's choice, in written order; entries with a wrong value are left out.
#[derive(Clone, Debug)]
pub(super) struct Named<T>(pub(super) Vec<(Located<String>, T)>);

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Read> Read for Named<T> {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        let Content::Map(entries) = &node.content else {
            findings.push(wrong_type("a map of names", node));
            return None;
        };
        let mut named = Vec::with_capacity(entries.len());
        for entry in entries {
            if let Some(value) = T::read(&entry.value, findings) {
                named.push((entry.key.clone(), value));
            }
        }
        Some(Self(named))
    }

    fn schema(definitions: &mut Definitions) -> Value {
        json!({ "type": "object", "additionalProperties": T::schema(definitions) })
    }
}

/// A text, number or truth value, as JSON.
#[derive(Clone, Debug)]
pub(super) struct Scalar(pub(super) Value);

impl Read for Scalar {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        match &node.content {
            Content::Text(text) => Some(Self(Value::String(text.clone()))),
            Content::Number(number) => Some(Self(Value::Number(Number::clone(number)))),
            Content::Boolean(value) => Some(Self(Value::Bool(*value))),
            Content::Null | Content::List(_) | Content::Map(_) => {
                findings.push(wrong_type("a text, a number, true or false", node));
                None
            }
        }
    }

    fn schema(_definitions: &mut Definitions) -> Value {
        json!({ "type": ["string", "number", "boolean"] })
    }
}
