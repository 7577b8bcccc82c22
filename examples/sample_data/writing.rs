//! The data of `examples/writing-app`: a quarter of a year at Quillet, an invented writing app, with sittings,
//! finished documents and accepted corrections.

use std::path::Path;

use jiff::civil::{Date, date};
use jiff::{SignedDuration, Timestamp, ToSpan};

use crate::chance::Chance;
use crate::crowd::{Member, crowd, moment_between};
use crate::csv::{field, table};
use crate::parquet::{instants, numbers, texts, write_table};

const PEOPLE: usize = 240;
const FIRST: Date = date(2026, 8, 3);
const DAYS: i64 = 92;

const HABITS: [&str; 6] =
    ["Missing commas", "Wordy sentences", "Passive voice", "Repeated words", "Hedging", "Spelling"];

#[derive(Clone)]
struct Event {
    name: &'static str,
    person: String,
    at: Timestamp,
    document: Option<String>,
    words: Option<i64>,
    different_words: Option<i64>,
    category: Option<&'static str>,
    corrections: Option<i64>,
}

/// Writes `people.csv` and `events.parquet`.
pub(crate) fn write(folder: &Path, seed: u64) -> Result<(), Box<dyn std::error::Error>> {
    let people = crowd(seed, 40, PEOPLE);
    let (mut events, mut rows) = (Vec::new(), Vec::new());
    for (number, person) in people.iter().enumerate() {
        let mut chance = Chance::new(seed, 41, number as u64);
        let joined = live(person, &mut chance, &mut events);
        let unsubscribed = if person.unsubscribed { "2026-09-15" } else { "" };
        rows.push(
            [
                person.id.as_str(),
                &person.email,
                &person.first_name,
                person.stored_zone,
                joined.to_string().as_str(),
                &person.token,
                unsubscribed,
            ]
            .map(field),
        );
    }
    let header = ["user_id", "email", "first_name", "timezone", "joined_at", "token", "unsubscribed_on"];
    table(&folder.join("people.csv"), header, rows.into_iter())?;
    events.sort_by(|left, right| (left.at, &left.person, left.name).cmp(&(right.at, &right.person, right.name)));
    let identified: Vec<(usize, Event)> = (1..).zip(events).collect();
    write_table(
        &folder.join("events.parquet"),
        vec![
            ("message_id", texts(&identified, |(number, _)| Some(format!("m{number:06}")))),
            ("event", texts(&identified, |(_, event)| Some(event.name.to_owned()))),
            ("user_id", texts(&identified, |(_, event)| Some(event.person.clone()))),
            ("timestamp", instants(&identified, |(_, event)| event.at)),
            ("document_id", texts(&identified, |(_, event)| event.document.clone())),
            ("words", numbers(&identified, |(_, event)| event.words)),
            ("different_words", numbers(&identified, |(_, event)| event.different_words)),
            ("category", texts(&identified, |(_, event)| event.category.map(str::to_owned))),
            ("corrections", numbers(&identified, |(_, event)| event.corrections)),
        ],
    )
}

/// How somebody writes.
struct Habit {
    pace: f64,
    words: i64,
    care: u32,
    last_day: i64,
}

fn live(person: &Member, chance: &mut Chance, events: &mut Vec<Event>) -> Timestamp {
    let first_day = if chance.happens(0.4) { 0 } else { chance.between(0, DAYS - 4) };
    let keenness = chance.share();
    let habit = Habit {
        pace: if chance.happens(0.06) { 0.985 } else { 0.06 + 0.6 * keenness * keenness },
        words: chance.between(90, 620),
        care: u32::try_from(chance.between(1, 6)).expect("a small number"),
        last_day: if chance.happens(0.3) { first_day + chance.between(2, 60) } else { DAYS },
    };
    let joined = moment_between(day(first_day), (7, 20), &person.zone, chance);
    events.push(Event { name: "signed_up", ..bare(person, joined) });
    let mut document = 1;
    for offset in first_day..DAYS.min(habit.last_day) {
        if !chance.happens(habit.pace) {
            continue;
        }
        for _ in 0..chance.between(1, 2) {
            let at =
                moment_between(day(offset), (6, 22), &person.zone, chance).max(joined + SignedDuration::from_mins(4));
            sitting(person, (at, &format!("{}-d{document}", person.id)), &habit, chance, events);
            document += i64::from(chance.happens(0.25));
        }
    }
    joined
}

fn sitting(
    person: &Member,
    (at, document): (Timestamp, &str),
    habit: &Habit,
    chance: &mut Chance,
    events: &mut Vec<Event>,
) {
    let words = (habit.words * chance.between(20, 200) / 100).max(12);
    let different = words * chance.between(38, 62) / 100;
    let document = Some(document.to_owned());
    events.push(Event {
        name: "document_edited",
        document: document.clone(),
        words: Some(words),
        different_words: Some(different),
        ..bare(person, at)
    });
    if chance.happens(0.22) {
        let at = at + SignedDuration::from_mins(2);
        events.push(Event { name: "document_finished", document: document.clone(), ..bare(person, at) });
    }
    for _ in 0..chance.between(0, 2) {
        let habit_of_theirs = (chance.weighted(&[9, 7, 5, 4, 3, 2]) + habit.care as usize) % HABITS.len();
        events.push(Event {
            name: "suggestion_accepted",
            document: document.clone(),
            category: Some(HABITS[habit_of_theirs]),
            corrections: Some(chance.between(1, 1 + i64::from(habit.care))),
            ..bare(person, at + SignedDuration::from_mins(1))
        });
    }
}

fn bare(person: &Member, at: Timestamp) -> Event {
    Event {
        name: "",
        person: person.id.clone(),
        at,
        document: None,
        words: None,
        different_words: None,
        category: None,
        corrections: None,
    }
}

fn day(offset: i64) -> Date {
    FIRST.checked_add(offset.days()).expect("the sample stays within the calendar")
}
