//! Rows as files and text: Parquet, CSV and JSON files, here or in an object store, appear whole or not at all.

mod spreadsheet;

use std::io::Write;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::arrow;
use futures::TryStreamExt;
use serde_json::{Map, Value};

use super::error::WarehouseError;
use super::parquet_writer::ParquetWriter;
use super::session::RowStream;
use super::value;
use crate::storage::{self, SetWriter, TemporaryFile, TemporaryFolder};

/// A terminal shows at most this many rows; files hold all.
const TEXT_ROWS_MAX: usize = 10_000;

/// Where rows go, and in which format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableFile(Target);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    File { format: FileFormat, location: String },
    Set { location: String },
    JsonText,
    Text,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FileFormat {
    Parquet,
    Csv,
    Json,
}

impl TableFile {
    /// A file in the format its name ends in (`.parquet`, `.csv` or `.json`), or a folder of Parquet files, whose name
    /// ends in `/`; each a path of this machine or a URL.
    ///
    /// # Errors
    /// When the name ends in anything else.
    pub fn at(location: &str) -> Result<Self, WarehouseError> {
        let location = location.to_owned();
        if location.ends_with('/') {
            return Ok(Self(Target::Set { location }));
        }
        let extension =
            Path::new(&location).extension().and_then(|extension| extension.to_str()).map(str::to_lowercase);
        let format = match extension.as_deref() {
            Some("parquet") => FileFormat::Parquet,
            Some("csv") => FileFormat::Csv,
            Some("json") => FileFormat::Json,
            _ => {
                let reason = "its name must end in .parquet, .csv or .json, or in / for a folder of Parquet files";
                return Err(WarehouseError::Output { path: location, reason: reason.to_owned() });
            }
        };
        Ok(Self(Target::File { format, location }))
    }

    /// A JSON document as text: a list of objects.
    #[must_use]
    pub fn json_text() -> Self {
        Self(Target::JsonText)
    }

    /// A table for people.
    #[must_use]
    pub fn text() -> Self {
        Self(Target::Text)
    }
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenTable {
    /// The file or folder; `None` for text.
    pub file: Option<String>,
    /// The number of rows.
    pub rows: u64,
    /// The text; empty for a file.
    pub text: String,
}

/// Rows with their columns, ready to be written.
pub struct TableRows {
    /// The columns.
    pub schema: SchemaRef,
    /// The rows.
    pub rows: RowStream,
    /// The column whose values have a folder each, where the rows become a folder of files.
    pub partitioned_by: Option<&'static str>,
}

impl TableRows {
    /// Writes all rows.
    ///
    /// # Errors
    /// When the rows cannot be computed or the file cannot be written; then no file is left behind.
    pub async fn write(self, file: TableFile) -> Result<WrittenTable, WarehouseError> {
        match file.0 {
            Target::File { format, location } => self.write_file(format, location).await,
            Target::Set { location } => {
                let mut set = SetWriter::begin(&location).await?;
                let rows = self.write_set(&mut set).await?;
                set.commit(Value::Object(Map::new())).await?;
                Ok(WrittenTable { file: Some(location), rows, text: String::new() })
            }
            Target::JsonText => self.write_json_text().await,
            Target::Text => self.write_text().await,
        }
    }

    async fn write_file(mut self, format: FileFormat, location: String) -> Result<WrittenTable, WarehouseError> {
        let elsewhere = location.contains("://").then(TemporaryFolder::new).transpose();
        let elsewhere = elsewhere.map_err(|error| WarehouseError::Output {
            path: "the temporary folder".to_owned(),
            reason: error.to_string(),
        })?;
        let path = elsewhere.as_ref().map_or_else(|| PathBuf::from(&location), |folder| folder.path().join("rows"));
        let file = Unfinished::create(&path)?;
        let make: MakeSink = match format {
            FileFormat::Parquet => parquet_sink,
            FileFormat::Csv => csv_sink,
            FileFormat::Json => json_sink,
        };
        let mut sink = make(file.writer()?, &self.schema).map_err(|reason| file.failed(reason))?;
        let mut rows = 0;
        while let Some(batch) = self.rows.try_next().await? {
            rows += batch.num_rows() as u64;
            sink.write(&batch).map_err(|reason| file.failed(reason))?;
        }
        sink.finish().map_err(|reason| file.failed(reason))?;
        file.persist()?;
        if elsewhere.is_some() {
            storage::write_file(&path, &location).await?;
        }
        Ok(WrittenTable { file: Some(location), rows, text: String::new() })
    }

    async fn write_json_text(mut self) -> Result<WrittenTable, WarehouseError> {
        let mut objects = Vec::new();
        while let Some(batch) = self.rows.try_next().await? {
            objects.extend(objects_of(&batch));
        }
        let rows = objects.len() as u64;
        Ok(WrittenTable { file: None, rows, text: format!("{:#}\n", Value::Array(objects)) })
    }

    async fn write_text(mut self) -> Result<WrittenTable, WarehouseError> {
        let mut lines: Vec<Vec<String>> = vec![self.schema.fields().iter().map(|field| field.name().clone()).collect()];
        let mut rows = 0;
        while let Some(batch) = self.rows.try_next().await? {
            rows += batch.num_rows() as u64;
            let left = (TEXT_ROWS_MAX + 1).saturating_sub(lines.len()).min(batch.num_rows());
            lines.extend((0..left).map(|row| batch.columns().iter().map(|column| shown(column, row)).collect()));
        }
        let mut text = aligned(&lines);
        let left_out = rows + 1 - lines.len() as u64;
        if left_out > 0 {
            text += &format!("... and {left_out} more rows; --output F.csv writes them all\n");
        }
        Ok(WrittenTable { file: None, rows, text })
    }
}

fn shown(column: &arrow::array::ArrayRef, row: usize) -> String {
    match value::json(column, row) {
        Value::Null => String::new(),
        Value::String(text) => {
            let escaped =
                |letter: char| if letter.is_control() { letter.escape_default().to_string() } else { letter.into() };
            text.chars().map(escaped).collect()
        }
        other => other.to_string(),
    }
}

fn aligned(lines: &[Vec<String>]) -> String {
    let mut widths = vec![0; lines.first().map_or(0, Vec::len)];
    for line in lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for line in lines {
        let cells: Vec<String> = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text += cells.join("  ").trim_end();
        text.push('\n');
    }
    text
}

fn objects_of(batch: &RecordBatch) -> Vec<Value> {
    let schema = batch.schema();
    let object = |row| {
        let cells = schema.fields().iter().zip(batch.columns());
        Value::Object(
            cells.map(|(field, column)| (field.name().clone(), value::json(column, row))).collect::<Map<_, _>>(),
        )
    };
    (0..batch.num_rows()).map(object).collect()
}

/// A file under a passing name; dropped before it gets its own, it is gone.
pub(super) struct Unfinished {
    file: TemporaryFile,
    path: PathBuf,
}

impl Unfinished {
    /// Begins a file beside where it will be.
    pub(super) fn create(path: &Path) -> Result<Self, WarehouseError> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let failed = |error: std::io::Error| WarehouseError::Output {
            path: path.display().to_string(),
            reason: error.to_string(),
        };
        Ok(Self { file: TemporaryFile::within(folder).map_err(failed)?, path: path.to_owned() })
    }

    /// A handle to write to.
    pub(super) fn writer(&self) -> Result<std::fs::File, WarehouseError> {
        self.file.reopen().map_err(|error| self.failed(error.to_string()))
    }

    /// Says why the file could not be written.
    pub(super) fn failed(&self, reason: String) -> WarehouseError {
        WarehouseError::Output { path: self.path.display().to_string(), reason }
    }

    /// Gives the file its own name, once every byte of it is on the disk.
    pub(super) fn persist(self) -> Result<(), WarehouseError> {
        let Self { file, path } = self;
        let failed = |error: std::io::Error| WarehouseError::Output {
            path: path.display().to_string(),
            reason: error.to_string(),
        };
        file.as_file().sync_all().map_err(failed)?;
        file.persist(&path).map_err(failed)
    }
}

/// One file format's writer; errors are the reason in words.
pub(super) trait Sink {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), String>;
    fn finish(self: Box<Self>) -> Result<(), String>;
}

/// How a sink is made for an open file.
type MakeSink = fn(std::fs::File, &SchemaRef) -> Result<Box<dyn Sink + Send>, String>;

pub(super) fn parquet_sink(file: std::fs::File, schema: &SchemaRef) -> Result<Box<dyn Sink + Send>, String> {
    let writer = ParquetWriter::new(file, schema).map_err(|error| error.to_string())?;
    Ok(Box::new(ParquetSink(writer)))
}

struct ParquetSink(ParquetWriter);

impl Sink for ParquetSink {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), String> {
        self.0.write(batch).map_err(|error| error.to_string())
    }

    fn finish(self: Box<Self>) -> Result<(), String> {
        self.0.finish().map(drop).map_err(|error| error.to_string())
    }
}

fn csv_sink(file: std::fs::File, schema: &SchemaRef) -> Result<Box<dyn Sink + Send>, String> {
    let writer = arrow::csv::WriterBuilder::new().with_header(true).build(std::io::BufWriter::new(file));
    // An empty batch writes the header, so that a table without rows is still a table.
    let mut sink = CsvSink(writer);
    sink.write(&RecordBatch::new_empty(SchemaRef::clone(schema)))?;
    Ok(Box::new(sink))
}

struct CsvSink(arrow::csv::Writer<std::io::BufWriter<std::fs::File>>);

impl Sink for CsvSink {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), String> {
        spreadsheet::harmless(batch).and_then(|batch| self.0.write(&batch)).map_err(|error| error.to_string())
    }

    fn finish(self: Box<Self>) -> Result<(), String> {
        self.0.into_inner().flush().map_err(|error| error.to_string())
    }
}

#[expect(clippy::unnecessary_wraps, reason = "one signature for every format")]
fn json_sink(file: std::fs::File, _schema: &SchemaRef) -> Result<Box<dyn Sink + Send>, String> {
    Ok(Box::new(JsonSink { file: std::io::BufWriter::new(file), is_first: true }))
}

struct JsonSink {
    file: std::io::BufWriter<std::fs::File>,
    is_first: bool,
}

impl Sink for JsonSink {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), String> {
        for object in objects_of(batch) {
            let before = if self.is_first { "[\n" } else { ",\n" };
            self.is_first = false;
            write!(self.file, "{before}{object}").map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), String> {
        let end = if self.is_first { "[]\n" } else { "\n]\n" };
        self.file.write_all(end.as_bytes()).and_then(|()| self.file.flush()).map_err(|error| error.to_string())
    }
}
