//! A rule for plans: rows that grouping does not make fewer are grouped once, by the thread that has all rows of a group.
//!
//! The engine groups twice, the rows of each thread first, which pays where that makes fewer of them. A climb keeps its
//! rows, and the distinct values of an entity are about as many as its rows; what follows, grouped by the same entity,
//! then finds its rows together and needs no exchange either.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;
use datafusion::physical_plan::joins::CrossJoinExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, Partitioning};

use super::climb;

/// The columns of recaps that tell whose rows they are, and of whose calendar. Rows are exchanged by both: what joins the
/// groups by both expects to find them where both lead.
const IDENTITY: [&str; 2] = ["entity.id", "calendar.id"];

/// The rule.
#[derive(Debug)]
pub(super) struct GroupOnce;

impl PhysicalOptimizerRule for GroupOnce {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| match grouped_once(&node)? {
            Some(once) => Ok(Transformed::yes(once)),
            None => Ok(Transformed::no(node)),
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "group_once"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The grouping in one step, where a plan has two around an exchange of rows.
fn grouped_once(plan: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let second = plan.downcast_ref::<AggregateExec>().filter(|step| *step.mode() == AggregateMode::FinalPartitioned);
    let exchange = second.and_then(|second| second.input().downcast_ref::<RepartitionExec>());
    let first = exchange.and_then(|exchange| exchange.input().downcast_ref::<AggregateExec>());
    let (Some(exchange), Some(first)) = (exchange, first) else { return Ok(None) };
    if *first.mode() != AggregateMode::Partial || !first.group_expr().is_single() {
        return Ok(None);
    }
    let keys: Vec<Arc<dyn PhysicalExpr>> = first.group_expr().expr().iter().map(|(key, _)| Arc::clone(key)).collect();
    let identity = first.group_expr().expr().iter().filter(|(_, name)| IDENTITY.contains(&name.as_str()));
    let identity: Vec<Arc<dyn PhysicalExpr>> = identity.map(|(key, _)| Arc::clone(key)).collect();
    let is_together = is_together(first.input(), &identity);
    let aggregates = first.aggr_expr();
    let climbs = aggregates.iter().any(|aggregate| climb::is_climb(aggregate.fun().name()));
    let distinct = !identity.is_empty() && aggregates.iter().any(|aggregate| aggregate.is_distinct());
    let rows = if is_together {
        Arc::clone(first.input())
    } else if climbs || distinct {
        let keys = if identity.is_empty() { keys } else { identity };
        exchanged(first.input(), &keys, exchange.partitioning().partition_count())?
    } else {
        return Ok(None);
    };
    let once = AggregateExec::try_new(
        AggregateMode::SinglePartitioned,
        first.group_expr().clone(),
        aggregates.to_vec(),
        first.filter_expr().to_vec(),
        rows,
        first.input_schema(),
    )?;
    Ok(Some(Arc::new(once)))
}

/// Rows exchanged by keys: before they are repeated for levels, where the keys are known there already.
fn exchanged(
    rows: &Arc<dyn ExecutionPlan>,
    keys: &[Arc<dyn PhysicalExpr>],
    partitions: usize,
) -> Result<Arc<dyn ExecutionPlan>> {
    if let Some(early) = exchanged_early(rows, keys, partitions)? {
        return Ok(early);
    }
    let partitioning = Partitioning::Hash(keys.to_vec(), partitions);
    Ok(Arc::new(RepartitionExec::try_new(Arc::clone(rows), partitioning)?))
}

fn exchanged_early(
    rows: &Arc<dyn ExecutionPlan>,
    keys: &[Arc<dyn PhysicalExpr>],
    partitions: usize,
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let children = if let Some(projection) = rows.downcast_ref::<ProjectionExec>() {
        let origin = |column: &Column| projection.expr().get(column.index())?.expr.downcast_ref::<Column>().cloned();
        let Some(keys) = traced(keys, origin) else { return Ok(None) };
        let Some(input) = exchanged_early(projection.input(), &keys, partitions)? else { return Ok(None) };
        vec![input]
    } else if let Some(repeated) = rows.downcast_ref::<CrossJoinExec>() {
        let levels = repeated.left().schema().fields().len();
        let origin = |column: &Column| Some(Column::new(column.name(), column.index().checked_sub(levels)?));
        let Some(keys) = traced(keys, origin) else { return Ok(None) };
        vec![Arc::clone(repeated.left()), exchanged(repeated.right(), &keys, partitions)?]
    } else {
        return Ok(None);
    };
    replace_children_if_necessary(Arc::clone(rows), children).map(Some)
}

/// The columns that keys are the same as, in the input of a step.
fn traced(
    keys: &[Arc<dyn PhysicalExpr>],
    origin: impl Fn(&Column) -> Option<Column>,
) -> Option<Vec<Arc<dyn PhysicalExpr>>> {
    let trace = |key: &Arc<dyn PhysicalExpr>| -> Option<Arc<dyn PhysicalExpr>> {
        Some(Arc::new(origin(key.downcast_ref::<Column>()?)?))
    };
    keys.iter().map(trace).collect()
}

/// Whether all rows of an entity are in one partition, because they were exchanged by what identifies it and nothing else.
fn is_together(rows: &Arc<dyn ExecutionPlan>, identity: &[Arc<dyn PhysicalExpr>]) -> bool {
    let Partitioning::Hash(keys, _) = rows.output_partitioning() else { return false };
    let is_named = |key: &Arc<dyn PhysicalExpr>| {
        key.downcast_ref::<Column>().is_some_and(|column| IDENTITY.contains(&column.name()))
    };
    !identity.is_empty() && keys.as_slice() == identity && keys.iter().all(is_named)
}

#[cfg(test)]
mod tests {
    use datafusion::physical_plan::displayable;
    use datafusion::prelude::SessionContext;

    use super::super::{WarehouseOptions, runtime};

    #[tokio::test]
    async fn climbs_are_grouped_once_and_counts_twice() {
        let options = WarehouseOptions { threads: Some(2), ..WarehouseOptions::default() };
        let state = runtime::session_state(&options, &runtime::runtime(&options).expect("a runtime"));
        let context = SessionContext::new_with_state(state);
        for (aggregate, modes) in [
            ("count_climb(t, '1 3')", vec!["SinglePartitioned"]),
            ("count_climb(t, '1') filter (where g > 1)", vec!["SinglePartitioned"]),
            ("count(*)", vec!["FinalPartitioned", "Partial"]),
        ] {
            let rows = "select g, timestamp '2026-01-01 00:00:00' as t from generate_series(1, 9) as s (g)";
            let sql = format!("with rows as ({rows}) select g % 4 as g, {aggregate} as a from rows group by g % 4");
            let plan = context.sql(&sql).await.expect("a plan").create_physical_plan().await.expect("a plan");
            let shown = displayable(plan.as_ref()).indent(false).to_string();
            let found: Vec<&str> = shown.split("mode=").skip(1).filter_map(|rest| rest.split(',').next()).collect();
            assert_eq!(found, modes, "{shown}");
        }
    }

    /// Groups by entity and calendar of groups that are finer, joined by both in partitions.
    const JOINED: &str = "\
        with rows as (select g % 31 as \"entity.id\", g % 3 as \"calendar.id\", g % 4 as a, g as n \
        from generate_series(1, 500) as s (g)), \
        finer as (select \"entity.id\", \"calendar.id\", a, count(distinct n) filter (where n > 9) as c, sum(n) as d from rows \
        group by \"entity.id\", \"calendar.id\", a), \
        matrix as (select \"entity.id\", \"calendar.id\", sum(c) as c, sum(d) as d from finer group by \"entity.id\", \"calendar.id\"), \
        entities as (select g % 40 as id, g % 3 as calendar from generate_series(1, 120) as s (g)) \
        select * from entities full join matrix on \"entity.id\" = id and \"calendar.id\" = calendar";

    #[tokio::test]
    async fn what_was_grouped_once_is_where_joins_look_for_it() {
        let options = WarehouseOptions { threads: Some(5), ..WarehouseOptions::default() };
        let state = runtime::session_state(&options, &runtime::runtime(&options).expect("a runtime"));
        let rows = async |context: SessionContext| {
            let shown = context.sql(JOINED).await.expect("a plan").to_string().await.expect("rows");
            let mut lines: Vec<String> = shown.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        let plan = SessionContext::new_with_state(state.clone()).sql(JOINED).await.expect("a plan");
        let plan = displayable(plan.create_physical_plan().await.expect("a plan").as_ref()).indent(false).to_string();
        assert_eq!(plan.matches("mode=SinglePartitioned").count(), 2, "{plan}");
        assert_eq!(rows(SessionContext::new_with_state(state)).await, rows(SessionContext::new()).await);
    }
}
