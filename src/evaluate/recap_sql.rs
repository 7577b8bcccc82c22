//! The queries of a recap: the rows of every period in one scan, measured at every level at once.
//!
//! A common table expression that is named twice is read twice, so each stage names the one before it exactly once.

use super::audience::Audience;
use super::pruning;
use super::recap::RecapPlan;
use super::recap_levels::{Level, leveled, slot};
use super::recap_windows::{Bound, CALENDARS, FIRST, ZONES};
use super::sql::{PROFILES, id_text, indented, name, table, with};
use crate::warehouse::PERIOD_END;

/// What a query of a recap is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Output {
    /// Candidates with everything their mails show.
    Candidates,
    /// The matrix as a table.
    Table,
}

impl RecapPlan {
    /// A short description for titles and errors.
    pub(super) fn title(&self) -> String {
        let names: Vec<_> = self.metrics.iter().map(|metric| metric.name.as_str()).collect();
        format!("metrics {}", names.join(", "))
    }

    /// What each row of the matrix is identified by.
    pub(super) fn keys(&self) -> Vec<String> {
        let calendar = self.calendar.per_profile.then(|| "\"calendar.id\"".to_owned());
        ["\"entity.id\"".to_owned()].into_iter().chain(calendar).collect()
    }

    /// Audience rows with their metrics, and active entities without audience rows, by profile and entity.
    pub(super) fn candidates_sql(&self, audience: &Audience, restricted: bool) -> String {
        let mut tables = self.audience_tables(audience, restricted);
        tables.extend(self.matrix_tables(audience, restricted, Output::Candidates));
        let rows = self.audience_rows();
        // A restricted request asks nothing about others.
        let join = if restricted { "left join" } else { "full join" };
        let since = self.since.as_ref().map(|since| name(&format!("profile.{since}")));
        let mut joined = format!(
            "select\n  {rows}.*,\n  coalesce(\"entity.active\", false) as \"entity.active\"{}{}\n\
             from {rows}\n{join} matrix_rows on {}",
            self.filled_columns(since.as_deref()),
            self.list_columns(since.as_deref()),
            self.matched(audience_key(audience), "matrix_rows", rows),
        );
        if self.calendar.per_profile {
            joined += &format!("\nleft join {CALENDARS} on \"#calendar.id\" = {rows}.\"calendar.id\"");
        }
        if restricted {
            joined += &format!("\nwhere audience_id in (${PROFILES})");
        }
        tables.push(table("joined_rows", &joined));
        let wanted = match &self.only_if {
            Some(only_if) => format!("coalesce(({only_if}), false)"),
            None => "true".to_owned(),
        };
        let order = if audience.entity.is_some() { "audience_id, entity_id" } else { "audience_id" };
        with(&tables, &format!("select *, {wanted} as wanted\nfrom joined_rows\norder by {order}"))
    }

    /// One row per entity that is active or in the audience, and one for each of its values of the breakdown.
    pub(super) fn metrics_sql(&self, audience: &Audience, restricted: bool) -> String {
        let mut tables = self.audience_tables(audience, restricted);
        tables.extend(self.matrix_tables(audience, restricted, Output::Table));
        let since =
            self.since.as_ref().map(|since| format!(",\n  min({}) as since", name(&format!("profile.{since}"))));
        let calendar = if self.calendar.per_profile { ",\n  \"calendar.id\"" } else { "" };
        let only = if restricted { format!("\nwhere audience_id in (${PROFILES})") } else { String::new() };
        let entities = format!(
            "select\n  {} as id{calendar}{}\nfrom {}{only}\ngroup by {}",
            audience_key(audience),
            since.clone().unwrap_or_default(),
            self.audience_rows(),
            if self.calendar.per_profile { "1, 2" } else { "1" },
        );
        tables.push(table("entity_rows", &entities));
        let by = if self.by.is_some() { ",\n  matrix_rows.\"#by\" as by_value" } else { "" };
        let join = if restricted { "left join" } else { "full join" };
        let mut query = format!(
            "select\n  coalesce(entity_rows.id, matrix_rows.\"entity.id\") as entity_id,\n  {} as period_key{by}{}\n\
             from entity_rows\n{join} matrix_rows on {}",
            self.windows.bound(Bound::Key),
            self.filled_columns(since.map(|_| "entity_rows.since")),
            self.matched("id", "matrix_rows", "entity_rows"),
        );
        if self.calendar.per_profile {
            query += &format!(
                "\nleft join {CALENDARS} on \"#calendar.id\" = coalesce(entity_rows.\"calendar.id\", matrix_rows.\"calendar.id\")"
            );
        }
        // Without calendars of their own all entities have the same period.
        query += if self.calendar.per_profile { "\norder by entity_id, period_key" } else { "\norder by entity_id" };
        if self.by.is_some() {
            query += ", by_value nulls first";
        }
        with(&tables, &query)
    }

    fn matched(&self, key: &str, left: &str, right: &str) -> String {
        let calendar = if self.calendar.per_profile {
            format!("\n  and {left}.\"calendar.id\" = {right}.\"calendar.id\"")
        } else {
            String::new()
        };
        format!("{left}.\"entity.id\" = {right}.{key}{calendar}")
    }

    /// A query for rows that no entity or no time can be told of.
    pub(super) fn nulls_sql(&self) -> String {
        let (known, time, instant) = (self.rows.has_profile(), name(&self.rows.time), self.rows.instant());
        let mut conditions = self.rows.conditions.clone();
        conditions.push(format!("(not ({known}) or {time} is null)"));
        conditions.extend(self.partition_conditions());
        format!(
            "select\n  count(*) filter (where not ({known}) and {instant} >= ${FIRST} and {instant} < ${PERIOD_END}) \
             as null_ids,\n  count(*) filter (where {time} is null) as null_times\nfrom {}\nwhere {}",
            self.rows.relation_name(),
            conditions.join("\n  and "),
        )
    }

    /// The zones of the audience, each with its number of rows.
    pub(super) fn zones_sql(audience: &Audience, restricted: bool) -> String {
        let zone = "coalesce(cast(\"profile.timezone\" as varchar), '')";
        with(
            &audience.tables(restricted),
            &format!("select {zone} as zone, count(*) as rows\nfrom audience_rows\ngroup by {zone}"),
        )
    }

    /// The relation of audience rows that have a period.
    fn audience_rows(&self) -> &'static str {
        if self.calendar.per_profile { "due_rows" } else { "audience_rows" }
    }

    /// A rank is among everybody, so a restricted request still reads everybody.
    fn reads_restricted(&self, restricted: bool) -> bool {
        restricted && !self.has_rank()
    }

    fn audience_tables(&self, audience: &Audience, restricted: bool) -> Vec<String> {
        let mut tables = audience.tables(self.reads_restricted(restricted));
        if self.calendar.per_profile {
            let zoned = format!(
                "select audience_rows.*, \"#calendar\" as \"calendar.id\"\nfrom audience_rows\ninner join {ZONES} on \
                 \"#zone.text\" = coalesce(cast(\"profile.timezone\" as varchar), '')"
            );
            tables.push(table("zoned_rows", &zoned));
            tables.push(table("due_rows", "select * from zoned_rows where \"calendar.id\" >= 0"));
            let key = audience_key(audience);
            let calendars =
                format!("select distinct {key} as \"#entity\", \"calendar.id\" as \"#calendar\"\nfrom zoned_rows");
            tables.push(table("entity_calendars", &calendars));
        }
        tables
    }

    /// The tables that end in `matrix_rows`: `entity.id`, `entity.active`, each metric and each of its earlier values.
    fn matrix_tables(&self, audience: &Audience, restricted: bool, output: Output) -> Vec<String> {
        let levels = self.levels(output);
        let mut tables = vec![table("event_rows", &self.event_rows(audience, restricted))];
        tables.push(table("keyed_rows", &self.keyed_rows(&levels)));
        tables.push(self.measured_table(&levels));
        tables.extend(self.assembled_tables(&levels, output));
        tables
    }

    /// The rows of all periods, each with its entity and period.
    fn event_rows(&self, audience: &Audience, restricted: bool) -> String {
        let rows = &self.rows;
        let mut conditions = rows.conditions.clone();
        conditions.push(rows.has_profile());
        conditions.push(self.instant_condition());
        conditions.push(format!("{} <= $as_of", rows.instant()));
        conditions.extend(self.partition_conditions());
        if self.reads_restricted(restricted) && audience.entity.is_some() {
            conditions.push(format!("{} in (select entity_id from audience_rows)", rows.profile_text()));
        } else if self.reads_restricted(restricted) {
            conditions.push(format!("{} in (${PROFILES})", rows.profile_text()));
        }
        let is_read = |column: &String| self.reads(column);
        let read: Vec<String> = rows.plain_columns().filter(is_read).collect();
        let source = match rows.deduplicated(&conditions, &read) {
            Some(query) => format!("(\n  {}\n) as once", indented(&query, 2)),
            None => format!("{}\nwhere {}", rows.relation_name(), conditions.join("\n  and ")),
        };
        let index = self.windows.index(&rows.instant());
        let identified = format!("select *,\n  {} as \"entity.id\"", rows.profile_text());
        if !self.calendar.per_profile {
            return format!("{identified},\n  {index} as \"period.index\"\nfrom {source}");
        }
        format!(
            "select identified.*, \"#calendar.id\" as \"calendar.id\", \"#zone\",\n  {index} as \"period.index\"\nfrom (\n  \
             {}\n) as identified\nleft join entity_calendars on \"#entity\" = identified.\"entity.id\"\ninner join {CALENDARS} \
             on \"#calendar.id\" = coalesce(\"#calendar\", $milepost_fallback)",
            indented(&format!("{identified}\nfrom {source}"), 2),
        )
    }

    /// The rows of periods with the columns that levels are grouped by.
    fn keyed_rows(&self, levels: &[Level<'_>]) -> String {
        let mut columns = vec!["*".to_owned()];
        for (index, level) in levels.iter().enumerate() {
            let value = match level {
                Level::Step(unit, _) => format!(
                    "{}(arrow_cast({}, 'Timestamp(Microsecond, Some(\"UTC\"))'), {zone}, {zone})",
                    unit.function(),
                    self.rows.instant(),
                    zone = self.windows.bound(Bound::Zone),
                ),
                Level::Row(by, _) => id_text(&by.column, &self.rows.schema),
                Level::Top(list) => id_text(&list.column, &self.rows.schema),
            };
            columns.push(format!("case when \"#level\" = {} then {value} end as {}", index + 1, name(&level.column())));
        }
        columns.extend(slot(levels));
        // Snippets may name their relation, as in `events.event`.
        let rows = leveled(&format!("event_rows as {}", self.rows.relation_name()), levels);
        format!("select {}\nfrom {rows}\nwhere \"period.index\" is not null", columns.join(",\n  "))
    }

    /// The range of instants that any period holds.
    fn instant_condition(&self) -> String {
        let instant = self.rows.instant();
        let period = format!("({instant} >= ${FIRST} and {instant} < ${PERIOD_END})");
        if !self.windows.last_year {
            return period;
        }
        format!("({period}\n    or ({instant} >= $milepost_last_year_start and {instant} < $milepost_last_year_end))")
    }

    /// One condition per partition, true where it overlaps any period.
    fn partition_conditions(&self) -> Vec<String> {
        let partitions = self.rows.partitions.iter().enumerate();
        let condition = partitions.map(|(index, partition)| {
            let period = pruning::overlaps(partition, index, "period");
            if !self.windows.last_year {
                return period;
            }
            format!("({period} or {})", pruning::overlaps(partition, index, "last_year"))
        });
        condition.collect()
    }

    /// Whether a metric, a breakdown or a top list reads a column of the rows.
    fn reads(&self, column: &String) -> bool {
        self.metrics.iter().any(|metric| metric.aggregate.columns.contains(column))
            || self.by.as_ref().is_some_and(|by| by.column == *column)
            || self.top.iter().any(|list| list.column == *column || list.aggregate.columns.contains(column))
    }
}

fn audience_key(audience: &Audience) -> &'static str {
    if audience.entity.is_some() { "entity_id" } else { "audience_id" }
}
