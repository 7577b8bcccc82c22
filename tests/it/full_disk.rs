//! Results that cannot be written, and published sets for which there is no room: what was done is still told, and
//! readers see what they saw.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::cli::milepost;
use crate::evaluate::world::folder_of;

const PROJECT: &str = "project: test\ntables:\n  events: {csv: events.csv, time: happened_at}\n  people: {csv: people.csv}\n\
                       providers:\n  local: {outbox: {dir: outbox}}\ndefaults: {provider: local, sender: 'Acme <a@acme.test>', \
                       postal_address: here}\nunsubscribe: {url: 'https://acme.test/leave'}\n";
const TEMPLATE: (&str, &str) = ("jobs/t.html", "<p>{{ unsubscribe_url }} {{ postal_address }}</p>");
const JOB: &str = "job: words\nstart: {since: 2026-05-02}\naudience: people\npublish: ../published\nmessage: {subject: s, \
                   template: t.html}\nmilestones: [{name: words, event: written, reaches: [1]}]\n";
const AS_OF: &str = "2026-05-10T06:00:00Z";

/// So many people with one event each, of whom the last is mailed: the others' event is older than the job.
fn project(people: u32) -> tempfile::TempDir {
    let (mut rows, mut events) = ("profile_id,email\n".to_owned(), "user_id,event,happened_at\n".to_owned());
    for number in 0..people {
        let profile = format!("{:016x}", (u64::from(number) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let day = if number + 1 == people { 9 } else { 1 };
        let _ = writeln!(rows, "{profile},{profile}@x.test");
        let _ = writeln!(events, "{profile},written,2026-05-0{day}T{:02}:{:02}:00Z", number % 24, number % 60);
    }
    folder_of(&[
        ("milepost.yml", PROJECT),
        ("jobs/words.yml", JOB),
        TEMPLATE,
        ("people.csv", &rows),
        ("events.csv", &events),
    ])
}

/// A run in which no file may grow beyond so many blocks of 512 bytes.
fn limited(project: &Path, blocks: u64, as_of: &str) -> Output {
    let shell = format!(
        "trap '' XFSZ; ulimit -f {blocks}; exec {} run --as-of {as_of} --replay --format json",
        env!("CARGO_BIN_EXE_milepost")
    );
    Command::new("sh").args(["-c", &shell]).current_dir(project).output().expect("a shell")
}

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// The instant that the published set is of, and its rows, once every file of it was found whole.
fn published(project: &Path) -> (String, u64) {
    let text = fs::read_to_string(project.join("published/_milepost.json")).expect("a set");
    let manifest: Value = serde_json::from_str(&text).expect("a document");
    let files = manifest["files"].as_array().expect("files");
    for file in files {
        let bytes = fs::read(project.join("published").join(file["path"].as_str().expect("a path"))).expect("a file");
        assert!(bytes.len() as u64 == file["bytes"] && bytes.ends_with(b"PAR1"), "{file}");
    }
    let rows = files.iter().map(|file| file["rows"].as_u64().expect("rows")).sum();
    (manifest["about"]["as_of"].as_str().expect("an instant").to_owned(), rows)
}

#[test]
fn a_run_tells_what_it_did_where_its_results_cannot_be_written() {
    let folder = project(3);
    let path = folder.path();
    // Not even root can make a folder where a file is.
    fs::create_dir_all(path.join("target")).expect("a folder");
    fs::write(path.join("target/milepost"), "in the way").expect("a file");
    let arguments = ["run", "--as-of", AS_OF, "--replay", "--empty-exit-code", "99", "--format", "json"];
    for mails in [1, 0] {
        let ran = milepost(path, &arguments).expect(1);
        let report = ran.json();
        assert_eq!(report["jobs"][0]["decisions"]["mail"], mails, "{report}");
        assert_eq!(report["jobs"][0]["status"], "completed", "{report}");
        let said = report["unwritten"][0]["message"].as_str().expect("words");
        assert!(said.contains("run_results.json") && said.contains("cannot be written"), "{said}");
        assert!(ran.stderr.contains(said) && ran.stderr.contains("the run itself is as reported"), "{}", ran.stderr);
        assert_eq!(fs::read_dir(path.join("outbox")).expect("an outbox").flatten().filter(is_mail).count(), 1);
    }
    // A run that failed by itself says so first, and exits as it would have.
    fs::remove_file(path.join("people.csv")).expect("gone");
    let ran = milepost(path, &["run", "--as-of", AS_OF, "--replay"]).expect(2);
    assert!(ran.stderr.contains("run_results.json"), "{}", ran.stderr);

    // The copy elsewhere is one of them.
    let folder = project(3);
    let path = folder.path();
    fs::write(path.join("elsewhere"), "in the way").expect("a file");
    let ran = milepost(path, &["run", "--as-of", AS_OF, "--replay", "--result-to", "elsewhere"]).expect(1);
    assert!(ran.stdout.contains("1 accepted now") && ran.stderr.contains("elsewhere"), "{}{}", ran.stdout, ran.stderr);
    assert!(path.join("target/milepost/run_results.json").is_file());
}

fn is_mail(entry: &fs::DirEntry) -> bool {
    entry.path().extension().is_some_and(|extension| extension == "eml")
}

#[test]
fn a_disk_that_fills_while_publishing_leaves_the_set_that_was() {
    let people = 60_000;
    let folder = project(people);
    let path = folder.path();
    let all_of = |as_of: &str| (as_of.to_owned(), u64::from(people));
    for before in [None, Some(all_of(AS_OF))] {
        let output = limited(path, 800, "2026-05-11T06:00:00Z");
        let report = report(&output);
        assert_eq!(output.status.code(), Some(1), "{report}");
        let message = report["jobs"][0]["message"].as_str().expect("words");
        assert!(message.contains("cannot be written") && message.contains("too large"), "{message}");
        assert_eq!(report["jobs"][0]["outcomes"]["accepted"].as_u64().unwrap_or(0), u64::from(before.is_none()));
        assert_eq!(path.join("published").exists().then(|| published(path)), before, "{report}");
        let left = fs::read_dir(path).expect("a folder").flatten().map(|entry| entry.file_name());
        let left: Vec<_> = left.filter(|name| name.to_string_lossy().contains("unfinished")).collect();
        assert!(left.is_empty(), "{left:?}");
        if before.is_none() {
            milepost(path, &["run", "--as-of", AS_OF, "--replay"]).expect(0);
            assert_eq!(published(path), all_of(AS_OF));
        }
    }
    milepost(path, &["run", "--as-of", "2026-05-11T06:00:00Z", "--replay"]).expect(0);
    assert_eq!(published(path), all_of("2026-05-11T06:00:00Z"));
}
