//! The cells of a recap as templates see them: comparisons, trends, rows of a breakdown and top lists.

use serde_json::{Map, Value, json};

use super::recap::{BreakdownPlan, MetricPlan, RecapPlan, TopPlan};
use super::recap_reader::MatrixRow;
use crate::model::ContextWriter;
use crate::warehouse::arrow::array::{Array, AsArray};
use crate::warehouse::arrow::datatypes::{DataType, Int64Type, Schema};
use crate::warehouse::{LocalUnit, value};

/// The column of the steps of all trends of a unit: a list of structs, the step first.
pub(super) fn steps_column(unit: LocalUnit) -> String {
    format!("#steps.{}", unit.function())
}

/// The values of one cell.
pub(super) struct CellValues {
    value: Value,
    previous: Value,
    average: Value,
    last_year: Value,
}

/// Where the cells of a metric are in the rows; `None` for what the recap does not ask for.
pub(super) struct CellColumns {
    value: Option<usize>,
    previous: Option<usize>,
    average: Option<usize>,
    last_year: Option<usize>,
    rank: Option<usize>,
    percentile: Option<usize>,
    cohort: Option<usize>,
}

impl CellColumns {
    /// Those of a metric.
    pub(super) fn of(metric: &MetricPlan, schema: &Schema) -> Self {
        let find = |name: &str| schema.fields().iter().position(|field| field.name() == name);
        Self {
            value: find(&metric.name),
            previous: find(&metric.previous()),
            average: find(&metric.average()),
            last_year: find(&metric.last_year()),
            rank: find(&metric.rank_column()),
            percentile: find(&metric.percentile()),
            cohort: find(&metric.cohort()),
        }
    }

    /// The values of a row.
    pub(super) fn values(&self, row: &MatrixRow<'_>) -> CellValues {
        CellValues {
            value: row.at(self.value),
            previous: row.at(self.previous),
            average: row.at(self.average),
            last_year: row.at(self.last_year),
        }
    }

    /// Writes rank and goal, where they are asked for.
    pub(super) fn write_extras(&self, metric: &MetricPlan, row: &MatrixRow<'_>, context: &mut ContextWriter) {
        let mut write = |name: &str, value: &Value| {
            context.json(name);
            context.value(value);
        };
        if metric.rank {
            write(",\"rank\":", &row.at(self.rank));
            write(",\"percentile\":", &row.at(self.percentile));
            write(",\"of\":", &row.at(self.cohort));
        }
        if let Some(goal) = metric.goal {
            let share = row.at(self.value).as_f64().map(|value| (value / goal).clamp(0.0, 1.0));
            write(",\"goal\":", &number(goal));
            write(",\"progress\":", &share.map_or(Value::Null, number));
        }
    }
}

/// Where the steps of a trend are in the rows, and what a step without rows shows.
pub(super) struct TrendColumns {
    unit: LocalUnit,
    list: usize,
    value: usize,
    empty: Value,
}

impl TrendColumns {
    /// Those of a metric; `None` where it has no trend.
    pub(super) fn of(metric: &MetricPlan, schema: &Schema) -> Option<Self> {
        let unit = metric.trend?;
        let list = schema.index_of(&steps_column(unit)).ok()?;
        let DataType::List(entry) = schema.field(list).data_type() else { return None };
        let DataType::Struct(fields) = entry.data_type() else { return None };
        let value = fields.iter().position(|field| *field.name() == metric.name)?;
        Some(Self { unit, list, value, empty: serde_json::from_str(&metric.aggregate.empty).unwrap_or(Value::Null) })
    }

    /// One value for each step that the period has a day of; `days` are its first and last, from 1 January 1970.
    pub(super) fn values(&self, row: &MatrixRow<'_>, (first_day, last_day): (i64, i64)) -> Vec<Value> {
        let first = self.unit.number(first_day);
        let count = usize::try_from(self.unit.number(last_day) - first + 1).unwrap_or(0);
        let mut trend = vec![self.empty.clone(); count];
        let lists = row.batch.column(self.list).as_list::<i32>();
        if lists.is_null(row.row) {
            return trend;
        }
        let entries = lists.values().as_struct();
        let steps = entries.column(0).as_primitive::<Int64Type>();
        let offsets = lists.value_offsets();
        for entry in offsets[row.row]..offsets[row.row + 1] {
            let entry = usize::try_from(entry).unwrap_or_default();
            let offset = usize::try_from(steps.value(entry) - first).ok();
            if let Some(slot) = offset.and_then(|offset| trend.get_mut(offset)) {
                *slot = value::json(entries.column(self.value), entry);
            }
        }
        trend
    }
}

/// The fields whose values differ from row to row, in the order of [`CellValues::fields`].
fn filled_fields(plan: &RecapPlan) -> Vec<&'static str> {
    let mut fields = Vec::new();
    if plan.windows.previous {
        fields.extend(["previous", "change", "change_percent"]);
    }
    fields.push("value");
    if plan.windows.average.is_some() {
        fields.push("average");
    }
    if plan.windows.last_year {
        fields.push("last_year");
    }
    fields
}

/// A cell of a metric with what is the same in every row; first the fields that [`filled`] fills, in its order. Filling a
/// copy is much cheaper than building a map for each of a million cells.
pub(super) fn prototype(plan: &RecapPlan, metric: &MetricPlan) -> Map<String, Value> {
    let mut cell: Map<String, Value> =
        filled_fields(plan).into_iter().map(|field| (field.to_owned(), Value::Null)).collect();
    cell.insert("label".to_owned(), Value::String(metric.label.clone()));
    cell.insert("format".to_owned(), metric.format.clone().map_or(Value::Null, Value::String));
    cell
}

impl CellValues {
    /// The values of a prototype's first fields.
    pub(super) fn fields(self, plan: &RecapPlan) -> Vec<Value> {
        let mut fields = Vec::with_capacity(6);
        if plan.windows.previous {
            let (change, percent) = change(&self.value, &self.previous);
            fields.extend([self.previous, change, percent]);
        }
        fields.push(self.value);
        if plan.windows.average.is_some() {
            fields.push(self.average);
        }
        if plan.windows.last_year {
            fields.push(self.last_year);
        }
        fields
    }
}

/// A prototype as pieces of JSON, between which values are written.
pub(super) struct CellText {
    /// What stands before each value: the brace or comma, and the name.
    names: Vec<String>,
    /// The fields that are the same in every row.
    rest: String,
}

impl CellText {
    /// The pieces of a prototype of [`prototype`], to which constant fields may have been added.
    pub(super) fn new(prototype: &Map<String, Value>, plan: &RecapPlan) -> Self {
        let filled = filled_fields(plan).len();
        let pieces = prototype.iter().enumerate();
        let named = |(position, name): (usize, &String)| {
            format!("{}{}:", if position == 0 { '{' } else { ',' }, Value::String(name.clone()))
        };
        let (names, rest): (Vec<_>, Vec<_>) = pieces.partition(|(position, _)| *position < filled);
        Self {
            names: names.into_iter().map(|(position, (name, _))| named((position, name))).collect(),
            rest: rest
                .into_iter()
                .map(|(position, (name, value))| format!("{}{value}", named((position, name))))
                .collect(),
        }
    }

    /// Writes a cell but for its closing brace.
    pub(super) fn write(&self, fields: &[Value], context: &mut ContextWriter) {
        for (name, value) in self.names.iter().zip(fields) {
            context.json(name);
            context.value(value);
        }
        context.json(&self.rest);
    }
}

/// A copy of a prototype with these first fields.
pub(super) fn filled(prototype: &Map<String, Value>, fields: Vec<Value>) -> Map<String, Value> {
    let mut cell = prototype.clone();
    for (slot, value) in cell.values_mut().zip(fields) {
        *slot = value;
    }
    cell
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
    let metrics = by.metrics.iter().filter_map(|position| plan.metrics.get(*position));
    let metrics: Vec<_> = metrics.map(|metric| (metric, prototype(plan, metric))).collect();
    let described = |name: &Value, rest: bool, at: &dyn Fn(&MetricPlan, u16) -> Value| {
        let cells = metrics.iter().map(|(metric, prototype)| {
            let values = lived.values(plan, metric, &|index| at(metric, index));
            (metric.name.clone(), Value::Object(filled(prototype, values.fields(plan))))
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
fn number(number: f64) -> Value {
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
