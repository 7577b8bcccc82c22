//! The one failure the edge knows: words for people, JSON for programs, an exit code for orchestrators.

use serde::Serialize;
use serde_json::json;

use super::diagnostics::{self, DiagnosticJson};
use super::output::{Format, Output};
use crate::model::Diagnostic;
use crate::run::{Exit, RunError};

/// A command that did not do as asked.
#[derive(Debug)]
pub(super) struct Failure {
    /// Decides the exit code.
    pub exit: Exit,
    /// What went wrong; nothing when the diagnostics say it all.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
    /// Findings about the project.
    pub diagnostics: Vec<Diagnostic>,
    /// What a log may say of it: no ids, no values; `None` where the message has none.
    pub logged: Option<&'static str>,
}

#[derive(Serialize)]
struct FailureJson<'a> {
    error: &'a str,
    hint: Option<&'a str>,
    exit_code: u8,
    diagnostics: Vec<DiagnosticJson<'a>>,
}

impl Failure {
    /// A failure with words and advice.
    pub(super) fn new(exit: Exit, message: impl Into<String>, hint: impl Into<Option<String>>) -> Self {
        Self { exit, message: message.into(), hint: hint.into(), diagnostics: Vec::new(), logged: None }
    }

    /// Writes the failure where it belongs: JSON to standard output when asked for, words to standard error always.
    pub(super) fn show(&self, output: Output) {
        if output.format == Format::Json {
            let diagnostics = diagnostics::as_json(&self.diagnostics);
            let hint = self.hint.as_deref();
            let json = FailureJson { error: &self.message, hint, exit_code: self.exit.code(), diagnostics };
            output.result("", &json);
        }
        output.findings(&self.diagnostics);
        let summary = match self.diagnostics.as_slice() {
            [] => String::new(),
            findings => format!(" ({})", diagnostics::summary(findings)),
        };
        if output.log_format == Format::Json {
            let message = self.logged.map_or_else(|| format!("{}{summary}", self.message), str::to_owned);
            let (reason, exit_code) = (self.exit.name(), self.exit.code());
            let hint = self.hint.as_deref();
            let fields = json!({ "reason": reason, "exit_code": exit_code, "message": message, "hint": hint });
            return output.log("ERROR", "error", fields);
        }
        output.complain(&format!("error: {}{summary}", indented(&self.message)));
        if let Some(hint) = &self.hint {
            output.complain(&format!("  next: {}", indented(hint)));
        }
    }
}

/// Lines after the first one begin with spaces, so that no value in them passes for a line of its own.
#[must_use]
pub(super) fn indented(message: &str) -> String {
    let mut lines = message.lines();
    let first = lines.next().unwrap_or_default().to_owned();
    lines.fold(first, |text, line| format!("{text}\n  {}", line.trim_start()))
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Invalid { diagnostics } => {
                Self { diagnostics, ..Self::new(Exit::Invalid, "the project has errors", None) }
            }
            error => Self { logged: error.logged(), ..Self::new(error.exit(), error.in_words(), error.hint()) },
        }
    }
}
