//! Flags and metrics as tables, and the queries behind them.

use std::path::Path;

use jiff::Timestamp;

use crate::clock::Clock;
use crate::evaluate::{EvaluateError, FlagColumns, PeriodChoice, Query, Request};
use crate::warehouse::{TableFile, TableReading, WrittenTable};

use super::{RunError, Workspace, WorkspaceOptions};

/// Which table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableKind {
    /// One row per profile, milestone and level.
    Flags {
        /// Also levels not reached.
        all: bool,
        /// One row per profile.
        wide: bool,
    },
    /// One row per entity of a recap.
    Metrics,
}

/// What to compute and where to write it.
#[derive(Clone, Debug)]
pub struct TableRequest {
    /// The job.
    pub job: String,
    /// The logical now; the machine's clock when absent.
    pub as_of: Option<Timestamp>,
    /// The recap's period key; the latest due when absent.
    pub period: Option<String>,
    /// Which table.
    pub kind: TableKind,
    /// The file or folder, a path or a URL; shown as text when absent.
    pub output: Option<String>,
}

/// Computes a table and writes it, or returns it as text (as JSON when `json`).
///
/// # Errors
/// When the project has errors, the job has no such table, or the file cannot be written.
pub async fn table(options: &WorkspaceOptions, request: &TableRequest, json: bool) -> Result<WrittenTable, RunError> {
    let mut workspace = Workspace::open(options).await?;
    workspace.share_audiences(std::slice::from_ref(&request.job))?;
    let job = workspace.jobs(std::slice::from_ref(&request.job))?[0];
    let prepared = workspace.prepare_valid(job).await?;
    if (request.kind == TableKind::Metrics) != job.recap().is_some() {
        let (has, wants) = if job.recap().is_some() { ("a recap", "metrics") } else { ("milestones", "flags") };
        return Err(RunError::Usage {
            message: format!("the job `{}` is {has} and has {wants}", job.name),
            hint: format!("`milepost {wants} {}`", job.name),
        });
    }
    let evaluation = evaluation(request.as_of, request.period.as_deref());
    let rows = match request.kind {
        TableKind::Flags { all, wide } => {
            let columns = if wide {
                FlagColumns::Wide
            } else if all {
                FlagColumns::All
            } else {
                FlagColumns::Reached
            };
            prepared.compiled.flags(&workspace.warehouse, &evaluation, columns).await?
        }
        TableKind::Metrics => prepared.compiled.metrics(&workspace.warehouse, &evaluation).await?,
    };
    let file = match &request.output {
        Some(location) => TableFile::at(&absolute(&options.start, location)),
        None if json => Ok(TableFile::json_text()),
        None => Ok(TableFile::text()),
    };
    let file = file.map_err(EvaluateError::from)?;
    let written = rows.write(file).await.map_err(EvaluateError::from)?;
    for left_out in workspace.warehouse.left_out() {
        tracing::warn!(code = "files_left_out", "not read: {left_out}");
    }
    for misfit in workspace.warehouse.take_misfits() {
        tracing::warn!(code = "read_as_null", "{misfit}: read as null; declare the column's type, or mend the file");
    }
    Ok(written)
}

/// The queries of a job, readable.
///
/// # Errors
/// When the project has errors or there is no such job.
pub async fn queries(
    options: &WorkspaceOptions,
    job: &str,
    as_of: Option<Timestamp>,
    period: Option<String>,
) -> Result<Vec<Query>, RunError> {
    let workspace = Workspace::open_without_ledger(options).await?;
    let job = workspace.jobs(&[job.to_owned()])?[0];
    let prepared = workspace.prepare_valid(job).await?;
    Ok(prepared.compiled.queries(&evaluation(as_of, period.as_deref()))?)
}

/// A location from the command line: a URL as it is, a path from the working directory.
pub(super) fn absolute(start: &Path, location: &str) -> String {
    if location.contains("://") { location.to_owned() } else { start.join(location).to_string_lossy().into_owned() }
}

/// The queries of a job with what each reads of tables of files, from plans and footers alone.
///
/// # Errors
/// When the project has errors, there is no such job, or its tables cannot be read.
pub async fn explained_queries(
    options: &WorkspaceOptions,
    job: &str,
    as_of: Option<Timestamp>,
    period: Option<String>,
) -> Result<Vec<(Query, Vec<TableReading>)>, RunError> {
    let workspace = Workspace::open_without_ledger(options).await?;
    let job = workspace.jobs(&[job.to_owned()])?[0];
    let prepared = workspace.prepare_valid(job).await?;
    let request = evaluation(as_of, period.as_deref());
    Ok(prepared.compiled.readings(&workspace.warehouse, &request).await?)
}

/// An evaluation for everybody.
pub(super) fn evaluation(as_of: Option<Timestamp>, period: Option<&str>) -> Request {
    Request { as_of: as_of.unwrap_or_else(|| Clock::System.now()), period: PeriodChoice::of(period), profiles: None }
}
