//! Which period a recap is about.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::error::EvaluateError;
use super::request::{PeriodChoice, Request};
use crate::model::period::WeekStart;
use crate::model::{Period, PeriodKind};
use crate::project::{Project, Recap};

/// How a recap's periods are cut and when they are due.
#[derive(Clone, Debug)]
pub(super) struct Calendar {
    kind: PeriodKind,
    zone: TimeZone,
    week_start: WeekStart,
    settle: jiff::SignedDuration,
}

impl Calendar {
    /// The calendar of a recap.
    pub(super) fn new(project: &Project, recap: &Recap) -> Self {
        let (zone, week_start) = (project.timezone.clone(), project.week_starts);
        Self { kind: recap.period, zone, week_start, settle: recap.settle }
    }

    /// The instant from which a period is due.
    pub(super) fn due(&self, period: &Period) -> Timestamp {
        period.end().checked_add(self.settle).unwrap_or(Timestamp::MAX)
    }

    /// The period a request asks for.
    pub(super) fn choose(&self, request: &Request) -> Result<Period, EvaluateError> {
        let settled = request.as_of.checked_sub(self.settle).unwrap_or(Timestamp::MIN);
        let latest = Period::latest_ended(settled, self.kind, self.week_start, &self.zone);
        let unknown = |key: &str| EvaluateError::UnknownPeriod {
            key: key.to_owned(),
            kind: self.kind.name(),
            example: latest.as_ref().map_or_else(|| "2026-11".to_owned(), Period::key),
        };
        let key = match &request.period {
            PeriodChoice::LatestDue => return latest.clone().ok_or_else(|| unknown(&request.as_of.to_string())),
            PeriodChoice::Key(key) => key,
        };
        let period = Period::parse(key, self.kind, self.week_start, &self.zone).ok_or_else(|| unknown(key))?;
        let due = self.due(&period);
        if due > request.as_of {
            return Err(EvaluateError::NotYetDue { key: key.clone(), due, as_of: request.as_of });
        }
        Ok(period)
    }

    /// Any period, for checks that read no rows.
    pub(super) fn any(&self) -> Option<Period> {
        Period::containing(Timestamp::UNIX_EPOCH, self.kind, self.week_start, &self.zone)
    }
}
