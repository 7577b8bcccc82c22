//! Rows as a set of Parquet files, one per value of a column. Memory is bounded by what open row groups may hold, not by
//! the rows.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::arrow;
use futures::TryStreamExt;

use super::error::WarehouseError;
use super::output::TableRows;
use super::parquet_writer::ParquetWriter;
use super::value;
use crate::storage::{SetWriter, partition_folder};

/// What the row groups under way of all partitions may hold together.
const OPEN_BYTES_MAX: usize = 256 * 1024 * 1024;

impl TableRows {
    /// Adds all rows to a set, in a folder per value of [`TableRows::partitioned_by`]; that column is in the folders'
    /// names and no longer in the files. Rows of a partition keep their order. Returns their number.
    ///
    /// # Errors
    /// When the rows cannot be computed, or a file cannot be written or uploaded.
    pub async fn write_set(mut self, set: &mut SetWriter) -> Result<u64, WarehouseError> {
        let key = self.partitioned_by.and_then(|name| Some((name, self.schema.index_of(name).ok()?)));
        let mut parts = Parts::new(&self.schema, key);
        if key.is_none() {
            // A table without rows is still a table.
            parts.open(set, "")?;
        }
        while let Some(batch) = self.rows.try_next().await? {
            parts.write(set, &batch)?;
        }
        parts.finish(set).await
    }
}

/// The files under way.
struct Parts<'a> {
    key: Option<(&'a str, usize)>,
    columns: Vec<usize>,
    schema: SchemaRef,
    open: BTreeMap<String, Part>,
}

struct Part {
    path: PathBuf,
    writer: ParquetWriter,
    rows: u64,
}

impl Part {
    fn failed(&self, reason: &impl ToString) -> WarehouseError {
        WarehouseError::Output { path: self.path.display().to_string(), reason: reason.to_string() }
    }
}

impl<'a> Parts<'a> {
    fn new(schema: &SchemaRef, key: Option<(&'a str, usize)>) -> Self {
        let columns: Vec<usize> =
            (0..schema.fields().len()).filter(|at| key.is_none_or(|(_, column)| column != *at)).collect();
        let fields: Vec<_> = columns.iter().map(|at| schema.fields()[*at].clone()).collect();
        Self { key, columns, schema: std::sync::Arc::new(Schema::new(fields)), open: BTreeMap::new() }
    }

    fn open(&mut self, set: &SetWriter, partition: &str) -> Result<&mut Part, WarehouseError> {
        if !self.open.contains_key(partition) {
            let path = set.file(partition)?;
            let failed = |reason: String| WarehouseError::Output { path: path.display().to_string(), reason };
            let file = File::create(&path).map_err(|error| failed(error.to_string()))?;
            let writer = ParquetWriter::new(file, &self.schema).map_err(|error| failed(error.to_string()))?;
            self.open.insert(partition.to_owned(), Part { path, writer, rows: 0 });
        }
        Ok(self.open.get_mut(partition).expect("the partition was just opened"))
    }

    fn write(&mut self, set: &SetWriter, batch: &RecordBatch) -> Result<(), WarehouseError> {
        let mut rows_of: BTreeMap<String, Vec<u32>> = BTreeMap::new();
        for row in 0..batch.num_rows() {
            let partition = self.key.map_or_else(String::new, |(name, column)| {
                partition_folder(name, &value::text(batch.column(column), row).unwrap_or_default())
            });
            rows_of.entry(partition).or_default().push(u32::try_from(row).unwrap_or(u32::MAX));
        }
        let columns = self.columns.clone();
        for (partition, rows) in rows_of {
            let part = self.open(set, &partition)?;
            let taken = batch
                .project(&columns)
                .and_then(|columns| arrow::compute::take_record_batch(&columns, &UInt32Array::from(rows)))
                .map_err(|error| part.failed(&error))?;
            part.rows += taken.num_rows() as u64;
            part.writer.write(&taken).map_err(|error| part.failed(&error))?;
        }
        self.make_room()
    }

    /// Writes the greatest row group when all of them hold too much.
    fn make_room(&mut self) -> Result<(), WarehouseError> {
        let held: usize = self.open.values().map(|part| part.writer.in_progress_bytes()).sum();
        if held <= OPEN_BYTES_MAX {
            return Ok(());
        }
        let greatest = self.open.values_mut().max_by_key(|part| part.writer.in_progress_bytes());
        match greatest {
            Some(part) => part.writer.flush().map_err(|error| part.failed(&error)),
            None => Ok(()),
        }
    }

    async fn finish(self, set: &mut SetWriter) -> Result<u64, WarehouseError> {
        let mut written = 0;
        for (partition, part) in self.open {
            let Part { path, writer, rows } = part;
            let failed = |reason: String| WarehouseError::Output { path: path.display().to_string(), reason };
            let file = writer.finish().map_err(|error| failed(error.to_string()))?;
            file.sync_all().map_err(|error| failed(error.to_string()))?;
            drop(file);
            set.add(&partition, rows).await?;
            written += rows;
        }
        Ok(written)
    }
}
