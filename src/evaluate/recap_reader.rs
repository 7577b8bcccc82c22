//! From matrix rows to recap candidates.

use std::ops::Range;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::audience::AudienceReader;
use super::found::timezone;
use super::period::Slot;
use super::recap::{MetricPlan, RecapPlan};
use super::recap_cells::{self as cells, CellColumns, CellText, TrendColumns};
use super::recap_sql::Output;
use crate::model::{Candidate, ContextWriter, DeliveryKey, Period, TemplateContext};
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
    /// Active entities with one.
    pub(super) in_audience: u64,
    /// About how long a context is, from the one before.
    context_bytes: usize,
}

/// What is the same for every row of a period.
struct PeriodFacts {
    key: String,
    /// The beginning of every context of the period.
    context: String,
    reached_at: Timestamp,
    expires_at: Option<Timestamp>,
    /// Its first and last day, from 1 January 1970.
    days: (i64, i64),
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
            context: format!("{{\"period\":{}", period_context(period)),
            reached_at: plan.calendar.due(period),
            expires_at: period.next().filter(|_| !plan.has_deadline).map(|next| plan.calendar.due(&next)),
            days: first_and_last_day(period),
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
            in_audience: 0,
            context_bytes: 0,
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
        self.in_audience += u64::from(value::truth(batch.column(self.active), row));
        let schema = SchemaRef::clone(&self.schema);
        let matrix_row = MatrixRow { schema: &schema, batch, row };
        let calendar = matrix_row.at(self.calendar).as_u64().and_then(|index| usize::try_from(index).ok());
        let position = calendar.unwrap_or(0);
        let period = self.periods.get(position)?;
        let entity = self.audience.entity(batch, row);
        let occasion = entity.map_or_else(|| period.key.clone(), |entity| format!("{}/{entity}", period.key));
        let (reached_at, expires_at) = (period.reached_at, period.expires_at);
        let context = self.context(&matrix_row, position, &audience.profile);
        Some(Candidate {
            key: DeliveryKey { profile_id, occasion },
            address: audience.address,
            part: 0,
            milestone: None,
            level: None,
            reached_at,
            dated: true,
            wanted: value::truth(batch.column(self.wanted), row),
            suppressed: audience.suppressed,
            variant: None,
            expires_at,
            timezone: timezone(&audience.profile),
            context,
        })
    }

    /// Written at once: as maps, the cells of a million profiles would take longer than measuring them.
    fn context(&mut self, row: &MatrixRow<'_>, period: usize, profile: &Map<String, Value>) -> TemplateContext {
        let mut context = ContextWriter::with_capacity(self.context_bytes);
        let Some(period) = self.periods.get(period) else { return TemplateContext::default() };
        context.json(&period.context);
        self.write_matrix(row, period, &mut context);
        if let Some(by) = self.plan.breakdown(Output::Candidates) {
            context.json(",\"rows\":");
            context.value(&cells::rows(&self.plan, by, row));
        }
        if !self.plan.top.is_empty() {
            let lists = self.plan.top.iter().map(|list| (list.name.clone(), Value::Array(cells::top_list(list, row))));
            context.json(",\"top\":");
            context.value(&lists.collect::<Map<String, Value>>());
        }
        context.json(",\"profile\":");
        context.value(profile);
        context.json("}");
        self.context_bytes = context.len() + context.len() / 8;
        context.finish()
    }

    /// The metrics by their names and as a list, as far as messages refer to them.
    fn write_matrix(&self, row: &MatrixRow<'_>, period: &PeriodFacts, context: &mut ContextWriter) {
        let cells: Vec<_> = self.metrics.iter().map(|metric| metric.columns.values(row).fields(&self.plan)).collect();
        let cells = || self.plan.metrics.iter().zip(&self.metrics).zip(&cells);
        if self.plan.shown.metrics {
            for (position, ((metric, found), cell)) in cells().enumerate() {
                context.json(if position == 0 { ",\"metrics\":{" } else { "," });
                context.value(&metric.name);
                context.json(":");
                found.write(&found.own, metric, cell, (row, period, context));
            }
            context.json("}");
        }
        if self.plan.shown.matrix {
            for (position, ((metric, found), cell)) in cells().enumerate() {
                context.json(if position == 0 { ",\"matrix\":[" } else { "," });
                found.write(&found.entry, metric, cell, (row, period, context));
            }
            context.json("]");
        }
    }
}

/// How the cells of a metric are read and written.
struct MetricReader {
    columns: CellColumns,
    days: Option<TrendColumns>,
    /// What `metrics.<name>` has in every row.
    own: CellText,
    /// What its entry of `matrix` has: also its name, and the fields that other entries have.
    entry: CellText,
}

impl MetricReader {
    fn new(plan: &RecapPlan, metric: &MetricPlan, schema: &SchemaRef) -> Self {
        let own = cells::prototype(plan, metric);
        let mut entry = own.clone();
        entry.insert("name".to_owned(), Value::String(metric.name.clone()));
        let others = |feature: fn(&MetricPlan) -> bool| !feature(metric) && plan.metrics.iter().any(feature);
        let features: [(bool, &[&str], Value); 3] = [
            (others(|metric| metric.rank), &["rank", "percentile", "of"], Value::Null),
            (others(|metric| metric.goal.is_some()), &["goal", "progress"], Value::Null),
            (others(|metric| metric.trend.is_some()), &["trend"], Value::Array(Vec::new())),
        ];
        for (_, fields, missing) in features.iter().filter(|(absent, ..)| *absent) {
            entry.extend(fields.iter().map(|field| ((*field).to_owned(), missing.clone())));
        }
        Self {
            columns: CellColumns::of(metric, schema),
            days: TrendColumns::of(metric, schema),
            own: CellText::new(&own, plan),
            entry: CellText::new(&entry, plan),
        }
    }

    fn write(
        &self,
        text: &CellText,
        metric: &MetricPlan,
        cell: &[Value],
        (row, period, context): (&MatrixRow<'_>, &PeriodFacts, &mut ContextWriter),
    ) {
        text.write(cell, context);
        self.columns.write_extras(metric, row, context);
        if let Some(days) = &self.days {
            context.json(",\"trend\":");
            context.value(&days.values(row, period.days));
        }
        context.json("}");
    }
}

/// The first and the last day of a period, counted from 1 January 1970.
fn first_and_last_day(period: &Period) -> (i64, i64) {
    let first = i64::from((period.first_day() - jiff::civil::date(1970, 1, 1)).get_days());
    (first, first + i64::from(period.days()) - 1)
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
