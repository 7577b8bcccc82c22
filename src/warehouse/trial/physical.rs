//! The plan that a run would execute, made over tables without rows, and executed there.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::DataFusionError;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::source::DataSourceExec;
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator};
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::placeholder_row::PlaceholderRowExec;
use datafusion::physical_plan::{ExecutionPlan, collect};

use super::super::engine::apart::apart;
use super::super::place::planning_errors;
use super::super::session::Session;
use super::super::syntax;
use super::ALWAYS_FAILS;
use crate::model::diagnostic::{Diagnostic, Located};

/// Everything that keeps a plan from being executed, whatever the rows hold.
pub(super) async fn findings(session: &Session, sql: &Located<String>, plan: &LogicalPlan) -> Vec<Diagnostic> {
    match rehearse(session, plan).await {
        Ok(()) => Vec::new(),
        Err(error) => planning_errors(sql, &error),
    }
}

/// Makes and executes the plan of a run in a session without rows.
pub(in super::super) async fn rehearse(session: &Session, plan: &LogicalPlan) -> Result<(), DataFusionError> {
    let (state, plan) = (session.context.state(), plan.clone());
    apart(async move {
        let made = state.create_physical_plan(&plan).await?;
        if is_rowless(&made) { collect(made, state.task_ctx()).await.map(|_| ()) } else { Ok(()) }
    })
    .await
}

/// Whether every leaf is a table without rows or a row without columns: other rows may be without end.
fn is_rowless(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let children = plan.children();
    if children.is_empty() {
        return plan.downcast_ref::<EmptyExec>().is_some()
            || plan.downcast_ref::<PlaceholderRowExec>().is_some()
            || plan.downcast_ref::<DataSourceExec>().is_some();
    }
    children.into_iter().all(is_rowless)
}

/// Operators that the engine reads, and evaluates on no types: those on lists and JSON have become functions by now.
pub(super) fn operators(sql: &Located<String>, plan: &LogicalPlan) -> Vec<Diagnostic> {
    let mut found: Vec<Operator> = Vec::new();
    let _ = plan.apply(|node| {
        node.apply_expressions(|expression| {
            expression.apply(|part| {
                if let Expr::BinaryExpr(BinaryExpr { op, .. }) = part
                    && is_only_read(*op)
                    && !found.contains(op)
                {
                    found.push(*op);
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    let finding = |operator: Operator| {
        let written = operator.to_string();
        let message = format!("`{written}` is between lists here, and these are none");
        let help = "write `json_contains(json, 'key')` or `json ->> 'field' = 'value'` for text that holds JSON";
        Diagnostic::error(ALWAYS_FAILS, message, &syntax::first_token(sql, &written)).with_help(help)
    };
    found.into_iter().map(finding).collect()
}

/// Columns that hold JSON of any kind, which neither files nor templates can.
pub(super) fn pieces_of_json(sql: &Located<String>, plan: &LogicalPlan) -> Vec<Diagnostic> {
    let columns = plan.schema().fields().iter().filter(|field| matches!(field.data_type(), DataType::Union(_, _)));
    let finding = |column: &FieldRef| {
        let message = format!("column `{}` is a piece of JSON, which may be anything", column.name());
        let help = "write `->>` for its text, or `json_get_int`, `json_get_bool`, `json_get_json`";
        Diagnostic::error("wrong-type", message, &syntax::first_token(sql, "->")).with_help(help)
    };
    columns.map(finding).collect()
}

fn is_only_read(operator: Operator) -> bool {
    matches!(
        operator,
        Operator::AtArrow
            | Operator::ArrowAt
            | Operator::Arrow
            | Operator::LongArrow
            | Operator::HashArrow
            | Operator::HashLongArrow
            | Operator::AtAt
            | Operator::IntegerDivide
            | Operator::HashMinus
            | Operator::AtQuestion
            | Operator::Question
            | Operator::QuestionAnd
            | Operator::QuestionPipe
            | Operator::Colon
    )
}
