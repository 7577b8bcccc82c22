//! Runs against a misbehaving provider, killed and run again.

#[cfg(all(unix, debug_assertions))]
mod crash;
mod faults;
mod house;
mod peers;
mod project;
#[cfg(debug_assertions)]
mod quota;
mod recovery;
mod stops;
#[cfg(all(unix, debug_assertions))]
mod takeover;
