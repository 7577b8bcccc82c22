//! The periods of a matrix as ranges of instants: the one it is about and those it is compared with.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::period::Slot;
use super::pruning;
use super::recap::RecapPlan;
use super::sql::name;
use crate::model::{Period, PeriodKind};
use crate::project::Compare;
use crate::warehouse::arrow::array::{
    ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use crate::warehouse::arrow::datatypes::{DataType, Field, Schema};
use crate::warehouse::arrow::error::ArrowError;
use crate::warehouse::{PERIOD_END, PERIOD_START, Parameter, Parameters};

/// The first instant of the earliest of the consecutive periods.
pub(super) const FIRST: &str = "milepost_first";
/// The table of periods by zone.
pub(super) const CALENDARS: &str = "milepost_calendars";
/// The table of the audience's zones.
pub(super) const ZONES: &str = "milepost_zones";
/// The position of a zone without a period.
const NOWHERE: i64 = -1;

/// Which periods are compared.
#[derive(Clone, Debug, Default)]
pub(super) struct Windows {
    pub(super) previous: bool,
    pub(super) average: Option<u16>,
    pub(super) last_year: bool,
    /// Whether bounds stand in the calendar table, one row per zone, instead of parameters.
    per_zone: bool,
    /// Periods of a year, where a year before is always so many periods before.
    periods_a_year: Option<u16>,
}

/// A bound of a period in SQL.
#[derive(Clone, Copy, Debug)]
pub(super) enum Bound {
    /// The start of the period so many before.
    Start(u16),
    End,
    LastYearStart,
    LastYearEnd,
    HasLastYear,
    Zone,
    Key,
}

impl Windows {
    pub(super) fn new(compare: &[Compare], kind: PeriodKind, per_zone: bool) -> Self {
        let average = compare.iter().find_map(|compare| match compare {
            Compare::Average(count) => Some(*count),
            _ => None,
        });
        let periods_a_year = match kind {
            PeriodKind::Month => Some(12),
            PeriodKind::Quarter => Some(4),
            PeriodKind::Year => Some(1),
            PeriodKind::Day | PeriodKind::Week => None,
        };
        Self {
            previous: compare.contains(&Compare::Previous),
            average,
            last_year: compare.contains(&Compare::LastYear),
            per_zone,
            periods_a_year,
        }
    }

    /// How many consecutive earlier periods are read.
    pub(super) fn depth(&self) -> u16 {
        self.average.unwrap_or(0).max(u16::from(self.previous))
    }

    /// The index of the period a year before: one of the consecutive ones, or the one after them.
    pub(super) fn last_year_index(&self) -> u16 {
        self.periods_a_year.filter(|count| *count <= self.depth()).unwrap_or(self.depth() + 1)
    }

    /// The indexes beside the period itself.
    pub(super) fn earlier(&self) -> Vec<u16> {
        let own = self.last_year && self.last_year_index() > self.depth();
        (1..=self.depth()).chain(own.then(|| self.last_year_index())).collect()
    }

    /// A bound as SQL.
    pub(super) fn bound(&self, bound: Bound) -> String {
        let column = match bound {
            Bound::Start(0) if !self.per_zone => return format!("${PERIOD_START}"),
            Bound::End if !self.per_zone => return format!("${PERIOD_END}"),
            Bound::Start(index) => format!("start_{index}"),
            Bound::End => "end".to_owned(),
            Bound::LastYearStart => "last_year_start".to_owned(),
            Bound::LastYearEnd => "last_year_end".to_owned(),
            Bound::HasLastYear => "has_last_year".to_owned(),
            Bound::Zone => "zone".to_owned(),
            Bound::Key => "period_key".to_owned(),
        };
        if self.per_zone { name(&format!("#{column}")) } else { format!("$milepost_{column}") }
    }

    /// The start of an earlier period by its index.
    pub(super) fn start_of(&self, index: u16) -> String {
        self.bound(if index > self.depth() { Bound::LastYearStart } else { Bound::Start(index) })
    }

    /// The index of the period that holds an instant; null outside of all.
    pub(super) fn index(&self, instant: &str) -> String {
        let mut cases = format!("case when {instant} >= {} then null", self.bound(Bound::End));
        for index in 0..=self.depth() {
            cases += &format!(" when {instant} >= {} then {index}", self.bound(Bound::Start(index)));
        }
        if self.last_year && self.last_year_index() > self.depth() {
            let (start, end) = (self.bound(Bound::LastYearStart), self.bound(Bound::LastYearEnd));
            cases += &format!(" when {instant} >= {start} and {instant} < {end} then {}", self.last_year_index());
        }
        cases + " end"
    }

    /// The starts of a period and of the consecutive earlier ones.
    fn starts(&self, period: &Period) -> Vec<Timestamp> {
        let periods = std::iter::successors(Some(period.clone()), Period::previous);
        let mut starts: Vec<Timestamp> =
            periods.take(usize::from(self.depth()) + 1).map(|period| period.start()).collect();
        starts.resize(usize::from(self.depth()) + 1, Timestamp::MIN);
        starts
    }
}

/// The earliest start and the latest end.
fn hull(ranges: impl Iterator<Item = (Timestamp, Timestamp)>) -> Option<(Timestamp, Timestamp)> {
    ranges.reduce(|left, right| (left.0.min(right.0), left.1.max(right.1)))
}

impl RecapPlan {
    /// Everything that is bound for a slot.
    pub(super) fn parameters(&self, slot: &Slot, as_of: Timestamp) -> Parameters {
        let windows = &self.windows;
        let instant = Parameter::Instant;
        let range = hull(slot.periods.iter().map(|period| (period.start(), period.end())));
        let (start, end) = range.unwrap_or((as_of, as_of));
        let first =
            slot.periods.iter().filter_map(|period| windows.starts(period).last().copied()).min().unwrap_or(start);
        let years_before =
            slot.periods.iter().filter_map(Period::last_year).map(|period| (period.start(), period.end()));
        let last_year = hull(years_before);
        let (year_start, year_end) = last_year.unwrap_or((start, start));
        let mut parameters = Parameters::default()
            .with(PERIOD_START, instant(start))
            .with(PERIOD_END, instant(end))
            .with(FIRST, instant(first))
            .with("milepost_last_year_start", instant(year_start))
            .with("milepost_last_year_end", instant(year_end))
            .with("milepost_has_last_year", Parameter::Scalar(Value::Bool(last_year.is_some())))
            .with("milepost_fallback", Parameter::Scalar(position(slot.fallback()).into()));
        if let [period] = slot.periods.as_slice() {
            for (index, start) in windows.starts(period).into_iter().enumerate() {
                parameters = parameters.with(format!("milepost_start_{index}"), instant(start));
            }
            parameters = parameters
                .with("milepost_zone", Parameter::Scalar(zone_name(period).into()))
                .with("milepost_period_key", Parameter::Scalar(period.key().into()));
        }
        let (partitions, lookback) = (&self.rows.partitions, self.rows.lookback);
        parameters
            .and(&pruning::range_parameters(partitions, "period", (first, before(end).min(as_of)), lookback))
            .and(&pruning::range_parameters(partitions, "last_year", (year_start, before(year_end)), lookback))
    }

    /// The tables of a slot with a period per zone: periods, and the zones that have them.
    pub(super) fn calendar_tables(&self, slot: &Slot) -> Result<Vec<(&'static str, RecordBatch)>, ArrowError> {
        if !self.calendar.per_profile {
            return Ok(Vec::new());
        }
        let periods = &slot.periods;
        let before: Vec<Option<Period>> = periods.iter().map(Period::last_year).collect();
        let starts: Vec<Vec<Timestamp>> = periods.iter().map(|period| self.windows.starts(period)).collect();
        let numbers = 0..i64::try_from(periods.len()).unwrap_or(0);
        let mut columns: Vec<(String, ArrayRef)> = vec![
            ("#calendar.id".to_owned(), Arc::new(numbers.collect::<Int64Array>())),
            ("#period_key".to_owned(), Arc::new(StringArray::from_iter_values(periods.iter().map(Period::key)))),
            ("#zone".to_owned(), Arc::new(StringArray::from_iter_values(periods.iter().map(zone_name)))),
            ("#end".to_owned(), instants(periods.iter().map(Period::end))),
            (
                "#has_last_year".to_owned(),
                Arc::new(before.iter().map(|period| Some(period.is_some())).collect::<BooleanArray>()),
            ),
        ];
        let range = |pick: fn(&Period) -> Timestamp| {
            let own = before.iter().zip(periods);
            instants(own.map(move |(before, period)| before.as_ref().map_or_else(|| period.start(), pick)))
        };
        columns.push(("#last_year_start".to_owned(), range(Period::start)));
        columns.push(("#last_year_end".to_owned(), range(Period::end)));
        for index in 0..=usize::from(self.windows.depth()) {
            columns.push((format!("#start_{index}"), instants(starts.iter().map(|starts| starts[index]))));
        }
        let zones: Vec<(String, ArrayRef)> = vec![
            ("#zone.text".to_owned(), Arc::new(StringArray::from_iter_values(slot.zones.keys()))),
            (
                "#calendar".to_owned(),
                Arc::new(slot.zones.values().map(|period| position(*period)).collect::<Int64Array>()),
            ),
        ];
        Ok(vec![(CALENDARS, batch(columns)?), (ZONES, batch(zones)?)])
    }
}

/// The last instant of a range that ends before `end`.
fn before(end: Timestamp) -> Timestamp {
    end.saturating_sub(SignedDuration::from_micros(1)).unwrap_or(Timestamp::MIN)
}

fn position(period: Option<usize>) -> i64 {
    period.and_then(|period| i64::try_from(period).ok()).unwrap_or(NOWHERE)
}

fn zone_name(period: &Period) -> String {
    period.zone().iana_name().unwrap_or("UTC").to_owned()
}

fn instants(values: impl Iterator<Item = Timestamp>) -> ArrayRef {
    let microseconds = values.map(Timestamp::as_microsecond);
    Arc::new(TimestampMicrosecondArray::from_iter_values(microseconds).with_timezone("UTC"))
}

fn batch(columns: Vec<(String, ArrayRef)>) -> Result<RecordBatch, ArrowError> {
    let field = |name: &str, kind: &DataType| Field::new(name, kind.clone(), false);
    let fields: Vec<Field> = columns.iter().map(|(name, column)| field(name, column.data_type())).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.into_iter().map(|(_, column)| column).collect())
}
