//! Use cases: check, test, run, preview, flags and metrics, status, scaffold. They return values; printing is the edge's.

mod base;
mod check;
mod corrections;
mod decided;
mod diff;
mod error;
mod exit;
mod explain;
mod halts;
mod job_run;
mod job_tests;
mod junit;
mod ledger_access;
mod ledger_rows;
mod ledger_upkeep;
mod mailing;
mod plan;
mod preview;
mod publish;
mod report;
mod results;
mod runs;
mod scaffold;
mod spool;
mod status;
mod suppressions;
mod tables;
mod workspace;

pub use crate::project::SchemaKind;
pub use crate::warehouse::{FunctionDoc, function_docs};
pub use check::{CheckReport, CheckTables, check};
pub use corrections::{
    CorrectionReport, CorrectionRequest, ShownCorrection, ShownDelivery, correct_deliveries, show_delivery,
};
pub use diff::{DiffMail, DiffPart, DiffReport, DiffRequest, diff};
pub use error::RunError;
pub use exit::Exit;
pub use explain::{ExplainReport, ExplainRequest, ExplainedJob, ExplainedOccasion, explain};
pub use halts::{halt, resume};
pub use job_tests::{TestReport, TestRequest, TestResult, test};
pub use junit::write_junit;
pub use ledger_access::{DeliveryQuery, ListedDelivery, create_ledger, deliveries};
pub use ledger_rows::{ExportReport, export_ledger};
pub use ledger_upkeep::{CopyReport, SoundnessReport, check_ledger, copy_ledger, prune_ledger};
pub use plan::{Plan, PlannedJob, PlannedMail, PlannedSample, plan};
pub use preview::{PreviewReport, PreviewRequest, PreviewedMail, preview};
pub use publish::Published;
pub use report::{JobReport, JobStatus, RunReport, TablesRead, Unwritten};
pub use runs::{Progress, Report, RunOptions, run};
pub use scaffold::{STARTER_AS_OF, demo_folder, scaffold, schema_text};
pub use status::{StatusReport, status};
pub use suppressions::{SuppressRequest, Target, erase, suppress, unsuppress};
pub use tables::{TableKind, TableRequest, explained_queries, queries, table};
pub use workspace::{PreparedJob, Workspace, WorkspaceOptions};
