//! What provider accounts have given out, by the server's clock.

use async_trait::async_trait;
use jiff::civil::Date;
use sqlx::PgConnection;

use super::PostgresLedger;
use super::values::Moment;
use crate::ledger::allowance::{Ask, Given, Granted, LedgerAllowances, grant};
use crate::ledger::{Lease, LedgerError};

#[async_trait]
impl LedgerAllowances for PostgresLedger {
    async fn allow(&self, lease: &Lease, ask: &Ask) -> Result<Granted, LedgerError> {
        let verb = async {
            let mut loan = self.begin_held(lease).await?;
            let granted = give(self, &mut loan, ask).await?;
            self.commit(loan).await?;
            Ok(granted)
        };
        self.under(lease, verb).await
    }
}

async fn give(ledger: &PostgresLedger, connection: &mut PgConnection, ask: &Ask) -> Result<Granted, LedgerError> {
    let said = |error: sqlx::Error| ledger.said(&error);
    // The row must be there to be locked.
    let sql = "insert into allowances (provider, next_start, day, messages) values ($1, clock_timestamp(), '', 0)
        on conflict (provider) do nothing";
    sqlx::query(sql).bind(&ask.provider).execute(&mut *connection).await.map_err(said)?;
    let sql = "select next_start, day, messages from allowances where provider = $1 for update";
    let (next_start, day, messages): (Moment, String, i64) =
        sqlx::query_as(sql).bind(&ask.provider).fetch_one(&mut *connection).await.map_err(said)?;
    // Read once the row is locked: others may have kept it for a while.
    let now: Moment = sqlx::query_scalar("select clock_timestamp()").fetch_one(&mut *connection).await.map_err(said)?;
    let given =
        day.parse::<Date>().ok().map(|day| Given { next_start: next_start.0, day, messages: messages.unsigned_abs() });
    let (given, granted) = grant(given, ask, now.0);
    sqlx::query("update allowances set next_start = $2, day = $3, messages = $4 where provider = $1")
        .bind(&ask.provider)
        .bind(Moment(given.next_start))
        .bind(given.day.to_string())
        .bind(i64::try_from(given.messages).unwrap_or(i64::MAX))
        .execute(connection)
        .await
        .map_err(said)?;
    Ok(granted)
}
