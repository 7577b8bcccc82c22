//! What stands after `from`: tables, subqueries, functions that give rows, and joins.

use datafusion::sql::sqlparser::ast::{
    FunctionArg, Join, JoinConstraint, JoinOperator, Spanned, TableAlias, TableAliasColumnDef, TableFactor,
    TableFunctionArgs, TableSampleKind, TableWithJoins,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::Refusals;

/// How a list becomes rows, with what else is asked of them.
const LATERAL_HELP: &str = "write `cross join lateral (select unnest(list) as item) as items`";

pub(super) fn joined(table: &TableWithJoins, out: &mut Refusals<'_>) {
    let TableWithJoins { relation: _, joins } = table;
    joins.iter().for_each(|one| join(one, out));
}

pub(super) fn join(join: &Join, out: &mut Refusals<'_>) {
    let Join { relation, global, join_operator } = join;
    let span = relation.span();
    if *global {
        out.refuse("global", span, "leave it out");
    }
    let with_on = "write `join … on` with a condition";
    match join_operator {
        JoinOperator::Join(by)
        | JoinOperator::Inner(by)
        | JoinOperator::Left(by)
        | JoinOperator::LeftOuter(by)
        | JoinOperator::Right(by)
        | JoinOperator::RightOuter(by)
        | JoinOperator::FullOuter(by)
        | JoinOperator::LeftSemi(by)
        | JoinOperator::RightSemi(by)
        | JoinOperator::LeftAnti(by)
        | JoinOperator::RightAnti(by) => match by {
            JoinConstraint::On(_) | JoinConstraint::Using(_) | JoinConstraint::Natural => {}
            JoinConstraint::None => {
                let message = "this join has no condition, so each row would meet every other";
                out.refuse_as("", span, message, "add `on`, or write `cross join` if that is meant");
            }
        },
        JoinOperator::CrossJoin(by) => match by {
            JoinConstraint::None => {}
            JoinConstraint::On(_) | JoinConstraint::Using(_) | JoinConstraint::Natural => {
                out.refuse("cross", span, "write `join` without `cross`, or leave the condition out");
            }
        },
        JoinOperator::Semi(_) => out.refuse("semi", span, "write `left semi join`"),
        JoinOperator::Anti(_) => out.refuse("anti", span, "write `left anti join`"),
        JoinOperator::CrossApply => out.refuse("apply", span, "write `cross join lateral (select …)`"),
        JoinOperator::OuterApply => out.refuse("apply", span, "write `left join lateral (select …) on true`"),
        JoinOperator::AsOf { match_condition: _, constraint: _ } => {
            let help = "join with `on` and keep the last row with `row_number() over (partition by … order by …)`";
            out.refuse("asof", span, help);
        }
        JoinOperator::StraightJoin(_) => out.refuse("straight_join", span, with_on),
        JoinOperator::ArrayJoin | JoinOperator::LeftArrayJoin | JoinOperator::InnerArrayJoin => {
            out.refuse("array", span, LATERAL_HELP);
        }
    }
}

pub(super) fn alias(alias: &TableAlias, out: &mut Refusals<'_>) {
    let TableAlias { explicit: _, name, columns, at } = alias;
    for column in columns {
        let TableAliasColumnDef { name, data_type } = column;
        if data_type.is_some() {
            let message = "a type beside a column's name is not carried out here";
            out.refuse_as("", name.span, message, "cast the column where it is selected");
        }
    }
    if at.is_some() {
        out.refuse("at", name.span, "leave it out");
    }
}

pub(super) fn factor(factor: &TableFactor, out: &mut Refusals<'_>) {
    let span = factor.span();
    match factor {
        TableFactor::Table { .. } => table(factor, span, out),
        TableFactor::Derived { lateral: _, subquery: _, alias: name, sample } => {
            sampled(sample.as_ref(), span, out);
            named(name.as_ref(), out);
        }
        TableFactor::TableFunction { expr, alias: _ } => {
            out.refuse("table", expr.span(), "name the table, or write `unnest(list)` for the items of a list");
        }
        TableFactor::Function { lateral: _, name: function, args, with_ordinality, alias: name } => {
            table_function(&function.to_string(), args, function.span(), out);
            ordinality(*with_ordinality, span, out);
            named(name.as_ref(), out);
        }
        TableFactor::UNNEST { alias: name, array_exprs: _, with_offset, with_offset_alias, with_ordinality } => {
            if *with_offset || with_offset_alias.is_some() {
                let help = "number the items with `unnest(range(1, array_length(list) + 1))` beside `unnest(list)`";
                out.refuse("offset", span, help);
            }
            ordinality(*with_ordinality, span, out);
            named(name.as_ref(), out);
        }
        TableFactor::NestedJoin { table_with_joins, alias: name } => {
            joined(table_with_joins, out);
            named(name.as_ref(), out);
        }
        TableFactor::JsonTable { json_expr: _, json_path: _, columns: _, alias: _ } => {
            out.refuse(
                "json_table",
                span,
                "read fields with `json ->> 'field'`, lists with `unnest(json_get_array(json))`",
            );
        }
        TableFactor::OpenJsonTable { json_expr: _, json_path: _, columns: _, alias: _ } => {
            out.refuse(
                "openjson",
                span,
                "read fields with `json ->> 'field'`, lists with `unnest(json_get_array(json))`",
            );
        }
        TableFactor::Pivot {
            table: _,
            aggregate_functions: _,
            value_column: _,
            value_source: _,
            default_on_null: _,
            alias: _,
        } => out.refuse("pivot", span, "write one `sum(x) filter (where …)` for each column"),
        TableFactor::Unpivot { table: _, value: _, name: _, columns: _, null_inclusion: _, alias: _ } => {
            out.refuse("unpivot", span, "write one select for each column, with `union all` between them");
        }
        TableFactor::MatchRecognize {
            table: _,
            partition_by: _,
            order_by: _,
            measures: _,
            rows_per_match: _,
            after_match_skip: _,
            pattern: _,
            symbols: _,
            alias: _,
        } => out.refuse("match_recognize", span, "use window functions, such as `lag` and `lead`"),
        TableFactor::XmlTable { namespaces: _, row_expression: _, passing: _, columns: _, alias: _ } => {
            out.refuse("xmltable", span, "leave it out: there are no functions that read XML");
        }
        TableFactor::SemanticView { name: _, dimensions: _, metrics: _, facts: _, where_clause: _, alias: _ } => {
            out.refuse("semantic_view", span, "select from the tables themselves");
        }
    }
}

fn table(factor: &TableFactor, span: Span, out: &mut Refusals<'_>) {
    let TableFactor::Table {
        name,
        alias,
        args,
        with_hints,
        version,
        with_ordinality,
        partitions,
        json_path,
        sample,
        index_hints,
    } = factor
    else {
        return;
    };
    named(alias.as_ref(), out);
    if let Some(TableFunctionArgs { args, settings }) = args {
        table_function(&name.to_string(), args, name.span(), out);
        if settings.is_some() {
            out.refuse("settings", span, "leave it out");
        }
    }
    if !with_hints.is_empty() {
        out.refuse("with", span, "leave the hints out");
    }
    if version.is_some() {
        out.refuse_as("", name.span(), "an earlier version of a table cannot be read here", "leave it out");
    }
    ordinality(*with_ordinality, span, out);
    if !partitions.is_empty() {
        out.refuse("partition", span, "write a condition in `where`");
    }
    if json_path.is_some() {
        out.refuse_as("", name.span(), "a path after a table is not carried out here", LATERAL_HELP);
    }
    sampled(sample.as_ref(), span, out);
    if !index_hints.is_empty() {
        out.refuse("index", span, "leave the hint out");
    }
}

fn named(name: Option<&TableAlias>, out: &mut Refusals<'_>) {
    if let Some(name) = name {
        alias(name, out);
    }
}

/// Rows by chance differ from run to run, and the engine would read all of them.
fn sampled(sample: Option<&TableSampleKind>, span: Span, out: &mut Refusals<'_>) {
    if sample.is_some() {
        let help = "choose rows by their values, such as `where abs(hash % 100) < 10` over a column of numbers";
        let word = if out.find("tablesample", span).is_some() { "tablesample" } else { "sample" };
        out.refuse(word, span, help);
    }
}

fn ordinality(is_there: bool, span: Span, out: &mut Refusals<'_>) {
    if is_there {
        let help = "number the items with `unnest(range(1, array_length(list) + 1))` beside `unnest(list)`";
        out.refuse("ordinality", span, help);
    }
}

/// Functions that give rows take values by their position alone.
fn table_function(name: &str, arguments: &[FunctionArg], span: Span, out: &mut Refusals<'_>) {
    for argument in arguments {
        match argument {
            FunctionArg::Unnamed(_) => {}
            FunctionArg::Named { name: _, arg: _, operator: _ }
            | FunctionArg::ExprNamed { name: _, arg: _, operator: _ } => {
                let help =
                    if name.eq_ignore_ascii_case("flatten") { LATERAL_HELP } else { "give the values in their order" };
                out.refuse_as("", span, &format!("`{name}` takes no arguments by name"), help);
            }
        }
    }
}
