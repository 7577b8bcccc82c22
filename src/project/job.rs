//! One job, valid by construction: milestones or a recap.

use std::path::PathBuf;

use jiff::SignedDuration;

use super::project::Start;
use super::restraint::{JobWindow, Share, Variants};
use crate::model::diagnostic::{Located, Place};
use crate::model::number::Level;
use crate::model::period::PeriodKind;
use crate::model::{Mailbox, Period};

/// One file of `jobs/`.
#[derive(Debug)]
pub struct Job {
    /// Identity in the ledger.
    pub name: String,
    /// Earlier names whose deliveries count as this job's.
    pub aliases: Vec<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// For `--select tag:x`.
    pub tags: Vec<String>,
    /// When its milestones begin to count.
    pub start: Start,
    /// The table or view of profiles it may mail.
    pub audience: Located<String>,
    /// Decides caps and unsubscribe.
    pub category: Category,
    /// Which of the project's providers takes its mails.
    pub provider: Located<String>,
    /// The sender.
    pub sender: Mailbox,
    /// Where answers go.
    pub reply_to: Option<Mailbox>,
    /// Shown in marketing mail as `{{ postal_address }}`.
    pub postal_address: Option<String>,
    /// Milestones or a recap.
    pub kind: JobKind,
    /// Later than this after `reached_at` is expired; `None`: until the next period is due.
    pub mail_within: Option<SignedDuration>,
    /// Volume guards.
    pub limits: Limits,
    /// What becomes of unknown outcomes.
    pub on_unknown: OnUnknown,
    /// Where every run writes its flags or its matrix: an absolute local folder or a URL.
    pub publish: Option<Located<String>>,
    /// Higher runs earlier.
    pub priority: i64,
    /// The share of its profiles that is not mailed, so that lift can be measured.
    pub holdout: Option<Share>,
    /// When its mail may leave; any time where absent.
    pub window: Option<JobWindow>,
    /// Where the job's name is written.
    pub place: Place,
}

/// Marketing or transactional.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    /// Needs a way to leave.
    Marketing,
    /// Mail the recipient asked for.
    Transactional,
}

/// Volume guards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most mails of a first run without `--confirm`; 1,000 by default.
    pub first_run: u64,
    /// The most mails of any run without `--confirm`.
    pub per_run: Option<u64>,
}

/// What becomes of unknown outcomes once no evidence can come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnUnknown {
    /// Held for a person.
    #[default]
    Hold,
    /// Dispatched again: may mail twice.
    Resend,
    /// Taken as accepted.
    AssumeAccepted,
}

/// What a job computes.
#[derive(Debug)]
pub enum JobKind {
    /// Named thresholds; never empty.
    Milestones(Vec<Milestone>),
    /// A metric matrix per period.
    Recap(Box<Recap>),
}

/// One milestone of a job.
#[derive(Debug)]
pub struct Milestone {
    /// Part of the occasion.
    pub name: Located<String>,
    /// Earlier names.
    pub aliases: Vec<String>,
    /// What is measured.
    pub source: MilestoneSource,
    /// Whom it is measured for: an event column that joins the audience column; `None`: the profile.
    pub entity: Option<Entity>,
    /// A SQL predicate over audience columns, `level` and `value`.
    pub only_if: Option<Located<String>>,
    /// How late its rows may land: the table's, or of a view the longest of all tables.
    pub lookback: SignedDuration,
    /// What is mailed.
    pub message: MessageSpec,
}

/// Where a milestone's flags come from.
#[derive(Debug)]
pub enum MilestoneSource {
    /// A running measure over events that meets levels.
    Reaches(Box<Reaches>),
    /// One moment told by a single event.
    Moment(Box<Moment>),
    /// An own view with `profile_id`, `reached_at` and optional `level`, `occasion`.
    View(Located<String>),
}

/// A running measure over events that meets levels.
#[derive(Debug)]
pub struct Reaches {
    /// The rows that count.
    pub rows: EventRows,
    /// What is added up.
    pub measure: Measure,
    /// The levels.
    pub levels: Levels,
    /// What is mailed when one run crosses several levels.
    pub send: SendLevels,
}

/// One moment told by a single event: a nudge, a silence or an anniversary.
#[derive(Debug)]
pub struct Moment {
    /// The rows of that event.
    pub rows: EventRows,
    /// Which moment.
    pub kind: MomentKind,
}

/// Which moment an event tells.
#[derive(Clone, Debug)]
pub enum MomentKind {
    /// So long after the first row, unless the other event happened at or after it.
    Without {
        /// The event that makes it pointless.
        event: Located<String>,
        /// How long after the first row.
        after: SignedDuration,
    },
    /// So long after the last row.
    Inactive(SignedDuration),
    /// Each year after the first row.
    Anniversary,
}

/// The rows of a table or view that count for a profile.
#[derive(Clone, Debug)]
pub struct EventRows {
    /// Table or view; `events` by default.
    pub from: Located<String>,
    /// Only rows whose event column holds this.
    pub event: Option<Located<String>>,
    /// The event column; `event` by default.
    pub event_column: Option<Located<String>>,
    /// A SQL predicate on the rows.
    pub filter: Option<Located<String>>,
    /// The profile column; `user_id` if it exists, else `profile_id`.
    pub profile: Option<Located<String>>,
    /// The time column, where `from` is a view.
    pub time: Option<Located<String>>,
    /// The duplicate column, where `from` is a view.
    pub dedup: Option<Located<String>>,
}

/// What a milestone adds up.
#[derive(Clone, Debug, PartialEq)]
pub enum Measure {
    /// `count(*)`.
    Count,
    /// `sum(expression)`: the SQL inside.
    Sum(Located<String>),
    /// `count(distinct expression)`: the SQL inside.
    Distinct(Located<String>),
    /// `max(expression)`: the SQL inside.
    Max(Located<String>),
    /// Consecutive days or weeks with at least one row, in the profile's zone.
    Streak(StreakUnit),
}

/// What a streak counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreakUnit {
    /// Local days.
    Day,
    /// Local weeks, from the project's first day of the week.
    Week,
}

/// The levels of a milestone.
#[derive(Clone, Debug, PartialEq)]
pub enum Levels {
    /// Ascending, without repeats, never empty.
    List(Vec<Level>),
    /// Every multiple.
    Every(Level),
}

/// What is mailed when one run crosses several levels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SendLevels {
    /// Only the highest; lower ones are superseded.
    #[default]
    Highest,
    /// Each of them.
    Each,
}

/// A metric matrix per period.
#[derive(Debug)]
pub struct Recap {
    /// The length of the period.
    pub period: PeriodKind,
    /// Whose midnight.
    pub zone: RecapZone,
    /// The wait after the end for late events.
    pub settle: SignedDuration,
    /// The rows that count; `event` is never set.
    pub rows: EventRows,
    /// What is measured: an event column that joins the audience column; `None`: the profile.
    pub entity: Option<Entity>,
    /// The audience column before which comparison periods are null.
    pub since: Option<Located<String>>,
    /// Which earlier periods are compared.
    pub compare: Vec<Compare>,
    /// A SQL predicate over the metrics.
    pub only_if: Option<Located<String>>,
    /// The metrics in declared order; never empty.
    pub metrics: Vec<Metric>,
    /// The second dimension.
    pub by: Option<Breakdown>,
    /// The top lists in declared order.
    pub top: Vec<TopList>,
    /// What is mailed.
    pub message: MessageSpec,
}

/// What is measured, when not the profile.
#[derive(Clone, Debug)]
pub struct Entity {
    /// The column of the event rows.
    pub source: Located<String>,
    /// The column of the audience.
    pub audience: Located<String>,
}

/// Whose midnight bounds a recap's period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RecapZone {
    /// The project's.
    #[default]
    Project,
    /// The recipient's, in the audience column `timezone`.
    Profile,
}

/// An earlier period to compare with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// The period before.
    Previous,
    /// The same period a year before.
    LastYear,
    /// The average of this many periods before; at least 1.
    Average(u16),
}

/// One metric of a recap.
#[derive(Clone, Debug)]
pub struct Metric {
    /// The name in SQL, templates and output.
    pub name: Located<String>,
    /// What people read; the name with spaces by default.
    pub label: String,
    /// A SQL aggregate over the rows.
    pub sql: Located<String>,
    /// A number format such as `0.0`.
    pub format: Option<String>,
    /// Whether it is told for each day of the period.
    pub trend: Option<Located<Trend>>,
    /// Where rank and percentile among all active entities are asked for.
    pub rank: Option<Place>,
    /// What is aimed at.
    pub goal: Option<Located<Level>>,
}

/// The steps of a trend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trend {
    /// Local days of the period's zone.
    Day,
    /// Weeks of the project, from `week_starts`.
    Week,
    /// Months of the calendar.
    Month,
}

/// The second dimension of a recap.
#[derive(Clone, Debug)]
pub struct Breakdown {
    /// The column of the rows.
    pub column: Located<String>,
    /// Names of metrics; the first one orders. Never empty.
    pub metrics: Vec<Located<String>>,
    /// How many values have a row of their own.
    pub top: u16,
}

/// A list of the greatest values of a column.
#[derive(Clone, Debug)]
pub struct TopList {
    /// The name in templates.
    pub name: Located<String>,
    /// The column of the rows.
    pub column: Located<String>,
    /// A SQL aggregate over the rows.
    pub sql: Located<String>,
    /// The most entries.
    pub limit: u16,
}

/// What is mailed.
#[derive(Clone, Debug)]
pub struct MessageSpec {
    /// A liquid template of one line.
    pub subject: Located<String>,
    /// The `.mjml` or `.html` template, absolute, and where it is named.
    pub template: Located<PathBuf>,
    /// The text part's template, absolute; made from the HTML where absent.
    pub text: Option<Located<PathBuf>>,
    /// A liquid template of the line shown after the subject.
    pub preheader: Option<Located<String>>,
    /// Overrides the job's.
    pub reply_to: Option<Mailbox>,
    /// Further headers.
    pub headers: Vec<(String, Located<String>)>,
    /// Other ways to write it; where there are any, the fields above are those of the first.
    pub variants: Variants,
}

impl Job {
    /// The messages of the job by candidate part: one per milestone, one for a recap.
    #[must_use]
    pub fn messages(&self) -> Vec<&MessageSpec> {
        match &self.kind {
            JobKind::Milestones(milestones) => milestones.iter().map(|milestone| &milestone.message).collect(),
            JobKind::Recap(recap) => vec![&recap.message],
        }
    }

    /// The recap, where the job is one.
    #[must_use]
    pub fn recap(&self) -> Option<&Recap> {
        match &self.kind {
            JobKind::Recap(recap) => Some(recap),
            JobKind::Milestones(_) => None,
        }
    }
}

impl Recap {
    /// The instant from which a period of this recap is due.
    #[must_use]
    pub fn due(&self, period: &Period) -> jiff::Timestamp {
        period.end().checked_add(self.settle).unwrap_or(jiff::Timestamp::MAX)
    }
}
