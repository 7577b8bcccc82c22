//! What whoever starts the process allows a project beyond its own: folders, variables that hold secrets, hosts that secrets
//! are shown to. From the command line and the environment, never from YAML.

use std::path::PathBuf;
use std::sync::{PoisonError, RwLock};

/// Names of variables that begin so are milepost's own, and any project may name them.
const OWN_VARIABLES: &str = "MILEPOST_";
/// Variables that the providers' own documents name; each provider shows its secret to its own host only.
const WELL_KNOWN: [&str; 1] = ["RESEND_API_KEY"];

/// What is allowed.
#[derive(Clone, Debug, Default)]
pub struct Allowed {
    /// Folders that a project may name files of.
    pub paths: Vec<PathBuf>,
    /// Variables that a project may name as secrets.
    pub variables: Vec<String>,
    /// Hosts that a provider's secret may be shown to.
    pub hosts: Vec<String>,
}

static ALLOWED: RwLock<Allowed> = RwLock::new(Allowed { paths: Vec::new(), variables: Vec::new(), hosts: Vec::new() });

/// Allows more, from now on and for the whole process.
pub fn allow(more: Allowed) {
    let mut allowed = ALLOWED.write().unwrap_or_else(PoisonError::into_inner);
    allowed.paths.extend(more.paths);
    allowed.variables.extend(more.variables);
    allowed.hosts.extend(more.hosts);
}

/// Folders that are allowed.
pub(super) fn paths() -> Vec<PathBuf> {
    ALLOWED.read().unwrap_or_else(PoisonError::into_inner).paths.clone()
}

/// Whether a project may name this variable of the environment as a secret.
#[must_use]
pub fn is_variable_allowed(name: &str) -> bool {
    let allowed = ALLOWED.read().unwrap_or_else(PoisonError::into_inner);
    name.starts_with(OWN_VARIABLES) || WELL_KNOWN.contains(&name) || allowed.variables.iter().any(|known| known == name)
}

/// Whether a provider's secret may be shown to this host, which is not the provider's own.
#[must_use]
pub fn is_host_allowed(host: &str) -> bool {
    let allowed = ALLOWED.read().unwrap_or_else(PoisonError::into_inner);
    allowed.hosts.iter().any(|known| known.eq_ignore_ascii_case(host))
}
