//! Columns that a job names: found, or a finding at the place where they are named.

use crate::model::diagnostic::{Diagnostic, Located, did_you_mean};
use crate::warehouse::arrow::datatypes::{DataType, SchemaRef};
use crate::warehouse::{Session, Warehouse, is_id, type_words};

/// The columns of a table or view that a job names.
///
/// # Errors
/// One finding when there is no such relation; none when its own findings are reported already.
pub(super) async fn of_relation(
    relation: &Located<String>,
    warehouse: &Warehouse,
    session: &Session,
) -> Result<SchemaRef, Vec<Diagnostic>> {
    if let Some(columns) = session.columns(&relation.value).await {
        return Ok(columns);
    }
    if warehouse.is_broken(&relation.value) {
        return Err(Vec::new());
    }
    let name = &relation.value;
    if let Some(parameter) = session.missing_parameter(name) {
        let message = format!("view `{name}` uses ${parameter}, which only a recap has");
        return Err(vec![
            Diagnostic::error("unbound-parameter", message, &relation.place).with_help("use $as_of in this view"),
        ]);
    }
    let message = format!("there is no table or view `{name}`");
    Err(vec![
        Diagnostic::error("unknown-table", message, &relation.place)
            .with_optional_help(did_you_mean(name, warehouse.relations())),
    ])
}

/// A finding when a named column does not exist.
pub(super) fn missing(column: &Located<String>, relation: &str, schema: &SchemaRef) -> Option<Diagnostic> {
    if schema.field_with_name(&column.value).is_ok() {
        return None;
    }
    let names = schema.fields().iter().map(|field| field.name().as_str());
    let message = format!("`{relation}` has no column `{}`", column.value);
    let help = did_you_mean(&column.value, names.clone())
        .unwrap_or_else(|| format!("its columns are {}", names.collect::<Vec<_>>().join(", ")));
    Some(Diagnostic::error("unknown-column", message, &column.place).with_help(help))
}

/// A finding when no value of a column can be an id.
pub(super) fn not_an_id(column: &Located<String>, relation: &str, schema: &SchemaRef) -> Option<Diagnostic> {
    let kind = schema.field_with_name(&column.value).ok()?.data_type();
    if is_id(kind) {
        return None;
    }
    let message = format!("column `{}` of `{relation}` is {}, which is no id", column.value, type_words(kind));
    let help = "name a column of text or numbers, or read the table through a view of sql/ that takes one value of it";
    Some(Diagnostic::error("not-an-id", message, &column.place).with_help(help))
}

/// A finding when a column does not hold text.
pub(super) fn not_text(column: &Located<String>, schema: &SchemaRef) -> Option<Diagnostic> {
    let kind = schema.field_with_name(&column.value).ok()?.data_type().clone();
    let message = format!("column `{}` is {}, not text", column.value, type_words(&kind));
    (!is_text(&kind)).then(|| Diagnostic::error("wrong-type", message, &column.place))
}

/// True for text, also in a dictionary.
pub(super) fn is_text(kind: &DataType) -> bool {
    matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null)
        || matches!(kind, DataType::Dictionary(_, value) if is_text(value))
}
