//! One SELECT: parsed, inspected for what milepost refuses, and its parameters bound.
//!
//! Guarantees: what leaves here reads only declared relations, calls only repeatable functions and changes nothing.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::execution::SessionState;
use datafusion::logical_expr::Volatility;
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArgumentClause, FunctionArguments, ObjectName, ObjectNamePart, Query, SetExpr, Spanned,
    Statement, TableFactor, Value, Visit, VisitMut, Visitor, VisitorMut,
};
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Span, Token};

use super::parameters::Parameters;
use super::place::{first_word, place_of_span, syntax_error};
use super::syntax::dialect::EngineDialect;
use super::syntax::{self, FunctionKind};
use super::{habits, ledger_tables};
use crate::model::diagnostic::{Diagnostic, Located, did_you_mean};

/// The code of findings about functions that differ from run to run.
pub(super) const NOT_REPEATABLE: &str = "not-repeatable";
/// The code of findings about functions that do not exist.
pub(super) const UNKNOWN_FUNCTION: &str = "unknown-function";

/// Nesting deeper than this is refused instead of overflowing the stack.
const RECURSION_LIMIT: usize = 60;

/// Aggregates whose result depends on the order of rows.
const ORDERED_AGGREGATES: [&str; 5] = ["array_agg", "first_value", "last_value", "string_agg", "nth_value"];

/// What a statement uses.
#[derive(Debug, Default)]
pub(super) struct Uses {
    /// Relations that are not its own common table expressions.
    pub(super) relations: BTreeSet<String>,
    /// Parameters, without the `$`.
    pub(super) parameters: BTreeSet<String>,
}

/// What a statement may use.
pub(super) struct Allowed<'a> {
    pub(super) state: &'a SessionState,
    pub(super) relations: &'a BTreeSet<String>,
    pub(super) parameters: &'a BTreeSet<String>,
}

/// Parses exactly one SELECT.
pub(super) fn parse_query(sql: &Located<String>) -> Result<Query, Diagnostic> {
    let mut statements = Parser::new(&EngineDialect)
        .with_recursion_limit(RECURSION_LIMIT)
        .try_with_sql(&sql.value)
        .and_then(|mut parser| parser.parse_statements())
        .map_err(|error| syntax_error(sql, &error))?;
    let refused = |what: &str| {
        Diagnostic::error("sql-not-a-select", format!("{what}; a file of sql/ is one select"), &sql.place)
            .with_help("write one `select` (with common table expressions if you like) and nothing else")
    };
    match (statements.pop(), statements.is_empty()) {
        (Some(Statement::Query(query)), true) => Ok(*query),
        (Some(statement), true) => {
            let keyword = statement.to_string().split_whitespace().next().unwrap_or_default().to_lowercase();
            Err(refused(&format!("`{keyword}` is refused")))
        }
        (Some(_), false) => Err(refused("there is more than one statement")),
        (None, _) => Err(refused("there is no statement")),
    }
}

/// Parses exactly one expression: nothing may follow it, so that a snippet cannot leave its place.
pub(super) fn parse_expression(sql: &Located<String>) -> Result<Expr, Diagnostic> {
    let parse = || -> Result<Expr, ParserError> {
        let mut parser = Parser::new(&EngineDialect).with_recursion_limit(RECURSION_LIMIT).try_with_sql(&sql.value)?;
        let expression = parser.parse_expr()?;
        parser.expect_token(&Token::EOF)?;
        Ok(expression)
    };
    parse().map_err(|error| syntax_error(sql, &error))
}

/// Everything that is wrong with a statement before planning, and what it uses.
pub(super) fn inspect<T: Visit>(sql: &Located<String>, tree: &T, allowed: &Allowed<'_>) -> (Uses, Vec<Diagnostic>) {
    let mut names = CommonTableNames::default();
    let _: ControlFlow<()> = tree.visit(&mut names);
    let mut inspector =
        Inspector { sql, allowed, common_tables: names.0, uses: Uses::default(), diagnostics: Vec::new() };
    let _: ControlFlow<()> = tree.visit(&mut inspector);
    let mut diagnostics = inspector.diagnostics;
    diagnostics.extend(syntax::refusals(sql, tree, &|name| kind_of(allowed.state, name)));
    (inspector.uses, diagnostics)
}

/// Whether the engine has a function of this name, of any kind.
pub(super) fn is_known_function(state: &SessionState, name: &str) -> bool {
    kind_of(state, &name.to_lowercase()) != FunctionKind::Unknown
}

/// Whether a call gives one value for its arguments, the same each time.
pub(super) fn is_scalar_function(state: &SessionState, function: &Function) -> bool {
    let known = state.scalar_functions().get(&function.name.to_string().to_lowercase());
    known.is_some_and(|known| known.signature().volatility == Volatility::Immutable) && function.over.is_none()
}

/// What kind of function the engine takes a name for, in the order in which it looks.
fn kind_of(state: &SessionState, name: &str) -> FunctionKind {
    match name {
        _ if state.scalar_functions().contains_key(name) => FunctionKind::Scalar,
        _ if state.higher_order_functions().contains_key(name) => FunctionKind::Scalar,
        "unnest" | "unnest_outer" => FunctionKind::Unnest,
        _ if state.aggregate_functions().contains_key(name) => FunctionKind::Aggregate,
        _ if state.window_functions().contains_key(name) => FunctionKind::Window,
        _ => FunctionKind::Unknown,
    }
}

/// Replaces every parameter by its typed value; an unbound one stays and fails in planning.
pub(super) fn bind<T: VisitMut>(tree: &mut T, parameters: &Parameters) {
    let _: ControlFlow<()> = tree.visit(&mut Binder { parameters });
}

#[derive(Default)]
struct CommonTableNames(BTreeSet<String>);

impl Visitor for CommonTableNames {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        for table in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.0.insert(normalised(&table.alias.name.value, table.alias.name.quote_style));
        }
        ControlFlow::Continue(())
    }
}

struct Inspector<'a> {
    sql: &'a Located<String>,
    allowed: &'a Allowed<'a>,
    common_tables: BTreeSet<String>,
    uses: Uses,
    diagnostics: Vec<Diagnostic>,
}

impl Inspector<'_> {
    fn report(&mut self, code: &'static str, message: String, span: Span, help: Option<String>) {
        let place = place_of_span(self.sql, span);
        self.diagnostics.push(Diagnostic::error(code, message, &place).with_optional_help(help));
    }

    fn parameter(&mut self, written: &str, span: Span) {
        let name = written.trim_start_matches(['$', ':', '?']);
        self.uses.parameters.insert(name.to_owned());
        if !self.allowed.parameters.contains(name) || !written.starts_with('$') {
            let known = self.allowed.parameters.iter().map(String::as_str);
            let names: Vec<_> = known.clone().map(|name| format!("${name}")).collect();
            let help = did_you_mean(name, known).or_else(|| Some(format!("the parameters are {}", names.join(", "))));
            self.report("unknown-parameter", format!("there is no parameter `{written}`"), span, help);
        }
    }

    fn function(&mut self, function: &Function) {
        let name = function.name.to_string().to_lowercase();
        let span = function.name.span();
        let state = self.allowed.state;
        let scalar = state.scalar_functions().get(&name);
        if scalar.is_some_and(|function| function.signature().volatility != Volatility::Immutable) {
            let help = "use $as_of, the run's logical now".to_owned();
            self.report(
                NOT_REPEATABLE,
                format!("`{name}` differs from run to run, so a replay would too"),
                span,
                Some(help),
            );
        }
        if kind_of(state, &name) == FunctionKind::Unknown {
            let help = habits::help(&name).map(str::to_owned).or_else(|| nearest_function(&name, state));
            self.report(UNKNOWN_FUNCTION, format!("there is no function `{name}`"), span, help);
        }
        if ORDERED_AGGREGATES.contains(&name.as_str()) && function.over.is_none() && !is_ordered(function) {
            let help = format!("write `{name}(x order by y)`");
            self.report(
                "unordered-aggregate",
                format!("`{name}` needs an order by, or its result changes by chance"),
                span,
                Some(help),
            );
        }
    }

    fn table_function(&mut self, name: &ObjectName) {
        let function = name.to_string().to_lowercase();
        if !self.allowed.state.table_functions().contains_key(&function) {
            let help = habits::help(&function).map(str::to_owned);
            let message = format!("there is no table function `{function}`");
            self.report("unknown-table-function", message, name.span(), help);
        }
    }

    fn relation(&mut self, relation: &ObjectName) {
        if let [ObjectNamePart::Identifier(schema), ObjectNamePart::Identifier(part)] = relation.0.as_slice() {
            let parts = [schema, part].map(|part| normalised(&part.value, part.quote_style));
            if let Some(table) = ledger_tables::relation(&parts[0], &parts[1])
                && self.allowed.relations.contains(&table)
            {
                self.uses.relations.insert(table);
                return;
            }
        }
        let [ObjectNamePart::Identifier(part)] = relation.0.as_slice() else {
            let help = "name a table of milepost.yml or a view of sql/".to_owned();
            self.report("unknown-table", format!("`{relation}` is not a declared table"), relation.span(), Some(help));
            return;
        };
        let name = normalised(&part.value, part.quote_style);
        if self.common_tables.contains(&name) {
            return;
        }
        if !self.allowed.relations.contains(&name) {
            let is_file = name.contains(['/', '\\', ':']) || part.quote_style == Some('\'');
            let help = if is_file {
                Some("declare the files under `tables:` in milepost.yml and name the table here".to_owned())
            } else {
                did_you_mean(&name, self.allowed.relations.iter().map(String::as_str))
            };
            let place = Some(part.span).filter(|span| *span != Span::empty()).map(|span| place_of_span(self.sql, span));
            let place = place.or_else(|| first_word(self.sql, &name)).unwrap_or_else(|| self.sql.place.clone());
            let finding = Diagnostic::error("unknown-table", format!("there is no table or view `{name}`"), &place);
            self.diagnostics.push(finding.with_optional_help(help));
        }
        self.uses.relations.insert(name);
    }
}

impl Visitor for Inspector<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let changes =
            matches!(*query.body, SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_));
        if changes {
            self.report("sql-not-a-select", "SQL here may only read".to_owned(), query.span(), None);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Table { name, args: None, .. } => self.relation(name),
            TableFactor::Table { name, args: Some(_), .. } => self.table_function(name),
            TableFactor::Function { name, .. } if !name.to_string().eq_ignore_ascii_case("unnest") => {
                self.table_function(name);
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
        match expression {
            Expr::Value(value) => {
                if let Value::Placeholder(name) = &value.value {
                    self.parameter(name, value.span);
                }
            }
            Expr::Function(function) => self.function(function),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// The nearest function by letters; the same in every run, since names are looked at in order.
fn nearest_function(name: &str, state: &SessionState) -> Option<String> {
    let names = state.scalar_functions().keys().chain(state.aggregate_functions().keys());
    let names: BTreeSet<&str> = names.chain(state.window_functions().keys()).map(String::as_str).collect();
    let is_slip = |known: &&str| strsim::damerau_levenshtein(name, known) <= 1 + name.len() / 4;
    did_you_mean(name, names.into_iter().filter(is_slip))
}

fn is_ordered(function: &Function) -> bool {
    let FunctionArguments::List(list) = &function.args else {
        return false;
    };
    !function.within_group.is_empty()
        || list.clauses.iter().any(|clause| matches!(clause, FunctionArgumentClause::OrderBy(_)))
}

/// The name the engine looks up: lower case unless quoted.
fn normalised(name: &str, quote: Option<char>) -> String {
    if quote.is_some() { name.to_owned() } else { name.to_lowercase() }
}

struct Binder<'a> {
    parameters: &'a Parameters,
}

impl Binder<'_> {
    fn values(&self, expression: &Expr) -> Option<Vec<Expr>> {
        let Expr::Value(value) = expression else {
            return None;
        };
        let Value::Placeholder(name) = &value.value else {
            return None;
        };
        Some(self.parameters.get(name.strip_prefix('$')?)?.expressions())
    }
}

impl VisitorMut for Binder<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        if let Expr::InList { list, .. } = expression {
            *list = list.iter().flat_map(|item| self.values(item).unwrap_or_else(|| vec![item.clone()])).collect();
        }
        if let Some([value]) = self.values(expression).as_deref() {
            *expression = value.clone();
        }
        ControlFlow::Continue(())
    }
}
