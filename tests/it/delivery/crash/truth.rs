//! Who should get what, worked out from the generated events by plain code that shares nothing with milepost's SQL.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, ToSpan as _};
use milepost::clock::Clock;
use sha2::{Digest as _, Sha256};

/// Milestones count from this minute of the generated events on.
const START: u64 = 16 * 1_440;
/// What was reached longer ago than this is not mailed any more.
const LATE_AFTER: u64 = 14 * 1_440;
/// Longer than a scenario takes: what nobody may see yet is later, and nothing becomes late meanwhile.
const MARGIN: u64 = 60;
/// Addresses that the provider refuses, at most: were nobody else left to be mailed, more would be taken for its account's.
const REFUSED_MAX: usize = 4;
const DOCUMENTS: &[usize] = &[1, 3, 5];
const READERS: &[usize] = &[1];
/// How addresses end that the provider refuses.
pub(super) const REFUSED: &str = "@example.invalid";
/// Of 16^13.
const HELD_OUT_BELOW: u64 = (1 << 52) / 10;

/// What must become of one key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Expected {
    /// Mailed, and the mail says this many.
    Mailed(usize),
    /// Not mailed, and stored in this state.
    Stored(&'static str),
    /// One of its group is mailed, and says this many; the others are stored in this state.
    Rival(usize, &'static str),
    /// The provider refuses the address, for good.
    Refused,
}

/// When the generated events happen, and what time the runs have: minutes of it are counted from its first midnight.
#[derive(Clone, Copy, Debug)]
pub(super) struct Calendar {
    first: Date,
    /// The run's minute.
    as_of: u64,
}

impl Calendar {
    /// 47 days and six hours, to 2026-11-01T06:00:00Z.
    pub(super) fn fixed() -> Self {
        Self { first: date(2026, 9, 15), as_of: 47 * 1_440 + 360 }
    }

    /// 47 days, and what has passed of today.
    pub(super) fn by_the_clock() -> Self {
        let now = Clock::System.now().to_zoned(TimeZone::UTC);
        let minute = u64::try_from(now.hour()).expect("hours") * 60 + u64::try_from(now.minute()).expect("minutes");
        Self { first: now.date() - 47.days(), as_of: 47 * 1_440 + minute }
    }

    /// The instant of a minute as text.
    pub(super) fn instant(self, minute: u64) -> String {
        let first = self.first.to_zoned(TimeZone::UTC).expect("a midnight").timestamp();
        (first + SignedDuration::from_mins(i64::try_from(minute).expect("few minutes"))).to_string()
    }

    /// The run's instant.
    pub(super) fn now(self) -> String {
        self.instant(self.as_of)
    }

    /// The day from which on milestones count.
    pub(super) fn start(self) -> String {
        (self.first + i64::try_from(START / 1_440).expect("few days").days()).to_string()
    }

    fn late_before(self) -> u64 {
        self.as_of - LATE_AFTER
    }
}

/// The generated data and what follows from it.
#[derive(Default)]
pub(super) struct Truth {
    /// `data/people.csv`.
    pub(super) people: String,
    /// `data/events.csv`.
    pub(super) events: String,
    /// `data/leavers.csv`: those who must not be mailed.
    pub(super) leavers: String,
    /// By profile and occasion.
    pub(super) keys: BTreeMap<(String, String), Expected>,
    /// Keys of which one is mailed: two profiles with one address, or two mails under a cap of one.
    pub(super) groups: Vec<Vec<(String, String)>>,
    /// By profile.
    pub(super) addresses: BTreeMap<String, String>,
    /// Candidates in all, those included that leave no row.
    pub(super) candidates: u64,
}

/// One person before the decisions.
struct Person {
    profile: String,
    address: String,
    /// Why nothing leaves, whatever is reached.
    held_back: Option<&'static str>,
    documents: Vec<u64>,
    readers: Vec<u64>,
}

/// A seeded sequence: splitmix64.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    /// A number below `sides`.
    pub(super) fn below(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }

    /// One of them.
    pub(super) fn one<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }
}

impl Person {
    fn new(number: usize, calendar: Calendar, dice: &mut Dice) -> Self {
        let profile = format!("profile_{number}");
        let (address, held_back) = match dice.below(16) {
            0 => ("not an address".to_owned(), Some("invalid_address")),
            1 => (format!("person_{number}@example.test"), Some("suppressed")),
            _ => (format!("person_{number}@example.test"), is_held_out(&profile).then_some("held_out")),
        };
        // Most are fresh; the others reach some levels too early or too long ago.
        let late = calendar.late_before();
        let from = if dice.below(4) == 0 { 0 } else { late + 1_440 };
        let mut times = |count: u64| {
            let mut times: Vec<u64> = (0..count).map(|_| from + dice.below(calendar.as_of - 1 - from)).collect();
            // Nothing becomes late while a scenario is played.
            times.iter_mut().filter(|time| time.abs_diff(late) <= MARGIN).for_each(|time| *time -= 2 * MARGIN + 1);
            times.sort_unstable();
            times.dedup();
            times
        };
        let documents = times(1 + number as u64 * 7 % 6);
        let readers = times(if number.is_multiple_of(3) { 2 } else { 0 });
        Self { profile, address, held_back, documents, readers }
    }
}

/// The hash of docs/reference/jobs.md, as an analyst would write it.
fn is_held_out(profile: &str) -> bool {
    let digest = Sha256::digest(format!("holdout\ncrash\ndocuments\n{profile}").as_bytes());
    let first = u64::from_be_bytes(digest[..8].try_into().expect("eight bytes"));
    first >> 12 < HELD_OUT_BELOW
}

impl Truth {
    /// `count` people and their events; the same seed gives the same. Where the provider `refuses` addresses, some of them
    /// have such.
    pub(super) fn new(count: usize, seed: u64, (calendar, refuses): (Calendar, bool)) -> Self {
        let mut dice = Dice(seed);
        let mut people: Vec<Person> = (1..=count).map(|number| Person::new(number, calendar, &mut dice)).collect();
        let mut truth = Self::default();
        if refuses {
            let mailable = people.iter_mut().filter(|person| person.held_back.is_none());
            let every = 3 + dice.below(5) as usize;
            for person in mailable.step_by(every).take(REFUSED_MAX) {
                person.address = person.address.replace("@example.test", REFUSED);
                // A second mail would be tried as soon as the first, being refused, no longer counts for the cap.
                person.readers.clear();
            }
        }
        for place in (10..count).step_by(10) {
            share_address(&mut people, place);
        }
        let mut rows = Vec::new();
        truth.people.push_str("profile_id,email,first_name\n");
        truth.leavers.push_str("email\n");
        for Person { profile, address, held_back, documents, readers } in &people {
            let name = profile.replace("profile_", "Name");
            let _ = writeln!(truth.people, "{profile},{address},{name}end");
            if *held_back == Some("suppressed") {
                let _ = writeln!(truth.leavers, " {}", address.replace("person", "Person"));
            }
            truth.addresses.insert(profile.clone(), address.clone());
            // Invisible: later than the run's instant.
            let later = calendar.as_of + MARGIN;
            let documents = documents.iter().chain([&later]).map(|minute| ("document_published", minute));
            let events = documents.chain(readers.iter().map(|minute| ("document_opened", minute)));
            rows.extend(events.map(|(event, minute)| format!("{profile},{event},{}", calendar.instant(*minute))));
        }
        // The order of rows means nothing.
        for last in (1..rows.len()).rev() {
            rows.swap(last, dice.below(last as u64 + 1) as usize);
        }
        truth.events = format!("profile_id,event,happened_at\n{}\n", rows.join("\n"));
        for person in &people {
            truth.expect(person, calendar.late_before());
        }
        truth.find_shared();
        truth
    }

    /// The decisions of semantics.md for one person; a cap allows one mail in a week.
    fn expect(&mut self, person: &Person, late_before: u64) {
        let mut mailed = Vec::new();
        for (milestone, levels, times) in
            [("documents", DOCUMENTS, &person.documents), ("readers", READERS, &person.readers)]
        {
            let reached: Vec<(usize, u64)> =
                levels.iter().filter(|level| times.len() >= **level).map(|level| (*level, times[level - 1])).collect();
            self.candidates += reached.len() as u64;
            for (place, (level, reached_at)) in reached.iter().enumerate() {
                let key = (person.profile.clone(), format!("{milestone}:{level}"));
                let expected = if *reached_at < START {
                    continue;
                } else if place + 1 < reached.len() {
                    Expected::Stored("superseded")
                } else if *reached_at < late_before {
                    Expected::Stored("expired")
                } else if let Some(state) = person.held_back {
                    Expected::Stored(state)
                } else if person.address.ends_with(REFUSED) {
                    Expected::Refused
                } else {
                    mailed.push(key.clone());
                    Expected::Mailed(times.len())
                };
                self.keys.insert(key, expected);
            }
        }
        if mailed.len() > 1 {
            self.make_rivals(mailed, "deferred");
        }
    }

    /// Two profiles with one address and the same occasion: one of them has it.
    fn find_shared(&mut self) {
        let mut found: BTreeMap<(String, String), Vec<(String, String)>> = BTreeMap::new();
        for (key, _) in self.keys.iter().filter(|(_, expected)| matches!(expected, Expected::Mailed(_))) {
            found.entry((self.addresses[&key.0].clone(), key.1.clone())).or_default().push(key.clone());
        }
        found.into_values().filter(|keys| keys.len() > 1).for_each(|keys| self.make_rivals(keys, "same_address"));
    }

    fn make_rivals(&mut self, keys: Vec<(String, String)>, loser: &'static str) {
        for key in &keys {
            if let Some(expected) = self.keys.get_mut(key)
                && let Expected::Mailed(count) = *expected
            {
                *expected = Expected::Rival(count, loser);
            }
        }
        self.groups.push(keys);
    }
}

/// Gives one person the address and the documents of the one before, where nothing else keeps either of them back.
fn share_address(people: &mut [Person], place: usize) {
    let (before, after) = people.split_at_mut(place);
    let (Some(first), Some(second)) = (before.last_mut(), after.first_mut()) else { return };
    let refused = [&*first, &*second].iter().any(|person| person.address.ends_with(REFUSED));
    if first.held_back.is_none() && second.held_back.is_none() && !refused {
        second.address.clone_from(&first.address);
        second.documents.clone_from(&first.documents);
        first.readers.clear();
        second.readers.clear();
    }
}
