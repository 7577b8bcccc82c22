//! Which files a query opens: known from its plan, before anything is read.

use std::collections::BTreeSet;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfig};
use datafusion::datasource::source::DataSourceExec;

use super::error::WarehouseError;
use super::session::Session;

/// The files of one scan, as paths in their store; a file that several threads share stands here once.
pub type Scan = BTreeSet<String>;

impl Session {
    /// The scans of a query; a file that is read twice is in two of them.
    ///
    /// # Errors
    /// When it does not plan.
    pub async fn scans(&self, what: &str, sql: &str) -> Result<Vec<Scan>, WarehouseError> {
        let failed = |error| WarehouseError::from_engine(what, &error);
        let plan = self.plan(sql).await.map_err(failed)?;
        let plan = self.context.state().create_physical_plan(&plan).await.map_err(failed)?;
        let mut scans = Vec::new();
        plan.apply(|node| {
            let source = node.downcast_ref::<DataSourceExec>().map(DataSourceExec::data_source);
            if let Some(files) = source.and_then(|source| source.downcast_ref::<FileScanConfig>()) {
                let files = files.file_groups.iter().flat_map(FileGroup::iter);
                scans.push(files.map(|file| file.object_meta.location.to_string()).collect());
            }
            Ok(TreeNodeRecursion::Continue)
        })
        .map_err(failed)?;
        Ok(scans)
    }
}
