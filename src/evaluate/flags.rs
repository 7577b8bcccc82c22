//! Milestone flags as a table: one row per audience profile, milestone and level, or one per profile.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::{StreamExt, stream};
use jiff::Timestamp;

use super::error::EvaluateError;
use super::flag_reader::FlagReader;
use super::found::{Found, ProfileFound};
use super::milestones::Pass;
use super::reaches::{Keep, TypedMeasure};
use super::request::Request;
use super::{CompiledJob, Plan, parameters};
use crate::model::Level;
use crate::project::Levels;
use crate::warehouse::arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use crate::warehouse::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use crate::warehouse::{TableRows, Warehouse, WarehouseError};

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
    let Plan::Milestones(passes) = &job.plan else {
        return Err(EvaluateError::WrongKind { job: job.name.clone(), is: "a recap", asked: "milestone flags" });
    };
    let mut job = job.clone();
    job.narrow(&[]);
    let session = warehouse.bind(&parameters(request)).await?;
    job.audience.check_unique(&session, request.profiles.is_some()).await?;
    let keep = if columns == FlagColumns::Reached { Keep::Flags } else { Keep::Audience };
    if columns == FlagColumns::Wide {
        let mut readers = Vec::new();
        for pass in passes {
            let reader = FlagReader::new(&job, std::slice::from_ref(pass), warehouse, request, keep).await?;
            readers.push((reader, VecDeque::new()));
        }
        return Ok(super::flags_wide::rows(readers, passes));
    }
    let levels = (columns == FlagColumns::All).then(|| listed_levels(passes));
    let schema = long_schema(passes);
    let reader = FlagReader::new(&job, passes, warehouse, request, keep).await?;
    let batch_schema = SchemaRef::clone(&schema);
    let rows = stream::try_unfold((reader, levels), move |(mut reader, levels)| {
        let schema = SchemaRef::clone(&batch_schema);
        async move {
            let Some(profiles) = reader.next().await.map_err(into_warehouse)? else {
                return Ok(None);
            };
            let batch = long_batch(&profiles, levels.as_deref(), &schema)?;
            Ok(Some((batch, (reader, levels))))
        }
    });
    Ok(TableRows { schema, rows: rows.boxed() })
}

/// Errors of a stream of rows are the warehouse's.
pub(super) fn into_warehouse(error: EvaluateError) -> WarehouseError {
    match error {
        EvaluateError::Warehouse(error) => error,
        other => WarehouseError::Query { what: "the job".to_owned(), reason: other.to_string() },
    }
}

/// A named level of a milestone with a list of them; `None` for own views and `every`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Listed {
    pub(super) part: usize,
    pub(super) milestone: String,
    pub(super) level: Level,
}

/// Every level of every list, in the order of the job.
pub(super) fn listed_levels(passes: &[Pass]) -> Vec<Listed> {
    let ladders = passes.iter().flat_map(|pass| match pass {
        Pass::Reaches(pass) => pass.ladders.as_slice(),
        Pass::View(_) => &[],
    });
    let mut listed: Vec<Listed> = ladders
        .flat_map(|ladder| {
            let levels = match &ladder.levels {
                Levels::List(levels) => levels.as_slice(),
                Levels::Every(_) => &[],
            };
            levels.iter().map(|level| Listed { part: ladder.part, milestone: ladder.name.clone(), level: *level })
        })
        .collect();
    listed.sort_by_key(|listed| listed.part);
    listed
}

fn long_schema(passes: &[Pass]) -> SchemaRef {
    let is_whole = |levels: &Levels| match levels {
        Levels::List(levels) => levels.iter().all(|level| level.get().fract() == 0.0),
        Levels::Every(level) => level.get().fract() == 0.0,
    };
    let whole_levels = passes.iter().all(|pass| match pass {
        Pass::Reaches(pass) => pass.ladders.iter().all(|ladder| is_whole(&ladder.levels)),
        Pass::View(pass) => pass.has_whole_levels(),
    });
    let whole_values = passes.iter().all(|pass| match pass {
        Pass::Reaches(pass) => pass.measure == TypedMeasure::Count,
        Pass::View(_) => true,
    });
    let number = |is_whole| if is_whole { DataType::Int64 } else { DataType::Float64 };
    Arc::new(Schema::new(vec![
        Field::new("profile_id", DataType::Utf8, false),
        Field::new("milestone", DataType::Utf8, false),
        Field::new("level", number(whole_levels), true),
        Field::new("flag", DataType::Boolean, false),
        instant_field("reached_at"),
        Field::new("value", number(whole_values), true),
    ]))
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
    let number =
        |column: usize, value: fn(&LongRow<'_>) -> Option<f64>| number_column(schema, column, rows.iter().map(value));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|row| Some(row.profile_id)).collect::<StringArray>()),
        Arc::new(rows.iter().map(|row| Some(row.milestone)).collect::<StringArray>()),
        number(2, |row| row.level),
        Arc::new(rows.iter().map(|row| Some(row.flag)).collect::<BooleanArray>()),
        instants(rows.iter().map(|row| row.reached_at)),
        number(5, |row| row.value),
    ];
    batch_of(schema, columns)
}

#[expect(clippy::cast_possible_truncation, reason = "the column holds whole numbers only")]
fn number_column(schema: &SchemaRef, column: usize, values: impl Iterator<Item = Option<f64>>) -> ArrayRef {
    match schema.field(column).data_type() {
        DataType::Int64 => Arc::new(values.map(|value| value.map(|value| value as i64)).collect::<Int64Array>()),
        _ => Arc::new(values.collect::<Float64Array>()),
    }
}

/// A batch of columns that fit the schema.
pub(super) fn batch_of(schema: &SchemaRef, columns: Vec<ArrayRef>) -> Result<RecordBatch, WarehouseError> {
    RecordBatch::try_new(SchemaRef::clone(schema), columns)
        .map_err(|error| WarehouseError::Query { what: "flags".to_owned(), reason: error.to_string() })
}

fn long_rows<'a>(profile: &'a ProfileFound, levels: &'a [Listed]) -> Vec<LongRow<'a>> {
    let reached = |found: &'a Found| LongRow {
        profile_id: &profile.profile_id,
        milestone: &found.milestone,
        level: found.level,
        reached_at: Some(found.reached_at).filter(|_| found.dated),
        flag: true,
        value: found.value.as_f64(),
    };
    let mut rows: Vec<(usize, LongRow<'a>)> = profile.found.iter().map(|found| (found.part, reached(found))).collect();
    let missing = levels.iter().filter(|listed| profile.parts.contains(&listed.part));
    let missing = missing.filter(|listed| !profile.found.iter().any(|found| is_at(found, listed)));
    rows.extend(missing.map(|listed| {
        let row = LongRow {
            profile_id: &profile.profile_id,
            milestone: &listed.milestone,
            level: Some(listed.level.get()),
            reached_at: None,
            flag: false,
            value: profile.value.as_f64(),
        };
        (listed.part, row)
    }));
    rows.sort_by(|(left_part, left), (right_part, right)| {
        (left_part, left.level.unwrap_or_default())
            .partial_cmp(&(right_part, right.level.unwrap_or_default()))
            .unwrap_or(std::cmp::Ordering::Equal)
    });
    rows.into_iter().map(|(_, row)| row).collect()
}

/// Whether a flag is at a listed level.
pub(super) fn is_at(found: &Found, listed: &Listed) -> bool {
    found.part == listed.part && found.level == Some(listed.level.get())
}
