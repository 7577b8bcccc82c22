//! The warehouse with its parameters bound: what queries run on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::common::{DataFusionError, TableReference};
use datafusion::datasource::empty::EmptyTable;
use datafusion::datasource::{MemTable, ViewTable};
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{DataFrame, SessionContext};
use datafusion::sql::parser::Statement as EngineStatement;
use datafusion::sql::sqlparser::ast::{Query, Statement};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};

use super::engine::apart::{EngineRows, apart, rows_apart};
use super::engine::time_limit::TimeLimit;
use super::error::WarehouseError;
use super::parameters::Parameters;
use super::statement::{bind, parse_query};
use super::views::ParsedView;
use super::{alike, lateral, total_order, trial};
use crate::model::diagnostic::{Located, Place};

/// Rows of a query, in batches of a few thousand, in the query's order.
pub type RowStream = BoxStream<'static, Result<RecordBatch, WarehouseError>>;

/// Tables and views under one set of parameters.
pub struct Session {
    pub(super) context: SessionContext,
    pub(super) parameters: Parameters,
    /// Views that cannot be read here, with the parameter that is missing.
    pub(super) unbound: BTreeMap<String, String>,
    /// How long a query may take.
    pub(super) query_timeout: Option<Duration>,
}

impl Session {
    /// The columns of a table or view; `None` when there is no such relation under these parameters.
    pub async fn columns(&self, relation: &str) -> Option<SchemaRef> {
        let provider = self.context.table_provider(TableReference::bare(relation)).await.ok()?;
        Some(provider.schema())
    }

    /// The parameter without which a view cannot be read here, such as `period_start` in a milestone job.
    #[must_use]
    pub fn missing_parameter(&self, relation: &str) -> Option<&str> {
        self.unbound.get(relation).map(String::as_str)
    }

    /// The parameters that are bound.
    #[must_use]
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The columns of a query, planned and type-checked without reading rows.
    ///
    /// # Errors
    /// When it does not plan.
    pub async fn schema(&self, what: &str, sql: &str) -> Result<SchemaRef, WarehouseError> {
        let failed = |error: &DataFusionError| WarehouseError::from_engine(what, error);
        let state = self.context.state();
        let planned = async {
            let plan = self.plan(sql).await?;
            apart(async move { state.optimize(&plan) }).await
        };
        let planned = async { planned.await.map_err(|error| failed(&error)) };
        let plan = TimeLimit::start(self.query_timeout).within(what, planned).await?;
        Ok(SchemaRef::clone(plan.schema().inner()))
    }

    /// Plans and type-checks a query without reading rows, and without looking for the best plan.
    ///
    /// # Errors
    /// When it does not plan.
    pub async fn check(&self, what: &str, sql: &str) -> Result<(), WarehouseError> {
        let failed = |error: &DataFusionError| WarehouseError::from_engine(what, error);
        let plan = self.plan(sql).await.map_err(|error| failed(&error))?;
        let state = self.context.state();
        let checked = apart(async move { state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {}) });
        checked.await.map(|_| ()).map_err(|error| failed(&error))
    }

    /// Plans a query as a run would and executes it, in a session without rows.
    ///
    /// # Errors
    /// When a run would fail whatever its rows hold.
    pub async fn rehearse(&self, what: &str, sql: &str) -> Result<(), WarehouseError> {
        let failed = |error: &DataFusionError| WarehouseError::from_engine(what, error);
        let plan = self.plan(sql).await.map_err(|error| failed(&error))?;
        trial::rehearse(self, &plan).await.map_err(|error| failed(&error))
    }

    /// Runs a query; `what` names it in errors.
    ///
    /// # Errors
    /// When it does not plan; failures on data come through the stream.
    pub async fn stream(&self, what: &str, sql: &str) -> Result<RowStream, WarehouseError> {
        let failed = |error: &DataFusionError| WarehouseError::from_engine(what, error);
        let limit = TimeLimit::start(self.query_timeout);
        let planned = async { self.plan(sql).await.map_err(|error| failed(&error)) };
        let plan = limit.within(what, planned).await?;
        let rows = rows_apart(either_way(self.context.state(), plan));
        let named = what.to_owned();
        let rows = rows.map_err(move |error| WarehouseError::from_engine(&named, &error)).boxed();
        Ok(limit.over(what, rows))
    }

    /// The same, planned when its first row is asked for.
    #[must_use]
    pub fn lazy_stream(self, what: String, sql: String) -> RowStream {
        let started = async move { self.stream(&what, &sql).await };
        futures::stream::once(started).try_flatten().boxed()
    }

    /// Runs a query with few rows.
    ///
    /// # Errors
    /// When it does not plan or fails on data.
    pub async fn rows(&self, what: &str, sql: &str) -> Result<Vec<RecordBatch>, WarehouseError> {
        self.stream(what, sql).await?.try_collect().await
    }

    pub(super) async fn plan(&self, sql: &str) -> Result<LogicalPlan, DataFusionError> {
        let source = Arc::new(crate::model::SourceFile { path: String::new(), text: sql.to_owned() });
        let located = Located::new(sql.to_owned(), Place::new(&source, 0..sql.len()));
        let query = parse_query(&located).map_err(|finding| DataFusionError::Plan(finding.message))?;
        plan_query(&self.context.state(), query, &self.parameters).await
    }

    /// Adds a small table of milepost's own, such as the calendar of a recap, for queries of this session.
    ///
    /// # Errors
    /// When the name is taken.
    pub fn add_table(&self, name: &str, rows: RecordBatch) -> Result<(), WarehouseError> {
        let failed = |error: DataFusionError| WarehouseError::from_engine(&format!("table `{name}`"), &error);
        let table = MemTable::try_new(rows.schema(), vec![vec![rows]]).map_err(failed)?;
        self.context.register_table(TableReference::bare(name), Arc::new(table)).map_err(failed)?;
        Ok(())
    }

    /// Adds a relation that has these columns and no rows.
    pub(super) fn add_rowless(&self, name: &str, columns: &SchemaRef) -> Result<(), DataFusionError> {
        let table = Arc::new(EmptyTable::new(SchemaRef::clone(columns)));
        self.context.register_table(TableReference::bare(name), table).map(|_| ())
    }

    /// Adds a view if all its parameters and relations are there; `instead` may put a table in its place.
    pub(super) async fn add_view(
        &mut self,
        view: &ParsedView,
        instead: impl FnOnce(&LogicalPlan) -> Option<Arc<dyn TableProvider>>,
    ) -> Result<(), DataFusionError> {
        let missing = view
            .parameters
            .iter()
            .find(|name| self.parameters.get(name).is_none())
            .or_else(|| view.relations.iter().find_map(|name| self.unbound.get(name)));
        if let Some(missing) = missing {
            self.unbound.insert(view.name.clone(), missing.clone());
            return Ok(());
        }
        let plan = plan_query(&self.context.state(), view.query.clone(), &self.parameters).await?;
        let plan = if total_order::has_limit(&view.query) { total_order::of_limits(plan)? } else { plan };
        let table = instead(&plan).unwrap_or_else(|| Arc::new(ViewTable::new(plan, Some(view.sql.value.clone()))));
        self.context.register_table(TableReference::bare(view.name.as_str()), table)?;
        Ok(())
    }
}

/// Rows of a plan with its joins as hash tables, which are much faster than sorting both sides and cannot spill; sorted where
/// memory does not suffice for them.
pub(super) async fn either_way(mut state: SessionState, plan: LogicalPlan) -> Result<EngineRows, DataFusionError> {
    state.config_mut().options_mut().optimizer.prefer_hash_join = false;
    let spilling = DataFrame::new(state.clone(), plan.clone());
    state.config_mut().options_mut().optimizer.prefer_hash_join = true;
    unless_exhausted(DataFrame::new(state, plan), spilling).await
}

/// Rows of the first plan, or of the second where memory does not suffice for the first one's first row: what needs
/// memory is done by then.
async fn unless_exhausted(in_memory: DataFrame, spilling: DataFrame) -> Result<EngineRows, DataFusionError> {
    // The engine cannot plan every order above hash tables: not one that ends with a constant of a view.
    let rows = match in_memory.execute_stream().await {
        Ok(rows) => rows,
        Err(error) => {
            tracing::info!(code = "replanned", %error, "a plan with hash tables failed; sorting in their place");
            return Ok(spilling.execute_stream().await?.boxed());
        }
    };
    let mut rows = rows.peekable();
    let first = std::pin::Pin::new(&mut rows).peek().await;
    let is_exhausted = |error: &DataFusionError| matches!(error.find_root(), DataFusionError::ResourcesExhausted(_));
    if !first.is_some_and(|first| first.as_ref().is_err_and(is_exhausted)) {
        return Ok(rows.boxed());
    }
    drop(rows);
    tracing::debug!("memory does not suffice for joins as hash tables; sorting in their place");
    Ok(spilling.execute_stream().await?.boxed())
}

/// Binds, plans and type-checks one query.
pub(super) async fn plan_query(
    state: &SessionState,
    mut query: Query,
    parameters: &Parameters,
) -> Result<LogicalPlan, DataFusionError> {
    bind(&mut query, parameters);
    alike::tell_apart(&mut query);
    let has_lateral = lateral::spell(&mut query);
    let statement = EngineStatement::Statement(Box::new(Statement::Query(Box::new(query))));
    let state = state.clone();
    let plan = apart(async move { state.statement_to_plan(statement).await }).await?;
    let plan = if has_lateral { lateral::in_steps(plan)? } else { plan };
    datafusion::execution::context::SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false)
        .verify_plan(&plan)?;
    Ok(plan)
}
