//! Tables of databases as relations: columns, filters and limits that the database can apply are asked of it; the engine
//! applies filters again, and all others.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, RecordBatch, RecordBatchOptions,
    StringArray, TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::arrow::error::ArrowError;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{
    Between, BinaryExpr, Expr, Operator as EngineOperator, TableProviderFilterPushDown, TableType,
};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::StreamExt;
use jiff::tz::TimeZone;

use super::files::{FileFailure, finite, kinds};
use super::misfits::{Misfits, Reading as Found};
use super::{Opening, Source, TableFailure, declared_times};
use crate::database::{
    self, Chunk, Column, ColumnKind, Condition, DatabaseError, Operator, Reading, TablePlace, Value, Values,
};
use crate::model::diagnostic::{Diagnostic, Located, Place};
use crate::project::{Table, TableSource};
use crate::settings::Secret;
use crate::warehouse::WarehouseError;
use crate::warehouse::known_values::Weight;

/// Finds the table and its columns.
pub(super) async fn open(
    table: &Table,
    place: TablePlace,
    at: &Place,
    opening: &Opening<'_>,
) -> Result<Source, TableFailure> {
    let columns = database::columns(&place).await.map_err(|error| match error {
        DatabaseError::Unavailable { .. } => TableFailure::Unreachable(WarehouseError::Unavailable {
            reason: format!("table `{}`: {error}", table.name),
        }),
        DatabaseError::Refused { .. } => Diagnostic::error("table-unreadable", error.to_string(), at).into(),
        DatabaseError::Ledger { .. } => Diagnostic::error("ledger-as-table", error.to_string(), at)
            .with_help("read its deliveries in a view: `select ... from ledger.deliveries`")
            .into(),
        DatabaseError::Wrong { reason } => Diagnostic::error("table-missing", reason, at)
            .with_help("check the name, and write the schema where it is not the first: `public.customers`")
            .into(),
    })?;
    let schema = Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()));
    // Where reading all of it would be a burden, nobody looks for the values of a column.
    let weight = Weight::UNCOUNTED;
    let found =
        Found { table: table.name.as_str().into(), file: place_name(table).into(), root: "".into(), weight, scan: 0 };
    let provider = DatabaseTable {
        name: table.name.clone(),
        place,
        columns,
        schema,
        zone: table.zone.clone(),
        has_warned: Arc::default(),
        found,
        misfits: opening.misfits.clone(),
        scans: AtomicU64::new(0),
    };
    Ok((declared_times::apply(table, Arc::new(provider))?, weight))
}

/// The table as its database calls it.
fn place_name(table: &Table) -> String {
    match &table.source {
        TableSource::Sqlite { file, table } => format!("{}#{}", file.value, table.value),
        TableSource::Postgres { table, .. } => table.value.clone(),
        _ => String::new(),
    }
}

/// The URL behind `env:NAME` or `file:PATH`.
pub(super) fn secret(reference: &Located<String>, root: &Path) -> Result<Secret, TableFailure> {
    Secret::resolve(&reference.value, root).map_err(|error| {
        Diagnostic::error("unset-secret", format!("the database is unknown: {error}"), &reference.place)
            .with_help("set it where milepost starts, or check with `--offline`")
            .into()
    })
}

fn field(column: &Column) -> Field {
    let kind = match column.kind {
        ColumnKind::Text => DataType::Utf8,
        ColumnKind::Integer => DataType::Int64,
        ColumnKind::Real => DataType::Float64,
        ColumnKind::Decimal { precision, scale } => DataType::Decimal128(precision, scale),
        ColumnKind::Boolean => DataType::Boolean,
        ColumnKind::Date => DataType::Date32,
        ColumnKind::Instant => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        ColumnKind::LocalTime => DataType::Timestamp(TimeUnit::Microsecond, None),
    };
    Field::new(&column.name, kind, column.is_nullable)
}

/// A table of a database.
struct DatabaseTable {
    name: String,
    place: TablePlace,
    columns: Vec<Column>,
    schema: SchemaRef,
    /// The zone of times that name none.
    zone: TimeZone,
    /// Infinite values are told once per table, not once per scan.
    has_warned: Arc<AtomicBool>,
    found: Found,
    misfits: Misfits,
    scans: AtomicU64,
}

impl fmt::Debug for DatabaseTable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "DatabaseTable({})", self.name)
    }
}

impl DatabaseTable {
    fn column(&self, expression: &Expr) -> Option<&Column> {
        let Expr::Column(column) = expression else { return None };
        self.columns.iter().find(|known| known.name == column.name)
    }

    /// The filter as the database may be asked; `None` where it would mean something else there.
    fn condition(&self, filter: &Expr) -> Option<Condition> {
        match filter {
            Expr::BinaryExpr(BinaryExpr { left, op: EngineOperator::And, right }) => {
                // Half of a conjunction still spares rows.
                match (self.condition(left), self.condition(right)) {
                    (Some(left), Some(right)) => Some(Condition::All(vec![left, right])),
                    (one, other) => one.or(other),
                }
            }
            Expr::BinaryExpr(BinaryExpr { left, op: EngineOperator::Or, right }) => {
                Some(Condition::Any(vec![self.condition(left)?, self.condition(right)?]))
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                let operator = operator(*op)?;
                match (self.column(left), self.column(right)) {
                    (Some(column), None) => compared(column, operator, right),
                    (None, Some(column)) => compared(column, turned(operator), left),
                    _ => None,
                }
            }
            Expr::Between(Between { expr, negated: false, low, high }) => {
                let column = self.column(expr)?;
                let low = compared(column, Operator::GreaterOrEqual, low)?;
                Some(Condition::All(vec![low, compared(column, Operator::LessOrEqual, high)?]))
            }
            Expr::InList(InList { expr, list, negated: false }) if !list.is_empty() => {
                let column = self.column(expr)?;
                let values: Option<Vec<Value>> = list.iter().map(|item| value(column, item)).collect();
                let values = values?;
                let fit = values.iter().all(|value| Condition::compares(column, Operator::Equal, value));
                fit.then(|| Condition::OneOf { column: column.clone(), values })
            }
            Expr::IsNotNull(expression) => Some(Condition::IsNotNull(self.column(expression)?.clone())),
            _ => None,
        }
    }
}

fn operator(operator: EngineOperator) -> Option<Operator> {
    Some(match operator {
        EngineOperator::Eq => Operator::Equal,
        EngineOperator::NotEq => Operator::NotEqual,
        EngineOperator::Lt => Operator::Less,
        EngineOperator::LtEq => Operator::LessOrEqual,
        EngineOperator::Gt => Operator::Greater,
        EngineOperator::GtEq => Operator::GreaterOrEqual,
        _ => return None,
    })
}

/// `7 < x` is `x > 7`.
fn turned(operator: Operator) -> Operator {
    match operator {
        Operator::Less => Operator::Greater,
        Operator::LessOrEqual => Operator::GreaterOrEqual,
        Operator::Greater => Operator::Less,
        Operator::GreaterOrEqual => Operator::LessOrEqual,
        same => same,
    }
}

fn compared(column: &Column, operator: Operator, expression: &Expr) -> Option<Condition> {
    let value = value(column, expression)?;
    Condition::compares(column, operator, &value).then(|| Condition::Compare {
        column: column.clone(),
        operator,
        value,
    })
}

fn value(column: &Column, expression: &Expr) -> Option<Value> {
    let Expr::Literal(literal, _) = expression else { return None };
    Some(match (literal, column.kind) {
        (ScalarValue::Utf8(Some(text)), _) => Value::Text(text.clone()),
        (ScalarValue::Boolean(Some(truth)), _) => Value::Boolean(*truth),
        (ScalarValue::Float64(Some(number)), _) => Value::Real(*number),
        (ScalarValue::Int64(Some(number)), ColumnKind::Integer) => Value::Integer(*number),
        (ScalarValue::Date32(Some(days)), ColumnKind::Date) => Value::Integer(i64::from(*days)),
        (ScalarValue::TimestampMicrosecond(Some(at), Some(_)), ColumnKind::Instant)
        | (ScalarValue::TimestampMicrosecond(Some(at), None), ColumnKind::LocalTime) => Value::Integer(*at),
        _ => return None,
    })
}

#[async_trait]
impl TableProvider for DatabaseTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>, DataFusionError> {
        let support = |filter: &&Expr| match self.condition(filter) {
            Some(_) => TableProviderFilterPushDown::Inexact,
            None => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(support).collect())
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let wanted: Vec<usize> = projection.cloned().unwrap_or_else(|| (0..self.columns.len()).collect());
        let schema = Arc::new(self.schema.project(&wanted)?);
        let reading = Reading {
            columns: wanted.iter().map(|at| self.columns[*at].clone()).collect(),
            conditions: filters.iter().filter_map(|filter| self.condition(filter)).collect(),
            limit,
            zone: self.zone.clone(),
        };
        let scan = self.scans.fetch_add(1, Ordering::Relaxed);
        let rows = Rows {
            found: Found { scan, ..self.found.clone() },
            misfits: self.misfits.clone(),
            name: self.name.clone(),
            place: self.place.clone(),
            reading,
            schema: Arc::clone(&schema),
            has_warned: Arc::clone(&self.has_warned),
        };
        Ok(Arc::new(StreamingTableExec::try_new(schema, vec![Arc::new(rows)], None, [], false, limit)?))
    }
}

/// The rows of one scan.
struct Rows {
    name: String,
    place: TablePlace,
    reading: Reading,
    schema: SchemaRef,
    has_warned: Arc<AtomicBool>,
    found: Found,
    misfits: Misfits,
}

impl fmt::Debug for Rows {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Reading { columns, conditions, limit, .. } = &self.reading;
        let columns: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        write!(formatter, "Rows({}: {columns:?}, {} conditions, limit {limit:?})", self.name, conditions.len())
    }
}

impl PartitionStream for Rows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (name, schema) = (self.name.clone(), Arc::clone(&self.schema));
        let has_warned = Arc::clone(&self.has_warned);
        let (found, misfits) = (self.found.clone(), self.misfits.clone());
        let batches = database::read(&self.place, self.reading.clone()).map(move |chunk| {
            let chunk = chunk.map_err(|error| match error {
                // An error of the file system's kind is one that may pass: the run ends as unavailable.
                DatabaseError::Unavailable { .. } => DataFusionError::IoError(std::io::Error::other(error.to_string())),
                error => FileFailure::Refused { reason: error.to_string() }.into(),
            })?;
            if chunk.infinite > 0 && !has_warned.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    table = name,
                    values = chunk.infinite,
                    "values that their column's type cannot hold are null; the number is of the first rows that have any"
                );
            }
            for (values, field) in chunk.misfits.iter().zip(schema.fields()) {
                misfits.add(&found, field.name(), || kinds::name(field.data_type()), *values);
            }
            let batch = batch(chunk, &schema)?;
            let finite = batch.columns().iter().zip(schema.fields()).map(|(values, field)| {
                let (finite, lost) = finite(values);
                misfits.add_not_numbers(&found, field.name(), lost as u64);
                finite
            });
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            Ok(RecordBatch::try_new_with_options(Arc::clone(&schema), finite.collect(), &options)?)
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), batches))
    }
}

fn batch(chunk: Chunk, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns: Result<Vec<ArrayRef>, ArrowError> =
        chunk.values.into_iter().zip(schema.fields()).map(|(values, field)| array(values, field)).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(chunk.rows));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns?, &options)
}

fn array(values: Values, field: &Field) -> Result<ArrayRef, ArrowError> {
    Ok(match (values, field.data_type()) {
        (Values::Texts(texts), DataType::Decimal128(precision, scale)) => {
            let number = |text: Option<String>| {
                text.map(|text| {
                    datafusion::arrow::compute::kernels::cast_utils::parse_decimal::<
                        datafusion::arrow::datatypes::Decimal128Type,
                    >(&text, *precision, *scale)
                })
                .transpose()
            };
            let numbers: Result<Vec<Option<i128>>, ArrowError> = texts.into_iter().map(number).collect();
            Arc::new(Decimal128Array::from(numbers?).with_precision_and_scale(*precision, *scale)?)
        }
        (Values::Texts(texts), _) => Arc::new(StringArray::from(texts)),
        (Values::Integers(numbers), DataType::Date32) => {
            let days = numbers.into_iter().map(|days| days.and_then(|days| i32::try_from(days).ok()));
            Arc::new(days.collect::<Date32Array>())
        }
        (Values::Integers(numbers), DataType::Timestamp(TimeUnit::Microsecond, zone)) => {
            Arc::new(TimestampMicrosecondArray::from(numbers).with_timezone_opt(zone.clone()))
        }
        (Values::Integers(numbers), _) => Arc::new(Int64Array::from(numbers)),
        (Values::Reals(numbers), _) => Arc::new(Float64Array::from(numbers)),
        (Values::Booleans(truths), _) => Arc::new(BooleanArray::from(truths)),
    })
}
