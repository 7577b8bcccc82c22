//! Logs that are parsed once: the first query writes them as a Parquet file of its own, which it and all others read.
//!
//! Guarantees: opening reads nothing but the columns; memory does not grow with the logs; the file is gone with the table.

use std::fmt;
use std::fs::File;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::DataFusionError;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::TryStreamExt;
use tokio::sync::OnceCell;

use crate::storage::TemporaryFolder;
use crate::warehouse::parquet_writer::ParquetWriter;

/// Logs and, once somebody asked for rows, what they hold.
pub(super) struct ParsedLogs {
    logs: Arc<dyn TableProvider>,
    rows: OnceCell<Rows>,
}

struct Rows {
    table: ListingTable,
    /// Removed with the table.
    _folder: TemporaryFolder,
}

impl ParsedLogs {
    pub(super) fn new(logs: Arc<dyn TableProvider>) -> Self {
        Self { logs, rows: OnceCell::new() }
    }

    async fn parse(&self, state: &dyn Session) -> Result<Rows, DataFusionError> {
        let schema = self.logs.schema();
        let folder = TemporaryFolder::new()?;
        let path = folder.path().join("calls.parquet");
        let mut writer = ParquetWriter::new(File::create(&path)?, &schema)?;
        let plan = self.logs.scan(state, None, &[], None).await?;
        let mut rows = execute_stream(plan, state.task_ctx())?;
        while let Some(batch) = rows.try_next().await? {
            writer.write(&batch)?;
        }
        writer.finish()?;
        let options = ListingOptions::new(Arc::new(ParquetFormat::default())).with_file_extension("");
        let url = ListingTableUrl::parse(path.to_string_lossy())?;
        let config = ListingTableConfig::new(url).with_listing_options(options).with_schema(schema);
        Ok(Rows { table: ListingTable::try_new(config)?, _folder: folder })
    }
}

impl fmt::Debug for ParsedLogs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ParsedLogs({:?})", self.logs)
    }
}

#[async_trait]
impl TableProvider for ParsedLogs {
    fn schema(&self) -> SchemaRef {
        self.logs.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>, DataFusionError> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let rows = self.rows.get_or_try_init(|| self.parse(state)).await?;
        rows.table.scan(state, projection, filters, limit).await
    }
}
