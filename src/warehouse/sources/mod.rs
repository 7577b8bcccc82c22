//! Declared tables: from a source to a readable relation, or every reason why not. Reads schemas, never rows.
//!
//! The family is the list in [`open_source`]: a source is one file (or folder) with an `open` that takes the declared table
//! and gives a provider and what it weighs, or a [`TableFailure`]. What every table needs, whatever its source, is here.

mod database;
mod declared_times;
pub(in crate::warehouse) mod files;
pub(in crate::warehouse) mod misfits;
pub(in crate::warehouse) mod segment;

use std::path::PathBuf;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use datafusion::catalog::TableProvider;
use datafusion::common::{Column, DataFusionError};
use datafusion::datasource::{MemTable, ViewTable, provider_as_source};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, ScalarUDF, cast};
use jiff::tz::TimeZone;

use super::error::{WarehouseError, plain_message};
use super::functions::LocalToInstant;
use super::known_values::Weight;
use super::left_out::LeftOutFiles;
use super::place::column_help;
use super::saved_schemas::{SCHEMAS_FILE, SavedSchemas};
use super::type_words::type_words;
use super::values::marks;
use crate::database::TablePlace;
use crate::model::diagnostic::{Diagnostic, Located};
use crate::project::{Project, Table, TableSource};
use crate::settings::LocalFiles;
use crate::storage::Meter;
use misfits::Misfits;

/// A relation and what it weighs.
pub(super) type Source = (Arc<dyn TableProvider>, Weight);

/// What a source is opened with.
#[derive(Clone, Copy)]
pub(super) struct Opening<'a> {
    /// The engine.
    pub(super) state: &'a SessionState,
    /// Counts what is read.
    pub(super) meter: &'a Arc<Meter>,
    /// Counts what cannot be read as its column's type.
    pub(super) misfits: &'a Misfits,
    /// Counts files that are not read.
    pub(super) left_out: &'a LeftOutFiles,
    /// The door to files of this machine.
    pub(super) files: &'a LocalFiles,
    /// The project.
    pub(super) project: &'a Project,
}

/// Opens a table's source: one line per member of the family.
pub(super) async fn open_source(table: &Table, opening: &Opening<'_>) -> Result<Source, TableFailure> {
    match &table.source {
        TableSource::Files { format, location } => files::open(table, *format, location, opening).await,
        TableSource::Segment { location, layout, rows } => {
            segment::open(table, (location, *layout, *rows), opening).await
        }
        TableSource::Postgres { url, table: name } => {
            let url = database::secret(url, &opening.project.root)?;
            let place = TablePlace::Postgres { url, table: name.value.clone() };
            database::open(table, place, &name.place, opening).await
        }
        TableSource::Sqlite { file, table: name } => {
            let path = PathBuf::from(&file.value);
            opening.files.admit_path(&path).map_err(|refusal| files::not_opened(&refusal.into(), &file.place))?;
            let place = TablePlace::Sqlite { file: path, table: name.value.clone() };
            database::open(table, place, &name.place, opening).await
        }
    }
}

/// A relation of these columns without rows: a table as it was when its schema was saved.
pub(super) fn as_saved(table: &Table, saved: &SavedSchemas) -> Result<Source, TableFailure> {
    let Some(schema) = saved.get(&table.name) else {
        let message = format!("the columns of table `{}` are not saved in {SCHEMAS_FILE}", table.name);
        let help = "run `milepost check --save-schemas` where the tables can be reached, and commit the file";
        return Err(Diagnostic::error("no-saved-schema", message, &table.place).with_help(help).into());
    };
    let rows = MemTable::try_new(Arc::clone(schema), vec![vec![]]).map_err(|error| wrong(table, &error))?;
    Ok((Arc::new(rows), Weight::default()))
}

/// Makes an opened source a table: its columns of chronology are there and are times, and its local times are instants.
pub(super) fn finish(table: &Table, (provider, weight): Source) -> Result<Source, TableFailure> {
    check_columns(table, &provider.schema())?;
    let provider = in_zone(table, provider).map_err(|error| wrong(table, &error))?;
    Ok((provider, weight))
}

/// What the engine says against a table, as a finding at its declaration.
fn wrong(table: &Table, error: &DataFusionError) -> Diagnostic {
    let message = format!("the rows of table `{}` cannot be read: {}", table.name, plain_message(error));
    Diagnostic::error("table-unreadable", message, &table.place)
}

/// Why a table is not there.
pub(super) enum TableFailure {
    /// The declaration or the files are wrong.
    Wrong(Vec<Diagnostic>),
    /// The store cannot be reached.
    Unreachable(WarehouseError),
}

impl From<Diagnostic> for TableFailure {
    fn from(diagnostic: Diagnostic) -> Self {
        Self::Wrong(vec![diagnostic])
    }
}

fn check_columns(table: &Table, schema: &SchemaRef) -> Result<(), TableFailure> {
    let mut wrong = Vec::new();
    if schema.fields().len() == table.partitions.len() && table.time.is_some() {
        return Err(without_columns(table).into());
    }
    let names = schema.fields().iter().map(|field| field.name().as_str());
    let nulls = table.health.nulls.iter().map(|(column, _)| column);
    for declared in [&table.time, &table.received, &table.dedup].into_iter().flatten().chain(nulls) {
        if schema.field_with_name(&declared.value).is_err() {
            let message = format!("table `{}` has no column `{}`", table.name, declared.value);
            let help = column_help(&declared.value, names.clone());
            wrong.push(Diagnostic::error("unknown-column", message, &declared.place).with_optional_help(help));
        }
    }
    for declared in [&table.time, &table.received].into_iter().flatten() {
        wrong.extend(not_a_time(declared, schema));
    }
    if wrong.is_empty() { Ok(()) } else { Err(TableFailure::Wrong(wrong)) }
}

/// Warnings about columns that are text since files hold them as several types.
pub(super) fn mixed_columns(table: &Table, schema: &SchemaRef) -> Vec<Diagnostic> {
    let mixed = schema.fields().iter().filter_map(|field| Some((field.name(), marks::mixture_of_files(field)?)));
    let warning = |(name, mixture): (&String, &str)| {
        let message = format!("column `{name}` of table `{}` is text, since its files disagree: {mixture}", table.name);
        let help = format!(
            "declare what it holds, such as `columns: {{{name}: double}}`, or `{name}: string` where it is text"
        );
        Diagnostic::warning("mixed-types", message, &table.place).with_help(help)
    };
    mixed.map(warning).collect()
}

/// Files that are empty say nothing of their columns.
fn without_columns(table: &Table) -> Diagnostic {
    let message = format!("table `{}` has no rows yet from which its columns could be learnt", table.name);
    let chronology = [&table.time, &table.received].into_iter().flatten();
    let declared = chronology.map(|column| format!("{}: timestamp", column.value)).collect::<Vec<_>>().join(", ");
    let help = format!("declare them in `columns:`, such as `columns: {{{declared}, user_id: string}}`");
    Diagnostic::error("no-columns", message, &table.place).with_help(help)
}

/// A finding when a column of chronology is neither a timestamp nor a date.
#[must_use]
pub fn not_a_time(column: &Located<String>, schema: &SchemaRef) -> Option<Diagnostic> {
    let field = schema.field_with_name(&column.value).ok()?;
    if matches!(field.data_type(), DataType::Timestamp(..) | DataType::Date32 | DataType::Date64) {
        return None;
    }
    let message = format!("column `{}` is {}, not a timestamp or a date", column.value, type_words(field.data_type()));
    let help = if field.data_type().is_numeric() {
        marks::epoch_help(field)
    } else {
        format!(
            "declare it in the table's `columns:`, such as `columns: {{{}: timestamp}}`, or read the table through a view of sql/ \
             that casts it",
            column.value
        )
    };
    Some(Diagnostic::error("not-a-time", message, &column.place).with_help(help))
}

/// The table with its timestamps as instants, where it says that they are local to a zone.
fn in_zone(table: &Table, listing: Arc<dyn TableProvider>) -> Result<Arc<dyn TableProvider>, DataFusionError> {
    if table.zone == TimeZone::UTC {
        return Ok(listing);
    }
    let schema = listing.schema();
    let to_instant = Arc::new(ScalarUDF::from(LocalToInstant::new(&table.zone)));
    let chronology = [&table.time, &table.received].map(|column| column.as_ref().map(|column| column.value.as_str()));
    let columns = schema.fields().iter().map(|field| {
        let column = Expr::Column(Column::from_name(field.name()));
        let is_date = matches!(field.data_type(), DataType::Date32 | DataType::Date64);
        let is_local = matches!(field.data_type(), DataType::Timestamp(_, None));
        if is_local || (is_date && chronology.contains(&Some(field.name()))) {
            to_instant.call(vec![cast(column, DataType::Timestamp(TimeUnit::Microsecond, None))]).alias(field.name())
        } else {
            column
        }
    });
    let columns: Vec<Expr> = columns.collect();
    let plan = LogicalPlanBuilder::scan("local", provider_as_source(listing), None)?.project(columns)?.build()?;
    Ok(Arc::new(ViewTable::new(plan, None)))
}
