//! Which files a query opens: known from its plan, before anything but footers is read.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfig};
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::ExecutionPlan;
use serde::Serialize;

use super::engine::apart::apart;
use super::error::WarehouseError;
use super::session::Session;
use super::sources::files::{NamedSource, RowGroups, TextSource};

/// Footers of more files are not read to tell of their row groups.
const FOOTERS_MAX: usize = 2_000;

/// The files of one scan, as paths in their store; a file that several threads share stands here once.
pub type Scan = BTreeSet<String>;

/// What a query reads of a table of files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TableReading {
    /// The table.
    pub table: String,
    /// Files that are opened.
    pub files: usize,
    /// Files of the table; `None` where its folders were listed instead.
    pub files_of: Option<usize>,
    /// Bytes of the files that are opened.
    pub bytes: u64,
    /// Bytes of the table's files; `None` where its folders were listed instead.
    pub bytes_of: Option<u64>,
    /// Folders of the files that are opened; `None` where all files were listed.
    pub folders: Option<usize>,
    /// Folders of the table; `None` where all files were listed.
    pub folders_of: Option<usize>,
    /// The folders that left files out.
    pub pruned_by_folders: Vec<String>,
    /// Row groups of the opened files that are read; `None` where there are none, and where there are very many files.
    pub row_groups: Option<u64>,
    /// Row groups of the opened files.
    pub row_groups_of: Option<u64>,
    /// Bytes of the columns that are read, in the row groups that are; pages within them may be left out yet.
    pub column_bytes: Option<u64>,
    /// The columns whose least and greatest values left row groups out.
    pub pruned_by_columns: Vec<String>,
}

impl Session {
    /// The scans of a query; a file that is read twice is in two of them.
    ///
    /// # Errors
    /// When it does not plan.
    pub async fn scans(&self, what: &str, sql: &str) -> Result<Vec<Scan>, WarehouseError> {
        let plan = self.physical_plan(what, sql).await?;
        let paths = |scan: &FileScanConfig| files(scan).into_keys().collect();
        each_scan(&plan, |scan| Some(paths(scan))).map_err(|error| WarehouseError::from_engine(what, &error))
    }

    /// What a query reads of each table of files, once for each time that it reads it.
    ///
    /// # Errors
    /// When it does not plan, or a footer cannot be read.
    pub async fn readings(&self, what: &str, sql: &str) -> Result<Vec<TableReading>, WarehouseError> {
        let plan = self.physical_plan(what, sql).await?;
        let failed = |error| WarehouseError::from_engine(what, &error);
        let scans = each_scan(&plan, |scan| Some(scan.clone())).map_err(failed)?;
        let mut readings = Vec::new();
        for scan in &scans {
            readings.extend(reading(scan).await.map_err(failed)?);
        }
        Ok(readings)
    }

    async fn physical_plan(&self, what: &str, sql: &str) -> Result<Arc<dyn ExecutionPlan>, WarehouseError> {
        let failed = |error| WarehouseError::from_engine(what, &error);
        let plan = self.plan(sql).await.map_err(failed)?;
        let state = self.context.state();
        apart(async move { state.create_physical_plan(&plan).await }).await.map_err(failed)
    }
}

fn each_scan<T>(
    plan: &Arc<dyn ExecutionPlan>,
    take: impl Fn(&FileScanConfig) -> Option<T>,
) -> Result<Vec<T>, DataFusionError> {
    let mut taken = Vec::new();
    plan.apply(|node| {
        let source = node.downcast_ref::<DataSourceExec>().map(DataSourceExec::data_source);
        taken.extend(source.and_then(|source| source.downcast_ref::<FileScanConfig>()).and_then(&take));
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(taken)
}

/// The files of a scan by their paths; several threads may share one.
fn files(scan: &FileScanConfig) -> BTreeMap<String, &PartitionedFile> {
    let files = scan.file_groups.iter().flat_map(FileGroup::iter);
    files.map(|file| (file.object_meta.location.to_string(), file)).collect()
}

/// `None` for files that are no declared table's.
async fn reading(scan: &FileScanConfig) -> Result<Option<TableReading>, DataFusionError> {
    let files: Vec<&PartitionedFile> = files(scan).into_values().collect();
    let parquet = scan.file_source().downcast_ref::<NamedSource>();
    let text = scan.file_source().downcast_ref::<TextSource>();
    let Some(table) = parquet.map(NamedSource::reading).or_else(|| text.map(TextSource::reading)) else {
        return Ok(None);
    };
    let groups: Option<RowGroups> = match parquet {
        Some(parquet) if files.len() <= FOOTERS_MAX => Some(parquet.row_groups(&files).await?),
        _ => None,
    };
    let weight = table.weight;
    let is_counted = weight.folders.is_none();
    let read: HashSet<&[ScalarValue]> = files.iter().map(|file| file.partition_values.as_slice()).collect();
    let some_files_left_out = weight.folders.map_or(files.len() < weight.files, |folders| read.len() < folders);
    let folders = scan.table_partition_cols().iter().map(|field| field.name().clone());
    let some_groups_left_out = groups.as_ref().is_some_and(|groups| groups.read < groups.of);
    let conditions = parquet.filter(|_| some_groups_left_out).map(NamedSource::conditions_on).unwrap_or_default();
    Ok(Some(TableReading {
        table: table.table.to_string(),
        files: files.len(),
        files_of: is_counted.then_some(weight.files),
        bytes: files.iter().map(|file| file.object_meta.size).sum(),
        bytes_of: is_counted.then_some(weight.bytes),
        folders: weight.folders.map(|_| read.len()),
        folders_of: weight.folders,
        pruned_by_folders: if some_files_left_out { folders.collect() } else { Vec::new() },
        row_groups: groups.as_ref().map(|groups| groups.read),
        row_groups_of: groups.as_ref().map(|groups| groups.of),
        column_bytes: groups.as_ref().map(|groups| groups.bytes),
        pruned_by_columns: conditions.into_iter().collect(),
    }))
}
