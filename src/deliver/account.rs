//! One provider account as all jobs of a run share it: its pace, its places, its breaker, and whether it still takes mail.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::brake::Stopped;
use super::breaker::{Breaker, Gate, Tally, Verdict};
use super::pace::Pace;
use super::places::Places;
use super::probe::Probe;
use crate::clock::monotonic;
use crate::providers::{Capabilities, Provider};

/// How long nothing starts once too much was refused or unknown.
const BREAKER_PAUSE: Duration = Duration::from_secs(5);

/// Made once per provider and run, and handed to the session of every job that uses it.
pub struct Account {
    name: String,
    provider: Arc<dyn Provider>,
    capabilities: Capabilities,
    pub(super) places: Places,
    pub(super) pace: Pace,
    pub(super) probe: Probe,
    breaker: Mutex<Breaker>,
    /// Told whenever the breaker may have changed its mind.
    changes: watch::Sender<()>,
    stopped: OnceLock<Stopped>,
}

impl Account {
    /// The account under its name in the project.
    #[must_use]
    pub fn new(name: impl Into<String>, provider: Arc<dyn Provider>) -> Self {
        let capabilities = provider.capabilities().clone();
        Self {
            name: name.into(),
            places: Places::new(capabilities.in_flight),
            pace: Pace::new(capabilities.rate),
            probe: Probe::default(),
            breaker: Mutex::new(Breaker::new(BREAKER_PAUSE)),
            changes: watch::Sender::new(()),
            stopped: OnceLock::new(),
            provider,
            capabilities,
        }
    }

    /// The name in the project.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The provider.
    #[must_use]
    pub fn provider(&self) -> &Arc<dyn Provider> {
        &self.provider
    }

    /// What it can do.
    #[must_use]
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// Why it takes no more mail in this run, once that is so.
    #[must_use]
    pub fn stopped(&self) -> Option<&Stopped> {
        self.stopped.get()
    }

    /// Takes no more mail in this run, for any job.
    pub(super) fn stop(&self, reason: Stopped) {
        let _ = self.stopped.set(reason);
    }

    /// Another pause of the breaker than the usual one.
    #[must_use]
    pub fn with_breaker_pause(self, pause: Duration) -> Self {
        Self { breaker: Mutex::new(Breaker::new(pause)), ..self }
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns once the breaker lets one request start.
    pub(super) async fn passes_breaker(&self) {
        if self.breaker().gate(monotonic()) == Gate::Open {
            return;
        }
        let mut changes = self.changes.subscribe();
        loop {
            // In a statement of its own, so that nothing is locked while it waits.
            let gate = self.breaker().gate(monotonic());
            match gate {
                Gate::Open => return,
                Gate::Until(instant) => tokio::time::sleep(instant.saturating_duration_since(monotonic())).await,
                // The sender lives as long as the account.
                Gate::Probing => drop(changes.changed().await),
            }
        }
    }

    /// Takes note of a finished request; the reason when nothing may start any more.
    pub(super) fn observe(&self, started: Instant, messages: usize, tally: &Tally) -> Option<Stopped> {
        let now = monotonic();
        let verdict = self.breaker().observe((started, now), messages, tally);
        match verdict {
            Verdict::GoOn => self.changes.send_replace(()),
            Verdict::Pause(until) => self.pace.pause(until),
            Verdict::Stop(reason) => return Some(reason),
        }
        None
    }

    /// Takes note of an attempt after which the request goes on.
    pub(super) fn unfinished(&self, started: Instant) {
        self.breaker().unfinished(started);
        self.changes.send_replace(());
    }
}
