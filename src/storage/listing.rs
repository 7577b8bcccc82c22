//! The files below a location, in the order of their paths.
//!
//! Guarantees: what writers leave beside data is no data: files and folders whose names begin with `.` or `_` (a folder
//! `_key=value` is a partition), `.crc` files, and files without a byte. Never: reads a file.

use futures::stream::{self, StreamExt, TryStreamExt};
use glob::{MatchOptions, Pattern};
use object_store::path::Path;
use object_store::{Error, ObjectMeta, ObjectStoreExt};

use super::Opened;

/// Folders that are listed at once: a store answers a page of a thousand names at a time, so one folder after another
/// would wait for each page.
const FOLDERS_AT_ONCE: usize = 32;

/// So many folders at one level are worth listing side by side.
const ENOUGH_FOLDERS: usize = 8;

/// Levels that are looked at for folders before each is listed whole.
const LEVELS_MAX: usize = 3;

/// What the names of checksums end with.
const CHECKSUM: &str = ".crc";

/// A file as a listing tells it.
pub type FoundFile = ObjectMeta;

impl Opened {
    /// The base of the location as a path of the store.
    #[must_use]
    pub fn prefix(&self) -> Path {
        Path::from_url_path(self.base.path()).unwrap_or_default()
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
    pub async fn files(&self) -> Result<Vec<FoundFile>, Error> {
        if self.is_single_file() {
            return match self.store.head(&self.prefix()).await {
                Ok(file) => Ok(vec![file]),
                Err(error) if super::is_absent(&error) => Ok(Vec::new()),
                Err(error) => Err(error),
            };
        }
        let pattern = self
            .glob
            .as_deref()
            .map(Pattern::new)
            .transpose()
            .map_err(|error| Error::Generic { store: "glob", source: error.to_string().into() })?;
        let mut files = match self.everything().await {
            Err(error) if super::is_absent(&error) => Vec::new(),
            other => other?,
        };
        files.retain(|file| {
            let relative = self.relative(&file.location);
            is_data(relative, file.size) && pattern.as_ref().is_none_or(|pattern| matches(pattern, relative))
        });
        files.sort_unstable_by(|left, right| left.location.cmp(&right.location));
        Ok(files)
    }

    async fn everything(&self) -> Result<Vec<FoundFile>, Error> {
        if self.root.scheme() == "file" {
            return self.store.list(Some(&self.prefix())).try_collect().await;
        }
        let (mut files, mut folders) = (Vec::new(), vec![self.prefix()]);
        for _ in 0..LEVELS_MAX {
            if folders.len() >= ENOUGH_FOLDERS {
                break;
            }
            let levels = stream::iter(
                folders.drain(..).map(|folder| async move { self.store.list_with_delimiter(Some(&folder)).await }),
            );
            let levels: Vec<_> = levels.buffer_unordered(FOLDERS_AT_ONCE).try_collect().await?;
            for level in levels {
                files.extend(level.objects);
                folders.extend(level.common_prefixes.into_iter().filter(|folder| is_data(self.relative(folder), 1)));
            }
        }
        let rest = stream::iter(folders.into_iter().map(|folder| {
            let listing = self.store.list(Some(&folder));
            listing.try_collect::<Vec<_>>()
        }));
        let rest: Vec<Vec<FoundFile>> = rest.buffer_unordered(FOLDERS_AT_ONCE).try_collect().await?;
        files.extend(rest.into_iter().flatten());
        Ok(files)
    }
}

/// `*` and `?` stay within a folder, `**` crosses folders.
fn matches(pattern: &Pattern, relative: &str) -> bool {
    let options = MatchOptions { require_literal_separator: true, ..MatchOptions::new() };
    pattern.matches_with(relative, options)
}

fn is_data(relative: &str, size: u64) -> bool {
    let hidden = |part: &str| part.starts_with('.') || (part.starts_with('_') && !part.contains('='));
    size > 0 && !relative.ends_with(CHECKSUM) && !relative.split('/').any(hidden)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_writers_leave_is_no_data() {
        for (path, size, expected) in [
            ("day=2026-01-01/part-0.parquet", 9, true),
            ("_day=2026-01-01/part-0.parquet", 9, true),
            ("day=2026-01-01/part-0.parquet", 0, false),
            ("_SUCCESS", 9, false),
            ("_temporary/0/part-0.parquet", 9, false),
            ("day=2026-01-01/.part-0.parquet.crc", 9, false),
            ("day=2026-01-01/part-0.parquet.crc", 9, false),
            (".staging/part-0.parquet", 9, false),
            ("day=2026-01-01/_delta_log/0.json", 9, false),
        ] {
            assert_eq!(is_data(path, size), expected, "{path}");
        }
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
