//! Suppressions, forgetting a person, and halts: what people tell the ledger while runs go on.

use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};

use super::{SqliteLedger, stored};
use crate::ledger::{Erased, Halt, LedgerError, SuppressionChange, SuppressionRow, SuppressionSubject};
use crate::model::SuppressionReason;

const PROFILE: &str = "profile";
const ADDRESS: &str = "address";

/// The key of a subject as it is stored.
fn key_of(ledger: &SqliteLedger, subject: &SuppressionSubject) -> (&'static str, String) {
    match subject {
        SuppressionSubject::Profile(id) => (PROFILE, ledger.identity.stored_profile_id(id)),
        SuppressionSubject::Address(hash) => (ADDRESS, hash.clone()),
    }
}

const UPSERT: &str =
    "insert into suppressions (kind, subject, reason, job, origin, created_at) values (?, ?, ?, ?, ?, ?)
    on conflict (kind, subject, reason, job) do update set lifted_at = null, origin = excluded.origin,
        created_at = case when lifted_at is null then created_at else excluded.created_at end";

pub(super) async fn suppress(ledger: &SqliteLedger, change: &SuppressionChange) -> Result<(), LedgerError> {
    let (kind, subject) = key_of(ledger, &change.subject);
    let reason = change.reason.ok_or_else(|| ledger.unavailable("a suppression needs a reason"))?;
    let mut writer = ledger.writer.lock().await;
    ledger.begin(&mut writer).await?;
    let done = sqlx::query(UPSERT)
        .bind(kind)
        .bind(subject)
        .bind(reason.name())
        .bind(change.job.as_deref().unwrap_or_default())
        .bind(&change.origin)
        .bind(stored(change.at))
        .execute(&mut writer.connection)
        .await;
    ledger.end_whole(&mut writer, done.map(|_| ()).map_err(|error| ledger.said(&error))).await
}

pub(super) async fn unsuppress(ledger: &SqliteLedger, change: &SuppressionChange) -> Result<u64, LedgerError> {
    let (kind, subject) = key_of(ledger, &change.subject);
    let mut query = QueryBuilder::<Sqlite>::new("update suppressions set lifted_at = ");
    query.push_bind(stored(change.at)).push(" where lifted_at is null and reason <> 'erase' and kind = ");
    query.push_bind(kind).push(" and subject = ").push_bind(subject);
    if let Some(reason) = change.reason {
        query.push(" and reason = ").push_bind(reason.name());
    }
    if let Some(job) = &change.job {
        query.push(" and job = ").push_bind(job);
    }
    let mut writer = ledger.writer.lock().await;
    ledger.begin(&mut writer).await?;
    let done = query.build().persistent(false).execute(&mut writer.connection).await;
    let done = done.map(|done| done.rows_affected()).map_err(|error| ledger.said(&error));
    ledger.end_whole(&mut writer, done).await
}

pub(super) async fn suppressions(
    ledger: &SqliteLedger,
    subject: Option<&SuppressionSubject>,
) -> Result<Vec<SuppressionRow>, LedgerError> {
    let mut query = QueryBuilder::<Sqlite>::new(
        "select kind, subject, reason, job, origin, created_at, lifted_at from suppressions where true",
    );
    if let Some(subject) = subject {
        let (kind, key) = key_of(ledger, subject);
        query.push(" and kind = ").push_bind(kind).push(" and subject in (").push_bind(key);
        if let SuppressionSubject::Profile(id) = subject {
            query.push(", ").push_bind(ledger.identity.erased_profile_id(id));
        }
        query.push(")");
    }
    query.push(" order by created_at desc, kind, subject, reason, job");
    let mut reader = ledger.reader.lock().await;
    let rows = query.build().persistent(false).fetch_all(&mut *reader).await.map_err(|error| ledger.said(&error))?;
    rows.iter().map(|row| understood(ledger, row)).collect()
}

fn understood(ledger: &SqliteLedger, row: &SqliteRow) -> Result<SuppressionRow, LedgerError> {
    let said = |error: sqlx::Error| ledger.said(&error);
    let reason: &str = row.try_get(2).map_err(said)?;
    let job: String = row.try_get(3).map_err(said)?;
    let lifted_at: Option<&str> = row.try_get(6).map_err(said)?;
    Ok(SuppressionRow {
        kind: row.try_get(0).map_err(said)?,
        subject: row.try_get(1).map_err(said)?,
        reason: SuppressionReason::from_name(reason)
            .ok_or_else(|| ledger.unavailable(format!("it has a suppression `{reason}`, which does not exist")))?,
        job: Some(job).filter(|job| !job.is_empty()),
        origin: row.try_get(4).map_err(said)?,
        created_at: ledger.instant(row.try_get(5).map_err(said)?)?,
        lifted_at: lifted_at.map(|text| ledger.instant(text)).transpose()?,
    })
}

pub(super) async fn erase(ledger: &SqliteLedger, profile_id: &str, at: Timestamp) -> Result<Erased, LedgerError> {
    let ids = (ledger.identity.stored_profile_id(profile_id), ledger.identity.erased_profile_id(profile_id));
    let mut writer = ledger.writer.lock().await;
    ledger.begin(&mut writer).await?;
    let done = forget(&mut writer.connection, &ids, &stored(at)).await.map_err(|error| ledger.said(&error));
    ledger.end_whole(&mut writer, done).await
}

/// Addresses are kept as hashes, so that the person stays unmailed under another id too.
async fn forget(
    connection: &mut SqliteConnection,
    (stored_id, erased_id): &(String, String),
    now: &str,
) -> Result<Erased, sqlx::Error> {
    let addresses: Vec<String> = sqlx::query_scalar(
        "select distinct address_hash from deliveries where profile_id = ? and address_hash is not null",
    )
    .bind(stored_id)
    .fetch_all(&mut *connection)
    .await?;
    let subjects = addresses.iter().map(|hash| (ADDRESS, hash)).chain([(PROFILE, erased_id)]);
    for (kind, subject) in subjects {
        let insert = sqlx::query(UPSERT).bind(kind).bind(subject).bind(SuppressionReason::Erase.name()).bind("");
        insert.bind("erase").bind(now).execute(&mut *connection).await?;
    }
    sqlx::query("delete from suppressions where kind = 'profile' and subject = ? and reason <> 'erase'")
        .bind(stored_id)
        .execute(&mut *connection)
        .await?;
    // The delivery's id stays: an outcome that is still under way finds it.
    let buried = "update deliveries set profile_id = ?2, reason = 'erased', level = null, provider_message_id = null,
        address_hash = null, body_hash = null, variant = null, updated_at = ?3 where profile_id = ?1";
    let buried = sqlx::query(buried).bind(stored_id).bind(erased_id).bind(now).execute(connection).await?;
    Ok(Erased { deliveries: buried.rows_affected(), addresses: addresses.len() as u64 })
}

pub(super) async fn halt(ledger: &SqliteLedger, halt: &Halt) -> Result<(), LedgerError> {
    let mut writer = ledger.writer.lock().await;
    ledger.begin(&mut writer).await?;
    let done = sqlx::query(
        "insert into halts (job, reason, halted_at) values (?, ?, ?)
        on conflict (job) do update set reason = excluded.reason",
    )
    .bind(halt.job.as_deref().unwrap_or_default())
    .bind(&halt.reason)
    .bind(stored(halt.halted_at))
    .execute(&mut writer.connection)
    .await;
    ledger.end_whole(&mut writer, done.map(|_| ()).map_err(|error| ledger.said(&error))).await
}

pub(super) async fn resume(ledger: &SqliteLedger, job: Option<&str>) -> Result<bool, LedgerError> {
    let mut writer = ledger.writer.lock().await;
    ledger.begin(&mut writer).await?;
    let lifted = sqlx::query("delete from halts where job = ?")
        .bind(job.unwrap_or_default())
        .execute(&mut writer.connection)
        .await;
    let lifted = lifted.map(|done| done.rows_affected() > 0).map_err(|error| ledger.said(&error));
    ledger.end_whole(&mut writer, lifted).await
}

pub(super) async fn halts(ledger: &SqliteLedger) -> Result<Vec<Halt>, LedgerError> {
    let mut reader = ledger.reader.lock().await;
    let rows = read_halts(&mut reader, None).await.map_err(|error| ledger.said(&error))?;
    rows.into_iter().map(|row| understood_halt(ledger, row)).collect()
}

/// A halt before its instant is understood.
pub(super) type StoredHalt = (String, Option<String>, String);

/// The halts that stand against a job (`None`: any), the one of all jobs first.
pub(super) async fn read_halts(
    connection: &mut SqliteConnection,
    job: Option<&str>,
) -> Result<Vec<StoredHalt>, sqlx::Error> {
    sqlx::query_as("select job, reason, halted_at from halts where ?1 is null or job in ('', ?1) order by job")
        .bind(job)
        .fetch_all(connection)
        .await
}

pub(super) fn understood_halt(
    ledger: &SqliteLedger,
    (job, reason, halted_at): StoredHalt,
) -> Result<Halt, LedgerError> {
    let job = Some(job).filter(|job| !job.is_empty());
    Ok(Halt { job, reason, halted_at: ledger.instant(&halted_at)? })
}
