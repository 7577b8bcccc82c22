//! Environment, secrets and files of this machine: the only place that reads environment variables, and the one door to
//! files that a project names.

mod allowed;
mod local_files;
mod redaction;
mod rehearsal;
mod secret;

pub use allowed::{Allowed, allow, is_host_allowed, is_variable_allowed};
pub use local_files::{ALLOW_PATH, FileRefusal, LocalFiles};
pub use redaction::{redacted, redacted_id};
pub use rehearsal::{CRASHPOINTS, SEEDED_BUGS};
#[cfg(debug_assertions)]
pub(crate) use rehearsal::{clock_jump, is_seeded, reach};
pub(crate) use rehearsal::{crashpoint, seeded};
pub use secret::{Secret, SecretError};

/// A variable of the environment, where it is set and not empty.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one door to the environment")]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The folder the process was started in.
///
/// # Errors
/// When it was removed or may not be read.
pub fn current_folder() -> std::io::Result<std::path::PathBuf> {
    std::env::current_dir()
}

/// Every variable of the environment whose name starts with `prefix`, in order of name; those that are not text are left out.
#[must_use]
pub fn variables_with_prefix(prefix: &str) -> Vec<(String, String)> {
    let mut found: Vec<_> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, value)| name.starts_with(prefix) && !value.is_empty())
        .collect();
    found.sort();
    found
}
