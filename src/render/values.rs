//! Shows a candidate's JSON to liquid without copying its texts; a field of null is null.

use std::fmt;

use liquid_core::model::{ArrayView, ObjectView};
use liquid_core::model::{DisplayCow, KStringCow, ScalarCow, State};
use liquid_core::{Value as LiquidValue, ValueView};
use serde_json::{Map, Value};

/// A borrowed tree of values that liquid can read.
#[derive(Debug)]
pub(super) enum View<'a> {
    /// Null: empty when printed, and so is each of its fields.
    Null,
    /// Text, number or boolean.
    Scalar(ScalarCow<'a>),
    /// A list.
    List(Vec<View<'a>>),
    /// Named values in order.
    Object(Vec<(&'a str, View<'a>)>),
}

impl<'a> View<'a> {
    /// A view of any JSON value.
    pub(super) fn of(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(boolean) => Self::Scalar(ScalarCow::new(*boolean)),
            Value::Number(number) => Self::Scalar(match (number.as_i64(), number.as_f64()) {
                (Some(integer), _) => ScalarCow::new(integer),
                (None, double) => ScalarCow::new(double.unwrap_or_default()),
            }),
            Value::String(text) => Self::text(text),
            Value::Array(values) => Self::List(values.iter().map(View::of).collect()),
            Value::Object(fields) => Self::fields(fields),
        }
    }

    /// A view of text.
    pub(super) fn text(text: &'a str) -> Self {
        Self::Scalar(ScalarCow::new(text))
    }

    /// A view of an object's fields.
    pub(super) fn fields(fields: &'a Map<String, Value>) -> Self {
        Self::Object(fields.iter().map(|(name, value)| (name.as_str(), View::of(value))).collect())
    }

    /// Adds a field to an object.
    pub(super) fn push(&mut self, name: &'a str, value: View<'a>) {
        if let Self::Object(fields) = self {
            fields.push((name, value));
        }
    }

    fn entries(&self) -> &[(&'a str, View<'a>)] {
        match self {
            Self::Object(fields) => fields,
            _ => &[],
        }
    }

    fn items(&self) -> &[View<'a>] {
        match self {
            Self::List(items) => items,
            _ => &[],
        }
    }
}

impl fmt::Display for View<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => Ok(()),
            Self::Scalar(scalar) => write!(formatter, "{}", scalar.render()),
            Self::List(items) => items.iter().try_for_each(|item| write!(formatter, "{item}")),
            Self::Object(fields) => fields.iter().try_for_each(|(name, value)| write!(formatter, "{name}{value}")),
        }
    }
}

impl ValueView for View<'_> {
    fn as_debug(&self) -> &dyn fmt::Debug {
        self
    }

    fn render(&self) -> DisplayCow<'_> {
        DisplayCow::Borrowed(self)
    }

    fn source(&self) -> DisplayCow<'_> {
        DisplayCow::Borrowed(self)
    }

    fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "nil",
            Self::Scalar(scalar) => scalar.type_name(),
            Self::List(_) => "array",
            Self::Object(_) => "object",
        }
    }

    fn query_state(&self, state: State) -> bool {
        match self {
            Self::Null => state != State::Truthy,
            Self::Scalar(scalar) => scalar.query_state(state),
            Self::List(items) => (state == State::Truthy) || items.is_empty(),
            Self::Object(fields) => (state == State::Truthy) || fields.is_empty(),
        }
    }

    fn to_kstr(&self) -> KStringCow<'_> {
        match self {
            Self::Scalar(scalar) => scalar.to_kstr(),
            _ => KStringCow::from_string(self.to_string()),
        }
    }

    fn to_value(&self) -> LiquidValue {
        match self {
            Self::Null => LiquidValue::Nil,
            Self::Scalar(scalar) => LiquidValue::Scalar(scalar.clone().into_owned()),
            Self::List(items) => LiquidValue::Array(items.iter().map(ValueView::to_value).collect()),
            Self::Object(fields) => LiquidValue::Object(
                fields.iter().map(|(name, value)| ((*name).to_owned().into(), value.to_value())).collect(),
            ),
        }
    }

    fn as_scalar(&self) -> Option<ScalarCow<'_>> {
        match self {
            Self::Scalar(scalar) => Some(scalar.as_ref()),
            _ => None,
        }
    }

    fn as_array(&self) -> Option<&dyn ArrayView> {
        matches!(self, Self::List(_)).then_some(self)
    }

    fn as_object(&self) -> Option<&dyn ObjectView> {
        matches!(self, Self::Object(_) | Self::Null).then_some(self)
    }

    fn is_nil(&self) -> bool {
        matches!(self, Self::Null)
    }
}

impl ArrayView for View<'_> {
    fn as_value(&self) -> &dyn ValueView {
        self
    }

    fn size(&self) -> i64 {
        i64::try_from(self.items().len()).unwrap_or(i64::MAX)
    }

    fn values<'k>(&'k self) -> Box<dyn Iterator<Item = &'k dyn ValueView> + 'k> {
        Box::new(self.items().iter().map(|item| item as &dyn ValueView))
    }

    fn contains_key(&self, index: i64) -> bool {
        ArrayView::get(self, index).is_some()
    }

    fn get(&self, index: i64) -> Option<&dyn ValueView> {
        let items = self.items();
        let position = if index < 0 { i64::try_from(items.len()).ok()?.checked_add(index)? } else { index };
        items.get(usize::try_from(position).ok()?).map(|item| item as &dyn ValueView)
    }
}

impl ObjectView for View<'_> {
    fn as_value(&self) -> &dyn ValueView {
        self
    }

    fn size(&self) -> i64 {
        i64::try_from(self.entries().len()).unwrap_or(i64::MAX)
    }

    fn keys<'k>(&'k self) -> Box<dyn Iterator<Item = KStringCow<'k>> + 'k> {
        Box::new(self.entries().iter().map(|(name, _)| KStringCow::from_ref(name)))
    }

    fn values<'k>(&'k self) -> Box<dyn Iterator<Item = &'k dyn ValueView> + 'k> {
        Box::new(self.entries().iter().map(|(_, value)| value as &dyn ValueView))
    }

    fn iter<'k>(&'k self) -> Box<dyn Iterator<Item = (KStringCow<'k>, &'k dyn ValueView)> + 'k> {
        Box::new(self.entries().iter().map(|(name, value)| (KStringCow::from_ref(name), value as &dyn ValueView)))
    }

    fn contains_key(&self, index: &str) -> bool {
        self.entries().iter().any(|(name, _)| *name == index)
    }

    fn get<'s>(&'s self, index: &str) -> Option<&'s dyn ValueView> {
        match self {
            Self::Null => Some(self),
            _ => self.entries().iter().find(|(name, _)| *name == index).map(|(_, value)| value as &dyn ValueView),
        }
    }
}
