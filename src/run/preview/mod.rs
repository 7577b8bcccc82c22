//! The mails one person would get, whatever the ledger says; nothing is recorded. Without a name the first person is shown
//! whom a run would mail, and where there is nobody, it is said why.

mod files;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt;
use jiff::Timestamp;
use serde::Serialize;

use crate::clock::Clock;
use crate::decide::{self, Ahead, Decided, Rules};
use crate::evaluate::{Request, Standing};
use crate::ledger::{LedgerError, LedgerStore, MemoryLedger, RunRequest};
use crate::model::{Candidate, Decision};
use crate::project::Category;

use super::decided::Deciding;
use super::explain::found_of_condition;
use super::ledger_access::{existing_or_empty, owner};
use super::people::Audiences;
use super::tables::evaluation;
use super::{PreparedJob, RunError, Workspace, WorkspaceOptions};
use files::PreviewFiles;
pub(super) use files::files_of;

/// Whose mails, of which job, at which time.
#[derive(Clone, Debug, Default)]
pub struct PreviewRequest {
    /// Only this job.
    pub job: Option<String>,
    /// The profile, by its id or its address; the first one whom a run would mail when absent.
    pub profile: Option<String>,
    /// The logical now; the machine's clock when absent.
    pub as_of: Option<Timestamp>,
    /// The recap's period key; the latest due when absent.
    pub period: Option<String>,
    /// `as_of` is the wall clock too.
    pub replay: bool,
}

/// What was rendered.
#[derive(Clone, Debug, Serialize)]
pub struct PreviewReport {
    /// The rendered mails.
    pub mails: Vec<PreviewedMail>,
    /// Why a job shows nothing, or somebody whom a run would not mail.
    pub remarks: Vec<String>,
}

/// One rendered mail.
#[derive(Clone, Debug, Serialize)]
pub struct PreviewedMail {
    /// The job.
    pub job: String,
    /// The profile.
    pub profile_id: String,
    /// The occasion.
    pub occasion: String,
    /// What a run would decide now.
    pub decision: Decision,
    /// Why a run would not mail it, in words; `None` where it would.
    pub not_mailed: Option<String>,
    /// The subject.
    pub subject: String,
    /// The text part.
    pub text: String,
    /// The file with the HTML part.
    pub html_file: String,
}

/// Renders the mails of a profile into `target/milepost/preview/`.
///
/// # Errors
/// When the project has errors, the profile is unknown, the evaluation fails or a file cannot be written.
pub async fn preview(options: &WorkspaceOptions, request: &PreviewRequest) -> Result<PreviewReport, RunError> {
    let workspace = Workspace::open(options).await?;
    let prepared = workspace.prepare_all(workspace.jobs(request.job.as_slice())?).await?;
    let mut report = PreviewReport { mails: Vec::new(), remarks: Vec::new() };
    let ledger: Arc<dyn LedgerStore> = match existing_or_empty(&workspace.project).await {
        Ok(ledger) => ledger.into(),
        // A look at a template needs no ledger; who is known is then not known.
        Err(RunError::Ledger(error @ (LedgerError::Unavailable { .. } | LedgerError::Unresolved { .. }))) => {
            report.remarks.push(format!("{error}; so everything looks as if nobody was mailed yet"));
            Arc::new(MemoryLedger::new(owner(&workspace.project)))
        }
        Err(error) => return Err(error),
    };
    let mut evaluation = evaluation(request.as_of, request.period.as_deref());
    if let Some(asked) = &request.profile {
        let audiences = Audiences::of(&workspace, &prepared, evaluation.as_of);
        evaluation.profiles = Some(vec![audiences.resolve(ledger.as_ref(), asked).await?]);
    }
    let wall = if request.replay { evaluation.as_of } else { Clock::System.now() };
    let previewing = Previewing { workspace: &workspace, ledger: &ledger, evaluation: &evaluation, wall };
    let mut files = PreviewFiles::of(&workspace.project);
    for job in &prepared {
        previewing.job(job, &mut files, &mut report).await?;
    }
    files.finish().map_err(|source| written("the list of previews", source))?;
    Ok(report)
}

struct Previewing<'a> {
    workspace: &'a Workspace,
    ledger: &'a Arc<dyn LedgerStore>,
    evaluation: &'a Request,
    wall: Timestamp,
}

/// The candidates that are shown, each with its decision, and how many there were by decision.
#[derive(Default)]
struct Picked {
    shown: Vec<(Candidate, Decided)>,
    counts: BTreeMap<Decision, u64>,
}

impl Picked {
    /// Takes a chunk of one named profile: all of it.
    fn take_all(&mut self, chunk: Vec<Candidate>, decided: Vec<Decided>) {
        self.shown.extend(chunk.into_iter().zip(decided));
    }

    /// Looks at a chunk of many profiles; true once somebody is found whom a run would mail. Until then the one is kept
    /// whose decision comes latest in the order of reasons.
    fn take_first(&mut self, chunk: Vec<Candidate>, decided: Vec<Decided>) -> bool {
        for one in &decided {
            *self.counts.entry(one.decision).or_default() += 1;
        }
        let Some(best) = decided.iter().map(|one| one.decision).max() else { return false };
        if self.shown.first().is_some_and(|(_, kept)| kept.decision >= best) {
            return false;
        }
        let first = chunk.iter().zip(&decided).find(|(_, one)| one.decision == best);
        let Some(profile_id) = first.map(|(candidate, _)| candidate.key.profile_id.clone()) else { return false };
        let theirs = chunk.into_iter().zip(decided);
        self.shown =
            theirs.filter(|(candidate, one)| candidate.key.profile_id == profile_id && one.decision == best).collect();
        best == Decision::Mail
    }
}

impl Previewing<'_> {
    async fn job(
        &self,
        prepared: &PreparedJob<'_>,
        files: &mut PreviewFiles,
        report: &mut PreviewReport,
    ) -> Result<(), RunError> {
        let job = prepared.job;
        let picked = self.picked(prepared).await?;
        report.remarks.extend(self.remark(prepared, &picked).map(|remark| format!("{}: {remark}", job.name)));
        if self.evaluation.profiles.is_some() {
            let standings = prepared.compiled.standings(&self.workspace.warehouse, self.evaluation).await?;
            report.remarks.extend(standings.into_iter().map(|one| format!("{}: {}", job.name, in_words(one))));
        }
        for (candidate, decided) in picked.shown {
            match self.render(prepared, &candidate) {
                Ok(message) => {
                    let file = files.write(&job.name, &candidate.key, &message.html);
                    let file = file.map_err(|source| written("a preview", source))?;
                    report.mails.push(PreviewedMail {
                        job: job.name.clone(),
                        decision: decided.decision,
                        not_mailed: not_mailed(prepared, &candidate, &decided),
                        profile_id: candidate.key.profile_id,
                        occasion: candidate.key.occasion,
                        subject: message.subject,
                        text: message.text,
                        html_file: file.display().to_string(),
                    });
                }
                Err(broken) => report.remarks.push(format!("{} {}: {broken}", job.name, candidate.key.occasion)),
            }
        }
        Ok(())
    }

    async fn picked(&self, prepared: &PreparedJob<'_>) -> Result<Picked, RunError> {
        let (project, job) = (&self.workspace.project, prepared.job);
        let introduction = RunRequest {
            run_id: "preview".to_owned(),
            job: job.name.clone(),
            aliases: job.aliases.clone(),
            project: project.name.clone(),
            environment: project.environment.clone(),
            marketing: job.category == Category::Marketing,
            as_of: self.evaluation.as_of,
            now: self.wall,
        };
        let lease = self.ledger.look(&introduction).await?;
        let rules = Rules::new(project, job, &lease, (self.evaluation.as_of, self.wall));
        let warehouse = &self.workspace.warehouse;
        let (request, ledger) = (self.evaluation, self.ledger);
        let deciding = Deciding { prepared, warehouse, request, ledger, lease: &lease, rules: &rules };
        let mut ahead = Ahead::new(&rules);
        let mut picked = Picked::default();
        let mut stream = prepared.compiled.candidates(warehouse, self.evaluation).await?;
        while let Some(chunk) = stream.next().await {
            let chunk = chunk?;
            let facts = deciding.facts(&chunk).await?;
            let decided = decide::decide(&rules, &chunk, &facts, &mut ahead);
            if self.evaluation.profiles.is_some() {
                picked.take_all(chunk, decided);
            } else if picked.take_first(chunk, decided) {
                break;
            }
        }
        Ok(picked)
    }

    /// Why a job shows nothing, or somebody whom a run would not mail.
    fn remark(&self, prepared: &PreparedJob<'_>, picked: &Picked) -> Option<String> {
        let audience = &prepared.job.audience.value;
        let named = self.evaluation.profiles.as_ref().and_then(|profiles| profiles.first());
        let Some((candidate, decided)) = picked.shown.first() else {
            return Some(match named {
                Some(profile) => format!("`{profile}` reached nothing yet, or is not in the audience `{audience}`"),
                None => format!("nobody in the audience `{audience}` reached anything yet"),
            });
        };
        if named.is_some() || decided.decision == Decision::Mail {
            return None;
        }
        let counts = picked.counts.iter().rev();
        let counts: Vec<String> =
            counts.map(|(decision, count)| format!("{count} {}", decision.name().replace('_', " "))).collect();
        let shown = &candidate.key.profile_id;
        Some(format!("a run would mail nobody now ({}); shown is `{shown}`", counts.join(", ")))
    }

    fn render(
        &self,
        prepared: &PreparedJob<'_>,
        candidate: &Candidate,
    ) -> Result<crate::model::Message, crate::render::RenderError> {
        // A preview needs an address only to be rendered; nothing leaves.
        let mut addressed = candidate.clone();
        addressed.variant = decide::variant_for(&self.workspace.project.name, prepared.job, candidate);
        if addressed.address.as_deref().and_then(crate::model::EmailAddress::parse).is_none() {
            addressed.address = Some("preview@example.invalid".to_owned());
        }
        prepared.composer.compose(&addressed, &"0".repeat(32), self.evaluation.as_of)
    }
}

/// `baselined: it was reached before it began to count`; `None` for what a run would mail.
fn not_mailed(prepared: &PreparedJob<'_>, candidate: &Candidate, decided: &Decided) -> Option<String> {
    let name = decided.decision.name().replace('_', " ");
    let reason = match decided.decision {
        Decision::Mail => return None,
        Decision::Skipped => found_of_condition(prepared, candidate).map(|found| format!("{found} is false")),
        Decision::Baselined => Some("it was reached before the job began to count".to_owned()),
        Decision::Expired => Some("it is too late for it".to_owned()),
        _ => decided.reason.clone().map(|reason| reason.replace('_', " ")),
    };
    let until = decided.not_before.map(|until| format!(", not before {until}")).unwrap_or_default();
    Some(format!("{name}{}{until}", reason.map(|reason| format!(": {reason}")).unwrap_or_default()))
}

fn written(what: &str, source: std::io::Error) -> RunError {
    RunError::File { path: what.to_owned(), action: "written", source }
}

/// `campaigns is at 12, 38 below the next level 50`.
pub(super) fn in_words(standing: Standing) -> String {
    let of = standing.entity_id.map(|entity| format!(" of `{entity}`")).unwrap_or_default();
    let (name, value, next) = (standing.milestone, standing.value, standing.next);
    match next.get("level").zip(next.get("remaining")) {
        Some((level, remaining)) => format!("{name}{of} is at {value}, {remaining} below the next level {level}"),
        None => format!("{name}{of} is at {value}, above its last level"),
    }
}
