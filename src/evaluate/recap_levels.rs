//! What is measured beside the whole period, and how everything is measured in one pass: a row counts once for the whole
//! period and once for each level that it belongs to, and each measure only where it is shown.

use std::collections::BTreeSet;

use super::recap::{BreakdownPlan, MetricPlan, RecapPlan, TopPlan};
use super::recap_sql::Output;
use super::sql::{name, table};
use crate::warehouse::{Aggregate, LocalUnit};

/// Period and level of a row as one number: one column less to group by.
const SLOT: &str = "#slot";

/// A finer dimension than the period.
#[derive(Clone, Debug)]
pub(super) enum Level<'a> {
    /// Local days, weeks or months of the period, for metrics with a trend of them.
    Step(LocalUnit, Vec<&'a MetricPlan>),
    /// Values of the breakdown.
    Row(&'a BreakdownPlan, Vec<&'a MetricPlan>),
    /// Values of a top list.
    Top(&'a TopPlan),
}

impl Level<'_> {
    /// The column that rows are grouped by.
    pub(super) fn column(&self) -> String {
        match self {
            Self::Step(unit, _) => format!("#step.{}", unit.function()),
            Self::Row(..) => "#by".to_owned(),
            Self::Top(list) => format!("#name.{}", list.name),
        }
    }
}

impl<'a> Level<'a> {
    /// The metrics it shows.
    fn metrics(&self) -> &[&'a MetricPlan] {
        match self {
            Self::Step(_, metrics) | Self::Row(_, metrics) => metrics,
            Self::Top(_) => &[],
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
        if let Some(by) = self.breakdown(output) {
            // The table has every metric of a row, the mail those it shows.
            let shown = by.metrics.iter().filter_map(|position| self.metrics.get(*position)).collect();
            let metrics = if output == Output::Table { self.metrics.iter().collect() } else { shown };
            levels.push(Level::Row(by, metrics));
        }
        if output == Output::Table {
            return levels;
        }
        let units: BTreeSet<LocalUnit> = self.metrics.iter().filter_map(|metric| metric.trend).collect();
        levels.extend(
            units.into_iter().map(|unit| {
                Level::Step(unit, self.metrics.iter().filter(|metric| metric.trend == Some(unit)).collect())
            }),
        );
        levels.extend(self.top.iter().map(Level::Top));
        levels
    }

    /// Everything that is measured under these levels: its column, and its SQL over the rows of the levels that show it.
    fn measured(&self, levels: &[Level<'_>]) -> Vec<(String, String)> {
        let over = |aggregate: &Aggregate, shown: Vec<usize>| {
            if shown.len() > levels.len() {
                return aggregate.sql.clone();
            }
            let shown: Vec<String> = shown.iter().map(ToString::to_string).collect();
            aggregate.over(&format!("\"#level\" in ({})", shown.join(", ")))
        };
        let numbered = || levels.iter().enumerate().map(|(index, level)| (index + 1, level));
        let metrics = self.metrics.iter().map(|metric| {
            let shows =
                |(_, level): &(usize, &Level<'_>)| level.metrics().iter().any(|shown| shown.name == metric.name);
            let shown = std::iter::once(0).chain(numbered().filter(shows).map(|(number, _)| number));
            (metric.name.clone(), over(&metric.aggregate, shown.collect()))
        });
        let lists = numbered().filter_map(|(number, level)| match level {
            Level::Top(list) => Some((list.value(), over(&list.aggregate, vec![number]))),
            Level::Step(..) | Level::Row(..) => None,
        });
        metrics.chain(lists).collect()
    }

    /// The table `measured_rows`: keys, `period.index`, `#level`, the columns of levels, and each measure.
    pub(super) fn measured_table(&self, levels: &[Level<'_>]) -> String {
        let mut groups = self.keys();
        let mut columns = self.keys();
        if levels.is_empty() {
            groups.push("\"period.index\"".to_owned());
            columns.extend(["\"period.index\"", "0 as \"#level\""].map(str::to_owned));
        } else {
            let named = levels.iter().map(|level| name(&level.column()));
            groups.extend(named.clone().chain([name(SLOT)]));
            columns.extend(named);
            let slots = slots(levels);
            columns.push(format!("{} / {slots} as \"period.index\"", name(SLOT)));
            columns.push(format!("{} % {slots} as \"#level\"", name(SLOT)));
        }
        columns.extend(self.measured(levels).into_iter().map(|(column, sql)| format!("{sql} as {}", name(&column))));
        let query = format!(
            "select\n  {}\nfrom keyed_rows as {}\ngroup by {}",
            columns.join(",\n  "),
            self.rows.relation_name(),
            groups.join(", "),
        );
        table("measured_rows", &query)
    }
}

/// Levels in each period.
fn slots(levels: &[Level<'_>]) -> usize {
    levels.len() + 1
}

/// The column of period and level, where there are levels.
pub(super) fn slot(levels: &[Level<'_>]) -> Option<String> {
    let slot = format!("\"period.index\" * {} + \"#level\" as {}", slots(levels), name(SLOT));
    (!levels.is_empty()).then_some(slot)
}

/// The rows of all levels: each row once for the whole period (`#level` 0) and once for each level, with what the
/// level groups by. Only the breakdown shows earlier periods.
pub(super) fn leveled(rows: &str, levels: &[Level<'_>]) -> String {
    if levels.is_empty() {
        return rows.to_owned();
    }
    let numbers: Vec<String> = (0..=levels.len()).map(|number| format!("({number})")).collect();
    let values = format!("(values {}) as levels (\"#level\")", numbers.join(", "));
    if levels.iter().all(|level| matches!(level, Level::Row(..))) {
        // Without a condition rows are not copied. The few come first, since they are kept.
        return format!("{values}\ncross join {rows}");
    }
    let mut all_periods = vec!["0".to_owned()];
    let numbered = levels.iter().enumerate();
    all_periods.extend(
        numbered.filter(|(_, level)| matches!(level, Level::Row(..))).map(|(index, _)| (index + 1).to_string()),
    );
    let shown = format!("\"period.index\" = 0 or \"#level\" in ({})", all_periods.join(", "));
    format!("{rows}\ninner join {values} on {shown}")
}
