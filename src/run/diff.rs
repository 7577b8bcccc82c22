//! What a change of SQL, YAML or a template does: who enters and who leaves each milestone or recap, and which mails read
//! otherwise. Both sides see the same tables, the same ledger and the same clocks; nothing is recorded.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use crate::clock::Clock;
use crate::decide::{Ahead, Rules};
use crate::evaluate::{PeriodChoice, Request};
use crate::ledger::{LedgerStore, RunRequest};
use crate::model::{Candidate, Decision, DeliveryKey};
use crate::project::{Category, Job};

use super::base::Base;
use super::decided::Deciding;
use super::job_tests::{self, Rendered};
use super::ledger_access::existing_or_empty;
use super::{DiffSource, PreparedJob, RunError, Workspace, WorkspaceOptions, names, reworded};

/// Mails of each job that are shown at most.
const SAMPLES_MAX: usize = 3;

/// What to compare.
#[derive(Clone, Debug, Default)]
pub struct DiffRequest {
    /// A folder with a project, or a revision of git.
    pub base: String,
    /// Only these jobs.
    pub jobs: Vec<String>,
    /// The logical now and the wall clock of both sides; the machine's clock when absent.
    pub as_of: Option<Timestamp>,
    /// Show real people instead of those of job tests.
    pub real_samples: bool,
}

/// What a change does.
#[derive(Clone, Debug, Serialize)]
pub struct DiffReport {
    /// The base as it was named.
    pub base: String,
    /// The logical now of both sides.
    pub as_of: Timestamp,
    /// What differs in each milestone or recap; also those in which nothing does.
    pub parts: Vec<DiffPart>,
    /// Texts of messages that changed: templates, subjects, labels.
    pub sources: Vec<DiffSource>,
    /// Mails that read otherwise: of a stand-in whatever the data say, and of people whom both sides mail.
    pub mails: Vec<DiffMail>,
}

/// A milestone or recap on both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DiffPart {
    /// The job.
    pub job: String,
    /// The milestone; `None` for a recap.
    pub milestone: Option<String>,
    /// Mails that the base would make.
    pub before: u64,
    /// Mails that the change would make.
    pub after: u64,
    /// Mails that only the change would make.
    pub entering: u64,
    /// Mails that only the base would make.
    pub leaving: u64,
    /// The first of both, where real people may be shown.
    pub samples: Vec<String>,
}

/// A mail on both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DiffMail {
    /// The job.
    pub job: String,
    /// The job test whose people it shows; `None` for real ones.
    pub test: Option<String>,
    /// Profile and occasion.
    pub who: String,
    /// The subject before and after; `None` where there is no mail.
    pub subjects: (Option<String>, Option<String>),
    /// The lines of the text part that differ, `-` before and `+` after.
    pub text: String,
}

/// Compares the project with its base.
///
/// # Errors
/// When either side has errors, the base cannot be had, the ledger is another project's, or an evaluation fails.
pub async fn diff(options: &WorkspaceOptions, request: &DiffRequest) -> Result<DiffReport, RunError> {
    let mut after = Workspace::open(options).await?;
    let base = Base::of(&after.project.root, &options.start, &request.base)?;
    let mut before = base.open(options, &after.project).await?;
    for workspace in [&mut before, &mut after] {
        workspace.share_audiences(&[])?;
    }
    let ledger: Arc<dyn LedgerStore> = existing_or_empty(&after.project).await?.into();
    let as_of = request.as_of.unwrap_or_else(|| Clock::System.now());
    let sides =
        [Side { workspace: &before, ledger: &ledger, as_of }, Side { workspace: &after, ledger: &ledger, as_of }];
    let mut report =
        DiffReport { base: request.base.clone(), as_of, parts: Vec::new(), sources: Vec::new(), mails: Vec::new() };
    for name in &request.jobs {
        if before.jobs(std::slice::from_ref(name)).is_err() {
            names::refuse_unknown_job(&after.project, name)?;
        }
    }
    for name in names_of(&before, &after, &request.jobs) {
        let [old, new] = [sides[0].decided(&name).await?, sides[1].decided(&name).await?];
        report.parts.extend(parts(&name, &old, &new, request.real_samples));
        if let [Some(old), Some(new)] = [sides[0].job(&name), sides[1].job(&name)] {
            let sides = [before.prepare_valid(old).await?, after.prepare_valid(new).await?];
            let (sources, mails) = reworded::compared(&sides[0], &sides[1], as_of);
            report.sources.extend(sources);
            report.mails.extend(mails);
        }
        if request.real_samples {
            report.mails.extend(real_mails(&name, &sides, [&old, &new]).await?);
        } else {
            report.mails.extend(test_mails(&name, [&before, &after]).await?);
        }
    }
    Ok(report)
}

/// The jobs of either side, or those asked for.
fn names_of(before: &Workspace, after: &Workspace, wanted: &[String]) -> BTreeSet<String> {
    let all = before.project.jobs.iter().chain(&after.project.jobs).map(|job| job.name.clone());
    all.filter(|name| wanted.is_empty() || wanted.contains(name)).collect()
}

/// Who would be mailed about what, each with the milestone.
type Mails = BTreeMap<DeliveryKey, Option<String>>;

/// One side of the comparison.
struct Side<'a> {
    workspace: &'a Workspace,
    ledger: &'a Arc<dyn LedgerStore>,
    as_of: Timestamp,
}

impl Side<'_> {
    /// The mails of a job; none where this side does not have it.
    async fn decided(&self, name: &str) -> Result<Mails, RunError> {
        let mut mails = Mails::new();
        let Some(job) = self.job(name) else { return Ok(mails) };
        let prepared = self.workspace.prepare_valid(job).await?;
        self.each(&prepared, None, &mut |candidate| {
            mails.insert(candidate.key, candidate.milestone);
        })
        .await?;
        Ok(mails)
    }

    /// What these profiles would get.
    async fn rendered(&self, name: &str, profiles: Vec<String>) -> Result<Rendered, RunError> {
        let mut rendered = Rendered::new();
        let Some(job) = self.job(name) else { return Ok(rendered) };
        let prepared = self.workspace.prepare_valid(job).await?;
        self.each(&prepared, Some(profiles), &mut |candidate| {
            let message = prepared.composer.compose(&candidate, &"0".repeat(32), self.as_of);
            let shown =
                message.map_or_else(|error| (error.to_string(), String::new()), |mail| (mail.subject, mail.text));
            rendered.insert(candidate.key, shown);
        })
        .await?;
        Ok(rendered)
    }

    fn job(&self, name: &str) -> Option<&Job> {
        self.workspace.project.jobs.iter().find(|job| job.name == name)
    }

    async fn each(
        &self,
        prepared: &PreparedJob<'_>,
        profiles: Option<Vec<String>>,
        take: &mut (dyn FnMut(Candidate) + Send),
    ) -> Result<(), RunError> {
        let (project, job) = (&self.workspace.project, prepared.job);
        let introduction = RunRequest {
            run_id: "diff".to_owned(),
            job: job.name.clone(),
            aliases: job.aliases.clone(),
            project: project.name.clone(),
            environment: project.environment.clone(),
            marketing: job.category == Category::Marketing,
            as_of: self.as_of,
            now: self.as_of,
        };
        let lease = self.ledger.look(&introduction).await?;
        let rules = Rules::new(project, job, &lease, (self.as_of, self.as_of));
        let request = Request { as_of: self.as_of, period: PeriodChoice::LatestDue, profiles };
        let deciding = Deciding {
            prepared,
            warehouse: &self.workspace.warehouse,
            request: &request,
            ledger: self.ledger,
            lease: &lease,
            rules: &rules,
        };
        deciding
            .each(&mut Ahead::new(&rules), &mut |chunk| {
                let mails = chunk.into_iter().filter(|(_, decided)| decided.decision == Decision::Mail);
                mails.for_each(|(candidate, _)| take(candidate));
                Ok(())
            })
            .await?;
        Ok(())
    }
}

/// The counts of each milestone.
fn parts(job: &str, old: &Mails, new: &Mails, real_samples: bool) -> Vec<DiffPart> {
    let milestones: BTreeSet<&Option<String>> = old.values().chain(new.values()).collect();
    let part = |milestone: &&Option<String>| {
        let of = |mails: &Mails| -> BTreeSet<DeliveryKey> {
            mails.iter().filter(|(_, own)| own == milestone).map(|(key, _)| key.clone()).collect()
        };
        let (before, after) = (of(old), of(new));
        let (entering, leaving): (Vec<_>, Vec<_>) =
            (after.difference(&before).collect(), before.difference(&after).collect());
        let signed = |sign: char, keys: &[&DeliveryKey]| -> Vec<String> {
            keys.iter().take(SAMPLES_MAX).map(|key| format!("{sign} {} {}", key.profile_id, key.occasion)).collect()
        };
        let samples = if real_samples { [signed('+', &entering), signed('-', &leaving)].concat() } else { Vec::new() };
        DiffPart {
            job: job.to_owned(),
            milestone: (*milestone).clone(),
            before: before.len() as u64,
            after: after.len() as u64,
            entering: entering.len() as u64,
            leaving: leaving.len() as u64,
            samples,
        }
    };
    milestones.iter().map(part).collect()
}

/// The mails of the first people that either side mails.
async fn real_mails(name: &str, sides: &[Side<'_>; 2], [old, new]: [&Mails; 2]) -> Result<Vec<DiffMail>, RunError> {
    let both = old.keys().filter(|key| new.contains_key(*key)).take(SAMPLES_MAX);
    let profiles: BTreeSet<String> = both.map(|key| key.profile_id.clone()).collect();
    if profiles.is_empty() {
        return Ok(Vec::new());
    }
    let profiles: Vec<String> = profiles.into_iter().collect();
    let rendered = [sides[0].rendered(name, profiles.clone()).await?, sides[1].rendered(name, profiles).await?];
    Ok(differing(name, None, &rendered))
}

/// The mails of the people of job tests, on both sides' code.
async fn test_mails(name: &str, sides: [&Workspace; 2]) -> Result<Vec<DiffMail>, RunError> {
    let mut mails = Vec::new();
    for test in job_tests::of_job(sides[1], name) {
        let mut rendered = [Rendered::new(), Rendered::new()];
        for (side, rendered) in sides.iter().zip(&mut rendered) {
            *rendered = job_tests::rendered(side, name, &test).await?;
        }
        mails.extend(differing(name, Some(&test.name), &rendered));
    }
    Ok(mails)
}

fn differing(job: &str, test: Option<&str>, [before, after]: &[Rendered; 2]) -> Vec<DiffMail> {
    let keys: BTreeSet<&DeliveryKey> = before.keys().chain(after.keys()).collect();
    let differing = keys.into_iter().filter(|key| before.get(key) != after.get(key));
    let mail = |key: &DeliveryKey| {
        let side = |rendered: &Rendered| rendered.get(key).cloned();
        let (old, new) = (side(before), side(after));
        let text = |side: &Option<(String, String)>| side.as_ref().map(|(_, text)| text.clone()).unwrap_or_default();
        DiffMail {
            job: job.to_owned(),
            test: test.map(str::to_owned),
            who: format!("{} {}", key.profile_id, key.occasion),
            // Marks stand first on their line, where a viewer of differences looks for them.
            text: job_tests::difference(&text(&old), &text(&new)).replace("\n  ", "\n").trim_start().to_owned(),
            subjects: (old.map(|(subject, _)| subject), new.map(|(subject, _)| subject)),
        }
    };
    differing.take(SAMPLES_MAX).map(mail).collect()
}

/// A path as it was before it is looked at from another project's folder.
#[must_use]
pub(super) fn moved(path: &Path, from: &Path, to: &Path) -> Option<PathBuf> {
    path.strip_prefix(from).ok().map(|rest| to.join(rest))
}
