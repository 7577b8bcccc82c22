//! What a run would do with SQL, tried on no rows: every column, every constant, the plan that a run executes.

mod columns;
mod constants;
mod physical;
mod samples;

pub(super) use physical::rehearse;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::{Expr, Query};

use super::expression::Scope;
use super::session::{Session, plan_query};
use super::statement::bind;
use super::values::mixtures;
use crate::model::diagnostic::{Diagnostic, Located};

/// The code of findings about columns that do not exist.
pub(super) const UNKNOWN_COLUMN: &str = "unknown-column";
/// The code of findings about expressions that fail whatever the rows hold.
const ALWAYS_FAILS: &str = "sql-always-fails";

/// What is tried: a view's query, or a snippet over the columns it may see.
#[derive(Clone)]
pub(super) enum Tried<'a> {
    Query(Query),
    Snippet(Expr, Scope<'a>),
}

impl Tried<'_> {
    async fn plan(&self, session: &Session) -> Result<LogicalPlan, DataFusionError> {
        match self {
            Self::Query(query) => plan_query(&session.context.state(), query.clone(), &session.parameters).await,
            Self::Snippet(tree, scope) => session.plan_of(tree, *scope).await,
        }
    }
}

/// The columns of a query of a session without rows, or everything that is wrong with it. What is flawed already is
/// asked for its unknown columns alone: the engine's other words would be about what stands in place of the flaws.
pub(super) async fn query(
    session: &Session,
    sql: &Located<String>,
    query: &Query,
    is_flawed: bool,
) -> Result<SchemaRef, Vec<Diagnostic>> {
    let plan = columns::planned(session, sql, Tried::Query(query.clone()), is_flawed).await?;
    let mut bound = query.clone();
    bind(&mut bound, &session.parameters);
    let mut findings = constants::findings(session, sql, &bound).await;
    if !is_flawed {
        findings.extend(physical::operators(sql, &plan));
        findings.extend(physical::pieces_of_json(sql, &plan));
    }
    findings.extend(mixtures::finding(sql, &plan));
    if findings.is_empty() && !is_flawed {
        findings.extend(physical::findings(session, sql, &plan).await);
    }
    if findings.is_empty() { Ok(mixtures::marked_columns(&plan)) } else { Err(findings) }
}

/// The same for a snippet: its plan.
pub(super) async fn snippet(
    session: &Session,
    sql: &Located<String>,
    tree: &Expr,
    scope: Scope<'_>,
    is_flawed: bool,
) -> Result<LogicalPlan, Vec<Diagnostic>> {
    let plan = columns::planned(session, sql, Tried::Snippet(tree.clone(), scope), is_flawed).await?;
    let mut bound = tree.clone();
    bind(&mut bound, &session.parameters);
    let mut findings = constants::findings(session, sql, &bound).await;
    if !is_flawed {
        findings.extend(physical::operators(sql, &plan));
    }
    findings.extend(mixtures::finding(sql, &plan));
    if findings.is_empty() { Ok(plan) } else { Err(findings) }
}
