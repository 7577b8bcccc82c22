//! The command line, parsed into values that are valid.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use jiff::Timestamp;

use super::command;
use super::output::Format;

/// Milestone and recap emails from the event tables you already have, as code.
#[derive(Debug, Parser)]
#[command(name = "milepost", version, arg_required_else_help = true, max_term_width = 110)]
pub(super) struct Arguments {
    /// Options that every command takes.
    #[command(flatten)]
    pub common: Common,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command takes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Common options")]
pub(super) struct Common {
    /// The folder that holds milepost.yml; by default it is searched for upwards from here.
    #[arg(long, global = true, value_name = "DIR")]
    pub project: Option<PathBuf>,
    /// The environment of milepost.yml to merge in.
    #[arg(long, global = true, value_name = "NAME", env = "MILEPOST_ENV")]
    pub env: Option<String>,
    /// How results are written to standard output.
    #[arg(long, global = true, value_enum, default_value_t)]
    pub format: Format,
    /// How log lines are written to standard error.
    #[arg(long, global = true, value_enum, default_value_t)]
    pub log_format: Format,
    /// Threads used by queries; the number of cores by default.
    #[arg(long, global = true, value_name = "N")]
    pub threads: Option<usize>,
    /// Memory that queries may use before they spill to disk, such as 512MB or 2GB.
    #[arg(long, global = true, value_name = "SIZE", value_parser = parse_size)]
    pub memory_limit: Option<u64>,
    /// Nothing but results and errors.
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// More log lines; twice for the query engine's too.
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// Every command: one file per member in `command/`.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Scaffold a project that runs at once.
    Init(command::init::Init),
    /// Run a scaffolded project in a temporary folder and show its mails: no account, no network.
    Demo(command::demo::Demo),
    /// Find everything that can be known to be wrong before a run.
    Check(command::check::Check),
    /// Run the job tests of `jobs/tests/`: given rows, expected mails; no network, no ledger.
    Test(command::test::Test),
    /// Show the SQL a job becomes.
    Compile(command::compile::Compile),
    /// Compute who reached what, and mail them once.
    Run(command::run::Run),
    /// Decide who would get what, and write it to a file that `run --plan` executes exactly.
    Plan(command::plan::Plan),
    /// What a change does, compared with a folder or a revision of git: who enters and leaves, which mails read otherwise.
    Diff(command::diff::Diff),
    /// Render the mails one person would get.
    Preview(command::preview::Preview),
    /// Milestone flags of a job as a table, CSV, JSON or Parquet.
    Flags(command::flags::Flags),
    /// The metric matrix of a recap as a table, CSV, JSON or Parquet.
    Metrics(command::metrics::Metrics),
    /// The SQL functions that milepost adds, with examples.
    Functions(command::functions::Functions),
    /// The JSON Schema of milepost.yml, jobs or job tests, for editors.
    Schema(command::schema::Schema),
    /// The ledger's deliveries.
    Deliveries(command::deliveries::Deliveries),
    /// Create, check, copy or prune the ledger.
    Ledger(command::ledger::Ledger),
    /// Write the ledger's tables as Parquet.
    Export(command::export::Export),
    /// Never mail an address or a profile, from the next run on.
    Suppress(command::suppress::Suppress),
    /// Lift what `suppress` wrote.
    Unsuppress(command::suppress::Unsuppress),
    /// Forget a person: only keys without meaning stay, so that they are never mailed again.
    Erase(command::suppress::Erase),
    /// Halt one job, or all: no run claims another delivery until `resume`.
    Halt(command::halt::Halt),
    /// Lift a halt.
    Resume(command::halt::Resume),
    /// Why a profile was mailed or not: every decision in order, with what was found.
    Explain(command::explain::Explain),
    /// Jobs, last runs, unknown outcomes, next periods.
    Status(command::status::Status),
}

/// Reads `512MB`, `2GB`, `64MiB` or a plain number of bytes.
fn parse_size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let split = text.find(|character: char| character.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" | "k" => 1_000,
        "mb" | "m" => 1_000_000,
        "gb" | "g" => 1_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => return Err(format!("`{unit}` is no unit of size; write it as 512MB or 2GB")),
    };
    let number: u64 =
        number.trim().parse().map_err(|_| "a size is a whole number and a unit, such as 512MB".to_owned())?;
    number.checked_mul(factor).filter(|bytes| *bytes > 0).ok_or_else(|| "the size is out of range".to_owned())
}

/// Reads an instant such as `2026-11-01T06:00:00Z`.
pub(super) fn parse_instant(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| format!("`{text}` is no instant; write it as 2026-11-01T06:00:00Z"))
}

/// `[start, end)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub(super) struct Interval {
    /// The first instant.
    pub start: Timestamp,
    /// The first instant after it.
    pub end: Timestamp,
}

/// Reads an interval such as `2026-11-01T06:00:00Z..2026-11-02T06:00:00Z`.
pub(super) fn parse_interval(text: &str) -> Result<Interval, String> {
    let (start, end) = text
        .split_once("..")
        .ok_or_else(|| format!("`{text}` is no interval; write it as 2026-11-01T06:00:00Z..2026-11-02T06:00:00Z"))?;
    let interval = Interval { start: parse_instant(start)?, end: parse_instant(end)? };
    if interval.end < interval.start {
        return Err(format!("the interval `{text}` ends before it starts"));
    }
    Ok(interval)
}

/// Reads a duration such as `10m`, `30s` or `2h`.
pub(super) fn parse_duration(text: &str) -> Result<std::time::Duration, String> {
    text.parse::<jiff::SignedDuration>()
        .ok()
        .and_then(|duration| duration.try_into().ok())
        .ok_or_else(|| format!("`{text}` is no duration; write it as 30s, 10m or 2h"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn sizes_durations_and_instants() {
        assert_eq!(parse_size("512MB"), Ok(512_000_000));
        assert_eq!(parse_size("1 GiB"), Ok(1 << 30));
        for bad in ["", "0", "12XB", "-1MB", "99999999999999GB"] {
            assert!(parse_size(bad).is_err(), "{bad:?}");
        }
        assert_eq!(parse_duration("10m"), Ok(std::time::Duration::from_mins(10)));
        assert!(parse_duration("-1s").is_err() && parse_duration("soon").is_err());
        assert!(parse_instant("2026-11-01").is_err());
        let (start, end) = ("2026-11-01T06:00:00Z", "2026-11-02T06:00:00Z");
        assert!(parse_interval(&format!("{start}..{end}")).is_ok_and(|interval| interval.start < interval.end));
        assert!(parse_interval(&format!("{start}..{start}")).is_ok(), "an interval without width is the latest due");
        for bad in [format!("{end}..{start}"), start.to_owned(), format!("{start}.."), String::new()] {
            assert!(parse_interval(&bad).is_err(), "{bad:?}");
        }
    }
}
