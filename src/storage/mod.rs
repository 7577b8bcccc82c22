//! From a location as written (`/data/events`, `s3://acme/logs/`) to an object store and the URL of what lies there.
//!
//! Guarantees: credentials, region and endpoint come from the usual environment variables and nothing is contacted
//! when opening. Never: lists before it is asked to. Below: a [`SetWriter`], whose files readers see all at once or not at
//! all, and single files that appear whole.

mod error;
mod listing;
mod local;
mod meter;
mod set;
mod temporary;
mod upload;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::{ObjectStore, RetryConfig};
use url::Url;

pub use error::StorageError;
pub use listing::{FoundFile, Level, Listing, NAMES_AT_ONCE, Odd, OddKind};
pub use local::refusal;
pub use meter::{Meter, metered};
pub use set::{Manifest, SetFile, SetWriter, partition_folder};
pub use temporary::{TemporaryFile, TemporaryFolder, holds_temporary, remove_temporary};
pub use upload::write_file;

use crate::settings::{self, LocalFiles};
use local::LocalStore;

/// What files of this machine that a project names are called in the engine.
const LOCAL_ROOT: &str = "project:///";

/// A request that fails is made again this often,
const RETRIES: usize = 4;
/// and for no longer than this: an orchestrator is better at waiting.
const RETRY_FOR: Duration = Duration::from_secs(20);

/// A store and where in it a location points.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The store.
    pub store: Arc<dyn ObjectStore>,
    /// The store's root, such as `s3://acme/`; of this machine a name that only the engine sees.
    pub root: Url,
    /// The location up to its first part that holds a glob; ends with `/` when it is a folder.
    pub base: Url,
    /// The rest of the location from its first part that holds a glob.
    pub glob: Option<String>,
    /// The door, where the files are those of this machine.
    local: Option<LocalFiles>,
}

impl Opened {
    /// True when the files lie in a store that is asked over a network.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        self.local.is_none()
    }

    /// True when the location names a folder and no glob.
    #[must_use]
    pub fn is_folder(&self) -> bool {
        self.glob.is_none() && !self.is_single_file()
    }

    /// True when the location names neither a folder nor a glob.
    #[must_use]
    pub fn is_single_file(&self) -> bool {
        self.glob.is_none() && !self.base.path().ends_with('/')
    }
}

/// Opens an absolute local path or a URL; either may hold a glob. Nothing is contacted. Of this machine's files those are
/// read that `files` admits.
///
/// # Errors
/// When the location is of no known kind, the environment lacks what its store needs, or the project may not read it.
pub fn open(location: &str, files: &LocalFiles) -> Result<Opened, StorageError> {
    if Path::new(location).is_absolute() {
        let (base, glob) = split_glob(location);
        return open_local(location, (base, glob), files);
    }
    open_remote(location)
}

/// Opens a URL, which may hold a glob. Nothing is contacted.
///
/// # Errors
/// When the location is of no known kind, or the environment lacks what its store needs.
pub fn open_remote(location: &str) -> Result<Opened, StorageError> {
    let (base, glob) = split_glob(location);
    let unsupported = || StorageError::Unsupported { location: location.to_owned() };
    let mut base = Url::parse(base).map_err(|_| unsupported())?;
    if base.host_str().is_none_or(str::is_empty) {
        return Err(unsupported());
    }
    let store = remote_store(&base).ok_or_else(unsupported)?;
    let store =
        store.map_err(|error| StorageError::Settings { location: location.to_owned(), reason: error.to_string() })?;
    let mut root = base.clone();
    root.set_path("/");
    let last = base.path().rsplit('/').next().unwrap_or_default();
    if !last.is_empty() && !last.contains('.') {
        base.set_path(&format!("{}/", base.path()));
    }
    Ok(Opened { store, root, base, glob: glob.map(str::to_owned), local: None })
}

fn open_local(location: &str, (base, glob): (&str, Option<&str>), files: &LocalFiles) -> Result<Opened, StorageError> {
    let unsupported = || StorageError::Unsupported { location: location.to_owned() };
    let path = Path::new(base);
    let base =
        if path.is_dir() || base.ends_with('/') { Url::from_directory_path(path) } else { Url::from_file_path(path) };
    // Parsed again without `..`, which no store has.
    let base = base.and_then(|base| Url::parse(base.as_str()).map_err(|_| ()));
    // A name of its own: files that milepost writes for itself are read without the door.
    let root = Url::parse(LOCAL_ROOT).map_err(|_| unsupported())?;
    let base = base.map_err(|()| unsupported())?;
    files.admit_path(&base.to_file_path().map_err(|()| unsupported())?)?;
    Ok(Opened {
        store: Arc::new(LocalStore::new(files.clone())),
        root,
        base,
        glob: glob.map(str::to_owned),
        local: Some(files.clone()),
    })
}

/// The store of a URL, set up from the environment; `None` for an unknown scheme.
fn remote_store(url: &Url) -> Option<Result<Arc<dyn ObjectStore>, object_store::Error>> {
    let retry = RetryConfig { max_retries: RETRIES, retry_timeout: RETRY_FOR, ..RetryConfig::default() };
    macro_rules! built {
        ($builder:ty, $prefix:literal) => {{
            let builder = <$builder>::new().with_url(url.as_str()).with_retry(retry);
            let builder = store_options($prefix).into_iter().fold(builder, |builder, (name, value)| {
                // Variables that are no settings of the store are somebody else's.
                match name.to_ascii_lowercase().parse() {
                    Ok(setting) => builder.with_config(setting, value),
                    Err(_) => builder,
                }
            });
            Some(builder.build().map(|store| Arc::new(store) as Arc<dyn ObjectStore>))
        }};
    }
    match url.scheme() {
        "s3" | "s3a" => built!(AmazonS3Builder, "AWS_"),
        "gs" => built!(GoogleCloudStorageBuilder, "GOOGLE_"),
        "az" | "abfs" | "abfss" => built!(MicrosoftAzureBuilder, "AZURE_"),
        _ => None,
    }
}

/// True when a store's answer means that nothing lies there, rather than that it cannot be reached.
#[must_use]
pub fn is_absent(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::NotFound { .. })
}

/// The path of a file that a store did not find.
#[must_use]
pub fn absent_path(error: &object_store::Error) -> Option<&str> {
    match error {
        object_store::Error::NotFound { path, .. } => Some(path),
        _ => None,
    }
}

/// The environment's settings for a store; plain http is allowed exactly when the endpoint says http.
fn store_options(prefix: &str) -> Vec<(String, String)> {
    let mut options = settings::variables_with_prefix(prefix);
    let plain_http = options.iter().any(|(name, value)| name.contains("ENDPOINT") && value.starts_with("http://"));
    if plain_http {
        options.push((format!("{prefix}ALLOW_HTTP"), "true".to_owned()));
    }
    options
}

/// Splits before the first path part that holds a glob character.
fn split_glob(location: &str) -> (&str, Option<&str>) {
    let Some(at) = location.find(['*', '?', '[']) else {
        return (location, None);
    };
    let start = location[..at].rfind('/').map_or(0, |slash| slash + 1);
    (&location[..start], Some(&location[start..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_at_the_first_part_with_a_glob() {
        assert_eq!(split_glob("s3://acme/logs/2026-*/x.parquet"), ("s3://acme/logs/", Some("2026-*/x.parquet")));
        assert_eq!(split_glob("/data/a.parquet"), ("/data/a.parquet", None));
        assert_eq!(split_glob("/data/*.parquet"), ("/data/", Some("*.parquet")));
    }

    /// Everything is the project's.
    fn at(location: &str) -> Result<Opened, StorageError> {
        open(location, &LocalFiles::of_project(Path::new("/")))
    }

    #[test]
    fn a_local_file_and_a_glob() {
        let file = at("/data/people.csv").expect("a path");
        assert!(file.is_single_file());
        assert_eq!(file.base.as_str(), "file:///data/people.csv");
        let above = at("/data/project/../people.csv").expect("a path");
        assert_eq!(above.base.as_str(), "file:///data/people.csv");
        let glob = at("/data/*.csv").expect("a glob");
        assert!(!glob.is_single_file());
        assert_eq!(glob.base.as_str(), "file:///data/");
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for location in ["ftp://host/x", "data/relative", "https://acme.test/x.parquet", "s3:///no-bucket"] {
            assert!(matches!(at(location), Err(StorageError::Unsupported { .. })), "{location}");
        }
    }
}
