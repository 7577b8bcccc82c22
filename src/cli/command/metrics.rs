//! `milepost metrics`: the metric matrix of a recap.

use clap::Args;

use crate::cli::Context;
use crate::cli::arguments::{Moment, parse_moment};
use crate::cli::failure::Failure;
use crate::run::{Exit, TableKind, TableRequest};

/// The metric matrix of a recap: one row per entity.
#[derive(Debug, Args)]
pub(crate) struct Metrics {
    /// The job.
    job: String,
    /// The period's key, such as 2026-W46; the latest that is due by default.
    #[arg(long, value_name = "KEY")]
    period: Option<String>,
    /// The logical now; the machine's clock by default.
    #[arg(long, value_name = "INSTANT", value_parser = parse_moment)]
    as_of: Option<Moment>,
    /// Write .parquet, .csv or .json, or a folder of Parquet files (its name ends in /), instead of showing a table.
    #[arg(long, value_name = "LOCATION")]
    output: Option<String>,
}

impl Metrics {
    pub(crate) async fn execute(self, context: &Context<'_>) -> Result<Exit, Failure> {
        let (job, as_of, period, output) = (self.job, context.instant(self.as_of), self.period, self.output);
        super::flags::show(context, TableRequest { job, as_of, period, kind: TableKind::Metrics, output }).await
    }
}
