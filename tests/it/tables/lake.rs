//! The sample events of the root project as a Delta Lake table, written after the protocol: partitions by day, several
//! commits, and a file that a later commit took out again.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray as _, RecordBatch, StringArray};
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

/// Writes the folders `day=...` of Parquet files as a Delta table.
pub(crate) fn write_delta(days: &Path, table: &Path) {
    let mut folders: Vec<PathBuf> = fs::read_dir(days).expect("days").map(|day| day.expect("a day").path()).collect();
    folders.sort();
    fs::create_dir_all(table.join("_delta_log")).expect("a folder");
    let (first, second) = folders.split_at(folders.len() / 2);
    let mut actions = head(&rows(&folders[0]).schema());
    actions.extend(first.iter().flat_map(|day| halves(table, day)));
    commit(table, 0, &actions);
    actions = second.iter().flat_map(|day| halves(table, day)).collect();
    // The last days once more under ids of their own: whoever reads this file counts everything of them twice.
    let twice: Vec<RecordBatch> = folders.iter().rev().take(40).map(|day| renamed(&rows(day))).collect();
    let twice = concat_batches(&twice[0].schema(), &twice).expect("one batch");
    let mistake = add(table, name_of(&folders[folders.len() - 1]), "mistake.parquet", &twice);
    let path = mistake["add"]["path"].clone();
    actions.push(mistake);
    commit(table, 1, &actions);
    commit(table, 2, &[json!({"remove": {"path": path, "deletionTimestamp": 1, "dataChange": true}})]);
}

fn name_of(folder: &Path) -> &str {
    folder.file_name().and_then(|name| name.to_str()).expect("a name")
}

fn rows(day: &Path) -> RecordBatch {
    let files = fs::read_dir(day).expect("files").map(|file| File::open(file.expect("a file").path()).expect("a file"));
    let batches: Vec<RecordBatch> = files
        .flat_map(|file| ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet").build().expect("rows"))
        .map(|batch| batch.expect("rows"))
        .collect();
    concat_batches(&batches[0].schema(), &batches).expect("one batch")
}

fn renamed(rows: &RecordBatch) -> RecordBatch {
    let schema = rows.schema();
    let at = schema.index_of("message_id").expect("a column");
    let mut columns = rows.columns().to_vec();
    let ids = columns[at].as_string::<i32>().iter().map(|id| id.map(|id| format!("twice-{id}")));
    columns[at] = Arc::new(ids.collect::<StringArray>()) as ArrayRef;
    RecordBatch::try_new(schema, columns).expect("rows")
}

/// One day as two files of its partition.
fn halves(table: &Path, day: &Path) -> Vec<Value> {
    let rows = rows(day);
    let half = rows.num_rows() / 2;
    let parts = [rows.slice(0, half), rows.slice(half, rows.num_rows() - half)];
    parts.iter().enumerate().map(|(at, rows)| add(table, name_of(day), &format!("part-{at}.parquet"), rows)).collect()
}

fn add(table: &Path, partition: &str, name: &str, rows: &RecordBatch) -> Value {
    let path = format!("{partition}/{name}");
    fs::create_dir_all(table.join(partition)).expect("a folder");
    let file = File::create(table.join(&path)).expect("a file");
    let mut writer = ArrowWriter::try_new(file, rows.schema(), None).expect("a writer");
    writer.write(rows).expect("written");
    writer.close().expect("closed");
    let day = partition.split_once('=').expect("a partition").1;
    let size = fs::metadata(table.join(&path)).expect("a file").len();
    let stats = json!({"numRecords": rows.num_rows()}).to_string();
    json!({"add": {"path": path, "partitionValues": {"day": day}, "size": size, "modificationTime": 1, "dataChange": true,
        "stats": stats}})
}

fn head(columns: &Schema) -> Vec<Value> {
    let field = |name: &str, kind: &str| json!({"name": name, "type": kind, "nullable": true, "metadata": {}});
    let mut fields: Vec<Value> = columns
        .fields()
        .iter()
        .map(|column| {
            let kind = match column.data_type() {
                DataType::Utf8 => "string",
                DataType::Int64 => "long",
                DataType::Timestamp(_, Some(_)) => "timestamp",
                DataType::Timestamp(_, None) => "timestamp_ntz",
                other => panic!("a type that the sample does not have: {other}"),
            };
            field(column.name(), kind)
        })
        .collect();
    fields.push(field("day", "date"));
    let schema = json!({"type": "struct", "fields": fields}).to_string();
    vec![
        json!({"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": ["timestampNtz"],
            "writerFeatures": ["timestampNtz"]}}),
        json!({"metaData": {"id": "sample", "format": {"provider": "parquet", "options": {}}, "schemaString": schema,
            "partitionColumns": ["day"], "configuration": {}}}),
    ]
}

fn commit(table: &Path, version: u64, actions: &[Value]) {
    let text: String = actions.iter().map(|action| format!("{action}\n")).collect();
    fs::write(table.join(format!("_delta_log/{version:020}.json")), text).expect("a commit");
}
