//! The only place that prints: data to standard output, everything else to standard error.
//!
//! Guarantees: what data hold reaches no terminal but as letters; a result that could not be written is told and makes the exit
//! code. Never: takes a reader that went away (`| head`) for a failure.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

use clap::ValueEnum;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::diagnostics;
use crate::clock::Clock;
use crate::model::{Diagnostic, Severity};

/// How a command's result is written to standard output, and log lines to standard error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people.
    #[default]
    Text,
    /// JSON: one document of a result, one line of each event of a log.
    Json,
}

/// Standard output and standard error of one command.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Output {
    /// How results are written.
    pub format: Format,
    /// How everything else is written.
    pub log_format: Format,
    /// No progress and no remarks on standard error.
    pub quiet: bool,
}

/// Why standard output could not be written, where that is so.
static UNWRITTEN: Mutex<Option<String>> = Mutex::new(None);

impl Output {
    /// Writes a result: `text` for people, or `value` as one JSON document.
    pub(super) fn result(self, text: &str, value: &impl Serialize) {
        match self.format {
            Format::Text => self.data(text),
            Format::Json => {
                let json =
                    serde_json::to_string_pretty(value).unwrap_or_else(|error| format!("{{\"error\": \"{error}\"}}"));
                self.json(&json);
            }
        }
    }

    /// Writes lines for people to standard output.
    pub(super) fn data(self, text: &str) {
        self.json(&harmless(text));
    }

    /// Writes a JSON document to standard output as it is.
    #[expect(clippy::unused_self, reason = "nothing is printed without the command's output")]
    pub(super) fn json(self, text: &str) {
        let mut out = io::stdout().lock();
        let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        let written = out.write_all(text.as_bytes()).and_then(|()| out.write_all(end.as_bytes()));
        note(written.and_then(|()| out.flush()));
    }

    /// Writes a remark to standard error, unless quiet.
    pub(super) fn remark(self, text: &str) {
        match (self.quiet, self.log_format) {
            (true, _) => {}
            (_, Format::Text) => self.complain(text),
            (_, Format::Json) => self.log("INFO", "remark", json!({ "message": text.trim() })),
        }
    }

    /// Writes an error to standard error.
    pub(super) fn complain(self, text: &str) {
        match self.log_format {
            Format::Text => self.lines(&harmless(text)),
            Format::Json => self.log("ERROR", "error", json!({ "message": text.trim() })),
        }
    }

    /// Writes findings to standard error: with their snippets, or one line each.
    pub(super) fn findings(self, findings: &[Diagnostic]) {
        match self.log_format {
            _ if findings.is_empty() => {}
            Format::Text => {
                let clean: Vec<Diagnostic> = findings.iter().map(harmless_finding).collect();
                self.lines(&(diagnostics::render(&clean, errors_take_colour()) + "\n\n"));
            }
            Format::Json => {
                for (finding, shown) in findings.iter().zip(diagnostics::as_json(findings)) {
                    let level = match finding.severity {
                        Severity::Error => "ERROR",
                        Severity::Warning => "WARN",
                        Severity::Note => "INFO",
                    };
                    let found = serde_json::to_value(shown).unwrap_or_default();
                    self.log(level, "finding", json!({ "finding": found }));
                }
            }
        }
    }

    /// Writes one event of a JSON log: a line with its instant, level and stable code; nothing where logs are for people.
    pub(super) fn log(self, level: &str, code: &str, fields: Value) {
        if self.log_format == Format::Text {
            return;
        }
        let mut event = Map::new();
        event.insert("timestamp".to_owned(), Clock::System.now().to_string().into());
        event.insert("level".to_owned(), level.into());
        event.insert("code".to_owned(), code.into());
        if let Value::Object(fields) = fields {
            event.extend(fields.into_iter().filter(|(_, value)| !value.is_null()));
        }
        self.lines(&format!("{}\n", Value::Object(event)));
    }

    #[expect(clippy::unused_self, reason = "nothing is printed without the command's output")]
    fn lines(self, text: &str) {
        let end = if text.ends_with('\n') { "" } else { "\n" };
        let _ = write!(io::stderr().lock(), "{text}{end}");
    }

    /// Whether a progress bar may be drawn.
    #[must_use]
    pub(super) fn shows_progress(self) -> bool {
        !self.quiet && self.log_format == Format::Text && io::stderr().is_terminal()
    }
}

/// The log format that arguments ask for, also where they are no command.
#[must_use]
pub(super) fn log_format_of(arguments: &[OsString]) -> Format {
    let asks = arguments.windows(2).any(|pair| pair[0] == "--log-format" && pair[1] == "json");
    let is_json = asks || arguments.iter().any(|argument| argument == "--log-format=json");
    if is_json { Format::Json } else { Format::Text }
}

/// Keeps the first failure of standard output but those of a reader that went away.
pub(super) fn note(written: io::Result<()>) {
    if let Err(error) = written
        && error.kind() != ErrorKind::BrokenPipe
    {
        UNWRITTEN.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error.to_string());
    }
}

/// Why standard output could not be written, where that is so.
#[must_use]
pub(super) fn unwritten() -> Option<String> {
    UNWRITTEN.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Text whose letters a terminal only shows: what would move its cursor, colour it or turn its lines around is escaped.
/// Line breaks and tabs stay: they are the layout's.
fn harmless(text: &str) -> String {
    escaped(text, |letter| is_harmful(letter) && !matches!(letter, '\n' | '\t'))
}

/// A value of the data on one line, as people may see it.
#[must_use]
pub(super) fn shown(value: &str) -> String {
    escaped(value, is_harmful)
}

fn is_harmful(letter: char) -> bool {
    // Marks that turn the direction of text around, and separators that end a line.
    letter.is_control()
        || matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn escaped(text: &str, is_escaped: impl Fn(char) -> bool) -> String {
    let mut clean = String::with_capacity(text.len());
    for letter in text.chars() {
        if is_escaped(letter) {
            let _ = write!(clean, "{}", letter.escape_default());
        } else {
            clean.push(letter);
        }
    }
    clean
}

fn harmless_finding(finding: &Diagnostic) -> Diagnostic {
    let (message, help) = (harmless(&finding.message), finding.help.as_deref().map(harmless));
    Diagnostic { message, help, ..finding.clone() }
}

/// Whether standard error takes colours.
#[must_use]
pub(super) fn errors_take_colour() -> bool {
    io::stderr().is_terminal() && crate::settings::variable("NO_COLOR").is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_shown_as_letters() {
        for (value, kept, on_one_line) in [
            ("Zoë\tÅ 日本", "Zoë\tÅ 日本", "Zoë\\tÅ 日本"),
            ("\u{1b}[31mred", "\\u{1b}[31mred", "\\u{1b}[31mred"),
            ("\u{1b}]0;title\u{7}", "\\u{1b}]0;title\\u{7}", "\\u{1b}]0;title\\u{7}"),
            ("a\nb\r", "a\nb\\r", "a\\nb\\r"),
            ("\u{9b}2J\u{85}", "\\u{9b}2J\\u{85}", "\\u{9b}2J\\u{85}"),
            (
                "abc\u{202e}fed\u{2069}\u{200f}",
                "abc\\u{202e}fed\\u{2069}\\u{200f}",
                "abc\\u{202e}fed\\u{2069}\\u{200f}",
            ),
            ("a\u{2028}b\u{7f}\0", "a\\u{2028}b\\u{7f}\\u{0}", "a\\u{2028}b\\u{7f}\\u{0}"),
        ] {
            assert_eq!((harmless(value).as_str(), shown(value).as_str()), (kept, on_one_line));
        }
    }
}
