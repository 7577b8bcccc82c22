//! `milepost test`: job tests, with the differences of those that fail.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::cli::Context;
use crate::cli::diagnostics::{self, DiagnosticJson};
use crate::cli::failure::Failure;
use crate::cli::output::{Format, shown};
use crate::run::{self, Exit, TestReport, TestRequest, TestResult};

/// Run the job tests of `jobs/tests/`: given rows, expected mails; no network, no ledger.
#[derive(Debug, Args)]
pub(crate) struct Test {
    /// Only tests of these jobs.
    jobs: Vec<String>,
    /// Also write the results as JUnit XML.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write snapshots that differ or are missing instead of failing.
    #[arg(long)]
    update_snapshots: bool,
}

#[derive(Serialize)]
struct TestJson<'a> {
    exit_code: u8,
    passed: usize,
    failed: usize,
    tests: &'a [TestResult],
    diagnostics: Vec<DiagnosticJson<'a>>,
}

impl Test {
    pub(crate) async fn execute(self, context: &Context<'_>) -> Result<Exit, Failure> {
        let request = TestRequest { jobs: self.jobs, update_snapshots: self.update_snapshots };
        let report = run::test(&context.workspace, &request).await?;
        if let Some(file) = &self.junit {
            run::write_junit(&context.workspace.start.join(file), &report)?;
        }
        let exit = report.exit();
        let failed = report.failed().count();
        if context.output.format == Format::Json {
            let diagnostics = diagnostics::as_json(&report.diagnostics);
            let passed = report.tests.len() - failed;
            let json = TestJson { exit_code: exit.code(), passed, failed, tests: &report.tests, diagnostics };
            context.output.result("", &json);
            return Ok(exit);
        }
        context.output.findings(&report.diagnostics);
        context.output.data(&in_words(&report, failed));
        if report.tests.is_empty() && report.diagnostics.is_empty() {
            context.output.remark("  next: write one to jobs/tests/NAME.yml; docs/reference/tests.md shows how");
        }
        Ok(exit)
    }
}

fn in_words(report: &TestReport, failed: usize) -> String {
    let mut lines = Vec::new();
    for test in &report.tests {
        let mark = if test.failures.is_empty() { "ok  " } else { "FAIL" };
        let description = test.description.as_ref().map(|text| format!(" \u{b7} {}", shown(text))).unwrap_or_default();
        lines.push(format!("{mark}  {} ({}){description}", test.file, test.job));
        let failures = test.failures.iter().flat_map(|failure| failure.lines());
        lines.extend(failures.map(|line| format!("      {line}")));
        lines.extend(test.written.iter().map(|file| format!("      wrote {file}")));
    }
    let passed = report.tests.len() - failed;
    let invalid = match diagnostics::summary(&report.diagnostics).as_str() {
        "no problems" => String::new(),
        summary => format!(", {summary}"),
    };
    lines.push(format!("{passed} passed, {failed} failed{invalid}"));
    lines.join("\n")
}
