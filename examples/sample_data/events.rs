//! What people did: a simulation of sessions, day by day in each person's zone, with the faults of real event tables.

use jiff::civil::Date;
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

impl Event {
    /// An event of nobody, without properties.
    fn bare(name: &'static str, timestamp: Timestamp, received_at: Timestamp) -> Self {
        Self {
            message_id: 0,
            name,
            person: None,
            account: None,
            timestamp,
            received_at,
            campaign: None,
            channel: None,
            recipients: None,
            duration_s: None,
        }
    }
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
        let mut chance = Chance::new(seed, 10, number as u64);
        let habit = habit(person, &mut chance);
        let desk = Desk::default();
        Life { person, number, habit, desk, chance, campaigns: &mut campaigns, events: &mut events }.live();
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
    // The least of three draws is mostly small: lists are.
    let size = (0..3).map(|_| chance.between(0, 30_000)).min().unwrap_or_default();
    Habit {
        intensity: 0.06 + 0.94 * share * share,
        publishing: [0, 6, 16, 80][chance.weighted(&[30, 36, 28, 6])],
        last_day: person.first_day + stays,
        list_size: chance.between(40, 400) + size,
    }
}

/// One person's time with the product.
struct Life<'a> {
    person: &'a Person,
    number: usize,
    habit: Habit,
    desk: Desk,
    chance: Chance,
    campaigns: &'a mut u32,
    events: &'a mut Vec<Event>,
}

impl Life<'_> {
    fn live(&mut self) {
        let joined = self.person.created_at;
        let event = self.event("signed_up", joined);
        self.events.push(event);
        if self.chance.happens(0.85) {
            self.session(joined + SignedDuration::from_mins(2));
        }
        for offset in self.person.first_day + 1..DAYS.min(self.habit.last_day + 1) {
            self.day(calendar::day(offset));
        }
    }

    fn day(&mut self, day: Date) {
        if !self.chance.happens(calendar::weekday_factor(day) * (0.06 + 0.78 * self.habit.intensity)) {
            return;
        }
        for _ in 0..=usize::from(self.chance.happens(0.3 * self.habit.intensity + 0.1)) {
            let start = calendar::moment(day, &self.person.zone, &mut self.chance);
            if start < calendar::end() {
                self.session(start);
            }
        }
    }

    /// From logging in to going away.
    fn session(&mut self, start: Timestamp) {
        let mut at = start;
        let login = self.event("user_logged_in", at);
        let account = login.account;
        self.events.push(login);
        for _ in 0..self.chance.between(1, 5) {
            let mut row = self.event("", at);
            row.account = account;
            self.act(&mut row);
            at += SignedDuration::from_secs(row.duration_s.unwrap_or(0) + self.chance.between(15, 240));
            let lag = row.received_at.duration_since(row.timestamp);
            (row.timestamp, row.received_at) = (at, at + lag);
            if at >= calendar::end() {
                return;
            }
            self.events.push(row);
        }
    }

    /// One thing done: fills in its name and properties.
    fn act(&mut self, row: &mut Event) {
        let reports = if self.desk.published.is_empty() { 0 } else { 24 };
        let edits = if self.desk.drafts.is_empty() { 4 } else { 40 };
        match self.chance.weighted(&[10, edits, self.habit.publishing, reports, 7, 6, 2]) {
            0 => {
                row.name = "campaign_created";
                row.campaign = Some(self.draft());
            }
            1 => {
                row.name = "campaign_edited";
                row.campaign = Some(self.desk.drafts.last().copied().unwrap_or_else(|| self.draft()));
                let longer = if self.chance.happens(0.2) { 2_400 } else { 0 };
                row.duration_s = Some(self.chance.between(40, 900) + self.chance.between(longer / 4, longer));
            }
            2 => self.publish(row),
            3 => {
                row.name = "report_viewed";
                let back = 1 + self.chance.index(self.desk.published.len().min(3));
                row.campaign = Some(self.desk.published[self.desk.published.len() - back]);
            }
            4 => {
                row.name = "contacts_imported";
                row.recipients = Some(self.chance.between(5, 60) * self.chance.between(1, 40));
            }
            5 => row.name = "template_saved",
            _ => row.name = "teammate_invited",
        }
    }

    fn publish(&mut self, row: &mut Event) {
        row.name = "campaign_published";
        let campaign = self.desk.drafts.pop().unwrap_or_else(|| self.next_campaign());
        self.desk.published.push(campaign);
        row.campaign = Some(campaign);
        row.channel = Some(["email", "sms", "push"][self.chance.weighted(&[84, 9, 7])]);
        row.recipients = Some(self.habit.list_size * self.chance.between(35, 130) / 100 + self.chance.between(1, 25));
    }

    fn draft(&mut self) -> u32 {
        let campaign = self.next_campaign();
        self.desk.drafts.push(campaign);
        campaign
    }

    fn next_campaign(&mut self) -> u32 {
        *self.campaigns += 1;
        *self.campaigns
    }

    fn event(&mut self, name: &'static str, timestamp: Timestamp) -> Event {
        let account = *self.chance.pick(&self.person.accounts);
        let received_at = timestamp + lag(&mut self.chance);
        Event { person: Some(self.number), account: Some(account), ..Event::bare(name, timestamp, received_at) }
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
            events.push(Event::bare("page_viewed", timestamp, received_at));
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
