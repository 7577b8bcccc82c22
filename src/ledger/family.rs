//! The family of ledgers: the one place that knows which kinds there are, and how one is reached or made.

use std::fmt;

use super::{Ledger, LedgerAdministration, LedgerCorrections, LedgerError, LedgerUpkeep, PostgresLedger, SqliteLedger};
use crate::project::LedgerLocation;

/// All sides of a ledger: the run path, what people ask, what they correct.
pub trait LedgerStore: Ledger + LedgerAdministration + LedgerCorrections {}

impl<L: Ledger + LedgerAdministration + LedgerCorrections> LedgerStore for L {}

/// Whose ledger it is: a ledger of another project or environment is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The project's name.
    pub project: String,
    /// The environment; `None` for none.
    pub environment: Option<String>,
}

impl fmt::Display for Owner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.environment {
            Some(environment) => write!(formatter, "project `{}` in environment `{environment}`", self.project),
            None => write!(formatter, "project `{}` without an environment", self.project),
        }
    }
}

impl Owner {
    /// Why a ledger of `self` is not one of `wanted`; `None` when it is.
    pub(super) fn differs_from(&self, wanted: &Self) -> Option<String> {
        (self != wanted).then(|| {
            format!("belongs to {self}, not to {wanted}: name its own ledger in `ledger:`, or choose the right --env")
        })
    }
}

/// What becomes of a ledger that is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreatePolicy {
    /// [`LedgerError::Missing`]: for every provider whose mail leaves the machine.
    Never,
    /// It is made: only while every provider in use is the outbox.
    WhenMissing,
}

/// Reaches the ledger of a project.
///
/// # Errors
/// [`LedgerError::Missing`], [`LedgerError::Foreign`] (another project or environment, a later version, another
/// program's file), [`LedgerError::Unresolved`] or [`LedgerError::Unavailable`].
pub async fn connect(
    location: &LedgerLocation,
    owner: &Owner,
    policy: CreatePolicy,
) -> Result<Box<dyn LedgerStore>, LedgerError> {
    match location {
        LedgerLocation::Sqlite(path) => {
            if policy == CreatePolicy::WhenMissing && !path.exists() {
                match SqliteLedger::create(path, owner).await {
                    // Another run was faster, which is as good.
                    Ok(()) | Err(LedgerError::Exists { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(Box::new(SqliteLedger::connect(path, owner).await?))
        }
        LedgerLocation::Postgres(url) => match PostgresLedger::connect(url, owner).await {
            Err(LedgerError::Missing { .. }) if policy == CreatePolicy::WhenMissing => {
                match PostgresLedger::create(url, owner).await {
                    Ok(()) | Err(LedgerError::Exists { .. }) => {}
                    Err(error) => return Err(error),
                }
                Ok(Box::new(PostgresLedger::connect(url, owner).await?))
            }
            connected => Ok(Box::new(connected?)),
        },
        LedgerLocation::Unresolved(finding) => Err(LedgerError::Unresolved { reason: finding.message.clone() }),
    }
}

/// Reaches an existing ledger for its upkeep.
///
/// # Errors
/// As [`connect`] that makes nothing.
pub async fn connect_for_upkeep(
    location: &LedgerLocation,
    owner: &Owner,
) -> Result<Box<dyn LedgerUpkeep>, LedgerError> {
    match location {
        LedgerLocation::Sqlite(path) => Ok(Box::new(SqliteLedger::connect(path, owner).await?)),
        LedgerLocation::Postgres(url) => Ok(Box::new(PostgresLedger::connect(url, owner).await?)),
        LedgerLocation::Unresolved(finding) => Err(LedgerError::Unresolved { reason: finding.message.clone() }),
    }
}

/// Makes an empty ledger with a key of its own, and the folders above it.
///
/// # Errors
/// [`LedgerError::Exists`], [`LedgerError::Unresolved`] or [`LedgerError::Unavailable`].
pub async fn create(location: &LedgerLocation, owner: &Owner) -> Result<(), LedgerError> {
    match location {
        LedgerLocation::Sqlite(path) => SqliteLedger::create(path, owner).await,
        LedgerLocation::Postgres(url) => PostgresLedger::create(url, owner).await,
        LedgerLocation::Unresolved(finding) => Err(LedgerError::Unresolved { reason: finding.message.clone() }),
    }
}
