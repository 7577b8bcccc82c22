//! `milepost status`: jobs, last runs, unknown outcomes, next periods.

use clap::Args;

use crate::cli::Context;
use crate::cli::failure::Failure;
use crate::cli::report_text;
use crate::run::{self, Exit};

/// Jobs, last runs, unknown outcomes, next periods.
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Only these jobs.
    jobs: Vec<String>,
}

impl Status {
    pub(crate) async fn execute(self, context: &Context<'_>) -> Result<Exit, Failure> {
        let report = run::status(&context.workspace, &self.jobs).await?;
        context.output.result(&report_text::status(&report), &report);
        Ok(Exit::Done)
    }
}
