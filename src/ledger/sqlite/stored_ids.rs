//! Rewrites ids that are stored otherwise since an earlier version, within the caller's transaction.

use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use crate::ledger::Identity;
use crate::ledger::stored_ids::{ID_COLUMNS, candidates_sql, rename_sql, renamed};

/// Rows of one statement.
const PORTION: usize = 1_000;

/// Gives every id that holds an address its present form.
pub(super) async fn rewrite(connection: &mut SqliteConnection, identity: &Identity) -> Result<(), sqlx::Error> {
    for (table, column, condition, kind) in ID_COLUMNS {
        let sql = sqlx::AssertSqlSafe(candidates_sql(table, column, condition));
        let ids: Vec<String> = sqlx::query_scalar(sql).fetch_all(&mut *connection).await?;
        let renamed = renamed(identity, kind, ids);
        if renamed.is_empty() {
            continue;
        }
        sqlx::raw_sql("create temp table renamed (old text primary key, new text not null) without rowid")
            .execute(&mut *connection)
            .await?;
        for portion in renamed.chunks(PORTION) {
            let mut query = QueryBuilder::<Sqlite>::new("insert into renamed (old, new) ");
            query.push_values(portion, |mut row, (old, new)| {
                row.push_bind(old).push_bind(new);
            });
            query.build().execute(&mut *connection).await?;
        }
        let sql = sqlx::AssertSqlSafe(rename_sql(table, column, condition));
        sqlx::query(sql).execute(&mut *connection).await?;
        sqlx::raw_sql("drop table renamed").execute(&mut *connection).await?;
    }
    Ok(())
}
