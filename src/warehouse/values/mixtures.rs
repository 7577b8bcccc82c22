//! Columns that are text only because their files disagree, where SQL orders or adds them: `'9'` is more than `'1000'`.
//!
//! Equality, counting and casts are left alone: those mean the same for a number and its text, or say what they want.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::expr::{AggregateFunction, WindowFunction};
use datafusion::logical_expr::{Between, BinaryExpr, Expr, LogicalPlan, Operator};

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

/// The first such column and which files made it text.
fn ordered(plan: &LogicalPlan) -> Result<Option<(String, String)>> {
    let mut found = None;
    plan.apply(|node| {
        if let LogicalPlan::Sort(sort) = node {
            found = sort.expr.iter().find_map(|sort| mixed(node, &sort.expr));
        }
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
        Expr::AggregateFunction(AggregateFunction { func, params }) if is_ordering(func.name()) => {
            params.args.iter().find_map(|argument| mixed(node, argument))
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
        Expr::Between(Between { expr, .. }) => mixed(node, expr),
        _ => None,
    }
}

/// The column that an expression is, where it is such a one.
fn mixed(node: &LogicalPlan, expression: &Expr) -> Option<(String, String)> {
    match expression {
        Expr::Column(column) => {
            let mixture = node.inputs().into_iter().find_map(|input| of_column(input, column));
            mixture.map(|mixture| (column.name.clone(), mixture))
        }
        Expr::Alias(alias) => mixed(node, &alias.expr),
        Expr::ScalarFunction(function) if ["coalesce", "nullif", "trim", "btrim"].contains(&function.name()) => {
            function.args.iter().find_map(|argument| mixed(node, argument))
        }
        _ => None,
    }
}

fn of_column(input: &LogicalPlan, column: &Column) -> Option<String> {
    let schema = input.schema();
    let at = schema.maybe_index_of_column(column)?;
    let field = schema.field(at);
    field.data_type().is_string().then(|| marks::mixture(field).map(str::to_owned)).flatten()
}
