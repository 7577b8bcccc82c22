//! Candidates as a stream of chunks: ladders stay together, memory stays bounded, what was dropped is counted.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures::stream::BoxStream;
use futures::{Stream, StreamExt, stream};

use super::error::EvaluateError;
use super::flag_reader::{FlagReader, add_nulls};
use super::found::ProfileFound;
use super::period::Slot;
use super::recap::RecapPlan;
use super::recap_reader::RecapReader;
use super::request::{Request, Tally};
use super::subject::Keep;
use super::{CompiledJob, Plan, parameters};
use crate::model::Candidate;
use crate::warehouse::arrow::array::RecordBatch;
use crate::warehouse::{RowStream, Warehouse, WarehouseError};

/// A chunk is closed once it holds this many candidates; it is longer only by the ladder that closed it.
const CHUNK: usize = 2_000;

/// A recap's candidates bring a whole matrix each, so fewer are held at once.
const RECAP_CHUNK: usize = 250;

/// Candidates in chunks of at most about two thousand; all levels of one profile and milestone are in the same chunk.
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
    let mut tally = Tally::default();
    let source = match &job.plan {
        Plan::Milestones(passes) => {
            let session = warehouse.bind(&parameters(request)).await?;
            job.check_audience(&session, request.profiles.is_some(), &mut tally).await?;
            tally.suppressed_rows = job.audience.check_suppressed(&session).await?;
            Source::Flags(FlagReader::new(job, passes, warehouse, request, Keep::Flags).await?)
        }
        Plan::Recap(plan) => Source::Matrix(Box::new(Matrix::start(job, plan, warehouse, request, &mut tally).await?)),
    };
    let size = if matches!(source, Source::Matrix(_)) { RECAP_CHUNK } else { CHUNK };
    let published = Arc::new(Mutex::new(tally.clone()));
    let chunks = Chunks { source, size, pending: VecDeque::new(), tally, published: Arc::clone(&published) };
    let chunks = stream::try_unfold(chunks, |mut chunks| async move {
        let chunk = chunks.next().await?;
        Ok(chunk.map(|chunk| (chunk, chunks)))
    });
    Ok(CandidateStream { chunks: chunks.boxed(), tally: published })
}

/// Where candidates come from.
enum Source {
    /// Milestone passes.
    Flags(FlagReader),
    /// A recap's matrix.
    Matrix(Box<Matrix>),
}

impl Source {
    /// The next candidates, in groups that stay together; `None` at the end.
    async fn next(&mut self, tally: &mut Tally) -> Result<Option<Vec<Vec<Candidate>>>, EvaluateError> {
        match self {
            Self::Matrix(matrix) => matrix.next(tally).await,
            Self::Flags(reader) => {
                let Some(profiles) = reader.next().await? else {
                    *tally = tally.clone().and(&std::mem::take(&mut reader.tally));
                    return Ok(None);
                };
                let flags = |of: &ProfileFound| of.found.len() as u64;
                let all: u64 = profiles.iter().map(flags).sum();
                let outside: u64 = profiles.iter().filter(|profile| profile.audience.is_none()).map(flags).sum();
                tally.not_in_audience += outside;
                tally.in_audience += all - outside;
                Ok(Some(profiles.into_iter().map(ProfileFound::candidates).collect()))
            }
        }
    }
}

/// A recap's rows, one slot of periods after the other.
struct Matrix {
    plan: RecapPlan,
    slots: VecDeque<(Slot, RowStream)>,
    reader: Option<RecapReader>,
    /// Rows that are not read yet.
    batch: Option<(RecordBatch, usize)>,
}

impl Matrix {
    async fn start(
        job: &CompiledJob,
        plan: &RecapPlan,
        warehouse: &Warehouse,
        request: &Request,
        tally: &mut Tally,
    ) -> Result<Self, EvaluateError> {
        let sql = plan.candidates_sql(&job.audience, request.profiles.is_some());
        let mut slots = VecDeque::new();
        for slot in plan.slots(&job.audience, warehouse, request, tally).await? {
            let session = plan.session(warehouse, request, &slot).await?;
            if slots.is_empty() {
                job.check_audience(&session, request.profiles.is_some(), tally).await?;
                tally.suppressed_rows = job.audience.check_suppressed(&session).await?;
                add_nulls(&session, &plan.nulls_sql(), tally).await?;
            }
            slots.push_back((slot, session.stream(&plan.title(), &sql).await?));
        }
        Ok(Self { plan: plan.clone(), slots, reader: None, batch: None })
    }

    async fn next(&mut self, tally: &mut Tally) -> Result<Option<Vec<Vec<Candidate>>>, EvaluateError> {
        loop {
            if let (Some((batch, begun)), Some(reader)) = (&mut self.batch, &mut self.reader) {
                let rows = *begun..batch.num_rows().min(*begun + RECAP_CHUNK);
                if rows.is_empty() {
                    self.batch = None;
                    continue;
                }
                *begun = rows.end;
                return Ok(Some(reader.read(batch, rows).into_iter().map(|candidate| vec![candidate]).collect()));
            }
            let Some((slot, rows)) = self.slots.front_mut() else { return Ok(None) };
            let Some(batch) = rows.next().await else {
                if let Some(reader) = self.reader.take() {
                    tally.not_in_audience += reader.not_in_audience;
                    tally.in_audience += reader.in_audience;
                }
                self.slots.pop_front();
                continue;
            };
            let batch = batch?;
            if self.reader.is_none() {
                self.reader = RecapReader::new(&self.plan, slot, &batch.schema());
            }
            if self.reader.is_none() {
                let reason = "a column of the result is missing".to_owned();
                return Err(WarehouseError::Query { what: self.plan.title(), reason }.into());
            }
            self.batch = Some((batch, 0));
        }
    }
}

/// Cuts groups of candidates into chunks.
struct Chunks {
    source: Source,
    /// How many candidates close a chunk.
    size: usize,
    pending: VecDeque<Vec<Candidate>>,
    tally: Tally,
    published: Arc<Mutex<Tally>>,
}

impl Chunks {
    async fn next(&mut self) -> Result<Option<Vec<Candidate>>, EvaluateError> {
        let mut chunk = Vec::new();
        loop {
            while let Some(group) = self.pending.pop_front() {
                chunk.extend(group);
                if chunk.len() >= self.size {
                    return Ok(Some(chunk));
                }
            }
            if let Some(groups) = self.source.next(&mut self.tally).await? {
                self.pending.extend(groups);
            } else {
                *self.published.lock().unwrap_or_else(PoisonError::into_inner) = self.tally.clone();
                return Ok((!chunk.is_empty()).then_some(chunk));
            }
        }
    }
}
