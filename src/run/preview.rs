//! The mails one person would get, whatever the ledger says; nothing is recorded.

use futures::StreamExt;
use jiff::Timestamp;
use serde::Serialize;

use crate::evaluate::Standing;
use crate::model::{Candidate, Message};

use super::tables::evaluation;
use super::{PreparedJob, RunError, Workspace, WorkspaceOptions};

/// Whose mails, of which job, at which time.
#[derive(Clone, Debug, Default)]
pub struct PreviewRequest {
    /// Only this job.
    pub job: Option<String>,
    /// The profile; the first with a candidate when absent.
    pub profile: Option<String>,
    /// The logical now; the machine's clock when absent.
    pub as_of: Option<Timestamp>,
    /// The recap's period key; the latest due when absent.
    pub period: Option<String>,
}

/// What was rendered.
#[derive(Clone, Debug, Serialize)]
pub struct PreviewReport {
    /// The rendered mails.
    pub mails: Vec<PreviewedMail>,
    /// Why a job shows nothing.
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
    /// False when `only_if` would skip this mail.
    pub wanted: bool,
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
/// When the project has errors, the evaluation fails or a file cannot be written.
pub async fn preview(options: &WorkspaceOptions, request: &PreviewRequest) -> Result<PreviewReport, RunError> {
    let workspace = Workspace::open(options).await?;
    let mut report = PreviewReport { mails: Vec::new(), remarks: Vec::new() };
    for job in workspace.jobs(request.job.as_slice())? {
        let prepared = workspace.prepare_valid(job).await?;
        let candidates = candidates(&workspace, &prepared, request).await?;
        if candidates.is_empty() {
            report.remarks.push(match &request.profile {
                Some(profile) => format!(
                    "{}: `{profile}` reached nothing yet, or is not in the audience `{}`",
                    job.name, job.audience.value
                ),
                None => format!("{}: nobody in the audience `{}` reached anything yet", job.name, job.audience.value),
            });
        }
        report.remarks.extend(standings(&workspace, &prepared, request).await?);
        for candidate in candidates {
            match render(&workspace, &prepared, &candidate, request) {
                Ok(mail) => report.mails.push(mail?),
                Err(broken) => report.remarks.push(format!("{} {}: {broken}", job.name, candidate.key.occasion)),
            }
        }
    }
    Ok(report)
}

/// Every candidate of the named profile, or of the first profile that has one.
async fn candidates(
    workspace: &Workspace,
    prepared: &PreparedJob<'_>,
    request: &PreviewRequest,
) -> Result<Vec<Candidate>, RunError> {
    let mut evaluation = evaluation(request.as_of, request.period.as_deref());
    evaluation.profiles = request.profile.clone().map(|profile| vec![profile]);
    let mut stream = prepared.compiled.candidates(&workspace.warehouse, &evaluation).await?;
    let mut found: Vec<Candidate> = Vec::new();
    while let Some(chunk) = stream.next().await {
        for candidate in chunk? {
            // Without a name the first profile is shown, and the stream goes on only while it is the same.
            match found.first() {
                Some(first) if first.key.profile_id != candidate.key.profile_id && request.profile.is_none() => {
                    return Ok(found);
                }
                _ => found.push(candidate),
            }
        }
    }
    Ok(found)
}

/// How far the named profile has come on each ladder.
async fn standings(
    workspace: &Workspace,
    prepared: &PreparedJob<'_>,
    request: &PreviewRequest,
) -> Result<Vec<String>, RunError> {
    let Some(profile) = &request.profile else {
        return Ok(Vec::new());
    };
    let mut evaluation = evaluation(request.as_of, request.period.as_deref());
    evaluation.profiles = Some(vec![profile.clone()]);
    let standings = prepared.compiled.standings(&workspace.warehouse, &evaluation).await?;
    let job = &prepared.job.name;
    Ok(standings.into_iter().map(|standing| format!("{job}: {}", in_words(standing))).collect())
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

fn render(
    workspace: &Workspace,
    prepared: &PreparedJob<'_>,
    candidate: &Candidate,
    request: &PreviewRequest,
) -> Result<Result<PreviewedMail, RunError>, crate::render::RenderError> {
    let as_of = evaluation(request.as_of, None).as_of;
    // A preview needs an address only to be rendered; nothing leaves.
    let mut addressed = candidate.clone();
    addressed.variant = crate::decide::variant_for(&workspace.project.name, prepared.job, candidate);
    if addressed.address.as_deref().and_then(crate::model::EmailAddress::parse).is_none() {
        addressed.address = Some("preview@example.invalid".to_owned());
    }
    let message = prepared.composer.compose(&addressed, &"0".repeat(32), as_of)?;
    Ok(write(workspace, prepared, candidate, message))
}

fn write(
    workspace: &Workspace,
    prepared: &PreparedJob<'_>,
    candidate: &Candidate,
    message: Message,
) -> Result<PreviewedMail, RunError> {
    let folder = workspace.project.root.join("target/milepost/preview");
    let name: String = format!("{}-{}-{}", prepared.job.name, candidate.key.profile_id, candidate.key.occasion)
        .chars()
        .map(|character| if character.is_ascii_alphanumeric() || "._-@".contains(character) { character } else { '_' })
        .take(180)
        .collect();
    let file = folder.join(format!("{name}.html"));
    let failed = |source| RunError::File { path: file.display().to_string(), action: "written", source };
    workspace.project.files.admit_target(&file).map_err(|refusal| failed(refusal.into()))?;
    std::fs::create_dir_all(&folder).map_err(failed)?;
    std::fs::write(&file, &message.html).map_err(failed)?;
    Ok(PreviewedMail {
        job: prepared.job.name.clone(),
        profile_id: candidate.key.profile_id.clone(),
        occasion: candidate.key.occasion.clone(),
        wanted: candidate.wanted,
        subject: message.subject,
        text: message.text,
        html_file: file.display().to_string(),
    })
}
