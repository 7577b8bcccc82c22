//! Event names that occur nowhere in the data: most often a misspelling, sometimes an event nobody has recorded yet.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::error::EvaluateError;
use crate::model::diagnostic::{Diagnostic, Located, did_you_mean};
use crate::project::{EventRows, Job, JobKind, Measure, MilestoneSource, MomentKind, Project};
use crate::warehouse::arrow::datatypes::DataType;
use crate::warehouse::{AS_OF, Parameter, Parameters, Session, Warehouse, compared_texts};

/// The event column where a job names none.
const EVENT_COLUMN: &str = "event";
/// So many values are shown where none is near.
const SHOWN: usize = 10;

/// Warnings about event names that occur nowhere in their table, where a cheap look tells; views are not looked at.
///
/// # Errors
/// When the files of a table cannot be read.
pub async fn unknown_events(
    project: &Project,
    jobs: &[&Job],
    warehouse: &Warehouse,
) -> Result<Vec<Diagnostic>, EvaluateError> {
    let parameters = Parameters::default().with(AS_OF, Parameter::Instant(Timestamp::UNIX_EPOCH));
    let session = warehouse.bind(&parameters).await?;
    let mut known: BTreeMap<(String, String), Option<BTreeSet<String>>> = BTreeMap::new();
    let mut findings = Vec::new();
    for (rows, snippets) in jobs.iter().flat_map(|job| asked_of(job)) {
        let column = rows.rows.event_column.as_ref().map_or(EVENT_COLUMN, |column| column.value.as_str());
        let names = rows.names().chain(snippets.into_iter().flat_map(|sql| compared_texts(sql, column)));
        let names: Vec<Located<String>> = names.collect();
        if names.is_empty() {
            continue;
        }
        let relation = &rows.rows.from.value;
        let key = (relation.clone(), column.to_owned());
        if !known.contains_key(&key) {
            known.insert(key.clone(), values(project, (relation, column), warehouse, &session).await?);
        }
        let Some(Some(values)) = known.get(&key) else { continue };
        let unknown = names.iter().filter(|name| !values.contains(&name.value));
        findings.extend(unknown.map(|name| unknown_event(name, &key, values)));
    }
    Ok(findings)
}

/// The rows of a milestone or recap, with the events it names beside them.
struct Asked<'a> {
    rows: &'a EventRows,
    without: Option<&'a Located<String>>,
}

impl Asked<'_> {
    fn names(&self) -> impl Iterator<Item = Located<String>> {
        self.rows.event.iter().chain(self.without).cloned()
    }
}

/// The rows that a job reads, and its SQL over them.
fn asked_of(job: &Job) -> Vec<(Asked<'_>, Vec<&Located<String>>)> {
    match &job.kind {
        JobKind::Recap(recap) => {
            let metrics = recap.metrics.iter().map(|metric| &metric.sql);
            let snippets = recap.rows.filter.iter().chain(metrics).chain(recap.top.iter().map(|list| &list.sql));
            vec![(Asked { rows: &recap.rows, without: None }, snippets.collect())]
        }
        JobKind::Milestones(milestones) => {
            let asked = milestones.iter().filter_map(|milestone| match &milestone.source {
                MilestoneSource::Reaches(reaches) => {
                    let measure = match &reaches.measure {
                        Measure::Sum(sql) | Measure::Distinct(sql) | Measure::Max(sql) => Some(sql),
                        Measure::Count | Measure::Streak(_) => None,
                    };
                    let snippets = reaches.rows.filter.iter().chain(measure).collect();
                    Some((Asked { rows: &reaches.rows, without: None }, snippets))
                }
                MilestoneSource::Moment(moment) => {
                    let without = match &moment.kind {
                        MomentKind::Without { event, .. } => Some(event),
                        MomentKind::Inactive(_) | MomentKind::Anniversary => None,
                    };
                    Some((Asked { rows: &moment.rows, without }, moment.rows.filter.iter().collect()))
                }
                MilestoneSource::View(_) => None,
            });
            asked.collect()
        }
    }
}

async fn values(
    project: &Project,
    (relation, column): (&str, &str),
    warehouse: &Warehouse,
    session: &Session,
) -> Result<Option<BTreeSet<String>>, EvaluateError> {
    let (Some(table), Some(schema)) = (project.tables.get(relation), session.columns(relation).await) else {
        return Ok(None);
    };
    let is_text = |kind: &DataType| match kind {
        DataType::Dictionary(_, values) => values.is_string(),
        kind => kind.is_string(),
    };
    if !schema.field_with_name(column).is_ok_and(|field| is_text(field.data_type())) {
        return Ok(None);
    }
    Ok(warehouse.known_values(table, column, session).await?)
}

fn unknown_event(name: &Located<String>, (table, column): &(String, String), values: &BTreeSet<String>) -> Diagnostic {
    let message = format!("`{}` occurs nowhere in the column `{column}` of `{table}`", name.value);
    let help = did_you_mean(&name.value, values.iter().map(String::as_str)).unwrap_or_else(|| {
        let shown: Vec<&str> = values.iter().map(String::as_str).take(SHOWN).collect();
        let more = if values.len() > SHOWN { ", ..." } else { "" };
        format!("its values are {}{more}", shown.join(", "))
    });
    Diagnostic::warning("unknown-event", message, &name.place).with_help(help)
}
