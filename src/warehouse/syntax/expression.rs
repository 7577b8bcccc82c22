//! Expressions: every form that the parser knows.

use datafusion::sql::sqlparser::ast::{
    AccessExpr, Array, CaseWhen, CastKind, CeilFloorKind, DateTimeField, DictionaryField, Expr, Interval, JsonPath,
    JsonPathElem, Map, MapEntry, MemberOf, Spanned, Subscript, TypedString, Value, ValueWithSpan,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::{Refusals, call, data_type, operator};

pub(super) fn expression(expression: &Expr, out: &mut Refusals<'_>) {
    let span = expression.span();
    match expression {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Nested(_) => {}
        Expr::IsFalse(_) | Expr::IsNotFalse(_) | Expr::IsTrue(_) | Expr::IsNotTrue(_) => {}
        Expr::IsNull(_) | Expr::IsNotNull(_) | Expr::IsUnknown(_) | Expr::IsNotUnknown(_) => {}
        Expr::IsDistinctFrom(_, _) | Expr::IsNotDistinctFrom(_, _) => {}
        Expr::InList { expr: _, list: _, negated: _ } | Expr::InSubquery { expr: _, subquery: _, negated: _ } => {}
        Expr::Between { expr: _, negated: _, low: _, high: _ } => {}
        Expr::Exists { subquery: _, negated: _ } | Expr::Subquery(_) => {}
        Expr::GroupingSets(_) | Expr::Cube(_) | Expr::Rollup(_) | Expr::Tuple(_) => {}
        Expr::Position { expr: _, r#in: _ } | Expr::Named { expr: _, name: _ } => {}
        Expr::Overlay { expr: _, overlay_what: _, overlay_from: _, overlay_for: _ } => {}
        Expr::Substring { expr: _, substring_from: _, substring_for: _, special: _, shorthand: _ } => {}
        Expr::Map(Map { entries }) => entries.iter().for_each(|MapEntry { key: _, value: _ }| {}),
        Expr::Dictionary(fields) => fields.iter().for_each(|DictionaryField { key: _, value: _ }| {}),
        Expr::Array(Array { elem: _, named: _ }) => {}
        Expr::Case { case_token: _, end_token: _, operand: _, conditions, else_result: _ } => {
            conditions.iter().for_each(|CaseWhen { condition: _, result: _ }| {});
        }
        Expr::CompoundFieldAccess { root: _, access_chain } => access_chain.iter().for_each(|access| match access {
            AccessExpr::Dot(_) | AccessExpr::Subscript(Subscript::Index { index: _ }) => {}
            AccessExpr::Subscript(Subscript::Slice { lower_bound: _, upper_bound: _, stride: _ }) => {}
        }),
        Expr::Value(value) => literal(value, out),
        Expr::Function(function) => call::call(function, out),
        Expr::BinaryOp { left: _, op, right } => operator::binary(op, before(right.span(), span), out),
        Expr::AnyOp { left: _, compare_op, right: _, is_some: _ } | Expr::AllOp { left: _, compare_op, right: _ } => {
            operator::binary(compare_op, span, out);
        }
        Expr::UnaryOp { op, expr: _ } => operator::unary(*op, span, out),
        Expr::JsonAccess { value, path } => json_path(value, path, out),
        Expr::Like { negated: _, any, expr: _, pattern: _, escape_char }
        | Expr::ILike { negated: _, any, expr: _, pattern: _, escape_char } => {
            like(*any, escape_char.as_ref(), span, out);
        }
        Expr::Cast { .. } => cast(expression, span, out),
        Expr::TypedString(TypedString { data_type: to, value: _, uses_odbc_syntax: _ }) => {
            data_type::data_type(to, span, out);
        }
        Expr::Trim { expr: _, trim_where: _, trim_what: _, trim_characters } => {
            if trim_characters.as_ref().is_some_and(|characters| characters.len() > 1) {
                out.refuse_as("trim", span, "`trim` takes one text of characters", "write them in one text");
            }
        }
        Expr::Ceil { expr: _, field } | Expr::Floor { expr: _, field } => match field {
            CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) => {}
            CeilFloorKind::DateTimeField(_) => out.refuse("to", span, "write `date_trunc('day', ts)`"),
            CeilFloorKind::Scale(_) => {
                out.refuse_as("", span, "`ceil` and `floor` take one number", "multiply before it and divide after it");
            }
        },
        Expr::Interval(interval) => interval_parts(interval, span, out),
        // The text that names the zone is looked at with the other literals.
        Expr::AtTimeZone { timestamp: _, time_zone } => {
            if !matches!(time_zone.as_ref(), Expr::Value(_)) {
                let help = "write `local_day(ts, zone)`, `local_week(ts, zone)` or `local_month(ts, zone)`";
                out.refuse_as("at", span, "`at time zone` takes the name of a zone in quotes", help);
            }
        }
        Expr::Extract { field: _, syntax: _, expr: _ } => {}
        Expr::Struct { values: _, fields } => {
            if !fields.is_empty() {
                let help = "write `named_struct('name', value)`, with casts where types matter";
                out.refuse_as("struct", span, "types of fields are not carried out here", help);
            }
        }
        other => never(other, span, out),
    }
}

fn cast(expression: &Expr, span: Span, out: &mut Refusals<'_>) {
    let Expr::Cast { kind, expr: _, data_type: to, array, format } = expression else {
        return;
    };
    match kind {
        CastKind::Cast | CastKind::TryCast | CastKind::SafeCast | CastKind::DoubleColon => {}
    }
    data_type::data_type(to, span, out);
    if *array {
        out.refuse("array", span, "write the type of the list, such as `varchar[]`");
    }
    if format.is_some() {
        out.refuse("format", span, "write `to_timestamp(text, '%Y-%m-%d')` or `to_char(ts, '%Y-%m-%d')`");
    }
}

/// Forms that are refused wherever they stand.
fn never(expression: &Expr, span: Span, out: &mut Refusals<'_>) {
    match expression {
        Expr::InUnnest { expr: _, array_expr: _, negated: _ } => {
            out.refuse("unnest", span, "write `array_has(list, value)`");
        }
        Expr::MemberOf(MemberOf { value: _, array: _ }) => out.refuse("member", span, "write `array_has(list, value)`"),
        Expr::SimilarTo { negated: _, expr: _, pattern: _, escape_char: _ } => {
            out.refuse("similar", span, "write `like`, or `regexp_like(text, '^pattern$')`");
        }
        Expr::RLike { negated: _, expr: _, pattern: _, regexp } => {
            out.refuse(if *regexp { "regexp" } else { "rlike" }, span, "write `regexp_like(text, pattern)`");
        }
        Expr::IsNormalized { expr: _, form: _, negated: _ } => out.refuse("normalized", span, "leave it out"),
        Expr::Collate { expr: _, collation: _ } => out.refuse("collate", span, "compare `lower(x)` in its place"),
        Expr::Convert { is_try: _, expr: _, data_type: _, charset: _, target_before_value: _, styles: _ } => {
            out.refuse("convert", span, "write `cast(x as type)`");
        }
        Expr::MatchAgainst { columns: _, match_value: _, opt_search_modifier: _ } => {
            out.refuse("match", span, "write `like`, or `regexp_like(text, pattern)`");
        }
        Expr::Prefixed { prefix, value: _ } => {
            out.refuse_as("", prefix.span, &format!("`{prefix}` before a text is not carried out here"), TEXT_HELP);
        }
        Expr::OuterJoin(_) => out.refuse_as("", span, "`(+)` is not carried out here", "write `left join … on`"),
        Expr::Prior(_) => out.refuse("prior", span, "write a `with recursive` query"),
        Expr::Lambda(_) => out.refuse_as("->", span, "lambda functions are not carried out here", "unnest the list"),
        Expr::Wildcard(_) | Expr::QualifiedWildcard(_, _) => {
            out.refuse_as(
                "*",
                span,
                "`*` can stand in the list of columns and in `count(*)` alone",
                "name the columns",
            );
        }
        // A form that nobody has decided about.
        other => {
            let message = format!("`{other}` is not carried out here");
            out.refuse_as("", span, &message, "write it in another way");
        }
    }
}

const TEXT_HELP: &str = "write the text in single quotes";

fn literal(value: &ValueWithSpan, out: &mut Refusals<'_>) {
    match &value.value {
        Value::Number(_, _) | Value::SingleQuotedString(_) | Value::DollarQuotedString(_) => {}
        Value::DoubleQuotedString(_) | Value::EscapedStringLiteral(_) | Value::HexStringLiteral(_) => {}
        Value::Boolean(_) | Value::Null | Value::Placeholder(_) => {}
        _ => {
            let message = format!("`{}` is not carried out here", value.value);
            out.refuse_as("", value.span, &message, TEXT_HELP);
        }
    }
}

fn like(any: bool, escape: Option<&ValueWithSpan>, span: Span, out: &mut Refusals<'_>) {
    if any {
        out.refuse("any", span, "write one `like` for each pattern, with `or` between them");
    }
    let is_backslash =
        |escape: &ValueWithSpan| matches!(&escape.value, Value::SingleQuotedString(text) if text == "\\");
    if let Some(escape) = escape.filter(|escape| !is_backslash(escape)) {
        let help = "write `\\` before `%` and `_`, without `escape`";
        out.refuse_as("escape", escape.span, "`escape` is not carried out here", help);
    }
}

fn interval_parts(interval: &Interval, span: Span, out: &mut Refusals<'_>) {
    let Interval { value: _, leading_field: _, leading_precision, last_field, fractional_seconds_precision } = interval;
    if leading_precision.is_some() || fractional_seconds_precision.is_some() {
        out.refuse_as("interval", span, "a precision of an interval is not carried out here", "leave it out");
    }
    if last_field.is_some() {
        out.refuse("to", span, "write it in one unit, or as `interval '1 day 2 hours'`");
    }
}

/// A path after a colon, as Snowflake writes it: what to write here.
fn json_path(value: &Expr, path: &JsonPath, out: &mut Refusals<'_>) {
    let JsonPath { path } = path;
    let keys: Vec<String> = path
        .iter()
        .map(|part| match part {
            JsonPathElem::Dot { key, quoted: _ } => format!("'{}'", key.replace('\'', "''")),
            JsonPathElem::Bracket { key } | JsonPathElem::ColonBracket { key } => key.to_string(),
        })
        .collect();
    let (last, before) = keys.split_last().map_or(("''", &[][..]), |(last, before)| (last.as_str(), before));
    let before: String = before.iter().map(|key| format!(" -> {key}")).collect();
    let message = format!(
        "`{}` is not how JSON is read here",
        Expr::JsonAccess { value: Box::new(value.clone()), path: JsonPath { path: path.clone() } }
    );
    let help = format!("write `{value}{before} ->> {last}`");
    out.refuse_as("", value.span(), &message, &help);
}

/// Where an operator stands: between its sides, whose spans do not cover it.
fn before(right: Span, whole: Span) -> Span {
    if right == Span::empty() { whole } else { Span::new(whole.start, right.start) }
}
