//! The kinds of values that filters take and give, for `check`.

/// What a filter can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::render) enum Takes {
    /// Every value.
    Anything,
    /// A value that prints: text, a number, a boolean, a time.
    Printable,
    /// Text.
    Text,
    /// A number.
    Number,
    /// A number, or text that holds one.
    Numeric,
    /// A number, or text that a filter made of one.
    NumberOrMade,
    /// An instant or a day.
    Moment,
    /// A list.
    List,
    /// A list of numbers, or of objects with `value`.
    Numbers,
}

/// What a filter makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::render) enum Gives {
    /// Text.
    Text,
    /// A number.
    Number,
    /// An instant.
    Time,
    /// What it was given.
    Same,
    /// What it was given, or its argument in the place of null.
    Default,
    /// An item of the list it was given.
    Item,
    /// A list of texts.
    Texts,
    /// A list of one field of the items.
    Fields,
}

/// An argument of a filter.
#[derive(Debug)]
pub(in crate::render) struct Argument {
    pub(in crate::render) name: &'static str,
    /// What it is, for whoever reads the table.
    pub(in crate::render) about: &'static str,
    pub(in crate::render) optional: bool,
    /// Whether it is written with its name.
    pub(in crate::render) named: bool,
    pub(in crate::render) kind: ArgumentKind,
}

/// What an argument must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::render) enum ArgumentKind {
    /// Every value.
    Anything,
    /// A value that prints.
    Printable,
    /// A number.
    Number,
    /// A number other than zero.
    Divisor,
    /// A whole number.
    Whole,
    /// A whole number from 1.
    Positive,
    /// Decimals: a whole number, or a format such as `0.0`.
    Decimals,
    /// A list.
    List,
    /// An IANA time zone.
    Zone,
    /// A format of `strftime`.
    Format,
    /// A colour.
    Colour,
    /// A currency of three letters.
    Currency,
    /// The name of a field.
    Field,
}

/// A required argument.
pub(super) const fn required(name: &'static str, about: &'static str, kind: ArgumentKind) -> Argument {
    Argument { name, about, optional: false, named: false, kind }
}

/// An optional argument.
pub(super) const fn optional(name: &'static str, about: &'static str, kind: ArgumentKind) -> Argument {
    Argument { optional: true, ..required(name, about, kind) }
}
