//! Refuses to read bytes as text: the engine takes a file's bytes for text where the table has text, and does not look
//! whether they are.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::common::Result;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::parquet::arrow::arrow_reader::ArrowReaderOptions;
use datafusion::parquet::arrow::async_reader::AsyncFileReader;
use datafusion::parquet::basic::{ConvertedType, LogicalType, Type};
use datafusion::parquet::errors::{ParquetError, Result as ParquetResult};
use datafusion::parquet::file::metadata::ParquetMetaData;
use datafusion::parquet::schema::types::ColumnDescriptor;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt;
use futures::future::BoxFuture;

use super::decompress::HEAD_BYTES;
use super::failure::FileFailure;
use super::parquet::{by_ends, tail};

/// Readers that look at a file's types before its rows are read.
#[derive(Debug)]
pub(super) struct GuardedReaders {
    pub(super) readers: CachedParquetFileReaderFactory,
    /// Columns that are read, and that are text in the table.
    pub(super) texts: Arc<BTreeSet<String>>,
    /// What the names of files begin with in their store.
    pub(super) root: Arc<str>,
}

impl ParquetFileReaderFactory for GuardedReaders {
    fn create_reader(
        &self,
        partition: usize,
        file: PartitionedFile,
        size_hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        let name = format!("{}{}", self.root, file.object_meta.location);
        let size = file.object_meta.size;
        let inner = self.readers.create_reader(partition, file, size_hint, metrics)?;
        Ok(Box::new(Guarded { inner, name, size, texts: Arc::clone(&self.texts) }))
    }
}

struct Guarded {
    inner: Box<dyn AsyncFileReader + Send>,
    name: String,
    size: u64,
    texts: Arc<BTreeSet<String>>,
}

impl AsyncFileReader for Guarded {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        self.inner.get_bytes(range)
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        self.inner.get_byte_ranges(ranges)
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        async move {
            let metadata = match self.inner.get_metadata(options).await {
                Ok(metadata) => metadata,
                Err(error @ ParquetError::External(_)) => return Err(error),
                Err(error) => {
                    let head = self.inner.get_bytes(0..self.size.min(HEAD_BYTES)).await?;
                    let tail = self.inner.get_bytes(tail(self.size)).await?;
                    let failure = by_ends(&self.name, (&head, &tail), &error.to_string());
                    return Err(ParquetError::External(Box::new(failure)));
                }
            };
            let columns = metadata.file_metadata().schema_descr();
            let bytes = columns.columns().iter().find(|column| is_bytes(column, &self.texts));
            match bytes {
                None => Ok(metadata),
                Some(column) => Err(ParquetError::External(Box::new(FileFailure::Nested {
                    file: self.name.clone(),
                    column: column.name().to_owned(),
                    found: "bytes".to_owned(),
                    expected: "text".to_owned(),
                }))),
            }
        }
        .boxed()
    }
}

fn is_bytes(column: &ColumnDescriptor, texts: &BTreeSet<String>) -> bool {
    let is_text = matches!(column.converted_type(), ConvertedType::UTF8 | ConvertedType::ENUM | ConvertedType::JSON)
        || matches!(column.logical_type_ref(), Some(LogicalType::String | LogicalType::Enum | LogicalType::Json));
    column.physical_type() == Type::BYTE_ARRAY
        && column.converted_type() != ConvertedType::DECIMAL
        && !is_text
        && column.path().parts().len() == 1
        && texts.contains(column.name())
}
