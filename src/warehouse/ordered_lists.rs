//! `array_agg` as the engine has it, except that `array_agg(x order by y)` keeps one table for all groups.
//!
//! The engine keeps every value of every group as an object of its own, and sorts group by group. Here rows stay in columns
//! and are sorted once.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, ListArray, StructArray, UInt32Array};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::compute::{SortOptions, and, concat, filter, is_not_null, take};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::arrow::row::{RowConverter, SortField};
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::functions_aggregate::array_agg::ArrayAgg;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF, Signature,
};

/// The function for the warehouse, in place of the engine's.
pub(super) fn array_agg() -> Arc<AggregateUDF> {
    Arc::new(AggregateUDF::from(ListOfAnything(ArrayAgg::default())))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ListOfAnything(ArrayAgg);

/// Whether lists are made here.
fn is_ours(arguments: &AccumulatorArgs) -> bool {
    !arguments.is_distinct && !arguments.order_bys.is_empty()
}

impl AggregateUDFImpl for ListOfAnything {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn signature(&self) -> &Signature {
        self.0.signature()
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        self.0.return_type(arguments)
    }

    fn state_fields(&self, arguments: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        self.0.state_fields(arguments)
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.0.order_sensitivity()
    }

    /// Rows that are in order already are sorted like all others.
    fn with_beneficial_ordering(self: Arc<Self>, _is_ordered: bool) -> Result<Option<Arc<dyn AggregateUDFImpl>>> {
        Ok(Some(self))
    }

    fn accumulator(&self, arguments: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        self.0.accumulator(arguments)
    }

    fn groups_accumulator_supported(&self, arguments: AccumulatorArgs) -> bool {
        is_ours(&arguments) || self.0.groups_accumulator_supported(arguments)
    }

    fn create_groups_accumulator(&self, arguments: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        if is_ours(&arguments) {
            return Ok(Box::new(OrderedLists::new(&arguments)?));
        }
        self.0.create_groups_accumulator(arguments)
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Reversed(array_agg())
    }

    fn supports_null_handling_clause(&self) -> bool {
        self.0.supports_null_handling_clause()
    }
}

/// The ordered lists of many groups: rows as they came, each with its group.
struct OrderedLists {
    order: Fields,
    options: Vec<SortOptions>,
    is_reversed: bool,
    ignores_nulls: bool,
    kind: DataType,
    groups: Vec<u32>,
    /// Value and order, batch by batch.
    batches: Vec<Vec<ArrayRef>>,
    bytes: usize,
    total: usize,
}

impl OrderedLists {
    fn new(arguments: &AccumulatorArgs) -> Result<Self> {
        let fields = arguments
            .order_bys
            .iter()
            .map(|order| Ok(Field::new(order.expr.to_string(), order.expr.data_type(arguments.schema)?, true)));
        let field = &arguments.expr_fields[0];
        Ok(Self {
            order: fields.collect::<Result<Vec<_>>>()?.into(),
            options: arguments.order_bys.iter().map(|order| order.options).collect(),
            is_reversed: arguments.is_reversed,
            ignores_nulls: arguments.ignore_nulls && field.is_nullable(),
            kind: field.data_type().clone(),
            groups: Vec::new(),
            batches: Vec::new(),
            bytes: 0,
            total: 0,
        })
    }

    /// The rows that count; `None`: all.
    fn counted(&self, values: &ArrayRef, rows: Option<&BooleanArray>) -> Result<Option<BooleanArray>> {
        let present = (self.ignores_nulls && values.null_count() > 0).then(|| is_not_null(values)).transpose()?;
        Ok(match (present, rows) {
            (Some(present), Some(rows)) => Some(and(&present, rows)?),
            (present, rows) => present.or_else(|| rows.cloned()),
        })
    }

    fn add(&mut self, columns: Vec<ArrayRef>, groups: impl Iterator<Item = usize>) -> Result<()> {
        for group in groups {
            self.groups.push(u32::try_from(group).map_err(|_| exec_datafusion_err!("more than four billion groups"))?);
        }
        self.bytes += columns.iter().map(Array::get_array_memory_size).sum::<usize>();
        self.batches.push(columns);
        Ok(())
    }

    /// The columns of all rows, and the rows of the emitted groups in order, those of each group together; the other
    /// groups move down.
    fn take(&mut self, emit_to: EmitTo) -> Result<(Vec<ArrayRef>, UInt32Array, Vec<usize>)> {
        let emitted = match emit_to {
            EmitTo::All => self.total,
            EmitTo::First(count) => count.min(self.total),
        };
        let columns = self.columns()?;
        let (groups, limit) = (std::mem::take(&mut self.groups), u32::try_from(emitted).unwrap_or(u32::MAX));
        let ours = |row: &u32| groups[usize::try_from(*row).unwrap_or_default()] < limit;
        let last = u32::try_from(groups.len()).map_err(|_| exec_datafusion_err!("more than four billion rows"))?;
        let (mut rows, rest): (Vec<u32>, Vec<u32>) = (0..last).partition(ours);
        let fields = self.order.iter().zip(&self.options);
        let fields = fields.map(|(field, options)| SortField::new_with_options(field.data_type().clone(), *options));
        let keys = RowConverter::new(fields.collect())?.convert_columns(&columns[1..])?;
        let key = |row: u32| usize::try_from(row).unwrap_or_default();
        rows.sort_unstable_by(|left, right| {
            let (l, r) = (key(*left), key(*right));
            groups[l].cmp(&groups[r]).then_with(|| keys.row(l).cmp(&keys.row(r))).then_with(|| left.cmp(right))
        });
        let mut lengths = vec![0; emitted];
        rows.iter().for_each(|row| lengths[key(groups[key(*row)])] += 1);
        self.batches.clear();
        (self.bytes, self.total) = (0, self.total - emitted);
        if !rest.is_empty() {
            let numbers = UInt32Array::from(rest.clone());
            let left = columns.iter().map(|column| take(column, &numbers, None)).collect::<Result<Vec<_>, _>>()?;
            self.add(left, rest.into_iter().map(|row| key(groups[key(row)]) - emitted))?;
        }
        Ok((columns, UInt32Array::from(rows), lengths))
    }

    fn columns(&self) -> Result<Vec<ArrayRef>> {
        let kinds = std::iter::once(&self.kind).chain(self.order.iter().map(|field| field.data_type()));
        let column = |(place, kind): (usize, &DataType)| {
            let parts: Vec<&dyn Array> = self.batches.iter().map(|batch| batch[place].as_ref()).collect();
            if parts.is_empty() {
                return Ok(datafusion::arrow::array::new_empty_array(kind));
            }
            Ok(concat(&parts)?)
        };
        kinds.enumerate().map(column).collect()
    }
}

/// One list per length; where nulls are asked for, one in place of each empty list.
fn lists(values: ArrayRef, lengths: &[usize], with_nulls: bool) -> Result<ArrayRef> {
    let field = Arc::new(Field::new_list_field(values.data_type().clone(), true));
    let nulls = with_nulls.then(|| lengths.iter().map(|length| *length > 0).collect::<NullBuffer>());
    let offsets = OffsetBuffer::from_lengths(lengths.iter().copied());
    Ok(Arc::new(ListArray::try_new(field, offsets, values, nulls)?))
}

impl GroupsAccumulator for OrderedLists {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.total = total_num_groups;
        let values = &values[..=self.order.len()];
        match self.counted(&values[0], opt_filter)? {
            None => self.add(values.to_vec(), group_indices.iter().copied()),
            Some(rows) => {
                let kept = values.iter().map(|column| filter(column, &rows)).collect::<Result<Vec<_>, _>>()?;
                let groups = group_indices.iter().enumerate();
                let counts = |row: usize| rows.is_valid(row) && rows.value(row);
                self.add(kept, groups.filter(|(row, _)| counts(*row)).map(|(_, group)| *group))
            }
        }
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.total = total_num_groups;
        let (lists, orders) = (values[0].as_list::<i32>(), values[1].as_list::<i32>());
        let (mut rows, mut order_rows, mut groups) = (Vec::new(), Vec::new(), Vec::new());
        for (row, group) in group_indices.iter().enumerate().filter(|(row, _)| lists.is_valid(*row)) {
            rows.extend(lists.value_offsets()[row]..lists.value_offsets()[row + 1]);
            order_rows.extend(orders.value_offsets()[row]..orders.value_offsets()[row + 1]);
            groups.resize(rows.len(), *group);
        }
        let numbers =
            |rows: Vec<i32>| rows.into_iter().filter_map(|row| u32::try_from(row).ok()).collect::<UInt32Array>();
        let mut columns = vec![take(lists.values(), &numbers(rows), None)?];
        let order_rows = numbers(order_rows);
        for column in orders.values().as_struct().columns() {
            columns.push(take(column, &order_rows, None)?);
        }
        self.add(columns, groups.into_iter())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let (columns, rows, lengths) = self.take(emit_to)?;
        let rows = if self.is_reversed {
            let mut begun = 0;
            let mut reversed: Vec<u32> = Vec::with_capacity(rows.len());
            for length in &lengths {
                reversed.extend(rows.values()[begun..begun + length].iter().rev());
                begun += length;
            }
            UInt32Array::from(reversed)
        } else {
            rows
        };
        lists(take(&columns[0], &rows, None)?, &lengths, true)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let (columns, rows, lengths) = self.take(emit_to)?;
        let order = columns[1..].iter().map(|column| take(column, &rows, None)).collect::<Result<Vec<_>, _>>()?;
        let order = StructArray::try_new(self.order.clone(), order, None)?;
        Ok(vec![lists(take(&columns[0], &rows, None)?, &lengths, true)?, lists(Arc::new(order), &lengths, false)?])
    }

    fn convert_to_state(&self, values: &[ArrayRef], opt_filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let rows = self.counted(&values[0], opt_filter)?;
        let counts = |row: usize| rows.as_ref().is_none_or(|rows| rows.is_valid(row) && rows.value(row));
        let lengths: Vec<usize> = (0..values[0].len()).map(|row| usize::from(counts(row))).collect();
        let kept = values[..=self.order.len()].iter().map(|column| match &rows {
            Some(rows) => filter(column, rows),
            None => Ok(Arc::clone(column)),
        });
        let mut kept = kept.collect::<Result<Vec<_>, _>>()?;
        let order = StructArray::try_new(self.order.clone(), kept.split_off(1), None)?;
        Ok(vec![lists(kept.remove(0), &lengths, true)?, lists(Arc::new(order), &lengths, false)?])
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.bytes + self.groups.capacity() * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use datafusion::prelude::SessionContext;
    use proptest::prelude::*;

    use super::super::runtime;
    use super::super::{WarehouseError, WarehouseOptions};
    use crate::warehouse::value;

    /// Aggregates of every kind that has an accumulator of milepost's own, beside others, over many groups and over all.
    const AGGREGATES: &str = "\
        array_agg(t order by n, m, t), array_agg(n order by t desc nulls last, n, m), \
        array_agg(m order by d, n, m, t) filter (where n > 1), count(distinct t), count(distinct t) filter (where n > 0), \
        count(distinct d), count(distinct m), count(distinct f), count(distinct b), count(n), sum(m), median(m), \
        count(distinct n) filter (where t = 'a'), first_value(t order by n, m, t), last_value(m order by t, n, m), max(t)";

    async fn answers(context: &SessionContext, rows: &[(u8, Option<i64>, Option<i64>, Option<u8>)]) -> Vec<String> {
        let mut values = String::new();
        for (group, n, m, t) in rows {
            let text = |value: &Option<i64>| value.map_or_else(|| "null".to_owned(), |value| value.to_string());
            let t = t.map_or_else(|| "null".to_owned(), |t| format!("'{}'", ["a", "b", "cc", ""][usize::from(t)]));
            let comma = if values.is_empty() { "" } else { ", " };
            write!(values, "{comma}({group}, {}, {}, {t})", text(n), text(m)).expect("text");
        }
        let sql = format!(
            "with r as (select g, cast(n as bigint) as n, cast(m as bigint) as m, cast(t as varchar) as t, \
             date '2026-01-01' + cast(n as int) as d, cast(m as double) / 4 as f, n > m as b \
             from (values {values}) as v (g, n, m, t)) \
             select g, {AGGREGATES} from r group by g union all select -1, {AGGREGATES} from r order by 1"
        );
        let batches = context.sql(&sql).await.expect("a plan").collect().await.expect("rows");
        let lines = batches.iter().flat_map(|batch| {
            (0..batch.num_rows()).map(|row| {
                let cells = batch.columns().iter().map(|column| value::json(column, row).to_string());
                cells.collect::<Vec<_>>().join(" ")
            })
        });
        lines.collect()
    }

    fn own() -> Result<SessionContext, WarehouseError> {
        let options = WarehouseOptions { threads: Some(2), ..WarehouseOptions::default() };
        let state = runtime::session_state(&options, &runtime::runtime(&options)?);
        Ok(SessionContext::new_with_state(state))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]
        #[test]
        fn aggregates_of_our_own_answer_as_the_engines(
            rows in proptest::collection::vec((
                0..6_u8, proptest::option::weighted(0.8, 0..5_i64), proptest::option::weighted(0.8, -3..9_i64),
                proptest::option::weighted(0.8, 0..4_u8),
            ), 1..50),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            let (ours, theirs) = runtime.block_on(async {
                let engine = SessionContext::new();
                (answers(&own().expect("a session"), &rows).await, answers(&engine, &rows).await)
            });
            prop_assert_eq!(ours, theirs);
        }
    }
}
