//! What a run asks of a job.

use jiff::Timestamp;

/// When, for which period and for whom a job is evaluated.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The run's logical now: rows later than this are invisible.
    pub as_of: Timestamp,
    /// Which period of a recap; milestones pass over it.
    pub period: PeriodChoice,
    /// Only these profiles: `--only`, and batches that are made again.
    pub profiles: Option<Vec<String>>,
}

/// Which period of a recap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PeriodChoice {
    /// The latest one that is due at `as_of`.
    #[default]
    LatestDue,
    /// The one with this key.
    Key(String),
    /// Those whose due instant lies in `[start, end)`; an interval without width is the latest due one.
    Interval {
        /// The first instant.
        start: Timestamp,
        /// The first instant after it: `as_of`.
        end: Timestamp,
    },
}

impl PeriodChoice {
    /// Reads `2026-W46` or `2026-11-01T06:00:00Z..2026-11-02T06:00:00Z`; nothing is the latest due.
    #[must_use]
    pub fn of(text: Option<&str>) -> Self {
        let Some(text) = text else { return Self::LatestDue };
        let bounds = text.split_once("..").and_then(|(start, end)| Some((start.parse().ok()?, end.parse().ok()?)));
        match bounds {
            Some((start, end)) => Self::Interval { start, end },
            None => Self::Key(text.to_owned()),
        }
    }

    /// What [`of`](Self::of) reads back; `None` for the latest due.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        match self {
            Self::LatestDue => None,
            Self::Key(key) => Some(key.clone()),
            Self::Interval { start, end } => Some(format!("{start}..{end}")),
        }
    }
}

/// One query of a compiled job, as `milepost compile` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// What it finds.
    pub title: String,
    /// The SQL, with `$parameters`.
    pub sql: String,
}

/// What was seen beside the candidates; complete when the stream has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Flags and active entities without an audience row.
    pub not_in_audience: u64,
    /// Event and audience rows without an id: dropped.
    pub null_ids: u64,
    /// Event rows without a time: dropped.
    pub null_times: u64,
    /// Rows of own views whose profile and occasion an earlier row has: dropped.
    pub repeated_occasions: u64,
    /// Rows of own views whose level is not a positive number: dropped.
    pub invalid_levels: u64,
    /// Audience rows whose zone is absent or does not exist: the project's is taken.
    pub unknown_zones: u64,
    /// Levels of an `every` milestone left out because one event crossed very many.
    pub levels_left_out: u64,
    /// Audience rows in whose zone the period asked for is not due yet.
    pub not_yet_due: u64,
    /// Flags and active entities that have an audience row.
    pub in_audience: u64,
    /// Rows of the audience; `None` where they were not counted.
    pub audience_rows: Option<u64>,
    /// Rows of the list of the suppressed; `None` where the project has none.
    pub suppressed_rows: Option<u64>,
}

impl Tally {
    /// The counts by name, for reports.
    pub fn by_reason(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
        [
            ("not_in_audience", self.not_in_audience),
            ("null_ids", self.null_ids),
            ("null_times", self.null_times),
            ("repeated_occasions", self.repeated_occasions),
            ("invalid_levels", self.invalid_levels),
            ("unknown_zones", self.unknown_zones),
            ("levels_left_out", self.levels_left_out),
            ("not_yet_due", self.not_yet_due),
        ]
        .into_iter()
    }

    /// Both together.
    #[must_use]
    pub(super) fn and(self, other: &Self) -> Self {
        Self {
            not_in_audience: self.not_in_audience + other.not_in_audience,
            null_ids: self.null_ids + other.null_ids,
            null_times: self.null_times + other.null_times,
            repeated_occasions: self.repeated_occasions + other.repeated_occasions,
            invalid_levels: self.invalid_levels + other.invalid_levels,
            unknown_zones: self.unknown_zones + other.unknown_zones,
            levels_left_out: self.levels_left_out + other.levels_left_out,
            not_yet_due: self.not_yet_due + other.not_yet_due,
            in_audience: self.in_audience + other.in_audience,
            audience_rows: self.audience_rows.or(other.audience_rows),
            suppressed_rows: self.suppressed_rows.or(other.suppressed_rows),
        }
    }
}
