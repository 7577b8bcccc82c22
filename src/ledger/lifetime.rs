//! How long a lease lives without a sign of its owner: the one place that says so.

use std::time::Duration;

const LIFETIME: Duration = Duration::from_secs(30);

/// How long a lease outlives the last sign of its owner: 30 s. In builds with debug assertions the variable
/// `MILEPOST_LEASE_SECONDS` names another time, so that tests need not wait.
#[must_use]
pub fn lease_lifetime() -> Duration {
    #[cfg(debug_assertions)]
    if let Some(seconds) = crate::settings::variable("MILEPOST_LEASE_SECONDS").and_then(|text| text.parse().ok()) {
        return Duration::from_secs(seconds);
    }
    LIFETIME
}

/// The same in seconds, as the database is told.
pub(super) fn lease_seconds() -> f64 {
    lease_lifetime().as_secs_f64()
}
