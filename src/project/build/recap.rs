//! `recap:` made whole: a period, and metrics over its rows.

use jiff::SignedDuration;

use super::milestone::DEFAULT_ROWS;
use crate::model::PeriodKind;
use crate::model::diagnostic::{Diagnostic, Located, Place, did_you_mean};
use crate::project::job::{Breakdown, Compare, Entity, EventRows, MessageSpec, Metric, Recap, TopList, Trend};
use crate::project::names::is_identifier;
use crate::project::read::{Findings, Named, report_missing};
use crate::project::schema::{BreakdownFields, MetricFields, RecapFields, TopListFields};

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
    if let Some(period) = &fields.period {
        check_trends(&metrics, period.value, findings);
    }
    let compare = build_compare(fields.compare.map(|compare| compare.value).unwrap_or_default(), findings);
    let by = fields.by.and_then(|by| build_breakdown(by, &metrics, findings));
    let top = fields.top.map(|lists| build_top_lists(lists.value, findings)).unwrap_or_default();
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
        by,
        top,
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
        metrics.push(Metric {
            name,
            label,
            sql,
            format: fields.value.format.map(|format| format.value),
            trend: fields.value.trend,
            rank: fields.value.rank.filter(|rank| rank.value).map(|rank| rank.place),
            goal: fields.value.goal,
        });
    }
    metrics
}

/// A trend has several steps in its period.
fn check_trends(metrics: &[Metric], period: PeriodKind, findings: &mut Findings) {
    for trend in metrics.iter().filter_map(|metric| metric.trend.as_ref()) {
        let (unit, is_shorter) = match trend.value {
            Trend::Day => ("days", true),
            Trend::Week => ("weeks", !matches!(period, PeriodKind::Day | PeriodKind::Week)),
            Trend::Month => ("months", matches!(period, PeriodKind::Quarter | PeriodKind::Year)),
        };
        if !is_shorter {
            let message = format!("a {} has no trend of {unit}", period.name());
            let finding = Diagnostic::error("bad-trend", message, &trend.place);
            findings.push(finding.with_help("name a shorter step: `trend: day`"));
        }
    }
}

/// Comparisons without repeats; one average at most.
fn build_compare(written: Vec<Located<Compare>>, findings: &mut Findings) -> Vec<Compare> {
    let mut kept: Vec<Compare> = Vec::new();
    for compare in written {
        let same_kind = |known: &&Compare| std::mem::discriminant(*known) == std::mem::discriminant(&compare.value);
        match kept.iter().find(same_kind) {
            Some(known) if *known != compare.value => {
                let message = "a recap has one average";
                findings.push(
                    Diagnostic::error("duplicate-average", message, &compare.place).with_help("keep one of them"),
                );
            }
            Some(_) => {}
            None => kept.push(compare.value),
        }
    }
    kept
}

fn build_breakdown(written: Located<BreakdownFields>, known: &[Metric], findings: &mut Findings) -> Option<Breakdown> {
    let Located { value: fields, place } = written;
    report_missing(&fields.given, "column", "name the column: `column: workspace`", &place, findings);
    report_missing(&fields.given, "metrics", "name metrics of the recap: `metrics: [logins]`", &place, findings);
    let top = entry_count(fields.top, 10, findings);
    let metrics = fields.metrics?;
    if metrics.value.is_empty() {
        let finding = Diagnostic::error("empty-list", "a breakdown needs a metric", &metrics.place);
        findings.push(finding.with_help("name metrics of the recap: `metrics: [logins]`"));
        return None;
    }
    for metric in &metrics.value {
        if !known.iter().any(|known| known.name.value == metric.value) {
            let message = format!("the recap has no metric `{}`", metric.value);
            let help = did_you_mean(&metric.value, known.iter().map(|known| known.name.value.as_str()));
            findings.push(Diagnostic::error("unknown-metric", message, &metric.place).with_optional_help(help));
        }
    }
    Some(Breakdown { column: fields.column?, metrics: metrics.value, top })
}

fn build_top_lists(written: Named<Located<TopListFields>>, findings: &mut Findings) -> Vec<TopList> {
    let mut lists = Vec::new();
    for (name, fields) in written.0 {
        let named = is_identifier("top list", &name, findings);
        let Located { value: fields, place } = fields;
        report_missing(&fields.given, "column", "name the column: `column: user_id`", &place, findings);
        report_missing(&fields.given, "sql", "say what orders it: `sql: \"count(*)\"`", &place, findings);
        let limit = entry_count(fields.limit, 5, findings);
        let (Some(column), Some(sql), true) = (fields.column, fields.sql, named) else { continue };
        lists.push(TopList { name, column, sql, limit });
    }
    lists
}

/// How many entries a list shows.
fn entry_count(written: Option<Located<u64>>, default: u16, findings: &mut Findings) -> u16 {
    const MOST: u16 = 100;
    let Some(written) = written else { return default };
    let count = u16::try_from(written.value).ok().filter(|count| (1..=MOST).contains(count));
    count.unwrap_or_else(|| {
        let message = format!("a list has 1 to {MOST} entries");
        findings.push(Diagnostic::error("bad-count", message, &written.place));
        default
    })
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
