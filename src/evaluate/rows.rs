//! The event rows a milestone or recap reads: columns resolved, conditions checked, ready to be written as SQL.

use super::columns;
use super::pruning::can_prune;
use super::sql::{has_id, id_text, literal, name};
use super::subject::Join;
use crate::model::diagnostic::{Diagnostic, Located, Place};
use crate::project::{EventRows, Partition, PartitionOf, Project, Table};
use crate::warehouse::arrow::datatypes::{DataType, SchemaRef};
use crate::warehouse::{ExpressionRole, Scope, Session, Warehouse, not_a_time};

/// Checked rows of one table or view.
#[derive(Clone, Debug)]
pub(super) struct Rows {
    pub(super) relation: String,
    pub(super) schema: SchemaRef,
    pub(super) profile: String,
    pub(super) time: String,
    pub(super) dedup: Option<String>,
    pub(super) received: Option<String>,
    /// The column of event names and the name that rows must have, which is the first of the conditions.
    pub(super) event: Option<(String, String)>,
    /// Predicates of the job, each safe to stand in an `and`.
    pub(super) conditions: Vec<String>,
    /// Partitions that say which instants they hold.
    pub(super) partitions: Vec<Partition>,
    pub(super) lookback: jiff::SignedDuration,
}

impl Rows {
    /// The time column as an instant, also where it holds dates.
    pub(super) fn instant(&self) -> String {
        self.instant_of(&name(&self.time))
    }

    /// A column with the type of the time column as an instant.
    pub(super) fn instant_of(&self, column: &str) -> String {
        match self.schema.field_with_name(&self.time).map(|field| field.data_type().clone()) {
            Ok(DataType::Date32 | DataType::Date64) => {
                format!("arrow_cast({column}, 'Timestamp(Microsecond, Some(\"UTC\"))')")
            }
            _ => column.to_owned(),
        }
    }

    /// The profile's id as text.
    pub(super) fn profile_text(&self) -> String {
        id_text(&self.profile, &self.schema)
    }

    /// Whether a row has a profile.
    pub(super) fn has_profile(&self) -> String {
        has_id(&self.profile, &self.schema)
    }

    /// The relation as SQL reads it.
    pub(super) fn relation_name(&self) -> String {
        name(&self.relation)
    }

    /// Whether copies of a row are rows of both or of neither, or no row is one of both.
    pub(super) fn shares_copies(&self, other: &Self) -> bool {
        let (Some((column, event)), Some((other_column, other_event))) = (&self.event, &other.event) else {
            return self.conditions == other.conditions;
        };
        column == other_column && (event != other_event || self.conditions == other.conditions)
    }

    /// True for the same rows of the same subjects.
    pub(super) fn same_as(&self, other: &Self) -> bool {
        let key = |rows: &Self| {
            let Self { relation, profile, time, dedup, conditions, .. } = rows;
            (relation.clone(), profile.clone(), time.clone(), dedup.clone(), conditions.clone())
        };
        key(self) == key(other)
    }

    /// The conditions of rows that count at `as_of`.
    pub(super) fn visible(&self, join: &Join<'_>) -> Vec<String> {
        self.conditions.iter().cloned().chain(self.visible_to_all(join)).collect()
    }

    /// Those without the conditions of a milestone.
    pub(super) fn visible_to_all(&self, join: &Join<'_>) -> Vec<String> {
        let mut conditions = vec![self.has_profile()];
        conditions.push(format!("{} <= $as_of", self.instant()));
        conditions.extend(self.pruned());
        conditions.extend(join.restriction(&self.profile_text()));
        conditions
    }

    /// Conditions on folders that hold only rows later than `as_of`.
    fn pruned(&self) -> impl Iterator<Item = String> {
        let pruned = self.partitions.iter().enumerate().filter(|(_, partition)| is_of_time(partition));
        pruned.map(|(index, partition)| super::pruning::until(partition, index))
    }

    /// A query for rows that no subject or no time can be told of.
    pub(super) fn nulls_sql(&self) -> String {
        let (known, time) = (self.has_profile(), name(&self.time));
        let mut conditions = self.conditions.clone();
        conditions.push(format!("(not ({known}) or {time} is null)"));
        conditions.extend(self.pruned());
        format!(
            "select\n  count(*) filter (where not ({known})) as null_profile_ids,\n  \
             count(*) filter (where {known}) as null_times\nfrom {}\nwhere {}",
            self.relation_name(),
            conditions.join("\n  and "),
        )
    }

    /// Columns that tell apart rows of the same instant: `dedup`, then the others in declared order.
    pub(super) fn tie_breakers(&self) -> Vec<String> {
        self.dedup.iter().cloned().chain(self.plain_columns()).map(|column| name(&column)).collect()
    }

    /// Columns whose values compare, in declared order, without time, profile and `dedup`.
    pub(super) fn plain_columns(&self) -> impl Iterator<Item = String> {
        let plain = self.schema.fields().iter().filter(|field| {
            !field.data_type().is_nested()
                && !is_opaque(field.data_type())
                && field.name() != &self.time
                && field.name() != &self.profile
                && Some(field.name()) != self.dedup.as_ref()
        });
        plain.map(|field| field.name().clone())
    }

    /// `with` for rows whose duplicates are removed: each `dedup` value once, the earliest received, else the earliest.
    pub(super) fn deduplicated(&self, conditions: &[String], carried: &[String]) -> Option<String> {
        self.deduplicated_within(&[], conditions, carried)
    }

    /// The same among rows that are equal in these columns too.
    pub(super) fn deduplicated_within(
        &self,
        columns: &[String],
        conditions: &[String],
        carried: &[String],
    ) -> Option<String> {
        let dedup = name(self.dedup.as_ref()?);
        let same: Vec<String> =
            std::iter::once(dedup.clone()).chain(columns.iter().map(|column| name(column))).collect();
        let mut order: Vec<String> = self.received.iter().map(|column| name(column)).collect();
        order.push(name(&self.time));
        order.push(name(&self.profile));
        order.extend(carried.iter().map(|column| name(column)));
        Some(format!(
            "select * from (\n  select *, row_number() over (partition by {} order by {}) as \"copy.number\"\n  \
             from {}\n  where {}\n)\nwhere \"copy.number\" = 1 or {dedup} is null",
            same.join(", "),
            order.join(", "),
            self.relation_name(),
            conditions.join("\n    and "),
        ))
    }
}

fn is_opaque(kind: &DataType) -> bool {
    matches!(
        kind,
        DataType::Null
            | DataType::Interval(_)
            | DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::FixedSizeBinary(_)
    )
}

/// Resolves the rows of a job, or everything that is wrong with them.
pub(super) async fn resolve(
    project: &Project,
    rows: &EventRows,
    place: &Place,
    (warehouse, session): (&Warehouse, &Session),
) -> Result<Rows, Vec<Diagnostic>> {
    let schema = columns::of_relation(&rows.from, warehouse, session).await?;
    let table = project.tables.get(&rows.from.value);
    let mut findings = Vec::new();
    let mut check = |column: Result<Option<Located<String>>, Diagnostic>| match column {
        Ok(column) => {
            let missing = column.as_ref().and_then(|column| columns::missing(column, &rows.from.value, &schema));
            findings.extend(missing);
            column.map(|column| column.value)
        }
        Err(finding) => {
            findings.push(finding);
            None
        }
    };
    let time_column = time_column(rows, table, place);
    let time = check(time_column.clone().map(Some));
    let profile_column = profile_column(rows, &schema, place);
    let profile = check(profile_column.clone().map(Some));
    let dedup = check(Ok(rows.dedup.clone().or_else(|| table?.dedup.clone())));
    findings.extend(time_column.ok().and_then(|column| not_a_time(&column, &schema)));
    findings.extend(profile_column.ok().and_then(|column| columns::not_an_id(&column, &rows.from.value, &schema)));
    let conditions = conditions(rows, &schema, session).await;
    match (conditions, time, profile) {
        (Ok(conditions), Some(time), Some(profile)) if findings.is_empty() => Ok(Rows {
            relation: rows.from.value.clone(),
            profile,
            time,
            dedup,
            received: table.and_then(|table| Some(table.received.as_ref()?.value.clone())),
            event: rows.event.as_ref().map(|event| (event_column(rows, event).value, event.value.clone())),
            conditions,
            partitions: table.map(pruned_partitions).unwrap_or_default(),
            lookback: table.map(|table| table.lookback).unwrap_or_default(),
            schema,
        }),
        (conditions, ..) => {
            findings.extend(conditions.err().into_iter().flatten());
            Err(findings)
        }
    }
}

/// The folders of a table that say which instants they hold.
pub(super) fn pruned_partitions(table: &Table) -> Vec<Partition> {
    table.partitions.iter().filter(|partition| partition.of.is_some() && can_prune(partition)).cloned().collect()
}

fn time_column(rows: &EventRows, table: Option<&Table>, place: &Place) -> Result<Located<String>, Diagnostic> {
    let declared = rows.time.clone().or_else(|| table?.time.clone());
    declared.ok_or_else(|| {
        let relation = &rows.from.value;
        let help = match table {
            Some(_) => format!("add `time:` to the table `{relation}` in milepost.yml"),
            None => "add `time:` here: it must be named when `from:` is a view".to_owned(),
        };
        Diagnostic::error("missing-time", format!("`{relation}` does not say which column is its time"), place)
            .with_help(help)
    })
}

fn profile_column(rows: &EventRows, schema: &SchemaRef, place: &Place) -> Result<Located<String>, Diagnostic> {
    if let Some(column) = &rows.profile {
        return Ok(column.clone());
    }
    let known = ["user_id", "profile_id"].into_iter().find(|column| schema.field_with_name(column).is_ok());
    known.map(|column| Located::new(column.to_owned(), place.clone())).ok_or_else(|| {
        let message = format!("`{}` has neither `user_id` nor `profile_id`", rows.from.value);
        Diagnostic::error("missing-profile", message, place).with_help("name the column with `profile:`")
    })
}

/// The column of event names.
fn event_column(rows: &EventRows, event: &Located<String>) -> Located<String> {
    rows.event_column.clone().unwrap_or_else(|| Located::new("event".to_owned(), event.place.clone()))
}

async fn conditions(rows: &EventRows, schema: &SchemaRef, session: &Session) -> Result<Vec<String>, Vec<Diagnostic>> {
    let mut conditions = Vec::new();
    let mut findings = Vec::new();
    if let Some(event) = &rows.event {
        let column = event_column(rows, event);
        let missing = columns::missing(&column, &rows.from.value, schema);
        findings.extend(missing.map(|finding| match &rows.event_column {
            Some(_) => finding,
            None => finding.with_help("name the column of event names with `event_column:`"),
        }));
        conditions.push(format!("{} = {}", name(&column.value), literal(&event.value)));
    }
    if let Some(filter) = &rows.filter {
        let scope = Scope { relation: &rows.from.value, columns: schema };
        match session.check_expression(filter, scope, ExpressionRole::Predicate).await {
            Ok(expression) => conditions.push(format!("({})", expression.sql)),
            Err(more) => findings.extend(more),
        }
    }
    if findings.is_empty() { Ok(conditions) } else { Err(findings) }
}

/// Whether a partition's values come from the time of the event.
pub(super) fn is_of_time(partition: &Partition) -> bool {
    partition.of == Some(PartitionOf::Time)
}

/// Columns of the qualifying row, for templates.
pub(super) fn carried_columns(carried: &[String]) -> String {
    let column = |column: &String| format!(",\n  {} as {}", name(column), name(&format!("event.{column}")));
    carried.iter().map(column).collect()
}
