//! Why a location cannot be opened or written, by what the caller can do about it.

use crate::settings::FileRefusal;

/// Why a location cannot be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// Neither a path nor a URL of a known kind.
    #[error("`{location}` is neither a local path nor an s3://, gs:// or az:// location")]
    Unsupported {
        /// The location as written.
        location: String,
    },
    /// A file of this machine that the project may not read.
    #[error(transparent)]
    Refused(#[from] FileRefusal),
    /// The environment's settings do not make a store.
    #[error("the store of `{location}` cannot be set up from the environment: {reason}")]
    Settings {
        /// The location as written.
        location: String,
        /// What is missing or wrong.
        reason: String,
    },
    /// Other files lie where a set of files was to be written; they are left alone.
    #[error("`{location}` holds files that milepost did not write, and they are left alone")]
    Occupied {
        /// The location as written.
        location: String,
    },
    /// Somebody else wrote the set meanwhile: theirs stays.
    #[error("`{location}` was written by another run meanwhile, and what that run wrote stays")]
    Overtaken {
        /// The location as written.
        location: String,
    },
    /// The store does not answer, or refuses: try again later.
    #[error("`{location}` cannot be reached: {reason}")]
    Unreachable {
        /// The location as written.
        location: String,
        /// What the store said.
        reason: String,
    },
    /// A file of this machine could not be written; what was there before is still there.
    #[error("`{location}` cannot be written: {reason}")]
    Unwritable {
        /// The location or file.
        location: String,
        /// What the system said.
        reason: String,
    },
}

impl StorageError {
    /// A file system's error at a path.
    pub(super) fn unwritable(path: &std::path::Path) -> impl Fn(std::io::Error) -> Self {
        let location = path.display().to_string();
        move |error| Self::Unwritable { location: location.clone(), reason: error.to_string() }
    }

    /// A store's error at a location.
    pub(super) fn unreachable(location: &str) -> impl Fn(object_store::Error) -> Self {
        let location = location.to_owned();
        move |error| Self::Unreachable { location: location.clone(), reason: error.to_string() }
    }
}
