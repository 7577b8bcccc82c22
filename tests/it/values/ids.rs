//! Every type of an id in the events with every type of an id in the audience: the same people, under the same key.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BinaryArray, Decimal128Array, DictionaryArray, FixedSizeBinaryArray, Float32Array, Float64Array,
    Int16Array, Int32Array, Int64Array, LargeBinaryArray, LargeStringArray, RecordBatch, StringArray, StringViewArray,
    TimestampMicrosecondArray, UInt16Array, UInt32Array, UInt64Array,
};
use datafusion::arrow::datatypes::{Field, Int32Type, Schema};
use datafusion::parquet::arrow::ArrowWriter;

use super::project;
use crate::evaluate::world::{World, at};

const AT: i64 = 1_791_626_400_000_000;
const JOB: &str = "job: job\nstart: all\naudience: people\nmessage: {subject: s, template: t.html}\nmilestones:\n  - {name: done, from: \
                   events, reaches: [1]}\n";

/// A file of a table with these ids, and what declares it.
type Write = fn(&Path, &str, bool) -> String;

/// The ids of two people as a column; the second one's is null where there is a third row without an id.
fn parquet(folder: &Path, table: &str, ids: ArrayRef, is_events: bool) -> String {
    let column = if is_events { "user_id" } else { "profile_id" };
    let mut columns: Vec<(&str, ArrayRef)> = vec![(column, ids)];
    if is_events {
        columns.push(("at", Arc::new(TimestampMicrosecondArray::from(vec![AT, AT]).with_timezone("UTC"))));
    } else {
        columns.push(("email", Arc::new(StringArray::from(vec!["a@x.test", "b@x.test"]))));
    }
    let batch = RecordBatch::try_from_iter(columns).expect("rows");
    write(&folder.join(format!("{table}.parquet")), &batch);
    format!("{{parquet: {table}.parquet{}}}", if is_events { ", time: at" } else { "" })
}

fn write(path: &Path, batch: &RecordBatch) {
    let mut writer = ArrowWriter::try_new(File::create(path).expect("a file"), batch.schema(), None).expect("a writer");
    writer.write(batch).expect("rows");
    writer.close().expect("a file");
}

fn text(folder: &Path, table: &str, ids: [&str; 2], is_events: bool, format: &str) -> String {
    let (key, other, values) = if is_events {
        ("user_id", "at", ["2026-10-10T10:00:00Z"; 2])
    } else {
        ("profile_id", "email", ["a@x.test", "b@x.test"])
    };
    let mut lines = String::new();
    if format == "csv" {
        lines = format!("{key},{other}\n");
    }
    for (id, value) in ids.into_iter().zip(values) {
        let _ = match format {
            "csv" => writeln!(lines, "{id},{value}"),
            _ => writeln!(lines, "{{\"{key}\": {id}, \"{other}\": \"{value}\"}}"),
        };
    }
    fs::write(folder.join(format!("{table}.{format}")), lines).expect("a file");
    format!("{{{format}: {table}.{format}{}}}", if is_events { ", time: at" } else { "" })
}

/// How the ids 1001 and 1002 may be stored.
const NUMBERS: &[(&str, Write)] = &[
    ("int16", |folder, table, events| parquet(folder, table, Arc::new(Int16Array::from(vec![1001, 1002])), events)),
    ("int32", |folder, table, events| parquet(folder, table, Arc::new(Int32Array::from(vec![1001, 1002])), events)),
    ("int64", |folder, table, events| parquet(folder, table, Arc::new(Int64Array::from(vec![1001, 1002])), events)),
    ("uint16", |folder, table, events| parquet(folder, table, Arc::new(UInt16Array::from(vec![1001, 1002])), events)),
    ("uint32", |folder, table, events| parquet(folder, table, Arc::new(UInt32Array::from(vec![1001, 1002])), events)),
    ("uint64", |folder, table, events| parquet(folder, table, Arc::new(UInt64Array::from(vec![1001, 1002])), events)),
    ("float32", |folder, table, events| {
        parquet(folder, table, Arc::new(Float32Array::from(vec![1001.0, 1002.0])), events)
    }),
    ("float64", |folder, table, events| {
        parquet(folder, table, Arc::new(Float64Array::from(vec![1001.0, 1002.0])), events)
    }),
    ("decimal(38, 9)", |folder, table, events| {
        let ids = Decimal128Array::from(vec![1_001_000_000_000, 1_002_000_000_000]);
        parquet(folder, table, Arc::new(ids.with_precision_and_scale(38, 9).expect("decimals")), events)
    }),
    ("decimal(10, 0)", |folder, table, events| {
        let ids = Decimal128Array::from(vec![1001, 1002]);
        parquet(folder, table, Arc::new(ids.with_precision_and_scale(10, 0).expect("decimals")), events)
    }),
    ("string", |folder, table, events| {
        parquet(folder, table, Arc::new(StringArray::from(vec!["1001", "1002"])), events)
    }),
    ("large string", |folder, table, events| {
        parquet(folder, table, Arc::new(LargeStringArray::from(vec!["1001", "1002"])), events)
    }),
    ("string view", |folder, table, events| {
        parquet(folder, table, Arc::new(StringViewArray::from(vec!["1001", "1002"])), events)
    }),
    ("dictionary", |folder, table, events| {
        let ids: DictionaryArray<Int32Type> = ["1001", "1002"].into_iter().collect();
        parquet(folder, table, Arc::new(ids), events)
    }),
    ("binary", |folder, table, events| {
        parquet(folder, table, Arc::new(BinaryArray::from(vec![&b"1001"[..], b"1002"])), events)
    }),
    ("large binary", |folder, table, events| {
        parquet(folder, table, Arc::new(LargeBinaryArray::from(vec![&b"1001"[..], b"1002"])), events)
    }),
    ("binary of fixed length", |folder, table, events| {
        let ids = FixedSizeBinaryArray::try_from_iter([b"1001", b"1002"].into_iter()).expect("bytes");
        parquet(folder, table, Arc::new(ids), events)
    }),
    ("csv", |folder, table, events| text(folder, table, ["1001", "1002"], events, "csv")),
    ("csv of doubles", |folder, table, events| text(folder, table, ["1001.0", "1002.0"], events, "csv")),
    ("ndjson numbers", |folder, table, events| text(folder, table, ["1001", "1002"], events, "ndjson")),
    ("ndjson doubles", |folder, table, events| text(folder, table, ["1001.0", "1002.0"], events, "ndjson")),
    ("ndjson number and text", |folder, table, events| text(folder, table, ["1001.0", "\"1002\""], events, "ndjson")),
    ("ndjson texts", |folder, table, events| text(folder, table, ["\"1001\"", "\"1002\""], events, "ndjson")),
];

/// How two UUIDs may be stored.
const UUIDS: &[(&str, Write)] = &[
    ("binary(16)", |folder, table, events| parquet(folder, table, Arc::new(uuids()), events)),
    ("uuid", |folder, table, events| {
        let path = folder.join(format!("{table}.parquet"));
        let declared = parquet(folder, table, Arc::new(uuids()), events);
        // The same with the logical type that writers of UUIDs give.
        let batch = datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(
            File::open(&path).expect("a file"),
        );
        let batch = batch.expect("Parquet").build().expect("rows").next().expect("a batch").expect("rows");
        let schema = batch.schema();
        let fields = schema.fields().iter().enumerate().map(|(at, field)| {
            let uuid = [("ARROW:extension:name".to_owned(), "arrow.uuid".to_owned())];
            let field = Field::new(field.name(), field.data_type().clone(), true);
            if at == 0 { field.with_metadata(uuid.into()) } else { field }
        });
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        write(&path, &RecordBatch::try_new(schema, batch.columns().to_vec()).expect("rows"));
        declared
    }),
    ("string", |folder, table, events| {
        parquet(folder, table, Arc::new(StringArray::from(UUID_TEXTS.to_vec())), events)
    }),
    ("csv", |folder, table, events| text(folder, table, UUID_TEXTS, events, "csv")),
    ("ndjson", |folder, table, events| {
        let quoted = UUID_TEXTS.map(|id| format!("\"{id}\""));
        text(folder, table, [&quoted[0], &quoted[1]], events, "ndjson")
    }),
];
const UUID_TEXTS: [&str; 2] = ["00112233-4455-6677-8899-aabbccddeeff", "10112233-4455-6677-8899-aabbccddeeff"];

fn uuids() -> FixedSizeBinaryArray {
    let uuid = |first: u8| (0..16).map(|at: u8| if at == 0 { first } else { at * 17 }).collect::<Vec<u8>>();
    FixedSizeBinaryArray::try_from_iter([uuid(0), uuid(16)].into_iter()).expect("bytes")
}

/// The largest ids that each type holds exactly.
const LARGE: &[(&str, Write)] = &[
    ("uint64", |folder, table, events| {
        parquet(
            folder,
            table,
            Arc::new(UInt64Array::from(vec![17_643_839_216_829_325_381, 17_643_839_216_829_325_382])),
            events,
        )
    }),
    ("decimal(20, 0)", |folder, table, events| {
        let ids = Decimal128Array::from(vec![17_643_839_216_829_325_381, 17_643_839_216_829_325_382]);
        parquet(folder, table, Arc::new(ids.with_precision_and_scale(20, 0).expect("decimals")), events)
    }),
    ("csv", |folder, table, events| {
        text(folder, table, ["17643839216829325381", "17643839216829325382"], events, "csv")
    }),
    ("ndjson", |folder, table, events| {
        text(folder, table, ["17643839216829325381", "17643839216829325382"], events, "ndjson")
    }),
];

/// The profiles that are mailed, and the hash under which their ledger's key would be.
async fn mailed(events: Write, people: Write) -> Vec<String> {
    let folder = project("  events: {csv: none.csv}\n  people: {csv: none.csv}", JOB, &[]);
    let tables =
        [("events", events(folder.path(), "events", true)), ("people", people(folder.path(), "people", false))];
    let settings = fs::read_to_string(folder.path().join("milepost.yml")).expect("a project");
    let settings = tables.iter().fold(settings, |settings, (name, declared)| {
        settings.replace(&format!("  {name}: {{csv: none.csv}}"), &format!("  {name}: {declared}"))
    });
    fs::write(folder.path().join("milepost.yml"), settings).expect("a project");
    let world = World::open(folder.path()).await;
    let (candidates, tally) = world.candidates("job", &at("2026-10-11T00:00:00Z")).await;
    assert_eq!((tally.not_in_audience, tally.null_ids), (0, 0));
    candidates.into_iter().map(|candidate| candidate.key.profile_id).collect()
}

async fn every_pair(types: &[(&str, Write)], expected: [&str; 2]) {
    let mut wrong: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
    for (events_type, events) in types {
        for (people_type, people) in types {
            let mailed = mailed(*events, *people).await;
            if mailed != expected {
                wrong.insert((events_type, people_type), mailed);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn numbers_of_every_type_are_the_same_people() {
    assert_eq!(NUMBERS.iter().map(|(name, _)| *name).collect::<BTreeSet<_>>().len(), NUMBERS.len());
    every_pair(NUMBERS, ["1001", "1002"]).await;
}

#[tokio::test]
async fn uuids_of_every_type_are_the_same_people() {
    every_pair(UUIDS, UUID_TEXTS).await;
}

#[tokio::test]
async fn ids_beyond_a_double_keep_every_digit() {
    every_pair(LARGE, ["17643839216829325381", "17643839216829325382"]).await;
}

#[tokio::test]
async fn what_is_no_number_is_counted_as_a_missing_id() {
    let folder = project(
        "  events: {parquet: events.parquet, time: at}\n  people: {csv: people.csv}",
        JOB,
        &[("people.csv", "profile_id,email\n1001,a@x.test\n")],
    );
    let ids = Float64Array::from(vec![Some(1001.0), None, Some(f64::NAN), Some(f64::INFINITY)]);
    let times = TimestampMicrosecondArray::from(vec![AT; 4]).with_timezone("UTC");
    let columns: [(&str, ArrayRef); 2] = [("user_id", Arc::new(ids)), ("at", Arc::new(times))];
    write(&folder.path().join("events.parquet"), &RecordBatch::try_from_iter(columns).expect("rows"));
    let world = World::open(folder.path()).await;
    let (candidates, tally) = world.candidates("job", &at("2026-10-11T00:00:00Z")).await;
    assert_eq!(candidates.len(), 1);
    assert_eq!((tally.null_ids, tally.not_in_audience), (3, 0));
}

#[tokio::test]
async fn a_type_of_an_entity_moves_no_key() {
    let job = JOB.replace("reaches: [1]", "reaches: [1], entity: account_id");
    let tables = "  events: {parquet: events.parquet, time: at}\n  people: {csv: people.csv}";
    let people = ("people.csv", "profile_id,account_id,email\n1,7,a@x.test\n2,8,b@x.test\n");
    let times = || Arc::new(TimestampMicrosecondArray::from(vec![AT; 2]).with_timezone("UTC")) as ArrayRef;
    for accounts in [Arc::new(Float64Array::from(vec![7.0, 8.0])) as ArrayRef, Arc::new(Int64Array::from(vec![7, 8]))] {
        let folder = project(tables, &job, &[people]);
        let columns: [(&str, ArrayRef); 2] = [("account_id", accounts), ("at", times())];
        write(&folder.path().join("events.parquet"), &RecordBatch::try_from_iter(columns).expect("rows"));
        let world = World::open(folder.path()).await;
        let (candidates, _) = world.candidates("job", &at("2026-10-11T00:00:00Z")).await;
        let keys: Vec<String> = candidates.into_iter().map(|candidate| candidate.key.occasion).collect();
        assert_eq!(keys, ["done:1/7", "done:1/8"]);
    }
}

#[tokio::test]
async fn ids_that_may_be_two_people_are_refused() {
    let tables = "  events: {parquet: events.parquet, time: at}\n  people: {csv: people.csv}";
    let people = ("people.csv", "profile_id,email\n1001,a@x.test\n");
    for (ids, reason) in [
        (Arc::new(Float64Array::from(vec![9_007_199_254_740_993.0])) as ArrayRef, "floating-point"),
        (Arc::new(BinaryArray::from(vec![&[0xff, 0xfe, 0x00][..]])), "bytes"),
    ] {
        let folder = project(tables, JOB, &[people]);
        let times = TimestampMicrosecondArray::from(vec![AT]).with_timezone("UTC");
        let columns: [(&str, ArrayRef); 2] = [("user_id", ids), ("at", Arc::new(times))];
        write(&folder.path().join("events.parquet"), &RecordBatch::try_from_iter(columns).expect("rows"));
        let arguments = ["run", "--as-of", "2026-10-11T00:00:00Z", "--replay"];
        let (code, said) = super::run(folder.path(), &arguments);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(reason) && said.contains("user_id"), "{said}");
        assert!(super::subjects(folder.path()).is_empty());
    }
}

#[tokio::test]
async fn a_list_is_no_id() {
    let tables = "  events: {parquet: events.parquet, time: at}\n  people: {csv: people.csv}";
    let folder = project(tables, JOB, &[("people.csv", "profile_id,email\n1001,a@x.test\n")]);
    let ids = datafusion::arrow::array::ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1)])]);
    let times = TimestampMicrosecondArray::from(vec![AT]).with_timezone("UTC");
    let columns: [(&str, ArrayRef); 2] = [("user_id", Arc::new(ids)), ("at", Arc::new(times))];
    write(&folder.path().join("events.parquet"), &RecordBatch::try_from_iter(columns).expect("rows"));
    let world = World::open(folder.path()).await;
    let findings = world.findings("job").await;
    assert!(findings.len() == 1 && findings[0].contains("not-an-id"), "{findings:?}");
}
