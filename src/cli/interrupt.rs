//! Signals and deadlines: the first asks for a stop, a second one ends the process.
//!
//! Guarantees: they are heard on a thread of their own, whatever the others do; a process that does not come to its end although
//! it was asked to is ended, its temporary files removed. Never: cuts off the answers of a provider, unless a second signal asks.

use std::process;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::output::Output;
use crate::run::{Stop, StopCause, Stopper};
use crate::storage;

/// How long the work at hand may take to come to its end: a promise, less the time to leave.
const PATIENCE: Duration = Duration::from_millis(1_800);
/// The same after a second signal.
const LITTLE_PATIENCE: Duration = Duration::from_millis(500);
/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// What the process is asked for.
pub(super) struct Signals {
    /// Tells it.
    pub stop: Stop,
    deadline: watch::Sender<Option<Duration>>,
}

impl Signals {
    /// Listens for SIGINT and SIGTERM from here on.
    ///
    /// # Errors
    /// When the system gives no thread or refuses a handler.
    pub(super) fn listen() -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let entered = runtime.enter();
        let heard = [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?];
        drop(entered);
        let (stopper, stop) = Stop::channel();
        let (deadline, limit) = watch::channel(None);
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || hear(&runtime, heard, &stopper, limit))?;
        Ok(Self { stop, deadline })
    }

    /// Asks for a stop once this time has passed.
    pub(super) fn end_after(&self, limit: Duration) {
        self.deadline.send_replace(Some(limit));
    }
}

fn hear(runtime: &Runtime, heard: [Signal; 2], stopper: &Stopper, mut limit: watch::Receiver<Option<Duration>>) {
    let [mut interrupts, mut terminations] = heard;
    runtime.block_on(async {
        let mut first = None;
        let mut resort = std::pin::pin!(None);
        loop {
            let cause = tokio::select! {
                _ = interrupts.recv() => StopCause::Interrupted,
                _ = terminations.recv() => StopCause::Terminated,
                limit = passed(&mut limit), if first.is_none() => StopCause::Deadline(limit),
                () = async { resort.as_mut().as_pin_mut().expect("it is asked for only where there is one").await },
                    if resort.is_some() => return end(stopper, first.unwrap_or(StopCause::Terminated)),
            };
            stopper.ask(cause);
            let again = first.is_some_and(StopCause::is_signal);
            first = first.filter(|_| again).or(Some(cause));
            resort.set(Some(wait(stopper, again)));
        }
    });
}

/// Returns once the deadline has passed.
async fn passed(limit: &mut watch::Receiver<Option<Duration>>) -> Duration {
    let known = limit.wait_for(Option::is_some).await.ok().and_then(|limit| *limit);
    match known {
        Some(limit) => {
            tokio::time::sleep(limit).await;
            limit
        }
        None => std::future::pending().await,
    }
}

/// Returns once there was time enough for an orderly end. While mails are under way there is as much as they need, unless a
/// signal came again.
async fn wait(stopper: &Stopper, again: bool) {
    let patience = if again { LITTLE_PATIENCE } else { PATIENCE };
    let mut waited = Duration::ZERO;
    while waited < patience {
        tokio::time::sleep(LOOK).await;
        waited = if stopper.is_mailing() && !again { Duration::ZERO } else { waited + LOOK };
    }
}

/// Ends the process in place of threads that do not come to an end.
#[expect(clippy::disallowed_methods, clippy::exit, reason = "no thread that is held returns from main")]
fn end(stopper: &Stopper, cause: StopCause) {
    stopper.cut_off(cause);
    Output::default().complain(&format!("error: {cause}; the work at hand was cut off"));
    storage::remove_temporary();
    process::exit(i32::from(cause.exit().code()));
}
