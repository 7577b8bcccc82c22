//! The allow-list over SQL's syntax tree: every clause that the parser knows is either carried out by the engine or
//! refused here, with its place and what to write in its place.
//!
//! Guarantees: every structure is taken apart field by field, without `..`, so that a field of a newer parser does not
//! compile until somebody has decided about it.

mod call;
mod data_type;
pub(super) mod dialect;
mod expression;
mod operator;
mod query;
mod relation;
mod select;
#[cfg(test)]
mod tests;
mod time_formats;
mod zones;

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Query, Select, TableFactor, Visit, Visitor};
use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan, Tokenizer};

use super::place::place_of_span;
use crate::model::diagnostic::{Diagnostic, Located, Place};
use dialect::EngineDialect;

/// The code of findings about syntax that the engine would ignore or cannot carry out.
pub(super) const NOT_CARRIED_OUT: &str = "sql-not-supported";

/// The functions whose arguments and clauses depend on what kind of function it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FunctionKind {
    /// One value per row.
    Scalar,
    /// One value for many rows.
    Aggregate,
    /// One value per row, from rows around it.
    Window,
    /// Rows.
    Unnest,
    /// The engine does not know it.
    Unknown,
}

/// Everything in a tree that is not carried out.
pub(super) fn refusals<T: Visit>(
    sql: &Located<String>,
    tree: &T,
    kind_of: &dyn Fn(&str) -> FunctionKind,
) -> Vec<Diagnostic> {
    let tokens = Tokenizer::new(&EngineDialect, &sql.value).tokenize_with_location().unwrap_or_default();
    let mut refusals = Refusals { sql, tokens, kind_of, findings: Vec::new() };
    let _: ControlFlow<()> = tree.visit(&mut refusals);
    refusals.findings
}

/// The place of the first token that is this word or operator; the whole text where there is none.
pub(super) fn first_token(sql: &Located<String>, word: &str) -> Place {
    let tokens = Tokenizer::new(&EngineDialect, &sql.value).tokenize_with_location().unwrap_or_default();
    let refusals = Refusals { sql, tokens, kind_of: &|_| FunctionKind::Unknown, findings: Vec::new() };
    refusals.find(word, Span::empty()).map_or_else(|| sql.place.clone(), |span| place_of_span(sql, span))
}

/// What was refused so far, and what is needed to say where.
struct Refusals<'a> {
    sql: &'a Located<String>,
    tokens: Vec<TokenWithSpan>,
    kind_of: &'a dyn Fn(&str) -> FunctionKind,
    findings: Vec<Diagnostic>,
}

impl Refusals<'_> {
    /// Refuses what begins with a word or an operator, in or after the part of the text that `near` covers.
    fn refuse(&mut self, word: &str, near: Span, help: &str) {
        self.refuse_as(word, near, &format!("`{}` is not carried out here", word.to_lowercase()), help);
    }

    /// The same in words of its own.
    fn refuse_as(&mut self, word: &str, near: Span, message: &str, help: &str) {
        let span = self.find(word, near).unwrap_or(near);
        let place = place_of_span(self.sql, span);
        let finding = Diagnostic::error(NOT_CARRIED_OUT, message, &place).with_help(help);
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    /// Reports what is carried out, but not in the same way every time.
    fn refuse_unrepeatable(&mut self, word: &str, near: Span, message: &str, help: &str) {
        let span = self.find(word, near).unwrap_or(near);
        let place = place_of_span(self.sql, span);
        self.findings.push(Diagnostic::error(super::statement::NOT_REPEATABLE, message, &place).with_help(help));
    }

    /// The first token that is this word, from the start of a span on; else the first one at all.
    fn find(&self, word: &str, near: Span) -> Option<Span> {
        let is_word = |token: &&TokenWithSpan| match &token.token {
            Token::Word(found) => found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word),
            other => other.to_string() == word,
        };
        let after = self.tokens.iter().filter(is_word).find(|token| token.span.start >= near.start);
        after.or_else(|| self.tokens.iter().find(is_word)).map(|token| token.span)
    }
}

impl Visitor for Refusals<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        query::query(query, self);
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        select::select(select, self);
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        relation::factor(factor, self);
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
        expression::expression(expression, self);
        zones::zones(expression, self);
        time_formats::time_formats(expression, self);
        ControlFlow::Continue(())
    }
}
