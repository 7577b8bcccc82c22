//! Values in place of columns: what is written beside them must be good for any row.

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Value,
};

use super::super::parameters::call;
use super::constants::is_constant;

/// A value that a column could have.
#[derive(Clone, Copy)]
enum Sample {
    Time,
    Text(&'static str),
    Number(&'static str),
    /// No value is good for every type that may stand here.
    Unknown,
}

use Sample::{Number, Text, Time, Unknown};

const DATE_FORMAT: &[Sample] = &[Time, Text("%Y")];
const PART: &[Sample] = &[Text("year"), Time];
const REGEXP: &[Sample] = &[Text("a"), Text("a"), Text("i")];
const PADDED: &[Sample] = &[Text("a"), Number("1"), Text("a")];
const TEXT_AND_NUMBERS: &[Sample] = &[Text("a"), Number("1"), Number("1")];

/// Functions of which some arguments choose what is done: a wrong choice fails for every row.
const SAMPLES: &[(&str, &[Sample])] = &[
    ("date_bin", &[Unknown, Time, Time]),
    ("date_format", DATE_FORMAT),
    ("date_part", PART),
    ("date_trunc", PART),
    ("datepart", PART),
    ("datetrunc", PART),
    ("decode", &[Text(""), Text("hex")]),
    ("digest", &[Text("a"), Text("sha256")]),
    ("encode", &[Text("a"), Text("hex")]),
    ("left", TEXT_AND_NUMBERS),
    ("lpad", PADDED),
    ("make_date", &[Number("2000"), Number("1"), Number("1")]),
    ("regexp_count", &[Text("a"), Text("a"), Number("1"), Text("i")]),
    ("regexp_instr", &[Text("a"), Text("a"), Number("1"), Number("1"), Text("i")]),
    ("regexp_like", REGEXP),
    ("regexp_match", REGEXP),
    ("regexp_replace", &[Text("a"), Text("a"), Text("a"), Text("i")]),
    ("repeat", TEXT_AND_NUMBERS),
    ("right", TEXT_AND_NUMBERS),
    ("rpad", PADDED),
    ("split_part", &[Text("a"), Text(","), Number("1")]),
    ("substr", TEXT_AND_NUMBERS),
    ("substring", TEXT_AND_NUMBERS),
    ("to_char", DATE_FORMAT),
];

/// Functions that read a time in a format.
const FORMAT_READERS: [&str; 6] = [
    "to_timestamp",
    "to_timestamp_seconds",
    "to_timestamp_millis",
    "to_timestamp_micros",
    "to_timestamp_nanos",
    "to_date",
];

/// An expression with values in place of what differs from row to row, where it holds a choice that can be wrong.
pub(super) fn with_samples(expression: &Expr, is_function: &dyn Fn(&Function) -> bool) -> Option<Expr> {
    match expression {
        Expr::Function(function) => of_function(function, is_function),
        Expr::Extract { field, syntax, expr: _ } => {
            Some(Expr::Extract { field: field.clone(), syntax: syntax.clone(), expr: Box::new(value(Time)?) })
        }
        Expr::BinaryOp { left: _, op, right } if is_constant(right, is_function) => {
            let left = match op {
                BinaryOperator::Divide | BinaryOperator::Modulo => value(Number("1"))?,
                BinaryOperator::PGRegexMatch
                | BinaryOperator::PGRegexIMatch
                | BinaryOperator::PGRegexNotMatch
                | BinaryOperator::PGRegexNotIMatch => value(Text("a"))?,
                _ => return None,
            };
            // An interval or a time divides nothing.
            let is_number = !matches!(right.as_ref(), Expr::Interval(_) | Expr::TypedString(_));
            is_number.then(|| Expr::BinaryOp { left: Box::new(left), op: op.clone(), right: right.clone() })
        }
        _ => None,
    }
}

fn of_function(function: &Function, is_function: &dyn Fn(&Function) -> bool) -> Option<Expr> {
    let name = function.name.to_string().to_lowercase();
    if let Some(format) = read_format(&name, function).filter(|format| is_constant(format, is_function)) {
        // A format that cannot be written cannot be read either.
        return Some(call("to_char", vec![value(Time)?, format.clone()]));
    }
    let (_, samples) = SAMPLES.iter().find(|(known, _)| *known == name)?;
    let FunctionArguments::List(list) = &function.args else {
        return None;
    };
    let mut sampled = function.clone();
    let mut has_choice = false;
    let mut arguments = Vec::with_capacity(list.args.len());
    for (position, argument) in list.args.iter().enumerate() {
        let FunctionArg::Unnamed(FunctionArgExpr::Expr(expression)) = argument else {
            return None;
        };
        let given = if is_constant(expression, is_function) {
            has_choice = true;
            expression.clone()
        } else {
            value(*samples.get(position)?)?
        };
        arguments.push(FunctionArg::Unnamed(FunctionArgExpr::Expr(given)));
    }
    if let FunctionArguments::List(list) = &mut sampled.args {
        list.args = arguments;
    }
    has_choice.then_some(Expr::Function(sampled))
}

/// The format in which a function reads times.
fn read_format<'a>(name: &str, function: &'a Function) -> Option<&'a Expr> {
    let FunctionArguments::List(list) = &function.args else {
        return None;
    };
    match list.args.get(1) {
        Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(format))) if FORMAT_READERS.contains(&name) => Some(format),
        _ => None,
    }
}

fn value(sample: Sample) -> Option<Expr> {
    let text = |text: &str| Expr::Value(Value::SingleQuotedString(text.to_owned()).into());
    Some(match sample {
        Time => call("arrow_cast", vec![text("2001-02-03T04:05:06"), text("Timestamp(Microsecond, Some(\"UTC\"))")]),
        Text(sample) => text(sample),
        Number(number) => Expr::Value(Value::Number(number.to_owned(), false).into()),
        Unknown => return None,
    })
}

/// The tokens of a case that nobody wrote.
pub(super) fn case_tokens() -> (AttachedToken, AttachedToken) {
    (AttachedToken::empty(), AttachedToken::empty())
}
