//! The command line, parsed into values that are valid.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::command;
use super::output::Format;
use crate::clock::whole_microseconds;
use crate::model::Check;
use crate::model::diagnostic::did_you_mean;

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
    /// How long one query may take before the command gives up, such as 10m; as long as it likes by default.
    #[arg(long, global = true, value_name = "DURATION", value_parser = parse_duration, env = "MILEPOST_QUERY_TIMEOUT")]
    pub query_timeout: Option<std::time::Duration>,
    /// A folder outside the project that it may name files of; may be given several times.
    #[arg(long, global = true, value_name = "DIR", env = "MILEPOST_ALLOW_PATHS", value_delimiter = ':')]
    pub allow_path: Vec<PathBuf>,
    /// A variable of the environment that the project may name as a secret, beside those that begin with `MILEPOST_`.
    #[arg(long, global = true, value_name = "NAME", env = "MILEPOST_ALLOW_ENV", value_delimiter = ',')]
    pub allow_env: Vec<String>,
    /// A host that a provider's key may be shown to, beside the provider's own and this machine.
    #[arg(long, global = true, value_name = "HOST", env = "MILEPOST_ALLOW_HOSTS", value_delimiter = ',')]
    pub allow_host: Vec<String>,
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

/// Years that data and periods may lie in: within them every calculation with instants has a result.
const YEARS: std::ops::Range<i16> = 1900..2200;

/// An instant, or a day whose midnight in the project's zone is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Moment {
    /// An instant.
    Instant(Timestamp),
    /// A day.
    Day(Date),
}

impl Moment {
    /// The instant that is meant.
    #[must_use]
    pub(super) fn in_zone(self, zone: impl FnOnce() -> TimeZone) -> Timestamp {
        match self {
            Self::Instant(instant) => instant,
            // A day begins at midnight, or, where the clocks jump over that, with its first instant.
            Self::Day(day) => day.to_zoned(zone()).map_or(Timestamp::UNIX_EPOCH, |midnight| midnight.timestamp()),
        }
    }
}

/// Reads an instant such as `2026-11-01T06:00:00Z`, of which anything finer than a microsecond is cut off, or a day such as
/// `2026-11-01`.
pub(super) fn parse_moment(text: &str) -> Result<Moment, String> {
    let wrong =
        || format!("`{text}` is no instant; write it as 2026-11-01T06:00:00Z, or as 2026-11-01 for its midnight");
    let (moment, year) = match text.parse::<Timestamp>().map(whole_microseconds) {
        Ok(instant) => (Moment::Instant(instant), instant.to_zoned(TimeZone::UTC).year()),
        Err(_) if text.len() == "2026-11-01".len() => {
            let day: Date = text.parse().map_err(|_| wrong())?;
            (Moment::Day(day), day.year())
        }
        Err(_) => return Err(wrong()),
    };
    if YEARS.contains(&year) {
        Ok(moment)
    } else {
        Err(format!("`{text}` is out of range: years from {} to {} are", YEARS.start, YEARS.end - 1))
    }
}

/// `[start, end)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interval {
    /// The first instant.
    pub start: Moment,
    /// The first instant after it.
    pub end: Moment,
}

/// Reads an interval such as `2026-11-01T06:00:00Z..2026-11-02T06:00:00Z`.
pub(super) fn parse_interval(text: &str) -> Result<Interval, String> {
    let (start, end) = text
        .split_once("..")
        .ok_or_else(|| format!("`{text}` is no interval; write it as 2026-11-01T06:00:00Z..2026-11-02T06:00:00Z"))?;
    let interval = Interval { start: parse_moment(start)?, end: parse_moment(end)? };
    let utc = |moment: Moment| moment.in_zone(|| TimeZone::UTC);
    // A day may begin as much as this before or after it does in UTC.
    let leeway = if matches!((interval.start, interval.end), (Moment::Instant(_), Moment::Day(_))) { 24 } else { 0 };
    if utc(interval.end) + jiff::SignedDuration::from_hours(leeway) < utc(interval.start) {
        return Err(format!("the interval `{text}` ends before it starts"));
    }
    Ok(interval)
}

/// No wait is longer than a year.
const LONGEST: std::time::Duration = std::time::Duration::from_hours(24 * 366);

/// Reads a duration such as `10m`, `30s` or `2h`.
pub(super) fn parse_duration(text: &str) -> Result<std::time::Duration, String> {
    text.parse::<jiff::SignedDuration>()
        .ok()
        .and_then(|duration| duration.try_into().ok())
        .filter(|duration: &std::time::Duration| *duration < LONGEST)
        .ok_or_else(|| format!("`{text}` is no duration; write it as 30s, 10m or 2h"))
}

/// A check of health by its name.
pub(super) fn parse_check(text: &str) -> Result<Check, String> {
    let names = || Check::ALL.into_iter().map(Check::name);
    Check::from_name(text).ok_or_else(|| {
        did_you_mean(text, names())
            .unwrap_or_else(|| format!("the checks are {}", names().collect::<Vec<_>>().join(", ")))
    })
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
        let zone = || TimeZone::get("America/New_York").expect("a zone");
        for (text, instant) in [
            ("2026-11-30T06:00:00Z", "2026-11-30T06:00:00Z"),
            ("2026-11-30T06:00:00.0000019Z", "2026-11-30T06:00:00.000001Z"),
            ("2026-11-30T06:00:00+02:00", "2026-11-30T04:00:00Z"),
            ("2026-11-30", "2026-11-30T05:00:00Z"),
            ("2026-07-01", "2026-07-01T04:00:00Z"),
        ] {
            assert_eq!(parse_moment(text).map(|moment| moment.in_zone(zone).to_string()), Ok(instant.to_owned()));
        }
        for bad in ["2026-11", "2026-11-31", "20261130", "0000-01-01", "9999-12-31T23:59:59Z", "2026-11-30T06:00", ""] {
            assert!(parse_moment(bad).is_err(), "{bad:?}");
        }
        assert!(parse_interval("2026-11-01..2026-11-02").is_ok() && parse_interval("2026-11-02..2026-11-01").is_err());
        let (start, end) = ("2026-11-01T06:00:00Z", "2026-11-02T06:00:00Z");
        assert!(parse_interval(&format!("{start}..{end}")).is_ok_and(|interval| interval.start < interval.end));
        assert!(parse_interval(&format!("{start}..{start}")).is_ok(), "an interval without width is the latest due");
        for bad in [format!("{end}..{start}"), start.to_owned(), format!("{start}.."), String::new()] {
            assert!(parse_interval(&bad).is_err(), "{bad:?}");
        }
    }
}
