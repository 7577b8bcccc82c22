//! `health:` of a table made whole.

use crate::model::diagnostic::{Diagnostic, Located};
use crate::project::health::{RowsBound, TableHealth};
use crate::project::read::{Findings, report_missing};
use crate::project::schema::{HealthFields, HealthRowsFields};

/// Builds what a table declares; nothing declared is the default.
pub(super) fn build(
    written: Option<Located<HealthFields>>,
    time: Option<&Located<String>>,
    findings: &mut Findings,
) -> TableHealth {
    let Some(Located { value: fields, place }) = written else { return TableHealth::default() };
    if time.is_none() {
        let message = "`health` looks at days, and the table does not say which column is its time";
        let finding = Diagnostic::error("missing-time", message, &place);
        findings.push(finding.with_help("add `time:` to the table"));
    }
    let (rows_min, rows_max) = rows(fields.rows.as_ref(), findings);
    let nulls = fields.nulls.map(|nulls| nulls.value.0).unwrap_or_default();
    TableHealth {
        fresh: fields.fresh.map(|fresh| fresh.value),
        rows_min,
        rows_max,
        nulls: nulls.into_iter().map(|(column, share)| (column, share.value.0)).collect(),
        sql: fields.sql.map(|sql| sql.value).unwrap_or_default(),
        severity: fields.severity.map(|severity| severity.value).unwrap_or_default(),
    }
}

fn rows(
    written: Option<&Located<HealthRowsFields>>,
    findings: &mut Findings,
) -> (Option<RowsBound>, Option<RowsBound>) {
    let Some(Located { value: fields, place }) = written else { return (None, None) };
    report_missing(&fields.given, "per", "say of which rows: `per: day`", place, findings);
    if !fields.given.contains(&"min") && !fields.given.contains(&"max") {
        let finding = Diagnostic::error("missing-key", "`rows` has no bound", place);
        findings.push(finding.with_help("add `min: 50% of usual`, `max: 200% of usual`, or both"));
    }
    let (min, max) = (fields.min.as_ref().map(|min| min.value), fields.max.as_ref().map(|max| max.value));
    let is_crossed = match (min, max) {
        (Some(RowsBound::Rows(min)), Some(RowsBound::Rows(max))) => min > max,
        (Some(RowsBound::OfUsual(min)), Some(RowsBound::OfUsual(max))) => min > max,
        _ => false,
    };
    if is_crossed {
        let finding = Diagnostic::error("bad-bound", "`min` is above `max`, so no day passes", place);
        findings.push(finding.with_help("exchange the two"));
    }
    (min, max)
}
