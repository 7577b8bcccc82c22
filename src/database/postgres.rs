//! Tables of a PostgreSQL server. The server converts values to the few types that travel, and does so before they do.

use std::time::Duration;

use futures::TryStreamExt;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgRow};
use sqlx::{Arguments, AssertSqlSafe, ConnectOptions, Connection, PgConnection, Row};

use super::condition::{Value, Words};
use super::{Column, ColumnKind, DatabaseError, Filling, Reading, Sender, Values, quoted};
use crate::settings::Secret;

/// How long a connection may take to be made.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// What every session is told; it ends by itself when its reader is stopped for long.
const SESSION: [(&str, &str); 4] = [
    ("default_transaction_read_only", "on"),
    ("idle_in_transaction_session_timeout", "10min"),
    ("timezone", "UTC"),
    ("client_min_messages", "warning"),
];
/// Dates and times of the years that a calendar has; no infinity is among them.
const ORDINARY: &str = "between '0001-01-01' and '9999-12-30'";
/// How many tables that every ledger has lie in the schema of a relation: whatever its URL, role and name, such a schema is a
/// ledger's.
const LEDGER_TABLES: &str = "select count(*) from pg_catalog.pg_class as other \
    join pg_catalog.pg_class as named on named.relnamespace = other.relnamespace \
    where named.oid = to_regclass($1) \
    and other.relname in ('meta', 'jobs', 'starts', 'leases', 'batches', 'deliveries', 'suppressions', 'halts')";
const LEDGER_TABLES_LEAST: i64 = 7;
/// The columns of a relation, and the type below each domain.
const COLUMNS: &str = include_str!("postgres_columns.sql");

/// A connection and what it is called.
struct Link {
    connection: PgConnection,
    shown: String,
}

impl Link {
    async fn open(url: &Secret) -> Result<Self, DatabaseError> {
        // The text is not repeated: it holds a password.
        let refused = || DatabaseError::Wrong {
            reason: "its URL is wrong: write `postgres://ACCOUNT:PASSWORD@HOST:PORT/DATABASE`".to_owned(),
        };
        let text = url.expose().trim();
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Err(refused());
        }
        let options: PgConnectOptions = text.parse().map_err(|_| refused())?;
        let database = options.get_database().unwrap_or(options.get_username());
        let shown = format!("postgres://{}:{}/{database}", options.get_host(), options.get_port());
        let options = options.options(SESSION).application_name("milepost").disable_statement_logging();
        match tokio::time::timeout(CONNECT_WITHIN, PgConnection::connect_with(&options)).await {
            Ok(Ok(connection)) => Ok(Self { connection, shown }),
            Ok(Err(error)) => Err(unavailable(&shown, &error)),
            Err(_) => {
                let reason = format!("it did not answer within {} s", CONNECT_WITHIN.as_secs());
                Err(DatabaseError::Unavailable { place: shown, reason })
            }
        }
    }
}

fn unavailable(shown: &str, error: &sqlx::Error) -> DatabaseError {
    let code = error.as_database_error().and_then(|error| Some(error.code()?.into_owned()));
    let advice = match (code.as_deref(), error) {
        (Some("28P01" | "28000"), _) => "it refuses this account: see the name and the password in `url`",
        (Some("3D000"), _) => "it has no such database",
        (Some("42501"), _) => "this account may not read the table: grant it `select`",
        (Some("42P01" | "42703"), _) => "the table or a column of it went away meanwhile: run `milepost check`",
        (Some("53300"), _) => "it has no connection left: close some, then run again",
        (Some("57014"), _) => "it took too long: see what else it does, then run again",
        (Some("57P01" | "57P02" | "57P03"), _) => "it is stopping or starting: run again once it is up",
        (_, sqlx::Error::Io(_)) => "the connection was refused or lost: see that it runs, then run again",
        (_, sqlx::Error::Tls(_)) => "no safe connection could be made: see `sslmode` in `url`",
        _ => "it says",
    };
    DatabaseError::Unavailable { place: shown.to_owned(), reason: format!("{advice} ({error})") }
}

/// The columns of a table.
pub(super) async fn columns(url: &Secret, table: &str) -> Result<Vec<Column>, DatabaseError> {
    let mut link = Link::open(url).await?;
    let failed = |shown: &str| {
        let shown = shown.to_owned();
        move |error: sqlx::Error| unavailable(&shown, &error)
    };
    let failed = failed(&link.shown);
    let beside: i64 = sqlx::query_scalar(LEDGER_TABLES)
        .bind(relation(table))
        .fetch_one(&mut link.connection)
        .await
        .map_err(&failed)?;
    if beside >= LEDGER_TABLES_LEAST {
        return Err(DatabaseError::Ledger { place: link.shown });
    }
    let rows = sqlx::query(COLUMNS).bind(relation(table)).fetch_all(&mut link.connection).await.map_err(&failed)?;
    let columns: Result<Vec<Column>, sqlx::Error> = rows.iter().map(column).collect();
    let columns = columns.map_err(&failed)?;
    let _ = link.connection.close().await;
    if columns.is_empty() {
        return Err(DatabaseError::Wrong { reason: format!("{} has no table `{table}`", link.shown) });
    }
    Ok(columns)
}

/// `SCHEMA.TABLE` with both parts quoted.
fn relation(table: &str) -> String {
    table.split('.').map(quoted).collect::<Vec<_>>().join(".")
}

fn column(row: &PgRow) -> Result<Column, sqlx::Error> {
    let (name, declared, modifier): (String, String, i32) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let never_null: bool = row.try_get(3)?;
    let kind = match declared.as_str() {
        "int2" | "int4" | "int8" => ColumnKind::Integer,
        "float4" | "float8" => ColumnKind::Real,
        "numeric" => numeric(modifier),
        "bool" => ColumnKind::Boolean,
        "date" => ColumnKind::Date,
        "timestamp" => ColumnKind::LocalTime,
        "timestamptz" => ColumnKind::Instant,
        _ => ColumnKind::Text,
    };
    let is_known = kind != ColumnKind::Text
        || ["text", "varchar", "bpchar", "char", "name", "citext", "uuid", "json", "jsonb"]
            .contains(&declared.as_str());
    // Infinities and not-a-number are null here.
    let may_misfit =
        matches!(kind, ColumnKind::Date | ColumnKind::LocalTime | ColumnKind::Instant) || declared == "numeric";
    Ok(Column {
        name,
        kind,
        is_nullable: !never_null || may_misfit,
        foreign_type: (!is_known).then(|| declared.clone()),
        can_filter: declared != "numeric" && declared != "bpchar" && declared != "float4",
        declared,
    })
}

/// `numeric(10,2)` is a decimal number; a `numeric` without bounds is a double.
fn numeric(modifier: i32) -> ColumnKind {
    let bounds = modifier - 4;
    let (precision, scale) = ((bounds >> 16) & 0xffff, bounds & 0x7ff);
    match (u8::try_from(precision), i8::try_from(scale)) {
        (Ok(precision @ 1..=38), Ok(scale)) if modifier >= 4 && i32::from(precision) >= i32::from(scale) => {
            ColumnKind::Decimal { precision, scale }
        }
        _ => ColumnKind::Real,
    }
}

/// A column's value as one of the types that travel.
fn wanted(column: &Column) -> String {
    let name = quoted(&column.name);
    match column.kind {
        ColumnKind::Text => format!("{name}::text"),
        ColumnKind::Integer => format!("{name}::int8"),
        ColumnKind::Real if column.declared == "numeric" => format!("nullif({name}, 'NaN')::float8"),
        ColumnKind::Real => format!("{name}::float8"),
        ColumnKind::Decimal { .. } => format!("nullif({name}, 'NaN')::text"),
        ColumnKind::Boolean => name,
        ColumnKind::Date => format!("case when {name} {ORDINARY} then ({name} - date '1970-01-01')::int8 end"),
        ColumnKind::Instant | ColumnKind::LocalTime => {
            format!("case when {name} {ORDINARY} then (extract(epoch from {name}) * 1000000)::int8 end")
        }
    }
}

/// Whether the value was there and became null.
fn misfit(column: &Column) -> Option<String> {
    let name = quoted(&column.name);
    match column.kind {
        ColumnKind::Date | ColumnKind::Instant | ColumnKind::LocalTime => Some(format!("not ({name} {ORDINARY})")),
        _ if column.declared == "numeric" => Some(format!("{name} = 'NaN'")),
        _ => None,
    }
}

/// The words of a condition, and the values to bind.
struct Spoken {
    arguments: PgArguments,
    failed: Option<String>,
}

impl Words for Spoken {
    fn column(&mut self, column: &Column) -> String {
        match column.declared.as_str() {
            "text" | "varchar" => quoted(&column.name),
            _ if column.kind == ColumnKind::Text => format!("{}::text", quoted(&column.name)),
            _ => quoted(&column.name),
        }
    }

    fn value(&mut self, column: &Column, value: &Value) -> String {
        let added = match value {
            Value::Text(text) => self.arguments.add(text.as_str()),
            Value::Integer(number) => self.arguments.add(*number),
            Value::Real(number) => self.arguments.add(*number),
            Value::Boolean(truth) => self.arguments.add(*truth),
        };
        if let Err(error) = added {
            self.failed = Some(error.to_string());
        }
        let at = self.arguments.len();
        match column.kind {
            ColumnKind::Date => format!("date '1970-01-01' + ${at}::int8::int4"),
            ColumnKind::Instant => format!("timestamptz 'epoch' + ${at}::int8 * interval '1 microsecond'"),
            ColumnKind::LocalTime => format!("timestamp 'epoch' + ${at}::int8 * interval '1 microsecond'"),
            _ => format!("${at}"),
        }
    }
}

/// Reads rows in one read-only transaction, as fast as they are taken.
pub(super) async fn read(url: &Secret, table: &str, reading: &Reading, sender: &Sender) -> Result<(), DatabaseError> {
    let mut link = Link::open(url).await?;
    let shown = link.shown.clone();
    let mut spoken = Spoken { arguments: PgArguments::default(), failed: None };
    let sql = statement(table, reading, &mut spoken);
    if let Some(reason) = spoken.failed {
        return Err(DatabaseError::Unavailable { place: shown, reason });
    }
    let failed = |error| unavailable(&shown, &error);
    let mut transaction = link.connection.begin().await.map_err(failed)?;
    let mut rows = sqlx::query_with(AssertSqlSafe(sql), spoken.arguments).fetch(&mut *transaction);
    let mut filling = Filling::new(&reading.columns);
    while let Some(row) = rows.try_next().await.map_err(failed)? {
        filling.take(&row, &reading.columns).map_err(failed)?;
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
    let mut columns: Vec<String> = reading.columns.iter().map(wanted).collect();
    let misfits: Vec<String> = reading.columns.iter().filter_map(misfit).collect();
    let counted: Vec<String> = misfits.iter().map(|misfit| format!("coalesce(({misfit})::int4, 0)")).collect();
    columns.push(if counted.is_empty() { "0::int4".to_owned() } else { counted.join(" + ") });
    let mut sql = format!("select {} from {}", columns.join(", "), relation(table));
    let conditions: Vec<String> = reading.conditions.iter().map(|condition| condition.sql(spoken)).collect();
    if !conditions.is_empty() {
        sql += &format!(" where {}", conditions.join(" and "));
    }
    if let Some(limit) = reading.limit {
        sql += &format!(" limit {limit}");
    }
    sql
}

impl Filling {
    fn take(&mut self, row: &PgRow, columns: &[Column]) -> Result<(), sqlx::Error> {
        for (at, values) in self.chunk.values.iter_mut().enumerate() {
            match values {
                Values::Texts(texts) => {
                    let text: Option<String> = row.try_get(at)?;
                    self.bytes += text.as_ref().map_or(0, String::len);
                    texts.push(text);
                }
                Values::Integers(numbers) => numbers.push(row.try_get(at)?),
                Values::Reals(numbers) => numbers.push(row.try_get(at)?),
                Values::Booleans(truths) => truths.push(row.try_get(at)?),
            }
        }
        let misfits: i32 = row.try_get(columns.len())?;
        self.chunk.infinite += u64::try_from(misfits).unwrap_or(0);
        self.chunk.rows += 1;
        Ok(())
    }
}
