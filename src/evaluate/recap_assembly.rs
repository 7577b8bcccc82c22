//! From measured rows to one row per entity: earlier periods as columns, rank, trends, rows and lists.

use std::collections::BTreeSet;

use super::recap::{MetricPlan, RecapPlan, is_double};
use super::recap_cells::steps_column;
use super::recap_levels::Level;
use super::recap_sql::Output;
use super::recap_windows::{Bound, CALENDARS};
use super::sql::{indented, name, table};
use crate::warehouse::Aggregate;

/// Under so many active entities a rank would tell who the others are.
const SMALLEST_COHORT: u32 = 20;

impl MetricPlan {
    /// The column of the value in a period by its index.
    pub(super) fn cell(&self, index: u16) -> String {
        if index == 0 { self.name.clone() } else { format!("{}#{index}", self.name) }
    }
}

impl RecapPlan {
    /// The tables that end in `matrix_rows`.
    pub(super) fn assembled_tables(&self, levels: &[Level<'_>], output: Output) -> Vec<String> {
        let mut tables = Vec::new();
        let mut source = "measured_rows";
        let is_pivoted = self.breakdown(output).is_some();
        if is_pivoted {
            tables.push(table("pivoted_rows", &self.pivoted_query(levels)));
            source = "pivoted_rows";
        }
        let has_lists = levels.iter().any(|level| !matches!(level, Level::Step(..)));
        if has_lists && output == Output::Candidates {
            tables.push(table("positioned_rows", &self.positioned_query(levels, source)));
            source = "positioned_rows";
        }
        let assembled = match output {
            Output::Table if is_pivoted => {
                let cells = self.metrics.iter().flat_map(|metric| self.cells(metric)).map(|(column, ..)| name(&column));
                let mut columns = self.keys();
                columns.extend(["\"#by\"", "\"#level\"", "\"entity.active\""].map(str::to_owned));
                columns.extend(cells);
                format!("select {}\nfrom {source}\nwhere \"#shown\" = 0 or \"#by\" is not null", columns.join(",\n  "))
            }
            _ => self.assembled_query(levels, source, is_pivoted),
        };
        if self.metrics.iter().any(|metric| metric.rank) {
            tables.push(table("assembled_rows", &assembled));
            tables.push(table("matrix_rows", &self.ranked_query(is_pivoted && output == Output::Table)));
        } else {
            tables.push(table("matrix_rows", &assembled));
        }
        tables
    }

    /// The cells of a metric: column, aggregate and index of the period.
    fn cells<'a>(&self, metric: &'a MetricPlan) -> Vec<(String, &'a Aggregate, u16)> {
        let indexes = std::iter::once(0).chain(self.windows.earlier());
        indexes.map(|index| (metric.cell(index), &metric.aggregate, index)).collect()
    }

    /// One row per entity and value of a level, with every period beside each other.
    fn pivoted_query(&self, levels: &[Level<'_>]) -> String {
        let mut groups = self.keys();
        groups.extend(levels.iter().map(|level| name(&level.column())));
        groups.push("\"#level\"".to_owned());
        let mut columns = groups.clone();
        columns.push("bool_or(\"period.index\" = 0) as \"entity.active\"".to_owned());
        // The level again, for a condition that the engine must not take down to the rows, where it would copy them.
        columns.push("max(\"#level\") as \"#shown\"".to_owned());
        for metric in &self.metrics {
            columns.extend(self.cells(metric).into_iter().map(|(column, aggregate, index)| {
                let value = format!("max({}) filter (where \"period.index\" = {index})", name(&metric.name));
                format!("{} as {}", filled(&rounded(&value, aggregate), aggregate), name(&column))
            }));
        }
        columns.extend(levels.iter().filter_map(|level| match level {
            Level::Top(list) => {
                let value = name(&list.value());
                Some(format!("max({value}) filter (where \"period.index\" = 0) as {value}"))
            }
            Level::Step(..) | Level::Row(..) => None,
        }));
        format!("select\n  {}\nfrom measured_rows\ngroup by {}", columns.join(",\n  "), groups.join(", "))
    }

    /// The rows that lists show, greatest first.
    fn positioned_query(&self, levels: &[Level<'_>], source: &str) -> String {
        let (mut names, mut values, mut limits) = (Vec::new(), String::new(), String::new());
        for (index, level) in levels.iter().enumerate() {
            let number = index + 1;
            let (value, limit) = match level {
                Level::Step(..) => continue,
                Level::Row(by, metrics) => (metrics.first().map(|metric| metric.name.clone()), by.top),
                Level::Top(list) => (Some(list.value()), list.limit),
            };
            names.push(name(&level.column()));
            let value = value.map_or_else(|| "0".to_owned(), |value| name(&value));
            values += &format!(" when {number} then round_significant(cast({value} as double))");
            limits += &format!(" when {number} then {limit}");
        }
        let listed = format!("coalesce({})", [names, vec!["null".to_owned()]].concat().join(", "));
        let value = format!("case \"#level\"{values} end");
        let partition = format!("partition by {}, \"#level\"", self.keys().join(", "));
        let positioned = format!(
            "select *,\n  row_number() over ({partition} order by {listed} is null, {value} desc nulls last, {listed}) as \
             \"#position\",\n  count(*) over ({partition}) as \"#count\",\n  sum(case when {listed} is not null then {value} \
             end) over ({partition}) as \"#total\"\nfrom {source}"
        );
        format!(
            "select *\nfrom (\n  {}\n) as positions\nwhere \"#position\" <= case \"#level\"{limits} else \"#position\" end",
            indented(&positioned, 2)
        )
    }

    /// One row per entity.
    fn assembled_query(&self, levels: &[Level<'_>], source: &str, is_pivoted: bool) -> String {
        let keys = self.keys().join(", ");
        let active = if is_pivoted { "\"entity.active\"" } else { "\"period.index\" = 0" };
        let mut columns = vec![keys.clone(), format!("bool_or(\"#level\" = 0 and {active}) as \"entity.active\"")];
        for metric in &self.metrics {
            columns.extend(self.cells(metric).into_iter().map(|(column, aggregate, index)| {
                let column = name(&column);
                if is_pivoted {
                    return format!("max({column}) filter (where \"#level\" = 0) as {column}");
                }
                let met = format!("\"#level\" = 0 and \"period.index\" = {index}");
                let value = rounded(&format!("max({}) filter (where {met})", name(&metric.name)), aggregate);
                format!("{} as {column}", filled(&value, aggregate))
            }));
        }
        for (index, level) in levels.iter().enumerate() {
            columns.extend(self.list(level, index + 1));
        }
        format!("select\n  {}\nfrom {source}\ngroup by {keys}", columns.join(",\n  "))
    }

    /// A level as a list of structs.
    fn list(&self, level: &Level<'_>, number: usize) -> Vec<String> {
        let key = name(&level.column());
        let met = format!("filter (where \"#level\" = {number} and {key} is not null)");
        let cell = |column: &str| format!("'{column}', {}", name(column));
        match level {
            Level::Step(unit, metrics) => {
                let values: Vec<String> = metrics.iter().map(|metric| cell(&metric.name)).collect();
                let list = name(&steps_column(*unit));
                vec![format!("array_agg(named_struct('step', {key}, {})) {met} as {list}", values.join(", "))]
            }
            Level::Row(_, metrics) => {
                let cells = metrics.iter().flat_map(|metric| self.cells(metric));
                let values: Vec<String> = cells.map(|(column, ..)| cell(&column)).collect();
                let fields = format!("'#name', {key}, '#position', \"#position\", {}", values.join(", "));
                vec![
                    format!("array_agg(named_struct({fields})) {met} as \"#rows\""),
                    format!("max(\"#count\") filter (where \"#level\" = {number}) as \"#rows.count\""),
                ]
            }
            Level::Top(list) => {
                let value = name(&list.value());
                let share = format!("cast({value} as double) / nullif(\"#total\", 0)");
                let fields = format!("'name', {key}, 'position', \"#position\", 'value', {value}, 'share', {share}");
                vec![format!("array_agg(named_struct({fields})) {met} as {}", name(&format!("#list.{}", list.name)))]
            }
        }
    }

    /// Rank and percentile among all entities that are active in the same period.
    fn ranked_query(&self, has_rows: bool) -> String {
        let mut cohort = vec!["\"entity.active\""];
        if has_rows {
            cohort.push("\"#level\"");
        }
        if self.calendar.per_profile {
            cohort.push("\"#cohort\"");
        }
        let cohort = format!("partition by {}", cohort.join(", "));
        let mut counted = vec!["*".to_owned(), format!("count(*) over ({cohort}) as \"#cohort.size\"")];
        let mut columns = vec!["*".to_owned()];
        for metric in self.metrics.iter().filter(|metric| metric.rank) {
            let value = name(&metric.name);
            let column = |what: &str| name(&format!("{}.{what}", metric.name));
            let (position, smaller) = (column("position"), column("smaller"));
            let order = format!("{cohort} order by {value} desc nulls last");
            counted.push(format!("rank() over ({order}) as {position}"));
            counted.push(format!("count({value}) over ({cohort}) - count(*) over ({order}) as {smaller}"));
            let level = if has_rows { " and \"#level\" = 0" } else { "" };
            let shown =
                format!("\"entity.active\" and {value} is not null and \"#cohort.size\" >= {SMALLEST_COHORT}{level}");
            columns.push(format!(
                "case when {shown} then cast({position} as bigint) end as {}",
                name(&metric.rank_column())
            ));
            columns.push(format!(
                "case when {shown} then round_significant(100.0 * {smaller} / \"#cohort.size\") end as {}",
                name(&metric.percentile())
            ));
            columns.push(format!("case when {shown} then \"#cohort.size\" end as {}", name(&metric.cohort())));
        }
        let source = if self.calendar.per_profile {
            format!(
                "(\n  select assembled_rows.*, \"#period_key\" as \"#cohort\"\n  from assembled_rows\n  inner join \
                 {CALENDARS} on \"#calendar.id\" = \"calendar.id\"\n) as keyed"
            )
        } else {
            "assembled_rows".to_owned()
        };
        let counted = format!("select\n  {}\nfrom {source}", counted.join(",\n  "));
        format!("select\n  {}\nfrom (\n  {}\n) as counted", columns.join(",\n  "), indented(&counted, 2))
    }

    /// Every metric with its value over no rows filled in, and its comparisons.
    pub(super) fn filled_columns(&self, since: Option<&str>) -> String {
        let mut columns = String::new();
        for metric in &self.metrics {
            let value = |index| filled(&name(&metric.cell(index)), &metric.aggregate);
            columns += &format!(",\n  {} as {}", value(0), name(&metric.name));
            let lived = |index: u16| match since {
                Some(since) => {
                    format!("case when {since} <= {} then {} end", self.windows.start_of(index), value(index))
                }
                None => value(index),
            };
            if self.windows.previous {
                columns += &format!(",\n  {} as {}", lived(1), name(&metric.previous()));
            }
            if let Some(count) = self.windows.average {
                let average = if metric.is_number() {
                    average((1..=count).map(lived))
                } else {
                    "cast(null as double)".to_owned()
                };
                columns += &format!(",\n  {average} as {}", name(&metric.average()));
            }
            if self.windows.last_year {
                let value = lived(self.windows.last_year_index());
                let exists = self.windows.bound(Bound::HasLastYear);
                columns += &format!(",\n  case when {exists} then {value} end as {}", name(&metric.last_year()));
            }
            if metric.rank {
                for column in [metric.rank_column(), metric.percentile()] {
                    columns += &format!(",\n  {}", name(&column));
                }
            }
        }
        columns
    }

    /// What only mails show: cohorts, trends, rows and lists.
    pub(super) fn list_columns(&self, since: Option<&str>) -> String {
        let mut columns = Vec::new();
        columns.extend(self.metrics.iter().filter(|metric| metric.rank).map(|metric| name(&metric.cohort())));
        let units: BTreeSet<_> = self.metrics.iter().filter_map(|metric| metric.trend).collect();
        columns.extend(units.into_iter().map(|unit| name(&steps_column(unit))));
        columns.extend(self.top.iter().map(|list| name(&format!("#list.{}", list.name))));
        if let Some(by) = self.breakdown(Output::Candidates) {
            columns.extend(["\"#rows\"", "\"#rows.count\""].map(str::to_owned));
            let metrics = by.metrics.iter().filter_map(|position| self.metrics.get(*position));
            let earlier = |metric: &MetricPlan| -> Vec<String> {
                let cells = self.cells(metric).into_iter().filter(|(_, _, index)| *index > 0);
                cells
                    .map(|(column, aggregate, _)| format!("{} as {}", filled(&name(&column), aggregate), name(&column)))
                    .collect()
            };
            let mut cells: Vec<String> = metrics.flat_map(earlier).collect();
            cells.dedup();
            columns.extend(cells);
            let lived = |index| match since {
                Some(since) => format!("case when {since} <= {} then 1 else 0 end", self.windows.start_of(index)),
                None => "1".to_owned(),
            };
            let count: Vec<String> = (1..=self.windows.depth()).map(lived).collect();
            columns
                .push(format!("{} as \"#lived\"", if count.is_empty() { "0".to_owned() } else { count.join(" + ") }));
            if self.windows.last_year {
                let (exists, index) = (self.windows.bound(Bound::HasLastYear), self.windows.last_year_index());
                columns.push(format!("{exists} and {} = 1 as \"#last_year.lived\"", lived(index)));
            }
        }
        columns.iter().map(|column| format!(",\n  {column}")).collect()
    }
}

/// The average of those that are not null.
fn average(values: impl Iterator<Item = String>) -> String {
    let (mut sum, mut count) = (Vec::new(), Vec::new());
    for value in values {
        sum.push(format!("coalesce(cast({value} as double), 0.0)"));
        count.push(format!("case when ({value}) is null then 0 else 1 end"));
    }
    format!("round_significant(({}) / nullif({}, 0))", sum.join(" + "), count.join(" + "))
}

fn rounded(value: &str, aggregate: &Aggregate) -> String {
    if is_double(aggregate) { format!("round_significant({value})") } else { value.to_owned() }
}

/// A value, or what it is over no rows.
fn filled(value: &str, aggregate: &Aggregate) -> String {
    match aggregate.empty.as_str() {
        "null" => value.to_owned(),
        empty => format!("coalesce({value}, {empty})"),
    }
}
