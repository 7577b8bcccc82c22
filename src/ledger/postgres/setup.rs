//! Making a ledger's schema, bringing an older one to the present format, and knowing one before it is used.
//!
//! Making is the same as bringing nothing to the present format: one transaction, under a lock that two processes never
//! have at once.

use sqlx::PgConnection;

use super::PostgresLedger;
use super::link::{Link, Place};
use super::stored_ids;
use crate::clock::{Clock, random_bytes};
use crate::ledger::identity::{hexadecimal, key_from_hexadecimal};
use crate::ledger::{Identity, LedgerError, Owner};

/// The format this version reads and writes.
const FORMAT_VERSION: u32 = 4;
/// By the format it leads to: the script that leads there from the one before. Formats are those of SQLite's ledgers; the
/// first in PostgreSQL is 2.
const STEPS: [(u32, &str); 2] = [(2, include_str!("schema.sql")), (3, include_str!("format_3.sql"))];
/// The first format in which ids that hold an address are hashes.
const HASHES_IDS: u32 = 4;
/// What two processes that make or change a schema wait for: the first letters of the name, with the schema's hash.
const LOCK_CLASS: i32 = 0x6d69_6c65;

/// Opens an existing ledger.
pub(super) async fn connect(place: Place, owner: &Owner) -> Result<PostgresLedger, LedgerError> {
    let mut connection = place.connect().await?;
    let facts = facts(&place, &mut connection).await?;
    let Some(facts) = facts else { return Err(LedgerError::Missing { location: place.shown }) };
    let (found, identity, version) = understand(&place, &facts)?;
    if let Some(reason) = found.differs_from(owner) {
        return Err(LedgerError::Foreign { location: place.shown, reason });
    }
    if version < FORMAT_VERSION {
        migrate(&place, &mut connection).await?;
    }
    Ok(PostgresLedger {
        owner: found,
        identity,
        writer: Link::new(place.clone(), Some(connection)),
        reader: Link::new(place.clone(), None),
        place,
    })
}

/// Brings an older ledger to the present format; whoever waited for another process finds the work done.
async fn migrate(place: &Place, connection: &mut PgConnection) -> Result<(), LedgerError> {
    let said = |error: sqlx::Error| place.said(&error);
    begin_alone(place, connection).await.map_err(said)?;
    let facts = facts(place, connection).await?.unwrap_or_default();
    let (_, identity, version) = understand(place, &facts)?;
    climb(connection, version).await.map_err(said)?;
    if version < HASHES_IDS {
        stored_ids::rewrite(connection, &identity).await.map_err(said)?;
    }
    sqlx::raw_sql("commit").execute(connection).await.map_err(said)?;
    Ok(())
}

/// Begins a transaction that no other process is in which makes or changes this schema.
async fn begin_alone(place: &Place, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql("begin").execute(&mut *connection).await?;
    let sql = "select pg_advisory_xact_lock($1, hashtext($2))";
    sqlx::query(sql).bind(LOCK_CLASS).bind(&place.schema).execute(connection).await.map(|_| ())
}

/// Takes every step that leads beyond a format.
async fn climb(connection: &mut PgConnection, from: u32) -> Result<(), sqlx::Error> {
    for (_, script) in STEPS.iter().filter(|(to, _)| *to > from) {
        sqlx::raw_sql(*script).execute(&mut *connection).await?;
    }
    let sql = "insert into meta (key, value) values ('format_version', $1)
        on conflict (key) do update set value = excluded.value";
    sqlx::query(sql).bind(FORMAT_VERSION.to_string()).execute(connection).await.map(|_| ())
}

/// The rows of `meta`; `None` where there is no ledger.
pub(super) async fn facts(
    place: &Place,
    connection: &mut PgConnection,
) -> Result<Option<Vec<(String, String)>>, LedgerError> {
    let said = |error: sqlx::Error| place.said(&error);
    let encoding: String = sqlx::query_scalar("select current_setting('server_encoding')")
        .fetch_one(&mut *connection)
        .await
        .map_err(said)?;
    if encoding != "UTF8" {
        return Err(
            place.unavailable(format!("its database is encoded in {encoding}: make one with `createdb -E UTF8`"))
        );
    }
    let exists: bool =
        sqlx::query_scalar("select to_regclass('meta') is not null").fetch_one(&mut *connection).await.map_err(said)?;
    if !exists {
        return Ok(None);
    }
    sqlx::query_as("select key, value from meta").fetch_all(connection).await.map(Some).map_err(said)
}

/// Whose ledger it is, its secret, and its format.
fn understand(place: &Place, facts: &[(String, String)]) -> Result<(Owner, Identity, u32), LedgerError> {
    let fact = |wanted: &str| facts.iter().find(|(key, _)| key == wanted).map(|(_, value)| value.as_str());
    let version = fact("format_version").and_then(|text| text.parse::<u32>().ok());
    let Some(version) = version.filter(|version| *version <= FORMAT_VERSION) else {
        let found = fact("format_version").unwrap_or("unknown");
        let reason =
            format!("has format {found}, and this version of milepost reads up to {FORMAT_VERSION}: upgrade milepost");
        return Err(LedgerError::Foreign { location: place.shown.clone(), reason });
    };
    let damaged = || place.unavailable("its table `meta` is damaged: restore it from a backup");
    let project = fact("project").ok_or_else(damaged)?.to_owned();
    let key = fact("identity_key").and_then(key_from_hexadecimal).ok_or_else(damaged)?;
    let identity = Identity::new(key, project.clone());
    Ok((Owner { project, environment: fact("environment").map(str::to_owned) }, identity, version))
}

/// Makes the schema and its tables in one transaction; of two that try at once, one finds it made.
pub(super) async fn create(place: &Place, owner: &Owner) -> Result<(), LedgerError> {
    let key =
        random_bytes::<32>().map_err(|error| place.unavailable(format!("no random key could be made: {error}")))?;
    let fact = |name: &str, value: String| (name.to_owned(), value);
    let mut facts = vec![
        fact("project", owner.project.clone()),
        fact("created_at", format!("{:.6}", Clock::System.now())),
        fact("identity_key", hexadecimal(&key)),
    ];
    facts.extend(owner.environment.clone().map(|environment| fact("environment", environment)));
    let mut connection = begin_copy(place, &facts).await?;
    sqlx::raw_sql("commit").execute(&mut connection).await.map_err(|error| place.said(&error))?;
    Ok(())
}

/// Begins the transaction that makes the schema and its tables, with these facts; whoever commits it has made a ledger.
pub(super) async fn begin_copy(place: &Place, given: &[(String, String)]) -> Result<PgConnection, LedgerError> {
    let mut connection = place.connect().await?;
    let said = |error: sqlx::Error| place.said(&error);
    begin_alone(place, &mut connection).await.map_err(said)?;
    if facts(place, &mut connection).await?.is_some() {
        return Err(LedgerError::Exists { location: place.shown.clone() });
    }
    let sql = "select exists (select from pg_catalog.pg_namespace where nspname = $1)";
    let exists: bool = sqlx::query_scalar(sql).bind(&place.schema).fetch_one(&mut connection).await.map_err(said)?;
    // PostgreSQL asks for the right to make schemas even where there is one and `if not exists` makes none.
    if !exists {
        // The name was checked: lower-case letters, digits and `_`.
        let schema = sqlx::AssertSqlSafe(format!("create schema {}", place.schema));
        sqlx::raw_sql(schema).execute(&mut connection).await.map_err(said)?;
    }
    climb(&mut connection, 0).await.map_err(said)?;
    for (key, value) in given.iter().filter(|(key, _)| key != "format_version") {
        let write = sqlx::query("insert into meta (key, value) values ($1, $2)").bind(key).bind(value);
        write.execute(&mut connection).await.map_err(said)?;
    }
    Ok(connection)
}
