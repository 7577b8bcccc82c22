//! The files of a SQLite ledger: made whole or not at all, checked before use, locked per job.

use std::ffi::OsString;
use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use super::migration::{FORMAT_VERSION, migrate};
use super::writer::Writer;
use super::{SqliteLedger, failure, stored};
use crate::clock::{Clock, random_bytes};
use crate::ledger::identity::{hexadecimal, key_from_hexadecimal};
use crate::ledger::{Identity, LedgerError, Owner};

/// What the file says it is, beside being SQLite; `schema.sql` sets it.
const APPLICATION_ID: i32 = 1_836_085_107;
/// Bytes of a page in new files: twice SQLite's own, since a wave of claims writes many neighbouring rows.
const PAGE_SIZE: u32 = 8192;
/// How often a lock is tried: `status` looks at it for an instant, which must not refuse a run.
const LOCK_TRIES: u32 = 3;

fn unavailable(path: &Path, reason: impl Into<String>) -> LedgerError {
    LedgerError::Unavailable { location: path.display().to_string(), reason: reason.into() }
}

fn said(path: &Path) -> impl Fn(sqlx::Error) -> LedgerError {
    move |error| unavailable(path, failure::words(&error))
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        // A look-up per claim that the statements make needless; `ledger check` looks instead.
        .foreign_keys(false)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(10))
        .disable_statement_logging()
}

/// Opens an existing ledger; the file is not touched before it is known to be one.
pub(super) async fn connect(path: &Path, owner: &Owner) -> Result<SqliteLedger, LedgerError> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => return Err(unavailable(path, "it is a folder: name a file in `ledger:`")),
        Ok(found) if found.len() == 0 => {
            let reason = "it is an empty file: restore it from a backup, or remove it and run `milepost ledger create` \
                          if nobody was ever mailed from it";
            return Err(unavailable(path, reason));
        }
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(LedgerError::Missing { location: path.display().to_string() });
        }
        Err(error) => return Err(unavailable(path, error.to_string())),
    }
    let mut writer = options(path).connect().await.map_err(said(path))?;
    let (found, identity, version) = identify(path, &mut writer).await?;
    if let Some(reason) = found.differs_from(owner) {
        return Err(foreign(path, reason));
    }
    if version < FORMAT_VERSION {
        migrate(path, &mut writer, &identity).await?;
    }
    // A wave touches many pages: a larger log between checkpoints writes each of them once instead of per wave.
    sqlx::raw_sql("pragma journal_mode = wal; pragma wal_autocheckpoint = 4000; pragma cache_size = -32768; pragma temp_store = memory")
        .execute(&mut writer)
        .await
        .map_err(said(path))?;
    let reader = options(path).read_only(true).connect().await.map_err(said(path))?;
    Ok(SqliteLedger {
        path: path.to_owned(),
        owner: found,
        identity,
        writer: tokio::sync::Mutex::new(Writer::new(writer)),
        reader: tokio::sync::Mutex::new(reader),
        held: std::sync::Mutex::default(),
    })
}

fn foreign(path: &Path, reason: impl Into<String>) -> LedgerError {
    LedgerError::Foreign { location: path.display().to_string(), reason: reason.into() }
}

/// Whose ledger the file is, its secret, and its format.
async fn identify(path: &Path, connection: &mut SqliteConnection) -> Result<(Owner, Identity, u32), LedgerError> {
    let application: i32 =
        sqlx::query_scalar("pragma application_id").fetch_one(&mut *connection).await.map_err(said(path))?;
    if application != APPLICATION_ID {
        return Err(foreign(path, "is a database of another program: name another place in `ledger:`"));
    }
    let rows: Vec<(String, String)> =
        sqlx::query_as("select key, value from meta").fetch_all(connection).await.map_err(said(path))?;
    let meta = |wanted: &str| rows.iter().find(|(key, _)| key == wanted).map(|(_, value)| value.as_str());
    let version = meta("format_version").and_then(|text| text.parse::<u32>().ok());
    let Some(version) = version.filter(|version| *version <= FORMAT_VERSION) else {
        let found = meta("format_version").unwrap_or("unknown");
        let reason =
            format!("has format {found}, and this version of milepost reads up to {FORMAT_VERSION}: upgrade milepost");
        return Err(foreign(path, reason));
    };
    let damaged = || unavailable(path, "its table `meta` is damaged: restore it from a backup");
    let project = meta("project").ok_or_else(damaged)?.to_owned();
    let key = meta("identity_key").and_then(key_from_hexadecimal).ok_or_else(damaged)?;
    let identity = Identity::new(key, project.clone());
    Ok((Owner { project, environment: meta("environment").map(str::to_owned) }, identity, version))
}

/// Makes a ledger under a passing name and gives it its own when it is whole.
pub(super) async fn create(path: &Path, owner: &Owner) -> Result<(), LedgerError> {
    let unfinished = NewFile::begin(path)?;
    fill(unfinished.path(), owner).await.map_err(|error| unfinished.explain(error))?;
    unfinished.finish()
}

/// A ledger that does not have its name yet; dropped, it is gone.
pub(super) struct NewFile {
    file: tempfile::NamedTempFile,
    path: PathBuf,
    folder: PathBuf,
}

impl NewFile {
    /// Begins one beside its future place, and makes the folders above it.
    pub(super) fn begin(path: &Path) -> Result<Self, LedgerError> {
        if path.exists() {
            return Err(LedgerError::Exists { location: path.display().to_string() });
        }
        let log = beside(path, "-wal");
        if std::fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
            // SQLite would replay it into the new file.
            let reason =
                format!("{} is left from an earlier ledger: restore that ledger, or remove the file", log.display());
            return Err(unavailable(path, reason));
        }
        let failed = |error: std::io::Error| unavailable(path, format!("it cannot be made: {error}"));
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(failed)?;
        let file = tempfile::Builder::new().prefix(".ledger-").tempfile_in(folder).map_err(failed)?;
        Ok(Self { file, path: path.to_owned(), folder: folder.to_owned() })
    }

    /// Where it is until it is finished.
    pub(super) fn path(&self) -> &Path {
        self.file.path()
    }

    /// An error about its future place.
    pub(super) fn explain(&self, error: LedgerError) -> LedgerError {
        match error {
            LedgerError::Unavailable { reason, .. } => unavailable(&self.path, reason),
            other => other,
        }
    }

    /// Opens it for writing, with its tables made.
    pub(super) async fn connect(&self) -> Result<SqliteConnection, LedgerError> {
        connect_new(self.path()).await.map_err(|error| self.explain(error))
    }

    /// Gives it its own name; its connections must be closed.
    pub(super) fn finish(self) -> Result<(), LedgerError> {
        let Self { file, path, folder } = self;
        let failed = |error: std::io::Error| unavailable(&path, format!("it cannot be made: {error}"));
        file.persist_noclobber(&path).map_err(|error| match error.error.kind() {
            std::io::ErrorKind::AlreadyExists => LedgerError::Exists { location: path.display().to_string() },
            _ => failed(error.error),
        })?;
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
    }
}

/// A connection to a new file, with the tables made.
async fn connect_new(path: &Path) -> Result<SqliteConnection, LedgerError> {
    let options = options(path).journal_mode(SqliteJournalMode::Delete).page_size(PAGE_SIZE);
    let mut connection = options.connect().await.map_err(said(path))?;
    sqlx::raw_sql(include_str!("schema.sql")).execute(&mut connection).await.map_err(said(path))?;
    Ok(connection)
}

async fn fill(path: &Path, owner: &Owner) -> Result<(), LedgerError> {
    let key =
        random_bytes::<32>().map_err(|error| unavailable(path, format!("no random key could be made: {error}")))?;
    let mut connection = connect_new(path).await?;
    let facts = [
        ("format_version", Some(FORMAT_VERSION.to_string())),
        ("project", Some(owner.project.clone())),
        ("environment", owner.environment.clone()),
        ("created_at", Some(stored(Clock::System.now()))),
        ("identity_key", Some(hexadecimal(&key))),
    ];
    for (name, value) in facts {
        let Some(value) = value else { continue };
        sqlx::query("insert into meta (key, value) values (?, ?)")
            .bind(name)
            .bind(value)
            .execute(&mut connection)
            .await
            .map_err(said(path))?;
    }
    connection.close().await.map_err(said(path))
}

/// Writes a copy of the ledger as it is now, its log included, into a file that is not there yet; runs may go on.
pub(super) async fn back_up(ledger: &SqliteLedger, to: &Path) -> Result<(), LedgerError> {
    let copy = NewFile::begin(to)?;
    let name = copy.path().to_string_lossy().into_owned();
    let mut reader = ledger.reader.lock().await;
    sqlx::query("vacuum into ?").bind(name).execute(&mut *reader).await.map_err(said(to))?;
    File::open(copy.path()).and_then(|file| file.sync_all()).map_err(|error| unavailable(to, error.to_string()))?;
    copy.finish()
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

/// The lock file of a job; a name that is no file name is hashed.
fn lock_path(path: &Path, job: &str) -> PathBuf {
    let plain = job.len() <= 100 && job.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    let name = if plain { job.to_owned() } else { format!("%{}", Identity::new([0; 32], "").request_id(&[job])) };
    beside(path, &format!(".{name}.lock"))
}

/// Takes the lock of a job for as long as the file lives.
///
/// The file is never removed: a lock on a removed file would guard nothing.
pub(super) async fn lock(path: &Path, job: &str) -> Result<File, LedgerError> {
    let lock_path = lock_path(path, job);
    let failed = |error: std::io::Error| {
        unavailable(
            path,
            format!("its lock file {} cannot be used: {error}: make the folder writable", lock_path.display()),
        )
    };
    let file = File::options().create(true).truncate(false).read(true).write(true).open(&lock_path).map_err(failed)?;
    for _ in 1..LOCK_TRIES {
        if file.try_lock().is_ok() {
            return Ok(file);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(LedgerError::Held { job: job.to_owned() }),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// Whether a run holds the lock of a job right now.
pub(super) fn is_locked(path: &Path, job: &str) -> bool {
    open_lock(path, job).is_some_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// The lock file of a job for reading; `None` where no run ever took it.
pub(super) fn open_lock(path: &Path, job: &str) -> Option<File> {
    File::open(lock_path(path, job)).ok()
}

/// What a lock file begins with: whose ledger it is about. A ledger made anew in the same place has another secret.
fn mark(identity: &Identity) -> String {
    identity.request_id(&["lock"])
}

/// The epoch of the last run that held a lock, as it noted beside the ledger; `None` where none did, or one of another
/// ledger.
pub(super) fn noted_epoch(lock: &File, identity: &Identity) -> Option<i64> {
    let mut text = String::new();
    let mut lock = lock;
    lock.seek(SeekFrom::Start(0)).ok()?;
    lock.take(100).read_to_string(&mut text).ok()?;
    text.trim().strip_prefix(&mark(identity))?.trim().parse().ok()
}

/// Notes an epoch in a lock that is held. Notes have one length, so that one takes the place of the other whole; without
/// one an old copy of the ledger is not recognised, and nothing else.
pub(super) fn note_epoch(lock: &File, identity: &Identity, epoch: i64) {
    let mut lock = lock;
    let _ = lock
        .seek(SeekFrom::Start(0))
        .and_then(|_| lock.write_all(format!("{} {epoch:019}\n", mark(identity)).as_bytes()));
}
