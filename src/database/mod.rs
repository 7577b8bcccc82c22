//! Tables of databases that other programs keep: PostgreSQL and SQLite, read and never written.
//!
//! Guarantees: every statement runs in a read-only session, rows come in chunks of bounded size, names are quoted and
//! values bound. No type of a driver leaves this module: columns, conditions and values are its own. A value that its
//! column's type cannot hold here (an infinite instant, not-a-number, text in an integer column of SQLite) is null, and
//! counted. Never: knows tables of a project, or retries.

mod condition;
mod postgres;
mod sqlite;

use std::path::PathBuf;

use futures::stream::BoxStream;
use jiff::tz::TimeZone;

pub use condition::{Condition, Operator, Value};

use crate::settings::Secret;

/// Rows of one chunk.
const CHUNK_ROWS: usize = 4_096;
/// A chunk ends earlier when its texts hold so much.
const CHUNK_BYTES: usize = 4 * 1024 * 1024;

/// Why a table cannot be read, by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The file is no database: somebody must see to it, and waiting does not help.
    #[error("{place} cannot be read: {reason}")]
    Refused {
        /// The database, without account and password.
        place: String,
        /// What it said, and what next.
        reason: String,
    },
    /// The table is one of a ledger, which is read through `ledger.*` alone.
    #[error("{place} holds a ledger of milepost, whose secrets are nobody's to read")]
    Ledger {
        /// The database, without account and password.
        place: String,
    },
    /// The server, the file or the account: try again later, or see to it.
    #[error("{place} cannot be read: {reason}")]
    Unavailable {
        /// The database, without account and password.
        place: String,
        /// What it said, and what next.
        reason: String,
    },
    /// The declaration is wrong: there is no such table, or the URL is none.
    #[error("{reason}")]
    Wrong {
        /// What is wrong.
        reason: String,
    },
}

/// Where a table is.
#[derive(Clone, Debug)]
pub enum TablePlace {
    /// On a PostgreSQL server.
    Postgres {
        /// `postgres://ACCOUNT:PASSWORD@HOST:PORT/DATABASE`.
        url: Secret,
        /// `TABLE` or `SCHEMA.TABLE`; a view is a table.
        table: String,
    },
    /// In a SQLite file.
    Sqlite {
        /// The file.
        file: PathBuf,
        /// The table or view.
        table: String,
    },
}

/// What a column's values are here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// Text; also whatever has no kind of its own.
    Text,
    /// Whole numbers of 64 bits.
    Integer,
    /// Doubles.
    Real,
    /// Decimal numbers as text, with so many digits in all and after the point.
    Decimal {
        /// Digits in all, at most 38.
        precision: u8,
        /// Digits after the point.
        scale: i8,
    },
    /// True or false.
    Boolean,
    /// Days since 1970-01-01.
    Date,
    /// Microseconds since 1970 in UTC.
    Instant,
    /// Microseconds since 1970 of a clock whose zone is not known.
    LocalTime,
}

/// One column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What its values are.
    pub kind: ColumnKind,
    /// False when it is never null.
    pub is_nullable: bool,
    /// The database's own type, where it has no kind here and comes as text.
    pub foreign_type: Option<String>,
    /// Whether a condition on the column means the same in the database.
    can_filter: bool,
    /// How the database names its type, for conversions.
    declared: String,
}

impl Column {
    /// Whether the database may be asked to compare this column.
    #[must_use]
    pub fn can_filter(&self) -> bool {
        self.can_filter
    }
}

/// What is wanted of a table.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The columns, in the order in which they are wanted; may be none.
    pub columns: Vec<Column>,
    /// Rows that do not meet all of these need not come, but may.
    pub conditions: Vec<Condition>,
    /// The most rows.
    pub limit: Option<usize>,
    /// The zone of times that name none, where the database does not say that they are local.
    pub zone: TimeZone,
}

impl Default for Reading {
    fn default() -> Self {
        Self { columns: Vec::new(), conditions: Vec::new(), limit: None, zone: TimeZone::UTC }
    }
}

/// Values of one column.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Of [`ColumnKind::Text`] and [`ColumnKind::Decimal`].
    Texts(Vec<Option<String>>),
    /// Of [`ColumnKind::Integer`], dates and times.
    Integers(Vec<Option<i64>>),
    /// Of [`ColumnKind::Real`].
    Reals(Vec<Option<f64>>),
    /// Of [`ColumnKind::Boolean`].
    Booleans(Vec<Option<bool>>),
}

/// Some rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunk {
    /// How many.
    pub rows: usize,
    /// Their values, a list for each column that was wanted.
    pub values: Vec<Values>,
    /// Values that became null because their column's type cannot hold them, for each column.
    pub misfits: Vec<u64>,
    /// Values that are none of an ordinary calendar or no number, as infinite dates are: null here, as documented.
    pub infinite: u64,
}

/// Chunks of rows.
pub type Chunks = BoxStream<'static, Result<Chunk, DatabaseError>>;

/// The columns of a table, in its order.
///
/// # Errors
/// When there is no such table, or the database cannot be reached.
pub async fn columns(place: &TablePlace) -> Result<Vec<Column>, DatabaseError> {
    match place {
        TablePlace::Postgres { url, table } => postgres::columns(url, table).await,
        TablePlace::Sqlite { file, table } => sqlite::columns(file, table).await,
    }
}

/// Reads rows; nothing is contacted before the first is asked for. Dropping the stream ends the reading.
#[must_use]
pub fn read(place: &TablePlace, reading: Reading) -> Chunks {
    let (sender, receiver) = tokio::sync::mpsc::channel(2);
    let place = place.clone();
    let start = async move {
        tokio::spawn(async move {
            let ended = match &place {
                TablePlace::Postgres { url, table } => postgres::read(url, table, &reading, &sender).await,
                TablePlace::Sqlite { file, table } => sqlite::read(file, table, &reading, &sender).await,
            };
            if let Err(error) = ended {
                // Nobody listens any more: nobody needs to know.
                let _ = sender.send(Err(error)).await;
            }
        });
        futures::stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) })
    };
    Box::pin(futures::StreamExt::flatten(futures::stream::once(start)))
}

/// Where chunks go while they are read.
type Sender = tokio::sync::mpsc::Sender<Result<Chunk, DatabaseError>>;

/// A chunk that is being filled.
struct Filling {
    chunk: Chunk,
    bytes: usize,
}

impl Filling {
    fn new(columns: &[Column]) -> Self {
        let values = columns.iter().map(|column| match column.kind {
            ColumnKind::Text | ColumnKind::Decimal { .. } => Values::Texts(Vec::new()),
            ColumnKind::Integer | ColumnKind::Date | ColumnKind::Instant | ColumnKind::LocalTime => {
                Values::Integers(Vec::new())
            }
            ColumnKind::Real => Values::Reals(Vec::new()),
            ColumnKind::Boolean => Values::Booleans(Vec::new()),
        });
        Self {
            chunk: Chunk { rows: 0, values: values.collect(), misfits: vec![0; columns.len()], infinite: 0 },
            bytes: 0,
        }
    }

    fn is_full(&self) -> bool {
        self.chunk.rows >= CHUNK_ROWS || self.bytes >= CHUNK_BYTES
    }

    /// Hands a full chunk over and begins the next; false when nobody wants more.
    async fn hand_over(&mut self, columns: &[Column], sender: &Sender) -> bool {
        let full = std::mem::replace(self, Self::new(columns));
        sender.send(Ok(full.chunk)).await.is_ok()
    }
}

/// A name as SQL text.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
