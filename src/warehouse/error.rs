//! Why the warehouse could not answer, by what the caller can do about it.

use std::error::Error;
use std::io;

use datafusion::common::DataFusionError;

use super::sources::files::FileFailure;
use super::type_words::in_type_words;
use super::values::ids::Unreadable;
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
    /// A file is wrong, and waiting does not change that: somebody must mend it.
    #[error("the warehouse cannot be read: {reason}")]
    Wrong {
        /// Which file, what is wrong, and what next.
        reason: String,
    },
    /// The query needs more memory than it may take.
    #[error("the query needs more memory than it may take (`--memory-limit`): {reason}")]
    Memory {
        /// The limit, which step gave up, and what it would have taken.
        reason: String,
    },
    /// The limit is one with which next to no query comes to its end.
    #[error("queries may take {limit} of memory (`--memory-limit`), and {} at least", needed(*threads, least))]
    LowLimit {
        /// The limit, such as `8MB`.
        limit: String,
        /// The least that is accepted.
        least: String,
        /// Threads of the query engine.
        threads: usize,
    },
    /// What does not fit in memory does not fit on the disk either.
    #[error("what queries put on disk for want of memory does not fit there: {reason}")]
    Spill {
        /// What the engine or the system said.
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
    /// The query took longer than queries may take.
    #[error("{what} took longer than {limit} (`--query-timeout`)")]
    TooLong {
        /// Which query.
        what: String,
        /// The limit, such as `90s`.
        limit: String,
    },
    /// The data holds values that cannot be used as they are.
    #[error("{reason}")]
    Values {
        /// Which, and why.
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

fn needed(threads: usize, least: &str) -> String {
    if threads == 1 { format!("1 thread needs {least}") } else { format!("{threads} threads need {least}") }
}

impl WarehouseError {
    /// Sorts an engine error by what can be done about it.
    pub(super) fn from_engine(what: &str, error: &DataFusionError) -> Self {
        if let Some(failure) = FileFailure::of(error) {
            let reason = failure.to_string();
            return if failure.may_pass() { Self::Unavailable { reason } } else { Self::Wrong { reason } };
        }
        if let Some(unreadable) = Unreadable::of(error) {
            return Self::Values { reason: unreadable.to_string() };
        }
        let reason = plain_message(error);
        if let Some(full) = full_disk(error) {
            return Self::Spill { reason: full };
        }
        match error.find_root() {
            DataFusionError::ResourcesExhausted(_) if reason.contains("disk space") => Self::Spill { reason },
            DataFusionError::ResourcesExhausted(_) => Self::Memory { reason },
            DataFusionError::ObjectStore(_) | DataFusionError::IoError(_) => Self::Unavailable { reason },
            _ => Self::Query { what: what.to_owned(), reason },
        }
    }
}

/// What the system said when it refused to write: the engine writes nothing but what does not fit in memory.
fn full_disk(error: &DataFusionError) -> Option<String> {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        let Some(refused) = error.downcast_ref::<io::Error>() else {
            cause = error.source();
            continue;
        };
        if matches!(
            refused.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
        ) {
            return Some(refused.to_string());
        }
        // Writers wrap the system's error in one of their own.
        cause = refused.get_ref().map(|inner| -> &(dyn Error + 'static) { inner });
    }
    None
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
    if text.contains("OuterReferenceColumn") {
        return "a subquery reads columns of the rows around it in a way that is not carried out; write it as a join"
            .to_owned();
    }
    let of_expression = text.find("did not compile").or_else(|| text.find("regex parse error"));
    if let Some((_, found)) = of_expression.and_then(|at| text[at..].split_once("error: ")) {
        let found = found.lines().next().unwrap_or_default().trim_end_matches([')', ' ']);
        return format!("the regular expression cannot be read: {found}");
    }
    let text = in_type_words(&text);
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
    Some(format!("the function `{function}` does not take {}", in_type_words(given)))
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
