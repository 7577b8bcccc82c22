//! Templates checked in every branch, hostile values kept harmless, and the bytes of whole messages.

mod check;
mod compose;
mod fuzz;
mod house;
mod markup;
mod real_templates;
