//! The files below a location, in the order of their paths.
//!
//! Guarantees: what writers leave beside data is no data: files and folders whose names begin with `.` or `_` (a folder
//! `_key=value` is a partition), and `.crc` files. Never: reads a file.

use futures::future;
use futures::stream::{self, StreamExt, TryStreamExt};
use glob::{MatchOptions, Pattern};
use object_store::path::Path;
use object_store::{Error, ObjectMeta, ObjectStoreExt};

use super::Opened;
use crate::settings::LocalFiles;

/// Ranges of names that are listed side by side: a store tells a thousand names at a time, so one page after another would
/// make fifty thousand files wait. More ranges would cost more requests than they save.
const RANGES: usize = 8;

/// Levels that are looked at for folders to part the names by.
const LEVELS_MAX: usize = 3;

/// Stores that begin a listing at a name by themselves.
const BEGIN_ANYWHERE: &[&str] = &["s3", "s3a", "gs"];

/// Names that stores tell in one answer.
pub const NAMES_AT_ONCE: usize = 1_000;

/// What the names of checksums end with.
const CHECKSUM: &str = ".crc";

/// The folder of rows without a value is one of data, although its name begins with `_`.
const NO_VALUE: &str = "__HIVE_DEFAULT_PARTITION__";

/// A file as a listing tells it.
pub type FoundFile = ObjectMeta;

/// What lies among files of this machine and is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Odd {
    /// Its path.
    pub path: String,
    /// What it is.
    pub kind: OddKind,
}

/// What is no file and no folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OddKind {
    /// A link to what is not there.
    BrokenLink,
    /// A pipe, a device or a socket.
    NoFile,
    /// A folder within very many folders, or within itself.
    TooDeep,
    /// A name that is no text.
    OddName,
}

impl OddKind {
    /// The kind in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::BrokenLink => "a link to a file that is not there",
            Self::NoFile => "no regular file",
            Self::TooDeep => "a folder within too many folders",
            Self::OddName => "a name that is no text",
        }
    }
}

/// What lies at a location.
#[derive(Debug, Default)]
pub struct Listing {
    /// Files that may hold data, in the order of their paths.
    pub files: Vec<FoundFile>,
    /// What is no file; of this machine only.
    pub odd: Vec<Odd>,
}

/// The names of a listing: none where what is listed is not there.
fn none_where_absent(listed: Result<Vec<FoundFile>, Error>) -> Result<Vec<FoundFile>, Error> {
    match listed {
        Err(error) if super::is_absent(&error) => Ok(Vec::new()),
        other => other,
    }
}

/// What lies in one folder, without what lies in its folders; in the order of the paths.
#[derive(Debug, Default)]
pub struct Level {
    /// Folders that may hold data.
    pub folders: Vec<Path>,
    /// Files of data.
    pub files: Vec<FoundFile>,
}

impl Opened {
    /// The base of the location as a path of the store.
    #[must_use]
    pub fn prefix(&self) -> Path {
        Path::from_url_path(self.base.path()).unwrap_or_default()
    }

    /// What the whole names of files begin with: `/`, `s3://acme/`.
    #[must_use]
    pub fn names_begin_with(&self) -> &str {
        if self.is_remote() { self.root.as_str() } else { "/" }
    }

    /// A file's name as people write it: `/data/a.csv`, `s3://acme/a.csv`.
    #[must_use]
    pub fn whole_name(&self, file: &Path) -> String {
        format!("{}{file}", self.names_begin_with())
    }

    /// A file's path from the base of the location.
    #[must_use]
    pub fn relative<'a>(&self, file: &'a Path) -> &'a str {
        let prefix = self.prefix();
        file.as_ref().strip_prefix(prefix.as_ref()).unwrap_or(file.as_ref()).trim_start_matches('/')
    }

    /// Lists the location's files; none is no error.
    ///
    /// # Errors
    /// When the store cannot be listed.
    pub async fn files(&self) -> Result<Listing, Error> {
        if self.is_single_file() {
            return match self.store.head(&self.prefix()).await {
                Ok(file) => Ok(Listing { files: vec![file], odd: Vec::new() }),
                Err(error) if super::is_absent(&error) => Ok(Listing::default()),
                Err(error) => Err(error),
            };
        }
        let pattern = self
            .glob
            .as_deref()
            .map(Pattern::new)
            .transpose()
            .map_err(|error| Error::Generic { store: "glob", source: error.to_string().into() })?;
        let (mut files, mut odd) = match &self.local {
            Some(local) => self.walk(local).await?,
            None => (none_where_absent(self.everything().await)?, Vec::new()),
        };
        if let Some(pattern) = &pattern {
            files.retain(|file| matches(pattern, self.relative(&file.location)));
            let base = format!("/{}/", self.prefix());
            odd.retain(|odd| odd.path.strip_prefix(&base).is_none_or(|relative| matches(pattern, relative)));
        }
        Ok(Listing { files: self.data(files), odd })
    }

    async fn walk(&self, local: &LocalFiles) -> Result<(Vec<FoundFile>, Vec<Odd>), Error> {
        let folder = self.base.to_file_path().map_err(|()| Error::Generic {
            store: "the file system",
            source: format!("`{}` is no path", self.base).into(),
        })?;
        let local = local.clone();
        tokio::task::spawn_blocking(move || super::local::walk(&folder, &local)).await?
    }

    /// The location's files where one answer of the store tells them all, else `None`.
    ///
    /// # Errors
    /// When the store cannot be listed.
    pub async fn few_files(&self) -> Result<Option<Vec<FoundFile>>, Error> {
        let prefix = self.prefix();
        let names = none_where_absent(self.store.list(Some(&prefix)).take(NAMES_AT_ONCE).try_collect().await)?;
        Ok((names.len() < NAMES_AT_ONCE).then(|| self.data(names)))
    }

    /// What lies in a folder.
    ///
    /// # Errors
    /// When the store cannot be listed.
    pub async fn level(&self, folder: &Path) -> Result<Level, Error> {
        let listed = self.store.list_with_delimiter(Some(folder)).await?;
        let mut folders = listed.common_prefixes;
        folders.retain(|folder| folder.filename().is_some_and(|name| !is_hidden(name)));
        folders.sort_unstable();
        let mut files = self.data(listed.objects);
        // An object without a byte may be what a console shows as a folder.
        files.retain(|file| file.size > 0);
        Ok(Level { folders, files })
    }

    /// The files of a folder and its folders.
    ///
    /// # Errors
    /// When the store cannot be listed.
    pub async fn files_below(&self, folder: &Path) -> Result<Vec<FoundFile>, Error> {
        Ok(self.data(self.store.list(Some(folder)).try_collect().await?))
    }

    /// The files of data among names, in the order of their paths.
    fn data(&self, mut names: Vec<FoundFile>) -> Vec<FoundFile> {
        names.retain(|file| is_data(self.relative(&file.location)));
        names.sort_unstable_by(|left, right| left.location.cmp(&right.location));
        names
    }

    async fn everything(&self) -> Result<Vec<FoundFile>, Error> {
        let prefix = self.prefix();
        let starts = self.starts(&prefix).await?;
        let ranges = (0..=starts.len()).map(|at| {
            let (after, upto) = (at.checked_sub(1).map(|before| &starts[before]), starts.get(at).cloned());
            let names = match after {
                Some(after) => self.store.list_with_offset(Some(&prefix), after),
                None => self.store.list(Some(&prefix)),
            };
            // A name that is a start itself is the end of the range before it.
            names
                .try_take_while(move |file| future::ready(Ok(upto.as_ref().is_none_or(|upto| file.location <= *upto))))
                .try_collect::<Vec<FoundFile>>()
        });
        let ranges: Vec<Vec<FoundFile>> =
            stream::iter(ranges.collect::<Vec<_>>()).buffer_unordered(RANGES).try_collect().await?;
        Ok(ranges.into_iter().flatten().collect())
    }

    /// Names that part those below a prefix into ranges, in their order; none where parting them gains nothing.
    async fn starts(&self, prefix: &Path) -> Result<Vec<Path>, Error> {
        if !BEGIN_ANYWHERE.contains(&self.root.scheme()) {
            return Ok(Vec::new());
        }
        let mut folder = prefix.clone();
        for _ in 0..LEVELS_MAX {
            let level = self.store.list_with_delimiter(Some(&folder)).await?;
            let mut folders = level.common_prefixes;
            folders.sort_unstable();
            if folders.len() >= RANGES {
                return Ok((1..RANGES).map(|range| folders[range * folders.len() / RANGES].clone()).collect());
            }
            match folders.pop() {
                Some(only) if folders.is_empty() && level.objects.is_empty() => folder = only,
                _ => break,
            }
        }
        Ok(Vec::new())
    }
}

/// `*` and `?` stay within a folder, `**` crosses folders.
fn matches(pattern: &Pattern, relative: &str) -> bool {
    let options = MatchOptions { require_literal_separator: true, ..MatchOptions::new() };
    pattern.matches_with(relative, options)
}

fn is_data(relative: &str) -> bool {
    !relative.ends_with(CHECKSUM) && !relative.split('/').any(is_hidden)
}

/// Whether a name is one that writers give to what is no data.
pub(super) fn is_hidden(name: &str) -> bool {
    name.starts_with('.') || (name.starts_with('_') && !name.contains('=') && name != NO_VALUE)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use object_store::memory::InMemory;
    use url::Url;

    use super::*;

    #[test]
    fn what_writers_leave_is_no_data() {
        for (path, expected) in [
            ("day=2026-01-01/part-0.parquet", true),
            ("_day=2026-01-01/part-0.parquet", true),
            ("__HIVE_DEFAULT_PARTITION__/part-0.parquet", true),
            ("_SUCCESS", false),
            ("_temporary/0/part-0.parquet", false),
            ("day=2026-01-01/.part-0.parquet.crc", false),
            ("day=2026-01-01/part-0.parquet.crc", false),
            (".staging/part-0.parquet", false),
            ("day=2026-01-01/_delta_log/0.json", false),
        ] {
            assert_eq!(is_data(path), expected, "{path}");
        }
    }

    #[tokio::test]
    async fn names_in_ranges_are_all_names_once() {
        let store = Arc::new(InMemory::new());
        let mut put = BTreeSet::new();
        // Names whose order is not that of their folders, and one that is a folder's own.
        for name in (0..40).flat_map(|at| [format!("d/a{at}/x"), format!("d/a{at}-b/x"), format!("d/a{at}")]) {
            store.put(&Path::from(name.as_str()), "x".into()).await.expect("put");
            put.insert(name);
        }
        let root: Url = "s3://bucket/".parse().expect("a URL");
        let opened = Opened { store, base: root.join("d/").expect("a URL"), root, glob: None, local: None };
        assert_eq!(opened.starts(&opened.prefix()).await.expect("starts").len(), RANGES - 1);
        let files = opened.files().await.expect("files").files;
        assert!(files.is_sorted_by(|left, right| left.location < right.location));
        assert_eq!(files.into_iter().map(|file| file.location.to_string()).collect::<BTreeSet<_>>(), put);
    }

    #[test]
    fn two_stars_cross_folders_and_one_does_not() {
        for (pattern, path, expected) in [
            ("**/*.gz", "a/b/c.gz", true),
            ("**/*.gz", "c.gz", true),
            ("*.gz", "a/c.gz", false),
            ("2026-*/x.parquet", "2026-01/x.parquet", true),
            ("[ab]/?.csv", "b/1.csv", true),
        ] {
            assert_eq!(matches(&Pattern::new(pattern).expect("a pattern"), path), expected, "{pattern} {path}");
        }
    }
}
