//! A new schema that is filled with the rows of another ledger.

use async_trait::async_trait;
use sqlx::{PgConnection, QueryBuilder};

use super::link::Place;
use super::setup;
use super::values::{Moment, text};
use crate::ledger::LedgerError;
use crate::ledger::copying::{Filling, insert};
use crate::model::{Cell, ColumnKind, LedgerTable};
use crate::settings::Secret;

/// The copy while it is made, in one transaction that makes the schema too.
pub(in crate::ledger) struct PostgresCopy {
    place: Place,
    connection: PgConnection,
}

impl PostgresCopy {
    /// Begins a copy with the facts of the original.
    pub(in crate::ledger) async fn begin(url: &Secret, facts: &[(String, String)]) -> Result<Self, LedgerError> {
        let place = Place::of(url.expose())?;
        let connection = setup::begin_copy(&place, facts).await?;
        Ok(Self { place, connection })
    }
}

#[async_trait]
impl Filling for PostgresCopy {
    async fn add(&mut self, table: &'static LedgerTable, rows: &[Vec<Cell>]) -> Result<(), LedgerError> {
        let mut query = QueryBuilder::new(insert(table));
        query.push_values(rows, |mut row, cells| {
            for (cell, column) in cells.iter().zip(table.columns) {
                match (cell, column.kind) {
                    (Cell::Text(value), _) => row.push_bind(text(value)),
                    (Cell::Integer(number), _) => row.push_bind(*number),
                    (Cell::Real(number), _) => row.push_bind(*number),
                    (Cell::Instant(instant), _) => row.push_bind(Moment(*instant)),
                    (Cell::Null, ColumnKind::Text) => row.push_bind(None::<String>),
                    (Cell::Null, ColumnKind::Integer) => row.push_bind(None::<i64>),
                    (Cell::Null, ColumnKind::Real) => row.push_bind(None::<f64>),
                    (Cell::Null, ColumnKind::Instant) => row.push_bind(None::<Moment>),
                };
            }
        });
        let added = query.build().persistent(false).execute(&mut self.connection).await;
        added.map(|_| ()).map_err(|error| self.place.said(&error))
    }

    async fn finish(mut self: Box<Self>) -> Result<(), LedgerError> {
        let committed = sqlx::raw_sql("commit").execute(&mut self.connection).await;
        committed.map(|_| ()).map_err(|error| self.place.said(&error))
    }
}
