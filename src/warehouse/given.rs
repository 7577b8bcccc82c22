//! Tables that hold exactly the rows somebody wrote down: what job tests run on.
//!
//! Columns and their types are those of the real tables, and the views are the project's own; nothing is read.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, RecordBatch, StringArray, new_null_array};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::json::ReaderBuilder;
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::Warehouse;
use super::place::column_help;
use super::type_words::{in_type_words, type_words};
use super::value;
use crate::model::WrittenTime;
use crate::model::diagnostic::{Diagnostic, Located};
use crate::project::{ColumnKind, GivenRow, GivenTable, Partition, PartitionKind, PartitionOf, Project, Table};

impl Warehouse {
    /// The same views over tables that hold only these rows; a table that is not given is empty.
    ///
    /// A column that a row does not name is null, except a partition that follows from the row's time.
    ///
    /// # Errors
    /// Every cell that names no column or does not fit it.
    pub fn with_rows(&self, project: &Project, given: &[GivenTable]) -> Result<Self, Vec<Diagnostic>> {
        let mut tables: BTreeMap<String, Arc<dyn TableProvider>> = BTreeMap::new();
        let mut findings = Vec::new();
        for (name, real) in &self.tables {
            let Some(declared) = project.tables.get(name) else { continue };
            let rows = given.iter().find(|given| given.table.value == *name).map_or(&[][..], |given| &given.rows);
            match batch(declared, &real.schema(), rows) {
                Ok(batch) => {
                    let table = MemTable::try_new(batch.schema(), vec![vec![batch]]);
                    let table = table.map_err(|error| vec![unbuildable(declared, &error.to_string())])?;
                    tables.insert(name.clone(), Arc::new(table));
                }
                Err(wrong) => findings.extend(wrong),
            }
        }
        if !findings.is_empty() {
            return Err(findings);
        }
        Ok(Self {
            state: self.state.clone(),
            tables,
            schemas: BTreeMap::new(),
            ledger: self.ledger.clone(),
            views: self.views.clone(),
            broken: self.broken.clone(),
            weights: BTreeMap::new(),
            meter: std::sync::Arc::clone(&self.meter),
            misfits: self.misfits.clone(),
            left_out: self.left_out.clone(),
            vars: self.vars.clone(),
            query_timeout: self.query_timeout,
            computed_once: super::ComputedOnce::default(),
        })
    }
}

/// A finding that no cell is to blame for.
fn unbuildable(table: &Table, reason: &str) -> Diagnostic {
    let message = format!("the rows given for `{}` make no table: {reason}", table.name);
    Diagnostic::error("given-rows", message, &table.place)
}

fn batch(table: &Table, schema: &SchemaRef, rows: &[GivenRow]) -> Result<RecordBatch, Vec<Diagnostic>> {
    let mut findings = unknown_columns(table, schema, rows);
    let mut columns = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let field = &settled(field, rows);
        match column(table, field, rows) {
            Ok(column) => columns.push(column),
            Err(wrong) => findings.extend(wrong),
        }
    }
    if !findings.is_empty() {
        return Err(findings);
    }
    fill_partitions(table, schema, &mut columns).map_err(|finding| vec![finding])?;
    let fields = schema.fields().iter().zip(&columns);
    let fields: Vec<Field> = fields
        .map(|(field, column)| {
            let nullable = field.is_nullable() || column.null_count() > 0;
            Field::new(field.name(), column.data_type().clone(), nullable)
        })
        .collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
        .map_err(|error| vec![unbuildable(table, &error.to_string())])
}

/// A column of which the files hold no value takes the type of what is given.
fn settled(field: &Field, rows: &[GivenRow]) -> Field {
    if !field.data_type().is_null() {
        return field.clone();
    }
    let cells = rows.iter().flat_map(|row| &row.cells).filter(|(name, _)| name.value == *field.name());
    let mut values = cells.map(|(_, cell)| &cell.value).filter(|value| !value.is_null()).peekable();
    let kind = if values.peek().is_none() {
        DataType::Null
    } else {
        let values: Vec<&Value> = values.collect();
        let all = |is: fn(&Value) -> bool| values.iter().all(|value| is(value));
        match () {
            () if all(Value::is_i64) => DataType::Int64,
            () if all(Value::is_number) => DataType::Float64,
            () if all(Value::is_boolean) => DataType::Boolean,
            () => DataType::Utf8,
        }
    };
    field.clone().with_data_type(kind)
}

fn unknown_columns(table: &Table, schema: &SchemaRef, rows: &[GivenRow]) -> Vec<Diagnostic> {
    let cells = rows.iter().flat_map(|row| &row.cells);
    let unknown = cells.filter(|(name, _)| schema.field_with_name(&name.value).is_err());
    unknown
        .map(|(name, _)| {
            let help = column_help(&name.value, schema.fields().iter().map(|field| field.name().as_str()));
            let message = format!("table `{}` has no column `{}`", table.name, name.value);
            Diagnostic::error("unknown-column", message, &name.place).with_optional_help(help)
        })
        .collect()
}

fn column(table: &Table, field: &Field, rows: &[GivenRow]) -> Result<ArrayRef, Vec<Diagnostic>> {
    let find = |row: &'_ GivenRow| {
        row.cells.iter().find(|(name, _)| name.value == *field.name()).map(|(_, cell)| cell.clone())
    };
    let cells: Vec<Option<Located<Value>>> =
        rows.iter().map(|row| find(row).filter(|cell| !cell.value.is_null())).collect();
    let values: Vec<Option<Value>> =
        cells.iter().map(|cell| cell.as_ref().map(|cell| as_read(&cell.value, field, table))).collect();
    if let Ok(column) = array(field, &values) {
        return Ok(column);
    }
    let misfits = cells.iter().zip(values).filter_map(|(cell, value)| {
        let cell = cell.as_ref()?;
        let message = match array(field, &[value]) {
            Ok(_) => return None,
            Err(reason) => {
                let (kind, reason) = (type_words(field.data_type()), in_type_words(&reason));
                format!("this does not fit the column `{}`, which is {kind}: {reason}", field.name())
            }
        };
        Some(Diagnostic::error("wrong-type", message, &cell.place).with_optional_help(example_of(field.data_type())))
    });
    let misfits: Vec<Diagnostic> = misfits.collect();
    if misfits.is_empty() {
        return Err(vec![unbuildable(table, &format!("`{}` cannot be made", field.name()))]);
    }
    Err(misfits)
}

fn example_of(kind: &DataType) -> Option<String> {
    let example = match kind {
        DataType::Timestamp(..) => "2026-10-31T10:00:00Z",
        DataType::Date32 | DataType::Date64 => "2026-10-31",
        DataType::Boolean => "true",
        kind if kind.is_integer() => "12",
        kind if kind.is_numeric() => "1.5",
        _ => return None,
    };
    Some(format!("write it as {example}"))
}

/// A time as the table's files would have it: without a zone it is in the table's, a number counts what `columns:` says.
fn as_read(value: &Value, field: &Field, table: &Table) -> Value {
    let unit = table.columns.iter().find_map(|(name, kind)| match kind {
        ColumnKind::Epoch(unit) if name.value == *field.name() => Some(*unit),
        _ => None,
    });
    let instant = || {
        let microseconds = match value {
            _ if !matches!(field.data_type(), DataType::Timestamp(..)) => None,
            Value::String(text) => WrittenTime::parse(text)?.instant(&table.zone),
            Value::Number(number) => unit?.microseconds_of_text(&number.to_string()),
            _ => None,
        };
        Some(Value::String(Timestamp::from_microsecond(microseconds?).ok()?.to_string()))
    };
    instant().unwrap_or_else(|| value.clone())
}

/// The values as a column, or why they are none.
fn array(field: &Field, values: &[Option<Value>]) -> Result<ArrayRef, String> {
    let kind = field.data_type();
    if values.iter().all(Option::is_none) {
        return Ok(new_null_array(kind, values.len()));
    }
    if kind.is_nested() {
        return nested(field, values);
    }
    let texts: Result<Vec<Option<String>>, String> =
        values.iter().map(|value| value.as_ref().map(text_of).transpose()).collect();
    let texts = StringArray::from(texts?);
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(&texts, kind, &strict).map_err(|error| first_clause(&error.to_string()))
}

fn text_of(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Array(_) => Err("a list is no single value".to_owned()),
        Value::Object(_) => Err("a map is no single value".to_owned()),
        other => Ok(other.to_string()),
    }
}

fn nested(field: &Field, values: &[Option<Value>]) -> Result<ArrayRef, String> {
    let failed = |error: datafusion::arrow::error::ArrowError| first_clause(&error.to_string());
    let schema = Arc::new(Schema::new(vec![field.clone().with_nullable(true)]));
    let mut decoder = ReaderBuilder::new(schema).with_coerce_primitive(true).build_decoder().map_err(failed)?;
    let rows: Vec<Map<String, Value>> = values
        .iter()
        .map(|value| [(field.name().clone(), value.clone().unwrap_or(Value::Null))].into_iter().collect())
        .collect();
    decoder.serialize(&rows).map_err(failed)?;
    let batch = decoder.flush().map_err(failed)?.ok_or_else(|| "there are no rows".to_owned())?;
    Ok(Arc::clone(batch.column(0)))
}

/// The engine's words without their prefix.
fn first_clause(text: &str) -> String {
    let text = text.lines().next().unwrap_or_default();
    let words = text.split_once("error: ").map_or(text, |(_, words)| words).trim_end_matches('.');
    let mut letters = words.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

/// Partitions follow from the row's times where nothing else is written: an unlisted folder would hide the row.
fn fill_partitions(table: &Table, schema: &SchemaRef, columns: &mut [ArrayRef]) -> Result<(), Diagnostic> {
    let position = |name: &str| schema.fields().iter().position(|field| field.name() == name);
    for partition in &table.partitions {
        let Some(at) = position(&partition.name).filter(|at| columns[*at].null_count() > 0) else { continue };
        let times = match partition.of {
            None => continue,
            _ if matches!(partition.kind, PartitionKind::Int | PartitionKind::Text) => continue,
            Some(PartitionOf::Received) => [&table.received, &table.time],
            Some(PartitionOf::Time) => [&table.time, &table.received],
        };
        let times: Vec<&ArrayRef> =
            times.into_iter().flatten().filter_map(|column| Some(&columns[position(&column.value)?])).collect();
        let written = &columns[at];
        let values: Vec<Option<Value>> = (0..written.len())
            .map(|row| {
                let instant = || times.iter().find_map(|column| value::instant(column.as_ref(), row));
                value::text(written.as_ref(), row)
                    .or_else(|| instant().map(|instant| folder(partition, instant)))
                    .map(Value::String)
            })
            .collect();
        columns[at] = array(schema.field(at), &values).map_err(|reason| unbuildable(table, &reason))?;
    }
    Ok(())
}

/// The partition's value for an instant.
fn folder(partition: &Partition, instant: Timestamp) -> String {
    let local = instant.to_zoned(partition.zone.clone());
    match partition.kind {
        PartitionKind::Month => format!("{:04}-{:02}", local.year(), local.month()),
        PartitionKind::Hour => local.hour().to_string(),
        _ => local.date().to_string(),
    }
}
