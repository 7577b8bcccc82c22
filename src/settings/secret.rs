//! Secrets named in YAML as `env:NAME` or `file:PATH`, read late and never shown.

use std::fmt;
use std::path::Path;

use super::{FileRefusal, LocalFiles, is_variable_allowed};

/// A secret's text; `Debug` and `Display` withhold it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// Why a secret could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Neither `env:NAME` nor `file:PATH`.
    #[error("a secret must be written as `env:NAME` or `file:PATH`, not as plain text")]
    Plain,
    /// The environment variable is not set, or empty.
    #[error("the environment variable `{name}` is not set")]
    Unset {
        /// Its name.
        name: String,
    },
    /// A project may not name this variable.
    #[error(
        "the environment variable `{name}` is not one that a project may read: call it `MILEPOST_...`, or allow it where \
         milepost starts: `--allow-env {name}`, or MILEPOST_ALLOW_ENV"
    )]
    NotAllowed {
        /// Its name.
        name: String,
    },
    /// The file could not be read.
    #[error("the secret file cannot be read: {source}{}", source.help().map_or(String::new(), |help| format!("; {help}")))]
    File {
        /// Why.
        source: FileRefusal,
    },
}

/// No secret is longer, in bytes.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

impl Secret {
    /// A secret that was made here, such as a random key.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// Reads `env:NAME` or `file:PATH` (relative to `root`, the project's folder); a file's trailing line break is dropped.
    ///
    /// # Errors
    /// When the reference is neither, or what it names is missing or not the project's to read.
    pub fn resolve(reference: &str, root: &Path) -> Result<Self, SecretError> {
        if let Some(name) = reference.strip_prefix("env:") {
            if !is_variable_allowed(name) {
                return Err(SecretError::NotAllowed { name: name.to_owned() });
            }
            return super::variable(name).map(Self::known).ok_or_else(|| SecretError::Unset { name: name.to_owned() });
        }
        let path = reference.strip_prefix("file:").ok_or(SecretError::Plain)?;
        LocalFiles::of_project(root)
            .read_secret(&root.join(path), SECRET_BYTES_MAX)
            .map(|text| Self::known(text.trim_end_matches(['\r', '\n']).to_owned()))
            .map_err(|source| SecretError::File { source })
    }

    /// A secret that no text of this process shows from now on.
    fn known(text: String) -> Self {
        super::redaction::remember(&text);
        Self(text)
    }

    /// The text, for the one call that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(withheld)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_refused_and_never_shown() {
        assert!(matches!(Secret::resolve("re_123", Path::new(".")), Err(SecretError::Plain)));
        assert_eq!(format!("{:?}", Secret::new("re_123".into())), "Secret(withheld)");
    }

    #[test]
    fn names_what_is_missing() {
        let unset = Secret::resolve("env:MILEPOST_TEST_NEVER_SET", Path::new(".")).expect_err("not set");
        assert!(unset.to_string().contains("MILEPOST_TEST_NEVER_SET"));
        let foreign = Secret::resolve("env:PATH", Path::new(".")).expect_err("somebody else's");
        assert!(foreign.to_string().contains("--allow-env PATH"));
        assert!(matches!(Secret::resolve("file:does/not/exist", Path::new("/")), Err(SecretError::File { .. })));
    }
}
