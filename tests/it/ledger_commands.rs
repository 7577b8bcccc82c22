//! The commands about the ledger, on a project of its own, with each kind of ledger.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::postgres::Schema;

struct Project {
    folder: tempfile::TempDir,
}

impl Project {
    /// A job that mails three people into an outbox, and one that mails those who got the first.
    fn new(ledger: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let project = Self { folder };
        project.write("data/people.csv", "profile_id,email\nu1,ann@example.test\nu2,ben@example.test\nu3,\n");
        project.write(
            "milepost.yml",
            &format!(
                "project: commands\ntimezone: UTC\nledger: \"{ledger}\"\ntables: {{people: {{csv: data/people.csv}}}}\n\
                 providers: {{local: {{outbox: {{dir: outbox}}}}}}\n\
                 defaults: {{provider: local, sender: \"Acme <hello@acme.test>\", postal_address: \"1 Rue X\"}}\n\
                 unsubscribe: {{url: \"https://acme.test/leave/{{{{ profile.profile_id }}}}\"}}\n"
            ),
        );
        project
            .write("sql/reached.sql", "select profile_id, timestamp '2026-10-31 10:00:00' as reached_at from people\n");
        project.write(
            "sql/cheered.sql",
            "select profile_id, settled_at as reached_at from ledger.deliveries where job = 'cheers' and state = 'accepted'\n",
        );
        for (job, from) in [("cheers", "reached"), ("follow_up", "cheered")] {
            project.write(
                &format!("jobs/{job}.yml"),
                &format!(
                    "job: {job}\nstart: all\naudience: people\nmilestones:\n  - name: {job}\n    from: {from}\n    \
                     message: {{subject: \"{job}\", template: templates/mail.html}}\n"
                ),
            );
        }
        project.write(
            "jobs/templates/mail.html",
            "<p>Well done</p><p>{{ postal_address }}</p><a href=\"{{ unsubscribe_url }}\">Leave</a>\n",
        );
        project
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, text).expect("written");
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_milepost"));
        command.args(arguments).args(["--format", "json"]).current_dir(self.folder.path()).env_remove("MILEPOST_ENV");
        command.output().expect("the binary runs")
    }

    /// The JSON of a command that must end with this code.
    fn answer(&self, arguments: &[&str], code: i32) -> Value {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
    }

    fn mails(&self) -> usize {
        let entries = fs::read_dir(self.folder.path().join("outbox")).map(|entries| entries.flatten().collect());
        let entries: Vec<fs::DirEntry> = entries.unwrap_or_default();
        entries.iter().filter(|entry| entry.path().extension().is_some_and(|extension| extension == "eml")).count()
    }
}

fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).expect("readable").flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                let path = entry.path();
                found.push(path.strip_prefix(folder).expect("below").to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found
}

fn projects() -> Vec<Project> {
    let server = Schema::fresh().map(|schema| Project::new(&schema.url()));
    std::iter::once(Project::new("sqlite:.milepost/ledger.db")).chain(server).collect()
}

const RUN: [&str; 4] = ["run", "--as-of", "2026-11-01T06:00:00Z", "--replay"];

#[test]
fn sql_reads_the_ledger_as_it_is_when_a_run_begins() {
    for project in projects() {
        assert_eq!(project.answer(&["check"], 0)["errors"].as_u64().unwrap_or(0), 0, "no ledger is needed to check");
        project.answer(&[&RUN[..], &["cheers"]].concat(), 0);
        assert_eq!(project.mails(), 2, "u3 has no address");
        project.answer(&["run", "follow_up"], 0);
        assert_eq!(project.mails(), 4, "those who were mailed, and nobody else");
        project.answer(&["run", "follow_up"], 0);
        assert_eq!(project.mails(), 4);
    }
}

#[test]
fn misspelt_tables_and_columns_of_the_ledger_are_found() {
    let project = Project::new("sqlite:.milepost/ledger.db");
    for (sql, words) in [
        ("select profile_id, reached_at from ledger.delivery", "ledger.delivery"),
        ("select profile_id, reachedat as reached_at from ledger.deliveries", "reachedat"),
        ("select key as profile_id from ledger.meta", "ledger.meta"),
    ] {
        project.write("sql/cheered.sql", sql);
        let output = project.run(&["check"]);
        assert_eq!(output.status.code(), Some(2), "{sql}");
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn deliveries_are_shown_and_corrected() {
    for project in projects() {
        project.answer(&[&RUN[..], &["cheers"]].concat(), 0);
        let listed = project.answer(&["deliveries", "list", "--state", "accepted"], 0);
        let id = listed[0]["delivery_id"].as_str().expect("an id").to_owned();
        let shown = project.answer(&["deliveries", "show", &id], 0);
        assert_eq!((&shown["fields"]["state"], &shown["fields"]["job"]), (&"accepted".into(), &"cheers".into()));
        project.answer(&["deliveries", "show", "nobody"], 2);

        let resolve = |state, more: &[&str]| {
            [&["deliveries", "resolve", state, "--reason", "seen in their log"], more].concat().join("\u{1f}")
        };
        let by = |text: &str| text.split('\u{1f}').map(str::to_owned).collect::<Vec<_>>();
        let answer = |arguments: String, code| {
            let arguments = by(&arguments);
            project.answer(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), code)
        };
        answer(resolve("rejected", &[&id]), 2);
        answer(resolve("dispatched", &[&id]), 2);
        answer(resolve("rejected", &[]), 2);
        assert_eq!(answer(resolve("accepted", &["--job", "cheers"]), 0)["corrected"], 0, "nothing is unknown");
        project.answer(&["deliveries", "retry", &id, "--reason", "ann@example.test says so"], 2);
    }
}

#[test]
fn a_filter_needs_the_number_that_a_person_agrees_to() {
    let project = Project::new("sqlite:.milepost/ledger.db");
    project.answer(&[&RUN[..], &["cheers"]].concat(), 0);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        use sqlx::Connection as _;
        let path = project.folder.path().join(".milepost/ledger.db");
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
        let mut connection = sqlx::SqliteConnection::connect_with(&options).await.expect("opens");
        let sql = "update deliveries set state = 'unknown' where state = 'accepted'";
        sqlx::raw_sql(sql).execute(&mut connection).await.expect("runs");
        connection.close().await.expect("closes");
    });
    let resolve = |more: &[&'static str], code| {
        let first = ["deliveries", "resolve", "rejected", "--job", "cheers", "--reason", "bounced", "--by", "ann"];
        project.answer(&[&first[..], more].concat(), code)
    };
    resolve(&[], 5);
    resolve(&["--confirm", "1"], 5);
    let listed = project.answer(&["deliveries", "list", "--state", "unknown"], 0);
    assert_eq!(listed.as_array().map(Vec::len), Some(2), "nothing was changed");
    assert_eq!(resolve(&["--confirm", "2"], 0)["corrected"], 2);
    let id = listed[0]["delivery_id"].as_str().expect("an id");
    project.answer(&["deliveries", "retry", id, "--reason", "mailbox is back", "--by", "ben"], 0);
    let corrections = project.answer(&["deliveries", "show", id], 0)["corrections"].clone();
    assert_eq!(corrections[0]["by"], "ann");
    assert_eq!((&corrections[1]["to"], &corrections[1]["reason"]), (&"retryable".into(), &"mailbox is back".into()));
    project.answer(&[&RUN[..], &["cheers"]].concat(), 0);
    assert_eq!(project.mails(), 2, "tried again: the same file in the outbox");
    let listed = project.answer(&["deliveries", "list", "--state", "accepted"], 0);
    assert_eq!(listed.as_array().map(Vec::len), Some(1));
}

#[test]
fn ledgers_are_checked_copied_pruned_and_exported() {
    let other = Schema::fresh().map_or("sqlite:other.db".to_owned(), |schema| schema.url());
    for (project, to) in projects().into_iter().zip([other, "sqlite:copy.db".to_owned()]) {
        project.answer(&["ledger", "check"], 7);
        project.answer(&["export", "--to", "out"], 7);
        project.answer(&[&RUN[..], &["cheers"]].concat(), 0);
        project.answer(&["run", "follow_up"], 0);
        let checked = project.answer(&["ledger", "check"], 0);
        assert_eq!((&checked["deliveries"], &checked["unsound"]), (&5.into(), &Value::Array(vec![])));
        project.answer(&["ledger", "prune", "--older-than", "1 fortnight"], 2);
        assert_eq!(project.answer(&["ledger", "prune", "--older-than", "30 days"], 0)["runs"], 0);

        let exported = project.answer(&["export", "--to", "out"], 0);
        assert_eq!(exported["rows"]["deliveries"], 5);
        let out = project.folder.path().join("out");
        let names = files(&out);
        for folder in ["deliveries/job=cheers/", "deliveries/job=follow_up/", "halts/", "_milepost.json"] {
            assert_eq!(names.iter().filter(|name| name.starts_with(folder)).count(), 1, "{folder} in {names:?}");
        }
        assert!(!names.iter().any(|name| name.contains("meta")), "the secret stays");
        project.answer(&["export", "--to", "out"], 0);
        let again = files(&out);
        assert_eq!(again.len(), names.len(), "an export takes the place of the one before");
        assert_eq!(names.iter().filter(|name| again.contains(name)).count(), 1, "no file has an earlier one's name");
        project.write("mine/notes.txt", "x");
        project.answer(&["export", "--to", "mine"], 2);
        project.answer(&["export", "--to", "ftp://bucket/x"], 2);

        project.answer(&["ledger", "copy", "--to", &to], 0);
        project.answer(&["ledger", "copy", "--to", &to], 2);
        let settings = fs::read_to_string(project.folder.path().join("milepost.yml")).expect("readable");
        let line = settings.lines().find(|line| line.starts_with("ledger: ")).expect("a ledger");
        project.write("milepost.yml", &settings.replace(line, &format!("ledger: \"{to}\"")));
        let mails = project.mails();
        project.answer(&[&RUN[..], &["cheers"]].concat(), 0);
        assert_eq!(project.mails(), mails, "the copy knows everybody");
        project.answer(&["ledger", "check"], 0);
    }
}
