//! Columns that are text only because their files disagree, where SQL orders or adds them: `'9'` is more than `'1000'`.
//!
//! Equality, counting and casts are left alone: those mean the same for a number and its text, or say what they want.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::common::Result;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::expr::{AggregateFunction, WindowFunction};
use datafusion::logical_expr::{Between, BinaryExpr, Distinct, Expr, ExprSchemable, LogicalPlan, Operator};

use super::marks;
use crate::model::diagnostic::{Diagnostic, Located};
use crate::warehouse::place::first_word;

/// Aggregates and functions that order or add their arguments.
const ORDERING: &[&str] = &[
    "max",
    "min",
    "sum",
    "avg",
    "mean",
    "median",
    "greatest",
    "least",
    "approx_median",
    "approx_percentile_cont",
    "percentile_cont",
    "stddev",
    "stddev_pop",
    "var",
    "var_pop",
    "rank",
    "array_max",
    "array_min",
    "array_sort",
];

/// A finding where a plan orders or adds such a column; `sql` is where it comes from.
pub(in crate::warehouse) fn finding(sql: &Located<String>, plan: &LogicalPlan) -> Option<Diagnostic> {
    let (column, mixture) = ordered(plan).ok().flatten()?;
    let place = first_word(sql, &column).unwrap_or_else(|| sql.place.clone());
    let message =
        format!("`{column}` is text, since its files disagree ({mixture}), and text is ordered by its letters");
    let help = format!(
        "declare what it holds in the table, such as `columns: {{{column}: double}}` (or string, where it is text), or cast it here: \
         `cast({column} as double)`"
    );
    Some(Diagnostic::error("mixed-types", message, &place).with_help(help))
}

/// The columns of a plan, those that are made of such text marked as it is: a view hands them on.
pub(in crate::warehouse) fn marked_columns(plan: &LogicalPlan) -> SchemaRef {
    let schema = plan.schema().inner();
    let columns = schema.fields().iter().enumerate().map(|(at, field)| match of_field(plan, at) {
        Some((_, mixture)) if marks::mixture(field).is_none() => marks::with_mixture(field.as_ref().clone(), mixture),
        _ => field.as_ref().clone(),
    });
    Arc::new(Schema::new_with_metadata(columns.collect::<Vec<_>>(), schema.metadata().clone()))
}

/// The first such column and which files made it text.
fn ordered(plan: &LogicalPlan) -> Result<Option<(String, String)>> {
    let mut found = None;
    plan.apply_with_subqueries(|node| {
        let order = match node {
            LogicalPlan::Sort(sort) => sort.expr.as_slice(),
            LogicalPlan::Distinct(Distinct::On(on)) => on.sort_expr.as_deref().unwrap_or_default(),
            _ => &[],
        };
        found = order.iter().find_map(|sort| mixed(node, &sort.expr));
        for expression in node.expressions() {
            expression.apply(|part| {
                found = found.take().or_else(|| within(node, part));
                Ok(if found.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
            })?;
        }
        Ok(if found.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

/// What an expression orders or adds of such columns.
fn within(node: &LogicalPlan, expression: &Expr) -> Option<(String, String)> {
    let is_ordering = |name: &str| ORDERING.contains(&name.to_lowercase().as_str());
    match expression {
        Expr::AggregateFunction(AggregateFunction { func, params }) => {
            let arguments = params.args.iter().filter(|_| is_ordering(func.name()));
            let order = params.order_by.iter().map(|sort| &sort.expr);
            arguments.chain(order).find_map(|argument| mixed(node, argument))
        }
        Expr::WindowFunction(window) => {
            let WindowFunction { fun, params } = window.as_ref();
            let arguments = params.args.iter().filter(|_| is_ordering(fun.name()));
            let order = params.order_by.iter().map(|sort| &sort.expr);
            arguments.chain(order).find_map(|argument| mixed(node, argument))
        }
        Expr::ScalarFunction(function) if is_ordering(function.name()) => {
            function.args.iter().find_map(|argument| mixed(node, argument))
        }
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq,
            right,
        }) => mixed(node, left).or_else(|| mixed(node, right)),
        Expr::Between(Between { expr, low, high, .. }) => {
            [expr, low, high].into_iter().find_map(|side| mixed(node, side))
        }
        _ => None,
    }
}

/// The column whose text an expression is made of, where it is such a one. A cast says what its writer wants.
fn mixed(node: &LogicalPlan, expression: &Expr) -> Option<(String, String)> {
    match expression {
        Expr::Column(column) => node.inputs().into_iter().find_map(|input| {
            let at = input.schema().maybe_index_of_column(column)?;
            of_field(input, at)
        }),
        Expr::Cast(_) | Expr::TryCast(_) => None,
        Expr::Case(case) => {
            let results = case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr);
            results.map(AsRef::as_ref).find_map(|result| mixed(node, result))
        }
        _ if !is_text(node, expression) => None,
        _ => {
            let mut found = None;
            // The callback never fails, and so does the walk.
            let _ = expression.apply_children(|part| {
                found = found.take().or_else(|| mixed(node, part));
                Ok(TreeNodeRecursion::Continue)
            });
            found
        }
    }
}

/// Whether an expression gives text, also within lists and objects; where nobody knows, it may.
fn is_text(node: &LogicalPlan, expression: &Expr) -> bool {
    let types = node.inputs().into_iter().filter_map(|input| expression.get_type(input.schema()).ok());
    let mut types = types.peekable();
    types.peek().is_none() || types.any(|kind| holds_text(&kind))
}

fn holds_text(kind: &DataType) -> bool {
    match kind {
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => holds_text(item.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| holds_text(field.data_type())),
        DataType::Dictionary(_, values) => holds_text(values),
        kind => kind.is_string(),
    }
}

/// The column behind a column of a plan, by its position, where it is such a one.
fn of_field(plan: &LogicalPlan, at: usize) -> Option<(String, String)> {
    let field = plan.schema().field(at);
    if !holds_text(field.data_type()) {
        return None;
    }
    if let Some(mixture) = marks::mixture(field) {
        return Some((field.name().clone(), mixture.to_owned()));
    }
    // What is computed carries no marks.
    match plan {
        LogicalPlan::Projection(projection) => mixed(plan, projection.expr.get(at)?),
        LogicalPlan::Aggregate(aggregate) => {
            let fields = aggregate.schema.fields().len();
            let groups = fields.checked_sub(aggregate.aggr_expr.len())?;
            let group = || aggregate.group_expr.get(at);
            at.checked_sub(groups)
                .map_or_else(group, |at| aggregate.aggr_expr.get(at))
                .and_then(|part| mixed(plan, part))
        }
        LogicalPlan::Window(window) => {
            let before = window.input.schema().fields().len();
            at.checked_sub(before)
                .map_or_else(|| of_field(&window.input, at), |at| mixed(plan, window.window_expr.get(at)?))
        }
        LogicalPlan::Join(join) => {
            let left = join.left.schema().fields().len();
            at.checked_sub(left).map_or_else(|| of_field(&join.left, at), |at| side(&join.right, at))
        }
        LogicalPlan::TableScan(scan) => {
            let behind = scan.source.get_logical_plan()?;
            let at = scan.projection.as_ref().map_or(Some(at), |read| read.get(at).copied())?;
            side(&behind, at)
        }
        LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Distinct(Distinct::All(_))
        | LogicalPlan::Union(_) => plan.inputs().into_iter().find_map(|input| side(input, at)),
        _ => None,
    }
}

fn side(plan: &LogicalPlan, at: usize) -> Option<(String, String)> {
    (at < plan.schema().fields().len()).then(|| of_field(plan, at)).flatten()
}
