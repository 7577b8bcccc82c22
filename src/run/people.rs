//! Profiles that people type: found in the audiences of jobs or in the ledger, by id or by address; an unknown one is an
//! error with the nearest ids. No error repeats an address.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::evaluate::EvaluateError;
use crate::ledger::{DeliveryFilter, LedgerStore, SuppressionSubject};
use crate::model::EmailAddress;

use super::{PreparedJob, RunError, Workspace};

/// Ids that are told as near.
const NEAR_MAX: usize = 3;

/// The jobs in whose audiences profiles are looked for, one for each audience.
pub(super) struct Audiences<'a> {
    workspace: &'a Workspace,
    jobs: Vec<&'a PreparedJob<'a>>,
    as_of: Timestamp,
}

impl<'a> Audiences<'a> {
    /// The audiences of these jobs.
    pub(super) fn of(workspace: &'a Workspace, jobs: &'a [PreparedJob<'a>], as_of: Timestamp) -> Self {
        let mut seen = BTreeSet::new();
        let jobs = jobs.iter().filter(|job| seen.insert(&job.job.audience.value)).collect();
        Self { workspace, jobs, as_of }
    }

    /// The id of the profile that is asked for by its id or its address.
    ///
    /// # Errors
    /// [`RunError::UnknownProfile`] where neither an audience nor the ledger has it, [`RunError::Usage`] where several have
    /// the address, or what the warehouse and the ledger say.
    pub(super) async fn resolve(&self, ledger: &dyn LedgerStore, asked: &str) -> Result<String, RunError> {
        if self.have(asked).await? {
            return Ok(asked.to_owned());
        }
        let address = EmailAddress::parse(asked);
        if let Some(address) = &address {
            let found = self.at(address).await?;
            match found.iter().collect::<Vec<_>>().as_slice() {
                [] => {}
                [one] => return Ok((*one).clone()),
                several => {
                    let several: Vec<&str> = several.iter().map(|id| id.as_str()).collect();
                    return Err(RunError::Usage {
                        message: format!("{} profiles have this address", several.len()),
                        hint: format!("name one: {}", several.join(", ")),
                    });
                }
            }
        }
        if is_recorded(ledger, asked).await? {
            return Ok(asked.to_owned());
        }
        let near = if address.is_some() { Vec::new() } else { self.near(asked).await? };
        Err(RunError::UnknownProfile { profile_id: address.is_none().then(|| asked.to_owned()), near })
    }

    /// Refuses a profile that no audience has.
    ///
    /// # Errors
    /// [`RunError::UnknownProfile`] with the nearest ids.
    pub(super) async fn refuse_unknown(&self, profile_id: &str) -> Result<(), RunError> {
        if self.have(profile_id).await? {
            return Ok(());
        }
        let near = self.near(profile_id).await?;
        Err(RunError::UnknownProfile { profile_id: Some(profile_id.to_owned()), near })
    }

    /// Whether an audience has the profile.
    async fn have(&self, profile_id: &str) -> Result<bool, RunError> {
        for job in &self.jobs {
            let found = job.compiled.has_profile(&self.workspace.warehouse, self.as_of, profile_id).await;
            if unless_early(found)?.unwrap_or(false) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn at(&self, address: &EmailAddress) -> Result<BTreeSet<String>, RunError> {
        let mut found = BTreeSet::new();
        for job in &self.jobs {
            let profiles = job.compiled.profiles_at(&self.workspace.warehouse, self.as_of, address).await;
            found.extend(unless_early(profiles)?.unwrap_or_default());
        }
        Ok(found)
    }

    async fn near(&self, asked: &str) -> Result<Vec<String>, RunError> {
        let mut found = BTreeSet::new();
        for job in &self.jobs {
            let profiles = job.compiled.profiles_like(&self.workspace.warehouse, self.as_of, asked).await;
            found.extend(unless_early(profiles)?.unwrap_or_default());
        }
        // More changes than half of the letters make another name.
        let most = (asked.chars().count() as u64 / 2).max(1);
        Ok(found.into_iter().filter(|(changes, _)| *changes <= most).map(|(_, id)| id).take(NEAR_MAX).collect())
    }
}

/// A recap whose period is not due yet has no audience to look at.
fn unless_early<T>(found: Result<T, EvaluateError>) -> Result<Option<T>, RunError> {
    match found {
        Err(EvaluateError::NotYetDue { .. }) => Ok(None),
        found => Ok(Some(found?)),
    }
}

/// Whether the ledger has anything of a profile.
pub(super) async fn is_recorded(ledger: &dyn LedgerStore, profile_id: &str) -> Result<bool, RunError> {
    let filter =
        DeliveryFilter { profile_id: Some(profile_id.to_owned()), limit: Some(1), ..DeliveryFilter::default() };
    if !ledger.deliveries(&filter).await?.is_empty() {
        return Ok(true);
    }
    let subject = SuppressionSubject::Profile(profile_id.to_owned());
    Ok(!ledger.suppressions(Some(&subject)).await?.is_empty())
}

/// Refuses a profile that neither the ledger nor an audience has. The warehouse is opened only where the ledger does not
/// know it.
///
/// # Errors
/// [`RunError::UnknownProfile`], or what stands in the way of looking.
pub(super) async fn refuse_unknown(
    options: &super::WorkspaceOptions,
    ledger: &dyn LedgerStore,
    profile_id: &str,
) -> Result<(), RunError> {
    if is_recorded(ledger, profile_id).await? {
        return Ok(());
    }
    let workspace = Workspace::open(options).await?;
    let mut prepared = Vec::new();
    for job in workspace.jobs(&[])? {
        prepared.push(workspace.prepare_valid(job).await?);
    }
    Audiences::of(&workspace, &prepared, crate::clock::Clock::System.now()).refuse_unknown(profile_id).await
}
