//! Delta Lake tables: the files and columns of the latest version, as the table's log says. The rows are read like those of
//! any Parquet file.
//!
//! Own code rather than a library: the one there is brings a second HTTP client and a second TLS stack.

mod columns;
mod log;

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use datafusion::arrow::datatypes::{Field, Schema};
use datafusion::arrow::json::LineDelimitedWriter;
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::object_store::path::Path;
use datafusion::object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use datafusion::parquet::arrow::ProjectionMask;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use datafusion::parquet::errors::ParquetError;
use futures::stream::{self, StreamExt, TryStreamExt};

use super::failure::FileFailure;
use super::folders::TableFiles;
use super::parquet::{by_ends, tail};
use super::{Listed, TableFailure, epochs, kinds};
use crate::model::diagnostic::Diagnostic;
use crate::project::Table;
use crate::storage::{Opened, is_absent, refusal};
use crate::warehouse::error::WarehouseError;
use crate::warehouse::type_words::type_words;
use columns::Columns;
use log::{Add, Snapshot};

/// Commits that are fetched at once.
const COMMITS_AT_ONCE: usize = 16;
/// About what a row takes, where no writer counted rows.
const ROW_BYTES: u64 = 32;
/// What of a checkpoint is read.
const CHECKPOINT_COLUMNS: [&str; 12] = [
    "add.path",
    "add.partitionValues",
    "add.size",
    "add.modificationTime",
    "add.deletionVector",
    "add.stats",
    "remove.path",
    "metaData.schemaString",
    "metaData.partitionColumns",
    "metaData.configuration",
    "protocol",
    "sidecar.path",
];

/// The files of the latest version with the values of their partitions, and the columns.
pub(super) async fn open(table: &Table, opened: &Opened, store: &Arc<dyn ObjectStore>) -> Result<Listed, TableFailure> {
    let snapshot = replay(opened, store).await.map_err(|failure| failure.of(table))?;
    let refused = |reason: String| Failure::Refused(reason).of(table);
    let (added, metadata) = snapshot.finish().map_err(refused)?;
    let columns = Columns::of(table, &metadata).map_err(refused)?;
    let found = table.columns.iter().filter_map(|(name, _)| {
        let column = columns.in_files.iter().find(|column| column.name() == columns.in_file(&name.value))?;
        Some(Field::new(&name.value, column.data_type().clone(), true))
    });
    epochs::refuse_numbers(table, &found.collect::<Vec<_>>())?;
    let counted = added.iter().filter_map(|add| Some((add.rows()?, add.size)));
    let (rows, bytes) = counted.fold((0, 0), |(rows, bytes), (more, size)| (rows + more, bytes + size));
    let seen = if bytes > 0 { (rows, bytes) } else { (1, ROW_BYTES) };
    let placed = added.iter().map(|add| placed(opened, add, &columns));
    let mut files = placed.collect::<Result<Vec<_>, String>>().map_err(refused)?;
    files.sort_unstable_by(|left, right| left.object_meta.location.cmp(&right.object_meta.location));
    Ok(Listed { files: TableFiles::Listed(files), columns: declared(table, &columns), names: columns.names, seen })
}

/// The columns with the types that the project declares over the log's.
fn declared(table: &Table, columns: &Columns) -> TableSchema {
    let mut in_files = columns.in_files.clone();
    for (name, kind) in &table.columns {
        let in_file = columns.in_file(&name.value);
        if let Some(column) = in_files.iter_mut().find(|column| column.name() == in_file) {
            *column = Field::new(column.name(), kinds::engine_type(*kind), true);
        }
    }
    let folders: Vec<_> = columns.folders.iter().cloned().map(Arc::new).collect();
    TableSchema::builder(Arc::new(Schema::new(in_files))).with_table_partition_cols(folders).build()
}

/// Why there is no version to read.
enum Failure {
    /// The log says something that stops a reader.
    Refused(String),
    /// The store does.
    Store(datafusion::object_store::Error),
    /// A file of the log is not whole yet, or not there any more.
    File(FileFailure),
}

impl Failure {
    fn of(self, table: &Table) -> TableFailure {
        let reason = match self {
            Self::File(failure) if failure.may_pass() => {
                let reason = format!("table `{}`: {failure}", table.name);
                return TableFailure::Unreachable(WarehouseError::Unavailable { reason });
            }
            Self::File(failure) => failure.to_string(),
            Self::Store(error) if refusal(&error).is_none() => {
                let error = DataFusionError::ObjectStore(Box::new(error));
                return TableFailure::Unreachable(WarehouseError::from_engine(
                    &format!("table `{}`", table.name),
                    &error,
                ));
            }
            Self::Store(error) => error.to_string(),
            Self::Refused(reason) => reason,
        };
        let message = format!("the Delta table `{}` cannot be read: {reason}", table.name);
        Diagnostic::error("delta-unreadable", message, super::place_of(table)).into()
    }
}

async fn replay(opened: &Opened, store: &Arc<dyn ObjectStore>) -> Result<Snapshot, Failure> {
    let folder = opened.prefix().join("_delta_log");
    let listed: Result<Vec<ObjectMeta>, _> = store.list(Some(&folder)).try_collect().await;
    let listed = match listed {
        Err(error) if is_absent(&error) => Vec::new(),
        listed => listed.map_err(Failure::Store)?,
    };
    if listed.is_empty() {
        return Err(Failure::Refused("there is no folder `_delta_log` in it".to_owned()));
    }
    let names = listed.iter().filter_map(|file| file.location.filename().map(str::to_owned));
    let parts = log::parts(names).map_err(Failure::Refused)?;
    let mut snapshot = Snapshot::default();
    for name in &parts.checkpoint {
        let (file, name) = fetch(opened, store, folder.clone().join(name.as_str())).await?;
        let end = tail(file.len() as u64);
        let ends = (&file[..], &file[usize::try_from(end.start).unwrap_or_default()..]);
        let checkpoint = ParquetRecordBatchReaderBuilder::try_new(file.clone())
            .map_err(|error| Failure::File(by_ends(&name, ends, &error.to_string())))?;
        let lines = lines_of(checkpoint).map_err(|error| Failure::Refused(format!("{name}: {error}")))?;
        snapshot.take(&lines).map_err(|reason| Failure::Refused(format!("{name}: {reason}")))?;
    }
    let commits = stream::iter(parts.commits.into_iter().map(|name| {
        let location = folder.clone().join(name.as_str());
        async move { fetch(opened, store, location).await }
    }));
    let mut commits = commits.buffered(COMMITS_AT_ONCE);
    while let Some((lines, name)) = commits.try_next().await? {
        if is_cut_short(&lines) {
            let reason = "it ends within a line of the log".to_owned();
            return Err(Failure::File(FileFailure::CutShort { file: name, reason }));
        }
        snapshot.take(&lines).map_err(|reason| Failure::Refused(format!("{name}: {reason}")))?;
    }
    Ok(snapshot)
}

/// A file of the log, and its whole name.
async fn fetch(opened: &Opened, store: &Arc<dyn ObjectStore>, location: Path) -> Result<(Bytes, String), Failure> {
    let name = opened.whole_name(&location);
    let failed = |error| FileFailure::of_store(&name, &error).map_or(Failure::Store(error), Failure::File);
    let bytes = store.get(&location).await.map_err(failed)?.bytes().await.map_err(failed)?;
    Ok((bytes, name))
}

/// Whether a commit ends within its last line, or holds none: it has at least one when it is whole.
fn is_cut_short(commit: &[u8]) -> bool {
    let last = commit.split(|byte| *byte == b'\n').rfind(|line| !line.trim_ascii().is_empty());
    last.is_none_or(|last| serde_json::from_slice::<serde::de::IgnoredAny>(last).is_err_and(|error| error.is_eof()))
}

/// The rows of a checkpoint as the lines that they would be in commits.
fn lines_of(builder: ParquetRecordBatchReaderBuilder<Bytes>) -> Result<Vec<u8>, ParquetError> {
    let mask = ProjectionMask::columns(builder.parquet_schema(), CHECKPOINT_COLUMNS);
    let mut lines = LineDelimitedWriter::new(Vec::new());
    for batch in builder.with_projection(mask).build()? {
        lines.write(&batch?)?;
    }
    lines.finish()?;
    Ok(lines.into_inner())
}

/// A data file as the engine reads it.
fn placed(opened: &Opened, add: &Add, columns: &Columns) -> Result<PartitionedFile, String> {
    if add.path.contains("://") || add.path.starts_with('/') {
        return Err(format!("the file `{}` lies outside the table, as those of a shallow clone do", add.path));
    }
    let below = format!("{}/{}", opened.base.path().trim_end_matches('/'), add.path);
    let location = Path::from_url_path(below).map_err(|error| error.to_string())?;
    let last_modified = UNIX_EPOCH + Duration::from_millis(add.modification_time.unsigned_abs());
    let values = columns.folders.iter().zip(&columns.folder_names).map(|(field, name)| {
        let written = add.partition_values.get(name).cloned().flatten().filter(|text| !text.is_empty());
        let Some(text) = written else {
            return ScalarValue::try_from(field.data_type()).map_err(|error| error.to_string());
        };
        let wrong =
            |_| format!("the partition `{name}={text}` of `{}` is not {}", add.path, type_words(field.data_type()));
        ScalarValue::try_from_string(text.clone(), field.data_type()).map_err(wrong)
    });
    let values = values.collect::<Result<Vec<_>, String>>()?;
    let file = ObjectMeta { location, last_modified: last_modified.into(), size: add.size, e_tag: None, version: None };
    Ok(PartitionedFile::new_from_meta(file).with_partition_values(values))
}
