//! The query of passes with levels where nothing of the qualifying row but its time is asked for: one row per subject with
//! its steps, from accumulators in place of windows over sorted rows. Passes over the same table share its scan.

use std::collections::BTreeSet;

use super::reaches::{ReachesPass, TypedMeasure};
use super::reaches_sql::source_of;
use super::rows::Rows;
use super::sql::{indented, name, table};
use super::subject::{Join, Keep};
use crate::project::Levels;

/// The column with the value, peak and steps of one of the passes.
pub(super) fn climb_column(member: usize) -> String {
    format!("climb.{member}")
}

/// The climbs of passes that share a scan as a query: subjects and their steps, joined with the audience.
pub(super) fn climbs_sql(passes: &[&ReachesPass], join: &Join<'_>) -> String {
    let mut tables = match passes {
        [pass] => pass.climbed_alone(join),
        passes => climbed_together(passes, join),
    };
    if join.keep == Keep::Flags {
        let shown = (0..passes.len()).map(|member| format!("climb_tells({})", name(&climb_column(member))));
        let shown = shown.collect::<Vec<_>>().join("\n  or ");
        tables.push(table("flag_rows", &format!("select *\nfrom climb_rows\nwhere {shown}")));
    } else {
        tables.push(table("flag_rows", "select *\nfrom climb_rows"));
    }
    join.query(tables, "")
}

/// The climbs of each pass over the rows that are its own, in one scan over the rows of all.
fn climbed_together(passes: &[&ReachesPass], join: &Join<'_>) -> Vec<String> {
    let Some(first) = passes.first() else {
        return Vec::new();
    };
    let of_pass = |pass: &ReachesPass| match pass.rows.conditions.as_slice() {
        [] => "true".to_owned(),
        conditions => format!("({})", conditions.join(" and ")),
    };
    let any: BTreeSet<String> = passes.iter().map(|pass| of_pass(pass)).collect();
    let mut conditions = first.rows.visible_to_all(join);
    conditions.push(format!("({})", any.into_iter().collect::<Vec<_>>().join("\n    or ")));
    let column = |what: &str, member: usize| name(&format!("{what}.{member}"));
    // Whose row it is and what it adds is told before rows change threads, so that fewer columns do.
    let told = passes.iter().enumerate().map(|(member, pass)| {
        let value = pass.value().map(|sql| format!(",\n  {sql} as {}", column("value", member)));
        format!(",\n  {} as {}{}", of_pass(pass), column("counts", member), value.unwrap_or_default())
    });
    let rows = format!(
        "select {} as subject_id, {} as happened_at{}\nfrom {}",
        first.rows.profile_text(),
        name(&first.rows.time),
        told.collect::<String>(),
        rows_together(passes, &conditions),
    );
    let climbs = passes.iter().enumerate().map(|(member, pass)| {
        let climb = pass.climb("happened_at", &column("value", member));
        format!(",\n  {climb} filter (where {}) as {}", column("counts", member), name(&climb_column(member)))
    });
    let climbed = format!("select subject_id{}\nfrom ladder_rows\ngroup by subject_id", climbs.collect::<String>());
    vec![table("ladder_rows", &rows), table("climb_rows", &climbed)]
}

/// The rows of all passes, each duplicate once for each event that it is one of.
fn rows_together(passes: &[&ReachesPass], conditions: &[String]) -> String {
    let Some(first) = passes.first() else { return String::new() };
    let telling: BTreeSet<String> = passes.iter().flat_map(|pass| pass.telling_columns()).collect();
    let telling: Vec<String> = first.rows.plain_columns().filter(|column| telling.contains(column)).collect();
    let event: Vec<String> = first.rows.event.iter().map(|(column, _)| column.clone()).collect();
    match first.rows.deduplicated_within(&event, conditions, &telling) {
        Some(query) => format!("(\n  {}\n) as {}", indented(&query, 2), first.rows.relation_name()),
        None => format!("{}\nwhere {}", first.rows.relation_name(), conditions.join("\n  and ")),
    }
}

impl ReachesPass {
    /// Whether steps come from an accumulator.
    pub(super) fn climbs(&self) -> bool {
        let is_measured = match &self.measure {
            TypedMeasure::Count | TypedMeasure::Distinct { .. } => true,
            TypedMeasure::Sum { fits, .. } | TypedMeasure::Max { fits, .. } => *fits,
            TypedMeasure::Streak(_) => false,
        };
        is_measured && self.carried.is_empty()
    }

    /// Whether two passes with climbs read the same rows but for their conditions. Which of several copies of a row counts
    /// depends on the conditions, so rows with copies are read together only where those are the same or exclude each other.
    pub(super) fn shares_scan(&self, other: &Self) -> bool {
        let is_plain = |pass: &Self| {
            let is_distinct = matches!(pass.measure, TypedMeasure::Distinct { .. });
            pass.climbs() && !is_distinct
        };
        let key = |pass: &Self| {
            let Rows { relation, profile, time, dedup, .. } = &pass.rows;
            (relation.clone(), profile.clone(), time.clone(), dedup.clone())
        };
        let is_same = is_plain(self) && is_plain(other) && key(self) == key(other) && self.entity == other.entity;
        is_same && (self.rows.dedup.is_none() || self.rows.shares_copies(&other.rows))
    }

    /// The tables that end in `climb_rows` for this pass alone.
    fn climbed_alone(&self, join: &Join<'_>) -> Vec<String> {
        let conditions = self.rows.visible(join);
        let (mut tables, (relation, condition)) = source_of(&self.rows, &conditions, &self.telling_columns());
        let subject = self.rows.profile_text();
        let column = name(&climb_column(0));
        let climbed = if let TypedMeasure::Distinct { sql, .. } = &self.measure {
            let and = if condition.is_empty() { "\nwhere" } else { "\n  and" };
            let values = format!(
                "select {subject} as subject_id, min({}) as first_at\nfrom {relation}{condition}{and} ({sql}) is not \
                 null\ngroup by {subject}, ({sql})",
                name(&self.rows.time),
            );
            tables.push(table("value_rows", &values));
            let climb = self.climb("first_at", "");
            format!("select subject_id, {climb} as {column}\nfrom value_rows\ngroup by subject_id")
        } else {
            let climb = self.climb(&name(&self.rows.time), self.value().unwrap_or_default());
            format!(
                "select {subject} as subject_id, {climb} as {column}\nfrom {relation}{condition}\ngroup by {subject}"
            )
        };
        tables.push(table("climb_rows", &climbed));
        tables
    }

    /// What a row adds; `None` where rows are counted.
    fn value(&self) -> Option<&str> {
        match &self.measure {
            TypedMeasure::Sum { sql, .. } | TypedMeasure::Max { sql, .. } => Some(sql),
            TypedMeasure::Count | TypedMeasure::Distinct { .. } | TypedMeasure::Streak(_) => None,
        }
    }

    /// The accumulator over rows with these times and values.
    fn climb(&self, time: &str, value: &str) -> String {
        let levels = self.levels_text();
        match &self.measure {
            TypedMeasure::Sum { .. } => format!("sum_climb({time}, {value}, '{levels}')"),
            TypedMeasure::Max { .. } => format!("max_climb({time}, {value}, '{levels}')"),
            TypedMeasure::Count | TypedMeasure::Distinct { .. } | TypedMeasure::Streak(_) => {
                format!("count_climb({time}, '{levels}')")
            }
        }
    }

    /// Every level once, as the accumulators read them.
    fn levels_text(&self) -> String {
        let mut levels = BTreeSet::new();
        for ladder in &self.ladders {
            match &ladder.levels {
                Levels::List(listed) => levels.extend(listed.iter().map(ToString::to_string)),
                Levels::Every(level) => {
                    levels.insert(format!("*{level}"));
                }
            }
        }
        levels.into_iter().collect::<Vec<_>>().join(" ")
    }
}
