//! The sample events of the root project as calls that Segment or RudderStack would have collected, written after their
//! documented layouts: mixed kinds, duplicates, late rows, people who were anonymous at first or were renamed. The same
//! seed gives the same files.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

const DAY: i64 = 86_400_000_000;
const HOUR: i64 = 3_600_000_000;

/// One call: what every layout is written from. Times are microseconds.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) kind: &'static str,
    pub(crate) message_id: String,
    pub(crate) event: Option<String>,
    pub(crate) user_id: Option<String>,
    pub(crate) anonymous_id: Option<String>,
    pub(crate) previous_id: Option<String>,
    pub(crate) group_id: Option<String>,
    pub(crate) timestamp: i64,
    pub(crate) received_at: i64,
    /// Properties or traits, by their small names.
    pub(crate) own: BTreeMap<String, Value>,
}

/// Numbers from a seed.
struct Chance(u64);

impl Chance {
    fn one_in(&mut self, many: u64) -> bool {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33).is_multiple_of(many)
    }
}

fn number_of(user: &str) -> u64 {
    user.bytes().filter(u8::is_ascii_digit).fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
}

fn rows(data: &Path) -> Vec<RecordBatch> {
    let mut files: Vec<_> = fs::read_dir(data.join("events"))
        .expect("days")
        .flat_map(|day| fs::read_dir(day.expect("a day").path()).expect("files"))
        .map(|file| file.expect("a file").path())
        .collect();
    files.sort();
    files
        .into_iter()
        .flat_map(|file| {
            let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(file).expect("a file")).expect("Parquet");
            reader.build().expect("rows").map(|batch| batch.expect("rows")).collect::<Vec<_>>()
        })
        .collect()
}

/// What each event becomes, and who is said to be who.
pub(crate) fn calls(data: &Path) -> Vec<Call> {
    let mut chance = Chance(2026);
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let mut calls = Vec::new();
    for batch in rows(data) {
        let text = |name: &str, row: usize| {
            let column = batch.column_by_name(name).expect("a column").as_string::<i32>();
            (!column.is_null(row)).then(|| column.value(row).to_owned())
        };
        let time = |name: &str, row: usize| {
            batch.column_by_name(name).expect("a column").as_primitive::<TimestampMicrosecondType>().value(row)
        };
        for row in 0..batch.num_rows() {
            let event = text("event", row).expect("an event");
            let mut own: BTreeMap<String, Value> = ["campaign_id", "channel"]
                .into_iter()
                .filter_map(|name| Some((name.to_owned(), text(name, row)?.into())))
                .collect();
            own.extend(["recipients", "duration_s"].into_iter().filter_map(|name| {
                let column = batch.column_by_name(name).expect("a column").as_primitive::<Int64Type>();
                (!column.is_null(row)).then(|| (name.to_owned(), column.value(row).into()))
            }));
            let is_page = event == "page_viewed";
            let mut call = Call {
                kind: if is_page { "page" } else { "track" },
                message_id: text("message_id", row).expect("an id"),
                event: (!is_page).then_some(event),
                user_id: text("user_id", row),
                anonymous_id: None,
                previous_id: None,
                group_id: text("context_group_id", row),
                timestamp: time("timestamp", row),
                received_at: time("received_at", row),
                own,
            };
            if let Some(user) = call.user_id.clone() {
                let count = seen.entry(user.clone()).or_default();
                *count += 1;
                match number_of(&user) % 20 {
                    // Anonymous at first, then identified.
                    1 | 2 if *count <= 4 => {
                        call.anonymous_id = Some(format!("anon-{user}"));
                        call.user_id = None;
                    }
                    // Another id at first, and an alias that says so.
                    3 if *count <= 6 => call.user_id = Some(format!("old-{user}")),
                    // Anonymous, then the old id, then the new one.
                    4 if *count <= 3 => {
                        call.anonymous_id = Some(format!("anon-{user}"));
                        call.user_id = None;
                    }
                    4 if *count <= 6 => {
                        call.anonymous_id = Some(format!("anon-{user}"));
                        call.user_id = Some(format!("old-{user}"));
                    }
                    _ => {}
                }
            }
            if chance.one_in(50) {
                let later = call.received_at + if chance.one_in(2) { HOUR } else { DAY };
                calls.push(Call { received_at: later, ..call.clone() });
            }
            // Late, but within the look-back of three days.
            if chance.one_in(40) && call.received_at - call.timestamp < 12 * HOUR {
                call.received_at += 2 * DAY;
            }
            calls.push(call);
        }
    }
    calls.extend(people(data));
    calls
}

fn people(data: &Path) -> Vec<Call> {
    let text = fs::read_to_string(data.join("people.csv")).expect("people");
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().expect("a header").split(',').collect();
    let mut calls = Vec::new();
    for line in lines {
        let cells: BTreeMap<&str, &str> =
            header.iter().copied().zip(line.split(',').map(|cell| cell.trim_matches('"'))).collect();
        let user = cells["user_id"];
        let at = cells["created_at"].parse::<Timestamp>().expect("a time").as_microsecond();
        let traits = cells.iter().filter(|(name, cell)| **name != "user_id" && !cell.is_empty());
        let traits: BTreeMap<String, Value> = traits.map(|(name, cell)| ((*name).to_owned(), (*cell).into())).collect();
        let call = |kind, name: &str, timestamp: i64| Call {
            kind,
            message_id: format!("{name}-{user}"),
            event: None,
            user_id: Some(user.to_owned()),
            anonymous_id: None,
            previous_id: None,
            group_id: None,
            timestamp,
            received_at: timestamp + 1_000_000,
            own: BTreeMap::new(),
        };
        // What was true before; a later call without a trait leaves it as it was; what comes after the run is not known yet.
        let mut stale = traits.clone();
        stale.retain(|name, _| !cells[name.as_str()].is_empty() && name != "timezone");
        stale.entry("first_name".to_owned()).and_modify(|name| *name = "Stale".into());
        stale.entry("email".to_owned()).and_modify(|email| *email = "stale@example.test".into());
        calls.push(Call { own: stale, ..call("identify", "stale", at - HOUR) });
        calls.push(Call { own: traits, ..call("identify", "traits", at) });
        calls.push(call("identify", "empty", at + HOUR));
        let future = BTreeMap::from([("first_name".to_owned(), Value::from("Future"))]);
        let after_all = 1_793_512_800_000_000 + 10 * DAY;
        calls.push(Call { own: future, ..call("identify", "future", after_all) });
        let group = BTreeMap::from([("plan".to_owned(), Value::from("free"))]);
        calls.push(Call { own: group, group_id: Some("acct_001".into()), ..call("group", "group", at) });
        match number_of(user) % 20 {
            1 | 2 => calls.push(Call { anonymous_id: Some(format!("anon-{user}")), ..call("identify", "login", at) }),
            3 | 4 => {
                let old = Some(format!("old-{user}"));
                calls.push(Call { previous_id: old, ..call("alias", "alias", at) });
            }
            _ => {}
        }
    }
    calls
}

fn instant(microseconds: i64) -> Timestamp {
    Timestamp::from_microsecond(microseconds).expect("a time")
}

fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| name + &word[..1].to_uppercase() + &word[1..])
}

/// One call as the API takes it.
fn document(call: &Call) -> Value {
    let mut document = Map::new();
    let mut add = |name: &str, value: Option<&String>| {
        if let Some(value) = value {
            document.insert(name.to_owned(), value.clone().into());
        }
    };
    add("messageId", Some(&call.message_id));
    add("event", call.event.as_ref());
    add("userId", call.user_id.as_ref());
    add("anonymousId", call.anonymous_id.as_ref());
    add("previousId", call.previous_id.as_ref());
    document.insert("type".into(), call.kind.into());
    document.insert("timestamp".into(), instant(call.timestamp).to_string().into());
    document.insert("receivedAt".into(), instant(call.received_at).to_string().into());
    document.insert("channel".into(), "server".into());
    let library = json!({"name": "analytics-node", "version": "2.1.0"});
    match (call.kind, &call.group_id) {
        ("group", Some(group)) => {
            document.insert("groupId".into(), group.clone().into());
            document.insert("context".into(), json!({ "library": library }));
        }
        (_, Some(group)) => {
            document.insert("context".into(), json!({ "groupId": group, "library": library }));
        }
        _ => {
            document.insert("context".into(), json!({ "library": library, "ip": null }));
        }
    }
    if call.kind == "page" {
        document.insert("name".into(), "Home".into());
    }
    let is_trait = matches!(call.kind, "identify" | "group");
    let own: Map<String, Value> = call
        .own
        .iter()
        .map(|(name, value)| (if is_trait { camel(name) } else { name.clone() }, value.clone()))
        .collect();
    if call.kind != "alias" {
        document.insert(if is_trait { "traits" } else { "properties" }.into(), own.into());
    }
    Value::Object(document)
}

/// Bytes as a gzip file of stored blocks.
fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut file = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let mut blocks = bytes.chunks(0xffff).peekable();
    while let Some(block) = blocks.next() {
        let size = u16::try_from(block.len()).expect("a small block");
        file.push(u8::from(blocks.peek().is_none()));
        file.extend(size.to_le_bytes());
        file.extend((!size).to_le_bytes());
        file.extend(block);
    }
    let checksum = !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 })
    });
    file.extend(checksum.to_le_bytes());
    file.extend(u32::try_from(bytes.len()).expect("a small file").to_le_bytes());
    file
}

/// `segment-logs/SOURCE/DAY/FILE.gz`, the day in milliseconds or seconds; some files are not gzipped, whatever their name.
pub(crate) fn write_logs(calls: &[Call], folder: &Path) {
    let mut days: BTreeMap<i64, String> = BTreeMap::new();
    for call in calls {
        let text = days.entry(call.received_at.div_euclid(DAY)).or_default();
        *text += &format!("{}\n", document(call));
    }
    for (day, text) in days {
        let name = if day % 2 == 0 { (day * 86_400_000).to_string() } else { (day * 86_400).to_string() };
        let folder = folder.join(name);
        fs::create_dir_all(&folder).expect("a folder");
        let bytes = if day % 5 == 0 { text.into_bytes() } else { gzipped(text.as_bytes()) };
        fs::write(folder.join("1.a3f0.gz"), bytes).expect("a file");
    }
}

/// How a lake or an unloaded warehouse lays its tables out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Lake {
    /// `rudder-datalake/NAMESPACE/TABLE/YYYY/MM/DD/HH/FILE.parquet`.
    Rudder,
    /// `segment-data/data/SOURCE/segment_type=TABLE/day=YYYY-MM-DD/hr=HH/FILE.parquet`: no tables of all tracks or of users,
    /// the names of traits as they were sent, the API's `message_id`.
    Segment,
    /// `SCHEMA/TABLE/FILE.parquet`.
    Warehouse,
}

impl Lake {
    fn folder(self, table: &str, at: i64) -> String {
        match self {
            Self::Rudder => format!("{table}/{}", instant(at).strftime("%Y/%m/%d/%H")),
            Self::Segment => format!("segment_type={table}/{}", instant(at).strftime("day=%Y-%m-%d/hr=%H")),
            Self::Warehouse => table.to_owned(),
        }
    }
}

/// The calls in tables of Parquet.
pub(crate) fn write_lake(calls: &[Call], folder: &Path, lake: Lake) {
    let mut files: BTreeMap<(String, i64), Vec<&Call>> = BTreeMap::new();
    for call in calls {
        // A flush now and then, as when a warehouse is filled a few times a day.
        let window = call.received_at.div_euclid(8 * DAY);
        let tables = match (call.kind, &call.event) {
            ("track", Some(event)) if lake == Lake::Segment => vec![event.as_str()],
            ("track", Some(event)) => vec!["tracks", event.as_str()],
            ("page", _) => vec!["pages"],
            ("identify", _) if lake == Lake::Segment => vec!["identifies"],
            ("identify", _) => vec!["identifies", "users"],
            ("group", _) => vec!["groups"],
            _ => vec!["aliases"],
        };
        for table in tables {
            files.entry((table.to_owned(), window)).or_default().push(call);
        }
    }
    for ((table, window), calls) in files {
        let folder = folder.join(lake.folder(&table, window * 8 * DAY));
        fs::create_dir_all(&folder).expect("a folder");
        let batch = batch(&table, &calls, lake == Lake::Segment);
        let file = File::create(folder.join(format!("load-{window}.parquet"))).expect("a file");
        let mut writer = ArrowWriter::try_new(file, batch.schema(), None).expect("a writer");
        writer.write(&batch).expect("written");
        writer.close().expect("closed");
    }
}

fn batch(table: &str, calls: &[&Call], as_sent: bool) -> RecordBatch {
    let texts = |value: &dyn Fn(&Call) -> Option<String>| {
        Arc::new(calls.iter().map(|call| value(call)).collect::<StringArray>()) as ArrayRef
    };
    let times = |value: &dyn Fn(&Call) -> i64| {
        Arc::new(TimestampMicrosecondArray::from_iter_values(calls.iter().map(|call| value(call)))) as ArrayRef
    };
    let id = match table {
        _ if as_sent => "message_id",
        "users" => "user_key",
        _ => "id",
    };
    let mut columns: Vec<(String, ArrayRef)> = vec![
        (id.into(), texts(&|call| Some(call.message_id.clone()))),
        ("user_id".into(), texts(&|call| call.user_id.clone())),
        ("anonymous_id".into(), texts(&|call| call.anonymous_id.clone())),
        ("timestamp".into(), times(&|call| call.timestamp)),
        ("received_at".into(), times(&|call| call.received_at)),
        ("channel".into(), texts(&|_| Some("server".into()))),
        ("context_library_name".into(), texts(&|_| Some("analytics-node".into()))),
    ];
    match table {
        "aliases" => columns.push(("previous_id".into(), texts(&|call| call.previous_id.clone()))),
        "groups" => columns.push(("group_id".into(), texts(&|call| call.group_id.clone()))),
        "identifies" | "users" => {}
        _ => columns.push(("context_group_id".into(), texts(&|call| call.group_id.clone()))),
    }
    if !["pages", "identifies", "users", "groups", "aliases"].contains(&table) {
        columns.push(("event".into(), texts(&|call| call.event.clone())));
        if !as_sent {
            columns.push(("event_text".into(), texts(&|call| call.event.clone())));
        }
    }
    if as_sent {
        for (name, value) in [("project_id", "p1"), ("version", "2"), ("metadata_trackingPlan_version", "7")] {
            columns.push((name.into(), texts(&|_| Some(value.into()))));
        }
        columns.push(("type".into(), texts(&|call| Some(call.kind.into()))));
    }
    let own: std::collections::BTreeSet<&String> = calls.iter().flat_map(|call| call.own.keys()).collect();
    for name in own.into_iter().filter(|name| table != "tracks" && *name != "channel") {
        let numbers = calls.iter().any(|call| call.own.get(name).is_some_and(Value::is_i64));
        let column: ArrayRef = if numbers {
            Arc::new(calls.iter().map(|call| call.own.get(name).and_then(Value::as_i64)).collect::<Int64Array>())
        } else {
            texts(&|call| call.own.get(name).and_then(Value::as_str).map(str::to_owned))
        };
        let is_trait = ["identifies", "groups"].contains(&table);
        columns.push((if as_sent && is_trait { camel(name) } else { name.clone() }, column));
    }
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
        .expect("rows")
}
