//! Milestones with levels as one pass over their rows: the running measure, and the rows at which it first meets a level.

use std::collections::BTreeSet;

use super::audience::Audience;
use super::rows::{Rows, is_of_time};
use super::sql::{PROFILES, name, table, with};
use crate::model::Level;
use crate::model::diagnostic::Diagnostic;
use crate::project::{Levels, Measure};
use crate::warehouse::arrow::datatypes::DataType;
use crate::warehouse::{Expression, ExpressionRole, Scope, Session};

/// Which side of the join with the audience is kept whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// Every flag, also of profiles that are not in the audience.
    Flags,
    /// Every audience row, also without flags.
    Audience,
}

/// What is added up, typed.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum TypedMeasure {
    Count,
    /// The expression to sum, null counted as 0.
    Sum {
        sql: String,
        is_double: bool,
        /// The columns it reads.
        columns: BTreeSet<String>,
    },
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
    pub(super) measure: TypedMeasure,
    pub(super) ladders: Vec<Ladder>,
    /// Columns of the qualifying event that messages refer to, in declared order.
    pub(super) carried: Vec<String>,
}

/// Types a measure, or says what is wrong with it.
pub(super) async fn type_measure(
    measure: &Measure,
    rows: &Rows,
    session: &Session,
) -> Result<TypedMeasure, Vec<Diagnostic>> {
    let Measure::Sum(snippet) = measure else {
        return Ok(TypedMeasure::Count);
    };
    let scope = Scope { relation: &rows.relation, columns: &rows.schema };
    let expression = session.check_expression(snippet, scope, ExpressionRole::RowNumber).await?;
    Ok(sum_of(&expression))
}

/// Doubles skip what is not a number; wide integers are added as decimals, which do not wrap.
fn sum_of(expression: &Expression) -> TypedMeasure {
    let sql = &expression.sql;
    let is_double = expression.data_type.is_floating();
    let sql = match &expression.data_type {
        kind if kind.is_floating() => format!("finite_or_zero(coalesce(cast(({sql}) as double), 0.0))"),
        DataType::Int64 | DataType::UInt64 => format!("coalesce(cast(({sql}) as decimal(38, 0)), 0)"),
        _ => format!("coalesce(({sql}), 0)"),
    };
    TypedMeasure::Sum { sql, is_double, columns: expression.columns.clone() }
}

impl ReachesPass {
    /// True when another milestone can join this pass.
    pub(super) fn shares(&self, rows: &Rows, measure: &TypedMeasure) -> bool {
        let key = |rows: &Rows| {
            let Rows { relation, profile, time, dedup, conditions, .. } = rows;
            (relation.clone(), profile.clone(), time.clone(), dedup.clone(), conditions.clone())
        };
        key(&self.rows) == key(rows) && &self.measure == measure
    }

    /// A short description for titles and errors.
    pub(super) fn title(&self) -> String {
        let names: Vec<_> = self.ladders.iter().map(|ladder| ladder.name.as_str()).collect();
        format!("milestones {}", names.join(", "))
    }

    /// The pass as a query: crossing rows and each profile's last row, joined with the audience, by profile.
    pub(super) fn sql(&self, audience: &Audience, keep: Keep, restricted: bool) -> String {
        let mut tables = Vec::new();
        let conditions = self.conditions(restricted);
        let source = match self.rows.deduplicated(&conditions, &self.telling_columns()) {
            Some(query) => {
                tables.push(table("event_rows", &query));
                (format!("event_rows as {}", self.rows.relation_name()), String::new())
            }
            None => (self.rows.relation_name(), format!("\nwhere {}", conditions.join("\n  and "))),
        };
        tables.extend(match &self.measure {
            TypedMeasure::Count => self.counted(&source),
            TypedMeasure::Sum { sql, is_double, .. } => self.summed(&source, sql, *is_double),
        });
        tables.extend(audience.tables(restricted));
        let join = match keep {
            Keep::Flags => "crossed_rows\nleft join audience_rows",
            Keep::Audience => "audience_rows\nleft join crossed_rows",
        };
        let id = match keep {
            Keep::Flags => "profile_id",
            Keep::Audience => "audience_id",
        };
        let query = format!(
            "select *\nfrom {join} on audience_rows.audience_id = crossed_rows.profile_id\norder by {id}, position"
        );
        with(&tables, &query)
    }

    /// A query for rows that no profile or no time can be told of.
    pub(super) fn nulls_sql(&self) -> String {
        let (profile, time) = (name(&self.rows.profile), name(&self.rows.time));
        let mut conditions = self.rows.conditions.clone();
        conditions.push(format!("({profile} is null or {time} is null)"));
        conditions.extend(self.pruned());
        format!(
            "select\n  count(*) filter (where {profile} is null) as null_profile_ids,\n  \
             count(*) filter (where {profile} is not null) as null_times\nfrom {}\nwhere {}",
            self.rows.relation_name(),
            conditions.join("\n  and "),
        )
    }

    /// The lowest level of any ladder.
    fn lowest(&self) -> f64 {
        let first = |levels: &Levels| match levels {
            Levels::List(levels) => levels.first().map_or(f64::INFINITY, |level| level.get()),
            Levels::Every(level) => level.get(),
        };
        self.ladders.iter().map(|ladder| first(&ladder.levels)).fold(f64::INFINITY, f64::min)
    }

    fn conditions(&self, restricted: bool) -> Vec<String> {
        let rows = &self.rows;
        let mut conditions = rows.conditions.clone();
        conditions.push(format!("{} is not null", name(&rows.profile)));
        conditions.push(format!("{} <= $as_of", rows.instant()));
        conditions.extend(self.pruned());
        if restricted {
            conditions.push(format!("{} in (${PROFILES})", rows.profile_text()));
        }
        conditions
    }

    /// Folders that hold only what happens after `as_of` need not be opened.
    fn pruned(&self) -> impl Iterator<Item = String> {
        let pruned = self.rows.partitions.iter().enumerate().filter(|(_, partition)| is_of_time(partition));
        pruned.map(|(index, partition)| super::pruning::until(partition, index))
    }

    /// Columns whose values show in the result.
    fn telling_columns(&self) -> Vec<String> {
        let measured = match &self.measure {
            TypedMeasure::Count => None,
            TypedMeasure::Sum { columns, .. } => Some(columns),
        };
        self.rows
            .plain_columns()
            .filter(|column| self.carried.contains(column) || measured.is_some_and(|columns| columns.contains(column)))
            .collect()
    }

    /// What orders the rows of a profile; ties matter only where the order of equal instants shows.
    fn order(&self) -> String {
        let mut order = vec![name(&self.rows.time)];
        if self.measure != TypedMeasure::Count || !self.carried.is_empty() {
            order.extend(self.rows.tie_breakers());
        }
        order.join(", ")
    }

    fn carried_columns(&self) -> String {
        let column = |column: &String| format!(",\n  {} as {}", name(column), name(&format!("event.{column}")));
        self.carried.iter().map(column).collect()
    }

    fn counted(&self, (relation, condition): &(String, String)) -> Vec<String> {
        let window = format!("over (partition by {} order by {})", name(&self.rows.profile), self.order());
        let running = format!(
            "select\n  {profile} as profile_id,\n  {time} as reached_at,\n  \
             row_number() {window} as position,\n  lead({time}) {window} is null as is_last{carried}\n\
             from {relation}{condition}",
            profile = self.rows.profile_text(),
            time = name(&self.rows.time),
            carried = self.carried_columns(),
        );
        let crossed = format!(
            "select *, position as \"value\", cast(position as double) as peak, cast(position - 1 as double) as peak_before\n\
             from running_rows\nwhere {}",
            self.crossing("position", "position - 1", false),
        );
        vec![table("running_rows", &running), table("crossed_rows", &crossed)]
    }

    fn summed(&self, (relation, condition): &(String, String), sql: &str, is_double: bool) -> Vec<String> {
        let order = self.order();
        let frame = |end: &str| {
            format!(
                "over (\n    partition by {} order by {order}\n    rows between unbounded preceding and {end}\n  )",
                name(&self.rows.profile)
            )
        };
        let total = format!("sum({sql}) {}", frame("current row"));
        let total = if is_double { format!("round_significant({total})") } else { total };
        let measured = format!("select *,\n  {total} as \"total.running\"\nfrom {relation}{condition}");
        let window = format!("over (partition by {} order by {order})", name(&self.rows.profile));
        let running = format!(
            "select\n  {profile} as profile_id,\n  {time} as reached_at,\n  row_number() {window} as position,\n  \
             lead({time}) {window} is null as is_last,\n  \"total.running\" as \"value\",\n  \
             max(\"total.running\") {now} as highest,\n  max(\"total.running\") {before} as highest_before{carried}\n\
             from measured_rows",
            profile = self.rows.profile_text(),
            time = name(&self.rows.time),
            now = frame("current row"),
            before = frame("1 preceding"),
            carried = self.carried_columns(),
        );
        let crossed = format!(
            "select *, cast(highest as double) as peak, cast(coalesce(highest_before, 0) as double) as peak_before\n\
             from running_rows\nwhere {}",
            self.crossing("highest", "coalesce(highest_before, 0)", true),
        );
        vec![table("measured_rows", &measured), table("running_rows", &running), table("crossed_rows", &crossed)]
    }

    /// True for rows at which some level is first met, and for the last row of a profile that met one.
    fn crossing(&self, now: &str, before: &str, may_jump: bool) -> String {
        let mut every: BTreeSet<String> = BTreeSet::new();
        let mut listed: Vec<Level> = Vec::new();
        for ladder in &self.ladders {
            match &ladder.levels {
                Levels::List(levels) => listed.extend(levels),
                Levels::Every(level) if may_jump => {
                    let steps =
                        |value: &str| format!("floor(round_significant(cast({value} as double) / {}))", double(*level));
                    every.insert(format!("{} > {}", steps(now), steps(before)));
                }
                Levels::Every(level) => {
                    every.insert(format!("{now} % {level} = 0"));
                }
            }
        }
        listed.sort();
        listed.dedup();
        let mut terms: Vec<String> = if may_jump {
            listed.iter().map(|level| format!("({before} < {level} and {now} >= {level})")).chain(every).collect()
        } else if listed.is_empty() {
            every.into_iter().collect()
        } else {
            let levels: Vec<_> = listed.iter().map(Level::to_string).collect();
            [format!("{now} in ({})", levels.join(", "))].into_iter().chain(every).collect()
        };
        terms.push(format!("(is_last and {now} > {})", self.lowest()));
        terms.join("\n  or ")
    }
}

/// A level written as a double.
fn double(level: Level) -> String {
    format!("cast({level} as double)")
}
