//! A new file that is filled with the rows of another ledger.

use std::path::Path;

use async_trait::async_trait;
use sqlx::{Connection, QueryBuilder, Sqlite, SqliteConnection};

use super::file::NewFile;
use super::migration::FORMAT_VERSION;
use super::{failure, stored};
use crate::ledger::LedgerError;
use crate::ledger::copying::{Filling, insert};
use crate::model::{Cell, LedgerTable};

/// The copy while it is made, in one transaction.
pub(in crate::ledger) struct SqliteCopy {
    file: NewFile,
    connection: SqliteConnection,
}

impl SqliteCopy {
    /// Begins a copy with the facts of the original.
    pub(in crate::ledger) async fn begin(path: &Path, facts: &[(String, String)]) -> Result<Self, LedgerError> {
        let file = NewFile::begin(path)?;
        let connection = file.connect().await?;
        let mut copy = Self { file, connection };
        let begun = copy.write_facts(facts).await;
        begun.map_err(|error| copy.said(&error))?;
        Ok(copy)
    }

    async fn write_facts(&mut self, facts: &[(String, String)]) -> Result<(), sqlx::Error> {
        sqlx::raw_sql("begin immediate").execute(&mut self.connection).await?;
        let present = FORMAT_VERSION.to_string();
        for (key, value) in facts {
            let value = if key == "format_version" { &present } else { value };
            let write = sqlx::query("insert into meta (key, value) values (?, ?)").bind(key).bind(value);
            write.execute(&mut self.connection).await?;
        }
        Ok(())
    }

    fn said(&self, error: &sqlx::Error) -> LedgerError {
        self.file.explain(LedgerError::Unavailable { location: String::new(), reason: failure::words(error) })
    }
}

#[async_trait]
impl Filling for SqliteCopy {
    async fn add(&mut self, table: &'static LedgerTable, rows: &[Vec<Cell>]) -> Result<(), LedgerError> {
        let mut query = QueryBuilder::<Sqlite>::new(insert(table));
        query.push_values(rows, |mut row, cells| {
            for cell in cells {
                match cell {
                    Cell::Null => row.push_bind(None::<String>),
                    Cell::Text(text) => row.push_bind(text),
                    Cell::Integer(number) => row.push_bind(*number),
                    Cell::Real(number) => row.push_bind(*number),
                    Cell::Instant(instant) => row.push_bind(stored(*instant)),
                };
            }
        });
        let persistent = query.build().persistent(false).execute(&mut self.connection).await;
        persistent.map(|_| ()).map_err(|error| self.said(&error))
    }

    async fn finish(mut self: Box<Self>) -> Result<(), LedgerError> {
        let committed = sqlx::raw_sql("commit").execute(&mut self.connection).await;
        committed.map_err(|error| self.said(&error))?;
        let Self { file, connection } = *self;
        let closed = connection.close().await;
        closed.map_err(|error| {
            file.explain(LedgerError::Unavailable { location: String::new(), reason: failure::words(&error) })
        })?;
        file.finish()
    }
}
