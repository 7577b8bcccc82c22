//! The volume guards: a run that would mail more than expected is refused before anything leaves.
//!
//! The guard against many times the usual volume needs history and comes with a later step.

use crate::project::Limits;

/// What a run is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Volume {
    /// True until one unrestricted run of the job completed.
    pub first_run: bool,
    /// Candidates decided `mail`.
    pub mails: u64,
    /// The job's limits.
    pub limits: Limits,
    /// `--confirm N`.
    pub confirm: Option<u64>,
}

/// Why a run is refused, and what lets it pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The first run would mail more than `limits.first_run`.
    #[error(
        "this first run would mail {mails} profiles, more than `limits.first_run` allows ({limit}): look at them with \
         `--dry-run`, then run again with `--confirm {mails}`"
    )]
    FirstRun {
        /// What it would mail.
        mails: u64,
        /// What is allowed.
        limit: u64,
    },
    /// The run would mail more than `limits.per_run`.
    #[error(
        "this run would mail {mails} profiles, more than `limits.per_run` allows ({limit}): look at them with \
         `--dry-run`, then run again with `--confirm {mails}`"
    )]
    PerRun {
        /// What it would mail.
        mails: u64,
        /// What is allowed.
        limit: u64,
    },
    /// The run would mail more than was confirmed.
    #[error(
        "this run would mail {mails} profiles, more than the {confirmed} of `--confirm {confirmed}`: look at them with \
         `--dry-run`, then run again with `--confirm {mails}`"
    )]
    Confirmed {
        /// What it would mail.
        mails: u64,
        /// What was confirmed.
        confirmed: u64,
    },
}

/// Lets a run pass, or refuses it; `--confirm N` allows at most N mails and lifts both limits.
///
/// # Errors
/// A [`Refusal`] that names the number, the limit and the `--confirm` to use.
pub fn guard(volume: &Volume) -> Result<(), Refusal> {
    let Volume { first_run, mails, limits, confirm } = *volume;
    if let Some(confirmed) = confirm {
        return if mails > confirmed { Err(Refusal::Confirmed { mails, confirmed }) } else { Ok(()) };
    }
    if first_run && mails > limits.first_run {
        return Err(Refusal::FirstRun { mails, limit: limits.first_run });
    }
    match limits.per_run {
        Some(limit) if mails > limit => Err(Refusal::PerRun { mails, limit }),
        _ => Ok(()),
    }
}
