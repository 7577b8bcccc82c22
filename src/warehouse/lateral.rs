//! Lists that become rows beside the rows they stand in: `from people cross join unnest(people.tags) as t (tag)`.
//!
//! The engine plans them as subqueries that it cannot execute; here they become steps on the rows themselves.

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, NullHandling, RecursionUnnestOption, Result, ScalarValue, UnnestOptions};
use datafusion::logical_expr::{Expr, Join, JoinType, LogicalPlan, LogicalPlanBuilder, Unnest};
use datafusion::sql::sqlparser::ast::{
    FunctionArg, FunctionArgExpr, Query, TableAliasColumnDef, TableFactor, VisitMut, VisitorMut,
};

/// Columns of a lateral subquery, so that they are not taken for those beside it.
const PREFIX: &str = "#lateral.";

/// Spells lateral lists in the one way that the engine plans; whether there are lateral relations.
pub(super) fn spell(query: &mut Query) -> bool {
    let mut spelling = Spelling { has_lateral: false };
    let _: ControlFlow<()> = query.visit(&mut spelling);
    spelling.has_lateral
}

struct Spelling {
    has_lateral: bool,
}

impl VisitorMut for Spelling {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Function { name, args, alias, .. } = factor
            && name.to_string().eq_ignore_ascii_case("unnest")
        {
            let lists = args.iter().filter_map(|argument| match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(list)) => Some(list.clone()),
                _ => None,
            });
            *factor = TableFactor::UNNEST {
                array_exprs: lists.collect(),
                alias: alias.take(),
                with_offset: false,
                with_offset_alias: None,
                with_ordinality: false,
            };
        }
        match factor {
            TableFactor::UNNEST { array_exprs, alias, .. } => {
                self.has_lateral = true;
                // The one column of a list has the list's name.
                if let Some(alias) = alias
                    && alias.columns.is_empty()
                    && array_exprs.len() == 1
                {
                    alias.columns = vec![TableAliasColumnDef { name: alias.name.clone(), data_type: None }];
                }
            }
            TableFactor::Derived { lateral: true, .. } => self.has_lateral = true,
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// The plan with its lateral subqueries as steps; those that hold more than lists and conditions stay as they are.
pub(super) fn in_steps(plan: LogicalPlan) -> Result<LogicalPlan> {
    let plan = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Join(join) => match unrolled(&join)? {
            Some(steps) => Ok(Transformed::yes(steps)),
            None => Ok(Transformed::no(LogicalPlan::Join(join))),
        },
        other => Ok(Transformed::no(other)),
    })?;
    Ok(plan.data)
}

fn unrolled(join: &Join) -> Result<Option<LogicalPlan>> {
    let inner = match join.right.as_ref() {
        LogicalPlan::Subquery(subquery) => &subquery.subquery,
        LogicalPlan::SubqueryAlias(alias) => match alias.input.as_ref() {
            LogicalPlan::Subquery(subquery) => &subquery.subquery,
            _ => return Ok(None),
        },
        _ => return Ok(None),
    };
    let always = |filter: &Expr| matches!(filter, Expr::Literal(ScalarValue::Boolean(Some(true)), _));
    let keeps_all = join.filter.as_ref().is_none_or(always);
    let is_outer = match join.join_type {
        JoinType::Inner => false,
        JoinType::Left if keeps_all => true,
        _ => return Ok(None),
    };
    if !join.on.is_empty() {
        return Ok(None);
    }
    let Some(steps) = Steps { left: &join.left, is_outer }.of(inner)? else {
        return Ok(None);
    };
    let names = inner.schema().columns();
    let shown = join.right.schema().iter().zip(&names).map(|((qualifier, field), inner)| {
        Expr::Column(within(inner)).alias_qualified(qualifier.cloned(), field.name())
    });
    let columns = columns_of(&join.left).chain(shown);
    let steps = LogicalPlanBuilder::from(steps).project(columns.collect::<Vec<_>>())?;
    let steps = match join.filter.as_ref().filter(|_| !keeps_all) {
        Some(filter) => steps.filter(filter.clone())?,
        None => steps,
    };
    steps.build().map(Some)
}

/// A chain of steps on the rows of the left side.
struct Steps<'a> {
    left: &'a Arc<LogicalPlan>,
    is_outer: bool,
}

impl Steps<'_> {
    fn of(&self, plan: &LogicalPlan) -> Result<Option<LogicalPlan>> {
        let below = |input: &LogicalPlan| {
            Ok::<_, datafusion::error::DataFusionError>(self.of(input)?.map(LogicalPlanBuilder::from))
        };
        match plan {
            LogicalPlan::Subquery(subquery) => self.of(&subquery.subquery),
            LogicalPlan::EmptyRelation(empty) if empty.produce_one_row => Ok(Some(self.left.as_ref().clone())),
            LogicalPlan::Projection(projection) => {
                let Some(steps) = below(&projection.input)? else { return Ok(None) };
                let mut columns: Vec<Expr> = columns_of(self.left).collect();
                for (expression, name) in projection.expr.iter().zip(projection.schema.columns()) {
                    let Some(expression) = self.inside(expression)? else { return Ok(None) };
                    columns.push(expression.unalias().alias(within(&name).name));
                }
                steps.project(columns)?.build().map(Some)
            }
            LogicalPlan::SubqueryAlias(alias) => {
                let Some(steps) = below(&alias.input)? else { return Ok(None) };
                let names = alias.input.schema().columns().into_iter().zip(alias.schema.columns());
                let renamed = names.map(|(from, to)| Expr::Column(within(&from)).alias(within(&to).name));
                let columns: Vec<Expr> = columns_of(self.left).chain(renamed).collect();
                steps.project(columns)?.build().map(Some)
            }
            // A row without items must not come back as one that no item passed.
            LogicalPlan::Filter(filter) if !self.is_outer => {
                let Some(steps) = below(&filter.input)? else { return Ok(None) };
                let Some(predicate) = self.inside(&filter.predicate)? else { return Ok(None) };
                steps.filter(predicate)?.build().map(Some)
            }
            LogicalPlan::Unnest(unnest) if unnest.struct_type_columns.is_empty() => {
                let Some(steps) = below(&unnest.input)? else { return Ok(None) };
                let columns = unnest.exec_columns.iter().map(within).collect();
                steps.unnest_columns_with_options(columns, self.options(unnest))?.build().map(Some)
            }
            _ => Ok(None),
        }
    }

    fn options(&self, unnest: &Unnest) -> UnnestOptions {
        let recursions = unnest.options.recursions.iter().map(|recursion| RecursionUnnestOption {
            input_column: within(&recursion.input_column),
            output_column: within(&recursion.output_column),
            depth: recursion.depth,
        });
        let outer = NullHandling::PreserveAndExpandEmpty;
        let null_handling = if self.is_outer { outer } else { unnest.options.null_handling };
        UnnestOptions { null_handling, recursions: recursions.collect() }
    }

    /// An expression of the subquery over the rows of its steps; `None` where it reads rows further out.
    fn inside(&self, expression: &Expr) -> Result<Option<Expr>> {
        let mut is_known = true;
        let inside = expression.clone().transform_up(|part| match part {
            Expr::OuterReferenceColumn(_, column) => {
                is_known &= self.left.schema().has_column(&column);
                Ok(Transformed::yes(Expr::Column(column)))
            }
            Expr::Column(column) => Ok(Transformed::yes(Expr::Column(within(&column)))),
            other => Ok(Transformed::no(other)),
        })?;
        Ok(is_known.then_some(inside.data))
    }
}

fn columns_of(plan: &Arc<LogicalPlan>) -> impl Iterator<Item = Expr> {
    plan.schema().columns().into_iter().map(Expr::Column)
}

/// A column of the subquery among its steps.
fn within(column: &Column) -> Column {
    Column::from_name(format!("{PREFIX}{}", column.flat_name()))
}
