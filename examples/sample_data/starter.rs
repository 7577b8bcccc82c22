//! The data `milepost init` scaffolds: a documents app with two dozen people and about three hundred events, as CSV.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};

use crate::calendar::{self, DAYS};
use crate::chance::Chance;
use crate::csv::{field, table};
use crate::names::{REGIONS, address_part};

const PEOPLE: usize = 24;
const FIRST_DAY: i64 = DAYS - 75;

/// Writes `people.csv` and `events.csv`.
pub(crate) fn write(folder: &Path, seed: u64) -> std::io::Result<()> {
    let (mut people, mut events) = (Vec::new(), Vec::new());
    for number in 0..PEOPLE {
        let mut chance = Chance::new(seed, 20, number as u64);
        let region = &REGIONS[number % REGIONS.len()];
        let (first, last) = (chance.pick(region.first_names), chance.pick(region.last_names));
        let zone = region.zones[0];
        let id = format!("u{:02}", number + 1);
        let email = format!("{}.{}@example.test", address_part(first), address_part(last));
        people.push([id.clone(), email, (*first).to_owned(), zone.to_owned()]);
        live(&id, zone, &mut chance, &mut events);
    }
    events.sort();
    let rows = events.into_iter().zip(1..).map(|((at, person, name, minutes), number)| {
        let minutes = minutes.map(|minutes| minutes.to_string()).unwrap_or_default();
        [format!("e{number:04}"), name.to_owned(), person, at.to_string(), minutes]
    });
    table(&folder.join("events.csv"), ["message_id", "event", "user_id", "timestamp", "minutes"], rows)?;
    let people = people.into_iter().map(|row| row.map(|value| field(&value)));
    table(&folder.join("people.csv"), ["user_id", "email", "first_name", "timezone"], people)
}

type Row = (Timestamp, String, &'static str, Option<i64>);

fn live(id: &str, zone: &str, chance: &mut Chance, events: &mut Vec<Row>) {
    let zone = calendar::zone(zone);
    let first_day = FIRST_DAY + chance.between(0, 66);
    let share = chance.share();
    let pace = 0.05 + 0.42 * share * share;
    let joined = calendar::moment(calendar::day(first_day), &zone, chance);
    events.push((joined, id.to_owned(), "signed_up", None));
    for offset in first_day..DAYS - 1 {
        let day = calendar::day(offset);
        if !chance.happens(calendar::weekday_factor(day) * pace) {
            continue;
        }
        let at = calendar::moment(day, &zone, chance).max(joined + SignedDuration::from_mins(3));
        events.push((at, id.to_owned(), "document_published", None));
        if chance.happens(0.7) {
            events.push((
                at - SignedDuration::from_mins(2),
                id.to_owned(),
                "document_edited",
                Some(chance.between(5, 90)),
            ));
        }
    }
}
