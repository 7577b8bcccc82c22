//! A limit keeps the same rows in every run: rows that are equal in its order are ordered by their other columns.

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::expr::Sort as SortKey;
use datafusion::logical_expr::{Expr, Limit, LogicalPlan, Projection, Sort};
use datafusion::sql::sqlparser::ast::{Query, Visit, Visitor};

/// Whether there is a limit anywhere in a query.
pub(super) fn has_limit(query: &Query) -> bool {
    struct Limits;
    impl Visitor for Limits {
        type Break = ();

        fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
            if query.limit_clause.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
    }
    query.visit(&mut Limits).is_break()
}

/// The plan of a view with every limit under a total order.
pub(super) fn of_limits(plan: LogicalPlan) -> Result<LogicalPlan> {
    let plan = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Limit(limit) => {
            let input = Arc::new(total(&limit.input));
            Ok(Transformed::yes(LogicalPlan::Limit(Limit { input, ..limit })))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(plan.data)
}

/// The sort below a limit with every other column of its rows as a last key; columns that it sorts by and that are not
/// shown stand between the two.
fn total(plan: &Arc<LogicalPlan>) -> LogicalPlan {
    match plan.as_ref() {
        LogicalPlan::Sort(sort) => {
            let mut expr = sort.expr.clone();
            let named = |column: &Expr| sort.expr.iter().any(|key| key.expr == *column);
            let columns = sort.input.schema().iter().filter(|(_, field)| is_ordered(field.data_type()));
            let others = columns.map(Expr::from).filter(|column| !named(column));
            expr.extend(others.map(|column| SortKey::new(column, true, false)));
            LogicalPlan::Sort(Sort { expr, ..sort.clone() })
        }
        LogicalPlan::Projection(projection) => {
            let input = Arc::new(total(&projection.input));
            let (columns, schema) = (projection.expr.clone(), Arc::clone(&projection.schema));
            Projection::try_new_with_schema(columns, input, schema)
                .map_or_else(|_| plan.as_ref().clone(), LogicalPlan::Projection)
        }
        other => other.clone(),
    }
}

fn is_ordered(kind: &DataType) -> bool {
    !kind.is_null() && !kind.is_nested()
}
