//! Who should get what, worked out from the generated events by plain code that shares nothing with milepost's SQL.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// Minutes since 2026-09-15T00:00:00Z, the beginning of the generated events.
const START: u64 = 16 * 1_440;
const EXPIRED_BEFORE: u64 = AS_OF - 14 * 1_440;
const AS_OF: u64 = 47 * 1_440 + 360;
const DOCUMENTS: &[usize] = &[1, 3, 5];
const READERS: &[usize] = &[1];
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
    fn new(number: usize, dice: &mut Dice) -> Self {
        let profile = format!("profile_{number}");
        let (address, held_back) = match dice.below(16) {
            0 => ("not an address".to_owned(), Some("invalid_address")),
            1 => (format!("person_{number}@example.test"), Some("suppressed")),
            _ => (format!("person_{number}@example.test"), is_held_out(&profile).then_some("held_out")),
        };
        // Most are fresh; the others reach some levels too early or too long ago.
        let from = if dice.below(4) == 0 { 0 } else { EXPIRED_BEFORE + 1_440 };
        let mut times = |count: u64| {
            let mut times: Vec<u64> = (0..count).map(|_| from + dice.below(AS_OF - 1 - from)).collect();
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
    /// `count` people and their events; the same seed gives the same.
    pub(super) fn new(count: usize, seed: u64) -> Self {
        let mut dice = Dice(seed);
        let mut people: Vec<Person> = (1..=count).map(|number| Person::new(number, &mut dice)).collect();
        let mut truth = Self::default();
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
            let documents = documents.iter().chain([&(AS_OF + 60)]).map(|minute| ("document_published", minute));
            let events = documents.chain(readers.iter().map(|minute| ("document_opened", minute)));
            rows.extend(events.map(|(event, minute)| format!("{profile},{event},{}", instant(*minute))));
        }
        // The order of rows means nothing.
        for last in (1..rows.len()).rev() {
            rows.swap(last, dice.below(last as u64 + 1) as usize);
        }
        truth.events = format!("profile_id,event,happened_at\n{}\n", rows.join("\n"));
        for person in &people {
            truth.expect(person);
        }
        truth.find_shared();
        truth
    }

    /// The decisions of semantics.md for one person; a cap allows one mail in a week.
    fn expect(&mut self, person: &Person) {
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
                } else if *reached_at < EXPIRED_BEFORE {
                    Expected::Stored("expired")
                } else if let Some(state) = person.held_back {
                    Expected::Stored(state)
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
    if first.held_back.is_none() && second.held_back.is_none() {
        second.address.clone_from(&first.address);
        second.documents.clone_from(&first.documents);
        first.readers.clear();
        second.readers.clear();
    }
}

/// `2026-09-15T00:00:00Z` and so many minutes.
fn instant(minute: u64) -> String {
    let (day, minute) = (minute / 1_440, minute % 1_440);
    let (month, day) = match day {
        0..=15 => (9, day + 15),
        16..=46 => (10, day - 15),
        _ => (11, day - 46),
    };
    format!("2026-{month:02}-{day:02}T{:02}:{:02}:00Z", minute / 60, minute % 60)
}
