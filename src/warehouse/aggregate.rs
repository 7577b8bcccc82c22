//! Metrics taken apart, so that they are exact and stay small.
//!
//! A sum of nothing is 0. `count(distinct x)` over many groups keeps one set per group in the engine, which does not fit
//! in memory; it is counted in two levels instead, so a metric that holds one is split into its aggregates.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::arrow::datatypes::DataType;
use datafusion::execution::SessionState;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident,
    UnaryOperator, Value, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::expression::{Expression, ExpressionRole, Scope, is_aggregate};
use super::parameters::call;
use super::place::planning_errors;
use super::session::Session;
use super::value;
use crate::model::diagnostic::{Diagnostic, Located};

/// A metric ready to be written into a query.
#[derive(Clone, Debug)]
pub struct Aggregate {
    /// The metric over the rows, or over the columns of `parts` when there are any.
    pub sql: String,
    /// The aggregates of a metric that counts distinct values, each with the column it becomes.
    pub parts: Vec<AggregatePart>,
    /// Its value over no rows, as a SQL literal.
    pub empty: String,
    /// Its type.
    pub data_type: DataType,
    /// Whether it may be null.
    pub nullable: bool,
    /// Whether its value over some rows and over the others add up to its value over all: counts and sums.
    pub additive: bool,
    /// The columns it reads.
    pub columns: BTreeSet<String>,
}

/// One aggregate of a metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AggregatePart {
    /// The column that holds its result.
    pub column: String,
    /// How it is computed.
    pub kind: AggregateKind,
}

/// How an aggregate is computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AggregateKind {
    /// As it stands.
    Plain {
        /// The call.
        sql: String,
    },
    /// The number of distinct values.
    Distinct {
        /// The value, null not counted.
        value: String,
        /// The condition of its `filter`.
        filter: Option<String>,
    },
}

impl Session {
    /// Checks a metric and takes it apart; `name` prefixes the columns of its parts.
    ///
    /// # Errors
    /// Everything that is wrong with it, at its place.
    pub async fn aggregate(
        &self,
        name: &str,
        snippet: &Located<String>,
        scope: Scope<'_>,
    ) -> Result<Aggregate, Vec<Diagnostic>> {
        let expression = self.check_expression(snippet, scope, ExpressionRole::Aggregate).await?;
        let state = self.context.state();
        let summed = rewritten(&expression, &mut SumOfNothing { state: &state });
        let (data_type, nullable) =
            self.type_of(&summed, scope).await.map_err(|error| planning_errors(snippet, &error))?;
        let empty = self.empty_value(rewritten(&expression, &mut NoRows { state: &state })).await;
        let mut splitter = Splitter { state: &state, name, parts: Vec::new() };
        let columns = expression.columns.clone();
        let expression_tree = expression.tree.clone();
        let split = rewritten(&Expression { tree: summed.clone(), ..expression }, &mut splitter);
        let counts_distinct = splitter.parts.iter().any(|part| matches!(part.kind, AggregateKind::Distinct { .. }));
        let (tree, parts) = if counts_distinct { (split, splitter.parts) } else { (summed, Vec::new()) };
        let texts = parts.iter().flat_map(AggregatePart::texts).chain([tree.to_string()]);
        if texts.into_iter().any(|text| !reads_back(&text)) {
            let message = "this SQL cannot be rewritten safely";
            let help = "use plain text literals, without doubled quotes in them";
            return Err(vec![Diagnostic::error("sql-does-not-plan", message, &snippet.place).with_help(help)]);
        }
        let additive = is_additive(&expression_tree);
        Ok(Aggregate { sql: tree.to_string(), parts, empty, data_type, nullable, additive, columns })
    }

    /// The value of an expression without columns, as a literal; null where it has none, as in a division by zero.
    async fn empty_value(&self, tree: Expr) -> String {
        let rows = self.rows("a metric over no rows", &format!("select {tree} as \"value\"")).await.unwrap_or_default();
        let value = rows.first().filter(|batch| batch.num_rows() == 1).map(|batch| value::json(batch.column(0), 0));
        match value {
            Some(serde_json::Value::Number(number)) => number.to_string(),
            Some(serde_json::Value::Bool(truth)) => truth.to_string(),
            _ => "null".to_owned(),
        }
    }
}

impl AggregatePart {
    fn texts(&self) -> Vec<String> {
        match &self.kind {
            AggregateKind::Plain { sql } => vec![sql.clone()],
            AggregateKind::Distinct { value, filter } => [value.clone()].into_iter().chain(filter.clone()).collect(),
        }
    }
}

fn rewritten<V: VisitorMut>(expression: &Expression, visitor: &mut V) -> Expr {
    let mut tree = expression.tree.clone();
    let _ = tree.visit(visitor);
    tree
}

/// Writing a tree and reading it gives the same tree: nothing was lost or gained by the way it is written.
fn reads_back(text: &str) -> bool {
    let parse = |text: &str| Parser::new(&GenericDialect {}).try_with_sql(text)?.parse_expr();
    parse(text).is_ok_and(|tree| parse(&format!("({tree})")).is_ok_and(|again| again == Expr::Nested(Box::new(tree))))
}

/// Sums and counts, added, and multiplied or divided by numbers.
fn is_additive(tree: &Expr) -> bool {
    match tree {
        Expr::Nested(inner) | Expr::UnaryOp { op: UnaryOperator::Minus, expr: inner } => is_additive(inner),
        Expr::Function(function) => {
            let counts = ["count", "sum"].contains(&name_of(function).as_str()) && function.over.is_none();
            counts && matches!(&function.args, FunctionArguments::List(list) if list.duplicate_treatment.is_none())
        }
        Expr::BinaryOp { left, op, right } => match op {
            BinaryOperator::Plus | BinaryOperator::Minus => is_additive(left) && is_additive(right),
            BinaryOperator::Multiply => {
                (is_additive(left) && is_number(right)) || (is_number(left) && is_additive(right))
            }
            // Whole numbers divide with a remainder, which does not add up.
            BinaryOperator::Divide => is_additive(left) && is_fraction(right),
            _ => false,
        },
        _ => false,
    }
}

fn is_number(tree: &Expr) -> bool {
    matches!(tree, Expr::Value(value) if matches!(value.value, Value::Number(..)))
}

fn is_fraction(tree: &Expr) -> bool {
    matches!(tree, Expr::Value(value) if matches!(&value.value, Value::Number(digits, _) if digits.contains('.')))
}

fn zero() -> Expr {
    Expr::Value(Value::Number("0".to_owned(), false).into())
}

fn name_of(function: &Function) -> String {
    function.name.to_string().to_lowercase()
}

/// Replaces `sum(x)` by `coalesce(sum(x), 0)`.
struct SumOfNothing<'a> {
    state: &'a SessionState,
}

impl VisitorMut for SumOfNothing<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expression
            && is_aggregate(function, self.state)
            && name_of(function) == "sum"
        {
            *expression = call("coalesce", vec![expression.clone(), zero()]);
        }
        ControlFlow::Continue(())
    }
}

/// Replaces every aggregate by its result over no rows.
struct NoRows<'a> {
    state: &'a SessionState,
}

impl VisitorMut for NoRows<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expression
            && is_aggregate(function, self.state)
        {
            let is_zero = ["count", "sum", "approx_distinct"].contains(&name_of(function).as_str());
            *expression = if is_zero { zero() } else { Expr::Value(Value::Null.into()) };
        }
        ControlFlow::Continue(())
    }
}

/// Replaces every aggregate by a column and keeps what the column holds.
struct Splitter<'a> {
    state: &'a SessionState,
    name: &'a str,
    parts: Vec<AggregatePart>,
}

impl VisitorMut for Splitter<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expression
            && is_aggregate(function, self.state)
        {
            let kind = distinct_count(function).unwrap_or_else(|| AggregateKind::Plain { sql: function.to_string() });
            let column = format!("{}.{}", self.name, self.parts.len() + 1);
            self.parts.push(AggregatePart { column: column.clone(), kind });
            *expression = Expr::Identifier(Ident::with_quote('"', column));
        }
        ControlFlow::Continue(())
    }
}

/// `count(distinct x) [filter (where p)]` of one value.
fn distinct_count(function: &Function) -> Option<AggregateKind> {
    let FunctionArguments::List(list) = &function.args else {
        return None;
    };
    let [FunctionArg::Unnamed(FunctionArgExpr::Expr(value))] = list.args.as_slice() else {
        return None;
    };
    let counts = name_of(function) == "count" && list.duplicate_treatment == Some(DuplicateTreatment::Distinct);
    let filter = function.filter.as_ref().map(ToString::to_string);
    counts.then(|| AggregateKind::Distinct { value: value.to_string(), filter })
}
