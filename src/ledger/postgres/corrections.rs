//! Corrections by people, made while no run holds the job.

use async_trait::async_trait;
use sqlx::PgConnection;

use super::PostgresLedger;
use super::link::Loan;
use super::values::{Moment, text};
use crate::ledger::corrections::{Correction, CorrectionRow, LedgerCorrections, refusal};
use crate::ledger::{LedgerError, lease_seconds, transition};

#[async_trait]
impl LedgerCorrections for PostgresLedger {
    async fn correct(&self, delivery_ids: &[String], correction: &Correction) -> Result<(), LedgerError> {
        self.within(correct(self, delivery_ids, correction)).await
    }

    async fn corrections(&self, delivery_id: &str) -> Result<Vec<CorrectionRow>, LedgerError> {
        self.within(corrections(self, delivery_id)).await
    }
}

async fn correct(ledger: &PostgresLedger, delivery_ids: &[String], correction: &Correction) -> Result<(), LedgerError> {
    let mut loan = ledger.begin().await?;
    let refused = match held_job(&mut loan, delivery_ids).await.map_err(|error| ledger.said(&error))? {
        Some(job) => Some(LedgerError::Held { job }),
        None => refused(ledger, &mut loan, delivery_ids, correction).await?,
    };
    if let Some(refused) = refused {
        return end_refused(ledger, loan, refused).await;
    }
    let written = write(&mut loan, delivery_ids, correction).await.map_err(|error| ledger.said(&error))?;
    if written < delivery_ids.len() as u64 {
        return end_refused(ledger, loan, refusal("named twice", None, correction)).await;
    }
    ledger.commit(loan).await
}

async fn end_refused(ledger: &PostgresLedger, mut loan: Loan<'_>, refused: LedgerError) -> Result<(), LedgerError> {
    ledger.run(&mut loan, "rollback").await?;
    loan.give_back();
    Err(refused)
}

/// Locks the leases of the deliveries' jobs, so that no run begins meanwhile, and names one that a run holds.
async fn held_job(connection: &mut PgConnection, delivery_ids: &[String]) -> Result<Option<String>, sqlx::Error> {
    let sql = "select job, released_at is null and heartbeat_at > clock_timestamp() - make_interval(secs => $2)
        from leases where job in (select job from deliveries where delivery_id = any($1))
        order by job for no key update";
    let leases: Vec<(String, bool)> =
        sqlx::query_as(sql).bind(delivery_ids).bind(lease_seconds()).fetch_all(connection).await?;
    Ok(leases.into_iter().find(|(_, held)| *held).map(|(job, _)| job))
}

/// Why the first of the deliveries that stands against it may not be corrected.
async fn refused(
    ledger: &PostgresLedger,
    connection: &mut PgConnection,
    delivery_ids: &[String],
    correction: &Correction,
) -> Result<Option<LedgerError>, LedgerError> {
    let sql = "select wanted.delivery_id, found.state
        from unnest($1::text[]) with ordinality as wanted (delivery_id, place)
        left join lateral (
            select state from deliveries where deliveries.delivery_id = wanted.delivery_id offset 0
        ) as found on true
        order by wanted.place";
    let found: Vec<(String, Option<String>)> =
        sqlx::query_as(sql).bind(delivery_ids).fetch_all(connection).await.map_err(|error| ledger.said(&error))?;
    let legal = transition::may_correct(correction.from, correction.to);
    let mut wrong = found.iter().filter(|(_, state)| !legal || state.as_deref() != Some(correction.from.name()));
    Ok(wrong.next().map(|(delivery_id, state)| refusal(delivery_id, state.as_deref(), correction)))
}

async fn write(
    connection: &mut PgConnection,
    delivery_ids: &[String],
    correction: &Correction,
) -> Result<u64, sqlx::Error> {
    let sql = "update deliveries set state = $1, reason = 'corrected', settled_at = $2, updated_at = $2
        where delivery_id = any($3) and state = $4";
    let done = sqlx::query(sql)
        .bind(correction.to.name())
        .bind(Moment(correction.at))
        .bind(delivery_ids)
        .bind(correction.from.name())
        .execute(&mut *connection)
        .await?;
    let sql = "insert into corrections (delivery_id, corrected_at, from_state, to_state, reason, corrected_by)
        select distinct delivery_id, $2, $3, $4, $5, $6 from unnest($1::text[]) as corrected (delivery_id)";
    sqlx::query(sql)
        .bind(delivery_ids)
        .bind(Moment(correction.at))
        .bind(correction.from.name())
        .bind(correction.to.name())
        .bind(text(&correction.reason))
        .bind(text(&correction.by))
        .execute(connection)
        .await?;
    Ok(done.rows_affected())
}

async fn corrections(ledger: &PostgresLedger, delivery_id: &str) -> Result<Vec<CorrectionRow>, LedgerError> {
    let sql = "select corrected_at, from_state, to_state, reason, corrected_by from corrections
        where delivery_id = $1 order by corrected_at";
    let mut reader = ledger.reader.borrow().await?;
    let rows: Vec<(Moment, String, String, String, String)> = sqlx::query_as(sql)
        .bind(text(delivery_id))
        .fetch_all(&mut *reader)
        .await
        .map_err(|error| ledger.said(&error))?;
    reader.give_back();
    let understood = rows.into_iter().map(|(at, from, to, reason, by)| {
        let correction = Correction { from: ledger.state(&from)?, to: ledger.state(&to)?, reason, by, at: at.0 };
        Ok(CorrectionRow { delivery_id: delivery_id.to_owned(), correction })
    });
    understood.collect()
}
