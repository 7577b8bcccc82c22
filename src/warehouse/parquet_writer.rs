//! Every Parquet file that milepost writes: zstd, row groups of a bounded size, columns compressed on all cores.
//!
//! Guarantees: the same rows in the same batches give the same bytes, however many cores there are. Memory is bounded by
//! one row group and the rows that wait for the next pass over the columns.

use std::fs::File;
use std::sync::{Mutex, PoisonError};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{FieldRef, SchemaRef};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::arrow::arrow_writer::{
    ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves,
};
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::errors::Result;
use datafusion::parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};
use datafusion::parquet::file::writer::SerializedFileWriter;
use datafusion::parquet::schema::types::ColumnPath;

use super::threads::{cores, on_threads};

/// A writer keeps a row group in memory until it is whole.
const ROW_GROUP_BYTES: usize = 64 * 1024 * 1024;
const ROW_GROUP_ROWS: usize = 1024 * 1024;
/// Rows and bytes that wait until the columns are encoded: a pass costs some threads.
const WAITING_ROWS: usize = 16 * 1024;
const WAITING_BYTES: usize = 8 * 1024 * 1024;
/// Rows of a group in a temporary file: small enough that all threads have some to read.
const TEMPORARY_GROUP_BYTES: usize = 8 * 1024 * 1024;
/// Fewer values than this are encoded where they are.
const VALUES_PER_THREAD: usize = 16 * 1024;

/// A Parquet file under way.
pub(super) struct ParquetWriter {
    file: SerializedFileWriter<File>,
    factory: ArrowRowGroupWriterFactory,
    schema: SchemaRef,
    /// Of the row group under way; none before its first rows.
    columns: Vec<Column>,
    rows: usize,
    group_bytes: usize,
    waiting: Vec<RecordBatch>,
    waiting_rows: usize,
    waiting_bytes: usize,
}

/// A field of the row group under way: nested ones are several columns of the file.
struct Column {
    field: FieldRef,
    place: usize,
    leaves: Vec<ArrowColumnWriter>,
    closed: Vec<ArrowColumnChunk>,
}

impl Column {
    fn write(&mut self, batches: &[RecordBatch]) -> Result<()> {
        for batch in batches {
            let leaves = compute_leaves(&self.field, batch.column(self.place))?;
            self.leaves.iter_mut().zip(&leaves).try_for_each(|(writer, leaf)| writer.write(leaf))?;
        }
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        self.closed = self.leaves.drain(..).map(ArrowColumnWriter::close).collect::<Result<_>>()?;
        Ok(())
    }
}

impl ParquetWriter {
    /// Begins a file.
    ///
    /// # Errors
    /// When the columns have no Parquet type, or the file cannot be written.
    pub(super) fn new(file: File, schema: &SchemaRef) -> Result<Self> {
        let compression = Compression::ZSTD(ZstdLevel::try_new(3)?);
        Self::with(WriterProperties::builder().set_compression(compression), file, schema)
    }

    /// Begins a file that is read soon, by this process, and removed: nothing is compressed.
    ///
    /// # Errors
    /// As for [`ParquetWriter::new`].
    pub(super) fn temporary(file: File, schema: &SchemaRef) -> Result<Self> {
        let writer = Self::with(WriterProperties::builder().set_dictionary_enabled(false), file, schema)?;
        Ok(Self { group_bytes: TEMPORARY_GROUP_BYTES, ..writer })
    }

    fn with(mut properties: WriterPropertiesBuilder, file: File, schema: &SchemaRef) -> Result<Self> {
        // Sums and averages are nearly all different: a dictionary of them is built for nothing.
        for field in schema.fields().iter().filter(|field| field.data_type().is_floating()) {
            properties = properties.set_column_dictionary_enabled(ColumnPath::from(field.name().as_str()), false);
        }
        let writer = ArrowWriter::try_new(file, SchemaRef::clone(schema), Some(properties.build()))?;
        let (file, factory) = writer.into_serialized_writer()?;
        let schema = SchemaRef::clone(schema);
        Ok(Self {
            file,
            factory,
            schema,
            columns: Vec::new(),
            rows: 0,
            group_bytes: ROW_GROUP_BYTES,
            waiting: Vec::new(),
            waiting_rows: 0,
            waiting_bytes: 0,
        })
    }

    /// Adds rows.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        for begin in (0..batch.num_rows()).step_by(WAITING_ROWS) {
            let some = batch.slice(begin, WAITING_ROWS.min(batch.num_rows() - begin));
            if self.rows + self.waiting_rows + some.num_rows() > ROW_GROUP_ROWS {
                self.flush()?;
            }
            self.waiting_rows += some.num_rows();
            self.waiting_bytes += some.get_array_memory_size();
            self.waiting.push(some);
            if self.waiting_rows >= WAITING_ROWS || self.waiting_bytes >= WAITING_BYTES {
                self.encode(false)?;
            }
            if self.encoded_bytes() >= self.group_bytes {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// What the row group under way holds, in bytes of memory about.
    pub(super) fn in_progress_bytes(&self) -> usize {
        self.encoded_bytes() + self.waiting_bytes
    }

    fn encoded_bytes(&self) -> usize {
        let leaves = self.columns.iter().flat_map(|column| &column.leaves);
        leaves.map(ArrowColumnWriter::get_estimated_total_bytes).sum()
    }

    /// Ends the row group under way.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn flush(&mut self) -> Result<()> {
        if self.rows + self.waiting_rows == 0 {
            return Ok(());
        }
        self.encode(true)?;
        let mut group = self.file.next_row_group()?;
        for column in self.columns.drain(..) {
            for chunk in column.closed {
                chunk.append_to_row_group(&mut group)?;
            }
        }
        group.close()?;
        self.rows = 0;
        Ok(())
    }

    /// Ends the file and gives it back.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn finish(mut self) -> Result<File> {
        self.flush()?;
        self.file.into_inner()
    }

    /// Encodes what waits, each column on one thread; the last pass of a row group compresses the rest of them too.
    fn encode(&mut self, is_last: bool) -> Result<()> {
        if self.columns.is_empty() {
            self.begin_group()?;
        }
        let waiting = std::mem::take(&mut self.waiting);
        let values = self.waiting_rows * self.columns.len();
        let columns = Mutex::new(self.columns.iter_mut());
        let encode = || -> Result<()> {
            loop {
                let next = columns.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some(column) = next else { return Ok(()) };
                column.write(&waiting)?;
                if is_last {
                    column.close()?;
                }
            }
        };
        on_threads((values / VALUES_PER_THREAD).clamp(1, cores()), encode).into_iter().collect::<Result<()>>()?;
        self.rows += self.waiting_rows;
        (self.waiting_rows, self.waiting_bytes) = (0, 0);
        Ok(())
    }

    fn begin_group(&mut self) -> Result<()> {
        let mut writers = self.factory.create_column_writers(self.file.flushed_row_groups().len())?.into_iter();
        for (place, field) in self.schema.fields().iter().enumerate() {
            let nothing = datafusion::arrow::array::new_empty_array(field.data_type());
            let leaves = compute_leaves(field, &nothing)?.len();
            let leaves = writers.by_ref().take(leaves).collect();
            self.columns.push(Column { field: FieldRef::clone(field), place, leaves, closed: Vec::new() });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, Float64Array, Int64Array, ListBuilder, StringArray, StringBuilder};
    use datafusion::arrow::compute::concat_batches;
    use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use datafusion::parquet::file::metadata::RowGroupMetaData;

    use super::*;

    fn rows(from: i64, count: i64) -> RecordBatch {
        let mut lists = ListBuilder::new(StringBuilder::new());
        for row in from..from + count {
            (0..row % 3).for_each(|part| lists.values().append_value(format!("part {part} of {row}")));
            lists.append(row % 5 > 0);
        }
        let texts = (from..from + count).map(|row| (row % 7 > 0).then(|| format!("text {}", row * 7_919 % 10_007)));
        let columns: [(&str, ArrayRef); 4] = [
            ("number", Arc::new(Int64Array::from_iter_values(from..from + count))),
            ("share", Arc::new((from..from + count).map(|row| Some(row as f64 / 3.0)).collect::<Float64Array>())),
            ("text", Arc::new(texts.collect::<StringArray>())),
            ("list", Arc::new(lists.finish())),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).expect("rows")
    }

    fn written(batches: &[RecordBatch], group_bytes: usize) -> (RecordBatch, Vec<i64>) {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let schema = batches[0].schema();
        let writer = ParquetWriter::new(file.reopen().expect("a handle"), &schema).expect("a writer");
        let mut writer = ParquetWriter { group_bytes, ..writer };
        for batch in batches {
            writer.write(batch).expect("written");
        }
        writer.finish().expect("an end");
        let reader =
            ParquetRecordBatchReaderBuilder::try_new(file.reopen().expect("a handle")).expect("a Parquet file");
        let groups = reader.metadata().row_groups().iter().map(RowGroupMetaData::num_rows).collect();
        let read: Vec<_> = reader.build().expect("a reader").map(|batch| batch.expect("rows")).collect();
        (concat_batches(&schema, &read).expect("rows"), groups)
    }

    #[test]
    fn rows_come_back_in_order_however_they_are_cut() {
        let all = rows(0, 200_000);
        let cut = [all.slice(0, 1), all.slice(1, 0), all.slice(1, 99_999), all.slice(100_000, 100_000)];
        for batches in [vec![all.clone()], cut.to_vec()] {
            let (read, groups) = written(&batches, ROW_GROUP_BYTES);
            assert_eq!(read, all);
            assert_eq!(groups, [200_000]);
        }
        let (none, groups) = written(&[rows(0, 0)], ROW_GROUP_BYTES);
        assert_eq!((none.num_rows(), none.schema(), groups), (0, all.schema(), Vec::new()));
    }

    #[test]
    fn row_groups_are_bounded() {
        let some = rows(0, 100_000);
        let (read, groups) = written(&vec![some.clone(); 12], ROW_GROUP_BYTES);
        assert_eq!(read.num_rows(), 1_200_000);
        assert!(groups.iter().all(|rows| *rows <= 1024 * 1024) && groups.len() == 2, "{groups:?}");
        let (read, groups) = written(&vec![some; 12], 1 << 20);
        assert_eq!(read.num_rows(), 1_200_000);
        assert!(groups.len() > 4, "{groups:?}");
    }
}
