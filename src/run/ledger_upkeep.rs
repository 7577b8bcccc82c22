//! The care of a ledger: whether it is sound, what may go, and a copy in another place.

use std::path::Path;

use jiff::SignedDuration;
use serde::Serialize;

use crate::clock::Clock;
use crate::ledger::{self, LedgerError, LedgerUpkeep, Pruned, Unsound, connect_for_upkeep};
use crate::model::{Cell, DeliveryKey, LedgerTable};
use crate::project;

use super::ledger_access::{load, owner};
use super::{RunError, WorkspaceOptions};

/// Rows looked at at once.
const PAGE: u32 = 5_000;

/// Whether a ledger is sound.
#[derive(Clone, Debug, Serialize)]
pub struct SoundnessReport {
    /// Deliveries looked at.
    pub deliveries: u64,
    /// What cannot be true of a sound ledger; empty when it is sound.
    pub unsound: Vec<Unsound>,
}

/// A copy that was made.
#[derive(Clone, Debug, Serialize)]
pub struct CopyReport {
    /// Rows of all tables.
    pub rows: u64,
}

/// Looks through the whole ledger; changes nothing.
///
/// # Errors
/// When the project cannot be read or there is no ledger that can be read.
pub async fn check_ledger(options: &WorkspaceOptions) -> Result<SoundnessReport, RunError> {
    let project = load(options)?;
    let ledger = connect_for_upkeep(&project.ledger, &owner(&project)).await?;
    let mut unsound = ledger.unsound().await?;
    let (deliveries, strange) = strange_ids(ledger.as_ref()).await?;
    unsound.extend(strange);
    Ok(SoundnessReport { deliveries, unsound })
}

/// Counts deliveries, and finds those whose id is not made from their key with this ledger's secret: a secret that was
/// exchanged would mail everybody again under other ids.
async fn strange_ids(ledger: &dyn LedgerUpkeep) -> Result<(u64, Option<Unsound>), RunError> {
    let table = LedgerTable::named("deliveries").expect("the ledger has deliveries");
    let (mut seen, mut strange, mut sample) = (0, 0, None);
    let mut after: Option<Vec<Cell>> = None;
    loop {
        let rows = ledger.rows(table, after.as_deref(), PAGE).await?;
        let Some(last) = rows.last() else { break };
        after = Some(last[..table.key].to_vec());
        seen += rows.len() as u64;
        for row in &rows {
            let [Cell::Text(job), Cell::Text(profile_id), Cell::Text(occasion), Cell::Text(id)] = &row[..4] else {
                continue;
            };
            let key = DeliveryKey { profile_id: profile_id.clone(), occasion: occasion.clone() };
            // What is stored as a hash cannot be made into an id again.
            let is_hashed = profile_id.starts_with("hmac:") || occasion.contains("hmac:");
            if !is_hashed && ledger.identity().delivery_id(job, &key) != *id {
                strange += 1;
                sample.get_or_insert_with(|| id.clone());
            }
        }
    }
    let what = "deliveries whose id is not made with this ledger's secret".to_owned();
    Ok((seen, (strange > 0).then_some(Unsound { what, count: strange, sample })))
}

/// Removes what is older and serves nobody; see [`LedgerUpkeep::prune`].
///
/// # Errors
/// When a run holds a job, or the ledger cannot be used.
pub async fn prune_ledger(options: &WorkspaceOptions, older_than: SignedDuration) -> Result<Pruned, RunError> {
    let project = load(options)?;
    let ledger = connect_for_upkeep(&project.ledger, &owner(&project)).await?;
    if let Some(held) = ledger.jobs().await?.into_iter().find(|job| job.held) {
        return Err(RunError::Ledger(LedgerError::Held { job: held.job }));
    }
    let before = Clock::System.now().checked_sub(older_than).map_err(|_| RunError::Usage {
        message: "that is before all time".to_owned(),
        hint: "write it as `--older-than '400 days'`".to_owned(),
    })?;
    Ok(ledger.prune(before).await?)
}

/// Writes the ledger as it is into a file, its secret included, also while runs go on.
///
/// # Errors
/// When it is no file, there is such a file already, or either cannot be used; then nothing is left there.
pub async fn back_up_ledger(options: &WorkspaceOptions, to: &Path) -> Result<(), RunError> {
    let project = load(options)?;
    let ledger = connect_for_upkeep(&project.ledger, &owner(&project)).await?;
    Ok(ledger.back_up(&options.start.join(to)).await?)
}

/// Copies the ledger, its secret included, to a place where there is none.
///
/// # Errors
/// When a run holds a job, there is a ledger in that place already, or either cannot be used; then nothing is left there.
pub async fn copy_ledger(options: &WorkspaceOptions, to: &str) -> Result<CopyReport, RunError> {
    let project = load(options)?;
    let ledger = connect_for_upkeep(&project.ledger, &owner(&project)).await?;
    let target = project::ledger_location(&project.root, to);
    Ok(CopyReport { rows: ledger::copy(ledger.as_ref(), &target).await? })
}
