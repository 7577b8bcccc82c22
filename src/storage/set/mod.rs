//! A set of files that is replaced as a whole: what `publish`, `export` and `--output FOLDER/` write.
//!
//! Guarantees, in a local folder and in an object store alike: `_milepost.json` names the files of the current set, and
//! it changes in one atomic step, after the last byte of every file it names. A writer that dies leaves nothing that a
//! reader takes for data, and the next writer clears it away. Of two writers at once one wins whole. Never: touches
//! files that it did not write.

mod folder;
mod manifest;
mod objects;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub use manifest::{Manifest, SetFile};

use super::StorageError;
use crate::clock;
use folder::LocalSet;
use objects::RemoteSet;

/// The name of the file that names the others.
const MANIFEST: &str = "_milepost.json";

/// A set on its way; dropped before [`SetWriter::commit`] it leaves the earlier set as it was.
#[derive(Debug)]
pub struct SetWriter {
    place: Place,
    location: String,
    /// `3-91f2ab`: the set's number and what tells it from another writer's with the same number.
    token: String,
    sequence: u64,
    earlier: Option<Manifest>,
    files: Vec<SetFile>,
}

#[derive(Debug)]
enum Place {
    Local(LocalSet),
    Remote(RemoteSet),
}

/// `KEY=VALUE`, the folder of a partition; a character that no path should hold is written as in a URL.
#[must_use]
pub fn partition_folder(key: &str, value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let escaped = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    format!("{key}={}", value.bytes().map(escaped).collect::<String>())
}

impl SetWriter {
    /// Begins a set at a location: an absolute local path or a URL. Local leftovers of dead writers go now.
    ///
    /// # Errors
    /// When the location is unusable, unreachable, or holds files that are no set.
    pub async fn begin(location: &str) -> Result<Self, StorageError> {
        let (place, earlier) = if location.contains("://") {
            let (remote, earlier) = RemoteSet::begin(location).await?;
            (Place::Remote(remote), earlier)
        } else {
            let (local, earlier) = LocalSet::begin(Path::new(location))?;
            (Place::Local(local), earlier)
        };
        let random: [u8; 4] = clock::random_bytes().map_err(StorageError::unwritable(Path::new(location)))?;
        let sequence = earlier.as_ref().map_or(0, |manifest| manifest.sequence) + 1;
        let token = format!("{sequence}-{:08x}", u32::from_be_bytes(random));
        Ok(Self { place, location: location.to_owned(), token, sequence, earlier, files: Vec::new() })
    }

    /// The set that is there now.
    #[must_use]
    pub fn earlier(&self) -> Option<&Manifest> {
        self.earlier.as_ref()
    }

    /// Where on this machine to write the file of a partition, such as `job=cheers`; empty for the only one. Its folder
    /// exists.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn file(&self, partition: &str) -> Result<PathBuf, StorageError> {
        let root = match &self.place {
            Place::Local(local) => local.unfinished(),
            Place::Remote(remote) => remote.spool(),
        };
        let folder = root.join(partition);
        std::fs::create_dir_all(&folder).map_err(StorageError::unwritable(&folder))?;
        // Every set has file names of its own: who listed an earlier set finds its files or none, never others.
        Ok(folder.join(format!("rows-{}.parquet", self.token)))
    }

    /// Takes the finished file of a partition into the set.
    ///
    /// # Errors
    /// When it cannot be read or uploaded.
    pub async fn add(&mut self, partition: &str, rows: u64) -> Result<(), StorageError> {
        let file = self.file(partition)?;
        let bytes = std::fs::metadata(&file).map_err(StorageError::unwritable(&file))?.len();
        let name = format!("rows-{}.parquet", self.token);
        let within = if partition.is_empty() { name } else { format!("{partition}/{name}") };
        let path = match &self.place {
            Place::Local(_) => within,
            Place::Remote(remote) => remote.upload(&file, &self.token, &within).await?,
        };
        self.files.push(SetFile { path, partition: partition.to_owned(), rows, bytes });
        Ok(())
    }

    /// Keeps the partitions of the earlier set that this one has no file for.
    ///
    /// # Errors
    /// When their files cannot be carried over.
    pub fn keep_others(&mut self) -> Result<(), StorageError> {
        let Some(earlier) = &self.earlier else { return Ok(()) };
        for file in &earlier.files {
            if self.files.iter().any(|written| written.partition == file.partition) {
                continue;
            }
            if let Place::Local(local) = &self.place {
                local.carry(&file.path)?;
            }
            self.files.push(file.clone());
        }
        Ok(())
    }

    /// Lets readers see the set instead of the one before; `about` says whose it is. Returns what was published.
    ///
    /// # Errors
    /// [`StorageError::Overtaken`] when somebody else did so since this writer began, or when the place cannot be
    /// written; then the set before is still there.
    pub async fn commit(mut self, about: serde_json::Value) -> Result<Manifest, StorageError> {
        self.files.sort_by(|left, right| left.path.cmp(&right.path));
        let manifest = Manifest { sequence: self.sequence, about, files: self.files };
        match self.place {
            Place::Local(local) => local.commit(&manifest)?,
            Place::Remote(remote) => remote.commit(&manifest, self.earlier.as_ref(), &self.location).await?,
        }
        Ok(manifest)
    }
}
