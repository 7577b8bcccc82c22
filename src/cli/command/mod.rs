//! One file per command; the list is `Command` in `arguments.rs`.

pub(super) mod check;
pub(super) mod compile;
pub(super) mod deliveries;
pub(super) mod demo;
pub(super) mod flags;
pub(super) mod init;
pub(super) mod ledger;
pub(super) mod metrics;
pub(super) mod preview;
pub(super) mod run;
pub(super) mod status;
