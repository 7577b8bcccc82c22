//! Values that are not of their column's type: they are read as null, and counted here so that somebody is told, and that no
//! mail is made of a column that lost some.

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
    /// Whether they are no number at all, as the data says itself: NaN and the infinities count as null everywhere.
    pub not_numbers: bool,
}

impl fmt::Display for Misfit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, column, kind, values, file, files, not_numbers } = self;
        let values = if *values == 1 { "1 value".to_owned() } else { format!("{values} values") };
        let others = if *files > 1 { format!(" and {} other files", files - 1) } else { String::new() };
        let what = match kind.as_str() {
            _ if *not_numbers => "NaN or infinite".to_owned(),
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
pub(in crate::warehouse) struct Misfits(Arc<Mutex<Counts>>);

/// Table, column, whether they are no numbers, and file.
type Key = (String, String, bool, String);

/// Values that were read as null at some time.
#[derive(Clone, Debug, Default)]
pub(in crate::warehouse) struct Lost(Vec<Key>);

#[derive(Debug, Default)]
struct Counts {
    counted: BTreeMap<Key, Counted>,
    /// Rises with each look.
    looks: u64,
}

#[derive(Debug)]
struct Counted {
    kind: String,
    /// The look before which such a value was last seen.
    seen: u64,
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
        self.count(reading, (column, false), kind, values);
    }

    /// Counts values of a column of doubles that are no finite number.
    pub(in crate::warehouse) fn add_not_numbers(&self, reading: &Reading, column: &str, values: u64) {
        self.count(reading, (column, true), || "double".to_owned(), values);
    }

    fn count(
        &self,
        reading: &Reading,
        (column, not_numbers): (&str, bool),
        kind: impl FnOnce() -> String,
        values: u64,
    ) {
        if values == 0 {
            return;
        }
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let looks = counts.looks;
        let key = (reading.table.to_string(), column.to_owned(), not_numbers, reading.file.to_string());
        let entry =
            counts.counted.entry(key).or_insert_with(|| Counted { kind: kind(), seen: looks, scans: BTreeMap::new() });
        entry.seen = looks;
        *entry.scans.entry(reading.scan).or_default() += values;
    }

    /// Begins to watch: [`Misfits::since`] tells what is met from now on.
    pub(in crate::warehouse) fn watch(&self) -> u64 {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.looks += 1;
        counts.looks
    }

    /// What was met since a watch began, by table and column.
    pub(in crate::warehouse) fn since(&self, look: u64) -> Vec<Misfit> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        summed(counts.counted.iter().filter(|(_, counted)| counted.seen >= look))
    }

    /// The values that were met since a watch began, to be named again.
    pub(in crate::warehouse) fn lost_since(&self, look: u64) -> Lost {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let met = counts.counted.iter().filter(|(_, counted)| counted.seen >= look);
        Lost(met.map(|(key, _)| key.clone()).collect())
    }

    /// Says of values that they are met again, where rows that were made without them are read once more.
    pub(in crate::warehouse) fn met_again(&self, lost: &Lost) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let looks = counts.looks;
        for key in &lost.0 {
            if let Some(counted) = counts.counted.get_mut(key) {
                counted.seen = looks;
            }
        }
    }

    /// What was counted since the last time this was asked, by table and column.
    pub(in crate::warehouse) fn take(&self) -> Vec<Misfit> {
        let counted = std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).counted);
        summed(counted.iter())
    }
}

fn summed<'a>(counted: impl Iterator<Item = (&'a Key, &'a Counted)>) -> Vec<Misfit> {
    let mut misfits: Vec<Misfit> = Vec::new();
    for ((table, column, not_numbers, file), Counted { kind, scans, .. }) in counted {
        let values = scans.values().copied().max().unwrap_or_default();
        let is_same =
            |last: &&mut Misfit| (&last.table, &last.column, &last.not_numbers) == (table, column, not_numbers);
        match misfits.last_mut().filter(is_same) {
            Some(last) => {
                last.values += values;
                last.files += 1;
            }
            None => misfits.push(Misfit {
                table: table.clone(),
                column: column.clone(),
                kind: kind.clone(),
                values,
                file: file.clone(),
                files: 1,
                not_numbers: *not_numbers,
            }),
        }
    }
    misfits
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

    #[test]
    fn a_watch_tells_what_is_met_from_then_on() {
        let misfits = Misfits::default();
        let reading = |file: &str| Reading {
            table: "events".into(),
            file: file.into(),
            root: "".into(),
            weight: Weight::default(),
            scan: 0,
        };
        misfits.add(&reading("a"), "words", || "int".to_owned(), 1);
        let look = misfits.watch();
        assert!(misfits.since(look).is_empty());
        misfits.add_not_numbers(&reading("b"), "score", 2);
        misfits.add(&reading("a"), "words", || "int".to_owned(), 1);
        let named =
            |look| -> Vec<_> { misfits.since(look).into_iter().map(|lost| (lost.column, lost.not_numbers)).collect() };
        let all = [("score".to_owned(), true), ("words".to_owned(), false)];
        assert_eq!(named(look), all);
        let kept = misfits.lost_since(look);
        let later = misfits.watch();
        assert!(named(later).is_empty());
        misfits.met_again(&kept);
        assert_eq!(named(later), all);
    }
}
