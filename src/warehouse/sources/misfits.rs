//! Values that are not of their column's type: they are read as null, and counted here so that somebody is told.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::object_store::path::Path;
use serde::Serialize;

use crate::warehouse::known_values::Weight;

/// The type of a column in which nobody saw a value.
pub(in crate::warehouse) const UNKNOWN_KIND: &str = "null";

/// Values of one column of a table that were read as null since they are not of the column's type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Misfit {
    /// The table.
    pub table: String,
    /// The column.
    pub column: String,
    /// The column's type, in words of `columns:`.
    pub kind: String,
    /// How many values; those that several queries of one run met count once.
    pub values: u64,
    /// The first file that holds such values, whole: `/data/a.csv`, `s3://acme/a.csv`.
    pub file: String,
    /// How many files hold such values.
    pub files: u64,
}

impl fmt::Display for Misfit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, column, kind, values, file, files } = self;
        let values = if *values == 1 { "1 value".to_owned() } else { format!("{values} values") };
        let others = if *files > 1 { format!(" and {} other files", files - 1) } else { String::new() };
        let what = match kind.as_str() {
            UNKNOWN_KIND => {
                "in a column without values in the files looked at: declare its type in `columns:`".to_owned()
            }
            kind => format!("no {kind}"),
        };
        write!(formatter, "{values} of `{table}.{column}`, {what}; in `{file}`{others}")
    }
}

/// What was counted, by table, column and file; shared by everything that reads.
#[derive(Clone, Debug, Default)]
pub(in crate::warehouse) struct Misfits(Arc<Mutex<BTreeMap<(String, String, String), Counted>>>);

#[derive(Debug)]
struct Counted {
    kind: String,
    /// Values per scan: the same file may be read by several queries, and its values are the same each time.
    scans: BTreeMap<u64, u64>,
}

/// Where a value was read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::warehouse) struct Reading {
    pub(in crate::warehouse) table: Arc<str>,
    /// The file, whole: `/data/a.csv`, `s3://acme/a.csv`.
    pub(in crate::warehouse) file: Arc<str>,
    /// What the names of files begin with in their store: `/`, `s3://acme/`.
    pub(in crate::warehouse) root: Arc<str>,
    /// What the whole table weighs.
    pub(in crate::warehouse) weight: Weight,
    /// Which of a table's scans it is.
    pub(in crate::warehouse) scan: u64,
}

impl Reading {
    /// The reading of one of the table's files.
    pub(in crate::warehouse) fn of_file(&self, location: &Path) -> Self {
        Self { file: format!("{}{location}", self.root).into(), ..self.clone() }
    }
}

impl Misfits {
    pub(in crate::warehouse) fn add(
        &self,
        reading: &Reading,
        column: &str,
        kind: impl FnOnce() -> String,
        values: u64,
    ) {
        if values == 0 {
            return;
        }
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (reading.table.to_string(), column.to_owned(), reading.file.to_string());
        let entry = counted.entry(key).or_insert_with(|| Counted { kind: kind(), scans: BTreeMap::new() });
        *entry.scans.entry(reading.scan).or_default() += values;
    }

    /// What was counted since the last time this was asked, by table and column.
    pub(in crate::warehouse) fn take(&self) -> Vec<Misfit> {
        let counted = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let mut misfits: Vec<Misfit> = Vec::new();
        for ((table, column, file), Counted { kind, scans }) in counted {
            let values = scans.into_values().max().unwrap_or_default();
            match misfits.last_mut().filter(|last| last.table == table && last.column == column) {
                Some(last) => {
                    last.values += values;
                    last.files += 1;
                }
                None => misfits.push(Misfit { table, column, kind, values, file, files: 1 }),
            }
        }
        misfits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_two_queries_meet_counts_once() {
        let misfits = Misfits::default();
        let reading = |file: &str, scan| Reading {
            table: "events".into(),
            file: file.into(),
            root: "/".into(),
            weight: Weight::default(),
            scan,
        };
        for (file, scan, values) in [("a", 1, 2), ("a", 1, 3), ("a", 2, 4), ("b", 2, 1), ("b", 2, 0)] {
            misfits.add(&reading(file, scan), "words", || "int".to_owned(), values);
        }
        let taken = misfits.take();
        assert_eq!(taken.len(), 1);
        assert_eq!((taken[0].values, taken[0].files, taken[0].file.as_str()), (6, 2, "a"));
        assert!(misfits.take().is_empty());
    }
}
