//! `milepost suppress`, `unsuppress` and `erase`: who must not be mailed.

use std::fmt::Write as _;

use clap::Args;
use serde::Serialize;

use crate::cli::Context;
use crate::cli::failure::Failure;
use crate::model::SuppressionReason;
use crate::model::diagnostic::did_you_mean;
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
    /// Also a profile that neither an audience nor the ledger has.
    #[arg(long, requires = "profile")]
    unknown: bool,
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
    /// Also a profile that neither an audience nor the ledger has.
    #[arg(long)]
    unknown: bool,
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
        let near = did_you_mean(text, names).map(|near| format!("; {near}")).unwrap_or_default();
        format!("`{text}` is no reason; the reasons are {}{near}", names.join(", "))
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
        let (target, unknown) = (self.whom.target(), self.unknown);
        let request = SuppressRequest { target, reason: Some(self.reason), job: self.job, unknown };
        run::suppress(&context.workspace, request).await?;
        let text = format!("suppressed ({}), from the next run on", self.reason.name());
        context.output.result(&text, &SuppressedJson { suppressed: true });
        Ok(Exit::Done)
    }
}

impl Unsuppress {
    pub(crate) async fn execute(self, context: &Context<'_>) -> Result<Exit, Failure> {
        let request = SuppressRequest { target: self.whom.target(), reason: self.reason, job: self.job, unknown: true };
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
        let forgotten = run::erase(&context.workspace, &self.profile, self.unknown).await?;
        let mut text = format!(
            "forgotten: {} deliveries are tombstones, {} addresses and the profile are never mailed again\n",
            forgotten.erased.deliveries, forgotten.erased.addresses
        );
        if !forgotten.files.is_empty() {
            let _ = writeln!(text, "these files still hold mails of the person; remove them yourself:");
            forgotten.files.iter().for_each(|file| {
                let _ = writeln!(text, "  {file}");
            });
        }
        text += "not looked at: your tables and what `publish:` and `--output` wrote, earlier exports and plans, backups of \
                 the ledger, and what the provider keeps\n";
        context.output.result(&text, &forgotten);
        Ok(Exit::Done)
    }
}
