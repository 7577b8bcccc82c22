//! Parquet: columns from footers, and a scan that knows which file it reads when something is wrong with it.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Schema, TimeUnit};
use datafusion::arrow::error::ArrowError;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use datafusion::datasource::physical_plan::{FileOpener, FileScanConfig, FileSource, ParquetSource};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::SessionState;
use datafusion::execution::cache::cache_manager::FileMetadataCache;
use datafusion::object_store::ObjectStore;
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use datafusion::parquet::file::statistics::Statistics;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::filter_pushdown::FilterPushdownPropagation;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::{DisplayFormatType, SortOrderPushdownResult};
use datafusion_datasource::morsel::{Morsel, MorselPlan, MorselPlanner, Morselizer};
use futures::stream::{BoxStream, StreamExt};

use super::bytes_guard::GuardedReaders;
use super::convert::Conversion;
use super::decompress::{HEAD_BYTES, other_format};
use super::drift::Drift;
use super::early_filter::{EarlyFilter, keeps_most};
use super::failure::FileFailure;
use crate::storage::FoundFile;
use crate::warehouse::error::plain_message;
use crate::warehouse::sources::misfits::Reading;
use crate::warehouse::values::marks;

/// What is read of a file's end at first: most footers are smaller, and a small file is not read whole for its footer.
pub(super) const FOOTER_BYTES: usize = 64 * 1024;

/// What a Parquet file begins with.
const MAGIC: &[u8] = b"PAR1";
const FORMAT: &str = "Parquet file";

/// The columns of one file, and its rows.
pub(super) async fn columns(
    state: &SessionState,
    store: &dyn ObjectStore,
    (name, file): (&str, &FoundFile),
) -> Result<(Schema, u64)> {
    let footer = DFParquetMetadata::new(store, file)
        .with_metadata_size_hint(Some(FOOTER_BYTES))
        .with_file_metadata_cache(Some(state.runtime_env().cache_manager.get_file_metadata_cache()))
        .with_coerce_int96(Some(TimeUnit::Microsecond));
    let columns = match footer.fetch_schema().await {
        Ok(columns) => columns,
        Err(error) => return Err(without_footer(name, store, file, error).await),
    };
    let metadata = footer.fetch_metadata().await.map_err(|error| in_file(name, error))?;
    let rows = metadata.file_metadata().num_rows();
    Ok((sized(&columns, &metadata), u64::try_from(rows).unwrap_or_default()))
}

/// The columns with their largest numbers, as far as the file tells.
fn sized(columns: &Schema, metadata: &ParquetMetaData) -> Schema {
    let mut sizes: HashMap<String, f64> = HashMap::new();
    let chunks = metadata.row_groups().iter().flat_map(RowGroupMetaData::columns);
    for chunk in chunks.filter(|chunk| chunk.column_path().parts().len() == 1) {
        let largest = match chunk.statistics() {
            Some(Statistics::Int32(numbers)) => numbers.max_opt().map(|number| f64::from(*number)),
            Some(Statistics::Int64(numbers)) => numbers.max_opt().map(|number| *number as f64),
            Some(Statistics::Float(numbers)) => numbers.max_opt().map(|number| f64::from(*number)),
            Some(Statistics::Double(numbers)) => numbers.max_opt().copied(),
            _ => None,
        };
        if let Some(largest) = largest {
            let size = sizes.entry(chunk.column_path().string()).or_default();
            *size = size.max(largest);
        }
    }
    let fields = columns.fields().iter().map(|field| match sizes.get(field.name()) {
        Some(size) if field.data_type().is_integer() || field.data_type().is_floating() => {
            Arc::new(marks::with_size(field.as_ref().clone(), *size))
        }
        _ => Arc::clone(field),
    });
    Schema::new(fields.collect::<Vec<_>>())
}

/// The error of a file whose end does not tell its columns: the beginning tells whether its writer may still be at work.
async fn without_footer(
    name: &str,
    store: &dyn ObjectStore,
    file: &FoundFile,
    error: DataFusionError,
) -> DataFusionError {
    let error = in_file(name, error);
    if !matches!(FileFailure::of(&error), Some(FileFailure::Damaged { .. } | FileFailure::CutShort { .. })) {
        return error;
    }
    let ends = [0..file.size.min(HEAD_BYTES), tail(file.size)];
    match store.get_ranges(&file.location, &ends).await {
        Ok(ends) => by_ends(name, (&ends[0], &ends[1]), &plain_message(&error)).into(),
        Err(said) => in_file(name, DataFusionError::ObjectStore(Box::new(said))),
    }
}

/// The last bytes of a file, which are the format's mark in one that is whole.
pub(super) fn tail(size: u64) -> Range<u64> {
    size.saturating_sub(MAGIC.len() as u64)..size
}

/// What a file is whose footer cannot be read, by its first and last bytes.
pub(super) fn by_ends(file: &str, (head, tail): (&[u8], &[u8]), reason: &str) -> FileFailure {
    let file = file.to_owned();
    if tail == MAGIC && head.starts_with(MAGIC) && head.len() > MAGIC.len() {
        return FileFailure::Damaged { file, format: FORMAT, reason: reason.to_owned() };
    }
    if head.starts_with(MAGIC) || MAGIC.starts_with(head) {
        return FileFailure::CutShort { file, reason: "it has no footer of a Parquet file".to_owned() };
    }
    match other_format(head) {
        Some(found) => FileFailure::OtherFormat { file, format: FORMAT, found },
        None => FileFailure::Damaged { file, format: FORMAT, reason: reason.to_owned() },
    }
}

/// The error with its file's name. What a query does to values is no fault of the file.
fn in_file(file: &str, error: DataFusionError) -> DataFusionError {
    let damaged = |reason| FileFailure::Damaged { file: file.to_owned(), format: FORMAT, reason }.into();
    match error.find_root() {
        DataFusionError::ParquetError(root) => match root.as_ref() {
            ParquetError::ArrowError(_) => error,
            ParquetError::External(source) => match FileFailure::of_store(file, source.as_ref()) {
                Some(failure) => failure.into(),
                None => source.downcast_ref::<FileFailure>().cloned().map_or(error, DataFusionError::from),
            },
            // Its end is not where its footer, read a moment ago, says.
            ParquetError::EOF(reason) => FileFailure::CutShort { file: file.to_owned(), reason: reason.clone() }.into(),
            _ => damaged(plain_message(&error)),
        },
        DataFusionError::ArrowError(root, _) if matches!(root.as_ref(), ArrowError::ParquetError(_)) => {
            damaged(plain_message(&error))
        }
        DataFusionError::ObjectStore(root) => match FileFailure::of_store(file, root.as_ref()) {
            Some(failure) => failure.into(),
            None => error,
        },
        _ => error,
    }
}

/// The engine's Parquet source, with an adapter for each file.
#[derive(Clone)]
pub(in crate::warehouse) struct NamedSource {
    pub(super) source: Arc<dyn FileSource>,
    pub(super) readers: Readers,
    pub(super) conversion: Conversion,
    /// `None` where all rows are filtered while they are read, and nobody does it again.
    early_filter: Option<Arc<EarlyFilter>>,
}

/// What readers of files are made of.
#[derive(Clone)]
pub(super) struct Readers {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) footers: Arc<FileMetadataCache>,
}

impl NamedSource {
    pub(super) fn new(
        state: &SessionState,
        store: &Arc<dyn ObjectStore>,
        columns: TableSchema,
        conversion: Conversion,
    ) -> Self {
        let footers = state.runtime_env().cache_manager.get_file_metadata_cache();
        let source = ParquetSource::new(columns)
            .with_table_parquet_options(state.default_table_options().parquet)
            .with_metadata_size_hint(FOOTER_BYTES);
        let readers = Readers { store: Arc::clone(store), footers };
        Self { source: Arc::new(source), readers, conversion, early_filter: Some(Arc::default()) }
    }

    fn around(&self, source: Arc<dyn FileSource>) -> Arc<dyn FileSource> {
        Arc::new(Self { source, ..self.clone() })
    }

    /// The table that is read, as far as it is known before a file is.
    pub(in crate::warehouse) fn reading(&self) -> &Reading {
        &self.conversion.reading
    }

    /// The engine's source for the next file.
    fn next_file(&self) -> Arc<dyn FileSource> {
        match (self.source.downcast_ref::<ParquetSource>(), &self.early_filter) {
            (Some(parquet), Some(early)) => {
                Arc::new(parquet.clone().with_pushdown_filters(early.next_file(parquet.metrics())))
            }
            _ => Arc::clone(&self.source),
        }
    }

    /// The same with readers that know which columns this scan takes for text.
    fn guarded(&self) -> Self {
        let Some(parquet) = self.source.downcast_ref::<ParquetSource>() else { return self.clone() };
        let expressions = parquet.projection().into_iter().flat_map(ProjectionExprs::expr_iter).chain(parquet.filter());
        let columns: HashSet<Column> = expressions.flat_map(|expression| collect_columns(&expression)).collect();
        let schema = parquet.table_schema().file_schema();
        let is_text = |column: &Column| {
            schema.field_with_name(column.name()).is_ok_and(|field| *field.data_type() == DataType::Utf8)
        };
        let texts = columns.into_iter().filter(is_text).map(|column| column.name().to_owned()).collect();
        let Readers { store, footers } = self.readers.clone();
        let readers = GuardedReaders {
            readers: CachedParquetFileReaderFactory::new(store, footers),
            texts: Arc::new(texts),
            root: Arc::clone(&self.conversion.reading.root),
        };
        let source = parquet.clone().with_parquet_file_reader_factory(Arc::new(readers));
        Self { source: Arc::new(source), ..self.clone() }
    }
}

impl FileSource for NamedSource {
    fn create_file_opener(
        &self,
        store: Arc<dyn ObjectStore>,
        config: &FileScanConfig,
        partition: usize,
    ) -> Result<Arc<dyn FileOpener>> {
        self.source.create_file_opener(store, config, partition)
    }

    fn create_morselizer(
        &self,
        store: Arc<dyn ObjectStore>,
        config: &FileScanConfig,
        partition: usize,
    ) -> Result<Box<dyn Morselizer>> {
        let mut config = config.clone();
        config.file_groups = Vec::new();
        Ok(Box::new(Files { source: self.guarded(), store, config, partition }))
    }

    fn table_schema(&self) -> &TableSchema {
        self.source.table_schema()
    }

    fn with_batch_size(&self, batch_size: usize) -> Arc<dyn FileSource> {
        self.around(self.source.with_batch_size(batch_size))
    }

    fn filter(&self) -> Option<Arc<dyn PhysicalExpr>> {
        self.source.filter()
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        self.source.projection()
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        self.source.metrics()
    }

    fn file_type(&self) -> &str {
        self.source.file_type()
    }

    fn fmt_extra(&self, kind: DisplayFormatType, formatter: &mut fmt::Formatter) -> fmt::Result {
        self.source.fmt_extra(kind, formatter)
    }

    fn supports_repartitioning(&self) -> bool {
        self.source.supports_repartitioning()
    }

    fn try_pushdown_filters(
        &self,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn FileSource>>> {
        let columns = self.source.table_schema().table_schema();
        let mut early_filter = self.early_filter.clone();
        let mut config = config.clone();
        if filters.iter().all(|filter| keeps_most(filter, columns)) {
            early_filter = None;
            config.execution.parquet.pushdown_filters = true;
        }
        let FilterPushdownPropagation { filters, updated_node } = self.source.try_pushdown_filters(filters, &config)?;
        let around = |source| Arc::new(Self { source, early_filter, ..self.clone() }) as Arc<dyn FileSource>;
        Ok(FilterPushdownPropagation { filters, updated_node: updated_node.map(around) })
    }

    fn try_pushdown_sort(
        &self,
        order: &[PhysicalSortExpr],
        properties: &EquivalenceProperties,
    ) -> Result<SortOrderPushdownResult<Arc<dyn FileSource>>> {
        Ok(match self.source.try_pushdown_sort(order, properties)? {
            SortOrderPushdownResult::Exact { inner } => SortOrderPushdownResult::Exact { inner: self.around(inner) },
            SortOrderPushdownResult::Inexact { inner } => {
                SortOrderPushdownResult::Inexact { inner: self.around(inner) }
            }
            SortOrderPushdownResult::Unsupported => SortOrderPushdownResult::Unsupported,
        })
    }

    fn reorder_files(&self, files: Vec<PartitionedFile>) -> Vec<PartitionedFile> {
        self.source.reorder_files(files)
    }

    fn try_pushdown_projection(&self, projection: &ProjectionExprs) -> Result<Option<Arc<dyn FileSource>>> {
        Ok(self.source.try_pushdown_projection(projection)?.map(|source| self.around(source)))
    }

    fn apply_expressions(
        &self,
        visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.source.apply_expressions(visit)
    }
}

/// Plans the reading of files, each under its own name.
struct Files {
    source: NamedSource,
    store: Arc<dyn ObjectStore>,
    config: FileScanConfig,
    partition: usize,
}

impl fmt::Debug for Files {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Files").field("table", &self.source.conversion.reading.table).finish_non_exhaustive()
    }
}

impl Morselizer for Files {
    fn plan_file(&self, file: PartitionedFile) -> Result<Box<dyn MorselPlanner>> {
        let conversion = self.source.conversion.clone();
        let reading = conversion.reading.clone().of_file(&file.object_meta.location);
        let name = Arc::clone(&reading.file);
        let mut config = self.config.clone();
        config.expr_adapter_factory =
            Some(Arc::new(Drift { conversion: Arc::new(Conversion { reading, ..conversion }) }));
        let inner = self.source.next_file().create_morselizer(Arc::clone(&self.store), &config, self.partition)?;
        let planner = inner.plan_file(file).map_err(|error| in_file(&name, error))?;
        Ok(Box::new(Named { inner: planner, file: name }))
    }
}

/// Something of a file, whose errors name the file.
#[derive(Debug)]
struct Named<T: ?Sized> {
    inner: Box<T>,
    file: Arc<str>,
}

impl MorselPlanner for Named<dyn MorselPlanner> {
    fn plan(self: Box<Self>) -> Result<Option<MorselPlan>> {
        let Self { inner, file } = *self;
        let Some(mut plan) = inner.plan().map_err(|error| in_file(&file, error))? else { return Ok(None) };
        let named = |inner: Box<dyn MorselPlanner>| -> Box<dyn MorselPlanner> {
            Box::new(Named { inner, file: Arc::clone(&file) })
        };
        let morsels = plan.take_morsels().into_iter();
        let morsels = morsels.map(|inner| -> Box<dyn Morsel> { Box::new(Named { inner, file: Arc::clone(&file) }) });
        let mut renamed = MorselPlan::new()
            .with_morsels(morsels.collect())
            .with_planners(plan.take_ready_planners().into_iter().map(named).collect());
        if let Some(pending) = plan.take_pending_planner() {
            let file = Arc::clone(&file);
            renamed = renamed.with_pending_planner(async move {
                let inner = pending.await.map_err(|error| in_file(&file, error))?;
                Ok(Box::new(Named { inner, file }) as Box<dyn MorselPlanner>)
            });
        }
        Ok(Some(renamed))
    }
}

impl Morsel for Named<dyn Morsel> {
    fn into_stream(self: Box<Self>) -> BoxStream<'static, Result<RecordBatch>> {
        let Self { inner, file } = *self;
        inner.into_stream().map(move |batch| batch.map_err(|error| in_file(&file, error))).boxed()
    }
}
