//! The care of the file: its rows, whether it is sound, and what may go.

use std::path::Path;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};

use super::{SqliteLedger, file, stored};
use crate::ledger::LedgerError;
use crate::ledger::upkeep::{LedgerUpkeep, PRUNE_BATCHES, PRUNE_DELIVERIES, PRUNE_RUNS, Pruned, RULES, Unsound, page};
use crate::model::{Cell, Column, ColumnKind, LedgerTable};

#[async_trait]
impl LedgerUpkeep for SqliteLedger {
    async fn rows(
        &self,
        table: &'static LedgerTable,
        after: Option<&[Cell]>,
        limit: u32,
    ) -> Result<Vec<Vec<Cell>>, LedgerError> {
        let (select, order) = page(table, limit);
        let mut query = QueryBuilder::<Sqlite>::new(select);
        if let Some(after) = after {
            let names: Vec<&str> = table.key_columns().iter().map(|column| column.name).collect();
            query.push(format!(" where ({}) > (", names.join(", ")));
            let mut cells = query.separated(", ");
            for cell in after {
                match cell {
                    Cell::Null => cells.push_bind(None::<String>),
                    Cell::Text(text) => cells.push_bind(text),
                    Cell::Integer(number) => cells.push_bind(*number),
                    Cell::Real(number) => cells.push_bind(*number),
                    Cell::Instant(instant) => cells.push_bind(stored(*instant)),
                };
            }
            query.push(")");
        }
        query.push(order);
        let mut reader = self.reader.lock().await;
        let rows = query.build().fetch_all(&mut *reader).await.map_err(|error| self.said(&error))?;
        let understood = |row: &SqliteRow| {
            table.columns.iter().enumerate().map(|(place, column)| cell(self, row, place, column)).collect()
        };
        rows.iter().map(understood).collect()
    }

    async fn facts(&self) -> Result<Vec<(String, String)>, LedgerError> {
        let mut reader = self.reader.lock().await;
        let facts = sqlx::query_as("select key, value from meta order by key").fetch_all(&mut *reader).await;
        facts.map_err(|error| self.said(&error))
    }

    async fn unsound(&self) -> Result<Vec<Unsound>, LedgerError> {
        let mut reader = self.reader.lock().await;
        let mut found = engine_findings(&mut reader).await.map_err(|error| self.said(&error))?;
        for (what, sql) in RULES {
            let (count, sample): (i64, Option<String>) =
                sqlx::query_as(*sql).fetch_one(&mut *reader).await.map_err(|error| self.said(&error))?;
            if count > 0 {
                found.push(Unsound { what: (*what).to_owned(), count: count.unsigned_abs(), sample });
            }
        }
        found.extend(self.unknown_runs(&mut reader).await.map_err(|error| self.said(&error))?);
        Ok(found)
    }

    async fn back_up(&self, to: &Path) -> Result<(), LedgerError> {
        file::back_up(self, to).await
    }

    async fn prune(&self, before: Timestamp) -> Result<Pruned, LedgerError> {
        let mut writer = self.writer.lock().await;
        self.begin(&mut writer).await?;
        let pruned = prune(&mut writer.connection, &stored(before)).await.map_err(|error| self.said(&error));
        self.end_whole(&mut writer, pruned).await
    }
}

impl SqliteLedger {
    /// Jobs whose last run noted itself beside the file and is not in it.
    async fn unknown_runs(&self, reader: &mut SqliteConnection) -> Result<Option<Unsound>, sqlx::Error> {
        let leases: Vec<(String, i64)> =
            sqlx::query_as("select job, epoch from leases order by job").fetch_all(reader).await?;
        let older = leases.into_iter().filter(|(job, epoch)| {
            let noted = file::open_lock(&self.path, job).and_then(|lock| file::noted_epoch(&lock, &self.identity));
            noted.is_some_and(|noted| noted > *epoch)
        });
        let jobs: Vec<String> = older.map(|(job, _)| job).collect();
        let what = "jobs whose last run the file does not know: it is an older copy".to_owned();
        Ok(jobs.first().cloned().map(|sample| Unsound { what, count: jobs.len() as u64, sample: Some(sample) }))
    }
}

fn cell(ledger: &SqliteLedger, row: &SqliteRow, place: usize, column: &Column) -> Result<Cell, LedgerError> {
    let said = |error: sqlx::Error| ledger.said(&error);
    let cell = match column.kind {
        ColumnKind::Text => row.try_get::<Option<String>, _>(place).map_err(said)?.map(Cell::Text),
        ColumnKind::Integer => row.try_get::<Option<i64>, _>(place).map_err(said)?.map(Cell::Integer),
        ColumnKind::Real => row.try_get::<Option<f64>, _>(place).map_err(said)?.map(Cell::Real),
        ColumnKind::Instant => {
            let text: Option<&str> = row.try_get(place).map_err(said)?;
            text.map(|text| ledger.instant(text)).transpose()?.map(Cell::Instant)
        }
    };
    Ok(cell.unwrap_or(Cell::Null))
}

/// What SQLite itself finds: pages, indexes and references.
async fn engine_findings(connection: &mut SqliteConnection) -> Result<Vec<Unsound>, sqlx::Error> {
    let said: Vec<String> = sqlx::query_scalar("pragma integrity_check(20)").fetch_all(&mut *connection).await?;
    let damaged = said.into_iter().filter(|line| line != "ok");
    let mut found: Vec<Unsound> =
        damaged.map(|line| Unsound { what: format!("the file is damaged: {line}"), count: 1, sample: None }).collect();
    let dangling = sqlx::query("pragma foreign_key_check").fetch_all(connection).await?;
    if let Some(first) = dangling.first() {
        let sample = Some(first.try_get::<String, _>(0)?);
        let count = dangling.len() as u64;
        found.push(Unsound { what: "rows that refer to rows which are not there".to_owned(), count, sample });
    }
    Ok(found)
}

async fn prune(connection: &mut SqliteConnection, before: &str) -> Result<Pruned, sqlx::Error> {
    let mut removed = [0; 3];
    for (sql, removed) in [PRUNE_DELIVERIES, PRUNE_BATCHES, PRUNE_RUNS].into_iter().zip(&mut removed) {
        *removed = sqlx::query(sql).bind(before).execute(&mut *connection).await?.rows_affected();
    }
    let [deliveries, batches, runs] = removed;
    Ok(Pruned { deliveries, batches, runs })
}
