//! `milepost flags`: who holds which milestone.

use clap::Args;

use crate::cli::Context;
use crate::cli::arguments::{Moment, parse_moment};
use crate::cli::failure::Failure;
use crate::cli::output::Format;
use crate::run::{self, Exit, TableKind, TableRequest};

/// Milestone flags of a job: one row per profile, milestone and level reached.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// The job.
    job: String,
    /// The logical now; the machine's clock by default.
    #[arg(long, value_name = "INSTANT", value_parser = parse_moment)]
    as_of: Option<Moment>,
    /// Add the levels that are not reached.
    #[arg(long)]
    all: bool,
    /// One row per profile, two columns per level.
    #[arg(long, conflicts_with = "all")]
    wide: bool,
    /// Write .parquet, .csv or .json, or a folder of Parquet files (its name ends in /), instead of showing a table.
    #[arg(long, value_name = "LOCATION")]
    output: Option<String>,
}

impl Flags {
    pub(crate) async fn execute(self, context: &Context<'_>) -> Result<Exit, Failure> {
        let kind = TableKind::Flags { all: self.all, wide: self.wide };
        let request =
            TableRequest { job: self.job, as_of: context.instant(self.as_of), period: None, kind, output: self.output };
        show(context, request).await
    }
}

/// Shows a table, or writes it and says where.
pub(super) async fn show(context: &Context<'_>, request: TableRequest) -> Result<Exit, Failure> {
    let json = context.output.format == Format::Json;
    let written = run::table(&context.workspace, &request, json).await?;
    match written.file {
        Some(location) => context.output.remark(&format!("{} rows written to {location}", written.rows)),
        None if json => context.output.json(&written.text),
        None => context.output.data(&written.text),
    }
    Ok(Exit::Done)
}
