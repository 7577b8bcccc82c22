//! `milepost run`: compute who reached what, and mail them once.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use crate::cli::Context;
use crate::cli::arguments::{Interval, Moment, parse_check, parse_duration, parse_interval, parse_moment};
use crate::cli::failure::Failure;
use crate::cli::progress::Bar;
use crate::cli::{report_text, run_log};
use crate::model::Check;
use crate::run::{self, Exit, Plan, RunOptions, RunReport};

/// Compute who reached what, and mail them once.
#[derive(Debug, Args, Default)]
pub(crate) struct Run {
    /// Only these jobs.
    jobs: Vec<String>,
    /// The logical now: later events are invisible; the machine's clock by default.
    #[arg(long, value_name = "INSTANT", value_parser = parse_moment)]
    as_of: Option<Moment>,
    /// The period of a recap, such as 2026-W46; the latest that is due by default.
    #[arg(long, value_name = "KEY")]
    period: Option<String>,
    /// The orchestrator's interval `START..END`: `as_of` is END, and recaps have the periods that fell due in it.
    #[arg(long, value_name = "START..END", value_parser = parse_interval, conflicts_with_all = ["as_of", "period"])]
    interval: Option<Interval>,
    /// Decide everything, record and mail nothing.
    #[arg(long)]
    dry_run: bool,
    /// Only this profile.
    #[arg(long, value_name = "PROFILE")]
    only: Option<String>,
    /// Mail at most this many; the rest waits for the next run.
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Allow up to this many mails where a volume guard would refuse.
    #[arg(long, value_name = "N")]
    confirm: Option<u64>,
    /// Let this run pass a check of health that would refuse it, such as `fresh`; recorded. May be given several times.
    #[arg(long, value_name = "CHECK", value_parser = parse_check)]
    accept: Vec<Check>,
    /// Let `as_of` be the wall clock too, so that what was current then is mailed now.
    #[arg(long, requires = "as_of")]
    replay: bool,
    /// Do exactly what this file of `milepost plan` says, or refuse.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["jobs", "as_of", "period", "interval", "dry_run", "only", "limit", "replay"])]
    plan: Option<PathBuf>,
    /// Also write `run_results.json` to this folder or URL, such as `s3://acme/runs/`.
    #[arg(long, value_name = "LOCATION")]
    result_to: Option<String>,
    /// Wait this long for another run of the same job to end, such as 10m.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    lock_timeout: Option<Duration>,
    /// Stop after this long, such as 50m: what is under way is drained, and the next run goes on there.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    deadline: Option<Duration>,
    /// End with this code instead of 0 when there was nothing to do, so that an orchestrator shows the task as skipped.
    #[arg(long, value_name = "99", value_parser = clap::value_parser!(u8).range(99..=99))]
    empty_exit_code: Option<u8>,
}

#[derive(Serialize)]
struct IntervalJson {
    start: Timestamp,
    end: Timestamp,
}

/// The arguments as they stand in `run_results.json`: no profile ids.
#[derive(Serialize)]
struct ArgumentsJson<'a> {
    jobs: &'a [String],
    as_of: Option<Timestamp>,
    period: Option<&'a str>,
    interval: Option<IntervalJson>,
    dry_run: bool,
    only: bool,
    limit: Option<u64>,
    confirm: Option<u64>,
    accept: &'a [Check],
    replay: bool,
    plan: Option<&'a Path>,
}

impl Run {
    /// A run of all jobs at a past instant, taken as the wall clock too.
    pub(super) fn replaying(as_of: &str) -> Result<Self, Failure> {
        let as_of = parse_moment(as_of).map_err(|message| Failure::new(Exit::Failed, message, None))?;
        Ok(Self { as_of: Some(as_of), replay: true, ..Self::default() })
    }

    pub(crate) async fn execute(self, context: &Context<'_>) -> Result<Exit, Failure> {
        Ok(self.carry_out(context).await?.0)
    }

    /// Runs, reports, and returns the exit with the files people open next.
    pub(super) async fn carry_out(self, context: &Context<'_>) -> Result<(Exit, Vec<String>), Failure> {
        if let Some(deadline) = self.deadline {
            context.signals.end_after(deadline);
        }
        let bar = Arc::new(Bar::new(context.output.shows_progress()));
        let progress = run_log::follow(context.output, bar.clone());
        let mut options = self.options(context)?;
        if let Some(file) = &self.plan {
            options.plan = Some(Arc::new(Plan::read(&context.workspace.start.join(file))?));
        }
        let report = run::run(&context.workspace, &options, context.signals.stop.clone(), progress).await;
        bar.clear();
        let report: RunReport = report?;
        run_log::run_ended(context.output, &report);
        context.output.result(&report_text::run(&report), &report);
        for artifact in &report.unwritten {
            context.output.complain(&format!("error: {}; the run itself is as reported", artifact.message));
        }
        Ok((report.exit(), report.open))
    }

    fn options(&self, context: &Context<'_>) -> Result<RunOptions, Failure> {
        let (as_of, interval) = (context.instant(self.as_of), context.interval(self.interval)?);
        let arguments = ArgumentsJson {
            jobs: &self.jobs,
            as_of,
            period: self.period.as_deref(),
            interval: interval.map(|(start, end)| IntervalJson { start, end }),
            dry_run: self.dry_run,
            only: self.only.is_some(),
            limit: self.limit,
            confirm: self.confirm,
            accept: &self.accept,
            replay: self.replay,
            plan: self.plan.as_deref(),
        };
        let arguments = serde_json::to_value(arguments)
            .map_err(|error| Failure::new(Exit::Failed, format!("the arguments cannot be recorded: {error}"), None))?;
        Ok(RunOptions {
            jobs: self.jobs.clone(),
            as_of: as_of.or(interval.map(|(_, end)| end)),
            period: self.period.clone(),
            interval,
            dry_run: self.dry_run,
            only: self.only.clone(),
            limit: self.limit,
            confirm: self.confirm,
            accept: self.accept.clone(),
            replay: self.replay,
            keep_mails: false,
            result_to: self.result_to.clone(),
            plan: None,
            lock_timeout: self.lock_timeout.unwrap_or_default(),
            tells_empty: self.empty_exit_code.is_some(),
            arguments,
        })
    }
}
