//! milepost turns event tables into milestone and recap emails, as code.
//!
//! The house is a pipeline, and every folder does one job; a module imports only from lower layers:
//!
//! ```text
//! project  ->  warehouse  ->  evaluate  ->  decide  ->  render  ->  deliver  ->  report
//! YAML+SQL     tables,views   flags,       one reason   liquid,     claim,send,   counts,
//! to typed     DataFusion     matrices     each         MJML        record        artifacts
//! ```
//!
//! | layer | modules |
//! |--:|---|
//! | 0 | [`model`], [`clock`] |
//! | 1 | [`settings`] |
//! | 2 | [`storage`], [`database`], [`project`] |
//! | 3 | [`warehouse`], [`render`], [`ledger`], [`providers`] |
//! | 4 | [`evaluate`], [`decide`], [`deliver`] |
//! | 5 | [`run`] |
//! | 6 | [`cli`] |

pub mod cli;
pub mod clock;
pub mod database;
pub mod decide;
pub mod deliver;
pub mod evaluate;
pub mod ledger;
pub mod model;
pub mod project;
pub mod providers;
pub mod render;
pub mod run;
pub mod settings;
pub mod storage;
pub mod warehouse;
