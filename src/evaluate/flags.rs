//! Milestone flags as a table: one row per audience profile, milestone and level, or one per profile.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use futures::{StreamExt, stream};
use jiff::Timestamp;

use super::climb_table::Told;
use super::error::EvaluateError;
use super::flag_reader::FlagReader;
use super::found::{Found, ProfileFound};
use super::milestones::{Pass, PassSource};
use super::moments::Moment;
use super::request::{Request, Tally};
use super::subject::Keep;
use super::{CompiledJob, Plan, parameters};
use crate::model::Level;
use crate::project::Levels;
use crate::warehouse::arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use crate::warehouse::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use crate::warehouse::{TableRows, Warehouse, WarehouseError};

/// The column of what is measured, where a milestone measures more than profiles.
pub(super) const ENTITY_COLUMN: &str = "entity_id";

/// Which flags, and how they lie in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlagColumns {
    /// One row per level reached.
    Reached,
    /// One row per level, reached or not; `every` milestones list only reached ones.
    All,
    /// One row per profile: a boolean and a time per level.
    Wide,
}

/// Starts the table.
pub(super) async fn start(
    job: &CompiledJob,
    warehouse: &Warehouse,
    request: &Request,
    columns: FlagColumns,
) -> Result<TableRows, EvaluateError> {
    let mut job = job.clone();
    job.narrow(&[]);
    let Plan::Milestones(passes) = job.plan.clone() else {
        return Err(EvaluateError::WrongKind { job: job.name.clone(), is: "a recap", asked: "milestone flags" });
    };
    let passes = passes.as_slice();
    if !passes.iter().any(Pass::reads_audience) {
        job.audience = job.audience.without_columns();
    }
    let session = warehouse.bind(&parameters(request)).await?;
    job.check_audience(&session, request.profiles.is_some(), &mut Tally::default()).await?;
    let keep = if columns == FlagColumns::Reached { Keep::Flags } else { Keep::Audience };
    if columns == FlagColumns::Wide {
        let mut readers = Vec::new();
        for pass in passes {
            let reader = FlagReader::new(&job, std::slice::from_ref(pass), warehouse, request, keep).await?;
            readers.push((reader.uncounted(), VecDeque::new()));
        }
        return super::flags_wide::rows(readers, &job.name, passes);
    }
    let levels = (columns == FlagColumns::All).then(|| listed_levels(passes));
    let schema = long_schema(passes);
    let reader = FlagReader::new(&job, passes, warehouse, request, keep).await?.uncounted();
    let batch_schema = SchemaRef::clone(&schema);
    let rows = stream::try_unfold((reader, levels), move |(mut reader, levels)| {
        let schema = SchemaRef::clone(&batch_schema);
        async move {
            let told = match &levels {
                Some(_) => reader.next().await.map(|profiles| profiles.map(Told::Profiles)),
                None => reader.next_rows(&schema).await,
            };
            let batch = match told.map_err(into_warehouse)? {
                Some(Told::Profiles(profiles)) => long_batch(&profiles, levels.as_deref(), &schema)?,
                Some(Told::Rows(batch)) => batch,
                None => return Ok(None),
            };
            Ok(Some((batch, (reader, levels))))
        }
    });
    Ok(TableRows { schema, rows: rows.boxed(), partitioned_by: Some("milestone") })
}

/// Errors of a stream of rows are the warehouse's.
pub(super) fn into_warehouse(error: EvaluateError) -> WarehouseError {
    match error {
        EvaluateError::Warehouse(error) => error,
        other => WarehouseError::Query { what: "the job".to_owned(), reason: other.to_string() },
    }
}

/// A level that is told also where it is not reached; `None` for a moment, which is reached or not.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Listed {
    pub(super) part: usize,
    pub(super) milestone: String,
    pub(super) level: Option<Level>,
}

/// Every level of every list and every moment, in the order of the job.
pub(super) fn listed_levels(passes: &[Pass]) -> Vec<Listed> {
    let mut listed: Vec<Listed> = Vec::new();
    for pass in passes {
        for ladder in pass.ladders() {
            let Levels::List(levels) = &ladder.levels else { continue };
            let (part, milestone) = (ladder.part, &ladder.name);
            listed.extend(levels.iter().map(|level| Listed {
                part,
                milestone: milestone.clone(),
                level: Some(*level),
            }));
        }
        if let PassSource::Moments(moments) = &pass.source {
            let moment = |moment: &Moment| Listed { part: moment.part, milestone: moment.name.clone(), level: None };
            listed.extend(moments.moments.iter().map(moment));
        }
    }
    listed.sort_by_key(|listed| listed.part);
    listed
}

fn long_schema(passes: &[Pass]) -> SchemaRef {
    let number = |is_whole| if is_whole { DataType::Int64 } else { DataType::Float64 };
    let mut fields = vec![Field::new("profile_id", DataType::Utf8, false)];
    if passes.iter().any(|pass| pass.entity().is_some()) {
        fields.push(Field::new(ENTITY_COLUMN, DataType::Utf8, true));
    }
    fields.extend([
        Field::new("milestone", DataType::Utf8, false),
        Field::new("level", number(passes.iter().all(Pass::has_whole_levels)), true),
        Field::new("flag", DataType::Boolean, false),
        instant_field("reached_at"),
        Field::new("value", number(passes.iter().all(Pass::has_whole_values)), true),
    ]);
    Arc::new(Schema::new(fields))
}

/// A column of instants that may be null.
pub(super) fn instant_field(name: &str) -> Field {
    Field::new(name, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true)
}

/// A column of instants.
pub(super) fn instants(values: impl Iterator<Item = Option<Timestamp>>) -> ArrayRef {
    let microseconds = values.map(|value| value.map(Timestamp::as_microsecond));
    Arc::new(microseconds.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
}

/// One row of the long table.
struct LongRow<'a> {
    profile_id: &'a str,
    entity_id: Option<&'a str>,
    milestone: &'a str,
    level: Option<f64>,
    reached_at: Option<Timestamp>,
    flag: bool,
    value: Option<f64>,
}

fn long_batch(
    profiles: &[ProfileFound],
    levels: Option<&[Listed]>,
    schema: &SchemaRef,
) -> Result<RecordBatch, WarehouseError> {
    let in_audience = profiles.iter().filter(|profile| profile.audience.is_some());
    let rows: Vec<LongRow<'_>> =
        in_audience.flat_map(|profile| long_rows(profile, levels.unwrap_or_default())).collect();
    let texts = |value: fn(&LongRow<'_>) -> Option<String>| Arc::new(rows.iter().map(value).collect::<StringArray>());
    let numbers =
        |name: &str, value: fn(&LongRow<'_>) -> Option<f64>| number_column(schema, name, rows.iter().map(value));
    let columns = schema.fields().iter().map(|field| -> ArrayRef {
        match field.name().as_str() {
            "profile_id" => texts(|row| Some(row.profile_id.to_owned())),
            ENTITY_COLUMN => texts(|row| row.entity_id.map(str::to_owned)),
            "milestone" => texts(|row| Some(row.milestone.to_owned())),
            "flag" => Arc::new(rows.iter().map(|row| Some(row.flag)).collect::<BooleanArray>()),
            "reached_at" => instants(rows.iter().map(|row| row.reached_at)),
            "level" => numbers("level", |row| row.level),
            _ => numbers("value", |row| row.value),
        }
    });
    batch_of(schema, columns.collect())
}

/// Numbers as a column of the schema has them.
#[expect(clippy::cast_possible_truncation, reason = "the column holds whole numbers only")]
pub(super) fn number_column(schema: &SchemaRef, column: &str, values: impl Iterator<Item = Option<f64>>) -> ArrayRef {
    match schema.field_with_name(column).map(Field::data_type) {
        Ok(DataType::Int64) => Arc::new(values.map(|value| value.map(|value| value as i64)).collect::<Int64Array>()),
        _ => Arc::new(values.collect::<Float64Array>()),
    }
}

/// A batch of columns that fit the schema.
pub(super) fn batch_of(schema: &SchemaRef, columns: Vec<ArrayRef>) -> Result<RecordBatch, WarehouseError> {
    RecordBatch::try_new(SchemaRef::clone(schema), columns)
        .map_err(|error| WarehouseError::Query { what: "flags".to_owned(), reason: error.to_string() })
}

fn long_rows<'a>(profile: &'a ProfileFound, levels: &'a [Listed]) -> Vec<LongRow<'a>> {
    let row = |milestone: &'a str, level: Option<f64>, found: Option<&Found>| LongRow {
        profile_id: &profile.profile_id,
        entity_id: profile.entity_id.as_deref(),
        milestone,
        level,
        reached_at: found.filter(|found| found.dated).map(|found| found.reached_at),
        flag: found.is_some(),
        value: found.map_or(&profile.value, |found| &found.value).as_f64(),
    };
    let reached = latest(&profile.found).into_iter();
    let mut rows: Vec<(usize, LongRow<'a>)> =
        reached.map(|found| (found.part, row(&found.milestone, found.level, Some(found)))).collect();
    let missing = levels.iter().filter(|listed| profile.parts.contains(&listed.part));
    let missing = missing.filter(|listed| !profile.found.iter().any(|found| is_at(found, listed)));
    rows.extend(missing.map(|listed| (listed.part, row(&listed.milestone, listed.level.map(Level::get), None))));
    rows.sort_by(|(left_part, left), (right_part, right)| {
        (left_part, left.level.unwrap_or_default())
            .partial_cmp(&(right_part, right.level.unwrap_or_default()))
            .unwrap_or(std::cmp::Ordering::Equal)
    });
    rows.into_iter().map(|(_, row)| row).collect()
}

/// One per milestone and level: of a streak, silence or anniversary that came again, the latest.
fn latest(found: &[Found]) -> Vec<&Found> {
    if found.len() <= 1 {
        return found.iter().collect();
    }
    let mut latest: Vec<&Found> = Vec::with_capacity(found.len());
    let mut places: HashMap<(usize, Option<u64>), usize> = HashMap::with_capacity(found.len());
    for found in found {
        match places.entry((found.part, found.level.map(f64::to_bits))) {
            Entry::Vacant(place) => {
                place.insert(latest.len());
                latest.push(found);
            }
            Entry::Occupied(place) if latest[*place.get()].reached_at <= found.reached_at => {
                latest[*place.get()] = found;
            }
            Entry::Occupied(_) => {}
        }
    }
    latest
}

/// Whether a flag is at a listed level.
pub(super) fn is_at(found: &Found, listed: &Listed) -> bool {
    found.part == listed.part && found.level == listed.level.map(Level::get)
}
