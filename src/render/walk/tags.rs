//! The tags a template may use, each with what it reads and what it sets.

use std::collections::BTreeMap;

use super::super::expression::{Chain, Fault, Lexeme, Reader, Value};
use super::super::tokenizer::Segment;
use super::scope::{Binding, Guards, Scope, combine};
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
        let (name, span) = reader.name("the name of a tag")?;
        let inside = self.scope.depth() > outermost;
        match name.as_str() {
            "if" | "unless" => self.open_condition(&name, &mut reader, segment)?,
            "elsif" | "else" | "when" => self.branch(&name, &mut reader, inside, &span)?,
            "case" => {
                let value = reader.value()?;
                self.value(&value);
                self.scope.open("case", segment.span.start, Guards::default());
                self.scope.about(if let Value::Variable(variable) = &value { Some(variable.path()) } else { None });
            }
            "for" => self.open_for(&mut reader, segment)?,
            "capture" => {
                let (target, _) = reader.name("a name to capture into")?;
                self.scope.open("capture", segment.span.start, Guards::default());
                self.scope.about(Some(target));
            }
            "ifchanged" => self.scope.open("ifchanged", segment.span.start, Guards::default()),
            "assign" => self.assign(&mut reader)?,
            "cycle" => self.cycle(&mut reader)?,
            "include" => self.include(&mut reader)?,
            "render" => self.render(&mut reader)?,
            "break" | "continue" if self.scope.is_inside("for") => {}
            "break" | "continue" => {
                return Err(Fault { span, message: format!("`{name}` stands outside of a `for`") });
            }
            closing if closing.starts_with("end") => {
                reader.finish()?;
                self.close(closing, inside, &span);
                return Ok(());
            }
            _ => {
                self.unknown_tag(&name, &span);
                return Ok(());
            }
        }
        reader.finish()?;
        if self.scope.depth() == DEEPEST {
            self.error("template-depth", format!("blocks nest deeper than {DEEPEST}"), &span);
        }
        Ok(())
    }

    fn unknown_tag(&mut self, name: &str, span: &std::ops::Range<usize>) {
        let help = match name {
            "tablerow" => Some("write the rows in a `for`; its cells reach the text part too".to_owned()),
            "increment" | "decrement" => Some("use `forloop.index`, or `assign` with `plus`".to_owned()),
            _ => did_you_mean(name, TAGS),
        };
        let place = self.source.place(span.clone());
        let message = format!("there is no tag `{name}`");
        self.report(Diagnostic::error("unknown-tag", message, &place).with_optional_help(help));
    }

    fn open_condition(&mut self, name: &str, reader: &mut Reader, segment: &Segment) -> Result<(), Fault> {
        let mut guards = self.condition(reader)?;
        if name == "unless" {
            std::mem::swap(&mut guards.holds, &mut guards.fails);
        }
        self.scope.open(name, segment.span.start, guards);
        Ok(())
    }

    fn branch(
        &mut self,
        name: &str,
        reader: &mut Reader,
        inside: bool,
        span: &std::ops::Range<usize>,
    ) -> Result<(), Fault> {
        let block = self.scope.innermost().filter(|_| inside).map(|block| (block.tag.clone(), block.subject.clone()));
        let fits = match (&block, name) {
            (Some((tag, _)), "else") => matches!(tag.as_str(), "if" | "unless" | "case" | "for"),
            (Some((tag, _)), "elsif") => tag == "if",
            (Some((tag, _)), _) => tag == "case",
            (None, _) => false,
        };
        if !fits {
            return Err(Fault { span: span.clone(), message: format!("`{name}` stands outside of its block") });
        }
        match name {
            "elsif" => {
                let guards = self.condition(reader)?;
                self.scope.branch(&guards, false);
            }
            "when" => {
                let mut guards = Guards::default();
                loop {
                    let value = reader.value()?;
                    self.value(&value);
                    if !matches!(value, Value::Nothing(_)) {
                        guards.holds.extend(block.as_ref().and_then(|(_, subject)| subject.clone()));
                    }
                    if !(reader.mark(",") || reader.word("or")) {
                        break;
                    }
                }
                self.scope.branch(&guards, false);
            }
            _ => self.scope.branch(&Guards::default(), true),
        }
        Ok(())
    }

    /// Checks a condition and finds what it says about nulls.
    fn condition(&mut self, reader: &mut Reader) -> Result<Guards, Fault> {
        let mut groups = vec![Vec::new()];
        loop {
            let atom = self.comparison(reader)?;
            groups.last_mut().expect("there is always a group").push(atom);
            if reader.word("or") {
                groups.push(Vec::new());
            } else if !reader.word("and") {
                return Ok(combine(groups));
            }
        }
    }

    fn comparison(&mut self, reader: &mut Reader) -> Result<Guards, Fault> {
        let left = reader.value()?;
        self.value(&left);
        let path = if let Value::Variable(variable) = &left { Some(variable.path()) } else { None };
        let Some(operator) = reader.comparison() else {
            return Ok(Guards { holds: path.into_iter().collect(), ..Guards::default() });
        };
        let right = reader.value()?;
        self.value(&right);
        let compared_to_nothing = matches!(right, Value::Nothing(_));
        let mut guards = Guards::default();
        match (operator, compared_to_nothing) {
            ("!=" | "<>", true) | ("==" | ">" | "<" | ">=" | "<=" | "contains", false) => guards.holds.extend(path),
            ("==", true) => guards.fails.extend(path),
            _ => {}
        }
        Ok(guards)
    }

    fn open_for(&mut self, reader: &mut Reader, segment: &Segment) -> Result<(), Fault> {
        let (name, _) = reader.name("a name for the items")?;
        if !reader.word("in") {
            return Err(Fault { span: reader.here(), message: "expected `in`".into() });
        }
        let (shape, path) = self.items(reader)?;
        loop {
            if reader.word("reversed") {
                continue;
            }
            if reader.word("limit") || reader.word("offset") {
                reader.expect(":")?;
                let value = reader.value()?;
                self.value(&value);
                continue;
            }
            break;
        }
        self.scope.open("for", segment.span.start, Guards::default());
        self.scope.forget(&name);
        self.origins.push((name.clone(), Origin::Other));
        self.scope.set_local(&name, Binding { shape, path, maybe: false });
        self.scope.set_local("forloop", Binding { shape: loop_shape(), path: None, maybe: false });
        Ok(())
    }

    /// What a loop goes through: the shape of an item and the path of the list.
    fn items(&mut self, reader: &mut Reader) -> Result<(Shape, Option<String>), Fault> {
        let at = reader.here();
        if reader.mark("(") {
            let first = reader.value()?;
            reader.expect("..")?;
            let last = reader.value()?;
            reader.expect(")")?;
            match (&first, &last) {
                (Value::Number(first, _), Value::Number(last, _)) if last - first <= LONGEST_RANGE => {}
                _ => {
                    let place = self.source.place(at);
                    let message = "a range must be written as two numbers at most 1000 apart";
                    let help = "for a number that varies: `{% for i in (1..100) limit: n %}`";
                    self.report(Diagnostic::error("open-range", message, &place).with_help(help));
                }
            }
            return Ok((Shape::scalar(ScalarKind::Number), None));
        }
        let value = reader.value()?;
        let Value::Variable(variable) = &value else {
            return Err(Fault { span: value.span(), message: "expected a list".into() });
        };
        let Some((shape, path)) = self.variable(variable) else { return Ok((Shape::Any, None)) };
        let item = match shape {
            Shape::List(item) => *item,
            Shape::Any => Shape::Any,
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
        Ok((item, path))
    }

    fn close(&mut self, closing: &str, inside: bool, span: &std::ops::Range<usize>) {
        let opened = self.scope.innermost().filter(|_| inside).map(|block| block.tag.clone());
        if opened.as_deref() != closing.strip_prefix("end") {
            let message = match opened {
                Some(tag) => format!("`{closing}` does not close the `{tag}` that is open here: expected `end{tag}`"),
                None => format!("`{closing}` closes nothing"),
            };
            self.error("template-syntax", message, span);
            return;
        }
        let block = self.scope.close();
        if let Some(target) = block.filter(|block| block.tag == "capture").and_then(|block| block.subject) {
            let origin = if self.ground.html { Origin::Html } else { Origin::Other };
            let shape = Shape::scalar(ScalarKind::Text);
            self.scope.forget(&target);
            self.define(&target, origin, Binding { shape, path: None, maybe: false });
        }
    }

    fn define(&mut self, name: &str, origin: Origin, binding: Binding) {
        self.origins.push((name.to_owned(), origin));
        self.scope.set(name, binding);
    }

    fn assign(&mut self, reader: &mut Reader) -> Result<(), Fault> {
        let (target, _) = reader.name("a name to assign to")?;
        reader.expect("=")?;
        let chain = reader.chain()?;
        let guarded = matches!(&chain.value, Value::Variable(variable) if self.scope.is_guarded(&variable.path()));
        let (shape, path) = match &chain {
            Chain { value: Value::Variable(variable), filters } if filters.is_empty() => {
                self.variable(variable).map_or((Shape::Any, None), |(shape, path)| (shape, path))
            }
            chain => (self.chain(chain).unwrap_or(Shape::Any), None),
        };
        let shape = match shape {
            Shape::Scalar { kind, .. } if guarded => Shape::scalar(kind),
            other => other,
        };
        let makes_html = chain
            .filters
            .last()
            .is_some_and(|last| self.ground.filters.iter().any(|filter| filter.name == last.name && filter.makes_html));
        let origin = match &chain.value {
            _ if makes_html && chain.filters.last().is_none_or(|last| last.name != "newline_to_br") => Origin::Html,
            Value::Variable(variable) if chain.filters.is_empty() && variable.steps.is_empty() => {
                Origin::Copy(variable.root.clone())
            }
            _ => Origin::Other,
        };
        self.scope.forget(&target);
        self.define(&target, origin, Binding { shape, path, maybe: false });
        Ok(())
    }

    fn cycle(&mut self, reader: &mut Reader) -> Result<(), Fault> {
        loop {
            let value = reader.value()?;
            if let Value::Variable(variable) = &value
                && reader.peek() != Some(&Lexeme::Mark(":"))
            {
                self.variable(variable);
                let message = "`cycle` prints what it is given without escaping: give it written texts only";
                self.error("cycle-variable", message, &variable.span);
            }
            if !(reader.mark(",") || reader.mark(":")) {
                return Ok(());
            }
        }
    }

    fn include(&mut self, reader: &mut Reader) -> Result<(), Fault> {
        let (name, span) = partial_name(reader)?;
        self.scope.open("include", span.start, Guards::default());
        while reader.mark(",") || reader.peek().is_some() {
            let (target, _) = reader.name("a name to pass a value as")?;
            reader.expect(":")?;
            let value = reader.value()?;
            let shape = self.value(&value).unwrap_or(Shape::Any);
            self.origins.push((target.clone(), Origin::Other));
            self.scope.set_local(&target, Binding { shape, path: None, maybe: false });
        }
        self.walk_partial(&name, &span, None);
        self.scope.close();
        Ok(())
    }

    fn render(&mut self, reader: &mut Reader) -> Result<(), Fault> {
        let (name, span) = partial_name(reader)?;
        let mut passed = BTreeMap::new();
        if reader.word("with") {
            let value = reader.value()?;
            let shape = self.value(&value).unwrap_or(Shape::Any);
            if !reader.word("as") {
                return Err(Fault { span: reader.here(), message: "expected `as`".into() });
            }
            passed.insert(reader.name("a name to pass the value as")?.0, shape);
        } else if reader.word("for") {
            let (shape, _) = self.items(reader)?;
            if !reader.word("as") {
                return Err(Fault { span: reader.here(), message: "expected `as`".into() });
            }
            passed.insert(reader.name("a name for the items")?.0, shape);
            passed.insert("forloop".into(), loop_shape());
        }
        while reader.mark(",") {
            let (target, _) = reader.name("a name to pass a value as")?;
            reader.expect(":")?;
            let value = reader.value()?;
            passed.insert(target, self.value(&value).unwrap_or(Shape::Any));
        }
        self.origins.extend(passed.keys().map(|name| (name.clone(), Origin::Other)));
        self.walk_partial(&name, &span, Some(passed));
        Ok(())
    }

    fn walk_partial(&mut self, name: &str, span: &std::ops::Range<usize>, passed: Option<BTreeMap<String, Shape>>) {
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
        };
        inner.segments();
        let Walk { scope, facts, origins, .. } = inner;
        self.facts = facts;
        self.origins = origins;
        if !isolated {
            self.scope = scope;
        }
    }
}

fn partial_name(reader: &mut Reader) -> Result<(String, std::ops::Range<usize>), Fault> {
    match reader.value()? {
        Value::Text(name, span) => Ok((name, span)),
        other => Err(Fault { span: other.span(), message: "a partial's name must be written in quotes".into() }),
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
