//! `milepost suppress`, `unsuppress` and `erase`: who must not be mailed.

use clap::Args;
use serde::Serialize;

use crate::cli::Context;
use crate::cli::failure::Failure;
use crate::model::SuppressionReason;
use crate::run::{self, Exit, SuppressRequest, Target};

/// Whom it is about.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Whom {
    /// A mail address; only its hash is stored.
    address: Option<String>,
    /// A profile by its id.
    #[arg(long, value_name = "PROFILE")]
    profile: Option<String>,
}

/// Never mail an address or a profile, from the next run on.
#[derive(Debug, Args)]
pub(crate) struct Suppress {
    #[command(flatten)]
    whom: Whom,
    /// unsubscribed (marketing only), bounce, complaint or manual.
    #[arg(long, value_name = "REASON", value_parser = parse_reason, default_value = "manual")]
    reason: SuppressionReason,
    /// With `unsubscribed`: only this job's mails.
    #[arg(long, value_name = "JOB")]
    job: Option<String>,
}

/// Lift what `suppress` wrote; what `erase` wrote stays.
#[derive(Debug, Args)]
pub(crate) struct Unsuppress {
    #[command(flatten)]
    whom: Whom,
    /// Only this reason; every one by default.
    #[arg(long, value_name = "REASON", value_parser = parse_reason)]
    reason: Option<SuppressionReason>,
    /// Only what is about this job.
    #[arg(long, value_name = "JOB")]
    job: Option<String>,
}

/// Forget a person: only keys without meaning stay, so that they are never mailed again.
#[derive(Debug, Args)]
pub(crate) struct Erase {
    /// The profile by its id.
    #[arg(long, value_name = "PROFILE")]
    profile: String,
}

#[derive(Serialize)]
struct SuppressedJson {
    suppressed: bool,
}

#[derive(Serialize)]
struct LiftedJson {
    lifted: u64,
}

fn parse_reason(text: &str) -> Result<SuppressionReason, String> {
    SuppressionReason::from_name(text).ok_or_else(|| {
        let names = SuppressionReason::ALL.map(SuppressionReason::name);
        format!("`{text}` is no reason; the reasons are {}", names.join(", "))
    })
}

impl Whom {
    fn target(self) -> Target {
        match (self.address, self.profile) {
            (Some(address), _) => Target::Address(address),
            (None, profile) => Target::Profile(profile.unwrap_or_default()),
        }
    }
}

impl Suppress {
    pub(crate) async fn execute(self, context: &Context<'_>) -> Result<Exit, Failure> {
        let request = SuppressRequest { target: self.whom.target(), reason: Some(self.reason), job: self.job };
        run::suppress(&context.workspace, request).await?;
        let text = format!("suppressed ({}), from the next run on", self.reason.name());
        context.output.result(&text, &SuppressedJson { suppressed: true });
        Ok(Exit::Done)
    }
}

impl Unsuppress {
    pub(crate) async fn execute(self, context: &Context<'_>) -> Result<Exit, Failure> {
        let request = SuppressRequest { target: self.whom.target(), reason: self.reason, job: self.job };
        let lifted = run::unsuppress(&context.workspace, request).await?;
        let text = match lifted {
            0 => "nothing stood in the ledger that may be lifted".to_owned(),
            1 => "lifted 1 suppression".to_owned(),
            lifted => format!("lifted {lifted} suppressions"),
        };
        context.output.result(&text, &LiftedJson { lifted });
        Ok(Exit::Done)
    }
}

impl Erase {
    pub(crate) async fn execute(self, context: &Context<'_>) -> Result<Exit, Failure> {
        let erased = run::erase(&context.workspace, &self.profile).await?;
        let text = format!(
            "forgotten: {} deliveries are tombstones, {} addresses and the profile are never mailed again",
            erased.deliveries, erased.addresses
        );
        context.output.result(&text, &erased);
        Ok(Exit::Done)
    }
}
