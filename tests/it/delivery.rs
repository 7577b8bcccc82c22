//! Runs against a misbehaving provider, killed and run again.

mod faults;
mod house;
mod kills;
mod project;
mod recovery;
mod stops;
#[cfg(all(unix, debug_assertions))]
mod takeover;
