//! Who would get what, as a file that a later run executes exactly, or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::model::DeliveryKey;
use crate::project::Project;
use crate::storage::TemporaryFile;

use super::report::JobReport;
use super::runs::{self, CarriedOut, RunOptions};
use super::stop::Stop;
use super::{RunError, WorkspaceOptions};

/// The document's kind and the version of its shape.
const SCHEMA: &str = "milepost-plan";
const SCHEMA_VERSION: u32 = 1;
/// How many mails a refusal names.
const NAMED_MAX: usize = 3;

/// What a run would do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// `milepost-plan`.
    pub schema: String,
    /// The version of the document's shape.
    pub schema_version: u32,
    /// When it was made.
    pub generated_at: Timestamp,
    /// The project's name.
    pub project: String,
    /// The environment.
    pub environment: Option<String>,
    /// SHA-256 over the files that decide what a run does.
    pub project_checksum: String,
    /// The run's logical now.
    pub as_of: Timestamp,
    /// Whether that is the wall clock too.
    pub replay: bool,
    /// The recap's period key, where one was named.
    pub period: Option<String>,
    /// The orchestrator's interval, where one was named.
    pub interval: Option<(Timestamp, Timestamp)>,
    /// The jobs in the order in which they run.
    pub jobs: Vec<PlannedJob>,
}

/// One job of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedJob {
    /// The job.
    pub job: String,
    /// The recap's period key.
    pub period: Option<String>,
    /// The provider's name and kind.
    pub provider: String,
    /// Candidates per decision.
    pub decisions: BTreeMap<String, u64>,
    /// Why a run would be refused.
    pub refused: Option<String>,
    /// What allows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The first mails with their subjects.
    pub samples: Vec<PlannedSample>,
    /// Every mail.
    pub mails: Vec<PlannedMail>,
}

/// One mail of a plan.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PlannedMail {
    /// The profile.
    pub profile_id: String,
    /// The occasion.
    pub occasion: String,
    /// The variant of the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl PlannedMail {
    /// Whom it is to, and about what.
    pub(super) fn key(&self) -> DeliveryKey {
        DeliveryKey { profile_id: self.profile_id.clone(), occasion: self.occasion.clone() }
    }
}

/// What a mail will look like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedSample {
    /// The profile.
    pub profile_id: String,
    /// The occasion.
    pub occasion: String,
    /// The subject, or why it cannot be rendered.
    pub subject: String,
}

/// Decides everything that `request` asks for, records and mails nothing.
///
/// # Errors
/// When the project has errors, the options contradict it, a job cannot be decided, or the file cannot be written.
pub async fn plan(
    options: &WorkspaceOptions,
    request: &RunOptions,
    output: Option<&Path>,
    progress: runs::Report,
) -> Result<Plan, RunError> {
    let request = RunOptions { dry_run: true, keep_mails: true, ..request.clone() };
    let carried_out = runs::carry_out(options, &request, &Stop::never(), progress).await?;
    let report = carried_out.report;
    if let Some(broken) = report.jobs.iter().find(|job| job.status == super::JobStatus::Failed) {
        let message = format!("the job `{}`: {}", broken.job, broken.message.clone().unwrap_or_default());
        return Err(RunError::Planning { message, hint: broken.hint.clone(), exit: broken.exit });
    }
    let plan = Plan {
        schema: SCHEMA.to_owned(),
        schema_version: SCHEMA_VERSION,
        generated_at: Clock::System.now(),
        project: carried_out.project.name,
        environment: carried_out.project.environment,
        project_checksum: carried_out.project.checksum,
        as_of: report.as_of,
        replay: request.replay,
        period: request.period.clone(),
        interval: request.interval,
        jobs: report.jobs.into_iter().map(PlannedJob::of).collect(),
    };
    if let Some(path) = output {
        write(&plan, &options.start.join(path))?;
    }
    Ok(plan)
}

/// What a plan keeps of the project it was made for.
#[derive(Clone)]
pub(super) struct Planned {
    pub(super) name: String,
    pub(super) environment: Option<String>,
    pub(super) checksum: String,
}

impl Planned {
    pub(super) fn of(project: &Project) -> Self {
        Self {
            name: project.name.clone(),
            environment: project.environment.clone(),
            checksum: project.checksum.clone(),
        }
    }
}

impl PlannedJob {
    fn of(report: JobReport) -> Self {
        let is_refused = report.status == super::JobStatus::Refused;
        let refused = is_refused.then(|| report.message.unwrap_or_default());
        let decisions = report.decisions.into_iter().filter(|(_, count)| *count > 0);
        Self {
            job: report.job,
            period: report.period,
            provider: report.provider,
            decisions: decisions.map(|(name, count)| (name.to_owned(), count)).collect(),
            refused,
            hint: report.hint.filter(|_| is_refused),
            samples: report.samples,
            mails: report.mails,
        }
    }
}

fn write(plan: &Plan, path: &Path) -> Result<(), RunError> {
    let failed = |source| RunError::File { path: path.display().to_string(), action: "written", source };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = TemporaryFile::within(folder).map_err(failed)?;
    {
        let mut writer = std::io::BufWriter::new(&mut file);
        serde_json::to_writer_pretty(&mut writer, plan).map_err(|error| failed(error.into()))?;
        writer.flush().map_err(failed)?;
    }
    file.persist(path).map_err(failed)
}

impl Plan {
    /// Reads a plan.
    ///
    /// # Errors
    /// When the file cannot be read or is no plan of this version.
    pub fn read(path: &Path) -> Result<Self, RunError> {
        let failed = |source| RunError::File { path: path.display().to_string(), action: "read", source };
        let text = std::fs::read_to_string(path).map_err(failed)?;
        let refused = |reason: String| RunError::Usage {
            message: format!("`{}` is no plan: {reason}", path.display()),
            hint: "make one with `milepost plan --out plan.json`".to_owned(),
        };
        let plan: Self = serde_json::from_str(&text).map_err(|error| refused(error.to_string()))?;
        match (plan.schema.as_str(), plan.schema_version) {
            (SCHEMA, SCHEMA_VERSION) => Ok(plan),
            (schema, version) => Err(refused(format!("it is {schema} {version}, not {SCHEMA} {SCHEMA_VERSION}"))),
        }
    }

    /// The run that the plan foresees, under the lease and confirmation that `request` asks for.
    #[must_use]
    pub fn run(&self, request: &RunOptions) -> RunOptions {
        RunOptions {
            jobs: self.jobs.iter().map(|job| job.job.clone()).collect(),
            as_of: Some(self.as_of),
            period: self.period.clone(),
            interval: self.interval,
            replay: self.replay,
            keep_mails: true,
            ..request.clone()
        }
    }

    /// Refuses a project that is not the one the plan was made for.
    ///
    /// # Errors
    /// [`RunError::Refused`] that names what changed.
    pub(super) fn check_project(&self, project: &Planned) -> Result<(), RunError> {
        let environment = |name: &Option<String>| name.clone().unwrap_or_else(|| "none".to_owned());
        let changed = if self.project != project.name {
            format!("it was made for the project `{}`, and this is `{}`", self.project, project.name)
        } else if self.environment != project.environment {
            let (planned, found) = (environment(&self.environment), environment(&project.environment));
            format!("it was made for the environment {planned}, and this is {found}")
        } else if self.project_checksum != project.checksum {
            "the project's files changed since it was made".to_owned()
        } else {
            return Ok(());
        };
        Err(refused(&changed))
    }

    /// The mails of a job that the plan has and that were not decided.
    pub(super) fn gone(&self, job: &str, mails: &[PlannedMail]) -> Vec<&PlannedMail> {
        let found: BTreeSet<&PlannedMail> = mails.iter().collect();
        self.planned(job).into_iter().filter(|mail| !found.contains(mail)).collect()
    }

    fn planned(&self, job: &str) -> BTreeSet<&PlannedMail> {
        let planned = self.jobs.iter().find(|planned| planned.job == job);
        planned.map(|planned| planned.mails.iter().collect()).unwrap_or_default()
    }

    /// Refuses decisions that are not those of the plan. What the ledger has as `carried_out`, by an earlier run of the plan
    /// that was stopped or is over, is as planned.
    ///
    /// # Errors
    /// [`RunError::Refused`] that names what changed.
    pub(super) fn check_job(
        &self,
        job: &str,
        mails: &[PlannedMail],
        carried_out: &[PlannedMail],
    ) -> Result<(), RunError> {
        let (planned, found): (_, BTreeSet<&PlannedMail>) = (self.planned(job), mails.iter().collect());
        let added: Vec<&PlannedMail> = found.difference(&planned).copied().collect();
        let carried_out: BTreeSet<&PlannedMail> = carried_out.iter().collect();
        let gone = planned.difference(&found).copied().filter(|mail| !carried_out.contains(mail));
        let gone: Vec<&PlannedMail> = gone.collect();
        if added.is_empty() && gone.is_empty() {
            return Ok(());
        }
        let mut changes = Vec::new();
        if !added.is_empty() {
            changes.push(format!("{} would be mailed that it does not have ({})", added.len(), named(&added)));
        }
        if !gone.is_empty() {
            changes.push(format!("{} that it has would not be mailed ({})", gone.len(), named(&gone)));
        }
        Err(refused(&format!("of the job `{job}` {}", changes.join(", and "))))
    }
}

fn named(mails: &[&PlannedMail]) -> String {
    let names = mails.iter().take(NAMED_MAX).map(|mail| format!("{} {}", mail.profile_id, mail.occasion));
    let more = if mails.len() > NAMED_MAX { ", ..." } else { "" };
    format!("{}{more}", names.collect::<Vec<_>>().join(", "))
}

fn refused(changed: &str) -> RunError {
    RunError::Refused {
        message: format!("the plan no longer holds: {changed}"),
        hint: "make a new one with `milepost plan --out plan.json`, look at it, and run that".to_owned(),
    }
}

/// Decides everything once more before anything leaves, and refuses what is not as planned; a run that was stopped meanwhile
/// is over.
pub(super) async fn rehearse(
    options: &WorkspaceOptions,
    request: &RunOptions,
    plan: &Plan,
    stop: &Stop,
) -> Result<Option<CarriedOut>, RunError> {
    let rehearsal = RunOptions { dry_run: true, ..request.clone() };
    let mut carried_out = Box::pin(runs::carry_out(options, &rehearsal, stop, Arc::new(|_| {}))).await?;
    plan.check_project(&carried_out.project)?;
    if let Some(cause) = carried_out.report.stopped {
        carried_out.report.jobs.iter_mut().for_each(|job| job.skip(cause));
        return Ok(Some(carried_out));
    }
    for job in &carried_out.report.jobs {
        // What cannot be decided, or a guard refuses, the run itself says.
        if matches!(job.status, super::JobStatus::DryRun) {
            plan.check_job(&job.job, &job.mails, &job.carried_out)?;
        }
    }
    Ok(None)
}
