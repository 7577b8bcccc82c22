//! `milepost export`: the ledger's tables as Parquet.

use std::fmt::Write as _;

use clap::Args;

use crate::cli::Context;
use crate::cli::failure::Failure;
use crate::run::{self, Exit};

/// Write the ledger's tables as Parquet, partitioned by job, into a folder or an object store; readers see all or nothing.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The folder or URL: empty, not there yet, or an earlier export, which it replaces.
    #[arg(long, value_name = "LOCATION")]
    to: String,
}

impl Export {
    pub(crate) async fn execute(self, context: &Context<'_>) -> Result<Exit, Failure> {
        let report = run::export_ledger(&context.workspace, &self.to).await?;
        let mut text = String::new();
        for (table, rows) in &report.rows {
            let _ = writeln!(text, "{rows:>9} {table}");
        }
        let _ = writeln!(text, "written to {}", report.to);
        context.output.result(&text, &report);
        Ok(Exit::Done)
    }
}
