//! Suppressions, forgetting a person, and halts: what people tell the ledger while runs go on.

use jiff::Timestamp;
use sqlx::{PgConnection, QueryBuilder};

use super::PostgresLedger;
use super::values::{Moment, perhaps, text};
use crate::ledger::{Erased, Halt, LedgerError, SuppressionChange, SuppressionRow, SuppressionSubject};
use crate::model::SuppressionReason;

const PROFILE: &str = "profile";
const ADDRESS: &str = "address";

/// The key of a subject as it is stored.
fn key_of(ledger: &PostgresLedger, subject: &SuppressionSubject) -> (&'static str, String) {
    match subject {
        SuppressionSubject::Profile(id) => (PROFILE, ledger.identity.stored_profile_id(id)),
        SuppressionSubject::Address(hash) => (ADDRESS, hash.clone()),
    }
}

const UPSERT: &str =
    "insert into suppressions (kind, subject, reason, job, origin, created_at) values ($1, $2, $3, $4, $5, $6)
    on conflict (kind, subject, reason, job) do update set lifted_at = null, origin = excluded.origin,
        created_at = case when suppressions.lifted_at is null then suppressions.created_at else excluded.created_at end";

pub(super) async fn suppress(ledger: &PostgresLedger, change: &SuppressionChange) -> Result<(), LedgerError> {
    let (kind, subject) = key_of(ledger, &change.subject);
    let reason = change.reason.ok_or_else(|| ledger.unavailable("a suppression needs a reason"))?;
    let mut loan = ledger.begin().await?;
    sqlx::query(UPSERT)
        .bind(kind)
        .bind(subject)
        .bind(reason.name())
        .bind(text(change.job.as_deref().unwrap_or_default()))
        .bind(text(&change.origin))
        .bind(Moment(change.at))
        .execute(&mut *loan)
        .await
        .map_err(|error| ledger.said(&error))?;
    ledger.commit(loan).await
}

pub(super) async fn unsuppress(ledger: &PostgresLedger, change: &SuppressionChange) -> Result<u64, LedgerError> {
    let (kind, subject) = key_of(ledger, &change.subject);
    let sql = "update suppressions set lifted_at = $1
        where lifted_at is null and reason <> 'erase' and kind = $2 and subject = $3
            and reason = coalesce($4, reason) and job = coalesce($5, job)";
    let mut loan = ledger.begin().await?;
    let done = sqlx::query(sql)
        .bind(Moment(change.at))
        .bind(kind)
        .bind(subject)
        .bind(change.reason.map(SuppressionReason::name))
        .bind(perhaps(change.job.as_ref()))
        .execute(&mut *loan)
        .await
        .map_err(|error| ledger.said(&error))?;
    ledger.commit(loan).await?;
    Ok(done.rows_affected())
}

pub(super) async fn suppressions(
    ledger: &PostgresLedger,
    subject: Option<&SuppressionSubject>,
) -> Result<Vec<SuppressionRow>, LedgerError> {
    let mut query = QueryBuilder::new(
        "select kind, subject, reason, job, origin, created_at, lifted_at from suppressions where true",
    );
    if let Some(subject) = subject {
        let (kind, key) = key_of(ledger, subject);
        let mut keys = vec![key];
        if let SuppressionSubject::Profile(id) = subject {
            keys.push(ledger.identity.erased_profile_id(id));
        }
        query.push(" and kind = ").push_bind(kind).push(" and subject = any(").push_bind(keys).push(")");
    }
    query.push(" order by created_at desc, kind, subject, reason, job");
    let mut reader = ledger.reader.borrow().await?;
    let rows: Vec<(String, String, String, String, String, Moment, Option<Moment>)> =
        query.build_query_as().persistent(false).fetch_all(&mut *reader).await.map_err(|error| ledger.said(&error))?;
    reader.give_back();
    let understood = rows.into_iter().map(|(kind, subject, reason, job, origin, created_at, lifted_at)| {
        let reason = SuppressionReason::from_name(&reason)
            .ok_or_else(|| ledger.unavailable(format!("it has a suppression `{reason}`, which does not exist")))?;
        Ok(SuppressionRow {
            kind,
            subject,
            reason,
            job: Some(job).filter(|job| !job.is_empty()),
            origin,
            created_at: created_at.0,
            lifted_at: lifted_at.map(|moment| moment.0),
        })
    });
    understood.collect()
}

pub(super) async fn erase(ledger: &PostgresLedger, profile_id: &str, at: Timestamp) -> Result<Erased, LedgerError> {
    let ids = (ledger.identity.stored_profile_id(profile_id), ledger.identity.erased_profile_id(profile_id));
    let mut loan = ledger.begin().await?;
    let erased = forget(&mut loan, &ids, Moment(at)).await.map_err(|error| ledger.said(&error))?;
    ledger.commit(loan).await?;
    Ok(erased)
}

/// Addresses are kept as hashes, so that the person stays unmailed under another id too.
async fn forget(
    connection: &mut PgConnection,
    (stored_id, erased_id): &(String, String),
    now: Moment,
) -> Result<Erased, sqlx::Error> {
    let addresses: Vec<String> = sqlx::query_scalar(
        "select distinct address_hash from deliveries where profile_id = $1 and address_hash is not null",
    )
    .bind(stored_id)
    .fetch_all(&mut *connection)
    .await?;
    let subjects = addresses.iter().map(|hash| (ADDRESS, hash)).chain([(PROFILE, erased_id)]);
    for (kind, subject) in subjects {
        let insert = sqlx::query(UPSERT).bind(kind).bind(subject).bind(SuppressionReason::Erase.name()).bind("");
        insert.bind("erase").bind(now).execute(&mut *connection).await?;
    }
    sqlx::query("delete from suppressions where kind = 'profile' and subject = $1 and reason <> 'erase'")
        .bind(stored_id)
        .execute(&mut *connection)
        .await?;
    // The delivery's id stays, and it is unique: a run that decided before this cannot claim the same key again.
    let buried = "update deliveries set profile_id = $2, reason = 'erased', level = null, provider_message_id = null,
        address_hash = null, body_hash = null, variant = null, updated_at = $3 where profile_id = $1";
    let buried = sqlx::query(buried).bind(stored_id).bind(erased_id).bind(now).execute(connection).await?;
    Ok(Erased { deliveries: buried.rows_affected(), addresses: addresses.len() as u64 })
}

pub(super) async fn halt(ledger: &PostgresLedger, halt: &Halt) -> Result<(), LedgerError> {
    let sql = "insert into halts (job, reason, halted_at) values ($1, $2, $3)
        on conflict (job) do update set reason = excluded.reason";
    let mut loan = ledger.begin().await?;
    sqlx::query(sql)
        .bind(text(halt.job.as_deref().unwrap_or_default()))
        .bind(perhaps(halt.reason.as_ref()))
        .bind(Moment(halt.halted_at))
        .execute(&mut *loan)
        .await
        .map_err(|error| ledger.said(&error))?;
    ledger.commit(loan).await
}

pub(super) async fn resume(ledger: &PostgresLedger, job: Option<&str>) -> Result<bool, LedgerError> {
    let mut loan = ledger.begin().await?;
    let lifted = sqlx::query("delete from halts where job = $1")
        .bind(text(job.unwrap_or_default()))
        .execute(&mut *loan)
        .await
        .map_err(|error| ledger.said(&error))?;
    ledger.commit(loan).await?;
    Ok(lifted.rows_affected() > 0)
}

pub(super) async fn halts(ledger: &PostgresLedger) -> Result<Vec<Halt>, LedgerError> {
    let mut reader = ledger.reader.borrow().await?;
    let halts = read_halts(&mut reader, None).await.map_err(|error| ledger.said(&error))?;
    reader.give_back();
    Ok(halts)
}

/// The halts that stand against a job (`None`: any), the one of all jobs first.
pub(super) async fn read_halts(connection: &mut PgConnection, job: Option<&str>) -> Result<Vec<Halt>, sqlx::Error> {
    let sql = "select job, reason, halted_at from halts where $1::text is null or job in ('', $1) order by job";
    let rows: Vec<(String, Option<String>, Moment)> =
        sqlx::query_as(sql).bind(job.map(text)).fetch_all(connection).await?;
    let halt = |(job, reason, halted_at): (String, Option<String>, Moment)| Halt {
        job: Some(job).filter(|job| !job.is_empty()),
        reason,
        halted_at: halted_at.0,
    };
    Ok(rows.into_iter().map(halt).collect())
}
