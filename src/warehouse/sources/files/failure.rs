//! What can be wrong with one file, in words that name it and say what next.

use std::error::Error;

use datafusion::common::DataFusionError;

use crate::storage;

/// What is wrong with one file.
#[derive(Clone, Debug, thiserror::Error)]
pub(in crate::warehouse) enum FileFailure {
    /// It cannot be decoded: cut off, still being written, or of another format.
    #[error(
        "`{file}` is damaged, still being written, or no {format} ({reason}); wait for its writer and run again, or move it away"
    )]
    Damaged {
        /// The file, as a path in its store.
        file: String,
        /// Such as `Parquet file`.
        format: &'static str,
        /// What the decoder said.
        reason: String,
    },
    /// It was listed and is gone.
    #[error("`{file}` was there when the table was listed and is gone now; run again: a new run lists the files anew")]
    Vanished {
        /// The file, as a path in its store.
        file: String,
    },
    /// The store failed while it was read.
    #[error("`{file}` cannot be read: {reason}")]
    Unreachable {
        /// The file, as a path in its store.
        file: String,
        /// What the store said.
        reason: String,
    },
    /// A line cannot be read.
    #[error("line {line} of `{file}` is {what} ({reason}); mend the line, or move the file away")]
    Line {
        /// The file, as a path in its store.
        file: String,
        /// From 1, in the decompressed text.
        line: u64,
        /// Such as `no JSON object`.
        what: &'static str,
        /// What the decoder said.
        reason: String,
    },
    /// A column is nested, or bytes, in this file and something else in its table.
    #[error(
        "the column `{column}` of `{file}` is {found}, but {expected} elsewhere in the table; leave the column out, or move the file away"
    )]
    Nested {
        /// The file, as a path in its store.
        file: String,
        /// The column.
        column: String,
        /// Its type in this file.
        found: String,
        /// Its type in the table.
        expected: String,
    },
}

impl FileFailure {
    /// What a file failed with, if an engine error is one of these.
    pub(in crate::warehouse) fn of(error: &DataFusionError) -> Option<&Self> {
        match error.find_root() {
            DataFusionError::External(source) => source.downcast_ref(),
            _ => None,
        }
    }

    /// Whether the file may be whole the next time.
    pub(in crate::warehouse) fn may_pass(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::Vanished { .. } | Self::Unreachable { .. })
    }

    /// What a store said while a file was read, if it was the store that spoke.
    pub(super) fn of_store(file: &str, error: &(dyn Error + Send + Sync + 'static)) -> Option<Self> {
        let said = error.downcast_ref::<datafusion::object_store::Error>()?;
        let file = file.to_owned();
        Some(if storage::is_absent(said) {
            Self::Vanished { file }
        } else {
            Self::Unreachable { file, reason: said.to_string() }
        })
    }
}

impl From<FileFailure> for DataFusionError {
    fn from(failure: FileFailure) -> Self {
        Self::External(Box::new(failure))
    }
}
