//! Writes the sample data of the root project and of the examples: made up, seeded, the same bytes every time.
//!
//! Lumen is an invented email-campaign tool that opened on 1 May 2026. Its accounts and people are four CSV files; its
//! events are Parquet, one folder per UTC day of arrival, with what real event tables have: late rows, duplicates,
//! rows without a person, people without an address. No network, no wall clock, no files read.
//!
//! ```text
//! cargo run --example sample_data -- [--out DIR] [--seed N]
//! ```

mod calendar;
mod chance;
mod collaboration;
mod crowd;
mod csv;
mod events;
mod fitness;
mod names;
mod parquet;
mod people;
mod starter;
mod writing;

use std::io::Write;
use std::path::{Path, PathBuf};

const USAGE: &str = "usage: sample_data [--out DIR] [--seed N]";
const DEFAULT_SEED: u64 = 20_260_501;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (out, seed) = arguments(std::env::args().skip(1))?;
    let world = people::world(seed);
    let events = events::simulate(&world, seed);
    let bytes = parquet::write(&out.join("data/events"), &events)?;
    csv::write_world(&out.join("data"), &world)?;
    starter::write(&out.join("examples/starter/data"), seed)?;
    writing::write(&out.join("examples/writing-app/data"), seed)?;
    collaboration::write(&out.join("examples/collaboration/data"), seed)?;
    fitness::write(&out.join("examples/fitness/data"), seed)?;
    report(&out, &world, events.len(), bytes)?;
    Ok(())
}

fn arguments(mut words: impl Iterator<Item = String>) -> Result<(PathBuf, u64), String> {
    let (mut out, mut seed) = (PathBuf::from("."), DEFAULT_SEED);
    while let Some(word) = words.next() {
        let value = words.next().ok_or(USAGE)?;
        match word.as_str() {
            "--out" => out = PathBuf::from(value),
            "--seed" => seed = value.parse().map_err(|_| USAGE)?,
            _ => return Err(USAGE.to_owned()),
        }
    }
    Ok((out, seed))
}

fn report(out: &Path, world: &people::World, events: usize, bytes: u64) -> std::io::Result<()> {
    writeln!(
        std::io::stdout().lock(),
        "{}: {} people, {} accounts, {events} events in {} day folders, {bytes} bytes of Parquet",
        out.display(),
        world.people.len(),
        world.accounts.len(),
        calendar::DAYS,
    )
}
