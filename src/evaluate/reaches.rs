//! Milestones with levels that share one pass over their rows, and the measure they share.

use std::collections::BTreeSet;

use super::rows::Rows;
use super::subject::Zones;
use crate::model::diagnostic::Diagnostic;
use crate::model::period::WeekStart;
use crate::project::{Levels, Measure, StreakUnit};
use crate::warehouse::arrow::datatypes::DataType;
use crate::warehouse::{Expression, ExpressionRole, LocalUnit, Scope, Session};

/// What is added up, typed.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum TypedMeasure {
    Count,
    /// The expression to sum, null counted as 0.
    Sum {
        sql: String,
        is_double: bool,
        /// Whether the accumulators hold its values.
        fits: bool,
        /// The columns it reads.
        columns: BTreeSet<String>,
    },
    /// The expression whose values are told apart, null not counted.
    Distinct {
        sql: String,
        columns: BTreeSet<String>,
    },
    /// The expression whose greatest value counts, null left out.
    Max {
        sql: String,
        is_double: bool,
        fits: bool,
        columns: BTreeSet<String>,
    },
    /// Consecutive local days or weeks.
    Streak(LocalUnit),
}

/// One milestone of a pass.
#[derive(Clone, Debug)]
pub(super) struct Ladder {
    /// The milestone's position in the job.
    pub(super) part: usize,
    pub(super) name: String,
    pub(super) levels: Levels,
}

/// Milestones that share rows and measure.
#[derive(Clone, Debug)]
pub(super) struct ReachesPass {
    pub(super) rows: Rows,
    /// The audience column of the entity, when the profile is not what is measured.
    pub(super) entity: Option<String>,
    pub(super) measure: TypedMeasure,
    pub(super) zones: Zones,
    pub(super) ladders: Vec<Ladder>,
    /// Columns of the qualifying event that messages refer to, in declared order.
    pub(super) carried: Vec<String>,
    /// Whether messages tell of it; else times and values are all that is asked for.
    pub(super) is_told: bool,
}

/// Types a measure, or says what is wrong with it.
pub(super) async fn type_measure(
    measure: &Measure,
    rows: &Rows,
    week_starts: WeekStart,
    session: &Session,
) -> Result<TypedMeasure, Vec<Diagnostic>> {
    let scope = Scope { relation: &rows.relation, columns: &rows.schema };
    let typed = |snippet, role| session.check_expression(snippet, scope, role);
    Ok(match measure {
        Measure::Count => TypedMeasure::Count,
        Measure::Sum(snippet) => sum_of(&typed(snippet, ExpressionRole::RowNumber).await?),
        Measure::Max(snippet) => max_of(&typed(snippet, ExpressionRole::RowNumber).await?),
        Measure::Distinct(snippet) => {
            let Expression { sql, columns, .. } = typed(snippet, ExpressionRole::RowValue).await?;
            TypedMeasure::Distinct { sql, columns }
        }
        Measure::Streak(StreakUnit::Day) => TypedMeasure::Streak(LocalUnit::Day),
        Measure::Streak(StreakUnit::Week) => TypedMeasure::Streak(LocalUnit::week(week_starts)),
    })
}

/// Doubles that are no numbers count as null.
fn max_of(expression: &Expression) -> TypedMeasure {
    let sql = &expression.sql;
    let is_double = expression.data_type.is_floating() || expression.data_type.is_null();
    let sql = if is_double { format!("finite_or_null(cast(({sql}) as double))") } else { sql.clone() };
    TypedMeasure::Max { sql, is_double, fits: fits(&expression.data_type), columns: expression.columns.clone() }
}

/// Doubles skip what is not a number; wide integers are added as decimals, which do not wrap.
fn sum_of(expression: &Expression) -> TypedMeasure {
    let sql = &expression.sql;
    let is_double = expression.data_type.is_floating() || expression.data_type.is_null();
    let sql = match &expression.data_type {
        kind if kind.is_floating() || kind.is_null() => {
            format!("finite_or_zero(coalesce(cast(({sql}) as double), 0.0))")
        }
        DataType::Int64 | DataType::UInt64 => format!("coalesce(cast(({sql}) as decimal(38, 0)), 0)"),
        _ => format!("coalesce(({sql}), 0)"),
    };
    TypedMeasure::Sum { sql, is_double, fits: fits(&expression.data_type), columns: expression.columns.clone() }
}

/// Whether the accumulators of ladders hold values of a type: doubles, and what a decimal of 38 digits holds.
fn fits(kind: &DataType) -> bool {
    let is_decimal = matches!(kind, DataType::Decimal128(..));
    kind.is_floating() || kind.is_null() || kind.is_integer() || is_decimal
}

impl ReachesPass {
    /// True when another milestone can join this pass.
    pub(super) fn shares(&self, rows: &Rows, entity: Option<&String>, measure: &TypedMeasure) -> bool {
        self.rows.same_as(rows) && self.entity.as_ref() == entity && &self.measure == measure
    }

    /// Levels of a streak belong to one of several: its first day tells which.
    pub(super) fn streak(&self) -> Option<LocalUnit> {
        match self.measure {
            TypedMeasure::Streak(unit) => Some(unit),
            _ => None,
        }
    }

    /// A short description for titles and errors.
    pub(super) fn title(&self) -> String {
        let names: Vec<_> = self.ladders.iter().map(|ladder| ladder.name.as_str()).collect();
        format!("milestones {}", names.join(", "))
    }
}
