//! Files that lie at a table's location and are not read: counted, so that nobody has to wonder where their rows are.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

/// Names that are told.
const NAMES_MAX: usize = 5;

/// Why a file is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// It holds no byte.
    Empty,
    /// Its name does not end as the format's do.
    Name,
    /// It is no regular file.
    NoFile,
}

/// Files of one table that are left out for the same reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// The table.
    pub table: String,
    /// Why.
    pub why: Why,
    /// How many.
    pub files: u64,
    /// The first of them, whole: `/data/a.txt`, `s3://acme/a.txt`.
    pub names: Vec<String>,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, why, files, names } = self;
        let files_in_words = if *files == 1 { "1 file".to_owned() } else { format!("{files} files") };
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        let others = if *files > names.len() as u64 { ", ..." } else { "" };
        let why = match why {
            Why::Empty => "empty",
            Why::Name => "of other names than the table's format",
            Why::NoFile => "no regular file",
        };
        write!(formatter, "{files_in_words} of table `{table}`, {why}: {}{others}", names.join(", "))
    }
}

/// What was left out so far, shared by everything that lists.
#[derive(Clone, Debug, Default)]
pub(in crate::warehouse) struct LeftOutFiles(Arc<Mutex<Counted>>);

/// The names by table and reason.
type Counted = BTreeMap<(String, Why), BTreeSet<String>>;

impl LeftOutFiles {
    /// Counts a file; one that is listed again counts once.
    pub(in crate::warehouse) fn add(&self, table: &str, why: Why, name: String) {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counted.entry((table.to_owned(), why)).or_default().insert(name);
    }

    /// All of it, by table.
    pub(in crate::warehouse) fn all(&self) -> Vec<LeftOut> {
        let counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left_out = counted.iter().map(|((table, why), names)| LeftOut {
            table: table.clone(),
            why: *why,
            files: names.len() as u64,
            names: names.iter().take(NAMES_MAX).cloned().collect(),
        });
        left_out.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_counts_once_and_the_first_are_named() {
        let files = LeftOutFiles::default();
        for name in ["/d/6", "/d/1", "/d/2", "/d/3", "/d/4", "/d/5", "/d/1"] {
            files.add("events", Why::Name, name.to_owned());
        }
        let all = files.all();
        assert_eq!((all.len(), all[0].files, all[0].names.len()), (1, 6, 5));
        assert_eq!(
            all[0].to_string(),
            "6 files of table `events`, of other names than the table's format: `/d/1`, `/d/2`, `/d/3`, `/d/4`, `/d/5`, ..."
        );
    }
}
