//! Candidates as a stream of chunks: ladders stay together, memory stays bounded, what was dropped is counted.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures::stream::BoxStream;
use futures::{Stream, StreamExt, stream};
use jiff::Timestamp;

use super::error::EvaluateError;
use super::milestones::{Pass, PassRun};
use super::reaches::Keep;
use super::request::{Request, Tally};
use super::{CompiledJob, Plan, parameters};
use crate::model::Candidate;
use crate::warehouse::{Session, Warehouse, value};

/// A chunk is closed once it holds this many candidates; it is longer only by the ladder that closed it.
const CHUNK: usize = 2_000;

/// Candidates in chunks of about two thousand; all levels of one profile and milestone are in the same chunk.
pub struct CandidateStream {
    chunks: BoxStream<'static, Result<Vec<Candidate>, EvaluateError>>,
    tally: Arc<Mutex<Tally>>,
}

impl CandidateStream {
    /// What was seen beside the candidates so far; complete once the stream has ended.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Stream for CandidateStream {
    type Item = Result<Vec<Candidate>, EvaluateError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.chunks.poll_next_unpin(context)
    }
}

/// Starts the evaluation of a job.
pub(super) async fn start(
    job: &CompiledJob,
    warehouse: &Warehouse,
    request: &Request,
) -> Result<CandidateStream, EvaluateError> {
    let Plan::Milestones(passes) = &job.plan;
    let restricted = request.profiles.is_some();
    let session = warehouse.bind(&parameters(request)).await?;
    job.audience.check_unique(&session, restricted).await?;
    let mut waiting = VecDeque::new();
    for pass in passes {
        let bound = parameters(request).and(&pass.parameters(request.as_of));
        waiting.push_back((pass.clone(), warehouse.bind(&bound).await?));
    }
    let tally = Arc::new(Mutex::new(Tally::default()));
    let source = FlagSource {
        job: job.clone(),
        waiting,
        running: None,
        as_of: request.as_of,
        restricted,
        pending: VecDeque::new(),
        tally: Tally::default(),
        published: Arc::clone(&tally),
    };
    let chunks = stream::try_unfold(source, |mut source| async move {
        let chunk = source.next_chunk().await?;
        Ok(chunk.map(|chunk| (chunk, source)))
    });
    Ok(CandidateStream { chunks: chunks.boxed(), tally })
}

/// Candidates of a milestone job, pass by pass.
struct FlagSource {
    job: CompiledJob,
    waiting: VecDeque<(Pass, Session)>,
    running: Option<PassRun>,
    as_of: Timestamp,
    restricted: bool,
    /// Candidates by profile, complete.
    pending: VecDeque<Vec<Candidate>>,
    tally: Tally,
    published: Arc<Mutex<Tally>>,
}

impl FlagSource {
    async fn next_chunk(&mut self) -> Result<Option<Vec<Candidate>>, EvaluateError> {
        let mut chunk = Vec::new();
        loop {
            while let Some(profile) = self.pending.pop_front() {
                chunk.extend(profile);
                if chunk.len() >= CHUNK {
                    return Ok(Some(chunk));
                }
            }
            if !self.read_more().await? {
                *self.published.lock().unwrap_or_else(PoisonError::into_inner) = self.tally.clone();
                return Ok((!chunk.is_empty()).then_some(chunk));
            }
        }
    }

    /// Reads further profiles; false when all passes are done.
    async fn read_more(&mut self) -> Result<bool, EvaluateError> {
        let mut running = match self.running.take() {
            Some(running) => running,
            None => {
                let Some((pass, session)) = self.waiting.pop_front() else {
                    return Ok(false);
                };
                add_nulls(&session, &pass.nulls_sql(), &mut self.tally).await?;
                let how = (self.as_of, Keep::Flags, self.restricted);
                pass.start(&self.job.audience, &session, how).await?
            }
        };
        if let Some(found) = running.next(&mut self.tally).await? {
            for profile in found {
                if profile.audience.is_none() {
                    self.tally.not_in_audience += profile.found.len() as u64;
                }
                self.pending.push_back(profile.candidates());
            }
            self.running = Some(running);
        }
        Ok(true)
    }
}

/// Counts rows without an id or a time.
async fn add_nulls(session: &Session, sql: &str, tally: &mut Tally) -> Result<(), EvaluateError> {
    let batches = session.rows("counting rows without an id or a time", sql).await?;
    for batch in batches.iter().filter(|batch| batch.num_rows() > 0) {
        let count = |column: usize| {
            batch
                .columns()
                .get(column)
                .and_then(|column| value::text(column, 0)?.parse::<u64>().ok())
                .unwrap_or_default()
        };
        tally.null_ids += count(0);
        tally.null_times += count(1);
    }
    Ok(())
}
