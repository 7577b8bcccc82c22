//! What is expected against what happened: every difference at once, in words that show both sides.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use crate::model::{DeliveryKey, Message};
use crate::project::{ExpectedMail, JobTest};
use crate::settings::LocalFiles;

use super::super::RunError;
use super::world::{Ended, Happened};
use super::{TestResult, shown};

/// No snapshot is longer, in bytes.
const SNAPSHOT_BYTES_MAX: u64 = 16 << 20;

/// Lines of a snapshot's difference that are shown.
const DIFFERENCE_LINES_MAX: usize = 20;

/// One test while it is compared.
pub(super) struct Comparison<'a> {
    /// What is expected.
    pub(super) test: &'a JobTest,
    /// Whether snapshots are written instead of compared.
    pub(super) update_snapshots: bool,
    /// The door to snapshots.
    pub(super) files: &'a LocalFiles,
    /// Where differences go.
    pub(super) result: &'a mut TestResult,
}

impl Comparison<'_> {
    /// Compares mails and decisions.
    ///
    /// # Errors
    /// When a snapshot cannot be written.
    pub(super) fn compare(&mut self, happened: &Happened) -> Result<(), RunError> {
        if let Some(expect) = &self.test.expect {
            for mail in expect {
                match happened.get(&mail.key) {
                    Some(Ended { message: Some(message), variant, .. }) => {
                        self.compare_variant(mail, variant.as_deref());
                        self.compare_mail(mail, message)?;
                    }
                    other => self.fail(missing(&mail.key, other, happened)),
                }
            }
            for (key, ended) in happened {
                if let Some(message) = ended.message.as_ref().filter(|_| expect.iter().all(|mail| mail.key != *key)) {
                    self.fail(format!("{}: a mail that is not expected\n  subject: {}", named(key), message.subject));
                }
            }
        }
        if let Some(expected) = &self.test.expect_decisions {
            self.compare_decisions(expected, happened);
        } else {
            self.refuse_broken_templates(happened);
        }
        Ok(())
    }

    fn fail(&mut self, failure: String) {
        self.result.failures.push(failure);
    }

    fn compare_variant(&mut self, expected: &ExpectedMail, variant: Option<&str>) {
        if let Some(wanted) = expected.variant.as_deref().filter(|wanted| Some(*wanted) != variant) {
            let found = variant.unwrap_or("none: the message has no variants");
            self.fail(format!("{}: another variant\n  expected: {wanted}\n     found: {found}", named(&expected.key)));
        }
    }

    fn compare_mail(&mut self, expected: &ExpectedMail, message: &Message) -> Result<(), RunError> {
        let name = named(&expected.key);
        if let Some(subject) = expected.subject.as_ref().filter(|subject| **subject != message.subject) {
            self.fail(format!("{name}: another subject\n  expected: {subject}\n     found: {}", message.subject));
        }
        let shown_parts = [one_spaced(&message.text), one_spaced(&message.html)];
        for text in &expected.body_contains {
            if !shown_parts.iter().any(|part| part.contains(&one_spaced(text))) {
                let body = indented(&message.text);
                self.fail(format!("{name}: the body does not contain\n  expected: {text}\n  the text part:\n{body}"));
            }
        }
        let Some(file) = &expected.body_snapshot else { return Ok(()) };
        let is_html = file.value.extension().is_some_and(|extension| extension == "html");
        let body = if is_html { &message.html } else { &message.text };
        self.compare_snapshot(&name, &file.value, body)
    }

    fn compare_snapshot(&mut self, name: &str, file: &Path, body: &str) -> Result<(), RunError> {
        // Git may check text out with other line ends; a file ends in one newline.
        let plain = |text: &str| format!("{}\n", text.replace("\r\n", "\n").trim_end());
        let body = plain(body);
        let stored = match self.files.read_text(file, SNAPSHOT_BYTES_MAX) {
            Ok(text) => Some(plain(&text)),
            Err(refusal) if refusal.is_absent() && !file.is_symlink() => None,
            Err(refusal) => {
                self.fail(format!("{name}: the snapshot cannot be read\n  {refusal}"));
                return Ok(());
            }
        };
        if stored.as_ref() == Some(&body) {
            return Ok(());
        }
        let folder = file.parent().unwrap_or(file);
        let path = shown(folder, file);
        if self.update_snapshots {
            let failed = |source| RunError::File { path: file.display().to_string(), action: "written", source };
            self.files.admit_target(file).map_err(|refusal| failed(refusal.into()))?;
            std::fs::create_dir_all(folder).map_err(failed)?;
            std::fs::write(file, &body).map_err(failed)?;
            self.result.written.push(path);
            return Ok(());
        }
        self.fail(match stored {
            Some(stored) => format!(
                "{name}: the body differs from {path} (- expected, + found)\n{}  next: if it is right, `milepost test --update-snapshots`",
                difference(&stored, &body)
            ),
            None => format!("{name}: there is no snapshot {path}\n  next: `milepost test --update-snapshots` writes it"),
        });
        Ok(())
    }

    fn compare_decisions(&mut self, expected: &[(&'static str, u64)], happened: &Happened) {
        let mut found: BTreeMap<&str, Vec<&DeliveryKey>> = BTreeMap::new();
        for (key, ended) in happened {
            found.entry(ended.decision).or_default().push(key);
        }
        let count_of =
            |decision: &str| expected.iter().find(|(name, _)| *name == decision).map_or(0, |(_, count)| *count);
        let names: std::collections::BTreeSet<&str> =
            found.keys().copied().chain(expected.iter().map(|(name, _)| *name)).collect();
        for decision in names {
            let keys = found.get(decision).map_or(&[][..], Vec::as_slice);
            if count_of(decision) != keys.len() as u64 {
                let list = keys.iter().fold(String::new(), |mut list, key| {
                    let reason =
                        happened[*key].reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
                    let _ = write!(list, "\n    {}{reason}", named(key));
                    list
                });
                let expected = count_of(decision);
                self.fail(format!("decision {decision}\n  expected: {expected}\n     found: {}{list}", keys.len()));
            }
        }
    }

    /// Where decisions are not compared, a template that breaks still fails the test.
    fn refuse_broken_templates(&mut self, happened: &Happened) {
        let expected = self.test.expect.iter().flatten();
        let expected: Vec<&DeliveryKey> = expected.map(|mail| &mail.key).collect();
        for (key, ended) in happened.iter().filter(|(key, _)| !expected.contains(key)) {
            if ended.decision == crate::project::RENDER_FAILED {
                self.fail(missing(key, Some(ended), happened));
            }
        }
    }
}

fn named(key: &DeliveryKey) -> String {
    format!("{} {}", key.profile_id, key.occasion)
}

/// Why an expected mail is not there.
fn missing(key: &DeliveryKey, ended: Option<&Ended>, happened: &Happened) -> String {
    let found = if let Some(ended) = ended {
        let reason = ended.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        format!("{}{reason}", ended.decision)
    } else {
        let others = happened.keys().filter(|other| other.profile_id == key.profile_id);
        let others: Vec<&str> = others.map(|other| other.occasion.as_str()).collect();
        match others.as_slice() {
            [] => format!("no candidate, and none of {}", key.profile_id),
            others => format!("no candidate; {} has {}", key.profile_id, others.join(", ")),
        }
    };
    format!("{}: no mail\n  expected: a mail\n     found: {found}", named(key))
}

/// Runs of blanks as one, so that line breaks of a layout do not count.
fn one_spaced(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn indented(text: &str) -> String {
    text.trim_end().lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

/// The lines between the first and the last difference, expected ones before found ones.
pub(in crate::run) fn difference(expected: &str, found: &str) -> String {
    let (expected, found): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), found.lines().collect());
    let same = |(left, right): &(&&str, &&str)| left == right;
    let before = expected.iter().zip(&found).take_while(same).count();
    let (expected, found) = (&expected[before..], &found[before..]);
    let after = expected.iter().rev().zip(found.iter().rev()).take_while(same).count();
    let mut text = format!("  from line {}\n", before + 1);
    for (mark, lines) in [('-', &expected[..expected.len() - after]), ('+', &found[..found.len() - after])] {
        for line in lines.iter().take(DIFFERENCE_LINES_MAX) {
            let _ = writeln!(text, "  {mark} {line}");
        }
        if lines.len() > DIFFERENCE_LINES_MAX {
            let _ = writeln!(text, "  {mark} ... {} more lines", lines.len() - DIFFERENCE_LINES_MAX);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_shows_only_what_differs() {
        assert_eq!(difference("a\nb\nc\nd\n", "a\nx\ny\nd\n"), "  from line 2\n  - b\n  - c\n  + x\n  + y\n");
        assert_eq!(difference("a\n", "a\nb\n"), "  from line 2\n  + b\n");
        assert_eq!(difference("a\na\n", "a\n"), "  from line 2\n  - a\n");
    }

    #[test]
    fn layout_does_not_count_in_a_fragment() {
        assert!(one_spaced("Your next\n      step is").contains("next step"));
    }
}
