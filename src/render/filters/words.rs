//! Lists as sentences.

use liquid_core::{Value, ValueView};

use super::numbers::kind;
use super::{Call, Row, optional, row};

pub(super) static ROWS: &[Row] = &[row(
    "join_and",
    &[optional("word", "`and` by default")],
    "Joins a list as a sentence does.",
    ("{{ \"A,B,C\" | split: \",\" | join_and }}", "A, B and C"),
    join_and,
)];

fn join_and(call: &Call<'_>) -> Result<Value, String> {
    let Some(items) = call.input.as_array() else {
        return Err(format!("needs a list, not a {}", kind(call.input)));
    };
    let word = call.text(0).unwrap_or_else(|| "and".into());
    let mut words: Vec<String> =
        items.values().filter(|item| !item.is_nil()).map(|item| item.to_kstr().into_string()).collect();
    let closing = words.pop().unwrap_or_default();
    Ok(Value::scalar(if words.is_empty() { closing } else { format!("{} {word} {closing}", words.join(", ")) }))
}
