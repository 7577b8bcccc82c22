//! One select: its items, its clauses, and the windows it names.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    ExceptSelectItem, ExcludeSelectItem, Expr, Function, GroupByExpr, Ident, NamedWindowDefinition, NamedWindowExpr,
    Query, ReplaceSelectElement, ReplaceSelectItem, Select, SelectFlavor, SelectItem, SelectItemQualifiedWildcardKind,
    SetExpr, Spanned, Visit, Visitor, WildcardAdditionalOptions, WindowType,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::{FunctionKind, Refusals, call, relation};

pub(super) fn select(select: &Select, out: &mut Refusals<'_>) {
    let Select {
        select_token,
        optimizer_hints,
        distinct: _,
        select_modifiers,
        top,
        top_before_distinct: _,
        projection,
        exclude,
        into,
        from,
        lateral_views,
        prewhere,
        selection,
        connect_by,
        group_by,
        cluster_by,
        distribute_by,
        sort_by,
        having,
        named_window,
        qualify,
        window_before_qualify: _,
        value_table_mode,
        flavor,
    } = select;
    let span = select_token.0.span;
    let leave = "leave it out";
    for (is_there, word, help) in [
        (!optimizer_hints.is_empty(), "select", "leave the hints out"),
        (select_modifiers.is_some(), "select", "leave the modifiers after `select` out"),
        (top.is_some(), "top", "write `limit` at the end, after an `order by`"),
        (exclude.is_some(), "exclude", "write `* exclude (column)`, right after the star"),
        (into.is_some(), "into", "a view only reads: its rows go where it is named"),
        (!lateral_views.is_empty(), "lateral", "write `cross join lateral (select unnest(list) as item) as items`"),
        (prewhere.is_some(), "prewhere", "write the condition in `where`"),
        (!connect_by.is_empty(), "connect", "write a `with recursive` query"),
        (!cluster_by.is_empty(), "cluster", leave),
        (!distribute_by.is_empty(), "distribute", leave),
        (!sort_by.is_empty(), "sort", "write `order by`"),
        (value_table_mode.is_some(), "as", "select the columns themselves"),
        (!matches!(flavor, SelectFlavor::Standard), "from", "begin with `select`"),
    ] {
        if is_there {
            out.refuse(word, span, help);
        }
    }
    if projection.is_empty() && matches!(flavor, SelectFlavor::Standard) {
        out.refuse_as("select", span, "this select has no columns", "name them, or write `select *`");
    }
    projection.iter().for_each(|one| item(one, span, out));
    from.iter().for_each(|table| relation::joined(table, out));
    group(group_by, span, out);
    for window in named_window {
        named(window, out);
        let NamedWindowDefinition(name, definition) = window;
        if matches!(definition, NamedWindowExpr::WindowSpec(window) if window.order_by.is_empty()) {
            for call in projection.iter().flat_map(named_windows).filter(|call| call.window.value == name.value) {
                call::unordered_window(&call.function, call.span, out);
            }
        }
    }
    for expression in [selection, having, qualify].into_iter().flatten() {
        refuse_named_windows(expression, out);
    }
}

fn item(item: &SelectItem, select: Span, out: &mut Refusals<'_>) {
    match item {
        SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { expr: _, alias: _ } => {}
        SelectItem::ExprWithAliases { expr, aliases: _ } => {
            out.refuse_as("as", expr.span(), "a column has one name", "select one expression for each name");
        }
        SelectItem::QualifiedWildcard(kind, options) => {
            match kind {
                SelectItemQualifiedWildcardKind::ObjectName(_) => {}
                SelectItemQualifiedWildcardKind::Expr(expression) => {
                    let help = "name the fields, such as `value['field'] as field`";
                    out.refuse_as("", expression.span(), "`.*` after an expression is not carried out here", help);
                }
            }
            wildcard(options, select, out);
        }
        SelectItem::Wildcard(options) => wildcard(options, select, out),
    }
}

pub(super) fn wildcard(options: &WildcardAdditionalOptions, near: Span, out: &mut Refusals<'_>) {
    let WildcardAdditionalOptions {
        wildcard_token,
        opt_ilike,
        opt_exclude,
        opt_except,
        opt_replace,
        opt_rename,
        opt_alias,
    } = options;
    let span = if wildcard_token.0.span == Span::empty() { near } else { wildcard_token.0.span };
    match opt_exclude {
        None | Some(ExcludeSelectItem::Single(_) | ExcludeSelectItem::Multiple(_)) => {}
    }
    match opt_except {
        None | Some(ExceptSelectItem { first_element: _, additional_elements: _ }) => {}
    }
    if let Some(ReplaceSelectItem { items }) = opt_replace {
        for item in items {
            let ReplaceSelectElement { expr: _, column_name: _, as_keyword: _ } = item.as_ref();
        }
    }
    if opt_ilike.is_some() {
        out.refuse("ilike", span, "name the columns");
    }
    if opt_rename.is_some() {
        out.refuse("rename", span, "name the columns, such as `old as new`");
    }
    if opt_alias.is_some() {
        out.refuse_as("as", span, "a name after `*` is not carried out here", "leave it out");
    }
}

fn group(group: &GroupByExpr, near: Span, out: &mut Refusals<'_>) {
    let modifiers = match group {
        GroupByExpr::All(modifiers) | GroupByExpr::Expressions(_, modifiers) => modifiers,
    };
    if let Some(modifier) = modifiers.first() {
        let word = modifier.to_string();
        let word = word.split_whitespace().nth(1).unwrap_or("with").to_lowercase();
        let help = "write `group by rollup (…)`, `cube (…)` or `grouping sets (…)`";
        let span = if group.span() == Span::empty() { near } else { group.span() };
        out.refuse_as(&word, span, &format!("`with {word}` is not carried out here"), help);
    }
}

fn named(window: &NamedWindowDefinition, out: &mut Refusals<'_>) {
    let NamedWindowDefinition(name, definition) = window;
    match definition {
        NamedWindowExpr::NamedWindow(other) => {
            let message = format!("a window that stands for the window `{other}` is not carried out here");
            out.refuse_as("", name.span, &message, "write its partition and order");
        }
        NamedWindowExpr::WindowSpec(window) => call::window(window, out),
    }
}

/// The engine replaces named windows in the list of columns alone; elsewhere it would leave the window out.
pub(super) fn refuse_named_windows(expression: &Expr, out: &mut Refusals<'_>) {
    for NamedCall { window, .. } in named_windows(expression) {
        let message = format!("the named window `{window}` can be used in the list of columns alone");
        out.refuse_as("", window.span, &message, "give the column a name there and use that, or write the window out");
    }
}

/// A function over a named window.
struct NamedCall {
    function: String,
    span: Span,
    window: Ident,
}

/// The functions over named windows in a tree, those of its subqueries aside.
fn named_windows<T: Visit>(tree: &T) -> Vec<NamedCall> {
    let mut finder = NamedWindows { found: Vec::new(), depth: 0 };
    let _: ControlFlow<()> = tree.visit(&mut finder);
    finder.found
}

struct NamedWindows {
    found: Vec<NamedCall>,
    depth: usize,
}

impl Visitor for NamedWindows {
    type Break = ();

    fn pre_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
        if self.depth == 0
            && let Expr::Function(Function { name, over: Some(WindowType::NamedWindow(window)), .. }) = expression
        {
            let (function, span) = (name.to_string().to_lowercase(), name.span());
            self.found.push(NamedCall { function, span, window: window.clone() });
        }
        ControlFlow::Continue(())
    }
}

/// A select that cannot have several rows: aggregates of all rows at once.
pub(super) fn is_single_row(body: &SetExpr, out: &Refusals<'_>) -> bool {
    let SetExpr::Select(select) = body else {
        return false;
    };
    let ungrouped =
        matches!(&select.group_by, GroupByExpr::Expressions(by, modifiers) if by.is_empty() && modifiers.is_empty());
    let is_aggregate = |item: &SelectItem| match item {
        SelectItem::UnnamedExpr(expression) | SelectItem::ExprWithAlias { expr: expression, alias: _ } => {
            matches!(expression, Expr::Function(function)
                if function.over.is_none() && (out.kind_of)(&function.name.to_string().to_lowercase()) == FunctionKind::Aggregate)
        }
        _ => false,
    };
    ungrouped && !select.projection.is_empty() && select.projection.iter().all(is_aggregate)
}
