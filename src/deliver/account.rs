//! One provider account as all jobs of a run share it: its pace, its places, its breaker, and whether it still takes mail.

use std::sync::{Arc, Mutex, OnceLock};

use tokio::sync::Semaphore;

use super::brake::Stopped;
use super::breaker::{Breaker, Tally};
use super::pace::Pace;
use crate::providers::{Capabilities, Provider};

/// Made once per provider and run, and handed to the session of every job that uses it.
pub struct Account {
    name: String,
    provider: Arc<dyn Provider>,
    capabilities: Capabilities,
    pub(super) places: Arc<Semaphore>,
    pub(super) pace: Pace,
    breaker: Mutex<Breaker>,
    stopped: OnceLock<Stopped>,
}

impl Account {
    /// The account under its name in the project.
    #[must_use]
    pub fn new(name: impl Into<String>, provider: Arc<dyn Provider>) -> Self {
        let capabilities = provider.capabilities().clone();
        Self {
            name: name.into(),
            places: Arc::new(Semaphore::new(capabilities.in_flight.max(1))),
            pace: Pace::new(capabilities.rate),
            breaker: Mutex::default(),
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

    /// Takes note of a finished request; the reason when that was one too many.
    pub(super) fn observe(&self, messages: usize, tally: &Tally) -> Option<Stopped> {
        let mut breaker = self.breaker.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        breaker.observe(messages, tally)
    }
}
