//! Which periods a recap is about: one, one per zone of its recipients, or all that fell due in an interval.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::error::EvaluateError;
use super::request::{PeriodChoice, Request};
use crate::model::period::WeekStart;
use crate::model::{Period, PeriodKind};
use crate::project::{Project, Recap, RecapZone};

/// The text of a zone in the audience that names none: the project's counts.
pub(super) const NO_ZONE: &str = "";

/// How a recap's periods are cut and when they are due.
#[derive(Clone, Debug)]
pub(super) struct Calendar {
    kind: PeriodKind,
    zone: TimeZone,
    week_start: WeekStart,
    settle: jiff::SignedDuration,
    /// Whether each profile has the periods of its own zone.
    pub(super) per_profile: bool,
}

/// Periods that are evaluated together: one, or one per zone.
#[derive(Clone, Debug, Default)]
pub(super) struct Slot {
    /// The periods; never empty. A row of the matrix names its own by position.
    pub(super) periods: Vec<Period>,
    /// The zones of the audience, each with the position of its period; `None` where it has none here.
    pub(super) zones: BTreeMap<String, Option<usize>>,
}

impl Slot {
    fn of(period: Period) -> Self {
        Self { periods: vec![period], zones: BTreeMap::new() }
    }

    fn add(&mut self, zone: &str, period: Period) {
        self.zones.insert(zone.to_owned(), Some(self.periods.len()));
        self.periods.push(period);
    }

    /// The period of entities that nobody in the audience belongs to.
    pub(super) fn fallback(&self) -> Option<usize> {
        self.zones.get(NO_ZONE).copied().flatten()
    }
}

impl Calendar {
    /// The calendar of a recap.
    pub(super) fn new(project: &Project, recap: &Recap) -> Self {
        Self {
            kind: recap.period,
            zone: project.timezone.clone(),
            week_start: project.week_starts,
            settle: recap.settle,
            per_profile: recap.zone == RecapZone::Profile,
        }
    }

    /// The instant from which a period is due.
    pub(super) fn due(&self, period: &Period) -> Timestamp {
        period.end().checked_add(self.settle).unwrap_or(Timestamp::MAX)
    }

    /// The kind of the periods.
    pub(super) fn kind(&self) -> PeriodKind {
        self.kind
    }

    /// The zone a text names, if it names one.
    pub(super) fn named_zone(text: &str) -> Option<TimeZone> {
        TimeZone::get(text.trim()).ok().filter(|zone| zone.iana_name().is_some())
    }

    /// What a request asks for, in the order in which it is evaluated; `zones` are the texts found in the audience.
    pub(super) fn slots(&self, request: &Request, zones: &[String]) -> Result<Vec<Slot>, EvaluateError> {
        if !self.per_profile {
            return Ok(self.periods(&self.zone, request)?.into_iter().map(Slot::of).collect());
        }
        let mut slots: BTreeMap<Option<Date>, Slot> = BTreeMap::new();
        let mut undue = None;
        let texts = zones.iter().map(String::as_str).filter(|text| *text != NO_ZONE).chain([NO_ZONE]);
        for text in texts.clone() {
            let zone = Self::named_zone(text).unwrap_or_else(|| self.zone.clone());
            let periods = match self.periods(&zone, request) {
                Err(error @ EvaluateError::NotYetDue { .. }) => {
                    undue = Some(error);
                    continue;
                }
                periods => periods?,
            };
            for period in periods {
                // What is due at one moment may be two periods in different zones; they share their queries.
                let key = matches!(request.period, PeriodChoice::Interval { start, end } if start < end);
                slots.entry(key.then(|| period.first_day())).or_default().add(text, period);
            }
        }
        let mut slots: Vec<Slot> = slots.into_values().collect();
        for slot in &mut slots {
            for text in texts.clone() {
                slot.zones.entry(text.to_owned()).or_insert(None);
            }
        }
        match undue {
            Some(error) if slots.is_empty() => Err(error),
            _ => Ok(slots),
        }
    }

    /// What a request asks for in words that ask for it again; `None` for the latest due of each zone.
    pub(super) fn described(&self, request: &Request) -> Result<Option<String>, EvaluateError> {
        let periods = if self.per_profile { Vec::new() } else { self.periods(&self.zone, request)? };
        match periods.as_slice() {
            [period] => Ok(Some(period.key())),
            _ => Ok(request.period.text()),
        }
    }

    fn latest_due(&self, zone: &TimeZone, at: Timestamp) -> Option<Period> {
        let settled = at.checked_sub(self.settle).unwrap_or(Timestamp::MIN);
        Period::latest_ended(settled, self.kind, self.week_start, zone)
    }

    /// The periods a request asks for in one zone, oldest first.
    fn periods(&self, zone: &TimeZone, request: &Request) -> Result<Vec<Period>, EvaluateError> {
        let latest = self.latest_due(zone, request.as_of);
        let unknown = |key: &str| EvaluateError::UnknownPeriod {
            key: key.to_owned(),
            kind: self.kind.name(),
            example: latest.as_ref().map_or_else(|| "2026-11".to_owned(), Period::key),
        };
        match &request.period {
            PeriodChoice::Interval { start, end } if start < end => Ok(self.due_within(zone, *start, *end)),
            PeriodChoice::LatestDue | PeriodChoice::Interval { .. } => {
                latest.clone().map(|period| vec![period]).ok_or_else(|| unknown(&request.as_of.to_string()))
            }
            PeriodChoice::Key(key) => {
                let period = Period::parse(key, self.kind, self.week_start, zone).ok_or_else(|| unknown(key))?;
                let due = self.due(&period);
                if due > request.as_of {
                    return Err(EvaluateError::NotYetDue { key: key.clone(), due, as_of: request.as_of });
                }
                Ok(vec![period])
            }
        }
    }

    /// The periods whose due instant lies in `[start, end)`.
    fn due_within(&self, zone: &TimeZone, start: Timestamp, end: Timestamp) -> Vec<Period> {
        let latest = self.latest_due(zone, end);
        let backwards = std::iter::successors(latest, Period::previous).skip_while(|period| self.due(period) >= end);
        let mut periods: Vec<Period> = backwards.take_while(|period| self.due(period) >= start).collect();
        periods.reverse();
        periods
    }

    /// The end of the last period that a request is about, in the project's zone; `None` where an interval has none.
    pub(super) fn last_end(&self, request: &Request) -> Result<Option<Timestamp>, EvaluateError> {
        Ok(self.periods(&self.zone, request)?.last().map(Period::end))
    }

    /// Any slot, for checks that read no rows.
    pub(super) fn any(&self) -> Option<Slot> {
        let period = Period::containing(Timestamp::UNIX_EPOCH, self.kind, self.week_start, &self.zone)?;
        let mut slot = Slot::default();
        slot.add(NO_ZONE, period);
        Some(slot)
    }
}
