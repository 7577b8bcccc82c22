//! Milestone jobs: their passes, what templates may see, and how each pass is run.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::audience::Audience;
use super::columns;
use super::conditions::{Condition, Conditions};
use super::error::EvaluateError;
use super::moments::{Moment, MomentPass, Telling};
use super::own_view::{self, ViewPass};
use super::pass_run::PassRun;
use super::reaches::{Ladder, ReachesPass, TypedMeasure, type_measure};
use super::subject::{self, Join, Keep, ZONE_COLUMN, Zones};
use super::{pruning, rows};
use crate::model::diagnostic::{Diagnostic, Located};
use crate::model::shape::{ScalarKind, Shape};
use crate::project::{EventRows, Levels, Milestone, MilestoneSource, MomentKind, Project, Reaches};
use crate::warehouse::arrow::datatypes::SchemaRef;
use crate::warehouse::{Parameters, Session, Warehouse, value};

/// One query's worth of milestones.
#[derive(Clone, Debug)]
pub(super) struct Pass {
    pub(super) source: PassSource,
    /// The `only_if` of its milestones.
    conditions: Vec<Condition>,
}

/// What a pass reads.
#[derive(Clone, Debug)]
pub(super) enum PassSource {
    /// Milestones with levels that share rows and measure.
    Reaches(Box<ReachesPass>),
    /// Moments that share rows and the event that tells them.
    Moments(Box<MomentPass>),
    /// One own view.
    View(ViewPass),
}

/// What milestones are compiled against.
struct Compiler<'a> {
    project: &'a Project,
    /// `None` when the audience is broken, which is reported already.
    audience: Option<&'a Audience>,
    warehouse: &'a Warehouse,
    session: &'a Session,
    passes: Vec<Pass>,
}

/// Compiles the milestones of a job into passes, or says everything that is wrong with them.
pub(super) async fn compile(
    project: &Project,
    milestones: &[Milestone],
    audience: Option<&Audience>,
    (warehouse, session): (&Warehouse, &Session),
) -> Result<Vec<Pass>, Vec<Diagnostic>> {
    let mut compiler = Compiler { project, audience, warehouse, session, passes: Vec::new() };
    let mut findings = Vec::new();
    for (part, milestone) in milestones.iter().enumerate() {
        findings.extend(compiler.add(part, milestone).await.err().into_iter().flatten());
    }
    // A broken relation has its findings already; the job is broken all the same.
    let compiled: usize = compiler.passes.iter().map(|pass| pass.parts().len()).sum();
    if findings.is_empty() && compiled == milestones.len() { Ok(compiler.passes) } else { Err(findings) }
}

impl Compiler<'_> {
    async fn add(&mut self, part: usize, milestone: &Milestone) -> Result<(), Vec<Diagnostic>> {
        let condition = match (&milestone.only_if, self.audience) {
            (Some(only_if), Some(audience)) => Condition::check(part, only_if, audience, self.session).await.map(Some),
            _ => Ok(None),
        };
        let added = match &milestone.source {
            MilestoneSource::View(relation) => {
                let of = (relation, milestone.entity.as_ref());
                let view = own_view::resolve((part, &milestone.name.value), of, self.warehouse, self.session).await;
                view.map(|view| self.push(PassSource::View(view)))
            }
            MilestoneSource::Reaches(reaches) => self.add_ladder(part, milestone, reaches).await,
            MilestoneSource::Moment(moment) => self.add_moment(part, milestone, (&moment.rows, &moment.kind)).await,
        };
        match (condition, added) {
            (Ok(condition), Ok(place)) => {
                self.passes[place].conditions.extend(condition);
                Ok(())
            }
            (condition, added) => {
                let mut findings = condition.err().unwrap_or_default();
                findings.extend(added.err().unwrap_or_default());
                Err(findings)
            }
        }
    }

    async fn add_ladder(
        &mut self,
        part: usize,
        milestone: &Milestone,
        reaches: &Reaches,
    ) -> Result<usize, Vec<Diagnostic>> {
        let (rows, entity) = self.rows(&reaches.rows, milestone).await?;
        let measure = type_measure(&reaches.measure, &rows, self.project.week_starts, self.session).await?;
        let ladder = Ladder { part, name: milestone.name.value.clone(), levels: reaches.levels.clone() };
        let shared = self.passes.iter_mut().enumerate().find_map(|(place, pass)| match &mut pass.source {
            PassSource::Reaches(pass) if pass.shares(&rows, entity.as_ref(), &measure) => Some((place, pass)),
            _ => None,
        });
        if let Some((place, pass)) = shared {
            pass.ladders.push(ladder);
            return Ok(place);
        }
        let zones = self.zones(entity.as_ref());
        let carried = all_columns(&rows);
        let pass = ReachesPass { rows, entity, measure, zones, ladders: vec![ladder], carried, is_told: true };
        Ok(self.push(PassSource::Reaches(Box::new(pass))))
    }

    async fn add_moment(
        &mut self,
        part: usize,
        milestone: &Milestone,
        (event_rows, kind): (&EventRows, &MomentKind),
    ) -> Result<usize, Vec<Diagnostic>> {
        let (rows, entity) = self.rows(event_rows, milestone).await?;
        let (telling, after) = match kind {
            MomentKind::Inactive(after) => (Telling::Last, *after),
            MomentKind::Anniversary => (Telling::First, jiff::SignedDuration::ZERO),
            MomentKind::Without { event, after } => {
                let column = event_rows.event_column.clone();
                let event_column = column.map_or_else(|| "event".to_owned(), |column| column.value);
                (Telling::FirstWithout { event_column, event: event.value.clone() }, *after)
            }
        };
        let moment = Moment { part, name: milestone.name.value.clone(), after };
        let shared = self.passes.iter_mut().enumerate().find_map(|(place, pass)| match &mut pass.source {
            PassSource::Moments(pass) if pass.shares(&rows, entity.as_ref(), &telling) => Some((place, pass)),
            _ => None,
        });
        if let Some((place, pass)) = shared {
            pass.moments.push(moment);
            return Ok(place);
        }
        let zones = self.zones(entity.as_ref());
        let carried = all_columns(&rows);
        let pass = MomentPass { rows, entity, telling, moments: vec![moment], zones, carried };
        Ok(self.push(PassSource::Moments(Box::new(pass))))
    }

    async fn rows(
        &self,
        event_rows: &EventRows,
        milestone: &Milestone,
    ) -> Result<(rows::Rows, Option<String>), Vec<Diagnostic>> {
        let (event_rows, entity) = subject::resolve(event_rows, milestone.entity.as_ref());
        let place = &milestone.name.place;
        let rows = rows::resolve(self.project, &event_rows, place, (self.warehouse, self.session)).await?;
        let entity: Option<Located<String>> = entity;
        Ok((rows, entity.map(|entity| entity.value)))
    }

    /// What is measured per account has many recipients, so it follows the project's calendar.
    fn zones(&self, entity: Option<&String>) -> Zones {
        let per_profile = entity.is_none() && self.audience.is_some_and(|audience| audience.has(ZONE_COLUMN));
        Zones { project: self.project.timezone.clone(), per_profile }
    }

    fn push(&mut self, source: PassSource) -> usize {
        self.passes.push(Pass { source, conditions: Vec::new() });
        self.passes.len() - 1
    }
}

fn all_columns(rows: &rows::Rows) -> Vec<String> {
    rows.schema.fields().iter().map(|field| field.name().clone()).collect()
}

impl Pass {
    /// The positions of its milestones in the job.
    pub(super) fn parts(&self) -> Vec<usize> {
        match &self.source {
            PassSource::Reaches(pass) => pass.ladders.iter().map(|ladder| ladder.part).collect(),
            PassSource::Moments(pass) => pass.moments.iter().map(|moment| moment.part).collect(),
            PassSource::View(pass) => vec![pass.part],
        }
    }

    /// The audience column of the entity; `None`: the profile.
    pub(super) fn entity(&self) -> Option<&String> {
        match &self.source {
            PassSource::Reaches(pass) => pass.entity.as_ref(),
            PassSource::Moments(pass) => pass.entity.as_ref(),
            PassSource::View(pass) => pass.entity.as_ref(),
        }
    }

    /// Whether its result depends on the zones of profiles.
    pub(super) fn reads_zones(&self) -> bool {
        match &self.source {
            PassSource::Reaches(pass) => pass.zones.per_profile && pass.streak().is_some(),
            PassSource::Moments(pass) => {
                pass.zones.per_profile && matches!(pass.telling, Telling::First | Telling::Last)
            }
            PassSource::View(_) => false,
        }
    }

    /// Whether more of the audience than ids and zones decides its result.
    pub(super) fn reads_audience(&self) -> bool {
        !self.conditions.is_empty() || matches!(self.source, PassSource::View(_))
    }

    /// The ladders it looks for; none for moments and own views.
    pub(super) fn ladders(&self) -> &[Ladder] {
        match &self.source {
            PassSource::Reaches(pass) => &pass.ladders,
            PassSource::Moments(_) | PassSource::View(_) => &[],
        }
    }

    /// Its milestones without a list of levels, by position and name: `every`, moments and own views.
    pub(super) fn unlisted(&self) -> Vec<(usize, String)> {
        match &self.source {
            PassSource::Reaches(pass) => {
                let every = pass.ladders.iter().filter(|ladder| matches!(ladder.levels, Levels::Every(_)));
                every.map(|ladder| (ladder.part, ladder.name.clone())).collect()
            }
            PassSource::Moments(pass) => pass.moments.iter().map(|moment| (moment.part, moment.name.clone())).collect(),
            PassSource::View(pass) => vec![(pass.part, pass.milestone.clone())],
        }
    }

    /// Whether its levels can be written without a fraction.
    pub(super) fn has_whole_levels(&self) -> bool {
        let is_whole = |levels: &Levels| match levels {
            Levels::List(levels) => levels.iter().all(|level| level.get().fract() == 0.0),
            Levels::Every(level) => level.get().fract() == 0.0,
        };
        match &self.source {
            PassSource::Reaches(pass) => pass.ladders.iter().all(|ladder| is_whole(&ladder.levels)),
            PassSource::Moments(_) => true,
            PassSource::View(pass) => pass.has_whole("level"),
        }
    }

    /// Whether its values can be written without a fraction.
    pub(super) fn has_whole_values(&self) -> bool {
        match &self.source {
            PassSource::Reaches(pass) => {
                matches!(pass.measure, TypedMeasure::Count | TypedMeasure::Distinct { .. } | TypedMeasure::Streak(_))
            }
            PassSource::Moments(_) => true,
            PassSource::View(pass) => pass.has_whole("value"),
        }
    }

    /// Where its rows come from, and the column of them that is the subject.
    pub(super) fn event_relation(&self) -> (&str, &str) {
        match &self.source {
            PassSource::Reaches(pass) => (&pass.rows.relation, &pass.rows.profile),
            PassSource::Moments(pass) => (&pass.rows.relation, &pass.rows.profile),
            PassSource::View(pass) => (&pass.relation, &pass.subject),
        }
    }

    /// How many levels it looks for; a milestone without a list of them counts as one.
    pub(super) fn level_count(&self) -> usize {
        let listed = self.ladders().iter().map(|ladder| match &ladder.levels {
            Levels::List(levels) => levels.len(),
            Levels::Every(_) => 1,
        });
        if self.ladders().is_empty() { self.parts().len() } else { listed.sum() }
    }

    /// What it finds, for titles and errors.
    pub(super) fn title(&self) -> String {
        match &self.source {
            PassSource::Reaches(pass) => pass.title(),
            PassSource::Moments(pass) => pass.title(),
            PassSource::View(pass) => pass.title(),
        }
    }

    /// The table or view of its rows.
    pub(super) fn relation(&self) -> &String {
        match &self.source {
            PassSource::Reaches(pass) => &pass.rows.relation,
            PassSource::Moments(pass) => &pass.rows.relation,
            PassSource::View(pass) => &pass.relation,
        }
    }

    /// Its query.
    pub(super) fn sql(&self, audience: &Audience, keep: Keep, restricted: bool) -> String {
        let audience = audience.of_entity(self.entity());
        let join = Join { audience: &audience, keep, restricted };
        match &self.source {
            PassSource::Reaches(pass) => pass.sql(&join),
            PassSource::Moments(pass) => pass.sql(&join),
            PassSource::View(pass) => pass.sql(&join),
        }
    }

    /// The query that counts rows without an id or a time.
    pub(super) fn nulls_sql(&self) -> String {
        match &self.source {
            PassSource::Reaches(pass) => pass.rows.nulls_sql(),
            PassSource::Moments(pass) => pass.rows.nulls_sql(),
            PassSource::View(pass) => pass.nulls_sql(),
        }
    }

    /// The values its query is compared with.
    pub(super) fn parameters(&self, as_of: Timestamp) -> Parameters {
        let pruned = |rows: &rows::Rows| pruning::parameters(&rows.partitions, (None, as_of), rows.lookback);
        match &self.source {
            PassSource::Reaches(pass) => pruned(&pass.rows),
            PassSource::Moments(pass) => pruned(&pass.rows).and(&pass.parameters(as_of)),
            PassSource::View(_) => Parameters::default(),
        }
    }

    /// What templates may know of `milestone`, by part.
    pub(super) fn shapes(&self) -> Vec<(usize, Shape)> {
        let shape = match &self.source {
            PassSource::Reaches(pass) => ladder_shape(&pass.rows.schema),
            PassSource::Moments(pass) => moment_shape(&pass.rows.schema),
            PassSource::View(pass) => pass.shape(),
        };
        self.parts().into_iter().map(|part| (part, shape.clone())).collect()
    }

    /// Carries only the event columns that messages refer to.
    pub(super) fn narrow(&mut self, references: &[BTreeSet<String>]) {
        let parts = self.parts();
        if let PassSource::Reaches(pass) = &mut self.source {
            pass.is_told = !references.is_empty();
        }
        let carried = match &mut self.source {
            PassSource::Reaches(pass) => &mut pass.carried,
            PassSource::Moments(pass) => &mut pass.carried,
            PassSource::View(_) => return,
        };
        let referred: BTreeSet<&String> = parts.iter().filter_map(|part| references.get(*part)).flatten().collect();
        if referred.iter().any(|path| ["milestone", "milestone.event"].contains(&path.as_str())) {
            return;
        }
        carried.retain(|column| {
            let path = format!("milestone.event.{column}");
            referred.iter().any(|referred| **referred == path || referred.starts_with(&format!("{path}.")))
        });
    }

    /// Its ladders, where it has levels.
    pub(super) fn ladder_pass(&self) -> Option<&ReachesPass> {
        match &self.source {
            PassSource::Reaches(pass) => Some(pass),
            PassSource::Moments(_) | PassSource::View(_) => None,
        }
    }

    /// Whether another pass can be read in the same scan.
    fn shares_scan(&self, other: &Self) -> bool {
        self.ladder_pass().zip(other.ladder_pass()).is_some_and(|(pass, other)| pass.shares_scan(other))
    }

    /// What the condition of a milestone names; `None` where it has none.
    pub(super) fn asked_columns(&self, part: usize) -> Option<BTreeSet<String>> {
        self.conditions.iter().find(|condition| condition.part == part).map(|condition| condition.columns.clone())
    }

    /// Its conditions, ready to be asked.
    pub(super) async fn conditions(&self, audience: &Audience, session: &Session) -> Result<Conditions, EvaluateError> {
        Conditions::ready(&self.conditions, audience, session).await
    }

    /// Starts its query.
    pub(super) async fn start(
        &self,
        audience: &Audience,
        session: &Session,
        how: How,
    ) -> Result<PassRun, EvaluateError> {
        let conditions = self.conditions(audience, session).await?;
        let stream = session.stream(&self.title(), &self.sql(audience, how.keep, how.restricted)).await?;
        Ok(PassRun::new(self.clone(), how.as_of, stream, conditions))
    }
}

/// How passes are read under one request.
#[derive(Clone, Copy, Debug)]
pub(super) struct How {
    pub(super) as_of: Timestamp,
    pub(super) keep: Keep,
    pub(super) restricted: bool,
}

/// The most passes of one scan: the engine looks for each column among all, so that time grows with their square.
const PASSES_PER_SCAN: usize = 64;

/// Passes in their order, those that share a scan together.
pub(super) fn scans_of(passes: &[Pass]) -> Vec<Vec<Pass>> {
    let mut scans: Vec<Vec<Pass>> = Vec::new();
    for pass in passes {
        let takes =
            |scan: &&mut Vec<Pass>| scan.len() < PASSES_PER_SCAN && scan.iter().all(|other| other.shares_scan(pass));
        match scans.iter_mut().find(takes) {
            Some(scan) => scan.push(pass.clone()),
            None => scans.push(vec![pass.clone()]),
        }
    }
    scans
}

/// Findings about audience columns that milestones rely on.
pub(super) fn check_audience(passes: &[Pass], audience: &Audience, relation: &Located<String>) -> Vec<Diagnostic> {
    let needed = passes.iter().any(Pass::reads_zones);
    let zone = Located::new(ZONE_COLUMN.to_owned(), relation.place.clone());
    if needed { columns::not_text(&zone, audience.schema()).into_iter().collect() } else { Vec::new() }
}

/// What a template may know of `milestone` when it has levels.
fn ladder_shape(schema: &SchemaRef) -> Shape {
    let number = || Shape::scalar(ScalarKind::Number);
    Shape::object([
        ("name", Shape::scalar(ScalarKind::Text)),
        ("level", number()),
        ("value", number()),
        ("reached_at", Shape::scalar(ScalarKind::Time)),
        ("next", next_shape()),
        ("progress", number()),
        ("event", event_shape(schema)),
    ])
}

/// What a template may know of `milestone` when it is a moment: a message shared with ladders finds every name.
fn moment_shape(schema: &SchemaRef) -> Shape {
    Shape::object([
        ("name", Shape::scalar(ScalarKind::Text)),
        ("level", Shape::nullable(ScalarKind::Number)),
        ("value", Shape::scalar(ScalarKind::Number)),
        ("reached_at", Shape::scalar(ScalarKind::Time)),
        ("next", next_shape()),
        ("progress", Shape::nullable(ScalarKind::Number)),
        ("event", event_shape(schema)),
    ])
}

fn next_shape() -> Shape {
    let number = || Shape::nullable(ScalarKind::Number);
    Shape::object([("level", number()), ("remaining", number())])
}

fn event_shape(schema: &SchemaRef) -> Shape {
    let fields = schema.fields().iter();
    Shape::object(fields.map(|field| (field.name(), value::shape(field.data_type(), field.is_nullable()))))
}
