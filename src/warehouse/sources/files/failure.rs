//! What can be wrong with one file, in words that name it whole and say what next; the one place that knows which of it
//! waiting mends.

use std::error::Error;

use datafusion::common::DataFusionError;

use crate::storage;

/// What is wrong with one file. A file is named whole: `/data/a.csv`, `s3://acme/a.csv`.
#[derive(Clone, Debug, thiserror::Error)]
pub(in crate::warehouse) enum FileFailure {
    /// It ends before it is whole.
    #[error("`{file}` is cut short or still being written: {reason}; wait for its writer and run again")]
    CutShort {
        /// The file.
        file: String,
        /// What the decoder said.
        reason: String,
    },
    /// It cannot be decoded, and no more of it would change that.
    #[error("`{file}` is damaged, or no {format} ({reason}); mend it, or move it away")]
    Damaged {
        /// The file.
        file: String,
        /// Such as `Parquet file`.
        format: &'static str,
        /// What the decoder said.
        reason: String,
    },
    /// It is a file of another format, by what it begins with.
    #[error("`{file}` is no {format}: it is {found}; move it away, or declare it as a table of its own")]
    OtherFormat {
        /// The file.
        file: String,
        /// Such as `CSV file`.
        format: &'static str,
        /// Such as `a Parquet file`.
        found: &'static str,
    },
    /// It was listed and is gone.
    #[error("`{file}` was there when the table was listed and is gone now; run again: a new run lists the files anew")]
    Vanished {
        /// The file.
        file: String,
    },
    /// It lies where the project may not read.
    #[error("{reason}")]
    Refused {
        /// Which file, and what next.
        reason: String,
    },
    /// The store failed while it was read.
    #[error("`{file}` cannot be read: {reason}")]
    Unreachable {
        /// The file.
        file: String,
        /// What the store said.
        reason: String,
    },
    /// A line cannot be read.
    #[error("line {line} of `{file}` is {what} ({reason}); mend the line, or move the file away")]
    Line {
        /// The file.
        file: String,
        /// From 1, in the decompressed text.
        line: u64,
        /// Such as `no JSON object`.
        what: &'static str,
        /// What the decoder said.
        reason: String,
    },
    /// The first line of a CSV file holds no names; it is not shown, since it may be anything.
    #[error(
        "the first line of `{file}` is no header of a CSV file: {reason}; name a file whose first line holds the names of its columns"
    )]
    NoHeader {
        /// The file.
        file: String,
        /// Why, without what stands there.
        reason: &'static str,
    },
    /// A column is nested, or bytes, in this file and something else in its table.
    #[error(
        "the column `{column}` of `{file}` is {found}, but {expected} elsewhere in the table; leave the column out, or move the file away"
    )]
    Nested {
        /// The file.
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

    /// Whether waiting mends it: the next run may find the file whole. Everything else a person must mend.
    pub(in crate::warehouse) fn may_pass(&self) -> bool {
        matches!(self, Self::CutShort { .. } | Self::Vanished { .. } | Self::Unreachable { .. })
    }

    /// What a store said while a file was read, if it was the store that spoke.
    pub(super) fn of_store(file: &str, error: &(dyn Error + Send + Sync + 'static)) -> Option<Self> {
        let said = error.downcast_ref::<datafusion::object_store::Error>()?;
        let file = file.to_owned();
        Some(match storage::refusal(said) {
            Some(refusal) => Self::Refused { reason: refusal.to_string() },
            None if storage::is_absent(said) => Self::Vanished { file },
            None => Self::Unreachable { file, reason: said.to_string() },
        })
    }

    /// What a decoder said of a file: one that ended too early may be whole the next time.
    pub(super) fn of_decoding(file: &str, format: &'static str, error: &std::io::Error) -> Self {
        let inner = error.get_ref();
        if let Some(failure) = inner.and_then(|inner| Self::of_store(file, inner)) {
            return failure;
        }
        let (file, reason) = (file.to_owned(), error.to_string());
        match error.kind() {
            std::io::ErrorKind::UnexpectedEof => Self::CutShort { file, reason },
            std::io::ErrorKind::PermissionDenied => Self::Unreachable { file, reason },
            _ => Self::Damaged { file, format, reason },
        }
    }
}

impl From<FileFailure> for DataFusionError {
    fn from(failure: FileFailure) -> Self {
        Self::External(Box::new(failure))
    }
}
