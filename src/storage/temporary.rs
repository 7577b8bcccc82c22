//! Temporary files and folders: gone when dropped, and gone with the process where a blocked thread still holds them.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tempfile::{NamedTempFile, TempDir};

/// Paths that somebody holds.
static HELD: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Tells the paths that others make and hold.
type Holder = Box<dyn Fn() -> Vec<PathBuf> + Send>;

static HOLDERS: Mutex<Vec<Holder>> = Mutex::new(Vec::new());

/// A path as it is held; dropped, it is not.
#[derive(Debug)]
struct Held(PathBuf);

impl Held {
    fn new(path: &Path) -> Self {
        HELD.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned());
        Self(path.to_owned())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        HELD.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

/// A file under a passing name, beside where it will be.
#[derive(Debug)]
pub struct TemporaryFile {
    file: NamedTempFile,
    _held: Held,
}

impl TemporaryFile {
    /// An empty file in a folder.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn within(folder: &Path) -> io::Result<Self> {
        let file = NamedTempFile::new_in(folder)?;
        Ok(Self { _held: Held::new(file.path()), file })
    }

    /// Another handle to the file.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn reopen(&self) -> io::Result<fs::File> {
        self.file.reopen()
    }

    /// The file.
    #[must_use]
    pub fn as_file(&self) -> &fs::File {
        self.file.as_file()
    }

    /// Gives the file its name; what had it before is replaced.
    ///
    /// # Errors
    /// When the system refuses; the file is removed.
    pub fn persist(self, path: &Path) -> io::Result<()> {
        self.file.persist(path).map(drop).map_err(|error| error.error)
    }
}

impl Write for TemporaryFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A folder that is removed with what it holds.
#[derive(Debug)]
pub struct TemporaryFolder {
    folder: TempDir,
    _held: Held,
}

impl TemporaryFolder {
    /// An empty folder among the system's temporary ones.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new() -> io::Result<Self> {
        tempfile::tempdir().map(Self::of)
    }

    /// A folder that is there already.
    #[must_use]
    pub fn of(folder: TempDir) -> Self {
        Self { _held: Held::new(folder.path()), folder }
    }
}

impl Deref for TemporaryFolder {
    type Target = TempDir;

    fn deref(&self) -> &TempDir {
        &self.folder
    }
}

/// Adds whoever makes temporary files and folders of their own.
pub fn holds_temporary(holder: impl Fn() -> Vec<PathBuf> + Send + 'static) {
    HOLDERS.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(holder));
}

/// Removes what is still held: the last thing a process does.
pub fn remove_temporary() {
    let held = std::mem::take(&mut *HELD.lock().unwrap_or_else(PoisonError::into_inner));
    let others = HOLDERS.lock().unwrap_or_else(PoisonError::into_inner);
    for path in held.into_iter().chain(others.iter().flat_map(|holder| holder())) {
        // A thread that is not done yet may add a file while its folder is emptied.
        let _ = if path.is_dir() {
            fs::remove_dir_all(&path).or_else(|_| fs::remove_dir_all(&path))
        } else {
            fs::remove_file(&path)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_or_has_its_name_is_not_held() {
        let folder = TemporaryFolder::new().expect("a folder");
        let held = |path: &Path| HELD.lock().expect("a lock").contains(path);
        let (dropped, named) = (TemporaryFile::within(folder.path()), TemporaryFile::within(folder.path()));
        let (dropped, mut named) = (dropped.expect("a file"), named.expect("a file"));
        let (first, second) = (dropped.file.path().to_owned(), named.file.path().to_owned());
        assert!(held(&first) && held(&second) && held(folder.path()));
        drop(dropped);
        named.write_all(b"whole").expect("written");
        named.persist(&folder.path().join("named")).expect("named");
        assert!(!held(&first) && !held(&second) && !first.exists() && !second.exists());
        assert_eq!(fs::read(folder.path().join("named")).expect("a file"), b"whole");
    }
}
