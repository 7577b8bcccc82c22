//! Tables made of files: listed, their columns found out, and read in one of the formats below.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::catalog::TableProvider;
use datafusion::common::DataFusionError;
use datafusion::datasource::file_format::FileFormat as EngineFormat;
use datafusion::datasource::file_format::csv::CsvFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::execution::SessionState;
use futures::TryStreamExt;

use super::{Source, TableFailure};
use crate::model::diagnostic::{Diagnostic, Located, Place};
use crate::project::{FileFormat, PartitionKind, Table};
use crate::storage;
use crate::warehouse::error::{WarehouseError, plain_message};
use crate::warehouse::known_values::Weight;

/// Opens a table of files and says what they weigh.
pub(super) async fn open(
    table: &Table,
    format: FileFormat,
    location: &Located<String>,
    state: &SessionState,
) -> Result<Source, TableFailure> {
    let opened = storage::open(&location.value)
        .map_err(|error| Diagnostic::error("table-location", error.to_string(), &location.place))?;
    state.runtime_env().register_object_store(&opened.root, Arc::clone(&opened.store));
    let url = listing_url(&opened).map_err(|error| wrong(table, &error))?;
    let extension = match format {
        _ if opened.glob.is_some() || opened.is_single_file() => "",
        FileFormat::Parquet => ".parquet",
        FileFormat::Csv => ".csv",
    };
    let files = list(table, &url, state, &opened, extension).await?;
    check_partition_folders(table, &url, &files)?;
    let options = ListingOptions::new(format_of(format, state))
        .with_file_extension(extension)
        .with_table_partition_cols(partition_columns(table));
    let inferred = options.infer_schema(state, &url).await.map_err(|error| failure(table, &error))?;
    let schema = match format {
        FileFormat::Csv => csv_schema(table, &inferred),
        FileFormat::Parquet => inferred,
    };
    let config = ListingTableConfig::new(url).with_listing_options(options).with_schema(schema);
    let listing: Arc<dyn TableProvider> =
        Arc::new(ListingTable::try_new(config).map_err(|error| wrong(table, &error))?);
    let weight = Weight { files: files.len(), bytes: files.iter().map(|(_, bytes)| *bytes).sum() };
    Ok((listing, weight))
}

fn listing_url(opened: &storage::Opened) -> Result<ListingTableUrl, DataFusionError> {
    let url = ListingTableUrl::try_new(opened.base.clone(), None)?;
    match &opened.glob {
        Some(glob) => url.with_glob(glob),
        None => Ok(url),
    }
}

fn format_of(format: FileFormat, state: &SessionState) -> Arc<dyn EngineFormat> {
    match format {
        // A format made without the session's options ignores them.
        FileFormat::Parquet => Arc::new(ParquetFormat::default().with_options(state.default_table_options().parquet)),
        FileFormat::Csv => Arc::new(CsvFormat::default().with_has_header(true).with_newlines_in_values(true)),
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
    Diagnostic::error("table-unreadable", message, place_of(table))
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
        let message = format!(
            "there is no {what} of table `{}` at `{}`",
            table.name,
            table.location().map_or("", |location| &location.value)
        );
        return Err(Diagnostic::error("table-missing", message, place_of(table))
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

fn place_of(table: &Table) -> &Place {
    table.location().map_or(&table.place, |location| &location.place)
}
