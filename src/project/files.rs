//! The files of a project: found, read as UTF-8 within bounds, and summed up. Nothing here knows what they mean.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::read::Findings;
use crate::model::diagnostic::{Diagnostic, Place, SourceFile};
use crate::settings::{FileRefusal, LocalFiles};

/// The file that makes a folder a project.
pub(super) const PROJECT_FILE: &str = "milepost.yml";

/// Longer YAML or SQL is no work of a person's hands.
const MAX_TEXT_BYTES: u64 = 1 << 20;
/// Longer files beside jobs are told apart by their length.
const MAX_SUMMED_BYTES: u64 = 16 << 20;
/// Ends walks through folders that link to themselves.
const MAX_FOLDER_DEPTH: usize = 16;
/// What one folder's finding may list, and what a walk may visit.
const MAX_FILES: usize = 10_000;

/// The nearest folder at or above `start` that holds `milepost.yml`.
#[must_use]
pub fn find_root(start: &Path) -> Option<PathBuf> {
    let start = start.canonicalize().ok()?;
    start.ancestors().find(|folder| folder.join(PROJECT_FILE).is_file()).map(Path::to_path_buf)
}

/// The files of a folder below `root` with an extension, by name; `extension` is without the dot.
pub(super) fn list(root: &Path, folder: &str, findings: &mut Findings) -> Vec<String> {
    let entries = match fs::read_dir(root.join(folder)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            findings.push(unplaced("unreadable-folder", format!("the folder `{folder}` cannot be read: {error}")));
            return Vec::new();
        }
    };
    let mut names = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            let message = format!("a file name in `{folder}` is not UTF-8: {}", name.to_string_lossy());
            findings.push(unplaced("bad-file-name", message));
            continue;
        };
        // What is no file is not passed over: reading it says what is wrong with it.
        if !name.starts_with('.') && !entry.path().is_dir() {
            names.push(format!("{folder}/{name}"));
        }
    }
    names.sort();
    names
}

/// Reads a text file below `root`; a finding when it cannot be read, is too long or is not UTF-8.
pub(super) fn read_source(root: &Path, path: &str, findings: &mut Findings) -> Option<Arc<SourceFile>> {
    let empty = || Arc::new(SourceFile { path: path.to_owned(), text: String::new() });
    let bytes = match LocalFiles::of_project(root).read(&root.join(path), MAX_TEXT_BYTES) {
        Ok(bytes) => bytes,
        Err(refusal) => {
            let (code, message) = match &refusal {
                FileRefusal::TooLong { most, .. } => ("huge-file", format!("the file is longer than {most} bytes")),
                FileRefusal::System { source, .. } => ("unreadable-file", format!("the file cannot be read: {source}")),
                refusal => ("unreadable-file", format!("the file cannot be read: {refusal}")),
            };
            let help = refusal.help().map(str::to_owned);
            findings.push(Diagnostic::error(code, message, &Place::start_of(&empty())).with_optional_help(help));
            return None;
        }
    };
    match String::from_utf8(bytes) {
        Ok(text) => Some(Arc::new(SourceFile { path: path.to_owned(), text })),
        Err(error) => {
            let readable = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]).into_owned();
            let end = readable.len();
            let file = Arc::new(SourceFile { path: path.to_owned(), text: readable });
            let finding =
                Diagnostic::error("not-utf8", "the file is not UTF-8 from here on", &Place::new(&file, end..end));
            findings.push(finding.with_help("save it in the UTF-8 encoding"));
            None
        }
    }
}

/// Every file below a folder as a path relative to `base`, with `/` between its parts, hidden ones left out.
/// A link to a folder elsewhere is not followed.
pub(super) fn walk(base: &Path, folder: &str) -> Vec<String> {
    let top = base.canonicalize().unwrap_or_else(|_| base.to_owned());
    let stays = |path: &Path| path.canonicalize().is_ok_and(|real| real.starts_with(&top));
    let mut found = Vec::new();
    let mut open = vec![(folder.to_owned(), 0)];
    while let Some((folder, depth)) = open.pop() {
        let Ok(entries) = fs::read_dir(base.join(&folder)) else { continue };
        for entry in entries.flatten() {
            let Ok(name) = entry.file_name().into_string() else { continue };
            if name.starts_with('.') || found.len() >= MAX_FILES {
                continue;
            }
            let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            let kind = fs::metadata(entry.path());
            if kind.as_ref().is_ok_and(fs::Metadata::is_dir) && depth < MAX_FOLDER_DEPTH && stays(&entry.path()) {
                open.push((path, depth + 1));
            } else if kind.is_ok_and(|kind| kind.is_file()) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// SHA-256 over the sorted paths and bytes of every file that decides what a run does, in hexadecimal.
pub(super) fn checksum(root: &Path) -> String {
    let mut paths = vec![PROJECT_FILE.to_owned()];
    paths.extend(walk(root, "sql").into_iter().filter(|path| has_extension(path, "sql")));
    paths.extend(walk(root, "jobs").into_iter().filter(|path| !path.starts_with("jobs/tests/")));
    paths.sort();
    let files = LocalFiles::of_project(root);
    let mut digest = Sha256::new();
    for path in paths {
        let bytes = match files.read(&root.join(&path), MAX_SUMMED_BYTES) {
            Ok(bytes) => bytes,
            Err(FileRefusal::TooLong { .. }) => {
                let length = fs::metadata(root.join(&path)).map_or(0, |found| found.len());
                length.to_le_bytes().to_vec()
            }
            Err(_) => Vec::new(),
        };
        digest.update((path.len() as u64).to_le_bytes());
        digest.update(path.as_bytes());
        digest.update((bytes.len() as u64).to_le_bytes());
        digest.update(&bytes);
    }
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

/// Whether a path ends in `.extension`.
pub(super) fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path).extension().is_some_and(|found| found == extension)
}

/// The last part of a path without its extension.
pub(super) fn stem(path: &str) -> &str {
    Path::new(path).file_stem().and_then(|stem| stem.to_str()).unwrap_or(path)
}

/// A finding that no file's text is to blame for.
pub(super) fn unplaced(code: &'static str, message: String) -> Diagnostic {
    Diagnostic { severity: crate::model::diagnostic::Severity::Error, code, message, place: None, help: None }
}
