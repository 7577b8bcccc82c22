//! What a condition says about nulls, and whether what it compares can ever compare.

use std::ops::Range;

use super::super::expression::Value;
use super::super::filters::reads_as_moment;
use super::super::liquid::{Comparison, Condition};
use super::scope::Guards;
use super::{Diagnostic, Shape, Walk};
use crate::model::shape::ScalarKind;

impl Walk<'_> {
    /// Checks a condition and finds what it says about nulls.
    pub(super) fn condition(&mut self, condition: &Condition) -> Guards {
        self.warn_of_mixture(condition);
        self.joined(condition)
    }

    fn joined(&mut self, condition: &Condition) -> Guards {
        let first = self.comparison(&condition.first);
        let Some((and, rest)) = &condition.rest else { return first };
        let rest = self.joined(rest);
        if *and {
            Guards { holds: &first.holds | &rest.holds, fails: &first.fails & &rest.fails }
        } else {
            Guards { holds: &first.holds & &rest.holds, fails: &first.fails | &rest.fails }
        }
    }

    /// `a and b or c` is `a and (b or c)` in liquid, which hardly anybody means.
    fn warn_of_mixture(&mut self, condition: &Condition) {
        let mut seen_and = false;
        let mut at = condition;
        while let Some((and, rest)) = &at.rest {
            if seen_and && !and {
                let place = self.source.place(rest.first.left.span());
                let message = "`and` and `or` are joined from the right: this belongs to what follows the last `and`";
                let help = "nest two `if`, or `assign` one half before";
                return self.report(Diagnostic::warning("mixed-condition", message, &place).with_help(help));
            }
            seen_and |= *and;
            at = rest;
        }
    }

    fn comparison(&mut self, comparison: &Comparison) -> Guards {
        let left = &comparison.left;
        let nothing = |value: &Value| matches!(value, Value::Nothing(_));
        self.asking = comparison
            .right
            .as_ref()
            .is_none_or(|(operator, right)| matches!(*operator, "==" | "!=" | "<>") && nothing(right));
        let left_shape = self.value(left);
        self.asking = false;
        let path = if let Value::Variable(variable) = left { Some(variable.path()) } else { None };
        let Some((operator, right)) = &comparison.right else {
            return Guards { holds: path.into_iter().collect(), ..Guards::default() };
        };
        let right_shape = self.value(right);
        self.compared((left, left_shape.as_ref()), operator, (right, right_shape.as_ref()));
        let mut guards = Guards::default();
        // Null is not `empty`, so that not being empty says nothing about null.
        let means_null = nothing(right) && &self.source.text[right.span()] != "empty";
        match *operator {
            "!=" | "<>" if means_null => guards.holds.extend(path),
            "==" if means_null => guards.fails.extend(path),
            "==" | ">" | "<" | ">=" | "<=" | "contains" if !means_null => guards.holds.extend(path),
            _ => {}
        }
        guards
    }

    /// Refuses a comparison that is the same for everybody because of the kinds of its sides.
    pub(super) fn compared(
        &mut self,
        (left, left_shape): (&Value, Option<&Shape>),
        operator: &str,
        (right, right_shape): (&Value, Option<&Shape>),
    ) {
        let (Some(left_shape), Some(right_shape)) = (left_shape, right_shape) else { return };
        let span = left.span().start..right.span().end;
        let fits = match operator {
            "contains" => holds(left_shape, right_shape),
            "==" | "!=" | "<>" => alike(left_shape, right_shape),
            _ => alike(left_shape, right_shape) && has_order(left_shape) && has_order(right_shape),
        };
        if !fits {
            return self.refuse_comparison((left, left_shape), operator, (right, right_shape), &span);
        }
        for (value, other) in [(left, right_shape), (right, left_shape)] {
            if let (Value::Text(text, span), Some(ScalarKind::Time | ScalarKind::Date)) = (value, kind(other))
                && operator != "contains"
                && !reads_as_moment(text)
            {
                let message = format!("`{text}` is no day and no instant, so that it compares with none");
                let place = self.source.place(span.clone());
                let finding = Diagnostic::error("wrong-kind", message, &place);
                self.report(finding.with_help("write it as `2026-11-21` or `2026-11-21T06:00:00Z`"));
            }
        }
    }

    fn refuse_comparison(
        &mut self,
        (left, left_shape): (&Value, &Shape),
        operator: &str,
        (right, right_shape): (&Value, &Shape),
        span: &Range<usize>,
    ) {
        let written = |value: &Value| self.source.text[value.span()].to_owned();
        let (left, right) = (written(left), written(right));
        let message = format!(
            "`{left}` is {} and `{right}` is {}: `{operator}` is the same for everybody",
            in_words(left_shape),
            in_words(right_shape)
        );
        let text = if kind(left_shape) == Some(ScalarKind::Text) { &left } else { &right };
        let help = match (kind(left_shape), kind(right_shape)) {
            (Some(ScalarKind::Text), Some(ScalarKind::Number)) | (Some(ScalarKind::Number), Some(ScalarKind::Text)) => {
                format!("make a number of the text first: `{{% assign n = {text} | plus: 0 %}}`")
            }
            _ => "compare values of one kind".to_owned(),
        };
        let place = self.source.place(span.clone());
        self.report(Diagnostic::error("wrong-kind", message, &place).with_help(help));
    }
}

/// The kind of a scalar.
pub(super) fn kind(shape: &Shape) -> Option<ScalarKind> {
    match shape {
        Shape::Scalar { kind, .. } => Some(*kind),
        _ => None,
    }
}

/// A shape in words.
pub(super) fn in_words(shape: &Shape) -> &'static str {
    match shape {
        Shape::Scalar { kind: ScalarKind::Text, .. } => "text",
        Shape::Scalar { kind: ScalarKind::Number, .. } => "a number",
        Shape::Scalar { kind: ScalarKind::Boolean, .. } => "true or false",
        Shape::Scalar { kind: ScalarKind::Time, .. } => "an instant",
        Shape::Scalar { kind: ScalarKind::Date, .. } => "a day",
        Shape::List(_) => "a list",
        Shape::Object(_) => "an object",
        Shape::Any => "a value",
    }
}

/// Whether two values can be equal at all.
fn alike(left: &Shape, right: &Shape) -> bool {
    use ScalarKind::{Date, Text, Time};
    match (left, right) {
        (Shape::Any, _) | (_, Shape::Any) | (Shape::List(_), Shape::List(_)) | (Shape::Object(_), Shape::Object(_)) => {
            true
        }
        (Shape::Scalar { kind: left, .. }, Shape::Scalar { kind: right, .. }) => {
            let as_text = |kind: &ScalarKind| matches!(kind, Text | Time | Date);
            left == right || (as_text(left) && as_text(right))
        }
        _ => false,
    }
}

fn has_order(shape: &Shape) -> bool {
    match shape {
        Shape::Scalar { kind, .. } => *kind != ScalarKind::Boolean,
        Shape::Any => true,
        Shape::List(_) | Shape::Object(_) => false,
    }
}

/// Whether one value can contain another.
fn holds(whole: &Shape, part: &Shape) -> bool {
    match (whole, part) {
        (Shape::Any, _) | (_, Shape::Any) => true,
        (Shape::List(item), part) => alike(item, part),
        (Shape::Object(_), part) => kind(part) == Some(ScalarKind::Text),
        (Shape::Scalar { kind, .. }, part) => {
            matches!(kind, ScalarKind::Text | ScalarKind::Time | ScalarKind::Date)
                && matches!(part, Shape::Scalar { .. })
        }
    }
}
