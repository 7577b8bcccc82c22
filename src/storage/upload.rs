//! A single file at a location: it appears whole, or what was there before stays.

use std::path::Path;
use std::sync::Arc;

use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt, WriteMultipart};
use tokio::io::AsyncReadExt;

use super::{StorageError, TemporaryFile, open_remote};

/// Bytes of one part of an upload.
const PART_BYTES: usize = 8 * 1024 * 1024;
/// Parts under way at once: memory does not grow with the file.
const PARTS_AT_ONCE: usize = 4;

/// Copies a local file to a location: a path of this machine, or the URL of an object.
///
/// # Errors
/// When the file cannot be read or the place cannot be written; then what was there before is still there.
pub async fn write_file(file: &Path, location: &str) -> Result<(), StorageError> {
    if !location.contains("://") {
        return copy_here(file, Path::new(location));
    }
    let opened = open_remote(location)?;
    let target = ObjectPath::from_url_path(opened.base.path())
        .map_err(|_| StorageError::Unsupported { location: location.to_owned() })?;
    upload(&opened.store, file, &target, location).await
}

fn copy_here(file: &Path, target: &Path) -> Result<(), StorageError> {
    let failed = StorageError::unwritable(target);
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(&failed)?;
    let mut unfinished = TemporaryFile::within(folder).map_err(&failed)?;
    let mut source = std::fs::File::open(file).map_err(StorageError::unwritable(file))?;
    std::io::copy(&mut source, &mut unfinished).map_err(&failed)?;
    unfinished.as_file().sync_all().map_err(&failed)?;
    unfinished.persist(target).map_err(failed)
}

/// Uploads a file in parts; the object appears with the last word of the upload, or not at all.
pub(super) async fn upload(
    store: &Arc<dyn ObjectStore>,
    file: &Path,
    target: &ObjectPath,
    location: &str,
) -> Result<(), StorageError> {
    let unreadable = StorageError::unwritable(file);
    let unreachable = StorageError::unreachable(location);
    let bytes = std::fs::metadata(file).map_err(&unreadable)?.len();
    if bytes <= PART_BYTES as u64 {
        let content = tokio::fs::read(file).await.map_err(&unreadable)?;
        store.put(target, content.into()).await.map_err(&unreachable)?;
        return Ok(());
    }
    let mut source = tokio::fs::File::open(file).await.map_err(&unreadable)?;
    let begun = store.put_multipart(target).await.map_err(&unreachable)?;
    let mut parts = WriteMultipart::new_with_chunk_size(begun, PART_BYTES);
    let mut buffer = vec![0; PART_BYTES];
    loop {
        let read = match source.read(&mut buffer).await {
            Ok(read) => read,
            Err(error) => {
                // Parts of an upload that never ends cost money and are seen by nobody.
                let _ = parts.abort().await;
                return Err(unreadable(error));
            }
        };
        if read == 0 {
            break;
        }
        parts.wait_for_capacity(PARTS_AT_ONCE).await.map_err(&unreachable)?;
        parts.write(&buffer[..read]);
    }
    parts.finish().await.map_err(&unreachable)?;
    Ok(())
}
