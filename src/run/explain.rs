//! Why a profile was mailed or not: the answer support gives. Records nothing.

use std::sync::Arc;

use futures::StreamExt;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::clock::Clock;
use crate::decide::{self, Ahead, Decided, Rules, Step};
use crate::evaluate::{EvaluateError, Request};
use crate::ledger::{DeliveryFilter, Halt, LedgerStore, RunRequest, SuppressionSubject};
use crate::model::{Candidate, Decision};
use crate::project::{Category, JobKind};

use super::decided::Deciding;
use super::ledger_access::existing_or_empty;
use super::people::Audiences;
use super::tables::evaluation;
use super::{ListedDelivery, PreparedJob, RunError, Workspace, WorkspaceOptions, preview};

/// Whom and what to explain.
#[derive(Clone, Debug)]
pub struct ExplainRequest {
    /// The profile, by its id or its address.
    pub profile: String,
    /// Only this job.
    pub job: Option<String>,
    /// The logical now; the machine's clock when absent.
    pub as_of: Option<Timestamp>,
    /// The recap's period key; the latest due when absent.
    pub period: Option<String>,
    /// `as_of` is the wall clock too.
    pub replay: bool,
}

/// One profile, job by job.
#[derive(Clone, Debug, Serialize)]
pub struct ExplainReport {
    /// The profile.
    pub profile_id: String,
    /// The logical now.
    pub as_of: Timestamp,
    /// What the ledger says of the profile itself, lifted ones included.
    pub suppressions: Vec<String>,
    /// The jobs, in the order in which they run.
    pub jobs: Vec<ExplainedJob>,
}

/// One job.
#[derive(Clone, Debug, Serialize)]
pub struct ExplainedJob {
    /// The job.
    pub job: String,
    /// The audience's table or view.
    pub audience: String,
    /// Rows that the profile has in it.
    pub audience_rows: u64,
    /// The halt that stands against the job.
    pub halt: Option<Halt>,
    /// Where it is on each ladder.
    pub standings: Vec<String>,
    /// Why there are no occasions, where the period tells.
    pub remark: Option<String>,
    /// What it could be mailed about now.
    pub occasions: Vec<ExplainedOccasion>,
    /// What the ledger has of the profile in this job, the last changed first.
    pub history: Vec<ListedDelivery>,
}

/// One occasion and the way to its decision.
#[derive(Clone, Debug, Serialize)]
pub struct ExplainedOccasion {
    /// The occasion.
    pub occasion: String,
    /// When it was reached or due.
    pub reached_at: Timestamp,
    /// What a run would do now.
    #[serde(flatten)]
    pub decided: Decided,
    /// The reasons in order, up to the one that applies.
    pub steps: Vec<Step>,
}

/// Explains a profile.
///
/// # Errors
/// When the project has errors, the job or the profile is unknown, the evaluation fails or the ledger cannot be asked.
pub async fn explain(options: &WorkspaceOptions, request: &ExplainRequest) -> Result<ExplainReport, RunError> {
    let workspace = Workspace::open(options).await?;
    let ledger: Arc<dyn LedgerStore> = existing_or_empty(&workspace.project).await?.into();
    let mut evaluation = evaluation(request.as_of, request.period.as_deref());
    // All are compiled: whom an address stands for, and what counts for caps, does not depend on the job asked about.
    let prepared = workspace.prepare_all(workspace.jobs(request.job.as_slice())?).await?;
    let audiences = Audiences::of(&workspace, &prepared, evaluation.as_of);
    let profile = audiences.resolve(ledger.as_ref(), &request.profile).await?;
    evaluation.profiles = Some(vec![profile.clone()]);
    let mut jobs = Vec::new();
    let mut ahead = Ahead::default();
    let wall = if request.replay { evaluation.as_of } else { Clock::System.now() };
    for prepared in &prepared {
        let explaining = Explaining { workspace: &workspace, ledger: &ledger, evaluation: &evaluation, wall };
        let (explained, so_far) = explaining.job(prepared, &profile, ahead).await?;
        ahead = so_far;
        jobs.push(explained);
    }
    let subject = SuppressionSubject::Profile(profile.clone());
    let rows = ledger.suppressions(Some(&subject)).await?;
    let suppressions = rows.iter().map(|row| {
        let job = row.job.as_ref().map(|job| format!(" (job `{job}`)")).unwrap_or_default();
        let lifted = row.lifted_at.map(|instant| format!(", lifted {instant}")).unwrap_or_default();
        format!("{}{job} by {}, since {}{lifted}", row.reason.name(), row.origin, row.created_at)
    });
    Ok(ExplainReport { profile_id: profile, as_of: evaluation.as_of, suppressions: suppressions.collect(), jobs })
}

struct Explaining<'a> {
    workspace: &'a Workspace,
    ledger: &'a Arc<dyn LedgerStore>,
    evaluation: &'a Request,
    wall: Timestamp,
}

impl Explaining<'_> {
    async fn job(
        &self,
        prepared: &PreparedJob<'_>,
        profile: &str,
        ahead: Ahead,
    ) -> Result<(ExplainedJob, Ahead), RunError> {
        let job = prepared.job;
        let project = &self.workspace.project;
        let introduction = RunRequest {
            run_id: "explain".to_owned(),
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
        let mut ahead = ahead.next_job(&rules);
        let filter = DeliveryFilter { profile_id: Some(profile.to_owned()), ..DeliveryFilter::default() };
        let rows = self.ledger.deliveries(&filter).await?;
        let ours = rows.into_iter().filter(|row| row.job == job.name || job.aliases.contains(&row.job));
        let mut explained = ExplainedJob {
            job: job.name.clone(),
            audience: job.audience.value.clone(),
            audience_rows: 0,
            halt: lease.halt.clone(),
            standings: Vec::new(),
            remark: None,
            occasions: Vec::new(),
            history: ours.map(ListedDelivery::from).collect(),
        };
        match prepared.compiled.audience_rows(&self.workspace.warehouse, self.evaluation).await {
            Err(error @ EvaluateError::NotYetDue { .. }) => explained.remark = Some(error.to_string()),
            counted => explained.audience_rows = counted?,
        }
        if explained.audience_rows > 0 {
            let warehouse = &self.workspace.warehouse;
            let standings = prepared.compiled.standings(warehouse, self.evaluation).await?;
            explained.standings = standings.into_iter().map(preview::in_words).collect();
            let deciding = Deciding {
                prepared,
                warehouse,
                request: self.evaluation,
                ledger: self.ledger,
                lease: &lease,
                rules: &rules,
            };
            explained.occasions = occasions(&deciding, &mut ahead).await?;
        }
        Ok((explained, ahead))
    }
}

/// Every occasion of the request's profiles with the steps to its decision.
async fn occasions(deciding: &Deciding<'_>, ahead: &mut Ahead) -> Result<Vec<ExplainedOccasion>, RunError> {
    let mut occasions = Vec::new();
    let mut stream = deciding.prepared.compiled.candidates(deciding.warehouse, deciding.request).await?;
    while let Some(chunk) = stream.next().await {
        let chunk: Vec<Candidate> = chunk?;
        let facts = deciding.facts(&chunk).await?;
        let explained = decide::explain(deciding.rules, &chunk, &facts, ahead);
        occasions.extend(chunk.into_iter().zip(explained).map(|(candidate, (decided, mut steps))| {
            for step in steps.iter_mut().filter(|step| step.decision == Decision::Skipped) {
                step.found = found_of_condition(deciding.prepared, &candidate).unwrap_or_else(|| step.found.clone());
            }
            let occasion = candidate.key.occasion;
            ExplainedOccasion { occasion, reached_at: candidate.reached_at, decided, steps }
        }));
    }
    Ok(occasions)
}

/// `only_if: tasks >= 5` with `tasks = 4`: the predicate and what it saw; `None` where there is none.
pub(super) fn found_of_condition(prepared: &PreparedJob<'_>, candidate: &Candidate) -> Option<String> {
    let only_if = match &prepared.job.kind {
        JobKind::Milestones(milestones) => milestones.get(candidate.part)?.only_if.as_ref()?,
        JobKind::Recap(recap) => recap.only_if.as_ref()?,
    };
    let context = candidate.context.fields().ok()?;
    let columns = prepared.compiled.asked_columns(candidate.part);
    let values = columns.iter().map(|column| {
        let value = value_of(&context, column).map_or_else(|| "unknown".to_owned(), |value| value.to_string());
        format!("`{column} = {value}`")
    });
    let values: Vec<String> = values.collect();
    let predicate = only_if.value.split_whitespace().collect::<Vec<_>>().join(" ");
    let with = if values.is_empty() { String::new() } else { format!(" with {}", values.join(", ")) };
    Some(format!("`only_if: {predicate}`{with}"))
}

/// What a column of a condition holds: of the milestone, of the audience, or a metric and its comparisons.
fn value_of(context: &Map<String, Value>, column: &str) -> Option<Value> {
    if let Some(metrics) = context.get("metrics").and_then(Value::as_object) {
        let own = metrics.get(column).and_then(|cell| cell.get("value"));
        let compared =
            || metrics.iter().find_map(|(name, cell)| cell.get(column.strip_prefix(name.as_str())?.strip_prefix('_')?));
        return own.or_else(compared).cloned();
    }
    let of = |group: &str| context.get(group).and_then(|group| group.get(column));
    of("milestone").filter(|_| ["level", "value"].contains(&column)).or_else(|| of("profile")).cloned()
}
