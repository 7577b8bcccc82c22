//! Evidence that the whole behaves: one binary, cases as data.

mod cli;
mod delivery;
mod docs;
mod evaluate;
mod examples;
mod job_tests;
mod ledger;
mod project;
mod providers;
mod render;
mod storage;
mod tidy;
