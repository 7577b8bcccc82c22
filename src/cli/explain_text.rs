//! An explanation in words, for whoever has to answer "why did I (not) get this?".

use std::fmt::Write as _;

use super::output::shown;
use crate::model::Decision;
use crate::run::{ExplainReport, ExplainedJob, ExplainedOccasion, ListedDelivery};

/// The whole explanation.
#[must_use]
pub(super) fn explained(report: &ExplainReport) -> String {
    let mut text = format!("{} as of {}\n", shown(&report.profile_id), report.as_of);
    for suppression in &report.suppressions {
        let _ = writeln!(text, "  in the ledger: {}", shown(suppression));
    }
    for job in &report.jobs {
        text.push('\n');
        text.push_str(&job_block(job));
    }
    text
}

fn job_block(job: &ExplainedJob) -> String {
    let mut text = format!("{}\n", job.job);
    if let Some(halt) = &job.halt {
        let reason = halt.reason.as_ref().map(|reason| format!(" ({})", shown(reason))).unwrap_or_default();
        let _ = writeln!(text, "  halted since {}{reason}: nothing leaves until `milepost resume`", halt.halted_at);
    }
    match (&job.remark, job.audience_rows) {
        (Some(remark), _) => {
            let _ = writeln!(text, "  {}", shown(remark));
        }
        (None, 0) => {
            let _ = writeln!(text, "  not in the audience `{}`: this job does not mail the profile", job.audience);
        }
        (None, 1) => {
            let _ = writeln!(text, "  in the audience `{}`", job.audience);
        }
        (None, rows) => {
            let _ = writeln!(text, "  in the audience `{}`, {rows} rows", job.audience);
        }
    }
    for standing in &job.standings {
        let _ = writeln!(text, "  {}", shown(standing));
    }
    if job.audience_rows > 0 && job.occasions.is_empty() {
        text.push_str("  no occasion: nothing to be mailed about was reached\n");
    }
    for occasion in &job.occasions {
        text.push_str(&occasion_block(occasion));
    }
    if !job.history.is_empty() {
        text.push_str("  the ledger has\n");
        job.history.iter().for_each(|row| text.push_str(&history_line(row)));
    }
    text
}

fn occasion_block(occasion: &ExplainedOccasion) -> String {
    let decision = occasion.decided.decision.name();
    let named = shown(&occasion.occasion);
    let mut text = format!("  {named} \u{b7} reached {} \u{b7} {decision}", occasion.reached_at);
    if let Some(not_before) = occasion.decided.not_before {
        let _ = write!(text, ", not before {not_before}");
    }
    text.push('\n');
    for step in &occasion.steps {
        let mark = if step.applies { "\u{2192}" } else { " " };
        let answer = match (step.decision, step.applies) {
            (Decision::Mail, _) => "",
            (_, true) => " yes:",
            (_, false) => " no:",
        };
        let found = if step.found.is_empty() { String::new() } else { format!(" {}", shown(&step.found)) };
        let _ = writeln!(text, "  {mark} {:<16} {}{answer}{found}", step.decision.name(), step.asked);
    }
    text
}

fn history_line(row: &ListedDelivery) -> String {
    let mut text = format!("    {} \u{b7} {}", shown(&row.occasion), row.state);
    let facts = [
        row.reason.clone(),
        row.variant.as_ref().map(|variant| format!("variant {variant}")),
        row.not_before.as_ref().map(|instant| format!("not before {instant}")),
        row.dispatched_at.as_ref().map(|instant| format!("dispatched {instant}")),
        row.settled_at.as_ref().map(|instant| format!("answered {instant}")),
        row.provider.as_ref().map(|provider| format!("by {provider}")),
        row.provider_message_id.as_ref().map(|id| format!("as {id}")),
        (row.dispatched_at.is_none()).then(|| format!("changed {}", row.updated_at)),
    ];
    for fact in facts.into_iter().flatten() {
        let _ = write!(text, " \u{b7} {}", shown(&fact));
    }
    text.push('\n');
    text
}
