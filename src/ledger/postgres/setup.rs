//! Making a ledger's schema, whole or not at all, and knowing one before it is used.

use sqlx::PgConnection;

use super::PostgresLedger;
use super::link::{Link, Place};
use crate::clock::{Clock, random_bytes};
use crate::ledger::identity::{hexadecimal, key_from_hexadecimal};
use crate::ledger::{Identity, LedgerError, Owner};

/// The format this version reads and writes.
const FORMAT_VERSION: u32 = 1;
/// What two processes that make or change a schema wait for: the first letters of the name, with the schema's hash.
const LOCK_CLASS: i32 = 0x6d69_6c65;

/// Opens an existing ledger.
pub(super) async fn connect(place: Place, owner: &Owner) -> Result<PostgresLedger, LedgerError> {
    let mut connection = place.connect().await?;
    let facts = facts(&place, &mut connection).await?;
    let Some(facts) = facts else { return Err(LedgerError::Missing { location: place.shown }) };
    let (found, identity) = understand(&place, &facts)?;
    if let Some(reason) = found.differs_from(owner) {
        return Err(LedgerError::Foreign { location: place.shown, reason });
    }
    Ok(PostgresLedger {
        owner: found,
        identity,
        writer: Link::new(place.clone(), Some(connection)),
        reader: Link::new(place.clone(), None),
        place,
    })
}

/// The rows of `meta`; `None` where there is no ledger.
async fn facts(place: &Place, connection: &mut PgConnection) -> Result<Option<Vec<(String, String)>>, LedgerError> {
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

/// Whose ledger it is, and its secret.
fn understand(place: &Place, facts: &[(String, String)]) -> Result<(Owner, Identity), LedgerError> {
    let fact = |wanted: &str| facts.iter().find(|(key, _)| key == wanted).map(|(_, value)| value.as_str());
    let version = fact("format_version").and_then(|text| text.parse::<u32>().ok());
    if version.is_none_or(|version| version > FORMAT_VERSION) {
        let found = fact("format_version").unwrap_or("unknown");
        let reason =
            format!("has format {found}, and this version of milepost reads up to {FORMAT_VERSION}: upgrade milepost");
        return Err(LedgerError::Foreign { location: place.shown.clone(), reason });
    }
    let damaged = || place.unavailable("its table `meta` is damaged: restore it from a backup");
    let project = fact("project").ok_or_else(damaged)?.to_owned();
    let key = fact("identity_key").and_then(key_from_hexadecimal).ok_or_else(damaged)?;
    let identity = Identity::new(key, project.clone());
    Ok((Owner { project, environment: fact("environment").map(str::to_owned) }, identity))
}

/// Makes the schema and its tables in one transaction; of two that try at once, one finds it made.
pub(super) async fn create(place: &Place, owner: &Owner) -> Result<(), LedgerError> {
    let mut connection = place.connect().await?;
    let said = |error: sqlx::Error| place.said(&error);
    sqlx::raw_sql("begin").execute(&mut connection).await.map_err(said)?;
    sqlx::query("select pg_advisory_xact_lock($1, hashtext($2))")
        .bind(LOCK_CLASS)
        .bind(&place.schema)
        .execute(&mut connection)
        .await
        .map_err(said)?;
    if facts(place, &mut connection).await?.is_some() {
        return Err(LedgerError::Exists { location: place.shown.clone() });
    }
    fill(place, &mut connection, owner).await?;
    sqlx::raw_sql("commit").execute(&mut connection).await.map_err(said)?;
    Ok(())
}

async fn fill(place: &Place, connection: &mut PgConnection, owner: &Owner) -> Result<(), LedgerError> {
    let said = |error: sqlx::Error| place.said(&error);
    let key =
        random_bytes::<32>().map_err(|error| place.unavailable(format!("no random key could be made: {error}")))?;
    // The name was checked: lower-case letters, digits and `_`.
    let schema = sqlx::AssertSqlSafe(format!("create schema if not exists {}", place.schema));
    sqlx::raw_sql(schema).execute(&mut *connection).await.map_err(said)?;
    sqlx::raw_sql(include_str!("schema.sql")).execute(&mut *connection).await.map_err(said)?;
    let created_at = format!("{:.6}", Clock::System.now());
    let facts = [
        ("format_version", Some(FORMAT_VERSION.to_string())),
        ("project", Some(owner.project.clone())),
        ("environment", owner.environment.clone()),
        ("created_at", Some(created_at)),
        ("identity_key", Some(hexadecimal(&key))),
    ];
    for (name, value) in facts {
        let Some(value) = value else { continue };
        sqlx::query("insert into meta (key, value) values ($1, $2)")
            .bind(name)
            .bind(value)
            .execute(&mut *connection)
            .await
            .map_err(said)?;
    }
    Ok(())
}
