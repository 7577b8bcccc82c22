//! The data of `examples/collaboration`: two years at Tackboard, an invented whiteboard, as three CSV files.

use std::path::Path;

use jiff::civil::{Date, date};
use jiff::{SignedDuration, Timestamp, ToSpan};

use crate::chance::Chance;
use crate::crowd::{Member, crowd, moment_between};
use crate::csv::{field, table};
use crate::names::{COMPANY_FIRST, COMPANY_LAST};

const PEOPLE: usize = 150;
const WORKSPACES: usize = 48;
/// Sign-ups reach this far back; the sample ends [`DAYS`] later.
const FIRST: Date = date(2024, 9, 1);
const DAYS: i64 = 792;
/// From this day on everybody's boards are in the sample.
const BUSY_FROM: i64 = DAYS - 120;

type Row = (Timestamp, String, &'static str, String);

/// Writes `people.csv`, `workspaces.csv` and `events.csv`.
pub(crate) fn write(folder: &Path, seed: u64) -> std::io::Result<()> {
    let people = crowd(seed, 50, PEOPLE);
    let (mut events, mut rows, mut founded) = (Vec::new(), Vec::new(), vec![None; WORKSPACES]);
    for (number, person) in people.iter().enumerate() {
        let mut chance = Chance::new(seed, 51, number as u64);
        let workspace = if number < WORKSPACES { number } else { chance.index(WORKSPACES * 3 / 5) };
        let joined = live(person, &format!("w{:02}", workspace + 1), &mut chance, &mut events);
        let is_founder = founded[workspace].is_none();
        founded[workspace] = founded[workspace].or(Some(joined));
        rows.push(
            [
                person.id.as_str(),
                &person.email,
                &person.first_name,
                person.stored_zone,
                format!("w{:02}", workspace + 1).as_str(),
                if is_founder || chance.happens(0.08) { "admin" } else { "member" },
                &person.token,
                if person.unsubscribed { "2026-07-01" } else { "" },
            ]
            .map(field),
        );
    }
    let header = ["user_id", "email", "first_name", "timezone", "workspace_id", "role", "token", "unsubscribed_on"];
    table(&folder.join("people.csv"), header, rows.into_iter())?;
    let workspaces = (0..WORKSPACES).map(|number| {
        let mut chance = Chance::new(seed, 52, number as u64);
        let name = format!(
            "{} {}",
            COMPANY_FIRST[(number * 7 + 3) % COMPANY_FIRST.len()],
            COMPANY_LAST[(number * 5 + 1) % COMPANY_LAST.len()]
        );
        [format!("w{:02}", number + 1), name, ["free", "team"][chance.weighted(&[70, 30])].to_owned()]
    });
    table(&folder.join("workspaces.csv"), ["workspace_id", "name", "plan"], workspaces)?;
    events.sort();
    let rows = (1..).zip(events).map(|(number, (at, person, name, workspace))| {
        [format!("e{number:05}"), name.to_owned(), person, workspace, at.to_string()]
    });
    table(&folder.join("events.csv"), ["message_id", "event", "user_id", "workspace_id", "timestamp"], rows)
}

fn live(person: &Member, workspace: &str, chance: &mut Chance, events: &mut Vec<Row>) -> Timestamp {
    // Two in five joined in the last three weeks, the others at any time before.
    let first_day =
        if chance.happens(0.4) { chance.between(DAYS - 21, DAYS - 2) } else { chance.between(0, BUSY_FROM) };
    let joined = moment_between(day(first_day), (8, 17), &person.zone, chance);
    let mut tell = |at: Timestamp, name: &'static str| events.push((at, person.id.clone(), name, workspace.to_owned()));
    tell(joined, "signed_up");
    // Some never come back after signing up, some stop one day.
    let idle = chance.happens(0.25);
    let last_day = if chance.happens(0.35) { DAYS - chance.between(12, 60) } else { DAYS };
    let keenness = chance.share();
    let (pace, invites) = (0.06 + 0.9 * keenness * keenness, chance.happens(0.55));
    let mut boards = 0;
    for offset in first_day..last_day {
        let weekday = day(offset).weekday().to_monday_one_offset();
        // Before the busy months only a board a month or so.
        let pace = if offset < BUSY_FROM { pace * 0.05 } else { pace };
        if idle || weekday > 5 || !chance.happens(pace) {
            continue;
        }
        let at = moment_between(day(offset), (9, 17), &person.zone, chance).max(joined + SignedDuration::from_mins(6));
        let name = if boards == 0 {
            "board_created"
        } else {
            ["board_created", "comment_added", "board_shared"][chance.weighted(&[58, 28, 14])]
        };
        boards += i64::from(name == "board_created");
        tell(at, name);
        if invites && boards > 0 && chance.happens(0.12) {
            tell(at + SignedDuration::from_mins(9), "teammate_invited");
        }
    }
    joined
}

fn day(offset: i64) -> Date {
    FIRST.checked_add(offset.days()).expect("the sample stays within the calendar")
}
