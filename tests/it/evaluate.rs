//! Given rows, expected flags, metrics and candidates.

mod checks;
mod computed_once;
mod event_names;
mod history;
mod kinds;
mod milestones;
mod oracle;
mod recap_data;
mod recap_features;
mod recap_oracle;
mod recaps;
mod sources;
mod sql;
pub(crate) mod world;
