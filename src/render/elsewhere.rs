//! Names that messages of other kinds show: one template may serve a ladder, a view and a recap.

use crate::model::Shape;
use crate::model::shape::ScalarKind;

/// What the messages of this job and those of other kinds show, each name with one of its shapes.
pub(super) fn elsewhere(shapes: &[Shape]) -> Shape {
    let number = || Shape::nullable(ScalarKind::Number);
    let milestone = Shape::object([
        ("name", Shape::scalar(ScalarKind::Text)),
        ("level", number()),
        ("value", number()),
        ("reached_at", Shape::scalar(ScalarKind::Time)),
        ("progress", number()),
        ("next", Shape::object([("level", number()), ("remaining", number())])),
        ("event", Shape::Any),
    ]);
    let names = ["period", "metrics", "matrix", "rows", "top", "unsubscribe_url", "postal_address"];
    let kinds = names.map(|name| (name, Shape::Any)).into_iter().chain([("milestone", milestone)]);
    shapes.iter().cloned().fold(Shape::object(kinds), with_fields_of)
}

/// A shape and the fields that only another one has.
fn with_fields_of(shape: Shape, other: Shape) -> Shape {
    match (shape, other) {
        (Shape::Object(mut fields), Shape::Object(others)) => {
            for (name, other) in others {
                let merged = match fields.remove(&name) {
                    Some(shape) => with_fields_of(shape, other),
                    None => other,
                };
                fields.insert(name, merged);
            }
            Shape::Object(fields)
        }
        (shape, _) => shape,
    }
}
