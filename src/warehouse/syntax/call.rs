//! Calls: which clauses each kind of function carries out.

use datafusion::sql::sqlparser::ast::{
    DuplicateTreatment, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArgumentList,
    FunctionArguments, OrderByExpr, Spanned, WindowFrame, WindowFrameBound, WindowSpec, WindowType,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::{FunctionKind, Refusals, query, select};

/// Functions over windows whose answer depends on the order of rows.
const ORDERED_WINDOWS: [&str; 9] =
    ["row_number", "ntile", "lag", "lead", "first_value", "last_value", "nth_value", "array_agg", "string_agg"];
/// Functions over windows that can pass over nulls.
const NULL_SKIPPING: [&str; 5] = ["lag", "lead", "first_value", "last_value", "nth_value"];
/// Aggregates of the values in an order.
const ORDERED_SETS: [&str; 4] =
    ["percentile_cont", "quantile_cont", "approx_percentile_cont", "approx_percentile_cont_with_weight"];

pub(super) fn call(function: &Function, out: &mut Refusals<'_>) {
    // The braces of ODBC change nothing.
    let Function { name, uses_odbc_syntax: _, parameters, args, filter, null_treatment, over, within_group } = function;
    let span = name.span();
    let name = name.to_string().to_lowercase();
    let kind = (out.kind_of)(&name);
    let is_window = over.is_some();
    match parameters {
        FunctionArguments::None => {}
        FunctionArguments::Subquery(_) | FunctionArguments::List(_) => {
            let help = "give all values in one pair of parentheses";
            out.refuse_as("", span, &format!("`{name}` takes no parameters before its arguments"), help);
        }
    }
    match args {
        FunctionArguments::None => {}
        FunctionArguments::Subquery(_) => {
            let help = "join the subquery, or write `array_agg(x order by y)` in it";
            out.refuse_as("", span, &format!("a subquery as the argument of `{name}` is not carried out here"), help);
        }
        FunctionArguments::List(list) => arguments((&name, span), kind, list, is_window, out),
    }
    if kind == FunctionKind::Unknown {
        return;
    }
    let aggregates = kind == FunctionKind::Aggregate;
    if filter.is_some() && !aggregates {
        out.refuse("filter", span, "write `case when … then … end` round the argument");
    }
    if null_treatment.is_some() {
        nulls(&name, span, kind, is_window, out);
    }
    let takes_group = aggregates && ORDERED_SETS.contains(&name.as_str());
    if !within_group.is_empty() && !takes_group {
        out.refuse("within", span, &format!("write `{name}(… order by …)`"));
    }
    within_group.iter().for_each(|order| query::order_expression(order, out));
    windowed((&name, span), kind, over.as_ref(), out);
}

fn windowed((name, span): (&str, Span), kind: FunctionKind, over: Option<&WindowType>, out: &mut Refusals<'_>) {
    match over {
        None if kind == FunctionKind::Window => {
            let help = format!("write `{name}(…) over (partition by … order by …)`");
            out.refuse_as("", span, &format!("`{name}` needs a window"), &help);
        }
        Some(_) if matches!(kind, FunctionKind::Scalar | FunctionKind::Unnest) => {
            out.refuse("over", span, &format!("leave it out: `{name}` is asked of each row alone"));
        }
        Some(WindowType::WindowSpec(spec)) => {
            window(spec, out);
            if spec.order_by.is_empty() {
                unordered_window(name, span, out);
            }
        }
        // The select that names the window looks at it.
        None | Some(WindowType::NamedWindow(_)) => {}
    }
}

/// Refuses a function whose answer depends on an order that its window does not have.
pub(super) fn unordered_window(name: &str, span: Span, out: &mut Refusals<'_>) {
    if ORDERED_WINDOWS.contains(&name) {
        let message = format!("`{name}` over a window without an order by takes rows by chance");
        out.refuse_unrepeatable("", span, &message, "add `order by` to its window");
    }
}

fn nulls(name: &str, span: Span, kind: FunctionKind, is_window: bool, out: &mut Refusals<'_>) {
    // The engine asks aggregates itself whether they can.
    let is_carried_out = match kind {
        FunctionKind::Aggregate if !is_window => true,
        FunctionKind::Aggregate | FunctionKind::Window => NULL_SKIPPING.contains(&name),
        FunctionKind::Scalar | FunctionKind::Unnest | FunctionKind::Unknown => false,
    };
    if !is_carried_out {
        out.refuse("nulls", span, "leave it out, or write a condition with `filter (where x is not null)`");
    }
}

fn arguments(
    (name, span): (&str, Span),
    kind: FunctionKind,
    list: &FunctionArgumentList,
    is_window: bool,
    out: &mut Refusals<'_>,
) {
    let FunctionArgumentList { duplicate_treatment, args, clauses } = list;
    match duplicate_treatment {
        None => {}
        Some(DuplicateTreatment::Distinct | DuplicateTreatment::All)
            if !matches!(kind, FunctionKind::Aggregate | FunctionKind::Unknown) =>
        {
            out.refuse("distinct", span, "leave it out");
        }
        Some(DuplicateTreatment::Distinct | DuplicateTreatment::All) => {}
    }
    let is_distinct = matches!(duplicate_treatment, Some(DuplicateTreatment::Distinct));
    args.iter().for_each(|one| argument((name, span), one, is_distinct, out));
    for clause in clauses {
        match clause {
            FunctionArgumentClause::IgnoreOrRespectNulls(_) => nulls(name, span, kind, is_window, out),
            FunctionArgumentClause::OrderBy(order) => ordered((name, span), kind, order, is_window, out),
            FunctionArgumentClause::Limit(_) => {
                out.refuse("limit", span, "take the first items with `array_slice(list, 1, n)`");
            }
            FunctionArgumentClause::OnOverflow(_) => out.refuse("overflow", span, "leave it out"),
            FunctionArgumentClause::Having(_) => out.refuse("having", span, "write `filter (where …)`"),
            FunctionArgumentClause::Separator(_) => {
                out.refuse("separator", span, "write `string_agg(text, ', ' order by …)`");
            }
            FunctionArgumentClause::JsonNullClause(_) => out.refuse("null", span, "leave it out"),
            FunctionArgumentClause::JsonReturningClause(_) => out.refuse("returning", span, "cast the result"),
        }
    }
}

fn ordered(
    (name, span): (&str, Span),
    kind: FunctionKind,
    order: &[OrderByExpr],
    is_window: bool,
    out: &mut Refusals<'_>,
) {
    order.iter().for_each(|order| query::order_expression(order, out));
    if is_window {
        out.refuse("order", span, "order the rows in the window: `over (order by …)`");
    } else if !matches!(kind, FunctionKind::Aggregate | FunctionKind::Unknown) {
        out.refuse("order", span, &format!("leave it out: `{name}` is asked of each row alone"));
    }
}

fn argument((name, span): (&str, Span), argument: &FunctionArg, is_distinct: bool, out: &mut Refusals<'_>) {
    let value = match argument {
        FunctionArg::Named { name: _, arg, operator: _ } | FunctionArg::Unnamed(arg) => arg,
        FunctionArg::ExprNamed { name: _, arg, operator: _ } => {
            out.refuse_as("", span, &format!("`{name}` takes no arguments by name"), "give the values in their order");
            arg
        }
    };
    match value {
        FunctionArgExpr::Expr(_) => {}
        FunctionArgExpr::Wildcard => {
            if name != "count" {
                out.refuse_as("", span, &format!("`{name}(*)` is not carried out here"), "name a column");
            } else if is_distinct {
                let help = "write `select count(*) from (select distinct * from …)`";
                out.refuse_as("", span, "`count(distinct *)` is not carried out here", help);
            }
        }
        FunctionArgExpr::QualifiedWildcard(table) => {
            let help =
                format!("write `{name}({table}.column)` with a column that is never null where the row is there");
            out.refuse_as("", span, &format!("`{name}({table}.*)` is not carried out here"), &help);
        }
        FunctionArgExpr::WildcardWithOptions(options) => {
            select::wildcard(options, span, out);
            out.refuse_as("", span, &format!("`{name}(* …)` is not carried out here"), "name the columns");
        }
    }
}

/// One window, named or written out.
pub(super) fn window(window: &WindowSpec, out: &mut Refusals<'_>) {
    let WindowSpec { window_name, partition_by: _, order_by, window_frame } = window;
    if let Some(name) = window_name {
        let message = format!("a window that builds on the window `{name}` is not carried out here");
        out.refuse_as("", name.span, &message, "write its partition and order out");
    }
    order_by.iter().for_each(|order| query::order_expression(order, out));
    if let Some(WindowFrame { units: _, start_bound, end_bound }) = window_frame {
        for bound in [Some(start_bound), end_bound.as_ref()].into_iter().flatten() {
            match bound {
                WindowFrameBound::CurrentRow | WindowFrameBound::Preceding(_) | WindowFrameBound::Following(_) => {}
            }
        }
    }
}
