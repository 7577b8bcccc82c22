//! Tables made of files: each listed once at most, their columns known from a few of them, and read in one of the formats below.
//!
//! Guarantees: opening reads the ends or first rows of at most [`LOOKED_AT`] files, whatever their number; a file that
//! differs from those is read as the table's columns say. Nothing is remembered from one run to the next.

mod bytes_guard;
mod choose;
mod convert;
mod csv;
mod decompress;
mod delta;
mod drift;
mod early_filter;
mod epochs;
mod failure;
mod folders;
mod header;
mod json_digits;
mod json_kinds;
pub(super) mod kinds;
mod layout;
mod ndjson;
mod parquet;
mod provider;
mod quotes;
mod row_groups;
mod text;
mod text_kinds;
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
use crate::storage::{self, FoundFile, Listing, Opened, StorageError};
use crate::warehouse::error::{WarehouseError, plain_message};
use crate::warehouse::left_out::LeftOutFiles;
use crate::warehouse::values::instants::instant_type;
pub(super) use convert::finite;
use convert::{Conversion, Declared};
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
    let opened = storage::open(&location.value, opening.files).map_err(|error| not_opened(&error, &location.place))?;
    let store = storage::metered(Arc::clone(&opened.store), opening.meter);
    opening.state.runtime_env().register_object_store(&opened.root, Arc::clone(&store));
    let whole: Arc<[String]> = whole_columns(table).into();
    let Listed { files, columns, names, seen } = if format == FileFormat::Delta {
        delta::open(table, &opened, &store).await?
    } else {
        let (files, sample) = find(table, format, &opened, opening.left_out).await?;
        let looks = looks(table, format, (opening, &opened, &store), (&sample, &whole)).await?;
        epochs::refuse_numbers(table, &inferred(&looks))?;
        let seen = looks.iter().fold((0, 0), |(rows, bytes), look| (rows + look.rows, bytes + look.bytes));
        Listed { columns: columns(table, format, &looks), files, names: None, seen }
    };
    let weight = files.weight();
    let root = ObjectStoreUrl::parse(&opened.root).map_err(|error| wrong(table, &error))?;
    let conversion = Conversion {
        reading: Reading {
            table: table.name.as_str().into(),
            file: "".into(),
            root: opened.names_begin_with().into(),
            weight,
            scan: 0,
        },
        misfits: opening.misfits.clone(),
        zone: table.zone.clone(),
        declared: Arc::new(Declared::of(table)),
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
    (opening, opened, store): (&Opening<'_>, &Opened, &Arc<dyn ObjectStore>),
    (files, whole): (&[PartitionedFile], &[String]),
) -> Result<Vec<Look>, TableFailure> {
    let looks = files.iter().map(async |file| {
        let name = opened.whole_name(&file.object_meta.location);
        look(format, opening, store.as_ref(), (&name, &file.object_meta), whole).await
    });
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
    file: String,
    columns: Schema,
    rows: u64,
    bytes: u64,
}

/// The columns of one file: one line per member of the family.
async fn look(
    format: FileFormat,
    opening: &Opening<'_>,
    store: &dyn ObjectStore,
    (name, file): (&str, &FoundFile),
    whole: &[String],
) -> Result<Look, DataFusionError> {
    let (columns, rows) = match format {
        FileFormat::Parquet | FileFormat::Delta => parquet::columns(opening.state, store, (name, file)).await?,
        FileFormat::Csv | FileFormat::Ndjson => {
            (text::columns((format, name), store, file, whole).await?, file.size.div_ceil(TEXT_ROW_BYTES))
        }
    };
    Ok(Look { file: name.to_owned(), columns, rows, bytes: file.size })
}

/// Finds the table's files, and some of them that tell its columns.
async fn find(
    table: &Table,
    format: FileFormat,
    opened: &Opened,
    left_out: &LeftOutFiles,
) -> Result<(TableFiles, Vec<PartitionedFile>), TableFailure> {
    let failed = |error| failure(table, &DataFusionError::ObjectStore(Box::new(error)));
    let mut found = None;
    if opened.is_remote() && opened.is_folder() && !table.partitions.is_empty() {
        found = opened.few_files().await.map_err(failed)?;
        if found.is_none()
            && let Some(folders) = Folders::find((table, format), opened, left_out).await.map_err(failed)?
        {
            let sample = folders.sample().await.map_err(failed)?;
            if !sample.is_empty() {
                return Ok((TableFiles::InFolders(folders), looked_at(&sample)));
            }
        }
    }
    let found = match found {
        Some(files) => Listing { files, odd: Vec::new() },
        None => opened.files().await.map_err(failed)?,
    };
    let found = choose::of_format(table, format, opened, (found, left_out)).map_err(TableFailure::Wrong)?;
    let files = layout::placed(table, opened, found)?;
    let sample = looked_at(&files);
    Ok((TableFiles::Listed(files), sample))
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
    let mut columns = inferred(looks);
    columns.retain(|column| folders.iter().all(|folder| folder.name() != column.name()));
    for column in &mut columns {
        let kind = settled(table, format, column);
        if kind != *column.data_type() {
            *column = Field::new(column.name(), kind, true);
        }
    }
    for (name, kind) in &table.columns {
        let kind = kinds::engine_type(*kind);
        match columns.iter_mut().find(|column| *column.name() == name.value) {
            Some(column) => *column = Field::new(column.name(), kind, true),
            None => columns.push(Field::new(&name.value, kind, true)),
        }
    }
    let folders: Vec<_> = folders.into_iter().map(Arc::new).collect();
    TableSchema::builder(Arc::new(Schema::new(columns))).with_table_partition_cols(folders).build()
}

/// The columns of a table, as its files say.
fn inferred(looks: &[Look]) -> Vec<Field> {
    widen::widest_columns(looks.iter().map(|look| (look.file.as_str(), &look.columns)))
}

/// The type of a column where its files leave something open.
fn settled(table: &Table, format: FileFormat, column: &Field) -> DataType {
    let is_chronology = [&table.time, &table.received].into_iter().flatten().any(|time| time.value == *column.name());
    match column.data_type() {
        // Whatever wrote times as text meant times.
        DataType::Utf8 | DataType::Null if is_chronology => instant_type(),
        // Text that names an offset is no local time, so text becomes instants at once.
        DataType::Timestamp(..) if format == FileFormat::Csv && table.zone != TimeZone::UTC => instant_type(),
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        DataType::FixedSizeBinary(16) => DataType::Utf8,
        kind => kind.clone(),
    }
}

/// Why a location is not opened, as a finding where it is written.
pub(super) fn not_opened(error: &StorageError, place: &Place) -> Diagnostic {
    let help = match error {
        StorageError::Refused(refusal) => refusal.help().map(str::to_owned),
        _ => None,
    };
    Diagnostic::error("table-location", error.to_string(), place).with_optional_help(help)
}

fn wrong(table: &Table, error: &DataFusionError) -> Diagnostic {
    let message = format!("the files of table `{}` cannot be read: {}", table.name, plain_message(error));
    Diagnostic::error("table-unreadable", message, place_of(table))
}

fn failure(table: &Table, error: &DataFusionError) -> TableFailure {
    let away = match error.find_root() {
        DataFusionError::ObjectStore(said) => storage::refusal(said).is_none(),
        _ => FileFailure::of(error).is_some_and(FileFailure::may_pass),
    };
    if away {
        return TableFailure::Unreachable(WarehouseError::from_engine(&format!("table `{}`", table.name), error));
    }
    wrong(table, error).into()
}

fn place_of(table: &Table) -> &Place {
    table.location().map_or(&table.place, |location| &location.place)
}
