//! Names that people type: one place says which jobs and milestones are known, and what an unknown one is near to.

use std::collections::BTreeSet;

use crate::ledger::LedgerStore;
use crate::model::diagnostic::did_you_mean;
use crate::project::{Job, JobKind, Project};

use super::RunError;

/// How many names a hint lists.
const LISTED_MAX: usize = 12;

/// Refuses a name that is no job of the project.
///
/// # Errors
/// [`RunError::UnknownJob`] with the nearest name.
pub(super) fn refuse_unknown_job(project: &Project, name: &str) -> Result<(), RunError> {
    let is_known = project.jobs.iter().any(|job| job.name == name);
    if is_known { Ok(()) } else { Err(unknown_job(project, name)) }
}

/// The error about a name that is no job of the project.
pub(super) fn unknown_job(project: &Project, name: &str) -> RunError {
    let renamed = project.jobs.iter().find(|job| job.aliases.iter().any(|alias| alias == name));
    let hint = match renamed {
        Some(job) => format!("it was renamed: it is `{}` now", job.name),
        None => near(name, project.jobs.iter().map(|job| job.name.as_str()), "the project's jobs are"),
    };
    RunError::UnknownJob { name: name.to_owned(), hint }
}

/// Refuses a name that neither the project nor its ledger has as a job: what a removed job left can be asked for.
///
/// # Errors
/// [`RunError::UnknownJob`] with the nearest name, or what the ledger says.
pub(super) async fn refuse_unknown_to_both(
    project: &Project,
    ledger: &dyn LedgerStore,
    name: Option<&str>,
) -> Result<(), RunError> {
    let Some(name) = name else { return Ok(()) };
    if names_of(project).any(|known| known == name) {
        return Ok(());
    }
    let recorded: Vec<String> = ledger.jobs().await?.into_iter().map(|status| status.job).collect();
    if recorded.iter().any(|known| known == name) {
        return Ok(());
    }
    let known = names_of(project).chain(recorded.iter().map(String::as_str));
    Err(RunError::UnknownJob { name: name.to_owned(), hint: near(name, known, "the jobs are") })
}

/// Refuses the name of a milestone, or a period's key, that neither the project nor its ledger has.
///
/// # Errors
/// [`RunError::Usage`] with the nearest name, or what the ledger says.
pub(super) async fn refuse_unknown_milestone(
    project: &Project,
    ledger: &dyn LedgerStore,
    (job, name): (Option<&str>, &str),
) -> Result<(), RunError> {
    let is_asked =
        |one: &&Job| job.is_none_or(|wanted| one.name == wanted || one.aliases.iter().any(|it| it == wanted));
    let mut known = BTreeSet::new();
    for one in project.jobs.iter().filter(is_asked) {
        if let JobKind::Milestones(milestones) = &one.kind {
            known.extend(milestones.iter().map(|milestone| milestone.name.value.clone()));
            known.extend(milestones.iter().flat_map(|milestone| milestone.aliases.clone()));
        }
    }
    if known.contains(name) {
        return Ok(());
    }
    let recorded = ledger.jobs().await?.into_iter().map(|status| status.job);
    for one in recorded.filter(|one| job.is_none_or(|wanted| wanted == one)) {
        known.extend(ledger.stems(&one).await?.into_iter().map(|(stem, _)| stem));
    }
    if known.contains(name) {
        return Ok(());
    }
    Err(RunError::Usage {
        message: format!("no milestone or period is named `{name}`"),
        hint: near(name, known.iter().map(String::as_str), "there are"),
    })
}

/// Every name of the project's jobs, earlier ones included.
fn names_of(project: &Project) -> impl Iterator<Item = &str> + Clone {
    project.jobs.iter().flat_map(|job| std::iter::once(&job.name).chain(&job.aliases)).map(String::as_str)
}

/// "did you mean `x`?", or the names that there are.
fn near<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone, are: &str) -> String {
    did_you_mean(name, known.clone()).unwrap_or_else(|| {
        let all: BTreeSet<&str> = known.collect();
        let listed: Vec<&str> = all.iter().copied().take(LISTED_MAX).collect();
        match all.len() {
            0 => "there are none: jobs are files `jobs/NAME.yml`".to_owned(),
            count if count > LISTED_MAX => format!("{are}: {}, and {} more", listed.join(", "), count - LISTED_MAX),
            _ => format!("{are}: {}", listed.join(", ")),
        }
    })
}
