//! A rule for plans: where only the first row of each id is wanted, rows are not sorted to number them.
//!
//! `row_number() over (partition by id order by ...) = 1` makes the engine sort all rows by their id. Here they are held as
//! they come, in a table by id ([`Copies`]); what does not fit in memory is cut into files by id first.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, IsNullExpr, Literal};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::window::{StandardWindowExpr, WindowExpr};
use datafusion::physical_expr::{PhysicalExpr, PhysicalSortExpr, conjunction, split_conjunction};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowUDFExpr};

use super::copies::CopyRule;
use super::first_copies_step::{FirstCopiesExec, Sorted};

/// The rule. It stands before the one that adds exchanges and sorts, so that the latter are never planned.
#[derive(Debug)]
pub(super) struct FirstCopies;

impl PhysicalOptimizerRule for FirstCopies {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| match with_first_copies(&node)? {
            Some(changed) => Ok(Transformed::yes(changed)),
            None => Ok(Transformed::no(node)),
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "first_copies"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The plan with the step in it. Rows without an id get other numbers than in a window: a filter that keeps them is replaced
/// only below a step that does not look at numbers, and hands none on.
fn with_first_copies(plan: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if let Some((firsts, _)) = first_copies(plan, false)? {
        return Ok(Some(firsts));
    }
    let children = plan.children();
    let [input] = children.as_slice() else { return Ok(None) };
    if !(plan.is::<ProjectionExec>() || plan.is::<AggregateExec>()) {
        return Ok(None);
    }
    match first_copies(input, true)? {
        Some((firsts, number)) if !looks_at(plan, number)? => {
            replace_children_if_necessary(Arc::clone(plan), vec![firsts]).map(Some)
        }
        _ => Ok(None),
    }
}

/// Whether an expression of a step reads a column of its input.
fn looks_at(plan: &Arc<dyn ExecutionPlan>, column: usize) -> Result<bool> {
    let mut looks = false;
    plan.apply_expressions(&mut |expression| {
        looks |= collect_columns(expression).iter().any(|read| read.index() == column);
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(looks)
}

/// The step in place of a filter for the first row of each id, with the column of numbers; what else is filtered for stays
/// above it.
fn first_copies(plan: &Arc<dyn ExecutionPlan>, keeps_nulls: bool) -> Result<Option<(Arc<dyn ExecutionPlan>, usize)>> {
    let filter = plan.downcast_ref::<FilterExec>();
    let filter = filter.filter(|filter| filter.projection().is_none() && filter.fetch().is_none());
    let window = filter.and_then(|filter| filter.input().downcast_ref::<BoundedWindowAggExec>());
    let (Some(filter), Some(window)) = (filter, window) else { return Ok(None) };
    let ([numbering], input) = (window.window_expr(), window.input()) else { return Ok(None) };
    let (id, order) = (numbering.partition_by(), numbering.order_by());
    if id.is_empty() || !is_row_number(numbering) || !are_plain(input, id, order) {
        return Ok(None);
    }
    let number = input.schema().fields().len();
    let mut conditions = split_conjunction(filter.predicate());
    let wanted = conditions.iter().position(|condition| keeps_first(condition, id, number).is_some());
    let Some(wanted) = wanted.map(|place| conditions.remove(place)) else { return Ok(None) };
    let Some(needed) = keeps_first(wanted, id, number) else { return Ok(None) };
    let reads_number =
        |condition: &&Arc<dyn PhysicalExpr>| collect_columns(condition).iter().any(|read| read.index() == number);
    if needed.is_some() != keeps_nulls || (keeps_nulls && conditions.iter().any(reads_number)) {
        return Ok(None);
    }
    let rule = CopyRule { id: id.to_vec(), order: order.to_vec(), needed };
    let sorted = Sorted { numbering: Arc::clone(numbering), predicate: Arc::clone(wanted) };
    let firsts = Arc::new(FirstCopiesExec::new(Arc::clone(input), window.schema(), rule, sorted));
    if conditions.is_empty() {
        return Ok(Some((firsts, number)));
    }
    let rest = conjunction(conditions.into_iter().cloned());
    Ok(Some((Arc::new(FilterExec::try_new(rest, firsts)?), number)))
}

/// Of a condition that keeps the first row of each id and no other: the part of the id without which it keeps a row, if any.
fn keeps_first(
    condition: &Arc<dyn PhysicalExpr>,
    id: &[Arc<dyn PhysicalExpr>],
    number: usize,
) -> Option<Option<usize>> {
    if is_first(condition, number) {
        return Some(None);
    }
    let either = condition.downcast_ref::<BinaryExpr>().filter(|either| *either.op() == Operator::Or)?;
    let without = |side: &Arc<dyn PhysicalExpr>| {
        let null = side.downcast_ref::<IsNullExpr>()?;
        id.iter().position(|part| part == null.arg())
    };
    let (left, right) = (either.left(), either.right());
    let needed =
        if is_first(left, number) { without(right)? } else { without(left).filter(|_| is_first(right, number))? };
    Some(Some(needed))
}

fn is_row_number(numbering: &Arc<dyn WindowExpr>) -> bool {
    let standard = numbering.as_any().downcast_ref::<StandardWindowExpr>();
    let function =
        standard.and_then(|standard| standard.get_standard_func_expr().as_any().downcast_ref::<WindowUDFExpr>());
    function.is_some_and(|function| function.fun().name() == "row_number")
}

/// Whether the values can be compared one by one.
fn are_plain(input: &Arc<dyn ExecutionPlan>, id: &[Arc<dyn PhysicalExpr>], order: &[PhysicalSortExpr]) -> bool {
    let schema = input.schema();
    let is_plain = |value: &Arc<dyn PhysicalExpr>| {
        value.data_type(&schema).is_ok_and(|kind| !kind.is_nested() && kind != DataType::Null)
    };
    id.iter().all(is_plain) && order.iter().all(|by| is_plain(&by.expr))
}

/// Whether this is `number = 1`, said in one of the ways people say it.
fn is_first(predicate: &Arc<dyn PhysicalExpr>, number: usize) -> bool {
    let Some(comparison) = predicate.downcast_ref::<BinaryExpr>() else { return false };
    let is_number =
        |side: &Arc<dyn PhysicalExpr>| side.downcast_ref::<Column>().is_some_and(|column| column.index() == number);
    let value = |side: &Arc<dyn PhysicalExpr>| match side.downcast_ref::<Literal>()?.value().cast_to(&DataType::UInt64)
    {
        Ok(ScalarValue::UInt64(value)) => value,
        _ => None,
    };
    if is_number(comparison.left()) {
        let bound = value(comparison.right());
        matches!((comparison.op(), bound), (Operator::Eq | Operator::LtEq, Some(1)) | (Operator::Lt, Some(2)))
    } else {
        let bound = value(comparison.left());
        is_number(comparison.right())
            && matches!((comparison.op(), bound), (Operator::Eq | Operator::GtEq, Some(1)) | (Operator::Gt, Some(2)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::execution::runtime_env::RuntimeEnvBuilder;
    use datafusion::physical_plan::displayable;
    use datafusion::prelude::SessionContext;

    use super::super::memory::QueryMemory;
    use super::super::{WarehouseOptions, runtime};

    const THREADS: usize = 3;

    /// A session of ours whose queries may hold so many bytes.
    fn ours(limit_bytes: usize) -> SessionContext {
        let options = WarehouseOptions {
            threads: Some(THREADS),
            memory_limit_bytes: Some(120_000_000),
            ..WarehouseOptions::default()
        };
        let pool = Arc::new(QueryMemory::new(limit_bytes));
        let runtime = RuntimeEnvBuilder::new().with_memory_pool(pool).build_arc().expect("a runtime");
        SessionContext::new_with_state(runtime::session_state(&options, &runtime))
    }

    /// Rows of which many share an id, some have none, and some are equal in all that orders them.
    fn rows(count: usize, id: &str) -> String {
        format!(
            "with numbered as (select cast(floor(random_like * 100000) as bigint) as g from (
                select abs(sin(value)) as random_like from generate_series(1, {count}) as s (value)) as r),
            rows as (select {id} as id, g % 3 as received, nullif(g % 5, 4) as at, g % 2 as n, \
             cast(g % 7 as varchar) || ' of a text that takes some room' as t from numbered)"
        )
    }

    fn firsts(wanted: &str) -> String {
        firsts_within("", wanted)
    }

    fn firsts_within(also: &str, wanted: &str) -> String {
        format!(
            "select id, received, at, n, t from (select *, row_number() over (partition by id{also} order by received desc, at, n, t) \
             as number from rows) where {wanted} order by id, received, at, n, t"
        )
    }

    async fn shown(context: &SessionContext, sql: &str) -> String {
        context.sql(sql).await.expect("a plan").to_string().await.expect("rows")
    }

    async fn plan(context: &SessionContext, sql: &str) -> String {
        let plan = context.sql(sql).await.expect("a plan").create_physical_plan().await.expect("a plan");
        displayable(plan.as_ref()).indent(false).to_string()
    }

    #[tokio::test]
    async fn the_first_copies_are_those_that_sorting_finds() {
        let ids = [
            "case when g % 11 = 0 then null else g % 700 end",
            "case when g % 11 = 0 then null else 'an id of more than a few letters ' || cast(g % 90 as varchar) end",
            "arrow_cast(case when g % 11 = 0 then null else cast(g % 40 as varchar) end, 'Dictionary(Int32, Utf8)')",
            "cast(g % 50 as double) / 3",
            "g",
            "cast(null as bigint)",
        ];
        let ways = ["number = 1 or id is null", "id is null or 1 = number", "number = 1", "number <= 1", "2 > number"];
        for id in ids {
            for wanted in ways {
                for also in ["", ", at", ", n, received"] {
                    let sql = format!("{} {}", rows(2_000, id), firsts_within(also, wanted));
                    let expected = shown(&SessionContext::new(), &sql).await;
                    assert_eq!(shown(&ours(100_000_000), &sql).await, expected, "{id}{also}, {wanted}");
                }
            }
        }
        let sql =
            format!("{} {}", rows(2_000, ids[0]), firsts("(number = 1 or id is null) and t < '5' and n is not null"));
        assert_eq!(shown(&ours(100_000_000), &sql).await, shown(&SessionContext::new(), &sql).await);
        let found = plan(&ours(100_000_000), &sql).await;
        assert!(found.contains("FirstCopiesExec") && !found.contains("WindowAgg"), "{found}");
    }

    #[tokio::test]
    async fn what_does_not_fit_goes_by_way_of_files() {
        // The rows take some 25 MB; those without an id, all in one part, are sorted.
        let ids = ["case when g % 11 = 0 then null else g % 60000 end", "case when g % 11 > 0 then null else g end"];
        let aggregate = "select count(*), count(id), sum(id), sum(received), sum(at), sum(n)";
        for id in ids {
            let firsts = firsts("number = 1 or id is null");
            let sql = format!("{}, firsts as ({firsts}) {aggregate} from firsts", rows(300_000, id));
            assert_eq!(shown(&ours(9_000_000), &sql).await, shown(&SessionContext::new(), &sql).await, "{id}");
        }
    }

    #[tokio::test]
    async fn other_numbers_are_left_to_the_engine() {
        let context = ours(100_000_000);
        for wanted in [
            "number = 2",
            "number <= 2",
            "number = 1 or n is null",
            "number = 1 and n = 0 or id is null",
            "number >= 1",
        ] {
            let sql = format!("{} {}", rows(100, "g % 7"), firsts(wanted));
            assert!(!plan(&context, &sql).await.contains("FirstCopies"), "{wanted}");
            assert_eq!(shown(&context, &sql).await, shown(&SessionContext::new(), &sql).await, "{wanted}");
        }
        // What a window numbers rows without an id is shown.
        let shows = firsts("number = 1 or id is null").replacen("select id,", "select number, id,", 1);
        let asks = firsts("(number = 1 or id is null) and number < 3");
        for query in [shows, asks] {
            let sql = format!("{} {query}", rows(100, "nullif(g % 7, 3)"));
            assert!(!plan(&context, &sql).await.contains("FirstCopies"), "{query}");
            assert_eq!(shown(&context, &sql).await, shown(&SessionContext::new(), &sql).await, "{query}");
        }
        for function in ["rank", "dense_rank"] {
            let sql = format!("{} {}", rows(100, "g % 7"), firsts("number = 1")).replace("row_number", function);
            assert!(!plan(&context, &sql).await.contains("FirstCopies"), "{function}");
        }
    }
}
