//! Evidence that the whole behaves: one binary, cases as data.

#![allow(
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test may fail loudly, wait for a server, and say what it could not look at"
)]

mod cli;
mod cookbook;
mod databases;
mod delivery;
mod docs;
mod evaluate;
mod examples;
mod explain;
mod full_disk;
mod health;
mod job_tests;
mod ledger;
mod ledger_commands;
mod local_files;
mod memory;
mod offline;
mod operate;
mod output;
mod plans;
mod postgres;
mod project;
mod providers;
mod render;
mod restraint;
mod segment;
mod semantics;
mod stopping;
mod storage;
mod tables;
mod tidy;
mod values;
