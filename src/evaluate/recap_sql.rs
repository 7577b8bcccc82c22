//! The queries of a recap.

use super::audience::Audience;
use super::pruning;
use super::recap::{FIRST, MetricPlan, RecapPlan};
use super::sql::{PROFILES, name, table, with};
use crate::warehouse::{AggregateKind, PERIOD_END, PERIOD_START};

/// What every level of the matrix is grouped by.
const KEYS: &str = "\"entity.id\", \"period.index\"";

impl RecapPlan {
    /// A short description for titles and errors.
    pub(super) fn title(&self) -> String {
        let names: Vec<_> = self.metrics.iter().map(|metric| metric.name.as_str()).collect();
        format!("metrics {}", names.join(", "))
    }

    /// Audience rows with their metrics, and active entities without audience rows, by profile and entity.
    pub(super) fn candidates_sql(&self, audience: &Audience, restricted: bool) -> String {
        let mut tables = audience.tables(restricted);
        tables.extend(self.matrix_tables(audience, restricted));
        let key = audience_key(audience);
        // A restricted request asks nothing about others.
        let join = if restricted { "left join" } else { "full join" };
        let since = self.since.as_ref().map(|since| name(&format!("profile.{since}")));
        let joined = format!(
            "select\n  audience_rows.*,\n  coalesce(\"entity.active\", false) as \"entity.active\"{}\n\
             from audience_rows\n{join} matrix_rows on matrix_rows.\"entity.id\" = audience_rows.{key}",
            self.filled_columns(since.as_deref()),
        );
        tables.push(table("joined_rows", &joined));
        let wanted = match &self.only_if {
            Some(only_if) => format!("coalesce(({only_if}), false)"),
            None => "true".to_owned(),
        };
        let order = if audience.entity.is_some() { "audience_id, entity_id" } else { "audience_id" };
        with(&tables, &format!("select *, {wanted} as wanted\nfrom joined_rows\norder by {order}"))
    }

    /// One row per entity that is active or in the audience.
    pub(super) fn metrics_sql(&self, audience: &Audience, restricted: bool) -> String {
        let mut tables = audience.tables(restricted);
        tables.extend(self.matrix_tables(audience, restricted));
        let since = self.since.as_ref().map(|since| format!(", min({}) as since", name(&format!("profile.{since}"))));
        let entities = format!(
            "select {} as id{}\nfrom audience_rows\ngroup by 1",
            audience_key(audience),
            since.clone().unwrap_or_default(),
        );
        tables.push(table("entity_rows", &entities));
        let query = format!(
            "select\n  coalesce(entity_rows.id, matrix_rows.\"entity.id\") as entity_id,\n  \
             $milepost_period_key as period_key{}\nfrom entity_rows\nfull join matrix_rows on \
             matrix_rows.\"entity.id\" = entity_rows.id\norder by entity_id",
            self.filled_columns(since.map(|_| "entity_rows.since").filter(|_| self.since.is_some())),
        );
        with(&tables, &query)
    }

    /// A query for rows that no entity or no time can be told of.
    pub(super) fn nulls_sql(&self) -> String {
        let (entity, time, instant) = (name(&self.rows.profile), name(&self.rows.time), self.rows.instant());
        let mut conditions = self.rows.conditions.clone();
        conditions.push(format!("({entity} is null or {time} is null)"));
        conditions.extend(self.pruned());
        format!(
            "select\n  count(*) filter (where {entity} is null and {instant} >= ${FIRST} and {instant} < ${PERIOD_END}) \
             as null_ids,\n  count(*) filter (where {time} is null) as null_times\nfrom {}\nwhere {}",
            self.rows.relation_name(),
            conditions.join("\n  and "),
        )
    }

    /// Every metric with its value over no rows filled in, and its comparison.
    fn filled_columns(&self, since: Option<&str>) -> String {
        let mut columns = String::new();
        for metric in &self.metrics {
            columns += &format!(",\n  {} as {}", filled(metric, &metric.name), name(&metric.name));
            if self.compares {
                let previous = filled(metric, &metric.previous());
                let previous = match since {
                    Some(since) => format!("case when {since} <= ${FIRST} then {previous} end"),
                    None => previous,
                };
                columns += &format!(",\n  {previous} as {}", name(&metric.previous()));
            }
        }
        columns
    }

    /// The tables that end in `matrix_rows`: `entity.id`, `entity.active`, and each metric with its comparison.
    fn matrix_tables(&self, audience: &Audience, restricted: bool) -> Vec<String> {
        let mut tables = vec![table("event_rows", &self.event_rows(audience, restricted))];
        tables.extend(self.measured_tables());
        let mut columns =
            vec!["\"entity.id\"".to_owned(), "bool_or(\"period.index\" = 0) as \"entity.active\"".to_owned()];
        for metric in &self.metrics {
            columns.push(pivoted(metric, 0, &metric.name));
            if self.compares {
                columns.push(pivoted(metric, 1, &metric.previous()));
            }
        }
        let matrix = format!("select\n  {}\nfrom measured_rows\ngroup by \"entity.id\"", columns.join(",\n  "));
        tables.push(table("matrix_rows", &matrix));
        tables
    }

    /// The rows of all periods, each with its entity and period.
    fn event_rows(&self, audience: &Audience, restricted: bool) -> String {
        let rows = &self.rows;
        let instant = rows.instant();
        let mut conditions = rows.conditions.clone();
        conditions.push(format!("{} is not null", name(&rows.profile)));
        conditions.push(format!("{instant} >= ${FIRST}"));
        conditions.push(format!("{instant} < ${PERIOD_END}"));
        conditions.push(format!("{instant} <= $as_of"));
        conditions.extend(self.pruned());
        if restricted && audience.entity.is_some() {
            conditions.push(format!("{} in (select entity_id from audience_rows)", rows.profile_text()));
        } else if restricted {
            conditions.push(format!("{} in (${PROFILES})", rows.profile_text()));
        }
        let is_measured = |column: &String| self.metrics.iter().any(|metric| metric.aggregate.columns.contains(column));
        let measured: Vec<String> = rows.plain_columns().filter(is_measured).collect();
        let source = match rows.deduplicated(&conditions, &measured) {
            Some(query) => format!("(\n  {}\n) as once", super::sql::indented(&query, 2)),
            None => format!("{}\nwhere {}", rows.relation_name(), conditions.join("\n  and ")),
        };
        let index = format!("case when {instant} >= ${PERIOD_START} then 0 else 1 end");
        format!("select *,\n  {} as \"entity.id\",\n  {index} as \"period.index\"\nfrom {source}", rows.profile_text())
    }

    /// Folders outside the periods need not be opened.
    fn pruned(&self) -> impl Iterator<Item = String> {
        let partitions = self.rows.partitions.iter().enumerate();
        partitions.flat_map(|(index, partition)| [pruning::from(partition, index), pruning::until(partition, index)])
    }

    /// The tables that end in `measured_rows`: one row per entity and period.
    fn measured_tables(&self) -> Vec<String> {
        let parts: Vec<_> = self.metrics.iter().flat_map(|metric| &metric.aggregate.parts).collect();
        let mut plain: Vec<String> = self
            .metrics
            .iter()
            .filter(|metric| metric.aggregate.parts.is_empty())
            .map(|metric| format!("{} as {}", metric.aggregate.sql, name(&metric.name)))
            .collect();
        let mut distinct: Vec<(&str, Vec<(&str, Option<&str>)>)> = Vec::new();
        for part in &parts {
            match &part.kind {
                AggregateKind::Plain { sql } => plain.push(format!("{sql} as {}", name(&part.column))),
                AggregateKind::Distinct { value, filter } => {
                    let counted = (part.column.as_str(), filter.as_deref());
                    match distinct.iter_mut().find(|(known, _)| known == value) {
                        Some((_, columns)) => columns.push(counted),
                        None => distinct.push((value, vec![counted])),
                    }
                }
            }
        }
        // Snippets may name their relation, as in `events.event`.
        let relation = self.rows.relation_name();
        let columns = [vec![KEYS.to_owned()], plain].concat().join(",\n  ");
        let grouped = format!("select\n  {columns}\nfrom event_rows as {relation}\ngroup by {KEYS}");
        if distinct.is_empty() {
            return vec![table("measured_rows", &grouped)];
        }
        let mut tables = vec![table("plain_rows", &grouped)];
        let mut joins = String::new();
        for (index, (value, columns)) in distinct.iter().enumerate() {
            let alias = format!("distinct_rows_{}", index + 1);
            tables.push(table(&alias, &distinct_query(&relation, value, columns)));
            joins += &format!(
                "\nleft join {alias} on {alias}.\"entity.id\" = plain_rows.\"entity.id\" \
                 and {alias}.\"period.index\" = plain_rows.\"period.index\""
            );
        }
        tables.push(table("measured_rows", &self.split_query(&joins)));
        tables
    }

    /// Metrics over the columns of their parts.
    fn split_query(&self, joins: &str) -> String {
        let mut columns = vec![
            "plain_rows.\"entity.id\" as \"entity.id\"".to_owned(),
            "plain_rows.\"period.index\" as \"period.index\"".to_owned(),
        ];
        for metric in &self.metrics {
            let name = name(&metric.name);
            columns.push(if metric.aggregate.parts.is_empty() {
                name
            } else {
                format!("{} as {name}", metric.aggregate.sql)
            });
        }
        format!("select\n  {}\nfrom plain_rows{joins}", columns.join(",\n  "))
    }
}

fn audience_key(audience: &Audience) -> &'static str {
    if audience.entity.is_some() { "entity_id" } else { "audience_id" }
}

/// Distinct values counted in two levels: first one row per value, then their number.
fn distinct_query(relation: &str, value: &str, columns: &[(&str, Option<&str>)]) -> String {
    let mut kept = String::new();
    let mut counted = Vec::new();
    for (column, filter) in columns {
        match filter {
            Some(filter) => {
                let flag = name(&format!("{column}.kept"));
                kept += &format!(", bool_or({filter}) as {flag}");
                counted.push(format!("count(*) filter (where {flag}) as {}", name(column)));
            }
            None => counted.push(format!("count(*) as {}", name(column))),
        }
    }
    format!(
        "select\n  {KEYS},\n  {}\nfrom (\n  select {KEYS}, {value} as \"distinct.value\"{kept}\n  from event_rows as {relation}\n  \
         where ({value}) is not null\n  group by {KEYS}, \"distinct.value\"\n) as value_rows\ngroup by {KEYS}",
        counted.join(",\n  "),
    )
}

fn pivoted(metric: &MetricPlan, index: u8, column: &str) -> String {
    let value = format!("max({}) filter (where \"period.index\" = {index})", name(&metric.name));
    let value = if metric.is_double() { format!("round_significant({value})") } else { value };
    format!("{value} as {}", name(column))
}

fn filled(metric: &MetricPlan, column: &str) -> String {
    let column = name(column);
    match metric.aggregate.empty.as_str() {
        "null" => column,
        empty => format!("coalesce({column}, {empty})"),
    }
}
