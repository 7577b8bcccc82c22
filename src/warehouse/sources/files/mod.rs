//! Tables made of files: each listed once at most, their columns known from a few of them, and read in one of the formats below.
//!
//! Guarantees: opening reads the ends or first rows of at most [`LOOKED_AT`] files, whatever their number; a file that
//! differs from those is read as the table's columns say. Nothing is remembered from one run to the next.

mod bytes_guard;
mod convert;
mod csv;
mod delta;
mod drift;
mod early_filter;
mod failure;
mod folders;
mod kinds;
mod layout;
mod ndjson;
mod parquet;
mod provider;
mod row_groups;
mod text;
mod widen;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use datafusion::arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::catalog::TableProvider;
use datafusion::common::{Column, DataFusionError};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::FileSource;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder};
use datafusion::object_store::ObjectStore;
use futures::stream::{self, StreamExt, TryStreamExt};
use jiff::tz::TimeZone;

pub(in crate::warehouse) use failure::FileFailure;
pub(in crate::warehouse) use parquet::NamedSource;
pub(in crate::warehouse) use row_groups::RowGroups;
pub(in crate::warehouse) use text::TextSource;

use super::misfits::Reading;
use super::{Opening, Source, TableFailure};
use crate::model::diagnostic::{Diagnostic, Located, Place};
use crate::project::{ColumnKind, FileFormat, Table};
use crate::storage::{self, FoundFile, Opened};
use crate::warehouse::error::{WarehouseError, plain_message};
use convert::Conversion;
use folders::{Folders, TableFiles};
use provider::{FilesTable, MakeSource};

/// A guess at the size of a row of text, from which joins choose their smaller side.
const TEXT_ROW_BYTES: u64 = 100;

/// So many files tell the columns of a table.
const LOOKED_AT: usize = 16;

/// Opens a table of files and says what they weigh.
pub(super) async fn open(
    table: &Table,
    format: FileFormat,
    location: &Located<String>,
    opening: &Opening<'_>,
) -> Result<Source, TableFailure> {
    let opened = storage::open(&location.value)
        .map_err(|error| Diagnostic::error("table-location", error.to_string(), &location.place))?;
    let store = storage::metered(Arc::clone(&opened.store), opening.meter);
    opening.state.runtime_env().register_object_store(&opened.root, Arc::clone(&store));
    let whole: Arc<[String]> = whole_columns(table).into();
    let Listed { files, columns, names, seen } = if format == FileFormat::Delta {
        delta::open(table, &opened, &store).await?
    } else {
        let (files, sample) = find(table, format, &opened).await?;
        let looks = looks(table, format, (opening, &store), (&sample, &whole)).await?;
        let seen = looks.iter().fold((0, 0), |(rows, bytes), look| (rows + look.rows, bytes + look.bytes));
        Listed { columns: columns(table, format, &looks), files, names: None, seen }
    };
    let weight = files.weight();
    let root = ObjectStoreUrl::parse(&opened.root).map_err(|error| wrong(table, &error))?;
    let conversion = Conversion {
        reading: Reading { table: table.name.as_str().into(), file: "".into(), weight, scan: 0 },
        misfits: opening.misfits.clone(),
        zone: table.zone.clone(),
    };
    let source = source_of(format, opening, store, whole);
    let provider = FilesTable { root, files, columns, conversion, scans: AtomicU64::new(0), source, seen };
    Ok((renamed(Arc::new(provider), names).map_err(|error| wrong(table, &error))?, weight))
}

/// The files of a table and its columns.
struct Listed {
    files: TableFiles,
    columns: TableSchema,
    /// What the table calls the columns of its files, in its order, where any differs.
    names: Option<Vec<(String, String)>>,
    /// Rows and bytes of the files that were looked at.
    seen: (u64, u64),
}

/// The columns of the files that tell those of the table.
async fn looks(
    table: &Table,
    format: FileFormat,
    (opening, store): (&Opening<'_>, &Arc<dyn ObjectStore>),
    (files, whole): (&[PartitionedFile], &[String]),
) -> Result<Vec<Look>, TableFailure> {
    let looks = files.iter().map(|file| look(format, opening, store.as_ref(), &file.object_meta, whole));
    let looks = stream::iter(looks.collect::<Vec<_>>()).buffered(LOOKED_AT).try_collect();
    looks.await.map_err(|error| failure(table, &error))
}

/// The relation under the table's own names.
fn renamed(
    files: Arc<dyn TableProvider>,
    names: Option<Vec<(String, String)>>,
) -> Result<Arc<dyn TableProvider>, DataFusionError> {
    let Some(names) = names else { return Ok(files) };
    let columns = names.into_iter().map(|(in_files, name)| Expr::Column(Column::from_name(in_files)).alias(name));
    let plan = LogicalPlanBuilder::scan("files", provider_as_source(files), None)?.project(columns)?.build()?;
    Ok(Arc::new(ViewTable::new(plan, None)))
}

/// How the scans of a format are made: one line per member of the family.
fn source_of(
    format: FileFormat,
    opening: &Opening<'_>,
    store: Arc<dyn ObjectStore>,
    whole: Arc<[String]>,
) -> MakeSource {
    let state = opening.state.clone();
    Box::new(move |columns, conversion| -> Arc<dyn FileSource> {
        match format {
            FileFormat::Parquet | FileFormat::Delta => {
                Arc::new(parquet::NamedSource::new(&state, &store, columns, conversion))
            }
            FileFormat::Csv | FileFormat::Ndjson => {
                Arc::new(text::TextSource::new(format, columns, Arc::clone(&whole), conversion))
            }
        }
    })
}

/// What one file tells of its table.
struct Look {
    columns: Schema,
    rows: u64,
    bytes: u64,
}

/// The columns of one file: one line per member of the family.
async fn look(
    format: FileFormat,
    opening: &Opening<'_>,
    store: &dyn ObjectStore,
    file: &FoundFile,
    whole: &[String],
) -> Result<Look, DataFusionError> {
    let (columns, rows) = match format {
        FileFormat::Parquet | FileFormat::Delta => parquet::columns(opening.state, store, file).await?,
        FileFormat::Csv | FileFormat::Ndjson => {
            (text::columns(format, store, file, whole).await?, file.size.div_ceil(TEXT_ROW_BYTES))
        }
    };
    Ok(Look { columns, rows, bytes: file.size })
}

/// What the names of a format's files end with, where the location is a folder.
fn endings(format: FileFormat) -> &'static [&'static str] {
    match format {
        FileFormat::Parquet | FileFormat::Delta => &[".parquet"],
        FileFormat::Csv => &[".csv", ".csv.gz"],
        FileFormat::Ndjson => &[".ndjson", ".jsonl", ".json", ".gz"],
    }
}

/// Finds the table's files, and some of them that tell its columns.
async fn find(
    table: &Table,
    format: FileFormat,
    opened: &Opened,
) -> Result<(TableFiles, Vec<PartitionedFile>), TableFailure> {
    let failed = |error| failure(table, &DataFusionError::ObjectStore(Box::new(error)));
    let mut found = None;
    if opened.is_remote() && opened.is_folder() && !table.partitions.is_empty() {
        found = opened.few_files().await.map_err(failed)?;
        if found.is_none()
            && let Some(folders) = Folders::find(table, endings(format), opened).await.map_err(failed)?
        {
            let sample = folders.sample().await.map_err(failed)?;
            if !sample.is_empty() {
                return Ok((TableFiles::InFolders(folders), looked_at(&sample)));
            }
        }
    }
    let found = match found {
        Some(found) => found,
        None => opened.files().await.map_err(failed)?,
    };
    let files = layout::placed(table, opened, of_format(table, format, opened, found)?)?;
    let sample = looked_at(&files);
    Ok((TableFiles::Listed(files), sample))
}

/// The files of a format; none is an error, since an empty table is more often a wrong path.
fn of_format(
    table: &Table,
    format: FileFormat,
    opened: &Opened,
    mut files: Vec<FoundFile>,
) -> Result<Vec<FoundFile>, Diagnostic> {
    if opened.is_folder() {
        files.retain(|file| endings(format).iter().any(|ending| file.location.as_ref().ends_with(ending)));
    }
    if files.is_empty() {
        let what = if opened.is_folder() { endings(format)[0] } else { "file" };
        let location = table.location().map_or("", |location| &location.value);
        let message = format!("there is no {what} of table `{}` at `{location}`", table.name);
        return Err(Diagnostic::error("table-missing", message, place_of(table))
            .with_help("check the path: it counts from the folder of milepost.yml"));
    }
    Ok(files)
}

/// The files that tell the columns: the first and last by path, the newest, and some between.
fn looked_at(files: &[PartitionedFile]) -> Vec<PartitionedFile> {
    if files.len() <= LOOKED_AT {
        return files.to_vec();
    }
    let each = LOOKED_AT / 4;
    let mut by_age: Vec<usize> = (0..files.len()).collect();
    by_age.sort_by_key(|at| std::cmp::Reverse(files[*at].object_meta.last_modified));
    let between = (1..=each).map(|step| step * files.len() / (each + 1));
    let chosen: BTreeSet<usize> =
        (0..each).chain(files.len() - each..files.len()).chain(between).chain(by_age.into_iter().take(each)).collect();
    chosen.into_iter().map(|at| files[at].clone()).collect()
}

/// Columns that are declared to stay whole.
fn whole_columns(table: &Table) -> Vec<String> {
    let whole = table.columns.iter().filter(|(_, kind)| *kind == ColumnKind::Json);
    whole.map(|(name, _)| name.value.clone()).collect()
}

/// The table's columns: what the files say, over it what the project says, and the folders' own at the end.
fn columns(table: &Table, format: FileFormat, looks: &[Look]) -> TableSchema {
    let folders = layout::columns(table);
    let mut columns = widen::widest_columns(looks.iter().map(|look| &look.columns));
    columns.retain(|column| folders.iter().all(|folder| folder.name() != column.name()));
    for column in &mut columns {
        let kind = settled(table, format, column);
        *column = column.clone().with_data_type(kind);
    }
    for (name, kind) in &table.columns {
        let kind = kinds::engine_type(*kind);
        match columns.iter_mut().find(|column| *column.name() == name.value) {
            Some(column) => *column = column.clone().with_data_type(kind),
            None => columns.push(Field::new(&name.value, kind, true)),
        }
    }
    let folders: Vec<_> = folders.into_iter().map(Arc::new).collect();
    TableSchema::builder(Arc::new(Schema::new(columns))).with_table_partition_cols(folders).build()
}

/// The type of a column where its files leave something open.
fn settled(table: &Table, format: FileFormat, column: &Field) -> DataType {
    let instant = || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let is_chronology = [&table.time, &table.received].into_iter().flatten().any(|time| time.value == *column.name());
    match column.data_type() {
        // Whatever wrote times as text meant times.
        DataType::Utf8 | DataType::Null if is_chronology => instant(),
        // Text that names an offset is no local time, so text becomes instants at once.
        DataType::Timestamp(..) if format == FileFormat::Csv && table.zone != TimeZone::UTC => instant(),
        kind => kind.clone(),
    }
}

fn wrong(table: &Table, error: &DataFusionError) -> Diagnostic {
    let message = format!("the files of table `{}` cannot be read: {}", table.name, plain_message(error));
    Diagnostic::error("table-unreadable", message, place_of(table))
}

fn failure(table: &Table, error: &DataFusionError) -> TableFailure {
    let away = match error.find_root() {
        DataFusionError::ObjectStore(said) => !storage::is_absent(said),
        _ => matches!(FileFailure::of(error), Some(FileFailure::Unreachable { .. })),
    };
    if away {
        return TableFailure::Unreachable(WarehouseError::from_engine(&format!("table `{}`", table.name), error));
    }
    wrong(table, error).into()
}

fn place_of(table: &Table) -> &Place {
    table.location().map_or(&table.place, |location| &location.place)
}
