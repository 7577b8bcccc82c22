//! From YAML and SQL text to a [`Project`] that is valid by construction, or every diagnostic with its place.

mod build;
mod files;
mod health;
mod job;
mod job_tests;
mod json_schema;
mod load;
mod names;
mod node;
mod overlay;
#[expect(clippy::module_inception, reason = "the project is the main value of this layer")]
mod project;
mod read;
mod recap_values;
mod restraint;
mod restraint_values;
mod schema;
mod secrets;
mod table_values;
mod values;

pub use files::find_root;
pub use health::{HealthSeverity, RowsBound, TableHealth};

pub use job::{
    Breakdown, Category, Compare, Entity, EventRows, Job, JobKind, Levels, Limits, Measure, MessageSpec, Metric,
    Milestone, MilestoneSource, Moment, MomentKind, OnUnknown, Reaches, Recap, RecapZone, SendLevels, StreakUnit,
    TopList, Trend,
};
pub use job_tests::{
    EarlierDelivery, ExpectedMail, GivenRow, GivenSuppression, GivenTable, JobTest, RENDER_FAILED, job_tests,
};
pub use json_schema::{SchemaKind, json_schema};
pub use load::{Loaded, load};
pub use project::{
    ColumnKind, FileFormat, LedgerLocation, Partition, PartitionKind, PartitionOf, PathDates, Project, ProviderConfig,
    SegmentLayout, SegmentRows, Setting, Start, Table, TableSource, Unsubscribe, View,
};
pub use restraint::{Cap, JobWindow, Share, Variant, Variants, WindowZone};

/// The ledger that a text names, as `ledger:` of a project would: `sqlite:PATH`, `postgres://...`, `env:NAME` or
/// `file:PATH`; relative paths count from `root`.
#[must_use]
pub fn ledger_location(root: &std::path::Path, text: &str) -> LedgerLocation {
    build::ledger_of_argument(root, text)
}
