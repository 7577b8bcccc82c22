//! Text of a CSV file that a spreadsheet would run as a formula: it gets an apostrophe before it, which spreadsheets take as
//! "this is text". Numbers stay numbers, also those of text columns.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use datafusion::arrow;

/// The rows as a CSV file may hold them, the names of columns included.
pub(super) fn harmless(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let columns = batch.columns().iter().map(harmless_column).collect::<Result<Vec<_>, _>>()?;
    let schema = batch.schema();
    let fields = schema.fields().iter().zip(&columns).map(|(field, column)| {
        Field::new(harmless_text(field.name()), column.data_type().clone(), field.is_nullable())
    });
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema, columns, &options)
}

fn harmless_column(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let is_text = |kind: &DataType| matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    match column.data_type() {
        DataType::Dictionary(_, values) if is_text(values) => {}
        kind if is_text(kind) => {}
        _ => return Ok(Arc::clone(column)),
    }
    let texts = cast(column, &DataType::Utf8)?;
    let texts = texts.as_string::<i32>();
    if !texts.iter().flatten().any(is_formula) {
        return Ok(Arc::clone(column));
    }
    Ok(Arc::new(texts.iter().map(|text| text.map(harmless_text)).collect::<StringArray>()))
}

fn harmless_text(text: &str) -> String {
    if is_formula(text) { format!("'{text}") } else { text.to_owned() }
}

/// Whether a spreadsheet would calculate it: it begins as a formula does, and is no number.
fn is_formula(text: &str) -> bool {
    const BEGINNINGS: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];
    let is_number = || text.parse::<f64>().is_ok_and(f64::is_finite);
    text.starts_with(BEGINNINGS) && !is_number()
}

#[cfg(test)]
mod tests {
    use arrow::array::{DictionaryArray, Int64Array, StringViewArray};
    use arrow::datatypes::Int32Type;

    use super::*;

    #[test]
    fn formulas_become_text_and_numbers_stay() {
        let given = [
            "=cmd|' /C calc'!A0",
            "+1-2",
            "-2+3",
            "@sum(1)",
            "\t=1",
            "\r=1",
            "＝1",
            "-5",
            "+4.5",
            "-1e3",
            "a=b",
            "",
            "'=1",
        ];
        let kept = [
            "'=cmd|' /C calc'!A0",
            "'+1-2",
            "'-2+3",
            "'@sum(1)",
            "'\t=1",
            "'\r=1",
            "'＝1",
            "-5",
            "+4.5",
            "-1e3",
            "a=b",
            "",
            "'=1",
        ];
        let columns: [ArrayRef; 3] = [
            Arc::new(StringArray::from_iter_values(given)),
            Arc::new(StringViewArray::from_iter_values(given)),
            Arc::new(given.into_iter().collect::<DictionaryArray<Int32Type>>()),
        ];
        for column in columns {
            let batch = RecordBatch::try_from_iter([("=name", column)]).expect("one column");
            let written = harmless(&batch).expect("text");
            let texts = cast(written.column(0), &DataType::Utf8).expect("text");
            assert_eq!(texts.as_string::<i32>().iter().flatten().collect::<Vec<_>>(), kept);
            assert_eq!(written.schema().field(0).name(), "'=name");
        }
        let numbers = RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(vec![Some(-1), None])) as ArrayRef)]);
        let numbers = numbers.expect("one column");
        assert_eq!(harmless(&numbers).expect("numbers").columns(), numbers.columns());
    }
}
