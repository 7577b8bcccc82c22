//! Shows the ledger that the run is alive, and tells requests how long that may be relied on.
//!
//! Both clocks of the machine must agree that the lease lives: a machine that was put to sleep stops its monotonic clock,
//! and one whose wall clock was set back would not see time pass.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::brake::Brake;
use crate::clock::{Clock, monotonic};
use crate::ledger::{Lease, Ledger, LedgerError, lease_lifetime};
use crate::settings::crashpoint;

/// Beats in the life of a lease: some may be lost.
const BEATS_PER_LIFETIME: u32 = 6;

/// The instant until which the lease surely lives, on both clocks.
#[derive(Clone, Copy)]
struct Deadline {
    monotonic: Instant,
    wall: Timestamp,
}

impl Deadline {
    /// The deadline of a lease that was renewed no earlier than these instants.
    fn after(renewed: Instant, wall: Timestamp) -> Self {
        let lifetime = lease_lifetime();
        Self { monotonic: renewed + lifetime, wall: wall + lifetime }
    }

    fn is_beyond(&self, time: Duration) -> bool {
        monotonic() + time < self.monotonic && Clock::System.now() + time < self.wall
    }
}

/// Beats until dropped.
pub(super) struct Heartbeat {
    deadline: watch::Receiver<Deadline>,
    task: JoinHandle<()>,
}

impl Heartbeat {
    /// Starts beating; a run that was fenced, or whose job was halted, pulls the brake.
    pub(super) fn start(ledger: Arc<dyn Ledger>, lease: Lease, brake: Arc<Brake>) -> Self {
        let (sender, deadline) = watch::channel(Deadline::after(lease.renewed, Clock::System.now()));
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(lease_lifetime() / BEATS_PER_LIFETIME).await;
                let (before, wall) = (monotonic(), Clock::System.now());
                crashpoint!("before_renewal");
                let beat = ledger.heartbeat(&lease, wall).await;
                if matches!(beat, Ok(()) | Err(LedgerError::Halted { .. })) {
                    crashpoint!("after_renewal");
                    let _ = sender.send(Deadline::after(before, wall));
                }
                match beat {
                    Ok(()) => {}
                    Err(error @ LedgerError::Fenced { .. }) => return brake.fail(error),
                    // The lease stays: what is under way is answered and recorded.
                    Err(error @ LedgerError::Halted { .. }) => brake.fail(error),
                    // The next beat may succeed; until then the deadline stays where it is and requests stop by it.
                    Err(error) => tracing::warn!(code = "heartbeat-failed", %error, "the lease was not renewed"),
                }
            }
        });
        Self { deadline, task }
    }

    /// Whether a request that takes as long as `timeout` would still be answered within the lease.
    pub(super) fn covers(&self, timeout: Duration) -> bool {
        self.deadline.borrow().is_beyond(timeout)
    }

    /// Returns once a request that takes as long as `timeout` would be answered within the lease.
    pub(super) async fn renewed_for(&self, timeout: Duration) {
        // Every beat is looked at once: a receiver that only asked whether something changed would find the last beat
        // again and again.
        if self.deadline.clone().wait_for(|deadline| deadline.is_beyond(timeout)).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.task.abort();
    }
}
