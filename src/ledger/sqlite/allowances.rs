//! What provider accounts have given out.

use async_trait::async_trait;
use sqlx::SqliteConnection;

use super::{SqliteLedger, stored};
use crate::clock::Clock;
use crate::ledger::allowance::{Ask, Given, Granted, LedgerAllowances, grant};
use crate::ledger::{Lease, LedgerError};

#[async_trait]
impl LedgerAllowances for SqliteLedger {
    async fn allow(&self, lease: &Lease, ask: &Ask) -> Result<Granted, LedgerError> {
        let mut writer = self.writer.lock().await;
        self.begin_held(&mut writer, lease).await?;
        let granted = give(self, &mut writer.connection, ask).await;
        self.end(&mut writer, granted).await
    }
}

async fn give(ledger: &SqliteLedger, connection: &mut SqliteConnection, ask: &Ask) -> Result<Granted, LedgerError> {
    let said = |error: sqlx::Error| ledger.said(&error);
    let sql = "select next_start, day, messages from allowances where provider = ?";
    let row: Option<(String, String, i64)> =
        sqlx::query_as(sql).bind(&ask.provider).fetch_optional(&mut *connection).await.map_err(said)?;
    let given = match row {
        Some((next_start, day, messages)) => Some(Given {
            next_start: ledger.instant(&next_start)?,
            day: day.parse().map_err(|_| ledger.unavailable(format!("it has `{day}` where a day belongs")))?,
            messages: messages.unsigned_abs(),
        }),
        None => None,
    };
    let (given, granted) = grant(given, ask, Clock::System.now());
    let sql = "insert into allowances (provider, next_start, day, messages) values (?, ?, ?, ?)
        on conflict (provider) do update set next_start = excluded.next_start, day = excluded.day,
            messages = excluded.messages";
    sqlx::query(sql)
        .bind(&ask.provider)
        .bind(stored(given.next_start))
        .bind(given.day.to_string())
        .bind(i64::try_from(given.messages).unwrap_or(i64::MAX))
        .execute(connection)
        .await
        .map_err(said)?;
    Ok(granted)
}
