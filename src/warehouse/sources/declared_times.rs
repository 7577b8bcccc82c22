//! Times of a database that are text or numbers there, as `columns:` declares them.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::catalog::TableProvider;
use datafusion::common::{Column, DataFusionError, Result};
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlanBuilder, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use jiff::tz::TimeZone;

use super::{TableFailure, wrong};
use crate::model::EpochUnit;
use crate::model::diagnostic::{Diagnostic, Located};
use crate::project::{ColumnKind, Table};
use crate::warehouse::place::column_help;
use crate::warehouse::type_words::type_words;
use crate::warehouse::values::instants::{instant_type, instants};
use crate::warehouse::values::marks;

/// The relation with the declared columns as instants.
pub(super) fn apply(table: &Table, rows: Arc<dyn TableProvider>) -> Result<Arc<dyn TableProvider>, TableFailure> {
    let findings: Vec<Diagnostic> = table.columns.iter().filter_map(|column| finding(table, &rows, column)).collect();
    if !findings.is_empty() {
        return Err(TableFailure::Wrong(findings));
    }
    if table.columns.is_empty() {
        return Ok(rows);
    }
    with_instants(table, rows).map_err(|error| wrong(table, &error).into())
}

fn finding(
    table: &Table,
    rows: &Arc<dyn TableProvider>,
    (name, kind): &(Located<String>, ColumnKind),
) -> Option<Diagnostic> {
    let schema = rows.schema();
    let Ok(field) = schema.field_with_name(&name.value) else {
        let message = format!("table `{}` has no column `{}`", table.name, name.value);
        let help = column_help(&name.value, schema.fields().iter().map(|field| field.name().as_str()));
        return Some(Diagnostic::error("unknown-column", message, &name.place).with_optional_help(help));
    };
    let words = type_words(field.data_type());
    if *kind == ColumnKind::Timestamp && field.data_type().is_numeric() {
        let message =
            format!("column `{}` is {words}, and `timestamp` does not say what its numbers count", name.value);
        return Some(Diagnostic::error("epoch-unit", message, &name.place).with_help(marks::epoch_help(field)));
    }
    let can_be_read = field.data_type().is_numeric() || *field.data_type() == DataType::Utf8;
    (!can_be_read).then(|| {
        let message = format!("column `{}` is {words} in its database, which is no text and no number", name.value);
        Diagnostic::error("not-for-databases", message, &name.place).with_help("take it out of `columns:`")
    })
}

fn with_instants(table: &Table, rows: Arc<dyn TableProvider>) -> Result<Arc<dyn TableProvider>, DataFusionError> {
    let schema = rows.schema();
    let columns = schema.fields().iter().map(|field| {
        let column = Expr::Column(Column::from_name(field.name()));
        let declared = table.columns.iter().find(|(name, _)| name.value == *field.name());
        match declared.map(|(_, kind)| *kind) {
            None => column,
            Some(kind) => {
                let unit = if let ColumnKind::Epoch(unit) = kind { Some(unit) } else { None };
                ScalarUDF::from(ToInstant::new(&table.zone, unit)).call(vec![column]).alias(field.name())
            }
        }
    });
    let columns: Vec<Expr> = columns.collect();
    let plan = LogicalPlanBuilder::scan("declared", provider_as_source(rows), None)?.project(columns)?.build()?;
    Ok(Arc::new(ViewTable::new(plan, None)))
}

/// A text or number as an instant; what is none is null.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ToInstant {
    zone_name: String,
    unit: Option<EpochUnit>,
    signature: Signature,
}

impl ToInstant {
    fn new(zone: &TimeZone, unit: Option<EpochUnit>) -> Self {
        Self {
            zone_name: zone.iana_name().unwrap_or("UTC").to_owned(),
            unit,
            signature: Signature::any(1, Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for ToInstant {
    fn name(&self) -> &'static str {
        "to_instant"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(instant_type())
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let zone = TimeZone::get(&self.zone_name).unwrap_or(TimeZone::UTC);
        let values = ColumnarValue::values_to_arrays(&arguments.args)?;
        Ok(ColumnarValue::Array(instants(&values[0], &zone, self.unit)?))
    }
}
