//! Whether tables and a whole run look as they usually do; pure.
//!
//! Guarantees: a check speaks only where there is enough to compare with, so that a young or small project is never
//! refused for being young or small; weekends and holidays are no faults.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp, ToSpan};

use crate::model::{Check, DayFacts, TableFacts, Unhealthy};
use crate::project::{RowsBound, TableHealth};

/// A day is missed only where the same days of the weeks before had so many rows each.
const EXPECTED_ROWS: u64 = 100;
/// So many days up to the end of a period are looked at.
const DAYS_LOOKED_AT: i32 = 7;
/// The usual is the median of so many days.
const USUAL_DAYS: usize = 14;
/// Fewer days than this are no habit.
const USUAL_DAYS_LEAST: usize = 3;
/// A last day may end so much earlier than its end, whatever is usual.
const QUIET_END: SignedDuration = SignedDuration::from_hours(8);
/// And so many times what was the quietest end before.
const QUIET_END_TIMES: i32 = 3;
/// Shares of null ids from which a column has lost its values, and up to which it had them.
const LOST: f64 = 0.9;
const HAD: f64 = 0.5;
/// Fewer rows of the future than this are stray clocks.
const STRAY_ROWS: u64 = 20;
/// Audiences and candidates fewer than this say little when they shrink.
const FEW: u64 = 20;
/// A volume is compared from so many mails or candidates on.
const VOLUME_LEAST: u64 = 100;
/// A volume is far lower when so many times it is still less than the usual.
const VOLUME_TIMES: u64 = 5;

/// What a job needs of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Rows up to the end of this period: its key is told.
    Period {
        /// The last day of the period, in the zone of the table's days.
        last_day: Date,
        /// The instant at which the period ends.
        end: Timestamp,
    },
    /// Rows up to now: whoever did nothing lately is mailed.
    Now,
    /// Rows, however late: what is missing is mailed about later.
    Some,
}

/// What is unhealthy about a table.
#[must_use]
pub fn table_health(facts: &TableFacts, declared: &TableHealth, needs: Needs) -> Vec<Unhealthy> {
    if facts.rows_without_time > 0 {
        return vec![unreadable_times(facts)];
    }
    let table = Days { facts, declared, needs };
    let mut found = Vec::new();
    found.extend(table.stale());
    match needs {
        Needs::Period { last_day, end } => found.extend(table.ends_before(last_day, end)),
        Needs::Now => found.extend(table.ends_before_now().or_else(|| table.gap())),
        Needs::Some => {}
    }
    found.extend(table.rows());
    found.extend(table.nulls());
    found.extend(table.lost_ids());
    found.extend(table.future());
    found.extend(table.conditions());
    found
}

fn unreadable_times(facts: &TableFacts) -> Unhealthy {
    let TableFacts { table, rows_without_time, .. } = facts;
    let message = format!(
        "`{table}` has {rows_without_time} rows and not one has a time that can be read: declare the unit or type of its \
         time in `columns:`"
    );
    Unhealthy { check: Check::Time, message, waits: false }
}

/// The days of a table with what it declares.
struct Days<'a> {
    facts: &'a TableFacts,
    declared: &'a TableHealth,
    needs: Needs,
}

impl Days<'_> {
    fn name(&self) -> &str {
        &self.facts.table
    }

    fn on(&self, day: Date) -> Option<&DayFacts> {
        self.facts.days.iter().find(|facts| facts.day == day)
    }

    fn rows_on(&self, day: Date) -> u64 {
        self.on(day).map_or(0, |facts| facts.rows)
    }

    fn newest(&self) -> Option<Timestamp> {
        self.facts.days.iter().map(|day| day.newest).max()
    }

    /// The rows of the same day one and two weeks before, where both make this day expected.
    fn expected(&self, day: Date) -> Option<[u64; 2]> {
        let before = [7, 14].map(|days| day.checked_sub(days.days()).map_or(0, |earlier| self.rows_on(earlier)));
        before.iter().all(|rows| *rows >= EXPECTED_ROWS).then_some(before)
    }

    /// The last days with rows before one, newest first.
    fn before(&self, day: Date) -> impl Iterator<Item = &DayFacts> {
        self.facts.days.iter().rev().filter(move |facts| facts.day < day)
    }

    fn stale(&self) -> Option<Unhealthy> {
        let fresh = self.declared.fresh?;
        let as_of = self.facts.as_of;
        let limit = as_of.checked_sub(fresh).unwrap_or(Timestamp::MIN);
        let newest = self.newest();
        if newest.is_some_and(|newest| newest >= limit) {
            return None;
        }
        let found = newest.map_or_else(|| "no row of the last three weeks".to_owned(), |at| format!("rows until {at}"));
        let message =
            format!("`{}` has {found}, and `fresh: {}` asks for one since {limit}", self.name(), hours(fresh));
        Some(Unhealthy { check: Check::Fresh, message, waits: true })
    }

    /// Days of the period without rows, and a last day that ends early.
    fn ends_before(&self, last_day: Date, end: Timestamp) -> Option<Unhealthy> {
        let days = (0..DAYS_LOOKED_AT).filter_map(|ago| last_day.checked_sub(ago.days()).ok());
        let missing: Vec<(Date, [u64; 2])> = days
            .filter(|day| self.rows_on(*day) == 0 && *day < self.facts.today)
            .filter_map(|day| Some((day, self.expected(day)?)))
            .collect();
        if let Some((day, [week, fortnight])) = missing.first() {
            let others =
                if missing.len() > 1 { format!(" nor on {} days before it", missing.len() - 1) } else { String::new() };
            let message = format!(
                "`{}` has no rows on {day}{others}, and had {week} and {fortnight} on that day of the two weeks before: the \
                 period that ends on {last_day} would be told too low",
                self.name(),
            );
            return Some(Unhealthy { check: Check::Period, message, waits: true });
        }
        self.ends_early(last_day, end)
    }

    /// A day of the period whose rows end far earlier than those of the days before it; the last day first.
    fn ends_early(&self, last_day: Date, end: Timestamp) -> Option<Unhealthy> {
        if self.facts.tells_days {
            return None;
        }
        (0..DAYS_LOOKED_AT).find_map(|ago| {
            let end = end.checked_sub(SignedDuration::from_hours(24 * i64::from(ago))).ok()?;
            self.day_ends_early(last_day.checked_sub(ago.days()).ok()?, end)
        })
    }

    fn day_ends_early(&self, day: Date, end: Timestamp) -> Option<Unhealthy> {
        let last = self.on(day)?;
        self.expected(day)?;
        let quiet = end.duration_since(last.newest);
        let day_before = |days: i32| end.checked_sub(SignedDuration::from_hours(24 * i64::from(days))).ok();
        // The ends of earlier days lie whole days before this one, but for an hour where clocks changed.
        let usual = self.before(day).take(USUAL_DAYS).filter_map(|facts| {
            let days = (day - facts.day).get_days();
            Some(day_before(days)?.duration_since(facts.newest).abs())
        });
        let quietest = usual.max()?;
        if quiet <= QUIET_END.max(quietest * QUIET_END_TIMES) {
            return None;
        }
        let is_newest = self.newest() == Some(last.newest);
        let (whose, what) = match self.needs {
            Needs::Period { last_day, .. } if last_day == day => (String::new(), "period"),
            _ => (format!(" of {day}"), "day"),
        };
        let message = format!(
            "the rows{whose} of `{}` end at {}, {} before the {what} does, where earlier days were quiet for {} at most at \
             their end",
            self.name(),
            last.newest,
            hours(quiet),
            hours(quietest),
        );
        Some(Unhealthy { check: Check::Period, message, waits: is_newest })
    }

    /// A day without rows behind newer ones.
    fn gap(&self) -> Option<Unhealthy> {
        let newest = self.facts.days.iter().map(|facts| facts.day).max()?;
        let mut days = (1..=DAYS_LOOKED_AT).filter_map(|ago| self.facts.today.checked_sub(ago.days()).ok());
        let missing = days.find(|day| *day < newest && self.rows_on(*day) == 0 && self.expected(*day).is_some())?;
        let message = format!(
            "`{}` has no rows on {missing}, and newer ones: whoever did something on that day would be mailed for having \
             done nothing",
            self.name(),
        );
        Some(Unhealthy { check: Check::Period, message, waits: true })
    }

    /// Nothing today and on the two days before it.
    fn ends_before_now(&self) -> Option<Unhealthy> {
        let days = [1, 2].map(|ago| self.facts.today.checked_sub(ago.days()).unwrap_or(self.facts.today));
        let silent = days.iter().chain([&self.facts.today]).all(|day| self.rows_on(*day) == 0);
        let expected = days.iter().all(|day| self.expected(*day).is_some());
        (silent && expected).then(|| {
            let newest = self.newest().map_or_else(|| "none".to_owned(), |newest| newest.to_string());
            let message = format!(
                "the rows of `{}` end at {newest}, more than two days before {}: whoever did something since would be \
                 mailed for having done nothing",
                self.name(),
                self.facts.as_of,
            );
            Unhealthy { check: Check::Period, message, waits: true }
        })
    }

    fn yesterday(&self) -> Date {
        self.facts.today.yesterday().unwrap_or(self.facts.today)
    }

    /// The median of the last days with rows before one, and that of the same days of the weeks before.
    fn usual(&self, day: Date) -> Option<(u64, Option<u64>)> {
        let all: Vec<u64> = self.before(day).take(USUAL_DAYS).map(|facts| facts.rows).collect();
        let same: Vec<u64> =
            [7, 14].iter().filter_map(|days| day.checked_sub(days.days()).ok()).map(|day| self.rows_on(day)).collect();
        let same = same.iter().all(|rows| *rows > 0).then(|| median(same)).flatten();
        if all.len() < USUAL_DAYS_LEAST { None } else { Some((median(all)?, same)) }
    }

    /// The days that declarations are held against: yesterday, and the last of the period.
    fn declared_days(&self) -> impl Iterator<Item = Date> {
        let period = match self.needs {
            Needs::Period { last_day, .. } => Some(last_day),
            Needs::Now | Needs::Some => None,
        };
        let yesterday = self.yesterday();
        let days = period
            .into_iter()
            .flat_map(|last| (0..DAYS_LOOKED_AT).filter_map(move |ago| last.checked_sub(ago.days()).ok()));
        std::iter::once(yesterday).chain(days.filter(move |day| *day < yesterday))
    }

    /// What is wrong with the rows of the newest such day.
    fn rows(&self) -> Vec<Unhealthy> {
        if !self.declared.bounds_rows() {
            return Vec::new();
        }
        self.declared_days().map(|day| self.rows_of(day)).find(|found| !found.is_empty()).unwrap_or_default()
    }

    fn rows_of(&self, day: Date) -> Vec<Unhealthy> {
        let rows = self.rows_on(day);
        let usual = self.usual(day);
        // Sundays are compared with Sundays where those are quieter, and with every day where those are busier.
        let bound = |bound: RowsBound, same_day: fn(u64, u64) -> u64| match bound {
            RowsBound::Rows(rows) => Some((rows, format!("{rows}"))),
            RowsBound::OfUsual(share) => usual.map(|(all, same)| {
                let usual = same.map_or(all, |same| same_day(all, same));
                let limit = times(usual, share);
                (limit, format!("{limit}, {} % of the usual {usual}", (share * 100.0).round()))
            }),
        };
        let name = self.name();
        let mut found = Vec::new();
        if let Some((least, words)) = self.declared.rows_min.and_then(|min| bound(min, u64::min))
            && rows < least
        {
            let message = format!("`{name}` has {rows} rows on {day}, and `rows: min` asks for {words}");
            found.push(Unhealthy { check: Check::Rows, message, waits: true });
        }
        if let Some((most, words)) = self.declared.rows_max.and_then(|max| bound(max, u64::max))
            && rows > most
        {
            let message = format!("`{name}` has {rows} rows on {day}, and `rows: max` allows {words}");
            found.push(Unhealthy { check: Check::Rows, message, waits: false });
        }
        found
    }

    /// The last whole day with rows.
    fn last_whole_day(&self) -> Option<&DayFacts> {
        self.before(self.facts.today).next()
    }

    fn nulls(&self) -> Vec<Unhealthy> {
        let newest = self.last_whole_day();
        let earlier = self.declared_days().filter_map(|day| self.on(day));
        let days: Vec<&DayFacts> =
            newest.into_iter().chain(earlier.filter(|day| newest.is_none_or(|newest| day.day < newest.day))).collect();
        let over = self.declared.nulls.iter().filter_map(|(column, most)| {
            let (day, (nulls, share)) =
                days.iter().map(|day| (day, null_share(day, &column.value))).find(|(_, (_, share))| share > most)?;
            let message = format!(
                "`{}.{}` is null in {nulls} of {} rows on {} ({}), and `nulls` allows {}",
                self.name(),
                column.value,
                day.rows,
                day.day,
                per_cent(share),
                per_cent(*most),
            );
            Some(Unhealthy { check: Check::Nulls, message, waits: false })
        });
        over.collect()
    }

    /// Columns of ids that had values until now.
    fn lost_ids(&self) -> Vec<Unhealthy> {
        let newest = self.facts.days.iter().rev().find(|day| day.rows >= EXPECTED_ROWS);
        let Some(newest) = newest else { return Vec::new() };
        let declared = |column: &String| self.declared.nulls.iter().any(|(named, _)| named.value == *column);
        let lost = self.facts.ids.iter().filter(|column| !declared(column)).filter_map(|column| {
            let earlier: Vec<f64> = self
                .before(newest.day)
                .map(|day| null_share(day, column).1)
                .skip_while(|share| *share >= LOST)
                .take(USUAL_DAYS)
                .collect();
            let had = earlier.len() >= USUAL_DAYS_LEAST && earlier.iter().all(|share| *share <= HAD);
            let (nulls, share) = null_share(newest, column);
            (had && share >= LOST).then(|| {
                let usual = earlier.iter().copied().fold(0.0, f64::max);
                let message = format!(
                    "`{}.{column}` is null in {nulls} of {} rows on {} ({}), and was in {} at most on the days before: has \
                     the column another name now?",
                    self.name(),
                    newest.rows,
                    newest.day,
                    per_cent(share),
                    per_cent(usual),
                );
                Unhealthy { check: Check::Nulls, message, waits: false }
            })
        });
        lost.collect()
    }

    fn future(&self) -> Option<Unhealthy> {
        let future = self.facts.future_rows;
        let usual = median(self.facts.days.iter().map(|day| day.rows).collect()).unwrap_or(0);
        let is_many = future >= STRAY_ROWS && future.saturating_mul(10) >= usual;
        is_many.then(|| {
            let message = format!(
                "`{}` has {future} rows that happened two days or more from now, where a day has {usual}: look at the unit \
                 and the zone of its time",
                self.name(),
            );
            Unhealthy { check: Check::Future, message, waits: false }
        })
    }

    fn conditions(&self) -> Vec<Unhealthy> {
        let day = self.yesterday();
        let broken = self.facts.conditions.iter().filter(|(_, holds)| *holds != Some(true));
        let words = broken.map(|(sql, holds)| {
            let verdict = if holds.is_none() { "is null" } else { "does not hold" };
            let message = format!("`{sql}` {verdict} for the rows of `{}` on {day}", self.name());
            Unhealthy { check: Check::Sql, message, waits: false }
        });
        words.collect()
    }
}

/// What a run of a job counted, beside what the last complete run did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobFacts {
    /// Rows of the audience; `None` where nobody counted them.
    pub audience: Option<u64>,
    /// The audience of the last complete run.
    pub audience_before: Option<u64>,
    /// Rows of the list of the suppressed; `None` where there is none.
    pub suppressed: Option<u64>,
    /// Those of the last complete run.
    pub suppressed_before: Option<u64>,
    /// Candidates of all kinds of a job of milestones.
    pub candidates: Option<u64>,
    /// Those of the last complete run with the same milestones.
    pub candidates_before: Option<u64>,
    /// Mails about one period that are made or known.
    pub mails: Option<u64>,
    /// What is usual for a period.
    pub mails_usual: Option<u64>,
    /// The ids of events and of the audience, a few of each, where no one is among both.
    pub strangers: Option<Strangers>,
}

/// Ids that never meet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Strangers {
    /// Subjects of the events.
    pub events: Vec<String>,
    /// The audience.
    pub audience: Vec<String>,
}

/// What is unhealthy about a run of a job.
#[must_use]
pub fn job_health(facts: &JobFacts) -> Vec<Unhealthy> {
    let mut found = Vec::new();
    if let (Some(now), Some(before)) = (facts.audience, facts.audience_before)
        && before >= FEW
        && now.saturating_mul(2) < before
    {
        let message = format!("the audience has {now} rows, less than half of the {before} of the last complete run");
        found.push(Unhealthy { check: Check::Audience, message, waits: true });
    }
    if let (Some(now), Some(before)) = (facts.suppressed, facts.suppressed_before)
        && ((before >= FEW && now.saturating_mul(2) < before) || (now == 0 && before > 0))
    {
        let message = format!(
            "the list of the suppressed has {now} rows, less than half of the {before} of the last complete run: who opted \
             out would be mailed"
        );
        found.push(Unhealthy { check: Check::Suppressed, message, waits: true });
    }
    if let Some(strangers) = &facts.strangers {
        let message = format!(
            "no subject of the events is in the audience: the events have {}, the audience has {}",
            listed(&strangers.events),
            listed(&strangers.audience),
        );
        found.push(Unhealthy { check: Check::Ids, message, waits: false });
    }
    if let (Some(now), Some(before)) = (facts.candidates, facts.candidates_before)
        && before >= VOLUME_LEAST
        && now.saturating_mul(2) < before
    {
        let message = format!("there are {now} candidates, less than half of the {before} of the last complete run");
        found.push(Unhealthy { check: Check::Volume, message, waits: false });
    }
    if let (Some(now), Some(usual)) = (facts.mails, facts.mails_usual)
        && usual >= VOLUME_LEAST
        && now.saturating_mul(VOLUME_TIMES) < usual
    {
        let message = format!("the period has {now} mails, less than a fifth of the usual {usual}");
        found.push(Unhealthy { check: Check::Volume, message, waits: false });
    }
    found
}

fn listed(ids: &[String]) -> String {
    if ids.is_empty() {
        "none".to_owned()
    } else {
        ids.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ")
    }
}

fn null_share(day: &DayFacts, column: &str) -> (u64, f64) {
    let nulls = day.nulls.get(column).copied().unwrap_or(0);
    (nulls, nulls as f64 / day.rows.max(1) as f64)
}

fn per_cent(share: f64) -> String {
    let percent = (share * 1000.0).round() / 10.0;
    format!("{percent} %")
}

/// A count times a share, rounded to a whole one.
fn times(count: u64, share: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rows times a share of per cents")]
    let product = (count as f64 * share).round() as u64;
    product
}

fn median(mut values: Vec<u64>) -> Option<u64> {
    values.sort_unstable();
    values.get(values.len().checked_sub(1)? / 2).copied()
}

fn hours(duration: SignedDuration) -> String {
    let hours = duration.as_hours();
    if hours == 1 { "1 hour".to_owned() } else { format!("{hours} hours") }
}
