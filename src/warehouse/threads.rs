//! The same work on several threads at once, for what the engine does on one.

use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::thread;

/// How many threads can run at once.
pub(super) fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// What each of so many threads made of the work, the calling one among them; a panic of any goes on.
pub(super) fn on_threads<T: Send>(threads: usize, work: impl Fn() -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(&work)).collect();
        let mut made = vec![work()];
        made.extend(others.into_iter().map(|other| other.join().unwrap_or_else(|panic| resume_unwind(panic))));
        made
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn every_thread_works_and_one_at_least() {
        for (threads, expected) in [(0, 1), (1, 1), (5, 5)] {
            let calls = AtomicUsize::new(0);
            let made = on_threads(threads, || calls.fetch_add(1, Ordering::Relaxed));
            assert_eq!((made.len(), calls.into_inner()), (expected, expected));
        }
    }
}
