//! `milestones:` made whole: names that the ledger can tell apart, what is mailed, and for whom.

use jiff::SignedDuration;

use super::job::Setting;
use super::milestone_source;
use super::restraint::{self, Declared};
use crate::model::diagnostic::{Diagnostic, Located};
use crate::project::job::{Entity, JobKind, Milestone};
use crate::project::names::is_word;
use crate::project::read::{Findings, quoted, report_missing};
use crate::project::schema::{MessageFields, MilestoneFields, VariantFields};

/// The table of events unless `from` names another.
pub(super) const DEFAULT_ROWS: &str = "events";

/// What milestones take from their job where they do not say.
pub(super) struct Inherited<'a> {
    /// The job's message.
    pub(super) message: Option<&'a Located<MessageFields>>,
    /// The job's variants.
    pub(super) variants: Option<&'a Located<Vec<Located<VariantFields>>>>,
}

/// Builds every milestone that can be; `None` when none can.
pub(super) fn build(
    written: &Located<Vec<Located<MilestoneFields>>>,
    inherited: &Inherited<'_>,
    setting: &Setting<'_>,
    findings: &mut Findings,
) -> Option<JobKind> {
    if written.value.is_empty() {
        let finding = Diagnostic::error("empty-list", "the job has no milestone", &written.place);
        findings.push(finding.with_help("add one: `- {name: first_campaign, event: campaign_published, reaches: 1}`"));
    }
    refuse_repeated_names(&written.value, findings);
    let unused = inherited.variants.filter(|_| {
        !written.value.is_empty() && written.value.iter().all(|milestone| milestone.value.variants.is_some())
    });
    if let Some(unused) = unused {
        let message = "nobody gets these variants: every milestone has its own";
        let finding = Diagnostic::error("unused-variants", message, &unused.place);
        findings.push(finding.with_help("take them out, or those of a milestone"));
    }
    let milestones: Vec<Milestone> =
        written.value.iter().filter_map(|fields| build_one(fields, inherited, setting, findings)).collect();
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
    inherited: &Inherited<'_>,
    setting: &Setting<'_>,
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
    let declared = match &fields.variants {
        Some(own) => Declared { variants: Some(own), salt: &name.value },
        None => Declared { variants: inherited.variants, salt: "" },
    };
    let layers: Vec<_> = fields.message.iter().chain(inherited.message).collect();
    let message = restraint::message(&declared, &layers, setting.root, place, findings);
    let source = milestone_source::build(fields, &name, findings);
    let aliases = aliases.into_iter().map(|alias| alias.value).collect();
    let entity = fields.entity.clone().map(|entity| entity.value);
    Some(Milestone {
        name,
        aliases,
        source: source?,
        entity: entity.map(|entity| Entity { source: entity.source, audience: entity.audience }),
        only_if: fields.only_if.clone(),
        lookback: lookback(fields, setting),
        message: message?,
    })
}

/// How late rows may land; nothing says which tables a view reads, so the slowest counts.
fn lookback(fields: &MilestoneFields, setting: &Setting<'_>) -> SignedDuration {
    let from = fields.from.as_ref().map_or(DEFAULT_ROWS, |from| from.value.as_str());
    let slowest = || setting.tables.values().map(|table| table.lookback).max().unwrap_or_default();
    setting.tables.get(from).map_or_else(slowest, |table| table.lookback)
}
