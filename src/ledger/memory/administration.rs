//! The administration of a ledger in memory.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use jiff::Timestamp;

use super::{LOCATION, MemoryLedger};
use crate::ledger::{
    AnchorStem, Anchored, DeliveryFilter, DeliveryRow, Erased, Halt, JobStatus, Lease, LedgerAdministration,
    LedgerError, Owner, Recorded, RunRequest, STEMS_MAX, SuppressionChange, SuppressionRow, SuppressionSubject,
};
use crate::model::{DeliveryState, SuppressionReason, occasion_stem};

#[async_trait]
impl LedgerAdministration for MemoryLedger {
    fn owner(&self) -> &Owner {
        &self.owner
    }

    async fn look(&self, request: &RunRequest) -> Result<Lease, LedgerError> {
        self.check_owner(request)?;
        Ok(self.store().lease(request))
    }

    async fn anchored(&self, lease: &Lease, stems: &[AnchorStem]) -> Result<Vec<Vec<Anchored>>, LedgerError> {
        let store = self.store();
        let answers = stems.iter().map(|stem| {
            let profile_id = self.identity.stored_profile_id(&stem.profile_id);
            let prefix = format!("{}@", stem.occasion);
            let ours = |job: &str| job == lease.job || lease.aliases.iter().any(|alias| alias == job);
            let rows = store
                .deliveries
                .values()
                .map(|entry| &entry.row)
                .filter(|row| ours(&row.job) && row.profile_id == profile_id && row.occasion.starts_with(&prefix));
            rows.map(|row| Anchored {
                occasion: row.occasion.clone(),
                reached_at: row.reached_at,
                recorded: Recorded::new(row.state, row.attempt),
            })
            .collect()
        });
        Ok(answers.collect())
    }

    async fn deliveries(&self, filter: &DeliveryFilter) -> Result<Vec<DeliveryRow>, LedgerError> {
        let profile_id = filter.profile_id.as_deref().map(|profile_id| self.identity.stored_profile_id(profile_id));
        let store = self.store();
        let matching = store.deliveries.values().map(|entry| &entry.row).filter(|row| {
            filter.job.as_ref().is_none_or(|job| *job == row.job)
                && filter.state.is_none_or(|state| state == row.state)
                && filter.stem.as_ref().is_none_or(|stem| stem == occasion_stem(&row.occasion))
                && filter.delivery_id.as_ref().is_none_or(|delivery_id| *delivery_id == row.delivery_id)
                && profile_id.as_ref().is_none_or(|profile_id| *profile_id == row.profile_id)
        });
        let mut rows: Vec<DeliveryRow> = matching.cloned().collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.updated_at));
        rows.truncate(filter.limit.map_or(usize::MAX, |limit| limit as usize));
        Ok(rows)
    }

    async fn jobs(&self) -> Result<Vec<JobStatus>, LedgerError> {
        let store = self.store();
        let jobs = store.jobs.iter().map(|(name, job)| JobStatus {
            job: name.clone(),
            held: job.holder.is_some(),
            first_run: !job.completed,
            last_run: job.runs.last().cloned(),
            counts: store.counts(name),
        });
        Ok(jobs.collect())
    }

    async fn stems(&self, job: &str) -> Result<Vec<(String, u64)>, LedgerError> {
        let mut stems = BTreeMap::<String, u64>::new();
        for ((_, key), _) in self.store().deliveries.iter().filter(|((name, _), _)| name == job) {
            *stems.entry(occasion_stem(&key.occasion).to_owned()).or_default() += 1;
        }
        let mut stems: Vec<(String, u64)> = stems.into_iter().collect();
        stems.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        stems.truncate(STEMS_MAX as usize);
        Ok(stems)
    }

    async fn counts(&self, job: &str) -> Result<BTreeMap<DeliveryState, u64>, LedgerError> {
        Ok(self.store().counts(job))
    }

    async fn unknown_since(&self, job: &str, instant: Timestamp) -> Result<u64, LedgerError> {
        let store = self.store();
        let rows = store.deliveries.iter().filter(|((name, _), _)| name == job).map(|(_, entry)| &entry.row);
        let unknown = rows.filter(|row| row.state == DeliveryState::Unknown);
        Ok(unknown.filter(|row| row.dispatched_at.is_some_and(|dispatched_at| dispatched_at >= instant)).count() as u64)
    }

    async fn deferring_jobs(&self) -> Result<Vec<String>, LedgerError> {
        let store = self.store();
        let deferred = store.deliveries.iter().filter(|(_, entry)| entry.row.state == DeliveryState::Deferred);
        let jobs: BTreeSet<&String> = deferred.map(|((job, _), _)| job).collect();
        Ok(jobs.into_iter().cloned().collect())
    }

    async fn suppress(&self, change: &SuppressionChange) -> Result<(), LedgerError> {
        let reason = change.reason.ok_or_else(|| LedgerError::Unavailable {
            location: LOCATION.to_owned(),
            reason: "a suppression needs a reason".to_owned(),
        })?;
        let (kind, subject) = self.suppression_key(&change.subject);
        self.store().suppress((kind, subject, reason, change.job.clone()), &change.origin, change.at);
        Ok(())
    }

    async fn unsuppress(&self, change: &SuppressionChange) -> Result<u64, LedgerError> {
        let (kind, subject) = self.suppression_key(&change.subject);
        let mut lifted = 0;
        for ((row_kind, row_subject, reason, job), row) in &mut self.store().suppressions {
            let asked = (*row_kind, row_subject) == (kind, &subject)
                && change.reason.is_none_or(|wanted| wanted == *reason)
                && change.job.as_ref().is_none_or(|wanted| Some(wanted) == job.as_ref());
            if asked && *reason != SuppressionReason::Erase && row.lifted_at.is_none() {
                row.lifted_at = Some(change.at);
                lifted += 1;
            }
        }
        Ok(lifted)
    }

    async fn suppressions(&self, subject: Option<&SuppressionSubject>) -> Result<Vec<SuppressionRow>, LedgerError> {
        let wanted = subject.map(|subject| {
            let (kind, key) = self.suppression_key(subject);
            let erased = match subject {
                SuppressionSubject::Profile(id) => self.identity.erased_profile_id(id),
                SuppressionSubject::Address(_) => key.clone(),
            };
            (kind, [key, erased])
        });
        let store = self.store();
        let rows = store
            .suppressions
            .values()
            .filter(|row| wanted.as_ref().is_none_or(|(kind, keys)| row.kind == *kind && keys.contains(&row.subject)));
        let mut rows: Vec<SuppressionRow> = rows.cloned().collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.created_at));
        Ok(rows)
    }

    async fn erase(&self, profile_id: &str, at: Timestamp) -> Result<Erased, LedgerError> {
        let ids = (self.identity.stored_profile_id(profile_id), self.identity.erased_profile_id(profile_id));
        Ok(self.store().forget(&ids, at))
    }

    async fn halt(&self, halt: &Halt) -> Result<(), LedgerError> {
        let mut store = self.store();
        let halted_at = store.halts.get(&halt.job).map_or(halt.halted_at, |known| known.halted_at);
        store.halts.insert(halt.job.clone(), Halt { halted_at, ..halt.clone() });
        Ok(())
    }

    async fn resume(&self, job: Option<&str>) -> Result<bool, LedgerError> {
        Ok(self.store().halts.remove(&job.map(str::to_owned)).is_some())
    }

    async fn halts(&self) -> Result<Vec<Halt>, LedgerError> {
        Ok(self.store().halts.values().cloned().collect())
    }
}
