//! Exit codes: frozen numbers with one order of precedence.

/// How a command ended, as an orchestrator sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Every candidate is settled, or there was nothing to do.
    Done,
    /// Failed before or during delivery; safe to run again.
    Failed,
    /// Bad usage, YAML, SQL, template or configuration; nothing was dispatched.
    Invalid,
    /// Finished, but some deliveries can be tried again.
    Retryable,
    /// Finished, but some outcomes are unknown.
    Unknown,
    /// A guard refused.
    Refused,
    /// Another run took over.
    Fenced,
    /// Ledger, warehouse or provider unavailable.
    Unavailable,
    /// Another run holds the job.
    Held,
    /// There was nothing to do, and whoever started the run wants to tell that apart.
    Empty,
    /// Interrupted by SIGINT and drained.
    Interrupted,
    /// Interrupted by SIGTERM and drained.
    Terminated,
}

impl Exit {
    /// The first of several exits at once decides.
    const PRECEDENCE: [Self; 12] = [
        Self::Terminated,
        Self::Interrupted,
        Self::Invalid,
        Self::Refused,
        Self::Unavailable,
        Self::Fenced,
        Self::Unknown,
        Self::Retryable,
        Self::Failed,
        Self::Held,
        Self::Empty,
        Self::Done,
    ];

    /// The process's exit code.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Invalid => 2,
            Self::Retryable => 3,
            Self::Unknown => 4,
            Self::Refused => 5,
            Self::Fenced => 6,
            Self::Unavailable => 7,
            Self::Held => 75,
            Self::Empty => 99,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }

    /// A stable word for it, for logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Invalid => "invalid",
            Self::Retryable => "retryable",
            Self::Unknown => "unknown",
            Self::Refused => "refused",
            Self::Fenced => "fenced",
            Self::Unavailable => "unavailable",
            Self::Held => "held",
            Self::Empty => "empty",
            Self::Interrupted => "interrupted",
            Self::Terminated => "terminated",
        }
    }

    /// The one exit of several jobs.
    pub fn of_all(exits: impl IntoIterator<Item = Self>) -> Self {
        let exits: Vec<Self> = exits.into_iter().collect();
        Self::PRECEDENCE.into_iter().find(|exit| exits.contains(exit)).unwrap_or(Self::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gravest_exit_decides() {
        assert_eq!(Exit::of_all([]), Exit::Done);
        assert_eq!(Exit::of_all([Exit::Done, Exit::Retryable, Exit::Unknown]), Exit::Unknown);
        assert_eq!(Exit::of_all([Exit::Held, Exit::Done]).code(), 75);
        assert_eq!(Exit::of_all([Exit::Refused, Exit::Invalid, Exit::Terminated]).code(), 143);
    }
}
