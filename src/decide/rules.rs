//! What a job's file, the ledger and the clocks say about every candidate of a run.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::ledger::Lease;
use crate::model::{Candidate, Level};
use crate::project::{Job, JobKind, Levels, Milestone, MilestoneSource, SendLevels, Start};

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
}

/// The rules of one run of one job.
#[derive(Clone, Debug)]
pub struct Rules {
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
    pub fn new(job: &Job, lease: &Lease, as_of: Timestamp, wall: Timestamp) -> Self {
        let parts = match &job.kind {
            JobKind::Milestones(milestones) => milestones.iter().map(Part::of).collect(),
            JobKind::Recap(_) => vec![Part {
                name: String::new(),
                aliases: Vec::new(),
                levels: Vec::new(),
                highest_only: false,
                own_view: false,
            }],
        };
        Self { start: job.start, starts: lease.starts.clone(), as_of, wall, mail_within: job.mail_within, parts }
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
    fn of(milestone: &Milestone) -> Self {
        let (levels, highest_only, own_view) = match &milestone.source {
            MilestoneSource::Reaches(reaches) => {
                let levels = match &reaches.levels {
                    Levels::List(levels) => levels.clone(),
                    Levels::Every(_) => Vec::new(),
                };
                (levels, reaches.send == SendLevels::Highest, false)
            }
            // Levels of an own view are its author's: nothing says that one takes another's place.
            MilestoneSource::View(_) => (Vec::new(), false, true),
        };
        Self { name: milestone.name.value.clone(), aliases: milestone.aliases.clone(), levels, highest_only, own_view }
    }
}
