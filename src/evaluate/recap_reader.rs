//! From matrix rows to recap candidates.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::audience::AudienceReader;
use super::recap::RecapPlan;
use crate::model::{Candidate, DeliveryKey, Period};
use crate::warehouse::arrow::array::RecordBatch;
use crate::warehouse::arrow::datatypes::SchemaRef;
use crate::warehouse::value;

/// Reads the rows of a recap.
pub(super) struct RecapReader {
    plan: RecapPlan,
    key: String,
    period: Value,
    reached_at: Timestamp,
    expires_at: Option<Timestamp>,
    audience: AudienceReader,
    entity: Option<usize>,
    active: usize,
    wanted: usize,
    metrics: Vec<(usize, Option<usize>)>,
    /// Active entities without an audience row.
    pub(super) not_in_audience: u64,
}

impl RecapReader {
    /// Finds the columns; `None` when the query does not have them.
    pub(super) fn new(plan: &RecapPlan, period: &Period, schema: &SchemaRef) -> Option<Self> {
        let column = |name: &str| schema.index_of(name).ok();
        let metrics = plan.metrics.iter().map(|metric| {
            let previous = if plan.compares { Some(column(&metric.previous())?) } else { None };
            Some((column(&metric.name)?, previous))
        });
        let next = period.next().filter(|_| !plan.has_deadline);
        Some(Self {
            plan: plan.clone(),
            key: period.key(),
            period: period_context(period),
            reached_at: plan.calendar.due(period),
            expires_at: next.map(|next| plan.calendar.due(&next)),
            audience: AudienceReader::new(schema)?,
            entity: column("entity_id"),
            active: column("entity.active")?,
            wanted: column("wanted")?,
            metrics: metrics.collect::<Option<Vec<_>>>()?,
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
        let entity = self.entity.and_then(|column| value::text(batch.column(column), row));
        let occasion = entity.map_or_else(|| self.key.clone(), |entity| format!("{}/{entity}", self.key));
        let (metrics, matrix) = self.matrix(batch, row);
        let mut context = Map::with_capacity(4);
        context.insert("profile".to_owned(), Value::Object(audience.profile));
        context.insert("period".to_owned(), self.period.clone());
        context.insert("metrics".to_owned(), Value::Object(metrics));
        context.insert("matrix".to_owned(), Value::Array(matrix));
        Some(Candidate {
            key: DeliveryKey { profile_id, occasion },
            address: audience.address,
            part: 0,
            milestone: None,
            level: None,
            reached_at: self.reached_at,
            dated: true,
            wanted: value::truth(batch.column(self.wanted), row),
            suppressed: audience.suppressed,
            expires_at: self.expires_at,
            context,
        })
    }

    fn matrix(&self, batch: &RecordBatch, row: usize) -> (Map<String, Value>, Vec<Value>) {
        let mut metrics = Map::new();
        let mut matrix = Vec::new();
        for (metric, (current, previous)) in self.plan.metrics.iter().zip(&self.metrics) {
            let mut cell = Map::new();
            cell.insert("label".to_owned(), Value::String(metric.label.clone()));
            let current = value::json(batch.column(*current), row);
            cell.insert("value".to_owned(), current.clone());
            if let Some(previous) = previous {
                let previous = value::json(batch.column(*previous), row);
                let (change, percent) = change(&current, &previous);
                cell.insert("previous".to_owned(), previous);
                cell.insert("change".to_owned(), change);
                cell.insert("change_percent".to_owned(), percent);
            }
            cell.insert("format".to_owned(), metric.format.clone().map_or(Value::Null, Value::String));
            metrics.insert(metric.name.clone(), Value::Object(cell.clone()));
            cell.insert("name".to_owned(), Value::String(metric.name.clone()));
            matrix.push(Value::Object(cell));
        }
        (metrics, matrix)
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

/// The difference, and the difference in per cent of the previous value; null where there is nothing to compare.
fn change(current: &Value, previous: &Value) -> (Value, Value) {
    let number = |number: f64| value::rounded(number).map_or(Value::Null, Value::Number);
    let (Some(now), Some(before)) = (current.as_f64(), previous.as_f64()) else {
        return (Value::Null, Value::Null);
    };
    let exact = current.as_i64().zip(previous.as_i64()).and_then(|(now, before)| now.checked_sub(before));
    let change = exact.map_or_else(|| number(now - before), Value::from);
    let percent = if before == 0.0 { Value::Null } else { number((now - before) / before.abs() * 100.0) };
    (change, percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_null_where_there_is_nothing_to_compare() {
        for (current, previous, expected, percent) in [
            (json!(3), json!(2), json!(1), json!(50)),
            (json!(3), json!(0), json!(3), Value::Null),
            (json!(3), Value::Null, Value::Null, Value::Null),
            (json!(0.3), json!(0.1), json!(0.2), json!(200)),
            (json!(-1), json!(-2), json!(1), json!(50)),
            (json!("b"), json!("a"), Value::Null, Value::Null),
        ] {
            assert_eq!(change(&current, &previous), (expected, percent), "{current} against {previous}");
        }
    }
}
