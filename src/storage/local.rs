//! Files of this machine as a store: read through the one door, and listed with what is no file.
//!
//! Guarantees: a link is followed only to where the project may read, a pipe is never opened, and what cannot be data is told
//! by name instead of being passed over.

use std::fmt;
use std::fs;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path as FilePath;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::listing::{FoundFile, Odd, OddKind, is_hidden};
use crate::settings::{FileRefusal, LocalFiles};

/// Ends walks through folders that lie in each other.
const DEPTH_MAX: usize = 64;

/// Why the door stayed shut, where an error of a store says so.
#[must_use]
pub fn refusal(error: &Error) -> Option<&FileRefusal> {
    match error {
        Error::Generic { source, .. } => source.downcast_ref(),
        _ => None,
    }
}

fn refused(refusal: FileRefusal) -> Error {
    match refusal {
        FileRefusal::System { path, source } if source.kind() == io::ErrorKind::NotFound => {
            Error::NotFound { path, source: source.into() }
        }
        FileRefusal::System { source, .. } => Error::Generic { store: "the file system", source: source.into() },
        refusal => Error::Generic { store: "the file system", source: Box::new(refusal) },
    }
}

/// The store.
#[derive(Debug)]
pub(super) struct LocalStore {
    inner: LocalFileSystem,
    files: LocalFiles,
}

impl LocalStore {
    pub(super) fn new(files: LocalFiles) -> Self {
        Self { inner: LocalFileSystem::new(), files }
    }
}

impl fmt::Display for LocalStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(formatter)
    }
}

#[async_trait]
impl ObjectStore for LocalStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let path = self.inner.path_to_filesystem(location)?;
        let file = self.files.open(&path).map_err(refused)?;
        let mut result = self.inner.get_opts(location, options).await?;
        // What is read is what was looked at.
        result.payload = GetResultPayload::File(file, path);
        Ok(result)
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let path = self.inner.path_to_filesystem(location)?;
        let (files, ranges) = (self.files.clone(), ranges.to_vec());
        let read = tokio::task::spawn_blocking(move || {
            let file = files.open(&path).map_err(refused)?;
            ranges.into_iter().map(|range| part(&file, &path, &range)).collect()
        });
        read.await?
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

fn part(file: &fs::File, path: &FilePath, range: &Range<u64>) -> Result<Bytes> {
    let failed = |source: io::Error| refused(FileRefusal::System { path: path.display().to_string(), source });
    let length =
        usize::try_from(range.end.saturating_sub(range.start)).map_err(|error| failed(io::Error::other(error)))?;
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, range.start).map_err(failed)?;
    Ok(bytes.into())
}

/// Every file below a folder, and what is neither file nor folder.
pub(super) fn walk(folder: &FilePath, files: &LocalFiles) -> Result<(Vec<FoundFile>, Vec<Odd>)> {
    let mut walk = Walk { files, found: Vec::new(), odd: Vec::new() };
    match fs::metadata(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), Vec::new())),
        _ => files.resolve(folder).map_err(refused)?,
    };
    walk.folder(folder, 0)?;
    Ok((walk.found, walk.odd))
}

struct Walk<'a> {
    files: &'a LocalFiles,
    found: Vec<FoundFile>,
    odd: Vec<Odd>,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &FilePath, depth: usize) -> Result<()> {
        let failed = |source: io::Error| Error::Generic {
            store: "the file system",
            source: format!("the folder `{}` cannot be read: {source}", folder.display()).into(),
        };
        for entry in fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            // What writers leave beside data may be anything.
            if is_hidden(&entry.file_name().to_string_lossy()) {
                continue;
            }
            let kind = entry.file_type().map_err(failed)?;
            self.entry(&entry.path(), kind, depth)?;
        }
        Ok(())
    }

    fn entry(&mut self, path: &FilePath, kind: fs::FileType, depth: usize) -> Result<()> {
        if kind.is_symlink() {
            match fs::metadata(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.odd(path, OddKind::BrokenLink);
                    return Ok(());
                }
                Err(source) => return Err(refused(FileRefusal::System { path: path.display().to_string(), source })),
                Ok(_) => {
                    self.files.resolve(path).map_err(refused)?;
                }
            }
        }
        let found = match fs::metadata(path) {
            Ok(found) => found,
            // It went away since its folder was read.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(refused(FileRefusal::System { path: path.display().to_string(), source })),
        };
        if found.is_dir() {
            if depth >= DEPTH_MAX {
                self.odd(path, OddKind::TooDeep);
                return Ok(());
            }
            return self.folder(path, depth + 1);
        }
        if !found.is_file() {
            self.odd(path, OddKind::NoFile);
            return Ok(());
        }
        let Ok(location) = Path::from_absolute_path(path) else {
            self.odd(path, OddKind::OddName);
            return Ok(());
        };
        let last_modified: std::time::SystemTime = found.modified().unwrap_or(std::time::UNIX_EPOCH);
        self.found.push(ObjectMeta {
            location,
            last_modified: last_modified.into(),
            size: found.len(),
            e_tag: None,
            version: None,
        });
        Ok(())
    }

    fn odd(&mut self, path: &FilePath, kind: OddKind) {
        self.odd.push(Odd { path: path.display().to_string(), kind });
    }
}
