//! Log lines on standard error: one event per line, for people or as JSON.

use tracing_subscriber::EnvFilter;

use super::output::Format;

/// Starts logging. `verbose` 0 shows warnings, 1 milepost's own information, 2 everything at debug level.
pub(super) fn start(format: Format, verbose: u8, quiet: bool) {
    let level = match (quiet, verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "warn,milepost=info",
        (false, _) => "info,milepost=debug",
    };
    let filter = crate::settings::variable("MILEPOST_LOG").map_or_else(|| EnvFilter::new(level), EnvFilter::new);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second start in one process (tests) keeps the first.
    let _ = match format {
        Format::Text => builder.with_target(false).with_ansi(super::output::errors_take_colour()).try_init(),
        Format::Json => builder.json().flatten_event(true).try_init(),
    };
}
