//! Reaching the ledger: making one, asking it, and never making one silently.

use serde::Serialize;

use crate::ledger::{self, CreatePolicy, DeliveryFilter, DeliveryRow, LedgerError, LedgerStore, MemoryLedger, Owner};
use crate::model::{DeliveryState, Severity};
use crate::project::{self, LedgerLocation, Project};

use super::{RunError, WorkspaceOptions, names, people};

/// One delivery as `deliveries list` shows it: ids and states, never an address.
#[derive(Clone, Debug, Serialize)]
pub struct ListedDelivery {
    /// The job.
    pub job: String,
    /// The profile's id as stored.
    pub profile_id: String,
    /// The occasion.
    pub occasion: String,
    /// The id that left for the provider.
    pub delivery_id: String,
    /// The state.
    pub state: &'static str,
    /// One reason.
    pub reason: Option<String>,
    /// How often it was dispatched.
    pub attempt: u32,
    /// The level reached.
    pub level: Option<f64>,
    /// When it was reached.
    pub reached_at: String,
    /// When the row last changed.
    pub updated_at: String,
    /// When it was last dispatched.
    pub dispatched_at: Option<String>,
    /// When its last outcome was written.
    pub settled_at: Option<String>,
    /// When a deferred one may be mailed at the earliest.
    pub not_before: Option<String>,
    /// The variant of the message.
    pub variant: Option<String>,
    /// The provider's name in the project.
    pub provider: Option<String>,
    /// The provider's message id.
    pub provider_message_id: Option<String>,
    /// The run that last touched it.
    pub run_id: String,
}

/// Which deliveries `deliveries list` shows.
#[derive(Clone, Debug, Default)]
pub struct DeliveryQuery {
    /// Of this job only.
    pub job: Option<String>,
    /// Of this milestone only, or of this period of a recap.
    pub milestone: Option<String>,
    /// In this state only.
    pub state: Option<DeliveryState>,
    /// Of this profile only.
    pub profile_id: Option<String>,
    /// The most rows.
    pub limit: u32,
}

/// Makes the ledger that the project names and says where.
///
/// # Errors
/// When there is one already, the project cannot be read, or the place cannot be written.
pub async fn create_ledger(options: &WorkspaceOptions) -> Result<String, RunError> {
    let project = load(options)?;
    ledger::create(&project.ledger, &owner(&project)).await?;
    Ok(shown(&project.ledger))
}

/// The ledger's deliveries, the last changed first.
///
/// # Errors
/// When the project cannot be read or there is no ledger.
pub async fn deliveries(options: &WorkspaceOptions, query: DeliveryQuery) -> Result<Vec<ListedDelivery>, RunError> {
    let project = load(options)?;
    let ledger = existing(&project).await?;
    let DeliveryQuery { job, milestone: stem, state, profile_id, limit } = query;
    names::refuse_unknown_to_both(&project, ledger.as_ref(), job.as_deref()).await?;
    if let Some(name) = &stem {
        names::refuse_unknown_milestone(&project, ledger.as_ref(), (job.as_deref(), name)).await?;
    }
    let limit = Some(limit);
    let filter = DeliveryFilter { job, stem, state, profile_id: profile_id.clone(), limit, delivery_id: None };
    let rows = ledger.deliveries(&filter).await?;
    if let Some(profile_id) = profile_id.filter(|_| rows.is_empty()) {
        // Somebody who was never mailed has no rows; a slip of the fingers has neither rows nor a place in an audience.
        people::refuse_unknown(options, ledger.as_ref(), &profile_id).await?;
    }
    Ok(rows.into_iter().map(ListedDelivery::from).collect())
}

impl From<DeliveryRow> for ListedDelivery {
    fn from(row: DeliveryRow) -> Self {
        let shown = |instant: Option<jiff::Timestamp>| instant.map(|instant| instant.to_string());
        Self {
            job: row.job,
            profile_id: row.profile_id,
            occasion: row.occasion,
            delivery_id: row.delivery_id,
            state: row.state.name(),
            reason: row.reason,
            attempt: row.attempt,
            level: row.level,
            reached_at: row.reached_at.to_string(),
            updated_at: row.updated_at.to_string(),
            dispatched_at: shown(row.dispatched_at),
            settled_at: shown(row.settled_at),
            not_before: shown(row.not_before),
            variant: row.variant,
            provider: row.provider,
            provider_message_id: row.provider_message_id,
            run_id: row.run_id,
        }
    }
}

/// The project's ledger, which must exist.
pub(super) async fn existing(project: &Project) -> Result<Box<dyn LedgerStore>, RunError> {
    Ok(ledger::connect(&project.ledger, &owner(project), CreatePolicy::Never).await?)
}

/// The project's ledger, or an empty one in memory where there is none yet: for looking only.
pub(super) async fn existing_or_empty(project: &Project) -> Result<Box<dyn LedgerStore>, RunError> {
    match existing(project).await {
        Err(RunError::Ledger(LedgerError::Missing { .. })) => Ok(Box::new(MemoryLedger::new(owner(project)))),
        found => found,
    }
}

/// The project without its warehouse: enough for everything that asks the ledger alone.
pub(super) fn load(options: &WorkspaceOptions) -> Result<Project, RunError> {
    let loaded = project::load(&options.root()?, options.environment.as_deref());
    let errors = loaded.diagnostics.iter().any(|finding| finding.severity == Severity::Error);
    match loaded.project {
        Some(project) if !errors => Ok(project),
        _ => Err(RunError::Invalid { diagnostics: loaded.diagnostics }),
    }
}

/// Whose ledger a project's is.
pub(super) fn owner(project: &Project) -> Owner {
    Owner { project: project.name.clone(), environment: project.environment.clone() }
}

fn shown(location: &LedgerLocation) -> String {
    match location {
        LedgerLocation::Sqlite(path) => path.display().to_string(),
        LedgerLocation::Postgres(_) | LedgerLocation::Unresolved(_) => "of this project".to_owned(),
    }
}
