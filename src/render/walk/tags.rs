//! The tags a template may use, each with what it sets and what it needs.

use std::collections::BTreeMap;
use std::ops::Range;

use super::super::expression::{Chain, Fault, Reader, Value};
use super::super::liquid::{About, Items, Tag, read_tag};
use super::super::tokenizer::Segment;
use super::scope::{Binding, Guards, Scope};
use super::{DEEPEST, Diagnostic, Origin, Shape, Walk, did_you_mean};
use crate::model::shape::ScalarKind;

const TAGS: [&str; 20] = [
    "if",
    "elsif",
    "else",
    "endif",
    "unless",
    "endunless",
    "case",
    "when",
    "endcase",
    "for",
    "endfor",
    "break",
    "continue",
    "assign",
    "capture",
    "endcapture",
    "cycle",
    "include",
    "render",
    "ifchanged",
];

/// The largest range a template may count through.
const LONGEST_RANGE: f64 = 1000.0;

impl Walk<'_> {
    /// Checks a tag; `outermost` is the depth below which this file's blocks begin.
    pub(super) fn tag(&mut self, segment: &Segment, outermost: usize) -> Result<(), Fault> {
        let mut reader = Reader::new(&self.source.text, segment.inner.clone())?;
        let (tag, span) = read_tag(&mut reader)?;
        let inside = self.scope.depth() > outermost;
        let start = segment.span.start;
        match &tag {
            Tag::If(condition) => {
                let guards = self.condition(condition);
                self.scope.open("if", start, guards);
            }
            Tag::Unless(condition) => {
                let Guards { holds, fails } = self.condition(condition);
                self.scope.open("unless", start, Guards { holds: fails, fails: holds });
            }
            Tag::Elsif(_) | Tag::Else | Tag::When(_) => self.branch(&tag, inside, &span)?,
            Tag::Case(value) => {
                self.value(value);
                self.scope.open("case", start, Guards::default());
                self.scope.about(Some(value.clone()));
            }
            Tag::For { name, items, limit, offset, .. } => {
                self.open_for((name.as_str(), items), [limit.as_ref(), offset.as_ref()], start);
            }
            Tag::Capture(target) => {
                self.scope.open("capture", start, Guards::default());
                self.scope.sets_name(target);
            }
            Tag::IfChanged => self.scope.open("ifchanged", start, Guards::default()),
            Tag::Assign(target, chain) => self.assign(target, chain),
            Tag::Cycle { group, values } => self.cycle(group.as_ref(), values),
            Tag::Include { partial, given } => self.include(partial, given),
            Tag::Render { partial, about, given } => self.render(partial, about.as_ref(), given),
            Tag::Break | Tag::Continue if self.scope.is_inside("for") => {}
            Tag::Break | Tag::Continue => {
                let name = &self.source.text[span.clone()];
                return Err(Fault { message: format!("`{name}` stands outside of a `for`"), span });
            }
            Tag::End(closing) => self.close(closing, inside, &span),
            Tag::Unknown(name) => self.unknown_tag(name, &span),
        }
        if self.scope.depth() == DEEPEST {
            self.error("template-depth", format!("blocks nest deeper than {DEEPEST}"), &span);
        }
        Ok(())
    }

    fn unknown_tag(&mut self, name: &str, span: &Range<usize>) {
        let help = match name {
            "tablerow" => Some("write the rows in a `for`; its cells reach the text part too".to_owned()),
            "increment" | "decrement" => Some("use `forloop.index`, or `assign` with `plus`".to_owned()),
            _ => did_you_mean(name, TAGS),
        };
        let place = self.source.place(span.clone());
        let message = format!("there is no tag `{name}`");
        self.report(Diagnostic::error("unknown-tag", message, &place).with_optional_help(help));
    }

    fn branch(&mut self, tag: &Tag, inside: bool, span: &Range<usize>) -> Result<(), Fault> {
        let block = self.scope.innermost().filter(|_| inside).map(|block| (block.tag.clone(), block.subject.clone()));
        let fits = match (&block, tag) {
            (Some((open, _)), Tag::Else) => matches!(open.as_str(), "if" | "unless" | "case" | "for"),
            (Some((open, _)), Tag::Elsif(_)) => open == "if",
            (Some((open, _)), _) => open == "case",
            (None, _) => false,
        };
        if !fits {
            let name = &self.source.text[span.clone()];
            return Err(Fault { span: span.clone(), message: format!("`{name}` stands outside of its block") });
        }
        let subject = block.and_then(|(_, subject)| subject);
        match tag {
            Tag::Elsif(condition) => {
                // The conditions before it did not hold where this one is asked.
                self.scope.branch(&Guards::default(), false);
                let guards = self.condition(condition);
                self.scope.also(guards);
            }
            Tag::When(values) => {
                let mut guards = Guards::default();
                let before = subject.as_ref().and_then(|subject| self.value(subject));
                for value in values {
                    let shape = self.value(value);
                    if let Some(subject) = &subject {
                        self.compared((subject, before.as_ref()), "==", (value, shape.as_ref()));
                    }
                    if let (false, Some(Value::Variable(variable))) = (matches!(value, Value::Nothing(_)), &subject) {
                        guards.holds.insert(variable.path());
                    }
                }
                self.scope.branch(&guards, false);
            }
            _ => self.scope.branch(&Guards::default(), true),
        }
        Ok(())
    }

    fn open_for(&mut self, (name, items): (&str, &Items), counts: [Option<&Value>; 2], start: usize) {
        let (shape, path) = self.items(items);
        for value in counts.into_iter().flatten() {
            let shape = self.value(value);
            let counts = match (value, &shape) {
                (Value::Nothing(_), _) | (_, None | Some(Shape::Any)) => true,
                (_, Some(Shape::Scalar { kind, .. })) => *kind == ScalarKind::Number,
                _ => false,
            };
            if !counts {
                self.error("wrong-kind", "a loop counts its rounds in a number", &value.span());
            }
        }
        self.scope.open("for", start, Guards::default());
        self.scope.forget(name);
        self.origins.push((name.to_owned(), Origin::Other));
        self.scope.set_local(name, Binding { path, ..Binding::of(shape) });
        self.scope.set_local("forloop", Binding::of(loop_shape()));
    }

    /// What a loop goes through: the shape of an item and the path of the list.
    fn items(&mut self, items: &Items) -> (Shape, Option<String>) {
        let value = match items {
            Items::Of(value) => value,
            Items::Range(first, last, span) => {
                match (first, last) {
                    (Value::Number(first, _), Value::Number(last, _)) if last - first <= LONGEST_RANGE => {}
                    _ => {
                        let place = self.source.place(span.clone());
                        let message = "a range must be written as two numbers at most 1000 apart";
                        let help = "for a number that varies: `{% for i in (1..100) limit: n %}`";
                        self.report(Diagnostic::error("open-range", message, &place).with_help(help));
                    }
                }
                return (Shape::scalar(ScalarKind::Number), None);
            }
        };
        let Value::Variable(variable) = value else {
            self.error("template-syntax", "expected a list", &value.span());
            return (Shape::Any, None);
        };
        let Some((shape, path)) = self.variable(variable) else { return (Shape::Any, None) };
        let item = match shape {
            Shape::List(item) => *item,
            Shape::Any => Shape::Any,
            // An item is the name and the value of a field.
            Shape::Object(_) => Shape::List(Box::new(Shape::Any)),
            Shape::Scalar { .. } => {
                self.error(
                    "not-a-list",
                    format!("`{}` is a single value, not a list", variable.path()),
                    &variable.span,
                );
                Shape::Any
            }
        };
        (item, path)
    }

    fn close(&mut self, closing: &str, inside: bool, span: &Range<usize>) {
        let opened = self.scope.innermost().filter(|_| inside).map(|block| block.tag.clone());
        if opened.as_deref() != closing.strip_prefix("end") {
            let message = match opened {
                Some(tag) => format!("`{closing}` does not close the `{tag}` that is open here: expected `end{tag}`"),
                None => format!("`{closing}` closes nothing"),
            };
            self.error("template-syntax", message, span);
            return;
        }
        if let Some(target) = self.scope.close().and_then(|block| block.target) {
            let origin = if self.ground.html { Origin::Html } else { Origin::Other };
            self.scope.forget(&target);
            self.define(&target, origin, Binding::of(Shape::scalar(ScalarKind::Text)));
        }
    }

    fn define(&mut self, name: &str, origin: Origin, binding: Binding) {
        self.origins.push((name.to_owned(), origin));
        self.scope.set(name, binding);
    }

    fn assign(&mut self, target: &str, chain: &Chain) {
        let found = match &chain.value {
            Value::Variable(variable) => self.variable(variable),
            value => self.value(value).map(|shape| (shape, None)),
        };
        let path = found.as_ref().filter(|_| chain.filters.is_empty()).and_then(|(_, path)| path.clone());
        let shape = self.filtered(chain, found.map(|(shape, _)| shape)).unwrap_or(Shape::Any);
        let last = chain.filters.last().and_then(|last| super::super::filters::row_of(&last.name));
        let makes_html = last.is_some_and(|row| row.makes_html && row.name != "newline_to_br");
        let origin = match &chain.value {
            _ if makes_html => Origin::Html,
            Value::Variable(variable) if chain.filters.is_empty() && variable.steps.is_empty() => {
                Origin::Copy(variable.root.clone())
            }
            _ => Origin::Other,
        };
        let zoned = match chain.filters.last() {
            Some(last) => last.name == "in_zone",
            None => self.is_zoned(&chain.value),
        };
        self.scope.forget(target);
        self.define(target, origin, Binding { path, zoned, ..Binding::of(shape) });
    }

    fn cycle(&mut self, group: Option<&Value>, values: &[Value]) {
        if let Some(group) = group {
            self.value(group);
        }
        for value in values {
            if let Value::Variable(variable) = value {
                self.variable(variable);
                let message = "`cycle` prints what it is given without escaping: give it written texts only";
                self.error("cycle-variable", message, &variable.span);
            }
        }
    }

    fn include(&mut self, (name, span): &(String, Range<usize>), given: &[(String, Value)]) {
        self.scope.open("include", span.start, Guards::default());
        for (target, value) in given {
            let shape = self.value(value).unwrap_or(Shape::Any);
            let zoned = self.is_zoned(value);
            self.origins.push((target.clone(), Origin::Other));
            self.scope.set_local(target, Binding { zoned, ..Binding::of(shape) });
        }
        self.walk_partial(name, span, None);
        self.scope.close();
    }

    fn render(
        &mut self,
        (name, span): &(String, Range<usize>),
        about: Option<&(About, String)>,
        given: &[(String, Value)],
    ) {
        let mut passed = BTreeMap::new();
        match about {
            Some((About::One(value), target)) => {
                let shape = self.value(value).unwrap_or(Shape::Any);
                passed.insert(target.clone(), shape);
            }
            Some((About::Each(items), target)) => {
                let (shape, _) = self.items(items);
                passed.insert(target.clone(), shape);
                passed.insert("forloop".into(), loop_shape());
            }
            None => {}
        }
        for (target, value) in given {
            let shape = self.value(value).unwrap_or(Shape::Any);
            passed.insert(target.clone(), shape);
        }
        self.origins.extend(passed.keys().map(|name| (name.clone(), Origin::Other)));
        self.walk_partial(name, span, Some(passed));
    }

    fn walk_partial(&mut self, name: &str, span: &Range<usize>, passed: Option<BTreeMap<String, Shape>>) {
        let place = self.source.place(span.clone());
        if self.including.iter().any(|open| open == name) {
            let circle = self.including.iter().map(String::as_str).chain([name]).collect::<Vec<_>>().join("` -> `");
            self.report(Diagnostic::error(
                "partial-cycle",
                format!("partials include each other in a circle: `{circle}`"),
                &place,
            ));
            return;
        }
        let source = match self.partials.load(name, &place) {
            Ok(source) => source,
            Err(diagnostic) => return self.report(diagnostic),
        };
        let mut including = self.including.clone();
        including.push(name.to_owned());
        let isolated = passed.is_some();
        let mut inner = Walk {
            ground: self.ground,
            partials: self.partials,
            scope: if isolated { Scope::new() } else { std::mem::replace(&mut self.scope, Scope::new()) },
            passed: if isolated { passed } else { self.passed.clone() },
            source: &source,
            including,
            facts: std::mem::take(&mut self.facts),
            origins: std::mem::take(&mut self.origins),
            asking: false,
            walked: self.walked,
        };
        inner.segments();
        let Walk { scope, facts, origins, walked, .. } = inner;
        self.walked = walked;
        self.facts = facts;
        self.origins = origins;
        if !isolated {
            self.scope = scope;
        }
    }
}

/// What `forloop` holds.
fn loop_shape() -> Shape {
    let number = || Shape::scalar(ScalarKind::Number);
    let flag = || Shape::scalar(ScalarKind::Boolean);
    Shape::object([
        ("length", number()),
        ("index", number()),
        ("index0", number()),
        ("rindex", number()),
        ("rindex0", number()),
        ("first", flag()),
        ("last", flag()),
        ("parentloop", Shape::Any),
    ])
}
