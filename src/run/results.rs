//! `target/milepost/run_results.json`: what a run did, for orchestrators; written by rename, also on failure.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::foreseen::Foreseen;
use super::tables::absolute;
use super::{Exit, JobReport, RunError, RunOptions, RunReport, Stop, StopCause, WorkspaceOptions};
use crate::model::redaction::without_addresses;
use crate::settings::{LocalFiles, crashpoint};
use crate::storage::{self, TemporaryFile};

/// How long a copy may still take once the run is to stop.
const COPYING_GRACE: Duration = Duration::from_millis(400);
/// The version of the document's shape.
const SCHEMA_VERSION: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    metadata: Metadata<'a>,
    args: Value,
    elapsed_seconds: f64,
    exit_code: u8,
    /// Why no job ran, or none after some.
    message: Option<String>,
    results: &'a [JobReport],
    /// What was read of tables of files.
    tables: Option<&'a super::report::TablesRead>,
}

/// Whose run it is.
#[derive(Clone, Copy)]
pub(super) struct Origin<'a> {
    /// The project's folder.
    pub root: &'a Path,
    /// The project's name, where it could be read.
    pub project: Option<&'a str>,
    /// The environment.
    pub environment: Option<&'a str>,
    /// The command's arguments.
    pub arguments: &'a Value,
}

#[derive(Serialize)]
struct Metadata<'a> {
    schema: &'static str,
    schema_version: u32,
    milepost_version: &'static str,
    generated_at: String,
    project: Option<&'a str>,
    environment: Option<&'a str>,
    run_id: Option<&'a str>,
    as_of: Option<String>,
}

/// Writes what a run did below the project's root and returns the file.
///
/// # Errors
/// When the folder or file cannot be written.
pub(super) fn write(origin: Origin<'_>, report: &RunReport) -> Result<PathBuf, RunError> {
    let document = Document {
        metadata: Metadata {
            run_id: Some(&report.run_id),
            as_of: Some(report.as_of.to_string()),
            ..Metadata::of(origin, report.finished_at)
        },
        args: redacted(origin.arguments),
        elapsed_seconds: report.finished_at.duration_since(report.started_at).as_secs_f64(),
        exit_code: report.exit().code(),
        message: report.stopped.map(|cause| cause.to_string()),
        results: &report.jobs,
        tables: Some(&report.tables),
    };
    write_document(origin.root, &document)
}

/// Writes the results of a run that has to be cut off, where nobody else can any more.
pub(super) fn last_words(
    options: &WorkspaceOptions,
    request: &RunOptions,
    foreseen: Foreseen,
) -> Option<Box<dyn FnOnce(StopCause) + Send>> {
    let root = options.root().ok()?;
    let (environment, arguments) = (options.environment.clone(), request.arguments.clone());
    Some(Box::new(move |cause| {
        let cut_off = foreseen.cut_off(cause);
        let project = Some(cut_off.project.name.as_str());
        let origin = Origin { root: &root, project, environment: environment.as_deref(), arguments: &arguments };
        if let Err(error) = write(origin, &cut_off.report) {
            tracing::error!(code = "results_unwritten", "{}", error.in_words());
        }
    }))
}

/// Writes that a run ended before any of its jobs began.
///
/// # Errors
/// When the folder or file cannot be written.
pub(super) fn write_failure(
    origin: Origin<'_>,
    (error, jobs): (&RunError, &[String]),
    now: Timestamp,
) -> Result<PathBuf, RunError> {
    let exit: Exit = error.exit();
    let mut results = Vec::new();
    if let RunError::Stopped { cause } = error {
        results.extend(jobs.iter().map(|job| JobReport::named(job, "")));
        results.iter_mut().for_each(|job: &mut JobReport| job.skip(*cause));
    }
    let document = Document {
        metadata: Metadata::of(origin, now),
        args: redacted(origin.arguments),
        elapsed_seconds: 0.0,
        exit_code: exit.code(),
        message: Some(without_addresses(&error.in_words())),
        results: &results,
        tables: None,
    };
    write_document(origin.root, &document)
}

impl<'a> Metadata<'a> {
    fn of(origin: Origin<'a>, now: Timestamp) -> Self {
        Self {
            schema: "milepost-run-results",
            schema_version: SCHEMA_VERSION,
            milepost_version: env!("CARGO_PKG_VERSION"),
            generated_at: now.to_string(),
            project: origin.project,
            environment: origin.environment,
            run_id: None,
            as_of: None,
        }
    }
}

/// Where else the results go: `--result-to`.
pub(super) struct Copy {
    folder: String,
}

impl Copy {
    /// Refuses a place that can never be written, before anything is dispatched.
    ///
    /// # Errors
    /// When it is neither a path nor a URL of a known store.
    pub(super) fn to(start: &Path, location: &str) -> Result<Self, RunError> {
        let folder = absolute(start, location);
        if folder.contains("://") {
            storage::open_remote(&folder)?;
        }
        Ok(Self { folder })
    }

    /// The same for as long as a run that is to stop may take.
    ///
    /// # Errors
    /// When the place cannot be written, or not in time.
    pub(super) async fn write_in_time(&self, document: &Path, stop: &Stop) -> Result<(), RunError> {
        match stop.race_after(COPYING_GRACE, self.write(document)).await {
            Err(RunError::Stopped { cause }) => {
                let source = std::io::Error::other(cause.to_string());
                Err(RunError::File { path: self.folder.clone(), action: "written", source })
            }
            written => written,
        }
    }

    /// Copies the document; who reads there sees this one or the one before.
    ///
    /// # Errors
    /// When the place cannot be written.
    async fn write(&self, document: &Path) -> Result<(), RunError> {
        let name = document.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let target = format!("{}/{name}", self.folder.trim_end_matches('/'));
        Ok(storage::write_file(document, &target).await?)
    }
}

/// The arguments as they were given, without addresses: `--only` may name an id that holds one.
fn redacted(arguments: &Value) -> Value {
    match arguments {
        Value::String(text) => Value::String(without_addresses(text)),
        Value::Array(values) => values.iter().map(redacted).collect(),
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), redacted(value))).collect(),
        other => other.clone(),
    }
}

fn write_document(root: &Path, document: &Document<'_>) -> Result<PathBuf, RunError> {
    let folder = root.join("target/milepost");
    let path = folder.join("run_results.json");
    let failed = |source| RunError::File { path: path.display().to_string(), action: "written", source };
    LocalFiles::of_project(root).admit_path(&path).map_err(|refusal| failed(refusal.into()))?;
    std::fs::create_dir_all(&folder).map_err(failed)?;
    let mut file = TemporaryFile::within(&folder).map_err(failed)?;
    serde_json::to_writer_pretty(&mut file, document).map_err(|error| failed(error.into()))?;
    file.flush().map_err(failed)?;
    crashpoint!("within_results");
    file.persist(&path).map_err(failed)?;
    crashpoint!("after_results");
    Ok(path)
}
