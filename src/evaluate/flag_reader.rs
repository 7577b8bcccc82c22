//! The flags of a milestone job, pass by pass and profile by profile.

use std::collections::VecDeque;

use super::error::EvaluateError;
use super::found::ProfileFound;
use super::milestones::Pass;
use super::pass_run::PassRun;
use super::request::{Request, Tally};
use super::subject::Keep;
use super::{CompiledJob, parameters};
use crate::warehouse::{Session, Warehouse, value};

/// Reads passes one after another.
pub(super) struct FlagReader {
    job: CompiledJob,
    waiting: VecDeque<(Pass, Session)>,
    running: Option<PassRun>,
    request: Request,
    keep: Keep,
    is_counting: bool,
    /// What was seen so far beside flags.
    pub(super) tally: Tally,
}

impl FlagReader {
    /// Readies passes under a request.
    pub(super) async fn new(
        job: &CompiledJob,
        passes: &[Pass],
        warehouse: &Warehouse,
        request: &Request,
        keep: Keep,
    ) -> Result<Self, EvaluateError> {
        let mut waiting = VecDeque::new();
        for pass in passes {
            let bound = parameters(request).and(&pass.parameters(request.as_of));
            waiting.push_back((pass.clone(), warehouse.bind(&bound).await?));
        }
        let (job, request) = (job.clone(), request.clone());
        Ok(Self { job, waiting, running: None, request, keep, is_counting: true, tally: Tally::default() })
    }

    /// Leaves rows without an id or a time uncounted, where nobody asks for them.
    pub(super) fn uncounted(self) -> Self {
        Self { is_counting: false, ..self }
    }

    /// The next complete profiles, possibly none; `None` when all passes are done.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<ProfileFound>>, EvaluateError> {
        let mut running = if let Some(running) = self.running.take() {
            running
        } else {
            let Some((pass, session)) = self.waiting.pop_front() else {
                return Ok(None);
            };
            if self.is_counting {
                add_nulls(&session, &pass.nulls_sql(), &mut self.tally).await?;
            }
            let restricted = self.request.profiles.is_some();
            let how = (self.request.as_of, self.keep, restricted);
            pass.start(&self.job.audience, session, how).await?
        };
        let found = running.next(&mut self.tally).await?;
        if found.is_some() {
            self.running = Some(running);
        }
        Ok(Some(found.unwrap_or_default()))
    }
}

/// Counts rows without an id or a time.
pub(super) async fn add_nulls(session: &Session, sql: &str, tally: &mut Tally) -> Result<(), EvaluateError> {
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
