//! `milepost ledger`: make the database of deliveries.

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::cli::Context;
use crate::cli::failure::Failure;
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
}

#[derive(Serialize)]
struct CreatedJson {
    created: String,
}

impl Ledger {
    pub(crate) async fn execute(self, context: &Context) -> Result<Exit, Failure> {
        match self.command {
            LedgerCommand::Create => {
                let created = run::create_ledger(&context.workspace).await?;
                context.output.result(&format!("created the ledger {created}"), &CreatedJson { created });
                Ok(Exit::Done)
            }
        }
    }
}
