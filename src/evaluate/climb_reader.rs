//! From climbs to the levels each subject reached: one row per subject and recipient.

use super::climb_table::{FlagRows, Rise};
use super::found::ProfileFound;
use super::ladder::{Climb, Standing, Step, nothing};
use super::reaches::{Ladder, ReachesPass};
use super::reaches_climb::climb_column;
use super::subject::{Subject, SubjectReader};
use crate::warehouse::ClimbCell;
use crate::warehouse::arrow::array::{Array, AsArray, LargeBinaryArray, RecordBatch, StringArray};
use crate::warehouse::arrow::datatypes::SchemaRef;

/// Reads what a row tells of one pass.
pub(super) struct ClimbReader {
    ladders: Vec<Ladder>,
    is_entity: bool,
    is_told: bool,
    nothing: serde_json::Value,
    climb: usize,
    subjects: SubjectReader,
}

/// The climbs of one pass in one batch.
pub(super) struct ClimbColumns {
    cells: LargeBinaryArray,
}

impl ClimbReader {
    /// Finds the columns; `None` when the query does not have them.
    pub(super) fn new(pass: &ReachesPass, member: usize, schema: &SchemaRef, kept: &[&str]) -> Option<Self> {
        Some(Self {
            ladders: pass.ladders.clone(),
            is_entity: pass.entity.is_some(),
            is_told: pass.is_told,
            nothing: nothing(&pass.measure),
            climb: schema.index_of(&climb_column(member)).ok()?,
            subjects: SubjectReader::new(schema, kept)?,
        })
    }

    /// The columns of a batch.
    pub(super) fn columns(&self, batch: &RecordBatch) -> ClimbColumns {
        ClimbColumns { cells: batch.column(self.climb).as_binary::<i64>().clone() }
    }

    /// Whom a row is about.
    pub(super) fn subject(&self, batch: &RecordBatch, row: usize) -> Option<Subject> {
        self.subjects.subject(batch, row)
    }

    /// What a row tells, and how many levels of `every` were left out because one event crossed too many.
    pub(super) fn found(
        &self,
        subject: Subject,
        columns: &ClimbColumns,
        (batch, row): (&RecordBatch, usize),
    ) -> (ProfileFound, u64) {
        let climb = Climb {
            subject,
            audience: self.subjects.audience_row(batch, row),
            steps: columns.steps(row),
            value: columns.value(row).unwrap_or_else(|| self.nothing.clone()),
            standing: columns.standing(row),
            is_told: self.is_told,
        };
        climb.finish(&self.ladders, self.is_entity)
    }

    /// The ids of a batch's subjects and recipients, where they can be handed on as they are.
    pub(super) fn ids<'a>(&self, batch: &'a RecordBatch) -> Option<(&'a StringArray, &'a StringArray)> {
        self.subjects.ids(batch)
    }

    /// Adds what a row tells to a table, and says whether it tells of a level, and how many of `every` were left out.
    pub(super) fn tell(
        &self,
        columns: &ClimbColumns,
        (subjects, recipients): (&StringArray, &StringArray),
        row: usize,
        rows: &mut FlagRows,
    ) -> (bool, u64) {
        let value = columns.value(row).unwrap_or_else(|| self.nothing.clone()).as_f64();
        let entity = self.is_entity.then(|| subjects.value(row));
        let recipient = recipients.is_valid(row).then(|| (recipients.value(row), entity));
        rows.add(recipient, &self.ladders, value, &columns.rises(row))
    }
}

impl ClimbColumns {
    /// What is known of a row; `None` where none of its events counts.
    fn cell(&self, row: usize) -> Option<ClimbCell<'_>> {
        self.cells.is_valid(row).then(|| ClimbCell::read(self.cells.value(row)))?
    }

    /// Whether the climb of a row depends on no order of rows with the same time.
    pub(super) fn is_settled(&self, row: usize) -> bool {
        self.cell(row).is_none_or(|cell| cell.is_settled())
    }

    /// Whether a row has met a level.
    pub(super) fn has_steps(&self, row: usize) -> bool {
        self.cell(row).is_some_and(|cell| cell.has_steps())
    }

    fn value(&self, row: usize) -> Option<serde_json::Value> {
        self.cell(row).map(|cell| cell.json())
    }

    fn standing(&self, row: usize) -> Standing {
        let of = |cell: ClimbCell<'_>| Standing { value: cell.value(), peak: cell.peak() };
        self.cell(row).map_or(Standing { value: 0.0, peak: 0.0 }, of)
    }

    fn steps(&self, row: usize) -> Vec<Step> {
        let step = |(reached_at, from, to): Rise| {
            let event = serde_json::Value::Object(serde_json::Map::new());
            Step { reached_at, from, to, anchor: None, event }
        };
        self.rises(row).map(step).collect()
    }

    fn rises(&self, row: usize) -> impl Iterator<Item = Rise> + Clone {
        self.cell(row).into_iter().flat_map(|cell| cell.rises())
    }
}
