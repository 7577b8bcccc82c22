//! Runs against a misbehaving provider, killed and run again.

mod faults;
mod house;
mod kills;
mod recovery;
mod stops;
