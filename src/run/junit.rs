//! Test results in the XML that continuous integration reads.

use std::fmt::Write as _;
use std::path::Path;

use super::{RunError, TestReport};
use crate::model::Severity;
use crate::storage::TemporaryFile;

/// Writes the results as a JUnit file, whole or not at all.
///
/// # Errors
/// When the file cannot be written.
pub fn write_junit(path: &Path, report: &TestReport) -> Result<(), RunError> {
    let failed = |source| RunError::File { path: path.display().to_string(), action: "written", source };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(failed)?;
    let mut file = TemporaryFile::within(folder).map_err(failed)?;
    std::io::Write::write_all(&mut file, document(report).as_bytes()).map_err(failed)?;
    file.persist(path).map_err(failed)
}

fn document(report: &TestReport) -> String {
    let errors: Vec<_> = report.diagnostics.iter().filter(|finding| finding.severity == Severity::Error).collect();
    let seconds: f64 = report.tests.iter().map(|test| test.seconds).sum();
    let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n".to_owned();
    let (tests, failures) = (report.tests.len() + errors.len(), report.failed().count());
    let _ = writeln!(
        text,
        "  <testsuite name=\"milepost\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{}\" time=\"{seconds:.3}\">",
        errors.len()
    );
    for test in &report.tests {
        let (job, name, file) = (escaped(&test.job), escaped(&test.name), escaped(&test.file));
        let _ = write!(
            text,
            "    <testcase classname=\"{job}\" name=\"{name}\" file=\"{file}\" time=\"{:.3}\"",
            test.seconds
        );
        if test.failures.is_empty() {
            text.push_str("/>\n");
            continue;
        }
        let first = test.failures[0].lines().next().unwrap_or_default();
        let _ = writeln!(
            text,
            ">\n      <failure message=\"{}\">{}</failure>\n    </testcase>",
            escaped(first),
            escaped(&test.failures.join("\n"))
        );
    }
    for finding in errors {
        let place = finding.place.as_ref().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(
            text,
            "    <testcase classname=\"invalid\" name=\"{}\">\n      <error message=\"{}\"/>\n    </testcase>",
            escaped(&place),
            escaped(&finding.message)
        );
    }
    text.push_str("  </testsuite>\n</testsuites>\n");
    text
}

/// Text for an element or an attribute; what XML cannot hold becomes a question mark.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\n' => safe.push_str("&#10;"),
            letter if (letter.is_control() && letter != '\t') || matches!(letter, '\u{fffe}' | '\u{ffff}') => {
                safe.push('?');
            }
            letter => safe.push(letter),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::TestResult;

    #[test]
    fn hostile_text_stays_text() {
        let test = TestResult {
            name: "a\"b".to_owned(),
            file: "jobs/tests/a.yml".to_owned(),
            job: "j".to_owned(),
            description: None,
            seconds: 0.25,
            failures: vec!["u1 x: <b> & \u{1b}[31m\nsecond".to_owned()],
            written: Vec::new(),
        };
        let text = document(&TestReport { tests: vec![test], diagnostics: Vec::new() });
        assert!(text.contains("tests=\"1\" failures=\"1\" errors=\"0\" time=\"0.250\""), "{text}");
        assert!(text.contains("name=\"a&quot;b\"") && text.contains("&lt;b&gt; &amp; ?[31m&#10;second"), "{text}");
    }
}
