//! Shows the ledger that the run is alive, and tells requests how long that may be relied on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::brake::Brake;
use crate::clock::{Clock, monotonic};
use crate::ledger::{Lease, Ledger, LedgerError};

const EVERY: Duration = Duration::from_secs(5);
const TIME_TO_LIVE: Duration = Duration::from_secs(30);

/// Beats until dropped.
pub(super) struct Heartbeat {
    deadline: watch::Receiver<Instant>,
    task: JoinHandle<()>,
}

impl Heartbeat {
    /// Starts beating; a fenced run pulls the brake.
    pub(super) fn start(ledger: Arc<dyn Ledger>, lease: Lease, brake: Arc<Brake>) -> Self {
        let (sender, deadline) = watch::channel(monotonic() + TIME_TO_LIVE);
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(EVERY).await;
                let before = monotonic();
                match ledger.heartbeat(&lease, Clock::System.now()).await {
                    Ok(()) => drop(sender.send(before + TIME_TO_LIVE)),
                    Err(error @ LedgerError::Fenced { .. }) => return brake.fail(error),
                    // The next beat may succeed; until then the deadline stays where it is and requests stop by it.
                    Err(error) => tracing::warn!(code = "heartbeat-failed", %error, "the lease was not renewed"),
                }
            }
        });
        Self { deadline, task }
    }

    /// Whether a request that takes as long as `timeout` would still be answered within the lease.
    pub(super) fn covers(&self, timeout: Duration) -> bool {
        monotonic() + timeout < *self.deadline.borrow()
    }

    /// Returns after the next beat.
    pub(super) async fn renewed(&self) {
        if self.deadline.clone().changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.task.abort();
    }
}
