//! Why the warehouse could not answer, by what the caller can do about it.

use datafusion::common::DataFusionError;

use super::sources::files::FileFailure;
use crate::storage::StorageError;

/// Why the warehouse could not answer.
#[derive(Debug, thiserror::Error)]
pub enum WarehouseError {
    /// Files or a store could not be reached or read: try again later.
    #[error("the warehouse cannot be read: {reason}")]
    Unavailable {
        /// What the store or the file system said.
        reason: String,
    },
    /// The query needs more memory than it may take.
    #[error("the query needs more memory than --memory-limit allows; raise the limit: {reason}")]
    Memory {
        /// Which operator gave up.
        reason: String,
    },
    /// The query cannot be planned or fails on the data it reads.
    #[error("{what} failed: {reason}")]
    Query {
        /// Which query, such as `milestones of events`.
        what: String,
        /// What the engine said.
        reason: String,
    },
    /// A result file could not be written; nothing was left behind.
    #[error("`{path}` cannot be written: {reason}")]
    Output {
        /// The file.
        path: String,
        /// What the file system said.
        reason: String,
    },
    /// A place for results cannot be used or reached.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl WarehouseError {
    /// Sorts an engine error by what can be done about it.
    pub(super) fn from_engine(what: &str, error: &DataFusionError) -> Self {
        if let Some(failure) = FileFailure::of(error) {
            let reason = failure.to_string();
            return if failure.may_pass() {
                Self::Unavailable { reason }
            } else {
                Self::Query { what: what.to_owned(), reason }
            };
        }
        let reason = plain_message(error);
        match error.find_root() {
            DataFusionError::ResourcesExhausted(_) => Self::Memory { reason },
            DataFusionError::ObjectStore(_) | DataFusionError::IoError(_) => Self::Unavailable { reason },
            _ => Self::Query { what: what.to_owned(), reason },
        }
    }
}

/// The engine's words on one line, without its prefixes and without a stop at the end.
pub(super) fn plain_message(error: &DataFusionError) -> String {
    if let Some(failure) = FileFailure::of(error) {
        return failure.to_string();
    }
    let root = error.find_root();
    let text = match root {
        DataFusionError::ArrowError(arrow, _) => arrow.to_string(),
        _ => root.message().into_owned(),
    };
    if let Some(words) = wrong_argument(&text) {
        return words;
    }
    let first_line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("unknown error");
    let mut words = first_line.trim_end_matches('.').to_owned();
    if words.chars().nth(1).is_some_and(char::is_lowercase) {
        words = words[..1].to_lowercase() + &words[1..];
    }
    words
}

/// The engine lists every signature that a function does not match; people need the function and the type.
fn wrong_argument(text: &str) -> Option<String> {
    let (_, after) = text.split_once("Function '")?;
    let (function, after) = after.split_once('\'')?;
    let (_, after) = after.split_once("but received ")?;
    let given = after.split([' ', '.', ',']).next().filter(|given| !given.is_empty())?;
    Some(format!("the function `{function}` does not take {given}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_argument_is_said_in_one_clause() {
        let text = "Internal error: Function 'sum' failed to match any signature, errors: Error during planning: Function \
                    'sum' requires Decimal, but received String (DataType: Utf8).";
        assert_eq!(wrong_argument(text).as_deref(), Some("the function `sum` does not take String"));
        assert_eq!(wrong_argument("something else"), None);
    }
}
