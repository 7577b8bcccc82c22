//! Constants, evaluated: what fails for them fails for every row, so it is told before a run.

use std::ops::ControlFlow;

use datafusion::common::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::physical_plan::collect;
use datafusion::sql::sqlparser::ast::{Expr, Function, Query, SelectItem, SetExpr, Spanned, Value, Visit, Visitor};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::super::engine::apart::apart;
use super::super::error::plain_message;
use super::super::expression::blank_query;
use super::super::parameters::Parameters;
use super::super::place::place_of_span;
use super::super::runtime::with_own_catalog;
use super::super::session::{Session, plan_query};
use super::super::statement::is_scalar_function;
use super::{ALWAYS_FAILS, samples};
use crate::model::diagnostic::{Diagnostic, Located};

/// Everything constant in a tree that fails.
pub(super) async fn findings<T: Visit>(session: &Session, sql: &Located<String>, tree: &T) -> Vec<Diagnostic> {
    let state = session.context.state();
    let is_function = |function: &Function| is_scalar_function(&state, function);
    let mut finder = Finder { is_function: &is_function, found: Vec::new(), within: 0 };
    let _: ControlFlow<()> = tree.visit(&mut finder);
    let found = finder.found;
    let all: Vec<Expr> = found.iter().map(|(expression, _)| expression.clone()).collect();
    if all.is_empty() {
        return Vec::new();
    }
    let Ok(context) = with_own_catalog(&state) else {
        return Vec::new();
    };
    let state = context.state();
    if evaluated(&state, all).await.is_ok() {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (expression, span) in found {
        if let Err(error) = evaluated(&state, vec![expression]).await {
            let place = place_of_span(sql, span);
            let message = format!("this fails for every row: {}", plain_message(&error));
            findings.push(Diagnostic::error(ALWAYS_FAILS, message, &place));
        }
    }
    findings
}

async fn evaluated(state: &SessionState, expressions: Vec<Expr>) -> Result<(), DataFusionError> {
    let mut query: Query = blank_query().map_err(|finding| DataFusionError::Plan(finding.message))?;
    if let SetExpr::Select(select) = query.body.as_mut() {
        let named = |(index, expression)| SelectItem::ExprWithAlias {
            expr: expression,
            alias: format!("c{index}").as_str().into(),
        };
        select.from = Vec::new();
        select.projection = expressions.into_iter().enumerate().map(named).collect();
    }
    let plan = plan_query(state, query, &Parameters::default()).await?;
    let state = state.clone();
    apart(async move {
        let plan = state.create_physical_plan(&plan).await?;
        collect(plan, state.task_ctx()).await.map(|_| ())
    })
    .await
}

/// The widest constants, and expressions with a choice that can be wrong; neither within another.
struct Finder<'a> {
    is_function: &'a dyn Fn(&Function) -> bool,
    found: Vec<(Expr, Span)>,
    within: usize,
}

impl Visitor for Finder<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
        if self.within > 0 {
            self.within += 1;
        } else if is_constant(expression, self.is_function) {
            // What nobody wrote is a parameter's value.
            let span = expression.span();
            if can_fail(expression) && span != Span::empty() {
                self.found.push((expression.clone(), span));
            }
            self.within = 1;
        } else if let Some(sampled) = samples::with_samples(expression, self.is_function) {
            self.found.push((sampled, expression.span()));
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, _expression: &Expr) -> ControlFlow<()> {
        self.within = self.within.saturating_sub(1);
        ControlFlow::Continue(())
    }
}

/// Literals by themselves are what they are.
fn can_fail(expression: &Expr) -> bool {
    match expression {
        Expr::Nested(inner) | Expr::UnaryOp { expr: inner, .. } => can_fail(inner),
        Expr::Value(_) | Expr::Array(_) | Expr::Tuple(_) | Expr::Interval(_) => false,
        _ => true,
    }
}

/// The same value for every row: no column, subquery or aggregate in it.
pub(super) fn is_constant(expression: &Expr, is_function: &dyn Fn(&Function) -> bool) -> bool {
    struct Varying<'a> {
        is_function: &'a dyn Fn(&Function) -> bool,
    }
    impl Visitor for Varying<'_> {
        type Break = ();

        fn pre_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
            ControlFlow::Break(())
        }

        fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
            let varies = match expression {
                Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Wildcard(_) => true,
                Expr::QualifiedWildcard(_, _) | Expr::Rollup(_) | Expr::Cube(_) | Expr::GroupingSets(_) => true,
                Expr::Named { .. } | Expr::Tuple(_) => true,
                Expr::Value(value) => matches!(
                    value.value,
                    Value::Placeholder(_) | datafusion::sql::sqlparser::ast::Value::DoubleQuotedString(_)
                ),
                Expr::Function(function) => !(self.is_function)(function),
                _ => false,
            };
            if varies { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
    }
    expression.visit(&mut Varying { is_function }).is_continue()
}
