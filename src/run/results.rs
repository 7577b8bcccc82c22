//! `target/milepost/run_results.json`: what a run did, for orchestrators; written by rename, also on failure.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{RunError, RunReport};

/// The version of the document's shape.
const SCHEMA_VERSION: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    metadata: Metadata<'a>,
    args: &'a serde_json::Value,
    elapsed_seconds: f64,
    exit_code: u8,
    results: &'a [super::JobReport],
}

#[derive(Serialize)]
struct Metadata<'a> {
    schema: &'static str,
    schema_version: u32,
    milepost_version: &'static str,
    generated_at: String,
    project: &'a str,
    environment: Option<&'a str>,
    run_id: &'a str,
    as_of: String,
}

/// Writes the document below the project's root and returns its path.
///
/// # Errors
/// When the folder or file cannot be written.
pub fn write(
    root: &Path,
    project: &str,
    environment: Option<&str>,
    args: &serde_json::Value,
    report: &RunReport,
) -> Result<PathBuf, RunError> {
    let document = Document {
        metadata: Metadata {
            schema: "milepost-run-results",
            schema_version: SCHEMA_VERSION,
            milepost_version: env!("CARGO_PKG_VERSION"),
            generated_at: report.finished_at.to_string(),
            project,
            environment,
            run_id: &report.run_id,
            as_of: report.as_of.to_string(),
        },
        args,
        elapsed_seconds: report.finished_at.duration_since(report.started_at).as_secs_f64(),
        exit_code: report.exit().code(),
        results: &report.jobs,
    };
    let folder = root.join("target/milepost");
    let path = folder.join("run_results.json");
    let failed = |source| RunError::File { path: path.display().to_string(), action: "written", source };
    std::fs::create_dir_all(&folder).map_err(failed)?;
    let mut file = tempfile::NamedTempFile::new_in(&folder).map_err(failed)?;
    serde_json::to_writer_pretty(&mut file, &document).map_err(|error| failed(error.into()))?;
    file.flush().map_err(failed)?;
    file.persist(&path).map_err(|error| failed(error.error))?;
    Ok(path)
}
