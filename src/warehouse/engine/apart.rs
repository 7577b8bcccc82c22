//! Threads for the engine alone. Planning, folding constants and many operators hold their thread for as long as they like;
//! what keeps a lease alive, asks a ledger and hears signals has other threads.
//!
//! Guarantees: who waits for the engine holds no thread, and can be dropped at any moment. What is dropped ends with the next
//! batch; what never comes to one ends with the process. Never: waits for a thread when the process ends.

use std::panic::resume_unwind;
use std::sync::OnceLock;

use datafusion::arrow::array::RecordBatch;
use datafusion::common::DataFusionError;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Rows as the engine gives them.
pub(in crate::warehouse) type EngineRows = BoxStream<'static, Result<RecordBatch, DataFusionError>>;

/// Batches that a query makes before they are asked for.
const BATCHES_AHEAD: usize = 4;

/// A runtime that lives as long as the process; an error in words where the system gives no threads.
static ENGINE: OnceLock<Result<Runtime, String>> = OnceLock::new();

fn engine() -> Result<&'static Runtime, DataFusionError> {
    let made = ENGINE.get_or_init(|| {
        let named = Builder::new_multi_thread().thread_name("engine").enable_all().build();
        named.map_err(|error| format!("the query engine's threads cannot be started: {error}"))
    });
    made.as_ref().map_err(|reason| DataFusionError::External(reason.clone().into()))
}

/// What one piece of work gives; a panic in it goes on here.
pub(in crate::warehouse) async fn apart<T: Send + 'static>(
    work: impl Future<Output = Result<T, DataFusionError>> + Send + 'static,
) -> Result<T, DataFusionError> {
    let mut tasks = JoinSet::new();
    tasks.spawn_on(work, engine()?.handle());
    match tasks.join_next().await {
        Some(Ok(made)) => made,
        Some(Err(error)) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(error) => Err(DataFusionError::External(error.into())),
        },
        None => Err(DataFusionError::Internal("work of the engine was lost".to_owned())),
    }
}

/// The rows that `start` gives, started once the first is asked for, and read a few batches ahead.
pub(in crate::warehouse) fn rows_apart(
    start: impl Future<Output = Result<EngineRows, DataFusionError>> + Send + 'static,
) -> EngineRows {
    stream::once(async move {
        let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
        let mut tasks = JoinSet::new();
        tasks.spawn_on(hand_over(start, sender), engine()?.handle());
        Ok::<_, DataFusionError>(stream::unfold((receiver, tasks), next))
    })
    .try_flatten()
    .boxed()
}

type Handed = Result<RecordBatch, DataFusionError>;

async fn hand_over(
    start: impl Future<Output = Result<EngineRows, DataFusionError>> + Send + 'static,
    sender: mpsc::Sender<Handed>,
) {
    let mut rows = match start.await {
        Ok(rows) => rows,
        Err(error) => return drop(sender.send(Err(error)).await),
    };
    while let Some(batch) = rows.next().await {
        if sender.send(batch).await.is_err() {
            return;
        }
    }
}

async fn next(
    (mut receiver, mut tasks): (mpsc::Receiver<Handed>, JoinSet<()>),
) -> Option<(Handed, (mpsc::Receiver<Handed>, JoinSet<()>))> {
    if let Some(batch) = receiver.recv().await {
        return Some((batch, (receiver, tasks)));
    }
    if let Some(Err(error)) = tasks.join_next().await
        && let Ok(panic) = error.try_into_panic()
    {
        resume_unwind(panic);
    }
    None
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::Int64Array;

    use super::*;

    fn batch(number: i64) -> RecordBatch {
        let column: Arc<Int64Array> = Arc::new(Int64Array::from(vec![number]));
        RecordBatch::try_from_iter([("number", column as _)]).expect("one column")
    }

    #[tokio::test]
    async fn rows_and_their_error_come_in_order() {
        let rows = [Ok(batch(1)), Err(DataFusionError::Plan("no more".to_owned()))];
        let read: Vec<_> = rows_apart(async { Ok(stream::iter(rows).boxed()) }).collect().await;
        assert!(
            matches!(read.as_slice(), [Ok(first), Err(DataFusionError::Plan(_))] if *first == batch(1)),
            "{read:?}"
        );
    }

    #[tokio::test]
    async fn who_waits_for_a_thread_that_is_held_can_be_dropped() {
        let (held, release) = (Arc::new(std::sync::Barrier::new(2)), Arc::new(std::sync::Barrier::new(2)));
        let (here, there) = (held.clone(), release.clone());
        let work = apart(async move {
            held.wait();
            release.wait();
            Ok(())
        });
        tokio::select! {
            biased;
            _ = work => unreachable!("nobody released it"),
            _ = tokio::task::spawn_blocking(move || here.wait()) => {}
        }
        there.wait();
    }

    #[tokio::test]
    #[should_panic(expected = "seen")]
    async fn a_panic_goes_on() {
        let _ = apart(async { Ok(std::iter::empty::<u8>().next().expect("seen")) }).await;
    }
}
