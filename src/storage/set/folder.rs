//! A set in a local folder: written in a hidden folder beside it, which then changes places with it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::super::{StorageError, TemporaryFolder};
use super::MANIFEST;
use super::manifest::Manifest;
use crate::settings::crashpoint;

/// A set on its way. The hidden folder is locked for as long as its writer lives, so that leftovers can be told.
#[derive(Debug)]
pub(super) struct LocalSet {
    target: PathBuf,
    unfinished: TemporaryFolder,
    /// Held, never read.
    _lock: File,
}

impl LocalSet {
    /// Begins a set and clears away what dead writers left.
    pub(super) fn begin(target: &Path) -> Result<(Self, Option<Manifest>), StorageError> {
        // The folder behind a link is what changes places, not the link.
        let target = fs::canonicalize(target).unwrap_or_else(|_| target.to_owned());
        let earlier = earlier(&target)?;
        let parent = target.parent().unwrap_or(Path::new("/")).to_owned();
        let failed = StorageError::unwritable(&parent);
        fs::create_dir_all(&parent).map_err(&failed)?;
        let prefix = hidden_prefix(&target);
        clear_away(&parent, &prefix);
        let unfinished = tempfile::Builder::new().prefix(&prefix).tempdir_in(&parent).map_err(&failed)?;
        let lock = File::open(unfinished.path()).map_err(&failed)?;
        lock.lock().map_err(&failed)?;
        open_to_readers(unfinished.path());
        let unfinished = TemporaryFolder::of(unfinished);
        Ok((Self { target, unfinished, _lock: lock }, earlier))
    }

    /// The hidden folder.
    pub(super) fn unfinished(&self) -> &Path {
        self.unfinished.path()
    }

    /// Takes a file of the earlier set over without copying it, where the file system can.
    pub(super) fn carry(&self, path: &str) -> Result<(), StorageError> {
        let (from, to) = (self.target.join(path), self.unfinished.path().join(path));
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder).map_err(StorageError::unwritable(folder))?;
        }
        fs::hard_link(&from, &to).or_else(|_| fs::copy(&from, &to).map(|_| ())).map_err(StorageError::unwritable(&from))
    }

    /// Writes the manifest and lets the finished folder take the target's place.
    pub(super) fn commit(self, manifest: &Manifest) -> Result<(), StorageError> {
        let path = self.unfinished.path().join(MANIFEST);
        let failed = StorageError::unwritable(&self.target);
        fs::write(&path, manifest.to_bytes()).map_err(&failed)?;
        flush_folder(self.unfinished.path()).map_err(&failed)?;
        crashpoint!("within_publish");
        let moved = if self.target.exists() {
            // What was there before then lies in the hidden folder, which goes with its guard.
            exchange(self.unfinished.path(), &self.target)
        } else {
            fs::rename(self.unfinished.path(), &self.target)
        };
        moved.and_then(|()| flush(self.target.parent())).map_err(&failed)
    }
}

/// `.NAME.unfinished-`: hidden, beside the target and on its file system.
fn hidden_prefix(target: &Path) -> String {
    let name = target.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    format!(".{name}.unfinished-")
}

/// The set that is there; an error when something else is.
fn earlier(target: &Path) -> Result<Option<Manifest>, StorageError> {
    let occupied = || StorageError::Occupied { location: target.display().to_string() };
    if !target.exists() {
        return Ok(None);
    }
    if !target.is_dir() {
        return Err(occupied());
    }
    match fs::read(target.join(MANIFEST)) {
        Ok(bytes) => Manifest::of_bytes(&bytes).map(Some).ok_or_else(occupied),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let is_empty = fs::read_dir(target).map_err(StorageError::unwritable(target))?.next().is_none();
            if is_empty { Ok(None) } else { Err(occupied()) }
        }
        Err(error) => Err(StorageError::unwritable(target)(error)),
    }
}

/// Removes the hidden folders of writers that are dead: nobody holds their lock. What cannot be removed stays hidden.
fn clear_away(parent: &Path, prefix: &str) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let is_ours = entry.file_name().to_string_lossy().starts_with(prefix);
        if is_ours && File::open(entry.path()).is_ok_and(|folder| folder.try_lock().is_ok()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Two folders change places in one step; where the file system cannot, in two with nothing between them for a moment.
fn exchange(finished: &Path, target: &Path) -> std::io::Result<()> {
    match renameat_with(CWD, finished, CWD, target, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::OPNOTSUPP) => {
            let aside = finished.with_extension("earlier");
            fs::rename(target, &aside)?;
            if let Err(error) = fs::rename(finished, target) {
                fs::rename(&aside, target)?;
                return Err(error);
            }
            fs::remove_dir_all(&aside)
        }
        Err(error) => Err(error.into()),
    }
}

/// A temporary folder is its owner's alone; a published one is read by others.
fn open_to_readers(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let _ = fs::set_permissions(folder, fs::Permissions::from_mode(0o755));
}

/// Brings a folder and all below it to the disk; files of rows are there already.
fn flush_folder(folder: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            flush_folder(&entry.path())?;
        } else if entry.file_name() == MANIFEST {
            File::open(entry.path())?.sync_all()?;
        }
    }
    flush(Some(folder))
}

fn flush(folder: Option<&Path>) -> std::io::Result<()> {
    folder.map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}
