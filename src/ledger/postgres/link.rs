//! Connections to the server: made late, used by one verb at a time, thrown away when a verb did not come to its end.
//!
//! A verb borrows the connection and gives it back only when it is in order. A verb that failed or was given up midway
//! drops it, which makes the server roll back; the next one connects anew.

use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};
use tokio::sync::{Mutex, MutexGuard};
use url::Url;

use super::failure;
use crate::clock::monotonic;
use crate::ledger::LedgerError;

/// The schema of a ledger whose URL names none.
const DEFAULT_SCHEMA: &str = "milepost";
/// How long a connection may take to be made.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// A connection that rested longer is asked for a sign of life first: networks forget silent ones.
const RESTED: Duration = Duration::from_secs(10);
/// What a URL may say beside the schema.
const PARAMETERS: [&str; 10] =
    ["sslmode", "sslrootcert", "sslcert", "sslkey", "host", "port", "dbname", "user", "password", "application_name"];
/// What every session is told. The server ends what a stopped process left open well before its lease runs out; plans
/// do not depend on statistics, which lag behind a ledger that grows by a million rows in minutes.
const SESSION: [(&str, &str); 11] = [
    ("statement_timeout", "20s"),
    ("lock_timeout", "10s"),
    ("idle_in_transaction_session_timeout", "10s"),
    ("synchronous_commit", "on"),
    ("default_transaction_isolation", "read committed"),
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("jit", "off"),
    ("client_min_messages", "warning"),
];

/// Where a ledger is.
#[derive(Clone)]
pub(super) struct Place {
    /// How it is reached; holds the password.
    options: PgConnectOptions,
    /// Its schema.
    pub(super) schema: String,
    /// For people: server, database and schema, no account.
    pub(super) shown: String,
}

impl Place {
    /// Understands `postgres://ACCOUNT:PASSWORD@HOST:PORT/DATABASE?schema=NAME&sslmode=...`.
    ///
    /// # Errors
    /// [`LedgerError::Unresolved`], without repeating the URL: it holds a password.
    pub(super) fn of(text: &str) -> Result<Self, LedgerError> {
        let refuse = |reason: String| LedgerError::Unresolved { reason };
        let shape = "write `postgres://ACCOUNT:PASSWORD@HOST:PORT/DATABASE`";
        let mut url = Url::parse(text).map_err(|error| refuse(format!("its URL is wrong: {error}: {shape}")))?;
        let mut schema = DEFAULT_SCHEMA.to_owned();
        let mut others = Vec::new();
        for (name, value) in url.query_pairs() {
            match name.as_ref() {
                "schema" => schema = value.into_owned(),
                known if PARAMETERS.contains(&known) => others.push((name.into_owned(), value.into_owned())),
                unknown => {
                    let known = PARAMETERS.join("`, `");
                    let reason = format!("its URL has `{unknown}`, which is not known: `schema`, `{known}` are");
                    return Err(refuse(reason));
                }
            }
        }
        let plain = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit() || character == '_';
        if schema.is_empty() || schema.len() > 63 || !schema.chars().all(plain) || schema.starts_with("pg_") {
            let reason = "its URL names a schema that is not made of lower-case letters, digits and `_`".to_owned();
            return Err(refuse(reason));
        }
        url.set_query(None);
        if !others.is_empty() {
            url.query_pairs_mut().extend_pairs(others);
        }
        let options: PgConnectOptions =
            url.as_str().parse().map_err(|_| refuse(format!("its URL is wrong: {shape}")))?;
        let database = options.get_database().unwrap_or(options.get_username());
        let shown = format!("postgres://{}:{}/{database}?schema={schema}", options.get_host(), options.get_port());
        let mut options = options.options(SESSION).options([("search_path", &schema)]).disable_statement_logging();
        if options.get_application_name().is_none() {
            options = options.application_name("milepost");
        }
        Ok(Self { options, schema, shown })
    }

    /// A connection to the server.
    pub(super) async fn connect(&self) -> Result<PgConnection, LedgerError> {
        match tokio::time::timeout(CONNECT_WITHIN, self.options.connect()).await {
            Ok(connected) => connected.map_err(|error| self.said(&error)),
            Err(_) => Err(self.silent(CONNECT_WITHIN)),
        }
    }

    pub(super) fn unavailable(&self, reason: impl Into<String>) -> LedgerError {
        LedgerError::Unavailable { location: self.shown.clone(), reason: reason.into() }
    }

    /// Turns what the database said into words for people.
    pub(super) fn said(&self, error: &sqlx::Error) -> LedgerError {
        self.unavailable(failure::words(error))
    }

    pub(super) fn silent(&self, waited: Duration) -> LedgerError {
        let seconds = waited.as_secs();
        self.unavailable(format!("the server did not answer within {seconds} s: see that it runs, then run again"))
    }
}

/// A connection and when it was last used.
struct Resting {
    connection: PgConnection,
    since: Instant,
}

/// One connection of a ledger.
pub(super) struct Link {
    place: Place,
    resting: Mutex<Option<Resting>>,
}

/// The connection while a verb has it; dropping it without [`Loan::give_back`] ends the connection.
pub(super) struct Loan<'a> {
    link: MutexGuard<'a, Option<Resting>>,
    connection: PgConnection,
}

impl Link {
    pub(super) fn new(place: Place, connection: Option<PgConnection>) -> Self {
        let resting = connection.map(|connection| Resting { connection, since: monotonic() });
        Self { place, resting: Mutex::new(resting) }
    }

    /// The connection, once nobody else has it.
    pub(super) async fn borrow(&self) -> Result<Loan<'_>, LedgerError> {
        let mut link = self.resting.lock().await;
        let connection = match link.take() {
            Some(resting) if resting.since.elapsed() < RESTED => Some(resting.connection),
            Some(mut resting) => {
                let alive = tokio::time::timeout(CONNECT_WITHIN / 2, resting.connection.ping()).await;
                matches!(alive, Ok(Ok(()))).then_some(resting.connection)
            }
            None => None,
        };
        let connection = match connection {
            Some(connection) => connection,
            None => self.place.connect().await?,
        };
        Ok(Loan { link, connection })
    }
}

impl Loan<'_> {
    /// Puts the connection back for the next verb.
    pub(super) fn give_back(mut self) {
        *self.link = Some(Resting { connection: self.connection, since: monotonic() });
    }
}

impl Deref for Loan<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Loan<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let shown = |text: &str| Place::of(text).map(|place| place.shown).map_err(|error| error.to_string());
        assert_eq!(shown("postgres://u:hunter2@db.test/x"), Ok("postgres://db.test:5432/x?schema=milepost".to_owned()));
        assert_eq!(
            shown("postgresql://u@db.test:6000/x?schema=mails_2&sslmode=require"),
            Ok("postgres://db.test:6000/x?schema=mails_2".to_owned())
        );
        for wrong in [
            "postgres://u:hunter2@db.test/x?schema=Mails",
            "postgres://u:hunter2@db.test/x?schema=pg_mails",
            "postgres://u:hunter2@db.test/x?schema=",
            "postgres://u:hunter2@db.test/x?shema=mails",
            "postgres://u:hunter2@db.test/x?sslmode=hunter2",
            "postgres://u:hunter2@db.test:hunter2/x",
        ] {
            let words = shown(wrong).expect_err(wrong);
            assert!(!words.contains("hunter2"), "{words}");
        }
    }
}
