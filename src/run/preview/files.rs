//! The files of previews: each named after what it shows and no other, listed beside them, and removed once their job is
//! gone. Files that no preview made are left alone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::model::DeliveryKey;
use crate::project::Project;
use crate::settings::LocalFiles;

/// Where they are, below the project's folder.
const FOLDER: &str = "target/milepost/preview";
/// The list of the files that previews made.
const LIST: &str = "previews.json";
/// No list is longer, in bytes.
const LIST_BYTES_MAX: u64 = 16 << 20;
/// Characters of a name that people read; the rest of it tells names apart.
const READABLE_MAX: usize = 160;

/// What a file shows.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Shown {
    job: String,
    profile_id: String,
}

/// The files that previews made, by name.
pub(super) struct PreviewFiles {
    folder: PathBuf,
    made: BTreeMap<String, Shown>,
    door: LocalFiles,
}

impl PreviewFiles {
    /// Reads the list, and removes the files of jobs that the project no longer has.
    pub(super) fn of(project: &Project) -> Self {
        let mut files = Self::read(&project.root);
        let is_gone = |shown: &Shown| !project.jobs.iter().any(|job| job.name == shown.job);
        let gone: Vec<String> =
            files.made.iter().filter(|(_, shown)| is_gone(shown)).map(|(name, _)| name.clone()).collect();
        for name in gone {
            // A file that is gone already is as good.
            let _ = std::fs::remove_file(files.folder.join(&name));
            files.made.remove(&name);
        }
        files
    }

    fn read(root: &Path) -> Self {
        let folder = root.join(FOLDER);
        let door = LocalFiles::of_project(root);
        let text = door.read_text(&folder.join(LIST), LIST_BYTES_MAX).unwrap_or_default();
        let made: BTreeMap<String, Shown> = serde_json::from_str(&text).unwrap_or_default();
        // Names alone: a list that was written by others must not lead elsewhere.
        let is_name = |name: &String| !name.starts_with('.') && !name.contains(['/', '\\']);
        Self { made: made.into_iter().filter(|(name, _)| is_name(name)).collect(), folder, door }
    }

    /// Writes one mail's HTML and returns its file.
    pub(super) fn write(&mut self, job: &str, key: &DeliveryKey, html: &str) -> std::io::Result<PathBuf> {
        let name = name_of(job, key);
        let file = self.folder.join(&name);
        self.door.admit_target(&file)?;
        std::fs::create_dir_all(&self.folder)?;
        std::fs::write(&file, html)?;
        self.made.insert(name, Shown { job: job.to_owned(), profile_id: key.profile_id.clone() });
        Ok(file)
    }

    /// Writes the list, where there is anything to list or a list to correct.
    pub(super) fn finish(&self) -> std::io::Result<()> {
        let list = self.folder.join(LIST);
        if self.made.is_empty() && !list.exists() {
            return Ok(());
        }
        self.door.admit_target(&list)?;
        std::fs::write(list, serde_json::to_vec_pretty(&self.made)?)
    }
}

/// The files that show mails of a profile.
pub(in crate::run) fn files_of(root: &Path, profile_id: &str) -> Vec<PathBuf> {
    let files = PreviewFiles::read(root);
    let theirs = files.made.iter().filter(|(_, shown)| shown.profile_id == profile_id);
    theirs.map(|(name, _)| files.folder.join(name)).filter(|file| file.exists()).collect()
}

/// A name that people can read, with eight digits of a hash of the whole: `a/b` and `a_b` have files of their own.
fn name_of(job: &str, key: &DeliveryKey) -> String {
    let mut digest = Sha256::new();
    for part in [job, &key.profile_id, &key.occasion] {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part.as_bytes());
    }
    let hash: String = digest.finalize().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let readable: String = format!("{job}-{}-{}", key.profile_id, key.occasion)
        .chars()
        .map(|character| if character.is_ascii_alphanumeric() || "._-@".contains(character) { character } else { '_' })
        .take(READABLE_MAX)
        .collect();
    format!("{readable}-{hash}.html")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_mails_share_a_file() {
        let key = |profile_id: &str, occasion: &str| DeliveryKey {
            profile_id: profile_id.to_owned(),
            occasion: occasion.to_owned(),
        };
        let long = "x".repeat(400);
        let keys = [
            ("j", key("a/b", "o")),
            ("j", key("a_b", "o")),
            ("j", key("a-b", "c")),
            ("j", key("a", "b-c")),
            ("j", key("ä", "o")),
            ("j", key("ö", "o")),
            ("j", key(&long, "o:1")),
            ("j", key(&long, "o:2")),
            ("j", key("../../a", "o")),
        ];
        let names: std::collections::BTreeSet<String> = keys.iter().map(|(job, key)| name_of(job, key)).collect();
        assert_eq!(names.len(), keys.len(), "{names:#?}");
        assert!(names.iter().all(|name| !name.contains('/') && name.len() < 200), "{names:#?}");
    }
}
