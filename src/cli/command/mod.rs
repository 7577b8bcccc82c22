//! One file per command; the list is `Command` in `arguments.rs`.

pub(super) mod check;
pub(super) mod compile;
pub(super) mod deliveries;
pub(super) mod demo;
pub(super) mod diff;
pub(super) mod explain;
pub(super) mod export;
pub(super) mod flags;
pub(super) mod functions;
pub(super) mod halt;
pub(super) mod init;
pub(super) mod ledger;
pub(super) mod metrics;
pub(super) mod plan;
pub(super) mod preview;
pub(super) mod run;
pub(super) mod schema;
pub(super) mod status;
pub(super) mod suppress;
pub(super) mod test;
