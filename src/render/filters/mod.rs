//! Every filter stands in one table, with the kinds it takes and gives; those beyond liquid's own have an example that is
//! tested.
//!
//! A filter never panics and never shows the value that it cannot read. Null stays null, except where liquid makes text
//! or lists of it.

mod arithmetic;
mod charts;
mod css;
mod dates;
mod escape;
mod kinds;
mod lists;
mod numbers;
mod texts;
mod words;

use std::rc::Rc;

use jiff::tz::TimeZone;

use super::liquid::Data;
pub(super) use charts::is_colour;
pub(super) use dates::{Format, nearest_zone, reads_as_moment, shows_clock};
pub(super) use escape::{
    CSS, CSS_TEXT, CSS_URL, ESCAPE, PLAIN, URL, URL_OPAQUE, URL_PART, URL_PIECE, URL_REST, URL_TAIL,
};
pub(super) use kinds::{Argument, ArgumentKind, Gives, Takes};
use kinds::{optional, required};
pub(super) use numbers::decimals_of;

/// What a filter is given.
pub(super) struct Call<'c, 'a> {
    /// What stands before the `|`; null only where the row takes it.
    pub(super) input: &'c Data<'a>,
    /// The arguments in order, null where they are missing.
    pub(super) arguments: &'c [Data<'a>],
    /// The project's time zone.
    pub(super) zone: &'c TimeZone,
}

impl<'a> Call<'_, 'a> {
    /// An argument; `None` when absent or null.
    fn argument(&self, position: usize) -> Option<&Data<'a>> {
        self.arguments.get(position).filter(|value| !value.is_nil())
    }

    /// An argument's text; `None` when absent or null.
    fn text(&self, position: usize) -> Option<Rc<str>> {
        self.argument(position).map(Data::to_text)
    }
}

/// Why a filter has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Misfit {
    /// The input or an argument is none that it can read.
    Unreadable,
    /// The mail may not be made, and why, without any value.
    Stops(String),
}

/// What a filter does.
pub(super) type Run = for<'c, 'a> fn(&Call<'c, 'a>) -> Result<Data<'a>, Misfit>;

/// One filter: a row of the table.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) takes: Takes,
    pub(super) arguments: &'static [Argument],
    pub(super) gives: Gives,
    /// Whether it makes something of null; else null stays null.
    pub(super) takes_null: bool,
    pub(super) about: &'static str,
    /// A template, and what it renders to as text; empty for liquid's own filters.
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

impl Row {
    /// How many arguments it needs.
    pub(super) fn required(&self) -> usize {
        self.arguments.iter().filter(|argument| !argument.optional).count()
    }
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
        .filter(|row| row.public && !row.example.0.is_empty())
        .map(|row| FilterDoc {
            name: row.name,
            arguments: row
                .arguments
                .iter()
                .map(|argument| if argument.optional { format!("[{}]", argument.name) } else { argument.name.into() })
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
    [numbers::ROWS, words::ROWS, dates::ROWS, charts::ROWS, escape::ROWS, arithmetic::ROWS, texts::ROWS, lists::ROWS]
        .into_iter()
        .flatten()
}

/// The row of a filter.
pub(super) fn row_of(name: &str) -> Option<&'static Row> {
    rows().find(|row| row.name == name)
}

/// Which part of a message a filter works for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The HTML part.
    Html,
    /// The text part, subjects, headers and addresses of links.
    Text,
}

/// A public row that does the same in HTML and in text.
const fn row(
    name: &'static str,
    (takes, gives): (Takes, Gives),
    arguments: &'static [Argument],
    (about, example): (&'static str, (&'static str, &'static str)),
    run: Run,
) -> Row {
    Row {
        name,
        takes,
        arguments,
        gives,
        takes_null: false,
        about,
        example,
        html: run,
        text: run,
        makes_html: false,
        public: true,
    }
}

/// One of liquid's own filters.
const fn standard(
    name: &'static str,
    (takes, gives): (Takes, Gives),
    arguments: &'static [Argument],
    takes_null: bool,
    run: Run,
) -> Row {
    Row { takes_null, ..row(name, (takes, gives), arguments, ("", ("", "")), run) }
}

#[cfg(test)]
mod tests;
