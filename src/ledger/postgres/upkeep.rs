//! The care of the schema: its rows, whether it is sound, and what may go.

use std::path::Path;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::postgres::PgRow;
use sqlx::{QueryBuilder, Row};

use super::values::Moment;
use super::{PostgresLedger, setup};
use crate::ledger::LedgerError;
use crate::ledger::upkeep::{LedgerUpkeep, PRUNE_BATCHES, PRUNE_DELIVERIES, PRUNE_RUNS, Pruned, RULES, Unsound, page};
use crate::model::{Cell, Column, ColumnKind, LedgerTable};

#[async_trait]
impl LedgerUpkeep for PostgresLedger {
    async fn rows(
        &self,
        table: &'static LedgerTable,
        after: Option<&[Cell]>,
        limit: u32,
    ) -> Result<Vec<Vec<Cell>>, LedgerError> {
        self.within(rows(self, table, after, limit)).await
    }

    async fn facts(&self) -> Result<Vec<(String, String)>, LedgerError> {
        let mut reader = self.reader.borrow().await?;
        let facts = setup::facts(&self.place, &mut reader).await?.unwrap_or_default();
        reader.give_back();
        Ok(facts)
    }

    async fn unsound(&self) -> Result<Vec<Unsound>, LedgerError> {
        self.looking(unsound(self)).await
    }

    async fn back_up(&self, _to: &Path) -> Result<(), LedgerError> {
        Err(LedgerError::NoFile { location: self.place.shown.clone() })
    }

    async fn prune(&self, before: Timestamp) -> Result<Pruned, LedgerError> {
        self.looking(prune(self, before)).await
    }
}

async fn rows(
    ledger: &PostgresLedger,
    table: &'static LedgerTable,
    after: Option<&[Cell]>,
    limit: u32,
) -> Result<Vec<Vec<Cell>>, LedgerError> {
    let (select, order) = page(table, limit);
    let mut query = QueryBuilder::new(select);
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
                Cell::Instant(instant) => cells.push_bind(Moment(*instant)),
            };
        }
        query.push(")");
    }
    query.push(order);
    let mut reader = ledger.reader.borrow().await?;
    let rows = query.build().fetch_all(&mut *reader).await.map_err(|error| ledger.said(&error))?;
    reader.give_back();
    let understood =
        |row: &PgRow| table.columns.iter().enumerate().map(|(place, column)| cell(row, place, column)).collect();
    rows.iter().map(understood).collect::<Result<_, sqlx::Error>>().map_err(|error| ledger.said(&error))
}

fn cell(row: &PgRow, place: usize, column: &Column) -> Result<Cell, sqlx::Error> {
    let cell = match column.kind {
        ColumnKind::Text => row.try_get::<Option<String>, _>(place)?.map(Cell::Text),
        ColumnKind::Integer => whole(row, place)?.map(Cell::Integer),
        ColumnKind::Real => row.try_get::<Option<f64>, _>(place)?.map(Cell::Real),
        ColumnKind::Instant => row.try_get::<Option<Moment>, _>(place)?.map(|moment| Cell::Instant(moment.0)),
    };
    Ok(cell.unwrap_or(Cell::Null))
}

/// A whole number of either width.
fn whole(row: &PgRow, place: usize) -> Result<Option<i64>, sqlx::Error> {
    match row.try_get::<Option<i32>, _>(place) {
        Ok(number) => Ok(number.map(i64::from)),
        Err(_) => row.try_get(place),
    }
}

async fn unsound(ledger: &PostgresLedger) -> Result<Vec<Unsound>, LedgerError> {
    let mut loan = ledger.begin_wide().await?;
    let mut found = Vec::new();
    for (what, sql) in RULES {
        let (count, sample): (i64, Option<String>) =
            sqlx::query_as(*sql).fetch_one(&mut *loan).await.map_err(|error| ledger.said(&error))?;
        if count > 0 {
            found.push(Unsound { what: (*what).to_owned(), count: count.unsigned_abs(), sample });
        }
    }
    ledger.commit(loan).await?;
    Ok(found)
}

async fn prune(ledger: &PostgresLedger, before: Timestamp) -> Result<Pruned, LedgerError> {
    let mut loan = ledger.begin_wide().await?;
    let mut removed = [0; 3];
    for (sql, removed) in [PRUNE_DELIVERIES, PRUNE_BATCHES, PRUNE_RUNS].into_iter().zip(&mut removed) {
        let done = sqlx::query(sql).bind(Moment(before)).execute(&mut *loan).await;
        *removed = done.map_err(|error| ledger.said(&error))?.rows_affected();
    }
    ledger.commit(loan).await?;
    let [deliveries, batches, runs] = removed;
    Ok(Pruned { deliveries, batches, runs })
}
