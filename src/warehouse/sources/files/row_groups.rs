//! Which row groups of Parquet files a scan will read: footers tell, before a row is read.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use datafusion::arrow::datatypes::TimeUnit;
use datafusion::common::{Result, ScalarValue};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use datafusion::datasource::physical_plan::parquet::{ParquetAccessPlan, ParquetFileMetrics, RowGroupAccessPlanFilter};
use datafusion::parquet::file::metadata::ParquetMetaData;
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr_adapter::{PhysicalExprAdapterFactory, replace_columns_with_literals};
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;

use super::drift::Drift;
use super::parquet::{FOOTER_BYTES, NamedSource};

/// Row groups of a scan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::warehouse) struct RowGroups {
    pub(in crate::warehouse) read: u64,
    pub(in crate::warehouse) of: u64,
    /// Bytes of the columns that are read, in the row groups that are.
    pub(in crate::warehouse) bytes: u64,
}

impl NamedSource {
    /// The columns that conditions name.
    pub(in crate::warehouse) fn conditions_on(&self) -> BTreeSet<String> {
        let columns = self.source.filter().into_iter().flat_map(|filter| collect_columns(&filter));
        columns.map(|column| column.name().to_owned()).collect()
    }

    /// Looks at the footers of the files of a scan.
    pub(in crate::warehouse) async fn row_groups(&self, files: &[&PartitionedFile]) -> Result<RowGroups> {
        let mut groups = RowGroups::default();
        for file in files {
            let footer = DFParquetMetadata::new(self.readers.store.as_ref(), &file.object_meta)
                .with_metadata_size_hint(Some(FOOTER_BYTES))
                .with_file_metadata_cache(Some(Arc::clone(&self.readers.footers)))
                .with_coerce_int96(Some(TimeUnit::Microsecond));
            let metadata = footer.fetch_metadata().await?;
            let read = self.read_of(file, &metadata, footer.fetch_schema().await?)?;
            groups.of += metadata.num_row_groups() as u64;
            groups.read += read.len() as u64;
            groups.bytes += read.into_iter().map(|at| self.bytes_of(&metadata, at)).sum::<u64>();
        }
        Ok(groups)
    }

    fn read_of(
        &self,
        file: &PartitionedFile,
        metadata: &ParquetMetaData,
        physical: datafusion::arrow::datatypes::Schema,
    ) -> Result<Vec<usize>> {
        let mut groups = RowGroupAccessPlanFilter::new(ParquetAccessPlan::new_all(metadata.num_row_groups()));
        let Some(condition) = self.source.filter() else { return Ok(groups.row_group_indexes().collect()) };
        let columns = self.source.table_schema();
        let folders = columns.table_partition_cols().iter().map(|field| field.name().as_str());
        let folders: HashMap<&str, &ScalarValue> = folders.zip(&file.partition_values).collect();
        let condition = replace_columns_with_literals(condition, &folders)?;
        let physical = Arc::new(physical);
        let drift = Drift { conversion: Arc::new(self.conversion.clone()) };
        let condition = drift.create(Arc::clone(columns.file_schema()), Arc::clone(&physical))?.rewrite(condition)?;
        // A condition that tells nothing by statistics keeps every group.
        if let Ok(predicate) =
            PruningPredicateBuilder::new().with_file_schema(Arc::clone(&physical)).try_build(condition)
        {
            let metrics = ParquetFileMetrics::new(0, file.path().as_ref(), &ExecutionPlanMetricsSet::new());
            let descriptor = metadata.file_metadata().schema_descr();
            groups.prune_by_statistics(&physical, descriptor, metadata.row_groups(), &predicate, &metrics);
        }
        Ok(groups.row_group_indexes().collect())
    }

    fn bytes_of(&self, metadata: &ParquetMetaData, group: usize) -> u64 {
        let expressions = self.source.projection().into_iter().flat_map(ProjectionExprs::expr_iter);
        let read: BTreeSet<String> = expressions
            .chain(self.source.filter())
            .flat_map(|expression| collect_columns(&expression))
            .map(|column| column.name().to_owned())
            .collect();
        let columns = metadata.row_group(group).columns().iter();
        let columns =
            columns.filter(|column| column.column_path().parts().first().is_some_and(|root| read.contains(root)));
        columns.map(|column| u64::try_from(column.compressed_size()).unwrap_or_default()).sum()
    }
}
