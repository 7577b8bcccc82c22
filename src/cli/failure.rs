//! The one failure the edge knows: words for people, JSON for programs, an exit code for orchestrators.

use serde::Serialize;

use super::diagnostics::{self, DiagnosticJson};
use super::output::{Format, Output, errors_take_colour};
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
        Self { exit, message: message.into(), hint: hint.into(), diagnostics: Vec::new() }
    }

    /// Writes the failure where it belongs: JSON to standard output when asked for, words to standard error always.
    pub(super) fn show(&self, output: Output) {
        if output.format == Format::Json {
            let diagnostics = self.diagnostics.iter().map(DiagnosticJson::from).collect();
            let hint = self.hint.as_deref();
            let json = FailureJson { error: &self.message, hint, exit_code: self.exit.code(), diagnostics };
            output.result("", &json);
        }
        if !self.diagnostics.is_empty() {
            output.complain(&diagnostics::render(&self.diagnostics, errors_take_colour()));
            output.complain("");
        }
        let summary = match self.diagnostics.as_slice() {
            [] => String::new(),
            findings => format!(" ({})", diagnostics::summary(findings)),
        };
        output.complain(&format!("error: {}{summary}", self.message));
        if let Some(hint) = &self.hint {
            output.complain(&format!("  next: {hint}"));
        }
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Invalid { diagnostics } => {
                Self { diagnostics, ..Self::new(Exit::Invalid, "the project has errors", None) }
            }
            error => Self::new(error.exit(), error.in_words(), error.hint()),
        }
    }
}
