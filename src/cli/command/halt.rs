//! `milepost halt` and `milepost resume`: the stop switch that every run heeds before each wave.

use clap::Args;
use serde::Serialize;

use crate::cli::Context;
use crate::cli::failure::Failure;
use crate::run::{self, Exit};

/// Halt one job, or all: no run claims another delivery until `resume`.
#[derive(Debug, Args)]
pub(crate) struct Halt {
    /// Only this job; all by default.
    job: Option<String>,
    /// Why: runs that are refused show it.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Lift a halt.
#[derive(Debug, Args)]
pub(crate) struct Resume {
    /// The halt of this job; the one of all jobs by default.
    job: Option<String>,
}

#[derive(Serialize)]
struct ResumedJson<'a> {
    lifted: bool,
    standing: &'a [crate::ledger::Halt],
}

fn of_whom(job: Option<&str>) -> String {
    job.map_or_else(|| "all jobs".to_owned(), |job| format!("the job `{job}`"))
}

impl Halt {
    pub(crate) async fn execute(self, context: &Context<'_>) -> Result<Exit, Failure> {
        let halt = run::halt(&context.workspace, self.job, self.reason).await?;
        let whom = of_whom(halt.job.as_deref());
        context.output.result(&format!("halted {whom}: no run claims a delivery until `milepost resume`"), &halt);
        Ok(Exit::Done)
    }
}

impl Resume {
    pub(crate) async fn execute(self, context: &Context<'_>) -> Result<Exit, Failure> {
        let (lifted, standing) = run::resume(&context.workspace, self.job.as_deref()).await?;
        let whom = of_whom(self.job.as_deref());
        let mut text = if lifted { format!("resumed {whom}") } else { format!("no halt of {whom} stood") };
        for halt in &standing {
            text += &format!("\nstill halted: {}", of_whom(halt.job.as_deref()));
        }
        context.output.result(&text, &ResumedJson { lifted, standing: &standing });
        Ok(Exit::Done)
    }
}
