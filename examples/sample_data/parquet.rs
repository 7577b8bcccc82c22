//! Tables as Parquet, without the statistics and indexes that small files do not need; Lumen's events have one small
//! file per UTC day of arrival.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::arrow::arrow_writer::ArrowWriterOptions;
use datafusion::parquet::basic::{Compression, Encoding, ZstdLevel};
use datafusion::parquet::file::properties::{EnabledStatistics, WriterProperties};
use datafusion::parquet::schema::types::ColumnPath;
use jiff::Timestamp;

use crate::calendar::{self, DAYS};
use crate::events::Event;

/// Writes every day's folder and says how many bytes the files have together.
pub(crate) fn write(folder: &Path, events: &[Event]) -> Result<u64, Box<dyn std::error::Error>> {
    let mut bytes = 0;
    for offset in 0..DAYS {
        let day = calendar::day(offset);
        let (start, end) = (calendar::at_utc(day), calendar::at_utc(calendar::day(offset + 1)));
        let first = events.partition_point(|event| event.received_at < start);
        let last = events.partition_point(|event| event.received_at < end);
        let partition = folder.join(format!("day={day}"));
        fs::create_dir_all(&partition)?;
        let path = partition.join("part-0.parquet");
        write_table(&path, columns(&events[first..last]))?;
        bytes += fs::metadata(&path)?.len();
    }
    Ok(bytes)
}

/// Writes one file. Event tables declare every column optional, whatever it holds.
pub(crate) fn write_table(path: &Path, columns: Vec<(&str, ArrayRef)>) -> Result<(), Box<dyn std::error::Error>> {
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let options = ArrowWriterOptions::new().with_properties(properties()?).with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(File::create(path)?, batch.schema(), options)?;
    writer.write(&batch)?;
    writer.close()?;
    Ok(())
}

fn properties() -> Result<WriterProperties, Box<dyn std::error::Error>> {
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(15)?))
        .set_statistics_enabled(EnabledStatistics::None)
        .set_offset_index_disabled(true)
        .set_created_by("milepost sample_data".to_owned());
    // Values that hardly repeat: what differs from the row before is shorter than a dictionary.
    for (column, encoding) in [
        ("message_id", Encoding::DELTA_BYTE_ARRAY),
        ("workout_id", Encoding::DELTA_BYTE_ARRAY),
        ("timestamp", Encoding::DELTA_BINARY_PACKED),
        ("finished_at", Encoding::DELTA_BINARY_PACKED),
        ("received_at", Encoding::DELTA_BINARY_PACKED),
    ] {
        let path = ColumnPath::from(column);
        builder = builder.set_column_dictionary_enabled(path.clone(), false).set_column_encoding(path, encoding);
    }
    Ok(builder.build())
}

fn columns(events: &[Event]) -> Vec<(&'static str, ArrayRef)> {
    vec![
        ("message_id", texts(events, |event| Some(format!("msg_{:07}", event.message_id)))),
        ("event", texts(events, |event| Some(event.name.to_owned()))),
        ("user_id", texts(events, |event| event.person.map(|person| format!("u_{:05}", person + 1)))),
        ("context_group_id", texts(events, |event| event.account.map(|account| format!("acct_{:03}", account + 1)))),
        ("timestamp", instants(events, |event| event.timestamp)),
        ("received_at", instants(events, |event| event.received_at)),
        ("campaign_id", texts(events, |event| event.campaign.map(|campaign| format!("cmp_{campaign:05}")))),
        ("channel", texts(events, |event| event.channel.map(str::to_owned))),
        ("recipients", numbers(events, |event| event.recipients)),
        ("duration_s", numbers(events, |event| event.duration_s)),
    ]
}

/// A column of texts.
pub(crate) fn texts<T>(rows: &[T], value: impl Fn(&T) -> Option<String>) -> ArrayRef {
    Arc::new(rows.iter().map(value).collect::<StringArray>())
}

/// A column of whole numbers.
pub(crate) fn numbers<T>(rows: &[T], value: impl Fn(&T) -> Option<i64>) -> ArrayRef {
    Arc::new(rows.iter().map(value).collect::<Int64Array>())
}

/// A column of numbers with a fraction.
pub(crate) fn decimals<T>(rows: &[T], value: impl Fn(&T) -> Option<f64>) -> ArrayRef {
    Arc::new(rows.iter().map(value).collect::<Float64Array>())
}

/// A column of instants.
pub(crate) fn instants<T>(rows: &[T], value: impl Fn(&T) -> Timestamp) -> ArrayRef {
    let values = rows.iter().map(|row| value(row).as_microsecond());
    Arc::new(TimestampMicrosecondArray::from_iter_values(values).with_timezone("UTC"))
}
