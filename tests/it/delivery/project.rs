//! The binary itself on a project of its own, with any ledger: started, killed, finished, and what must hold then.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use milepost::ledger::{CreatePolicy, DeliveryFilter, DeliveryRow, Owner, connect};
use milepost::model::DeliveryState;
use milepost::project::LedgerLocation;

use crate::postgres::Schema;
use crate::providers::fake::Fake;

const AS_OF: &str = "2026-11-01T06:00:00Z";

/// Where the project keeps its ledger.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Store {
    Sqlite,
    Postgres,
}

impl Store {
    /// Those that this machine has.
    pub(super) fn every() -> Vec<Self> {
        if crate::postgres::is_here() { vec![Self::Sqlite, Self::Postgres] } else { vec![Self::Sqlite] }
    }
}

/// A project whose one job mails everybody in a file, through the fake.
pub(super) struct Project {
    folder: tempfile::TempDir,
    recipients: usize,
    schema: Option<Schema>,
    /// Whether runs are told which instant it is, or read the machine's clock.
    by_the_clock: bool,
}

/// Whether the provider honours keys, and milepost knows it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Keys {
    Honoured,
    Ignored,
}

impl Keys {
    pub(super) const BOTH: [Self; 2] = [Self::Honoured, Self::Ignored];

    pub(super) fn honoured(self) -> bool {
        self == Self::Honoured
    }

    pub(super) fn fake(self, flags: &[&str]) -> Fake {
        let honours = if self.honoured() { "true" } else { "false" };
        Fake::start(&[&["--honour-keys", honours], flags].concat())
    }
}

impl Project {
    pub(super) fn new(fake: &Fake, (store, keys): (Store, Keys), recipients: usize, batch: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, text).expect("written");
        };
        let mut people = "profile_id,email\n".to_owned();
        // In no order: a run that stops must not lose those who stand before the place where it stopped.
        for place in 0..recipients {
            let number = place * 7_919 % recipients + 1;
            let _ = writeln!(people, "profile_{number},person_{number}@example.test");
        }
        write("data/people.csv", &people);
        write("key.txt", "re_secret_of_the_test\n");
        let (url, honoured) = (fake.url(), keys.honoured());
        let schema = (store == Store::Postgres).then(|| Schema::fresh().expect("only where it is"));
        let ledger = schema.as_ref().map_or("sqlite:.milepost/ledger.db".to_owned(), Schema::url);
        write(
            "milepost.yml",
            &format!(
                "project: kills\ntimezone: UTC\nledger: \"{ledger}\"\n\
                 tables: {{people: {{csv: data/people.csv}}}}\n\
                 providers: {{main: {{resend: {{api_key: \"file:key.txt\", base_url: \"{url}\", rate: unlimited, \
                 in_flight: 16, timeout: 2 seconds, batch: {batch}, idempotency: {honoured}}}}}}}\n\
                 defaults: {{provider: main, sender: \"Acme <hello@acme.test>\", postal_address: \"1 Rue X, Paris\"}}\n\
                 unsubscribe: {{url: \"https://acme.test/leave/{{{{ profile.profile_id }}}}\"}}\n"
            ),
        );
        write("sql/reached.sql", "select profile_id, timestamp '2026-10-31 10:00:00' as reached_at from people\n");
        write(
            "jobs/high_five.yml",
            "job: high_five\nstart: all\naudience: people\nmilestones:\n  - name: high_five\n    from: reached\n    \
             message: {subject: \"Well done, {{ profile.profile_id }}\", template: templates/high_five.html}\n",
        );
        write(
            "jobs/templates/high_five.html",
            "<p>Well done, {{ profile.profile_id }}</p><p>{{ postal_address }}</p><a href=\"{{ unsubscribe_url }}\">Leave</a>\n",
        );
        let project = Self { folder, recipients, schema, by_the_clock: false };
        let created = project.command(&["ledger", "create"]).output().expect("started");
        assert!(created.status.success(), "{created:?}");
        project
    }

    /// The same with milestones that are always an hour old, for runs that nobody tells the time.
    pub(super) fn by_the_clock(fake: &Fake, place: (Store, Keys), recipients: usize, batch: usize) -> Self {
        let project = Self { by_the_clock: true, ..Self::new(fake, place, recipients, batch) };
        let view = "select profile_id, $as_of - interval '1 hour' as reached_at from people\n";
        fs::write(project.folder.path().join("sql/reached.sql"), view).expect("written");
        project
    }

    /// Adds a job like the first, named `second`, through a provider of its own.
    pub(super) fn add_job(&self, fake: &Fake) {
        let path = |name: &str| self.folder.path().join(name);
        let text = fs::read_to_string(path("milepost.yml")).expect("readable");
        let second = format!(
            "providers:\n  second: {{resend: {{api_key: \"file:key.txt\", base_url: \"{}\", rate: unlimited, batch: 1}}}}\n  main:",
            fake.url()
        );
        let (before, after) = text.split_once("providers: {main:").expect("the provider");
        let (provider, after) = after.split_once("}}\n").expect("its end");
        fs::write(path("milepost.yml"), format!("{before}{second}{provider}}}\n{after}")).expect("written");
        let job = fs::read_to_string(path("jobs/high_five.yml")).expect("readable");
        let job = job.replace("job: high_five\n", "job: second\nprovider: second\n");
        fs::write(path("jobs/second.yml"), job).expect("written");
    }

    /// Gives everybody another id: `{}` stands for the number.
    pub(super) fn give_ids(&self, pattern: &str) {
        let path = self.folder.path().join("data/people.csv");
        let text = fs::read_to_string(&path).expect("readable");
        let lines =
            text.lines().map(|line| match line.strip_prefix("profile_").and_then(|rest| rest.split_once(',')) {
                Some((number, address)) if number.parse::<usize>().is_ok() => {
                    format!("{},{address}", pattern.replace("{}", number))
                }
                _ => line.to_owned(),
            });
        fs::write(&path, lines.collect::<Vec<_>>().join("\n") + "\n").expect("written");
    }

    /// No address, and not the key, in what runs left.
    pub(super) fn assert_no_secrets(&self, case: &str) {
        assert_no_secrets(self.folder.path(), case);
    }

    /// Gives a person another address.
    pub(super) fn give_address(&self, number: usize, address: &str) {
        let path = self.folder.path().join("data/people.csv");
        let text = fs::read_to_string(&path).expect("readable");
        let changed = text.replace(&format!(",person_{number}@example.test\n"), &format!(",{address}\n"));
        fs::write(path, changed).expect("written");
    }

    /// Adds a setting to the provider's.
    pub(super) fn set(&self, setting: &str) {
        let path = self.folder.path().join("milepost.yml");
        let text = fs::read_to_string(&path).expect("readable");
        let changed = text.replace("resend: {", &format!("resend: {{{setting}, "));
        fs::write(path, changed).expect("written");
    }

    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_milepost"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_remove("MILEPOST_ENV")
            .env_remove("MILEPOST_CRASHPOINT")
            .env_remove("MILEPOST_LEASE_SECONDS");
        command
    }

    /// A run that prints what it did.
    pub(super) fn run_aloud(&self) -> Command {
        let most = self.recipients.to_string();
        self.command(&["run", "--as-of", AS_OF, "--replay", "--confirm", &most])
    }

    /// A run that reads the machine's clock.
    pub(super) fn plain_run(&self) -> Command {
        let most = self.recipients.to_string();
        self.command(&["run", "--quiet", "--confirm", &most])
    }

    pub(super) fn run(&self) -> Command {
        if self.by_the_clock {
            return self.plain_run();
        }
        let most = self.recipients.to_string();
        self.command(&["run", "--quiet", "--as-of", AS_OF, "--replay", "--confirm", &most])
    }

    pub(super) fn start(&self) -> Child {
        self.run().stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("started")
    }

    /// Runs to the end, once the hold of a killed run has ended.
    pub(super) fn finish(&self) -> Output {
        self.let_go();
        self.run().output().expect("started")
    }

    /// Lets the hold of a dead run end as time would; a killed process frees a SQLite ledger by itself.
    pub(super) fn let_go(&self) {
        if let Some(schema) = &self.schema {
            runtime().block_on(schema.leases_end());
        }
    }

    pub(super) fn rows(&self) -> Vec<DeliveryRow> {
        let file = || LedgerLocation::Sqlite(self.folder.path().join(".milepost/ledger.db"));
        let location = self.schema.as_ref().map_or_else(file, Schema::location);
        let owner = Owner { project: "kills".into(), environment: None };
        runtime().block_on(async {
            let ledger = connect(&location, &owner, CreatePolicy::Never).await.expect("the ledger opens");
            ledger.deliveries(&DeliveryFilter::default()).await.expect("rows")
        })
    }

    /// The artifact of the run that ended last.
    pub(super) fn results(&self) -> String {
        fs::read_to_string(self.folder.path().join("target/milepost/run_results.json")).expect("written")
    }
}

/// After whatever happened: nobody twice, nobody lost, and the ledger says what the provider says.
pub(super) fn assert_promises(project: &Project, fake: &Fake, keys: Keys, last: &Output, case: &str) {
    let accepted = fake.acceptances();
    let twice = accepted.iter().filter(|(_, times)| **times > 1).count();
    assert_eq!(twice, 0, "{case}: accepted twice");
    let rows = project.rows();
    assert_eq!(rows.len(), project.recipients, "{case}: everybody is in exactly one state\n{last:?}");
    for row in &rows {
        let was_accepted = accepted.contains_key(&row.delivery_id);
        match row.state {
            DeliveryState::Accepted => assert!(was_accepted, "{case}: {} was never accepted", row.delivery_id),
            DeliveryState::Unknown => assert_eq!(keys, Keys::Ignored, "{case}: a key clears every doubt"),
            other => panic!("{case}: {} is {other} after a finished run\n{last:?}", row.delivery_id),
        }
    }
    let unknown = rows.iter().filter(|row| row.state == DeliveryState::Unknown).count();
    let code = if unknown > 0 { 4 } else { 0 };
    assert_eq!(last.status.code(), Some(code), "{case}: {unknown} unknown\n{last:?}");
    assert_no_secrets(project.folder.path(), case);
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Runtime::new().expect("a runtime")
}

/// No address, and not the key, outside the data and the settings.
fn assert_no_secrets(root: &Path, case: &str) {
    let mut folders = vec![root.join(".milepost"), root.join("target")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            // A database removes its side files when its last connection closes.
            let Ok(bytes) = fs::read(&path) else { continue };
            for secret in ["@example.test", "re_secret_of_the_test"] {
                let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
                assert!(!found, "{case}: {secret} stands in {}", path.display());
            }
        }
    }
}

/// Sends SIGTERM as soon as the fake has seen `requests` more, and returns the exit code.
pub(super) fn terminate_after(project: &Project, fake: &Fake, requests: u64) -> Option<i32> {
    project.let_go();
    let target = fake.requests() + requests;
    let mut child = project.start();
    while fake.requests() < target && child.try_wait().expect("asked").is_none() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let told = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill runs");
    assert!(told.success(), "the run was still there");
    child.wait().expect("ended").code()
}

/// Kills as soon as the fake has seen `requests` more; false when the run ended before.
pub(super) fn kill_after(project: &Project, fake: &Fake, requests: u64) -> bool {
    project.let_go();
    let target = fake.requests() + requests;
    let mut child = project.start();
    loop {
        if fake.requests() >= target {
            child.kill().expect("killed");
            child.wait().expect("ended");
            return true;
        }
        if child.try_wait().expect("asked").is_some() {
            return false;
        }
    }
}
