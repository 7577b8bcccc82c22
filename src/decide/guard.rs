//! The volume guards: a run that would mail more than expected is refused before anything leaves.

use crate::project::Limits;

/// What a run is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Volume {
    /// What is usual, where runs told: [`usual`].
    pub usual: Option<u64>,
    /// How many mails an environment that redirects may still make in this run.
    pub redirects_left: Option<u64>,
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
    /// The run would mail many times what is usual.
    #[error(
        "this run would mail {mails} profiles, more than 5 times the usual {usual}: look at them with `--dry-run`, then run \
         again with `--confirm {mails}`"
    )]
    Unusual {
        /// What it would mail.
        mails: u64,
        /// The median of earlier periods or days.
        usual: u64,
    },
    /// An environment with `redirect_to` would mail more than `redirect_limit`.
    #[error(
        "this run would redirect {mails} mails, and `redirect_limit` leaves {left}: add `--limit {left}` or \
         `--only PROFILE`, or raise `redirect_limit`"
    )]
    Redirected {
        /// What it would mail.
        mails: u64,
        /// What is left of the limit.
        left: u64,
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

/// A volume is not unusual up to this many mails, nor up to this many times the usual.
const UNUSUAL_MAILS: u64 = 1_000;
const UNUSUAL_TIMES: u64 = 5;

/// What is usual: the median of the last volumes, of which the first is the latest; the lower one of two in the middle.
/// `None` without any.
#[must_use]
pub fn usual(mut volumes: Vec<u64>, last: usize) -> Option<u64> {
    volumes.truncate(last);
    volumes.sort_unstable();
    volumes.get(volumes.len().checked_sub(1)? / 2).copied()
}

/// Lets a run pass, or refuses it; `--confirm N` allows at most N mails and lifts every limit but the one of redirects.
///
/// # Errors
/// A [`Refusal`] that names the number, the limit and the `--confirm` to use.
pub fn guard(volume: &Volume) -> Result<(), Refusal> {
    let Volume { usual, redirects_left, first_run, mails, limits, confirm } = *volume;
    if let Some(left) = redirects_left.filter(|left| mails > *left) {
        return Err(Refusal::Redirected { mails, left });
    }
    if let Some(confirmed) = confirm {
        return if mails > confirmed { Err(Refusal::Confirmed { mails, confirmed }) } else { Ok(()) };
    }
    if first_run && mails > limits.first_run {
        return Err(Refusal::FirstRun { mails, limit: limits.first_run });
    }
    if let Some(limit) = limits.per_run.filter(|limit| mails > *limit) {
        return Err(Refusal::PerRun { mails, limit });
    }
    match usual {
        Some(usual) if mails > UNUSUAL_MAILS && mails > usual.saturating_mul(UNUSUAL_TIMES) => {
            Err(Refusal::Unusual { mails, usual })
        }
        _ => Ok(()),
    }
}
