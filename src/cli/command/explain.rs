//! `milepost explain`: why a profile was mailed or not.

use clap::Args;

use crate::cli::Context;
use crate::cli::arguments::{Moment, parse_moment};
use crate::cli::explain_text;
use crate::cli::failure::Failure;
use crate::run::{self, Exit, ExplainRequest};

/// Why a profile was mailed or not: every decision in order, with what was found. Records nothing.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The profile by its id, or by its address in the audience.
    profile: String,
    /// Only this job.
    job: Option<String>,
    /// The logical now; the machine's clock by default.
    #[arg(long, value_name = "INSTANT", value_parser = parse_moment)]
    as_of: Option<Moment>,
    /// The period of a recap; the latest that is due by default.
    #[arg(long, value_name = "KEY")]
    period: Option<String>,
    /// Let `as_of` be the wall clock too.
    #[arg(long, requires = "as_of")]
    replay: bool,
}

impl Explain {
    pub(crate) async fn execute(self, context: &Context<'_>) -> Result<Exit, Failure> {
        let request = ExplainRequest {
            profile: self.profile,
            job: self.job,
            as_of: context.instant(self.as_of),
            period: self.period,
            replay: self.replay,
        };
        let report = run::explain(&context.workspace, &request).await?;
        context.output.result(&explain_text::explained(&report), &report);
        Ok(Exit::Done)
    }
}
