//! `recap:` made whole: a period, and metrics over its rows.

use jiff::SignedDuration;

use super::milestone::DEFAULT_ROWS;
use crate::model::diagnostic::{Diagnostic, Located, Place};
use crate::project::job::{Entity, EventRows, MessageSpec, Metric, Recap};
use crate::project::names::is_identifier;
use crate::project::read::{Findings, Named, report_missing};
use crate::project::schema::{MetricFields, RecapFields};

/// Builds the recap; `None` when it has no period, no message or no metric.
pub(super) fn build(
    written: &Located<RecapFields>,
    message: Option<MessageSpec>,
    place: &Place,
    findings: &mut Findings,
) -> Option<Recap> {
    let fields = written.value.clone();
    report_missing(&fields.given, "period", "say how long it is: `period: week`", place, findings);
    let metrics_help = "add one: `metrics: {logins: {sql: \"count(*)\"}}`";
    report_missing(&fields.given, "metrics", metrics_help, place, findings);
    let metrics = fields.metrics.map(|metrics| build_metrics(metrics, findings)).unwrap_or_default();
    let rows = EventRows {
        from: fields.from.unwrap_or_else(|| Located::new(DEFAULT_ROWS.into(), written.place.clone())),
        event: None,
        event_column: None,
        filter: fields.filter,
        profile: fields.profile,
        time: fields.time,
        dedup: fields.dedup,
    };
    let mut compare = fields.compare.map(|compare| compare.value).unwrap_or_default();
    compare.dedup();
    Some(Recap {
        period: fields.period?.value,
        zone: fields.zone.map(|zone| zone.value).unwrap_or_default(),
        settle: fields.settle.map_or(SignedDuration::ZERO, |settle| settle.value),
        rows,
        entity: fields.entity.map(|entity| Entity { source: entity.value.source, audience: entity.value.audience }),
        since: fields.since,
        compare,
        only_if: fields.only_if,
        metrics: Some(metrics).filter(|metrics| !metrics.is_empty())?,
        message: message?,
    })
}

fn build_metrics(written: Located<Named<Located<MetricFields>>>, findings: &mut Findings) -> Vec<Metric> {
    let Located { value: Named(entries), place } = written;
    if entries.is_empty() {
        let finding = Diagnostic::error("empty-list", "the recap has no metric", &place);
        findings.push(finding.with_help("add one: `logins: {sql: \"count(*)\"}`"));
    }
    let mut metrics = Vec::with_capacity(entries.len());
    for (name, fields) in entries {
        let named = is_identifier("metric", &name, findings);
        let help = "say what is counted: `sql: \"count(*)\"`";
        report_missing(&fields.value.given, "sql", help, &name.place, findings);
        let Some(sql) = fields.value.sql.filter(|_| named) else { continue };
        let label = fields.value.label.map_or_else(|| label_of(&name.value), |label| label.value);
        metrics.push(Metric { name, label, sql, format: fields.value.format.map(|format| format.value) });
    }
    metrics
}

/// The name with spaces and a capital letter.
fn label_of(name: &str) -> String {
    let words = name.replace('_', " ");
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_read_like_words() {
        assert_eq!(label_of("active_people"), "Active people");
        assert_eq!(label_of("logins"), "Logins");
    }
}
