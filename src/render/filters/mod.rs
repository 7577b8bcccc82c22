//! Every filter beyond liquid's own stands in one table, with its arguments, a sentence and an example that is tested.
//!
//! A filter never panics and never shows the value that broke it: its message ends in run results. Null stays null.

mod arithmetic;
mod charts;
mod css;
mod dates;
mod escape;
mod numbers;
mod words;

use std::fmt;

use jiff::tz::TimeZone;
use liquid_core::parser::{FilterArguments, ParameterReflection};
use liquid_core::{Error, Expression, Filter, FilterReflection, ParseFilter, Runtime, Value, ValueView};

/// What a filter is given.
pub(super) struct Call<'a> {
    /// What stands before the `|`; never null.
    pub(super) input: &'a dyn ValueView,
    /// The arguments in order; missing ones are absent.
    pub(super) arguments: &'a [Value],
    /// The project's time zone, where an argument names no valid one.
    pub(super) zone: &'a TimeZone,
}

impl Call<'_> {
    /// An argument's text; `None` when absent or null.
    fn text(&self, position: usize) -> Option<String> {
        self.arguments.get(position).filter(|value| !value.is_nil()).map(|value| value.to_kstr().into_string())
    }
}

type Run = fn(&Call<'_>) -> Result<Value, String>;

/// One filter: a row of the table.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) arguments: &'static [ParameterReflection],
    pub(super) about: &'static str,
    /// A template, and what it renders to as text.
    pub(super) example: (&'static str, &'static str),
    /// What it does in HTML parts.
    pub(super) html: Run,
    /// What it does in text parts and subjects.
    pub(super) text: Run,
    /// Whether its result is HTML and not escaped again; it must then be the last of its chain.
    pub(super) makes_html: bool,
    /// Whether templates may name it; the others are appended by the compiler.
    pub(super) public: bool,
}

/// One filter, as the documentation shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterDoc {
    /// Its name.
    pub name: &'static str,
    /// Its arguments, optional ones in brackets.
    pub arguments: String,
    /// What it does.
    pub about: &'static str,
    /// A template that uses it.
    pub example: &'static str,
    /// What the example renders to as text.
    pub output: &'static str,
}

/// The documentation of every filter beyond liquid's own, in the order of the table.
pub fn filter_docs() -> Vec<FilterDoc> {
    rows()
        .filter(|row| row.public)
        .map(|row| FilterDoc {
            name: row.name,
            arguments: row
                .arguments
                .iter()
                .map(
                    |argument| if argument.is_optional { format!("[{}]", argument.name) } else { argument.name.into() },
                )
                .collect::<Vec<_>>()
                .join(", "),
            about: row.about,
            example: row.example.0,
            output: row.example.1,
        })
        .collect()
}

/// Every row of the table.
pub(super) fn rows() -> impl Iterator<Item = &'static Row> {
    [numbers::ROWS, words::ROWS, dates::ROWS, charts::ROWS, escape::ROWS, arithmetic::ROWS].into_iter().flatten()
}

/// Which part of a message a filter works for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The HTML part.
    Html,
    /// The text part, subjects, headers and addresses of links.
    Text,
}

/// A row as liquid's parser wants it.
#[derive(Clone)]
pub(super) struct TableParser {
    pub(super) row: &'static Row,
    pub(super) part: Part,
    pub(super) zone: TimeZone,
}

impl FilterReflection for TableParser {
    fn name(&self) -> &str {
        self.row.name
    }

    fn description(&self) -> &str {
        self.row.about
    }

    fn positional_parameters(&self) -> &'static [ParameterReflection] {
        self.row.arguments
    }

    fn keyword_parameters(&self) -> &'static [ParameterReflection] {
        &[]
    }
}

impl ParseFilter for TableParser {
    fn parse(&self, arguments: FilterArguments<'_>) -> Result<Box<dyn Filter>, Error> {
        let run = match self.part {
            Part::Html => self.row.html,
            Part::Text => self.row.text,
        };
        let arguments: Vec<Expression> = arguments.positional.collect();
        let required = self.row.arguments.iter().filter(|argument| !argument.is_optional).count();
        if arguments.len() < required || arguments.len() > self.row.arguments.len() {
            return Err(Error::with_msg(format!("`{}` has the wrong number of arguments", self.row.name)));
        }
        Ok(Box::new(TableFilter { name: self.row.name, arguments, run, zone: self.zone.clone() }))
    }

    fn reflection(&self) -> &dyn FilterReflection {
        self
    }
}

#[derive(Debug)]
struct TableFilter {
    name: &'static str,
    arguments: Vec<Expression>,
    run: Run,
    zone: TimeZone,
}

impl fmt::Display for TableFilter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name)
    }
}

impl Filter for TableFilter {
    fn evaluate(&self, input: &dyn ValueView, runtime: &dyn Runtime) -> Result<Value, Error> {
        if input.is_nil() && self.name != escape::URL_PART {
            return Ok(Value::Nil);
        }
        let mut arguments = Vec::with_capacity(self.arguments.len());
        for argument in &self.arguments {
            arguments.push(argument.evaluate(runtime)?.into_owned());
        }
        (self.run)(&Call { input, arguments: &arguments, zone: &self.zone }).map_err(|message| {
            let is_named = rows().any(|row| row.public && row.name == self.name);
            Error::with_msg(if is_named { format!("filter `{}` {message}", self.name) } else { message })
        })
    }
}

/// A required argument of a row.
const fn required(name: &'static str, description: &'static str) -> ParameterReflection {
    ParameterReflection { name, description, is_optional: false }
}

/// An optional argument of a row.
const fn optional(name: &'static str, description: &'static str) -> ParameterReflection {
    ParameterReflection { name, description, is_optional: true }
}

/// A public row that does the same in HTML and in text.
const fn row(
    name: &'static str,
    arguments: &'static [ParameterReflection],
    about: &'static str,
    example: (&'static str, &'static str),
    run: Run,
) -> Row {
    Row { name, arguments, about, example, html: run, text: run, makes_html: false, public: true }
}

pub(super) use escape::{
    CSS, CSS_TEXT, CSS_URL, ESCAPE, PLAIN, URL, URL_OPAQUE, URL_PART, URL_PIECE, URL_REST, URL_TAIL,
};

#[cfg(test)]
mod tests;
