//! `milestones:` made whole: levels over events, or a view of one's own.

use std::path::Path;

use super::message;
use crate::model::diagnostic::{Diagnostic, Located};
use crate::project::job::{EventRows, JobKind, Levels, Measure, Milestone, MilestoneSource, Reaches};
use crate::project::names::is_word;
use crate::project::read::{Findings, quoted, report_missing};
use crate::project::schema::{MessageFields, MilestoneFields};

/// The table of events unless `from` names another.
pub(super) const DEFAULT_ROWS: &str = "events";

/// Keys that only mean something where events are measured.
const MEASURED_KEYS: [&str; 8] = ["event", "event_column", "where", "profile", "time", "dedup", "measure", "send"];

/// Builds every milestone that can be; `None` when none can.
pub(super) fn build(
    written: &Located<Vec<Located<MilestoneFields>>>,
    inherited: Option<&Located<MessageFields>>,
    root: &Path,
    findings: &mut Findings,
) -> Option<JobKind> {
    if written.value.is_empty() {
        let finding = Diagnostic::error("empty-list", "the job has no milestone", &written.place);
        findings.push(finding.with_help("add one: `- {name: first_campaign, event: campaign_published, reaches: 1}`"));
    }
    refuse_repeated_names(&written.value, findings);
    let milestones: Vec<Milestone> =
        written.value.iter().filter_map(|fields| build_one(fields, inherited, root, findings)).collect();
    (!milestones.is_empty()).then_some(JobKind::Milestones(milestones))
}

fn refuse_repeated_names(written: &[Located<MilestoneFields>], findings: &mut Findings) {
    let mut names: Vec<&Located<String>> = Vec::new();
    for fields in written {
        let aliases = fields.value.aliases.iter().flat_map(|aliases| &aliases.value);
        for name in fields.value.name.iter().chain(aliases) {
            match names.iter().find(|earlier| earlier.value == name.value) {
                Some(first) => {
                    let who = quoted(&name.value);
                    let message = format!("two milestones are named {who}, and the ledger could not tell them apart");
                    let finding = Diagnostic::error("duplicate-name", message, &name.place);
                    findings
                        .push(finding.with_help(format!("the first one is at {}; rename one of them", first.place)));
                }
                None => names.push(name),
            }
        }
    }
}

fn build_one(
    written: &Located<MilestoneFields>,
    inherited: Option<&Located<MessageFields>>,
    root: &Path,
    findings: &mut Findings,
) -> Option<Milestone> {
    let fields = &written.value;
    report_missing(&fields.given, "name", "name it: `name: first_campaign`", &written.place, findings);
    let place = fields.name.as_ref().map_or(&written.place, |name| &name.place);
    let name = fields.name.clone().unwrap_or_else(|| Located::new("unnamed".into(), place.clone()));
    is_word("milestone", &name, findings);
    let aliases: Vec<Located<String>> = fields.aliases.as_ref().map(|list| list.value.clone()).unwrap_or_default();
    for alias in &aliases {
        is_word("milestone", alias, findings);
    }
    let message = message::build(fields.message.as_ref(), inherited, root, place, findings);
    let source = source(fields, &name, findings);
    let aliases = aliases.into_iter().map(|alias| alias.value).collect();
    Some(Milestone { name, aliases, source: source?, message: message? })
}

fn source(fields: &MilestoneFields, name: &Located<String>, findings: &mut Findings) -> Option<MilestoneSource> {
    let levels = match (&fields.reaches, &fields.every) {
        (Some(reaches), Some(every)) => {
            let finding =
                Diagnostic::error("two-ladders", "a milestone has either `reaches` or `every`, not both", &every.place);
            findings.push(finding.with_help("keep one of the two, or make two milestones"));
            Some(reaches.value.0.clone())
        }
        (Some(reaches), None) => Some(reaches.value.0.clone()),
        (None, Some(every)) => Some(Levels::Every(every.value)),
        (None, None) => None,
    };
    if let Some(levels) = levels {
        return Some(MilestoneSource::Reaches(Box::new(Reaches {
            rows: rows(fields, name),
            measure: fields.measure.clone().map_or(Measure::Count, |measure| measure.value),
            levels,
            send: fields.send.as_ref().map(|send| send.value).unwrap_or_default(),
        })));
    }
    if fields.given.contains(&"reaches") || fields.given.contains(&"every") {
        return None;
    }
    let measured: Vec<&str> = MEASURED_KEYS.into_iter().filter(|key| fields.given.contains(key)).collect();
    match &fields.from {
        Some(view) if measured.is_empty() => Some(MilestoneSource::View(view.clone())),
        Some(_) => {
            let message = format!("`{}` measures events ({}), but has no level", name.value, measured.join(", "));
            let help = "add `reaches: 1`, or leave these keys out to take profile_id and reached_at from the view";
            findings.push(Diagnostic::error("missing-key", message, &name.place).with_help(help));
            None
        }
        None => {
            let message = format!("`{}` does not say what is reached", name.value);
            let help = "add `reaches: 1`, `reaches: [10, 100]`, `every: 100`, or `from: VIEW` for a view of your own";
            findings.push(Diagnostic::error("missing-key", message, &name.place).with_help(help));
            None
        }
    }
}

fn rows(fields: &MilestoneFields, name: &Located<String>) -> EventRows {
    EventRows {
        from: fields.from.clone().unwrap_or_else(|| Located::new(DEFAULT_ROWS.into(), name.place.clone())),
        event: fields.event.clone(),
        event_column: fields.event_column.clone(),
        filter: fields.filter.clone(),
        profile: fields.profile.clone(),
        time: fields.time.clone(),
        dedup: fields.dedup.clone(),
    }
}
