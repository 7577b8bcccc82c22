//! Whether filters can read what they are given, and what they make of it.

use super::super::expression::{Chain, FilterCall, Value};
use super::super::filters::{
    Argument, ArgumentKind, Gives, Row, Takes, decimals_of, is_colour, reads_as_moment, row_of, rows,
};
use super::conditions::{in_words, kind};
use super::{Diagnostic, Shape, Walk, did_you_mean};
use crate::model::Severity;
use crate::model::shape::ScalarKind;

impl Walk<'_> {
    /// Checks the filters of a chain whose value is known; the shape of the result, `None` where it is not known.
    pub(super) fn filtered(&mut self, chain: &Chain, value: Option<Shape>) -> Option<Shape> {
        self.refuse_moments(chain);
        self.check_formats(chain, value.as_ref());
        let mut shape = match (&chain.value, value) {
            (Value::Variable(variable), Some(Shape::Scalar { kind, .. }))
                if self.scope.is_guarded(&variable.path()) =>
            {
                Some(Shape::scalar(kind))
            }
            (_, value) => value,
        };
        for (position, filter) in chain.filters.iter().enumerate() {
            let written = (position == 0).then_some(&chain.value);
            shape = self.filter(filter, (written, shape), position + 1 == chain.filters.len());
        }
        shape
    }

    fn filter(
        &mut self,
        call: &FilterCall,
        (written, input): (Option<&Value>, Option<Shape>),
        last: bool,
    ) -> Option<Shape> {
        let given: Vec<(&Value, Option<Shape>)> = call
            .positional
            .iter()
            .chain(call.keyword.iter().map(|(_, value)| value))
            .map(|value| (value, self.value(value)))
            .collect();
        let Some(row) = row_of(&call.name).filter(|row| row.public) else {
            self.unknown_filter(call);
            return None;
        };
        if self.check_arguments(call, row) {
            let item = match &input {
                Some(Shape::List(item)) => Some((**item).clone()),
                _ => None,
            };
            for (argument, (value, shape)) in row.arguments.iter().zip(&given) {
                self.check_argument((row, argument), (value, shape.as_ref()), item.as_ref());
            }
            if let Some(shape) = &input {
                self.check_input(call, row, (written, shape));
            }
        }
        if self.ground.html && row.makes_html && !last {
            let message = format!("`{}` makes HTML and must be the last filter", call.name);
            self.error("html-filter-not-last", message, &call.span);
        }
        if call.name == "raw" && self.ground.html {
            let place = self.source.place(call.span.clone());
            let mut note = Diagnostic::error("raw", "this value is printed without escaping", &place);
            note.severity = Severity::Note;
            self.report(note);
        }
        result(row, input, &given)
    }

    fn unknown_filter(&mut self, call: &FilterCall) {
        let known = rows().filter(|row| row.public).map(|row| row.name);
        let help =
            did_you_mean(&call.name, known).unwrap_or_else(|| "docs/reference/templates.md lists every filter".into());
        let place = self.source.place(call.span.clone());
        let message = format!("there is no filter `{}`", call.name);
        self.report(Diagnostic::error("unknown-filter", message, &place).with_help(help));
    }

    /// Whether a filter is given as many arguments as it takes.
    fn check_arguments(&mut self, call: &FilterCall, row: &Row) -> bool {
        let given = call.positional.len();
        let most = row.arguments.iter().filter(|argument| !argument.named).count();
        let unknown = call
            .keyword
            .iter()
            .find(|(name, _)| !row.arguments.iter().any(|argument| argument.named && argument.name == name));
        let message = if given < row.required() {
            format!("`{}` needs {} argument(s), not {given}", call.name, row.required())
        } else if given > most {
            format!("`{}` takes at most {most} argument(s), not {given}", call.name)
        } else if let Some((name, _)) = unknown {
            format!("`{}` takes no argument named `{name}`", call.name)
        } else {
            return true;
        };
        self.error("filter-arguments", message, &call.span);
        false
    }

    fn check_input(&mut self, call: &FilterCall, row: &Row, (written, shape): (Option<&Value>, &Shape)) {
        use ScalarKind::{Boolean, Date, Number, Text, Time};
        let literal = if let Some(Value::Text(text, _)) = written { Some(text.as_str()) } else { None };
        let is_number = |text: &str| text.trim().parse::<f64>().is_ok_and(f64::is_finite);
        let column = matches!(written, Some(Value::Variable(_)));
        let (fits, needed) = match (row.takes, kind(shape)) {
            _ if *shape == Shape::Any => return,
            (Takes::Anything, _) => return,
            (Takes::Printable, found) => (found.is_some(), "text"),
            (Takes::Text, found) => (matches!(found, Some(Text | Time | Date)), "text"),
            (Takes::Number, Some(Text)) => (literal.is_some_and(is_number), "a number"),
            (Takes::Numeric, Some(Text)) => (literal.is_none_or(is_number), "a number"),
            (Takes::NumberOrMade, Some(Text)) => (!column && literal.is_none(), "a number"),
            (Takes::Number | Takes::Numeric | Takes::NumberOrMade, found) => (found == Some(Number), "a number"),
            (Takes::Moment, Some(Text)) if column => return self.warn_of_text_as_time(call),
            // What other filters made of a text is meant to be one.
            (Takes::Moment, Some(Text)) if literal.is_none() => return,
            (Takes::Moment, Some(Text)) => (literal.is_some_and(reads_as_moment), "an instant or a day"),
            (Takes::Moment, found) => (matches!(found, Some(Time | Date)), "an instant or a day"),
            (Takes::List, _) => (is_list(shape, &call.name), "a list"),
            (Takes::Numbers, _) => (draws(shape), "a list of numbers"),
        };
        if fits {
            return;
        }
        let help = match (row.takes, shape) {
            (Takes::Number | Takes::NumberOrMade, _) if kind(shape) == Some(Text) => {
                Some("make a number of it first: `| plus: 0`")
            }
            (Takes::Printable | Takes::Text, Shape::List(_)) => Some("make text of the list first: `| join: \", \"`"),
            (Takes::Number | Takes::Numeric, Shape::List(_)) => Some("take `.size` of the list, or one of its items"),
            (Takes::Text, _) => Some("make text of it first: `| append: \"\"`"),
            (Takes::Numeric, _) if matches!(kind(shape), Some(Time | Date)) => {
                Some("compute days in SQL, and show the result")
            }
            (Takes::Number | Takes::Numeric, _) if kind(shape) == Some(Boolean) => Some("ask for it with `if`"),
            _ => None,
        };
        let message = format!("`{}` needs {needed}, not {}", call.name, in_words(shape));
        let place = self.source.place(call.span.clone());
        self.report(Diagnostic::error("filter-input", message, &place).with_optional_help(help.map(ToOwned::to_owned)));
    }

    fn warn_of_text_as_time(&mut self, call: &FilterCall) {
        let place = self.source.place(call.span.clone());
        let message = format!("`{}` is given text, and prints it as it is where it is no instant or day", call.name);
        let help = "declare the column's type under `columns:`, or cast it in SQL";
        self.report(Diagnostic::warning("text-as-time", message, &place).with_help(help));
    }

    fn check_argument(
        &mut self,
        (row, argument): (&Row, &Argument),
        (value, shape): (&Value, Option<&Shape>),
        item: Option<&Shape>,
    ) {
        use ScalarKind::{Number, Text};
        let Some(shape) = shape.filter(|shape| **shape != Shape::Any) else { return };
        let found = kind(shape);
        let number = match value {
            Value::Number(number, _) => Some(*number),
            Value::Text(text, _) => text.trim().parse().ok(),
            _ => None,
        };
        let literal = matches!(value, Value::Number(..) | Value::Text(..));
        let text = if let Value::Text(text, _) = value { Some(text.as_str()) } else { None };
        let numeric = matches!(found, Some(Number | Text)) && (!literal || number.is_some_and(f64::is_finite));
        let is_whole = number.is_none_or(|number| number.fract() == 0.0);
        let (fits, needed) = match argument.kind {
            ArgumentKind::Anything => return,
            ArgumentKind::Printable => (found.is_some(), "text"),
            ArgumentKind::Number => (numeric, "a number"),
            ArgumentKind::Divisor => (numeric && number != Some(0.0), "a number that is not 0"),
            ArgumentKind::Whole => (numeric && is_whole, "a whole number"),
            ArgumentKind::Positive => {
                (numeric && is_whole && number.is_none_or(|number| number >= 1.0), "a whole number from 1")
            }
            ArgumentKind::Decimals => {
                let written = &self.source.text[value.span()];
                let sound = text.map_or_else(|| decimals_of(written).is_some(), |text| decimals_of(text).is_some());
                (
                    matches!(found, Some(Number | Text)) && (!literal || sound),
                    "0 to 12 decimals, or a format such as `0.0`",
                )
            }
            ArgumentKind::List => (matches!(shape, Shape::List(_)), "a list"),
            // Written ones are read where the whole chain is known.
            ArgumentKind::Zone | ArgumentKind::Format => (found == Some(Text), "text"),
            ArgumentKind::Colour => (found == Some(Text) && text.is_none_or(is_colour), "a colour such as `#4f46e5`"),
            ArgumentKind::Currency => {
                let sound = |text: &str| text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_alphabetic());
                (found == Some(Text) && text.is_none_or(sound), "a currency of three letters, such as `USD`")
            }
            ArgumentKind::Field => return self.check_field(row, (value, found), item),
        };
        if !fits {
            let message = format!("`{}` needs {needed} for its {}", row.name, argument.name);
            let help = Some(argument.about).filter(|about| !about.is_empty());
            let place = self.source.place(value.span());
            let finding = Diagnostic::error("filter-arguments", message, &place);
            self.report(finding.with_optional_help(help.map(|about| format!("{}: {about}", argument.name))));
        }
    }

    /// Whether the items of a list have the field that a filter looks at.
    fn check_field(&mut self, row: &Row, (value, found): (&Value, Option<ScalarKind>), item: Option<&Shape>) {
        if found != Some(ScalarKind::Text) {
            let message = format!("`{}` needs the name of a field in quotes", row.name);
            return self.error("filter-arguments", message, &value.span());
        }
        let (Value::Text(name, span), Some(item)) = (value, item) else { return };
        match item {
            Shape::Any => {}
            Shape::Object(fields) if fields.contains_key(name) => {}
            Shape::Object(fields) => {
                let help = did_you_mean(name, fields.keys().map(String::as_str));
                let place = self.source.place(span.clone());
                let message = format!("the items have no field `{name}`");
                self.report(Diagnostic::error("unknown-variable", message, &place).with_optional_help(help));
            }
            other => {
                let message = format!("the items have no fields: each is {}", in_words(other));
                self.error("filter-input", message, span);
            }
        }
    }
}

fn is_list(shape: &Shape, filter: &str) -> bool {
    match shape {
        Shape::List(_) => true,
        Shape::Object(_) => matches!(filter, "first" | "last"),
        _ => false,
    }
}

/// Whether bars can be drawn of a shape.
fn draws(shape: &Shape) -> bool {
    let Shape::List(item) = shape else { return false };
    let number =
        |shape: &Shape| *shape == Shape::Any || matches!(kind(shape), Some(ScalarKind::Number | ScalarKind::Text));
    match &**item {
        Shape::Object(fields) => fields.get("value").is_some_and(number),
        item => number(item),
    }
}

/// The shape that a filter makes of its input.
fn result(row: &Row, input: Option<Shape>, given: &[(&Value, Option<Shape>)]) -> Option<Shape> {
    let nullable = !row.takes_null && matches!(input, Some(Shape::Scalar { nullable: true, .. }));
    let scalar = |kind| Some(Shape::Scalar { kind, nullable });
    match (row.gives, input) {
        (Gives::Text, _) => scalar(ScalarKind::Text),
        (Gives::Number, _) => scalar(ScalarKind::Number),
        (Gives::Time, Some(Shape::Scalar { kind: ScalarKind::Date, .. })) => scalar(ScalarKind::Date),
        (Gives::Time, _) => scalar(ScalarKind::Time),
        (Gives::Same, Some(Shape::Scalar { .. })) => scalar(ScalarKind::Text),
        (Gives::Default, Some(Shape::Scalar { kind, nullable: true })) => {
            match given.first().and_then(|(_, shape)| shape.clone()) {
                Some(Shape::Scalar { kind: other, nullable }) if other == kind => {
                    Some(Shape::Scalar { kind, nullable })
                }
                // Dashes and words in the place of a number still print.
                Some(Shape::Scalar { .. }) => Some(Shape::Any),
                _ => Some(Shape::nullable(kind)),
            }
        }
        (Gives::Same | Gives::Default, input) => input,
        (Gives::Item, Some(Shape::List(item))) => Some(match *item {
            Shape::Scalar { kind, .. } => Shape::nullable(kind),
            other => other,
        }),
        (Gives::Item, _) => Some(Shape::Any),
        (Gives::Texts, _) => Some(Shape::List(Box::new(Shape::scalar(ScalarKind::Text)))),
        (Gives::Fields, Some(Shape::List(item))) => {
            let name = if let Some((Value::Text(name, _), _)) = given.first() { name.as_str() } else { "" };
            Some(Shape::List(Box::new(item.field(name).cloned().unwrap_or(Shape::Any))))
        }
        (Gives::Fields, _) => Some(Shape::List(Box::new(Shape::Any))),
    }
}
