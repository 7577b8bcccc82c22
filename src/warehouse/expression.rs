//! SQL snippets of jobs: each parsed alone, typed against the columns it may see, and checked at its own place.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::{DataFusionError, TableReference};
use datafusion::datasource::empty::EmptyTable;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::{
    Expr, Function, Ident, SelectItem, SetExpr, Spanned, Visit, Visitor, visit_expressions,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::engine::apart::apart;
use super::place::place_of_span;
use super::runtime::with_own_catalog;
use super::session::{Session, plan_query};
use super::statement::{Allowed, inspect, parse_expression, parse_query};
use super::trial;
use super::type_words::type_words;
use crate::model::diagnostic::{Diagnostic, Located, Place};

/// Where a snippet stands, which decides what it may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpressionRole {
    /// A condition on one row.
    Predicate,
    /// A number of one row.
    RowNumber,
    /// Anything of one row that can be told apart.
    RowValue,
    /// A number, text, boolean or time of many rows.
    Aggregate,
}

/// A checked snippet.
#[derive(Clone, Debug)]
pub struct Expression {
    /// The text, safe to stand between parentheses.
    pub sql: String,
    /// Its type.
    pub data_type: DataType,
    /// Whether it may be null.
    pub nullable: bool,
    /// The scope's columns it reads.
    pub columns: BTreeSet<String>,
    pub(super) tree: Expr,
}

/// Columns that a snippet may see, under the name of their relation.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// The relation's name.
    pub relation: &'a str,
    /// Its columns.
    pub columns: &'a SchemaRef,
}

impl Session {
    /// Checks a snippet against the columns it may see.
    ///
    /// # Errors
    /// Everything that is wrong with it, at its place.
    pub async fn check_expression(
        &self,
        snippet: &Located<String>,
        scope: Scope<'_>,
        role: ExpressionRole,
    ) -> Result<Expression, Vec<Diagnostic>> {
        let tree = parse_expression(snippet).map_err(|finding| vec![finding])?;
        let state = self.context.state();
        let parameters: BTreeSet<String> = self.parameters.names().map(str::to_owned).collect();
        let relations = BTreeSet::from([scope.relation.to_owned()]);
        let (_, mut findings) =
            inspect(snippet, &tree, &Allowed { state: &state, relations: &relations, parameters: &parameters });
        findings.extend(misplaced(snippet, &tree, role, &state));
        let plan = match trial::snippet(self, snippet, &tree, scope, !findings.is_empty()).await {
            Ok(plan) if findings.is_empty() => plan,
            Ok(_) => return Err(findings),
            Err(more) => {
                findings.extend(more);
                return Err(findings);
            }
        };
        let field = plan.schema().field(0);
        let (data_type, nullable) = (field.data_type().clone(), field.is_nullable());
        let columns = columns_of(&tree, scope.columns);
        let expression = Expression { sql: standing_alone(&snippet.value), data_type, nullable, columns, tree };
        match wrong_type(&expression, role) {
            Some(message) => {
                let help = (role == ExpressionRole::RowNumber).then(|| TYPES_HELP.to_owned());
                Err(vec![Diagnostic::error("wrong-type", message, &snippet.place).with_optional_help(help)])
            }
            None => Ok(expression),
        }
    }

    /// Type and nullability of an expression over the scope's columns.
    pub(super) async fn type_of(&self, tree: &Expr, scope: Scope<'_>) -> Result<(DataType, bool), DataFusionError> {
        let plan = self.plan_of(tree, scope).await?;
        let field = plan.schema().field(0);
        Ok((field.data_type().clone(), field.is_nullable()))
    }

    /// An expression over the scope's columns as the only column of a plan.
    pub(super) async fn plan_of(&self, tree: &Expr, scope: Scope<'_>) -> Result<LogicalPlan, DataFusionError> {
        let state = state_with(&self.context.state(), scope)?;
        let mut query = blank_query().map_err(|finding| DataFusionError::Plan(finding.message))?;
        if let SetExpr::Select(select) = query.body.as_mut() {
            select.projection =
                vec![SelectItem::ExprWithAlias { expr: tree.clone(), alias: Ident::with_quote('"', "value") }];
            for table in &mut select.from {
                if let datafusion::sql::sqlparser::ast::TableFactor::Table { name, .. } = &mut table.relation {
                    *name = vec![Ident::with_quote('"', scope.relation)].into();
                }
            }
        }
        let plan = plan_query(&state, query, &self.parameters).await?;
        apart(async move { state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {}) }).await
    }
}

/// The snippet as it may stand between parentheses: a comment at its end must not swallow what follows.
fn standing_alone(snippet: &str) -> String {
    let text = snippet.trim();
    if text.contains("--") || text.contains("//") || text.contains('#') { format!("{text}\n") } else { text.to_owned() }
}

/// The scope's columns that an expression names.
fn columns_of(tree: &Expr, columns: &SchemaRef) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    let mut add = |part: &Ident| {
        let name = if part.quote_style.is_some() { part.value.clone() } else { part.value.to_lowercase() };
        if columns.field_with_name(&name).is_ok() {
            named.insert(name);
        }
    };
    let _: ControlFlow<()> = visit_expressions(tree, |expression| {
        match expression {
            Expr::Identifier(part) => add(part),
            Expr::CompoundIdentifier(parts) => parts.iter().for_each(&mut add),
            _ => {}
        }
        ControlFlow::Continue(())
    });
    named
}

/// A query to put expressions into.
pub(super) fn blank_query() -> Result<datafusion::sql::sqlparser::ast::Query, Diagnostic> {
    let text = "select 1 from scope";
    let file = Arc::new(crate::model::SourceFile { path: String::new(), text: text.to_owned() });
    parse_query(&Located::new(text.to_owned(), Place::new(&file, 0..text.len())))
}

fn state_with(state: &SessionState, scope: Scope<'_>) -> Result<SessionState, DataFusionError> {
    let context = with_own_catalog(state)?;
    let table = Arc::new(EmptyTable::new(Arc::clone(scope.columns)));
    context.register_table(TableReference::bare(scope.relation), table)?;
    Ok(context.state())
}

/// How a column of text becomes one of numbers.
const TYPES_HELP: &str =
    "declare the column's type in its table, such as `columns: {amount: double}`, or cast it here: `cast(x as double)`";

fn wrong_type(expression: &Expression, role: ExpressionRole) -> Option<String> {
    let kind = &expression.data_type;
    let words = type_words(kind);
    match role {
        ExpressionRole::Predicate if !matches!(kind, DataType::Boolean | DataType::Null) => {
            Some(format!("this is {words}, not a condition that is true or false"))
        }
        ExpressionRole::RowNumber if !kind.is_numeric() && !kind.is_null() => {
            Some(format!("this is {words}, not a number"))
        }
        ExpressionRole::RowValue if kind.is_nested() => {
            Some(format!("this is {words}, whose values cannot be told apart"))
        }
        ExpressionRole::Aggregate if kind.is_nested() || kind.is_null() => {
            Some(format!("this is {words}; a metric is a number, text, boolean or time"))
        }
        _ => None,
    }
}

/// Aggregates, windows and subqueries where they may not stand.
fn misplaced(snippet: &Located<String>, tree: &Expr, role: ExpressionRole, state: &SessionState) -> Vec<Diagnostic> {
    let mut finder = Finder { state, aggregates: Vec::new(), refused: Vec::new() };
    let _: ControlFlow<()> = tree.visit(&mut finder);
    let at = |span: Span| place_of_span(snippet, span);
    let mut findings: Vec<Diagnostic> = finder
        .refused
        .iter()
        .map(|(what, span)| {
            Diagnostic::error("sql-misplaced", format!("{what} is not allowed here"), &at(*span))
                .with_help("put it in a view of sql/ and read the view with `from:`")
        })
        .collect();
    if role == ExpressionRole::Aggregate {
        if finder.aggregates.is_empty() {
            findings.push(
                Diagnostic::error("sql-misplaced", "a metric needs an aggregate", &snippet.place)
                    .with_help("wrap the column, such as `sum(x)` or `max(x)`"),
            );
        }
    } else {
        findings.extend(finder.aggregates.iter().map(|(name, span)| {
            Diagnostic::error("sql-misplaced", format!("the aggregate `{name}` is not allowed here"), &at(*span))
                .with_help("this is asked of each row alone")
        }));
    }
    findings
}

/// True for a call of an aggregate that is no window.
pub(super) fn is_aggregate(function: &Function, state: &SessionState) -> bool {
    function.over.is_none() && state.aggregate_functions().contains_key(&function.name.to_string().to_lowercase())
}

struct Finder<'a> {
    state: &'a SessionState,
    aggregates: Vec<(String, Span)>,
    refused: Vec<(&'static str, Span)>,
}

impl Visitor for Finder<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
        match expression {
            Expr::Function(function) if function.over.is_some() => {
                self.refused.push(("a window function", function.name.span()));
            }
            Expr::Function(function) if is_aggregate(function, self.state) => {
                self.aggregates.push((function.name.to_string(), function.name.span()));
            }
            Expr::Subquery(query) => self.refused.push(("a subquery", query.span())),
            Expr::Exists { subquery, .. } | Expr::InSubquery { subquery, .. } => {
                self.refused.push(("a subquery", subquery.span()));
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
