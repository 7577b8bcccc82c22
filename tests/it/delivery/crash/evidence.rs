//! What is left after a scenario: the ledger's rows read by plain SQL, what the provider wrote down, what was said.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use jiff::Timestamp;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, Row as _};

use super::stage::{Stage, block_on};

/// One row of `deliveries`, as another program reads it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LedgerRow {
    pub(super) profile: String,
    pub(super) occasion: String,
    pub(super) delivery_id: String,
    pub(super) state: String,
    pub(super) reason: String,
    pub(super) attempt: i64,
    /// Microseconds since 1970.
    pub(super) dispatched_at: Option<i64>,
}

/// One message that the provider took responsibility for.
#[derive(Clone, Debug)]
pub(super) struct Acceptance {
    pub(super) delivery_id: String,
    pub(super) to: String,
    pub(super) subject: String,
    pub(super) texts: String,
    pub(super) at: i64,
}

impl Acceptance {
    /// The profile and the occasion, as the message itself says.
    pub(super) fn key(&self) -> (String, String) {
        let words: Vec<&str> = self.subject.split(' ').collect();
        let occasion = words.iter().find(|word| word.contains(':')).copied().unwrap_or_default();
        (words.last().copied().unwrap_or_default().to_owned(), occasion.to_owned())
    }
}

/// The ledger's rows, in order of their keys.
pub(super) fn ledger(stage: &Stage) -> Vec<LedgerRow> {
    const COLUMNS: &str =
        "profile_id, occasion, delivery_id, state, coalesce(reason, '') as reason, cast(attempt as bigint)";
    let instant = |text: Option<String>| {
        text.map(|text| text.parse::<Timestamp>().expect("an instant of the ledger").as_microsecond())
    };
    macro_rules! rows {
        ($rows:expr) => {
            $rows
                .iter()
                .map(|row| LedgerRow {
                    profile: row.get(0),
                    occasion: row.get(1),
                    delivery_id: row.get(2),
                    state: row.get(3),
                    reason: row.get(4),
                    attempt: row.get(5),
                    dispatched_at: instant(row.get(6)),
                })
                .collect()
        };
    }
    block_on(async {
        if let Some(schema) = &stage.schema {
            let at = "to_char(dispatched_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";
            let sql = format!("select {COLUMNS}, {at} from deliveries order by 1, 2");
            let mut connection = schema.connection().await;
            let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&mut connection).await.expect("rows");
            connection.close().await.expect("closes");
            rows!(rows)
        } else {
            let sql = format!("select {COLUMNS}, dispatched_at from deliveries order by 1, 2");
            let options = SqliteConnectOptions::new().filename(stage.ledger_file());
            let mut connection = options.connect().await.expect("the ledger opens");
            let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&mut connection).await.expect("rows");
            connection.close().await.expect("closes");
            rows!(rows)
        }
    })
}

/// Whether a run has the job and did not give it back.
pub(super) fn lease_is_held(stage: &Stage) -> bool {
    const SQL: &str = "select count(*) from leases where released_at is null";
    let count: i64 = block_on(async {
        if let Some(schema) = &stage.schema {
            let mut connection = schema.connection().await;
            sqlx::query_scalar(SQL).fetch_one(&mut connection).await.expect("an answer")
        } else {
            let options = SqliteConnectOptions::new().filename(stage.ledger_file());
            let mut connection = options.connect().await.expect("the ledger opens");
            sqlx::query_scalar(SQL).fetch_one(&mut connection).await.expect("an answer")
        }
    });
    count > 0
}

/// Everything the provider accepted, in order.
pub(super) fn acceptances(stage: &Stage) -> Vec<Acceptance> {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let acceptance = |line: serde_json::Value| Acceptance {
        delivery_id: text(&line["delivery_id"]),
        to: text(&line["to"]),
        subject: text(&line["subject"]),
        texts: format!("{} {} {}", text(&line["subject"]), text(&line["html"]), text(&line["text"])),
        at: line["at_us"].as_i64().unwrap_or_default(),
    };
    stage.fake.accepted().into_iter().map(acceptance).collect()
}

/// The faults that each delivery met.
pub(super) fn struck(stage: &Stage) -> BTreeMap<String, Vec<String>> {
    let mut struck: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in stage.fake.struck() {
        for delivery in line["deliveries"].as_array().into_iter().flatten() {
            let met = struck.entry(delivery.as_str().unwrap_or_default().to_owned()).or_default();
            met.push(line["fault"].as_str().unwrap_or_default().to_owned());
        }
    }
    struck
}

/// What is wrong with what readers of the published flags see.
pub(super) fn half_published(stage: &Stage) -> Option<String> {
    let folder = stage.folder.path().join("published");
    if !folder.exists() {
        return None;
    }
    let Ok(text) = fs::read_to_string(folder.join("_milepost.json")) else {
        return Some("a published folder without a manifest".to_owned());
    };
    let manifest: serde_json::Value = serde_json::from_str(&text).expect("manifests are whole");
    let files = manifest["files"].as_array().expect("files");
    let is_whole = |file: &&serde_json::Value| {
        let bytes = fs::read(folder.join(file["path"].as_str().unwrap_or_default())).unwrap_or_default();
        bytes.len() as u64 == file["bytes"] && bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1")
    };
    if let Some(file) = files.iter().find(|file| !is_whole(file)) {
        return Some(format!("a published file is not whole: {file}"));
    }
    let rows: u64 = files.iter().filter_map(|file| file["rows"].as_u64()).sum();
    (rows != stage.truth.candidates).then(|| format!("{rows} rows are published of {}", stage.truth.candidates))
}

/// Files and tables outside the data and the settings in which a secret stands.
pub(super) fn leaks(stage: &Stage) -> Vec<String> {
    const SECRETS: [&str; 5] =
        ["@example.test", "@Example.test", "@example.invalid", "re_secret_of_the_test", "Name1end"];
    let mut found = Vec::new();
    let mut look = |place: &str, bytes: &[u8]| {
        for secret in SECRETS {
            if bytes.windows(secret.len()).any(|window| window == secret.as_bytes()) {
                found.push(format!("{secret} stands in {place}"));
            }
        }
    };
    let root = stage.folder.path();
    let mut folders = vec![root.join(".milepost"), root.join("target"), root.join("said")];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(bytes) = fs::read(&path) {
                look(&path.strip_prefix(root).unwrap_or(Path::new("")).display().to_string(), &bytes);
            }
        }
    }
    if let Some(schema) = &stage.schema {
        for (table, text) in block_on(schema.texts()) {
            look(&table, text.as_bytes());
        }
    }
    found
}
