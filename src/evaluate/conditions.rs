//! `only_if` of milestones: a condition over audience columns, `level` and `value`, asked of what was found.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::audience::Audience;
use super::error::EvaluateError;
use super::found::{Found, ProfileFound};
use crate::model::diagnostic::{Diagnostic, Located};
use crate::warehouse::arrow::array::{ArrayRef, Float64Array, RecordBatch};
use crate::warehouse::arrow::compute::{cast, concat_batches};
use crate::warehouse::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use crate::warehouse::arrow::error::ArrowError;
use crate::warehouse::{ExpressionRole, RowCondition, Scope, Session, WarehouseError};

/// What the columns of a condition are called as a whole.
const RELATION: &str = "audience";
/// What a milestone adds to the audience's columns; its own win over columns of the same name.
const MEASURED: [&str; 2] = ["level", "value"];

/// The checked condition of one milestone.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    /// The milestone's position in the job.
    pub(super) part: usize,
    sql: String,
    /// What it names.
    pub(super) columns: BTreeSet<String>,
}

impl Condition {
    /// Checks an `only_if`, or says what is wrong with it.
    pub(super) async fn check(
        part: usize,
        only_if: &Located<String>,
        audience: &Audience,
        session: &Session,
    ) -> Result<Self, Vec<Diagnostic>> {
        let columns = columns(audience);
        let scope = Scope { relation: RELATION, columns: &columns };
        let expression = session.check_expression(only_if, scope, ExpressionRole::Predicate).await?;
        Ok(Self { part, sql: expression.sql, columns: expression.columns })
    }
}

/// The audience's columns, followed by the milestone's.
fn columns(audience: &Audience) -> SchemaRef {
    let mut fields: Vec<Field> = audience_fields(audience).collect();
    fields.extend(MEASURED.map(|name| Field::new(name, DataType::Float64, true)));
    Arc::new(Schema::new(fields))
}

fn audience_fields(audience: &Audience) -> impl Iterator<Item = Field> {
    let fields = audience.schema().fields().iter().filter(|field| !MEASURED.contains(&field.name().as_str()));
    fields.map(|field| match field.name().as_str() {
        "profile_id" => Field::new("profile_id", DataType::Utf8, false),
        _ => field.as_ref().clone(),
    })
}

/// The conditions of a pass with their parameters bound.
pub(super) struct Conditions {
    audience: SchemaRef,
    columns: SchemaRef,
    ready: Vec<(usize, RowCondition)>,
}

impl Conditions {
    /// Readies the conditions for one request.
    pub(super) async fn ready(
        conditions: &[Condition],
        audience: &Audience,
        session: &Session,
    ) -> Result<Self, EvaluateError> {
        let columns = columns(audience);
        let mut ready = Vec::with_capacity(conditions.len());
        for condition in conditions {
            let scope = Scope { relation: RELATION, columns: &columns };
            ready.push((condition.part, session.row_condition("only_if", &condition.sql, scope).await?));
        }
        let audience = Arc::new(Schema::new(audience_fields(audience).collect::<Vec<_>>()));
        Ok(Self { audience, columns, ready })
    }

    /// The audience columns that readers must keep; none without conditions.
    pub(super) fn kept(&self) -> Vec<&str> {
        let names = self.audience.fields().iter().map(|field| field.name().as_str());
        names.filter(|_| !self.ready.is_empty()).collect()
    }

    /// Says of everything found whether it is wanted.
    pub(super) fn apply(&self, profiles: &mut [ProfileFound]) -> Result<(), EvaluateError> {
        for (part, condition) in &self.ready {
            let mut asked: Vec<&mut Found> = Vec::new();
            let mut rows: Vec<&RecordBatch> = Vec::new();
            for profile in &mut *profiles {
                let Some(row) = profile.audience.as_ref().and_then(|audience| audience.columns.as_ref()) else {
                    continue;
                };
                for found in profile.found.iter_mut().filter(|found| found.part == *part) {
                    asked.push(found);
                    rows.push(row);
                }
            }
            if asked.is_empty() {
                continue;
            }
            let batch = self
                .batch(&rows, &asked)
                .map_err(|error| WarehouseError::Query { what: "only_if".to_owned(), reason: error.to_string() })?;
            for (found, wanted) in asked.into_iter().zip(condition.holds(&batch)?) {
                found.wanted = wanted;
            }
        }
        Ok(())
    }

    fn batch(&self, rows: &[&RecordBatch], asked: &[&mut Found]) -> Result<RecordBatch, ArrowError> {
        let read = rows.first().map_or_else(|| SchemaRef::clone(&self.audience), |row| row.schema());
        let audience = concat_batches(&read, rows.iter().copied())?;
        let fields = self.audience.fields().iter().zip(audience.columns());
        let mut columns: Vec<ArrayRef> =
            fields.map(|(field, column)| cast(column, field.data_type())).collect::<Result<_, _>>()?;
        columns.push(Arc::new(asked.iter().map(|found| found.level).collect::<Float64Array>()));
        columns.push(Arc::new(asked.iter().map(|found| found.value.as_f64()).collect::<Float64Array>()));
        RecordBatch::try_new(SchemaRef::clone(&self.columns), columns)
    }
}
