//! The step that finds the first copy of each row, in memory or by way of files; [`first_copies`](super::first_copies) plans it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::arrow::array::{RecordBatch, UInt64Array};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::window::WindowExpr;
use datafusion::physical_expr::{EquivalenceProperties, LexOrdering, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::metrics::{
    BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet, RecordOutput, SpillMetrics,
};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::spill::SpillManager;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::windows::BoundedWindowAggExec;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, Distribution, ExecutionPlan, ExecutionPlanProperties,
    InputDistributionRequirements, InputOrderMode, PlanProperties, ReplaceChildrenOptions, apply_expression_roots,
};
use futures::future::BoxFuture;
use futures::{StreamExt, TryStreamExt, stream};

use super::copies::{Copies, CopyRule, PARTS, parts};

/// What the engine would have done.
#[derive(Clone, Debug)]
pub(super) struct Sorted {
    pub(super) numbering: Arc<dyn WindowExpr>,
    pub(super) predicate: Arc<dyn PhysicalExpr>,
}

/// The step: rows of its input with the number 1 behind them, one for each id.
#[derive(Debug)]
pub(super) struct FirstCopiesExec {
    input: Arc<dyn ExecutionPlan>,
    rule: CopyRule,
    sorted: Sorted,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl FirstCopiesExec {
    pub(super) fn new(input: Arc<dyn ExecutionPlan>, schema: SchemaRef, rule: CopyRule, sorted: Sorted) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            input.output_partitioning().clone(),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Self { input, rule, sorted, properties: Arc::new(properties), metrics: ExecutionPlanMetricsSet::new() }
    }
}

impl DisplayAs for FirstCopiesExec {
    fn fmt_as(&self, _format: DisplayFormatType, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id: Vec<String> = self.rule.id.iter().map(ToString::to_string).collect();
        write!(formatter, "FirstCopiesExec: id=[{}]", id.join(", "))
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
        InputDistributionRequirements::new(vec![Distribution::KeyPartitioned(self.rule.id.clone())])
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        apply_expression_roots(self.rule.id.iter().chain(self.rule.order.iter().map(|by| &by.expr)), visit)
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

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, Arc::clone(&context))?;
        let (schema, rule, sorted) = (self.schema(), self.rule.clone(), self.sorted.clone());
        let spills = SpillMetrics::new(&self.metrics, partition);
        let finding = Finding { rule, sorted, schema: Arc::clone(&schema), context, spills };
        let output = BaselineMetrics::new(&self.metrics, partition);
        let rows = stream::once(finding.firsts(input, Overflow::ToParts)).try_flatten();
        let rows = rows.map(move |rows| Ok(rows?.record_output(&output)));
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
    spills: SpillMetrics,
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
                // Nobody looks for copies among these any more, and rows keep their share until they are away.
                reservation.try_resize(copies.row_bytes())?;
                return match overflow {
                    Overflow::ToParts => self.firsts_of_parts((copies, reservation), rows, input).await,
                    Overflow::ToSort => self.sorted_firsts((copies, reservation), rows, input),
                };
            }
            copies.add(rows)?;
        }
        reservation.try_resize(copies.bytes())?;
        let schema = Arc::clone(&self.schema);
        let rows = copies.into_firsts().map(move |rows| {
            let (rows, bytes) = rows?;
            let rows = given_back(&reservation, rows, bytes);
            let mut columns = rows.columns().to_vec();
            columns.push(Arc::new(UInt64Array::from_value(1, rows.num_rows())));
            Ok(RecordBatch::try_new(Arc::clone(&schema), columns)?)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema, stream::iter(rows))))
    }

    /// The same by way of files: what is held, the rows after it, and what is still to come.
    async fn firsts_of_parts(
        self,
        (held, reservation): (Copies, MemoryReservation),
        next: RecordBatch,
        input: SendableRecordBatchStream,
    ) -> Result<SendableRecordBatchStream> {
        let manager = SpillManager::new(self.context.runtime_env(), self.spills.clone(), input.schema());
        let files = (0..PARTS).map(|_| manager.create_in_progress_file("rows to find first copies in"));
        let mut files = files.collect::<Result<Vec<_>>>()?;
        let held = held.into_firsts().map(|rows| rows.map(|(rows, bytes)| given_back(&reservation, rows, bytes)));
        let mut all = std::pin::pin!(stream::iter(held.chain([Ok(next)])).chain(input));
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
        (held, reservation): (Copies, MemoryReservation),
        next: RecordBatch,
        input: SendableRecordBatchStream,
    ) -> Result<SendableRecordBatchStream> {
        let schema = input.schema();
        let held = held.into_all().map(move |rows| {
            let bytes = rows.get_array_memory_size();
            given_back(&reservation, rows, bytes)
        });
        let all = stream::iter(held.chain([next]).map(Ok)).chain(input);
        let rows = Mutex::new(Some(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&schema), all)) as _));
        let once = Arc::new(Once { schema: Arc::clone(&schema), rows });
        let input = StreamingTableExec::try_new(schema, vec![once], None, None::<LexOrdering>, false, None)?;
        let id = self.rule.id.iter().map(|part| PhysicalSortExpr::new_default(Arc::clone(part)));
        let Some(ordering) = LexOrdering::new(id.chain(self.rule.order.iter().cloned())) else {
            return internal_err!("copies have an id");
        };
        let sort = Arc::new(SortExec::new(ordering, Arc::new(input)));
        let window = BoundedWindowAggExec::try_new(vec![self.sorted.numbering], sort, InputOrderMode::Sorted, true)?;
        FilterExec::try_new(self.sorted.predicate, Arc::new(window))?.execute(0, self.context)
    }
}

/// Rows that leave, and with them the memory that was reserved for them.
fn given_back(reservation: &MemoryReservation, rows: RecordBatch, bytes: usize) -> RecordBatch {
    reservation.shrink(bytes.min(reservation.size()));
    rows
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
