//! Which scenarios there are, who plays them, and the totals.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use milepost::clock::{monotonic, random_bytes};
use milepost::settings::{CRASHPOINTS, variable};

use super::super::project::{Keys, Store};
use super::scenario::{Blow, Outcome, Scenario};
use super::stage::Setting;
use super::truth::Dice;

/// The ways to misbehave, and none.
const FAULTS: [&str; 17] = [
    "",
    "accept_then_time_out",
    "accept_then_reset",
    "accept_then_500",
    "truncated_200",
    "reject_422",
    "throttle_429",
    "refuse_503",
    "partial_batch",
    "slow_drip",
    "refused",
    "tls_failure",
    "redirect",
    "bad_key_400",
    "domain_422",
    "testing_403",
    "odd_422",
];
const WORKERS: usize = 2;

/// Points that a run passes only after another one died at `after_dispatch`.
const IN_RECOVERY: [&str; 5] =
    ["within_recover_sqlite", "within_recover_postgres", "after_recover", "before_replay", "after_replay"];

fn setting(store: Store, keys: Keys, fault: &'static str, seed: u64) -> Setting {
    let batch = match (keys, fault) {
        (_, "partial_batch") => 5,
        (Keys::Honoured, _) if seed.is_multiple_of(2) => 4,
        _ => 1,
    };
    Setting {
        batch,
        fault,
        seed,
        strict: (seed / 2).is_multiple_of(3),
        refuses: (seed / 8).is_multiple_of(2),
        by_the_clock: (seed / 16).is_multiple_of(2),
        ..Setting::plain(store, keys)
    }
}

/// What it takes to reach a point, ending there.
fn way_to(point: &'static str, dice: &mut Dice) -> Vec<Blow> {
    // Points that every message or wave passes are met at a random one of them.
    let often = matches!(point, "before_request" | "after_response" | "before_outcome" | "within_spool");
    let passing = if often { 1 + dice.below(2) } else { 1 };
    let before = match point {
        _ if IN_RECOVERY.contains(&point) => vec![Blow::Crash("after_response", 2)],
        "before_hold" => vec![Blow::Crash("after_dispatch", 1)],
        _ => Vec::new(),
    };
    before.into_iter().chain([Blow::Crash(point, passing)]).collect()
}

fn belongs(point: &str, store: Store) -> bool {
    match store {
        Store::Sqlite => !point.ends_with("_postgres"),
        Store::Postgres => !point.ends_with("_sqlite"),
    }
}

/// Every crash point x fault x ledger x keys; each second one dies once more, somewhere in its recovery.
fn whole(seed: u64) -> Vec<Scenario> {
    let mut dice = Dice(seed);
    let mut scenarios = Vec::new();
    for point in CRASHPOINTS {
        for (fault, store, keys) in settings().filter(|(_, store, _)| belongs(point, *store)) {
            let seed = dice.below(1 << 32);
            let mut blows = way_to(point, &mut dice);
            if dice.below(2) == 0 {
                let again: Vec<&'static str> = CRASHPOINTS.into_iter().filter(|point| belongs(point, store)).collect();
                blows.push(Blow::Crash(dice.one(&again), 1));
            }
            let mut setting = setting(store, keys, fault, seed);
            if point.ends_with("_renewal") {
                (setting.delay_milliseconds, setting.batch) = (200, 1);
            }
            scenarios.push(Scenario { setting, blows });
        }
    }
    scenarios
}

fn settings() -> impl Iterator<Item = (&'static str, Store, Keys)> {
    let stores = |fault| Store::every().into_iter().map(move |store| (fault, store));
    let keyed = |(fault, store)| Keys::BOTH.map(|keys| (fault, store, keys));
    FAULTS.into_iter().flat_map(stores).flat_map(keyed)
}

/// Scenarios with up to three `kill -9` at random moments, and now and then a fault.
fn random_kills(count: usize, seed: u64) -> Vec<Scenario> {
    let mut dice = Dice(seed);
    let scenario = |_| {
        let fault = if dice.below(3) == 0 { dice.one(&FAULTS) } else { "" };
        let mut setting = setting(dice.one(&Store::every()), dice.one(&Keys::BOTH), fault, dice.below(1 << 32));
        setting.people = 20 + dice.below(40) as usize;
        setting.delay_milliseconds = dice.below(8);
        let blows = (0..=dice.below(3)).map(|_| match dice.below(2) {
            0 => Blow::KillAfter(dice.below(400_000)),
            _ => Blow::KillAt(dice.below(8)),
        });
        Scenario { blows: blows.collect(), setting }
    };
    (0..count).map(scenario).collect()
}

/// Signals, stopped processes, runs at once, full disks, clocks that jump, edited mails and lost ledgers.
fn others(count: usize, seed: u64) -> Vec<Scenario> {
    let mut dice = Dice(seed);
    let mut scenarios = Vec::new();
    for turn in 0..count {
        let stores = Store::every();
        let (store, keys) = (stores[turn % stores.len()], Keys::BOTH[turn / 2 % 2]);
        let mut setting = setting(store, keys, "", dice.below(1 << 32));
        let blows = match turn / 4 % 9 {
            8 => vec![Blow::TerminateAfter(dice.below(400_000)), Blow::TerminateAfter(dice.below(400_000))],
            0 => vec![Blow::Terminate(dice.below(12)), Blow::Terminate(dice.below(12))],
            1 => vec![Blow::Stop(1 + dice.below(6))],
            2 => vec![Blow::Overlap(2 + dice.below(7))],
            3 => vec![Blow::DiskFull(1 + dice.below(500))],
            4 => vec![Blow::ClockJump(dice.one(&[-90_000, -3_600, 3_600, 90_000]), dice.below(60))],
            5 => vec![Blow::Crash("after_response", 3), Blow::ClockJump(dice.one(&[-3_600, 90_000]), 0)],
            6 => vec![Blow::ClockAheadBeside(2), Blow::Run, Blow::EditTemplate, Blow::Run],
            _ => vec![Blow::Crash("after_response", 2), Blow::Run, Blow::LoseLedger],
        };
        if matches!(turn / 4 % 9, 0 | 1 | 6) {
            (setting.delay_milliseconds, setting.batch) = (40, 1);
        }
        // Where clocks are wrong, what is due is not what the truth says.
        setting.by_the_clock &= !matches!(turn / 4 % 9, 4..=6);
        if turn >= 36 && dice.below(2) == 0 {
            setting.fault = dice.one(&["", "accept_then_500", "throttle_429", "accept_then_reset", "reject_422"]);
        }
        scenarios.push(Scenario { setting, blows });
    }
    scenarios
}

/// What all scenarios came to.
#[derive(Default)]
struct Totals {
    scenarios: usize,
    exits: BTreeMap<Option<i32>, usize>,
    kills: usize,
    faults: usize,
    messages: usize,
    unknown: usize,
    reached: BTreeMap<&'static str, usize>,
    violations: Vec<String>,
}

impl Totals {
    fn add(&mut self, scenario: &Scenario, outcome: Outcome) {
        self.scenarios += 1;
        for code in outcome.exits {
            *self.exits.entry(code).or_default() += 1;
        }
        self.kills += outcome.kills;
        self.faults += outcome.faults;
        self.messages += outcome.messages;
        self.unknown += outcome.unknown;
        for point in outcome.reached {
            *self.reached.entry(point).or_default() += 1;
        }
        if !outcome.violations.is_empty() {
            let words = format!("{scenario:?}\n  {}", outcome.violations.join("\n  "));
            eprintln!("violated: {words}");
            self.violations.push(words);
        }
    }

    fn text(&self) -> String {
        let mut text = format!(
            "scenarios {}, runs {}, kills {}, faults {}, messages {}, unknown in the end {}, scenarios with a violation {}\n",
            self.scenarios,
            self.exits.values().sum::<usize>(),
            self.kills,
            self.faults,
            self.messages,
            self.unknown,
            self.violations.len()
        );
        text.push_str("exits:");
        for (code, times) in &self.exits {
            let code = code.map_or("killed".to_owned(), |code| code.to_string());
            let _ = write!(text, " {code} x {times}");
        }
        let _ = write!(text, "\ncrash points reached: {} of {}:", self.reached.len(), CRASHPOINTS.len());
        for (point, times) in &self.reached {
            let _ = write!(text, " {point} {times}");
        }
        text
    }
}

/// Plays scenarios in an order that makes any beginning of it a fair sample, until the time is up.
fn play(mut scenarios: Vec<Scenario>, seed: u64, until: Option<Instant>) -> Totals {
    let mut dice = Dice(seed);
    for last in (1..scenarios.len()).rev() {
        scenarios.swap(last, dice.below(last as u64 + 1) as usize);
    }
    let (next, totals) = (AtomicUsize::new(0), Mutex::new(Totals::default()));
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(scenario) = scenarios.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if until.is_some_and(|until| monotonic() > until) {
                        return;
                    }
                    if variable("MILEPOST_TEST_VERBOSE").is_some() {
                        eprintln!("{scenario:?}");
                    }
                    let outcome = scenario.play();
                    let mut totals = totals.lock().expect("no worker panics while adding");
                    totals.add(scenario, outcome);
                    if totals.scenarios % 100 == 0 {
                        eprintln!("{}", totals.text());
                    }
                }
            });
        }
    });
    totals.into_inner().expect("no worker panicked")
}

fn seed() -> u64 {
    let given = variable("MILEPOST_TEST_SEED").and_then(|text| text.parse().ok());
    given.unwrap_or_else(|| u64::from(u32::from_le_bytes(random_bytes().expect("randomness"))))
}

fn number(name: &str) -> Option<usize> {
    variable(name).and_then(|text| text.parse().ok())
}

/// A scenario that leads to a crash point, as far as chance allows.
fn way_there(turn: usize, point: &'static str, dice: &mut Dice) -> Scenario {
    let stores = Store::every();
    let store = (turn..turn + 2).map(|turn| stores[turn % stores.len()]).find(|store| belongs(point, *store));
    let store = store.expect("one of both");
    let (keys, fault) = match point {
        "before_replay" | "before_repeat" => (Keys::Honoured, "accept_then_500"),
        "before_give_back" | "before_again" | "after_again" => (dice.one(&Keys::BOTH), "throttle_429"),
        "before_release" => (Keys::Honoured, "unauthorized_401"),
        "before_piece" | "before_held" => (dice.one(&Keys::BOTH), "reject_422"),
        "before_defer" => (Keys::Honoured, "quota_429"),
        "before_hold" => (Keys::Ignored, ""),
        _ => (dice.one(&Keys::BOTH), ""),
    };
    let mut setting = setting(store, keys, fault, dice.below(1 << 32));
    setting.chance = 0.95;
    match point {
        "before_piece" => setting.batch = 4,
        "before_held" => setting.batch = 1,
        _ => {}
    }
    if point.ends_with("_renewal") {
        (setting.delay_milliseconds, setting.batch) = (200, 1);
    }
    Scenario { blows: way_to(point, dice), setting }
}

/// Every crash point once, with the faults, ledgers and keys taking turns, and some of everything else.
#[test]
fn a_spread_subset_holds_and_every_point_is_reached() {
    let seed = seed();
    let mut dice = Dice(seed);
    let ways = |points: &BTreeSet<&str>, dice: &mut Dice| -> Vec<Scenario> {
        let wanted = CRASHPOINTS.into_iter().enumerate().filter(|(_, point)| points.contains(point));
        wanted.map(|(turn, point)| way_there(turn, point, dice)).collect()
    };
    let here = |point: &&str| Store::every().into_iter().any(|store| belongs(point, store));
    let mut missed: BTreeSet<&str> = CRASHPOINTS.into_iter().filter(here).collect();
    let mut scenarios = ways(&missed, &mut dice);
    let all: Vec<_> = settings().collect();
    for turn in 0..FAULTS.len() {
        let (fault, store, keys) = all[turn * 4 + dice.below(4) as usize];
        scenarios.push(Scenario { setting: setting(store, keys, fault, dice.below(1 << 32)), blows: vec![Blow::Run] });
    }
    scenarios.extend(random_kills(8, seed));
    scenarios.extend(others(36, seed).into_iter().skip(seed as usize % 4).step_by(4));
    // Chance may end a run before its crash point: such points are tried again.
    for _ in 0..6 {
        let totals = play(scenarios, seed, None);
        assert!(totals.violations.is_empty(), "seed {seed}: {}\n{}", totals.text(), totals.violations.join("\n"));
        missed.retain(|point| !totals.reached.contains_key(point));
        if missed.is_empty() {
            return;
        }
        scenarios = ways(&missed, &mut dice);
    }
    panic!("seed {seed}: never reached: {missed:?}");
}

/// The whole matrix: `just crash`. `MILEPOST_TEST_MATRIX=MINUTES` bounds the time of each part, and
/// `MILEPOST_TEST_ONLY=Stop` plays the scenarios alone whose names hold these letters.
#[test]
fn the_whole_matrix_holds() {
    let Some(minutes) = number("MILEPOST_TEST_MATRIX") else { return };
    let seed = seed();
    eprintln!("seed {seed}");
    let kills = number("MILEPOST_TEST_KILLS").unwrap_or(1_000);
    let parts = [
        ("random kills", random_kills(kills * 3 / 4, seed)),
        ("signals, overlaps, disks, clocks", others(360, seed)),
        ("crash points x faults x ledgers x keys", whole(seed)),
    ];
    let mut broken = 0;
    for (name, mut scenarios) in parts {
        let only = variable("MILEPOST_TEST_ONLY").unwrap_or_default();
        scenarios.retain(|scenario| format!("{scenario:?}").contains(&only));
        let (all, started) = (scenarios.len(), monotonic());
        let totals = play(scenarios, seed, Some(started + Duration::from_secs(minutes as u64 * 60)));
        let seconds = started.elapsed().as_secs();
        eprintln!("== {name}: {} of {all} scenarios in {seconds} s, seed {seed}\n{}", totals.scenarios, totals.text());
        broken += totals.violations.len();
    }
    assert_eq!(broken, 0, "scenarios with violations, named above");
}

/// Each point of the list stands once in the source, and no other does; the same for the mistakes.
#[test]
fn the_lists_of_points_and_mistakes_are_complete() {
    let mut found: BTreeMap<(&str, String), usize> = BTreeMap::new();
    let mut folders = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            for kind in ["crashpoint", "seeded"] {
                for rest in text.split(&format!("{kind}!(\"")).skip(1) {
                    let name = rest.split('"').next().unwrap_or_default().to_owned();
                    *found.entry((kind, name)).or_default() += 1;
                }
            }
        }
    }
    for point in CRASHPOINTS {
        assert_eq!(found.remove(&("crashpoint", point.to_owned())), Some(1), "{point} stands once in src");
    }
    for bug in milepost::settings::SEEDED_BUGS {
        assert!(found.remove(&("seeded", bug.to_owned())).is_some(), "{bug} stands in src");
    }
    assert!(found.is_empty(), "not in the lists: {found:?}");
}
