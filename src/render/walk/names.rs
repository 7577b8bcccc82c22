//! Finds what a variable holds, or says what it might have meant.

use std::ops::Range;

use super::super::expression::{Index, Value, Variable};
use super::{Diagnostic, Shape, Walk, did_you_mean};
use crate::model::shape::ScalarKind;

/// What a name stands for so far: its shape and its path from the run values.
struct Found {
    shape: Shape,
    path: Option<String>,
}

impl Walk<'_> {
    /// Checks a value; its shape where it is known.
    pub(super) fn value(&mut self, value: &Value) -> Option<Shape> {
        match value {
            Value::Text(..) => Some(Shape::scalar(ScalarKind::Text)),
            Value::Number(..) => Some(Shape::scalar(ScalarKind::Number)),
            Value::Boolean(_) => Some(Shape::scalar(ScalarKind::Boolean)),
            Value::Nothing(_) => None,
            Value::Variable(variable) => self.variable(variable).map(|(shape, _)| shape),
        }
    }

    /// Checks a variable: its shape and the path of run values it reads.
    pub(super) fn variable(&mut self, variable: &Variable) -> Option<(Shape, Option<String>)> {
        for step in &variable.steps {
            if let Index::Computed(inner) = &step.index {
                self.variable(inner);
            }
        }
        let mut found = self.root(variable)?;
        let mut written = variable.root.clone();
        let mut narrowing = found.path.is_some();
        for step in &variable.steps {
            if let (Shape::Object(fields), Index::Name(name), Some(path)) = (&found.shape, &step.index, &found.path)
                && !fields.contains_key(name)
                && let Some(shape) = self.absent(&format!("{path}.{name}"))
            {
                // What is read from here on is null: evaluation has nothing to provide.
                written = format!("{path}.{name}");
                found = Found { shape, path: None };
                narrowing = false;
                continue;
            }
            found.shape = self.step(&found.shape, &step.index, &written, &step.span)?;
            match (&step.index, narrowing) {
                (Index::Name(name), true) if !is_property(name, &found.shape) => {
                    found.path = found.path.map(|path| format!("{path}.{name}"));
                    written = format!("{written}.{name}");
                }
                _ => {
                    narrowing = false;
                    written.push_str("[]");
                }
            }
        }
        if let Some(path) = &found.path {
            self.facts.references.insert(path.clone());
        }
        Some((found.shape, found.path))
    }

    fn root(&mut self, variable: &Variable) -> Option<Found> {
        let name = &variable.root;
        let span = variable.span.start..variable.span.start + name.len();
        if let Some(binding) = self.scope.find(name) {
            let binding = binding.clone();
            if binding.maybe {
                let place = self.source.place(span);
                let message = format!("`{name}` is set in only some of the branches above");
                self.report(
                    Diagnostic::error("maybe-unset", message, &place)
                        .with_help("set it in every branch, or before the first"),
                );
                return None;
            }
            return Some(Found { shape: binding.shape, path: binding.path });
        }
        if let Some(passed) = &self.passed {
            if let Some(shape) = passed.get(name) {
                return Some(Found { shape: shape.clone(), path: None });
            }
        } else if let Some(shape) = self.ground.shape.field(name) {
            return Some(Found { shape: shape.clone(), path: Some(name.clone()) });
        }
        if let Some(shape) = self.absent(name).filter(|_| self.passed.is_none()) {
            return Some(Found { shape, path: None });
        }
        self.unknown_root(name, span);
        None
    }

    /// The shape that messages of another kind have at a path, where a condition asks for it or has asked for it.
    fn absent(&self, path: &str) -> Option<Shape> {
        if !self.asking && !self.scope.is_guarded(path) && !self.scope.is_guarded_within(path) {
            return None;
        }
        let mut shape = self.ground.elsewhere;
        for name in path.split('.') {
            shape = shape.field(name)?;
        }
        Some(match shape.clone() {
            Shape::Scalar { kind, .. } => Shape::nullable(kind),
            other => other,
        })
    }

    fn unknown_root(&mut self, name: &str, span: Range<usize>) {
        let globals: Vec<&str> = match (&self.passed, self.ground.shape) {
            (Some(passed), _) => passed.keys().map(String::as_str).collect(),
            (None, Shape::Object(fields)) => fields.keys().map(String::as_str).collect(),
            _ => Vec::new(),
        };
        let help = if self.passed.is_some() && self.ground.shape.field(name).is_some() {
            format!("`render` sees only what it is given: add `{name}: {name}` to it, or use `include`")
        } else if name == "unsubscribe_url" {
            "declare `unsubscribe: {url: ...}` in milepost.yml".into()
        } else if name == "postal_address" {
            "set `postal_address:` in the job or under `defaults:`".into()
        } else {
            did_you_mean(name, globals.iter().copied().chain(self.scope.names())).unwrap_or_else(|| {
                format!("known here: {}", globals.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))
            })
        };
        let place = self.source.place(span);
        self.report(
            Diagnostic::error("unknown-variable", format!("there is no variable `{name}`"), &place).with_help(help),
        );
    }

    fn step(&mut self, shape: &Shape, index: &Index, written: &str, span: &Range<usize>) -> Option<Shape> {
        let number = || Some(Shape::scalar(ScalarKind::Number));
        match (shape, index) {
            (Shape::Any, _) => Some(Shape::Any),
            (Shape::Object(fields), Index::Name(name)) => {
                if let Some(shape) = fields.get(name) {
                    return Some(shape.clone());
                }
                match name.as_str() {
                    "size" => return number(),
                    "first" | "last" => return Some(Shape::List(Box::new(Shape::Any))),
                    _ => {}
                }
                let help = did_you_mean(name, fields.keys().map(String::as_str))
                    .unwrap_or_else(|| known_fields(fields.keys()));
                let place = self.source.place(span.clone());
                let message = format!("`{written}` has no field `{name}`");
                self.report(Diagnostic::error("unknown-variable", message, &place).with_help(help));
                None
            }
            (Shape::Object(fields), Index::Computed(_)) => {
                let mut shapes = fields.values();
                let first = shapes.next()?.clone();
                Some(if shapes.all(|shape| *shape == first) { first } else { Shape::Any })
            }
            (Shape::List(_), Index::Name(name)) if name == "size" => number(),
            (Shape::List(item), Index::Name(name)) if name == "first" || name == "last" => Some((**item).clone()),
            (Shape::List(item), Index::Position | Index::Computed(_)) => Some((**item).clone()),
            (Shape::List(_), Index::Name(name)) => {
                self.error("unknown-variable", format!("`{written}` is a list and has no field `{name}`"), span);
                None
            }
            (Shape::Scalar { kind: ScalarKind::Text, .. }, Index::Name(name)) if name == "size" => number(),
            (Shape::Scalar { .. } | Shape::Object(_), _) => {
                let field = if let Index::Name(name) = index { format!("field `{name}`") } else { "positions".into() };
                self.error("unknown-variable", format!("`{written}` is a single value and has no {field}"), span);
                None
            }
        }
    }
}

fn known_fields<'n>(names: impl Iterator<Item = &'n String>) -> String {
    let shown: Vec<String> = names.take(12).map(|name| format!("`{name}`")).collect();
    if shown.is_empty() { "it has no fields".into() } else { format!("it has {}", shown.join(", ")) }
}

/// Whether a name is liquid's own property rather than a field.
fn is_property(name: &str, result: &Shape) -> bool {
    matches!(name, "first" | "last") || (name == "size" && *result == Shape::scalar(ScalarKind::Number))
}
