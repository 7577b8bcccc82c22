//! The values behind `$name` in SQL: typed, bound into the syntax tree, never pasted as text.

use std::collections::BTreeMap;

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident, ObjectName, Value,
};
use jiff::Timestamp;

/// The value of one parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum Parameter {
    /// An instant: `timestamp(us, UTC)` in SQL.
    Instant(Timestamp),
    /// A scalar of `vars:`: null, boolean, number or text.
    Scalar(serde_json::Value),
    /// A list of texts, for `in ($name)` in milepost's own SQL.
    Texts(Vec<String>),
}

/// Parameters by name, without the `$`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parameters(BTreeMap<String, Parameter>);

impl Parameters {
    /// Adds or replaces a parameter.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: Parameter) -> Self {
        self.0.insert(name.into(), value);
        self
    }

    /// The same parameters with those of `other`, which win.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        self.0.extend(other.0.iter().map(|(name, value)| (name.clone(), value.clone())));
        self
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(super) fn get(&self, name: &str) -> Option<&Parameter> {
        self.0.get(name)
    }
}

impl Parameter {
    /// The syntax tree of the value; several for a list.
    pub(super) fn expressions(&self) -> Vec<Expr> {
        match self {
            Self::Instant(instant) => vec![instant_literal(*instant)],
            Self::Scalar(value) => vec![scalar_literal(value)],
            Self::Texts(texts) => texts.iter().map(|text| text_literal(text)).collect(),
        }
    }
}

fn text_literal(text: &str) -> Expr {
    Expr::Value(Value::SingleQuotedString(text.to_owned()).into())
}

fn scalar_literal(value: &serde_json::Value) -> Expr {
    match value {
        serde_json::Value::Null => Expr::Value(Value::Null.into()),
        serde_json::Value::Bool(value) => Expr::Value(Value::Boolean(*value).into()),
        serde_json::Value::Number(number) => Expr::Value(Value::Number(number.to_string(), false).into()),
        serde_json::Value::String(text) => text_literal(text),
        other => text_literal(&other.to_string()),
    }
}

fn instant_literal(instant: Timestamp) -> Expr {
    call("arrow_cast", vec![text_literal(&instant.to_string()), text_literal("Timestamp(Microsecond, Some(\"UTC\"))")])
}

/// A plain call of a function.
pub(super) fn call(name: &str, arguments: Vec<Expr>) -> Expr {
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: arguments.into_iter().map(|argument| FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))).collect(),
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}
