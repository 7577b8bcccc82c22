//! All unknown columns at once: the engine stops at the first one, so each is put aside and the rest is planned again.

use std::ops::ControlFlow;

use datafusion::common::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::{
    CaseWhen, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Value, VisitMut, VisitorMut, WindowType,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::super::place::{planning_errors, span_of};
use super::super::session::Session;
use super::super::statement::is_known_function;
use super::{Tried, UNKNOWN_COLUMN};
use crate::model::diagnostic::{Diagnostic, Located};

/// So many unknown columns are told at once.
const ROUNDS_MAX: usize = 20;

/// The plan, or every finding.
pub(super) async fn planned(
    session: &Session,
    sql: &Located<String>,
    tried: Tried<'_>,
    is_flawed: bool,
) -> Result<LogicalPlan, Vec<Diagnostic>> {
    let mut tried = tried;
    let mut is_whole = !is_flawed;
    let state = session.context.state();
    put_aside(&mut tried, &mut |expression| match expression {
        Expr::Function(function) if !is_known_function(&state, &function.name.to_string()) => Some(parts_of(function)),
        _ => None,
    });
    let mut findings: Vec<Diagnostic> = Vec::new();
    for _ in 0..ROUNDS_MAX {
        let error = match tried.plan(session).await {
            Ok(plan) if findings.is_empty() => return Ok(plan),
            Ok(_) => break,
            Err(error) => error,
        };
        let said = planning_errors(sql, &error);
        let is_news = |finding: &Diagnostic| finding.code == UNKNOWN_COLUMN && !findings.contains(finding);
        let news: Vec<Diagnostic> = said.iter().filter(|finding| is_news(finding)).cloned().collect();
        if is_whole {
            findings.extend(said);
        } else {
            findings.extend(news);
        }
        is_whole = false;
        let spans: Vec<Span> = error.iter().filter_map(|error: &DataFusionError| span_of(error)).collect();
        let aside = put_aside(&mut tried, &mut |expression| match expression {
            Expr::Identifier(name) if spans.contains(&name.span) => Some(null()),
            Expr::CompoundIdentifier(names)
                if names.iter().any(|name| spans.iter().any(|span| covers(*span, name.span))) =>
            {
                Some(null())
            }
            _ => None,
        });
        if aside == 0 {
            break;
        }
    }
    // What is flawed has findings of its own; that it cannot be planned is one of them.
    if findings.is_empty() && !is_flawed {
        let error = DataFusionError::Plan("this SQL is too deeply wrong to be looked at".to_owned());
        findings.extend(planning_errors(sql, &error));
    }
    Err(findings)
}

fn covers(outer: Span, inner: Span) -> bool {
    inner != Span::empty() && outer.start <= inner.start && inner.end <= outer.end
}

fn null() -> Expr {
    Expr::Value(Value::Null.into())
}

/// What an unknown function is about, as an expression of any type: its columns can still be looked up.
fn parts_of(function: &Function) -> Expr {
    let mut parts: Vec<Expr> = Vec::new();
    if let FunctionArguments::List(list) = &function.args {
        parts.extend(list.args.iter().filter_map(|argument| match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expression))
            | FunctionArg::Named { arg: FunctionArgExpr::Expr(expression), .. } => Some(expression.clone()),
            _ => None,
        }));
    }
    parts.extend(function.filter.iter().map(|filter| filter.as_ref().clone()));
    parts.extend(function.within_group.iter().map(|order| order.expr.clone()));
    if let Some(WindowType::WindowSpec(window)) = &function.over {
        parts.extend(window.partition_by.iter().cloned());
        parts.extend(window.order_by.iter().map(|order| order.expr.clone()));
    }
    let conditions = parts
        .into_iter()
        .map(|part| CaseWhen { condition: Expr::IsNull(Box::new(Expr::Nested(Box::new(part)))), result: null() });
    let conditions: Vec<CaseWhen> = conditions.collect();
    if conditions.is_empty() {
        return null();
    }
    let (case_token, end_token) = super::samples::case_tokens();
    Expr::Case { case_token, end_token, operand: None, conditions, else_result: None }
}

/// Replaces expressions; how many.
fn put_aside(tried: &mut Tried<'_>, replace: &mut dyn FnMut(&Expr) -> Option<Expr>) -> usize {
    let mut replacing = Replacing { replace, count: 0 };
    let _: ControlFlow<()> = match tried {
        Tried::Query(query) => query.visit(&mut replacing),
        Tried::Snippet(tree, _) => tree.visit(&mut replacing),
    };
    replacing.count
}

struct Replacing<'a> {
    replace: &'a mut dyn FnMut(&Expr) -> Option<Expr>,
    count: usize,
}

impl VisitorMut for Replacing<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        if let Some(replaced) = (self.replace)(expression) {
            *expression = replaced;
            self.count += 1;
        }
        ControlFlow::Continue(())
    }
}
