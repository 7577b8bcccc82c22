//! The family of email providers: one file per member, one attempt per call, one outcome per message.
//!
//! A member never loops, sleeps, retries or knows the ledger. Adding one is a file here and a line in [`FAMILY`].

mod gallery;
mod http;
mod json_text;
mod outbox;
mod outbox_folder;
mod phrases;
mod resend;
mod settings;
mod verdict;

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;

use crate::model::diagnostic::{Diagnostic, did_you_mean};
use crate::model::{Message, Outcome};
use crate::project::ProviderConfig;
use crate::settings::{SecretError, redacted, redacted_id};

/// What a provider can do, and how it likes to be treated.
#[derive(Clone, Debug, PartialEq)]
pub struct Capabilities {
    /// The most messages of one attempt.
    pub batch: usize,
    /// How long an idempotency key is honoured; `None`: a lost answer stays unknown.
    pub idempotency: Option<Duration>,
    /// The most requests per second; `None`: no limit.
    pub rate: Option<f64>,
    /// The most messages of one day in UTC; `None`: no limit.
    pub daily_limit: Option<u64>,
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
    /// The job whose messages they are.
    pub job: &'a str,
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

    /// Called once when a run that used the provider ends; the outbox writes its gallery here. Returns the page that
    /// people open next, where there is one.
    ///
    /// # Errors
    /// When what the provider keeps for people could not be written; no delivery is affected.
    async fn finish(&self) -> std::io::Result<Option<PathBuf>> {
        Ok(None)
    }
}

/// Why a provider could not be made ready.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// The settings are wrong; each finding names its place.
    #[error("the settings of the provider `{provider}` are not valid; run `milepost check`")]
    Settings {
        /// The provider's name in the project.
        provider: String,
        /// Everything wrong with them.
        findings: Vec<Diagnostic>,
    },
    /// A secret could not be read.
    #[error("the provider `{provider}` needs its secret `{setting}`: {source}")]
    Secret {
        /// The provider's name in the project.
        provider: String,
        /// The setting that names the secret.
        setting: &'static str,
        /// What is missing.
        source: SecretError,
    },
    /// The machine did not give what the provider needs (an HTTP client, a folder).
    #[error("the provider `{provider}` cannot be used: {reason}")]
    Unavailable {
        /// The provider's name in the project.
        provider: String,
        /// What happened and where.
        reason: String,
    },
}

/// A member of the family: its name in YAML, the settings it takes, and how it is made.
pub struct Member {
    /// The key under `providers.<name>:`.
    pub kind: &'static str,
    /// Names everything wrong with the settings, without reading a secret; relative paths count from `root`.
    pub check: fn(config: &ProviderConfig, root: &Path) -> Vec<Diagnostic>,
    /// Makes the provider, reading its secrets; relative paths count from `root`.
    pub connect: fn(config: &ProviderConfig, root: &Path) -> Result<Box<dyn Provider>, ProviderError>,
}

/// Every provider.
pub const FAMILY: &[Member] = &[outbox::MEMBER, resend::MEMBER];

/// The member a provider names, or the finding that there is none.
///
/// # Errors
/// One diagnostic at the kind's place, with the nearest known kind.
pub fn member(config: &ProviderConfig) -> Result<&'static Member, Box<Diagnostic>> {
    let kind = &config.kind;
    FAMILY.iter().find(|member| member.kind == kind.value).ok_or_else(|| {
        let known = FAMILY.iter().map(|member| member.kind);
        let list = known.clone().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let message = format!("there is no provider `{}`; known are {list}", kind.value);
        let advice = did_you_mean(&kind.value, known);
        Box::new(Diagnostic::error("unknown-provider", message, &kind.place).with_optional_help(advice))
    })
}

/// Everything wrong with a provider's kind and settings; no secret is read, nothing is contacted.
#[must_use]
pub fn check(config: &ProviderConfig, root: &Path) -> Vec<Diagnostic> {
    match member(config) {
        Ok(member) => (member.check)(config, root),
        Err(finding) => vec![*finding],
    }
}

/// A provider ready for a run.
///
/// # Errors
/// When its settings are wrong, a secret is missing or the machine refuses.
pub fn connect(config: &ProviderConfig, root: &Path) -> Result<Box<dyn Provider>, ProviderError> {
    let member = member(config)
        .map_err(|finding| ProviderError::Settings { provider: config.name.clone(), findings: vec![*finding] })?;
    (member.connect)(config, root).map(|inner| Box::new(Redacting { inner }) as Box<dyn Provider>)
}

/// Any member, whose words and ids pass redaction before anybody stores, logs or shows them.
struct Redacting {
    inner: Box<dyn Provider>,
}

#[async_trait]
impl Provider for Redacting {
    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    async fn attempt(&self, attempt: Attempt<'_>) -> Vec<Outcome> {
        self.inner.attempt(attempt).await.into_iter().map(redacted_outcome).collect()
    }

    async fn finish(&self) -> std::io::Result<Option<PathBuf>> {
        self.inner.finish().await
    }
}

fn redacted_outcome(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Accepted { provider_id } => {
            Outcome::Accepted { provider_id: provider_id.map(|id| redacted_id(&id)).filter(|id| !id.is_empty()) }
        }
        Outcome::Rejected { code, fault, detail } => {
            Outcome::Rejected { code: redacted(&code), fault, detail: redacted(&detail) }
        }
        Outcome::RefusedTogether { code, detail } => {
            Outcome::RefusedTogether { code: redacted(&code), detail: redacted(&detail) }
        }
        Outcome::NotAccepted { why } => Outcome::NotAccepted { why: redacted(&why) },
        Outcome::Unknown { why } => Outcome::Unknown { why: redacted(&why) },
        Outcome::Throttled { retry_after } => Outcome::Throttled { retry_after },
    }
}

/// The files with these mails that a provider kept in a folder of this machine.
#[must_use]
pub fn kept_mails(config: &ProviderConfig, root: &Path, delivery_ids: &[String]) -> Vec<PathBuf> {
    if config.kind.value != outbox::MEMBER.kind {
        return Vec::new();
    }
    let written = config.settings.get("dir").and_then(|setting| setting.value.value.as_str());
    gallery::files_of(&root.join(written.unwrap_or(outbox::DEFAULT_FOLDER)), delivery_ids)
}

/// Text for a header: every control character is a space, so that no line can be added.
fn one_line(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}
