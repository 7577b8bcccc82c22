//! Recaps: one row per entity with every metric of a period and of the period before.

use jiff::{SignedDuration, Timestamp};

use super::audience::Audience;
use super::period::Calendar;
use super::rows::{self, Rows};
use super::{columns, pruning};
use crate::model::Period;
use crate::model::diagnostic::{Diagnostic, Located};
use crate::model::shape::{ScalarKind, Shape};
use crate::project::{Compare, Entity, Job, Project, Recap};
use crate::warehouse::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use crate::warehouse::{
    Aggregate, ExpressionRole, PERIOD_END, PERIOD_START, Parameter, Parameters, Scope, Session, Warehouse, not_a_time,
    value,
};

/// The first instant that any period of the matrix holds.
pub(super) const FIRST: &str = "milepost_first";

/// A compiled recap.
#[derive(Clone, Debug)]
pub(super) struct RecapPlan {
    pub(super) rows: Rows,
    pub(super) calendar: Calendar,
    /// The audience column before which the previous period is null.
    pub(super) since: Option<String>,
    pub(super) compares: bool,
    pub(super) metrics: Vec<MetricPlan>,
    /// The predicate over metrics.
    pub(super) only_if: Option<String>,
    /// Whether `mail_within` decides expiry instead of the next period.
    pub(super) has_deadline: bool,
}

/// One metric of the matrix.
#[derive(Clone, Debug)]
pub(super) struct MetricPlan {
    pub(super) name: String,
    pub(super) label: String,
    pub(super) format: Option<String>,
    pub(super) aggregate: Aggregate,
}

impl MetricPlan {
    pub(super) fn previous(&self) -> String {
        format!("{}_previous", self.name)
    }

    pub(super) fn is_double(&self) -> bool {
        matches!(self.aggregate.data_type, DataType::Float16 | DataType::Float32 | DataType::Float64)
    }
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
    let mut metrics: Vec<MetricPlan> = Vec::new();
    for metric in &recap.metrics {
        let name = &metric.name.value;
        match session.aggregate(name, &metric.sql, scope).await {
            Ok(aggregate) => metrics.push(MetricPlan {
                name: name.clone(),
                label: metric.label.clone(),
                format: metric.format.clone(),
                aggregate,
            }),
            Err(more) => findings.extend(more),
        }
    }
    findings.extend(clashing_names(recap));
    if !findings.is_empty() {
        return Err(findings);
    }
    let compares = recap.compare.contains(&Compare::Previous);
    let only_if = check_only_if(recap.only_if.as_ref(), &metrics, compares, session).await?;
    Ok(RecapPlan {
        rows,
        calendar: Calendar::new(project, recap),
        since: recap.since.as_ref().map(|since| since.value.clone()),
        compares,
        metrics,
        only_if,
        has_deadline: job.mail_within.is_some(),
    })
}

/// Findings about the audience columns a recap names.
pub(super) fn check_audience(recap: &Recap, audience: &Audience, relation: &str) -> Vec<Diagnostic> {
    let Some(since) = &recap.since else {
        return Vec::new();
    };
    let missing = columns::missing(since, relation, audience.schema());
    missing.into_iter().chain(not_a_time(since, audience.schema())).collect()
}

/// Metrics whose name is that of another's comparison.
fn clashing_names(recap: &Recap) -> Vec<Diagnostic> {
    let names: Vec<&Located<String>> = recap.metrics.iter().map(|metric| &metric.name).collect();
    let clashes = names.iter().filter(|name| {
        name.value.strip_suffix("_previous").is_some_and(|other| names.iter().any(|name| name.value == other))
    });
    clashes
        .map(|name| {
            let message = format!("the name `{}` is that of another metric's comparison", name.value);
            Diagnostic::error("name-taken", message, &name.place)
                .with_help("choose a name that does not end in `_previous`")
        })
        .collect()
}

async fn check_only_if(
    only_if: Option<&Located<String>>,
    metrics: &[MetricPlan],
    compares: bool,
    session: &Session,
) -> Result<Option<String>, Vec<Diagnostic>> {
    let Some(only_if) = only_if else {
        return Ok(None);
    };
    let mut fields = Vec::new();
    for metric in metrics {
        fields.push(Field::new(&metric.name, metric.aggregate.data_type.clone(), true));
        if compares {
            fields.push(Field::new(metric.previous(), metric.aggregate.data_type.clone(), true));
        }
    }
    let columns: SchemaRef = std::sync::Arc::new(Schema::new(fields));
    let scope = Scope { relation: "metrics", columns: &columns };
    session.check_expression(only_if, scope, ExpressionRole::Predicate).await.map(|expression| Some(expression.sql))
}

/// The parameters of views and metrics under inspection.
pub(super) fn trial_parameters(calendar: &Calendar) -> Parameters {
    calendar.any().map(|period| period_parameters(&period)).unwrap_or_default()
}

fn period_parameters(period: &Period) -> Parameters {
    Parameters::default()
        .with(PERIOD_START, Parameter::Instant(period.start()))
        .with(PERIOD_END, Parameter::Instant(period.end()))
}

impl RecapPlan {
    /// The first instant that any period of the matrix holds.
    fn first(&self, period: &Period) -> Timestamp {
        let previous = period.previous().filter(|_| self.compares);
        previous.map_or_else(|| period.start(), |previous| previous.start())
    }

    /// Everything that is bound for a period.
    pub(super) fn parameters(&self, period: &Period, as_of: Timestamp) -> Parameters {
        let first = self.first(period);
        // The end is no part of the period: at midnight, the next day's folder is not needed.
        let last = period.end().saturating_sub(SignedDuration::from_micros(1)).unwrap_or(Timestamp::MIN).min(as_of);
        period_parameters(period).with(FIRST, Parameter::Instant(first)).and(&pruning::parameters(
            &self.rows.partitions,
            (Some(first), last),
            self.rows.lookback,
        ))
    }

    /// What templates may see beside `profile`.
    pub(super) fn shapes(&self) -> Vec<(&'static str, Shape)> {
        let text = || Shape::scalar(ScalarKind::Text);
        let time = || Shape::scalar(ScalarKind::Time);
        let period = Shape::object([
            ("key", text()),
            ("start", time()),
            ("end", time()),
            ("label", text()),
            ("days", Shape::scalar(ScalarKind::Number)),
        ]);
        let metrics =
            Shape::object(self.metrics.iter().map(|metric| (metric.name.as_str(), self.metric_shape(metric, false))));
        let row = self.metrics.iter().map(|metric| self.metric_shape(metric, true)).reduce(merged);
        vec![("period", period), ("metrics", metrics), ("matrix", Shape::List(Box::new(row.unwrap_or(Shape::Any))))]
    }

    fn metric_shape(&self, metric: &MetricPlan, is_named: bool) -> Shape {
        let aggregate = &metric.aggregate;
        let current = value::shape(&aggregate.data_type, aggregate.nullable);
        let previous_nullable = aggregate.nullable || self.since.is_some();
        let mut fields = vec![("label", Shape::scalar(ScalarKind::Text)), ("value", current)];
        if self.compares {
            fields.push(("previous", value::shape(&aggregate.data_type, previous_nullable)));
            fields.push(("change", Shape::Scalar { kind: ScalarKind::Number, nullable: previous_nullable }));
            fields.push(("change_percent", Shape::nullable(ScalarKind::Number)));
        }
        fields.push(("format", Shape::Scalar { kind: ScalarKind::Text, nullable: metric.format.is_none() }));
        if is_named {
            fields.push(("name", Shape::scalar(ScalarKind::Text)));
        }
        Shape::object(fields)
    }
}

/// The shape of a list's items: a field is nullable where it may be null in any, and unknown where kinds differ.
fn merged(left: Shape, right: Shape) -> Shape {
    match (left, right) {
        (Shape::Object(left), Shape::Object(mut right)) => {
            let fields = left.into_iter().map(|(name, shape)| match right.remove(&name) {
                Some(other) => (name, merged(shape, other)),
                None => (name, shape),
            });
            Shape::object(fields)
        }
        (Shape::Scalar { kind, nullable }, Shape::Scalar { kind: other, nullable: or }) if kind == other => {
            Shape::Scalar { kind, nullable: nullable || or }
        }
        _ => Shape::Any,
    }
}
