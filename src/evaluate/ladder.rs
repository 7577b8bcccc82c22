//! From crossing rows to the levels each profile reached: a ladder per milestone.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::audience::{AudienceReader, AudienceRow};
use super::found::{Found, ProfileFound};
use super::reaches::{Ladder, ReachesPass};
use crate::model::Level;
use crate::model::number::round_significant;
use crate::project::Levels;
use crate::warehouse::arrow::array::RecordBatch;
use crate::warehouse::arrow::datatypes::SchemaRef;
use crate::warehouse::value;

/// The most levels that one event may add to an `every` ladder; of more, the highest are kept.
const LEVELS_PER_EVENT: usize = 100;

/// Reads the rows of a pass, profile by profile.
pub(super) struct LadderReader {
    ladders: Vec<Ladder>,
    columns: Columns,
    audience: AudienceReader,
    current: Option<Climb>,
    /// Levels of `every` that were left out because one event crossed too many.
    pub(super) levels_left_out: u64,
}

struct Columns {
    profile_id: usize,
    reached_at: usize,
    value: usize,
    peak: usize,
    peak_before: usize,
    event: Vec<(String, usize)>,
}

/// One profile's rows so far.
struct Climb {
    id: String,
    audience: Option<AudienceRow>,
    steps: Vec<Step>,
    value: Value,
    value_number: f64,
    peak: f64,
}

/// A row at which the measure rose.
struct Step {
    reached_at: Timestamp,
    from: f64,
    to: f64,
    event: Value,
}

impl LadderReader {
    /// Finds the columns; `None` when the query does not have them.
    pub(super) fn new(pass: &ReachesPass, schema: &SchemaRef) -> Option<Self> {
        let column = |name: &str| schema.index_of(name).ok();
        let event = schema.fields().iter().enumerate();
        let event = event.filter_map(|(index, field)| Some((field.name().strip_prefix("event.")?.to_owned(), index)));
        Some(Self {
            ladders: pass.ladders.clone(),
            columns: Columns {
                profile_id: column("profile_id")?,
                reached_at: column("reached_at")?,
                value: column("value")?,
                peak: column("peak")?,
                peak_before: column("peak_before")?,
                event: event.collect(),
            },
            audience: AudienceReader::new(schema)?,
            current: None,
            levels_left_out: 0,
        })
    }

    /// Reads a batch; complete profiles are added to `found`.
    pub(super) fn read(&mut self, batch: &RecordBatch, found: &mut Vec<ProfileFound>) {
        for row in 0..batch.num_rows() {
            let flagged = value::text(batch.column(self.columns.profile_id), row);
            let Some(id) = flagged.clone().or_else(|| self.audience.id(batch, row)) else {
                continue;
            };
            if self.current.as_ref().is_none_or(|climb| climb.id != id) {
                self.finish(found);
                self.current = Some(Climb {
                    id,
                    audience: self.audience.row(batch, row),
                    steps: Vec::new(),
                    value: Value::from(0),
                    value_number: 0.0,
                    peak: 0.0,
                });
            }
            if flagged.is_some() {
                self.step(batch, row);
            }
        }
    }

    fn step(&mut self, batch: &RecordBatch, row: usize) {
        let columns = &self.columns;
        let Some(climb) = &mut self.current else {
            return;
        };
        let number = |column: usize| value::number(batch.column(column), row).unwrap_or_default();
        climb.value = value::json(batch.column(columns.value), row);
        climb.value_number = number(columns.value);
        climb.peak = number(columns.peak);
        let event: Map<String, Value> =
            columns.event.iter().map(|(name, index)| (name.clone(), value::json(batch.column(*index), row))).collect();
        let Some(reached_at) = value::instant(batch.column(columns.reached_at), row) else {
            return;
        };
        let from = number(columns.peak_before);
        climb.steps.push(Step { reached_at, from, to: climb.peak, event: Value::Object(event) });
    }

    /// Adds the last profile.
    pub(super) fn finish(&mut self, found: &mut Vec<ProfileFound>) {
        let Some(climb) = self.current.take() else {
            return;
        };
        let mut flags = Vec::new();
        for ladder in &self.ladders {
            for step in &climb.steps {
                let (levels, left_out) = crossed(&ladder.levels, step.from, step.to);
                self.levels_left_out += left_out;
                flags.extend(levels.into_iter().map(|level| climb.found(ladder, step, level)));
            }
        }
        let parts = self.ladders.iter().map(|ladder| ladder.part).collect();
        let Climb { id, audience, value, .. } = climb;
        found.push(ProfileFound { profile_id: id, audience, found: flags, parts, value });
    }
}

impl Climb {
    fn found(&self, ladder: &Ladder, step: &Step, level: Level) -> Found {
        let next = next_level(&ladder.levels, self.peak);
        let progress = next.map_or(1.0, |next| (self.value_number / next.get()).clamp(0.0, 1.0));
        let next =
            next.map(|next| json!({"level": number(next.get()), "remaining": number(next.get() - self.value_number)}));
        let milestone = json!({
            "name": ladder.name,
            "level": number(level.get()),
            "value": self.value,
            "reached_at": step.reached_at.to_string(),
            "next": next,
            "progress": number(progress),
            "event": step.event,
        });
        Found {
            part: ladder.part,
            milestone: ladder.name.clone(),
            level: Some(level.get()),
            occasion: format!("{}:{level}", ladder.name),
            reached_at: step.reached_at,
            dated: true,
            context: milestone,
            value: self.value.clone(),
        }
    }
}

fn number(number: f64) -> Value {
    value::rounded(number).map_or(Value::Null, Value::Number)
}

/// The levels in `(from, to]`, ascending, and how many were left out.
fn crossed(levels: &Levels, from: f64, to: f64) -> (Vec<Level>, u64) {
    match levels {
        Levels::List(levels) => {
            let within = |level: &&Level| level.get() > from && level.get() <= to;
            (levels.iter().filter(within).copied().collect(), 0)
        }
        Levels::Every(every) => multiples(*every, from, to),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of levels, only reported")]
fn multiples(every: Level, from: f64, to: f64) -> (Vec<Level>, u64) {
    let steps = |value: f64| round_significant(value.max(0.0) / every.get()).floor();
    let (first, last) = (steps(from), steps(to));
    let mut levels: Vec<Level> = Vec::new();
    let mut step = last;
    while step > first && levels.len() < LEVELS_PER_EVENT {
        match Level::new(step * every.get()) {
            Some(level) if levels.last() != Some(&level) => levels.push(level),
            Some(_) => {}
            None => return (levels, 0),
        }
        if step - 1.0 == step {
            break;
        }
        step -= 1.0;
    }
    let left_out = (last - first - levels.len() as f64).max(0.0);
    levels.reverse();
    (levels, left_out as u64)
}

fn next_level(levels: &Levels, peak: f64) -> Option<Level> {
    match levels {
        Levels::List(levels) => levels.iter().find(|level| level.get() > peak).copied(),
        Levels::Every(every) => {
            let steps = round_significant(peak.max(0.0) / every.get()).floor() + 1.0;
            Level::new(steps * every.get()).filter(|level| level.get() > peak)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(value: f64) -> Level {
        Level::new(value).expect("a level")
    }

    #[test]
    fn lists_and_multiples_are_half_open() {
        let list = Levels::List(vec![level(1.0), level(10.0), level(50.0)]);
        assert_eq!(crossed(&list, 0.0, 10.0).0, [level(1.0), level(10.0)]);
        assert_eq!(crossed(&list, 10.0, 49.9).0, []);
        assert_eq!(crossed(&Levels::Every(level(100.0)), 99.0, 300.0).0, [level(100.0), level(200.0), level(300.0)]);
        assert_eq!(crossed(&Levels::Every(level(0.1)), 0.2, 0.3).0, [level(0.3)], "0.3 / 0.1 is below 3 in doubles");
    }

    #[test]
    fn a_huge_jump_is_bounded() {
        let (levels, left_out) = crossed(&Levels::Every(level(100.0)), 0.0, 1e9);
        assert_eq!((levels.len(), left_out), (LEVELS_PER_EVENT, 10_000_000 - 100));
        assert_eq!(levels.last(), Some(&level(1e9)), "the highest are kept");
        let (levels, _) = crossed(&Levels::Every(level(100.0)), 0.0, 1e300);
        assert_eq!(levels, [level(1e300)]);
        assert!(crossed(&Levels::Every(level(1.0)), 0.0, f64::INFINITY).0.is_empty());
    }

    #[test]
    fn the_next_level_lies_above_the_highest_value() {
        let list = Levels::List(vec![level(1.0), level(10.0)]);
        assert_eq!(next_level(&list, 9.0), Some(level(10.0)));
        assert_eq!(next_level(&list, 10.0), None);
        assert_eq!(next_level(&Levels::Every(level(100.0)), 300.0), Some(level(400.0)));
    }
}
