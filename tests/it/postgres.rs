//! A PostgreSQL server for the tests: `MILEPOST_TEST_POSTGRES` names one, else `tests/postgres.sh` starts one for this
//! process. Without PostgreSQL those tests play on the other ledgers only, and the test run says so; under `CI` they fail.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use milepost::project::LedgerLocation;
use milepost::settings::Secret;
use sqlx::{Connection as _, PgConnection};

/// A server and what keeps it alive: it ends with its standard input, and so with this process.
struct Server {
    url: String,
    _process: Option<Child>,
}

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        if let Ok(url) = std::env::var("MILEPOST_TEST_POSTGRES") {
            return Server { url, _process: None };
        }
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/postgres.sh");
        let mut process =
            Command::new(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the script starts");
        let mut url = String::new();
        BufReader::new(process.stdout.take().expect("piped")).read_line(&mut url).expect("the script says its URL");
        assert!(
            url.starts_with("postgres://"),
            "the ledger's tests need PostgreSQL: install it (apt-get install postgresql), or name a server in \
             MILEPOST_TEST_POSTGRES; tests/postgres.sh says above why it has none"
        );
        Server { url: url.trim().to_owned(), _process: Some(process) }
    })
}

/// Whether there is a server, or one can be started.
pub(crate) fn is_here() -> bool {
    static HERE: OnceLock<bool> = OnceLock::new();
    *HERE.get_or_init(|| {
        let installed = std::fs::read_dir("/usr/lib/postgresql").is_ok_and(|mut versions| versions.next().is_some());
        let set = |name| std::env::var_os(name).is_some();
        let here = installed || set("MILEPOST_TEST_POSTGRES") || set("CI");
        if !here {
            // Not `eprintln!`, which the test runner keeps to itself.
            let words = "PostgreSQL is not installed: what needs it is not tested here (apt-get install postgresql)\n";
            let _ = std::io::stderr().write_all(words.as_bytes());
        }
        here
    })
}

/// A schema of its own on the server; it need not exist yet.
#[derive(Clone)]
pub(crate) struct Schema {
    name: String,
}

impl Schema {
    /// One that no other test has; `None` where there is no server.
    pub(crate) fn fresh() -> Option<Self> {
        static SCHEMAS: AtomicU32 = AtomicU32::new(1);
        let number = SCHEMAS.fetch_add(1, Ordering::Relaxed);
        is_here().then(|| Self { name: format!("test_{}_{number}", std::process::id()) })
    }

    /// The schema's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The ledger's URL.
    pub(crate) fn url(&self) -> String {
        format!("{}?schema={}", server().url, self.name)
    }

    pub(crate) fn location(&self) -> LedgerLocation {
        LedgerLocation::Postgres(Secret::new(self.url()))
    }

    /// A connection as another program would have.
    pub(crate) async fn connection(&self) -> PgConnection {
        let mut connection = PgConnection::connect(&server().url).await.expect("the server answers");
        let path = sqlx::AssertSqlSafe(format!("set search_path = {}", self.name));
        sqlx::raw_sql(path).execute(&mut connection).await.expect("set");
        connection
    }

    /// Runs SQL as another program would.
    pub(crate) async fn run(&self, sql: &'static str) {
        let mut connection = self.connection().await;
        sqlx::raw_sql(sql).execute(&mut connection).await.expect("runs");
        connection.close().await.expect("closes");
    }

    /// Takes the schema away and gives it back.
    pub(crate) async fn rename(&self, away: bool) {
        let aside = format!("{}_aside", self.name);
        let (from, to) = if away { (&self.name, &aside) } else { (&aside, &self.name) };
        self.administer(format!("drop schema if exists {to} cascade; alter schema {from} rename to {to}")).await;
    }

    /// Removes it with all that is in it.
    pub(crate) async fn remove(&self) {
        self.administer(format!("drop schema if exists {} cascade", self.name)).await;
    }

    /// Every table as text.
    pub(crate) async fn texts(&self) -> Vec<(String, String)> {
        let mut connection = self.connection().await;
        let sql = "select table_name::text from information_schema.tables where table_schema = $1";
        let tables: Vec<String> =
            sqlx::query_scalar(sql).bind(&self.name).fetch_all(&mut connection).await.expect("tables");
        let mut texts = Vec::new();
        for table in tables {
            let sql = format!("select coalesce(string_agg(row_to_json(found)::text, ' '), '') from {table} found");
            let text = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&mut connection).await.expect("rows");
            texts.push((table, text));
        }
        connection.close().await.expect("closes");
        texts
    }

    /// Runs SQL in which `{schema}` stands for the schema's name, as an administrator would.
    pub(crate) async fn administer_here(&self, sql: &str) {
        self.administer(sql.replace("{schema}", &self.name)).await;
    }

    /// The ledger's URL for another account without a password.
    pub(crate) fn url_of(&self, account: &str) -> String {
        let url = self.url();
        let (scheme, rest) = url.split_once("://").expect("a URL");
        let (_, host) = rest.split_once('@').expect("an account");
        format!("{scheme}://{account}@{host}")
    }

    async fn administer(&self, sql: String) {
        let mut connection = PgConnection::connect(&server().url).await.expect("the server answers");
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.expect("runs");
        connection.close().await.expect("closes");
    }

    /// What the passing of time does to the leases of dead runs.
    pub(crate) async fn leases_end(&self) {
        let mut connection = self.connection().await;
        let exists: bool = sqlx::query_scalar("select to_regclass('leases') is not null")
            .fetch_one(&mut connection)
            .await
            .expect("answers");
        if exists {
            let sql = "update leases set heartbeat_at = heartbeat_at - interval '31 seconds' where released_at is null";
            sqlx::raw_sql(sql).execute(&mut connection).await.expect("runs");
        }
        connection.close().await.expect("closes");
    }
}
