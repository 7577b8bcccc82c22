//! Projects on disk: good ones load whole, broken ones give every finding at its place.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use milepost::model::{Diagnostic, Severity};
use milepost::project::{Loaded, load};

/// A temporary project made of `path: text` pairs.
struct Folder(tempfile::TempDir);

impl Folder {
    fn of(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, text).expect("a file");
        }
        Self(folder)
    }

    fn root(&self) -> &Path {
        self.0.path()
    }
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures").join(name)
}

/// `file:line:column severity code message | help`, one line per finding.
fn lines(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().fold(String::new(), |mut text, finding| {
        let place = finding.place.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
        let severity = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        let help = finding.help.as_deref().map(|help| format!(" | {help}")).unwrap_or_default();
        writeln!(text, "{place} {severity} {} {}{help}", finding.code, finding.message).expect("text");
        text
    })
}

/// Loads every folder of `fixtures/bad` and compares all findings with the `findings.snap` in it.
#[test]
fn broken_projects_give_every_finding() {
    let mut folders: Vec<PathBuf> =
        fs::read_dir(fixture("bad")).expect("fixtures").map(|entry| entry.expect("an entry").path()).collect();
    folders.sort();
    for folder in folders {
        let loaded = load(&folder, None);
        assert!(loaded.has_errors(), "{} must not pass", folder.display());
        let settings = {
            let mut settings = insta::Settings::clone_current();
            settings.set_snapshot_path(&folder);
            settings.set_prepend_module_to_snapshot(false);
            settings.set_omit_expression(true);
            settings
        };
        settings.bind(|| insta::assert_snapshot!("findings", lines(&loaded.diagnostics)));
    }
}
