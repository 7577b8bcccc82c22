//! The query of a pass with levels where nothing of the qualifying row but its time is asked for: one row per subject with
//! its steps, from one accumulator in place of a window over sorted rows.

use std::collections::BTreeSet;

use super::reaches::{ReachesPass, TypedMeasure};
use super::reaches_sql::Source;
use super::sql::{name, table};
use super::subject::Keep;
use crate::project::Levels;

/// The column of a subject's value, peak and steps.
pub(super) const CLIMB: &str = "climb";

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

    /// The tables that end in `flag_rows`: `subject_id` and `climb`.
    pub(super) fn climbed(&self, (relation, condition): &Source, keep: Keep) -> Vec<String> {
        let (subject, time) = (self.rows.profile_text(), name(&self.rows.time));
        let levels = self.levels_text();
        let grouped = |relation: &str, condition: &str, subject: &str, climb: &str| {
            format!("select {subject} as subject_id, {climb} as climb\nfrom {relation}{condition}\ngroup by {subject}")
        };
        let present = |sql: &str| {
            let and = if condition.is_empty() { "\nwhere" } else { "\n  and" };
            format!("{condition}{and} ({sql}) is not null")
        };
        let mut tables = Vec::new();
        let climbed = match &self.measure {
            TypedMeasure::Sum { sql, .. } => {
                grouped(relation, condition, &subject, &format!("sum_climb({time}, {sql}, '{levels}')"))
            }
            TypedMeasure::Max { sql, .. } => {
                grouped(relation, &present(sql), &subject, &format!("max_climb({time}, {sql}, '{levels}')"))
            }
            TypedMeasure::Distinct { sql, .. } => {
                let values = format!(
                    "select {subject} as subject_id, min({time}) as first_at\nfrom {relation}{}\ngroup by {subject}, ({sql})",
                    present(sql),
                );
                tables.push(table("value_rows", &values));
                grouped("value_rows", "", "subject_id", &format!("count_climb(first_at, '{levels}')"))
            }
            TypedMeasure::Count | TypedMeasure::Streak(_) => {
                grouped(relation, condition, &subject, &format!("count_climb({time}, '{levels}')"))
            }
        };
        tables.push(table("climb_rows", &climbed));
        let low = match keep {
            Keep::Audience => String::new(),
            Keep::Flags => format!("\nwhere {CLIMB}['peak'] >= {} or not {CLIMB}['is_settled']", self.lowest()),
        };
        tables.push(table("flag_rows", &format!("select *\nfrom climb_rows{low}")));
        tables
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
