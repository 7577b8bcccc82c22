//! Given rows, expected flags, metrics and candidates.

mod checks;
mod kinds;
mod milestones;
mod recaps;
pub(crate) mod world;
