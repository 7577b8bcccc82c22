//! From the engine's errors and positions to findings in the files people wrote.

use datafusion::common::{DataFusionError, SchemaError};
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{Location, Span};

use super::error::plain_message;
use super::habits;
use crate::model::diagnostic::{Diagnostic, Located, Place, did_you_mean};

/// The place of a range of lines and columns (both from 1) of an SQL text; the whole text when it cannot be found
/// again in its file, as in a YAML scalar with escapes.
pub(super) fn place_of(sql: &Located<String>, start: (u64, u64), end: (u64, u64)) -> Place {
    let raw = &sql.place.file.text[sql.place.span.clone()];
    let from = offset_in_raw(&sql.value, raw, start);
    let to = offset_in_raw(&sql.value, raw, end);
    match (from, to) {
        (Some(from), Some(to)) => sql.place.within(from..to.max(from)),
        (Some(from), None) => sql.place.within(from..from),
        _ => sql.place.clone(),
    }
}

pub(super) fn place_of_span(sql: &Located<String>, span: Span) -> Place {
    if span == Span::empty() {
        return sql.place.clone();
    }
    place_of(sql, (span.start.line, span.start.column), (span.end.line, span.end.column))
}

/// Finds the lines of `text` one after another in `raw`, then counts columns in the one asked for.
fn offset_in_raw(text: &str, raw: &str, (line, column): (u64, u64)) -> Option<usize> {
    let mut cursor = 0;
    for (index, text_line) in text.split('\n').enumerate() {
        let trimmed = text_line.trim();
        let start = cursor + raw[cursor..].find(trimmed)?;
        cursor = start + trimmed.len();
        if index as u64 + 1 == line {
            let indent = text_line.chars().take_while(|character| character.is_whitespace()).count();
            let skip = usize::try_from(column).ok()?.checked_sub(1 + indent)?;
            let within = trimmed.char_indices().nth(skip).map_or(trimmed.len(), |(at, _)| at);
            return Some(start + within);
        }
    }
    None
}

/// A syntax error at its line and column.
pub(super) fn syntax_error(sql: &Located<String>, error: &ParserError) -> Diagnostic {
    let text = match error {
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => text.as_str(),
        ParserError::RecursionLimitExceeded => "it is nested too deeply",
    };
    let (words, place) = match text.split_once(" at Line: ") {
        Some((words, position)) => (words, position_of(sql, position)),
        None => (text, sql.place.clone()),
    };
    let words = if words.starts_with("No infix parser") { "there is no operator here" } else { words };
    let words = words.trim_end_matches([',', '.']).replace("Expected:", "expected").replace("EOF", "the end");
    Diagnostic::error("sql-syntax", format!("this SQL cannot be read: {words}"), &place)
}

fn position_of(sql: &Located<String>, position: &str) -> Place {
    let mut numbers =
        position.split(|character: char| !character.is_ascii_digit()).filter_map(|part| part.parse().ok());
    match (numbers.next(), numbers.next()) {
        (Some(line), Some(column)) => place_of(sql, (line, column), (line, column)),
        _ => sql.place.clone(),
    }
}

/// Every finding inside a planning error, each at its place.
pub(super) fn planning_errors(sql: &Located<String>, error: &DataFusionError) -> Vec<Diagnostic> {
    error.iter().map(|error| planning_error(sql, error)).collect()
}

/// Where the engine says that an error is.
pub(super) fn span_of(error: &DataFusionError) -> Option<Span> {
    let said = error.diagnostic().and_then(|diagnostic| diagnostic.span);
    let said = said.or_else(|| match error.find_root() {
        DataFusionError::SchemaError(schema_error, _) => match schema_error.as_ref() {
            SchemaError::FieldNotFound { field, .. } => field.spans.first(),
            _ => None,
        },
        _ => None,
    })?;
    Some(Span::new(Location::new(said.start.line, said.start.column), Location::new(said.end.line, said.end.column)))
}

fn planning_error(sql: &Located<String>, error: &DataFusionError) -> Diagnostic {
    let place = span_of(error).map(|span| place_of_span(sql, span));
    if let DataFusionError::SchemaError(schema_error, _) = error.find_root()
        && let SchemaError::FieldNotFound { field, valid_fields } = schema_error.as_ref()
    {
        let place = place.or_else(|| first_word(sql, &field.name)).unwrap_or_else(|| sql.place.clone());
        return Diagnostic::error("unknown-column", format!("there is no column `{}` here", field.name), &place)
            .with_optional_help(column_help(&field.name, valid_fields.iter().map(|column| column.name.as_str())));
    }
    let place = place.unwrap_or_else(|| sql.place.clone());
    Diagnostic::error("sql-does-not-plan", format!("this SQL cannot be run: {}", plain_message(error)), &place)
}

/// The place of a name in the text, for errors that do not say where they are.
pub(super) fn first_word(sql: &Located<String>, word: &str) -> Option<Place> {
    let raw = &sql.place.file.text[sql.place.span.clone()];
    let is_part = |character: char| character.is_alphanumeric() || character == '_';
    raw.match_indices(word)
        .find(|(at, _)| !raw[..*at].ends_with(is_part) && !raw[at + word.len()..].starts_with(is_part))
        .map(|(at, _)| sql.place.within(at..at + word.len()))
}

/// The nearest column, else the columns there are.
pub(super) fn column_help<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone) -> Option<String> {
    // Names without quotes are read in lower case.
    if let Some(written) = known.clone().find(|known| *known != name && known.to_lowercase() == name.to_lowercase()) {
        return Some(format!("quote it: `\"{written}\"`"));
    }
    // A word without parentheses may be a function elsewhere, such as `sysdate`.
    did_you_mean(name, known.clone()).or_else(|| habits::help(name).map(str::to_owned)).or_else(|| {
        let names: Vec<_> = known.take(20).collect();
        (!names.is_empty()).then(|| format!("the columns are {}", names.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::SourceFile;

    fn located(file: &str, scalar: &str, value: &str) -> Located<String> {
        let source = Arc::new(SourceFile { path: "a.yml".into(), text: file.into() });
        let start = file.find(scalar).expect("present");
        Located::new(value.into(), Place::new(&source, start..start + scalar.len()))
    }

    #[test]
    fn finds_positions_in_quoted_and_block_scalars() {
        let quoted = located("where: \"a = 1 and b = 2\"\n", "\"a = 1 and b = 2\"", "a = 1 and b = 2");
        assert_eq!(place_of(&quoted, (1, 11), (1, 12)).to_string(), "a.yml:1:19");
        let block =
            located("where: |\n  a = 1\n    and b = 2\n", "|\n  a = 1\n    and b = 2\n", "a = 1\n  and b = 2\n");
        assert_eq!(place_of(&block, (2, 7), (2, 8)).to_string(), "a.yml:3:9");
    }

    #[test]
    fn a_scalar_with_escapes_points_at_the_whole() {
        let escaped = located(r#"where: "a = \"b\"""#, r#""a = \"b\"""#, "a = \"b\"");
        assert_eq!(place_of(&escaped, (1, 5), (1, 6)).to_string(), "a.yml:1:8");
    }
}
