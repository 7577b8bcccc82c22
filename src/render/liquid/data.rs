//! The values that templates handle: borrowed from a candidate's JSON where they can be, in the order of their fields.

use std::fmt::{self, Write as _};
use std::rc::Rc;

use jiff::Zoned;
use serde_json::{Map, Value};

/// A value.
#[derive(Clone, Debug)]
pub(in crate::render) enum Data<'a> {
    /// Null: prints nothing, and so does each of its fields.
    Nil,
    /// The word `empty`.
    Empty,
    /// The word `blank`.
    Blank,
    /// True or false.
    Boolean(bool),
    /// A whole number; 64-bit ids fit, signed or not.
    Integer(i128),
    /// A number with a fraction.
    Double(f64),
    /// A text of the template or of the candidate.
    Text(&'a str),
    /// A text made by a filter or a capture.
    Made(Rc<str>),
    /// An instant in the time zone that `in_zone` moved it to.
    Moment(Rc<Zoned>),
    /// A list of the candidate.
    Items(&'a [Value]),
    /// A list made by a filter, or the name and value of an object's field.
    List(Rc<[Data<'a>]>),
    /// An object of the candidate, its fields in declared order.
    Fields(&'a Map<String, Value>),
    /// The state of a loop.
    Loop(Rc<Loop<'a>>),
}

/// The state of a loop, as `forloop` shows it.
#[derive(Clone, Debug)]
pub(in crate::render) struct Loop<'a> {
    pub(super) index: usize,
    pub(super) length: usize,
    pub(super) parent: Data<'a>,
}

impl<'a> Data<'a> {
    /// A value of JSON, without copying it.
    pub(in crate::render) fn of(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Nil,
            Value::Bool(boolean) => Self::Boolean(*boolean),
            Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(whole), _) => Self::Integer(whole.into()),
                (None, Some(whole)) => Self::Integer(whole.into()),
                (None, None) => Self::Double(number.as_f64().unwrap_or_default()),
            },
            Value::String(text) => Self::Text(text),
            Value::Array(items) => Self::Items(items),
            Value::Object(fields) => Self::Fields(fields),
        }
    }

    /// A text that was made.
    pub(in crate::render) fn made(text: impl Into<Rc<str>>) -> Self {
        Self::Made(text.into())
    }

    /// A list that was made.
    pub(in crate::render) fn list(items: impl IntoIterator<Item = Data<'a>>) -> Self {
        Self::List(items.into_iter().collect())
    }

    /// A number: whole where it is whole and exact, null where it is not finite.
    pub(in crate::render) fn number(value: f64) -> Self {
        if value.is_finite() { Self::Double(value) } else { Self::Nil }
    }

    /// Whether this is null.
    pub(in crate::render) fn is_nil(&self) -> bool {
        matches!(self, Self::Nil)
    }

    /// Whether a condition takes this for true: everything but null and false.
    pub(in crate::render) fn is_true(&self) -> bool {
        !matches!(self, Self::Nil | Self::Boolean(false))
    }

    /// The text, where this is one.
    pub(in crate::render) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Made(text) => Some(text),
            _ => None,
        }
    }

    /// The number, where this is one.
    pub(in crate::render) fn as_number(&self) -> Option<f64> {
        match self {
            Self::Integer(whole) => Some(*whole as f64),
            Self::Double(value) => Some(*value),
            _ => None,
        }
    }

    /// How many values a list holds; `None` for what is no list.
    pub(in crate::render) fn list_len(&self) -> Option<usize> {
        match self {
            Self::Items(items) => Some(items.len()),
            Self::List(items) => Some(items.len()),
            _ => None,
        }
    }

    /// The value at a position of a list, counted from its end where it is negative.
    pub(in crate::render) fn item(&self, position: i128) -> Self {
        let Some(length) = self.list_len() else { return Self::Nil };
        let position = if position < 0 { position + length as i128 } else { position };
        let Ok(position) = usize::try_from(position) else { return Self::Nil };
        match self {
            Self::Items(items) => items.get(position).map_or(Self::Nil, Self::of),
            Self::List(items) => items.get(position).cloned().unwrap_or(Self::Nil),
            _ => Self::Nil,
        }
    }

    /// The values of a list; a list of name and value for each field of an object; nothing for null; else the value.
    pub(in crate::render) fn sequence(&self) -> Vec<Self> {
        match self {
            Self::Nil => Vec::new(),
            Self::Items(items) => items.iter().map(Self::of).collect(),
            Self::List(items) => items.to_vec(),
            Self::Fields(fields) => fields.iter().map(Self::pair).collect(),
            other => vec![other.clone()],
        }
    }

    fn pair((name, value): (&'a String, &'a Value)) -> Self {
        Self::list([Self::Text(name), Self::of(value)])
    }

    /// The field of an object, or liquid's own property of a list, an object or a text; null where there is none.
    pub(in crate::render) fn field(&self, name: &str) -> Self {
        if let Self::Fields(fields) = self
            && let Some(value) = fields.get(name)
        {
            return Self::of(value);
        }
        match (self, name) {
            (Self::Loop(state), _) => state.field(name),
            (_, "size") => self.size().map_or(Self::Nil, |size| Self::Integer(size as i128)),
            (Self::Fields(fields), "first") => fields.iter().next().map_or(Self::Nil, Self::pair),
            (Self::Fields(fields), "last") => fields.iter().next_back().map_or(Self::Nil, Self::pair),
            (_, "first") => self.item(0),
            (_, "last") => self.item(-1),
            _ => Self::Nil,
        }
    }

    /// The values of a list, the fields of an object or the letters of a text; `None` for everything else.
    pub(in crate::render) fn size(&self) -> Option<usize> {
        match self {
            Self::Fields(fields) => Some(fields.len()),
            other => other.list_len().or_else(|| other.as_text().map(|text| text.chars().count())),
        }
    }

    /// Whether this equals `empty`.
    pub(super) fn is_empty(&self) -> bool {
        self.size() == Some(0)
    }

    /// Whether this equals `blank`.
    pub(in crate::render) fn is_blank(&self) -> bool {
        !self.is_true() || self.is_empty() || self.as_text().is_some_and(|text| text.trim().is_empty())
    }

    /// The text as it is printed.
    pub(in crate::render) fn to_text(&self) -> Rc<str> {
        match self {
            Self::Made(text) => Rc::clone(text),
            Self::Text(text) => Rc::from(*text),
            other => Rc::from(other.to_string()),
        }
    }
}

impl<'a> Loop<'a> {
    fn field(&self, name: &str) -> Data<'a> {
        let whole = |value: usize| Data::Integer(value as i128);
        match name {
            "length" => whole(self.length),
            "index" => whole(self.index + 1),
            "index0" => whole(self.index),
            "rindex" => whole(self.length - self.index),
            "rindex0" => whole(self.length - self.index - 1),
            "first" => Data::Boolean(self.index == 0),
            "last" => Data::Boolean(self.index + 1 == self.length),
            "parentloop" => self.parent.clone(),
            _ => Data::Nil,
        }
    }
}

impl fmt::Display for Data<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nil | Self::Empty | Self::Blank | Self::Loop(_) => Ok(()),
            Self::Boolean(boolean) => write!(formatter, "{boolean}"),
            Self::Integer(whole) => write!(formatter, "{whole}"),
            Self::Double(value) => write!(formatter, "{value}"),
            Self::Text(text) => formatter.write_str(text),
            Self::Made(text) => formatter.write_str(text),
            Self::Moment(moment) => write!(formatter, "{}", moment.strftime("%Y-%m-%dT%H:%M:%S%:z")),
            Self::Items(items) => items.iter().try_for_each(|item| write!(formatter, "{}", Data::of(item))),
            Self::List(items) => items.iter().try_for_each(|item| write!(formatter, "{item}")),
            Self::Fields(fields) => {
                fields.iter().try_for_each(|(name, value)| write!(formatter, "{name}{}", Data::of(value)))
            }
        }
    }
}

/// A writer that refuses what would make a part too long.
pub(super) struct Bounded<'o> {
    pub(super) out: &'o mut String,
    pub(super) limit: usize,
}

impl fmt::Write for Bounded<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.out.len() + text.len() > self.limit {
            return Err(fmt::Error);
        }
        self.out.push_str(text);
        Ok(())
    }
}

impl Bounded<'_> {
    /// Writes a value; false when it does not fit.
    pub(super) fn value(&mut self, data: &Data<'_>) -> bool {
        match data.as_text() {
            Some(text) => self.write_str(text).is_ok(),
            None => write!(self, "{data}").is_ok(),
        }
    }
}

/// The names that a template sees, the last of equal ones winning.
#[derive(Debug, Default)]
pub(in crate::render) struct Globals<'a> {
    names: Vec<(&'a str, Data<'a>)>,
}

impl<'a> Globals<'a> {
    /// Adds the fields of an object.
    pub(in crate::render) fn add_all(&mut self, fields: &'a Map<String, Value>) {
        self.names.extend(fields.iter().map(|(name, value)| (name.as_str(), Data::of(value))));
    }

    /// Adds a name.
    pub(in crate::render) fn add(&mut self, name: &'a str, value: Data<'a>) {
        self.names.push((name, value));
    }

    /// The value of a name; null where there is none.
    pub(super) fn get(&self, name: &str) -> Data<'a> {
        self.names.iter().rev().find(|(known, _)| *known == name).map_or(Data::Nil, |(_, value)| value.clone())
    }
}
