//! Milestone flags with one row per profile: passes are read side by side, since each has every audience profile in order.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::{StreamExt, stream};

use super::error::EvaluateError;
use super::flag_reader::FlagReader;
use super::flags::{Listed, batch_of, instant_field, instants, into_warehouse, is_at, listed_levels};
use super::found::{Found, ProfileFound};
use super::milestones::Pass;
use crate::project::Levels;
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
            Self::Level(listed) => format!("{}_{}", listed.milestone, listed.level),
            Self::Any { milestone, .. } => milestone.clone(),
        }
    }

    fn found<'a>(&self, row: &'a [Found]) -> Option<&'a Found> {
        match self {
            Self::Level(listed) => row.iter().find(|found| is_at(found, listed)),
            Self::Any { part, .. } => row.iter().rfind(|found| found.part == *part),
        }
    }
}

/// The table.
pub(super) fn rows(readers: Vec<Buffered>, passes: &[Pass]) -> TableRows {
    let pairs = pairs(passes);
    let mut fields = vec![Field::new("profile_id", DataType::Utf8, false)];
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
            let batch = batch_of(&schema, columns(&profiles, &pairs))?;
            Ok(Some((batch, (readers, pairs))))
        }
    });
    TableRows { schema, rows: rows.boxed() }
}

fn pairs(passes: &[Pass]) -> Vec<Pair> {
    let mut pairs: Vec<(usize, Pair)> =
        listed_levels(passes).into_iter().map(|listed| (listed.part, Pair::Level(listed))).collect();
    for pass in passes {
        match pass {
            Pass::View(view) => {
                pairs.push((view.part, Pair::Any { part: view.part, milestone: view.milestone.clone() }));
            }
            Pass::Reaches(pass) => {
                let every = pass.ladders.iter().filter(|ladder| matches!(ladder.levels, Levels::Every(_)));
                pairs.extend(
                    every.map(|ladder| (ladder.part, Pair::Any { part: ladder.part, milestone: ladder.name.clone() })),
                );
            }
        }
    }
    pairs.sort_by_key(|(part, _)| *part);
    pairs.into_iter().map(|(_, pair)| pair).collect()
}

/// The next profile with what every pass found about it.
async fn next_profile(readers: &mut [Buffered]) -> Result<Option<(String, Vec<Found>)>, EvaluateError> {
    let mut whole: Option<(String, Vec<Found>)> = None;
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
        let found = whole.get_or_insert_with(|| (profile.profile_id.clone(), Vec::new()));
        found.1.extend(profile.found);
    }
    Ok(whole)
}

fn columns(profiles: &[(String, Vec<Found>)], pairs: &[Pair]) -> Vec<ArrayRef> {
    let ids = profiles.iter().map(|(id, _)| Some(id.as_str())).collect::<StringArray>();
    let mut columns: Vec<ArrayRef> = vec![Arc::new(ids)];
    for pair in pairs {
        let found = || profiles.iter().map(|(_, row)| pair.found(row));
        columns.push(Arc::new(found().map(|found| Some(found.is_some())).collect::<BooleanArray>()));
        columns.push(instants(found().map(|found| found.filter(|found| found.dated).map(|found| found.reached_at))));
    }
    columns
}
