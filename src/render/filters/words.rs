//! Lists as sentences.

use super::kinds::ArgumentKind::Printable;
use super::{Call, Gives, Row, Takes, optional, row};
use crate::render::liquid::Data;

pub(super) static ROWS: &[Row] = &[row(
    "join_and",
    (Takes::List, Gives::Text),
    &[optional("word", "`and` by default", Printable)],
    ("Joins a list as a sentence does.", ("{{ \"A,B,C\" | split: \",\" | join_and }}", "A, B and C")),
    |call| Ok(join_and(call)),
)];

fn join_and<'a>(call: &Call<'_, 'a>) -> Data<'a> {
    let word = call.text(0).unwrap_or_else(|| "and".into());
    let mut words: Vec<_> = call.input.sequence().iter().filter(|item| !item.is_nil()).map(Data::to_text).collect();
    let closing = words.pop().unwrap_or_else(|| "".into());
    if words.is_empty() {
        return Data::made(closing);
    }
    Data::made(format!("{} {word} {closing}", words.join(", ")))
}
