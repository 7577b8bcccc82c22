//! `milepost ledger`: make the database of deliveries, look whether it is sound, copy it, and let go of what is old.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::SignedDuration;
use serde::Serialize;

use crate::cli::Context;
use crate::cli::failure::Failure;
use crate::cli::output::shown;
use crate::run::{self, Exit};

/// The ledger: the database of deliveries.
#[derive(Debug, Args)]
pub(crate) struct Ledger {
    #[command(subcommand)]
    command: LedgerCommand,
}

#[derive(Debug, Subcommand)]
enum LedgerCommand {
    /// Create the ledger that milepost.yml names; refused where there is one.
    Create,
    /// Look through the whole ledger for what cannot be true; exit 1 when something is found.
    Check,
    /// Write the ledger as it is to a file, its secret included; runs may go on meanwhile.
    Backup {
        /// The file; refused where there is one.
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
    /// Copy the ledger, its secret included, to a place where there is none.
    Copy {
        /// Where: `sqlite:PATH`, `postgres://...`, `env:NAME` or `file:PATH`.
        #[arg(long, value_name = "LOCATION")]
        to: String,
    },
    /// Remove what serves nobody any more: what only replays need, requests, runs. Keys and suppressions stay.
    Prune {
        /// How old at least, such as '400 days'.
        #[arg(long, value_name = "DURATION", value_parser = parse_age)]
        older_than: SignedDuration,
    },
}

/// Reads `400 days`, `60d` or `52 weeks`; days are 24 hours.
fn parse_age(text: &str) -> Result<SignedDuration, String> {
    let wrong = || format!("`{text}` is no age; write it as '400 days' or '52 weeks'");
    let trimmed = text.trim();
    let digits = trimmed.find(|letter: char| !letter.is_ascii_digit()).ok_or_else(wrong)?;
    let count: i64 = trimmed[..digits].parse().map_err(|_| wrong())?;
    let days = match trimmed[digits..].trim() {
        "d" | "day" | "days" => count,
        "w" | "week" | "weeks" => count.checked_mul(7).ok_or_else(wrong)?,
        _ => return Err(wrong()),
    };
    let hours = days.checked_mul(24).filter(|hours| *hours > 0 && *hours < 24 * 365_000).ok_or_else(wrong)?;
    Ok(SignedDuration::from_hours(hours))
}

#[derive(Serialize)]
struct CreatedJson {
    created: String,
}

#[derive(Serialize)]
struct BackupJson {
    file: String,
}

impl Ledger {
    pub(crate) async fn execute(self, context: &Context<'_>) -> Result<Exit, Failure> {
        let (workspace, output) = (&context.workspace, context.output);
        match self.command {
            LedgerCommand::Create => {
                let created = run::create_ledger(workspace).await?;
                output.result(&format!("created the ledger {created}"), &CreatedJson { created });
            }
            LedgerCommand::Check => {
                let report = run::check_ledger(workspace).await?;
                output.result(&soundness(&report), &report);
                return Ok(if report.unsound.is_empty() { Exit::Done } else { Exit::Failed });
            }
            LedgerCommand::Backup { to } => {
                run::back_up_ledger(workspace, &to).await?;
                let shown = to.display();
                output.result(&format!("saved the ledger to {shown}"), &BackupJson { file: shown.to_string() });
            }
            LedgerCommand::Copy { to } => {
                let report = run::copy_ledger(workspace, &to).await?;
                output.result(&format!("copied {} rows; name the copy in `ledger:` to use it", report.rows), &report);
            }
            LedgerCommand::Prune { older_than } => {
                let pruned = run::prune_ledger(workspace, older_than).await?;
                let (deliveries, batches, runs) = (pruned.deliveries, pruned.batches, pruned.runs);
                let text = format!("{deliveries} deliveries made smaller, {batches} requests and {runs} runs removed");
                output.result(&text, &pruned);
            }
        }
        Ok(Exit::Done)
    }
}

fn soundness(report: &run::SoundnessReport) -> String {
    if report.unsound.is_empty() {
        return format!("the ledger is sound: {} deliveries", report.deliveries);
    }
    let mut text = String::new();
    for one in &report.unsound {
        let sample = one.sample.as_ref().map(|sample| format!(", such as {}", shown(sample))).unwrap_or_default();
        let _ = writeln!(text, "{} {}{sample}", one.count, one.what);
    }
    text.push_str(
        "restore it from a backup, or ask with this list; runs are safe to hold until then: `milepost halt`\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::parse_age;

    #[test]
    fn ages() {
        let days = |text| parse_age(text).map(|age| age.as_hours() / 24).ok();
        assert_eq!([days("400 days"), days("60d"), days("2 weeks"), days("1 day")], [400, 60, 14, 1].map(Some));
        for wrong in ["", "0 days", "days", "-1 days", "1 month", "99999999999999999999 days", "9999999999999 weeks"] {
            assert_eq!(days(wrong), None, "{wrong}");
        }
    }
}
