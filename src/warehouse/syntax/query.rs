//! Queries: with, order by, limit, and what other dialects put after a select.

use datafusion::sql::sqlparser::ast::{
    Cte, Distinct, Expr, Fetch, LimitClause, Offset, OrderBy, OrderByExpr, OrderByKind, OrderByOptions, Query,
    SelectItem, SetExpr, SetOperator, SetQuantifier, Spanned, Table, Value, Values, With,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::{Refusals, relation, select};

pub(super) fn query(query: &Query, out: &mut Refusals<'_>) {
    let Query { with, body, order_by, limit_clause, fetch, locks, for_clause, settings, format_clause, pipe_operators } =
        query;
    // What follows a body is looked for where the body ends: spans do not cover every clause.
    let span = Span::new(body.span().end, body.span().end);
    if let Some(with) = with {
        with_clause(with, out);
    }
    set_expression(body, order_by.is_some(), out);
    if let Some(order_by) = order_by {
        order(order_by, body, out);
    }
    limit(query, limit_clause.as_ref(), span, out);
    if let Some(Fetch { with_ties: _, percent: _, quantity: _ }) = fetch {
        out.refuse("fetch", span, "write `limit`");
    }
    if !locks.is_empty() || for_clause.is_some() {
        out.refuse("for", span, "leave it out: a view only reads");
    }
    if settings.is_some() {
        out.refuse("settings", span, "leave it out");
    }
    if format_clause.is_some() {
        out.refuse("format", span, "leave it out");
    }
    if !pipe_operators.is_empty() {
        out.refuse("|>", span, "write it as one select, with common table expressions for its steps");
    }
}

fn with_clause(with: &With, out: &mut Refusals<'_>) {
    let With { with_token: _, recursive, cte_tables } = with;
    for table in cte_tables {
        // Whether a step is kept or written out where it is used does not change rows.
        let Cte { alias, query, from, materialized: _, closing_paren_token: _ } = table;
        relation::alias(alias, out);
        if from.is_some() {
            out.refuse("from", alias.name.span, "write `with name as (select …)`");
        }
        if *recursive && matches!(*query.body, SetExpr::SetOperation { .. }) {
            recursive_step(query, out);
        }
    }
}

/// Of a step that reads itself the engine carries out the two sides and nothing around them.
fn recursive_step(query: &Query, out: &mut Refusals<'_>) {
    let span = query.span();
    let help = "put it in the query that reads the recursive one";
    if query.with.is_some() {
        out.refuse("with", span, help);
    }
    if query.order_by.is_some() {
        out.refuse("order", span, help);
    }
    if query.limit_clause.is_some() {
        out.refuse("limit", span, help);
    }
    if let SetExpr::SetOperation { op, left: _, right: _, set_quantifier: _ } = query.body.as_ref()
        && *op != SetOperator::Union
    {
        out.refuse("recursive", span, "a recursive query is `select … union all select …`");
    }
}

fn set_expression(body: &SetExpr, is_ordered: bool, out: &mut Refusals<'_>) {
    match body {
        // Its own fields are looked at when the tree's visitor comes to it.
        SetExpr::Select(select) => {
            if let Some(Distinct::On(_)) = &select.distinct
                && !is_ordered
            {
                let message = "`distinct on` without an order by keeps any of the rows";
                out.refuse_unrepeatable(
                    "distinct",
                    select.span(),
                    message,
                    "add `order by` with the same columns first",
                );
            }
        }
        SetExpr::Query(_) => {}
        SetExpr::SetOperation { left, op, set_quantifier, right } => {
            set_operation(*op, *set_quantifier, body.span(), out);
            set_expression(left, false, out);
            set_expression(right, false, out);
        }
        SetExpr::Values(Values { explicit_row: _, value_keyword, rows }) => {
            if *value_keyword {
                out.refuse("value", body.span(), "write `values`");
            }
            if rows.iter().any(|row| row.content.is_empty()) {
                out.refuse("values", body.span(), "give each row its values");
            }
        }
        SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {}
        SetExpr::Table(table) => {
            let Table { table_name: _, schema_name: _ } = table.as_ref();
            out.refuse("table", body.span(), "write `select * from` the table");
        }
    }
}

fn set_operation(operator: SetOperator, quantifier: SetQuantifier, span: Span, out: &mut Refusals<'_>) {
    match operator {
        SetOperator::Union => {}
        SetOperator::Except | SetOperator::Intersect => {}
        SetOperator::Minus => out.refuse("minus", span, "write `except`"),
    }
    match quantifier {
        SetQuantifier::All | SetQuantifier::Distinct | SetQuantifier::None => {}
        SetQuantifier::ByName | SetQuantifier::AllByName | SetQuantifier::DistinctByName => {
            if operator != SetOperator::Union {
                out.refuse("name", span, "name the columns in the same order on both sides");
            }
        }
    }
}

fn order(order: &OrderBy, body: &SetExpr, out: &mut Refusals<'_>) {
    let OrderBy { kind, interpolate } = order;
    if interpolate.is_some() {
        out.refuse("interpolate", order.span(), "leave it out");
    }
    match kind {
        OrderByKind::All(OrderByOptions { asc: _, nulls_first: _ }) => {
            let named = |item: &SelectItem| {
                matches!(item, SelectItem::UnnamedExpr(Expr::Identifier(_) | Expr::CompoundIdentifier(_)))
            };
            if !matches!(body, SetExpr::Select(select) if select.projection.iter().all(named)) {
                out.refuse("all", order.span(), "name the columns to order by");
            }
        }
        OrderByKind::Expressions(expressions) => {
            expressions.iter().for_each(|expression| order_expression(expression, out));
            expressions.iter().for_each(|expression| select::refuse_named_windows(&expression.expr, out));
        }
    }
}

/// One expression of an order, wherever an order may stand.
pub(super) fn order_expression(order: &OrderByExpr, out: &mut Refusals<'_>) {
    let OrderByExpr { expr, options: OrderByOptions { asc: _, nulls_first: _ }, with_fill } = order;
    if with_fill.is_some() {
        out.refuse("fill", expr.span(), "leave it out");
    }
    if let Expr::Value(value) = expr
        && matches!(value.value, Value::SingleQuotedString(_) | Value::Null | Value::Boolean(_))
    {
        let message = format!("`order by {value}` orders by one value for all rows");
        out.refuse_as("", expr.span(), &message, "name a column, in double quotes if need be");
    }
}

fn limit(query: &Query, limit: Option<&LimitClause>, span: Span, out: &mut Refusals<'_>) {
    match limit {
        None | Some(LimitClause::OffsetCommaLimit { offset: _, limit: _ }) => {}
        Some(LimitClause::LimitOffset { limit: _, offset: None | Some(Offset { value: _, rows: _ }), limit_by }) => {
            if !limit_by.is_empty() {
                let help =
                    "number the rows with `row_number() over (partition by … order by …)` and keep the first ones";
                out.refuse_as("limit", span, "`limit … by` is not carried out here", help);
            }
        }
    }
    if limit.is_some() && query.order_by.is_none() && !select::is_single_row(&query.body, out) {
        let message = "`limit` without an order by keeps any of the rows";
        let word = if matches!(limit, Some(LimitClause::LimitOffset { limit: None, .. })) { "offset" } else { "limit" };
        out.refuse_unrepeatable(word, span, message, "add an `order by` before it");
    }
}
