//! Given rows, expected flags, metrics and candidates.

mod checks;
mod milestones;
mod recaps;
pub(crate) mod world;
