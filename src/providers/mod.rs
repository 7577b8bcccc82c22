//! The family of email providers: one file per member, one attempt per call, one outcome per message.
//!
//! A member never loops, sleeps, retries or knows the ledger. Adding one is a file here and a line in [`FAMILY`].

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;

use crate::model::{Diagnostic, Message, Outcome};
use crate::project::ProviderConfig;

/// What a provider can do, and how it likes to be treated.
#[derive(Clone, Debug, PartialEq)]
pub struct Capabilities {
    /// The most messages of one attempt.
    pub batch: usize,
    /// How long an idempotency key is honoured; `None`: a lost answer stays unknown.
    pub idempotency: Option<Duration>,
    /// The most requests per second; `None`: no limit.
    pub rate: Option<f64>,
    /// The most requests under way at once.
    pub in_flight: usize,
    /// The longest wait for one answer.
    pub timeout: Duration,
    /// False when mail never leaves the machine (the outbox).
    pub leaves_machine: bool,
}

/// One request's worth of messages.
#[derive(Debug)]
pub struct Attempt<'a> {
    /// At most `Capabilities::batch` messages, in the order of the batch.
    pub messages: &'a [Message],
    /// The same for every attempt at the same bytes.
    pub idempotency_key: &'a str,
}

/// One email provider account.
#[async_trait]
pub trait Provider: Send + Sync {
    /// What it can do with the settings it was given.
    fn capabilities(&self) -> &Capabilities;

    /// Exactly one attempt; one outcome per message, in order. Never an error: silence is an outcome too.
    async fn attempt(&self, attempt: Attempt<'_>) -> Vec<Outcome>;

    /// Called once when a run that used the provider ends; the outbox writes its index here.
    ///
    /// # Errors
    /// When what the provider keeps for people could not be written; no delivery is affected.
    async fn finish(&self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A member of the family: its name in YAML, the settings it takes, and how it is made.
pub struct Member {
    /// The key under `providers.<name>:`.
    pub kind: &'static str,
    /// Makes the provider from its settings (relative paths count from `root`), or names everything wrong with them.
    pub build: fn(config: &ProviderConfig, root: &Path) -> Result<Box<dyn Provider>, Vec<Diagnostic>>,
}
