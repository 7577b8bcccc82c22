//! What lies among files of data and is none: told by name, and refused where rows would be missed.

use std::fs;
use std::os::unix::fs::symlink;

use rustix::fs::{CWD, Mode, mkfifoat};

use crate::cli::{milepost, root_project};
use crate::values::{project, run, subjects};

#[test]
fn what_is_left_out_is_told_by_check_and_by_the_run() {
    let project = root_project();
    let path = project.path();
    fs::write(path.join("data/events/notes.md"), "About these.").expect("a file");
    fs::write(path.join("data/events/part-00000"), "rows").expect("a file");
    symlink("nowhere", path.join("data/events/latest")).expect("a link");
    let said = milepost(path, &["check"]).expect(0).stderr;
    for word in ["files-left-out", "2 files of table `events`", "/data/events/notes.md", "part-00000", "events/latest"]
    {
        assert!(said.contains(word), "{word} in {said}");
    }
    milepost(path, &["check", "--strict"]).expect(2);
    let ran = milepost(path, &["run", "--as-of", "2026-11-01T06:00:00Z"]).expect(0);
    assert!(ran.stdout.contains("not read: 2 files of table `events`"), "{}", ran.stdout);
    let results = fs::read_to_string(path.join("target/milepost/run_results.json")).expect("results");
    let results: serde_json::Value = serde_json::from_str(&results).expect("JSON");
    let left_out = results["tables"]["left_out"].as_array().expect("a list");
    assert_eq!(left_out.len(), 2, "{left_out:?}");
    let names = left_out.iter().find(|left_out| left_out["why"] == "name").expect("names");
    assert_eq!(names["files"], 2);
    assert!(names["names"][0].as_str().is_some_and(|name| name.starts_with('/') && name.ends_with("notes.md")));
}

#[test]
fn what_would_be_missed_is_refused() {
    for (name, words) in [("broken.parquet", "a link to a file that is not there"), ("pipe.parquet", "no regular file")]
    {
        let project = root_project();
        let path = project.path().join("data/events/day=2026-10-01").join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        if name.starts_with("pipe") {
            mkfifoat(CWD, &path, Mode::from_raw_mode(0o600)).expect("a pipe");
        } else {
            symlink("nowhere.parquet", &path).expect("a link");
        }
        let said = milepost(project.path(), &["check"]).expect(2).stderr;
        assert!(said.contains("odd-file") && said.contains(words) && said.contains(name), "{said}");
    }
}

/// What waiting mends ends with 7, whoever asks; the file is named whole.
#[test]
fn files_that_are_not_whole_yet_are_waited_for() {
    let project = root_project();
    let path = project.path().canonicalize().expect("a path");
    let mut days: Vec<_> =
        fs::read_dir(path.join("data/events")).expect("days").map(|day| day.expect("a day").path()).collect();
    days.sort();
    let day = &days[days.len() / 3];
    let file = fs::read_dir(day).expect("files").next().expect("a file").expect("a file").path();
    let whole = fs::read(&file).expect("bytes");
    let run: &[&str] = &["run", "--as-of", "2026-11-01T06:00:00Z"];
    for (bytes, code) in [
        (whole[..whole.len() - 1].to_vec(), 7),
        (whole[..whole.len() / 2].to_vec(), 7),
        (b"no such thing as Parquet".to_vec(), 2),
    ] {
        fs::write(&file, bytes).expect("writable");
        let ran = milepost(&path, run).expect(code);
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(said.contains(&format!("`{}`", file.display())), "{said}");
    }
    fs::write(&file, whole).expect("writable");
    milepost(&path, run).expect(0);
}

/// A quote that never closes holds the rows that follow it: events are missed, and who opted out would be mailed.
#[test]
fn a_quote_that_never_closes_mails_nobody() {
    let tables = "  events: {csv: events.csv, time: at}\n  people: {csv: people.csv}\n  leavers: {csv: leavers.csv}\nsuppressed: leavers";
    let job = "job: job\nstart: all\naudience: people\nmessage: {subject: done, template: t.html}\nmilestones:\n  - {name: done, reaches: [1]}\n";
    let events = "user_id,at,note\nu1,2026-11-01T10:00:00Z,a\nu2,2026-11-01T10:00:00Z,b\n";
    let people = "profile_id,email\nu1,a@x.test\nu2,b@x.test\n";
    let leavers = "email,reason\nz@x.test,left\nb@x.test,left\n";
    for (file, text, code) in [
        ("leavers.csv", leavers.replace(",left\nb@", ",\"left\nb@"), 2),
        ("leavers.csv", leavers.replace("z@x.test,left\nb@x.test,left\n", "z@x.test,\"left\nb@x.test,left"), 7),
        ("events.csv", events.replace("Z,a\n", "Z,\"a\n"), 2),
        ("events.csv", events.replace("Z,a\n", "Z,\"a\"b\n"), 2),
        ("people.csv", people.replace("a@x.test", "\"a@x.test"), 2),
        ("people.csv", people.replace("a@x.test", "\"a@x.test\""), 0),
    ] {
        let files = [("events.csv", events), ("people.csv", people), ("leavers.csv", leavers)];
        let folder = project(tables, job, &files);
        fs::write(folder.path().join(file), text).expect("writable");
        let (ended, said) = run(folder.path(), &["run", "--as-of", "2026-11-02T00:00:00Z", "--replay"]);
        assert_eq!(ended, Some(code), "{file}: {said}");
        let mailed = subjects(folder.path());
        if code == 0 {
            assert_eq!(mailed, ["a@x.test: done"]);
        } else {
            assert!(said.contains(file) && said.contains("line 2"), "{said}");
            assert!(mailed.is_empty(), "{mailed:?}");
        }
    }
}
