//! Why a job could not be evaluated, by what the caller can do about it.

use jiff::Timestamp;

use crate::model::diagnostic::Diagnostic;
use crate::warehouse::WarehouseError;

/// Why a job could not be evaluated.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// The warehouse failed.
    #[error(transparent)]
    Warehouse(#[from] WarehouseError),
    /// The audience has several rows for one profile (or for one profile and entity).
    #[error(
        "the audience `{audience}` has {count} ids with more than one row, such as {}; make it one row per {per}",
        sample.join(", ")
    )]
    DuplicateProfiles {
        /// The audience's table or view.
        audience: String,
        /// `profile_id`, or `profile_id and account_id`.
        per: String,
        /// How many ids have more than one row.
        count: u64,
        /// At most three of them.
        sample: Vec<String>,
    },
    /// Rows of the `suppressed:` table that suppress nobody.
    #[error(
        "row {row} of `{relation}` suppresses nobody ({holds}), {} in all; mend or remove such rows: nobody is mailed before",
        if *rows == 1 { "1 row".to_owned() } else { format!("{rows} rows") }
    )]
    SuppressesNobody {
        /// The table or view.
        relation: String,
        /// The first such row, from 1, in the order in which the table is read.
        row: u64,
        /// How many there are.
        rows: u64,
        /// What the row holds, masked.
        holds: String,
    },
    /// The key is none of this job's kind of period.
    #[error("`{key}` is no {kind} of this job; write a key such as {example}")]
    UnknownPeriod {
        /// The key as given.
        key: String,
        /// The kind, such as `month`.
        kind: &'static str,
        /// A key that would do.
        example: String,
    },
    /// The period is not over, or its wait for late events is not.
    #[error("the period {key} is due at {due}, after this run's as_of {as_of}; run it then, or name an earlier period")]
    NotYetDue {
        /// The period's key.
        key: String,
        /// When it is due.
        due: Timestamp,
        /// The run's logical now.
        as_of: Timestamp,
    },
    /// What was asked for is another kind of job's.
    #[error("the job `{job}` is {is}, so it has no {asked}")]
    WrongKind {
        /// The job.
        job: String,
        /// `a recap` or `milestones`.
        is: &'static str,
        /// `milestone flags` or `metrics`.
        asked: &'static str,
    },
    /// What a table declares in `health:` does not plan.
    #[error("a condition of `health:` cannot be asked: {}", diagnostics.first().map_or("", |first| first.message.as_str()))]
    Declared {
        /// Every finding.
        diagnostics: Vec<Diagnostic>,
    },
}

impl EvaluateError {
    /// True when the project or what was asked for is wrong: running again will not help.
    #[must_use]
    pub fn is_invalid(&self) -> bool {
        match self {
            Self::Warehouse(error) => matches!(
                error,
                WarehouseError::Query { .. } | WarehouseError::Wrong { .. } | WarehouseError::Values { .. }
            ),
            Self::DuplicateProfiles { .. }
            | Self::SuppressesNobody { .. }
            | Self::UnknownPeriod { .. }
            | Self::NotYetDue { .. }
            | Self::WrongKind { .. }
            | Self::Declared { .. } => true,
        }
    }

    /// True when the warehouse could not be reached: try again later.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Warehouse(WarehouseError::Unavailable { .. }))
    }
}
