//! The other side of a comparison: a folder, or a revision of git written into a temporary one.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::project::{self, Project};
use crate::storage::TemporaryFolder;

use super::diff::moved;
use super::{RunError, Workspace, WorkspaceOptions};

/// A project as it was.
pub(super) struct Base {
    root: PathBuf,
    /// Removed when the comparison is over.
    _folder: Option<TemporaryFolder>,
}

impl Base {
    /// A folder with a `milepost.yml`, else a revision of the repository that `root` is in.
    pub(super) fn of(root: &Path, start: &Path, base: &str) -> Result<Self, RunError> {
        let folder = start.join(base);
        if folder.join("milepost.yml").is_file() {
            return Ok(Self { root: folder.canonicalize().unwrap_or(folder), _folder: None });
        }
        Self::of_revision(root, base)
    }

    fn of_revision(root: &Path, revision: &str) -> Result<Self, RunError> {
        let refused = |message: String| RunError::Usage {
            message,
            hint: "name a folder with a milepost.yml, or a revision of git such as `origin/main`".to_owned(),
        };
        if revision.starts_with('-') {
            return Err(refused(format!("`{revision}` is no revision")));
        }
        let failed = |source| RunError::File { path: "a temporary folder".to_owned(), action: "written", source };
        let folder = tempfile::Builder::new().prefix("milepost-base-").tempdir().map_err(failed)?;
        let archive = folder.path().join("base.tar");
        // In a folder below the repository's top, an archive holds just that folder.
        let made = Command::new("git")
            .arg("-C")
            .arg(root)
            .args(["archive", "--format=tar", "-o"])
            .arg(&archive)
            .arg(revision)
            .output()
            .map_err(|error| refused(format!("git cannot be started: {error}")))?;
        if !made.status.success() {
            let said = String::from_utf8_lossy(&made.stderr);
            return Err(refused(format!("`{revision}` is neither a project's folder nor a revision: {}", said.trim())));
        }
        let unpacked = Command::new("tar")
            .arg("-xf")
            .arg(&archive)
            .arg("-C")
            .arg(folder.path())
            .output()
            .map_err(|error| refused(format!("tar cannot be started: {error}")))?;
        if !unpacked.status.success() || !folder.path().join("milepost.yml").is_file() {
            return Err(refused(format!("`{revision}` has no milepost.yml in this folder")));
        }
        let root = folder.path().canonicalize().map_err(failed)?;
        Ok(Self { root, _folder: Some(TemporaryFolder::of(folder)) })
    }

    /// Opens it on the tables that `now` reads: files that the base does not hold are the present ones.
    pub(super) async fn open(&self, options: &WorkspaceOptions, now: &Project) -> Result<Workspace, RunError> {
        let loaded = project::load(&self.root, options.environment.as_deref());
        let errors = loaded.has_errors();
        let Some(mut before) = loaded.project.filter(|_| !errors) else {
            return Err(RunError::Invalid { diagnostics: loaded.diagnostics });
        };
        // One ledger for both sides, too: what is mailed already is mailed.
        before.ledger = now.ledger.clone();
        before.files = before.files.and(&now.files);
        for table in before.tables.values_mut() {
            let here = now.tables.get(&table.name).and_then(|table| Some(table.location()?.value.clone()));
            let Some(location) = table.location_mut() else { continue };
            let present = moved(Path::new(&location.value), &self.root, &now.root);
            // The same data on both sides, wherever it lies: a comparison is about code.
            if let Some(path) = present {
                location.value = here.unwrap_or_else(|| path.to_string_lossy().into_owned());
            }
        }
        Workspace::of(before, options).await
    }
}
