//! Runs against a misbehaving provider, killed and run again.

#[cfg(debug_assertions)]
mod clocks;
#[cfg(all(unix, debug_assertions))]
mod crash;
mod faults;
mod house;
mod peers;
mod project;
#[cfg(debug_assertions)]
mod quota;
mod recovery;
#[cfg(debug_assertions)]
mod redaction;
mod refusals;
mod stops;
#[cfg(all(unix, debug_assertions))]
mod takeover;
