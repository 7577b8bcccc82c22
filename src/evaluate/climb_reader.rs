//! From climbs to the levels each subject reached: one row per subject and recipient.

use super::found::ProfileFound;
use super::ladder::{Climb, Standing, Step, nothing};
use super::reaches::{Ladder, ReachesPass};
use super::reaches_climb::CLIMB;
use super::subject::SubjectReader;
use crate::warehouse::arrow::array::{Array, AsArray, RecordBatch, StructArray};
use crate::warehouse::arrow::datatypes::{Float64Type, SchemaRef};
use crate::warehouse::value;

/// Reads the rows of a pass.
pub(super) struct ClimbReader {
    ladders: Vec<Ladder>,
    is_entity: bool,
    is_told: bool,
    nothing: serde_json::Value,
    climb: usize,
    subjects: SubjectReader,
    /// Levels of `every` that were left out because one event crossed too many.
    pub(super) levels_left_out: u64,
}

impl ClimbReader {
    /// Finds the columns; `None` when the query does not have them.
    pub(super) fn new(pass: &ReachesPass, schema: &SchemaRef, kept: &[&str]) -> Option<Self> {
        Some(Self {
            ladders: pass.ladders.clone(),
            is_entity: pass.entity.is_some(),
            is_told: pass.is_told,
            nothing: nothing(&pass.measure),
            climb: schema.index_of(CLIMB).ok()?,
            subjects: SubjectReader::new(schema, kept)?,
            levels_left_out: 0,
        })
    }

    /// Reads a batch; false at the first subject that is not settled: that one and those behind it are left to be read in
    /// another way.
    pub(super) fn read(&mut self, batch: &RecordBatch, found: &mut Vec<ProfileFound>) -> bool {
        let column = |index: usize| batch.column(self.climb).as_struct().column(index).clone();
        let (values, peaks, settled, steps) = (column(0), column(1), column(2), column(3));
        let (peaks, settled) = (peaks.as_primitive::<Float64Type>(), settled.as_boolean());
        let climbs = batch.column(self.climb);
        let lists = steps.as_list::<i32>();
        for row in 0..batch.num_rows() {
            let Some(subject) = self.subjects.subject(batch, row) else {
                continue;
            };
            let has_climb = climbs.is_valid(row);
            if has_climb && !settled.value(row) {
                return false;
            }
            let (value, standing) = if has_climb {
                let number = value::number(&values, row).unwrap_or_default();
                (value::json(&values, row), Standing { value: number, peak: peaks.value(row) })
            } else {
                (self.nothing.clone(), Standing { value: 0.0, peak: 0.0 })
            };
            let offsets = lists.value_offsets();
            let range = if has_climb { offsets[row]..offsets[row + 1] } else { 0..0 };
            let steps = range.filter_map(|entry| step(lists.values().as_struct(), usize::try_from(entry).ok()?));
            let climb = Climb {
                subject,
                audience: self.subjects.audience_row(batch, row),
                steps: steps.collect(),
                value,
                standing,
                is_told: self.is_told,
            };
            let (profile, left_out) = climb.finish(&self.ladders, self.is_entity);
            found.push(profile);
            self.levels_left_out += left_out;
        }
        true
    }
}

fn step(steps: &StructArray, entry: usize) -> Option<Step> {
    let number = |column: usize| steps.column(column).as_primitive::<Float64Type>().value(entry);
    Some(Step {
        reached_at: value::instant(steps.column(0), entry)?,
        from: number(1),
        to: number(2),
        anchor: None,
        event: serde_json::Value::Object(serde_json::Map::new()),
    })
}
