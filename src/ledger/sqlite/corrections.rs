//! Corrections by people, made while no run holds the job.

use async_trait::async_trait;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use super::{NUMBERS_OF_WANTED, SqliteLedger, file, portions, push_id, stored};
use crate::ledger::corrections::{Correction, CorrectionRow, LedgerCorrections, refusal};
use crate::ledger::{LedgerError, transition};

#[async_trait]
impl LedgerCorrections for SqliteLedger {
    async fn correct(&self, delivery_ids: &[String], correction: &Correction) -> Result<(), LedgerError> {
        let jobs = self.jobs_of(delivery_ids).await?;
        let mut locks = Vec::with_capacity(jobs.len());
        for job in &jobs {
            locks.push(file::lock(&self.path, job).await?);
        }
        let mut writer = self.writer.lock().await;
        self.begin(&mut writer).await?;
        let done = correct_all(self, &mut writer.connection, delivery_ids, correction).await;
        self.end_whole(&mut writer, done).await
    }

    async fn corrections(&self, delivery_id: &str) -> Result<Vec<CorrectionRow>, LedgerError> {
        let sql = "select corrected_at, from_state, to_state, reason, corrected_by from corrections
            where delivery_id = ? order by corrected_at";
        let mut reader = self.reader.lock().await;
        let rows: Vec<(String, String, String, String, String)> =
            sqlx::query_as(sql).bind(delivery_id).fetch_all(&mut *reader).await.map_err(|error| self.said(&error))?;
        let understood = rows.into_iter().map(|(at, from, to, reason, by)| {
            let (from, to, at) = (self.state(&from)?, self.state(&to)?, self.instant(&at)?);
            let correction = Correction { from, to, reason, by, at };
            Ok(CorrectionRow { delivery_id: delivery_id.to_owned(), correction })
        });
        understood.collect()
    }
}

impl SqliteLedger {
    /// The jobs of some deliveries, in the order in which runs lock them.
    async fn jobs_of(&self, delivery_ids: &[String]) -> Result<Vec<String>, LedgerError> {
        let mut jobs = std::collections::BTreeSet::new();
        let mut reader = self.reader.lock().await;
        for chunk in portions(delivery_ids) {
            let mut query = QueryBuilder::<Sqlite>::new("with recursive wanted (id) as (");
            query.push_values(chunk, |mut row, id| {
                row.push_bind(id);
            });
            query.push("),").push(NUMBERS_OF_WANTED);
            query.push(" select distinct job from numbers cross join deliveries using (number)");
            let found = query.build_query_scalar::<String>().fetch_all(&mut *reader).await;
            jobs.extend(found.map_err(|error| self.said(&error))?);
        }
        Ok(jobs.into_iter().collect())
    }
}

async fn correct_all(
    ledger: &SqliteLedger,
    connection: &mut SqliteConnection,
    delivery_ids: &[String],
    correction: &Correction,
) -> Result<(), LedgerError> {
    for delivery_id in delivery_ids {
        let legal = transition::may_correct(correction.from, correction.to);
        let done = if legal { correct_one(connection, delivery_id, correction).await } else { Ok(false) };
        if !done.map_err(|error| ledger.said(&error))? {
            let mut query = QueryBuilder::<Sqlite>::new("select state from deliveries where ");
            push_id(&mut query, delivery_id);
            let state = query.build_query_scalar::<String>().fetch_optional(connection).await;
            let state = state.map_err(|error| ledger.said(&error))?;
            return Err(refusal(delivery_id, state.as_deref(), correction));
        }
    }
    Ok(())
}

async fn correct_one(
    connection: &mut SqliteConnection,
    delivery_id: &str,
    correction: &Correction,
) -> Result<bool, sqlx::Error> {
    let mut query = QueryBuilder::<Sqlite>::new("update deliveries set state = ");
    query
        .push_bind(correction.to.name())
        .push(", reason = 'corrected', settled_at = ")
        .push_bind(stored(correction.at));
    query.push(", updated_at = ").push_bind(stored(correction.at));
    query.push(" where state = ").push_bind(correction.from.name()).push(" and ");
    push_id(&mut query, delivery_id);
    let done = query.build().execute(&mut *connection).await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    let sql = "insert into corrections (delivery_id, corrected_at, from_state, to_state, reason, corrected_by)
        values (?, ?, ?, ?, ?, ?)";
    sqlx::query(sql)
        .bind(delivery_id)
        .bind(stored(correction.at))
        .bind(correction.from.name())
        .bind(correction.to.name())
        .bind(&correction.reason)
        .bind(&correction.by)
        .execute(connection)
        .await?;
    Ok(true)
}
