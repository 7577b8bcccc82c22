//! Rehearsed disasters: places where tests end the process as a power cut would, and old mistakes that they bring back to
//! see them caught. Nothing of it is in release builds.

/// Every crash point, in about the order in which a run passes them; each stands once in the source.
pub const CRASHPOINTS: [&str; 54] = [
    "before_open",
    "within_open_sqlite",
    "within_open_postgres",
    "after_open",
    "before_recover",
    "within_recover_sqlite",
    "within_recover_postgres",
    "after_recover",
    "before_replay",
    "before_hold",
    "after_replay",
    "before_decide",
    "within_decide",
    "within_spool",
    "after_decide",
    "after_guard",
    "within_record_sqlite",
    "within_record_postgres",
    "after_record",
    "before_spool_read",
    "after_render",
    "after_allow",
    "before_dispatch",
    "within_dispatch_sqlite",
    "within_dispatch_postgres",
    "after_dispatch",
    "before_request",
    "after_response",
    "before_outcome",
    "before_repeat",
    "before_give_back",
    "before_again",
    "after_again",
    "before_piece",
    "before_held",
    "before_release",
    "before_settle",
    "within_settle_sqlite",
    "within_settle_postgres",
    "after_settle",
    "before_renewal",
    "after_renewal",
    "before_defer",
    "before_publish",
    "within_publish",
    "after_publish",
    "before_close",
    "within_close_sqlite",
    "within_close_postgres",
    "after_close",
    "before_checkpoint_sqlite",
    "before_results",
    "within_results",
    "after_results",
];

/// Mistakes that mailers make; the tests of delivery must catch each.
pub const SEEDED_BUGS: [&str; 12] = [
    "send_before_record",
    "server_error_counted_as_refusal",
    "batch_regrouped_on_retry",
    "fresh_key_on_retry",
    "lease_by_wall_clock",
    "template_hash_in_key",
    "unknown_counted_as_failed",
    "missing_ledger_created_silently",
    "cap_counted_after_dispatch",
    "outcome_lost_on_signal",
    "as_of_finer_than_the_ledger",
    "batch_refusal_settles_all",
];

/// Aborts the process here when `MILEPOST_CRASHPOINT` names this point (`name`, or `name:N` for its Nth passing).
macro_rules! crashpoint {
    ($name:literal) => {
        #[cfg(debug_assertions)]
        $crate::settings::reach($name);
    };
}
pub(crate) use crashpoint;

/// True when `MILEPOST_SEEDED_BUG` names this mistake; false in release builds.
macro_rules! seeded {
    ($name:literal) => {{
        #[cfg(debug_assertions)]
        let seeded = $crate::settings::is_seeded($name);
        #[cfg(not(debug_assertions))]
        let seeded = false;
        seeded
    }};
}
pub(crate) use seeded;

/// Aborts when the environment names `point` and it was passed often enough.
#[cfg(debug_assertions)]
pub(crate) fn reach(point: &str) {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static CHOSEN: LazyLock<Option<(String, u64)>> = LazyLock::new(|| {
        let text = super::variable("MILEPOST_CRASHPOINT")?;
        let (name, times) = text.split_once(':').unwrap_or((&text, "1"));
        Some((name.to_owned(), times.parse().unwrap_or(1)))
    });
    static PASSED: AtomicU64 = AtomicU64::new(0);

    if let Some((name, times)) = CHOSEN.as_ref()
        && name == point
        && PASSED.fetch_add(1, Ordering::SeqCst) + 1 == *times
    {
        std::process::abort();
    }
}

/// Whether the environment brings this mistake back.
#[cfg(debug_assertions)]
pub(crate) fn is_seeded(bug: &str) -> bool {
    use std::sync::LazyLock;

    static CHOSEN: LazyLock<Option<String>> = LazyLock::new(|| super::variable("MILEPOST_SEEDED_BUG"));
    CHOSEN.as_deref() == Some(bug)
}

/// A jump of the wall clock for tests: `MILEPOST_CLOCK_JUMP=SECONDS` from the start, `SECONDS@N` after N readings.
#[cfg(debug_assertions)]
pub(crate) fn clock_jump() -> Option<(i64, u64)> {
    let text = super::variable("MILEPOST_CLOCK_JUMP")?;
    let (seconds, readings) = text.split_once('@').unwrap_or((&text, "0"));
    Some((seconds.parse().ok()?, readings.parse().ok()?))
}
