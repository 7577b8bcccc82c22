//! Jobs as SQL: milestone flags and recap matrices, and the candidates they make.
//!
//! Guarantees: the same data and the same `as_of` give the same candidates in the same order; nothing later than
//! `as_of` is seen; memory stays bounded by the warehouse's limit and one chunk. Never: knows the ledger, decides who is
//! mailed, or reads the clock.

mod audience;
mod candidates;
mod climb_reader;
mod climb_run;
mod climb_table;
mod columns;
mod conditions;
mod error;
mod event_names;
mod flag_reader;
mod flags;
mod flags_wide;
mod found;
mod health;
mod inspect;
mod ladder;
mod lost_values;
mod milestones;
mod moment_reader;
mod moments;
mod own_view;
mod pass_run;
mod period;
mod profiles;
mod pruning;
mod reaches;
mod reaches_climb;
mod reaches_sql;
mod recap;
mod recap_assembly;
mod recap_cells;
mod recap_levels;
mod recap_reader;
mod recap_shape;
mod recap_slots;
mod recap_sql;
mod recap_windows;
mod request;
mod rows;
mod sql;
mod standings;
mod subject;

use std::collections::BTreeSet;

use jiff::Timestamp;

pub use candidates::CandidateStream;
pub use error::EvaluateError;
pub use event_names::unknown_events;
pub use flags::FlagColumns;
pub use health::{Clocks, check_declared, day_zone, table_facts};
pub use request::{PeriodChoice, Query, Request, Tally};
pub use standings::Standing;

use crate::model::Shape;
use crate::model::diagnostic::Diagnostic;
use crate::project::{Job, JobKind, Project, WindowZone};
use crate::warehouse::{AS_OF, Parameter, Parameters, Scan, Session, TableRows, Warehouse, value};
use audience::Audience;
use milestones::Pass;
use period::Calendar;
use recap::RecapPlan;
use subject::Keep;

/// A job that has been checked against the warehouse and turned into queries.
#[derive(Clone, Debug)]
pub struct CompiledJob {
    name: String,
    audience: Audience,
    plan: Plan,
    shapes: Vec<Shape>,
    /// What messages refer to, in dotted paths; `None` while nobody has said so.
    references: Option<BTreeSet<String>>,
    /// Whether mails wait for a time of day in the profile's zone.
    waits_by_zone: bool,
}

#[derive(Clone, Debug)]
enum Plan {
    Milestones(Vec<Pass>),
    Recap(Box<RecapPlan>),
}

/// Checks a job against the warehouse; nothing but schemas is read.
///
/// # Errors
/// Everything that is wrong with the job at once. Empty when it builds on a table or view whose own findings
/// [`Warehouse::open`] has reported.
pub async fn compile(project: &Project, job: &Job, warehouse: &Warehouse) -> Result<CompiledJob, Vec<Diagnostic>> {
    let trial = match job.recap() {
        Some(recap) => recap::trial_parameters(&Calendar::new(project, recap)),
        None => Parameters::default(),
    };
    let session = warehouse
        .bind(&trial.with(AS_OF, Parameter::Instant(Timestamp::UNIX_EPOCH)))
        .await
        .map_err(|error| vec![Diagnostic::error("sql-does-not-plan", error.to_string(), &job.place)])?;
    let audience = audience::resolve(project, job, warehouse, &session).await;
    let plan = match &job.kind {
        JobKind::Milestones(milestones) => {
            let known = audience.as_ref().ok();
            milestones::compile(project, milestones, known, (warehouse, &session)).await.map(Plan::Milestones)
        }
        JobKind::Recap(recap) => {
            let plan = recap::compile(project, (job, recap), warehouse, &session).await;
            plan.map(|plan| Plan::Recap(Box::new(plan)))
        }
    };
    let mut findings = Vec::new();
    if let (Ok(audience), Some(recap)) = (&audience, job.recap()) {
        findings.extend(recap::check_audience(recap, audience, &job.audience));
    }
    if let (Ok(audience), Ok(Plan::Milestones(passes))) = (&audience, &plan) {
        findings.extend(milestones::check_audience(passes, audience, &job.audience));
    }
    match (audience, plan) {
        (Ok(audience), Ok(plan)) if findings.is_empty() => {
            let shapes = shapes(&audience, &plan);
            let by_profile = job.window.as_ref().is_some_and(|window| window.zone == WindowZone::Profile);
            let waits_by_zone = by_profile && audience.has(subject::ZONE_COLUMN);
            let name = job.name.clone();
            let compiled = CompiledJob { name, audience, plan, shapes, references: None, waits_by_zone };
            compiled
                .try_queries(warehouse)
                .await
                .map_err(|error| vec![Diagnostic::error("sql-does-not-plan", error.to_string(), &job.place)])?;
            Ok(compiled)
        }
        (audience, plan) => {
            findings.extend(audience.err().unwrap_or_default());
            findings.extend(plan.err().unwrap_or_default());
            Err(findings)
        }
    }
}

fn shapes(audience: &Audience, plan: &Plan) -> Vec<Shape> {
    let profile = || ("profile", audience.shape());
    match plan {
        Plan::Milestones(passes) => {
            let mut parts: Vec<(usize, Shape)> = passes.iter().flat_map(Pass::shapes).collect();
            parts.sort_by_key(|(part, _)| *part);
            parts.into_iter().map(|(_, milestone)| Shape::object([profile(), ("milestone", milestone)])).collect()
        }
        Plan::Recap(recap) => vec![Shape::object([profile()].into_iter().chain(recap.shapes()))],
    }
}

impl CompiledJob {
    /// The job's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The audience as each kind of milestone needs it: one row per profile, or one per profile and entity.
    fn audiences(&self) -> Vec<Audience> {
        let Plan::Milestones(passes) = &self.plan else {
            return vec![self.audience.clone()];
        };
        let entities: BTreeSet<Option<&String>> = passes.iter().map(Pass::entity).collect();
        // One row per profile is also one per profile and entity.
        let needed: Vec<Option<&String>> =
            if entities.contains(&None) { vec![None] } else { entities.into_iter().collect() };
        needed.into_iter().map(|entity| self.audience.of_entity(entity)).collect()
    }

    /// Refuses an audience with several rows for one id, and counts what it lacks.
    async fn check_audience(
        &self,
        session: &Session,
        restricted: bool,
        tally: &mut Tally,
    ) -> Result<(), EvaluateError> {
        for audience in self.audiences() {
            let rows = audience.check_unique(session, restricted).await?;
            tally.audience_rows = tally.audience_rows.or(rows);
            flag_reader::add_nulls(session, &audience.nulls_sql(), tally).await?;
        }
        let reads_zones = match &self.plan {
            Plan::Milestones(passes) => self.waits_by_zone || passes.iter().any(Pass::reads_zones),
            // A recap by the profile's zone counts them where it makes its calendars.
            Plan::Recap(recap) => self.waits_by_zone && !recap.calendar.per_profile,
        };
        if reads_zones {
            tally.unknown_zones += self.audience.count_unknown_zones(session, restricted).await?;
        }
        Ok(())
    }

    /// Plans the queries of a run as a last check: what the parts allow, the whole must too.
    async fn try_queries(&self, warehouse: &Warehouse) -> Result<(), EvaluateError> {
        let long_ago = Timestamp::UNIX_EPOCH;
        let base = Parameters::default().with(AS_OF, Parameter::Instant(long_ago));
        match &self.plan {
            Plan::Milestones(passes) => {
                for pass in passes {
                    let session = warehouse.bind(&base.clone().and(&pass.parameters(long_ago))).await?;
                    session.check(&pass.title(), &pass.sql(&self.audience, Keep::Flags, false)).await?;
                }
            }
            Plan::Recap(recap) => {
                let Some(slot) = recap.calendar.any() else {
                    return Ok(());
                };
                let request = Request { as_of: long_ago, period: PeriodChoice::LatestDue, profiles: None };
                let session = recap.session(warehouse, &request, &slot).await?;
                session.check(&recap.title(), &recap.candidates_sql(&self.audience, false)).await?;
            }
        }
        Ok(())
    }

    /// What each message of the job may see: `profile`, and `milestone` or `period`, `metrics`, `matrix`.
    #[must_use]
    pub fn shapes(&self) -> &[Shape] {
        &self.shapes
    }

    /// Keeps only what messages refer to (dotted paths, one set per message), so that less is read and sorted.
    pub fn narrow(&mut self, references: &[BTreeSet<String>]) {
        self.references = Some(references.iter().flatten().cloned().collect());
        match &mut self.plan {
            Plan::Milestones(passes) => passes.iter_mut().for_each(|pass| pass.narrow(references)),
            Plan::Recap(recap) => recap.narrow(references),
        }
    }

    /// Starts the evaluation; candidates come in chunks, in the same order every time.
    ///
    /// # Errors
    /// When the audience has several rows for one id, the period is not due, or the warehouse fails.
    pub async fn candidates(&self, warehouse: &Warehouse, request: &Request) -> Result<CandidateStream, EvaluateError> {
        candidates::start(self, warehouse, request).await
    }
}

impl CompiledJob {
    /// The flags of a milestone job as a table.
    ///
    /// # Errors
    /// When the job is a recap, the audience has several rows for one id, or the warehouse fails.
    pub async fn flags(
        &self,
        warehouse: &Warehouse,
        request: &Request,
        columns: FlagColumns,
    ) -> Result<TableRows, EvaluateError> {
        flags::start(self, warehouse, request, columns).await
    }

    /// The columns that the `only_if` of a part names: of the audience, `level` and `value`, or metrics of a recap.
    #[must_use]
    pub fn asked_columns(&self, part: usize) -> BTreeSet<String> {
        match &self.plan {
            Plan::Milestones(passes) => passes.iter().find_map(|pass| pass.asked_columns(part)).unwrap_or_default(),
            Plan::Recap(recap) => recap.asked_columns.clone(),
        }
    }

    /// How many rows of the audience the profiles of a request have: none when a job may not mail them.
    ///
    /// # Errors
    /// When the period is not due, or the warehouse fails.
    pub async fn audience_rows(&self, warehouse: &Warehouse, request: &Request) -> Result<u64, EvaluateError> {
        let Some(session) = self.audience_session(warehouse, request).await? else { return Ok(0) };
        let tables = self.audience.tables(request.profiles.is_some());
        let sql = sql::with(&tables, "select count(*) as rows from audience_rows");
        let batches = session.rows("counting the audience", &sql).await?;
        let count = batches.iter().find(|batch| batch.num_rows() > 0);
        Ok(count.and_then(|batch| value::text(batch.column(0), 0)?.parse().ok()).unwrap_or(0))
    }

    /// Where the profiles of a request are on each ladder, also below the first level; empty for recaps.
    ///
    /// # Errors
    /// When the audience has several rows for one id, or the warehouse fails.
    pub async fn standings(&self, warehouse: &Warehouse, request: &Request) -> Result<Vec<Standing>, EvaluateError> {
        standings::of(self, warehouse, request).await
    }
}

impl CompiledJob {
    /// The period of a recap under a request, in words that ask for it again: its key, or the interval of several;
    /// `None` for milestones and for the latest due of each profile's zone.
    ///
    /// # Errors
    /// When the key is none of this job's, or its period is not due.
    pub fn period(&self, request: &Request) -> Result<Option<String>, EvaluateError> {
        match &self.plan {
            Plan::Milestones(_) => Ok(None),
            Plan::Recap(recap) => recap.calendar.described(request),
        }
    }

    /// The scans of a recap's candidates, one list for each of its periods that are evaluated apart; nothing is read but
    /// the zones of the audience.
    ///
    /// # Errors
    /// When the job has no metrics, or the period is not due.
    pub async fn scans(&self, warehouse: &Warehouse, request: &Request) -> Result<Vec<Vec<Scan>>, EvaluateError> {
        let recap = self.recap("scans")?;
        let mut scans = Vec::new();
        for slot in recap.slots(&self.audience, warehouse, request, &mut Tally::default()).await? {
            let session = recap.session(warehouse, request, &slot).await?;
            let sql = recap.candidates_sql(&self.audience, request.profiles.is_some());
            scans.push(session.scans(&recap.title(), &sql).await?);
        }
        Ok(scans)
    }

    fn recap(&self, asked: &'static str) -> Result<&RecapPlan, EvaluateError> {
        match &self.plan {
            Plan::Recap(recap) => Ok(recap),
            Plan::Milestones(_) => Err(EvaluateError::WrongKind { job: self.name.clone(), is: "milestones", asked }),
        }
    }

    /// The metric matrix of a recap as a table: one row per entity that is active or in the audience.
    ///
    /// # Errors
    /// When the job has no metrics, the period is not due, or the warehouse fails.
    pub async fn metrics(&self, warehouse: &Warehouse, request: &Request) -> Result<TableRows, EvaluateError> {
        let recap = self.recap("metrics")?;
        let Some(matrix) = self.matrices(warehouse, request).await?.pop() else {
            let key = request.period.text().unwrap_or_default();
            return Err(EvaluateError::UnknownPeriod {
                key,
                kind: recap.calendar.kind().name(),
                example: "2026-11".into(),
            });
        };
        Ok(matrix)
    }

    /// The metric matrices of every period that a run would mail about, one after another; none when none is due.
    ///
    /// # Errors
    /// When the job has no metrics, the period is not due, or the warehouse fails.
    pub async fn matrices(&self, warehouse: &Warehouse, request: &Request) -> Result<Vec<TableRows>, EvaluateError> {
        let recap = self.recap("metrics")?;
        let mut matrices = Vec::new();
        for slot in recap.slots(&self.audience, warehouse, request, &mut Tally::default()).await? {
            let session = recap.session(warehouse, request, &slot).await?;
            let sql = recap.metrics_sql(&self.audience, request.profiles.is_some());
            let schema = session.schema(&recap.title(), &sql).await?;
            let rows = session.lazy_stream(recap.title(), sql);
            matrices.push(TableRows { schema, rows, partitioned_by: Some("period_key") });
        }
        Ok(matrices)
    }
}

/// The parameters of a request that every query has.
fn parameters(request: &Request) -> Parameters {
    let parameters = Parameters::default().with(AS_OF, Parameter::Instant(request.as_of));
    match &request.profiles {
        Some(profiles) => parameters.with(sql::PROFILES, Parameter::Texts(profiles.clone())),
        None => parameters,
    }
}
