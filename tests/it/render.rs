//! Templates checked in every branch, hostile values kept harmless, and the bytes of whole messages.

mod agreement;
mod check;
mod components;
mod compose;
mod contexts;
mod expressions;
mod fuzz;
mod house;
mod kinds;
mod markup;
mod parts;
mod reader;
mod real_templates;
