//! Recaps: one row per entity with every metric of a period and of the periods it is compared with.

use std::collections::BTreeSet;

use super::audience::Audience;
use super::columns;
use super::period::Calendar;
use super::recap_sql::Output;
use super::recap_windows::Windows;
use super::rows::{self, Rows};
use crate::model::WeekStart;
use crate::model::diagnostic::{Diagnostic, Located};
use crate::project::{Breakdown, Entity, Job, Metric, Project, Recap, RecapZone, Trend};
use crate::warehouse::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use crate::warehouse::{
    Aggregate, Expression, ExpressionRole, LocalUnit, PERIOD_END, PERIOD_START, Parameter, Parameters, Scope, Session,
    Warehouse, not_a_time,
};

/// A compiled recap.
#[derive(Clone, Debug)]
pub(super) struct RecapPlan {
    pub(super) rows: Rows,
    pub(super) calendar: Calendar,
    /// The audience column before which earlier periods are null.
    pub(super) since: Option<String>,
    pub(super) windows: Windows,
    pub(super) metrics: Vec<MetricPlan>,
    pub(super) by: Option<BreakdownPlan>,
    pub(super) top: Vec<TopPlan>,
    /// The predicate over metrics.
    pub(super) only_if: Option<String>,
    /// What it names.
    pub(super) asked_columns: BTreeSet<String>,
    /// Whether `mail_within` decides expiry instead of the next period.
    pub(super) has_deadline: bool,
    pub(super) shown: Shown,
}

/// Which of a recap's collections any message refers to; the others are not made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown {
    pub(super) metrics: bool,
    pub(super) matrix: bool,
    pub(super) rows: bool,
}

impl RecapPlan {
    /// Measures and makes only what messages refer to.
    pub(super) fn narrow(&mut self, references: &[BTreeSet<String>]) {
        let refers = |name: &str| references.iter().flatten().any(|path| path.split('.').next() == Some(name));
        self.shown = Shown { metrics: refers("metrics"), matrix: refers("matrix"), rows: refers("rows") };
        if !refers("top") {
            self.top.clear();
        }
        let refers_to_trend = |metric: &MetricPlan| {
            let own = format!("metrics.{}", metric.name);
            let mut paths = references.iter().flatten();
            self.shown.matrix || paths.any(|path| *path == "metrics" || *path == own || *path == format!("{own}.trend"))
        };
        let unused: Vec<bool> = self.metrics.iter().map(|metric| !refers_to_trend(metric)).collect();
        for (metric, unused) in self.metrics.iter_mut().zip(unused) {
            metric.trend = metric.trend.filter(|_| !unused);
        }
    }

    /// The second dimension, where an output has it.
    pub(super) fn breakdown(&self, output: Output) -> Option<&BreakdownPlan> {
        self.by.as_ref().filter(|_| output == Output::Table || self.shown.rows)
    }
}

/// One metric of the matrix.
#[derive(Clone, Debug)]
pub(super) struct MetricPlan {
    pub(super) name: String,
    pub(super) label: String,
    pub(super) format: Option<String>,
    pub(super) aggregate: Aggregate,
    /// The steps of its trend, where it has one.
    pub(super) trend: Option<LocalUnit>,
    pub(super) rank: bool,
    pub(super) goal: Option<f64>,
}

/// The second dimension.
#[derive(Clone, Debug)]
pub(super) struct BreakdownPlan {
    pub(super) column: String,
    /// Positions of metrics; the first orders.
    pub(super) metrics: Vec<usize>,
    pub(super) top: u16,
}

/// A list of the greatest values of a column.
#[derive(Clone, Debug)]
pub(super) struct TopPlan {
    pub(super) name: String,
    pub(super) column: String,
    pub(super) aggregate: Aggregate,
    pub(super) limit: u16,
}

impl MetricPlan {
    pub(super) fn previous(&self) -> String {
        format!("{}_previous", self.name)
    }

    pub(super) fn average(&self) -> String {
        format!("{}_average", self.name)
    }

    pub(super) fn last_year(&self) -> String {
        format!("{}_last_year", self.name)
    }

    pub(super) fn rank_column(&self) -> String {
        format!("{}_rank", self.name)
    }

    pub(super) fn percentile(&self) -> String {
        format!("{}_percentile", self.name)
    }

    /// The column of the cohort's size.
    pub(super) fn cohort(&self) -> String {
        format!("{}.of", self.name)
    }

    pub(super) fn is_number(&self) -> bool {
        self.aggregate.data_type.is_numeric()
    }

    /// The comparisons that are columns beside the metric, with their types.
    pub(super) fn comparisons(&self, windows: &Windows) -> Vec<(String, DataType)> {
        let own = &self.aggregate.data_type;
        let mut columns = Vec::new();
        if windows.previous {
            columns.push((self.previous(), own.clone()));
        }
        if windows.average.is_some() {
            columns.push((self.average(), DataType::Float64));
        }
        if windows.last_year {
            columns.push((self.last_year(), own.clone()));
        }
        if self.rank {
            columns.push((self.rank_column(), DataType::Int64));
            columns.push((self.percentile(), DataType::Float64));
        }
        columns
    }
}

/// True for a metric whose last digits depend on the order of its rows.
pub(super) fn is_double(aggregate: &Aggregate) -> bool {
    matches!(aggregate.data_type, DataType::Float16 | DataType::Float32 | DataType::Float64)
}

/// The entity of a recap, where it is not the profile: an entity that is the `profile:` column is the profile.
pub(super) fn entity(recap: &Recap) -> Option<&Entity> {
    let entity = recap.entity.as_ref()?;
    let source = &entity.source.value;
    let is_profile = match &recap.rows.profile {
        Some(profile) => profile.value == *source,
        None => ["user_id", "profile_id"].contains(&source.as_str()) && entity.audience.value == *source,
    };
    (!is_profile && entity.audience.value != "profile_id").then_some(entity)
}

/// Compiles a recap, or says everything that is wrong with it.
pub(super) async fn compile(
    project: &Project,
    (job, recap): (&Job, &Recap),
    warehouse: &Warehouse,
    session: &Session,
) -> Result<RecapPlan, Vec<Diagnostic>> {
    let mut event_rows = recap.rows.clone();
    if let Some(entity) = &recap.entity {
        event_rows.profile = Some(entity.source.clone());
    }
    let rows = rows::resolve(project, &event_rows, &job.place, (warehouse, session)).await?;
    let scope = Scope { relation: &rows.relation, columns: &rows.schema };
    let mut findings = Vec::new();
    let windows = Windows::new(&recap.compare, recap.period, recap.zone == RecapZone::Profile);
    let mut metrics: Vec<MetricPlan> = Vec::new();
    for metric in &recap.metrics {
        match session.aggregate(&metric.sql, scope).await {
            Ok(aggregate) => {
                findings.extend(wants_number(metric, &aggregate));
                metrics.push(metric_plan(metric, aggregate, project.week_starts));
            }
            Err(more) => findings.extend(more),
        }
    }
    findings.extend(clashing_names(recap, &metrics, &windows));
    findings.extend(ambiguous_rank(recap));
    let top = top_plans(recap, scope, session).await.map_err(|more| findings.extend(more)).unwrap_or_default();
    let by =
        recap.by.as_ref().and_then(|by| breakdown_plan(by, &metrics, scope).map_err(|more| findings.extend(more)).ok());
    if !findings.is_empty() {
        return Err(findings);
    }
    let only_if = check_only_if(recap.only_if.as_ref(), &metrics, &windows, session).await?;
    Ok(RecapPlan {
        rows,
        calendar: Calendar::new(project, recap),
        since: recap.since.as_ref().map(|since| since.value.clone()),
        windows,
        metrics,
        by,
        top,
        asked_columns: only_if.as_ref().map(|only_if| only_if.columns.clone()).unwrap_or_default(),
        only_if: only_if.map(|only_if| only_if.sql),
        has_deadline: job.mail_within.is_some(),
        shown: Shown { metrics: true, matrix: true, rows: true },
    })
}

fn metric_plan(metric: &Metric, aggregate: Aggregate, week_starts: WeekStart) -> MetricPlan {
    let unit = |trend| match trend {
        Trend::Day => LocalUnit::Day,
        Trend::Week => LocalUnit::week(week_starts),
        Trend::Month => LocalUnit::Month,
    };
    MetricPlan {
        name: metric.name.value.clone(),
        label: metric.label.clone(),
        format: metric.format.clone(),
        aggregate,
        trend: metric.trend.as_ref().map(|trend| unit(trend.value)),
        rank: metric.rank.is_some(),
        goal: metric.goal.as_ref().map(|goal| goal.value.get()),
    }
}

/// Findings where a metric that is no number is asked for what only numbers have.
fn wants_number(metric: &Metric, aggregate: &Aggregate) -> Vec<Diagnostic> {
    if aggregate.data_type.is_numeric() {
        return Vec::new();
    }
    let asked = [
        ("trend", metric.trend.as_ref().map(|trend| &trend.place)),
        ("rank", metric.rank.as_ref()),
        ("goal", metric.goal.as_ref().map(|goal| &goal.place)),
    ];
    let findings = asked.into_iter().filter_map(|(what, place)| {
        let message = format!("`{what}` needs a number, and `{}` is {}", metric.name.value, aggregate.data_type);
        Some(Diagnostic::error("wrong-type", message, place?))
    });
    findings.collect()
}

/// An entity measured in the zones of several recipients has no one rank.
fn ambiguous_rank(recap: &Recap) -> Vec<Diagnostic> {
    if recap.zone != RecapZone::Profile || entity(recap).is_none() {
        return Vec::new();
    }
    let ranked = recap.metrics.iter().filter_map(|metric| metric.rank.as_ref());
    let message = "an entity measured in each recipient's zone has no one rank";
    let help = "use `zone: project`, or measure the profile";
    ranked.map(|place| Diagnostic::error("ambiguous-rank", message, place).with_help(help)).collect()
}

async fn top_plans(recap: &Recap, scope: Scope<'_>, session: &Session) -> Result<Vec<TopPlan>, Vec<Diagnostic>> {
    let (mut plans, mut findings) = (Vec::new(), Vec::new());
    for list in &recap.top {
        findings.extend(columns::missing(&list.column, scope.relation, scope.columns));
        match session.aggregate(&list.sql, scope).await {
            Ok(aggregate) if aggregate.data_type.is_numeric() => plans.push(TopPlan {
                name: list.name.value.clone(),
                column: list.column.value.clone(),
                aggregate,
                limit: list.limit,
            }),
            Ok(aggregate) => {
                let message = format!("a top list is ordered by a number, and this is {}", aggregate.data_type);
                findings.push(Diagnostic::error("wrong-type", message, &list.sql.place));
            }
            Err(more) => findings.extend(more),
        }
    }
    if findings.is_empty() { Ok(plans) } else { Err(findings) }
}

fn breakdown_plan(by: &Breakdown, metrics: &[MetricPlan], scope: Scope<'_>) -> Result<BreakdownPlan, Vec<Diagnostic>> {
    let mut findings: Vec<Diagnostic> =
        columns::missing(&by.column, scope.relation, scope.columns).into_iter().collect();
    let known = |name: &Located<String>| metrics.iter().position(|metric| metric.name == name.value);
    let mut positions: Vec<usize> = Vec::new();
    for position in by.metrics.iter().filter_map(known) {
        if !positions.contains(&position) {
            positions.push(position);
        }
    }
    let first = by.metrics.first().zip(positions.first().and_then(|position| metrics.get(*position)));
    if let Some((name, metric)) = first
        && !metric.is_number()
    {
        let message = format!("rows are ordered by the first metric, and `{}` is no number", name.value);
        findings.push(Diagnostic::error("wrong-type", message, &name.place).with_help("name a number first"));
    }
    let plan = BreakdownPlan { column: by.column.value.clone(), metrics: positions, top: by.top };
    if findings.is_empty() { Ok(plan) } else { Err(findings) }
}

/// Findings about the audience columns a recap names.
pub(super) fn check_audience(recap: &Recap, audience: &Audience, relation: &Located<String>) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    if let Some(since) = &recap.since {
        let missing = columns::missing(since, &relation.value, audience.schema());
        findings.extend(missing.into_iter().chain(not_a_time(since, audience.schema())));
    }
    if recap.zone == RecapZone::Profile && audience.schema().field_with_name("timezone").is_err() {
        let message = format!("`zone: profile` needs a column `timezone`, and `{}` has none", relation.value);
        findings.push(
            Diagnostic::error("missing-zone", message, &relation.place)
                .with_help("add a column `timezone` with IANA names such as Europe/Paris, or use `zone: project`"),
        );
    }
    findings
}

/// Metrics whose name is that of another's comparison.
fn clashing_names(recap: &Recap, metrics: &[MetricPlan], windows: &Windows) -> Vec<Diagnostic> {
    let comparisons = metrics.iter().flat_map(|metric| metric.comparisons(windows));
    let taken: Vec<String> = comparisons.map(|(column, _)| column).collect();
    let clashes = recap.metrics.iter().map(|metric| &metric.name).filter(|name| taken.contains(&name.value));
    clashes
        .map(|name| {
            let message = format!("the name `{}` is that of another metric's comparison", name.value);
            Diagnostic::error("name-taken", message, &name.place).with_help("choose another name for this metric")
        })
        .collect()
}

async fn check_only_if(
    only_if: Option<&Located<String>>,
    metrics: &[MetricPlan],
    windows: &Windows,
    session: &Session,
) -> Result<Option<Expression>, Vec<Diagnostic>> {
    let Some(only_if) = only_if else {
        return Ok(None);
    };
    let mut fields = Vec::new();
    for metric in metrics {
        fields.push(Field::new(&metric.name, metric.aggregate.data_type.clone(), true));
        fields.extend(metric.comparisons(windows).into_iter().map(|(column, kind)| Field::new(column, kind, true)));
    }
    let columns: SchemaRef = std::sync::Arc::new(Schema::new(fields));
    let scope = Scope { relation: "metrics", columns: &columns };
    session.check_expression(only_if, scope, ExpressionRole::Predicate).await.map(Some)
}

/// The parameters of views and metrics under inspection.
pub(super) fn trial_parameters(calendar: &Calendar) -> Parameters {
    let period = calendar.any().and_then(|slot| slot.periods.into_iter().next());
    let bound = period.map(|period| {
        Parameters::default()
            .with(PERIOD_START, Parameter::Instant(period.start()))
            .with(PERIOD_END, Parameter::Instant(period.end()))
    });
    bound.unwrap_or_default()
}
