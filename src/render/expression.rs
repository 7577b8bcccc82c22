//! Reads what stands inside `{{ }}` and `{% %}`: values, filters and operators, each with its bytes in the template.

use std::ops::Range;

/// A lexical token of liquid.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Lexeme {
    /// A name.
    Name(String),
    /// A quoted text.
    Text(String),
    /// A number.
    Number(f64),
    /// A punctuation mark or operator.
    Mark(&'static str),
}

/// A literal, a variable or something else liquid can compute.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// A quoted text.
    Text(String, Range<usize>),
    /// A number.
    Number(f64, Range<usize>),
    /// `true`, `false`.
    Boolean(Range<usize>),
    /// `nil`, `null`, `empty` or `blank`.
    Nothing(Range<usize>),
    /// A path such as `metrics.logins[0].value`.
    Variable(Variable),
}

impl Value {
    /// Where it stands.
    pub(super) fn span(&self) -> Range<usize> {
        match self {
            Self::Text(_, span) | Self::Number(_, span) | Self::Boolean(span) | Self::Nothing(span) => span.clone(),
            Self::Variable(variable) => variable.span.clone(),
        }
    }
}

/// A path of names and indexes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Variable {
    /// The first name.
    pub(super) root: String,
    /// What follows it.
    pub(super) steps: Vec<Step>,
    /// Where it stands.
    pub(super) span: Range<usize>,
}

impl Variable {
    /// The path as `a.b.c`, computed indexes as `[]`.
    pub(super) fn path(&self) -> String {
        self.steps.iter().fold(self.root.clone(), |path, step| match &step.index {
            Index::Name(name) => format!("{path}.{name}"),
            Index::Position => format!("{path}[n]"),
            Index::Computed(_) => format!("{path}[]"),
        })
    }
}

/// One step of a path.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Step {
    /// What selects.
    pub(super) index: Index,
    /// Where it stands.
    pub(super) span: Range<usize>,
}

/// What a step of a path selects by.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Index {
    /// `.name` or `["name"]`.
    Name(String),
    /// `[0]`.
    Position,
    /// `[variable]`.
    Computed(Variable),
}

/// A value and the filters it runs through.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Chain {
    /// What enters.
    pub(super) value: Value,
    /// The filters in order.
    pub(super) filters: Vec<FilterCall>,
}

/// One filter of a chain.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct FilterCall {
    /// Its name.
    pub(super) name: String,
    /// Where the name stands.
    pub(super) span: Range<usize>,
    /// Where the `|` before it stands.
    pub(super) pipe: usize,
    /// Arguments without a name.
    pub(super) positional: Vec<Value>,
    /// Arguments with a name.
    pub(super) keyword: Vec<(String, Value)>,
}

/// A place that is not liquid.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Where.
    pub(super) span: Range<usize>,
    /// What is wrong.
    pub(super) message: String,
}

const MARKS: [&str; 16] = ["..", "==", "!=", "<>", ">=", "<=", ">", "<", "=", ",", ":", "|", "[", "]", "(", ")"];

/// Reads lexemes one after the other.
pub(super) struct Reader {
    lexemes: Vec<(Lexeme, Range<usize>)>,
    position: usize,
    end: usize,
    /// How many computed indexes are open.
    depth: usize,
}

/// Indexes within indexes beyond this are refused: reading them recurses.
const DEEPEST_INDEX: usize = 20;

impl Reader {
    /// Splits `text[span]` into lexemes; their places count from the start of `text`.
    pub(super) fn new(text: &str, span: Range<usize>) -> Result<Self, Fault> {
        let mut lexemes = Vec::new();
        let mut at = span.start;
        while at < span.end {
            let rest = &text[at..span.end];
            let letter = rest.chars().next().expect("the rest is not empty");
            if letter.is_whitespace() {
                at += letter.len_utf8();
                continue;
            }
            let (lexeme, length) =
                lexeme(rest).map_err(|message| Fault { span: at..at + letter.len_utf8(), message })?;
            lexemes.push((lexeme, at..at + length));
            at += length;
        }
        Ok(Self { lexemes, position: 0, end: span.end, depth: 0 })
    }

    /// The next lexeme without taking it.
    pub(super) fn peek(&self) -> Option<&Lexeme> {
        self.lexemes.get(self.position).map(|(lexeme, _)| lexeme)
    }

    /// Where the next lexeme stands, or the end.
    pub(super) fn here(&self) -> Range<usize> {
        self.lexemes.get(self.position).map_or(self.end..self.end, |(_, span)| span.clone())
    }

    fn take(&mut self) -> Option<(Lexeme, Range<usize>)> {
        let found = self.lexemes.get(self.position).cloned();
        self.position += usize::from(found.is_some());
        found
    }

    /// Takes a mark if it is next.
    pub(super) fn mark(&mut self, mark: &str) -> bool {
        let found = matches!(self.peek(), Some(Lexeme::Mark(next)) if *next == mark);
        self.position += usize::from(found);
        found
    }

    /// Takes a word if it is next.
    pub(super) fn word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some(Lexeme::Name(next)) if next == word);
        self.position += usize::from(found);
        found
    }

    /// Takes a name.
    pub(super) fn name(&mut self, expected: &str) -> Result<(String, Range<usize>), Fault> {
        match self.take() {
            Some((Lexeme::Name(name), span)) => Ok((name, span)),
            Some((_, span)) => Err(Fault { span, message: format!("expected {expected}") }),
            None => Err(Fault { span: self.end..self.end, message: format!("expected {expected}") }),
        }
    }

    /// Takes a mark that must be next.
    pub(super) fn expect(&mut self, mark: &str) -> Result<(), Fault> {
        if self.mark(mark) {
            return Ok(());
        }
        Err(Fault { span: self.here(), message: format!("expected `{mark}`") })
    }

    /// Fails when anything is left.
    pub(super) fn finish(&self) -> Result<(), Fault> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(Fault { span: self.here(), message: "did not expect anything more here".into() }),
        }
    }

    /// Takes a comparison operator if one is next.
    pub(super) fn comparison(&mut self) -> Option<&'static str> {
        for operator in ["==", "!=", "<>", ">=", "<=", ">", "<"] {
            if self.mark(operator) {
                return Some(operator);
            }
        }
        self.word("contains").then_some("contains")
    }

    /// Takes a literal or a variable.
    pub(super) fn value(&mut self) -> Result<Value, Fault> {
        match self.take() {
            Some((Lexeme::Text(text), span)) => Ok(Value::Text(text, span)),
            Some((Lexeme::Number(number), span)) => Ok(Value::Number(number, span)),
            Some((Lexeme::Name(name), span)) => match name.as_str() {
                "true" | "false" => Ok(Value::Boolean(span)),
                "nil" | "null" | "empty" | "blank" => Ok(Value::Nothing(span)),
                _ => self.variable(&name, span).map(Value::Variable),
            },
            Some((Lexeme::Mark(mark), span)) => Err(Fault { span, message: format!("expected a value, not `{mark}`") }),
            None => Err(Fault { span: self.end..self.end, message: "expected a value".into() }),
        }
    }

    fn variable(&mut self, dotted: &str, span: Range<usize>) -> Result<Variable, Fault> {
        let mut variable = Variable { root: String::new(), steps: Vec::new(), span: span.clone() };
        push_names(&mut variable, dotted, span.start);
        while self.mark("[") {
            let start = self.here().start;
            if self.depth == DEEPEST_INDEX {
                return Err(Fault { span: self.here(), message: "indexes nest too deep".into() });
            }
            self.depth += 1;
            let inner = self.value()?;
            self.depth -= 1;
            let index = match inner {
                Value::Text(name, _) => Index::Name(name),
                Value::Number(..) => Index::Position,
                Value::Variable(inner) => Index::Computed(inner),
                other => return Err(Fault { span: other.span(), message: "expected a name or a position".into() }),
            };
            let end = self.here().end;
            self.expect("]")?;
            variable.steps.push(Step { index, span: start..end });
            variable.span.end = end;
            if let Some((Lexeme::Name(name), after)) = self.lexemes.get(self.position).cloned()
                && name.starts_with('.')
            {
                self.position += 1;
                variable.span.end = after.end;
                push_names(&mut variable, &name, after.start);
            }
        }
        Ok(variable)
    }

    /// Takes a value and its filters.
    pub(super) fn chain(&mut self) -> Result<Chain, Fault> {
        let value = self.value()?;
        let mut filters = Vec::new();
        loop {
            let pipe = self.here().start;
            if !self.mark("|") {
                return Ok(Chain { value, filters });
            }
            filters.push(self.filter(pipe)?);
        }
    }

    fn filter(&mut self, pipe: usize) -> Result<FilterCall, Fault> {
        let (name, span) = self.name("the name of a filter")?;
        let mut call = FilterCall { name, span, pipe, positional: Vec::new(), keyword: Vec::new() };
        if !self.mark(":") {
            return Ok(call);
        }
        loop {
            let keyword = matches!(
                (self.lexemes.get(self.position), self.lexemes.get(self.position + 1)),
                (Some((Lexeme::Name(_), _)), Some((Lexeme::Mark(":"), _)))
            );
            if keyword {
                let (name, _) = self.name("an argument's name")?;
                self.expect(":")?;
                call.keyword.push((name, self.value()?));
            } else {
                call.positional.push(self.value()?);
            }
            if !self.mark(",") {
                return Ok(call);
            }
        }
    }
}

/// Adds the parts of `a.b.c` (or `.b.c` after an index) to a variable.
fn push_names(variable: &mut Variable, dotted: &str, start: usize) {
    let mut at = start;
    for part in dotted.split('.') {
        let span = at..at + part.len();
        at = span.end + 1;
        if part.is_empty() {
            continue;
        }
        if variable.root.is_empty() {
            part.clone_into(&mut variable.root);
        } else {
            variable.steps.push(Step { index: Index::Name(part.to_owned()), span });
        }
    }
}

fn lexeme(rest: &str) -> Result<(Lexeme, usize), String> {
    let first = rest.chars().next().expect("the rest is not empty");
    if first == '"' || first == '\'' {
        let end = rest[1..].find(first).ok_or("this quote is never closed")?;
        return Ok((Lexeme::Text(rest[1..=end].to_owned()), end + 2));
    }
    let signed = matches!(first, '-' | '+') && rest[1..].starts_with(|next: char| next.is_ascii_digit());
    if first.is_ascii_digit() || signed {
        return number(rest);
    }
    if first.is_ascii_alphabetic() || first == '_' || (first == '.' && !rest.starts_with("..")) {
        let length = name_length(rest);
        if length > 0 && !rest[..length].ends_with('.') {
            return Ok((Lexeme::Name(rest[..length].to_owned()), length));
        }
        return Err("expected a name after `.`".into());
    }
    MARKS
        .into_iter()
        .find(|mark| rest.starts_with(mark))
        .map(|mark| (Lexeme::Mark(mark), mark.len()))
        .ok_or_else(|| format!("did not expect `{first}` here"))
}

/// The bytes of a dotted name; a `..` ends it.
fn name_length(rest: &str) -> usize {
    let mut length = 0;
    for (at, letter) in rest.char_indices() {
        let dot = letter == '.' && !rest[at..].starts_with("..");
        if !(letter.is_ascii_alphanumeric() || letter == '_' || letter == '-' || dot) {
            break;
        }
        length = at + 1;
    }
    length
}

fn number(rest: &str) -> Result<(Lexeme, usize), String> {
    let digits = |from: usize| rest[from..].bytes().take_while(u8::is_ascii_digit).count();
    let mut length = 1 + digits(1);
    if rest[length..].starts_with('.') && digits(length + 1) > 0 {
        length += 1 + digits(length + 1);
    } else if rest[..length].parse::<i64>().is_err() {
        return Err("this number is too large".into());
    }
    rest[..length].parse().map(|value| (Lexeme::Number(value), length)).map_err(|_| "this is not a number".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(text: &str) -> Result<Chain, Fault> {
        let mut reader = Reader::new(text, 0..text.len())?;
        let chain = reader.chain()?;
        reader.finish().map(|()| chain)
    }

    #[test]
    fn reads_paths_and_filters() {
        let read = chain(" metrics['a b'].value | default: 0, x: profile.y | plural: \"a\", 'b' ").expect("liquid");
        let Value::Variable(variable) = &read.value else { unreachable!("a variable") };
        assert_eq!(variable.path(), "metrics.a b.value");
        assert_eq!(read.filters[0].keyword[0].0, "x");
        assert_eq!(read.filters[1].positional.len(), 2);
        assert_eq!(read.filters[1].name, "plural");
    }

    #[test]
    fn reads_computed_indexes() {
        let Value::Variable(variable) = chain("matrix[0].label").expect("liquid").value else { unreachable!() };
        assert_eq!(variable.path(), "matrix[n].label");
        let Value::Variable(variable) = chain("a[b.c].d").expect("liquid").value else { unreachable!() };
        assert_eq!(variable.path(), "a[].d");
    }

    #[test]
    fn refuses_what_liquid_would_choke_on() {
        for text in ["", "a |", "a..b", "99999999999999999999", "'a", "a | b:", "a b", "a.", "|", "a[", "\u{0}"] {
            assert!(chain(text).is_err(), "{text:?} must not pass");
        }
    }
}
