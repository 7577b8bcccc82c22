//! What templates may see of a recap.

use super::recap::{MetricPlan, RecapPlan};
use crate::model::shape::{ScalarKind, Shape};
use crate::warehouse::value;

/// Which cell of the matrix a shape is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cell {
    /// `metrics.<name>`.
    Own,
    /// An entry of `matrix`, which has its name.
    Listed,
    /// A metric of a row of the breakdown.
    Row,
}

fn text() -> Shape {
    Shape::scalar(ScalarKind::Text)
}

impl RecapPlan {
    /// What templates may see beside `profile`.
    pub(super) fn shapes(&self) -> Vec<(&'static str, Shape)> {
        let time = || Shape::scalar(ScalarKind::Time);
        let period = Shape::object([
            ("key", text()),
            ("start", time()),
            ("end", time()),
            ("label", text()),
            ("days", Shape::scalar(ScalarKind::Number)),
        ]);
        let metrics = self.metrics.iter().map(|metric| (metric.name.as_str(), self.cell(metric, Cell::Own)));
        let entry = self.metrics.iter().map(|metric| self.cell(metric, Cell::Listed)).reduce(merged);
        let mut shapes = vec![
            ("period", period),
            ("metrics", Shape::object(metrics)),
            ("matrix", Shape::List(Box::new(entry.unwrap_or(Shape::Any)))),
        ];
        if let Some(by) = &self.by {
            let metrics = by.metrics.iter().filter_map(|position| self.metrics.get(*position));
            let metrics = metrics.map(|metric| (metric.name.as_str(), self.cell(metric, Cell::Row)));
            let row = Shape::object([
                ("name", text()),
                ("rest", Shape::scalar(ScalarKind::Boolean)),
                ("metrics", Shape::object(metrics)),
            ]);
            shapes.push(("rows", Shape::List(Box::new(row))));
        }
        if !self.top.is_empty() {
            let lists = self.top.iter().map(|list| {
                let kind = &list.aggregate.data_type;
                let entry = Shape::object([
                    ("name", text()),
                    ("value", value::shape(kind, list.aggregate.nullable)),
                    ("share", Shape::nullable(ScalarKind::Number)),
                ]);
                (list.name.as_str(), Shape::List(Box::new(entry)))
            });
            shapes.push(("top", Shape::object(lists)));
        }
        shapes
    }

    fn cell(&self, metric: &MetricPlan, cell: Cell) -> Shape {
        let aggregate = &metric.aggregate;
        let number = |nullable| Shape::Scalar { kind: ScalarKind::Number, nullable };
        let has_rest = cell == Cell::Row && !aggregate.additive;
        let nullable = aggregate.nullable || has_rest;
        let earlier = nullable || self.since.is_some();
        let mut fields = vec![("label", text()), ("value", value::shape(&aggregate.data_type, nullable))];
        if self.windows.previous {
            fields.push(("previous", value::shape(&aggregate.data_type, earlier)));
            fields.push(("change", number(earlier || !metric.is_number())));
            fields.push(("change_percent", number(true)));
        }
        if self.windows.average.is_some() {
            fields.push(("average", number(earlier || !metric.is_number())));
        }
        if self.windows.last_year {
            fields.push(("last_year", value::shape(&aggregate.data_type, true)));
        }
        fields.push(("format", Shape::Scalar { kind: ScalarKind::Text, nullable: metric.format.is_none() }));
        if cell != Cell::Row {
            if metric.trend.is_some() {
                fields.push(("trend", Shape::List(Box::new(number(aggregate.empty == "null")))));
            }
            if metric.rank {
                fields.extend([("rank", number(true)), ("percentile", number(true)), ("of", number(true))]);
            }
            if metric.goal.is_some() {
                fields.extend([("goal", number(false)), ("progress", number(nullable))]);
            }
        }
        if cell == Cell::Listed {
            fields.push(("name", text()));
        }
        Shape::object(fields)
    }
}

/// The shape of a list's entries: a field is nullable where it may be null or missing in any, and unknown where kinds
/// differ.
fn merged(left: Shape, right: Shape) -> Shape {
    match (left, right) {
        (Shape::Object(left), Shape::Object(mut right)) => {
            let mut fields = Vec::new();
            for (name, shape) in left {
                let shape = match right.remove(&name) {
                    Some(other) => merged(shape, other),
                    None => sometimes(shape),
                };
                fields.push((name, shape));
            }
            fields.extend(right.into_iter().map(|(name, shape)| (name, sometimes(shape))));
            Shape::object(fields)
        }
        (Shape::Scalar { kind, nullable }, Shape::Scalar { kind: other, nullable: or }) if kind == other => {
            Shape::Scalar { kind, nullable: nullable || or }
        }
        (Shape::List(left), Shape::List(right)) => Shape::List(Box::new(merged(*left, *right))),
        _ => Shape::Any,
    }
}

/// A field that other entries do not have.
fn sometimes(shape: Shape) -> Shape {
    match shape {
        Shape::Scalar { kind, .. } => Shape::nullable(kind),
        other => other,
    }
}
