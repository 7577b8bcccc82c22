//! What a milestone is told by: levels over events, a moment after one event, or a view of one's own.

use jiff::SignedDuration;

use super::milestone::DEFAULT_ROWS;
use crate::model::diagnostic::{Diagnostic, Located};
use crate::project::job::{EventRows, Levels, Measure, MilestoneSource, Moment, MomentKind, Reaches};
use crate::project::read::{Findings, quoted};
use crate::project::schema::MilestoneFields;

/// Keys that say which rows are read.
const ROW_KEYS: [&str; 7] = ["from", "event", "event_column", "where", "profile", "time", "dedup"];

/// One kind of milestone.
struct Kind {
    /// What people call it, with its article.
    title: &'static str,
    /// Keys of which one makes a milestone this kind.
    signs: &'static [&'static str],
    /// Further keys that only mean something for it.
    own: &'static [&'static str],
    /// Keys that say which rows are read, without those that it cannot have.
    refused: &'static [&'static str],
}

const LADDER: Kind = Kind { title: "a ladder", signs: &["reaches", "every"], own: &["measure", "send"], refused: &[] };
const NUDGE: Kind = Kind { title: "a nudge", signs: &["without", "after"], own: &[], refused: &[] };
const INACTIVE: Kind = Kind { title: "a silence", signs: &["inactive"], own: &[], refused: &[] };
const ANNIVERSARY: Kind = Kind { title: "an anniversary", signs: &["anniversary"], own: &[], refused: &["event"] };
const KINDS: [&Kind; 4] = [&LADDER, &NUDGE, &INACTIVE, &ANNIVERSARY];

/// Builds the source of a milestone; `None` after a finding.
pub(super) fn build(
    fields: &MilestoneFields,
    name: &Located<String>,
    findings: &mut Findings,
) -> Option<MilestoneSource> {
    let is_given = |key: &&str| fields.given.contains(key);
    let kinds: Vec<&Kind> = KINDS.into_iter().filter(|kind| kind.signs.iter().any(is_given)).collect();
    let Some((kind, others)) = kinds.split_first() else {
        return own_view(fields, name, findings);
    };
    if let Some(other) = others.first() {
        let message = format!("`{}` is both {} and {}", name.value, kind.title, other.title);
        let finding = Diagnostic::error("two-kinds", message, &name.place);
        findings.push(finding.with_help("make two milestones, each with a name of its own"));
    } else {
        refuse_strays(fields, kind, name, findings);
    }
    match kind.signs[0] {
        "without" => nudge(fields, name, findings),
        "inactive" => {
            let after = positive(fields.inactive.as_ref()?, findings)?;
            Some(moment(rows(fields, name), MomentKind::Inactive(after)))
        }
        "anniversary" => {
            let rows = EventRows { event: Some(fields.anniversary.clone()?), ..rows(fields, name) };
            Some(moment(rows, MomentKind::Anniversary))
        }
        _ => ladder(fields, name, findings),
    }
}

fn refuse_strays(fields: &MilestoneFields, kind: &Kind, name: &Located<String>, findings: &mut Findings) {
    let foreign = KINDS.into_iter().flat_map(|other| other.own.iter()).filter(|key| !kind.own.contains(key));
    for key in foreign.chain(kind.refused).filter(|key| fields.given.contains(key)) {
        let message = format!("`{key}` means nothing for {}, which `{}` is", kind.title, name.value);
        let finding = Diagnostic::error("misplaced-key", message, &name.place);
        findings.push(finding.with_help(format!("leave `{key}` out")));
    }
}

fn ladder(fields: &MilestoneFields, name: &Located<String>, findings: &mut Findings) -> Option<MilestoneSource> {
    let levels = match (&fields.reaches, &fields.every) {
        (Some(reaches), Some(every)) => {
            let finding =
                Diagnostic::error("two-ladders", "a milestone has either `reaches` or `every`, not both", &every.place);
            findings.push(finding.with_help("keep one of the two, or make two milestones"));
            reaches.value.0.clone()
        }
        (Some(reaches), None) => reaches.value.0.clone(),
        (None, Some(every)) => Levels::Every(every.value),
        (None, None) => return None,
    };
    Some(MilestoneSource::Reaches(Box::new(Reaches {
        rows: rows(fields, name),
        measure: fields.measure.clone().map_or(Measure::Count, |measure| measure.value),
        levels,
        send: fields.send.as_ref().map(|send| send.value).unwrap_or_default(),
    })))
}

fn nudge(fields: &MilestoneFields, name: &Located<String>, findings: &mut Findings) -> Option<MilestoneSource> {
    let missing = [
        ("event", "name what was done: `event: signed_up`"),
        ("without", "name what was not done since: `without: poll_sent`"),
        ("after", "say how long to wait: `after: 3 days`"),
    ];
    for (key, help) in missing.into_iter().filter(|(key, _)| !fields.given.contains(key)) {
        let message = format!("the nudge `{}` has no `{key}`", name.value);
        findings.push(Diagnostic::error("missing-key", message, &name.place).with_help(help));
    }
    let (event, without) = (fields.event.as_ref()?, fields.without.clone()?);
    if event.value == without.value {
        let message = format!("{} would cancel itself", quoted(&event.value));
        let finding = Diagnostic::error("same-event", message, &without.place);
        findings.push(finding.with_help("name another event under `without`"));
    }
    let after = positive(fields.after.as_ref()?, findings)?;
    Some(moment(rows(fields, name), MomentKind::Without { event: without, after }))
}

fn own_view(fields: &MilestoneFields, name: &Located<String>, findings: &mut Findings) -> Option<MilestoneSource> {
    let keys = ROW_KEYS.into_iter().skip(1).chain(LADDER.own.iter().copied());
    let measured: Vec<&str> = keys.filter(|key| fields.given.contains(key)).collect();
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
            let help = "add `reaches: 1`, `reaches: [10, 100]`, `every: 100`, `without:` and `after:`, `inactive: 30 days`, \
                        `anniversary: EVENT`, or `from: VIEW` for a view of your own";
            findings.push(Diagnostic::error("missing-key", message, &name.place).with_help(help));
            None
        }
    }
}

fn moment(rows: EventRows, kind: MomentKind) -> MilestoneSource {
    MilestoneSource::Moment(Box::new(Moment { rows, kind }))
}

fn positive(duration: &Located<SignedDuration>, findings: &mut Findings) -> Option<SignedDuration> {
    if duration.value.is_zero() {
        let finding = Diagnostic::error("bad-duration", "no time at all is no wait", &duration.place);
        findings.push(finding.with_help("write a longer time, such as `3 days`"));
        return None;
    }
    Some(duration.value)
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
