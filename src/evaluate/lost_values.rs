//! Values that were lost while a job was evaluated, and whether its mails would be wrong for it.

use super::subject::ZONE_COLUMN;
use super::{CompiledJob, Plan};
use crate::project::{Job, JobKind, Project, Table};
use crate::warehouse::Misfit;

impl CompiledJob {
    /// Those of the values that were read as null, while this job was evaluated, that its mails or the choice of them depend
    /// on. Left out is what nothing depends on: columns of the audience that no message and no condition names. So are
    /// times, whose rows are dropped and counted, and doubles that are no number, which are null wherever they come from.
    #[must_use]
    pub fn harmed_by(&self, project: &Project, job: &Job, lost: Vec<Misfit>) -> Vec<Misfit> {
        let is_harmful = |lost: &Misfit| {
            !lost.not_numbers && !is_chronology(project.tables.get(&lost.table), &lost.column) && self.uses(job, lost)
        };
        lost.into_iter().filter(is_harmful).collect()
    }

    /// Whether a job uses a column that was read.
    fn uses(&self, job: &Job, lost: &Misfit) -> bool {
        let column = &lost.column;
        if self.relations().any(|relation| *relation == lost.table) || !self.audience.has(column) {
            return true;
        }
        let Some(references) = &self.references else { return true };
        let path = format!("profile.{column}");
        let is_referred = |referred: &String| {
            *referred == "profile" || *referred == path || referred.starts_with(&format!("{path}."))
        };
        let always = ["profile_id", "email", ZONE_COLUMN];
        always.contains(&column.as_str())
            || self.audience.entity.as_ref() == Some(column)
            || references.iter().any(is_referred)
            || conditions(job).any(|sql| sql.contains(column.as_str()))
    }

    /// The tables and views of events.
    fn relations(&self) -> Box<dyn Iterator<Item = &String> + '_> {
        match &self.plan {
            Plan::Milestones(passes) => Box::new(passes.iter().map(super::milestones::Pass::relation)),
            Plan::Recap(recap) => Box::new(std::iter::once(&recap.rows.relation)),
        }
    }
}

fn is_chronology(table: Option<&Table>, column: &str) -> bool {
    let columns = table.into_iter().flat_map(|table| [&table.time, &table.received]);
    columns.flatten().any(|time| time.value == column)
}

/// What a job asks of audience columns.
fn conditions(job: &Job) -> Box<dyn Iterator<Item = &str> + '_> {
    match &job.kind {
        JobKind::Milestones(milestones) => Box::new(milestones.iter().flat_map(|milestone| {
            let entity = milestone.entity.iter().map(|entity| entity.audience.value.as_str());
            milestone.only_if.iter().map(|sql| sql.value.as_str()).chain(entity)
        })),
        JobKind::Recap(recap) => {
            Box::new([&recap.only_if, &recap.since].into_iter().flatten().map(|named| named.value.as_str()))
        }
    }
}
