//! The one reader of tags: `check` walks what it reads, and trees are made of it.

use std::ops::Range;

use super::super::expression::{Chain, Fault, Lexeme, Reader, Value};

/// A tag with what is written in it.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::render) enum Tag {
    /// `if`.
    If(Condition),
    /// `unless`.
    Unless(Condition),
    /// `elsif`.
    Elsif(Condition),
    /// `else`.
    Else,
    /// `case`.
    Case(Value),
    /// `when`.
    When(Vec<Value>),
    /// `for`.
    For {
        /// The name of an item.
        name: String,
        /// What it goes through.
        items: Items,
        /// Whether it starts at the end.
        reversed: bool,
        /// The most rounds.
        limit: Option<Value>,
        /// How many items it leaves out.
        offset: Option<Value>,
    },
    /// `break`.
    Break,
    /// `continue`.
    Continue,
    /// `assign`.
    Assign(String, Chain),
    /// `capture`.
    Capture(String),
    /// `cycle`.
    Cycle {
        /// What tells cycles apart.
        group: Option<Value>,
        /// The values in turn.
        values: Vec<Value>,
    },
    /// `ifchanged`.
    IfChanged,
    /// `include`.
    Include {
        /// The partial's name and where it is written.
        partial: (String, Range<usize>),
        /// Names that it is given.
        given: Vec<(String, Value)>,
    },
    /// `render`.
    Render {
        /// The partial's name and where it is written.
        partial: (String, Range<usize>),
        /// A value, or items one by one, under a name.
        about: Option<(About, String)>,
        /// Names that it is given.
        given: Vec<(String, Value)>,
    },
    /// `endif` and its like.
    End(String),
    /// No tag of liquid's.
    Unknown(String),
}

/// What `render` is about.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::render) enum About {
    /// `with`.
    One(Value),
    /// `for`.
    Each(Items),
}

/// What a loop goes through.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::render) enum Items {
    /// A range such as `(1..10)` and where it is written.
    Range(Value, Value, Range<usize>),
    /// A list or object.
    Of(Value),
}

/// Comparisons joined from the right: `a and b or c` is `a and (b or c)`, as in Shopify.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::render) struct Condition {
    /// The leftmost comparison.
    pub(in crate::render) first: Comparison,
    /// What follows, after `and` (true) or `or` (false).
    pub(in crate::render) rest: Option<(bool, Box<Condition>)>,
}

/// A value alone, or two that are compared.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::render) struct Comparison {
    /// The value before the operator.
    pub(in crate::render) left: Value,
    /// The operator and the value after it.
    pub(in crate::render) right: Option<(&'static str, Value)>,
}

/// The most comparisons that one condition joins: what runs them recurses.
const MOST_COMPARISONS: usize = 100;

/// Reads a tag; the second value is where its name stands.
pub(in crate::render) fn read_tag(reader: &mut Reader) -> Result<(Tag, Range<usize>), Fault> {
    let (name, span) = reader.name("the name of a tag")?;
    let tag = match name.as_str() {
        "if" => Tag::If(condition(reader)?),
        "unless" => Tag::Unless(condition(reader)?),
        "elsif" => Tag::Elsif(condition(reader)?),
        "else" => Tag::Else,
        "case" => Tag::Case(reader.value()?),
        "when" => Tag::When(alternatives(reader)?),
        "for" => each(reader)?,
        "break" => Tag::Break,
        "continue" => Tag::Continue,
        "assign" => {
            let target = target(reader, "a name to assign to")?;
            reader.expect("=")?;
            Tag::Assign(target, reader.chain()?)
        }
        "capture" => Tag::Capture(target(reader, "a name to capture into")?),
        "cycle" => cycle(reader)?,
        "ifchanged" => Tag::IfChanged,
        "include" => {
            let partial = partial(reader)?;
            Tag::Include { partial, given: given(reader)? }
        }
        "render" => render(reader)?,
        closing if closing.starts_with("end") => Tag::End(name),
        // What follows belongs to a tag that nobody knows.
        _ => return Ok((Tag::Unknown(name), span)),
    };
    reader.finish()?;
    Ok((tag, span))
}

fn target(reader: &mut Reader, expected: &str) -> Result<String, Fault> {
    let (name, span) = reader.name(expected)?;
    if name.contains('.') {
        let message = format!("expected {expected}: a name without `.`");
        return Err(Fault { span, message });
    }
    Ok(name)
}

fn condition(reader: &mut Reader) -> Result<Condition, Fault> {
    let mut comparisons = vec![comparison(reader)?];
    let mut joints = Vec::new();
    loop {
        if joints.len() == MOST_COMPARISONS {
            let message = format!("a condition joins at most {MOST_COMPARISONS} comparisons");
            return Err(Fault { span: reader.here(), message });
        }
        if reader.word("and") {
            joints.push(true);
        } else if reader.word("or") {
            joints.push(false);
        } else {
            break;
        }
        comparisons.push(comparison(reader)?);
    }
    let last = comparisons.pop().map(|first| Condition { first, rest: None });
    let joined = comparisons
        .into_iter()
        .zip(joints)
        .rev()
        .fold(last, |rest, (first, and)| rest.map(|rest| Condition { first, rest: Some((and, Box::new(rest))) }));
    joined.ok_or_else(|| Fault { span: reader.here(), message: "expected a value".into() })
}

fn comparison(reader: &mut Reader) -> Result<Comparison, Fault> {
    let left = reader.value()?;
    let right = match reader.comparison() {
        Some(operator) => Some((operator, reader.value()?)),
        None => None,
    };
    if matches!(reader.peek(), Some(Lexeme::Mark("|"))) {
        let message = "a filter cannot stand in a condition: `assign` its result to a name before".into();
        return Err(Fault { span: reader.here(), message });
    }
    Ok(Comparison { left, right })
}

fn alternatives(reader: &mut Reader) -> Result<Vec<Value>, Fault> {
    let mut values = vec![reader.value()?];
    while reader.mark(",") || reader.word("or") {
        values.push(reader.value()?);
    }
    Ok(values)
}

fn each(reader: &mut Reader) -> Result<Tag, Fault> {
    let name = target(reader, "a name for the items")?;
    if !reader.word("in") {
        return Err(Fault { span: reader.here(), message: "expected `in`".into() });
    }
    let items = items(reader)?;
    let (mut reversed, mut limit, mut offset) = (false, None, None);
    loop {
        // Commas between them are Shopify's too.
        reader.mark(",");
        if reader.word("reversed") {
            reversed = true;
        } else if reader.word("limit") {
            reader.expect(":")?;
            limit = Some(reader.value()?);
        } else if reader.word("offset") {
            reader.expect(":")?;
            offset = Some(reader.value()?);
        } else {
            return Ok(Tag::For { name, items, reversed, limit, offset });
        }
    }
}

fn items(reader: &mut Reader) -> Result<Items, Fault> {
    let at = reader.here();
    if reader.mark("(") {
        let first = reader.value()?;
        reader.expect("..")?;
        let last = reader.value()?;
        let end = reader.here().end;
        reader.expect(")")?;
        return Ok(Items::Range(first, last, at.start..end));
    }
    reader.value().map(Items::Of)
}

fn cycle(reader: &mut Reader) -> Result<Tag, Fault> {
    let mut group = None;
    let mut values = vec![reader.value()?];
    if reader.mark(":") {
        group = values.pop();
        values.push(reader.value()?);
    }
    while reader.mark(",") {
        values.push(reader.value()?);
    }
    Ok(Tag::Cycle { group, values })
}

fn partial(reader: &mut Reader) -> Result<(String, Range<usize>), Fault> {
    match reader.value()? {
        Value::Text(name, span) => Ok((name, span)),
        other => Err(Fault { span: other.span(), message: "a partial's name must be written in quotes".into() }),
    }
}

/// Names and values, with or without commas between them.
fn given(reader: &mut Reader) -> Result<Vec<(String, Value)>, Fault> {
    let mut given = Vec::new();
    while reader.mark(",") || reader.peek().is_some() {
        let name = target(reader, "a name to pass a value as")?;
        reader.expect(":")?;
        given.push((name, reader.value()?));
    }
    Ok(given)
}

fn render(reader: &mut Reader) -> Result<Tag, Fault> {
    let partial = partial(reader)?;
    let about = if reader.word("with") {
        Some(About::One(reader.value()?))
    } else if reader.word("for") {
        Some(About::Each(items(reader)?))
    } else {
        None
    };
    let about = match about {
        Some(about) => {
            if !reader.word("as") {
                return Err(Fault { span: reader.here(), message: "expected `as`".into() });
            }
            Some((about, target(reader, "a name to pass the value as")?))
        }
        None => None,
    };
    Ok(Tag::Render { partial, about, given: given(reader)? })
}
