//! `milepost deliveries list`: the ledger's rows, without personal data.

use clap::{Args, Subcommand};

use crate::cli::Context;
use crate::cli::failure::Failure;
use crate::cli::report_text;
use crate::model::DeliveryState;
use crate::run::{self, Exit};

/// The ledger's deliveries.
#[derive(Debug, Args)]
pub(crate) struct Deliveries {
    #[command(subcommand)]
    command: DeliveriesCommand,
}

#[derive(Debug, Subcommand)]
enum DeliveriesCommand {
    /// List deliveries, newest first.
    List(List),
}

/// Which deliveries.
#[derive(Debug, Args)]
struct List {
    /// Only this job's.
    #[arg(long, value_name = "JOB")]
    job: Option<String>,
    /// Only those in this state, such as unknown.
    #[arg(long, value_name = "STATE", value_parser = parse_state)]
    state: Option<DeliveryState>,
    /// Only this profile's.
    #[arg(long, value_name = "PROFILE")]
    profile: Option<String>,
    /// At most this many.
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u32,
}

fn parse_state(text: &str) -> Result<DeliveryState, String> {
    DeliveryState::from_name(text).ok_or_else(|| {
        let names = DeliveryState::ALL.map(DeliveryState::name);
        format!("`{text}` is no state; the states are {}", names.join(", "))
    })
}

impl Deliveries {
    pub(crate) async fn execute(self, context: &Context) -> Result<Exit, Failure> {
        let DeliveriesCommand::List(list) = self.command;
        let filter =
            run::DeliveryQuery { job: list.job, state: list.state, profile_id: list.profile, limit: list.limit };
        let rows = run::deliveries(&context.workspace, filter).await?;
        context.output.result(&report_text::deliveries(&rows), &rows);
        Ok(Exit::Done)
    }
}
