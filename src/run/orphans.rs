//! Deliveries whose job or milestone the project no longer has, and the new ones that look like theirs: a rename without
//! `aliases:` would mail the same people about the same things again, or forget who waits.
//!
//! Looked up only where a part of a job is new to the ledger, and in bounds: the newest deliveries of each.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;

use crate::clock::Clock;
use crate::decide::Rules;
use crate::ledger::{DeliveryFilter, DeliveryRow, Identity, LedgerStore, RunRequest};
use crate::model::{Candidate, Check, Diagnostic, Period, PeriodKind, occasion_stem};
use crate::project::{Category, Job, JobKind, Milestone, MilestoneSource, Project};

use super::RunError;

/// Deliveries of one job or milestone that are compared.
const ROWS_MAX: u32 = 10_000;
/// Deliveries that are compared in all.
const ALL_ROWS_MAX: usize = 50_000;
/// What a job was, by its name in the ledger: all of it where the project has no such job, else one milestone of it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Gone {
    job: String,
    is_whole: bool,
}

/// One delivery that nobody owns.
struct Trace {
    gone: usize,
    occasion: String,
    period: Option<PeriodKind>,
    level: Option<f64>,
    reached_at_microseconds: i64,
}

/// Deliveries without an owner, by profile as stored.
#[derive(Default)]
pub(super) struct Orphans {
    gone: Vec<Gone>,
    traces: HashMap<String, Vec<Trace>>,
}

impl Orphans {
    /// Looks for them: none in a ledger whose jobs and milestones the project all has.
    pub(super) async fn of(ledger: &dyn LedgerStore, project: &Project) -> Result<Self, RunError> {
        let mut orphans = Self::default();
        let mut rows_left = ALL_ROWS_MAX;
        for (job, stem) in unowned(ledger, project).await? {
            let limit = u32::try_from(rows_left).unwrap_or(ROWS_MAX).min(ROWS_MAX);
            let gone = Gone { job: job.clone(), is_whole: stem.is_none() };
            let filter = DeliveryFilter { job: Some(job), stem, limit: Some(limit), ..DeliveryFilter::default() };
            let rows = ledger.deliveries(&filter).await?;
            rows_left -= rows.len();
            let place = orphans.gone.iter().position(|known| *known == gone).unwrap_or_else(|| {
                orphans.gone.push(gone);
                orphans.gone.len() - 1
            });
            for row in rows {
                orphans.add(place, row, project);
            }
        }
        Ok(orphans)
    }

    fn add(&mut self, gone: usize, row: DeliveryRow, project: &Project) {
        let stem = occasion_stem(&row.occasion);
        let is_of = |kind: &PeriodKind| Period::parse(stem, *kind, project.week_starts, &project.timezone).is_some();
        let trace = Trace {
            gone,
            period: PeriodKind::ALL.into_iter().find(is_of),
            level: row.level,
            reached_at_microseconds: row.reached_at.as_microsecond(),
            occasion: row.occasion,
        };
        self.traces.entry(row.profile_id).or_default().push(trace);
    }

    /// What compares candidates of new parts of a job with them; `None` where there is nothing to compare with.
    pub(super) fn heirs<'a>(&'a self, job: &'a Job, new_parts: &[&str], identity: &'a Identity) -> Option<Heirs<'a>> {
        let new_parts = new_parts.iter().map(|part| (*part).to_owned()).collect();
        (!self.traces.is_empty()).then(|| Heirs { orphans: self, job, new_parts, identity, found: BTreeMap::new() })
    }
}

/// Jobs of the ledger that the project does not have, each with no stem, and stems of its other jobs that no milestone has.
async fn unowned(ledger: &dyn LedgerStore, project: &Project) -> Result<Vec<(String, Option<String>)>, RunError> {
    let mut unowned = Vec::new();
    for known in ledger.jobs().await? {
        let is_named = |job: &&Job| job.name == known.job || job.aliases.contains(&known.job);
        match project.jobs.iter().find(is_named).map(|job| &job.kind) {
            None => unowned.push((known.job, None)),
            // The occasions of an own view are its author's, and those of a recap are periods.
            Some(JobKind::Recap(_)) => {}
            Some(JobKind::Milestones(milestones))
                if milestones.iter().any(|one| matches!(one.source, MilestoneSource::View(_))) => {}
            Some(JobKind::Milestones(milestones)) => {
                let has =
                    |stem: &String| milestones.iter().any(|one| one.name.value == *stem || one.aliases.contains(stem));
                let stems = ledger.stems(&known.job).await?.into_iter().map(|(stem, _)| stem);
                unowned.extend(stems.filter(|stem| !has(stem)).map(|stem| (known.job.clone(), Some(stem))));
            }
        }
    }
    Ok(unowned)
}

/// Candidates of new parts that somebody was mailed about under a name that is gone.
pub(super) struct Heirs<'a> {
    orphans: &'a Orphans,
    job: &'a Job,
    new_parts: HashSet<String>,
    identity: &'a Identity,
    /// How many, by what is gone, its milestone, and the new milestone; no milestones for recaps.
    found: BTreeMap<(usize, Option<String>, Option<String>), u64>,
}

impl Heirs<'_> {
    /// Compares one candidate.
    pub(super) fn note(&mut self, candidate: &Candidate) {
        let part = candidate.milestone.as_deref().unwrap_or_default();
        if !self.new_parts.contains(part) {
            return;
        }
        let stored = self.identity.stored_key(&candidate.key);
        let traces = self.orphans.traces.get(&stored.profile_id).into_iter().flatten();
        let period = self.job.recap().map(|recap| recap.period);
        for trace in traces.filter(|trace| is_same(trace, &stored.occasion, (candidate, period))) {
            let milestone = candidate.milestone.as_ref().map(|_| occasion_stem(&trace.occasion).to_owned());
            *self.found.entry((trace.gone, milestone, candidate.milestone.clone())).or_default() += 1;
        }
    }

    /// What tells that the job, or a milestone of it, has another name now; nothing where nobody was mailed about it.
    pub(super) fn verdict(self) -> Option<Renamed> {
        let job = self.job;
        let ((gone, old, new), count) = self.found.into_iter().max_by_key(|(_, count)| *count)?;
        let gone = &self.orphans.gone[gone];
        let (what, was) = match (&new, &old) {
            (Some(new), Some(old)) if !gone.is_whole => (
                format!("the milestone `{new}` of the job `{}`", job.name),
                format!("the milestone `{old}` of the job `{}`", gone.job),
            ),
            _ => (format!("the job `{}`", job.name), format!("the job `{}`", gone.job)),
        };
        let message = format!(
            "{what} is new to the ledger, and {count} of its occasions were those of {was}, which the project no longer \
             has: under another name people would be mailed about them again, or forgotten"
        );
        Some(Renamed { message, hint: advice(job, gone, old.as_deref(), new.as_deref()) })
    }
}

/// A name that changed without `aliases:`, as it seems.
pub(super) struct Renamed {
    /// What was found.
    pub(super) message: String,
    /// The lines of YAML that say it was renamed, and how to say that it was not.
    pub(super) hint: String,
}

/// Whether a delivery is about what a candidate is about: the same occasion, the same level at the same instant, or a
/// recap of periods of the same length.
fn is_same(trace: &Trace, occasion: &str, (candidate, period): (&Candidate, Option<PeriodKind>)) -> bool {
    if trace.occasion == occasion {
        return true;
    }
    match period {
        None => {
            let instant = candidate.reached_at.as_microsecond();
            trace.period.is_none() && trace.level == candidate.level && trace.reached_at_microseconds == instant
        }
        Some(kind) => {
            let entity = |occasion: &str| occasion[occasion_stem(occasion).len()..].to_owned();
            trace.period == Some(kind) && entity(occasion) == entity(&trace.occasion)
        }
    }
}

/// The lines that say it was renamed, and the way to say that it was not.
fn advice(job: &Job, gone: &Gone, old: Option<&str>, new: Option<&str>) -> String {
    let file = &job.place.file.path;
    let mut lines = Vec::new();
    if gone.is_whole {
        lines.push(format!("`aliases: [{}]` into {file}", gone.job));
    }
    if let (Some(old), Some(new)) = (old, new)
        && old != new
        && (gone.is_whole || gone.job == job.name || job.aliases.contains(&gone.job))
    {
        lines.push(format!("`aliases: [{old}]` into its milestone `{new}` ({file})"));
    }
    let accepted = format!("`--accept {}` runs it once as a new one, which is recorded", Check::Renamed);
    if lines.is_empty() {
        return format!("keep the milestone in the job `{}`; or {accepted}", gone.job);
    }
    format!("if it was renamed, write {}; if it is really new, {accepted}", lines.join(" and "))
}

/// What the names alone tell, without data: for `check`, where there is a ledger already.
///
/// # Errors
/// When the ledger cannot be asked.
pub(super) async fn findings(ledger: &dyn LedgerStore, project: &Project) -> Result<Vec<Diagnostic>, RunError> {
    let mut findings = Vec::new();
    let unowned = unowned(ledger, project).await?;
    if unowned.is_empty() {
        return Ok(findings);
    }
    let mut gone = Vec::new();
    for (job, stem) in unowned {
        let stems = match stem {
            Some(stem) => vec![stem],
            None => ledger.stems(&job).await?.into_iter().map(|(stem, _)| stem).collect(),
        };
        let is_whole = !project.jobs.iter().any(|known| known.name == job || known.aliases.contains(&job));
        gone.push((Gone { job, is_whole }, stems));
    }
    let now = Clock::System.now();
    for job in &project.jobs {
        let lease = ledger.look(&introduction(project, job, now)).await?;
        let rules = Rules::new(project, job, &lease, (now, now));
        let new_parts: Vec<String> = rules.new_parts().map(|part| part.name.clone()).collect();
        findings.extend(gone.iter().filter_map(|(gone, stems)| finding(project, job, &new_parts, (gone, stems))));
    }
    Ok(findings)
}

/// A finding where the new parts of a job have names, or periods, of what is gone.
fn finding(
    project: &Project,
    job: &Job,
    new_parts: &[String],
    (gone, stems): (&Gone, &[String]),
) -> Option<Diagnostic> {
    let (old, new, place) = match &job.kind {
        JobKind::Recap(recap) => {
            let is_of =
                |stem: &String| Period::parse(stem, recap.period, project.week_starts, &project.timezone).is_some();
            let is_alike = gone.is_whole && !new_parts.is_empty() && stems.iter().any(is_of);
            is_alike.then_some((None, None, &job.place))?
        }
        JobKind::Milestones(milestones) => {
            let is_new = |one: &&Milestone| new_parts.contains(&one.name.value);
            let mut new = milestones.iter().filter(is_new);
            let shared =
                |one: &Milestone| stems.iter().find(|stem| one.name.value == **stem || one.aliases.contains(stem));
            if gone.is_whole {
                let (one, stem) = new.find_map(|one| Some((one, shared(one)?)))?;
                (Some(stem.as_str()), Some(one.name.value.as_str()), &job.place)
            } else {
                let one = new.next().filter(|_| gone.job == job.name || job.aliases.contains(&gone.job))?;
                (stems.first().map(String::as_str), Some(one.name.value.as_str()), &one.name.place)
            }
        }
    };
    let (what, code) = match (old, new) {
        (Some(old), Some(new)) if !gone.is_whole => (
            format!(
                "the ledger has deliveries of the milestone `{old}`, which the job no longer has, and `{new}` is new"
            ),
            "renamed-milestone",
        ),
        _ => (
            format!(
                "the ledger has deliveries of the job `{}`, which the project no longer has, and `{}` is new and like it",
                gone.job, job.name
            ),
            "renamed-job",
        ),
    };
    Some(Diagnostic::warning(code, what, place).with_help(advice(job, gone, old, new)))
}

fn introduction(project: &Project, job: &Job, now: Timestamp) -> RunRequest {
    RunRequest {
        run_id: "check".to_owned(),
        job: job.name.clone(),
        aliases: job.aliases.clone(),
        project: project.name.clone(),
        environment: project.environment.clone(),
        marketing: job.category == Category::Marketing,
        as_of: now,
        now,
    }
}
