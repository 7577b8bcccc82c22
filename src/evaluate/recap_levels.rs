//! What is measured beside the whole period, and how everything is measured in one pass: each level is a grouping set,
//! and so is each distinct value that is counted.

use super::recap::{BreakdownPlan, MetricPlan, RecapPlan, TopPlan};
use super::recap_sql::Output;
use super::sql::{name, table};
use crate::warehouse::{Aggregate, AggregateKind};

/// A finer dimension than the period.
#[derive(Clone, Debug)]
pub(super) enum Level<'a> {
    /// Local days of the period, for metrics with a trend.
    Day(Vec<&'a MetricPlan>),
    /// Values of the breakdown.
    Row(&'a BreakdownPlan, Vec<&'a MetricPlan>),
    /// Values of a top list.
    Top(&'a TopPlan),
}

impl Level<'_> {
    /// The column that rows are grouped by.
    pub(super) fn column(&self) -> String {
        match self {
            Self::Day(_) => "#day".to_owned(),
            Self::Row(..) => "#by".to_owned(),
            Self::Top(list) => format!("#name.{}", list.name),
        }
    }

    fn measures(&self) -> Vec<&Aggregate> {
        match self {
            Self::Day(metrics) | Self::Row(_, metrics) => metrics.iter().map(|metric| &metric.aggregate).collect(),
            Self::Top(list) => vec![&list.aggregate],
        }
    }
}

impl TopPlan {
    /// The column of the value.
    pub(super) fn value(&self) -> String {
        format!("#top.{}", self.name)
    }
}

impl RecapPlan {
    /// The levels an output needs, numbered from 1.
    pub(super) fn levels(&self, output: Output) -> Vec<Level<'_>> {
        let mut levels = Vec::new();
        if let Some(by) = &self.by {
            // The table has every metric of a row, the mail those it shows.
            let shown = by.metrics.iter().filter_map(|position| self.metrics.get(*position)).collect();
            let metrics = if output == Output::Table { self.metrics.iter().collect() } else { shown };
            levels.push(Level::Row(by, metrics));
        }
        if output == Output::Table {
            return levels;
        }
        let trends: Vec<&MetricPlan> = self.metrics.iter().filter(|metric| metric.trend).collect();
        if !trends.is_empty() {
            levels.push(Level::Day(trends));
        }
        levels.extend(self.top.iter().map(Level::Top));
        levels
    }

    /// Everything that is measured under these levels, each with its column.
    fn measured<'a>(&'a self, levels: &[Level<'a>]) -> Vec<(String, &'a Aggregate)> {
        let metrics = self.metrics.iter().map(|metric| (metric.name.clone(), &metric.aggregate));
        let lists = levels.iter().filter_map(|level| match level {
            Level::Top(list) => Some((list.value(), &list.aggregate)),
            Level::Day(_) | Level::Row(..) => None,
        });
        metrics.chain(lists).collect()
    }

    /// The values whose distinct ones are counted, each once.
    pub(super) fn distinct_values(&self, levels: &[Level<'_>]) -> Vec<String> {
        let mut values: Vec<String> = Vec::new();
        for (_, aggregate) in self.measured(levels) {
            for value in distinct_of(aggregate) {
                if !values.contains(value) {
                    values.push(value.clone());
                }
            }
        }
        values
    }

    /// The tables that end in `measured_rows`: keys, `period.index`, the columns of levels, `#level`, and each measure.
    pub(super) fn measured_tables(&self, levels: &[Level<'_>]) -> Vec<String> {
        let values = self.distinct_values(levels);
        let relation = self.rows.relation_name();
        let mut keys = self.keys();
        keys.push("\"period.index\"".to_owned());
        let mut columns = keys.clone();
        columns.extend(levels.iter().map(|level| name(&level.column())));
        columns.push(numbered(levels.iter().map(Level::column), "#level"));
        let value_columns = (1..=values.len()).map(|index| format!("#distinct.{index}"));
        if !values.is_empty() {
            columns.push(numbered(value_columns, "#distinct"));
            columns.extend((1..=values.len()).map(|index| format!("\"#distinct.{index}\"")));
        }
        columns.extend(self.aggregated_columns(levels));
        let sets = self.grouping_sets(&keys, levels, &values);
        let grouped = match sets.as_slice() {
            [only] => format!("group by {only}"),
            sets => {
                let sets: Vec<String> = sets.iter().map(|set| format!("({set})")).collect();
                format!("group by grouping sets (\n  {}\n)", sets.join(",\n  "))
            }
        };
        let query = format!("select\n  {}\nfrom keyed_rows as {relation}\n{grouped}", columns.join(",\n  "));
        if values.is_empty() {
            return vec![table("measured_rows", &query)];
        }
        vec![
            table("grouped_rows", &query),
            table("counted_rows", &self.counted_query(&keys, levels, &values)),
            table("measured_rows", &self.measured_query(&keys, levels)),
        ]
    }

    /// Every aggregate, once for all sets; for distinct counts, whether a value meets their filter.
    fn aggregated_columns(&self, levels: &[Level<'_>]) -> Vec<String> {
        let mut columns = Vec::new();
        for (column, aggregate) in self.measured(levels) {
            if aggregate.parts.is_empty() {
                columns.push(format!("{} as {}", aggregate.sql, name(&column)));
            }
            for part in &aggregate.parts {
                match &part.kind {
                    AggregateKind::Plain { sql } => columns.push(format!("{sql} as {}", name(&part.column))),
                    AggregateKind::Distinct { filter: Some(filter), .. } => {
                        columns.push(format!("bool_or({filter}) as {}", name(&kept(&part.column))));
                    }
                    AggregateKind::Distinct { filter: None, .. } => {}
                }
            }
        }
        columns
    }

    fn grouping_sets(&self, keys: &[String], levels: &[Level<'_>], values: &[String]) -> Vec<String> {
        let keys = keys.join(", ");
        let own: Vec<&Aggregate> = self.metrics.iter().map(|metric| &metric.aggregate).collect();
        let finer = levels.iter().map(|level| (format!("{keys}, {}", name(&level.column())), level.measures()));
        let mut sets = Vec::new();
        for (set, measures) in std::iter::once((keys.clone(), own)).chain(finer) {
            for (index, value) in values.iter().enumerate() {
                if measures.iter().any(|aggregate| distinct_of(aggregate).any(|counted| counted == value)) {
                    sets.push(format!("{set}, \"#distinct.{}\"", index + 1));
                }
            }
            sets.push(set);
        }
        sets
    }

    /// One row per group again: aggregates as they are, distinct values counted.
    fn counted_query(&self, keys: &[String], levels: &[Level<'_>], values: &[String]) -> String {
        let mut groups = keys.to_vec();
        groups.extend(levels.iter().map(|level| name(&level.column())));
        groups.push("\"#level\"".to_owned());
        let mut columns = groups.clone();
        let plain = |column: &str| format!("max({0}) filter (where \"#distinct\" = 0) as {0}", name(column));
        for (column, aggregate) in self.measured(levels) {
            if aggregate.parts.is_empty() {
                columns.push(plain(&column));
            }
            for part in &aggregate.parts {
                columns.push(match &part.kind {
                    AggregateKind::Plain { .. } => plain(&part.column),
                    AggregateKind::Distinct { value, filter } => {
                        let index = values.iter().position(|known| known == value).unwrap_or_default() + 1;
                        let mut met = format!("\"#distinct\" = {index} and \"#distinct.{index}\" is not null");
                        if filter.is_some() {
                            met += &format!(" and {}", name(&kept(&part.column)));
                        }
                        format!("count(*) filter (where {met}) as {}", name(&part.column))
                    }
                });
            }
        }
        format!("select\n  {}\nfrom grouped_rows\ngroup by {}", columns.join(",\n  "), groups.join(", "))
    }

    /// Measures over the columns of their parts.
    fn measured_query(&self, keys: &[String], levels: &[Level<'_>]) -> String {
        let mut columns = keys.to_vec();
        columns.extend(levels.iter().map(|level| name(&level.column())));
        columns.push("\"#level\"".to_owned());
        columns.extend(self.measured(levels).into_iter().map(|(column, aggregate)| {
            if aggregate.parts.is_empty() { name(&column) } else { format!("{} as {}", aggregate.sql, name(&column)) }
        }));
        format!("select\n  {}\nfrom counted_rows", columns.join(",\n  "))
    }
}

fn distinct_of(aggregate: &Aggregate) -> impl Iterator<Item = &String> {
    aggregate.parts.iter().filter_map(|part| match &part.kind {
        AggregateKind::Distinct { value, .. } => Some(value),
        AggregateKind::Plain { .. } => None,
    })
}

fn kept(column: &str) -> String {
    format!("{column}.kept")
}

/// Which of the columns a row is grouped by: its number from 1, or 0 for none of them.
fn numbered(columns: impl Iterator<Item = String>, alias: &str) -> String {
    let cases: String = columns
        .enumerate()
        .map(|(index, column)| format!(" when grouping({}) = 0 then {}", name(&column), index + 1))
        .collect();
    if cases.is_empty() { format!("0 as \"{alias}\"") } else { format!("case{cases} else 0 end as \"{alias}\"") }
}
