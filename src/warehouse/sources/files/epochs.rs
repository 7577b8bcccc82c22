//! Numbers that are declared to be times: refused where nobody says what they count.

use datafusion::arrow::datatypes::Field;

use crate::model::diagnostic::Diagnostic;
use crate::project::{ColumnKind, Table};
use crate::warehouse::sources::TableFailure;
use crate::warehouse::type_words::type_words;
use crate::warehouse::values::marks;

/// Refuses columns of numbers, as they were found, that `columns:` calls a time or a day: each unit would be another time.
pub(super) fn refuse_numbers(table: &Table, found: &[Field]) -> Result<(), TableFailure> {
    let declared = table.columns.iter().filter_map(|(name, kind)| match kind {
        ColumnKind::Timestamp => Some((name, "timestamp")),
        ColumnKind::Date => Some((name, "date")),
        _ => None,
    });
    let findings = declared.filter_map(|(name, word)| {
        let column = found.iter().find(|column| *column.name() == name.value)?;
        if !column.data_type().is_numeric() {
            return None;
        }
        let kind = type_words(column.data_type());
        let message = format!("column `{}` is {kind}, and `{word}` does not say what its numbers count", name.value);
        let mut help = marks::epoch_help(column);
        if word == "date" {
            help += "; or read the table through a view of sql/ that makes days of them";
        }
        Some(Diagnostic::error("epoch-unit", message, &name.place).with_help(help))
    });
    let findings: Vec<Diagnostic> = findings.collect();
    if findings.is_empty() { Ok(()) } else { Err(TableFailure::Wrong(findings)) }
}
