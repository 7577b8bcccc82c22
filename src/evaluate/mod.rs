//! Jobs as SQL: milestone flags and recap matrices, and the candidates they make.
//!
//! Guarantees: the same data and the same `as_of` give the same candidates in the same order; nothing later than
//! `as_of` is seen; memory stays bounded by the warehouse's limit and one chunk. Never: knows the ledger, decides who is
//! mailed, or reads the clock.

mod audience;
mod candidates;
mod columns;
mod error;
mod found;
mod ladder;
mod milestones;
mod own_view;
mod pruning;
mod reaches;
mod request;
mod rows;
mod sql;

use std::collections::BTreeSet;

use jiff::Timestamp;

pub use candidates::CandidateStream;
pub use error::EvaluateError;
pub use request::{PeriodChoice, Query, Request, Tally};

use crate::model::Shape;
use crate::model::diagnostic::Diagnostic;
use crate::project::{Job, JobKind, Project};
use crate::warehouse::{AS_OF, Parameter, Parameters, Warehouse};
use audience::Audience;
use milestones::Pass;
use reaches::Keep;

/// A job that has been checked against the warehouse and turned into queries.
#[derive(Clone, Debug)]
pub struct CompiledJob {
    name: String,
    audience: Audience,
    plan: Plan,
    shapes: Vec<Shape>,
}

#[derive(Clone, Debug)]
enum Plan {
    Milestones(Vec<Pass>),
}

/// Checks a job against the warehouse; nothing but schemas is read.
///
/// # Errors
/// Everything that is wrong with the job at once. Empty when it builds on a table or view whose own findings
/// [`Warehouse::open`] has reported.
pub async fn compile(project: &Project, job: &Job, warehouse: &Warehouse) -> Result<CompiledJob, Vec<Diagnostic>> {
    let trial = Parameters::default().with(AS_OF, Parameter::Instant(Timestamp::UNIX_EPOCH));
    let session = warehouse
        .bind(&trial)
        .await
        .map_err(|error| vec![Diagnostic::error("sql-does-not-plan", error.to_string(), &job.place)])?;
    let audience = audience::resolve(project, job, warehouse, &session).await;
    let plan = match &job.kind {
        JobKind::Milestones(milestones) => {
            milestones::compile(project, milestones, warehouse, &session).await.map(Plan::Milestones)
        }
        JobKind::Recap(_) => Err(Vec::new()),
    };
    match (audience, plan) {
        (Ok(audience), Ok(plan)) => {
            let shapes = shapes(&audience, &plan);
            Ok(CompiledJob { name: job.name.clone(), audience, plan, shapes })
        }
        (audience, plan) => {
            let mut findings = audience.err().unwrap_or_default();
            findings.extend(plan.err().unwrap_or_default());
            Err(findings)
        }
    }
}

fn shapes(audience: &Audience, plan: &Plan) -> Vec<Shape> {
    let Plan::Milestones(passes) = plan;
    let mut parts: Vec<(usize, Shape)> = passes.iter().flat_map(Pass::shapes).collect();
    parts.sort_by_key(|(part, _)| *part);
    let whole = |milestone| Shape::object([("profile", audience.shape()), ("milestone", milestone)]);
    parts.into_iter().map(|(_, milestone)| whole(milestone)).collect()
}

impl CompiledJob {
    /// The job's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What each message of the job may see: `profile`, and `milestone` or `period`, `metrics`, `matrix`.
    #[must_use]
    pub fn shapes(&self) -> &[Shape] {
        &self.shapes
    }

    /// Keeps only what messages refer to (dotted paths, one set per message), so that less is read and sorted.
    pub fn narrow(&mut self, references: &[BTreeSet<String>]) {
        let Plan::Milestones(passes) = &mut self.plan;
        for pass in passes {
            pass.narrow(references);
        }
    }

    /// The SQL of the job, with `$parameters`.
    #[must_use]
    pub fn queries(&self, request: &Request) -> Vec<Query> {
        let restricted = request.profiles.is_some();
        let Plan::Milestones(passes) = &self.plan;
        passes
            .iter()
            .map(|pass| Query { title: pass.title(), sql: pass.sql(&self.audience, Keep::Flags, restricted) })
            .collect()
    }

    /// Starts the evaluation; candidates come in chunks, in the same order every time.
    ///
    /// # Errors
    /// When the audience has several rows for one id, the period is not due, or the warehouse fails.
    pub async fn candidates(&self, warehouse: &Warehouse, request: &Request) -> Result<CandidateStream, EvaluateError> {
        candidates::start(self, warehouse, request).await
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
