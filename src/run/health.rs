//! Health of tables and of a whole run: judged before anybody is mailed, refused or told.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;

use serde::Serialize;

use crate::clock::Clock;
use crate::decide::{self, JobFacts, Needs, Strangers};
use crate::evaluate::{self, Clocks, Request};
use crate::ledger::{Lease, WHOLE_RUN};
use crate::model::{Check, Decision, TableFacts, Unhealthy};
use crate::project::{HealthSeverity, Table};

use super::decided::DecidedJob;
use super::job_run::JobRun;
use super::orphans::Renamed;
use super::{JobReport, RunError};

/// Fewer flags or active entities outside the audience are a person or two who left.
const STRANGERS_LEAST: u64 = 3;
/// The count of the suppressed with a complete run.
const SUPPRESSED: &str = "suppressed_rows";
/// The count of candidates with a complete run.
const CANDIDATES: &str = "candidates";
/// The count of milestones and levels with a complete run.
const PARTS: &str = "milestone_levels";

/// An unhealthy finding that did not stop the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HealthNote {
    /// The finding.
    #[serde(flatten)]
    pub found: Unhealthy,
    /// Whether `--accept` let it pass; else the table's `severity: warn`.
    pub accepted: bool,
}

impl HealthNote {
    /// What became of the finding, in a word.
    #[must_use]
    pub fn verdict(&self) -> &'static str {
        if self.accepted { "accepted" } else { "warning" }
    }
}

/// The facts of tables that jobs of a run share.
#[derive(Default)]
pub(super) struct SharedFacts(Mutex<BTreeMap<(String, Vec<String>, Clocks), TableFacts>>);

impl SharedFacts {
    fn get(&self, key: &(String, Vec<String>, Clocks)) -> Option<TableFacts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    fn keep(&self, key: (String, Vec<String>, Clocks), facts: TableFacts) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, facts);
    }
}

impl JobRun<'_> {
    /// Refuses where a table of the job's events is unhealthy; nothing is decided yet.
    pub(super) async fn check_tables(&self, request: &Request, report: &mut JobReport) -> Result<(), RunError> {
        let (workspace, compiled) = (&self.context.workspace, &self.prepared.compiled);
        let (as_of, now) = (self.context.as_of, Clock::System.now());
        let period_end = compiled.last_period_end(request)?;
        let mut refused = Vec::new();
        for (table, ids) in compiled.event_tables(&workspace.project, &workspace.warehouse) {
            // The machine's clock, also under `--replay`: what happened after `as_of` is no future to somebody.
            let clocks = Clocks { as_of, now, until: period_end.unwrap_or(as_of) };
            let zone = evaluate::day_zone(&workspace.project, table);
            let needs = match period_end {
                Some(end) => Needs::Period { last_day: last_day(end, &zone), end },
                None if compiled.mails_the_silent() => Needs::Now,
                None => Needs::Some,
            };
            let facts = self.facts((table, ids), &zone, clocks).await?;
            let found = decide::table_health(&facts, &table.health, needs);
            refused.extend(self.passed(found, table.health.severity, report));
        }
        self.refuse(refused)
    }

    async fn facts(
        &self,
        (table, ids): (&Table, Vec<String>),
        zone: &jiff::tz::TimeZone,
        clocks: Clocks,
    ) -> Result<TableFacts, RunError> {
        let key = (table.name.clone(), ids.clone(), clocks);
        if let Some(known) = self.context.table_facts.get(&key) {
            return Ok(known);
        }
        let warehouse = &self.context.workspace.warehouse;
        let facts = evaluate::table_facts(warehouse, (table, &ids), zone, clocks).await?;
        self.context.table_facts.keep(key, facts.clone());
        Ok(facts)
    }

    /// Refuses where the run as a whole is unlike those before it; nothing is recorded yet.
    pub(super) async fn check_decided(
        &self,
        (request, lease): (&Request, &Lease),
        decided: &DecidedJob,
        report: &mut JobReport,
    ) -> Result<(), RunError> {
        if request.profiles.is_some() {
            return Ok(());
        }
        let before = |count: &str| lease.last_counts.get(count).copied();
        let is_recap = self.job().recap().is_some();
        let parts = self.prepared.compiled.parts();
        let candidates: u64 = decided.decisions.values().sum();
        let mails = decided.mail_count() + decided.decisions.get(Decision::Known.name()).copied().unwrap_or(0);
        let is_latest = self.sees_every_period();
        let facts = JobFacts {
            audience: decided.audience_rows,
            audience_before: before(WHOLE_RUN),
            suppressed: decided.suppressed_rows,
            suppressed_before: before(SUPPRESSED),
            candidates: (!is_recap).then_some(candidates),
            candidates_before: before(CANDIDATES).filter(|_| before(PARTS) == Some(parts)),
            mails: (is_recap && is_latest).then_some(mails),
            mails_usual: self.usual(lease, decided),
            strangers: self.strangers(request, decided).await?,
        };
        let refused = self.passed(decide::job_health(&facts), HealthSeverity::Refuse, report);
        self.refuse(refused)
    }

    /// Ids of both sides, where a run saw subjects of events and none of them in the audience.
    async fn strangers(&self, request: &Request, decided: &DecidedJob) -> Result<Option<Strangers>, RunError> {
        let outside = decided.dropped.get("not_in_audience").copied().unwrap_or(0);
        if decided.in_audience > 0 || outside < STRANGERS_LEAST {
            return Ok(None);
        }
        let compiled = &self.prepared.compiled;
        let found = compiled.strangers(&self.context.workspace.warehouse, request).await?;
        Ok(found.map(|(events, audience)| Strangers { events, audience }))
    }

    /// The findings that stop the run; the others are told.
    fn passed(&self, found: Vec<Unhealthy>, severity: HealthSeverity, report: &mut JobReport) -> Vec<Unhealthy> {
        let accepts = |check: Check| self.context.options.accept.contains(&check);
        let (told, refused): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|found| severity == HealthSeverity::Warn || accepts(found.check));
        for found in told {
            tracing::warn!(code = "unhealthy", job = self.job().name, check = found.check.name(), "{}", found.message);
            let accepted = accepts(found.check);
            report.health.push(HealthNote { found, accepted });
        }
        refused
    }

    /// Refuses what seems to have another name now, unless this run was told that it is new.
    pub(super) fn check_name(&self, renamed: Renamed, report: &mut JobReport) -> Result<(), RunError> {
        let Renamed { message, hint } = renamed;
        let found = Unhealthy { check: Check::Renamed, message: message.clone(), waits: false };
        if self.passed(vec![found], HealthSeverity::Refuse, report).is_empty() {
            return Ok(());
        }
        Err(RunError::Refused { message, hint })
    }

    fn refuse(&self, refused: Vec<Unhealthy>) -> Result<(), RunError> {
        if refused.is_empty() {
            return Ok(());
        }
        Err(RunError::Unhealthy { job: self.job().name.clone(), found: refused })
    }

    /// What a complete run leaves for the next one to be compared with, and what `--accept` let pass.
    pub(super) fn health_counts(&self, report: &JobReport, complete: bool) -> BTreeMap<String, u64> {
        let accepted = report.health.iter().filter(|note| note.accepted);
        let mut counts: BTreeMap<String, u64> =
            accepted.map(|note| (format!("accepted_check_{}", note.found.check), 1)).collect();
        if let Some(rows) = report.audience_rows.filter(|_| complete) {
            counts.insert(WHOLE_RUN.to_owned(), rows);
            counts.insert(CANDIDATES.to_owned(), report.candidates());
            counts.insert(PARTS.to_owned(), self.prepared.compiled.parts());
            counts.extend(report.suppressed_rows.map(|rows| (SUPPRESSED.to_owned(), rows)));
        }
        counts
    }
}

/// The last day of a period that ends at an instant.
fn last_day(end: jiff::Timestamp, zone: &jiff::tz::TimeZone) -> jiff::civil::Date {
    let last = end.checked_sub(jiff::SignedDuration::from_micros(1)).unwrap_or(end);
    last.to_zoned(zone.clone()).date()
}

impl RunError {
    /// Whether waiting can mend everything that is unhealthy.
    pub(super) fn all_wait(found: &[Unhealthy]) -> bool {
        found.iter().all(|found| found.waits)
    }

    /// The checks as arguments that let one run pass.
    pub(super) fn accept_arguments(found: &[Unhealthy]) -> String {
        let mut names: Vec<&str> = found.iter().map(|found| found.check.name()).collect();
        names.dedup();
        names.iter().map(|name| format!("--accept {name}")).collect::<Vec<_>>().join(" ")
    }
}
