//! `milepost check`: every problem of a project at once.

use clap::Args;
use serde::Serialize;

use crate::cli::Context;
use crate::cli::diagnostics::{self, DiagnosticJson};
use crate::cli::failure::Failure;
use crate::cli::output::Format;
use crate::model::Severity;
use crate::run::{self, CheckRequest, CheckTables, Exit};

/// Find everything that can be known to be wrong before a run.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own on the command line")]
pub(crate) struct Check {
    /// Only these jobs (and whatever they need).
    jobs: Vec<String>,
    /// Warnings are errors.
    #[arg(long)]
    strict: bool,
    /// Take the tables' columns from milepost.schemas.json: no network, no credentials.
    #[arg(long)]
    offline: bool,
    /// Secrets that are not set here are errors: what the environment's providers, ledger and tables need to run.
    #[arg(long)]
    secrets: bool,
    /// Write the tables' columns to milepost.schemas.json, for `--offline`.
    #[arg(long, conflicts_with = "offline")]
    save_schemas: bool,
}

#[derive(Serialize)]
struct CheckJson<'a> {
    jobs: &'a [String],
    exit_code: u8,
    saved: Option<&'a str>,
    diagnostics: Vec<DiagnosticJson<'a>>,
}

impl Check {
    pub(crate) async fn execute(self, context: &Context<'_>) -> Result<Exit, Failure> {
        let tables = match (self.offline, self.save_schemas) {
            (true, _) => CheckTables::Offline,
            (_, true) => CheckTables::Save,
            _ => CheckTables::Online,
        };
        let request = CheckRequest { jobs: self.jobs.clone(), tables, secrets: self.secrets };
        let report = run::check(&context.workspace, &request).await?;
        let exit = report.exit(self.strict);
        let shown: Vec<_> = report
            .diagnostics
            .iter()
            .filter(|finding| finding.severity != Severity::Note || !context.output.quiet)
            .cloned()
            .collect();
        if context.output.format == Format::Json {
            let diagnostics = diagnostics::as_json(&shown);
            context.output.result(
                "",
                &CheckJson { jobs: &report.jobs, exit_code: exit.code(), saved: report.saved.as_deref(), diagnostics },
            );
            return Ok(exit);
        }
        context.output.findings(&shown);
        if self.save_schemas {
            context.output.remark(&match &report.saved {
                Some(file) => format!("the columns of every table are saved in {file}"),
                None => "nothing is saved: not every table could be opened".to_owned(),
            });
        }
        let jobs = match report.jobs.as_slice() {
            [] => "no job".to_owned(),
            [job] => format!("job {job}"),
            jobs => format!("{} jobs", jobs.len()),
        };
        context.output.data(&format!("checked {jobs}: {}", diagnostics::summary(&shown)));
        Ok(exit)
    }
}
