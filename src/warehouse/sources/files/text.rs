//! Files of text, line by line.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::Result;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileOpenFuture, FileOpener, FileScanConfig, FileSource};
use datafusion::datasource::projection::{ProjectionOpener, SplitProjection};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::object_store::ObjectStore;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_plan::apply_expression_roots;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};

use super::convert::Conversion;
use super::decompress::decompressed;
use super::failure::FileFailure;
use super::{csv, json_kinds, ndjson};
use crate::project::FileFormat;
use crate::storage::FoundFile;
use crate::warehouse::sources::misfits::Reading;

/// How much of a file is looked at for its columns, decompressed; more where it holds no whole row, up to a bound.
const LOOK_BYTES: usize = 1 << 20;
const LOOK_BYTES_MAX: usize = 1 << 26;

/// Rows that are not yet a batch.
const BATCH_ROWS: usize = 8192;

/// The mark that some programs put before UTF-8.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A format of text: what makes rows of bytes.
pub(super) trait Rows: Send {
    /// Takes the next bytes of the file.
    fn push(&mut self, bytes: &[u8]) -> Result<()>;

    /// The file has ended.
    fn finish(&mut self) -> Result<()>;

    /// Rows that are whole; `None` when more bytes are needed. All that is left comes after `finish`.
    fn batch(&mut self) -> Result<Option<RecordBatch>>;
}

/// The columns of one file, by its first rows.
pub(super) async fn columns(
    (format, name): (FileFormat, &str),
    store: &dyn ObjectStore,
    file: &FoundFile,
    whole: &[String],
) -> Result<Schema> {
    let mut bytes = decompressed((name, kind_of(format)), store, file).await?;
    let mut head: Vec<u8> = Vec::new();
    while let Some(block) = bytes.try_next().await? {
        head.extend_from_slice(&block);
        if head.len() >= LOOK_BYTES && (has_row(&head) || head.len() >= LOOK_BYTES_MAX) {
            break;
        }
    }
    let is_cut = head.len() >= LOOK_BYTES;
    if is_cut && !has_row(&head) {
        let reason = format!("its first {} MB hold no whole row", head.len() >> 20);
        return Err(FileFailure::Damaged { file: name.to_owned(), format: kind_of(format), reason }.into());
    }
    if is_cut {
        // What follows the last line's end may be half a line.
        let end = head.iter().rposition(|byte| *byte == b'\n').map_or(head.len(), |at| at + 1);
        head.truncate(end);
    }
    match format {
        FileFormat::Ndjson => json_kinds::columns(name, &head, whole),
        _ => csv::columns(name, &head, is_cut),
    }
}

/// Whether there is the end of a line after the end of a line, which may be that of the header.
fn has_row(head: &[u8]) -> bool {
    head.iter().filter(|byte| **byte == b'\n').nth(1).is_some()
}

fn kind_of(format: FileFormat) -> &'static str {
    match format {
        FileFormat::Ndjson => "NDJSON file",
        _ => "CSV file",
    }
}

/// A scan of text files.
#[derive(Clone)]
pub(in crate::warehouse) struct TextSource {
    format: FileFormat,
    /// Objects that stay whole, as JSON text.
    whole: Arc<[String]>,
    columns: TableSchema,
    projection: SplitProjection,
    metrics: ExecutionPlanMetricsSet,
    conversion: Conversion,
}

impl TextSource {
    pub(super) fn new(format: FileFormat, columns: TableSchema, whole: Arc<[String]>, conversion: Conversion) -> Self {
        let projection = SplitProjection::unprojected(&columns);
        Self { format, whole, columns, projection, metrics: ExecutionPlanMetricsSet::new(), conversion }
    }

    /// The table that is read, as far as it is known before a file is.
    pub(in crate::warehouse) fn reading(&self) -> &Reading {
        &self.conversion.reading
    }
}

impl FileSource for TextSource {
    fn create_file_opener(
        &self,
        store: Arc<dyn ObjectStore>,
        _config: &FileScanConfig,
        _partition: usize,
    ) -> Result<Arc<dyn FileOpener>> {
        let columns = Arc::new(self.columns.file_schema().project(&self.projection.file_indices)?);
        let opener = TextOpener { source: self.clone(), columns, store };
        ProjectionOpener::try_new(self.projection.clone(), Arc::new(opener), self.columns.file_schema())
    }

    fn table_schema(&self) -> &TableSchema {
        &self.columns
    }

    fn with_batch_size(&self, _batch_size: usize) -> Arc<dyn FileSource> {
        Arc::new(self.clone())
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        Some(&self.projection.source)
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        &self.metrics
    }

    fn file_type(&self) -> &'static str {
        match self.format {
            FileFormat::Ndjson => "json",
            _ => "csv",
        }
    }

    /// Compression, and line ends within quotes, allow no start in the middle.
    fn supports_repartitioning(&self) -> bool {
        false
    }

    fn try_pushdown_projection(&self, projection: &ProjectionExprs) -> Result<Option<Arc<dyn FileSource>>> {
        let merged = self.projection.source.try_merge(projection)?;
        let projection = SplitProjection::new(self.columns.file_schema(), &merged);
        Ok(Some(Arc::new(Self { projection, ..self.clone() })))
    }

    fn apply_expressions(
        &self,
        visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        apply_expression_roots(self.projection.source.iter(), visit)
    }
}

struct TextOpener {
    source: TextSource,
    columns: SchemaRef,
    store: Arc<dyn ObjectStore>,
}

impl FileOpener for TextOpener {
    fn open(&self, file: PartitionedFile) -> Result<FileOpenFuture> {
        let TextSource { format, whole, conversion, .. } = self.source.clone();
        let reading = conversion.reading.of_file(&file.object_meta.location);
        let name = Arc::clone(&reading.file);
        let conversion = Conversion { reading, ..conversion };
        let rows: Box<dyn Rows> = match format {
            FileFormat::Ndjson => Box::new(ndjson::JsonRows::new(&self.columns, &whole, conversion, BATCH_ROWS)),
            _ => Box::new(csv::CsvRows::new(&self.columns, conversion, BATCH_ROWS)),
        };
        let store = Arc::clone(&self.store);
        Ok(Box::pin(async move {
            let bytes = decompressed((&name, kind_of(format)), store.as_ref(), &file.object_meta).await?;
            Ok(batches(bytes, rows))
        }))
    }
}

struct Decoding {
    bytes: Option<BoxStream<'static, Result<Bytes>>>,
    rows: Box<dyn Rows>,
}

fn batches(bytes: BoxStream<'static, Result<Bytes>>, rows: Box<dyn Rows>) -> BoxStream<'static, Result<RecordBatch>> {
    let decoding = Decoding { bytes: Some(bytes), rows };
    stream::try_unfold(decoding, |mut decoding| async move {
        loop {
            if let Some(batch) = decoding.rows.batch()? {
                return Ok(Some((batch, decoding)));
            }
            let Some(bytes) = decoding.bytes.as_mut() else { return Ok(None) };
            if let Some(block) = bytes.try_next().await? {
                decoding.rows.push(&block)?;
            } else {
                decoding.bytes = None;
                decoding.rows.finish()?;
            }
        }
    })
    .boxed()
}

impl fmt::Debug for TextSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TextSource").field("table", &self.conversion.reading.table).finish_non_exhaustive()
    }
}
