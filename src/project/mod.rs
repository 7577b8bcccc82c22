//! From YAML and SQL text to a [`Project`] that is valid by construction, or every diagnostic with its place.

mod job;
#[expect(clippy::module_inception, reason = "the project is the main value of this layer")]
mod project;

pub use job::{
    Category, Compare, Entity, EventRows, Job, JobKind, Levels, Limits, Measure, MessageSpec, Metric, Milestone,
    MilestoneSource, OnUnknown, Reaches, Recap, RecapZone, SendLevels,
};
pub use project::{
    LedgerLocation, Partition, PartitionKind, PartitionOf, Project, ProviderConfig, Setting, Start, Table, TableFormat,
    Unsubscribe, View,
};
