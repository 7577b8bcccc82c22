//! The one door to files of this machine that a project names: tables, templates, SQL, jobs, snapshots, secrets, results.
//!
//! Guarantees: what is opened is a regular file, by its real path, in the project's folder, in the repository around it, or
//! in a folder that whoever starts the process allowed; links lead nowhere else, and text is read within bounds. Never: asks
//! YAML which folders those are.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};

use super::allowed;

/// Folders of the kernel: what lies there is no data.
const KERNEL: [&str; 3] = ["/proc", "/sys", "/dev"];
/// The one folder among them that holds files of people.
const SHARED_MEMORY: &str = "/dev/shm";
/// Where container platforms mount secrets.
const SECRETS: [&str; 2] = ["/run/secrets", "/var/run/secrets"];
/// A hidden folder that is the project's own.
const OWN: &str = ".milepost";
/// Never read, not even for a secret: it may hold the runner's own.
const GIT: &str = ".git";

/// What to do about a file that is outside.
pub const ALLOW_PATH: &str = "move it into the project, or allow its folder where milepost starts: `--allow-path DIR`, or \
                              MILEPOST_ALLOW_PATHS";

/// Folders that a project may name files of.
#[derive(Clone, Debug)]
pub struct LocalFiles {
    /// Real paths, the project's own first.
    folders: Arc<[PathBuf]>,
}

/// Why a file is not opened.
#[derive(Debug, thiserror::Error)]
pub enum FileRefusal {
    /// It lies in no folder that the project may use.
    #[error("`{path}` lies outside the project, and nobody allowed that")]
    Outside {
        /// As it was named.
        path: String,
    },
    /// It, or a folder above it, is hidden: such files are settings and secrets of other programs.
    #[error("`{path}` is hidden, or lies in a hidden folder")]
    Hidden {
        /// As it was named.
        path: String,
    },
    /// A folder, a pipe, a device or a socket.
    #[error("`{path}` is no regular file")]
    NoFile {
        /// As it was named.
        path: String,
    },
    /// Longer than such a file is.
    #[error("`{path}` is longer than {most} bytes")]
    TooLong {
        /// As it was named.
        path: String,
        /// The most bytes.
        most: u64,
    },
    /// The system refused.
    #[error("`{path}` cannot be read: {source}")]
    System {
        /// As it was named.
        path: String,
        /// What it said.
        source: io::Error,
    },
}

impl FileRefusal {
    /// What to do next.
    #[must_use]
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Outside { .. } => Some(ALLOW_PATH),
            Self::Hidden { .. } => Some("name a file that is not hidden"),
            Self::NoFile { .. } | Self::TooLong { .. } | Self::System { .. } => None,
        }
    }

    /// Whether there is no such file.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::System { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

impl From<FileRefusal> for io::Error {
    fn from(refusal: FileRefusal) -> Self {
        match refusal {
            FileRefusal::System { source, .. } => source,
            other => Self::new(io::ErrorKind::PermissionDenied, other),
        }
    }
}

impl LocalFiles {
    /// The folders of the project in `root`, with what whoever started the process allowed.
    #[must_use]
    pub fn of_project(root: &Path) -> Self {
        let root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
        let repository = repository(&root);
        let allowed = allowed::paths().into_iter().filter_map(|path| path.canonicalize().ok());
        Self { folders: std::iter::once(root).chain(repository).chain(allowed).collect() }
    }

    /// The same with the folders of another project.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self { folders: self.folders.iter().chain(other.folders.iter()).cloned().collect() }
    }

    /// The real path of what is there.
    ///
    /// # Errors
    /// When it is not there, or lies elsewhere.
    pub fn resolve(&self, path: &Path) -> Result<PathBuf, FileRefusal> {
        let real = path.canonicalize().map_err(system(path))?;
        self.admit(&real, path)?;
        Ok(real)
    }

    /// Refuses a path that would lead elsewhere, whether or not something is there: what exists of it is looked at.
    ///
    /// # Errors
    /// When it lies elsewhere.
    pub fn admit_path(&self, path: &Path) -> Result<(), FileRefusal> {
        let mut missing = Vec::new();
        for above in path.ancestors() {
            if let Ok(real) = above.canonicalize() {
                let real = missing.iter().rev().fold(real, |real: PathBuf, name| real.join(name));
                return self.admit(&plain(&real), path);
            }
            // A link that leads nowhere would be followed as soon as something is there.
            if above.symlink_metadata().is_ok() {
                return Err(FileRefusal::Outside { path: shown(path) });
            }
            missing.extend(above.components().next_back().map(|part| part.as_os_str().to_owned()));
        }
        Err(FileRefusal::Outside { path: shown(path) })
    }

    /// Refuses a place to write to that would lead elsewhere; the place itself must be no link.
    ///
    /// # Errors
    /// When it lies elsewhere, or is a link.
    pub fn admit_target(&self, path: &Path) -> Result<(), FileRefusal> {
        if path.symlink_metadata().is_ok_and(|found| found.is_symlink()) {
            return Err(FileRefusal::NoFile { path: shown(path) });
        }
        self.admit_path(path)
    }

    /// Opens a file for reading. What is opened is what was looked at, whatever happens in between.
    ///
    /// # Errors
    /// When it is not there, lies elsewhere, or is no regular file.
    pub fn open(&self, path: &Path) -> Result<File, FileRefusal> {
        let real = self.resolve(path)?;
        open_regular(&real, path)
    }

    /// Reads a whole file of at most `most` bytes.
    ///
    /// # Errors
    /// When it cannot be opened, or is longer.
    pub fn read(&self, path: &Path, most: u64) -> Result<Vec<u8>, FileRefusal> {
        read_within(self.open(path)?, path, most)
    }

    /// Reads a whole text of at most `most` bytes.
    ///
    /// # Errors
    /// When it cannot be opened, is longer, or is not UTF-8.
    pub fn read_text(&self, path: &Path, most: u64) -> Result<String, FileRefusal> {
        let bytes = self.read(path, most)?;
        String::from_utf8(bytes)
            .map_err(|_| system(path)(io::Error::new(io::ErrorKind::InvalidData, "stream did not contain valid UTF-8")))
    }

    /// Reads a secret: it may be hidden, and may lie where container platforms mount secrets.
    ///
    /// # Errors
    /// When it cannot be opened, or is longer.
    pub(super) fn read_secret(&self, path: &Path, most: u64) -> Result<String, FileRefusal> {
        let real = path.canonicalize().map_err(system(path))?;
        let mounted = SECRETS.iter().filter_map(|folder| Path::new(folder).canonicalize().ok());
        let is_inside = |folder: &Path| real.strip_prefix(folder).is_ok_and(|below| !passes(below, |name| name == GIT));
        let is_inside =
            self.folders.iter().any(|folder| is_inside(folder)) || mounted.into_iter().any(|folder| is_inside(&folder));
        if !is_inside || is_of_kernel(&real) {
            return Err(FileRefusal::Outside { path: shown(path) });
        }
        let bytes = read_within(open_regular(&real, path)?, path, most)?;
        String::from_utf8(bytes).map_err(|_| system(path)(io::Error::new(io::ErrorKind::InvalidData, "it is no text")))
    }

    fn admit(&self, real: &Path, path: &Path) -> Result<(), FileRefusal> {
        let below: Vec<&Path> = self.folders.iter().filter_map(|folder| real.strip_prefix(folder).ok()).collect();
        if below.is_empty() || is_of_kernel(real) {
            return Err(FileRefusal::Outside { path: shown(path) });
        }
        let is_hidden = |below: &&Path| passes(below, |name| name.starts_with('.') && name != OWN);
        if below.iter().all(is_hidden) { Err(FileRefusal::Hidden { path: shown(path) }) } else { Ok(()) }
    }
}

/// Whether a part of a path is as asked for.
fn passes(path: &Path, is_so: impl Fn(&str) -> bool) -> bool {
    path.components().any(|part| is_so(&part.as_os_str().to_string_lossy()))
}

fn is_of_kernel(real: &Path) -> bool {
    KERNEL.iter().any(|folder| real.starts_with(folder)) && !real.starts_with(SHARED_MEMORY)
}

/// A path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

/// The top of the repository around a project: what is reviewed together is read together. The root of the file system
/// and a home are no such folder.
fn repository(root: &Path) -> Option<PathBuf> {
    let top = root.ancestors().find(|folder| folder.join(GIT).exists())?;
    let home = super::variable("HOME").and_then(|home| Path::new(&home).canonicalize().ok());
    (top.parent().is_some() && Some(top) != home.as_deref()).then(|| top.to_owned())
}

fn open_regular(real: &Path, path: &Path) -> Result<File, FileRefusal> {
    let is_file =
        |found: &fs::Metadata| found.is_file().then_some(()).ok_or_else(|| FileRefusal::NoFile { path: shown(path) });
    is_file(&fs::symlink_metadata(real).map_err(system(path))?)?;
    let file = open_without_links(real).map_err(system(path))?;
    is_file(&file.metadata().map_err(system(path))?)?;
    Ok(file)
}

/// Opens a real path, which has no links unless somebody puts one there meanwhile; never waits for a pipe's other end.
fn open_without_links(real: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW;
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, ResolveFlags, openat2};
        use rustix::io::Errno;

        match openat2(CWD, real, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS) {
            // Old kernels, and sandboxes that know old kernels.
            Err(Errno::NOSYS | Errno::PERM) => {}
            opened => return Ok(File::from(opened?)),
        }
    }
    Ok(File::from(rustix::fs::open(real, flags, Mode::empty())?))
}

fn read_within(file: File, path: &Path, most: u64) -> Result<Vec<u8>, FileRefusal> {
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(system(path))?;
    if bytes.len() as u64 > most { Err(FileRefusal::TooLong { path: shown(path), most }) } else { Ok(bytes) }
}

fn system(path: &Path) -> impl Fn(io::Error) -> FileRefusal {
    let path = shown(path);
    move |source| FileRefusal::System { path: path.clone(), source }
}

fn shown(path: &Path) -> String {
    plain(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A project with files of all kinds, and a folder beside it.
    fn world() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::Builder::new().prefix("files").tempdir().expect("a folder");
        let root = folder.path().join("project");
        fs::create_dir_all(root.join("data/.hidden")).expect("a folder");
        fs::create_dir_all(root.join(".git-like")).expect("a folder");
        fs::create_dir_all(root.join(".milepost")).expect("a folder");
        for name in ["data/a.csv", "data/.hidden/a.csv", ".env", ".milepost/rows.csv", "key"] {
            fs::write(root.join(name), "text").expect("a file");
        }
        fs::write(folder.path().join("outside.csv"), "secret").expect("a file");
        symlink("../../outside.csv", root.join("data/link.csv")).expect("a link");
        symlink("a.csv", root.join("data/inner.csv")).expect("a link");
        symlink("nowhere.csv", root.join("data/broken.csv")).expect("a link");
        symlink(folder.path(), root.join("data/folder")).expect("a link");
        (folder, root)
    }

    #[test]
    fn only_regular_files_of_the_project_are_read() {
        let (_folder, root) = world();
        let files = LocalFiles::of_project(&root);
        for (name, expected) in [
            ("data/a.csv", "text"),
            ("data/inner.csv", "text"),
            ("data/../data/a.csv", "text"),
            (".milepost/rows.csv", "text"),
            ("data/link.csv", "outside"),
            ("data/folder/outside.csv", "outside"),
            ("../outside.csv", "outside"),
            ("/etc/passwd", "outside"),
            ("/proc/self/environ", "outside"),
            ("/dev/zero", "outside"),
            (".env", "hidden"),
            ("data/.hidden/a.csv", "hidden"),
            ("data", "no regular file"),
            ("data/broken.csv", "cannot be read"),
        ] {
            let read = files.read_text(&root.join(name), 100).unwrap_or_else(|refusal| refusal.to_string());
            assert!(read.contains(expected), "{name}: {read}");
        }
        assert!(matches!(files.read(&root.join("key"), 3), Err(FileRefusal::TooLong { most: 3, .. })));
    }

    #[test]
    fn a_pipe_is_refused_and_never_waited_for() {
        let (_folder, root) = world();
        let pipe = root.join("data/pipe.csv");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, Mode::from_raw_mode(0o600)).expect("a pipe");
        assert!(matches!(LocalFiles::of_project(&root).open(&pipe), Err(FileRefusal::NoFile { .. })));
    }

    #[test]
    fn nothing_is_written_through_links_or_elsewhere() {
        let (_folder, root) = world();
        let files = LocalFiles::of_project(&root);
        for (name, is_admitted) in [
            ("data/new.csv", true),
            ("new/folders/a.csv", true),
            (".milepost/ledger.db", true),
            ("data/inner.csv", false),
            ("data/broken.csv", false),
            ("data/folder/new.csv", false),
            ("../new.csv", false),
            ("new/../../new.csv", false),
            (".git/hooks/a", false),
        ] {
            assert_eq!(files.admit_target(&root.join(name)).is_ok(), is_admitted, "{name}");
        }
    }

    #[test]
    fn a_repository_around_the_project_is_the_project_s() {
        let (folder, root) = world();
        assert!(LocalFiles::of_project(&root).open(&folder.path().join("outside.csv")).is_err());
        fs::create_dir(folder.path().join(".git")).expect("a folder");
        fs::write(folder.path().join(".git/config"), "secret").expect("a file");
        let files = LocalFiles::of_project(&root);
        assert!(files.open(&folder.path().join("outside.csv")).is_ok());
        assert!(matches!(files.open(&folder.path().join(".git/config")), Err(FileRefusal::Hidden { .. })));
        assert!(files.read_secret(&folder.path().join(".git/config"), 100).is_err());
    }
}
