//! Tables of PostgreSQL and SQLite as sources: ugly values, pushdown, what goes wrong, and the root project on them.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use futures::TryStreamExt;
use milepost::database::{self, ColumnKind, Condition, Operator, Reading, TablePlace, Value, Values};
use milepost::settings::Secret;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection};

use crate::cli::{Ran, milepost_with, root_project};
use crate::postgres::Schema;

/// A schema of a PostgreSQL server that is gone with its guard.
struct Server {
    schema: Schema,
}

impl Server {
    /// `None` where there is no server.
    async fn with(sql: &str) -> Option<Self> {
        let schema = Schema::fresh()?;
        let mut connection = schema.connection().await;
        let made = format!("create schema {}; {sql}", schema.name());
        sqlx::raw_sql(AssertSqlSafe(made)).execute(&mut connection).await.expect("made");
        Some(Self { schema })
    }

    fn url(&self) -> String {
        self.schema.url().split('?').next().expect("a URL").to_owned()
    }

    fn table(&self, name: &str) -> TablePlace {
        TablePlace::Postgres { url: Secret::new(self.url()), table: format!("{}.{name}", self.schema.name()) }
    }

    async fn end(self) {
        self.schema.remove().await;
    }
}

async fn sqlite(file: &Path, sql: &str) {
    let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
    let mut connection = SqliteConnection::connect_with(&options).await.expect("a file");
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.expect("made");
    connection.close().await.expect("closed");
}

/// Every column and row, as text, with the misfits.
async fn all(place: &TablePlace, conditions: Vec<Condition>) -> (Vec<String>, u64) {
    let columns = database::columns(place).await.expect("columns");
    let reading = Reading { columns, conditions, ..Reading::default() };
    let chunks: Vec<_> = database::read(place, reading).try_collect().await.expect("rows");
    let mut rows = Vec::new();
    for chunk in &chunks {
        for row in 0..chunk.rows {
            let cells = chunk.values.iter().map(|values| match values {
                Values::Texts(texts) => texts[row].clone().map_or("null".to_owned(), |text| format!("'{text}'")),
                Values::Integers(numbers) => numbers[row].map_or("null".to_owned(), |number| number.to_string()),
                Values::Reals(numbers) => numbers[row].map_or("null".to_owned(), |number| number.to_string()),
                Values::Booleans(truths) => truths[row].map_or("null".to_owned(), |truth| truth.to_string()),
            });
            rows.push(cells.collect::<Vec<_>>().join(" "));
        }
    }
    (rows, chunks.iter().map(|chunk| chunk.infinite + chunk.misfits.iter().sum::<u64>()).sum())
}

const UGLY: &str = r#"
create type mood as enum ('sunny', 'grim');
create domain money_like as numeric(12,2);
create table ugly (
    id int not null, "Odd ""name" text, small int2, big int8, single float4, double float8, loose numeric, tight numeric(10,2),
    cost money_like, truth bool, day date, local timestamp, instant timestamptz, key uuid, doc jsonb, feeling mood,
    tags text[], bytes bytea, span interval
);
insert into ugly (id) values (0);
insert into ugly values
    (1, '', -32768, 9223372036854775807, 1.5, 'NaN', 12345678901234567890.5, 12345678.90, 3.1, true, '2026-11-01', '2026-11-01 06:00:00.123456',
     '2026-11-01 07:00:00+01', '6ba7b810-9dad-11d1-80b4-00c04fd430c8', '{"a": [1]}', 'grim', '{a,"b c"}', '\x00ff', '1 day'),
    (2, 'naïve ''quoted'' 😀', 0, 0, 'Infinity', '-Infinity', 'NaN', 'NaN', 'NaN', false, 'infinity', '-infinity', 'infinity',
     null, null, null, '{}', '', null),
    (3, null, null, null, null, null, null, null, null, null, '0044-03-15 BC', '294276-12-31', '4713-01-01 BC', null, null, null, null, null, null);
"#;

#[tokio::test]
async fn ugly_values_of_postgresql() {
    let Some(server) = Server::with(UGLY).await else { return };
    let place = server.table("ugly");
    let columns = database::columns(&place).await.expect("columns");
    let kind = |name: &str| columns.iter().find(|column| column.name == name).map(|column| column.kind);
    assert_eq!(kind("tight"), Some(ColumnKind::Decimal { precision: 10, scale: 2 }));
    assert_eq!(kind("cost"), Some(ColumnKind::Decimal { precision: 12, scale: 2 }), "a domain is its type");
    assert_eq!(kind("Odd \"name"), Some(ColumnKind::Text));
    let foreign: Vec<_> = columns.iter().filter_map(|column| column.foreign_type.as_deref()).collect();
    assert_eq!(foreign, ["mood", "_text", "bytea", "interval"]);
    let never_null: Vec<_> = columns.iter().filter(|column| !column.is_nullable).map(|column| &column.name).collect();
    assert_eq!(never_null, ["id"]);

    let (rows, misfits) = all(&place, Vec::new()).await;
    let nulls = "null ".repeat(18);
    assert_eq!(rows[0], format!("0 {}", nulls.trim_end()));
    assert_eq!(
        rows[1],
        "1 '' -32768 9223372036854775807 1.5 NaN 12345678901234567000 '12345678.90' '3.10' true 20758 \
         1793512800123456 1793512800000000 '6ba7b810-9dad-11d1-80b4-00c04fd430c8' '{\"a\": [1]}' 'grim' '{a,\"b c\"}' \
         '\\x00ff' '1 day'"
    );
    assert_eq!(
        rows[2],
        "2 'naïve 'quoted' 😀' 0 0 inf -inf null null null false null null null null null null '{}' '\\x' null"
    );
    assert!(rows[3].starts_with("3 null"), "{}", rows[3]);
    assert!(
        !rows[3].contains(|digit: char| digit.is_ascii_digit() && digit != '3'),
        "years beyond the calendar: {}",
        rows[3]
    );
    assert_eq!(misfits, 6 + 3);
    server.end().await;
}

#[tokio::test]
async fn conditions_are_applied_by_the_database() {
    let Some(server) = Server::with(UGLY).await else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("crm.db");
    sqlite(
        &file,
        "create table ugly (id integer, \"Odd \"\"name\" text, double real, untyped, instant timestamp, truth bool, day date);
         insert into ugly values (0, null, null, null, null, null, null), (1, '', 1.5, 7, '2026-11-01T06:00:00Z', 1, '2026-11-01'),
             (2, 'b', 2, '7', 1793512800, 'no', 20000), (3, 'c', 'x', x'ff', 'soon', 5, '');",
    )
    .await;
    let places = [server.table("ugly"), TablePlace::Sqlite { file, table: "ugly".to_owned() }];
    for place in &places {
        let columns = database::columns(place).await.expect("columns");
        let column = |name: &str| columns.iter().find(|column| column.name == name).expect("a column").clone();
        let compare = |name: &str, operator, value| Condition::Compare { column: column(name), operator, value };
        let ids = |rows: &[String]| rows.iter().map(|row| row[..1].to_owned()).collect::<String>();
        for (condition, expected) in [
            (compare("id", Operator::GreaterOrEqual, Value::Integer(2)), "23"),
            (compare("Odd \"name", Operator::Equal, Value::Text(String::new())), "1"),
            (Condition::IsNotNull(column("Odd \"name")), "12"),
            (
                Condition::Any(vec![
                    compare("id", Operator::Less, Value::Integer(1)),
                    Condition::OneOf { column: column("id"), values: vec![Value::Integer(3), Value::Integer(9)] },
                ]),
                "03",
            ),
        ] {
            let (rows, _) = all(place, vec![condition.clone()]).await;
            let expected =
                if matches!(place, TablePlace::Sqlite { .. }) && expected == "12" { "123" } else { expected };
            assert_eq!(ids(&rows), expected, "{condition:?}");
        }
        let hostile = Value::Text("'; drop table ugly; --".to_owned());
        assert!(all(place, vec![compare("Odd \"name", Operator::Equal, hostile)]).await.0.is_empty());
        assert!(!Condition::compares(&column("Odd \"name"), Operator::Less, &Value::Text("a".into())), "orders differ");
        let limited = Reading { limit: Some(3), ..Reading::default() };
        let chunks: Vec<_> = database::read(place, limited).try_collect().await.expect("rows");
        assert_eq!(chunks.iter().map(|chunk| chunk.rows).sum::<usize>(), 3, "rows without columns are counted");
    }
    let (rows, misfits) = all(&places[1], Vec::new()).await;
    assert_eq!(
        rows,
        [
            "0 null null null null null null",
            "1 '' 1.5 '7' 1793512800000000 true 20758",
            "2 'b' 2 '7' 1793512800000000 false 0",
            "3 'c' null null null null null",
        ]
    );
    assert_eq!(misfits, 4, "x, the bytes, soon, and 5");
    server.end().await;
}

#[tokio::test]
async fn much_is_read_in_bounded_chunks_and_may_be_left() {
    let made =
        Server::with("create table many as select n, repeat('x', 1000) as text from generate_series(1, 50000) as n")
            .await;
    let Some(server) = made else { return };
    let place = server.table("many");
    let columns = database::columns(&place).await.expect("columns");
    let reading = Reading { columns, ..Reading::default() };
    let mut chunks = database::read(&place, reading.clone());
    let first = chunks.try_next().await.expect("rows").expect("a chunk");
    assert!(first.rows <= 4_200, "{} rows of a thousand bytes", first.rows);
    drop(chunks);
    let rest: Vec<_> = database::read(&place, reading).try_collect().await.expect("rows");
    assert_eq!(rest.iter().map(|chunk| chunk.rows).sum::<usize>(), 50_000);
    server.end().await;
}

/// The CSV files of the sample as SQL, all columns text but times.
fn tables_of(data: &Path) -> String {
    let mut sql = String::new();
    for name in ["people", "accounts", "members", "unsubscribes"] {
        let text = fs::read_to_string(data.join(format!("{name}.csv"))).expect("the data");
        let mut lines = text.lines();
        let header: Vec<&str> = lines.next().expect("a header").split(',').collect();
        let columns: Vec<String> = header
            .iter()
            .map(|column| format!("{column} {}", if column.ends_with("_at") { "timestamp" } else { "text" }))
            .collect();
        let _ = write!(sql, "create table {name} ({});\n insert into {name} values ", columns.join(", "));
        let rows: Vec<String> = lines
            .map(|line| {
                let cells = line.split(',').map(|cell| match cell {
                    "" => "null".to_owned(),
                    text => format!("'{}'", text.trim_matches('"').replace('\'', "''")),
                });
                let cells: Vec<String> = cells.collect();
                assert_eq!(cells.len(), header.len(), "a plain line: {line}");
                format!("({})", cells.join(", "))
            })
            .collect();
        sql += &rows.join(",\n");
        sql += ";\n";
    }
    sql
}

/// Lets the tables beside `events` of the root project be read from elsewhere.
fn people_from(project: &Path, source: impl Fn(&str) -> String) {
    let file = project.join("milepost.yml");
    let mut text = fs::read_to_string(&file).expect("a project");
    for name in ["people", "accounts", "members", "unsubscribes"] {
        let csv = format!("{{csv: data/{name}.csv}}");
        assert!(text.contains(&csv), "{name}");
        text = text.replace(&csv, &source(name));
    }
    fs::write(file, text).expect("a project");
}

/// Every mail of a run, by its file.
pub(crate) fn mails(project: &Path, environment: &[(&str, &str)]) -> Vec<(String, String)> {
    let arguments = ["run", "--as-of", "2026-11-01T06:00:00Z", "--replay", "--format", "json"];
    milepost_with(project, &arguments, environment).expect(0);
    let outbox = fs::read_dir(project.join("outbox")).expect("an outbox");
    let mails = outbox.map(|entry| entry.expect("an entry").path());
    let mut mails: Vec<_> = mails
        .filter(|path| path.extension().is_some_and(|extension| extension == "eml"))
        .map(|path| {
            let mail = fs::read_to_string(&path).expect("a mail");
            // The ledger's random key is in ids of its own.
            let lines = mail.lines().filter(|line| !line.contains("Message-ID") && !line.contains("boundary"));
            let lines = lines.filter(|line| !line.starts_with("--") && !line.starts_with("X-Milepost"));
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, lines.map(|line| format!("{line}\n")).collect::<String>())
        })
        .map(|(_, mail)| (mail.lines().find(|line| line.starts_with("To:")).unwrap_or_default().to_owned(), mail))
        .collect();
    mails.sort();
    mails
}

#[tokio::test]
async fn the_root_project_with_its_people_in_databases() {
    let plain = root_project();
    let expected = mails(plain.path(), &[]);
    assert!(expected.len() > 1_000, "{} mails", expected.len());

    let sql = tables_of(&plain.path().join("data"));
    let Some(server) = Server::with(&sql).await else { return };
    let project = root_project();
    people_from(project.path(), |name| {
        format!("{{postgres: {{url: \"env:MILEPOST_CRM_URL\", table: {}.{name}}}}}", server.schema.name())
    });
    let url = server.url();
    milepost_with(project.path(), &["check", "--strict"], &[("MILEPOST_CRM_URL", &url)]).expect(0);
    assert!(mails(project.path(), &[("MILEPOST_CRM_URL", &url)]) == expected, "the same mails from PostgreSQL");

    let project = root_project();
    sqlite(&project.path().join("crm.db"), &sql).await;
    people_from(project.path(), |name| format!("{{sqlite: {{file: crm.db, table: {name}}}}}"));
    assert!(mails(project.path(), &[]) == expected, "the same mails from SQLite");
    server.end().await;
}

#[tokio::test]
async fn a_ledger_on_the_same_server_is_no_table() {
    let Some(server) = Server::with("").await else { return };
    let mut connection = server.schema.connection().await;
    let dropped = format!("drop schema {}", server.schema.name());
    sqlx::raw_sql(AssertSqlSafe(dropped)).execute(&mut connection).await.expect("dropped");
    let project = root_project();
    let path = project.path();
    let file = path.join("milepost.yml");
    let text = fs::read_to_string(&file).expect("a project");
    let text = text.replacen("\ntables:", "\nledger: \"env:MILEPOST_LEDGER\"\ntables:", 1);
    fs::write(&file, &text).expect("a project");
    let ledger = server.schema.url();
    milepost_with(path, &["ledger", "create"], &[("MILEPOST_LEDGER", &ledger)]).expect(0);
    // The same server under another host name, and every table of it.
    for host in ["127.0.0.1", "localhost"] {
        for table in ["meta", "deliveries", "suppressions"] {
            let table = format!("{}.{table}", server.schema.name());
            let evil = format!("\ntables:\n  evil: {{postgres: {{url: \"env:MILEPOST_URL\", table: {table}}}}}");
            fs::write(&file, text.replacen("\ntables:", &evil, 1)).expect("a project");
            let mut url = url::Url::parse(&server.url()).expect("a URL");
            url.set_host(Some(host)).expect("a host");
            let ran = milepost_with(path, &["check"], &[("MILEPOST_LEDGER", &ledger), ("MILEPOST_URL", url.as_str())]);
            let said = ran.expect(2).stderr;
            assert!(said.contains("holds a ledger of milepost"), "{said}");
        }
    }
    server.end().await;
}

#[tokio::test]
async fn what_goes_wrong_is_said_with_what_next() {
    let plain = root_project();
    let sql = tables_of(&plain.path().join("data"));
    let Some(server) = Server::with(&sql).await else { return };
    let project = root_project();
    let path = project.path();
    people_from(path, |name| {
        format!("{{postgres: {{url: \"env:MILEPOST_CRM_URL\", table: {}.{name}}}}}", server.schema.name())
    });
    let url = server.url();
    let check = |url: &str| milepost_with(path, &["check"], &[("MILEPOST_CRM_URL", url)]);
    let says = |ran: Ran, code: i32, words: &str| {
        let ran = ran.expect(code);
        assert!(ran.stderr.contains(words) && !ran.stderr.contains("hunter2"), "{words}: {}", ran.stderr);
    };
    milepost_with(path, &["check", "--save-schemas"], &[("MILEPOST_CRM_URL", &url)]).expect(0);
    milepost_with(path, &["check", "--offline", "--strict"], &[]).expect(0);
    says(milepost_with(path, &["check"], &[]), 0, "MILEPOST_CRM_URL");
    says(milepost_with(path, &["check", "--secrets"], &[]), 2, "MILEPOST_CRM_URL");
    says(milepost_with(path, &["run", "--dry-run"], &[]), 2, "MILEPOST_CRM_URL");
    says(check("mysql://x"), 2, "its URL is wrong");
    says(check("postgres://nobody:hunter2@127.0.0.1:1/x"), 7, "refused or lost");
    let mut other = url::Url::parse(&url).expect("a URL");
    other.set_username("no_such_account").expect("a name");
    other.set_password(Some("hunter2")).expect("a password");
    says(check(other.as_str()), 7, "cannot be read");
    let mut connection = PgConnection::connect(&url).await.expect("a server");
    let dropped = format!("drop table {}.unsubscribes", server.schema.name());
    sqlx::raw_sql(AssertSqlSafe(dropped)).execute(&mut connection).await.expect("dropped");
    says(check(&url), 2, "has no table");
    server.end().await;

    let file = path.join("milepost.yml");
    let text = fs::read_to_string(&file).expect("a project");
    let lines = [
        "  plain: {postgres: {url: \"postgres://a:hunter2@h/d\", table: t}}",
        "  deep: {postgres: {url: \"env:X\", table: a.b.c}}",
        "  half: {sqlite: {file: crm.db}}",
        "  folders: {sqlite: {file: crm.db, table: t}, partitions: {day: {type: date}}}",
        "  far: {sqlite: {file: \"s3://a/b.db\", table: t}}",
        "  two: {sqlite: {file: a.db, table: t}, csv: a.csv}",
        "providers:",
    ];
    fs::write(&file, text.replacen("providers:", &lines.join("\n"), 1)).expect("a project");
    let found = milepost_with(path, &["check", "--offline", "--format", "json"], &[]).expect(2).json();
    let codes: Vec<_> =
        found["diagnostics"].as_array().expect("a list").iter().map(|finding| finding["code"].as_str()).collect();
    for code in ["plain-secret", "bad-table", "missing-key", "not-for-databases", "bad-location", "two-sources"] {
        assert!(codes.contains(&Some(code)), "{code} in {codes:?}");
    }

    let absent = root_project();
    people_from(absent.path(), |name| format!("{{sqlite: {{file: crm.db, table: {name}}}}}"));
    says(milepost_with(absent.path(), &["check"], &[]), 2, "there is no file");
    fs::write(
        absent.path().join("crm.db"),
        "this is no database, whatever its name says; it is longer than a header of one is",
    )
    .expect("a file");
    says(milepost_with(absent.path(), &["check"], &[]), 2, "not a database");
    sqlite(&absent.path().join("other.db"), "create table x (y)").await;
    fs::rename(absent.path().join("other.db"), absent.path().join("crm.db")).expect("a file");
    says(milepost_with(absent.path(), &["check"], &[]), 2, "has no table `people`");
}
