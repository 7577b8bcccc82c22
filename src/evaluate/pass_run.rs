//! A pass under way: its rows become what was found, profile by profile.

use futures::StreamExt;
use jiff::Timestamp;

use super::conditions::Conditions;
use super::error::EvaluateError;
use super::found::ProfileFound;
use super::ladder::LadderReader;
use super::milestones::{Pass, PassSource};
use super::moment_reader::MomentReader;
use super::own_view::ViewReader;
use super::request::Tally;
use crate::warehouse::arrow::datatypes::SchemaRef;
use crate::warehouse::{RowStream, WarehouseError};

/// A running pass.
pub(super) struct PassRun {
    pass: Pass,
    as_of: Timestamp,
    stream: RowStream,
    conditions: Conditions,
    reader: Option<Reader>,
}

enum Reader {
    Ladder(Box<LadderReader>),
    Moment(Box<MomentReader>),
    View(Box<ViewReader>),
}

impl PassRun {
    /// Begins to read the rows of a pass.
    pub(super) fn new(pass: Pass, as_of: Timestamp, stream: RowStream, conditions: Conditions) -> Self {
        Self { pass, as_of, stream, conditions, reader: None }
    }

    /// The next profiles, complete and in order of id; `None` at the end, when the tally has been added to.
    pub(super) async fn next(&mut self, tally: &mut Tally) -> Result<Option<Vec<ProfileFound>>, EvaluateError> {
        let mut found = Vec::new();
        match self.stream.next().await {
            None => {
                let Some(mut reader) = self.reader.take() else {
                    return Ok(None);
                };
                reader.finish(&mut found, tally);
            }
            Some(batch) => {
                let batch = batch?;
                if self.reader.is_none() {
                    self.reader = Some(self.new_reader(&batch.schema())?);
                }
                match &mut self.reader {
                    Some(Reader::Ladder(reader)) => reader.read(&batch, &mut found),
                    Some(Reader::Moment(reader)) => reader.read(&batch, &mut found),
                    Some(Reader::View(reader)) => reader.read(&batch, &mut found),
                    None => {}
                }
            }
        }
        self.conditions.apply(&mut found)?;
        Ok(Some(found))
    }

    fn new_reader(&self, schema: &SchemaRef) -> Result<Reader, EvaluateError> {
        let kept = self.conditions.kept();
        let reader = match &self.pass.source {
            PassSource::Reaches(pass) => {
                LadderReader::new(pass, schema, &kept).map(|reader| Reader::Ladder(Box::new(reader)))
            }
            PassSource::Moments(pass) => {
                MomentReader::new(pass, self.as_of, schema, &kept).map(|reader| Reader::Moment(Box::new(reader)))
            }
            PassSource::View(pass) => {
                ViewReader::new(pass, self.as_of, schema, &kept).map(|reader| Reader::View(Box::new(reader)))
            }
        };
        let missing = || WarehouseError::Query {
            what: self.pass.title(),
            reason: "a column of the result is missing".to_owned(),
        };
        reader.ok_or_else(|| missing().into())
    }
}

impl Reader {
    fn finish(&mut self, found: &mut Vec<ProfileFound>, tally: &mut Tally) {
        match self {
            Self::Ladder(reader) => {
                reader.finish(found);
                tally.levels_left_out += reader.levels_left_out;
            }
            Self::Moment(_) => {}
            Self::View(reader) => {
                reader.finish(found);
                tally.repeated_occasions += reader.repeated_occasions;
                tally.invalid_levels += reader.invalid_levels;
            }
        }
    }
}
