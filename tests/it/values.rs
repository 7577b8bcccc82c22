//! What a value is does not depend on how its file spells it: ids, times, numbers, and the list of people who left.

mod ids;
mod instants;
mod lost;
mod opted_out;

use std::path::Path;

use crate::evaluate::world::folder_of;

/// A project with these tables and one job, as files.
pub(crate) fn project(tables: &str, job: &str, files: &[(&str, &str)]) -> tempfile::TempDir {
    let settings = format!(
        "project: values\ntimezone: UTC\ntables:\n{tables}\nproviders:\n  local: {{outbox: {{dir: outbox}}}}\ndefaults: {{provider: \
         local, sender: 'Acme <a@acme.test>', postal_address: here}}\nunsubscribe: {{url: 'https://acme.test/leave'}}\n"
    );
    let always = [
        ("milepost.yml", settings.as_str()),
        ("jobs/job.yml", job),
        ("jobs/t.html", "<p>{{ unsubscribe_url }} {{ postal_address }}</p>"),
    ];
    folder_of(&[&always[..], files].concat())
}

/// What a run says, as JSON on standard output or words on the other, and how it ended.
pub(crate) fn run(project: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_milepost"))
        .arg("--project")
        .arg(project)
        .args(arguments)
        .output()
        .expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code(), said)
}

/// The subjects of the mails in the outbox, each after the address it went to.
pub(crate) fn subjects(project: &Path) -> Vec<String> {
    let Ok(outbox) = std::fs::read_dir(project.join("outbox")) else { return Vec::new() };
    let paths = outbox.map(|entry| entry.expect("an entry").path());
    let mails = paths.filter(|path| path.extension().is_some_and(|extension| extension == "eml"));
    let line = |mail: &str, name: &str| {
        let found = mail.lines().find_map(|line| line.strip_prefix(name));
        found.unwrap_or_default().trim().to_owned()
    };
    let mut subjects: Vec<String> = mails
        .map(|path| {
            let mail = std::fs::read_to_string(path).expect("a mail");
            format!("{}: {}", line(&mail, "To:"), line(&mail, "Subject:"))
        })
        .collect();
    subjects.sort();
    subjects
}
