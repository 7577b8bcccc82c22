//! Moments told by a single event: nudges, silences and anniversaries, those of the same rows in one pass.

use jiff::{SignedDuration, Timestamp};

use super::reaches_sql::source_of;
use super::rows::{Rows, carried_columns};
use super::sql::{literal, name, table};
use super::subject::{Join, Zones};
use crate::warehouse::{Parameter, Parameters};

/// The instant at or before which the event must lie, so that the shortest wait is over.
const LIMIT: &str = "milepost_waited_since";

/// Which event of a subject tells the moment.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Telling {
    /// The first one, unless another event happened at or after it.
    FirstWithout {
        /// The column of event names.
        event_column: String,
        /// The other event.
        event: String,
    },
    /// The first one.
    First,
    /// The last one.
    Last,
}

/// One milestone of a pass.
#[derive(Clone, Debug)]
pub(super) struct Moment {
    /// The milestone's position in the job.
    pub(super) part: usize,
    pub(super) name: String,
    /// How long after the event; zero for anniversaries, which follow the calendar.
    pub(super) after: SignedDuration,
}

/// Moments that share rows and the event that tells them.
#[derive(Clone, Debug)]
pub(super) struct MomentPass {
    pub(super) rows: Rows,
    /// The audience column of the entity, when the profile is not what is measured.
    pub(super) entity: Option<String>,
    pub(super) telling: Telling,
    pub(super) moments: Vec<Moment>,
    pub(super) zones: Zones,
    /// Columns of the qualifying event that messages refer to, in declared order.
    pub(super) carried: Vec<String>,
}

impl MomentPass {
    /// True when another milestone can join this pass.
    pub(super) fn shares(&self, rows: &Rows, entity: Option<&String>, telling: &Telling) -> bool {
        self.rows.same_as(rows) && self.entity.as_ref() == entity && &self.telling == telling
    }

    /// Whether it is reached by doing nothing, so that rows that are still to land would take it back.
    pub(super) fn is_about_silence(&self) -> bool {
        matches!(self.telling, Telling::FirstWithout { .. } | Telling::Last)
    }

    /// A short description for titles and errors.
    pub(super) fn title(&self) -> String {
        let names: Vec<_> = self.moments.iter().map(|moment| moment.name.as_str()).collect();
        format!("milestones {}", names.join(", "))
    }

    /// The value its query is compared with.
    pub(super) fn parameters(&self, as_of: Timestamp) -> Parameters {
        let shortest = self.moments.iter().map(|moment| moment.after).min().unwrap_or_default();
        let limit = as_of.checked_sub(shortest).unwrap_or(Timestamp::MIN);
        Parameters::default().with(LIMIT, Parameter::Instant(limit))
    }

    /// The pass as a query: the telling event of each subject, joined with the audience.
    pub(super) fn sql(&self, join: &Join<'_>) -> String {
        let conditions = self.visible(join);
        let (mut tables, source) = source_of(&self.rows, &conditions, &self.telling_columns());
        let telling = if self.carried.is_empty() { self.aggregated(&source) } else { self.numbered(&source) };
        tables.push(table("telling_rows", &telling));
        let cancelled = match &self.telling {
            Telling::FirstWithout { .. } => "\n  and (cancelled_at is null or cancelled_at < reached_at)",
            Telling::First | Telling::Last => "",
        };
        let instant = self.rows.instant_of("reached_at");
        let flags = format!("select *\nfrom telling_rows\nwhere {instant} <= ${LIMIT}{cancelled}");
        tables.push(table("flag_rows", &flags));
        join.query(tables, "")
    }

    /// Rows of the event, and of the one that cancels it.
    fn visible(&self, join: &Join<'_>) -> Vec<String> {
        match self.cancelling() {
            None => self.rows.visible(join),
            Some(cancelling) => {
                let either = format!("(({}) or {cancelling})", self.own_condition());
                let rows = Rows { conditions: vec![either], ..self.rows.clone() };
                rows.visible(join)
            }
        }
    }

    /// The condition of the event itself.
    fn own_condition(&self) -> String {
        match self.rows.conditions.as_slice() {
            [] => "true".to_owned(),
            conditions => conditions.join(" and "),
        }
    }

    fn cancelling(&self) -> Option<String> {
        match &self.telling {
            Telling::FirstWithout { event_column, event } => {
                Some(format!("{} = {}", name(event_column), literal(event)))
            }
            Telling::First | Telling::Last => None,
        }
    }

    /// Columns whose values show in the result.
    fn telling_columns(&self) -> Vec<String> {
        self.rows.plain_columns().filter(|column| self.carried.contains(column)).collect()
    }

    /// Without columns of the event its time is enough, which needs no order.
    fn aggregated(&self, (relation, condition): &(String, String)) -> String {
        let (subject, time) = (self.rows.profile_text(), name(&self.rows.time));
        let told = match (&self.telling, self.cancelling()) {
            (Telling::Last, _) => format!("max({time}) as reached_at"),
            (_, None) => format!("min({time}) as reached_at"),
            (_, Some(cancelling)) => format!(
                "min({time}) filter (where {}) as reached_at,\n  max({time}) filter (where {cancelling}) as cancelled_at",
                self.own_condition(),
            ),
        };
        format!("select\n  {subject} as subject_id,\n  {told}\nfrom {relation}{condition}\ngroup by {subject}")
    }

    /// The event's own row: the first or last in the order of time and, of equal times, of the other columns.
    fn numbered(&self, (relation, condition): &(String, String)) -> String {
        let (subject, time) = (self.rows.profile_text(), name(&self.rows.time));
        let direction = if self.telling == Telling::Last { " desc" } else { "" };
        let order = std::iter::once(time.clone()).chain(self.rows.tie_breakers());
        let order: Vec<String> = order.map(|column| format!("{column}{direction}")).collect();
        let (own, cancelled) = match self.cancelling() {
            None => ("true".to_owned(), String::new()),
            Some(cancelling) => (
                format!("coalesce({}, false)", self.own_condition()),
                format!(
                    ",\n    max(case when {cancelling} then {time} end) over (partition by {}) as \"cancelled.at\"",
                    name(&self.rows.profile),
                ),
            ),
        };
        let cancelled_column = if cancelled.is_empty() { "" } else { ",\n  \"cancelled.at\" as cancelled_at" };
        format!(
            "select\n  {subject} as subject_id,\n  {time} as reached_at{cancelled_column}{carried}\nfrom (\n  select *,\n    \
             {own} as \"event.own\",\n    row_number() over (partition by {partition}, {own} order by {order}) as \
             \"event.number\"{cancelled}\n  from {relation}{condition}\n) as numbered\n\
             where \"event.own\" and \"event.number\" = 1",
            carried = carried_columns(&self.carried),
            partition = name(&self.rows.profile),
            order = order.join(", "),
            condition = super::sql::indented(condition, 2),
        )
    }
}
