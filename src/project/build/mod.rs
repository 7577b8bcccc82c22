//! From fields that were read one by one to a project that holds together: names, references between parts, rules
//! that span several keys. What is wrong is reported and replaced by the nearest sensible value, and building goes on.

mod databases;
mod health;
mod job;
mod ledger;
mod message;
mod milestone;
mod milestone_source;
mod providers;
mod recap;
mod restraint;
mod segment;
mod tables;

pub(super) use ledger::of_argument as ledger_of_argument;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use jiff::tz::TimeZone;
use serde_json::Value;

use super::job::{Category, Job};
use super::load::RootSource;
use super::names::{is_identifier, is_slug};
use super::node::Node;
use super::project::{Project, ProviderConfig, Table, Unsubscribe, View};
use super::read::{Findings, Named, Scalar, report_missing};
use super::schema::UnsubscribeFields;
use crate::model::diagnostic::{Diagnostic, Located, Place, SourceFile};
use crate::settings::LocalFiles;

/// The most mails of a redirected run unless the project says otherwise.
const DEFAULT_REDIRECT_LIMIT: u64 = 20;
/// Names that SQL parameters of milepost's own have.
const RESERVED_VARIABLES: [&str; 3] = ["as_of", "period_start", "period_end"];

/// One file of `jobs/` as a tree.
pub(super) struct JobSource {
    /// The text.
    pub(super) file: Arc<SourceFile>,
    /// The tree, defaults not yet laid under it.
    pub(super) node: Node,
}

/// Builds the whole project.
pub(super) fn project(
    root: &Path,
    source: RootSource,
    views: BTreeMap<String, View>,
    jobs: Vec<JobSource>,
    findings: &mut Findings,
) -> Project {
    let RootSource { file, fields, chosen } = source;
    let place = Place::start_of(&file);
    report_missing(&fields.given, "project", "name the project: `project: acme`", &place, findings);
    if let Some(name) = &fields.project {
        is_slug("project", name, findings);
    }
    let tables = tables::build(root, fields.tables.map(|tables| tables.value).unwrap_or_default(), findings);
    refuse_shadowed(&tables, &views, findings);
    let providers =
        providers::build(root, fields.providers.map(|providers| providers.value).unwrap_or_default(), findings);
    let ledger = ledger::build(root, fields.ledger.as_ref(), chosen.as_ref(), findings);
    let timezone = fields.timezone.map_or(TimeZone::UTC, |zone| zone.value);
    let defaults = fields.defaults.map(|defaults| defaults.value.0);
    let setting = job::Setting { root, timezone: &timezone, tables: &tables, providers: &providers };
    let jobs = build_jobs(jobs, defaults.as_ref(), &setting, findings);
    let unsubscribe = fields.unsubscribe.and_then(|fields| unsubscribe(fields, findings));
    refuse_shared_places(&jobs, findings);
    check_leaving(&jobs, unsubscribe.is_some(), &providers, findings);
    Project {
        root: root.to_path_buf(),
        files: LocalFiles::of_project(root),
        name: fields.project.map_or_else(|| "unnamed".to_owned(), |name| name.value),
        environment: chosen.map(|chosen| chosen.name.value),
        timezone,
        week_starts: fields.week_starts.map(|start| start.value).unwrap_or_default(),
        ledger,
        tables,
        views,
        providers,
        unsubscribe,
        suppressed: fields.suppressed,
        caps: restraint::caps(fields.caps.map(|caps| caps.value).unwrap_or_default(), findings),
        vars: variables(fields.vars.map(|vars| vars.value).unwrap_or_default(), findings),
        redirect_to: fields.redirect_to.map(|mailbox| mailbox.value),
        redirect_limit: fields.redirect_limit.map_or(DEFAULT_REDIRECT_LIMIT, |limit| limit.value),
        jobs,
        place,
        checksum: super::files::checksum(root),
    }
}

fn build_jobs(
    sources: Vec<JobSource>,
    defaults: Option<&Node>,
    setting: &job::Setting<'_>,
    findings: &mut Findings,
) -> Vec<Job> {
    let mut jobs: Vec<Job> = Vec::with_capacity(sources.len());
    let mut places: BTreeMap<String, Place> = BTreeMap::new();
    for source in sources {
        let own = source.node.get("job").map(|node| node.place.clone());
        let node = defaults.map_or_else(|| source.node.clone(), |defaults| defaults.overlaid(&source.node));
        let Some(job) = job::build(&source.file, &node, setting, findings) else { continue };
        let place = own.unwrap_or_else(|| job.place.clone());
        for name in std::iter::once(&job.name).chain(&job.aliases) {
            match places.get(name) {
                Some(first) => {
                    let message = format!("two jobs are named `{name}`, and the ledger could not tell them apart");
                    for (here, there) in [(first, &place), (&place, first)] {
                        let finding = Diagnostic::error("duplicate-job", message.clone(), here);
                        findings.push(finding.with_help(format!("the other one is at {there}; rename one of them")));
                    }
                }
                None => {
                    places.insert(name.clone(), place.clone());
                }
            }
        }
        jobs.push(job);
    }
    jobs
}

fn refuse_shadowed(tables: &BTreeMap<String, Table>, views: &BTreeMap<String, View>, findings: &mut Findings) {
    for (name, view) in views {
        if let Some(table) = tables.get(name) {
            let message = format!("the view `{name}` has the name of a table");
            let finding = Diagnostic::error("duplicate-name", message, &Place::start_of(&view.sql.place.file));
            findings.push(finding.with_help(format!("the table is declared at {}; rename the file", table.place)));
        }
    }
}

/// Two jobs cannot publish to one place: each would take the other's files away.
fn refuse_shared_places(jobs: &[Job], findings: &mut Findings) {
    let mut seen: BTreeMap<&str, &Job> = BTreeMap::new();
    for job in jobs {
        let Some(place) = &job.publish else { continue };
        if let Some(other) = seen.insert(place.value.trim_end_matches('/'), job) {
            let message = format!("`{}` and `{}` publish to the same place", other.name, job.name);
            let finding = Diagnostic::error("shared-place", message, &place.place);
            findings.push(finding.with_help("give each job a folder of its own"));
        }
    }
}

fn unsubscribe(fields: Located<UnsubscribeFields>, findings: &mut Findings) -> Option<Unsubscribe> {
    report_missing(&fields.value.given, "url", "name the page: `url: \"https://...\"`", &fields.place, findings);
    let url = fields.value.url?;
    if !url.value.starts_with("https://") {
        let finding = Diagnostic::error("bad-unsubscribe", "the unsubscribe url must begin with https://", &url.place);
        findings.push(finding.with_help("mail programs call this address; only https is safe"));
    }
    Some(Unsubscribe { url })
}

/// Marketing needs a way to leave and an address; while nothing leaves the machine, their absence is a warning.
fn check_leaving(jobs: &[Job], can_leave: bool, providers: &BTreeMap<String, ProviderConfig>, findings: &mut Findings) {
    let used: BTreeSet<&str> = jobs.iter().map(|job| job.provider.value.as_str()).collect();
    let outbox_only =
        used.iter().all(|name| providers.get(*name).is_none_or(|provider| provider.kind.value == "outbox"));
    let mut report = |code, message: String, place: &Place, help: &str| {
        let finding = if outbox_only {
            Diagnostic::warning(code, message, place)
        } else {
            Diagnostic::error(code, message, place)
        };
        findings.push(finding.with_help(help));
    };
    for job in jobs.iter().filter(|job| job.category == Category::Marketing) {
        let name = &job.name;
        if !can_leave {
            let message = format!("`{name}` is marketing, but the project has no `unsubscribe`");
            let help = "add `unsubscribe: {url: \"https://...\"}` to milepost.yml, or set `category: transactional`";
            report("no-unsubscribe", message, &job.place, help);
        }
        if job.postal_address.is_none() {
            let message = format!("`{name}` is marketing, but has no `postal_address`");
            let help = "add `postal_address` to the job or to `defaults` in milepost.yml";
            report("no-postal-address", message, &job.place, help);
        }
    }
}

fn variables(vars: Named<Scalar>, findings: &mut Findings) -> BTreeMap<String, Value> {
    let mut variables = BTreeMap::new();
    for (name, value) in vars.0 {
        if RESERVED_VARIABLES.contains(&name.value.as_str()) {
            let message = format!("`{}` is a parameter of milepost's own", name.value);
            findings.push(Diagnostic::error("reserved-name", message, &name.place).with_help("choose another name"));
        } else if is_identifier("variable", &name, findings) {
            variables.insert(name.value, value.0);
        }
    }
    variables
}
