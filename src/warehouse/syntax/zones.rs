//! Zones that are written out: a misspelt one would be null for every row.

use datafusion::sql::sqlparser::ast::{Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Value};
use jiff::tz::TimeZone;

use super::super::place::place_of_span;
use super::Refusals;
use crate::model::diagnostic::{Diagnostic, did_you_mean};

/// Functions whose second argument names a zone.
const ZONED: [&str; 3] = ["local_day", "local_week", "local_month"];

pub(super) fn zones(expression: &Expr, out: &mut Refusals<'_>) {
    match expression {
        Expr::AtTimeZone { timestamp: _, time_zone } => zone(time_zone, true, out),
        Expr::Function(Function { name, args: FunctionArguments::List(list), .. })
            if ZONED.contains(&name.to_string().to_lowercase().as_str()) =>
        {
            if let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(named))) = list.args.get(1) {
                zone(named, false, out);
            }
        }
        _ => {}
    }
}

fn zone(named: &Expr, takes_offsets: bool, out: &mut Refusals<'_>) {
    let Expr::Value(value) = named else {
        return;
    };
    let Value::SingleQuotedString(text) = &value.value else {
        return;
    };
    let is_offset = takes_offsets && text.starts_with(['+', '-']);
    if is_offset || TimeZone::get(text).is_ok() {
        return;
    }
    let names: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
    let help = did_you_mean(text, names.iter().map(String::as_str))
        .unwrap_or_else(|| "write an IANA name such as `Europe/Paris` or `UTC`".to_owned());
    let place = place_of_span(out.sql, value.span);
    out.findings.push(Diagnostic::error("unknown-zone", format!("`{text}` is no time zone"), &place).with_help(help));
}
