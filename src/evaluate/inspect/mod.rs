//! The queries of a job before a run: the same that a run executes, for people to read, for plans, and for a rehearsal.

use jiff::Timestamp;

use super::error::EvaluateError;
use super::milestones::{How, Pass, scans_of};
use super::request::{PeriodChoice, Query, Request, Tally};
use super::subject::Keep;
use super::{CompiledJob, Plan, climb_run, parameters, reaches};
use crate::warehouse::{Parameters, TableReading, Warehouse};

/// One scan of a milestone job: its query, and what is bound in it.
struct Scan {
    query: Query,
    bound: Parameters,
}

impl CompiledJob {
    fn milestone_scans(&self, passes: &[Pass], request: &Request) -> Vec<Scan> {
        let restricted = request.profiles.is_some();
        let how = How { as_of: request.as_of, keep: Keep::Flags, restricted };
        let scan = |passes: Vec<Pass>| {
            let of_passes = passes.iter().map(|pass| pass.parameters(request.as_of));
            let bound = of_passes.fold(parameters(request), |bound, more| bound.and(&more));
            let query = match passes.as_slice() {
                [pass] if !pass.ladder_pass().is_some_and(reaches::ReachesPass::climbs) => {
                    Query { title: pass.title(), sql: pass.sql(&self.audience, how.keep, restricted) }
                }
                passes => Query { title: climb_run::title(passes), sql: climb_run::sql(passes, &self.audience, how) },
            };
            Scan { query, bound }
        };
        scans_of(passes).into_iter().map(scan).collect()
    }

    /// The SQL of the job, with `$parameters`.
    ///
    /// # Errors
    /// When the period asked for is not one of the job, or not due.
    pub fn queries(&self, request: &Request) -> Result<Vec<Query>, EvaluateError> {
        match &self.plan {
            Plan::Milestones(passes) => {
                Ok(self.milestone_scans(passes, request).into_iter().map(|scan| scan.query).collect())
            }
            Plan::Recap(recap) => {
                recap.calendar.described(request)?;
                let sql = recap.candidates_sql(&self.audience, request.profiles.is_some());
                Ok(vec![Query { title: recap.title(), sql }])
            }
        }
    }

    /// What each query of [`Self::queries`] reads of tables of files, from plans and footers; the queries of a recap stand
    /// once for each of its periods that are evaluated apart.
    ///
    /// # Errors
    /// When the period is not due, or the warehouse fails.
    pub async fn readings(
        &self,
        warehouse: &Warehouse,
        request: &Request,
    ) -> Result<Vec<(Query, Vec<TableReading>)>, EvaluateError> {
        let mut readings = Vec::new();
        match &self.plan {
            Plan::Milestones(passes) => {
                for Scan { query, bound } in self.milestone_scans(passes, request) {
                    let read = warehouse.bind(&bound).await?.readings(&query.title, &query.sql).await?;
                    readings.push((query, read));
                }
            }
            Plan::Recap(recap) => {
                let sql = recap.candidates_sql(&self.audience, request.profiles.is_some());
                for slot in recap.slots(&self.audience, warehouse, request, &mut Tally::default()).await? {
                    let session = recap.session(warehouse, request, &slot).await?;
                    let read = session.readings(&recap.title(), &sql).await?;
                    readings.push((Query { title: recap.title(), sql: sql.clone() }, read));
                }
            }
        }
        Ok(readings)
    }

    /// Plans and executes the queries of a run over tables without rows: what fails here fails in every run.
    ///
    /// # Errors
    /// When one of them does.
    pub async fn rehearse(&self, warehouse: &Warehouse) -> Result<(), EvaluateError> {
        let request = Request { as_of: Timestamp::UNIX_EPOCH, period: PeriodChoice::LatestDue, profiles: None };
        match &self.plan {
            Plan::Milestones(passes) => {
                for Scan { query, bound } in self.milestone_scans(passes, &request) {
                    warehouse.bind_rowless(&bound).await?.rehearse(&query.title, &query.sql).await?;
                }
            }
            Plan::Recap(recap) => {
                if let Some(slot) = recap.calendar.any() {
                    let bound = parameters(&request).and(&recap.parameters(&slot, request.as_of));
                    let session = recap.with_calendar(warehouse.bind_rowless(&bound).await?, &slot)?;
                    session.rehearse(&recap.title(), &recap.candidates_sql(&self.audience, false)).await?;
                }
            }
        }
        Ok(())
    }
}
