//! Declared tables: from a location to a readable relation, or every reason why not. Reads schemas, never rows
//! (a CSV file's first lines tell its schema).

use std::sync::Arc;

use datafusion::arrow::datatypes::TimeUnit;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::common::{Column, DataFusionError};
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::csv::CsvFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, ScalarUDF, cast};
use futures::TryStreamExt;
use jiff::tz::TimeZone;

use super::error::{WarehouseError, plain_message};
use super::functions::LocalToInstant;
use super::known_values::Weight;
use super::place::column_help;
use crate::model::diagnostic::{Diagnostic, Located};
use crate::project::{PartitionKind, Table, TableFormat};
use crate::storage;

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

/// Opens one table and says what its files weigh.
pub(super) async fn open(
    table: &Table,
    state: &SessionState,
) -> Result<(Arc<dyn TableProvider>, Weight), TableFailure> {
    let place = &table.location.place;
    let opened = storage::open(&table.location.value)
        .map_err(|error| Diagnostic::error("table-location", error.to_string(), place))?;
    state.runtime_env().register_object_store(&opened.root, Arc::clone(&opened.store));
    let url = listing_url(&opened).map_err(|error| wrong(table, &error))?;
    let extension = match table.format {
        _ if opened.glob.is_some() || opened.is_single_file() => "",
        TableFormat::Parquet => ".parquet",
        TableFormat::Csv => ".csv",
    };
    let files = list(table, &url, state, &opened, extension).await?;
    check_partition_folders(table, &url, &files)?;
    let options = ListingOptions::new(format_of(table.format, state))
        .with_file_extension(extension)
        .with_table_partition_cols(partition_columns(table));
    let inferred = options.infer_schema(state, &url).await.map_err(|error| failure(table, &error))?;
    let schema = match table.format {
        TableFormat::Csv => csv_schema(table, &inferred),
        TableFormat::Parquet => inferred,
    };
    let config = ListingTableConfig::new(url).with_listing_options(options).with_schema(schema);
    let listing: Arc<dyn TableProvider> =
        Arc::new(ListingTable::try_new(config).map_err(|error| wrong(table, &error))?);
    check_columns(table, &listing.schema())?;
    let weight = Weight { files: files.len(), bytes: files.iter().map(|(_, bytes)| *bytes).sum() };
    let provider = in_zone(table, listing).map_err(|error| wrong(table, &error))?;
    Ok((provider, weight))
}

fn listing_url(opened: &storage::Opened) -> Result<ListingTableUrl, DataFusionError> {
    let url = ListingTableUrl::try_new(opened.base.clone(), None)?;
    match &opened.glob {
        Some(glob) => url.with_glob(glob),
        None => Ok(url),
    }
}

fn format_of(format: TableFormat, state: &SessionState) -> Arc<dyn FileFormat> {
    match format {
        // A format made without the session's options ignores them.
        TableFormat::Parquet => Arc::new(ParquetFormat::default().with_options(state.default_table_options().parquet)),
        TableFormat::Csv => Arc::new(CsvFormat::default().with_has_header(true).with_newlines_in_values(true)),
    }
}

fn partition_columns(table: &Table) -> Vec<(String, DataType)> {
    let kind = |kind| match kind {
        PartitionKind::Date => DataType::Date32,
        PartitionKind::Month | PartitionKind::Text => DataType::Utf8,
        PartitionKind::Hour | PartitionKind::Int => DataType::Int64,
    };
    table.partitions.iter().map(|partition| (partition.name.clone(), kind(partition.kind))).collect()
}

fn wrong(table: &Table, error: &DataFusionError) -> Diagnostic {
    let message = format!("the files of table `{}` cannot be read: {}", table.name, plain_message(error));
    Diagnostic::error("table-unreadable", message, &table.location.place)
}

fn failure(table: &Table, error: &DataFusionError) -> TableFailure {
    if let DataFusionError::ObjectStore(store_error) = error.find_root()
        && !storage::is_absent(store_error)
    {
        return TableFailure::Unreachable(WarehouseError::from_engine(&format!("table `{}`", table.name), error));
    }
    wrong(table, error).into()
}

/// Lists the table's files with their sizes; none is an error, since an empty table is more often a wrong path.
async fn list(
    table: &Table,
    url: &ListingTableUrl,
    state: &SessionState,
    opened: &storage::Opened,
    extension: &str,
) -> Result<Vec<(String, u64)>, TableFailure> {
    let listing = url.list_all_files(state, opened.store.as_ref(), extension).await;
    let files: Result<Vec<_>, _> = match listing {
        Ok(files) => files.map_ok(|file| (file.location.to_string(), file.size)).try_collect().await,
        Err(error) => Err(error),
    };
    let files = match files {
        Ok(files) => files,
        Err(error) => match failure(table, &error) {
            unreachable @ TableFailure::Unreachable(_) => return Err(unreachable),
            TableFailure::Wrong(_) => Vec::new(),
        },
    };
    if files.is_empty() {
        let what = if extension.is_empty() { "file" } else { extension };
        let message = format!("there is no {what} of table `{}` at `{}`", table.name, table.location.value);
        return Err(Diagnostic::error("table-missing", message, &table.location.place)
            .with_help("check the path: it counts from the folder of milepost.yml")
            .into());
    }
    Ok(files)
}

/// A file outside the declared folders would be left out silently by the engine: refuse it here.
fn check_partition_folders(table: &Table, url: &ListingTableUrl, files: &[(String, u64)]) -> Result<(), TableFailure> {
    if table.partitions.is_empty() {
        return Ok(());
    }
    let prefix = url.prefix().as_ref();
    let stray = files.iter().map(|(file, _)| file).find(|file| {
        let rest = file.strip_prefix(prefix).unwrap_or(file).trim_start_matches('/');
        let mut folders = rest.split('/');
        !table.partitions.iter().all(|partition| {
            folders.next().and_then(|folder| folder.split_once('=')).is_some_and(|(key, _)| key == partition.name)
        })
    });
    let Some(stray) = stray else {
        return Ok(());
    };
    let shape: Vec<_> = table.partitions.iter().map(|partition| format!("{}=...", partition.name)).collect();
    let partition = &table.partitions[0];
    let message = format!("the file `{stray}` does not lie under `{}/`", shape.join("/"));
    Err(Diagnostic::error("partition-mismatch", message, &partition.place)
        .with_help("declare the folders of the path in their order, or move the file")
        .into())
}

/// What the first lines of a CSV file cannot tell. Ids compare as text: a column named `id` or ending in `_id` keeps
/// its leading zeros. A declared time without any value is a time all the same.
fn csv_schema(table: &Table, schema: &SchemaRef) -> SchemaRef {
    let chronology = [&table.time, &table.received].map(|column| column.as_ref().map(|column| column.value.as_str()));
    let fields: Vec<Field> = schema
        .fields()
        .iter()
        .map(|field| {
            let name = field.name().to_lowercase();
            let kind = match field.data_type() {
                _ if name == "id" || name.ends_with("_id") => DataType::Utf8,
                DataType::Null if chronology.contains(&Some(field.name())) => {
                    DataType::Timestamp(TimeUnit::Microsecond, None)
                }
                kind => kind.clone(),
            };
            field.as_ref().clone().with_data_type(kind)
        })
        .collect();
    Arc::new(Schema::new(fields))
}

fn check_columns(table: &Table, schema: &SchemaRef) -> Result<(), TableFailure> {
    let mut wrong = Vec::new();
    let names = schema.fields().iter().map(|field| field.name().as_str());
    for declared in [&table.time, &table.received, &table.dedup].into_iter().flatten() {
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

/// A finding when a column of chronology is neither a timestamp nor a date.
#[must_use]
pub fn not_a_time(column: &Located<String>, schema: &SchemaRef) -> Option<Diagnostic> {
    let field = schema.field_with_name(&column.value).ok()?;
    if matches!(field.data_type(), DataType::Timestamp(..) | DataType::Date32 | DataType::Date64) {
        return None;
    }
    let message = format!("column `{}` is {}, not a timestamp or a date", column.value, field.data_type());
    let help = "read the table through a view of sql/ that casts it, such as `to_timestamp_seconds(x) as happened_at`";
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
