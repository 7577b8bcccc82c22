//! A whole project, valid by construction.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::health::TableHealth;
use super::job::Job;
use super::restraint::Cap;
use crate::model::EpochUnit;
use crate::model::diagnostic::{Diagnostic, Located, Place};
use crate::model::period::WeekStart;
use crate::settings::{LocalFiles, Secret};

/// `milepost.yml` with its environment merged in, the views of `sql/` and the jobs of `jobs/`.
#[derive(Debug)]
pub struct Project {
    /// The folder that holds `milepost.yml`, absolute.
    pub root: PathBuf,
    /// The door to files of this machine.
    pub files: LocalFiles,
    /// Part of every delivery's identity.
    pub name: String,
    /// The environment chosen by `--env` or `MILEPOST_ENV`.
    pub environment: Option<String>,
    /// The zone of periods unless a job says otherwise.
    pub timezone: TimeZone,
    /// The first day of weeks.
    pub week_starts: WeekStart,
    /// Where the ledger is.
    pub ledger: LedgerLocation,
    /// Declared tables by name.
    pub tables: BTreeMap<String, Table>,
    /// Views of `sql/` by name.
    pub views: BTreeMap<String, View>,
    /// Declared providers by name.
    pub providers: BTreeMap<String, ProviderConfig>,
    /// The link that leaves a list.
    pub unsubscribe: Option<Unsubscribe>,
    /// Table or view of addresses and profiles that must not be mailed.
    pub suppressed: Option<Located<String>>,
    /// How many marketing mails a profile may get, across jobs.
    pub caps: Vec<Cap>,
    /// `vars:`, scalars only.
    pub vars: BTreeMap<String, Value>,
    /// Every mail of this environment goes here instead.
    pub redirect_to: Option<crate::model::Mailbox>,
    /// The most mails a run may redirect.
    pub redirect_limit: u64,
    /// Jobs in the order of their file names.
    pub jobs: Vec<Job>,
    /// The start of `milepost.yml`, for findings about the whole project.
    pub place: Place,
    /// SHA-256 over every file of the project, in hexadecimal.
    pub checksum: String,
}

/// Where the ledger is.
#[derive(Clone, Debug)]
pub enum LedgerLocation {
    /// A SQLite file, absolute.
    Sqlite(PathBuf),
    /// A PostgreSQL URL.
    Postgres(Secret),
    /// What it refers to could not be read or names no ledger; whoever needs the ledger reports this finding.
    Unresolved(Box<Diagnostic>),
}

/// A declared table.
#[derive(Clone, Debug)]
pub struct Table {
    /// The name SQL uses.
    pub name: String,
    /// Where its rows are.
    pub source: TableSource,
    /// Hive `key=value` folders in path order, or what bare folders say of dates.
    pub partitions: Vec<Partition>,
    /// How bare folders spell dates.
    pub path_dates: Option<PathDates>,
    /// Types of columns, over what the files say.
    pub columns: Vec<(Located<String>, ColumnKind)>,
    /// The column of chronology.
    pub time: Option<Located<String>>,
    /// The column of arrival.
    pub received: Option<Located<String>>,
    /// Duplicates by this column count once.
    pub dedup: Option<Located<String>>,
    /// The zone of timestamps without one; UTC by default.
    pub zone: TimeZone,
    /// How late an event may land; three days by default.
    pub lookback: SignedDuration,
    /// What its rows must be like before anybody is mailed from them.
    pub health: TableHealth,
    /// Where the table is declared.
    pub place: Place,
}

impl Table {
    /// Where its files are, or its one file; `None` for a table that is no file.
    #[must_use]
    pub fn location(&self) -> Option<&Located<String>> {
        match &self.source {
            TableSource::Files { location, .. }
            | TableSource::Segment { location, .. }
            | TableSource::Sqlite { file: location, .. } => Some(location),
            TableSource::Postgres { .. } => None,
        }
    }

    /// The same, to be moved.
    pub(crate) fn location_mut(&mut self) -> Option<&mut Located<String>> {
        match &mut self.source {
            TableSource::Files { location, .. }
            | TableSource::Segment { location, .. }
            | TableSource::Sqlite { file: location, .. } => Some(location),
            TableSource::Postgres { .. } => None,
        }
    }
}

/// Where a table's rows are: one variant per kind of source.
#[derive(Clone, Debug)]
pub enum TableSource {
    /// Files of one format.
    Files {
        /// Their format.
        format: FileFormat,
        /// A local path (absolute) or a URL such as `s3://bucket/prefix/`; may hold a glob.
        location: Located<String>,
    },
    /// Calls that Segment or RudderStack collected.
    Segment {
        /// A local path (absolute) or a URL.
        location: Located<String>,
        /// How they lie there.
        layout: SegmentLayout,
        /// What is made of them.
        rows: SegmentRows,
    },
    /// A table of a PostgreSQL server.
    Postgres {
        /// `env:NAME` or `file:PATH` (absolute), where the URL stands.
        url: Located<String>,
        /// `TABLE` or `SCHEMA.TABLE`.
        table: Located<String>,
    },
    /// A table of a SQLite file.
    Sqlite {
        /// The file, absolute.
        file: Located<String>,
        /// The table.
        table: Located<String>,
    },
}

/// How collected calls lie in a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentLayout {
    /// Logs: one JSON object per call, all kinds mixed.
    S3Logs,
    /// Parquet files in a folder per table, then by hour.
    DataLake,
    /// Parquet files in a folder per table, as a warehouse has them.
    Warehouse,
}

/// What is made of collected calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentRows {
    /// What profiles did: tracks, pages and screens.
    Events,
    /// Who they are: the latest traits.
    Profiles,
}

/// A file format of tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    /// Apache Parquet.
    Parquet,
    /// CSV with a header line.
    Csv,
    /// One JSON object per line.
    Ndjson,
    /// Apache Parquet, of which a Delta Lake log says what counts.
    Delta,
}

/// The type of a column, as `columns:` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// Any text.
    Text,
    /// A whole number of 64 bits.
    Int,
    /// A floating-point number of 64 bits.
    Double,
    /// A number with a fixed count of digits after the point.
    Decimal {
        /// Digits in all, 1 to 38.
        precision: u8,
        /// Digits after the point, at most all.
        scale: i8,
    },
    /// True or false.
    Boolean,
    /// A day of the calendar.
    Date,
    /// An instant, told to the microsecond, from a time or a text.
    Timestamp,
    /// An instant as a number: how many of a unit since 1970.
    Epoch(EpochUnit),
    /// The text of a JSON value, whole; only in NDJSON it differs from text.
    Json,
}

/// Folders that spell a date, such as `%Y/%m/%d/%H`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathDates {
    /// The folders as written, one text each.
    pub folders: Vec<String>,
}

impl PathDates {
    /// The parts of a date that folders may spell.
    pub const DIRECTIVES: &'static [&'static str] = &["%Y", "%m", "%d", "%H", "%s"];

    /// Whether the folders spell a part of the date.
    #[must_use]
    pub fn spells(&self, directive: &str) -> bool {
        self.folders.iter().any(|folder| folder.contains(directive))
    }
}

/// A hive partition column.
#[derive(Clone, Debug)]
pub struct Partition {
    /// The key in the path.
    pub name: String,
    /// How its values read.
    pub kind: PartitionKind,
    /// What may be pruned by it.
    pub of: Option<PartitionOf>,
    /// The zone its dates are in; UTC by default.
    pub zone: TimeZone,
    /// Where it is declared.
    pub place: Place,
}

/// How a partition's values read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartitionKind {
    /// `2026-11-21`.
    Date,
    /// `2026-11`.
    Month,
    /// `00` to `23`.
    Hour,
    /// A whole number.
    Int,
    /// Any text.
    Text,
}

/// The instant a partition's value is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartitionOf {
    /// The table's `received` column.
    Received,
    /// The table's `time` column.
    Time,
}

/// One file of `sql/`.
#[derive(Clone, Debug)]
pub struct View {
    /// The file's name without `.sql`.
    pub name: String,
    /// The statement and its file.
    pub sql: Located<String>,
}

/// One entry of `providers:`; its settings are read by the provider of that kind.
#[derive(Clone, Debug)]
pub struct ProviderConfig {
    /// The name jobs use.
    pub name: String,
    /// The family member, such as `outbox` or `resend`.
    pub kind: Located<String>,
    /// Its settings as written.
    pub settings: BTreeMap<String, Setting>,
    /// Where it is declared.
    pub place: Place,
}

/// One provider setting: where its key and value stand, and its value (scalars only).
#[derive(Clone, Debug)]
pub struct Setting {
    /// The key's place.
    pub key: Place,
    /// The value and its place.
    pub value: Located<Value>,
}

/// How a recipient leaves.
#[derive(Clone, Debug)]
pub struct Unsubscribe {
    /// A liquid template of an https URL, rendered per recipient.
    pub url: Located<String>,
}

/// When a job's milestones begin to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The `as_of` of the first completed unrestricted run.
    FromNow,
    /// Everything ever reached.
    All,
    /// The project's midnight of a day.
    Since(Timestamp),
}
