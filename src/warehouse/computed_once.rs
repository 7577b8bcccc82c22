//! Rows that are computed once and read several times: a file of their own holds them for as long as the warehouse is open.
//!
//! Guarantees: nothing is computed before somebody asks for rows; memory does not grow with the rows; whoever reads rows that
//! lost values when they were computed hears of it. Never: decides what is worth it; callers name the views.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::DataFusionError;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::datasource::provider_as_source;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use futures::TryStreamExt;
use tokio::sync::OnceCell;
use url::Url;

use super::engine::apart::EngineRows;
use super::parameters::Parameters;
use super::parquet_writer::ParquetWriter;
use super::session::either_way;
use super::sources::misfits::{Lost, Misfits};
use super::views::ParsedView;
use super::{AS_OF, Warehouse};
use crate::storage::TemporaryFolder;

/// Rows in a Parquet file that is removed with them.
struct KeptRows {
    table: ListingTable,
    misfits: Misfits,
    /// Values that were read as null when the rows were computed.
    lost: Lost,
    _folder: TemporaryFolder,
}

impl KeptRows {
    /// Writes the rows to a file of their own.
    ///
    /// # Errors
    /// When the rows fail, or the file cannot be written.
    async fn write(
        schema: &SchemaRef,
        misfits: &Misfits,
        rows: impl Future<Output = Result<EngineRows, DataFusionError>>,
    ) -> Result<Self, DataFusionError> {
        let folder = TemporaryFolder::new()?;
        let path = folder.path().join("rows.parquet");
        let mut writer = ParquetWriter::temporary(File::create(&path)?, schema)?;
        let look = misfits.watch();
        let mut rows = rows.await?;
        while let Some(batch) = rows.try_next().await? {
            writer.write(&batch)?;
        }
        writer.finish()?;
        let lost = misfits.lost_since(look);
        let options = ListingOptions::new(Arc::new(ParquetFormat::default())).with_file_extension("");
        let url = Url::from_file_path(&path).map_err(|()| {
            DataFusionError::Execution(format!("`{}` cannot be used for temporary files", path.display()))
        })?;
        let config = ListingTableConfig::new(ListingTableUrl::parse(url)?)
            .with_listing_options(options)
            .with_schema(SchemaRef::clone(schema));
        Ok(Self { table: ListingTable::try_new(config)?, misfits: misfits.clone(), lost, _folder: folder })
    }

    /// A plan that reads the rows.
    ///
    /// # Errors
    /// When the file is gone.
    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        self.misfits.met_again(&self.lost);
        self.table.scan(state, projection, filters, limit).await
    }
}

/// Views that are computed once, by name, and what was computed of them under each set of parameters.
#[derive(Default)]
pub(super) struct ComputedOnce {
    views: BTreeSet<String>,
    rows: Mutex<BTreeMap<String, Arc<OnceCell<KeptRows>>>>,
}

impl Warehouse {
    /// Computes these views once for all queries from now on, those that only choose rows and columns of a table excepted.
    pub fn compute_once<'a>(&mut self, relations: impl Iterator<Item = &'a String>) {
        self.computed_once.views.extend(relations.cloned());
    }

    /// The view as a table that is computed once; `None` where it is read as it is.
    pub(super) fn computed_once(
        &self,
        view: &ParsedView,
        plan: &LogicalPlan,
        parameters: &Parameters,
    ) -> Option<Arc<dyn TableProvider>> {
        let can_be_kept = plan.schema().fields().iter().all(|field| is_kept(field.data_type()));
        if !self.computed_once.views.contains(&view.name) || !computes(plan) || !can_be_kept {
            return None;
        }
        // What is known of people depends on the instant, whether a view names it or not.
        let names = self.parameters_of(view).into_iter().chain([AS_OF.to_owned()]);
        let bound: BTreeMap<String, _> = names.map(|name| (name.clone(), parameters.get(&name))).collect();
        let key = format!("{} {bound:?}", view.name);
        let mut rows = self.computed_once.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let rows = Arc::clone(rows.entry(key).or_default());
        Some(Arc::new(OnceTable { plan: plan.clone(), rows, misfits: self.misfits.clone() }))
    }

    /// The parameters of a view and of all views it builds on.
    fn parameters_of(&self, view: &ParsedView) -> BTreeSet<String> {
        let mut names = view.parameters.clone();
        for relation in self.relations_behind(&view.name) {
            names.extend(
                self.views.iter().filter(|view| view.name == relation).flat_map(|view| view.parameters.clone()),
            );
        }
        names
    }
}

/// Whether a Parquet file holds values of a type: intervals of months and nanoseconds have no place in it.
fn is_kept(data_type: &DataType) -> bool {
    match data_type {
        DataType::Interval(_) | DataType::Duration(_) | DataType::Union(..) => false,
        DataType::Struct(fields) => fields.iter().all(|field| is_kept(field.data_type())),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => is_kept(item.data_type()),
        DataType::Dictionary(_, values) => is_kept(values),
        _ => true,
    }
}

/// Whether a plan does more than to choose rows and columns.
fn computes(plan: &LogicalPlan) -> bool {
    let mut computes = false;
    // The callback never fails, and so does the walk.
    let _ = plan.apply_with_subqueries(|node| {
        computes |= !matches!(
            node,
            LogicalPlan::Projection(_)
                | LogicalPlan::Filter(_)
                | LogicalPlan::SubqueryAlias(_)
                | LogicalPlan::TableScan(_)
                | LogicalPlan::EmptyRelation(_)
                | LogicalPlan::Values(_)
                | LogicalPlan::Union(_)
        );
        Ok(if computes { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    computes
}

/// The same rows, read from their source once.
///
/// # Errors
/// When the engine cannot plan a reading of the table.
pub(super) fn read_once(
    name: &str,
    table: Arc<dyn TableProvider>,
    misfits: &Misfits,
) -> Result<Arc<dyn TableProvider>, DataFusionError> {
    let plan = LogicalPlanBuilder::scan(name, provider_as_source(table), None)?.build()?;
    Ok(Arc::new(OnceTable { plan, rows: Arc::default(), misfits: misfits.clone() }))
}

/// The rows of a plan, computed when they are first asked for.
struct OnceTable {
    plan: LogicalPlan,
    rows: Arc<OnceCell<KeptRows>>,
    misfits: Misfits,
}

impl OnceTable {
    async fn compute(&self, state: &dyn Session) -> Result<KeptRows, DataFusionError> {
        let state = state.as_any().downcast_ref::<SessionState>();
        let state = state.ok_or_else(|| DataFusionError::Internal("a session without a state".to_owned()))?;
        KeptRows::write(&self.schema(), &self.misfits, either_way(state.clone(), self.plan.clone())).await
    }
}

impl fmt::Debug for OnceTable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("OnceTable")
    }
}

#[async_trait]
impl TableProvider for OnceTable {
    fn schema(&self) -> SchemaRef {
        SchemaRef::clone(self.plan.schema().inner())
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
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
        let rows = self.rows.get_or_try_init(|| self.compute(state)).await?;
        rows.scan(state, projection, filters, limit).await
    }
}
