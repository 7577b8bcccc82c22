//! What a template may see: the tree of names, kinds and nullability that `check` walks templates against.

use std::collections::BTreeMap;

/// The kind of a scalar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScalarKind {
    /// Text.
    Text,
    /// Integer, decimal or double.
    Number,
    /// True or false.
    Boolean,
    /// An instant, given to templates as text in RFC 3339, in UTC.
    Time,
    /// A day, given to templates as `YYYY-MM-DD`; it has no zone.
    Date,
}

/// The shape of one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A scalar.
    Scalar {
        /// What it holds.
        kind: ScalarKind,
        /// Whether it may be null.
        nullable: bool,
    },
    /// Named fields.
    Object(BTreeMap<String, Shape>),
    /// Values of one shape.
    List(Box<Shape>),
    /// Nothing is known below this point; any access passes.
    Any,
}

impl Shape {
    /// A scalar that is never null.
    #[must_use]
    pub fn scalar(kind: ScalarKind) -> Self {
        Self::Scalar { kind, nullable: false }
    }

    /// A scalar that may be null.
    #[must_use]
    pub fn nullable(kind: ScalarKind) -> Self {
        Self::Scalar { kind, nullable: true }
    }

    /// An object from its fields.
    pub fn object<N: Into<String>>(fields: impl IntoIterator<Item = (N, Shape)>) -> Self {
        Self::Object(fields.into_iter().map(|(name, shape)| (name.into(), shape)).collect())
    }

    /// The field of an object; `None` for an unknown field and for values without fields.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Shape> {
        match self {
            Self::Object(fields) => fields.get(name),
            _ => None,
        }
    }
}
