//! Formats of times that are written as other warehouses write them: the engine would give their letters for every row.

use datafusion::sql::sqlparser::ast::{Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Value};

use super::super::place::place_of_span;
use super::Refusals;
use crate::model::diagnostic::Diagnostic;

/// Functions whose arguments after the first are formats.
const FORMATTED: [&str; 10] = [
    "to_char",
    "date_format",
    "to_timestamp",
    "to_timestamp_seconds",
    "to_timestamp_millis",
    "to_timestamp_micros",
    "to_timestamp_nanos",
    "to_date",
    "to_time",
    "to_unixtime",
];

/// Parts of formats of PostgreSQL and Snowflake, and of Java where letters' cases differ; longer ones first.
const PARTS: &[(&str, &str)] = &[
    ("YYYY", "%Y"),
    ("yyyy", "%Y"),
    ("IYYY", "%G"),
    ("Month", "%B"),
    ("MONTH", "%B"),
    ("month", "%B"),
    ("MMMM", "%B"),
    ("EEEE", "%A"),
    ("HH24", "%H"),
    ("HH12", "%I"),
    ("hh24", "%H"),
    ("hh12", "%I"),
    ("Day", "%A"),
    ("DAY", "%A"),
    ("day", "%A"),
    ("DDD", "%j"),
    ("Mon", "%b"),
    ("MON", "%b"),
    ("mon", "%b"),
    ("MMM", "%b"),
    ("EEE", "%a"),
    ("SSS", "%3f"),
    ("FF3", "%3f"),
    ("FF6", "%6f"),
    ("YY", "%y"),
    ("yy", "%y"),
    ("MM", "%m"),
    ("DD", "%d"),
    ("dd", "%d"),
    ("Dy", "%a"),
    ("DY", "%a"),
    ("dy", "%a"),
    ("IW", "%V"),
    ("WW", "%U"),
    ("MI", "%M"),
    ("mi", "%M"),
    ("mm", "%M"),
    ("HH", "%H"),
    ("hh", "%I"),
    ("SS", "%S"),
    ("ss", "%S"),
    ("MS", "%3f"),
    ("US", "%6f"),
    ("AM", "%p"),
    ("PM", "%p"),
    ("TZ", "%Z"),
];

pub(super) fn time_formats(expression: &Expr, out: &mut Refusals<'_>) {
    let Expr::Function(Function { name, args: FunctionArguments::List(list), .. }) = expression else {
        return;
    };
    let name = name.to_string().to_lowercase();
    if !FORMATTED.contains(&name.as_str()) {
        return;
    }
    for argument in list.args.iter().skip(1) {
        let FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value))) = argument else {
            continue;
        };
        let Value::SingleQuotedString(text) = &value.value else {
            continue;
        };
        if text.contains('%') {
            continue;
        }
        let place = place_of_span(out.sql, value.span);
        let message = format!("the format `{text}` has no `%`, so `{name}` would take its letters as they are");
        let help = match in_percents(text) {
            Some(format) => format!("write `'{format}'`"),
            None => "write parts such as %Y, %m, %d, %H, %M and %S".to_owned(),
        };
        out.findings.push(Diagnostic::error("bad-time-format", message, &place).with_help(help));
    }
}

/// The same format as the engine writes it; `None` where no part of it is known.
fn in_percents(text: &str) -> Option<String> {
    let mut format = String::new();
    let (mut rest, mut is_known) = (text, false);
    // Where all is in lower case, `mm` is a month unless hours stand before it.
    let is_lower = text.chars().all(|character| !character.is_uppercase());
    while let Some(character) = rest.chars().next() {
        if let Some(quoted) = rest.strip_prefix(['"', '\'']) {
            let end = quoted.find(character).unwrap_or(quoted.len());
            format.push_str(&quoted[..end]);
            rest = quoted.get(end + 1..).unwrap_or_default();
            continue;
        }
        match PARTS.iter().find(|(part, _)| rest.starts_with(part)) {
            Some((part, written)) => {
                let is_month = *part == "mm" && is_lower && !format.contains("%I") && !format.contains("%H");
                format.push_str(if is_month { "%m" } else { written });
                rest = &rest[part.len()..];
                is_known = true;
            }
            None => {
                format.push(character);
                rest = &rest[character.len_utf8()..];
            }
        }
    }
    is_known.then_some(format)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_of_other_warehouses_are_spelt_anew() {
        for (text, expected) in [
            ("YYYY-MM", Some("%Y-%m")),
            ("YYYY-MM-DD HH24:MI:SS", Some("%Y-%m-%d %H:%M:%S")),
            ("yyyy-MM-dd HH:mm:ss", Some("%Y-%m-%d %H:%M:%S")),
            ("yyyy-mm-dd", Some("%Y-%m-%d")),
            ("DD/MM/YY", Some("%d/%m/%y")),
            ("Month", Some("%B")),
            ("DD Mon YYYY", Some("%d %b %Y")),
            ("IYYY-\"W\"IW", Some("%G-W%V")),
            ("", None),
            ("?", None),
        ] {
            assert_eq!(in_percents(text).as_deref(), expected, "{text}");
        }
    }
}
