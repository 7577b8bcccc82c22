//! Given rows, expected flags, metrics and candidates.

mod checks;
mod milestones;
mod recaps;
mod sources;
pub(crate) mod world;
