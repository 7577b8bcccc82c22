//! Conditions on rows that a database is asked to apply: its own words for few comparisons, all of which it understands
//! as the engine above does, or more generously. Whoever asks applies them again.

use super::{Column, ColumnKind, quoted};

/// A condition.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// A column compared with a value.
    Compare {
        /// The column.
        column: Column,
        /// How.
        operator: Operator,
        /// With what.
        value: Value,
    },
    /// A column that is one of these values; at least one.
    OneOf {
        /// The column.
        column: Column,
        /// The values.
        values: Vec<Value>,
    },
    /// A column that has a value.
    IsNotNull(Column),
    /// All of these; at least one.
    All(Vec<Condition>),
    /// Any of these; at least one.
    Any(Vec<Condition>),
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `=`
    Equal,
    /// `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Operator {
    fn sql(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }

    /// Whether it means the same for any order of values: texts are ordered otherwise in each database.
    fn ignores_order(self) -> bool {
        matches!(self, Self::Equal | Self::NotEqual)
    }
}

/// A value to compare with.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Of a text column.
    Text(String),
    /// Of an integer column; days of a date; microseconds of a time.
    Integer(i64),
    /// Of a column of doubles; finite.
    Real(f64),
    /// Of a column of booleans.
    Boolean(bool),
}

impl Condition {
    /// Whether a column can be compared like this in its database.
    #[must_use]
    pub fn compares(column: &Column, operator: Operator, value: &Value) -> bool {
        let fits = match (column.kind, value) {
            (ColumnKind::Text, Value::Text(text)) => operator.ignores_order() && !text.contains('\0'),
            (ColumnKind::Real, Value::Real(number)) => number.is_finite(),
            (
                ColumnKind::Integer | ColumnKind::Date | ColumnKind::Instant | ColumnKind::LocalTime,
                Value::Integer(_),
            ) => true,
            (ColumnKind::Boolean, Value::Boolean(_)) => operator.ignores_order(),
            _ => false,
        };
        fits && column.can_filter
    }

    /// The condition as SQL whose values are bound: `operand` writes a column or the placeholder of a value.
    pub(super) fn sql(&self, words: &mut impl Words) -> String {
        match self {
            Self::Compare { column, operator, value } => {
                let left = words.column(column);
                format!("{left} {} {}", operator.sql(), words.value(column, value))
            }
            Self::OneOf { column, values } => {
                let left = words.column(column);
                let values: Vec<String> = values.iter().map(|value| words.value(column, value)).collect();
                format!("{left} in ({})", values.join(", "))
            }
            Self::IsNotNull(column) => format!("{} is not null", quoted(&column.name)),
            Self::All(conditions) => joined(conditions, " and ", words),
            Self::Any(conditions) => joined(conditions, " or ", words),
        }
    }
}

fn joined(conditions: &[Condition], between: &str, words: &mut impl Words) -> String {
    let parts: Vec<String> = conditions.iter().map(|condition| condition.sql(words)).collect();
    format!("({})", parts.join(between))
}

/// How a database writes the operands of a comparison.
pub(super) trait Words {
    /// The column, such that its values compare as the engine's do.
    fn column(&mut self, column: &Column) -> String;
    /// The placeholder of a value, which is kept to be bound.
    fn value(&mut self, column: &Column, value: &Value) -> String;
}
