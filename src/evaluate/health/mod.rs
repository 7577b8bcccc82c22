//! The facts by which the health of a run is judged: days of its tables, its audience, and whether their ids meet.
//!
//! Guarantees: one query per table, of about three weeks of its time and id columns; ids are compared only where nobody of
//! the events was found in the audience. Never: judges.

mod days;
mod strangers;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::error::EvaluateError;
use super::milestones::{Pass, PassSource};
use super::request::Request;
use super::{CompiledJob, Plan};
use crate::project::{PartitionKind, Project, Table};
use crate::warehouse::Warehouse;

pub use days::{Clocks, check_declared, table_facts};

impl CompiledJob {
    /// The declared tables with a time that the job's events come from, directly or through views, each with the columns
    /// that are ids of its rows.
    #[must_use]
    pub fn event_tables<'a>(&self, project: &'a Project, warehouse: &Warehouse) -> Vec<(&'a Table, Vec<String>)> {
        let mut tables: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (relation, id) in self.event_relations() {
            for table in warehouse.tables_behind(relation) {
                let ids = tables.entry(table.clone()).or_default();
                if table == relation {
                    ids.insert(id.to_owned());
                } else {
                    ids.extend(["user_id", "profile_id"].map(str::to_owned));
                }
            }
        }
        let declared = tables.into_iter().filter_map(|(name, ids)| Some((project.tables.get(&name)?, ids)));
        declared
            .filter(|(table, _)| table.time.is_some())
            .map(|(table, ids)| (table, ids.into_iter().collect()))
            .collect()
    }

    /// The relations of events with the column that is their subject.
    fn event_relations(&self) -> Vec<(&str, &str)> {
        match &self.plan {
            Plan::Milestones(passes) => passes.iter().map(Pass::event_relation).collect(),
            Plan::Recap(recap) => vec![(recap.rows.relation.as_str(), recap.rows.profile.as_str())],
        }
    }

    /// Whether the job mails those who did nothing: nudges and silences.
    #[must_use]
    pub fn mails_the_silent(&self) -> bool {
        let is_about_silence = |pass: &Pass| match &pass.source {
            PassSource::Moments(pass) => pass.is_about_silence(),
            PassSource::Reaches(_) | PassSource::View(_) => false,
        };
        matches!(&self.plan, Plan::Milestones(passes) if passes.iter().any(is_about_silence))
    }

    /// The end of the last period that a request is about, in the project's zone; `None` for milestones.
    ///
    /// # Errors
    /// When the period is unknown or not due.
    pub fn last_period_end(&self, request: &Request) -> Result<Option<Timestamp>, EvaluateError> {
        match &self.plan {
            Plan::Milestones(_) => Ok(None),
            Plan::Recap(recap) => recap.calendar.last_end(request),
        }
    }

    /// How many milestones and levels the job looks for; runs with as many are compared with each other.
    #[must_use]
    pub fn parts(&self) -> u64 {
        match &self.plan {
            Plan::Milestones(passes) => passes.iter().map(|pass| pass.level_count() as u64).sum(),
            Plan::Recap(_) => 1,
        }
    }
}

/// The zone in which a table's days are cut: that of its folders of days, else the project's.
#[must_use]
pub fn day_zone(project: &Project, table: &Table) -> TimeZone {
    let of_folders = table.partitions.iter().find(|partition| partition.kind == PartitionKind::Date);
    of_folders.map_or_else(|| project.timezone.clone(), |partition| partition.zone.clone())
}
