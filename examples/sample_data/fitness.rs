//! The data of `examples/fitness`: two years and a month at Pacewell, an invented home
//! training club, with every workout.

use std::path::Path;

use jiff::civil::{Date, date};
use jiff::{Timestamp, ToSpan};

use crate::chance::Chance;
use crate::crowd::{Member, crowd, moment_between};
use crate::csv::{field, table};
use crate::parquet::{decimals, instants, numbers, texts, write_table};

const PEOPLE: usize = 90;
const FIRST: Date = date(2024, 1, 1);
const DAYS: i64 = 732;

/// A kind of training: its name, kilometres and kilojoules a minute (none where nothing is measured), and who leads it.
struct Discipline {
    name: &'static str,
    speed: Option<f64>,
    power: Option<f64>,
    instructors: [&'static str; 3],
}

const DISCIPLINES: [Discipline; 5] = [
    Discipline { name: "Ride", speed: Some(0.48), power: Some(8.6), instructors: ["Odette", "Bram", "Sunniva"] },
    Discipline { name: "Run", speed: Some(0.165), power: Some(10.5), instructors: ["Kofi", "Marlene", "Bram"] },
    Discipline { name: "Row", speed: Some(0.21), power: Some(9.4), instructors: ["Ines", "Odette", "Taavi"] },
    Discipline { name: "Strength", speed: None, power: Some(6.1), instructors: ["Marlene", "Taavi", "Kofi"] },
    Discipline { name: "Yoga", speed: None, power: None, instructors: ["Sunniva", "Ines", "Leilani"] },
];

struct Workout {
    person: String,
    at: Timestamp,
    discipline: &'static str,
    instructor: &'static str,
    minutes: i64,
    kilometres: Option<f64>,
    kilojoules: Option<i64>,
}

/// Writes `people.csv` and `workouts.parquet`.
pub(crate) fn write(folder: &Path, seed: u64) -> Result<(), Box<dyn std::error::Error>> {
    let people = crowd(seed, 60, PEOPLE);
    let (mut workouts, mut rows) = (Vec::new(), Vec::new());
    for (number, person) in people.iter().enumerate() {
        let mut chance = Chance::new(seed, 61, number as u64);
        let joined = live(person, &mut chance, &mut workouts);
        let unsubscribed = if person.unsubscribed { "2025-06-01" } else { "" };
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
    workouts.sort_by(|left, right| (left.at, &left.person).cmp(&(right.at, &right.person)));
    let identified: Vec<(usize, Workout)> = (1..).zip(workouts).collect();
    write_table(
        &folder.join("workouts.parquet"),
        vec![
            ("workout_id", texts(&identified, |(number, _)| Some(format!("w{number:06}")))),
            ("user_id", texts(&identified, |(_, workout)| Some(workout.person.clone()))),
            ("finished_at", instants(&identified, |(_, workout)| workout.at)),
            ("discipline", texts(&identified, |(_, workout)| Some(workout.discipline.to_owned()))),
            ("instructor", texts(&identified, |(_, workout)| Some(workout.instructor.to_owned()))),
            ("minutes", numbers(&identified, |(_, workout)| Some(workout.minutes))),
            ("kilometres", decimals(&identified, |(_, workout)| workout.kilometres)),
            ("kilojoules", numbers(&identified, |(_, workout)| workout.kilojoules)),
        ],
    )
}

fn live(person: &Member, chance: &mut Chance, workouts: &mut Vec<Workout>) -> Timestamp {
    let first_day = if chance.happens(0.45) { chance.between(-28, 20) } else { chance.between(41, DAYS - 20) };
    let last_day = if chance.happens(0.25) { first_day + chance.between(20, 400) } else { DAYS };
    let keenness = chance.share();
    let (pace, strength) = (0.05 + 0.5 * keenness * keenness, 0.75 + 0.5 * chance.share());
    let tastes: [u32; 5] = std::array::from_fn(|_| u32::try_from(chance.between(1, 12)).expect("a small number"));
    let early = chance.happens(0.5);
    let joined = moment_between(day(first_day), (7, 20), &person.zone, chance);
    for offset in first_day + 1..DAYS.min(last_day) {
        if !chance.happens(pace) {
            continue;
        }
        let discipline = &DISCIPLINES[chance.weighted(&tastes)];
        let minutes = [10, 20, 30, 45, 60, 75, 90][chance.weighted(&[6, 14, 30, 22, 12, 2, 1])];
        // Form comes slowly, days differ.
        let form = strength * (0.8 + 0.3 * (offset - first_day) as f64 / DAYS as f64) * (0.9 + 0.2 * chance.share());
        let done = |rate: f64| rate * form * minutes as f64;
        workouts.push(Workout {
            person: person.id.clone(),
            at: moment_between(day(offset), if early { (5, 8) } else { (17, 21) }, &person.zone, chance),
            discipline: discipline.name,
            instructor: chance.pick::<&str>(&discipline.instructors),
            minutes,
            kilometres: discipline.speed.map(|rate| (done(rate) * 100.0).round() / 100.0),
            kilojoules: discipline.power.map(|rate| whole(done(rate))),
        });
    }
    joined
}

#[expect(clippy::cast_possible_truncation, reason = "kilojoules of one workout are a small number")]
fn whole(value: f64) -> i64 {
    value.round() as i64
}

fn day(offset: i64) -> Date {
    FIRST.checked_add(offset.days()).expect("the sample stays within the calendar")
}
