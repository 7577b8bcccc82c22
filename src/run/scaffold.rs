//! The project that `init` and `demo` write: the starter example, carried inside the binary.

use std::path::{Path, PathBuf};

use super::RunError;
use crate::project::{SchemaKind, json_schema};

/// The end of the starter's sample events.
pub const STARTER_AS_OF: &str = "2026-11-01T06:00:00Z";

/// A file of the starter: its path in the project, and its text.
type StarterFile = (&'static str, &'static str);

macro_rules! starter {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../examples/starter/", $path)))),*]
    };
}

const STARTER: &[StarterFile] = starter![
    ".gitignore",
    "README.md",
    "milepost.yml",
    "data/events.csv",
    "data/people.csv",
    "sql/recipients.sql",
    "jobs/document_milestones.yml",
    "jobs/month_in_review.yml",
    "jobs/tests/first_document.yml",
    "jobs/templates/milestone.mjml",
    "jobs/templates/month_in_review.mjml",
];

/// The starter's files, and the schemas that its YAML names for editors: they work offline and fit this version.
fn files() -> Vec<(String, String)> {
    let starter = STARTER.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
    let schemas = SchemaKind::ALL.map(|kind| (format!("schema/{}.json", kind.name()), schema_text(kind)));
    starter.chain(schemas).collect()
}

/// A JSON Schema as it stands in a file.
#[must_use]
pub fn schema_text(kind: SchemaKind) -> String {
    format!("{:#}\n", json_schema(kind))
}

/// Writes the starter project below `folder` and returns the paths written.
///
/// # Errors
/// When a file of the same name exists (nothing is written then), or the folder cannot be written.
pub fn scaffold(folder: &Path) -> Result<Vec<String>, RunError> {
    let files = files();
    if let Some((path, _)) = files.iter().find(|(path, _)| folder.join(path).exists()) {
        return Err(RunError::Usage {
            message: format!("`{}` exists already", folder.join(path).display()),
            hint: "name an empty folder: `milepost init my-project`".to_owned(),
        });
    }
    for (path, text) in &files {
        let file = folder.join(path);
        let failed = |source| RunError::File { path: file.display().to_string(), action: "written", source };
        if let Some(parent) = file.parent() {
            std::fs::create_dir_all(parent).map_err(failed)?;
        }
        std::fs::write(&file, text).map_err(failed)?;
    }
    Ok(files.into_iter().map(|(path, _)| path).collect())
}

/// A new folder below the system's temporary one, kept so that its mails can be read.
///
/// # Errors
/// When none can be made.
pub fn demo_folder() -> Result<PathBuf, RunError> {
    tempfile::Builder::new()
        .prefix("milepost-demo-")
        .tempdir()
        .map(tempfile::TempDir::keep)
        .map_err(|source| RunError::File { path: "the temporary folder".to_owned(), action: "written", source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_overwrites() {
        let folder = tempfile::tempdir().expect("a folder");
        let written = scaffold(folder.path()).expect("an empty folder");
        assert!(written.iter().all(|path| folder.path().join(path).is_file()));
        let own = folder.path().join("milepost.yml");
        std::fs::write(&own, "mine").expect("writable");
        assert!(matches!(scaffold(folder.path()), Err(RunError::Usage { .. })));
        assert_eq!(std::fs::read_to_string(own).expect("readable"), "mine");
    }
}
