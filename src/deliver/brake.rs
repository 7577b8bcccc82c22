//! The brake: the one place that says whether another request may start, and why not.

use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

use crate::ledger::LedgerError;

/// What the process was told by signals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shutdown {
    /// Nothing.
    #[default]
    No,
    /// Start nothing new, wait for answers, record them.
    Drain,
    /// Return at once.
    Abort,
}

/// Why a run started no further request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// A signal; answers were waited for.
    Interrupted,
    /// A second signal; answers were not waited for.
    Aborted,
    /// The provider refuses the account, key, sender or plan: a person must act.
    Configuration {
        /// The provider's code, else the status.
        code: String,
        /// Its words, without addresses.
        detail: String,
    },
    /// The provider refused everything so far: the account's fault until it accepts something.
    RefusedAll {
        /// Requests refused.
        requests: usize,
        /// The provider's last code, else the status.
        code: String,
        /// Its words, without addresses.
        detail: String,
    },
    /// What the account may mail in a day or a month is spent.
    Quota {
        /// The provider's code, else the status.
        code: String,
        /// Its words, without addresses.
        detail: String,
    },
    /// The provider asks to wait longer than a run does.
    Throttled {
        /// The delay it asked for.
        retry_after: Duration,
    },
    /// As many messages went out today as the account may have.
    DailyLimit {
        /// When the next day begins.
        until: Timestamp,
    },
    /// Too many refused or unknown: going on would make it worse.
    Breaker {
        /// What was counted.
        why: String,
    },
    /// Request after request was not accepted, however often it was tried: the provider cannot be used now.
    Unreachable {
        /// What was counted.
        why: String,
    },
    /// A later run took over.
    Fenced,
    /// The ledger failed.
    Ledger,
}

impl Stopped {
    /// What concerns the account alone is outdone by what concerns the run, and that by an abort.
    fn gravity(&self) -> u8 {
        match self {
            Self::Aborted => 2,
            Self::Interrupted | Self::Fenced | Self::Ledger => 1,
            _ => 0,
        }
    }
}

/// Pulled once; the first reason stays, except that a graver one outdoes it.
pub(super) struct Brake {
    reason: watch::Sender<Option<Stopped>>,
    failure: Mutex<Option<LedgerError>>,
}

impl Brake {
    /// A brake that is not pulled.
    pub(super) fn new() -> Self {
        Self { reason: watch::Sender::new(None), failure: Mutex::new(None) }
    }

    /// Stops everything that has not begun.
    pub(super) fn pull(&self, reason: Stopped) {
        self.reason.send_if_modified(|current| {
            let changes = current.as_ref().is_none_or(|current| reason.gravity() > current.gravity());
            if changes {
                tracing::warn!(code = "stopped", reason = ?reason, "no further request starts");
                *current = Some(reason);
            }
            changes
        });
    }

    /// Stops because the ledger failed, and keeps the first failure.
    pub(super) fn fail(&self, error: LedgerError) {
        let reason = if matches!(error, LedgerError::Fenced { .. }) { Stopped::Fenced } else { Stopped::Ledger };
        self.failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get_or_insert(error);
        self.pull(reason);
    }

    /// The ledger's failure, where there was one.
    pub(super) fn failure(&self) -> Option<LedgerError> {
        self.failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
    }

    /// The reason, once pulled.
    pub(super) fn pulled(&self) -> Option<Stopped> {
        self.reason.borrow().clone()
    }

    /// True while nothing stops a request.
    pub(super) fn is_free(&self) -> bool {
        self.reason.borrow().is_none()
    }

    /// Returns once the brake is pulled.
    pub(super) async fn wait(&self) {
        let _ = self.reason.subscribe().wait_for(Option::is_some).await;
    }

    /// Returns once the run may not go on with the job: it was fenced, the job was halted, or the ledger failed.
    pub(super) async fn lost(&self) -> LedgerError {
        let is_lost = |reason: &Option<Stopped>| matches!(reason, Some(Stopped::Fenced | Stopped::Ledger));
        if self.reason.subscribe().wait_for(is_lost).await.is_ok()
            && let Some(error) = self.failure()
        {
            return error;
        }
        std::future::pending().await
    }

    /// Returns once nobody should wait for answers either.
    pub(super) async fn wait_for_abort(&self) {
        let _ = self.reason.subscribe().wait_for(|reason| *reason == Some(Stopped::Aborted)).await;
    }

    /// Sleeps, unless the brake is pulled; true when the time passed.
    pub(super) async fn sleep(&self, time: Duration) -> bool {
        tokio::select! {
            biased;
            () = self.wait() => false,
            () = tokio::time::sleep(time) => true,
        }
    }
}
