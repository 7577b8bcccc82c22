//! Job tests: given rows become mails and decisions by the same code as a run's, and are compared with what is expected.
//!
//! Never: reads the tables' rows, reaches a provider or a ledger on disk, or asks what time it is.

mod compare;
mod world;

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use crate::clock;
use crate::model::DeliveryKey;
use crate::model::diagnostic::{Diagnostic, add_later, arrange};
use crate::project::{self, JobTest};
use crate::warehouse::Warehouse;

use super::job_run::seconds_since;
use super::workspace::has_errors;
use super::{Exit, PreparedJob, RunError, Workspace, WorkspaceOptions};
use compare::Comparison;
pub(super) use compare::difference;

/// Which tests, and what becomes of snapshots that differ.
#[derive(Clone, Debug, Default)]
pub struct TestRequest {
    /// Only tests of these jobs; all when empty.
    pub jobs: Vec<String>,
    /// Write snapshots that differ or are missing instead of failing.
    pub update_snapshots: bool,
}

/// How the tests went.
#[derive(Debug)]
pub struct TestReport {
    /// Each test that could be run, in the order of files.
    pub tests: Vec<TestResult>,
    /// What is wrong with the others.
    pub diagnostics: Vec<Diagnostic>,
}

/// One test.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TestResult {
    /// The file's name without `.yml`.
    pub name: String,
    /// The file, relative to the project's root.
    pub file: String,
    /// The job.
    pub job: String,
    /// What the test shows.
    pub description: Option<String>,
    /// How long it took.
    pub seconds: f64,
    /// What differs, each a few lines for people; empty when it passed.
    pub failures: Vec<String>,
    /// Snapshot files that were written.
    pub written: Vec<String>,
}

impl TestReport {
    /// The exit: invalid tests before failed ones.
    #[must_use]
    pub fn exit(&self) -> Exit {
        let invalid = has_errors(&self.diagnostics).then_some(Exit::Invalid);
        let failed = self.failed().next().map(|_| Exit::Failed);
        Exit::of_all(invalid.into_iter().chain(failed))
    }

    /// The tests that failed.
    pub fn failed(&self) -> impl Iterator<Item = &TestResult> {
        self.tests.iter().filter(|test| !test.failures.is_empty())
    }
}

/// A test whose rows fit its tables.
pub(super) struct Ready {
    test: JobTest,
    warehouse: Warehouse,
}

/// Runs the tests of the named jobs, or all.
///
/// # Errors
/// When the project has errors, a name is not a job's, or a snapshot cannot be written.
pub async fn test(options: &WorkspaceOptions, request: &TestRequest) -> Result<TestReport, RunError> {
    let workspace = Workspace::open_without_ledger(options).await?;
    let jobs: Vec<String> = workspace.jobs(&request.jobs)?.into_iter().map(|job| job.name.clone()).collect();
    let (ready, diagnostics) = ready(&workspace, &jobs);
    let mut report = TestReport { tests: Vec::with_capacity(ready.len()), diagnostics };
    let mut prepared: Vec<PreparedJob<'_>> = Vec::new();
    for Ready { test, warehouse } in ready {
        let known = prepared.iter().position(|job| job.job.name == test.job.value);
        let job = if let Some(known) = known {
            &prepared[known]
        } else {
            let job = workspace.jobs(std::slice::from_ref(&test.job.value))?[0];
            prepared.push(workspace.prepare_valid(job).await?);
            &prepared[prepared.len() - 1]
        };
        let result = carry_out(&workspace, job, (&test, &warehouse), request.update_snapshots).await?;
        report.tests.push(result);
    }
    Ok(report)
}

/// The tests of these jobs that can be run, and everything that is wrong with tests. What is wrong with a test whose job
/// is unknown is always said.
pub(super) fn ready(workspace: &Workspace, jobs: &[String]) -> (Vec<Ready>, Vec<Diagnostic>) {
    let (tests, mut findings) = project::job_tests(&workspace.project);
    let mut ready = Vec::new();
    for test in tests.into_iter().filter(|test| jobs.contains(&test.job.value)) {
        match workspace.warehouse.with_rows(&workspace.project, &test.given) {
            Ok(_) if test.flawed => {}
            Ok(warehouse) => ready.push(Ready { test, warehouse }),
            Err(wrong) => add_later(&mut findings, wrong),
        }
    }
    (ready, arrange(findings))
}

/// The subject and text part of every mail.
pub(super) type Rendered = BTreeMap<DeliveryKey, (String, String)>;

/// The tests of a job that can be run.
pub(super) fn of_job(workspace: &Workspace, job: &str) -> Vec<JobTest> {
    let (tests, _) = project::job_tests(&workspace.project);
    tests.into_iter().filter(|test| !test.flawed && test.job.value == job).collect()
}

/// The mails that a project makes of a test's rows: none where it does not have the job, or its tables do not fit.
///
/// # Errors
/// What a run would end with.
pub(super) async fn rendered(workspace: &Workspace, job: &str, test: &JobTest) -> Result<Rendered, RunError> {
    let Some(job) = workspace.project.jobs.iter().find(|known| known.name == job) else { return Ok(Rendered::new()) };
    let Ok(warehouse) = workspace.warehouse.with_rows(&workspace.project, &test.given) else {
        return Ok(Rendered::new());
    };
    let prepared = workspace.prepare_valid(job).await?;
    let happened = world::happened(&workspace.project, &prepared, test, &warehouse).await?;
    let mails = happened.into_iter().filter_map(|(key, ended)| Some((key, ended.message?)));
    Ok(mails.map(|(key, mail)| (key, (mail.subject, mail.text))).collect())
}

async fn carry_out(
    workspace: &Workspace,
    job: &PreparedJob<'_>,
    (test, warehouse): (&JobTest, &Warehouse),
    update_snapshots: bool,
) -> Result<TestResult, RunError> {
    let started = clock::monotonic();
    let mut result = TestResult {
        name: test.name.clone(),
        file: test.file.clone(),
        job: test.job.value.clone(),
        description: test.description.clone(),
        seconds: 0.0,
        failures: Vec::new(),
        written: Vec::new(),
    };
    match world::happened(&workspace.project, job, test, warehouse).await {
        Ok(happened) => {
            let mut comparison =
                Comparison { test, update_snapshots, files: &workspace.project.files, result: &mut result };
            comparison.compare(&happened)?;
        }
        // What a run would end with is what the test ends with.
        Err(error) => result.failures.push(format!("the job cannot be run: {}", error.in_words())),
    }
    result.seconds = seconds_since(started);
    Ok(result)
}

/// A path below the project's root as people write it.
fn shown(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}
