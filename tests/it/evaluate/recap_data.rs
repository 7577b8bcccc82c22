//! Random data sets for recaps: projects of every kind of period, zone and entity, and the rows given to each.

use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};
use milepost::evaluate::CompiledJob;
use milepost::project::GivenTable;
use serde_json::json;

use super::world::{World, given, row};

/// How many earlier periods an average has.
pub(super) const AVERAGED: usize = 3;
/// Entities of a data set that the audience names; two more are outside of it.
const SUBJECTS: u64 = 28;

/// A small generator: the same seed gives the same data.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.below(from.len() as u64)).expect("small")]
    }

    fn hours(&mut self, limit: u64) -> SignedDuration {
        SignedDuration::from_hours(i64::try_from(self.below(limit)).expect("small"))
    }
}

pub(super) const ZONES: [&str; 7] = [
    "Europe/Paris",
    "America/New_York",
    "UTC",
    "Pacific/Kiritimati",
    "Etc/GMT+12",
    "America/Sao_Paulo",
    "Asia/Kathmandu",
];
const INSTANTS: [&str; 8] = [
    "2026-03-29T12:00:00Z",
    "2026-10-26T00:30:00Z",
    "2027-01-04T11:00:00Z",
    "2028-03-01T01:00:00Z",
    "2026-11-02T09:00:00Z",
    "2027-01-11T12:00:00Z",
    "2026-07-01T13:00:00Z",
    "2028-03-01T13:00:00Z",
];
const KINDS: [&str; 5] = ["day", "week", "month", "quarter", "year"];

/// What all data sets of a project have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setup {
    pub(super) kind: &'static str,
    pub(super) project_zone: &'static str,
    /// `zone: profile`.
    pub(super) per_profile: bool,
    /// An account is measured and mailed to its people, instead of the profile.
    pub(super) of_account: bool,
}

impl Setup {
    /// Every kind of period with every kind of zone and entity.
    pub(super) fn all() -> Vec<Self> {
        let mut setups = Vec::new();
        for kind in KINDS {
            for (per_profile, of_account) in [(false, false), (false, true), (true, false), (true, true)] {
                setups.push(Self { kind, project_zone: ZONES[setups.len() % ZONES.len()], per_profile, of_account });
            }
        }
        setups
    }

    /// An account that is measured in the zones of several people has no one rank.
    pub(super) fn has_rank(self) -> bool {
        !(self.per_profile && self.of_account)
    }

    /// The project with its compiled recap.
    pub(super) async fn open(self) -> (World, CompiledJob) {
        let project = format!(
            "project: test\ntimezone: {}\ntables:\n  events:\n    csv: events/\n    partitions: {{day: {{type: date, of: \
             received, zone: UTC}}}}\n    time: happened_at\n    received: landed_at\n    dedup: message_id\n  people: \
             {{csv: people.csv}}\nproviders: {{local: {{outbox: {{dir: out}}}}}}\ndefaults: {{provider: local, sender: 'A \
             <a@x.test>', postal_address: here}}\nunsubscribe: {{url: 'https://x.test/leave'}}\n",
            self.project_zone
        );
        let event = "user_id,account_id,message_id,event,item,place,words,happened_at,landed_at\n\
                     u,a,m,poll,pen,north,1,2020-01-01T00:00:00Z,2020-01-01T00:00:00Z\n";
        let person = "profile_id,account_id,email,timezone,since\np,a,p@x.test,UTC,2020-01-01T00:00:00Z\n";
        let world = World::of(&[
            ("milepost.yml", &project),
            ("people.csv", person),
            ("events/day=2020-01-01/a.csv", event),
            ("jobs/digest.yml", &self.job()),
            ("jobs/t.html", "<p>{{ unsubscribe_url }} {{ postal_address }}</p>"),
        ])
        .await;
        let compiled = world.compile("digest").await;
        (world, compiled)
    }

    fn job(self) -> String {
        let mut job = format!(
            "job: digest\nstart: all\naudience: people\nmessage: {{subject: s, template: t.html}}\nrecap:\n  period: {}\n  \
             zone: {}\n  since: since\n  compare: [previous, last_year, average({AVERAGED})]\n",
            self.kind,
            if self.per_profile { "profile" } else { "project" }
        );
        if self.of_account {
            job.push_str("  entity: account_id\n");
        }
        let [middle, longest] = steps(self.kind);
        let rank = if self.has_rank() { ", rank: true" } else { "" };
        let _ = write!(
            job,
            "  metrics:\n    polls: {{sql: \"count(*) filter (where event = 'poll')\", trend: day, goal: 4{rank}}}\n    \
             items: {{sql: \"count(distinct item) filter (where events.event = 'edit')\", trend: {longest}}}\n    \
             words: {{sql: sum(words){rank}}}\n    best: {{sql: max(words), trend: {middle}{rank}}}\n    \
             mean: {{sql: avg(words)}}\n    last: {{sql: max(event)}}\n    \
             both: {{sql: \"count(distinct user_id) + count(distinct item) + sum(words) / 4.0\"}}\n  \
             by: {{column: place, metrics: [polls, items, mean], top: 2}}\n  top:\n    \
             things: {{column: item, sql: count(*), limit: 2}}\n    \
             writers: {{column: user_id, sql: sum(words), limit: 3}}\n"
        );
        job
    }
}

/// The steps of two trends of a period: the longest that it takes, and one between that and a day.
pub(super) fn steps(kind: &str) -> [&'static str; 2] {
    match kind {
        "day" | "week" => ["day", "day"],
        "month" => ["day", "week"],
        _ => ["week", "month"],
    }
}

/// A row of the audience.
#[derive(Clone, Debug)]
pub(super) struct Person {
    pub(super) profile: String,
    pub(super) account: String,
    pub(super) zone: &'static str,
    pub(super) since: Option<Timestamp>,
}

/// A row of the events.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) user: Option<String>,
    pub(super) account: Option<String>,
    pub(super) message: Option<String>,
    pub(super) at: Timestamp,
    pub(super) landed_at: Timestamp,
    pub(super) is_poll: bool,
    pub(super) item: Option<&'static str>,
    pub(super) place: Option<&'static str>,
    pub(super) words: Option<i64>,
}

/// What one data set holds.
#[derive(Debug)]
pub(super) struct DataSet {
    pub(super) setup: Setup,
    pub(super) as_of: Timestamp,
    pub(super) people: Vec<Person>,
    /// As they are given, with copies and rows that landed too late.
    pub(super) events: Vec<Event>,
}

impl DataSet {
    pub(super) fn new(setup: Setup, seed: u64) -> Self {
        let dice = &mut Dice(seed);
        let as_of: Timestamp = dice.pick(&INSTANTS).parse().expect("an instant");
        let unit_hours = match setup.kind {
            "day" => 24,
            "week" => 24 * 7,
            "month" => 24 * 30,
            "quarter" => 24 * 91,
            _ => 24 * 366,
        };
        let mut people = Vec::new();
        for number in 0..SUBJECTS {
            let zone = if dice.below(8) == 0 { dice.pick(&["", "Nowhere/Else"]) } else { dice.pick(&ZONES) };
            let since = (dice.below(3) > 0).then(|| as_of - dice.hours(unit_hours * 6));
            let (profile, account) = (format!("p{number:02}"), format!("a{number:02}"));
            people.push(Person { profile, account, zone, since });
            // Some have two accounts, so some accounts have two people.
            if setup.of_account && number > 0 && dice.below(6) == 0 {
                let other = people[usize::try_from(dice.below(number)).expect("small")].clone();
                people.push(Person { account: format!("a{number:02}"), ..other });
            }
        }
        people.sort_by_key(|person| (person.profile.clone(), person.account.clone()));
        people.dedup_by_key(|person| (person.profile.clone(), person.account.clone()));
        let mut events = Vec::new();
        for subject in 0..SUBJECTS + 2 {
            for _ in 0..dice.below(14) {
                let event = event(dice, setup, subject, as_of, unit_hours);
                events.push(event);
                with_copies(dice, &mut events);
            }
        }
        Self { setup, as_of, people, events }
    }

    /// The rows as tables.
    pub(super) fn tables(&self) -> Vec<GivenTable> {
        let people = self.people.iter().map(|person| {
            row([
                ("profile_id", json!(person.profile)),
                ("account_id", json!(person.account)),
                ("email", json!(format!("{}@x.test", person.profile))),
                ("timezone", json!(person.zone)),
                ("since", json!(person.since.map(|since| since.to_string()))),
            ])
        });
        let events = self.events.iter().map(|event| {
            row([
                ("user_id", json!(event.user)),
                ("account_id", json!(event.account)),
                ("message_id", json!(event.message)),
                ("event", json!(if event.is_poll { "poll" } else { "edit" })),
                ("item", json!(event.item)),
                ("place", json!(event.place)),
                ("words", json!(event.words)),
                ("happened_at", json!(event.at.to_string())),
                ("landed_at", json!(event.landed_at.to_string())),
            ])
        });
        vec![given("people", people), given("events", events)]
    }

    /// The events that count: each message once, as it first landed, and none that landed too late.
    pub(super) fn counted(&self) -> Vec<Event> {
        let mut counted: Vec<Event> = Vec::new();
        for event in self.events.iter().filter(|event| event.landed_at <= self.as_of + SignedDuration::from_hours(96)) {
            let known = counted.iter_mut().find(|known| known.message.is_some() && known.message == event.message);
            match known {
                Some(known) if event.landed_at < known.landed_at => *known = event.clone(),
                Some(_) => {}
                None => counted.push(event.clone()),
            }
        }
        counted
    }
}

fn event(dice: &mut Dice, setup: Setup, subject: u64, as_of: Timestamp, unit_hours: u64) -> Event {
    let hours = if dice.below(4) == 0 { 365 * 24 + dice.below(unit_hours * 2) } else { dice.below(unit_hours * 5) };
    let seconds = i64::try_from(hours * 3600).expect("small") - i64::try_from(dice.below(3600)).expect("small");
    let at = as_of - SignedDuration::from_secs(seconds);
    // Some land two days late, some before they happened, and some never in time.
    let landed_at = match dice.below(12) {
        0 => at - dice.hours(20),
        1 => as_of + SignedDuration::from_hours(40 * 24),
        _ => at + dice.hours(48),
    };
    let id = |prefix: &str| match subject {
        SUBJECTS.. => format!("outside_{prefix}{subject}"),
        number => format!("{prefix}{number:02}"),
    };
    let (user, account) = if setup.of_account {
        let user = (dice.below(7) > 0).then(|| format!("u{}", dice.below(5)));
        (user, (dice.below(20) > 0).then(|| id("a")))
    } else {
        ((dice.below(20) > 0).then(|| id("p")), Some("a".to_owned()))
    };
    Event {
        user,
        account,
        message: None,
        at,
        landed_at,
        is_poll: dice.below(2) == 0,
        item: (dice.below(5) > 0).then(|| dice.pick(&["pen", "cup", "key"])),
        place: (dice.below(6) > 0).then(|| dice.pick(&["north", "south", "east", "west"])),
        words: (dice.below(4) > 0).then(|| i64::try_from(dice.below(9)).expect("small")),
    }
}

/// Gives the last event its message, none, or a second copy that landed at another time and says something else.
fn with_copies(dice: &mut Dice, events: &mut Vec<Event>) {
    let number = events.len();
    let Some(last) = events.last_mut() else { return };
    if dice.below(9) == 0 {
        return;
    }
    last.message = Some(format!("m{number}"));
    if dice.below(7) == 0 {
        let mut copy = last.clone();
        copy.landed_at += SignedDuration::from_secs(60);
        copy.words = copy.words.map(|words| words + 100);
        if dice.below(2) == 0 {
            events.insert(number - 1, copy);
        } else {
            events.push(copy);
        }
    }
}
