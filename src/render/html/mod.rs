//! The HTML part and the text part that is made from it.

mod address;
mod components;
mod contexts;
mod elements;
mod flow;
mod inline;
pub(super) mod markup;
mod mjml;
mod ops;
pub(super) mod plain_text;
pub(super) mod stretches;
mod structure;
mod style;
