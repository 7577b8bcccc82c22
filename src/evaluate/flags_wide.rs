//! Milestone flags with one row per profile: passes are read side by side, since each has every audience profile in order.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::{StreamExt, stream};

use super::error::EvaluateError;
use super::flag_reader::FlagReader;
use super::flags::{Listed, batch_of, instant_field, instants, into_warehouse, is_at, listed_levels};
use super::found::{Found, ProfileFound};
use super::milestones::{Pass, PassSource};
use crate::warehouse::TableRows;
use crate::warehouse::arrow::array::{ArrayRef, BooleanArray, StringArray};
use crate::warehouse::arrow::datatypes::{DataType, Field, Schema, SchemaRef};

/// Profiles per batch.
const BATCH: usize = 4_096;

/// A reader with the profiles it has read ahead.
pub(super) type Buffered = (FlagReader, VecDeque<ProfileFound>);

/// One pair of columns: whether and when.
#[derive(Clone, Debug)]
enum Pair {
    /// A level of a list.
    Level(Listed),
    /// Any flag of a milestone without a list of levels; the time is that of the last.
    Any { part: usize, milestone: String },
}

impl Pair {
    fn name(&self) -> String {
        match self {
            Self::Level(Listed { milestone, level: Some(level), .. }) => format!("{milestone}_{level}"),
            Self::Level(Listed { milestone, level: None, .. }) | Self::Any { milestone, .. } => milestone.clone(),
        }
    }

    fn found<'a>(&self, row: &'a [Found]) -> Option<&'a Found> {
        match self {
            Self::Level(listed) => last(row, |found| is_at(found, listed)),
            Self::Any { part, .. } => last(row, |found| found.part == *part),
        }
    }
}

/// The one that was reached last.
fn last(row: &[Found], matches: impl Fn(&Found) -> bool) -> Option<&Found> {
    row.iter().filter(|found| matches(found)).max_by_key(|found| found.reached_at)
}

/// The table: one row per profile, or per profile and entity where every milestone measures that entity.
pub(super) fn rows(readers: Vec<Buffered>, job: &str, passes: &[Pass]) -> Result<TableRows, EvaluateError> {
    let entity = passes.first().and_then(Pass::entity);
    if passes.iter().any(|pass| pass.entity() != entity) {
        let (is, asked) = ("one whose milestones measure different things", "wide flags");
        return Err(EvaluateError::WrongKind { job: job.to_owned(), is, asked });
    }
    let pairs = pairs(passes);
    let mut fields = vec![Field::new("profile_id", DataType::Utf8, false)];
    fields.extend(entity.map(|_| Field::new("entity_id", DataType::Utf8, false)));
    let has_entity = entity.is_some();
    for pair in &pairs {
        fields.push(Field::new(pair.name(), DataType::Boolean, false));
        fields.push(instant_field(&format!("{}_at", pair.name())));
    }
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    let batch_schema = SchemaRef::clone(&schema);
    let rows = stream::try_unfold((readers, pairs), move |(mut readers, pairs)| {
        let schema = SchemaRef::clone(&batch_schema);
        async move {
            let mut profiles = Vec::new();
            while profiles.len() < BATCH {
                match next_profile(&mut readers).await.map_err(into_warehouse)? {
                    Some(profile) => profiles.push(profile),
                    None => break,
                }
            }
            if profiles.is_empty() {
                return Ok(None);
            }
            let batch = batch_of(&schema, columns(&profiles, &pairs, has_entity))?;
            Ok(Some((batch, (readers, pairs))))
        }
    });
    Ok(TableRows { schema, rows: rows.boxed(), partitioned_by: None })
}

fn pairs(passes: &[Pass]) -> Vec<Pair> {
    let mut pairs: Vec<(usize, Pair)> =
        listed_levels(passes).into_iter().map(|listed| (listed.part, Pair::Level(listed))).collect();
    for pass in passes.iter().filter(|pass| !matches!(pass.source, PassSource::Moments(_))) {
        let any = pass.unlisted().into_iter();
        pairs.extend(any.map(|(part, milestone)| (part, Pair::Any { part, milestone })));
    }
    pairs.sort_by_key(|(part, _)| *part);
    pairs.into_iter().map(|(_, pair)| pair).collect()
}

/// One row: the profile, its entity, and what every pass found about it.
type Row = (String, Option<String>, Vec<Found>);

async fn next_profile(readers: &mut [Buffered]) -> Result<Option<Row>, EvaluateError> {
    let mut whole: Option<Row> = None;
    for (reader, ahead) in readers {
        while ahead.is_empty() {
            match reader.next().await? {
                Some(profiles) => ahead.extend(profiles),
                None => break,
            }
        }
        let Some(profile) = ahead.pop_front() else {
            continue;
        };
        let row = whole.get_or_insert_with(|| (profile.profile_id.clone(), profile.entity_id.clone(), Vec::new()));
        row.2.extend(profile.found);
    }
    Ok(whole)
}

fn columns(profiles: &[Row], pairs: &[Pair], has_entity: bool) -> Vec<ArrayRef> {
    let ids = profiles.iter().map(|(id, ..)| Some(id.as_str())).collect::<StringArray>();
    let mut columns: Vec<ArrayRef> = vec![Arc::new(ids)];
    if has_entity {
        columns.push(Arc::new(profiles.iter().map(|(_, entity, _)| entity.as_deref()).collect::<StringArray>()));
    }
    for pair in pairs {
        let found = || profiles.iter().map(|(_, _, row)| pair.found(row));
        columns.push(Arc::new(found().map(|found| Some(found.is_some())).collect::<BooleanArray>()));
        columns.push(instants(found().map(|found| found.filter(|found| found.dated).map(|found| found.reached_at))));
    }
    columns
}
