//! A set in an object store: files under names of their own below `_sets/`, then the manifest that names them, put on
//! the condition that nobody else put one since.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use futures::{StreamExt, TryStreamExt};
use object_store::path::Path as ObjectPath;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, UpdateVersion};
use std::sync::Arc;

use super::super::upload::upload;
use super::super::{StorageError, TemporaryFolder, open_remote};
use super::MANIFEST;
use super::manifest::Manifest;

/// The folder of the files; engines pass over what begins with `_`.
const SETS: &str = "_sets";
/// Removals under way at once.
const REMOVALS_AT_ONCE: usize = 16;

/// A set on its way.
#[derive(Debug)]
pub(super) struct RemoteSet {
    store: Arc<dyn ObjectStore>,
    base: ObjectPath,
    location: String,
    spool: TemporaryFolder,
    /// The version of the manifest that this set is to follow.
    follows: Option<UpdateVersion>,
}

impl RemoteSet {
    /// Looks at what is there and begins a set.
    pub(super) async fn begin(location: &str) -> Result<(Self, Option<Manifest>), StorageError> {
        let opened = open_remote(location)?;
        let unsupported = || StorageError::Unsupported { location: location.to_owned() };
        if opened.glob.is_some() {
            return Err(unsupported());
        }
        let base = ObjectPath::from_url_path(opened.base.path()).map_err(|_| unsupported())?;
        Self::over(opened.store, base, location).await
    }

    /// The same in a store that is open already.
    pub(super) async fn over(
        store: Arc<dyn ObjectStore>,
        base: ObjectPath,
        location: &str,
    ) -> Result<(Self, Option<Manifest>), StorageError> {
        let spool = TemporaryFolder::new().map_err(StorageError::unwritable(Path::new("the temporary folder")))?;
        let mut set = Self { store, base, location: location.to_owned(), spool, follows: None };
        let Some((manifest, version)) = set.read_manifest().await? else {
            set.refuse_strangers().await?;
            return Ok((set, None));
        };
        set.follows = Some(version);
        Ok((set, Some(manifest)))
    }

    /// The local folder in which files are written before they are uploaded.
    pub(super) fn spool(&self) -> &Path {
        self.spool.path()
    }

    /// Uploads a file, removes the local one, and returns the object's path relative to the set.
    pub(super) async fn upload(&self, file: &Path, token: &str, within: &str) -> Result<String, StorageError> {
        let path = format!("{SETS}/{token}/{within}");
        upload(&self.store, file, &self.object(&path), &self.location).await?;
        std::fs::remove_file(file).map_err(StorageError::unwritable(&PathBuf::from(file)))?;
        Ok(path)
    }

    /// Puts the manifest and then removes the files of sets that nobody can be reading any more.
    pub(super) async fn commit(
        &self,
        manifest: &Manifest,
        earlier: Option<&Manifest>,
        location: &str,
    ) -> Result<(), StorageError> {
        self.put_manifest(manifest, location).await?;
        // The files of the set before stay until the next commit, for those who have just read its manifest.
        let kept: BTreeSet<&str> = std::iter::once(manifest)
            .chain(earlier)
            .flat_map(|set| &set.files)
            .map(|file| file.path.as_str())
            .collect();
        // The set is published: what cannot be removed now is removed by the next writer.
        let _ = self.clear_away(manifest.sequence, &kept).await;
        Ok(())
    }

    fn object(&self, path: &str) -> ObjectPath {
        // Parts of a partition's name are escaped already; parsing keeps them as they are.
        let joined = if self.base.as_ref().is_empty() { path.to_owned() } else { format!("{}/{path}", self.base) };
        ObjectPath::parse(&joined).unwrap_or_else(|_| ObjectPath::from(joined))
    }

    async fn read_manifest(&self) -> Result<Option<(Manifest, UpdateVersion)>, StorageError> {
        let failed = StorageError::unreachable(&self.location);
        let found = match self.store.get(&self.object(MANIFEST)).await {
            Err(Error::NotFound { .. }) => return Ok(None),
            answer => answer.map_err(&failed)?,
        };
        let version = UpdateVersion { e_tag: found.meta.e_tag.clone(), version: found.meta.version.clone() };
        let bytes = found.bytes().await.map_err(&failed)?;
        let manifest = Manifest::of_bytes(&bytes);
        let manifest = manifest.ok_or_else(|| StorageError::Occupied { location: self.location.clone() })?;
        Ok(Some((manifest, version)))
    }

    /// Without a manifest only leftovers of a first writer may be there.
    async fn refuse_strangers(&self) -> Result<(), StorageError> {
        let ours = self.object(SETS);
        let mut objects = self.store.list(Some(&self.base));
        while let Some(object) = objects.try_next().await.map_err(StorageError::unreachable(&self.location))? {
            if !object.location.prefix_matches(&ours) {
                return Err(StorageError::Occupied { location: self.location.clone() });
            }
        }
        Ok(())
    }

    async fn put_manifest(&self, manifest: &Manifest, location: &str) -> Result<(), StorageError> {
        let failed = StorageError::unreachable(location);
        let path = self.object(MANIFEST);
        let bytes = manifest.to_bytes();
        let mode = self.follows.clone().map_or(PutMode::Create, PutMode::Update);
        let put = self.store.put_opts(&path, PutPayload::from(bytes.clone()), PutOptions::from(mode)).await;
        match put {
            Ok(_) => Ok(()),
            // The answer to a put that was repeated after a lost answer may be about our own.
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => match self.read_manifest().await? {
                Some((found, _)) if found == *manifest => Ok(()),
                _ => Err(StorageError::Overtaken { location: location.to_owned() }),
            },
            // A store without conditional puts: the last writer wins, still as a whole.
            Err(Error::NotImplemented { .. } | Error::NotSupported { .. }) => {
                self.store.put(&path, PutPayload::from(bytes)).await.map(|_| ()).map_err(&failed)
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Removes files that are in neither set and whose writer can no longer commit: a set of this number or a lower one.
    async fn clear_away(&self, sequence: u64, kept: &BTreeSet<&str>) -> Result<(), Error> {
        let sets = self.object(SETS);
        let objects = self.store.list(Some(&sets));
        let base_parts = self.base.parts().count();
        let removals = objects.try_filter_map(|object| async move {
            let parts: Vec<_> = object.location.parts().skip(base_parts).map(|part| part.as_ref().to_owned()).collect();
            let of = parts.get(1).and_then(|token| token.split('-').next()?.parse::<u64>().ok());
            let is_old = of.is_some_and(|of| of <= sequence) && !kept.contains(parts.join("/").as_str());
            Ok(is_old.then_some(object.location))
        });
        let removals: Vec<ObjectPath> = removals.try_collect().await?;
        let locations = futures::stream::iter(removals);
        locations
            .map(|path| async move { self.store.delete(&path).await })
            .buffer_unordered(REMOVALS_AT_ONCE)
            .try_collect::<Vec<()>>()
            .await
            .map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;
    use serde_json::json;

    use super::*;
    use crate::storage::set::manifest::SetFile;

    /// A writer that has uploaded one file of a set of this number.
    async fn written(store: &Arc<InMemory>, token: &str) -> (RemoteSet, Manifest, Option<Manifest>) {
        let shared: Arc<dyn ObjectStore> = Arc::<InMemory>::clone(store);
        let begun = RemoteSet::over(shared, ObjectPath::from("out/flags"), "s3://out/flags").await;
        let (set, earlier) = begun.expect("a place");
        let sequence = earlier.as_ref().map_or(0, |earlier| earlier.sequence) + 1;
        let file = set.spool().join("rows.parquet");
        std::fs::write(&file, token).expect("a file");
        let within = "milestone=a%2Fb/rows.parquet";
        let path = set.upload(&file, &format!("{sequence}-{token}"), within).await.expect("uploaded");
        let file = SetFile { path, partition: "milestone=a%2Fb".into(), rows: 1, bytes: 1 };
        (set, Manifest { sequence, about: json!({}), files: vec![file] }, earlier)
    }

    async fn keys(store: &Arc<InMemory>) -> Vec<String> {
        let found: Vec<_> = store.list(None).try_collect().await.expect("a list");
        found.into_iter().map(|object| object.location.to_string()).collect()
    }

    async fn commit(set: &RemoteSet, manifest: &Manifest, earlier: Option<&Manifest>) -> Result<(), StorageError> {
        set.commit(manifest, earlier, "s3://out/flags").await
    }

    #[tokio::test]
    async fn of_two_writers_the_first_wins_whole() {
        let store = Arc::new(InMemory::new());
        let (first, its, none) = written(&store, "a").await;
        let (second, theirs, _) = written(&store, "b").await;
        commit(&first, &its, none.as_ref()).await.expect("published");
        let overtaken = commit(&second, &theirs, None).await;
        assert!(matches!(overtaken, Err(StorageError::Overtaken { .. })), "{overtaken:?}");
        assert!(commit(&first, &its, None).await.is_ok(), "its own manifest after a lost answer is no other's");
        let (_, _, found) = written(&store, "c").await;
        assert_eq!(found, Some(its.clone()));
        let kept = format!("out/flags/{}", its.files[0].path);
        assert!(keys(&store).await.contains(&kept), "{kept}");
    }

    #[tokio::test]
    async fn a_set_stays_for_one_more_and_leftovers_go() {
        let store = Arc::new(InMemory::new());
        let (dead, _, _) = written(&store, "dead").await;
        drop(dead);
        for (token, sets) in [("a", vec!["1-a"]), ("b", vec!["1-a", "2-b"]), ("c", vec!["2-b", "3-c"])] {
            let (set, manifest, earlier) = written(&store, token).await;
            commit(&set, &manifest, earlier.as_ref()).await.expect("published");
            let keys = keys(&store).await;
            let found: BTreeSet<&str> =
                keys.iter().filter_map(|key| key.strip_prefix("out/flags/_sets/")?.split('/').next()).collect();
            assert_eq!(found.into_iter().collect::<Vec<_>>(), sets);
        }
    }

    #[tokio::test]
    async fn files_of_others_are_left_alone() {
        let store = Arc::new(InMemory::new());
        store.put(&ObjectPath::from("out/flags/notes.txt"), "x".into()).await.expect("put");
        let shared: Arc<dyn ObjectStore> = store;
        let refused = RemoteSet::over(shared, ObjectPath::from("out/flags"), "s3://out/flags").await;
        assert!(matches!(refused, Err(StorageError::Occupied { .. })));
    }
}
