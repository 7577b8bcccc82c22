//! Reports in words and columns, for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::failure::indented;
use super::output::shown;
use crate::model::Decision;
use crate::run::{JobReport, JobStatus, ListedDelivery, RunReport, ShownDelivery, StatusReport};

/// A run: one block per job, then where to look.
#[must_use]
pub(super) fn run(report: &RunReport) -> String {
    let mut text = String::new();
    for job in &report.jobs {
        text.push_str(&job_block(job));
        text.push('\n');
    }
    let accepted: u64 = report.jobs.iter().map(JobReport::accepted).sum();
    let before: u64 = report.jobs.iter().map(JobReport::accepted_before).sum();
    let _ = writeln!(text, "{} accepted now, {} accepted before", grouped(accepted), grouped(before));
    for left_out in &report.tables.left_out {
        let _ = writeln!(text, "not read: {}", shown(&left_out.to_string()));
    }
    for misfit in &report.tables.misfits {
        let _ = writeln!(text, "read as null: {}", shown(&misfit.to_string()));
    }
    for page in &report.open {
        let _ = writeln!(text, "open {page}");
    }
    text
}

fn job_block(job: &JobReport) -> String {
    let mut text = job.job.clone();
    if let Some(period) = &job.period {
        let _ = write!(text, " \u{b7} {period}");
    }
    let state = match job.status {
        JobStatus::Completed => "",
        JobStatus::DryRun => " \u{b7} dry run",
        JobStatus::Refused => " \u{b7} refused",
        JobStatus::Interrupted => " \u{b7} interrupted",
        JobStatus::Skipped => " \u{b7} skipped",
        JobStatus::Failed => " \u{b7} failed",
    };
    let _ = writeln!(text, " \u{b7} {}{state}", job.provider);
    if job.candidates() > 0 {
        let _ = writeln!(text, "  {:>9} candidates", grouped(job.candidates()));
    }
    for decision in Decision::ALL {
        let count = job.decisions.get(decision.name()).copied().unwrap_or(0);
        if count > 0 {
            let detail = match decision {
                Decision::Known => breakdown(&job.known),
                Decision::Mail => breakdown(&job.outcomes),
                _ => String::new(),
            };
            let _ = writeln!(text, "  {:>9} {}{detail}", grouped(count), decision.name().replace('_', " "));
        }
    }
    for (reason, times) in &job.render_failures {
        let _ = writeln!(text, "  {:>9} could not be made: {reason}", grouped(*times));
    }
    for (words, count) in most_frequent(&job.rejections, REJECTIONS_SHOWN) {
        let _ = writeln!(text, "  {:>9} rejected for good: {words}", grouped(count));
    }
    if !job.recovered.is_empty() {
        let _ = writeln!(text, "  in doubt from earlier runs{}", breakdown(&job.recovered));
    }
    if job.withdrawn > 0 {
        let _ = writeln!(text, "  {:>9} withdrawn: they waited and are no longer due", grouped(job.withdrawn));
    }
    if !job.dropped.is_empty() {
        let _ = writeln!(text, "  not candidates{}", breakdown(&job.dropped));
    }
    for note in &job.health {
        let _ = writeln!(text, "  {}: [{}] {}", note.verdict(), note.found.check, indented(&note.found.message));
    }
    if job.clipped > 0 {
        let _ =
            writeln!(text, "  {:>9} clipped: Gmail shows 102 KB of HTML and a link to the rest", grouped(job.clipped));
    }
    if job.cleaned > 0 {
        let _ =
            writeln!(text, "  {:>9} control characters in subjects and headers became a space", grouped(job.cleaned));
    }
    if let Some(published) = &job.published {
        let _ = writeln!(text, "  {:>9} rows published to {}", grouped(published.rows), published.to);
    }
    if let Some(message) = &job.message {
        let _ = writeln!(text, "  {}", indented(message));
    }
    if let Some(hint) = &job.hint {
        let _ = writeln!(text, "  next: {}", indented(hint));
    }
    text
}

/// Kinds of refusals that a run tells; the results have the others.
const REJECTIONS_SHOWN: usize = 3;

/// The greatest counts with their names; equal ones in the order of the names.
fn most_frequent(counts: &BTreeMap<String, u64>, most: usize) -> Vec<(&str, u64)> {
    let mut all: Vec<_> = counts.iter().map(|(name, count)| (name.as_str(), *count)).collect();
    all.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    all.truncate(most);
    all
}

/// Bytes as `12 B`, `3.4 kB`, `56.7 MB`.
#[must_use]
pub(super) fn size_in_words(bytes: u64) -> String {
    let units = [("GB", 1e9), ("MB", 1e6), ("kB", 1e3)];
    match units.into_iter().find(|(_, size)| bytes as f64 >= *size) {
        Some((unit, size)) => format!("{:.1} {unit}", bytes as f64 / size),
        None => format!("{bytes} B"),
    }
}

/// `: 12 accepted, 3 unknown`, in the order of the names; nothing when all are zero.
fn breakdown(counts: &BTreeMap<&'static str, u64>) -> String {
    let parts: Vec<_> = counts
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(name, count)| format!("{} {}", grouped(*count), name.replace('_', " ")))
        .collect();
    if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) }
}

/// Thousands with commas.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The ledger's rows in columns.
#[must_use]
pub(super) fn deliveries(rows: &[ListedDelivery]) -> String {
    if rows.is_empty() {
        return "no deliveries".to_owned();
    }
    let mut lines =
        vec![["ID", "JOB", "PROFILE", "OCCASION", "STATE", "ATTEMPT", "UPDATED", "REASON"].map(str::to_owned)];
    lines.extend(rows.iter().map(|row| {
        [
            row.delivery_id.clone(),
            row.job.clone(),
            row.profile_id.clone(),
            row.occasion.clone(),
            row.state.to_owned(),
            row.attempt.to_string(),
            row.updated_at.clone(),
            row.reason.clone().unwrap_or_default(),
        ]
    }));
    columns(&lines)
}

/// One delivery, a line per field, then what people decided about it.
#[must_use]
pub(super) fn delivery(found: &ShownDelivery) -> String {
    let written = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let lines: Vec<_> = found.fields.iter().map(|(name, value)| [name.clone(), written(value)]).collect();
    let mut text = columns(&lines);
    for one in &found.corrections {
        let (by, reason) = (shown(&one.by), shown(&one.reason));
        let _ = writeln!(text, "{}  {} -> {} by {by}: {reason}", one.at, one.from, one.to);
    }
    text
}

/// Jobs, last runs and what needs a person.
#[must_use]
pub(super) fn status(report: &StatusReport) -> String {
    let mut lines = vec![
        ["JOB", "LAST RUN", "STATUS", "ACCEPTED", "REJECTED", "WAITING", "UNKNOWN", "NEXT PERIOD", "NOW"]
            .map(str::to_owned),
    ];
    lines.extend(report.jobs.iter().map(|job| {
        [
            job.job.clone(),
            job.last_run_at.map_or_else(|| "never".to_owned(), |at| at.to_string()),
            job.last_status.clone().unwrap_or_default(),
            grouped(job.accepted),
            grouped(job.rejected),
            grouped(job.deferred),
            grouped(job.unknown),
            job.next_period.clone().unwrap_or_default(),
            (if job.halted {
                "halted"
            } else if job.held {
                "running"
            } else {
                ""
            })
            .to_owned(),
        ]
    }));
    let mut text = columns(&lines);
    if report.jobs.iter().any(|job| job.unknown > 0) {
        text.push_str("\nunknown outcomes: `milepost deliveries list --state unknown`\n");
    }
    if report.jobs.iter().any(|job| job.rejected > 0) {
        text.push_str("\nrefused for good: `milepost deliveries list --state rejected`\n");
    }
    text
}

fn columns<const N: usize>(lines: &[[String; N]]) -> String {
    let lines: Vec<[String; N]> = lines.iter().map(|line| std::array::from_fn(|at| shown(&line[at]))).collect();
    let width = |at: usize| lines.iter().map(|line| line[at].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..N).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        let cells: Vec<_> = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_thousands() {
        assert_eq!(
            ["0", "999", "1,000", "1,234,567"],
            [0, 999, 1_000, 1_234_567].map(grouped).each_ref().map(String::as_str)
        );
    }

    #[test]
    fn aligns_columns() {
        let lines = [["A", "B"], ["long", "x"], ["a\nb", "\u{1b}[2J"]].map(|line| line.map(str::to_owned));
        assert_eq!(columns(&lines), "A     B\nlong  x\na\\nb  \\u{1b}[2J\n");
    }
}
