//! Tables of a SQLite file. Each value has a type of its own there; what its column declares decides what it is here.

use std::path::Path;
use std::time::Duration;

use futures::TryStreamExt;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, ConnectOptions, Connection, Row, SqliteConnection, TypeInfo, ValueRef};

use super::condition::{Value, Words};
use super::{Column, ColumnKind, DatabaseError, Filling, Reading, Sender, Values, quoted};
use crate::model::uuid::{UUID_BYTES, uuid_text};
use crate::model::{EpochUnit, WrittenTime};

/// What a ledger says it is; see `src/ledger/sqlite/schema.sql`.
const LEDGER_ID: i32 = 1_836_085_107;
/// How many tables there are that every ledger has.
const LEDGER_TABLES: &str = "select count(*) from sqlite_schema where type = 'table' \
    and name in ('meta', 'jobs', 'starts', 'leases', 'batches', 'deliveries', 'suppressions', 'halts')";
const LEDGER_TABLES_LEAST: i64 = 7;

async fn open(file: &Path) -> Result<SqliteConnection, DatabaseError> {
    if !file.is_file() {
        return Err(DatabaseError::Wrong { reason: format!("there is no file `{}`", file.display()) });
    }
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(false)
        .read_only(true)
        .busy_timeout(Duration::from_secs(10))
        .disable_statement_logging();
    let mut connection = SqliteConnection::connect_with(&options).await.map_err(|error| unavailable(file, &error))?;
    if is_ledger(&mut connection).await.map_err(|error| unavailable(file, &error))? {
        return Err(DatabaseError::Ledger { place: file.display().to_string() });
    }
    Ok(connection)
}

/// Whether a database is a ledger, by what it says of itself and what it holds: whatever the path, a link or a copy.
async fn is_ledger(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    let application: i32 = sqlx::query_scalar("pragma application_id").fetch_one(&mut *connection).await?;
    let tables: i64 = sqlx::query_scalar(LEDGER_TABLES).fetch_one(connection).await?;
    Ok(application == LEDGER_ID || tables >= LEDGER_TABLES_LEAST)
}

fn unavailable(file: &Path, error: &sqlx::Error) -> DatabaseError {
    let (place, reason) = (file.display().to_string(), error.to_string());
    // "File is not a database": no waiting makes it one.
    match error.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref() {
        Some("26") => DatabaseError::Refused { place, reason },
        _ => DatabaseError::Unavailable { place, reason },
    }
}

/// The columns of a table.
pub(super) async fn columns(file: &Path, table: &str) -> Result<Vec<Column>, DatabaseError> {
    let mut connection = open(file).await?;
    let failed = |error| unavailable(file, &error);
    let sql = "select name, type, \"notnull\", pk from pragma_table_info(?1)";
    let rows = sqlx::query(sql).bind(table).fetch_all(&mut connection).await.map_err(failed)?;
    let columns: Result<Vec<Column>, sqlx::Error> = rows.iter().map(column).collect();
    let columns = columns.map_err(failed)?;
    let _ = connection.close().await;
    if columns.is_empty() {
        return Err(DatabaseError::Wrong { reason: format!("{} has no table `{table}`", file.display()) });
    }
    Ok(columns)
}

fn column(row: &SqliteRow) -> Result<Column, sqlx::Error> {
    let (name, declared): (String, String) = (row.try_get(0)?, row.try_get(1)?);
    let never_null: bool = row.try_get(2)?;
    let declared = declared.to_uppercase();
    let says = |words: &[&str]| words.iter().any(|word| declared.contains(word));
    // The order is SQLite's own, with the types it does not have before.
    let kind = if says(&["BOOL"]) {
        ColumnKind::Boolean
    } else if says(&["TIMESTAMP", "DATETIME"]) {
        ColumnKind::Instant
    } else if says(&["DATE"]) {
        ColumnKind::Date
    } else if says(&["INT"]) && !says(&["POINT"]) {
        ColumnKind::Integer
    } else if says(&["CHAR", "CLOB", "TEXT"]) {
        ColumnKind::Text
    } else if says(&["REAL", "FLOA", "DOUB", "NUMERIC", "DECIMAL"]) {
        ColumnKind::Real
    } else {
        ColumnKind::Text
    };
    let is_known = kind != ColumnKind::Text || declared.is_empty() || says(&["CHAR", "CLOB", "TEXT", "UUID", "JSON"]);
    Ok(Column {
        name,
        kind,
        is_nullable: !(never_null && kind == ColumnKind::Text),
        foreign_type: (!is_known).then(|| declared.to_lowercase()),
        can_filter: matches!(kind, ColumnKind::Text | ColumnKind::Integer | ColumnKind::Real),
        declared,
    })
}

/// The words of a condition, and the values to bind.
struct Spoken {
    arguments: SqliteArguments,
    failed: Option<String>,
}

impl Words for Spoken {
    fn column(&mut self, column: &Column) -> String {
        let has_text_affinity = ["CHAR", "CLOB", "TEXT"].iter().any(|word| column.declared.contains(word));
        match column.kind {
            // Elsewhere a number is no text and equals none.
            ColumnKind::Text if !has_text_affinity => format!("cast({} as text)", quoted(&column.name)),
            _ => quoted(&column.name),
        }
    }

    fn value(&mut self, _column: &Column, value: &Value) -> String {
        let added = match value {
            Value::Text(text) => self.arguments.add(text.clone()),
            Value::Integer(number) => self.arguments.add(*number),
            Value::Real(number) => self.arguments.add(*number),
            Value::Boolean(truth) => self.arguments.add(*truth),
        };
        if let Err(error) = added {
            self.failed = Some(error.to_string());
        }
        "?".to_owned()
    }
}

/// Reads rows, as fast as they are taken.
pub(super) async fn read(file: &Path, table: &str, reading: &Reading, sender: &Sender) -> Result<(), DatabaseError> {
    let mut connection = open(file).await?;
    let failed = |error| unavailable(file, &error);
    let mut spoken = Spoken { arguments: SqliteArguments::default(), failed: None };
    let sql = statement(table, reading, &mut spoken);
    if let Some(reason) = spoken.failed {
        return Err(DatabaseError::Unavailable { place: file.display().to_string(), reason });
    }
    let mut rows = sqlx::query_with(AssertSqlSafe(sql), spoken.arguments).fetch(&mut connection);
    let mut filling = Filling::new(&reading.columns);
    while let Some(row) = rows.try_next().await.map_err(failed)? {
        filling.take_loose(&row, reading).map_err(failed)?;
        if filling.is_full() && !filling.hand_over(&reading.columns, sender).await {
            return Ok(());
        }
    }
    if filling.chunk.rows > 0 {
        filling.hand_over(&reading.columns, sender).await;
    }
    Ok(())
}

fn statement(table: &str, reading: &Reading, spoken: &mut Spoken) -> String {
    let mut columns: Vec<String> = reading.columns.iter().map(|column| quoted(&column.name)).collect();
    if columns.is_empty() {
        columns.push("1".to_owned());
    }
    let mut sql = format!("select {} from {}", columns.join(", "), quoted(table));
    let conditions: Vec<String> = reading.conditions.iter().map(|condition| condition.sql(spoken)).collect();
    if !conditions.is_empty() {
        sql += &format!(" where {}", conditions.join(" and "));
    }
    if let Some(limit) = reading.limit {
        sql += &format!(" limit {limit}");
    }
    sql
}

/// A value as it is stored.
#[derive(Clone, Debug, PartialEq)]
enum Stored {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    Bytes,
}

impl Stored {
    fn of(row: &SqliteRow, at: usize) -> Result<Self, sqlx::Error> {
        let value = row.try_get_raw(at)?;
        if value.is_null() {
            return Ok(Self::Null);
        }
        // The type of the value, not the one its column declares.
        let kind = value.type_info().name().to_owned();
        Ok(match kind.as_str() {
            "INTEGER" => Self::Integer(row.try_get_unchecked(at)?),
            "REAL" => Self::Real(row.try_get_unchecked(at)?),
            "BLOB" if row.try_get_unchecked::<Vec<u8>, _>(at)?.len() == UUID_BYTES => {
                Self::Text(uuid_text(&row.try_get_unchecked::<Vec<u8>, _>(at)?))
            }
            "BLOB" => match row.try_get_unchecked::<Vec<u8>, _>(at).map(String::from_utf8) {
                Ok(Ok(text)) => Self::Text(text),
                _ => Self::Bytes,
            },
            // A text may hold bytes that are none: SQLite does not look.
            _ => match String::from_utf8(row.try_get_unchecked::<Vec<u8>, _>(at)?) {
                Ok(text) => Self::Text(text),
                Err(bytes) => Self::Text(String::from_utf8_lossy(bytes.as_bytes()).into_owned()),
            },
        })
    }

    fn is_absent(&self) -> bool {
        match self {
            Self::Null => true,
            // An empty text in a column of numbers or times is how many programs write nothing.
            Self::Text(text) => text.trim().is_empty(),
            _ => false,
        }
    }

    fn text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text),
            Self::Integer(number) => Some(number.to_string()),
            Self::Real(number) => Some(number.to_string()),
            Self::Null | Self::Bytes => None,
        }
    }

    fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            Self::Real(number) => whole(*number),
            Self::Text(text) => text.trim().parse().ok(),
            Self::Null | Self::Bytes => None,
        }
    }

    fn real(&self) -> Option<f64> {
        match self {
            Self::Real(number) => Some(*number),
            Self::Integer(number) => Some(*number as f64),
            Self::Text(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
            Self::Null | Self::Bytes => None,
        }
    }

    fn boolean(&self) -> Option<bool> {
        match self {
            Self::Integer(0) => Some(false),
            Self::Integer(1) => Some(true),
            Self::Text(text) => match text.trim().to_lowercase().as_str() {
                "true" | "t" | "yes" | "1" => Some(true),
                "false" | "f" | "no" | "0" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }

    /// Days since 1970 of a date, a time, or a unix time.
    fn day(&self) -> Option<i64> {
        if let Self::Text(text) = self {
            // The day that stands there, whatever zone the text names.
            WrittenTime::parse(text)?;
            return text.trim().get(..10)?.parse::<Date>().ok().map(days);
        }
        Some(self.microseconds(&TimeZone::UTC)?.div_euclid(86_400_000_000))
    }

    /// Microseconds since 1970: a text, local to the zone where it names none, or a unix time, whose size tells its unit.
    fn microseconds(&self, zone: &TimeZone) -> Option<i64> {
        let unit = |size: f64| EpochUnit::of_size(size).unwrap_or(EpochUnit::Seconds);
        match self {
            Self::Integer(number) => unit(*number as f64).microseconds(*number),
            Self::Real(number) => unit(*number).microseconds_of(*number),
            Self::Text(text) => WrittenTime::parse(text)?.instant(zone),
            Self::Null | Self::Bytes => None,
        }
    }
}

fn whole(number: f64) -> Option<i64> {
    const LARGEST: f64 = 9_007_199_254_740_992.0;
    #[expect(clippy::cast_possible_truncation, reason = "the number is whole and within 53 bits")]
    (number.fract() == 0.0 && number.abs() <= LARGEST).then_some(number as i64)
}

fn days(date: Date) -> i64 {
    const EPOCH: Date = jiff::civil::date(1970, 1, 1);
    i64::from(EPOCH.until(date).map_or(0, |span| span.get_days()))
}

impl Filling {
    fn take_loose(&mut self, row: &SqliteRow, reading: &Reading) -> Result<(), sqlx::Error> {
        for (at, (values, column)) in self.chunk.values.iter_mut().zip(&reading.columns).enumerate() {
            let stored = Stored::of(row, at)?;
            let is_absent = stored.is_absent();
            let is_null = match values {
                Values::Texts(texts) => {
                    // An empty text is a text.
                    let is_bytes = stored == Stored::Bytes;
                    let text = stored.text();
                    self.bytes += text.as_ref().map_or(0, String::len);
                    texts.push(text);
                    is_bytes
                }
                Values::Integers(numbers) => {
                    let number = match column.kind {
                        ColumnKind::Date => stored.day(),
                        ColumnKind::LocalTime | ColumnKind::Instant => stored.microseconds(&reading.zone),
                        _ => stored.integer(),
                    };
                    numbers.push(number);
                    number.is_none()
                }
                Values::Reals(numbers) => {
                    let number = stored.real();
                    numbers.push(number);
                    number.is_none()
                }
                Values::Booleans(truths) => {
                    let truth = stored.boolean();
                    truths.push(truth);
                    truth.is_none()
                }
            };
            self.chunk.misfits[at] += u64::from(is_null && !is_absent);
        }
        self.chunk.rows += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_any_type_become_what_their_column_declares() {
        let text = |text: &str| Stored::Text(text.to_owned());
        for (stored, expected) in [
            (text("2026-11-01T06:00:00Z"), Some(1_793_512_800_000_000)),
            (text("2026-11-01 07:00:00+01:00"), Some(1_793_512_800_000_000)),
            (text("2026-11-01 06:00:00.5"), Some(1_793_512_800_500_000)),
            (Stored::Integer(1_793_512_800), Some(1_793_512_800_000_000)),
            (Stored::Integer(1_793_512_800_000), Some(1_793_512_800_000_000)),
            (Stored::Real(1_793_512_800.5), Some(1_793_512_800_500_000)),
            (Stored::Integer(1_793_512_800_000_000), Some(1_793_512_800_000_000)),
            (Stored::Real(f64::INFINITY), None),
            (text("soon"), None),
            (Stored::Bytes, None),
        ] {
            assert_eq!(stored.microseconds(&TimeZone::UTC), expected, "{stored:?}");
        }
        let paris = TimeZone::get("Europe/Paris").expect("a zone");
        for (stored, expected) in [
            (text("2026-11-01 07:00:00"), 1_793_512_800_000_000),
            (text("2026-11-01 06:00:00 UTC"), 1_793_512_800_000_000),
            (Stored::Integer(1_793_512_800), 1_793_512_800_000_000),
        ] {
            assert_eq!(stored.microseconds(&paris), Some(expected), "{stored:?}");
        }
        assert_eq!(text("1969-12-31").day(), Some(-1));
        assert_eq!(text("2026-11-01 23:59:59").day(), Some(20_758));
        assert_eq!((text(" 7 ").integer(), Stored::Real(7.5).integer(), text("x").integer()), (Some(7), None, None));
        assert_eq!((text("true").boolean(), Stored::Integer(2).boolean()), (Some(true), None));
        assert_eq!((text("1e3").real(), text("inf").real()), (Some(1000.0), None));
    }
}
