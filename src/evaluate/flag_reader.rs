//! The flags of a milestone job, pass by pass and profile by profile.

use std::collections::VecDeque;

use super::climb_run::ClimbRun;
use super::climb_table::Told;
use super::error::EvaluateError;
use super::found::ProfileFound;
use super::milestones::{How, Pass, scans_of};
use super::pass_run::PassRun;
use super::reaches::ReachesPass;
use super::request::{Request, Tally};
use super::subject::Keep;
use super::{CompiledJob, parameters};
use crate::warehouse::arrow::datatypes::SchemaRef;
use crate::warehouse::{Session, Warehouse, value};

/// Reads passes one after another, those that share a scan together.
pub(super) struct FlagReader {
    job: CompiledJob,
    waiting: VecDeque<(Vec<Pass>, Session)>,
    running: Option<Running>,
    request: Request,
    keep: Keep,
    is_counting: bool,
    /// What was seen so far beside flags.
    pub(super) tally: Tally,
}

/// What is being read.
enum Running {
    Pass(Box<PassRun>),
    Climbs(Box<ClimbRun>),
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
        for scan in scans_of(passes) {
            let of_passes = scan.iter().map(|pass| pass.parameters(request.as_of));
            let bound = of_passes.fold(parameters(request), |bound, more| bound.and(&more));
            waiting.push_back((scan, warehouse.bind(&bound).await?));
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
        let Some(mut running) = self.running().await? else { return Ok(None) };
        let found = match &mut running {
            Running::Pass(run) => run.next(&mut self.tally).await?,
            Running::Climbs(run) => run.next(&mut self.tally).await?,
        };
        if found.is_some() {
            self.running = Some(running);
        }
        Ok(Some(found.unwrap_or_default()))
    }

    /// The same as rows of the long table, where a pass tells them without profiles.
    pub(super) async fn next_rows(&mut self, schema: &SchemaRef) -> Result<Option<Told>, EvaluateError> {
        let Some(mut running) = self.running().await? else { return Ok(None) };
        let told = match &mut running {
            Running::Pass(run) => run.next(&mut self.tally).await?.map(Told::Profiles),
            Running::Climbs(run) => run.next_rows(schema, &mut self.tally).await?,
        };
        if told.is_some() {
            self.running = Some(running);
        }
        Ok(Some(told.unwrap_or(Told::Profiles(Vec::new()))))
    }

    /// What is being read, or the next that waits; `None` when all passes are done.
    async fn running(&mut self) -> Result<Option<Running>, EvaluateError> {
        if let Some(running) = self.running.take() {
            return Ok(Some(running));
        }
        match self.waiting.pop_front() {
            Some((passes, session)) => self.start(passes, session).await.map(Some),
            None => Ok(None),
        }
    }

    async fn start(&mut self, passes: Vec<Pass>, session: Session) -> Result<Running, EvaluateError> {
        if self.is_counting {
            for pass in &passes {
                add_nulls(&session, &pass.nulls_sql(), &mut self.tally).await?;
            }
        }
        let (as_of, keep, restricted) = (self.request.as_of, self.keep, self.request.profiles.is_some());
        let how = How { as_of, keep, restricted };
        let audience = &self.job.audience;
        match passes.as_slice() {
            [pass] if !pass.ladder_pass().is_some_and(ReachesPass::climbs) => {
                Ok(Running::Pass(Box::new(pass.start(audience, &session, how).await?)))
            }
            _ => Ok(Running::Climbs(Box::new(ClimbRun::start(passes, audience, session, how).await?))),
        }
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
