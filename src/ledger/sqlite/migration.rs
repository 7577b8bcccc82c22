//! Older formats become the present one, whole or not at all; a file of a later version is never touched.

use std::path::Path;

use sqlx::SqliteConnection;

use super::{failure, stored_ids};
use crate::ledger::{Identity, LedgerError};

/// The format this version reads and writes.
pub(super) const FORMAT_VERSION: u32 = 5;

/// By format: the script that leads to the next one.
const STEPS: [(u32, &str); 4] = [
    (1, include_str!("format_2.sql")),
    (2, include_str!("format_3.sql")),
    (3, include_str!("format_4.sql")),
    // The tables stay as they are.
    (REWRITES_IDS, "update meta set value = '5' where key = 'format_version'"),
];

/// The step that stores ids otherwise.
const REWRITES_IDS: u32 = 4;

/// Brings a ledger to the present format; another process may be doing the same.
pub(super) async fn migrate(
    path: &Path,
    connection: &mut SqliteConnection,
    identity: &Identity,
) -> Result<(), LedgerError> {
    migrate_steps(connection, identity).await.map_err(|error| LedgerError::Unavailable {
        location: path.display().to_string(),
        reason: failure::words(&error),
    })
}

async fn migrate_steps(connection: &mut SqliteConnection, identity: &Identity) -> Result<(), sqlx::Error> {
    sqlx::raw_sql("begin immediate").execute(&mut *connection).await?;
    let done = carry_out(connection, identity).await;
    let end = if done.is_ok() { "commit" } else { "rollback" };
    let ended = sqlx::raw_sql(end).execute(connection).await;
    done.and(ended.map(|_| ()))
}

async fn carry_out(connection: &mut SqliteConnection, identity: &Identity) -> Result<(), sqlx::Error> {
    for (from, script) in STEPS {
        // Read under the lock: whoever waited finds the work done.
        let found: String = sqlx::query_scalar("select value from meta where key = 'format_version'")
            .fetch_one(&mut *connection)
            .await?;
        if found == from.to_string() {
            if from == REWRITES_IDS {
                stored_ids::rewrite(connection, identity).await?;
            }
            sqlx::raw_sql(script).execute(&mut *connection).await?;
        }
    }
    Ok(())
}
