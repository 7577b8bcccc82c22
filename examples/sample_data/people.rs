//! Lumen's accounts and people: who signed up when, in which zone, with which address and which role.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::calendar::{self, DAYS};
use crate::chance::Chance;
use crate::names::{COMPANY_FIRST, COMPANY_LAST, REGIONS, Region, address_part};

const PEOPLE: usize = 3_000;
const ACCOUNTS: usize = 600;
const SECOND_ACCOUNTS: usize = 24;

/// Everything but the events.
pub(crate) struct World {
    pub(crate) accounts: Vec<Account>,
    pub(crate) people: Vec<Person>,
    pub(crate) members: Vec<Member>,
    pub(crate) unsubscribes: Vec<Unsubscribe>,
}

/// A company that pays, or may one day.
pub(crate) struct Account {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) plan: &'static str,
    pub(crate) created_at: Timestamp,
    region: usize,
    members: u32,
}

/// Somebody with a login.
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) email: String,
    pub(crate) first_name: String,
    pub(crate) last_name: String,
    /// The zone as the product stored it: empty for a few.
    pub(crate) stored_zone: &'static str,
    /// The zone the person lives in.
    pub(crate) zone: TimeZone,
    pub(crate) created_at: Timestamp,
    /// The local day of signing up, counted from the sample's first day.
    pub(crate) first_day: i64,
    pub(crate) token: String,
    /// The account signed up with; a few administer a second one.
    pub(crate) accounts: Vec<usize>,
}

/// A person's role in an account.
pub(crate) struct Member {
    pub(crate) account: usize,
    pub(crate) person: usize,
    pub(crate) role: &'static str,
}

/// An address that asked not to be mailed, or cannot be.
pub(crate) struct Unsubscribe {
    pub(crate) email: String,
    pub(crate) reason: &'static str,
    pub(crate) at: Timestamp,
}

/// Draws the whole world.
pub(crate) fn world(seed: u64) -> World {
    let mut world = World { accounts: Vec::new(), people: Vec::new(), members: Vec::new(), unsubscribes: Vec::new() };
    for (number, first_day) in signup_days().into_iter().enumerate() {
        sign_up(&mut world, seed, number, first_day);
    }
    add_second_accounts(&mut world, seed);
    world.unsubscribes = unsubscribes(&world.people, seed);
    world
}

/// The day each person signs up: more every month, few at weekends.
fn signup_days() -> Vec<i64> {
    let weight = |offset: i64| {
        (1.0 + 2.2 * offset as f64 / DAYS as f64) * (0.25 + calendar::weekday_factor(calendar::day(offset)))
    };
    let total: f64 = (0..DAYS).map(weight).sum();
    let (mut days, mut due) = (Vec::with_capacity(PEOPLE), 0.0);
    for offset in 0..DAYS {
        due += weight(offset) / total * PEOPLE as f64;
        while (days.len() as f64) < due.round() && days.len() < PEOPLE {
            days.push(offset);
        }
    }
    days
}

fn sign_up(world: &mut World, seed: u64, number: usize, first_day: i64) {
    let mut chance = Chance::new(seed, 1, number as u64);
    let founds = world.accounts.is_empty() || number * ACCOUNTS / PEOPLE >= world.accounts.len();
    let account = if founds { world.accounts.len() } else { account_to_join(&world.accounts, &mut chance) };
    let region =
        if founds { chance.weighted(&REGIONS.map(|region| region.weight)) } else { world.accounts[account].region };
    let zone = zone_of(&REGIONS[region], &mut chance);
    // Nobody appears after the sample ends, whatever their zone.
    let mut created_at = calendar::moment(calendar::day(first_day.min(DAYS - 2)), &calendar::zone(zone), &mut chance);
    if let Some(joined) = world.accounts.get(account) {
        // Colleagues come after whoever opened the account.
        created_at = created_at.max(joined.created_at + SignedDuration::from_mins(chance.between(5, 90)));
    } else {
        world.accounts.push(new_account(account, region, created_at, seed, &mut chance));
    }
    world.accounts[account].members += 1;
    let role = if founds || (world.accounts[account].members == 9 && chance.happens(0.6)) { "admin" } else { "member" };
    world.members.push(Member { account, person: number, role });
    let company = world.accounts[account].name.clone();
    let (first_name, last_name) = name_of(&REGIONS[region], &mut chance);
    let taken = |email: &str| world.people.iter().any(|person| person.email == email);
    let email = address(&first_name, &last_name, &company, taken, &mut chance);
    let first_name = if chance.happens(0.02) { String::new() } else { first_name };
    world.people.push(Person {
        id: format!("u_{:05}", number + 1),
        email,
        first_name,
        last_name,
        stored_zone: if chance.happens(0.015) { "" } else { zone },
        zone: calendar::zone(zone),
        created_at,
        first_day: first_day.min(DAYS - 2),
        token: format!("{:016x}", Chance::new(seed, 2, number as u64).next()),
        accounts: vec![account],
    });
}

/// Larger accounts attract more people, up to a point.
fn account_to_join(accounts: &[Account], chance: &mut Chance) -> usize {
    let weights: Vec<u32> =
        accounts.iter().map(|account| if account.members < 45 { account.members + 2 } else { 0 }).collect();
    chance.weighted(&weights)
}

fn zone_of(region: &Region, chance: &mut Chance) -> &'static str {
    let other = chance.index(region.zones.len());
    if chance.happens(0.55) { region.zones[0] } else { region.zones[other] }
}

fn name_of(region: &Region, chance: &mut Chance) -> (String, String) {
    ((*chance.pick(region.first_names)).to_owned(), (*chance.pick(region.last_names)).to_owned())
}

fn new_account(number: usize, region: usize, created_at: Timestamp, seed: u64, chance: &mut Chance) -> Account {
    // A step that shares no factor with the number of names visits each name once.
    let names = COMPANY_FIRST.len() * COMPANY_LAST.len();
    let start = Chance::new(seed, 3, 0).index(names);
    let name = (start + number * 257) % names;
    Account {
        id: format!("acct_{:03}", number + 1),
        name: format!("{} {}", COMPANY_FIRST[name % COMPANY_FIRST.len()], COMPANY_LAST[name / COMPANY_FIRST.len()]),
        plan: ["free", "team", "business"][chance.weighted(&[50, 36, 14])],
        created_at,
        region,
        members: 0,
    }
}

/// An address as products have them: mostly fine, a few missing, mistyped, padded or in capitals.
fn address(
    first_name: &str,
    last_name: &str,
    company: &str,
    taken: impl Fn(&str) -> bool,
    chance: &mut Chance,
) -> String {
    let (first, last) = (address_part(first_name), address_part(last_name));
    let domain = address_part(company).replace('-', "");
    let plain = format!("{first}.{last}@{domain}.example");
    let clean = if taken(&plain) { format!("{first}.{last}{}@{domain}.example", chance.between(2, 99)) } else { plain };
    match chance.weighted(&[9_720, 80, 25, 25, 20, 60, 70]) {
        1 => String::new(),
        2 => format!("{first}.{last}@"),
        3 => format!("{first}.{last}(at){domain}.example"),
        4 => "n/a".to_owned(),
        5 => format!(" {clean} "),
        6 => clean.to_uppercase(),
        _ => clean,
    }
}

/// A few admins look after a second account, as agencies do.
fn add_second_accounts(world: &mut World, seed: u64) {
    let mut chance = Chance::new(seed, 4, 0);
    let admins: Vec<usize> =
        world.members.iter().filter(|member| member.role == "admin").map(|member| member.person).collect();
    for position in 0..SECOND_ACCOUNTS {
        let person = admins[position * admins.len() / SECOND_ACCOUNTS];
        let account = chance.index(world.accounts.len());
        if !world.people[person].accounts.contains(&account) {
            world.people[person].accounts.push(account);
            world.members.push(Member { account, person, role: "admin" });
        }
    }
}

/// What the unsubscribe page and the bounce log know; spelt as people spell, not as the people table does.
fn unsubscribes(people: &[Person], seed: u64) -> Vec<Unsubscribe> {
    let mut chance = Chance::new(seed, 5, 0);
    let mut rows = Vec::new();
    for person in people {
        if person.email.contains('@') && chance.happens(0.03) {
            let reason = ["unsubscribed", "bounce", "complaint"][chance.weighted(&[74, 20, 6])];
            let email = if chance.happens(0.1) { person.email.to_uppercase() } else { person.email.clone() };
            let days = chance.between(1, 60);
            let at = person.created_at + SignedDuration::from_hours(24 * days);
            if at < calendar::end() {
                rows.push(Unsubscribe { email, reason, at });
            }
        }
    }
    rows
}
