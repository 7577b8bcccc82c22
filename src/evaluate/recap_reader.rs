//! From matrix rows to recap candidates.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::audience::AudienceReader;
use super::period::Slot;
use super::recap::{MetricPlan, RecapPlan};
use super::recap_cells::{self as cells, CellValues};
use crate::model::{Candidate, DeliveryKey, Period};
use crate::warehouse::arrow::array::RecordBatch;
use crate::warehouse::arrow::datatypes::SchemaRef;
use crate::warehouse::value;

/// Reads the rows of a recap.
pub(super) struct RecapReader {
    plan: RecapPlan,
    schema: SchemaRef,
    periods: Vec<PeriodFacts>,
    audience: AudienceReader,
    active: usize,
    wanted: usize,
    /// Active entities without an audience row.
    pub(super) not_in_audience: u64,
}

/// What is the same for every row of a period.
struct PeriodFacts {
    key: String,
    context: Value,
    reached_at: Timestamp,
    expires_at: Option<Timestamp>,
    first_day: i64,
    days: usize,
}

/// One row of the matrix.
pub(super) struct MatrixRow<'a> {
    schema: &'a SchemaRef,
    batch: &'a RecordBatch,
    row: usize,
}

impl MatrixRow<'_> {
    /// A column's value; null where there is no such column.
    pub(super) fn json(&self, column: &str) -> Value {
        let index = self.schema.index_of(column);
        index.map_or(Value::Null, |index| value::json(self.batch.column(index), self.row))
    }

    /// A column's list of objects; empty where there is none.
    pub(super) fn list(&self, column: &str) -> Vec<Map<String, Value>> {
        let Value::Array(entries) = self.json(column) else { return Vec::new() };
        let objects = entries.into_iter().filter_map(|entry| match entry {
            Value::Object(fields) => Some(fields),
            _ => None,
        });
        objects.collect()
    }
}

impl RecapReader {
    /// Finds the columns; `None` when the query does not have them.
    pub(super) fn new(plan: &RecapPlan, slot: &Slot, schema: &SchemaRef) -> Option<Self> {
        let facts = |period: &Period| PeriodFacts {
            key: period.key(),
            context: period_context(period),
            reached_at: plan.calendar.due(period),
            expires_at: period.next().filter(|_| !plan.has_deadline).map(|next| plan.calendar.due(&next)),
            first_day: i64::from((period.first_day() - jiff::civil::date(1970, 1, 1)).get_days()),
            days: usize::try_from(period.days()).unwrap_or(0),
        };
        Some(Self {
            plan: plan.clone(),
            schema: SchemaRef::clone(schema),
            periods: slot.periods.iter().map(facts).collect(),
            audience: AudienceReader::new(schema)?,
            active: schema.index_of("entity.active").ok()?,
            wanted: schema.index_of("wanted").ok()?,
            not_in_audience: 0,
        })
    }

    /// The candidates of a batch.
    pub(super) fn read(&mut self, batch: &RecordBatch) -> Vec<Candidate> {
        (0..batch.num_rows()).filter_map(|row| self.candidate(batch, row)).collect()
    }

    fn candidate(&mut self, batch: &RecordBatch, row: usize) -> Option<Candidate> {
        let Some(profile_id) = self.audience.id(batch, row) else {
            self.not_in_audience += u64::from(value::truth(batch.column(self.active), row));
            return None;
        };
        let audience = self.audience.row(batch, row)?;
        let matrix_row = MatrixRow { schema: &self.schema, batch, row };
        let calendar = matrix_row.json("calendar.id").as_u64().and_then(|index| usize::try_from(index).ok());
        let period = self.periods.get(calendar.unwrap_or(0))?;
        let entity = self.schema.index_of("entity_id").ok().and_then(|column| value::text(batch.column(column), row));
        let occasion = entity.map_or_else(|| period.key.clone(), |entity| format!("{}/{entity}", period.key));
        let mut context = self.context(&matrix_row, period);
        context.insert("profile".to_owned(), Value::Object(audience.profile));
        Some(Candidate {
            key: DeliveryKey { profile_id, occasion },
            address: audience.address,
            part: 0,
            milestone: None,
            level: None,
            reached_at: period.reached_at,
            dated: true,
            wanted: value::truth(batch.column(self.wanted), row),
            suppressed: audience.suppressed,
            expires_at: period.expires_at,
            context,
        })
    }

    fn context(&self, row: &MatrixRow<'_>, period: &PeriodFacts) -> Map<String, Value> {
        let mut context = Map::with_capacity(6);
        let (metrics, matrix) = self.matrix(row, period);
        context.insert("period".to_owned(), period.context.clone());
        context.insert("metrics".to_owned(), Value::Object(metrics));
        context.insert("matrix".to_owned(), Value::Array(matrix));
        if let Some(by) = &self.plan.by {
            context.insert("rows".to_owned(), Value::Array(cells::rows(&self.plan, by, row)));
        }
        if !self.plan.top.is_empty() {
            let lists = self.plan.top.iter().map(|list| (list.name.clone(), Value::Array(cells::top_list(list, row))));
            context.insert("top".to_owned(), Value::Object(lists.collect()));
        }
        context
    }

    fn matrix(&self, row: &MatrixRow<'_>, period: &PeriodFacts) -> (Map<String, Value>, Vec<Value>) {
        let days = row.list("#days");
        let mut metrics = Map::new();
        let mut matrix = Vec::new();
        for metric in &self.plan.metrics {
            let mut cell = cells::cell(&self.plan, metric, CellValues::of(metric, row));
            extras(metric, row, &mut cell);
            if metric.trend {
                let trend = cells::trend(metric, &days, period.first_day, period.days);
                cell.insert("trend".to_owned(), Value::Array(trend));
            }
            metrics.insert(metric.name.clone(), Value::Object(cell.clone()));
            cell.insert("name".to_owned(), Value::String(metric.name.clone()));
            matrix.push(Value::Object(cell));
        }
        complete(&mut matrix);
        (metrics, matrix)
    }
}

/// Rank and goal, where they are asked for.
fn extras(metric: &MetricPlan, row: &MatrixRow<'_>, cell: &mut Map<String, Value>) {
    if metric.rank {
        cell.insert("rank".to_owned(), row.json(&metric.rank_column()));
        cell.insert("percentile".to_owned(), row.json(&metric.percentile()));
        cell.insert("of".to_owned(), row.json(&metric.cohort()));
    }
    if let Some(goal) = metric.goal {
        let share = cell.get("value").and_then(Value::as_f64).map(|value| (value / goal).clamp(0.0, 1.0));
        cell.insert("goal".to_owned(), cells::number(goal));
        cell.insert("progress".to_owned(), share.map_or(Value::Null, cells::number));
    }
}

/// Gives every entry of a list the fields of the others, null or an empty trend.
fn complete(entries: &mut [Value]) {
    let names: std::collections::BTreeSet<String> =
        entries.iter().filter_map(Value::as_object).flat_map(|fields| fields.keys().cloned()).collect();
    for fields in entries.iter_mut().filter_map(Value::as_object_mut) {
        for name in &names {
            let missing = if name == "trend" { Value::Array(Vec::new()) } else { Value::Null };
            fields.entry(name.clone()).or_insert(missing);
        }
    }
}

fn period_context(period: &Period) -> Value {
    json!({
        "key": period.key(),
        "start": period.start().to_string(),
        "end": period.end().to_string(),
        "label": period.label(),
        "days": period.days(),
    })
}
