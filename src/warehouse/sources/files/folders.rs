//! The files of a table: listed at once, or, where a store holds very many, folder by folder as queries ask for them.
//!
//! Guarantees: what was listed once is not listed again, so that all queries of a run read the same files. Never: lists a
//! folder that no query asks for and that does not tell the columns.

use std::collections::BTreeSet;

use datafusion::common::ScalarValue;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::object_store::Error;
use datafusion::object_store::path::Path;
use futures::stream::{self, StreamExt, TryStreamExt};
use tokio::sync::OnceCell;

use super::{choose, layout};
use crate::project::{FileFormat, Table};
use crate::storage::{FoundFile, NAMES_AT_ONCE, Opened};
use crate::warehouse::known_values::Weight;
use crate::warehouse::left_out::LeftOutFiles;

/// Folders that are listed side by side.
const LISTED_AT_ONCE: usize = 16;

/// So many folders are looked into for the next level of folders; where there are more, files are found faster.
const LOOKED_INTO: usize = 64;

/// Levels that are looked into.
const LEVELS_MAX: usize = 6;

/// Folders whose files tell the columns: some at both ends and some between.
const SAMPLED: usize = 6;

/// Listing so few folders is worth it, however few files the table has.
const FEW: usize = 8;

/// The files of a table.
pub(super) enum TableFiles {
    /// All of them.
    Listed(Vec<PartitionedFile>),
    /// Those of each folder.
    InFolders(Folders),
}

impl TableFiles {
    /// What they weigh, as far as it is known.
    pub(super) fn weight(&self) -> Weight {
        match self {
            Self::Listed(files) => {
                let bytes = files.iter().map(|file| file.object_meta.size).sum();
                Weight { files: files.len(), bytes, folders: None }
            }
            Self::InFolders(folders) => Weight { folders: Some(folders.folders.len()), ..Weight::UNCOUNTED },
        }
    }
}

/// The folders of a table that give their files the values of its partitions.
pub(super) struct Folders {
    opened: Opened,
    table: Table,
    format: FileFormat,
    left_out: LeftOutFiles,
    /// In the order of their paths.
    folders: Vec<Folder>,
}

struct Folder {
    path: Path,
    values: Vec<ScalarValue>,
    files: OnceCell<Vec<PartitionedFile>>,
}

impl Folders {
    /// The folders of a table; `None` where they do not tell all values, or are found no faster than files.
    pub(super) async fn find(
        (table, format): (&Table, FileFormat),
        opened: &Opened,
        left_out: &LeftOutFiles,
    ) -> Result<Option<Self>, Error> {
        let mut folders = Vec::new();
        let mut above = vec![opened.prefix()];
        for _ in 0..LEVELS_MAX {
            if above.len() > LOOKED_INTO {
                return Ok(None);
            }
            let levels = above.iter().map(|folder| opened.level(folder)).collect::<Vec<_>>();
            let levels: Vec<_> = stream::iter(levels).buffered(LISTED_AT_ONCE).try_collect().await?;
            if levels.iter().any(|level| !level.files.is_empty()) {
                return Ok(None);
            }
            above = Vec::new();
            for path in levels.into_iter().flat_map(|level| level.folders) {
                match layout::folder_values(table, opened.relative(&path)) {
                    Some(values) => folders.push(Folder { path, values, files: OnceCell::new() }),
                    None => above.push(path),
                }
            }
            if above.is_empty() {
                folders.sort_unstable_by(|left, right| left.path.cmp(&right.path));
                return Ok((!folders.is_empty()).then(|| Self {
                    opened: opened.clone(),
                    table: table.clone(),
                    format,
                    left_out: left_out.clone(),
                    folders,
                }));
            }
        }
        Ok(None)
    }

    /// The values of each folder.
    pub(super) fn values(&self) -> impl ExactSizeIterator<Item = &[ScalarValue]> + Clone {
        self.folders.iter().map(|folder| folder.values.as_slice())
    }

    /// Files that stand for all: of folders at both ends and between.
    pub(super) async fn sample(&self) -> Result<Vec<PartitionedFile>, Error> {
        let last = self.folders.len() - 1;
        let chosen: BTreeSet<usize> = (0..SAMPLED).map(|step| step * last / (SAMPLED - 1)).collect();
        self.list_each(&chosen.iter().map(|at| &self.folders[*at]).collect::<Vec<_>>()).await?;
        Ok(self.listed(chosen.into_iter()))
    }

    /// The files of the folders at these places.
    pub(super) async fn files(&self, chosen: &[usize]) -> Result<Vec<PartitionedFile>, Error> {
        let folders = chosen.iter().map(|at| &self.folders[*at]);
        let unlisted: Vec<&Folder> = folders.filter(|folder| !folder.files.initialized()).collect();
        if unlisted.len() <= self.answers().max(FEW) {
            self.list_each(&unlisted).await?;
        } else {
            self.list_all().await?;
        }
        Ok(self.listed(chosen.iter().copied()))
    }

    /// How many answers of the store would tell all files, were all folders like those that are listed.
    fn answers(&self) -> usize {
        let listed: Vec<usize> = self.folders.iter().filter_map(|folder| Some(folder.files.get()?.len())).collect();
        listed.iter().sum::<usize>() * self.folders.len() / listed.len().max(1) / NAMES_AT_ONCE
    }

    fn listed(&self, chosen: impl Iterator<Item = usize>) -> Vec<PartitionedFile> {
        chosen.flat_map(|at| self.folders[at].files.get().into_iter().flatten().cloned()).collect()
    }

    async fn list_each(&self, folders: &[&Folder]) -> Result<(), Error> {
        let listings = folders.iter().map(|folder| {
            let files = async || Ok(self.placed(folder, self.opened.files_below(&folder.path).await?));
            folder.files.get_or_try_init(files)
        });
        let listings = listings.collect::<Vec<_>>();
        stream::iter(listings).buffer_unordered(LISTED_AT_ONCE).try_for_each(|_| async { Ok(()) }).await
    }

    async fn list_all(&self) -> Result<(), Error> {
        let all = self.opened.files().await?.files;
        for folder in &self.folders {
            let path = format!("{}/", folder.path);
            let first = all.partition_point(|file| file.location.as_ref() < path.as_str());
            let files = all[first..].iter().take_while(|file| file.location.as_ref().starts_with(&path));
            // What was listed before stays as it was found.
            folder.files.get_or_init(async || self.placed(folder, files.cloned().collect())).await;
        }
        Ok(())
    }

    fn placed(&self, folder: &Folder, files: Vec<FoundFile>) -> Vec<PartitionedFile> {
        let files = choose::among(&self.table, self.format, &self.opened, (files, &self.left_out));
        let placed = files.into_iter().map(PartitionedFile::new_from_meta);
        placed.map(|file| file.with_partition_values(folder.values.clone())).collect()
    }
}
