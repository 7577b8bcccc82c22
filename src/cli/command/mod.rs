//! One file per command; the list is `Command` in `arguments.rs`.

pub mod check;
pub mod compile;
pub mod deliveries;
pub mod demo;
pub mod flags;
pub mod functions;
pub mod init;
pub mod ledger;
pub mod metrics;
pub mod preview;
pub mod run;
pub mod schema;
pub mod status;
pub mod test;
