//! `milepost plan`: who would get what, decided and counted, with samples; nothing is recorded.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use crate::cli::Context;
use crate::cli::arguments::{Interval, Moment, parse_interval, parse_moment};
use crate::cli::failure::{Failure, indented};
use crate::cli::output::shown;
use crate::cli::progress::Bar;
use crate::run::{self, Exit, PlannedJob, RunOptions};

/// Decide who would get what, and write it to a file that `run --plan` executes exactly. Records nothing.
#[derive(Debug, Args)]
pub(crate) struct Plan {
    /// Only these jobs.
    jobs: Vec<String>,
    /// Write the plan to this file.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The logical now; the machine's clock by default.
    #[arg(long, value_name = "INSTANT", value_parser = parse_moment)]
    as_of: Option<Moment>,
    /// The period of a recap; the latest that is due by default.
    #[arg(long, value_name = "KEY")]
    period: Option<String>,
    /// The orchestrator's interval `START..END`.
    #[arg(long, value_name = "START..END", value_parser = parse_interval, conflicts_with_all = ["as_of", "period"])]
    interval: Option<Interval>,
    /// Let `as_of` be the wall clock too.
    #[arg(long, requires = "as_of")]
    replay: bool,
}

impl Plan {
    pub(crate) async fn execute(self, context: &Context<'_>) -> Result<Exit, Failure> {
        let interval = context.interval(self.interval)?;
        let request = RunOptions {
            jobs: self.jobs,
            as_of: context.instant(self.as_of).or(interval.map(|(_, end)| end)),
            period: self.period,
            interval,
            replay: self.replay,
            ..RunOptions::default()
        };
        let bar = Arc::new(Bar::new(context.output.shows_progress()));
        let shown = bar.clone();
        let progress = Arc::new(move |progress| shown.show(&progress));
        let plan = run::plan(&context.workspace, &request, self.out.as_deref(), progress).await;
        bar.clear();
        let plan = plan?;
        let mut text = format!("as of {}\n", plan.as_of);
        plan.jobs.iter().for_each(|job| text.push_str(&job_block(job)));
        if let Some(file) = &self.out {
            let _ = writeln!(text, "\nwrote {}: `milepost run --plan {}`", file.display(), file.display());
        }
        context.output.result(&text, &plan);
        let refused = plan.jobs.iter().any(|job| job.refused.is_some());
        Ok(if refused { Exit::Refused } else { Exit::Done })
    }
}

fn job_block(job: &PlannedJob) -> String {
    let period = job.period.as_ref().map(|period| format!(" \u{b7} {period}")).unwrap_or_default();
    let mut text = format!("\n{}{period} \u{b7} {}\n", job.job, job.provider);
    let count = |name: &str| job.decisions.get(name).copied().unwrap_or(0);
    for decision in crate::model::Decision::ALL.map(crate::model::Decision::name) {
        if count(decision) > 0 {
            let _ = writeln!(text, "  {:>9} {}", count(decision), decision.replace('_', " "));
        }
    }
    for sample in &job.samples {
        let [profile, occasion, subject] =
            [&sample.profile_id, &sample.occasion, &sample.subject].map(|value| shown(value));
        let _ = writeln!(text, "    {profile} {occasion}: {subject}");
    }
    if let Some(refused) = &job.refused {
        let _ = writeln!(text, "  a run would be refused: {}", indented(refused));
        if let Some(hint) = &job.hint {
            let _ = writeln!(text, "  next: {}", indented(hint));
        }
    }
    text
}
