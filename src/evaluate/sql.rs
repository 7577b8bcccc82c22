//! Small pieces of SQL text: quoted names, literals, and names that milepost's own SQL uses.

use crate::warehouse::arrow::datatypes::{DataType, SchemaRef};

/// Profiles that a request is restricted to.
pub(super) const PROFILES: &str = "milepost_profiles";

/// A name as SQL reads it literally.
pub(super) fn name(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// A text literal.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The id in a column of a relation as text: how ids compare.
pub(super) fn id_text(column: &str, schema: &SchemaRef) -> String {
    crate::warehouse::id_text(&name(column), &kind(column, schema))
}

/// Whether a row of a relation has an id in a column.
pub(super) fn has_id(column: &str, schema: &SchemaRef) -> String {
    crate::warehouse::has_id(&name(column), &kind(column, schema))
}

fn kind(column: &str, schema: &SchemaRef) -> DataType {
    schema.field_with_name(column).map_or(DataType::Utf8, |field| field.data_type().clone())
}

/// A column as text that is no id.
pub(super) fn as_text(column: &str) -> String {
    format!("cast({column} as varchar)")
}

/// The same with one more level of indentation.
pub(super) fn indented(text: &str, spaces: usize) -> String {
    text.replace('\n', &format!("\n{}", " ".repeat(spaces)))
}

/// Common table expressions in front of a query.
pub(super) fn with(tables: &[String], query: &str) -> String {
    format!("with {}\n{query}", tables.join(",\n"))
}

/// A common table expression.
pub(super) fn table(name: &str, query: &str) -> String {
    format!("{name} as (\n  {}\n)", indented(query.trim(), 2))
}
