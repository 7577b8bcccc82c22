//! Candidates as a stream of chunks: ladders stay together, memory stays bounded, what was dropped is counted.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures::stream::BoxStream;
use futures::{Stream, StreamExt, stream};

use super::error::EvaluateError;
use super::flag_reader::{FlagReader, add_nulls};
use super::reaches::Keep;
use super::request::{Request, Tally};
use super::{CompiledJob, Plan, parameters};
use crate::model::Candidate;
use crate::warehouse::Warehouse;

/// A chunk is closed once it holds this many candidates; it is longer only by the ladder that closed it.
const CHUNK: usize = 2_000;

/// Candidates in chunks of about two thousand; all levels of one profile and milestone are in the same chunk.
pub struct CandidateStream {
    chunks: BoxStream<'static, Result<Vec<Candidate>, EvaluateError>>,
    tally: Arc<Mutex<Tally>>,
}

impl CandidateStream {
    /// What was seen beside the candidates; complete once the stream has ended.
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
    let session = warehouse.bind(&parameters(request)).await?;
    job.audience.check_unique(&session, request.profiles.is_some()).await?;
    let Plan::Milestones(passes) = &job.plan;
    let reader = FlagReader::new(job, passes, warehouse, request, Keep::Flags).await?;
    let mut tally = Tally::default();
    add_nulls(&session, &job.audience.nulls_sql(), &mut tally).await?;
    let published = Arc::new(Mutex::new(Tally::default()));
    let source = Source { reader, pending: VecDeque::new(), tally, published: Arc::clone(&published) };
    let chunks = stream::try_unfold(source, |mut source| async move {
        let chunk = source.next_chunk().await?;
        Ok(chunk.map(|chunk| (chunk, source)))
    });
    Ok(CandidateStream { chunks: chunks.boxed(), tally: published })
}

/// Cuts profiles into chunks.
struct Source {
    reader: FlagReader,
    /// Candidates by profile, complete.
    pending: VecDeque<Vec<Candidate>>,
    /// What was seen outside the reader.
    tally: Tally,
    published: Arc<Mutex<Tally>>,
}

impl Source {
    async fn next_chunk(&mut self) -> Result<Option<Vec<Candidate>>, EvaluateError> {
        let mut chunk = Vec::new();
        loop {
            while let Some(profile) = self.pending.pop_front() {
                chunk.extend(profile);
                if chunk.len() >= CHUNK {
                    return Ok(Some(chunk));
                }
            }
            let Some(profiles) = self.reader.next().await? else {
                let tally = self.tally.clone().and(&self.reader.tally);
                *self.published.lock().unwrap_or_else(PoisonError::into_inner) = tally;
                return Ok((!chunk.is_empty()).then_some(chunk));
            };
            for profile in profiles {
                if profile.audience.is_none() {
                    self.tally.not_in_audience += profile.found.len() as u64;
                }
                self.pending.push_back(profile.candidates());
            }
        }
    }
}
