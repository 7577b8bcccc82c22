//! Writes outcomes in the order in which they are known, many in one transaction, never more than a moment late.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::brake::Brake;
use super::summary::DeliverySummary;
use crate::ledger::{Lease, Ledger, Settlement};
use crate::settings::{crashpoint, seeded};

/// Outcomes of one request. They are written together: half a batch could never be replayed.
pub(super) struct Outcomes {
    pub(super) settlements: Vec<Settlement>,
    /// False when the same run tries again, so that nothing is counted twice.
    pub(super) counted: bool,
    /// Told once they are durable.
    pub(super) written: Option<oneshot::Sender<()>>,
    /// Keeps the wave's place until its outcomes are durable.
    pub(super) wave: Arc<OwnedSemaphorePermit>,
}

/// What a recorder works with.
pub(super) struct Recorder {
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) lease: Lease,
    pub(super) brake: Arc<Brake>,
    pub(super) summary: Arc<Mutex<DeliverySummary>>,
    pub(super) progress: Arc<dyn Fn(&DeliverySummary) + Send + Sync>,
    /// Requests that started and have no outcome yet.
    pub(super) under_way: Arc<AtomicUsize>,
}

/// A transaction costs about the same for one outcome as for many: this is how long the first waits for others, unless
/// a wave ends with them.
const COLLECT: Duration = Duration::from_millis(100);
const ENOUGH: usize = 2_000;

/// Whether these are the last outcomes of a wave: the wave after the next cannot be claimed before they are durable.
fn end_a_wave(taken: &[Outcomes]) -> bool {
    // At most two waves are under way, so the first and the last outcome stand for all.
    [taken.first(), taken.last()].into_iter().flatten().any(|one| {
        let held = taken.iter().filter(|outcomes| Arc::ptr_eq(&outcomes.wave, &one.wave)).count();
        // The request that was answered last may not have let go of its wave yet. One that is still under way passes for
        // it: then its outcome is written a little later, which costs a transaction and nothing else.
        Arc::strong_count(&one.wave) <= held + 1
    })
}

impl Recorder {
    /// Runs until every sender of outcomes is gone. After a failure it only drains, so that nobody waits for it.
    pub(super) async fn run(self, mut outcomes: mpsc::Receiver<Outcomes>) {
        let mut taken = Vec::new();
        while outcomes.recv_many(&mut taken, ENOUGH).await > 0 {
            // The deadline is a future of its own, so that a steady stream of outcomes cannot move it.
            let late = tokio::time::sleep(COLLECT);
            tokio::pin!(late);
            while taken.len() < ENOUGH && self.under_way.load(Ordering::Acquire) > 0 && !end_a_wave(&taken) {
                let room = ENOUGH - taken.len();
                tokio::select! {
                    () = &mut late => break,
                    more = outcomes.recv_many(&mut taken, room) => if more == 0 { break },
                }
            }
            if let Err(error) = self.write(&mut taken).await {
                self.brake.fail(error);
                taken.clear();
                while outcomes.recv().await.is_some() {}
                return;
            }
        }
    }

    async fn write(&self, taken: &mut Vec<Outcomes>) -> Result<(), crate::ledger::LedgerError> {
        let mut all = Vec::with_capacity(taken.iter().map(|outcomes| outcomes.settlements.len()).sum());
        let mut counted = Vec::with_capacity(taken.len());
        for outcomes in taken.iter_mut() {
            counted.push((all.len()..all.len() + outcomes.settlements.len(), outcomes.counted));
            all.append(&mut outcomes.settlements);
        }
        if seeded!("outcome_lost_on_signal") && !self.brake.is_free() {
            taken.clear();
            return Ok(());
        }
        crashpoint!("before_settle");
        self.ledger.settle(&self.lease, &all).await?;
        crashpoint!("after_settle");
        let seen = {
            let mut summary = self.summary.lock().unwrap_or_else(PoisonError::into_inner);
            for (range, _) in counted.iter().filter(|(_, counts)| *counts) {
                all[range.clone()].iter().for_each(|settlement| summary.add(settlement));
            }
            summary.clone()
        };
        for outcomes in taken.drain(..) {
            if let Some(written) = outcomes.written {
                let _ = written.send(());
            }
            drop(outcomes.wave);
        }
        (self.progress)(&seen);
        Ok(())
    }
}
