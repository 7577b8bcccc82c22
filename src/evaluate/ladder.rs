//! From crossing rows to the levels each subject reached: a ladder per milestone.

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::{Map, Value, json};

use super::audience::AudienceRow;
use super::found::{Found, ProfileFound};
use super::reaches::{Ladder, ReachesPass, TypedMeasure};
use super::subject::{Subject, SubjectReader};
use crate::model::Level;
use crate::model::number::round_significant;
use crate::project::Levels;
use crate::warehouse::arrow::array::RecordBatch;
use crate::warehouse::arrow::datatypes::SchemaRef;
use crate::warehouse::{LocalUnit, value};

/// The most levels that one event may add to an `every` ladder; of more, the highest are kept.
const LEVELS_PER_EVENT: usize = 100;

/// Reads the rows of a pass, subject by subject.
pub(super) struct LadderReader {
    ladders: Vec<Ladder>,
    is_entity: bool,
    streak: Option<LocalUnit>,
    is_told: bool,
    /// The measure over no rows.
    nothing: Value,
    columns: Columns,
    subjects: SubjectReader,
    current: Option<Climb>,
    /// Levels of `every` that were left out because one event crossed too many.
    pub(super) levels_left_out: u64,
}

struct Columns {
    reached_at: usize,
    value: usize,
    peak: usize,
    peak_before: usize,
    anchor: Option<usize>,
    event: Vec<(String, usize)>,
}

/// One subject's rows so far.
pub(super) struct Climb {
    pub(super) subject: Subject,
    pub(super) audience: Option<AudienceRow>,
    pub(super) steps: Vec<Step>,
    pub(super) value: Value,
    pub(super) standing: Standing,
    /// Whether templates ask for what was found.
    pub(super) is_told: bool,
}

/// Where a measure is at `as_of`.
#[derive(Clone, Copy)]
pub(super) struct Standing {
    pub(super) value: f64,
    /// The next level lies above this.
    pub(super) peak: f64,
}

/// A row at which the measure rose.
pub(super) struct Step {
    pub(super) reached_at: Timestamp,
    pub(super) from: f64,
    pub(super) to: f64,
    /// The streak's first day.
    pub(super) anchor: Option<Date>,
    pub(super) event: Value,
}

impl LadderReader {
    /// Finds the columns; `None` when the query does not have them.
    pub(super) fn new(pass: &ReachesPass, schema: &SchemaRef, kept: &[&str]) -> Option<Self> {
        let column = |name: &str| schema.index_of(name).ok();
        let streak = pass.streak();
        Some(Self {
            ladders: pass.ladders.clone(),
            is_entity: pass.entity.is_some(),
            streak,
            is_told: pass.is_told,
            nothing: nothing(&pass.measure),
            columns: Columns {
                reached_at: column("reached_at")?,
                value: column("value")?,
                peak: column("peak")?,
                peak_before: column("peak_before")?,
                anchor: column("anchor").filter(|_| streak.is_some()),
                event: event_columns(schema),
            },
            subjects: SubjectReader::new(schema, kept)?,
            current: None,
            levels_left_out: 0,
        })
    }

    /// Reads a batch; complete subjects are added to `found`.
    pub(super) fn read(&mut self, batch: &RecordBatch, found: &mut Vec<ProfileFound>) {
        for row in 0..batch.num_rows() {
            let Some(subject) = self.subjects.subject(batch, row) else {
                continue;
            };
            if self.current.as_ref().is_none_or(|climb| climb.subject != subject) {
                self.finish(found);
                self.current = Some(Climb {
                    subject,
                    audience: self.subjects.audience_row(batch, row),
                    steps: Vec::new(),
                    value: self.nothing.clone(),
                    standing: Standing { value: 0.0, peak: 0.0 },
                    is_told: self.is_told,
                });
            }
            if self.subjects.is_flagged(batch, row) {
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
        let (now, peak) = (number(columns.value), number(columns.peak));
        climb.standing = Standing { value: now, peak: if self.streak.is_some() { now } else { peak } };
        let Some(reached_at) = value::instant(batch.column(columns.reached_at), row) else {
            return;
        };
        let anchor = columns.anchor.and_then(|column| value::text(batch.column(column), row)?.parse().ok());
        climb.steps.push(Step {
            reached_at,
            from: number(columns.peak_before),
            to: peak,
            anchor: self.streak.and_then(|unit| unit.first_day(anchor?)),
            event: event(&columns.event, batch, row),
        });
    }

    /// Adds the last subject.
    pub(super) fn finish(&mut self, found: &mut Vec<ProfileFound>) {
        let Some(climb) = self.current.take() else {
            return;
        };
        let (profile, left_out) = climb.finish(&self.ladders, self.is_entity);
        found.push(profile);
        self.levels_left_out += left_out;
    }
}

/// The measure over no rows.
pub(super) fn nothing(measure: &TypedMeasure) -> Value {
    if matches!(measure, TypedMeasure::Max { .. }) { Value::Null } else { Value::from(0) }
}

/// The columns of the qualifying row that were carried along.
pub(super) fn event_columns(schema: &SchemaRef) -> Vec<(String, usize)> {
    let columns = schema.fields().iter().enumerate();
    columns.filter_map(|(index, field)| Some((field.name().strip_prefix("event.")?.to_owned(), index))).collect()
}

/// The qualifying row as templates see it.
pub(super) fn event(columns: &[(String, usize)], batch: &RecordBatch, row: usize) -> Value {
    let cells = columns.iter().map(|(name, index)| (name.clone(), value::json(batch.column(*index), row)));
    Value::Object(cells.collect::<Map<String, Value>>())
}

/// The level after the highest value so far, and how far the value has come: `next` and `progress`.
pub(super) fn outlook(levels: &Levels, value: f64, peak: f64) -> (Value, Value) {
    let Some(next) = next_level(levels, peak) else {
        return (Value::Null, Value::from(1));
    };
    let progress = (value / next.get()).clamp(0.0, 1.0);
    (json!({"level": number(next.get()), "remaining": number(next.get() - value)}), number(progress))
}

impl Climb {
    /// What each ladder finds on the way, and how many levels were left out.
    pub(super) fn finish(self, ladders: &[Ladder], is_entity: bool) -> (ProfileFound, u64) {
        let (mut flags, mut all_left_out) = (Vec::new(), 0);
        for ladder in ladders {
            for step in &self.steps {
                let meet = |level| flags.push(self.found(ladder, step, level));
                all_left_out += crossed(&ladder.levels, step.from, step.to, meet);
            }
        }
        let parts = ladders.iter().map(|ladder| ladder.part).collect();
        let Self { subject, audience, value, standing, .. } = self;
        let profile = subject.found(is_entity, audience, parts);
        (ProfileFound { found: flags, value, peak: standing.peak, ..profile }, all_left_out)
    }

    fn found(&self, ladder: &Ladder, step: &Step, level: Level) -> Found {
        let anchor = step.anchor.map(|day| format!("@{day}")).unwrap_or_default();
        Found {
            part: ladder.part,
            milestone: ladder.name.clone(),
            level: Some(level.get()),
            occasion: format!("{}:{level}{anchor}", ladder.name),
            reached_at: step.reached_at,
            dated: true,
            context: if self.is_told { self.told(ladder, step, level) } else { Value::Null },
            value: self.value.clone(),
            wanted: true,
        }
    }

    /// What templates see as `milestone`.
    fn told(&self, ladder: &Ladder, step: &Step, level: Level) -> Value {
        let (next, progress) = outlook(&ladder.levels, self.standing.value, self.standing.peak);
        json!({
            "name": ladder.name,
            "level": number(level.get()),
            "value": self.value,
            "reached_at": step.reached_at.to_string(),
            "next": next,
            "progress": progress,
            "event": step.event,
        })
    }
}

fn number(number: f64) -> Value {
    value::rounded(number).map_or(Value::Null, Value::Number)
}

/// Hands over the levels in `(from, to]`, ascending, and says how many were left out.
pub(super) fn crossed(levels: &Levels, from: f64, to: f64, meet: impl FnMut(Level)) -> u64 {
    match levels {
        Levels::List(levels) => {
            let within = |level: &&Level| level.get() > from && level.get() <= to;
            levels.iter().filter(within).copied().for_each(meet);
            0
        }
        Levels::Every(every) => {
            let (levels, left_out) = multiples(*every, from, to);
            levels.into_iter().for_each(meet);
            left_out
        }
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

    fn crossed(levels: &Levels, from: f64, to: f64) -> (Vec<Level>, u64) {
        let mut met = Vec::new();
        let left_out = super::crossed(levels, from, to, |level| met.push(level));
        (met, left_out)
    }

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
