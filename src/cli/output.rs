//! The only place that prints: data to standard output, everything else to standard error.

use std::io::{IsTerminal, Write};

use clap::ValueEnum;
use serde::Serialize;

/// How a command's result is written to standard output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON document.
    Json,
}

/// Standard output and standard error of one command.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    /// How results are written.
    pub format: Format,
    /// No progress and no remarks on standard error.
    pub quiet: bool,
}

impl Output {
    /// Writes a result: `text` for people, or `value` as one JSON document.
    pub(super) fn result(self, text: &str, value: &impl Serialize) {
        match self.format {
            Format::Text => self.data(text),
            Format::Json => {
                let json =
                    serde_json::to_string_pretty(value).unwrap_or_else(|error| format!("{{\"error\": \"{error}\"}}"));
                self.data(&json);
            }
        }
    }

    /// Writes lines to standard output. A reader that went away (`| head`) is no error.
    #[expect(clippy::unused_self, reason = "nothing is printed without the command's output")]
    pub(super) fn data(self, text: &str) {
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(text.as_bytes());
        if !text.is_empty() && !text.ends_with('\n') {
            let _ = out.write_all(b"\n");
        }
        let _ = out.flush();
    }

    /// Writes a remark to standard error, unless quiet.
    pub(super) fn remark(self, text: &str) {
        if !self.quiet {
            self.complain(text);
        }
    }

    /// Writes an error to standard error.
    #[expect(clippy::unused_self, reason = "nothing is printed without the command's output")]
    pub(super) fn complain(self, text: &str) {
        let _ = writeln!(std::io::stderr().lock(), "{}", text.trim_end());
    }

    /// Whether a progress bar may be drawn.
    #[must_use]
    pub(super) fn shows_progress(self) -> bool {
        !self.quiet && std::io::stderr().is_terminal()
    }
}

/// Whether standard error takes colours.
#[must_use]
pub(super) fn errors_take_colour() -> bool {
    std::io::stderr().is_terminal() && crate::settings::variable("NO_COLOR").is_none()
}
