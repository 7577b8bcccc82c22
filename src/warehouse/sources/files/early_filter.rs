//! Whether a scan filters rows while it reads them, or leaves that to a step above it.
//!
//! A filter in the scan spares decoding the other columns of rows that are left out. Where hardly any is, it costs nothing
//! and a step above would copy all rows; where some are, it costs more than it spares. Conditions by time, beside folders
//! and row groups that are chosen by it, leave out hardly any; of others nobody knows before rows are read, so that the
//! first files tell for the next ones, and a step above filters in any case.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::physical_expr::expressions::{Column, IsNotNullExpr};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{PhysicalExpr, split_conjunction};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;

/// So many rows tell how many stay.
const ROWS_SEEN: usize = 1 << 16;

/// Filtering in the scan pays where at most one row of so many stays. Measured: at 28 of 100 it costs 5 to 10 %.
const ONE_OF: usize = 8;

/// Files that are each followed by a look at what was filtered; later on fewer are, since a look adds up all files.
const LOOKS: usize = 32;

/// Whether a condition leaves out hardly any rows of what is read at all: it is about times alone, or about nulls.
pub(super) fn keeps_most(condition: &Arc<dyn PhysicalExpr>, columns: &Schema) -> bool {
    let is_time = |column: Column| {
        let kind = columns.field_with_name(column.name()).map(Field::data_type);
        kind.is_ok_and(|kind| matches!(kind, DataType::Timestamp(..)))
    };
    split_conjunction(condition).into_iter().all(|condition| {
        condition.downcast_ref::<IsNotNullExpr>().is_some() || collect_columns(condition).into_iter().all(is_time)
    })
}

/// What one scan has learnt.
#[derive(Debug, Default)]
pub(super) struct EarlyFilter {
    files: AtomicUsize,
    pays: OnceLock<bool>,
}

impl EarlyFilter {
    /// Whether the next file's rows are filtered while they are read; `metrics` are the scan's so far.
    pub(super) fn next_file(&self, metrics: &ExecutionPlanMetricsSet) -> bool {
        if let Some(pays) = self.pays.get() {
            return *pays;
        }
        let files = self.files.fetch_add(1, Ordering::Relaxed);
        if files > LOOKS && !files.is_power_of_two() {
            return true;
        }
        let metrics = metrics.clone_inner();
        let counted = |name| metrics.sum_by_name(name).map_or(0, |rows| rows.as_usize());
        let (stay, go) = (counted("pushdown_rows_matched"), counted("pushdown_rows_pruned"));
        if stay + go < ROWS_SEEN {
            return true;
        }
        *self.pays.get_or_init(|| stay <= (stay + go) / ONE_OF)
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::TimeUnit;
    use datafusion::common::ScalarValue;
    use datafusion::logical_expr::Operator;
    use datafusion::physical_expr::expressions::{binary, col, is_not_null, lit};
    use datafusion::physical_plan::metrics::MetricBuilder;

    use super::*;

    #[test]
    fn conditions_by_time_and_against_nulls_keep_most() {
        let time = DataType::Timestamp(TimeUnit::Microsecond, None);
        let columns =
            Schema::new(vec![Field::new("at", time.clone(), true), Field::new("event", DataType::Utf8, true)]);
        let column = |name| col(name, &columns).expect("a column");
        let at = ScalarValue::TimestampMicrosecond(Some(0), None);
        let later = binary(column("at"), Operator::Gt, lit(at), &columns).expect("a condition");
        let known = is_not_null(column("event")).expect("a condition");
        let named = binary(column("event"), Operator::Eq, lit("a"), &columns).expect("a condition");
        let both = |left: &Arc<dyn PhysicalExpr>, right: &Arc<dyn PhysicalExpr>| {
            binary(Arc::clone(left), Operator::And, Arc::clone(right), &columns).expect("a condition")
        };
        assert!(
            keeps_most(&later, &columns) && keeps_most(&known, &columns) && keeps_most(&both(&later, &known), &columns)
        );
        assert!(!keeps_most(&named, &columns) && !keeps_most(&both(&later, &named), &columns));
    }

    #[test]
    fn the_first_rows_tell_for_the_others() {
        for (stay, go, expected) in
            [(0, 10, true), (60_000, 0, true), (5_000, 70_000, true), (20_000, 60_000, false), (80_000, 0, false)]
        {
            let (filter, metrics) = (EarlyFilter::default(), ExecutionPlanMetricsSet::new());
            assert!(filter.next_file(&metrics), "nothing is known yet");
            MetricBuilder::new(&metrics).counter("pushdown_rows_matched", 0).add(stay);
            MetricBuilder::new(&metrics).counter("pushdown_rows_pruned", 1).add(go);
            assert_eq!(filter.next_file(&metrics), expected, "{stay} of {}", stay + go);
        }
    }
}
