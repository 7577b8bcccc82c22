//! Use cases: check, test, run, preview, flags and metrics, status, scaffold. They return values; printing is the edge's.

mod check;
mod decided;
mod error;
mod exit;
mod job_run;
mod job_tests;
mod junit;
mod ledger_access;
mod mailing;
mod preview;
mod report;
mod results;
mod runs;
mod scaffold;
mod spool;
mod status;
mod tables;
mod workspace;

pub use crate::project::SchemaKind;
pub use crate::warehouse::{FunctionDoc, function_docs};
pub use check::{CheckReport, check};
pub use error::RunError;
pub use exit::Exit;
pub use job_tests::{TestReport, TestRequest, TestResult, test};
pub use junit::write_junit;
pub use ledger_access::{DeliveryQuery, ListedDelivery, create_ledger, deliveries};
pub use preview::{PreviewReport, PreviewRequest, PreviewedMail, preview};
pub use report::{JobReport, JobStatus, RunReport};
pub use runs::{Progress, Report, RunOptions, run};
pub use scaffold::{STARTER_AS_OF, demo_folder, scaffold, schema_text};
pub use status::{StatusReport, status};
pub use tables::{TableKind, TableRequest, queries, table};
pub use workspace::{PreparedJob, Workspace, WorkspaceOptions};
