//! Sends dispatched waves: as many requests at once as the account has places, each admitted one by one.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;

use super::account::Account;
use super::backoff::Backoff;
use super::brake::{Brake, Stopped};
use super::ended::ended;
use super::heartbeat::Heartbeat;
use super::places::Answered;
use super::probe::{Held, HeldBack, are_addresses};
use super::recorder::Outcomes;
use super::request::{Request, idempotency_key};
use super::summary::DeliverySummary;
use crate::clock::monotonic;
use crate::ledger::{Ask, Dispatch, Lease, Ledger, LedgerError};
use crate::model::{DeliveryState, Outcome};
use crate::settings::crashpoint;

/// How long answers are waited for once the run was told to stop.
const DRAIN: Duration = Duration::from_secs(20);

/// How long before its first request may start a wave is claimed.
const CLAIM_AHEAD: Duration = Duration::from_millis(100);

/// What every request of a session shares.
#[derive(Clone)]
pub(super) struct Lane {
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) lease: Arc<Lease>,
    pub(super) account: Arc<Account>,
    pub(super) brake: Arc<Brake>,
    pub(super) heartbeat: Arc<Heartbeat>,
    pub(super) backoff: Arc<Backoff>,
    pub(super) summary: Arc<Mutex<DeliverySummary>>,
    pub(super) answered: Arc<AtomicU64>,
    pub(super) under_way: Arc<AtomicUsize>,
    /// When the next day begins, once this one's messages are given out.
    pub(super) day_spent: Arc<OnceLock<Timestamp>>,
    pub(super) outcomes: mpsc::Sender<Outcomes>,
    /// Refusals that are not final before anything is accepted.
    pub(super) held: HeldBack,
}

impl Lane {
    /// A place for one request that may start now; `None` when nothing starts any more.
    pub(super) async fn admit(&self) -> Option<OwnedSemaphorePermit> {
        let place = tokio::select! {
            biased;
            () = self.brake.wait() => return None,
            place = self.account.places.take() => place?,
        };
        let mut wait = self.account.pace.reserve(monotonic()).saturating_duration_since(monotonic());
        while !wait.is_zero() {
            if !self.brake.sleep(wait).await {
                return None;
            }
            wait = self.account.pace.pause_left(monotonic());
        }
        tokio::select! {
            biased;
            () = self.brake.wait() => return None,
            () = self.account.passes_breaker() => {}
        }
        while !self.is_covered() {
            tokio::select! {
                biased;
                () = self.brake.wait() => return None,
                () = self.heartbeat.renewed_for(self.account.capabilities().timeout) => {}
            }
        }
        self.brake.is_free().then_some(place)
    }

    /// How many messages of a wave the account takes, by what the ledger has given out to everybody who uses it; returns
    /// about when the first of them may start. Fewer than asked for: the day has no more.
    pub(super) async fn allowed(&self, messages: usize) -> Result<usize, LedgerError> {
        let capabilities = self.account.capabilities();
        if messages == 0 || (capabilities.rate.is_none() && capabilities.daily_limit.is_none()) {
            return Ok(messages);
        }
        let ask = Ask {
            provider: self.account.name().to_owned(),
            messages: messages as u64,
            batch: capabilities.batch as u64,
            rate: capabilities.rate,
            daily_limit: capabilities.daily_limit,
        };
        let granted = self.ledger.allow(&self.lease, &ask).await?;
        crashpoint!("after_allow");
        let allowed = usize::try_from(granted.messages).unwrap_or(messages);
        let start_in = Duration::try_from(granted.start_in).unwrap_or_default();
        self.account.pace.hold(monotonic() + start_in);
        // The claim takes a moment, in which the requests before it go on.
        if !self.brake.sleep(start_in.saturating_sub(CLAIM_AHEAD)).await {
            return Ok(0);
        }
        if allowed < messages {
            let _ = self.day_spent.set(granted.next_day);
        }
        Ok(allowed)
    }

    /// Whether a request that starts now is answered within the lease.
    pub(super) fn is_covered(&self) -> bool {
        self.heartbeat.covers(self.account.capabilities().timeout)
    }

    /// Stops this account for the run and this session with it.
    pub(super) fn stop_account(&self, reason: Stopped) {
        self.account.stop(reason.clone());
        self.brake.pull(reason);
    }

    /// The key for these deliveries, where the provider honours one.
    pub(super) fn key_for(&self, deliveries: &[Dispatch]) -> Option<String> {
        self.account.capabilities().idempotency.map(|_| idempotency_key(self.ledger.identity(), deliveries))
    }

    /// Counts claims that are durable.
    pub(super) fn count_dispatched(&self, messages: usize) {
        self.summary.lock().unwrap_or_else(PoisonError::into_inner).dispatched += messages as u64;
    }

    /// Notes that a request starts; until it is answered, outcomes may wait for one another.
    pub(super) fn starts(&self) {
        self.under_way.fetch_add(1, Ordering::AcqRel);
    }

    /// Counts a request that was made and is no longer under way.
    pub(super) fn count_request(&self) {
        self.under_way.fetch_sub(1, Ordering::AcqRel);
        self.summary.lock().unwrap_or_else(PoisonError::into_inner).requests += 1;
    }

    /// Gives the place of an attempt back, and lets the account learn from the answer.
    pub(super) fn answered(&self, place: OwnedSemaphorePermit, started: Instant, outcomes: &[Outcome]) {
        let now = monotonic();
        let throttled = outcomes.iter().any(|outcome| matches!(outcome, Outcome::Throttled { .. }));
        if throttled {
            let stated = |outcome: &Outcome| match outcome {
                Outcome::Throttled { retry_after } => *retry_after,
                _ => None,
            };
            self.account.pace.refused(now, outcomes.iter().filter_map(stated).max().unwrap_or_default());
        } else {
            self.account.pace.accepted(now);
        }
        let silent = |outcome: &Outcome| matches!(outcome, Outcome::Unknown { .. } | Outcome::NotAccepted { .. });
        let strained = throttled || outcomes.iter().any(silent);
        let answered = if strained { Answered::Strained } else { Answered::Within(now.duration_since(started)) };
        self.account.places.give_back(place, answered);
    }

    /// Counts messages that were answered, for the size of the next wave.
    pub(super) fn count_answered(&self, messages: usize) {
        self.answered.fetch_add(messages as u64, Ordering::Relaxed);
    }

    /// Counts what was given back before and is not claimed again.
    pub(super) fn count_retryable(&self, messages: usize) {
        self.summary.lock().unwrap_or_else(PoisonError::into_inner).retryable += messages as u64;
    }

    /// Counts what an earlier run left unknown and stays so.
    pub(super) fn count_still_unknown(&self, messages: usize) {
        self.summary.lock().unwrap_or_else(PoisonError::into_inner).unknown += messages as u64;
    }

    /// Sends every wave that comes, then waits for the answers.
    pub(super) async fn send(self, mut waves: mpsc::Receiver<Vec<Request>>) {
        let mut requests = JoinSet::new();
        while let Some(wave) = waves.recv().await {
            for request in wave {
                match self.admit().await {
                    Some(place) => drop(requests.spawn(request.carry(self.clone(), place))),
                    None => request.release(&self).await,
                }
                while let Some(done) = requests.try_join_next() {
                    ended(done);
                }
            }
        }
        self.wait_for(requests).await;
        self.conclude_held().await;
    }

    async fn wait_for(&self, mut requests: JoinSet<()>) {
        let drained = async {
            self.brake.wait().await;
            tokio::time::sleep(DRAIN).await;
        };
        tokio::pin!(drained);
        loop {
            tokio::select! {
                done = requests.join_next() => match done {
                    Some(done) => _ = ended(done),
                    None => return,
                },
                // What is still unanswered stays dispatched: the next run finds it as unknown.
                () = &mut drained => return requests.abort_all(),
            }
        }
    }

    /// Makes the refusals final that were held back, once the provider accepted something.
    pub(super) async fn settle_held(&self) {
        if self.account.probe.passed() {
            self.write_held(self.held.take()).await;
        }
    }

    /// What becomes of held refusals when nothing more is sent: they are final, or it is the account's fault and everybody is
    /// given back.
    async fn conclude_held(&self) {
        let mut held = self.held.take();
        if held.is_empty() {
            return;
        }
        let interrupted = !self.brake.is_free();
        if !self.account.probe.passed() && (interrupted || !are_addresses(&held)) {
            for held in &mut held {
                held.settlement.state = DeliveryState::Retryable;
            }
            if !interrupted {
                self.stop_account(self.account.probe.stopped());
            }
        }
        self.write_held(held).await;
    }

    async fn write_held(&self, held: Vec<Held>) {
        if held.is_empty() {
            return;
        }
        crashpoint!("before_held");
        let settlements = held.into_iter().map(|held| held.settlement).collect();
        // Their waves have ended: they were not to keep the next ones waiting.
        let place = Arc::new(Semaphore::new(1)).acquire_owned().await.expect("the semaphore is never closed");
        let outcomes = Outcomes { settlements, counted: true, written: None, wave: Arc::new(place) };
        let _ = self.outcomes.send(outcomes).await;
    }
}
