//! A ledger that forgets: the same promises in memory, for tests, dry runs without a ledger, and as the plainest reading
//! of what the verbs mean.

mod administration;
mod allowances;
mod corrections;
mod people;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use jiff::Timestamp;

use super::{
    Answers, Batch, DecisionRecord, DeliveryRow, Dispatch, Halt, Identity, Inquiry, Lease, Ledger, LedgerError, Owner,
    PendingBatch, PendingDelivery, Recorded, RunEnd, RunRequest, RunRow, Settlement, SuppressionRow, VOLUMES_KEPT,
    transition,
};
use crate::clock::monotonic;
use crate::model::{DeliveryKey, DeliveryState, Level};

const LOCATION: &str = "in memory";

/// A ledger in memory; dropping a handle frees the jobs it holds, as the end of a process does.
pub struct MemoryLedger {
    owner: Owner,
    identity: Identity,
    store: Arc<Mutex<Store>>,
    handle: Arc<()>,
}

#[derive(Default)]
struct Store {
    jobs: BTreeMap<String, Job>,
    deliveries: BTreeMap<(String, DeliveryKey), Entry>,
    by_delivery_id: HashMap<String, (String, DeliveryKey)>,
    batches: HashMap<String, (Batch, u32)>,
    suppressions: BTreeMap<people::SuppressionKey, SuppressionRow>,
    halts: BTreeMap<Option<String>, Halt>,
    corrections: Vec<super::CorrectionRow>,
    allowances: HashMap<String, super::allowance::Given>,
}

#[derive(Default)]
struct Job {
    epoch: i64,
    run_id: String,
    holder: Option<Arc<()>>,
    completed: bool,
    last_provider: Option<String>,
    starts: BTreeMap<String, Timestamp>,
    marketing: bool,
    /// By period or day: the mails, and when they were last added to.
    volumes: BTreeMap<String, (u64, Timestamp)>,
    runs: Vec<RunRow>,
}

struct Entry {
    row: DeliveryRow,
    position: u32,
    epoch: i64,
}

impl MemoryLedger {
    /// An empty ledger.
    #[must_use]
    pub fn new(owner: Owner) -> Self {
        let identity = Identity::new([0x5a; 32], owner.project.clone());
        Self { owner, identity, store: Arc::default(), handle: Arc::new(()) }
    }

    /// Another handle on the same ledger, as another process would have.
    #[must_use]
    pub fn reconnect(&self) -> Self {
        Self {
            owner: self.owner.clone(),
            identity: self.identity.clone(),
            store: Arc::clone(&self.store),
            handle: Arc::new(()),
        }
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().expect("no holder of this lock panics")
    }

    fn write(&self, lease: &Lease) -> Result<MutexGuard<'_, Store>, LedgerError> {
        let store = self.store();
        let holds = store
            .jobs
            .get(&lease.job)
            .is_some_and(|job| job.holder.is_some() && job.epoch == lease.epoch && job.run_id == lease.run_id);
        if holds { Ok(store) } else { Err(LedgerError::Fenced { job: lease.job.clone() }) }
    }

    fn check_owner(&self, request: &RunRequest) -> Result<(), LedgerError> {
        let wanted = Owner { project: request.project.clone(), environment: request.environment.clone() };
        match self.owner.differs_from(&wanted) {
            Some(reason) => Err(LedgerError::Foreign { location: LOCATION.to_owned(), reason }),
            None => Ok(()),
        }
    }

    fn refuse<T>(&self, job: &str, key: &DeliveryKey, from: &str, to: DeliveryState) -> Result<T, LedgerError> {
        let delivery_id = self.identity.delivery_id(job, key);
        Err(LedgerError::IllegalTransition { delivery_id, from: from.to_owned(), to: to.name().to_owned() })
    }
}

impl Drop for MemoryLedger {
    fn drop(&mut self) {
        for job in self.store().jobs.values_mut() {
            job.holder.take_if(|holder| Arc::ptr_eq(holder, &self.handle));
        }
    }
}

fn names<'a>(job: &'a str, aliases: &'a [String]) -> impl Iterator<Item = &'a String> {
    aliases.iter().filter(move |alias| *alias != job)
}

impl Store {
    fn recorded(&self, lease: &Lease, key: &DeliveryKey) -> Option<Recorded> {
        let every = std::iter::once(&lease.job).chain(names(&lease.job, &lease.aliases));
        let rows = every.filter_map(|job| self.deliveries.get(&(job.clone(), key.clone())));
        let recorded = |row: &DeliveryRow| Recorded {
            reason: row.reason.clone(),
            not_before: row.not_before,
            variant: row.variant.clone(),
            ..Recorded::new(row.state, row.attempt)
        };
        rows.map(|entry| recorded(&entry.row)).max_by_key(|found| transition::rank(found.state, found.attempt))
    }

    fn lease(&self, request: &RunRequest) -> Lease {
        let mut lease = Lease {
            job: request.job.clone(),
            aliases: request.aliases.clone(),
            run_id: request.run_id.clone(),
            epoch: 0,
            renewed: monotonic(),
            first_run: true,
            starts: BTreeMap::new(),
            last_provider: None,
            halt: self.halt_of(&request.job).cloned(),
            volumes: Vec::new(),
            last_counts: BTreeMap::new(),
        };
        for name in std::iter::once(&request.job).chain(names(&request.job, &request.aliases)) {
            let Some(job) = self.jobs.get(name) else { continue };
            lease.first_run &= !job.completed;
            lease.last_provider = lease.last_provider.or_else(|| job.last_provider.clone());
            for (part, instant) in &job.starts {
                lease.starts.entry(part.clone()).or_insert(*instant);
            }
            let mut volumes: Vec<_> = job.volumes.iter().map(|(bucket, (mails, at))| (*at, bucket, *mails)).collect();
            volumes.sort_unstable();
            lease.volumes.extend(volumes.into_iter().rev().map(|(_, bucket, mails)| (bucket.clone(), mails)));
            if lease.last_counts.is_empty() {
                let completed = job.runs.iter().rev().filter(|run| run.status == "completed");
                lease.last_counts = super::last_whole(completed.map(|run| run.counts.clone()));
            }
        }
        lease.volumes.truncate(VOLUMES_KEPT);
        lease
    }

    fn halt_of(&self, job: &str) -> Option<&Halt> {
        self.halts.get(&None).or_else(|| self.halts.get(&Some(job.to_owned())))
    }

    fn refuse_halted(&self, job: &str) -> Result<(), LedgerError> {
        let refused = |halt: &Halt| LedgerError::Halted { job: job.to_owned(), reason: halt.reason.clone() };
        self.halt_of(job).map_or(Ok(()), |halt| Err(refused(halt)))
    }

    fn pending(&self, lease: &Lease) -> Vec<PendingBatch> {
        let mut pending: HashMap<&str, PendingBatch> = HashMap::new();
        let ours = |job: &String| *job == lease.job || lease.aliases.contains(job);
        for ((_, key), entry) in self.deliveries.iter().filter(|((job, _), _)| ours(job)) {
            let row = &entry.row;
            let Some(batch_id) = row.batch_id.as_deref().filter(|_| row.state == DeliveryState::Unknown) else {
                continue;
            };
            let (batch, size) = &self.batches[batch_id];
            let all = pending.entry(batch_id).or_insert_with(|| PendingBatch {
                batch: batch.clone(),
                deliveries: Vec::new(),
                size: *size,
            });
            all.deliveries.push(PendingDelivery {
                key: key.clone(),
                delivery_id: row.delivery_id.clone(),
                position: entry.position,
                body_hash: row.body_hash.clone().unwrap_or_default(),
                attempt: row.attempt,
                variant: row.variant.clone(),
            });
        }
        let mut pending: Vec<PendingBatch> = pending.into_values().collect();
        pending.sort_by(|left, right| {
            (left.batch.dispatched_at, &left.batch.batch_id).cmp(&(right.batch.dispatched_at, &right.batch.batch_id))
        });
        for batch in &mut pending {
            batch.deliveries.sort_by_key(|delivery| delivery.position);
        }
        pending
    }

    fn counts(&self, job: &str) -> BTreeMap<DeliveryState, u64> {
        let mut counts = BTreeMap::new();
        for ((_, _), entry) in self.deliveries.iter().filter(|((name, _), _)| name == job) {
            *counts.entry(entry.row.state).or_default() += 1;
        }
        counts
    }
}

#[async_trait]
impl Ledger for MemoryLedger {
    async fn open(&self, request: &RunRequest) -> Result<Lease, LedgerError> {
        self.check_owner(request)?;
        let mut store = self.store();
        let every: Vec<&String> = std::iter::once(&request.job).chain(names(&request.job, &request.aliases)).collect();
        if every.iter().any(|name| store.jobs.get(*name).is_some_and(|job| job.holder.is_some())) {
            return Err(LedgerError::Held { job: request.job.clone() });
        }
        for name in every {
            let job = store.jobs.entry(name.clone()).or_default();
            job.epoch += 1;
            job.run_id.clone_from(&request.run_id);
            job.holder = Some(Arc::clone(&self.handle));
        }
        let mut lease = store.lease(request);
        let job = store.jobs.get_mut(&request.job).expect("the job was entered above");
        lease.epoch = job.epoch;
        job.marketing = request.marketing;
        job.runs
            .iter_mut()
            .filter(|run| run.status == "running")
            .for_each(|run| "abandoned".clone_into(&mut run.status));
        job.runs.push(RunRow {
            run_id: request.run_id.clone(),
            as_of: request.as_of,
            started_at: request.now,
            ended_at: None,
            status: "running".to_owned(),
            provider: None,
            counts: BTreeMap::new(),
        });
        Ok(lease)
    }

    async fn heartbeat(&self, lease: &Lease, _now: Timestamp) -> Result<(), LedgerError> {
        self.write(lease)?.refuse_halted(&lease.job)
    }

    async fn recover(&self, lease: &Lease, now: Timestamp) -> Result<Vec<PendingBatch>, LedgerError> {
        let mut store = self.write(lease)?;
        for ((job, _), entry) in &mut store.deliveries {
            let dispatched_now = *job == lease.job && entry.epoch == lease.epoch;
            let row = &mut entry.row;
            let ours = *job == lease.job || lease.aliases.contains(job);
            if ours && row.state == DeliveryState::Dispatched && !dispatched_now {
                row.state = DeliveryState::Unknown;
                row.reason = Some("run_ended".to_owned());
                row.settled_at = Some(now);
                row.updated_at = now;
            }
        }
        Ok(store.pending(lease))
    }

    async fn recorded(&self, lease: &Lease, inquiry: &Inquiry) -> Result<Answers, LedgerError> {
        let store = self.store();
        let recorded = inquiry.keys.iter().map(|key| store.recorded(lease, &self.identity.stored_key(key))).collect();
        Ok(Answers { recorded, recipients: self.facts(&store, lease, inquiry) })
    }

    async fn record(&self, lease: &Lease, decisions: &[DecisionRecord]) -> Result<(), LedgerError> {
        let mut store = self.write(lease)?;
        let mut seen = HashSet::new();
        let mut changes = Vec::new();
        for record in decisions {
            let stored = self.identity.stored_key(&record.key);
            let from = store.recorded(lease, &stored).map(|found| found.state);
            if !transition::may_record(from, record.state) {
                return self.refuse(&lease.job, &record.key, from.map_or("nothing", DeliveryState::name), record.state);
            }
            if transition::renews(from, record.state) && seen.insert(stored.clone()) {
                changes.push((stored, record));
            }
        }
        for (key, record) in changes {
            let delivery_id = self.identity.delivery_id(&lease.job, &record.key);
            let fresh = fresh_row(lease, &key, delivery_id.clone(), record);
            store.by_delivery_id.insert(delivery_id, (lease.job.clone(), key.clone()));
            let entry = store.deliveries.entry((lease.job.clone(), key)).or_insert(Entry {
                row: fresh,
                position: 0,
                epoch: lease.epoch,
            });
            entry.row.state = record.state;
            entry.row.reason.clone_from(&record.reason);
            entry.row.reached_at = record.reached_at;
            entry.row.updated_at = record.detected_at;
            entry.row.not_before = record.not_before;
            entry.row.variant = record.variant.clone().or_else(|| entry.row.variant.take());
            entry.row.address_hash = record.address_hash.clone().or_else(|| entry.row.address_hash.take());
            entry.row.run_id.clone_from(&lease.run_id);
            entry.epoch = lease.epoch;
        }
        Ok(())
    }

    async fn dispatch(&self, lease: &Lease, batches: &[Batch], deliveries: &[Dispatch]) -> Result<(), LedgerError> {
        let mut store = self.write(lease)?;
        store.refuse_halted(&lease.job)?;
        let mut seen = HashSet::new();
        let mut sizes: HashMap<&str, u32> = HashMap::new();
        for delivery in deliveries {
            let stored = self.identity.stored_key(&delivery.key);
            let from = match store.recorded(lease, &stored) {
                Some(found) if !transition::may_dispatch(Some(found.state)) => found.state,
                _ if !seen.insert(stored) => DeliveryState::Dispatched,
                _ => {
                    *sizes.entry(&delivery.batch_id).or_default() += 1;
                    continue;
                }
            };
            return self.refuse(&lease.job, &delivery.key, from.name(), DeliveryState::Dispatched);
        }
        if sizes.keys().any(|batch_id| batches.iter().all(|batch| batch.batch_id != *batch_id)) {
            let reason = "a claim names a batch that was not given with it: report this as a defect of milepost";
            return Err(LedgerError::Unavailable { location: LOCATION.to_owned(), reason: reason.to_owned() });
        }
        for batch in batches {
            let size = sizes.get(batch.batch_id.as_str()).copied().unwrap_or(0);
            store.batches.insert(batch.batch_id.clone(), (batch.clone(), size));
        }
        for delivery in deliveries {
            let batch = &store.batches[&delivery.batch_id].0;
            let (provider, dispatched_at) = (batch.provider.clone(), batch.dispatched_at);
            let key = self.identity.stored_key(&delivery.key);
            let place = (lease.job.clone(), key.clone());
            let before = store.deliveries.get(&place).map(|entry| (entry.row.attempt, entry.row.detected_at));
            let row = claimed_row(lease, &key, delivery, (provider, dispatched_at), before);
            store.by_delivery_id.insert(delivery.delivery_id.clone(), place.clone());
            store.deliveries.insert(place, Entry { row, position: delivery.position, epoch: lease.epoch });
        }
        Ok(())
    }

    async fn settle(&self, lease: &Lease, settlements: &[Settlement]) -> Result<(), LedgerError> {
        let mut store = self.write(lease)?;
        let mut seen = HashSet::new();
        for settlement in settlements {
            let place = store.by_delivery_id.get(&settlement.delivery_id);
            let ours = place.filter(|(job, _)| *job == lease.job || lease.aliases.contains(job));
            let from = ours.map(|place| store.deliveries[place].row.state);
            if !from.is_some_and(|from| transition::may_settle(from, settlement.state))
                || !seen.insert(&settlement.delivery_id)
            {
                return Err(LedgerError::IllegalTransition {
                    delivery_id: settlement.delivery_id.clone(),
                    from: from.map_or("nothing", DeliveryState::name).to_owned(),
                    to: settlement.state.name().to_owned(),
                });
            }
        }
        for settlement in settlements {
            let place = store.by_delivery_id[&settlement.delivery_id].clone();
            let row = &mut store.deliveries.get_mut(&place).expect("every id leads to its row").row;
            row.state = settlement.state;
            row.reason.clone_from(&settlement.reason);
            row.provider_message_id.clone_from(&settlement.provider_message_id);
            row.settled_at = Some(settlement.at);
            row.updated_at = settlement.at;
        }
        Ok(())
    }

    async fn close(&self, lease: &Lease, end: &RunEnd) -> Result<u64, LedgerError> {
        let mut store = self.write(lease)?;
        let withdrawn = end.saw_until.map_or(0, |seen| store.withdraw(lease, seen, end.now));
        for name in &lease.aliases {
            if let Some(job) = store.jobs.get_mut(name) {
                job.holder = None;
            }
        }
        let job = store.jobs.get_mut(&lease.job).expect("the lease was checked");
        job.holder = None;
        job.completed |= end.completes_first_run;
        if end.status != "refused" {
            job.last_provider = Some(end.provider.clone());
        }
        for (part, instant) in &end.starts {
            job.starts.entry(part.clone()).or_insert(*instant);
        }
        for (bucket, mails) in &end.volumes {
            let volume = job.volumes.entry(bucket.clone()).or_insert((0, end.now));
            *volume = (volume.0 + mails, end.now);
        }
        let run = job.runs.last_mut().expect("opening began a run");
        run.status.clone_from(&end.status);
        run.ended_at = Some(end.now);
        run.provider = Some(end.provider.clone());
        run.counts.clone_from(&end.counts);
        Ok(withdrawn)
    }

    fn identity(&self) -> &Identity {
        &self.identity
    }
}

fn fresh_row(lease: &Lease, key: &DeliveryKey, delivery_id: String, record: &DecisionRecord) -> DeliveryRow {
    DeliveryRow {
        job: lease.job.clone(),
        profile_id: key.profile_id.clone(),
        occasion: key.occasion.clone(),
        delivery_id,
        state: record.state,
        reason: record.reason.clone(),
        level: record.level.map(Level::get),
        reached_at: record.reached_at,
        detected_at: record.detected_at,
        dispatched_at: None,
        settled_at: None,
        updated_at: record.detected_at,
        batch_id: None,
        attempt: 0,
        provider: None,
        provider_message_id: None,
        not_before: record.not_before,
        variant: record.variant.clone(),
        address_hash: record.address_hash.clone(),
        body_hash: None,
        run_id: lease.run_id.clone(),
    }
}

fn claimed_row(
    lease: &Lease,
    key: &DeliveryKey,
    delivery: &Dispatch,
    (provider, dispatched_at): (String, Timestamp),
    before: Option<(u32, Timestamp)>,
) -> DeliveryRow {
    DeliveryRow {
        job: lease.job.clone(),
        profile_id: key.profile_id.clone(),
        occasion: key.occasion.clone(),
        delivery_id: delivery.delivery_id.clone(),
        state: DeliveryState::Dispatched,
        reason: None,
        level: delivery.level.map(Level::get),
        reached_at: delivery.reached_at,
        detected_at: before.map_or(delivery.detected_at, |(_, detected_at)| detected_at),
        dispatched_at: Some(delivery.detected_at),
        settled_at: None,
        updated_at: dispatched_at,
        batch_id: Some(delivery.batch_id.clone()),
        attempt: before.map_or(0, |(attempt, _)| attempt) + 1,
        provider: Some(provider),
        provider_message_id: None,
        not_before: None,
        variant: delivery.variant.clone(),
        address_hash: Some(delivery.address_hash.clone()),
        body_hash: Some(delivery.body_hash.clone()),
        run_id: lease.run_id.clone(),
    }
}
