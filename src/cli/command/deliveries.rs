//! `milepost deliveries`: the ledger's rows, without personal data, and what people decide about them.

use clap::{Args, Subcommand};

use crate::cli::Context;
use crate::cli::failure::Failure;
use crate::cli::report_text;
use crate::model::DeliveryState;
use crate::model::diagnostic::did_you_mean;
use crate::run::{self, CorrectionRequest, Exit};

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
    /// Show everything the ledger has of one delivery.
    Show(Show),
    /// Settle unknown outcomes by what became known of them: accepted, rejected or retryable.
    Resolve(Resolve),
    /// Let refused deliveries be tried again by the next run.
    Retry(Chosen),
}

/// Which delivery.
#[derive(Debug, Args)]
struct Show {
    /// The delivery's id, as `deliveries list --format json` and the provider show it.
    id: String,
}

/// How unknown outcomes are settled.
#[derive(Debug, Args)]
struct Resolve {
    /// What became known: accepted, rejected, or retryable (surely not accepted).
    #[arg(value_name = "STATE", value_parser = parse_resolution)]
    to: DeliveryState,
    #[command(flatten)]
    chosen: Chosen,
}

/// Which deliveries, why, and who says so.
#[derive(Debug, Args)]
struct Chosen {
    /// The deliveries' ids; with none, --job or --profile choose.
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// Every one of this job.
    #[arg(long, value_name = "JOB", conflicts_with = "ids")]
    job: Option<String>,
    /// Every one of this profile.
    #[arg(long, value_name = "PROFILE", conflicts_with = "ids")]
    profile: Option<String>,
    /// How you know; kept in the ledger, so without addresses.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Who decides; $USER by default.
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// Agree to this many with --job or --profile.
    #[arg(long, value_name = "N")]
    confirm: Option<u64>,
}

/// Which deliveries.
#[derive(Debug, Args)]
struct List {
    /// Only this job's.
    #[arg(long, value_name = "JOB")]
    job: Option<String>,
    /// Only this milestone's, or this period's of a recap.
    #[arg(long, value_name = "NAME")]
    milestone: Option<String>,
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
        let near = did_you_mean(text, names).map(|near| format!("; {near}")).unwrap_or_default();
        format!("`{text}` is no state; the states are {}{near}", names.join(", "))
    })
}

fn parse_resolution(text: &str) -> Result<DeliveryState, String> {
    let states = [DeliveryState::Accepted, DeliveryState::Rejected, DeliveryState::Retryable];
    states
        .into_iter()
        .find(|state| state.name() == text)
        .ok_or_else(|| format!("`{text}` settles nothing; write accepted, rejected or retryable"))
}

impl Deliveries {
    pub(crate) async fn execute(self, context: &Context<'_>) -> Result<Exit, Failure> {
        let (from, to, chosen) = match self.command {
            DeliveriesCommand::List(list) => return show_list(context, list).await,
            DeliveriesCommand::Show(show) => {
                let shown = run::show_delivery(&context.workspace, &show.id).await?;
                context.output.result(&report_text::delivery(&shown), &shown);
                return Ok(Exit::Done);
            }
            DeliveriesCommand::Resolve(resolve) => (DeliveryState::Unknown, resolve.to, resolve.chosen),
            DeliveriesCommand::Retry(chosen) => (DeliveryState::Rejected, DeliveryState::Retryable, chosen),
        };
        let request = CorrectionRequest {
            delivery_ids: chosen.ids,
            job: chosen.job,
            profile_id: chosen.profile,
            from,
            to,
            reason: chosen.reason,
            by: chosen.by,
            confirm: chosen.confirm,
        };
        let report = run::correct_deliveries(&context.workspace, request).await?;
        context.output.result(&format!("{} {from} deliveries are {to} now", report.corrected), &report);
        Ok(Exit::Done)
    }
}

async fn show_list(context: &Context<'_>, list: List) -> Result<Exit, Failure> {
    let List { job, milestone, state, profile: profile_id, limit } = list;
    let filter = run::DeliveryQuery { job, milestone, state, profile_id, limit };
    let rows = run::deliveries(&context.workspace, filter).await?;
    context.output.result(&report_text::deliveries(&rows), &rows);
    Ok(Exit::Done)
}
