//! The folder of an outbox: made by it and marked, readable by its owner alone, and never somebody else's.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

/// Says that an outbox made the folder.
const MARKER: &str = ".milepost-outbox";
const MARKER_TEXT: &str = "This folder is an outbox of milepost: files in it are written and replaced by its runs.\n";
/// The folder of the pages that the gallery shows.
pub(super) const PAGES: &str = "pages";
/// The lines about all mails in the folder of pages, the newest last.
pub(super) const HEADINGS: &str = "headings.ndjson";
/// The gallery's page.
pub(super) const INDEX: &str = "index.html";

/// Why a folder must not become an outbox; `None` where it may: it is marked, absent or empty, or holds nothing but what
/// outboxes write.
pub(super) fn refusal(folder: &Path) -> Option<String> {
    if folder.join(MARKER).is_file() {
        return None;
    }
    match foreign_entry(folder) {
        Ok(None) => None,
        Ok(Some(name)) => {
            let name = name.escape_default().to_string();
            Some(format!("the folder {} holds `{name}`, which no outbox wrote", folder.display()))
        }
        // What is in its place is found out when the first mail is written, as is a disk that is full.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => None,
        Err(error) => Some(format!("the folder {} cannot be looked at: {error}", folder.display())),
    }
}

/// The first entry that is not an outbox's, in order of names. A page named `index.html` is one only beside mails.
fn foreign_entry(folder: &Path) -> io::Result<Option<String>> {
    let mut names: Vec<String> = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    let has_mail = names.iter().any(|name| is_of_a_delivery(name, &["eml"]));
    for name in names {
        let own = match name.as_str() {
            INDEX | "index.part" => has_mail,
            PAGES => holds_pages_only(&folder.join(PAGES))?,
            _ => is_of_a_delivery(&name, &["eml", "part"]),
        };
        if !own {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

fn holds_pages_only(pages: &Path) -> io::Result<bool> {
    if !pages.is_dir() {
        return Ok(false);
    }
    for entry in fs::read_dir(pages)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        if !is_of_a_delivery(&name, &["html", "part"]) && !is_of_the_list(&name) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The lines about all mails, and the further pages of the list: `headings.ndjson`, `list-2.html`, `job-1.html`.
fn is_of_the_list(name: &str) -> bool {
    let numbered = |name: &str| {
        ["list-", "job-"].iter().any(|kind| {
            name.strip_prefix(kind)
                .is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
        })
    };
    name == HEADINGS || name.strip_suffix(".html").or_else(|| name.strip_suffix(".part")).is_some_and(numbered)
}

/// `0123456789abcdef0123456789abcdef.eml`
fn is_of_a_delivery(name: &str, extensions: &[&str]) -> bool {
    name.split_once('.').is_some_and(|(id, extension)| {
        id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) && extensions.contains(&extension)
    })
}

/// Makes and marks the folder and that of its pages, where they are not there; only their owner may look into them.
pub(super) fn make(folder: &Path) -> io::Result<()> {
    let pages = folder.join(PAGES);
    if !pages.is_dir() {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&pages)?;
    }
    let marker = folder.join(MARKER);
    if marker.exists() { Ok(()) } else { write_atomically(&marker, MARKER_TEXT.as_bytes()) }
}

/// Writes beside `path`, for its owner's eyes only, and renames; on failure nothing of it stays.
pub(super) fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("part");
    let written = write_privately(&beside, bytes).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

fn write_privately(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn only_folders_of_its_own_become_an_outbox() {
        let mail = format!("{ID}.eml");
        let page = format!("pages/{ID}.html");
        let cases: [(&[&str], Option<&str>); 11] = [
            (&[], None),
            (&[&mail], None),
            (&[&mail, "index.html", &page], None),
            (&[&mail, &format!("{ID}.part")], None),
            (&["index.html"], Some("index.html")),
            (&["index.html", "pages/about.html"], Some("index.html")),
            (&[&mail, "pages/about.html"], Some("pages")),
            (&[&mail, "notes.txt"], Some("notes.txt")),
            (&[".git/config"], Some(".git")),
            (&["0123.eml"], Some("0123.eml")),
            (&[".milepost-outbox", "notes.txt"], None),
        ];
        for (files, expected) in cases {
            let folder = tempfile::tempdir().expect("a folder");
            for file in files {
                let path = folder.path().join(file);
                fs::create_dir_all(path.parent().expect("a parent")).expect("made");
                fs::write(path, "x").expect("written");
            }
            let found = refusal(folder.path());
            match expected {
                None => assert_eq!(found, None, "{files:?}"),
                Some(name) => assert!(found.is_some_and(|found| found.contains(&format!("`{name}`"))), "{files:?}"),
            }
        }
        assert_eq!(refusal(Path::new("/does/not/exist")), None);
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_reads_what_is_written() {
        use std::os::unix::fs::PermissionsExt as _;
        let root = tempfile::tempdir().expect("a folder");
        let folder = root.path().join("a/outbox");
        make(&folder).expect("made");
        write_atomically(&folder.join("x.eml"), b"mail").expect("written");
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        for made in [folder.clone(), folder.join(PAGES)] {
            assert_eq!(mode(&made), 0o700, "{}", made.display());
        }
        for file in ["x.eml", MARKER] {
            assert_eq!(mode(&folder.join(file)), 0o600, "{file}");
        }
    }
}
