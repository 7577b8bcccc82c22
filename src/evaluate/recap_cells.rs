//! The cells of a recap as templates see them: comparisons, trends, rows of a breakdown and top lists.

use serde_json::{Map, Value, json};

use super::recap::{BreakdownPlan, MetricPlan, RecapPlan, TopPlan};
use super::recap_reader::MatrixRow;
use crate::warehouse::value;

/// The values of one cell.
pub(super) struct CellValues {
    value: Value,
    previous: Value,
    average: Value,
    last_year: Value,
}

impl CellValues {
    /// Those of an entity.
    pub(super) fn of(metric: &MetricPlan, row: &MatrixRow<'_>) -> Self {
        Self {
            value: row.json(&metric.name),
            previous: row.json(&metric.previous()),
            average: row.json(&metric.average()),
            last_year: row.json(&metric.last_year()),
        }
    }
}

/// One metric with the comparisons of its recap.
pub(super) fn cell(plan: &RecapPlan, metric: &MetricPlan, values: CellValues) -> Map<String, Value> {
    let mut cell = Map::new();
    cell.insert("label".to_owned(), Value::String(metric.label.clone()));
    if plan.windows.previous {
        let (change, percent) = change(&values.value, &values.previous);
        cell.insert("previous".to_owned(), values.previous);
        cell.insert("change".to_owned(), change);
        cell.insert("change_percent".to_owned(), percent);
    }
    cell.insert("value".to_owned(), values.value);
    if plan.windows.average.is_some() {
        cell.insert("average".to_owned(), values.average);
    }
    if plan.windows.last_year {
        cell.insert("last_year".to_owned(), values.last_year);
    }
    cell.insert("format".to_owned(), metric.format.clone().map_or(Value::Null, Value::String));
    cell
}

/// One value per day of the period.
pub(super) fn trend(metric: &MetricPlan, days: &[Map<String, Value>], first_day: i64, count: usize) -> Vec<Value> {
    let mut trend = vec![over_no_rows(metric); count];
    for day in days {
        let offset = day.get("day").and_then(Value::as_i64).and_then(|day| usize::try_from(day - first_day).ok());
        if let (Some(slot), Some(value)) = (offset.and_then(|offset| trend.get_mut(offset)), day.get(&metric.name)) {
            slot.clone_from(value);
        }
    }
    trend
}

/// The value of a metric over no rows.
fn over_no_rows(metric: &MetricPlan) -> Value {
    serde_json::from_str(&metric.aggregate.empty).unwrap_or(Value::Null)
}

/// The entries of a top list, greatest first.
pub(super) fn top_list(list: &TopPlan, row: &MatrixRow<'_>) -> Vec<Value> {
    let mut entries = row.list(&format!("#list.{}", list.name));
    entries.sort_by_key(|entry| entry.get("position").and_then(Value::as_u64));
    let shown = |entry: &Map<String, Value>| {
        let field = |name: &str| entry.get(name).cloned().unwrap_or(Value::Null);
        json!({"name": field("name"), "value": field("value"), "share": field("share")})
    };
    entries.iter().map(shown).collect()
}

/// The rows of the breakdown, greatest first; what is left over is the last row.
pub(super) fn rows(plan: &RecapPlan, by: &BreakdownPlan, row: &MatrixRow<'_>) -> Vec<Value> {
    let mut entries = row.list("#rows");
    entries.sort_by_key(|entry| entry.get("#position").and_then(Value::as_u64));
    let lived = Lived {
        earlier: row.json("#lived").as_u64().and_then(|count| usize::try_from(count).ok()).unwrap_or(0),
        last_year: row.json("#last_year.lived").as_bool().unwrap_or(false),
    };
    let metrics: Vec<&MetricPlan> = by.metrics.iter().filter_map(|position| plan.metrics.get(*position)).collect();
    let described = |name: &Value, rest: bool, at: &dyn Fn(&MetricPlan, u16) -> Value| {
        let cells = metrics.iter().map(|metric| {
            let values = lived.values(plan, metric, &|index| at(metric, index));
            (metric.name.clone(), Value::Object(cell(plan, metric, values)))
        });
        json!({"name": name, "rest": rest, "metrics": cells.collect::<Map<String, Value>>()})
    };
    let named = entries.iter().map(|entry| {
        let name = entry.get("#name").cloned().unwrap_or(Value::Null);
        described(&name, false, &|metric, index| entry.get(&metric.cell(index)).cloned().unwrap_or(Value::Null))
    });
    let mut rows: Vec<Value> = named.collect();
    let count = row.json("#rows.count").as_u64().unwrap_or(0);
    if count > entries.len() as u64 {
        rows.push(described(&json!("other"), true, &|metric, index| {
            let shown = entries.iter().filter_map(|entry| entry.get(&metric.cell(index)));
            if metric.aggregate.additive { left_over(&row.json(&metric.cell(index)), shown) } else { Value::Null }
        }));
    }
    rows
}

/// Which earlier periods the entity fully lived.
struct Lived {
    earlier: usize,
    last_year: bool,
}

impl Lived {
    fn values(&self, plan: &RecapPlan, metric: &MetricPlan, at: &dyn Fn(u16) -> Value) -> CellValues {
        let windows = &plan.windows;
        let averaged = usize::from(windows.average.unwrap_or(0)).min(self.earlier);
        let numbers: Vec<f64> = (1..).take(averaged).filter_map(|index| at(index).as_f64()).collect();
        #[expect(clippy::cast_precision_loss, reason = "there are at most dozens")]
        let average = numbers.iter().sum::<f64>() / numbers.len() as f64;
        let is_averaged = metric.is_number() && !numbers.is_empty();
        CellValues {
            value: at(0),
            previous: if windows.previous && self.earlier > 0 { at(1) } else { Value::Null },
            average: if is_averaged { number(average) } else { Value::Null },
            last_year: if self.last_year { at(windows.last_year_index()) } else { Value::Null },
        }
    }
}

/// A total without the values that are shown.
fn left_over<'a>(total: &Value, shown: impl Iterator<Item = &'a Value>) -> Value {
    shown.fold(total.clone(), |left, value| difference(&left, value))
}

/// A double as templates see it.
pub(super) fn number(number: f64) -> Value {
    value::rounded(number).map_or(Value::Null, Value::Number)
}

/// Exact where both are whole; null where either is no number.
fn difference(left: &Value, right: &Value) -> Value {
    let exact = left.as_i64().zip(right.as_i64()).and_then(|(left, right)| left.checked_sub(right));
    let rounded = || left.as_f64().zip(right.as_f64()).map_or(Value::Null, |(left, right)| number(left - right));
    exact.map_or_else(rounded, Value::from)
}

/// The difference, and the difference in per cent of the previous value; null where there is nothing to compare.
fn change(current: &Value, previous: &Value) -> (Value, Value) {
    let (Some(now), Some(before)) = (current.as_f64(), previous.as_f64()) else {
        return (Value::Null, Value::Null);
    };
    let percent = if before == 0.0 { Value::Null } else { number((now - before) / before.abs() * 100.0) };
    (difference(current, previous), percent)
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
