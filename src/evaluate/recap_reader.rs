//! From matrix rows to recap candidates.

use std::ops::Range;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::audience::AudienceReader;
use super::period::Slot;
use super::recap::{MetricPlan, RecapPlan};
use super::recap_cells::{self as cells, CellColumns, TrendColumns};
use super::recap_sql::Output;
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
    metrics: Vec<MetricReader>,
    calendar: Option<usize>,
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
    pub(super) batch: &'a RecordBatch,
    pub(super) row: usize,
}

impl MatrixRow<'_> {
    /// A value by its place; null where there is no such column.
    pub(super) fn at(&self, column: Option<usize>) -> Value {
        column.map_or(Value::Null, |index| value::json(self.batch.column(index), self.row))
    }

    /// A column's value; null where there is no such column.
    pub(super) fn json(&self, column: &str) -> Value {
        self.at(self.schema.fields().iter().position(|field| field.name() == column))
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
            metrics: plan.metrics.iter().map(|metric| MetricReader::new(plan, metric, schema)).collect(),
            calendar: schema.index_of("calendar.id").ok(),
            active: schema.index_of("entity.active").ok()?,
            wanted: schema.index_of("wanted").ok()?,
            not_in_audience: 0,
        })
    }

    /// The candidates of some rows of a batch.
    pub(super) fn read(&mut self, batch: &RecordBatch, rows: Range<usize>) -> Vec<Candidate> {
        rows.filter_map(|row| self.candidate(batch, row)).collect()
    }

    fn candidate(&mut self, batch: &RecordBatch, row: usize) -> Option<Candidate> {
        let Some(profile_id) = self.audience.id(batch, row) else {
            self.not_in_audience += u64::from(value::truth(batch.column(self.active), row));
            return None;
        };
        let audience = self.audience.row(batch, row)?;
        let matrix_row = MatrixRow { schema: &self.schema, batch, row };
        let calendar = matrix_row.at(self.calendar).as_u64().and_then(|index| usize::try_from(index).ok());
        let period = self.periods.get(calendar.unwrap_or(0))?;
        let entity = self.audience.entity(batch, row);
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
            variant: None,
            expires_at: period.expires_at,
            context,
        })
    }

    fn context(&self, row: &MatrixRow<'_>, period: &PeriodFacts) -> Map<String, Value> {
        let mut context = Map::with_capacity(6);
        context.insert("period".to_owned(), period.context.clone());
        self.add_matrix(row, period, &mut context);
        if let Some(by) = self.plan.breakdown(Output::Candidates) {
            context.insert("rows".to_owned(), Value::Array(cells::rows(&self.plan, by, row)));
        }
        if !self.plan.top.is_empty() {
            let lists = self.plan.top.iter().map(|list| (list.name.clone(), Value::Array(cells::top_list(list, row))));
            context.insert("top".to_owned(), Value::Object(lists.collect()));
        }
        context
    }

    /// The metrics by their names and as a list, as far as messages refer to them.
    fn add_matrix(&self, row: &MatrixRow<'_>, period: &PeriodFacts, context: &mut Map<String, Value>) {
        let shown = self.plan.shown;
        let mut metrics = Map::new();
        let mut matrix = Vec::new();
        for (metric, found) in self.plan.metrics.iter().zip(&self.metrics) {
            if !shown.metrics && !shown.matrix {
                break;
            }
            let fields = found.columns.values(row).fields(&self.plan);
            if shown.matrix {
                let entry = found.cell(&found.entry, metric, fields.clone(), (row, period));
                matrix.push(Value::Object(entry));
            }
            if shown.metrics {
                let cell = found.cell(&found.own, metric, fields, (row, period));
                metrics.insert(metric.name.clone(), Value::Object(cell));
            }
        }
        if shown.metrics {
            context.insert("metrics".to_owned(), Value::Object(metrics));
        }
        if shown.matrix {
            context.insert("matrix".to_owned(), Value::Array(matrix));
        }
    }
}

/// How the cells of a metric are read.
struct MetricReader {
    columns: CellColumns,
    days: Option<TrendColumns>,
    /// What `metrics.<name>` has in every row.
    own: Map<String, Value>,
    /// What its entry of `matrix` has: also its name, and the fields that other entries have.
    entry: Map<String, Value>,
}

impl MetricReader {
    fn new(plan: &RecapPlan, metric: &MetricPlan, schema: &SchemaRef) -> Self {
        let own = cells::prototype(plan, metric);
        let mut entry = own.clone();
        entry.insert("name".to_owned(), Value::String(metric.name.clone()));
        let has = |feature: fn(&MetricPlan) -> bool| plan.metrics.iter().any(feature);
        let features: [(bool, &[&str], Value); 3] = [
            (has(|metric| metric.rank), &["rank", "percentile", "of"], Value::Null),
            (has(|metric| metric.goal.is_some()), &["goal", "progress"], Value::Null),
            (has(|metric| metric.trend), &["trend"], Value::Array(Vec::new())),
        ];
        for (_, fields, missing) in features.iter().filter(|(present, ..)| *present) {
            entry.extend(fields.iter().map(|field| ((*field).to_owned(), missing.clone())));
        }
        Self { columns: CellColumns::of(metric, schema), days: TrendColumns::of(metric, schema), own, entry }
    }

    fn cell(
        &self,
        prototype: &Map<String, Value>,
        metric: &MetricPlan,
        fields: Vec<Value>,
        (row, period): (&MatrixRow<'_>, &PeriodFacts),
    ) -> Map<String, Value> {
        let mut cell = cells::filled(prototype, fields);
        self.columns.add_extras(metric, row, &mut cell);
        if let Some(days) = &self.days {
            let trend = days.values(row, period.first_day, period.days);
            cell.insert("trend".to_owned(), Value::Array(trend));
        }
        cell
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
