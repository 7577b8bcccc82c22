//! A rule for plans: where only the first row of each id is wanted, rows are not sorted to number them.
//!
//! `row_number() over (partition by id order by ...) = 1` makes the engine sort all rows by their id. Here they are held as
//! they come, in a table by id ([`Copies`]); what does not fit in memory is cut into files by id first.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::arrow::array::{RecordBatch, UInt64Array};
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, IsNullExpr, Literal};
use datafusion::physical_expr::window::{StandardWindowExpr, WindowExpr};
use datafusion::physical_expr::{EquivalenceProperties, LexOrdering, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_expr::{conjunction, split_conjunction};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, SpillMetrics};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::spill::SpillManager;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowUDFExpr};
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, Distribution, ExecutionPlan, ExecutionPlanProperties,
    InputDistributionRequirements, InputOrderMode, PlanProperties, ReplaceChildrenOptions, apply_expression_roots,
};
use futures::future::BoxFuture;
use futures::{StreamExt, TryStreamExt, stream};

use super::copies::{Copies, CopyRule, PARTS, parts};

/// The rule. It stands before the one that adds exchanges and sorts, so that the latter are never planned.
#[derive(Debug)]
pub(super) struct FirstCopies;

impl PhysicalOptimizerRule for FirstCopies {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| match first_copies(&node)? {
            Some(firsts) => Ok(Transformed::yes(firsts)),
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

/// The step in place of a filter for the first row of each id; what else is filtered for stays above it.
fn first_copies(plan: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let filter = plan.downcast_ref::<FilterExec>();
    let filter = filter.filter(|filter| filter.projection().is_none() && filter.fetch().is_none());
    let window = filter.and_then(|filter| filter.input().downcast_ref::<BoundedWindowAggExec>());
    let (Some(filter), Some(window)) = (filter, window) else { return Ok(None) };
    let ([numbering], input) = (window.window_expr(), window.input()) else { return Ok(None) };
    let ([id], order) = (numbering.partition_by(), numbering.order_by()) else { return Ok(None) };
    if !is_row_number(numbering) || !are_plain(input, id, order) {
        return Ok(None);
    }
    let number = input.schema().fields().len();
    let mut conditions = split_conjunction(filter.predicate());
    let wanted = conditions.iter().position(|condition| null_is_an_id(condition, id, number).is_some());
    let Some(wanted) = wanted.map(|place| conditions.remove(place)) else { return Ok(None) };
    let Some(null_is_an_id) = null_is_an_id(wanted, id, number) else { return Ok(None) };
    let rule = CopyRule { id: Arc::clone(id), order: order.to_vec(), null_is_an_id };
    let sorted = Sorted { numbering: Arc::clone(numbering), predicate: Arc::clone(wanted) };
    let firsts = Arc::new(FirstCopiesExec::new(Arc::clone(input), window.schema(), rule, sorted));
    if conditions.is_empty() {
        return Ok(Some(firsts));
    }
    let rest = conjunction(conditions.into_iter().cloned());
    Ok(Some(Arc::new(FilterExec::try_new(rest, firsts)?)))
}

/// Whether a condition keeps one of the rows without an id or all of them, if it keeps the first row of each id and no other.
fn null_is_an_id(condition: &Arc<dyn PhysicalExpr>, id: &Arc<dyn PhysicalExpr>, number: usize) -> Option<bool> {
    if is_first(condition, number) {
        return Some(true);
    }
    let either = condition.downcast_ref::<BinaryExpr>().filter(|either| *either.op() == Operator::Or)?;
    let keeps_null =
        |side: &Arc<dyn PhysicalExpr>| side.downcast_ref::<IsNullExpr>().is_some_and(|null| null.arg() == id);
    let (left, right) = (either.left(), either.right());
    let both = (is_first(left, number) && keeps_null(right)) || (keeps_null(left) && is_first(right, number));
    both.then_some(false)
}

fn is_row_number(numbering: &Arc<dyn WindowExpr>) -> bool {
    let standard = numbering.as_any().downcast_ref::<StandardWindowExpr>();
    let function =
        standard.and_then(|standard| standard.get_standard_func_expr().as_any().downcast_ref::<WindowUDFExpr>());
    function.is_some_and(|function| function.fun().name() == "row_number")
}

/// Whether the values can be compared one by one.
fn are_plain(input: &Arc<dyn ExecutionPlan>, id: &Arc<dyn PhysicalExpr>, order: &[PhysicalSortExpr]) -> bool {
    let schema = input.schema();
    let is_plain = |value: &Arc<dyn PhysicalExpr>| {
        value.data_type(&schema).is_ok_and(|kind| !kind.is_nested() && kind != DataType::Null)
    };
    is_plain(id) && order.iter().all(|by| is_plain(&by.expr))
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

/// What the engine would have done.
#[derive(Clone, Debug)]
struct Sorted {
    numbering: Arc<dyn WindowExpr>,
    predicate: Arc<dyn PhysicalExpr>,
}

/// The step: rows of its input with the number 1 behind them, one for each id.
#[derive(Debug)]
struct FirstCopiesExec {
    input: Arc<dyn ExecutionPlan>,
    rule: CopyRule,
    sorted: Sorted,
    properties: Arc<PlanProperties>,
}

impl FirstCopiesExec {
    fn new(input: Arc<dyn ExecutionPlan>, schema: SchemaRef, rule: CopyRule, sorted: Sorted) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            input.output_partitioning().clone(),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Self { input, rule, sorted, properties: Arc::new(properties) }
    }
}

impl DisplayAs for FirstCopiesExec {
    fn fmt_as(&self, _format: DisplayFormatType, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "FirstCopiesExec: id={}", self.rule.id)
    }
}

impl ExecutionPlan for FirstCopiesExec {
    fn name(&self) -> &'static str {
        "FirstCopiesExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        InputDistributionRequirements::new(vec![Distribution::KeyPartitioned(vec![Arc::clone(&self.rule.id)])])
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        apply_expression_roots(std::iter::once(&self.rule.id).chain(self.rule.order.iter().map(|by| &by.expr)), visit)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (Some(input), true) = (children.pop(), children.is_empty()) else {
            return internal_err!("a step for first copies has one input");
        };
        Ok(Arc::new(Self::new(input, self.schema(), self.rule.clone(), self.sorted.clone())))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, Arc::clone(&context))?;
        let (schema, rule, sorted) = (self.schema(), self.rule.clone(), self.sorted.clone());
        let finding = Finding { rule, sorted, schema: Arc::clone(&schema), context };
        let rows = stream::once(finding.firsts(input, Overflow::ToParts)).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }
}

/// Where rows go that do not fit in memory.
#[derive(Clone, Copy)]
enum Overflow {
    /// To files by parts of the ids; each part is told apart by itself then.
    ToParts,
    /// To the engine's sort: a part that does not fit either, such as very many rows without an id.
    ToSort,
}

/// One thread's search.
#[derive(Clone)]
struct Finding {
    rule: CopyRule,
    sorted: Sorted,
    schema: SchemaRef,
    context: Arc<TaskContext>,
}

impl Finding {
    /// [`Finding::firsts`] where it is called from itself.
    fn boxed(
        self,
        input: SendableRecordBatchStream,
        overflow: Overflow,
    ) -> BoxFuture<'static, Result<SendableRecordBatchStream>> {
        Box::pin(self.firsts(input, overflow))
    }

    /// The first copies of all rows.
    async fn firsts(
        self,
        mut input: SendableRecordBatchStream,
        overflow: Overflow,
    ) -> Result<SendableRecordBatchStream> {
        let consumer = MemoryConsumer::new("FirstCopies").with_can_spill(true);
        let reservation = consumer.register(self.context.memory_pool());
        let mut copies = Copies::new(self.rule.clone());
        while let Some(rows) = input.next().await.transpose()? {
            if reservation.try_resize(copies.bytes_with(&rows)).is_err() {
                drop(reservation);
                return match overflow {
                    Overflow::ToParts => self.firsts_of_parts(copies, rows, input).await,
                    Overflow::ToSort => self.sorted_firsts(copies, rows, input),
                };
            }
            copies.add(rows)?;
        }
        reservation.try_resize(copies.bytes())?;
        let schema = Arc::clone(&self.schema);
        let rows = copies.into_firsts().map(move |rows| {
            let (rows, bytes) = rows?;
            reservation.shrink(bytes.min(reservation.size()));
            let mut columns = rows.columns().to_vec();
            columns.push(Arc::new(UInt64Array::from_value(1, rows.num_rows())));
            Ok(RecordBatch::try_new(Arc::clone(&schema), columns)?)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema, stream::iter(rows))))
    }

    /// The same by way of files: what is held, the rows after it, and what is still to come.
    async fn firsts_of_parts(
        self,
        held: Copies,
        next: RecordBatch,
        input: SendableRecordBatchStream,
    ) -> Result<SendableRecordBatchStream> {
        let metrics = SpillMetrics::new(&ExecutionPlanMetricsSet::new(), 0);
        let manager = SpillManager::new(self.context.runtime_env(), metrics, input.schema());
        let files = (0..PARTS).map(|_| manager.create_in_progress_file("rows to find first copies in"));
        let mut files = files.collect::<Result<Vec<_>>>()?;
        let held = held.into_firsts().map(|rows| rows.map(|(rows, _)| rows)).chain([Ok(next)]);
        let mut all = std::pin::pin!(stream::iter(held).chain(input));
        while let Some(rows) = all.next().await.transpose()? {
            for (part, rows) in parts(&self.rule, &rows)? {
                files[part].append_batch(&rows)?;
            }
        }
        let mut finished = Vec::new();
        for file in &mut files {
            finished.extend(file.finish()?);
        }
        let schema = Arc::clone(&self.schema);
        let firsts = stream::iter(finished).then(move |file| {
            let (finding, rows) = (self.clone(), manager.read_spill_as_stream(file, None));
            async move { finding.boxed(rows?, Overflow::ToSort).await }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, firsts.try_flatten())))
    }

    /// The same as the engine finds it.
    fn sorted_firsts(
        self,
        held: Copies,
        next: RecordBatch,
        input: SendableRecordBatchStream,
    ) -> Result<SendableRecordBatchStream> {
        let schema = input.schema();
        let all = stream::iter(held.into_all().chain([next]).map(Ok)).chain(input);
        let rows = Mutex::new(Some(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&schema), all)) as _));
        let once = Arc::new(Once { schema: Arc::clone(&schema), rows });
        let input = StreamingTableExec::try_new(schema, vec![once], None, None::<LexOrdering>, false, None)?;
        let id = PhysicalSortExpr::new_default(Arc::clone(&self.rule.id));
        let Some(ordering) = LexOrdering::new(std::iter::once(id).chain(self.rule.order.iter().cloned())) else {
            return internal_err!("copies have an id");
        };
        let sort = Arc::new(SortExec::new(ordering, Arc::new(input)));
        let window = BoundedWindowAggExec::try_new(vec![self.sorted.numbering], sort, InputOrderMode::Sorted, true)?;
        FilterExec::try_new(self.sorted.predicate, Arc::new(window))?.execute(0, self.context)
    }
}

/// A stream as a table that is read once.
struct Once {
    schema: SchemaRef,
    rows: Mutex<Option<SendableRecordBatchStream>>,
}

impl fmt::Debug for Once {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Once")
    }
}

impl PartitionStream for Once {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner).take();
        rows.unwrap_or_else(|| {
            let again = internal_err!("rows that were read are read again");
            Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), stream::iter([again])))
        })
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
        format!(
            "select id, received, at, n, t from (select *, row_number() over (partition by id order by received desc, at, n, t) \
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
                let sql = format!("{} {}", rows(2_000, id), firsts(wanted));
                let expected = shown(&SessionContext::new(), &sql).await;
                assert_eq!(shown(&ours(100_000_000), &sql).await, expected, "{id}, {wanted}");
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
        for function in ["rank", "dense_rank"] {
            let sql = format!("{} {}", rows(100, "g % 7"), firsts("number = 1")).replace("row_number", function);
            assert!(!plan(&context, &sql).await.contains("FirstCopies"), "{function}");
        }
    }
}
