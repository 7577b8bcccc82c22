//! Arithmetic without overflow: whole numbers that do not fit become doubles, and what has no finite result is null.

use super::kinds::ArgumentKind::{Divisor, Number, Whole};
use super::{Call, Gives, Misfit, Row, Takes, optional, required, row, standard};
use crate::render::liquid::Data;

macro_rules! operation {
    ($name:literal, $kind:expr, $about:literal, $example:expr, $whole:expr, $double:expr) => {
        row(
            $name,
            (Takes::Numeric, Gives::Number),
            &[required("operand", "a number", $kind)],
            ($about, $example),
            |call| Ok(operate(call, $whole, $double)),
        )
    };
}

pub(super) static ROWS: &[Row] = &[
    operation!("plus", Number, "Adds.", ("{{ 2 | plus: 1 }}", "3"), i128::checked_add, |left, right| left + right),
    operation!("minus", Number, "Subtracts.", ("{{ 2 | minus: 1 }}", "1"), i128::checked_sub, |left, right| left
        - right),
    operation!("times", Number, "Multiplies.", ("{{ 2 | times: 1.5 }}", "3"), i128::checked_mul, |left, right| left
        * right),
    operation!(
        "divided_by",
        Divisor,
        "Divides; whole numbers stay whole, rounded down. Null when the divisor is 0.",
        ("{{ 7 | divided_by: 2 }}", "3"),
        floor_division,
        |left, right| left / right
    ),
    operation!(
        "modulo",
        Divisor,
        "The rest of a division, with the sign of the divisor. Null when the divisor is 0.",
        ("{{ 7 | modulo: 2 }}", "1"),
        floor_rest,
        |left, right| left - right * (left / right).floor()
    ),
    row("abs", (Takes::Numeric, Gives::Number), &[], ("Drops the sign.", ("{{ -7 | abs }}", "7")), |call| {
        Ok(match operand(call.input) {
            Some(Data::Integer(whole)) => Data::Integer(whole.abs()),
            other => other.and_then(|one| one.as_number()).map_or(Data::Nil, |value| Data::number(value.abs())),
        })
    }),
    standard("at_least", (Takes::Numeric, Gives::Number), &[required("least", "", Number)], false, |call| {
        Ok(nearer(call, std::cmp::Ordering::Less))
    }),
    standard("at_most", (Takes::Numeric, Gives::Number), &[required("most", "", Number)], false, |call| {
        Ok(nearer(call, std::cmp::Ordering::Greater))
    }),
    standard("ceil", (Takes::Numeric, Gives::Number), &[], false, |call| Ok(rounded(call, f64::ceil))),
    standard("floor", (Takes::Numeric, Gives::Number), &[], false, |call| Ok(rounded(call, f64::floor))),
    standard("round", (Takes::Numeric, Gives::Number), &[optional("decimals", "", Whole)], false, |call| {
        Ok(match call.argument(0).and_then(operand) {
            Some(Data::Integer(decimals @ 1..=15)) => {
                #[expect(clippy::cast_possible_truncation, reason = "the pattern bounds it")]
                let scale = 10f64.powi(decimals as i32);
                to_decimals(call, scale)
            }
            _ => rounded(call, f64::round),
        })
    }),
];

fn floor_division(left: i128, right: i128) -> Option<i128> {
    let rest = left.checked_rem(right)?;
    let quotient = left.checked_div(right)?;
    if rest != 0 && (rest < 0) != (right < 0) { quotient.checked_sub(1) } else { Some(quotient) }
}

fn floor_rest(left: i128, right: i128) -> Option<i128> {
    let rest = left.checked_rem(right)?;
    if rest != 0 && (rest < 0) != (right < 0) { rest.checked_add(right) } else { Some(rest) }
}

/// A value as a number, by liquid's rule: of a text counts the number that it begins with, else it is 0.
pub(super) fn operand<'a>(value: &Data<'_>) -> Option<Data<'a>> {
    match value {
        Data::Integer(whole) => Some(Data::Integer(*whole)),
        Data::Double(value) => Some(Data::Double(*value)).filter(|_| value.is_finite()),
        other => other.as_text().map(|text| number_of(text.trim())),
    }
}

fn number_of<'a>(text: &str) -> Data<'a> {
    let signed = usize::from(text.starts_with(['-', '+']));
    let digits = |from: usize| text[from..].bytes().take_while(u8::is_ascii_digit).count();
    let whole = digits(signed);
    let point = signed + whole;
    // A text that is a decimal number as a whole is one; of other texts the leading digits count.
    if text[point..].starts_with('.') && whole > 0 {
        let end = point + 1 + digits(point + 1);
        if end == text.len()
            && end > point + 1
            && let Ok(value) = text.parse::<f64>()
            && value.is_finite()
        {
            return Data::Double(value);
        }
    }
    match text[..point].parse::<i64>() {
        Ok(whole) => Data::Integer(whole.into()),
        Err(_) => {
            text[..point].parse::<f64>().ok().filter(|value| value.is_finite()).map_or(Data::Integer(0), Data::Double)
        }
    }
}

fn operate<'a>(call: &Call<'_, 'a>, whole: fn(i128, i128) -> Option<i128>, double: fn(f64, f64) -> f64) -> Data<'a> {
    let (Some(left), Some(right)) = (operand(call.input), call.argument(0).and_then(operand)) else {
        return Data::Nil;
    };
    if let (Data::Integer(left), Data::Integer(right)) = (&left, &right)
        && let Some(exact) = whole(*left, *right)
        && i64::try_from(exact).is_ok()
    {
        return Data::Integer(exact);
    }
    match (left.as_number(), right.as_number()) {
        (Some(left), Some(right)) => Data::number(double(left, right)),
        _ => Data::Nil,
    }
}

fn nearer<'a>(call: &Call<'_, 'a>, replaced: std::cmp::Ordering) -> Data<'a> {
    let (Some(value), Some(bound)) = (operand(call.input), call.argument(0).and_then(operand)) else {
        return operand(call.input).unwrap_or(Data::Nil);
    };
    if crate::render::liquid::order(&value, &bound) == Some(replaced) { bound } else { value }
}

fn rounded<'a>(call: &Call<'_, 'a>, to_whole: fn(f64) -> f64) -> Data<'a> {
    match operand(call.input) {
        Some(Data::Double(value)) => whole_or_double(to_whole(value)),
        Some(whole) => whole,
        None => Data::Nil,
    }
}

fn to_decimals<'a>(call: &Call<'_, 'a>, scale: f64) -> Data<'a> {
    match operand(call.input) {
        Some(Data::Double(value)) => {
            let scaled = value * scale;
            Data::number(if scaled.is_finite() { scaled.round() / scale } else { value })
        }
        Some(whole) => whole,
        None => Data::Nil,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the bound is checked")]
fn whole_or_double<'a>(value: f64) -> Data<'a> {
    // Doubles hold every whole number up to here.
    if value.abs() < 9e15 { Data::Integer(value as i128) } else { Data::number(value) }
}

/// The input as a finite double: a number, or text that is one.
pub(super) fn finite(value: &Data<'_>) -> Result<f64, Misfit> {
    let number = value.as_number().or_else(|| value.as_text().and_then(|text| text.trim().parse().ok()));
    number.filter(|number: &f64| number.is_finite()).ok_or(Misfit::Unreadable)
}

/// The input as a whole number, where it is written as one.
pub(super) fn whole(value: &Data<'_>) -> Option<i128> {
    match value {
        Data::Integer(whole) => Some(*whole),
        other => other.as_text().and_then(|text| text.trim().parse::<i64>().ok()).map(i128::from),
    }
}
