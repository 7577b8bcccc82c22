//! A table of files as the engine reads it: each query reads those whose folders match.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue, Statistics};
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, FileSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;

use super::convert::Conversion;
use super::folders::TableFiles;
use crate::warehouse::sources::misfits::Reading;

/// A table of files.
pub(super) struct FilesTable {
    pub(super) root: ObjectStoreUrl,
    pub(super) files: TableFiles,
    pub(super) columns: TableSchema,
    pub(super) conversion: Conversion,
    pub(super) scans: AtomicU64,
    pub(super) source: MakeSource,
    /// Rows and bytes of the files that told the columns.
    pub(super) seen: (u64, u64),
}

/// Makes the source of a scan.
pub(super) type MakeSource = Box<dyn Fn(TableSchema, Conversion) -> Arc<dyn FileSource> + Send + Sync>;

impl std::fmt::Debug for FilesTable {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("FilesTable").field("table", &self.conversion.reading.table).finish_non_exhaustive()
    }
}

impl FilesTable {
    /// Whether a condition is about folders alone, so that it is met before any file is opened.
    fn is_about_folders(&self, condition: &Expr) -> bool {
        let folders = self.columns.table_partition_cols();
        let names = condition.column_refs();
        !names.is_empty()
            && names.iter().all(|column| folders.iter().any(|folder| *folder.name() == column.name))
            && !condition.is_volatile()
    }

    /// About how many rows files hold: as many per byte as those that were looked at.
    fn size(&self, files: &[PartitionedFile]) -> Statistics {
        let bytes: u64 = files.iter().map(|file| file.object_meta.size).sum();
        let (seen_rows, seen_bytes) = self.seen;
        let rows = u128::from(bytes) * u128::from(seen_rows) / u128::from(seen_bytes.max(1));
        let about = |count: u128| Precision::Inexact(usize::try_from(count).unwrap_or(usize::MAX));
        Statistics::new_unknown(self.columns.table_schema())
            .with_num_rows(about(rows))
            .with_total_byte_size(about(u128::from(bytes)))
    }

    /// The files whose folders meet the conditions.
    async fn wanted(&self, state: &dyn Session, filters: &[Expr]) -> Result<Vec<PartitionedFile>> {
        match &self.files {
            TableFiles::Listed(files) => {
                let met = self.met(state, filters, &files.iter().map(|file| file.partition_values.as_slice()))?;
                Ok(met.into_iter().map(|at| files[at].clone()).collect())
            }
            TableFiles::InFolders(folders) => {
                let met = self.met(state, filters, &folders.values())?;
                folders.files(&met).await.map_err(|error| DataFusionError::ObjectStore(Box::new(error)))
            }
        }
    }

    /// The places of those values of folders that meet the conditions about them.
    fn met<'a>(
        &self,
        state: &dyn Session,
        filters: &[Expr],
        values: &(impl ExactSizeIterator<Item = &'a [ScalarValue]> + Clone),
    ) -> Result<Vec<usize>> {
        let about_folders = filters.iter().filter(|filter| self.is_about_folders(filter)).cloned();
        let Some(condition) = conjunction(about_folders).filter(|_| values.len() > 0) else {
            return Ok((0..values.len()).collect());
        };
        let schema = Arc::new(Schema::new(self.columns.table_partition_cols().clone()));
        let scope = DFSchema::try_from(Arc::clone(&schema))?;
        let condition = state.create_physical_expr(condition, &scope)?;
        let folders = (0..schema.fields().len())
            .map(|at| ScalarValue::iter_to_array(values.clone().map(|values| values[at].clone())));
        let folders = RecordBatch::try_new(Arc::clone(&schema), folders.collect::<Result<Vec<_>>>()?)?;
        let met = condition.evaluate(&folders)?.into_array(folders.num_rows())?;
        let met = met.as_boolean();
        Ok((0..met.len()).filter(|at| met.is_valid(*at) && met.value(*at)).collect())
    }
}

#[async_trait]
impl TableProvider for FilesTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.columns.table_schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let pushed = filters.iter().map(|filter| {
            if self.is_about_folders(filter) {
                TableProviderFilterPushDown::Exact
            } else {
                TableProviderFilterPushDown::Inexact
            }
        });
        Ok(pushed.collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let files = self.wanted(state, filters).await?;
        let scan = self.scans.fetch_add(1, Ordering::Relaxed);
        let reading = Reading { scan, ..self.conversion.reading.clone() };
        let source = (self.source)(self.columns.clone(), Conversion { reading, ..self.conversion.clone() });
        let size = self.size(&files);
        let mut groups = FileGroup::new(files).split_files(state.config().target_partitions());
        if groups.is_empty() {
            // A scan of nothing is a scan all the same: plans tell which table was left out.
            groups.push(FileGroup::default());
        }
        // Only conditions that the files meet for certain are gone by now, and a limit counts rows that meet all.
        let limit = limit.filter(|_| filters.iter().all(|filter| self.is_about_folders(filter)));
        let scan = FileScanConfigBuilder::new(self.root.clone(), source)
            .with_file_groups(groups)
            .with_statistics(size)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(scan))
    }
}
