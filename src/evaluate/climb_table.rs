//! Flags of climbs as rows of the long table, from columns to columns: where a table is all that is asked for, no profile is
//! made on the way.

use jiff::Timestamp;

use super::error::EvaluateError;
use super::flags::{batch_of, instants, number_column};
use super::found::ProfileFound;
use super::ladder::crossed;
use super::reaches::Ladder;
use crate::model::Level;
use crate::warehouse::arrow::array::{ArrayRef, BooleanArray, RecordBatch, StringBuilder};
use crate::warehouse::arrow::datatypes::SchemaRef;

/// What a batch of the query tells.
pub(super) enum Told {
    /// Profiles, yet to be written as rows.
    Profiles(Vec<ProfileFound>),
    /// Rows of the long table.
    Rows(RecordBatch),
}

/// Rows of the long table under construction.
pub(super) struct FlagRows {
    profiles: StringBuilder,
    entities: StringBuilder,
    milestones: StringBuilder,
    levels: Vec<Option<f64>>,
    reached_at: Vec<Option<Timestamp>>,
    values: Vec<Option<f64>>,
    /// The levels of the subject under way, reused: part, level and time, and the position of the ladder.
    met: Vec<(usize, f64, Timestamp, usize)>,
}

/// A step of a climb: when, and from what to what.
pub(super) type Rise = (Timestamp, f64, f64);

impl FlagRows {
    /// No rows yet.
    pub(super) fn new() -> Self {
        Self {
            profiles: StringBuilder::new(),
            entities: StringBuilder::new(),
            milestones: StringBuilder::new(),
            levels: Vec::new(),
            reached_at: Vec::new(),
            values: Vec::new(),
            met: Vec::new(),
        }
    }

    /// Adds the levels that a subject met on its way: a row per milestone and level. Says whether there are any, and how many
    /// of `every` were left out because one event crossed too many. Nothing is added for `None`, who is not in the audience.
    pub(super) fn add(
        &mut self,
        recipient: Option<(&str, Option<&str>)>,
        ladders: &[Ladder],
        value: Option<f64>,
        rises: &(impl Iterator<Item = Rise> + Clone),
    ) -> (bool, u64) {
        let mut left_out = 0;
        self.met.clear();
        for (place, ladder) in ladders.iter().enumerate() {
            for (reached_at, from, to) in rises.clone() {
                left_out += crossed(&ladder.levels, from, to, |level: Level| {
                    // Of two steps that meet the same level, the later one tells.
                    match self.met.last_mut().filter(|last| last.3 == place && last.1 == level.get()) {
                        Some(last) => last.2 = reached_at,
                        None => self.met.push((ladder.part, level.get(), reached_at, place)),
                    }
                });
            }
        }
        let Some((profile, entity)) = recipient else { return (!self.met.is_empty(), left_out) };
        self.met.sort_by(|left, right| left.0.cmp(&right.0).then(left.1.total_cmp(&right.1)));
        for (_, level, reached_at, place) in &self.met {
            self.profiles.append_value(profile);
            self.entities.append_option(entity);
            self.milestones.append_value(&ladders[*place].name);
            self.levels.push(Some(*level));
            self.reached_at.push(Some(*reached_at));
            self.values.push(value);
        }
        (!self.met.is_empty(), left_out)
    }

    /// The rows as a batch of the long table.
    pub(super) fn finish(mut self, schema: &SchemaRef) -> Result<RecordBatch, EvaluateError> {
        let rows = self.levels.len();
        let (levels, values, reached_at) = (self.levels, self.values, self.reached_at);
        let columns = schema.fields().iter().map(|field| -> ArrayRef {
            match field.name().as_str() {
                "profile_id" => std::sync::Arc::new(self.profiles.finish()),
                super::flags::ENTITY_COLUMN => std::sync::Arc::new(self.entities.finish()),
                "milestone" => std::sync::Arc::new(self.milestones.finish()),
                "flag" => std::sync::Arc::new(BooleanArray::from(vec![true; rows])),
                "reached_at" => instants(reached_at.iter().copied()),
                name @ "level" => number_column(schema, name, levels.iter().copied()),
                name => number_column(schema, name, values.iter().copied()),
            }
        });
        Ok(batch_of(schema, columns.collect())?)
    }
}
