//! What a job's file, the ledger and the clocks say about every candidate of a run.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::ledger::Lease;
use crate::model::{Candidate, Level};
use crate::project::{
    Cap, Category, Job, JobKind, JobWindow, Levels, Measure, MessageSpec, Milestone, MilestoneSource, MomentKind,
    Project, SendLevels, Share, Start,
};

/// One milestone of the job, or the recap.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// The milestone's name; empty for a recap.
    pub name: String,
    /// Earlier names of the milestone.
    pub aliases: Vec<String>,
    /// The levels that start one by one: those of a list; empty where the part starts as a whole.
    pub levels: Vec<Level>,
    /// Whether a higher level takes the place of lower ones.
    pub highest_only: bool,
    /// Whether `start: {since: ...}` needs the ledger: an own view may come without `reached_at`.
    pub own_view: bool,
    /// Streaks and silences: how near to each other two of them are still the same one.
    pub anchor_slack: Option<SignedDuration>,
    /// The message's variants with their weights, in declared order.
    pub variants: Vec<(String, f64)>,
    /// The milestone that declares them; empty when the job does.
    pub salt: String,
}

/// The rules of one run of one job.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The project's name, part of every stable hash.
    pub project: String,
    /// The job's name.
    pub job: String,
    /// Earlier names of the job.
    pub aliases: Vec<String>,
    /// Whether its mails are marketing: what caps count and leaving a list is about.
    pub marketing: bool,
    /// The share of profiles that is not mailed.
    pub holdout: Option<Share>,
    /// The project's caps.
    pub caps: Vec<Cap>,
    /// When its mail may leave.
    pub window: Option<JobWindow>,
    /// The project's zone, where a profile names none.
    pub zone: TimeZone,
    /// The job's start policy.
    pub start: Start,
    /// `start: from_now` instants of the ledger.
    pub starts: BTreeMap<String, Timestamp>,
    /// The run's logical now: the start of parts that the ledger does not have.
    pub as_of: Timestamp,
    /// Wall-clock time, or `as_of` under `--replay`.
    pub wall: Timestamp,
    /// How long after `reached_at` mailing makes sense; `None`: until the candidate's own `expires_at`.
    pub mail_within: Option<SignedDuration>,
    /// By `Candidate::part`.
    pub parts: Vec<Part>,
}

impl Rules {
    /// The rules of a job, with what its lease says; `wall` is `as_of` under `--replay`.
    #[must_use]
    pub fn new(project: &Project, job: &Job, lease: &Lease, (as_of, wall): (Timestamp, Timestamp)) -> Self {
        let parts = match &job.kind {
            JobKind::Milestones(milestones) => milestones.iter().map(Part::of).collect(),
            JobKind::Recap(recap) => vec![Part::named("", &recap.message)],
        };
        Self {
            project: project.name.clone(),
            job: job.name.clone(),
            aliases: job.aliases.clone(),
            marketing: job.category == Category::Marketing,
            holdout: job.holdout,
            caps: project.caps.clone(),
            window: job.window,
            zone: project.timezone.clone(),
            start: job.start,
            starts: lease.starts.clone(),
            as_of,
            wall,
            mail_within: job.mail_within,
            parts,
        }
    }

    /// Later than `mail_within` after `reached_at`, or the candidate's own end has come.
    pub(super) fn is_expired(&self, candidate: &Candidate) -> bool {
        let too_late = self.mail_within.is_some_and(|within| {
            let limit = candidate.reached_at.checked_add(within).unwrap_or(Timestamp::MAX);
            self.wall > limit
        });
        too_late || candidate.expires_at.is_some_and(|end| self.wall >= end)
    }
}

impl Part {
    /// A part that starts as a whole.
    fn named(name: &str, message: &MessageSpec) -> Self {
        let variants = &message.variants;
        Self {
            name: name.to_owned(),
            aliases: Vec::new(),
            levels: Vec::new(),
            highest_only: false,
            own_view: false,
            anchor_slack: None,
            variants: variants.list.iter().map(|variant| (variant.name.clone(), variant.weight)).collect(),
            salt: variants.salt.clone(),
        }
    }

    fn of(milestone: &Milestone) -> Self {
        let mut part = Self::named(&milestone.name.value, &milestone.message);
        part.aliases.clone_from(&milestone.aliases);
        // Late rows may move a first day by the table's lookback, another zone by a day.
        let slack = milestone.lookback.saturating_add(SignedDuration::from_hours(24));
        match &milestone.source {
            MilestoneSource::Reaches(reaches) => {
                if let Levels::List(levels) = &reaches.levels {
                    part.levels.clone_from(levels);
                }
                part.highest_only = reaches.send == SendLevels::Highest;
                part.anchor_slack = matches!(reaches.measure, Measure::Streak(_)).then_some(slack);
            }
            MilestoneSource::Moment(moment) => {
                part.anchor_slack = matches!(moment.kind, MomentKind::Inactive(_)).then_some(slack);
            }
            // Levels of an own view are its author's: nothing says that one takes another's place.
            MilestoneSource::View(_) => part.own_view = true,
        }
        part
    }
}
