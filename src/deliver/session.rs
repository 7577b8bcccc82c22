//! One job's deliveries from candidates to recorded outcomes.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use futures::{Stream, StreamExt};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::account::Account;
use super::backoff::Backoff;
use super::brake::{Brake, Shutdown, Stopped};
use super::compose::{Compose, ComposeFailure, Composed, Composing};
use super::ended::ended;
use super::heartbeat::Heartbeat;
use super::probe::HeldBack;
use super::recorder::{Outcomes, Recorder};
use super::request::{Known, Request, batch_id};
use super::sender::Lane;
use super::summary::DeliverySummary;
use super::wave::{Meter, wave_size};
use super::{DeliverError, SourceError};
use crate::clock::{Clock, monotonic, whole_microseconds};
use crate::ledger::{Batch, DecisionRecord, Dispatch, Lease, Ledger, LedgerError};
use crate::model::{Candidate, DeliveryState};
use crate::settings::{crashpoint, seeded};

/// A wave that is being sent and one that is being dispatched.
const WAVES_IN_DOUBT: usize = 2;

/// Everything a session is made of.
pub struct SessionParts {
    /// The ledger.
    pub ledger: Arc<dyn Ledger>,
    /// The job as held by this run.
    pub lease: Lease,
    /// The provider account, shared by the jobs of the run.
    pub account: Arc<Account>,
    /// Makes messages.
    pub compose: Arc<Compose>,
    /// The run's logical now.
    pub as_of: Timestamp,
    /// The recap's period key.
    pub period: Option<String>,
    /// The project's checksum.
    pub project_checksum: String,
    /// The clock that dispatches are dated by: caps and what is usual go by it.
    pub clock: Clock,
    /// What the process is told by signals.
    pub shutdown: watch::Receiver<Shutdown>,
    /// Called with the counts so far, after each transaction.
    pub progress: Arc<dyn Fn(&DeliverySummary) + Send + Sync>,
}

/// The deliveries of one job in one run. Shows the ledger that the run is alive for as long as it exists.
pub struct Session {
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) lease: Arc<Lease>,
    pub(super) account: Arc<Account>,
    pub(super) composing: Composing,
    as_of: Timestamp,
    period: Option<String>,
    project_checksum: String,
    clock: Clock,
    progress: Arc<dyn Fn(&DeliverySummary) + Send + Sync>,
    pub(super) summary: Arc<Mutex<DeliverySummary>>,
    brake: Arc<Brake>,
    heartbeat: Arc<Heartbeat>,
    backoff: Arc<Backoff>,
    answered: Arc<AtomicU64>,
    under_way: Arc<AtomicUsize>,
    day_spent: Arc<OnceLock<Timestamp>>,
    signals: JoinHandle<()>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.signals.abort();
    }
}

/// A rendered wave that is not claimed yet.
struct Rendered {
    composed: Vec<Composed>,
    failed: Vec<(Candidate, ComposeFailure)>,
}

impl Session {
    /// Starts the heartbeat and listens for signals; call it right after the ledger gave the lease.
    #[must_use]
    pub fn start(parts: SessionParts) -> Self {
        let SessionParts {
            ledger,
            lease,
            account,
            compose,
            as_of,
            period,
            project_checksum,
            clock,
            shutdown,
            progress,
        } = parts;
        let brake = Arc::new(Brake::new());
        if let Some(reason) = account.stopped() {
            brake.pull(reason.clone());
        }
        Self {
            composing: Composing::new(compose, ledger.as_ref(), &lease),
            heartbeat: Arc::new(Heartbeat::start(ledger.clone(), lease.clone(), brake.clone())),
            signals: tokio::spawn(listen(shutdown, brake.clone())),
            backoff: Arc::new(Backoff::new(&lease.run_id)),
            lease: Arc::new(lease),
            summary: Arc::default(),
            answered: Arc::default(),
            under_way: Arc::default(),
            day_spent: Arc::default(),
            ledger,
            account,
            as_of: storable(as_of),
            period,
            project_checksum,
            clock,
            progress,
            brake,
        }
    }

    /// The counts so far, also after an error.
    #[must_use]
    pub fn summary(&self) -> DeliverySummary {
        let counted = self.summary.lock().unwrap_or_else(PoisonError::into_inner).clone();
        DeliverySummary { stopped: self.brake.pulled(), ..counted }
    }

    /// Why nothing further would leave, where that is so: worth a look during a long evaluation.
    #[must_use]
    pub fn stopped(&self) -> Option<Stopped> {
        self.brake.pulled()
    }

    /// Returns once the run may not go on with the job: it was fenced, the job was halted, or the ledger failed. Everything that
    /// takes long beside mailing races it.
    pub async fn lost(&self) -> DeliverError {
        self.brake.lost().await.into()
    }

    /// Mails every candidate of the source, wave by wave, and returns once every outcome is recorded.
    ///
    /// # Errors
    /// When the run was fenced, the ledger failed, or the source ended with an error; what was dispatched before is
    /// recorded as far as possible, and recovered by the next run.
    pub async fn mail<S>(&self, candidates: S) -> Result<DeliverySummary, DeliverError>
    where
        S: Stream<Item = Result<Vec<Candidate>, SourceError>> + Send,
    {
        let (rendered, waves) = mpsc::channel(1);
        let workers = self.work(waves);
        let source = async {
            let end = self.render(candidates, rendered).await;
            (end, workers.join().await)
        };
        tokio::select! {
            biased;
            () = self.brake.wait_for_abort() => Ok(self.summary()),
            (end, ()) = source => {
                // Only now: what was given out has left.
                if let Some(until) = self.day_spent.get() {
                    self.brake.pull(Stopped::DailyLimit { until: *until });
                }
                self.end(end)
            }
        }
    }

    pub(super) fn end(&self, source: Result<(), SourceError>) -> Result<DeliverySummary, DeliverError> {
        match self.brake.failure() {
            Some(error) => Err(error.into()),
            None => source.map_err(DeliverError::Source).map(|()| self.summary()),
        }
    }

    /// The tasks behind the renderer: dispatch, send, record.
    fn work(&self, waves: mpsc::Receiver<Rendered>) -> Workers {
        let (lane, recorder) = self.lane();
        let (dispatched, sending) = mpsc::channel(1);
        let dispatcher = Dispatcher {
            lane: lane.clone(),
            as_of: self.as_of,
            period: self.period.clone(),
            project_checksum: self.project_checksum.clone(),
            clock: self.clock,
        };
        let mut workers = recorder;
        workers.spawn(dispatcher.run(waves, dispatched));
        workers.spawn(lane.send(sending));
        Workers(workers)
    }

    /// A lane for requests, and the recorder behind it, which ends with the lane's last copy.
    pub(super) fn lane(&self) -> (Lane, JoinSet<()>) {
        let (outcomes, recorded): (mpsc::Sender<Outcomes>, _) = mpsc::channel(1_024);
        let recorder = Recorder {
            ledger: self.ledger.clone(),
            lease: (*self.lease).clone(),
            brake: self.brake.clone(),
            summary: self.summary.clone(),
            progress: self.progress.clone(),
            under_way: self.under_way.clone(),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(recorder.run(recorded));
        let lane = Lane {
            ledger: self.ledger.clone(),
            lease: self.lease.clone(),
            account: self.account.clone(),
            brake: self.brake.clone(),
            heartbeat: self.heartbeat.clone(),
            backoff: self.backoff.clone(),
            summary: self.summary.clone(),
            answered: self.answered.clone(),
            under_way: self.under_way.clone(),
            day_spent: self.day_spent.clone(),
            outcomes,
            held: HeldBack::default(),
        };
        (lane, tasks)
    }

    pub(super) async fn aborted(&self) {
        self.brake.wait_for_abort().await;
    }

    /// Renders ahead of the dispatcher by at most one wave.
    async fn render<S>(&self, candidates: S, waves: mpsc::Sender<Rendered>) -> Result<(), SourceError>
    where
        S: Stream<Item = Result<Vec<Candidate>, SourceError>> + Send,
    {
        let mut candidates = pin!(candidates);
        let (meter, mut waiting, mut ended) = (Meter::new(), Vec::<Candidate>::new(), None);
        loop {
            let room = tokio::select! {
                biased;
                () = self.brake.wait() => return Ok(()),
                room = waves.reserve() => room,
            };
            // The dispatcher goes away when the run is over, or the day's messages are.
            let Ok(room) = room else { return Ok(()) };
            let rate = meter.rate(monotonic(), self.answered.load(Ordering::Relaxed));
            let size = wave_size(self.account.capabilities(), rate);
            while waiting.len() < size && ended.is_none() {
                tokio::select! {
                    biased;
                    () = self.brake.wait() => return Ok(()),
                    chunk = candidates.next() => match chunk {
                        Some(Ok(chunk)) => waiting.extend(chunk),
                        Some(Err(error)) => ended = Some(Err(error)),
                        None => ended = Some(Ok(())),
                    },
                }
            }
            if let (true, Some(end)) = (waiting.is_empty(), &mut ended) {
                return std::mem::replace(end, Ok(()));
            }
            let rest = waiting.split_off(size.min(waiting.len()));
            let wave = std::mem::replace(&mut waiting, rest);
            let composed = tokio::select! {
                biased;
                () = self.brake.wait() => return Ok(()),
                composed = self.compose(wave) => composed,
            };
            crashpoint!("after_render");
            room.send(composed);
        }
    }

    async fn compose(&self, candidates: Vec<Candidate>) -> Rendered {
        let mut rendered = Rendered { composed: Vec::with_capacity(candidates.len()), failed: Vec::new() };
        for result in self.composing.all(candidates, self.as_of).await {
            match result {
                Ok(composed) => rendered.composed.push(composed),
                Err(failed) => rendered.failed.push(failed),
            }
        }
        rendered
    }
}

/// The instant as the ledger gives it back: mails are made of this one, else none could be made again.
fn storable(as_of: Timestamp) -> Timestamp {
    if seeded!("as_of_finer_than_the_ledger") {
        return as_of + SignedDuration::from_nanos(789);
    }
    whole_microseconds(as_of)
}

async fn listen(mut shutdown: watch::Receiver<Shutdown>, brake: Arc<Brake>) {
    loop {
        let told = *shutdown.borrow_and_update();
        match told {
            Shutdown::No => {}
            Shutdown::Drain => brake.pull(Stopped::Interrupted),
            Shutdown::Abort => brake.pull(Stopped::Aborted),
        }
        if shutdown.changed().await.is_err() {
            return;
        }
    }
}

/// Tasks that end by themselves once their input ends, and are aborted when dropped.
pub(super) struct Workers(pub(super) JoinSet<()>);

impl Workers {
    pub(super) async fn join(mut self) {
        while let Some(done) = self.0.join_next().await {
            ended(done);
        }
    }
}

/// Claims rendered waves durably, at most two in doubt.
struct Dispatcher {
    lane: Lane,
    as_of: Timestamp,
    period: Option<String>,
    project_checksum: String,
    clock: Clock,
}

impl Dispatcher {
    async fn run(self, mut waves: mpsc::Receiver<Rendered>, dispatched: mpsc::Sender<Vec<Request>>) {
        let places = Arc::new(Semaphore::new(WAVES_IN_DOUBT));
        loop {
            let next = async {
                let place = places.clone().acquire_owned().await.ok()?;
                Some((waves.recv().await?, place))
            };
            let next = tokio::select! {
                biased;
                () = self.lane.brake.wait() => None,
                next = next => next,
            };
            let Some((wave, place)) = next else { return };
            match self.claim(wave, place).await {
                Ok(requests) => drop(dispatched.send(requests).await),
                Err(error) => return self.lane.brake.fail(error),
            }
            if self.lane.day_spent.get().is_some() {
                return;
            }
        }
    }

    async fn claim(&self, mut wave: Rendered, place: OwnedSemaphorePermit) -> Result<Vec<Request>, LedgerError> {
        self.record_failures(wave.failed).await?;
        wave.composed.truncate(self.lane.allowed(wave.composed.len()).await?);
        // Keys of providers age by the machine's clock, whatever clock the run decides by.
        let (now, seen) = (Clock::System.now(), self.clock.now());
        let (mut deliveries, messages): (Vec<_>, Vec<_>) =
            wave.composed.into_iter().map(|composed| dispatch_of(composed, seen)).unzip();
        let mut batches = Vec::new();
        for chunk in deliveries.chunks_mut(self.lane.account.capabilities().batch.max(1)) {
            batches.push(self.batch(chunk, now));
        }
        if batches.is_empty() {
            return Ok(Vec::new());
        }
        crashpoint!("before_dispatch");
        if !seeded!("send_before_record") {
            self.lane.ledger.dispatch(&self.lane.lease, &batches, &deliveries).await?;
        }
        crashpoint!("after_dispatch");
        self.lane.count_dispatched(deliveries.len());
        let (mut deliveries, mut messages) = (deliveries.into_iter(), messages.into_iter());
        let (size, wave) = (self.lane.account.capabilities().batch.max(1), Arc::new(place));
        let request = |batch| {
            let messages: Vec<_> = messages.by_ref().take(size).collect();
            let deliveries = deliveries.by_ref().take(size).collect();
            let known = vec![Known::Open(None); messages.len()];
            Request { batch, deliveries, messages, known, replay: false, wave: wave.clone(), started: monotonic() }
        };
        Ok(batches.into_iter().map(request).collect())
    }

    fn batch(&self, deliveries: &mut [Dispatch], now: Timestamp) -> Batch {
        let id = batch_id(&self.lane, 1, now, deliveries);
        for (position, delivery) in (0..).zip(deliveries.iter_mut()) {
            delivery.position = position;
            delivery.batch_id.clone_from(&id);
        }
        Batch {
            batch_id: id,
            provider: self.lane.account.name().to_owned(),
            idempotency_key: self.lane.key_for(deliveries),
            as_of: self.as_of,
            period: self.period.clone(),
            project_checksum: self.project_checksum.clone(),
            dispatched_at: now,
        }
    }

    async fn record_failures(&self, failed: Vec<(Candidate, ComposeFailure)>) -> Result<(), LedgerError> {
        if failed.is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        let record = |(candidate, failure): (Candidate, ComposeFailure)| DecisionRecord {
            level: candidate.level(),
            key: candidate.key,
            state: DeliveryState::RenderFailed,
            reason: Some(failure.reason),
            not_before: None,
            variant: candidate.variant,
            address_hash: None,
            reached_at: candidate.reached_at,
            detected_at: now,
        };
        let records: Vec<_> = failed.into_iter().map(record).collect();
        self.lane.ledger.record(&self.lane.lease, &records).await?;
        let mut summary = self.lane.summary.lock().unwrap_or_else(PoisonError::into_inner);
        for record in &records {
            summary.render_failure(record.reason.as_deref().unwrap_or_default());
        }
        Ok(())
    }
}

fn dispatch_of(composed: Composed, now: Timestamp) -> (Dispatch, crate::model::Message) {
    let Composed { candidate, message, address_hash, body_hash } = composed;
    let dispatch = Dispatch {
        level: candidate.level(),
        key: candidate.key,
        delivery_id: message.delivery_id.clone(),
        position: 0,
        batch_id: String::new(),
        reached_at: candidate.reached_at,
        detected_at: now,
        address_hash,
        variant: candidate.variant,
        body_hash,
    };
    (dispatch, message)
}
