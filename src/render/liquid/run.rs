//! Runs a tree: what it prints for one profile, or where and why it had to stop.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use super::super::filters::{Call, Misfit};
use super::compare::{contains, equal, order};
use super::data::{Bounded, Loop};
use super::limits::{LARGEST_PART, MOST_STEPS, Usage, too_large};
use super::tree::{Access, Expr, For, Kind, Node, Pipe, Render, Source, Step, Subject, Test, Tree};
use super::{Data, Globals, Stopped};

impl Tree {
    /// Prints the template with what it may see.
    ///
    /// # Errors
    /// When a limit is reached, or a filter that may not be left out has nothing to work on.
    pub(in crate::render) fn run(
        &self,
        globals: &Globals<'_>,
        zone: &TimeZone,
        room: usize,
    ) -> Result<String, Stopped> {
        let mut run = Run {
            tree: self,
            globals: Some(globals),
            zone,
            locals: Vec::new(),
            assigned: BTreeMap::new(),
            cycles: Vec::new(),
            last_change: None,
            partial: None,
            usage: Usage::default(),
        };
        let mut out = String::with_capacity(room.min(LARGEST_PART));
        run.nodes(&self.nodes, &mut out)?;
        Ok(out)
    }
}

/// How the nodes of a block ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    On,
    Break,
    Continue,
}

/// One rendering.
struct Run<'r, 'a> {
    tree: &'a Tree,
    /// What the template sees; a partial of `render` sees nothing of it.
    globals: Option<&'r Globals<'a>>,
    zone: &'r TimeZone,
    /// Names of loops and partials, innermost last.
    locals: Vec<(&'a str, Data<'a>)>,
    assigned: BTreeMap<&'a str, Data<'a>>,
    cycles: Vec<(&'a str, usize)>,
    last_change: Option<String>,
    partial: Option<&'a str>,
    usage: Usage,
}

impl<'a> Run<'_, 'a> {
    fn nodes(&mut self, nodes: &'a [Node], out: &mut String) -> Result<Flow, Stopped> {
        for node in nodes {
            let flow = match self.node(node, out) {
                Ok(flow) => flow,
                Err(Halt::Here(reason)) => {
                    let partial = self.partial.map(ToOwned::to_owned);
                    return Err(Stopped { partial, offset: node.offset, reason });
                }
                Err(Halt::Inside(stopped)) => return Err(stopped),
            };
            if flow != Flow::On {
                return Ok(flow);
            }
        }
        Ok(Flow::On)
    }

    fn node(&mut self, node: &'a Node, out: &mut String) -> Result<Flow, Halt> {
        self.usage.step(1)?;
        match &node.kind {
            Kind::Text(text) => {
                Usage::fits(out.len() + text.len())?;
                out.push_str(text);
            }
            Kind::Output(pipe) => {
                let value = self.pipe(pipe)?;
                print(&value, out)?;
            }
            Kind::Branches(branches) => {
                for (test, nodes) in branches {
                    if test.as_ref().is_none_or(|test| self.holds(test)) {
                        return Ok(self.nodes(nodes, out)?);
                    }
                }
            }
            Kind::Case(subject, branches) => {
                let subject = self.expr(subject);
                for (values, nodes) in branches {
                    if values.is_empty() || values.iter().any(|value| equal(&subject, &self.expr(value))) {
                        return Ok(self.nodes(nodes, out)?);
                    }
                }
            }
            Kind::For(each) => return self.each(each, out),
            Kind::Break => return Ok(Flow::Break),
            Kind::Continue => return Ok(Flow::Continue),
            Kind::Assign(name, pipe) => {
                let value = self.pipe(pipe)?;
                self.assigned.insert(name, value);
            }
            Kind::Capture(name, nodes) => {
                let mut captured = String::new();
                let flow = self.nodes(nodes, &mut captured)?;
                self.usage.make(captured.len())?;
                self.assigned.insert(name, Data::made(captured));
                return Ok(flow);
            }
            Kind::Cycle(group, values) => {
                let turn = self.turn(group);
                if let Some(value) = values.get(turn % values.len().max(1)) {
                    print(&self.expr(value), out)?;
                }
            }
            Kind::IfChanged(nodes) => return self.if_changed(nodes, out),
            Kind::Include(name, given) => return self.include(name, given, out),
            Kind::Render(render) => return self.render(render, out),
        }
        Ok(Flow::On)
    }

    fn turn(&mut self, group: &'a str) -> usize {
        match self.cycles.iter_mut().find(|(known, _)| *known == group) {
            Some((_, turn)) => {
                *turn += 1;
                *turn - 1
            }
            None => {
                self.cycles.push((group, 1));
                0
            }
        }
    }

    fn if_changed(&mut self, nodes: &'a [Node], out: &mut String) -> Result<Flow, Halt> {
        let mut shown = String::new();
        let flow = self.nodes(nodes, &mut shown)?;
        self.usage.make(shown.len())?;
        if self.last_change.as_deref() != Some(&shown) {
            print(&Data::Text(&shown), out)?;
            self.last_change = Some(shown);
        }
        Ok(flow)
    }

    fn each(&mut self, each: &'a For, out: &mut String) -> Result<Flow, Halt> {
        let mut items = self.source(&each.source);
        let count = |run: &Self, value: &'a Option<Expr>| {
            value.as_ref().and_then(|value| whole(&run.expr(value))).map(|count| usize::try_from(count).unwrap_or(0))
        };
        let offset = count(self, &each.offset).unwrap_or(0);
        items.drain(..offset.min(items.len()));
        items.truncate(count(self, &each.limit).unwrap_or(usize::MAX));
        if each.reversed {
            items.reverse();
        }
        if items.is_empty() {
            return Ok(self.nodes(&each.otherwise, out)?);
        }
        self.rounds(&each.name, items, &each.body, out)
    }

    /// Runs nodes once per item, with `forloop` and the item under its name.
    fn rounds(
        &mut self,
        name: &'a str,
        items: Vec<Data<'a>>,
        body: &'a [Node],
        out: &mut String,
    ) -> Result<Flow, Halt> {
        let length = items.len();
        let parent = self.local("forloop").unwrap_or(Data::Nil);
        let before = self.locals.len();
        for (index, item) in items.into_iter().enumerate() {
            self.usage.step(1)?;
            let state = Loop { index, length, parent: parent.clone() };
            self.locals.push(("forloop", Data::Loop(std::rc::Rc::new(state))));
            self.locals.push((name, item));
            let flow = self.nodes(body, out)?;
            self.locals.truncate(before);
            if flow == Flow::Break {
                break;
            }
        }
        Ok(Flow::On)
    }

    fn source(&self, source: &'a Source) -> Vec<Data<'a>> {
        match source {
            Source::Of(value) => self.expr(value).sequence(),
            Source::Range(first, last) => {
                let first = whole(&self.expr(first)).unwrap_or(0);
                let last = whole(&self.expr(last)).unwrap_or(0);
                (first..=last).take(MOST_STEPS + 1).map(Data::Integer).collect()
            }
        }
    }

    fn include(&mut self, name: &'a str, given: &'a [(String, Expr)], out: &mut String) -> Result<Flow, Halt> {
        let before = self.locals.len();
        let given: Vec<_> = given.iter().map(|(name, value)| (name.as_str(), self.expr(value))).collect();
        self.locals.extend(given);
        let flow = self.partial(name, out)?;
        self.locals.truncate(before);
        Ok(flow)
    }

    fn partial(&mut self, name: &'a str, out: &mut String) -> Result<Flow, Halt> {
        let tree = self.tree;
        let nodes = tree.partials.get(name).ok_or_else(|| format!("there is no partial `{name}`"))?;
        let outer = self.partial.replace(name);
        let flow = self.nodes(nodes, out)?;
        self.partial = outer;
        Ok(flow)
    }

    fn render(&mut self, render: &'a Render, out: &mut String) -> Result<Flow, Halt> {
        let given: Vec<_> = render.given.iter().map(|(name, value)| (name.as_str(), self.expr(value))).collect();
        let (items, name) = match &render.about {
            None => (vec![Data::Nil], None),
            Some((Subject::One(value), name)) => (vec![self.expr(value)], Some(name.as_str())),
            Some((Subject::Each(source), name)) => (self.source(source), Some(name.as_str())),
        };
        let loops = matches!(render.about, Some((Subject::Each(_), _)));
        let outer = (self.globals.take(), std::mem::take(&mut self.locals), std::mem::take(&mut self.assigned));
        let length = items.len();
        for (index, item) in items.into_iter().enumerate() {
            self.usage.step(1)?;
            self.assigned.clear();
            self.locals.clone_from(&given);
            if loops {
                let state = Loop { index, length, parent: Data::Nil };
                self.locals.push(("forloop", Data::Loop(std::rc::Rc::new(state))));
            }
            self.locals.extend(name.map(|name| (name, item)));
            self.partial(&render.partial, out)?;
        }
        (self.globals, self.locals, self.assigned) = outer;
        Ok(Flow::On)
    }

    fn holds(&self, test: &'a Test) -> bool {
        let left = self.expr(&test.left);
        let holds = match &test.right {
            None => left.is_true(),
            Some((operator, right)) => compared(&left, operator, &self.expr(right)),
        };
        match &test.rest {
            Some((true, rest)) => holds && self.holds(rest),
            Some((false, rest)) => holds || self.holds(rest),
            None => holds,
        }
    }

    fn pipe(&mut self, pipe: &'a Pipe) -> Result<Data<'a>, Halt> {
        let mut value = self.expr(&pipe.input);
        for step in &pipe.filters {
            value = self.filtered(step, value)?;
        }
        Ok(value)
    }

    fn filtered(&mut self, step: &'a Step, input: Data<'a>) -> Result<Data<'a>, Halt> {
        self.usage.step(1 + weight(&input) / 1024)?;
        if input.is_nil() && !step.row.takes_null {
            return Ok(Data::Nil);
        }
        let arguments: Vec<Data<'a>> = step.arguments.iter().map(|argument| self.expr(argument)).collect();
        let result = (step.run)(&Call { input: &input, arguments: &arguments, zone: self.zone });
        let value = match result {
            Ok(value) => value,
            // What a filter cannot read stays as it is; of what would be HTML nothing is left.
            Err(Misfit::Unreadable) if step.row.makes_html || (input.size().is_some() && input.as_text().is_none()) => {
                Data::Nil
            }
            Err(Misfit::Unreadable) => input,
            Err(Misfit::Stops(reason)) if !step.row.public => return Err(reason.into()),
            Err(Misfit::Stops(reason)) => return Err(format!("filter `{}`: {reason}", step.row.name).into()),
        };
        if let Data::Made(_) | Data::List(_) = &value {
            self.usage.make(weight(&value))?;
        }
        Ok(value)
    }

    fn expr(&self, expr: &'a Expr) -> Data<'a> {
        match expr {
            Expr::Literal(literal) => literal.data(),
            Expr::Path(root, steps) => steps.iter().fold(self.name(root), |value, step| match step {
                Access::Field(name) => value.field(name),
                Access::Position(position) => value.item((*position).into()),
                Access::Computed(inner) => match self.expr(inner) {
                    Data::Integer(position) => value.item(position),
                    Data::Nil => Data::Nil,
                    name => value.field(&name.to_text()),
                },
            }),
        }
    }

    fn local(&self, name: &str) -> Option<Data<'a>> {
        self.locals.iter().rev().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
    }

    fn name(&self, name: &str) -> Data<'a> {
        let assigned = || self.assigned.get(name).cloned();
        let global = || self.globals.map(|globals| globals.get(name));
        self.local(name).or_else(assigned).or_else(global).unwrap_or(Data::Nil)
    }
}

/// Why a node did not end.
enum Halt {
    /// At this node.
    Here(String),
    /// At a node within.
    Inside(Stopped),
}

impl From<String> for Halt {
    fn from(reason: String) -> Self {
        Self::Here(reason)
    }
}

impl From<Stopped> for Halt {
    fn from(stopped: Stopped) -> Self {
        Self::Inside(stopped)
    }
}

fn print(value: &Data<'_>, out: &mut String) -> Result<(), String> {
    if (Bounded { out, limit: LARGEST_PART }).value(value) { Ok(()) } else { Err(too_large()) }
}

/// The bytes that a value takes, roughly.
fn weight(value: &Data<'_>) -> usize {
    value.as_text().map_or_else(|| value.size().unwrap_or(0) * std::mem::size_of::<Data<'_>>(), str::len)
}

fn whole(value: &Data<'_>) -> Option<i128> {
    match value {
        Data::Integer(whole) => Some(*whole),
        #[expect(clippy::cast_possible_truncation, reason = "a cast of a double stops at the bounds")]
        Data::Double(value) => Some(*value as i128),
        other => other.as_text().and_then(|text| text.trim().parse().ok()),
    }
}

fn compared(left: &Data<'_>, operator: &str, right: &Data<'_>) -> bool {
    let ordered = || order(left, right);
    match operator {
        "==" => equal(left, right),
        "!=" | "<>" => !equal(left, right),
        "<" => ordered().is_some_and(std::cmp::Ordering::is_lt),
        ">" => ordered().is_some_and(std::cmp::Ordering::is_gt),
        "<=" => ordered().is_some_and(std::cmp::Ordering::is_le),
        ">=" => ordered().is_some_and(std::cmp::Ordering::is_ge),
        _ => contains(left, right),
    }
}
