//! Everything that can be known to be wrong before a run, all at once.

use crate::evaluate;
use crate::model::diagnostic::{Diagnostic, Severity, add_later, arrange};
use crate::providers;

use super::workspace::{Workspace, WorkspaceOptions};
use super::{Exit, RunError};

/// What `check` found.
#[derive(Debug)]
pub struct CheckReport {
    /// Findings in the order of files and lines.
    pub diagnostics: Vec<Diagnostic>,
    /// The jobs that were looked at.
    pub jobs: Vec<String>,
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
/// When there is no project, or a name is not a job's.
pub async fn check(options: &WorkspaceOptions, jobs: &[String]) -> Result<CheckReport, RunError> {
    let (workspace, mut diagnostics) = Workspace::survey(options).await?;
    let mut names = Vec::new();
    if let Some(workspace) = &workspace {
        add_later(&mut diagnostics, workspace.project.providers.values().flat_map(providers::check));
        let jobs = workspace.jobs(jobs)?;
        for job in &jobs {
            names.push(job.name.clone());
            match workspace.prepare(job).await {
                Ok((_, findings)) | Err(findings) => add_later(&mut diagnostics, findings),
            }
        }
        let unknown = evaluate::unknown_events(&workspace.project, &jobs, &workspace.warehouse).await;
        add_later(&mut diagnostics, unknown?);
    }
    if let Some(workspace) = &workspace {
        add_later(&mut diagnostics, super::job_tests::ready(workspace, &names).1);
    }
    Ok(CheckReport { diagnostics: arrange(diagnostics), jobs: names })
}
