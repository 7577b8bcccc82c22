//! The time that one query may take, from its planning to its last row.

use std::time::Duration;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::time::{Instant, timeout_at};

use crate::clock::monotonic;
use crate::warehouse::error::WarehouseError;

/// A limit that began to count; none where queries may take as long as they like.
#[derive(Clone, Copy, Debug)]
pub(in crate::warehouse) struct TimeLimit(Option<(Duration, Instant)>);

impl TimeLimit {
    /// A limit that begins now.
    pub(in crate::warehouse) fn start(limit: Option<Duration>) -> Self {
        Self(limit.and_then(|limit| Some((limit, Instant::from_std(monotonic().checked_add(limit)?)))))
    }

    /// The work, or the error that it took too long.
    pub(in crate::warehouse) async fn within<T>(
        self,
        what: &str,
        work: impl Future<Output = Result<T, WarehouseError>>,
    ) -> Result<T, WarehouseError> {
        let Some((limit, end)) = self.0 else { return work.await };
        timeout_at(end, work).await.unwrap_or_else(|_| Err(too_long(what, limit)))
    }

    /// The rows, ended by the error that they took too long.
    pub(in crate::warehouse) fn over<T: Send + 'static>(
        self,
        what: &str,
        rows: BoxStream<'static, Result<T, WarehouseError>>,
    ) -> BoxStream<'static, Result<T, WarehouseError>> {
        let Some((limit, end)) = self.0 else { return rows };
        let what = what.to_owned();
        stream::unfold(Some(rows), move |rows| {
            let what = what.clone();
            async move {
                let mut rows = rows?;
                match timeout_at(end, rows.next()).await {
                    Ok(row) => Some((row?, Some(rows))),
                    Err(_) => Some((Err(too_long(&what, limit)), None)),
                }
            }
        })
        .boxed()
    }
}

fn too_long(what: &str, limit: Duration) -> WarehouseError {
    WarehouseError::TooLong { what: what.to_owned(), limit: format!("{limit:?}") }
}
