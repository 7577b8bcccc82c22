//! Tasks that have ended, and what becomes of a panic in one of them.

use std::panic::resume_unwind;

use tokio::task::JoinError;

/// What a task gave; `None` where it was cancelled. A panic is a defect of the program and nobody's mail: it goes on where it
/// can be seen.
pub fn ended<T>(done: Result<T, JoinError>) -> Option<T> {
    match done.map_err(JoinError::try_into_panic) {
        Ok(value) => Some(value),
        Err(Ok(panic)) => resume_unwind(panic),
        Err(Err(_cancelled)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn values_come_back_and_cancelled_tasks_give_nothing() {
        assert_eq!(ended(tokio::spawn(async { 7 }).await), Some(7));
        let cancelled = tokio::spawn(std::future::pending::<u8>());
        cancelled.abort();
        assert_eq!(ended(cancelled.await), None);
    }

    #[tokio::test]
    #[should_panic(expected = "seen")]
    async fn panics_go_on() {
        ended(tokio::spawn(async { std::iter::empty::<u8>().next().expect("seen") }).await);
    }
}
