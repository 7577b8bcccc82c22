//! A template as a tree: made once from its segments, run for every mail.

use std::collections::BTreeMap;
use std::ops::Range;

use super::super::expression::{Chain, Fault, FilterCall, Index, Reader, Value, Variable};
use super::super::filters::{Part, Row, Run, rows};
use super::super::tokenizer::{Segment, SegmentKind, origin, tokenize};
use super::syntax::{About, Comparison, Condition, Items, Tag, read_tag};
use super::{Data, Stopped};

/// A template ready to run.
#[derive(Debug)]
pub(in crate::render) struct Tree {
    pub(super) nodes: Vec<Node>,
    pub(super) partials: BTreeMap<String, Vec<Node>>,
}

/// A piece of a template and the byte of its source.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) offset: usize,
    pub(super) kind: Kind,
}

/// What a piece does.
#[derive(Debug)]
pub(super) enum Kind {
    Text(String),
    Output(Pipe),
    /// Conditions with what they guard; the first that holds counts. No condition always holds.
    Branches(Vec<(Option<Test>, Vec<Node>)>),
    Case(Expr, Vec<(Vec<Expr>, Vec<Node>)>),
    For(Box<For>),
    Break,
    Continue,
    Assign(String, Pipe),
    Capture(String, Vec<Node>),
    Cycle(String, Vec<Expr>),
    IfChanged(Vec<Node>),
    Include(String, Vec<(String, Expr)>),
    Render(Box<Render>),
}

/// A loop.
#[derive(Debug)]
pub(super) struct For {
    pub(super) name: String,
    pub(super) source: Source,
    pub(super) reversed: bool,
    pub(super) limit: Option<Expr>,
    pub(super) offset: Option<Expr>,
    pub(super) body: Vec<Node>,
    pub(super) otherwise: Vec<Node>,
}

/// A partial that sees only what it is given.
#[derive(Debug)]
pub(super) struct Render {
    pub(super) partial: String,
    pub(super) about: Option<(Subject, String)>,
    pub(super) given: Vec<(String, Expr)>,
}

/// What a partial is about.
#[derive(Debug)]
pub(super) enum Subject {
    One(Expr),
    Each(Source),
}

/// What a loop goes through.
#[derive(Debug)]
pub(super) enum Source {
    Range(Expr, Expr),
    Of(Expr),
}

/// A value and its filters.
#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) input: Expr,
    pub(super) filters: Vec<Step>,
}

/// A filter with its arguments, those with a name in the order of the row.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) row: &'static Row,
    pub(super) run: Run,
    pub(super) arguments: Vec<Expr>,
}

/// A condition, joined from the right.
#[derive(Debug)]
pub(super) struct Test {
    pub(super) left: Expr,
    pub(super) right: Option<(&'static str, Expr)>,
    pub(super) rest: Option<(bool, Box<Test>)>,
}

/// A literal or a path.
#[derive(Debug)]
pub(super) enum Expr {
    Literal(Literal),
    Path(String, Vec<Access>),
}

/// A written value.
#[derive(Debug)]
pub(super) enum Literal {
    Nil,
    Empty,
    Blank,
    Boolean(bool),
    Integer(i64),
    Double(f64),
    Text(String),
}

impl Literal {
    pub(super) fn data(&self) -> Data<'_> {
        match self {
            Self::Nil => Data::Nil,
            Self::Empty => Data::Empty,
            Self::Blank => Data::Blank,
            Self::Boolean(boolean) => Data::Boolean(*boolean),
            Self::Integer(whole) => Data::Integer((*whole).into()),
            Self::Double(value) => Data::Double(*value),
            Self::Text(text) => Data::Text(text),
        }
    }
}

/// A step of a path.
#[derive(Debug)]
pub(super) enum Access {
    Field(String),
    Position(i64),
    Computed(Expr),
}

/// Compiles a template and the partials it may include, for one part of a message.
///
/// # Errors
/// When one of the texts is not liquid.
pub(in crate::render) fn parse(part: Part, text: &str, partials: &[(String, String)]) -> Result<Tree, Stopped> {
    let mut compiled = BTreeMap::new();
    for (name, text) in partials {
        let nodes = nodes(part, text).map_err(|fault| Stopped { partial: Some(name.clone()), ..stopped(fault) })?;
        compiled.insert(name.clone(), nodes);
    }
    Ok(Tree { nodes: nodes(part, text).map_err(stopped)?, partials: compiled })
}

fn stopped(fault: Fault) -> Stopped {
    Stopped { partial: None, offset: fault.span.start, reason: fault.message }
}

fn nodes(part: Part, text: &str) -> Result<Vec<Node>, Fault> {
    let segments =
        tokenize(text).map_err(|open| Fault { span: open.span, message: format!("expected `{}`", open.expected) })?;
    let mut maker = Maker { part, text, segments: &segments, position: 0 };
    let (nodes, end) = maker.block()?;
    match end {
        None => Ok(nodes),
        Some((_, at)) => Err(Fault { span: at, message: "this closes nothing".into() }),
    }
}

/// Makes nodes of segments, one after the other.
struct Maker<'t> {
    part: Part,
    text: &'t str,
    segments: &'t [Segment],
    position: usize,
}

type Ended = Option<(Tag, Range<usize>)>;

impl Maker<'_> {
    /// The nodes up to a tag that does not open anything, and that tag.
    fn block(&mut self) -> Result<(Vec<Node>, Ended), Fault> {
        let mut nodes = Vec::new();
        while let Some(segment) = self.segments.get(self.position) {
            self.position += 1;
            match segment.kind {
                SegmentKind::Comment => {}
                SegmentKind::Text | SegmentKind::Verbatim => {
                    let text = self.plain(segment);
                    if !text.is_empty() {
                        nodes.push(Node { offset: segment.span.start, kind: Kind::Text(text) });
                    }
                }
                SegmentKind::Output => {
                    let kind = Kind::Output(self.output(segment).map_err(|fault| self.moved(segment, fault))?);
                    nodes.push(Node { offset: self.origin(segment).start, kind });
                }
                SegmentKind::Tag => {
                    let tag = self.read(segment).map_err(|fault| self.moved(segment, fault))?;
                    let at = self.origin(segment);
                    match self.tag(tag, segment)? {
                        Made::Node(kind) => nodes.push(Node { offset: at.start, kind }),
                        Made::End(tag) => return Ok((nodes, Some((tag, at)))),
                    }
                }
            }
        }
        Ok((nodes, None))
    }

    fn output(&self, segment: &Segment) -> Result<Pipe, Fault> {
        let mut reader = Reader::new(self.text, origin(self.text, segment).1)?;
        let chain = reader.chain()?;
        reader.finish()?;
        self.pipe(&chain)
    }

    fn read(&self, segment: &Segment) -> Result<Tag, Fault> {
        let mut reader = Reader::new(self.text, origin(self.text, segment).1)?;
        read_tag(&mut reader).map(|(tag, _)| tag)
    }

    /// Where a segment stands in its source.
    fn origin(&self, segment: &Segment) -> Range<usize> {
        let (offset, _) = origin(self.text, segment);
        if offset == segment.span.start { segment.span.clone() } else { offset..offset }
    }

    /// A fault at its segment's place in the source, where that is another one.
    fn moved(&self, segment: &Segment, fault: Fault) -> Fault {
        let at = self.origin(segment);
        if at == segment.span { fault } else { Fault { span: at, ..fault } }
    }

    /// The text of a segment without what the `-` of its neighbours takes away.
    fn plain(&self, segment: &Segment) -> String {
        let at = self.position - 1;
        let mut text = &self.text[segment.span.clone()];
        if segment.kind == SegmentKind::Verbatim {
            let open = text.find("%}").map_or(0, |end| end + 2);
            let close = text.rfind("{%").unwrap_or(text.len());
            text = &text[open.min(close)..close];
        }
        let before = at.checked_sub(1).and_then(|before| self.segments.get(before));
        if before.is_some_and(|before| trims(self.text, before, "-%}", "-}}")) {
            text = text.trim_start();
        }
        let after = self.segments.get(at + 1);
        if after.is_some_and(|after| ["{%-", "{{-"].iter().any(|open| self.text[after.span.clone()].starts_with(open)))
        {
            text = text.trim_end();
        }
        text.to_owned()
    }

    fn tag(&mut self, tag: Tag, segment: &Segment) -> Result<Made, Fault> {
        let kind = match tag {
            Tag::If(condition) => self.branches(&condition, false, "endif", segment)?,
            Tag::Unless(condition) => self.branches(&condition, true, "endunless", segment)?,
            Tag::Case(value) => self.case(&value, segment)?,
            Tag::For { name, items, reversed, limit, offset } => {
                let (body, end) = self.block()?;
                let otherwise = match end {
                    Some((Tag::Else, _)) => self.until("endfor", segment)?,
                    end => self.closed(end, "endfor", segment).map(|()| Vec::new())?,
                };
                let source = self.source(&items);
                let (limit, offset) = (limit.map(|one| self.expr(&one)), offset.map(|one| self.expr(&one)));
                Kind::For(Box::new(For { name, source, reversed, limit, offset, body, otherwise }))
            }
            Tag::Break => Kind::Break,
            Tag::Continue => Kind::Continue,
            Tag::Assign(name, chain) => Kind::Assign(name, self.pipe(&chain)?),
            Tag::Capture(name) => Kind::Capture(name, self.until("endcapture", segment)?),
            Tag::IfChanged => Kind::IfChanged(self.until("endifchanged", segment)?),
            Tag::Cycle { group, values } => {
                let written = |value: &Value| self.text[value.span()].to_owned();
                let group = group.as_ref().map_or_else(|| values.iter().map(written).collect(), written);
                Kind::Cycle(group, values.iter().map(|value| self.expr(value)).collect())
            }
            Tag::Include { partial, given } => Kind::Include(partial.0, self.given(&given)),
            Tag::Render { partial, about, given } => {
                let about = about.map(|(about, name)| match about {
                    About::One(value) => (Subject::One(self.expr(&value)), name),
                    About::Each(items) => (Subject::Each(self.source(&items)), name),
                });
                Kind::Render(Box::new(Render { partial: partial.0, about, given: self.given(&given) }))
            }
            Tag::Unknown(name) => {
                return Err(Fault { span: self.origin(segment), message: format!("there is no tag `{name}`") });
            }
            end @ (Tag::Elsif(_) | Tag::Else | Tag::When(_) | Tag::End(_)) => return Ok(Made::End(end)),
        };
        Ok(Made::Node(kind))
    }

    fn until(&mut self, end: &str, open: &Segment) -> Result<Vec<Node>, Fault> {
        let (nodes, ended) = self.block()?;
        self.closed(ended, end, open)?;
        Ok(nodes)
    }

    fn closed(&self, ended: Ended, end: &str, open: &Segment) -> Result<(), Fault> {
        match ended {
            Some((Tag::End(name), _)) if name == end => Ok(()),
            Some((_, span)) => Err(Fault { span, message: format!("expected `{end}` before this") }),
            None => Err(Fault { span: self.origin(open), message: format!("this is never closed: expected `{end}`") }),
        }
    }

    fn branches(&mut self, first: &Condition, not: bool, end: &str, open: &Segment) -> Result<Kind, Fault> {
        let mut branches = Vec::new();
        let mut test = Some(self.test(first));
        if not {
            // What stands in an `unless` is the branch of everything its condition is not.
            branches.push((test.take(), Vec::new()));
        }
        loop {
            let (nodes, ended) = self.block()?;
            branches.push((test.take(), nodes));
            match ended {
                Some((Tag::Elsif(condition), _)) if !not => test = Some(self.test(&condition)),
                Some((Tag::Else, _)) => {
                    let otherwise = self.until(end, open)?;
                    if not {
                        branches[0].1 = otherwise;
                    } else {
                        branches.push((None, otherwise));
                    }
                    return Ok(Kind::Branches(branches));
                }
                ended => {
                    self.closed(ended, end, open)?;
                    return Ok(Kind::Branches(branches));
                }
            }
        }
    }

    fn case(&mut self, value: &Value, open: &Segment) -> Result<Kind, Fault> {
        let subject = self.expr(value);
        let mut branches = Vec::new();
        // What stands before the first `when` is no branch.
        let (_, mut ended) = self.block()?;
        loop {
            match ended {
                Some((Tag::When(values), _)) => {
                    let (nodes, next) = self.block()?;
                    branches.push((values.iter().map(|value| self.expr(value)).collect(), nodes));
                    ended = next;
                }
                Some((Tag::Else, _)) => {
                    branches.push((Vec::new(), self.until("endcase", open)?));
                    return Ok(Kind::Case(subject, branches));
                }
                ended => {
                    self.closed(ended, "endcase", open)?;
                    return Ok(Kind::Case(subject, branches));
                }
            }
        }
    }

    fn given(&self, given: &[(String, Value)]) -> Vec<(String, Expr)> {
        given.iter().map(|(name, value)| (name.clone(), self.expr(value))).collect()
    }

    fn source(&self, items: &Items) -> Source {
        match items {
            Items::Range(first, last, _) => Source::Range(self.expr(first), self.expr(last)),
            Items::Of(value) => Source::Of(self.expr(value)),
        }
    }

    fn test(&self, condition: &Condition) -> Test {
        let Comparison { left, right } = &condition.first;
        Test {
            left: self.expr(left),
            right: right.as_ref().map(|(operator, value)| (*operator, self.expr(value))),
            rest: condition.rest.as_ref().map(|(and, rest)| (*and, Box::new(self.test(rest)))),
        }
    }

    fn pipe(&self, chain: &Chain) -> Result<Pipe, Fault> {
        let filters = chain.filters.iter().map(|call| self.step(call)).collect::<Result<_, _>>()?;
        Ok(Pipe { input: self.expr(&chain.value), filters })
    }

    fn step(&self, call: &FilterCall) -> Result<Step, Fault> {
        let wrong = |message: String| Fault { span: call.span.clone(), message };
        let row = rows()
            .find(|row| row.name == call.name)
            .ok_or_else(|| wrong(format!("there is no filter `{}`", call.name)))?;
        let positional = row.arguments.iter().filter(|argument| !argument.named).count();
        if call.positional.len() < row.required() || call.positional.len() > positional {
            return Err(wrong(format!("`{}` has the wrong number of arguments", row.name)));
        }
        let mut arguments: Vec<Expr> = call.positional.iter().map(|value| self.expr(value)).collect();
        for argument in row.arguments.iter().skip(arguments.len()) {
            let named = call.keyword.iter().find(|(name, _)| argument.named && name == argument.name);
            arguments.push(named.map_or(Expr::Literal(Literal::Nil), |(_, value)| self.expr(value)));
        }
        let run = if self.part == Part::Html { row.html } else { row.text };
        Ok(Step { row, run, arguments })
    }

    fn expr(&self, value: &Value) -> Expr {
        let written = |span: &Range<usize>| &self.text[span.clone()];
        Expr::Literal(match value {
            Value::Text(text, _) => Literal::Text(text.clone()),
            Value::Number(number, span) => match written(span).parse() {
                Ok(whole) => Literal::Integer(whole),
                Err(_) => Literal::Double(*number),
            },
            Value::Boolean(span) => Literal::Boolean(written(span) == "true"),
            Value::Nothing(span) => match written(span) {
                "empty" => Literal::Empty,
                "blank" => Literal::Blank,
                _ => Literal::Nil,
            },
            Value::Variable(variable) => return self.path(variable),
        })
    }

    fn path(&self, variable: &Variable) -> Expr {
        let steps = variable.steps.iter().map(|step| match &step.index {
            Index::Name(name) => Access::Field(name.clone()),
            Index::Position => {
                let written = self.text[step.span.clone()].trim_matches([']', ' ', '+', '\t', '\r', '\n']);
                Access::Position(written.parse().unwrap_or(i64::MAX))
            }
            Index::Computed(inner) => Access::Computed(self.path(inner)),
        });
        Expr::Path(variable.root.clone(), steps.collect())
    }
}

/// What a tag became.
enum Made {
    Node(Kind),
    End(Tag),
}

fn trims(text: &str, segment: &Segment, tag: &str, output: &str) -> bool {
    let written = &text[segment.span.clone()];
    segment.kind != SegmentKind::Text && (written.ends_with(tag) || written.ends_with(output))
}
