//! liquid's arithmetic without its overflow: whole numbers that do not fit become doubles.

use liquid_core::{Value, ValueView};

use super::numbers::finite;
use super::{Call, Row, required, row};

macro_rules! operation {
    ($name:literal, $about:literal, $example:expr, $whole:expr, $double:expr) => {
        row($name, &[required("operand", "a number")], $about, $example, |call| operate(call, $whole, $double))
    };
}

pub(super) static ROWS: &[Row] = &[
    operation!("plus", "Adds.", ("{{ 2 | plus: 1 }}", "3"), i64::checked_add, |left, right| left + right),
    operation!("minus", "Subtracts.", ("{{ 2 | minus: 1 }}", "1"), i64::checked_sub, |left, right| left - right),
    operation!("times", "Multiplies.", ("{{ 2 | times: 1.5 }}", "3"), i64::checked_mul, |left, right| left * right),
    operation!(
        "divided_by",
        "Divides; whole numbers stay whole.",
        ("{{ 7 | divided_by: 2 }}", "3"),
        i64::checked_div,
        |left, right| left / right
    ),
    operation!("modulo", "The rest of a division.", ("{{ 7 | modulo: 2 }}", "1"), i64::checked_rem, |left, right| left
        % right),
    row("abs", &[], "Drops the sign.", ("{{ -7 | abs }}", "7"), |call| {
        let whole = call.input.as_scalar().and_then(|scalar| scalar.to_integer()).and_then(i64::checked_abs);
        whole.map_or_else(
            || finite(call.input).map(|value| Value::scalar(value.abs())),
            |whole| Ok(Value::scalar(whole)),
        )
    }),
];

fn operate(call: &Call<'_>, whole: fn(i64, i64) -> Option<i64>, double: fn(f64, f64) -> f64) -> Result<Value, String> {
    let Some(operand) = call.arguments.first().filter(|value| !value.is_nil()) else { return Ok(Value::Nil) };
    let pair = |value: &dyn ValueView| value.as_scalar().and_then(|scalar| scalar.to_integer());
    if let (Some(left), Some(right)) = (pair(call.input), pair(operand))
        && let Some(exact) = whole(left, right)
    {
        return Ok(Value::scalar(exact));
    }
    let computed = double(finite(call.input)?, finite(operand)?);
    if computed.is_finite() { Ok(Value::scalar(computed)) } else { Err("has no finite result".into()) }
}
