//! Metrics: checked, and with what they are over no rows. A sum of nothing is 0.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::arrow::datatypes::DataType;
use datafusion::execution::SessionState;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArguments, Ident, UnaryOperator, Value, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::parser::Parser;

use super::expression::{Expression, ExpressionRole, Scope, is_aggregate};
use super::parameters::call;
use super::place::planning_errors;
use super::session::Session;
use super::syntax::dialect::EngineDialect;
use super::value;
use crate::model::diagnostic::{Diagnostic, Located};

/// A metric ready to be written into a query.
#[derive(Clone, Debug)]
pub struct Aggregate {
    /// The metric over the rows.
    pub sql: String,
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
    /// The metric over the rows of which the boolean column [`COUNTED`] is true.
    restricted: String,
}

/// Stands for the condition under which a row counts, until it is known.
const COUNTED: &str = "\"milepost.counted\"";

impl Aggregate {
    /// The metric over the rows that meet a condition of milepost's own.
    #[must_use]
    pub fn over(&self, condition: &str) -> String {
        self.restricted.replace(COUNTED, condition)
    }
}

impl Session {
    /// Checks a metric.
    ///
    /// # Errors
    /// Everything that is wrong with it, at its place.
    pub async fn aggregate(&self, snippet: &Located<String>, scope: Scope<'_>) -> Result<Aggregate, Vec<Diagnostic>> {
        let expression = self.check_expression(snippet, scope, ExpressionRole::Aggregate).await?;
        let state = self.context.state();
        let summed = rewritten(&expression, &mut SumOfNothing { state: &state });
        let (data_type, nullable) = if summed == expression.tree {
            (expression.data_type.clone(), expression.nullable)
        } else {
            self.type_of(&summed, scope).await.map_err(|error| planning_errors(snippet, &error))?
        };
        let empty = self.empty_value(rewritten(&expression, &mut NoRows { state: &state })).await;
        let restrict = Expression { tree: summed.clone(), ..expression.clone() };
        let restricted = rewritten(&restrict, &mut Restricted { state: &state }).to_string();
        if !reads_back(&summed.to_string()) || !reads_back(&restricted) {
            let message = "this SQL cannot be rewritten safely";
            let help = "use plain text literals, without doubled quotes in them";
            return Err(vec![Diagnostic::error("sql-does-not-plan", message, &snippet.place).with_help(help)]);
        }
        let (additive, columns) = (is_additive(&expression.tree), expression.columns);
        Ok(Aggregate { sql: summed.to_string(), empty, data_type, nullable, additive, columns, restricted })
    }

    /// The value of an expression without columns, as a literal; null where it has none, as in a division by zero.
    async fn empty_value(&self, tree: Expr) -> String {
        if let Expr::Value(literal) = &tree
            && matches!(literal.value, Value::Number(..) | Value::Null)
        {
            return literal.to_string().to_lowercase();
        }
        let rows = self.rows("a metric over no rows", &format!("select {tree} as \"value\"")).await.unwrap_or_default();
        let value = rows.first().filter(|batch| batch.num_rows() == 1).map(|batch| value::json(batch.column(0), 0));
        match value {
            Some(serde_json::Value::Number(number)) => number.to_string(),
            Some(serde_json::Value::Bool(truth)) => truth.to_string(),
            _ => "null".to_owned(),
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
    let parse = |text: &str| Parser::new(&EngineDialect).try_with_sql(text)?.parse_expr();
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

/// Lets every aggregate count only some rows.
struct Restricted<'a> {
    state: &'a SessionState,
}

impl VisitorMut for Restricted<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expression
            && is_aggregate(function, self.state)
        {
            let counted = Expr::Identifier(Ident::with_quote('"', COUNTED.trim_matches('"')));
            let filter = match function.filter.take() {
                None => counted,
                Some(filter) => Expr::BinaryOp {
                    left: Box::new(counted),
                    op: BinaryOperator::And,
                    right: Box::new(Expr::Nested(filter)),
                },
            };
            function.filter = Some(Box::new(filter));
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
