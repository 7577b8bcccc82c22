//! Everything that can be known to be wrong before a run, all at once; and the schemas that a check without tables needs.

use std::path::Path;

use crate::evaluate::{self, EvaluateError};
use crate::model::diagnostic::{Diagnostic, Severity, add_later, arrange};
use crate::project::Project;
use crate::providers;
use crate::storage;
use crate::warehouse::SCHEMAS_FILE;

use super::workspace::{Workspace, WorkspaceOptions, saved_schemas};
use super::{Exit, RunError, names, secrets, workspace};
use super::{ledger_access, orphans};

/// The code of findings about queries that cannot be run.
const NOT_PLANNED: &str = "sql-does-not-plan";

/// What a check knows of tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CheckTables {
    /// What they are now, compared with what was saved, where it was.
    #[default]
    Online,
    /// What they are now, saved for checks that cannot reach them.
    Save,
    /// What was saved: nothing is contacted.
    Offline,
}

/// What to check.
#[derive(Clone, Debug, Default)]
pub struct CheckRequest {
    /// Only these jobs.
    pub jobs: Vec<String>,
    /// What is known of tables.
    pub tables: CheckTables,
    /// Secrets that are not set are errors.
    pub secrets: bool,
}

/// What `check` found.
#[derive(Debug)]
pub struct CheckReport {
    /// Findings in the order of files and lines.
    pub diagnostics: Vec<Diagnostic>,
    /// The jobs that were looked at.
    pub jobs: Vec<String>,
    /// The file that schemas were saved to.
    pub saved: Option<String>,
}

impl CheckReport {
    /// The exit: errors refuse, and warnings too when `strict`.
    #[must_use]
    pub fn exit(&self, strict: bool) -> Exit {
        let worst = if strict { Severity::Warning } else { Severity::Error };
        if self.diagnostics.iter().any(|finding| finding.severity <= worst) { Exit::Invalid } else { Exit::Done }
    }
}

/// Checks the project, its tables and views, its providers, and the named jobs (or all) with their templates and tests.
///
/// # Errors
/// When there is no project, a name is not a job's, or schemas cannot be read or saved.
pub async fn check(options: &WorkspaceOptions, request: &CheckRequest) -> Result<CheckReport, RunError> {
    let CheckRequest { jobs, tables, secrets } = request;
    let tables = *tables;
    let surveyed = match tables {
        CheckTables::Offline => Workspace::survey_offline(options).await,
        CheckTables::Online | CheckTables::Save => Workspace::survey(options).await,
    };
    let (workspace, mut diagnostics) = surveyed?;
    let mut names = Vec::new();
    let mut saved = None;
    if let Some(workspace) = &workspace {
        match tables {
            CheckTables::Save => saved = save(workspace).await?,
            CheckTables::Online => {
                if let Some(saved) = saved_schemas(&workspace.project.root)? {
                    let changes = saved.changes(&workspace.project, &workspace.warehouse.schemas());
                    add_later(&mut diagnostics, changes);
                }
            }
            CheckTables::Offline => {}
        }
        add_later(&mut diagnostics, left_out(workspace));
        if tables != CheckTables::Offline {
            add_later(&mut diagnostics, renamed(&workspace.project).await);
        }
        add_later(&mut diagnostics, providers(workspace));
        add_later(&mut diagnostics, secrets::unset(&workspace.project, tables == CheckTables::Offline && !secrets));
        let loaded = loaded_jobs(&workspace.project, jobs, &mut diagnostics)?;
        names.extend(jobs.iter().filter(|name| !loaded.contains(name)).cloned());
        let jobs = if loaded.is_empty() && !jobs.is_empty() { Vec::new() } else { workspace.jobs(&loaded)? };
        for job in &jobs {
            names.push(job.name.clone());
            match workspace.prepare(job).await {
                Ok((prepared, findings)) => {
                    add_later(&mut diagnostics, findings);
                    let rehearsed = prepared.compiled.rehearse(&workspace.warehouse).await;
                    let failed = |error: EvaluateError| Diagnostic::error(NOT_PLANNED, error.to_string(), &job.place);
                    add_later(&mut diagnostics, rehearsed.err().map(failed));
                }
                Err(findings) => add_later(&mut diagnostics, findings),
            }
        }
        add_later(&mut diagnostics, evaluate::check_declared(&workspace.project, &workspace.warehouse).await);
        let unknown = evaluate::unknown_events(&workspace.project, &jobs, &workspace.warehouse).await;
        add_later(&mut diagnostics, unknown?);
    }
    if let Some(workspace) = &workspace {
        add_later(&mut diagnostics, super::job_tests::ready(workspace, &names).1);
    }
    secrets::weigh(&mut diagnostics, *secrets);
    Ok(CheckReport { diagnostics: arrange(diagnostics), jobs: names, saved })
}

/// A warning for each table whose location holds files that are not read.
fn left_out(workspace: &Workspace) -> Vec<Diagnostic> {
    let left_out = workspace.warehouse.left_out().into_iter();
    let findings =
        left_out.filter_map(|left_out| {
            let table = workspace.project.tables.get(&left_out.table)?;
            let finding = Diagnostic::warning("files-left-out", format!("not read: {left_out}"), &table.place);
            Some(finding.with_help(
                "move them away; or, if they hold rows of the table, name them as its other files are named",
            ))
        });
    findings.collect()
}

fn providers(workspace: &Workspace) -> impl Iterator<Item = Diagnostic> {
    let project = &workspace.project;
    project.providers.values().flat_map(|config| providers::check(config, &project.root))
}

/// The names whose jobs could be read. One whose file has errors is left out, since its findings say what is wrong with it.
fn loaded_jobs(project: &Project, names: &[String], findings: &mut Vec<Diagnostic>) -> Result<Vec<String>, RunError> {
    let mut loaded = Vec::with_capacity(names.len());
    for name in names {
        match names::refuse_unknown_job(project, name) {
            Ok(()) => loaded.push(name.clone()),
            Err(_) if findings.iter().any(|finding| breaks(finding, name)) => {}
            // Where files do not load, the list of names is not whole: all of it is said at once.
            Err(RunError::UnknownJob { hint, .. }) if workspace::has_errors(findings) => findings.push(Diagnostic {
                severity: Severity::Error,
                code: "unknown-job",
                message: format!("no job that can be read is named `{name}`"),
                place: None,
                help: Some(hint),
            }),
            Err(error) => return Err(error),
        }
    }
    Ok(loaded)
}

/// Whether a finding is an error in the file of this job: by what the file says its name is, or by the name of the file.
fn breaks(finding: &Diagnostic, job: &str) -> bool {
    let Some(place) = finding.place.as_ref().filter(|_| finding.severity == Severity::Error) else { return false };
    let Some(stem) = place.file.path.strip_prefix("jobs/").and_then(|path| path.strip_suffix(".yml")) else {
        return false;
    };
    let declared = place.file.text.lines().find_map(|line| line.strip_prefix("job:"));
    stem == job || declared.is_some_and(|name| name.trim().trim_matches(['"', '\'']) == job)
}

/// Jobs and milestones whose names changed, as far as there is a ledger that can be asked: a check needs none.
async fn renamed(project: &Project) -> Vec<Diagnostic> {
    match ledger_access::existing(project).await {
        Ok(ledger) => orphans::findings(ledger.as_ref(), project).await.unwrap_or_default(),
        Err(_) => Vec::new(),
    }
}

/// Saves the columns of every table; `None`, and the file as it was, when one of them could not be opened.
async fn save(workspace: &Workspace) -> Result<Option<String>, RunError> {
    let schemas = workspace.warehouse.schemas();
    if !schemas.covers(&workspace.project) {
        return Ok(None);
    }
    let path = workspace.project.root.join(SCHEMAS_FILE).to_string_lossy().into_owned();
    workspace.project.files.admit_target(Path::new(&path)).map_err(|refusal| failed(&path)(refusal.into()))?;
    let text = tempfile::NamedTempFile::new().map_err(failed(&path))?;
    std::fs::write(text.path(), schemas.to_text()).map_err(failed(&path))?;
    storage::write_file(text.path(), &path).await?;
    Ok(Some(path))
}

fn failed(path: &str) -> impl Fn(std::io::Error) -> RunError {
    let path = Path::new(path).display().to_string();
    move |source| RunError::File { path: path.clone(), action: "written", source }
}
