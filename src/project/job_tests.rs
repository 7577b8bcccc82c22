//! `jobs/tests/*.yml`: given rows and the mails and decisions that must come of them, valid by construction.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::files;
use super::json_schema::Definitions;
use super::node::{Content, Node};
use super::project::Project;
use super::read::{Findings, Named, Read, quoted, record, report_missing, wrong_type};
use crate::model::diagnostic::{Diagnostic, Located, Place, arrange, did_you_mean};
use crate::model::number::Level;
use crate::model::{Decision, DeliveryKey, EmailAddress, SuppressionReason};

/// Where job tests stand.
const FOLDER: &str = "jobs/tests";
/// How candidates are counted whose template broke: beside the decisions, since only rendering tells.
pub const RENDER_FAILED: &str = "render_failed";

/// One file of `jobs/tests/`.
#[derive(Clone, Debug)]
pub struct JobTest {
    /// Whether it has errors of its own: then only its rows may be looked at, to find more of them.
    pub flawed: bool,
    /// The file's name without `.yml`.
    pub name: String,
    /// The file, relative to the project's root.
    pub file: String,
    /// What it shows.
    pub description: Option<String>,
    /// The job under test, which exists.
    pub job: Located<String>,
    /// The logical now, which is the wall clock too.
    pub as_of: Timestamp,
    /// The recap's period; the latest due when absent.
    pub period: Option<Located<String>>,
    /// When `start: from_now` was; before everything when absent.
    pub started_at: Option<Timestamp>,
    /// The rows of declared tables; all others are empty.
    pub given: Vec<GivenTable>,
    /// Deliveries that earlier runs saw accepted.
    pub earlier: Vec<EarlierDelivery>,
    /// Suppressions that the ledger has.
    pub suppressions: Vec<GivenSuppression>,
    /// Every mail; not compared when absent.
    pub expect: Option<Vec<ExpectedMail>>,
    /// Candidates per decision, unnamed ones 0; not compared when absent.
    pub expect_decisions: Option<Vec<(&'static str, u64)>>,
}

/// The rows of one table.
#[derive(Clone, Debug)]
pub struct GivenTable {
    /// A declared table.
    pub table: Located<String>,
    /// Its rows in written order.
    pub rows: Vec<GivenRow>,
}

/// One row: the cells that are written.
#[derive(Clone, Debug, PartialEq)]
pub struct GivenRow {
    /// Columns and their values; absent ones are null.
    pub cells: Vec<(Located<String>, Located<Value>)>,
}

/// A delivery of an earlier run.
#[derive(Clone, Debug)]
pub struct EarlierDelivery {
    /// Profile and occasion.
    pub key: DeliveryKey,
    /// The level reached.
    pub level: Option<Level>,
    /// When it was reached; at `as_of` when absent.
    pub reached_at: Option<Timestamp>,
    /// When it was dispatched; at `as_of` when absent.
    pub dispatched_at: Option<Timestamp>,
    /// The address it went to.
    pub address: Option<EmailAddress>,
    /// The job of the project; the one under test when absent.
    pub job: Option<String>,
    /// Until when it waits for its window, instead of being accepted.
    pub not_before: Option<Timestamp>,
}

/// A suppression of the ledger.
#[derive(Clone, Debug)]
pub struct GivenSuppression {
    /// The profile it is about.
    pub profile: Option<String>,
    /// The address it is about, where it names no profile.
    pub address: Option<EmailAddress>,
    /// Why.
    pub reason: SuppressionReason,
    /// The one job it is about.
    pub job: Option<String>,
}

/// One expected mail; what is absent is not compared.
#[derive(Clone, Debug)]
pub struct ExpectedMail {
    /// Profile and occasion.
    pub key: DeliveryKey,
    /// Which variant it is.
    pub variant: Option<String>,
    /// The whole subject.
    pub subject: Option<String>,
    /// Texts that the mail shows, blanks compared as one.
    pub body_contains: Vec<String>,
    /// A file, absolute, that equals the HTML part (`.html`) or the text part (`.txt`).
    pub body_snapshot: Option<Located<PathBuf>>,
}

record! {
    /// One job test.
    JobTestFields {
        /// What it shows.
        description: String,
        /// The job under test.
        job: String,
        /// The logical now, which is the wall clock too.
        as_of: Timestamp,
        /// The recap's period key; the latest due by default.
        period: String,
        /// When `start: from_now` was; before everything by default.
        started_at: Timestamp,
        /// Rows per declared table; a table without rows is empty.
        rows as "given": Named<Vec<GivenRow>>,
        /// Deliveries that earlier runs saw accepted.
        earlier: Vec<Located<EarlierFields>>,
        /// Suppressions that the ledger has.
        suppressions: Vec<Located<SuppressionFields>>,
        /// Every mail that must come of it, in any order.
        expect: Vec<Located<ExpectedFields>>,
        /// Candidates per decision; those without a name here must be 0.
        expect_decisions: Named<u64>,
    }
}

record! {
    /// A delivery of an earlier run.
    EarlierFields {
        /// The profile's id.
        profile: String,
        /// The occasion, such as `campaigns:10`.
        occasion: String,
        /// The level that was reached.
        level: Level,
        /// When it was reached; at `as_of` by default.
        reached_at: Timestamp,
        /// When it was dispatched; at `as_of` by default.
        dispatched_at: Timestamp,
        /// The address it went to.
        address: EmailAddress,
        /// Another job of the project; the one under test by default.
        job: String,
        /// Instead of being accepted it waits outside its window until this instant.
        not_before: Timestamp,
    }
}

record! {
    /// A suppression that the ledger has.
    SuppressionFields {
        /// The profile it is about.
        profile: String,
        /// Or the address it is about.
        address: EmailAddress,
        /// `unsubscribed`, `bounce`, `complaint`, `erase` or `manual`.
        reason: SuppressionReason,
        /// The one job it is about, where the reason is `unsubscribed`.
        job: String,
    }
}

record! {
    /// One mail that must come.
    ExpectedFields {
        /// The profile's id.
        profile: String,
        /// The occasion, such as `campaigns:10` or `2026-W46`.
        occasion: String,
        /// Which variant it is.
        variant: String,
        /// The whole subject.
        subject: String,
        /// Texts that the mail must show.
        body_contains: Vec<String>,
        /// A file beside the test that equals the HTML part (`.html`) or the text part (`.txt`).
        body_snapshot: Located<String>,
    }
}

impl Read for Timestamp {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        let text = String::read(node, findings)?;
        let instant = text.parse().ok().map(crate::clock::whole_microseconds);
        if instant.is_none() {
            let message = format!("{} is no instant", quoted(&text));
            let finding = Diagnostic::error("bad-instant", message, &node.place);
            findings.push(finding.with_help("write it with its offset, such as 2026-11-01T06:00:00Z"));
        }
        instant
    }

    fn schema(_definitions: &mut Definitions) -> Value {
        json!({ "type": "string", "format": "date-time" })
    }
}

impl Read for GivenRow {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        let Content::Map(entries) = &node.content else {
            findings.push(wrong_type("a row: a map of columns", node));
            return None;
        };
        let cell = |value: &Node| Located::new(plain(value), value.place.clone());
        Some(Self { cells: entries.iter().map(|entry| (entry.key.clone(), cell(&entry.value))).collect() })
    }

    fn schema(_definitions: &mut Definitions) -> Value {
        json!({ "type": "object" })
    }
}

fn plain(node: &Node) -> Value {
    match &node.content {
        Content::Null => Value::Null,
        Content::Boolean(value) => Value::Bool(*value),
        Content::Number(number) => Value::Number(number.clone()),
        Content::Text(text) => Value::String(text.clone()),
        Content::List(items) => Value::Array(items.iter().map(plain).collect()),
        Content::Map(entries) => {
            let fields = entries.iter().map(|entry| (entry.key.value.clone(), plain(&entry.value)));
            Value::Object(fields.collect::<Map<_, _>>())
        }
    }
}

/// Reads every job test of a project as far as it can be read, with everything that is wrong with them.
#[must_use]
pub fn job_tests(project: &Project) -> (Vec<JobTest>, Vec<Diagnostic>) {
    let mut findings = Findings::new();
    let mut tests = Vec::new();
    for path in files::list(&project.root, FOLDER, &mut findings) {
        if !files::has_extension(&path, "yml") {
            continue;
        }
        let Some(file) = files::read_source(&project.root, &path, &mut findings) else { continue };
        let Some(node) = Node::parse(&file, &mut findings) else { continue };
        let mut own = Findings::new();
        let test = JobTestFields::read(&node, &mut own)
            .and_then(|fields| build(project, &path, &Place::start_of(&file), fields, &mut own));
        tests.extend(test.map(|test| JobTest { flawed: !own.is_empty(), ..test }));
        findings.extend(own);
    }
    (tests, arrange(findings))
}

fn build(
    project: &Project,
    path: &str,
    place: &Place,
    fields: JobTestFields,
    findings: &mut Findings,
) -> Option<JobTest> {
    report_missing(&fields.given, "job", "name the job under test", place, findings);
    let help = "say when the job runs: `as_of: 2026-11-01T06:00:00Z`";
    report_missing(&fields.given, "as_of", help, place, findings);
    if fields.expect.is_none() && fields.expect_decisions.is_none() {
        let finding = Diagnostic::error("nothing-expected", "the test expects nothing, so it cannot fail", place);
        findings.push(finding.with_help("add `expect` (every mail) or `expect_decisions` (counts)"));
    }
    let job = fields.job.as_ref()?;
    check_job(project, job, fields.period.as_ref(), findings);
    let given = fields.rows.map(|given| given_tables(project, given.value, findings)).unwrap_or_default();
    let expect = fields.expect.map(|expect| expected_mails(project, expect.value, findings));
    let decisions = fields.expect_decisions.map(|named| expected_decisions(named.value, findings));
    Some(JobTest {
        flawed: false,
        name: files::stem(path).to_owned(),
        file: path.to_owned(),
        description: fields.description.map(|description| description.value),
        job: job.clone(),
        as_of: fields.as_of?.value,
        period: fields.period,
        started_at: fields.started_at.map(|instant| instant.value),
        given,
        earlier: earlier_deliveries(project, fields.earlier.map(|earlier| earlier.value).unwrap_or_default(), findings),
        suppressions: suppressions(fields.suppressions.map(|list| list.value).unwrap_or_default(), findings),
        expect,
        expect_decisions: decisions,
    })
}

fn check_job(project: &Project, job: &Located<String>, period: Option<&Located<String>>, findings: &mut Findings) {
    let Some(found) = project.jobs.iter().find(|candidate| candidate.name == job.value) else {
        let names = project.jobs.iter().map(|job| job.name.as_str());
        let finding = Diagnostic::error("unknown-job", format!("there is no job {}", quoted(&job.value)), &job.place);
        findings.push(finding.with_optional_help(did_you_mean(&job.value, names)));
        return;
    };
    if let Some(period) = period.filter(|_| found.recap().is_none()) {
        let message = format!("`{}` has milestones and no periods", found.name);
        findings.push(Diagnostic::error("misplaced-period", message, &period.place).with_help("take the line out"));
    }
}

fn given_tables(project: &Project, given: Named<Vec<GivenRow>>, findings: &mut Findings) -> Vec<GivenTable> {
    let mut tables = Vec::with_capacity(given.0.len());
    for (table, rows) in given.0 {
        if !project.tables.contains_key(&table.value) {
            let message = format!("there is no table {}", quoted(&table.value));
            let help = if project.views.contains_key(&table.value) {
                Some(format!("`{}` is a view: give rows to the tables it reads", table.value))
            } else {
                did_you_mean(&table.value, project.tables.keys().map(String::as_str))
            };
            findings.push(Diagnostic::error("unknown-table", message, &table.place).with_optional_help(help));
        }
        tables.push(GivenTable { table, rows });
    }
    tables
}

fn suppressions(written: Vec<Located<SuppressionFields>>, findings: &mut Findings) -> Vec<GivenSuppression> {
    let mut given = Vec::with_capacity(written.len());
    for Located { value: fields, place } in written {
        report_missing(&fields.given, "reason", "say why: `reason: bounce`", &place, findings);
        if fields.profile.is_some() == fields.address.is_some() {
            let finding =
                Diagnostic::error("bad-suppression", "a suppression is about a profile or an address", &place);
            findings.push(finding.with_help("write one of `profile:` and `address:`"));
        }
        let Some(reason) = fields.reason else { continue };
        given.push(GivenSuppression {
            profile: fields.profile.map(|profile| profile.value),
            address: fields.address.map(|address| address.value),
            reason: reason.value,
            job: fields.job.map(|job| job.value),
        });
    }
    given
}

fn earlier_deliveries(
    project: &Project,
    earlier: Vec<Located<EarlierFields>>,
    findings: &mut Findings,
) -> Vec<EarlierDelivery> {
    let mut seen = BTreeSet::new();
    let mut deliveries = Vec::with_capacity(earlier.len());
    for Located { value: fields, place } in earlier {
        let key = key((fields.profile, fields.occasion), (&fields.given, &place), &mut seen, findings);
        if let Some(job) = &fields.job {
            check_job(project, job, None, findings);
        }
        let delivery = key.map(|key| EarlierDelivery {
            key,
            level: fields.level.map(|level| level.value),
            reached_at: fields.reached_at.map(|instant| instant.value),
            dispatched_at: fields.dispatched_at.map(|instant| instant.value),
            address: fields.address.map(|address| address.value),
            job: fields.job.map(|job| job.value),
            not_before: fields.not_before.map(|instant| instant.value),
        });
        deliveries.extend(delivery);
    }
    deliveries
}

fn expected_mails(
    project: &Project,
    expect: Vec<Located<ExpectedFields>>,
    findings: &mut Findings,
) -> Vec<ExpectedMail> {
    let mut seen = BTreeSet::new();
    let mut mails = Vec::with_capacity(expect.len());
    for Located { value: fields, place } in expect {
        let key = key((fields.profile, fields.occasion), (&fields.given, &place), &mut seen, findings);
        let snapshot = fields.body_snapshot.map(|snapshot| snapshot.value);
        let body_snapshot = snapshot.and_then(|file| snapshot_file(project, file, findings));
        let subject = fields.subject.map(|subject| subject.value);
        let variant = fields.variant.map(|variant| variant.value);
        let body_contains = fields.body_contains.map(|texts| texts.value).unwrap_or_default();
        mails.extend(key.map(|key| ExpectedMail { key, variant, subject, body_contains, body_snapshot }));
    }
    mails
}

/// Profile and occasion of an entry, each pair once.
fn key(
    (profile, occasion): (Option<Located<String>>, Option<Located<String>>),
    (given, place): (&[&'static str], &Place),
    seen: &mut BTreeSet<DeliveryKey>,
    findings: &mut Findings,
) -> Option<DeliveryKey> {
    report_missing(given, "profile", "name the profile's id", place, findings);
    report_missing(given, "occasion", "name the occasion, such as `campaigns:10` or `2026-W46`", place, findings);
    let key = DeliveryKey { profile_id: profile?.value, occasion: occasion?.value };
    if !seen.insert(key.clone()) {
        let message = format!("{} {} is listed twice", quoted(&key.profile_id), quoted(&key.occasion));
        findings.push(Diagnostic::error("duplicate-mail", message, place).with_help("put both into one entry"));
    }
    Some(key)
}

/// A snapshot beside the tests, in one of the two parts of a mail.
fn snapshot_file(project: &Project, file: Located<String>, findings: &mut Findings) -> Option<Located<PathBuf>> {
    let path = Path::new(&file.value);
    let stays_here = path.components().all(|part| matches!(part, Component::Normal(_)));
    let is_part = ["html", "txt"].iter().any(|extension| files::has_extension(&file.value, extension));
    if !stays_here || !is_part {
        let message = format!("{} is no snapshot", quoted(&file.value));
        let finding = Diagnostic::error("bad-snapshot", message, &file.place);
        findings.push(finding.with_help("name a file beside the test that ends in .html or .txt"));
        return None;
    }
    Some(Located::new(project.root.join(FOLDER).join(path), file.place))
}

fn expected_decisions(named: Named<u64>, findings: &mut Findings) -> Vec<(&'static str, u64)> {
    let names: Vec<&'static str> =
        Decision::ALL.iter().map(|decision| decision.name()).chain([RENDER_FAILED]).collect();
    let mut expected = Vec::with_capacity(named.0.len());
    for (name, count) in named.0 {
        if let Some(known) = names.iter().find(|known| **known == name.value) {
            expected.push((*known, count));
        } else {
            let message = format!("there is no decision {}", quoted(&name.value));
            let help = did_you_mean(&name.value, names.iter().copied())
                .unwrap_or_else(|| format!("the decisions are {}", names.join(", ")));
            findings.push(Diagnostic::error("unknown-decision", message, &name.place).with_help(help));
        }
    }
    expected
}
