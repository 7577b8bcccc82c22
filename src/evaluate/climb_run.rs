//! Passes that share a scan, under way: each row is a subject, and tells what every pass found about it.
//!
//! Where a sum depends on the order of rows with the same time, its pass is read beside the others from the query that
//! sorts them, from there on.

use std::collections::VecDeque;

use futures::StreamExt;

use super::audience::Audience;
use super::climb_reader::{ClimbColumns, ClimbReader};
use super::climb_table::{FlagRows, Told};
use super::conditions::Conditions;
use super::error::EvaluateError;
use super::found::ProfileFound;
use super::milestones::{How, Pass};
use super::pass_run::PassRun;
use super::reaches_climb::climbs_sql;
use super::request::Tally;
use super::subject::{Join, Keep};
use crate::warehouse::arrow::array::RecordBatch;
use crate::warehouse::arrow::datatypes::SchemaRef;
use crate::warehouse::{RowStream, Session, WarehouseError};

/// Running passes.
pub(super) struct ClimbRun {
    members: Vec<Member>,
    stream: RowStream,
    audience: Audience,
    session: Session,
    how: How,
}

/// One of the passes.
struct Member {
    pass: Pass,
    conditions: Conditions,
    reader: Option<ClimbReader>,
    /// The pass as the sorting query tells it, and what was read ahead.
    sorted: Option<(PassRun, VecDeque<ProfileFound>)>,
    /// How many profiles were found, and which of them count: without flags, all of the audience or none.
    found: usize,
    keep: Keep,
    /// Levels of `every` that were left out because one event crossed too many.
    left_out: u64,
}

/// The query of passes that share a scan.
pub(super) fn sql(passes: &[Pass], audience: &Audience, how: How) -> String {
    let entity = passes.first().and_then(Pass::entity);
    let join = Join { audience: &audience.of_entity(entity), keep: how.keep, restricted: how.restricted };
    climbs_sql(&passes.iter().filter_map(Pass::ladder_pass).collect::<Vec<_>>(), &join)
}

/// What passes that share a scan look for, for titles and errors.
pub(super) fn title(passes: &[Pass]) -> String {
    let names = passes.iter().flat_map(Pass::ladders).map(|ladder| ladder.name.as_str());
    format!("milestones {}", names.collect::<Vec<_>>().join(", "))
}

impl ClimbRun {
    /// Starts the query.
    pub(super) async fn start(
        passes: Vec<Pass>,
        audience: &Audience,
        session: Session,
        how: How,
    ) -> Result<Self, EvaluateError> {
        let stream = session.stream(&title(&passes), &sql(&passes, audience, how)).await?;
        let mut members = Vec::with_capacity(passes.len());
        for pass in passes {
            let conditions = pass.conditions(audience, &session).await?;
            members.push(Member {
                pass,
                conditions,
                reader: None,
                sorted: None,
                found: 0,
                keep: how.keep,
                left_out: 0,
            });
        }
        Ok(Self { members, stream, audience: audience.clone(), session, how })
    }

    /// The next profiles, each once per pass that found something, in order of id; `None` at the end.
    pub(super) async fn next(&mut self, tally: &mut Tally) -> Result<Option<Vec<ProfileFound>>, EvaluateError> {
        let Some((batch, columns)) = self.batch(tally).await? else { return Ok(None) };
        self.profiles(&batch, &columns, tally).await.map(Some)
    }

    /// The same as rows of the long table, where the query's columns tell all of it.
    pub(super) async fn next_rows(
        &mut self,
        schema: &SchemaRef,
        tally: &mut Tally,
    ) -> Result<Option<Told>, EvaluateError> {
        let Some((batch, columns)) = self.batch(tally).await? else { return Ok(None) };
        Ok(Some(match self.rows(&batch, &columns, schema)? {
            Some(rows) => Told::Rows(rows),
            None => Told::Profiles(self.profiles(&batch, &columns, tally).await?),
        }))
    }

    /// The next batch and its climbs.
    async fn batch(&mut self, tally: &mut Tally) -> Result<Option<(RecordBatch, Vec<ClimbColumns>)>, EvaluateError> {
        let Some(batch) = self.stream.next().await else {
            // The sorting query counts for all of its pass.
            let counted = self.members.iter().filter(|member| member.sorted.is_none());
            tally.levels_left_out += counted.map(|member| member.left_out).sum::<u64>();
            return Ok(None);
        };
        let batch = batch?;
        let columns = self.ready(&batch.schema())?.iter().map(|reader| reader.columns(&batch)).collect();
        Ok(Some((batch, columns)))
    }

    /// A batch as rows; `None` where a row depends on the order of rows with the same time, or a condition is asked.
    fn rows(
        &mut self,
        batch: &RecordBatch,
        columns: &[ClimbColumns],
        schema: &SchemaRef,
    ) -> Result<Option<RecordBatch>, EvaluateError> {
        let is_plain = |(member, columns): (&Member, &ClimbColumns)| {
            let is_settled = || (0..batch.num_rows()).all(|row| columns.is_settled(row));
            member.sorted.is_none() && member.conditions.kept().is_empty() && is_settled()
        };
        let ids = self.members.first().and_then(|member| member.reader.as_ref()?.ids(batch));
        let Some(ids) = ids.filter(|_| self.how.keep == Keep::Flags && self.members.iter().zip(columns).all(is_plain))
        else {
            return Ok(None);
        };
        let mut rows = FlagRows::new();
        for row in 0..batch.num_rows() {
            for (member, columns) in self.members.iter_mut().zip(columns) {
                if let Some(reader) = member.reader.as_ref().filter(|_| columns.has_steps(row)) {
                    let (has_levels, left_out) = reader.tell(columns, ids, row, &mut rows);
                    member.left_out += left_out;
                    member.found += usize::from(has_levels);
                }
            }
        }
        rows.finish(schema).map(Some)
    }

    /// A batch as profiles.
    async fn profiles(
        &mut self,
        batch: &RecordBatch,
        columns: &[ClimbColumns],
        tally: &mut Tally,
    ) -> Result<Vec<ProfileFound>, EvaluateError> {
        let mut found = Vec::new();
        for row in 0..batch.num_rows() {
            for (member, columns) in self.members.iter_mut().zip(columns) {
                if member.sorted.is_none() && !columns.is_settled(row) {
                    let run = member.pass.start(&self.audience, &self.session, self.how).await?;
                    member.sorted = Some((run, VecDeque::new()));
                    member.skip(tally).await?;
                }
                if member.sorted.is_some() {
                    found.extend(member.read_sorted(batch, row, tally).await?);
                } else if self.how.keep == Keep::Audience || columns.has_steps(row) {
                    found.extend(member.read(columns, batch, row));
                }
            }
        }
        for member in &self.members {
            member.conditions.apply(&mut found)?;
        }
        Ok(found)
    }

    fn ready(&mut self, schema: &SchemaRef) -> Result<Vec<&ClimbReader>, EvaluateError> {
        for (place, member) in self.members.iter_mut().enumerate() {
            if member.reader.is_none() {
                let pass = member.pass.ladder_pass();
                let kept = member.conditions.kept();
                member.reader = pass.and_then(|pass| ClimbReader::new(pass, place, schema, &kept));
            }
            if member.reader.is_none() {
                let reason = "a column of the result is missing".to_owned();
                return Err(WarehouseError::Query { what: member.pass.title(), reason }.into());
            }
        }
        Ok(self.members.iter().filter_map(|member| member.reader.as_ref()).collect())
    }
}

impl Member {
    fn read(&mut self, columns: &ClimbColumns, batch: &RecordBatch, row: usize) -> Option<ProfileFound> {
        let reader = self.reader.as_ref()?;
        let (profile, left_out) = reader.found(reader.subject(batch, row)?, columns, (batch, row));
        self.left_out += left_out;
        self.found += usize::from(self.counts(&profile));
        Some(profile)
    }

    /// Passes over what was found before: the sorting query tells it again, in the same order.
    async fn skip(&mut self, tally: &mut Tally) -> Result<(), EvaluateError> {
        let mut left = self.found;
        while left > 0 {
            self.read_ahead(tally).await?;
            let Some((_, ahead)) = &mut self.sorted else { return Ok(()) };
            if ahead.is_empty() {
                return Ok(());
            }
            let skipped = left.min(ahead.len());
            ahead.drain(..skipped);
            left -= skipped;
        }
        Ok(())
    }

    /// Where only flags are asked for, either query may tell of somebody who has none.
    fn counts(&self, profile: &ProfileFound) -> bool {
        self.keep == Keep::Audience || !profile.found.is_empty()
    }

    async fn read_ahead(&mut self, tally: &mut Tally) -> Result<(), EvaluateError> {
        while let Some((run, ahead)) = &mut self.sorted
            && ahead.is_empty()
        {
            let Some(mut profiles) = run.next(tally).await? else { break };
            profiles.retain(|profile| self.counts(profile));
            if let Some((_, ahead)) = &mut self.sorted {
                ahead.extend(profiles);
            }
        }
        Ok(())
    }

    /// What the sorting query found about the subject of a row, if anything.
    async fn read_sorted(
        &mut self,
        batch: &RecordBatch,
        row: usize,
        tally: &mut Tally,
    ) -> Result<Option<ProfileFound>, EvaluateError> {
        self.read_ahead(tally).await?;
        let subject = self.reader.as_ref().and_then(|reader| reader.subject(batch, row));
        let Some((_, ahead)) = &mut self.sorted else { return Ok(None) };
        let is_next = ahead.front().zip(subject).is_some_and(|(next, subject)| subject.is_of(next));
        Ok(if is_next { ahead.pop_front() } else { None })
    }
}
