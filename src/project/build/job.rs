//! One job made whole: identity, audience, provider, and milestones or a recap.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use jiff::SignedDuration;
use jiff::tz::TimeZone;

use super::restraint::{self, Declared};
use super::tables::location;
use super::{milestone, recap};
use crate::model::diagnostic::{Diagnostic, Located, Place, SourceFile, did_you_mean};
use crate::model::period::start_of_day;
use crate::project::job::{Category, Job, JobKind, Limits};
use crate::project::names::is_slug;
use crate::project::node::Node;
use crate::project::project::{ProviderConfig, Start, Table};
use crate::project::read::{Findings, Read, quoted, report_missing};
use crate::project::schema::{JobFields, LimitsFields};
use crate::project::values::StartChoice;
use crate::settings::LocalFiles;

/// The most mails of a first run without `--confirm`.
const DEFAULT_FIRST_RUN: u64 = 1000;
/// How long after `reached_at` a milestone is worth a mail.
const MILESTONE_MAIL_WITHIN: SignedDuration = SignedDuration::from_hours(14 * 24);

/// What a job is read against.
pub(super) struct Setting<'a> {
    /// The project's folder, absolute.
    pub(super) root: &'a Path,
    /// The project's zone.
    pub(super) timezone: &'a TimeZone,
    /// Declared tables.
    pub(super) tables: &'a BTreeMap<String, Table>,
    /// Declared providers.
    pub(super) providers: &'a BTreeMap<String, ProviderConfig>,
}

/// Builds a job from its tree, defaults laid under it; `None` when a part is missing that nothing can stand in for.
pub(super) fn build(
    file: &Arc<SourceFile>,
    node: &Node,
    setting: &Setting<'_>,
    findings: &mut Findings,
) -> Option<Job> {
    let fields = JobFields::read(node, findings)?;
    let top = Place::start_of(file);
    let place = fields.job.as_ref().map_or_else(|| top.clone(), |name| name.place.clone());
    report_missing(
        &fields.given,
        "job",
        "name it: `job: campaign_milestones`; the ledger knows it by this name",
        &top,
        findings,
    );
    report_missing(
        &fields.given,
        "start",
        "say which milestones count: `start: from_now`, `start: all` or `start: {since: 2026-01-31}`",
        &place,
        findings,
    );
    let audience_help = "name the table or view of profiles it may mail: `audience: recipients`";
    report_missing(&fields.given, "audience", audience_help, &place, findings);
    let sender_help = "write `sender: \"Acme <hello@acme.test>\"` here or in `defaults` of milepost.yml";
    report_missing(&fields.given, "sender", sender_help, &place, findings);
    if let Some(name) = &fields.job {
        is_slug("job", name, findings);
    }
    let aliases = fields.aliases.as_ref().map(|aliases| aliases.value.clone()).unwrap_or_default();
    for alias in &aliases {
        is_slug("job", alias, findings);
    }
    let kind = kind(&fields, setting, &place, findings);
    let provider = provider(&fields, setting.providers, &place, findings);
    // A recap without it may be mailed until the next period is due; that end is the candidate's own.
    let usual = fields.recap.is_none().then_some(MILESTONE_MAIL_WITHIN);
    let mail_within = fields.mail_within.as_ref().and_then(|within| positive(within, findings)).or(usual);
    let category = fields.category.as_ref().map_or(Category::Marketing, |category| category.value);
    if let (Some(_), Some(written)) =
        (&fields.recap, fields.category.as_ref().filter(|_| category == Category::Transactional))
    {
        let finding = Diagnostic::warning(
            "transactional-recap",
            "a recap is hardly mail the recipient asked for",
            &written.place,
        );
        findings.push(finding.with_help("most law calls it marketing: leave `category` out, and offer a way to leave"));
    }
    Some(Job {
        name: fields.job.map_or_else(|| super::super::files::stem(&file.path).to_owned(), |name| name.value),
        aliases: aliases.into_iter().map(|alias| alias.value).collect(),
        description: fields.description.map(|text| text.value),
        owner: fields.owner.map(|text| text.value),
        tags: fields.tags.map(|tags| tags.value).unwrap_or_default(),
        start: start(fields.start.as_ref(), setting.timezone),
        audience: fields.audience?,
        category,
        provider: provider?,
        sender: fields.sender?.value,
        reply_to: fields.reply_to.map(|mailbox| mailbox.value),
        postal_address: fields.postal_address.map(|text| text.value),
        kind: kind?,
        mail_within,
        limits: limits(fields.limits.as_ref()),
        on_unknown: fields.on_unknown.map(|choice| choice.value).unwrap_or_default(),
        publish: fields.publish.and_then(|written| publish(setting.root, written, findings)),
        priority: fields.priority.map_or(0, |priority| priority.value),
        holdout: fields.holdout.map(|holdout| holdout.value),
        window: restraint::window(fields.window.as_ref(), findings),
        place,
    })
}

fn kind(fields: &JobFields, setting: &Setting<'_>, place: &Place, findings: &mut Findings) -> Option<JobKind> {
    let inherited = milestone::Inherited { message: fields.message.as_ref(), variants: fields.variants.as_ref() };
    match (&fields.milestones, &fields.recap) {
        (Some(milestones), Some(recap)) => {
            let message = "a job is either milestones or a recap, not both";
            let finding = Diagnostic::error("two-kinds", message, &recap.place);
            findings.push(finding.with_help("move one of them into a job of its own"));
            milestone::build(milestones, &inherited, setting, findings)
        }
        (Some(milestones), None) => milestone::build(milestones, &inherited, setting, findings),
        (None, Some(recap)) => {
            let declared = Declared { variants: inherited.variants, salt: "" };
            let layers: Vec<_> = inherited.message.into_iter().collect();
            let message = restraint::message(&declared, &layers, setting.root, place, findings);
            let recap = recap::build(recap, message, place, findings)?;
            Some(JobKind::Recap(Box::new(recap)))
        }
        (None, None) => {
            if !fields.given.contains(&"milestones") && !fields.given.contains(&"recap") {
                let finding = Diagnostic::error("missing-key", "the job has neither `milestones` nor a `recap`", place);
                findings.push(finding.with_help("add one of the two"));
            }
            None
        }
    }
}

fn provider(
    fields: &JobFields,
    declared: &BTreeMap<String, ProviderConfig>,
    place: &Place,
    findings: &mut Findings,
) -> Option<Located<String>> {
    let shape = "declare one in milepost.yml, such as `providers: {local: {outbox: {dir: outbox}}}` with `defaults: {provider: local}`";
    let Some(provider) = &fields.provider else {
        let help = match declared.keys().next() {
            Some(name) => format!("write `provider: {name}` here or in `defaults` of milepost.yml"),
            None => shape.to_owned(),
        };
        report_missing(&fields.given, "provider", &help, place, findings);
        return None;
    };
    if !declared.contains_key(&provider.value) {
        let near = did_you_mean(&provider.value, declared.keys().map(String::as_str));
        let help = near.unwrap_or_else(|| {
            if declared.is_empty() {
                return shape.to_owned();
            }
            format!("milepost.yml declares {}", declared.keys().cloned().collect::<Vec<_>>().join(", "))
        });
        let message = format!("the provider {} is not declared", quoted(&provider.value));
        findings.push(Diagnostic::error("unknown-provider", message, &provider.place).with_help(help));
    }
    Some(provider.clone())
}

/// Where to publish, relative to the file that says so. A glob names no folder, and the project's own is full of others'
/// files.
fn publish(root: &Path, written: Located<String>, findings: &mut Findings) -> Option<Located<String>> {
    let folder = Path::new(&written.place.file.path).parent().map(|folder| root.join(folder));
    let mut place = location(&folder.unwrap_or_else(|| root.to_owned()), written, findings);
    if !place.value.contains("://") {
        place.value = without_detours(Path::new(&place.value));
    }
    if place.value.contains(['*', '?', '[']) {
        let message = format!("{} names many places, and a job publishes to one", quoted(&place.value));
        let finding = Diagnostic::error("bad-location", message, &place.place);
        findings.push(finding.with_help("write a folder or a URL, such as `../target/flags/` or `s3://acme/flags/`"));
        return None;
    }
    if !place.value.contains("://")
        && let Err(refusal) = LocalFiles::of_project(root).admit_path(Path::new(&place.value))
    {
        let finding = Diagnostic::error("path-outside", refusal.to_string(), &place.place);
        findings.push(finding.with_optional_help(refusal.help().map(str::to_owned)));
        return None;
    }
    Some(place)
}

/// `/a/b/../c` is `/a/c`.
fn without_detours(path: &Path) -> String {
    let mut straight = std::path::PathBuf::new();
    for part in path.components() {
        if part == std::path::Component::ParentDir {
            straight.pop();
        } else {
            straight.push(part);
        }
    }
    straight.to_string_lossy().into_owned()
}

fn positive(within: &Located<SignedDuration>, findings: &mut Findings) -> Option<SignedDuration> {
    if within.value.is_zero() {
        let finding = Diagnostic::error("bad-duration", "nothing can be mailed within no time", &within.place);
        findings.push(finding.with_help("write a longer time, such as `14 days`"));
        return None;
    }
    Some(within.value)
}

fn start(written: Option<&Located<StartChoice>>, timezone: &TimeZone) -> Start {
    match written.map(|start| start.value) {
        Some(StartChoice::All) => Start::All,
        Some(StartChoice::Since(day)) => Start::Since(start_of_day(day, timezone)),
        Some(StartChoice::FromNow) | None => Start::FromNow,
    }
}

fn limits(written: Option<&Located<LimitsFields>>) -> Limits {
    let fields = written.map(|limits| limits.value.clone()).unwrap_or_default();
    Limits {
        first_run: fields.first_run.map_or(DEFAULT_FIRST_RUN, |limit| limit.value),
        per_run: fields.per_run.map(|limit| limit.value),
    }
}
