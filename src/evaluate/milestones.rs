//! Milestone jobs: their passes, what templates may see, and the flags a request finds.

use std::collections::BTreeSet;

use futures::StreamExt;
use jiff::Timestamp;

use super::audience::Audience;
use super::error::EvaluateError;
use super::found::ProfileFound;
use super::ladder::LadderReader;
use super::own_view::{self, ViewPass, ViewReader};
use super::reaches::{Keep, Ladder, ReachesPass, type_measure};
use super::request::Tally;
use super::{pruning, rows};
use crate::model::diagnostic::Diagnostic;
use crate::model::shape::{ScalarKind, Shape};
use crate::project::{Milestone, MilestoneSource, Project};
use crate::warehouse::arrow::datatypes::SchemaRef;
use crate::warehouse::{Parameters, RowStream, Session, Warehouse, WarehouseError, value};

/// One query's worth of milestones.
#[derive(Clone, Debug)]
pub(super) enum Pass {
    /// Milestones that share rows and measure.
    Reaches(Box<ReachesPass>),
    /// One own view.
    View(ViewPass),
}

/// Compiles the milestones of a job into passes, or says everything that is wrong with them.
pub(super) async fn compile(
    project: &Project,
    milestones: &[Milestone],
    warehouse: &Warehouse,
    session: &Session,
) -> Result<Vec<Pass>, Vec<Diagnostic>> {
    let mut passes: Vec<Pass> = Vec::new();
    let mut findings = Vec::new();
    for (part, milestone) in milestones.iter().enumerate() {
        let compiled = compile_one(project, (part, milestone), (warehouse, session), &mut passes).await;
        findings.extend(compiled.err().into_iter().flatten());
    }
    // A broken relation has its findings already; the job is broken all the same.
    let compiled: usize = passes.iter().map(Pass::size).sum();
    if findings.is_empty() && compiled == milestones.len() { Ok(passes) } else { Err(findings) }
}

async fn compile_one(
    project: &Project,
    (part, milestone): (usize, &Milestone),
    (warehouse, session): (&Warehouse, &Session),
    passes: &mut Vec<Pass>,
) -> Result<(), Vec<Diagnostic>> {
    let name = &milestone.name.value;
    let reaches = match &milestone.source {
        MilestoneSource::View(relation) => {
            let pass = own_view::resolve((part, name), relation, warehouse, session).await?;
            passes.push(Pass::View(pass));
            return Ok(());
        }
        MilestoneSource::Reaches(reaches) => reaches,
    };
    let rows = rows::resolve(project, &reaches.rows, &milestone.name.place, (warehouse, session)).await?;
    let measure = type_measure(&reaches.measure, &rows, session).await?;
    let ladder = Ladder { part, name: name.clone(), levels: reaches.levels.clone() };
    let shared = passes.iter_mut().find_map(|pass| match pass {
        Pass::Reaches(pass) if pass.shares(&rows, &measure) => Some(pass),
        _ => None,
    });
    if let Some(pass) = shared {
        pass.ladders.push(ladder);
    } else {
        let carried = rows.schema.fields().iter().map(|field| field.name().clone()).collect();
        passes.push(Pass::Reaches(Box::new(ReachesPass { rows, measure, ladders: vec![ladder], carried })));
    }
    Ok(())
}

impl Pass {
    fn size(&self) -> usize {
        match self {
            Self::Reaches(pass) => pass.ladders.len(),
            Self::View(_) => 1,
        }
    }

    /// What it finds, for titles and errors.
    pub(super) fn title(&self) -> String {
        match self {
            Self::Reaches(pass) => pass.title(),
            Self::View(pass) => pass.title(),
        }
    }

    /// Its query.
    pub(super) fn sql(&self, audience: &Audience, keep: Keep, restricted: bool) -> String {
        match self {
            Self::Reaches(pass) => pass.sql(audience, keep, restricted),
            Self::View(pass) => pass.sql(audience, keep, restricted),
        }
    }

    /// The query that counts rows without an id or a time.
    pub(super) fn nulls_sql(&self) -> String {
        match self {
            Self::Reaches(pass) => pass.nulls_sql(),
            Self::View(pass) => pass.nulls_sql(),
        }
    }

    /// The values its partition limits are compared with.
    pub(super) fn parameters(&self, as_of: Timestamp) -> Parameters {
        match self {
            Self::Reaches(pass) => pruning::parameters(&pass.rows.partitions, (None, as_of), pass.rows.lookback),
            Self::View(_) => Parameters::default(),
        }
    }

    /// What templates may know of `milestone`, by part.
    pub(super) fn shapes(&self) -> Vec<(usize, Shape)> {
        match self {
            Self::Reaches(pass) => {
                let shape = ladder_shape(&pass.rows.schema);
                pass.ladders.iter().map(|ladder| (ladder.part, shape.clone())).collect()
            }
            Self::View(pass) => vec![(pass.part, pass.shape())],
        }
    }

    /// Carries only the event columns that messages refer to.
    pub(super) fn narrow(&mut self, references: &[BTreeSet<String>]) {
        let Self::Reaches(pass) = self else {
            return;
        };
        let parts: Vec<usize> = pass.ladders.iter().map(|ladder| ladder.part).collect();
        let referred: BTreeSet<&String> = parts.iter().filter_map(|part| references.get(*part)).flatten().collect();
        if referred.iter().any(|path| ["milestone", "milestone.event"].contains(&path.as_str())) {
            return;
        }
        pass.carried.retain(|column| {
            let path = format!("milestone.event.{column}");
            referred.iter().any(|referred| **referred == path || referred.starts_with(&format!("{path}.")))
        });
    }

    /// Starts its query.
    pub(super) async fn start(
        &self,
        audience: &Audience,
        session: &Session,
        (as_of, keep, restricted): (Timestamp, Keep, bool),
    ) -> Result<PassRun, EvaluateError> {
        let title = self.title();
        let stream = session.stream(&title, &self.sql(audience, keep, restricted)).await?;
        Ok(PassRun { pass: self.clone(), title, as_of, stream, reader: None })
    }
}

/// What a template may know of `milestone` when it has levels.
fn ladder_shape(schema: &SchemaRef) -> Shape {
    let event =
        schema.fields().iter().map(|field| (field.name(), value::shape(field.data_type(), field.is_nullable())));
    let number = || Shape::scalar(ScalarKind::Number);
    Shape::object([
        ("name", Shape::scalar(ScalarKind::Text)),
        ("level", number()),
        ("value", number()),
        ("reached_at", Shape::scalar(ScalarKind::Time)),
        (
            "next",
            Shape::object([
                ("level", Shape::nullable(ScalarKind::Number)),
                ("remaining", Shape::nullable(ScalarKind::Number)),
            ]),
        ),
        ("progress", number()),
        ("event", Shape::object(event)),
    ])
}

/// A running pass.
pub(super) struct PassRun {
    pass: Pass,
    title: String,
    as_of: Timestamp,
    stream: RowStream,
    reader: Option<Reader>,
}

enum Reader {
    Ladder(Box<LadderReader>),
    View(Box<ViewReader>),
}

impl PassRun {
    /// The next profiles, complete and in order of id; `None` at the end, when the tally has been added to.
    pub(super) async fn next(&mut self, tally: &mut Tally) -> Result<Option<Vec<ProfileFound>>, EvaluateError> {
        let mut found = Vec::new();
        let Some(batch) = self.stream.next().await else {
            let Some(mut reader) = self.reader.take() else {
                return Ok(None);
            };
            reader.finish(&mut found, tally);
            return Ok(Some(found));
        };
        let batch = batch?;
        if self.reader.is_none() {
            self.reader = Some(self.new_reader(&batch.schema())?);
        }
        match &mut self.reader {
            Some(Reader::Ladder(reader)) => reader.read(&batch, &mut found),
            Some(Reader::View(reader)) => reader.read(&batch, &mut found),
            None => {}
        }
        Ok(Some(found))
    }

    fn new_reader(&self, schema: &SchemaRef) -> Result<Reader, EvaluateError> {
        let reader = match &self.pass {
            Pass::Reaches(pass) => LadderReader::new(pass, schema).map(|reader| Reader::Ladder(Box::new(reader))),
            Pass::View(pass) => ViewReader::new(pass, self.as_of, schema).map(|reader| Reader::View(Box::new(reader))),
        };
        let missing = || WarehouseError::Query {
            what: self.title.clone(),
            reason: "a column of the result is missing".to_owned(),
        };
        reader.ok_or_else(|| missing().into())
    }
}

impl Reader {
    fn finish(&mut self, found: &mut Vec<ProfileFound>, tally: &mut Tally) {
        match self {
            Self::Ladder(reader) => {
                reader.finish(found);
                tally.levels_left_out += reader.levels_left_out;
            }
            Self::View(reader) => {
                reader.finish(found);
                tally.repeated_occasions += reader.repeated_occasions;
                tally.invalid_levels += reader.invalid_levels;
            }
        }
    }
}
