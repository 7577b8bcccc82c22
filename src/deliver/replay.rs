//! What earlier runs left in doubt: the same bytes under the same key, or nothing.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};

use super::DeliverError;
use super::compose::Composed;
use super::request::{Known, Request, idempotency_key, key_is_honoured};
use super::session::{Session, Workers};
use super::summary::DeliverySummary;
use crate::clock::{Clock, monotonic};
use crate::ledger::{Dispatch, PendingBatch};
use crate::model::Candidate;
use crate::settings::{crashpoint, seeded};

/// Replays are made in groups of this many batches, so that memory stays bounded.
const GROUP: usize = 500;

impl Session {
    /// Replays batches in doubt whose bytes can be made again and whose key is still honoured; the others stay unknown
    /// and are counted. `candidates` are those of the batches, evaluated at each batch's own `as_of`; more or fewer do
    /// no harm.
    ///
    /// # Errors
    /// When the run was fenced or the ledger failed.
    pub async fn replay(
        &self,
        pending: Vec<PendingBatch>,
        candidates: Vec<Candidate>,
    ) -> Result<DeliverySummary, DeliverError> {
        let mut known: HashMap<String, Candidate> =
            candidates.into_iter().map(|candidate| (self.composing.delivery_id(&candidate), candidate)).collect();
        let mut pending = pending.into_iter();
        loop {
            let group: Vec<_> = pending.by_ref().take(GROUP).collect();
            if group.is_empty() || self.stopped().is_some() {
                self.hold(group.iter().chain(pending.as_slice()));
                return self.end(Ok(()));
            }
            let requests = self.prepare(group, &mut known).await;
            crashpoint!("before_replay");
            let (lane, recorder) = self.lane();
            let (waves, sending) = mpsc::channel(1);
            let mut workers = Workers(recorder);
            workers.0.spawn(lane.send(sending));
            let sent = async {
                let _ = waves.send(requests).await;
                drop(waves);
                workers.join().await;
            };
            tokio::select! {
                biased;
                () = self.aborted() => return Ok(self.summary()),
                () = sent => {}
            }
        }
    }

    /// Requests for those batches that can be made again byte for byte.
    async fn prepare(&self, group: Vec<PendingBatch>, known: &mut HashMap<String, Candidate>) -> Vec<Request> {
        let mut requests = Vec::new();
        let place = Arc::new(Semaphore::new(1));
        let wave = Arc::new(place.acquire_owned().await.expect("the semaphore is never closed"));
        for mut pending in group {
            let request = match self.candidates_of(&pending, known) {
                Some(candidates) => {
                    let composed = self.composing.all(candidates, pending.batch.as_of).await;
                    let composed: Option<Vec<_>> = composed.into_iter().map(Result::ok).collect();
                    composed.and_then(|composed| same_bytes(&pending, composed))
                }
                None => None,
            };
            match request {
                Some((mut deliveries, mut messages)) => {
                    if seeded!("batch_regrouped_on_retry") {
                        deliveries.rotate_left(1);
                        messages.rotate_left(1);
                        pending.batch.idempotency_key = Some(idempotency_key(self.ledger.identity(), &deliveries));
                    }
                    requests.push(Request {
                        known: vec![Known::Doubt("left in doubt by an earlier run".to_owned()); messages.len()],
                        batch: pending.batch,
                        deliveries,
                        messages,
                        replay: true,
                        started: monotonic(),
                        wave: wave.clone(),
                    });
                }
                None => self.hold([&pending]),
            }
        }
        requests
    }

    /// The candidates of a batch in its order; `None` when the batch must not or cannot be made again.
    fn candidates_of(&self, pending: &PendingBatch, known: &mut HashMap<String, Candidate>) -> Option<Vec<Candidate>> {
        let window = self.account.capabilities().idempotency;
        let honoured = key_is_honoured(window, pending.batch.dispatched_at, Clock::System.now());
        let whole = usize::try_from(pending.size).is_ok_and(|size| size == pending.deliveries.len());
        let ours = pending.batch.provider == self.account.name() && pending.batch.idempotency_key.is_some();
        if !(honoured && whole && ours) {
            return None;
        }
        pending.deliveries.iter().map(|delivery| known.remove(&delivery.delivery_id)).collect()
    }

    fn hold<'a>(&self, pending: impl IntoIterator<Item = &'a PendingBatch>) {
        crashpoint!("before_hold");
        let held: usize = pending.into_iter().map(|pending| pending.deliveries.len()).sum();
        let mut summary = self.summary.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        summary.unknown += held as u64;
        if held > 0 {
            summary.reason("held", held as u64);
        }
    }
}

/// The batch's deliveries and messages, when every message is what it was.
fn same_bytes(pending: &PendingBatch, composed: Vec<Composed>) -> Option<(Vec<Dispatch>, Vec<crate::model::Message>)> {
    let same = pending.deliveries.iter().zip(&composed).all(|(was, is)| was.body_hash == is.body_hash);
    if !same {
        return None;
    }
    let pairs = pending.deliveries.iter().zip(composed).map(|(was, is)| {
        let dispatch = Dispatch {
            key: was.key.clone(),
            delivery_id: was.delivery_id.clone(),
            position: was.position,
            batch_id: pending.batch.batch_id.clone(),
            level: is.candidate.level(),
            reached_at: is.candidate.reached_at,
            detected_at: pending.batch.dispatched_at,
            address_hash: is.address_hash,
            variant: is.candidate.variant,
            body_hash: is.body_hash,
        };
        (dispatch, is.message)
    });
    Some(pairs.unzip())
}
