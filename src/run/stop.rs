//! The one way in which a run stops: a signal, or a deadline that passes, and every await of the run races it.
//!
//! Guarantees: what is asked for is heard wherever the run is; while mails are under way they are answered and recorded first;
//! every selected job has its row in the results. Never: decides which signal means what, that is the command line's.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::{Exit, RunError};
use crate::deliver::Shutdown;

/// Why a run stops before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopCause {
    /// SIGINT.
    Interrupted,
    /// SIGTERM.
    Terminated,
    /// It took longer than `--deadline` allows.
    Deadline(Duration),
}

impl StopCause {
    /// The exit that it asks for.
    #[must_use]
    pub fn exit(self) -> Exit {
        match self {
            Self::Interrupted => Exit::Interrupted,
            Self::Terminated => Exit::Terminated,
            Self::Deadline(_) => Exit::Failed,
        }
    }

    /// Whether somebody asked from outside.
    #[must_use]
    pub fn is_signal(self) -> bool {
        matches!(self, Self::Interrupted | Self::Terminated)
    }

    /// What to do about it.
    #[must_use]
    pub(super) fn hint(self) -> String {
        match self {
            Self::Interrupted | Self::Terminated => "run again: it goes on where this run stopped".to_owned(),
            Self::Deadline(_) => {
                "run again: it goes on where this run stopped; a longer `--deadline` gives a run more time".to_owned()
            }
        }
    }
}

impl std::fmt::Display for StopCause {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Interrupted => formatter.write_str("stopped by SIGINT"),
            Self::Terminated => formatter.write_str("stopped by SIGTERM"),
            Self::Deadline(limit) => write!(formatter, "the run took longer than {limit:?} (`--deadline`)"),
        }
    }
}

impl serde::Serialize for StopCause {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Self::Interrupted => "interrupted",
            Self::Terminated => "terminated",
            Self::Deadline(_) => "deadline",
        })
    }
}

/// What a run leaves behind when its threads do not come to their end.
type LastWords = Box<dyn FnOnce(StopCause) + Send>;

#[derive(Default)]
struct Shared {
    cause: Mutex<Option<StopCause>>,
    mailing: AtomicUsize,
    last_words: Mutex<Option<LastWords>>,
}

/// Asks a run to stop.
pub struct Stopper {
    ask: watch::Sender<Shutdown>,
    shared: Arc<Shared>,
}

impl Stopper {
    /// Asks: the first time to drain, at a second signal to return at once. A deadline asks to drain, however often.
    pub fn ask(&self, cause: StopCause) {
        let mut known = self.shared.cause.lock().unwrap_or_else(PoisonError::into_inner);
        let again = known.is_some_and(StopCause::is_signal);
        if known.is_none() || (!again && cause.is_signal()) {
            *known = Some(cause);
        }
        drop(known);
        self.ask.send_replace(if again && cause.is_signal() { Shutdown::Abort } else { Shutdown::Drain });
    }

    /// Whether requests to a provider may be under way, whose answers are waited for.
    #[must_use]
    pub fn is_mailing(&self) -> bool {
        self.shared.mailing.load(Ordering::Acquire) > 0
    }

    /// Writes the results of a run whose threads are held: every job that was selected, cut off.
    pub fn cut_off(&self, cause: StopCause) {
        let words = self.shared.last_words.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(words) = words {
            words(cause);
        }
    }
}

/// What a run is asked by signals and deadlines.
#[derive(Clone)]
pub struct Stop {
    asked: watch::Receiver<Shutdown>,
    shared: Arc<Shared>,
}

impl Stop {
    /// Both ends.
    #[must_use]
    pub fn channel() -> (Stopper, Self) {
        let (ask, asked) = watch::channel(Shutdown::No);
        let shared = Arc::new(Shared::default());
        (Stopper { ask, shared: shared.clone() }, Self { asked, shared })
    }

    /// Nobody ever asks.
    #[must_use]
    pub fn never() -> Self {
        Self::channel().1
    }

    /// Why the run is to stop, where it is.
    #[must_use]
    pub fn cause(&self) -> Option<StopCause> {
        *self.shared.cause.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns once the run is to stop.
    pub async fn asked(&self) -> StopCause {
        let mut asked = self.asked.clone();
        if asked.wait_for(|asked| *asked != Shutdown::No).await.is_ok()
            && let Some(cause) = self.cause()
        {
            return cause;
        }
        std::future::pending().await
    }

    /// The same as delivery sessions hear it.
    pub(super) fn shutdown(&self) -> watch::Receiver<Shutdown> {
        self.asked.clone()
    }

    /// The work, dropped where it stands once the run is to stop.
    pub(super) async fn race<T>(&self, work: impl Future<Output = Result<T, RunError>>) -> Result<T, RunError> {
        tokio::select! {
            biased;
            cause = self.asked() => Err(RunError::Stopped { cause }),
            worked = work => worked,
        }
    }

    /// The same for what should come to its end if it can do so in time, such as giving a lease back.
    pub(super) async fn race_after<T>(
        &self,
        grace: Duration,
        work: impl Future<Output = Result<T, RunError>>,
    ) -> Result<T, RunError> {
        let late = async {
            let cause = self.asked().await;
            tokio::time::sleep(grace).await;
            cause
        };
        tokio::select! {
            biased;
            worked = work => worked,
            cause = late => Err(RunError::Stopped { cause }),
        }
    }

    /// Keeps what is to be done for a run that has to be cut off; `None` once the run says it itself.
    pub(super) fn keep_last_words(&self, words: Option<LastWords>) {
        *self.shared.last_words.lock().unwrap_or_else(PoisonError::into_inner) = words;
    }

    /// Says that requests may be under way for as long as the returned value lives.
    pub(super) fn mailing(&self) -> UnderWay {
        self.shared.mailing.fetch_add(1, Ordering::AcqRel);
        UnderWay(self.shared.clone())
    }
}

/// Requests may be under way.
pub(super) struct UnderWay(Arc<Shared>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.mailing.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: StopCause = StopCause::Deadline(Duration::from_mins(1));

    #[test]
    fn the_first_signal_names_the_cause_and_a_second_aborts() {
        use StopCause::{Interrupted, Terminated};
        for (asked, cause, shutdown) in [
            (&[Terminated][..], Terminated, Shutdown::Drain),
            (&[Terminated, Interrupted], Terminated, Shutdown::Abort),
            (&[LIMIT], LIMIT, Shutdown::Drain),
            (&[LIMIT, Interrupted], Interrupted, Shutdown::Drain),
            (&[LIMIT, Interrupted, Terminated], Interrupted, Shutdown::Abort),
        ] {
            let (stopper, stop) = Stop::channel();
            asked.iter().for_each(|cause| stopper.ask(*cause));
            assert_eq!((stop.cause(), *stop.shutdown().borrow()), (Some(cause), shutdown), "{asked:?}");
        }
    }

    #[tokio::test]
    async fn work_is_dropped_once_the_run_is_to_stop() {
        let (stopper, stop) = Stop::channel();
        assert!(matches!(stop.race(async { Ok(7) }).await, Ok(7)));
        stopper.ask(StopCause::Terminated);
        let raced = stop.race(std::future::pending::<Result<(), _>>()).await;
        assert!(matches!(raced, Err(RunError::Stopped { cause: StopCause::Terminated })), "{raced:?}");
        assert!(stop.race(async { Ok(7) }).await.is_err(), "nothing new begins");
        assert!(matches!(stop.race_after(Duration::ZERO, async { Ok(7) }).await, Ok(7)), "what is done counts");
        assert!(stop.race_after(Duration::ZERO, std::future::pending::<Result<(), _>>()).await.is_err());
    }

    #[test]
    fn last_words_are_said_once_and_only_where_they_are_kept() {
        let (stopper, stop) = Stop::channel();
        let said = Arc::new(AtomicUsize::new(0));
        let words = || {
            let said = said.clone();
            Some(Box::new(move |_| _ = said.fetch_add(1, Ordering::Relaxed)) as LastWords)
        };
        stop.keep_last_words(words());
        stopper.cut_off(LIMIT);
        stopper.cut_off(LIMIT);
        stop.keep_last_words(words());
        stop.keep_last_words(None);
        stopper.cut_off(LIMIT);
        assert_eq!(said.load(Ordering::Relaxed), 1);
    }
}
