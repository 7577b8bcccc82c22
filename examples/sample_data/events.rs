//! What people did: a simulation of sessions, day by day in each person's zone, with the faults of real event tables.

use jiff::{SignedDuration, Timestamp};

use crate::calendar::{self, DAYS};
use crate::chance::Chance;
use crate::people::{Person, World};

/// One row of the events table.
#[derive(Clone)]
pub(crate) struct Event {
    pub(crate) message_id: u64,
    pub(crate) name: &'static str,
    pub(crate) person: Option<usize>,
    pub(crate) account: Option<usize>,
    pub(crate) timestamp: Timestamp,
    pub(crate) received_at: Timestamp,
    pub(crate) campaign: Option<u32>,
    pub(crate) channel: Option<&'static str>,
    pub(crate) recipients: Option<i64>,
    pub(crate) duration_s: Option<i64>,
}

/// How somebody uses the product.
struct Habit {
    /// 0 (hardly ever) to 1 (every working day).
    intensity: f64,
    /// Of the things done in a session, the weight of publishing.
    publishing: u32,
    /// The last day of use, counted from the sample's first day.
    last_day: i64,
    /// How many people a campaign goes to, roughly.
    list_size: i64,
}

/// Campaigns of one person: drafted, published.
#[derive(Default)]
struct Desk {
    drafts: Vec<u32>,
    published: Vec<u32>,
}

/// Every event of the sample in the order of arrival.
pub(crate) fn simulate(world: &World, seed: u64) -> Vec<Event> {
    let (mut events, mut campaigns) = (Vec::new(), 0);
    for (number, person) in world.people.iter().enumerate() {
        live(person, number, seed, &mut campaigns, &mut events);
    }
    visit_anonymously(seed, &mut events);
    events.sort_by_key(|event| (event.timestamp, event.person, event.name, event.campaign));
    for (number, event) in (1..).zip(&mut events) {
        event.message_id = number;
    }
    repeat_some(seed, &mut events);
    // What had not arrived when the sample was taken is not in it.
    events
        .retain(|event| event.received_at < calendar::end() && event.received_at >= calendar::at_utc(calendar::FIRST));
    events.sort_by_key(|event| (event.received_at, event.message_id));
    events
}

fn habit(person: &Person, chance: &mut Chance) -> Habit {
    let share = chance.share();
    let stays = match chance.weighted(&[22, 26, 52]) {
        0 => chance.between(0, 9),
        1 => chance.between(10, 75),
        _ => DAYS,
    };
    let size = chance.share();
    Habit {
        intensity: 0.06 + 0.94 * share * share,
        publishing: [0, 6, 16, 80][chance.weighted(&[30, 36, 28, 6])],
        last_day: person.first_day + stays,
        list_size: chance.between(40, 400) + (size * size * size * 30_000.0).round() as i64,
    }
}

fn live(person: &Person, number: usize, seed: u64, campaigns: &mut u32, events: &mut Vec<Event>) {
    let mut chance = Chance::new(seed, 10, number as u64);
    let habit = habit(person, &mut chance);
    let mut desk = Desk::default();
    events.push(event("signed_up", person, number, person.created_at, &mut chance));
    if chance.happens(0.85) {
        session(person, number, &habit, (person.created_at + minutes(2), &mut desk, campaigns), (&mut chance, events));
    }
    for offset in person.first_day + 1..DAYS.min(habit.last_day + 1) {
        let day = calendar::day(offset);
        if !chance.happens(calendar::weekday_factor(day) * (0.06 + 0.78 * habit.intensity)) {
            continue;
        }
        for _ in 0..=usize::from(chance.happens(0.3 * habit.intensity + 0.1)) {
            let start = calendar::moment(day, &person.zone, &mut chance);
            if start < calendar::end() {
                session(person, number, &habit, (start, &mut desk, campaigns), (&mut chance, events));
            }
        }
    }
}

/// From logging in to going away.
fn session(
    person: &Person,
    number: usize,
    habit: &Habit,
    (start, desk, campaigns): (Timestamp, &mut Desk, &mut u32),
    (chance, events): (&mut Chance, &mut Vec<Event>),
) {
    let mut at = start;
    let mut login = event("user_logged_in", person, number, at, chance);
    let account = login.account;
    login.duration_s = None;
    events.push(login);
    for _ in 0..chance.between(1, 5) {
        let mut row = event("", person, number, at, chance);
        row.account = account;
        act(&mut row, habit, desk, campaigns, chance);
        at += SignedDuration::from_secs(row.duration_s.unwrap_or(0) + chance.between(15, 240));
        let lag = row.received_at.duration_since(row.timestamp);
        (row.timestamp, row.received_at) = (at, at + lag);
        if at >= calendar::end() {
            return;
        }
        events.push(row);
    }
}

/// One thing done: fills in its name and properties.
fn act(row: &mut Event, habit: &Habit, desk: &mut Desk, campaigns: &mut u32, chance: &mut Chance) {
    let reports = if desk.published.is_empty() { 0 } else { 24 };
    let edits = if desk.drafts.is_empty() { 4 } else { 40 };
    match chance.weighted(&[10, edits, habit.publishing, reports, 7, 6, 2]) {
        0 => {
            row.name = "campaign_created";
            row.campaign = Some(draft(desk, campaigns));
        }
        1 => {
            row.name = "campaign_edited";
            row.campaign = Some(desk.drafts.last().copied().unwrap_or_else(|| draft(desk, campaigns)));
            row.duration_s =
                Some(chance.between(40, 900) + if chance.happens(0.2) { chance.between(600, 2_400) } else { 0 });
        }
        2 => {
            row.name = "campaign_published";
            let campaign = desk.drafts.pop().unwrap_or_else(|| next_campaign(campaigns));
            desk.published.push(campaign);
            row.campaign = Some(campaign);
            row.channel = Some(["email", "sms", "push"][chance.weighted(&[84, 9, 7])]);
            row.recipients = Some(habit.list_size * chance.between(35, 130) / 100 + chance.between(1, 25));
        }
        3 => {
            row.name = "report_viewed";
            row.campaign = Some(desk.published[desk.published.len() - 1 - chance.index(desk.published.len().min(3))]);
        }
        4 => {
            row.name = "contacts_imported";
            row.recipients = Some(chance.between(5, 60) * chance.between(1, 40));
        }
        5 => row.name = "template_saved",
        _ => row.name = "teammate_invited",
    }
}

fn draft(desk: &mut Desk, campaigns: &mut u32) -> u32 {
    let campaign = next_campaign(campaigns);
    desk.drafts.push(campaign);
    campaign
}

fn next_campaign(campaigns: &mut u32) -> u32 {
    *campaigns += 1;
    *campaigns
}

fn event(name: &'static str, person: &Person, number: usize, timestamp: Timestamp, chance: &mut Chance) -> Event {
    Event {
        message_id: 0,
        name,
        person: Some(number),
        account: Some(*chance.pick(&person.accounts)),
        timestamp,
        received_at: timestamp + lag(chance),
        campaign: None,
        channel: None,
        recipients: None,
        duration_s: None,
    }
}

/// How late an event arrives: seconds for most, up to three days for phones that were offline.
fn lag(chance: &mut Chance) -> SignedDuration {
    let seconds = match chance.weighted(&[950, 35, 15]) {
        0 => chance.between(0, 8),
        1 => chance.between(60, 7_200),
        _ => chance.between(7_200, 3 * 86_400 - 1),
    };
    SignedDuration::from_secs(seconds)
}

/// Visits of the site before anybody is known: rows without a person.
fn visit_anonymously(seed: u64, events: &mut Vec<Event>) {
    let mut chance = Chance::new(seed, 11, 0);
    for offset in 0..DAYS {
        for _ in 0..12 + offset / 6 {
            let timestamp = calendar::moment(calendar::day(offset), &jiff::tz::TimeZone::UTC, &mut chance);
            let received_at = timestamp + lag(&mut chance);
            events.push(Event {
                message_id: 0,
                name: "page_viewed",
                person: None,
                account: None,
                timestamp,
                received_at,
                campaign: None,
                channel: None,
                recipients: None,
                duration_s: None,
            });
        }
    }
}

/// One event in two hundred arrives twice, as at-least-once delivery has it.
fn repeat_some(seed: u64, events: &mut Vec<Event>) {
    let mut chance = Chance::new(seed, 12, 0);
    let mut repeated = Vec::new();
    for event in events.iter() {
        if chance.happens(0.005) {
            let later = SignedDuration::from_secs(chance.between(1, 4 * 3_600));
            repeated.push(Event { received_at: event.received_at + later, ..event.clone() });
        }
    }
    events.append(&mut repeated);
}

fn minutes(count: i64) -> SignedDuration {
    SignedDuration::from_secs(60 * count)
}
