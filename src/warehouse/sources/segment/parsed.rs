//! Logs that are parsed once: the first query writes them as a Parquet file of its own, which it and all others read.
//!
//! Guarantees: opening reads nothing but the columns; memory does not grow with the logs; the file is gone with the table.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::DataFusionError;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::StreamExt;
use tokio::sync::OnceCell;

use crate::warehouse::computed_once::KeptRows;
use crate::warehouse::sources::misfits::Misfits;

/// Logs and, once somebody asked for rows, what they hold.
pub(super) struct ParsedLogs {
    logs: Arc<dyn TableProvider>,
    misfits: Misfits,
    rows: OnceCell<KeptRows>,
}

impl ParsedLogs {
    pub(super) fn new(logs: Arc<dyn TableProvider>, misfits: &Misfits) -> Self {
        Self { logs, misfits: misfits.clone(), rows: OnceCell::new() }
    }

    async fn parse(&self, state: &dyn Session) -> Result<KeptRows, DataFusionError> {
        let rows = async {
            let plan = self.logs.scan(state, None, &[], None).await?;
            Ok(execute_stream(plan, state.task_ctx())?.boxed())
        };
        KeptRows::write(&self.logs.schema(), &self.misfits, rows).await
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
        rows.scan(state, projection, filters, limit).await
    }
}
