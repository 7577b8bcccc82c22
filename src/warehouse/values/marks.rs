//! What is known of a column beyond its type, carried by the column wherever plans take it: how large its numbers are, and
//! whether it is text only because its files disagree.

use datafusion::arrow::datatypes::Field;

use crate::model::EpochUnit;

const SIZE: &str = "milepost.size";
const MIXED: &str = "milepost.mixed";
const MIXED_FILES: &str = "milepost.mixed_files";

fn marked(field: Field, mark: &str, value: String) -> Field {
    let mut marks = field.metadata().clone();
    marks.insert(mark.to_owned(), value);
    field.with_metadata(marks)
}

/// The column with the largest number that was seen in it, where that could be a time.
pub(in crate::warehouse) fn with_size(field: Field, size: f64) -> Field {
    match EpochUnit::of_size(size) {
        Some(_) => marked(field, SIZE, size.to_string()),
        None => field,
    }
}

/// The largest number that was seen in a column, where it could be a time.
pub(in crate::warehouse) fn size(field: &Field) -> Option<f64> {
    field.metadata().get(SIZE)?.parse().ok()
}

/// The column with which rows of one file made it text.
pub(in crate::warehouse) fn with_mixture(field: Field, mixture: String) -> Field {
    marked(field, MIXED, mixture)
}

/// The column with which files made it text.
pub(in crate::warehouse) fn with_mixture_of_files(field: Field, mixture: String) -> Field {
    marked(field, MIXED_FILES, mixture)
}

/// Which files made a column text, where they disagree.
pub(in crate::warehouse) fn mixture_of_files(field: &Field) -> Option<&str> {
    field.metadata().get(MIXED_FILES).map(String::as_str)
}

/// Which files, or rows, made a column text, where they disagree.
pub(in crate::warehouse) fn mixture(field: &Field) -> Option<&str> {
    mixture_of_files(field).or_else(|| field.metadata().get(MIXED).map(String::as_str))
}

/// The engine's function from a number of a unit to an instant.
fn function(unit: EpochUnit) -> &'static str {
    match unit {
        EpochUnit::Seconds => "to_timestamp_seconds",
        EpochUnit::Milliseconds => "to_timestamp_millis",
        EpochUnit::Microseconds => "to_timestamp_micros",
        EpochUnit::Nanoseconds => "to_timestamp_nanos",
    }
}

/// How a column of numbers becomes one of times: with the unit that the size of its numbers tells, if any.
pub(in crate::warehouse) fn epoch_help(field: &Field) -> String {
    let name = field.name();
    match size(field).and_then(|size| Some((size, EpochUnit::of_size(size)?))) {
        Some((size, unit)) => format!(
            "say what it counts: `columns: {{{name}: timestamp({})}}`, since numbers such as {size} are {} since 1970 by their size; \
             in a view, `{}({name})`",
            unit.name(),
            unit.in_words(),
            function(unit),
        ),
        None => format!(
            "say what it counts: `columns: {{{name}: timestamp(s)}}` for seconds since 1970, or timestamp(ms), timestamp(us), \
             timestamp(ns); in a view, `to_timestamp_seconds({name})` and its like"
        ),
    }
}
