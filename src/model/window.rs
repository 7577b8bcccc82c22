//! Hours of days in which a job mails, in somebody's zone.

use jiff::civil::{Date, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan};

/// When mail may leave: these hours of these days.
///
/// Hours that cross midnight belong to the day on which they begin: `22:00-02:00` on Fridays ends on Saturday at 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The minute of the day at which it opens, from 0.
    opens: u16,
    /// The minute at which it closes, counted from the midnight of the day on which it opened; more than `opens`.
    closes: u16,
    /// From Monday.
    days: [bool; 7],
}

/// Where an instant stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// Inside the window.
    Open,
    /// Outside; the instant at which it opens next.
    OpensAt(Timestamp),
}

const DAY: u16 = 24 * 60;

impl Window {
    /// A window from one minute of the day to another, on the given days from Monday; `None` when it has no length, a
    /// minute is none of a day (24:00 closes one), or there is no day.
    #[must_use]
    pub fn new(opens: u16, closes: u16, days: [bool; 7]) -> Option<Self> {
        let closes = if closes < opens { closes + DAY } else { closes };
        let fits = opens < DAY && closes > opens && closes <= opens + DAY && days.contains(&true);
        fits.then_some(Self { opens, closes, days })
    }

    /// Whether the window is open at `now` in a zone, or when it opens.
    ///
    /// A time that a change of the clocks leaves out is the moment of the change; one that occurs twice is the first.
    #[must_use]
    pub fn at(&self, now: Timestamp, zone: &TimeZone) -> Opening {
        let today = zone.to_datetime(now).date();
        // A week and a day hold an opening after now on every choice of days; yesterday's may still be open.
        for offset in -1..=8_i64 {
            let Ok(day) = today.checked_add(offset.days()) else { continue };
            if !self.days[usize::from(day.weekday().to_monday_zero_offset().unsigned_abs())] {
                continue;
            }
            let (Some(opens), Some(closes)) = (instant(day, self.opens, zone), instant(day, self.closes, zone)) else {
                continue;
            };
            // A change of the clocks may leave out all of it.
            if opens >= closes {
                continue;
            }
            if now < opens {
                return Opening::OpensAt(opens);
            }
            if now < closes {
                return Opening::Open;
            }
        }
        Opening::OpensAt(Timestamp::MAX)
    }

    /// Which days it opens on, from Monday.
    #[must_use]
    pub fn days(&self) -> [bool; 7] {
        self.days
    }

    /// `09:00-18:00 mon,tue` or `09:00-18:00 every day`.
    #[must_use]
    pub fn in_words(&self) -> String {
        let clock = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        let closes = if self.closes > DAY { self.closes - DAY } else { self.closes };
        if self.days == [true; 7] {
            return format!("{}-{} every day", clock(self.opens), clock(closes));
        }
        let days: Vec<&str> =
            DAY_NAMES.iter().zip(self.days).filter(|(_, open)| *open).map(|(name, _)| *name).collect();
        format!("{}-{} {}", clock(self.opens), clock(closes), days.join(","))
    }
}

/// Names of days from Monday.
pub const DAY_NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// The instant of a minute counted from a day's midnight.
fn instant(day: Date, minute: u16, zone: &TimeZone) -> Option<Timestamp> {
    let day = day.checked_add(i64::from(minute / DAY).days()).ok()?;
    let (hour, minute) = (i8::try_from(minute % DAY / 60).ok()?, i8::try_from(minute % 60).ok()?);
    let local = zone.to_ambiguous_timestamp(day.to_datetime(Time::new(hour, minute, 0, 0).ok()?));
    if matches!(local.offset(), AmbiguousOffset::Gap { .. }) {
        let before_the_change = local.earlier().ok()?;
        return zone.following(before_the_change).next().map(|change| change.timestamp());
    }
    local.compatible().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY_DAY: [bool; 7] = [true; 7];
    const WEEKDAYS: [bool; 7] = [true, true, true, true, true, false, false];

    fn window(opens: &str, closes: &str, days: [bool; 7]) -> Window {
        let minute = |text: &str| {
            let (hour, minute) = text.split_once(':').expect("a colon");
            hour.parse::<u16>().expect("an hour") * 60 + minute.parse::<u16>().expect("a minute")
        };
        Window::new(minute(opens), minute(closes), days).expect("a window")
    }

    fn at(window: Window, now: &str, zone: &str) -> String {
        let zone = TimeZone::get(zone).expect("a zone");
        match window.at(now.parse().expect("an instant"), &zone) {
            Opening::Open => "open".to_owned(),
            Opening::OpensAt(instant) => instant.to_string(),
        }
    }

    #[test]
    fn opens_and_closes_by_the_local_clock() {
        let office = window("09:00", "18:00", WEEKDAYS);
        let night = window("22:00", "02:00", [false, false, false, false, true, false, false]);
        let whole = window("00:00", "24:00", EVERY_DAY);
        let cases = [
            // 2026-11-20 is a Friday.
            (office, "2026-11-20T08:00:00Z", "Europe/Paris", "open"),
            (office, "2026-11-20T07:59:59Z", "Europe/Paris", "2026-11-20T08:00:00Z"),
            (office, "2026-11-20T17:00:00Z", "Europe/Paris", "2026-11-23T08:00:00Z"),
            (office, "2026-11-22T23:30:00Z", "Pacific/Kiritimati", "open"),
            (office, "2026-11-20T08:00:00Z", "Etc/GMT+12", "2026-11-20T21:00:00Z"),
            (night, "2026-11-20T21:59:59Z", "UTC", "2026-11-20T22:00:00Z"),
            (night, "2026-11-21T01:59:59Z", "UTC", "open"),
            (night, "2026-11-21T02:00:00Z", "UTC", "2026-11-27T22:00:00Z"),
            (night, "2026-11-20T01:00:00Z", "UTC", "2026-11-20T22:00:00Z"),
            (whole, "2026-11-20T00:00:00Z", "Asia/Kathmandu", "open"),
            (whole, "2026-11-20T23:59:59Z", "Asia/Kathmandu", "open"),
        ];
        for (window, now, zone, expected) in cases {
            assert_eq!(at(window, now, zone), expected, "{} at {now} in {zone}", window.in_words());
        }
    }

    #[test]
    fn clocks_that_change_move_the_opening_with_them() {
        let morning = window("09:00", "10:00", EVERY_DAY);
        let early = window("02:30", "03:30", EVERY_DAY);
        let gone = window("02:10", "02:50", EVERY_DAY);
        let cases = [
            // Paris goes to summer time on 2026-03-29 at 2 and back on 2026-10-25 at 3.
            (morning, "2026-03-28T12:00:00Z", "2026-03-29T07:00:00Z"),
            (morning, "2026-10-24T12:00:00Z", "2026-10-25T08:00:00Z"),
            // 02:30 does not exist on that day: it opens at 3, when the clocks change.
            (early, "2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z"),
            (early, "2026-03-29T01:29:59Z", "open"),
            (early, "2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"),
            // All of it is left out: the next day's counts.
            (gone, "2026-03-28T12:00:00Z", "2026-03-30T00:10:00Z"),
            // 02:30 occurs twice: the first counts, and the window lasts two hours.
            (early, "2026-10-24T23:00:00Z", "2026-10-25T00:30:00Z"),
            (early, "2026-10-25T02:29:59Z", "open"),
            (early, "2026-10-25T02:30:00Z", "2026-10-26T01:30:00Z"),
        ];
        for (window, now, expected) in cases {
            assert_eq!(at(window, now, "Europe/Paris"), expected, "{} at {now}", window.in_words());
        }
    }

    #[test]
    fn every_instant_is_in_the_window_or_before_its_next_opening() {
        let zones = ["America/New_York", "Europe/Paris", "Pacific/Apia", "Australia/Lord_Howe", "UTC"];
        for (opens, closes) in [(540, 1080), (1320, 120), (0, 1440), (1439, 1)] {
            for days in [EVERY_DAY, WEEKDAYS, [false, false, true, false, false, false, false]] {
                let window = Window::new(opens, closes, days).expect("a window");
                for zone in zones.map(|zone| TimeZone::get(zone).expect("a zone")) {
                    for step in 0..2_000_i64 {
                        let now = Timestamp::from_second(1_767_000_000 + step * 15_731).expect("in range");
                        if let Opening::OpensAt(next) = window.at(now, &zone) {
                            assert!(next > now && next.duration_since(now).as_hours() <= 8 * 24, "{now}");
                            assert_eq!(window.at(next, &zone), Opening::Open, "{} {now} {next}", window.in_words());
                            let before = next.checked_sub(jiff::SignedDuration::from_secs(1)).expect("in range");
                            assert_ne!(window.at(before, &zone), Opening::Open, "{now} {next}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_no_window_is_refused() {
        for (opens, closes, days) in
            [(540, 540, EVERY_DAY), (1440, 60, EVERY_DAY), (0, 1441, EVERY_DAY), (0, 60, [false; 7])]
        {
            assert_eq!(Window::new(opens, closes, days), None, "{opens} {closes}");
        }
    }
}
