//! Why a use case could not do as asked; the edge turns each into an exit code and words.

use crate::deliver::DeliverError;
use crate::evaluate::EvaluateError;
use crate::ledger::LedgerError;
use crate::model::{Diagnostic, Severity, Unhealthy};
use crate::providers::ProviderError;
use crate::storage::StorageError;
use crate::warehouse::{Misfit, WarehouseError};

use super::{Exit, StopCause};

/// Why a use case could not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// There is no project.
    #[error("no milepost.yml in `{start}` or a folder above it")]
    NoProject {
        /// Where the search began.
        start: String,
    },
    /// The project has errors.
    #[error("the project has errors")]
    Invalid {
        /// Every finding.
        diagnostics: Vec<Diagnostic>,
    },
    /// No such job.
    #[error("no job is named `{name}`")]
    UnknownJob {
        /// The name given.
        name: String,
        /// The nearest, or all.
        hint: String,
    },
    /// No such profile, neither in an audience nor in the ledger.
    #[error("no profile {}", .profile_id.as_ref().map_or("has this address".to_owned(), |id| format!("has the id `{id}`")))]
    UnknownProfile {
        /// The id given; `None` for an address, which is not repeated.
        profile_id: Option<String>,
        /// The nearest ids.
        near: Vec<String>,
    },
    /// Nothing was done, since the profile may be a slip of the fingers.
    #[error("{message}")]
    Unsure {
        /// What is not known.
        message: String,
        /// The nearest names, and how to do it all the same.
        hint: String,
    },
    /// The options contradict each other or the project.
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// What to do.
        hint: String,
    },
    /// A guard refused before anything was dispatched.
    #[error("{message}")]
    Refused {
        /// Which limit, and by how much.
        message: String,
        /// The option that allows it.
        hint: String,
    },
    /// A volume guard refused before anything was dispatched.
    #[error("the job `{job}`: {refusal}")]
    Guard {
        /// The job.
        job: String,
        /// The limit, the number, and what allows it.
        refusal: crate::decide::Refusal,
    },
    /// Tables, or the run as a whole, are not as they usually are; nothing was dispatched.
    #[error("the job `{job}`: {}", found.iter().map(|found| format!("[{}] {}", found.check, found.message)).collect::<Vec<_>>().join("; "))]
    Unhealthy {
        /// The job.
        job: String,
        /// Everything that was found.
        found: Vec<Unhealthy>,
    },
    /// Values that a job depends on were read as null.
    #[error(
        "the job `{job}` reads values that are not of their column's type, and its mails would be wrong without them: {}",
        in_lines(lost)
    )]
    LostValues {
        /// The job.
        job: String,
        /// What was lost.
        lost: Vec<Misfit>,
    },
    /// A job could not be planned.
    #[error("{message}")]
    Planning {
        /// The job and what happened.
        message: String,
        /// What to do next.
        hint: Option<String>,
        /// The exit that the job asked for.
        exit: Exit,
    },
    /// Delivering ended without an orderly end.
    #[error(transparent)]
    Deliver(#[from] DeliverError),
    /// A signal or a deadline ended the run.
    #[error("{cause}")]
    Stopped {
        /// Which.
        cause: StopCause,
    },
    /// The evaluation failed.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// The ledger refused or is unavailable.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A place for results cannot be used or reached.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A provider cannot be used.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// A file could not be read or written.
    #[error("`{path}` cannot be {action}: {source}")]
    File {
        /// The file.
        path: String,
        /// `read` or `written`.
        action: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
}

impl RunError {
    /// The error and its causes, each said once; findings of an invalid project one per line.
    #[must_use]
    pub fn in_words(&self) -> String {
        let mut words = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(source) = cause {
            let said = source.to_string();
            if !words.contains(&said) {
                words = format!("{words}: {said}");
            }
            cause = source.source();
        }
        if let Self::Invalid { diagnostics } = self {
            for finding in diagnostics.iter().filter(|finding| finding.severity == Severity::Error) {
                let place = finding.place.as_ref().map_or(String::new(), |place| format!("{place}: "));
                words = format!("{words}\n  {place}{}", finding.message);
            }
        }
        words
    }

    /// What a log says in place of the words, where they may tell ids or values of the data.
    #[must_use]
    pub fn logged(&self) -> Option<&'static str> {
        match self {
            Self::NoProject { .. }
            | Self::Invalid { .. }
            | Self::UnknownJob { .. }
            | Self::Usage { .. }
            | Self::Stopped { .. }
            | Self::Storage(_)
            | Self::Provider(_)
            | Self::File { .. } => None,
            Self::Ledger(error) | Self::Deliver(DeliverError::Ledger(error)) => match error {
                LedgerError::IllegalTransition { .. } => Some("the ledger refused a change of state"),
                _ => None,
            },
            Self::Evaluate(EvaluateError::Warehouse(error)) => match error {
                WarehouseError::Query { .. } => Some("a query failed: see its words in run_results.json"),
                _ => None,
            },
            Self::Refused { .. } | Self::Guard { .. } => Some("refused: see why in run_results.json"),
            _ => Some("failed: see why in run_results.json"),
        }
    }

    /// The exit this error asks for.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::NoProject { .. }
            | Self::Invalid { .. }
            | Self::UnknownJob { .. }
            | Self::Usage { .. }
            | Self::LostValues { .. } => Exit::Invalid,
            Self::Refused { .. } | Self::Guard { .. } => Exit::Refused,
            Self::Unhealthy { found, .. } if Self::all_wait(found) => Exit::Unavailable,
            Self::Unhealthy { .. } => Exit::Refused,
            Self::Planning { exit, .. } => *exit,
            Self::Stopped { cause } => cause.exit(),
            Self::Deliver(DeliverError::Fenced { .. }) => Exit::Fenced,
            Self::Deliver(DeliverError::Source(_))
            | Self::File { .. }
            | Self::UnknownProfile { .. }
            | Self::Unsure { .. } => Exit::Failed,
            Self::Evaluate(error) => evaluate_exit(error),
            Self::Storage(error) => storage_exit(error),
            Self::Ledger(error) | Self::Deliver(DeliverError::Ledger(error)) => ledger_exit(error),
            Self::Provider(ProviderError::Settings { .. } | ProviderError::Secret { .. }) => Exit::Invalid,
            Self::Provider(ProviderError::Unavailable { .. }) => Exit::Unavailable,
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoProject { .. } => Some(
                "`milepost init` makes a project that runs at once; `--project DIR` names another folder".to_owned(),
            ),
            Self::UnknownJob { hint, .. }
            | Self::Usage { hint, .. }
            | Self::Unsure { hint, .. }
            | Self::Refused { hint, .. } => Some(hint.clone()),
            Self::UnknownProfile { near, .. } if near.is_empty() => {
                Some("ids are those of the column `profile_id` of the audience; an address must be written in full".to_owned())
            }
            Self::UnknownProfile { near, .. } => {
                let near: Vec<String> = near.iter().map(|id| format!("`{id}`")).collect();
                Some(format!("did you mean {}?", near.join(" or ")))
            }
            Self::Unhealthy { found, .. } => {
                let accept = Self::accept_arguments(found);
                let remedy = if Self::all_wait(found) { "wait for the data and run again" } else { "look at the data" };
                Some(format!("{remedy}; where it is as it should be, `{accept}` lets one run pass"))
            }
            Self::Planning { hint, .. } => hint.clone(),
            Self::Stopped { cause } => Some(cause.hint()),
            Self::LostValues { lost, .. } => lost.first().map(|lost| {
                format!(
                    "declare what the column holds in `{}`, such as `columns: {{{}: double}}` (or string, and cast it in a view of \
                     sql/), or mend the file",
                    lost.table, lost.column
                )
            }),
            Self::Storage(StorageError::Occupied { .. })
            | Self::Evaluate(EvaluateError::Warehouse(WarehouseError::Storage(StorageError::Occupied { .. }))) => {
                Some("name a folder that is empty or not there yet".to_owned())
            }
            Self::Evaluate(EvaluateError::Warehouse(error)) => warehouse_hint(error),
            Self::Ledger(LedgerError::Older { location, .. }) => Some(format!(
                "put the newest copy there, with its `-wal` file where it has one; only if what was mailed since may be \
                 mailed again, remove the notes of those runs, `{location}.*.lock`"
            )),
            Self::Ledger(LedgerError::NoFile { .. }) => Some(
                "it is a schema of PostgreSQL: `pg_dump --schema=milepost DATABASE > FILE` saves it, `psql` restores it"
                    .to_owned(),
            ),
            Self::Ledger(LedgerError::Held { .. }) => {
                Some("`--lock-timeout 10m` waits for it; `milepost status` shows what runs".to_owned())
            }
            _ => None,
        }
    }
}

fn in_lines(lost: &[Misfit]) -> String {
    lost.iter().map(|lost| format!("\n  {lost}")).collect()
}

fn warehouse_hint(error: &WarehouseError) -> Option<String> {
    match error {
        WarehouseError::Memory { .. } => {
            Some("name a limit well above that in `--memory-limit`; fewer `--threads` share it among fewer".to_owned())
        }
        WarehouseError::LowLimit { least, threads: 1, .. } => Some(format!("`--memory-limit {least}` or more")),
        WarehouseError::LowLimit { least, .. } => {
            Some(format!("`--memory-limit {least}` or more, or fewer `--threads`"))
        }
        WarehouseError::TooLong { .. } => {
            Some("look at it with `milepost compile JOB`, or give queries more time with `--query-timeout`".to_owned())
        }
        WarehouseError::Spill { .. } => {
            Some("make room, name another folder in TMPDIR, or raise `--memory-limit`".to_owned())
        }
        _ => None,
    }
}

fn evaluate_exit(error: &EvaluateError) -> Exit {
    match error {
        EvaluateError::Warehouse(WarehouseError::Unavailable { .. }) => Exit::Unavailable,
        EvaluateError::Warehouse(WarehouseError::Storage(error)) => storage_exit(error),
        EvaluateError::Warehouse(
            WarehouseError::LowLimit { .. } | WarehouseError::Wrong { .. } | WarehouseError::Values { .. },
        )
        | EvaluateError::DuplicateProfiles { .. }
        | EvaluateError::SuppressesNobody { .. }
        | EvaluateError::UnknownPeriod { .. }
        | EvaluateError::NotYetDue { .. }
        | EvaluateError::WrongKind { .. }
        | EvaluateError::Declared { .. } => Exit::Invalid,
        EvaluateError::Warehouse(_) => Exit::Failed,
    }
}

fn storage_exit(error: &StorageError) -> Exit {
    match error {
        StorageError::Unsupported { .. }
        | StorageError::Settings { .. }
        | StorageError::Occupied { .. }
        | StorageError::Refused(_) => Exit::Invalid,
        StorageError::Overtaken { .. } => Exit::Fenced,
        StorageError::Unreachable { .. } => Exit::Unavailable,
        StorageError::Unwritable { .. } => Exit::Failed,
    }
}

fn ledger_exit(error: &LedgerError) -> Exit {
    match error {
        LedgerError::Held { .. } => Exit::Held,
        LedgerError::Fenced { .. } => Exit::Fenced,
        LedgerError::Foreign { .. } | LedgerError::Halted { .. } | LedgerError::Older { .. } => Exit::Refused,
        LedgerError::Exists { .. } | LedgerError::Unresolved { .. } | LedgerError::NoFile { .. } => Exit::Invalid,
        LedgerError::Missing { .. } | LedgerError::Unavailable { .. } => Exit::Unavailable,
        LedgerError::IllegalTransition { .. } => Exit::Failed,
    }
}
