//! The binary itself, killed at random moments and aborted at named points, then run again.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use milepost::ledger::{CreatePolicy, DeliveryFilter, DeliveryRow, Owner, connect};
use milepost::model::DeliveryState;
use milepost::project::LedgerLocation;

use crate::providers::fake::Fake;

const AS_OF: &str = "2026-11-01T06:00:00Z";

/// A project whose one job mails everybody in a file, through the fake.
struct Project {
    folder: tempfile::TempDir,
    recipients: usize,
}

/// Whether the provider honours keys, and milepost knows it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Keys {
    Honoured,
    Ignored,
}

impl Keys {
    const BOTH: [Self; 2] = [Self::Honoured, Self::Ignored];

    fn honoured(self) -> bool {
        self == Self::Honoured
    }

    fn fake(self, flags: &[&str]) -> Fake {
        let honours = if self.honoured() { "true" } else { "false" };
        Fake::start(&[&["--honour-keys", honours], flags].concat())
    }
}

impl Project {
    fn new(fake: &Fake, keys: Keys, recipients: usize, batch: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, text).expect("written");
        };
        let mut people = "profile_id,email\n".to_owned();
        for number in 1..=recipients {
            let _ = writeln!(people, "profile_{number},person_{number}@example.test");
        }
        write("data/people.csv", &people);
        write("key.txt", "re_secret_of_the_test\n");
        let (url, honoured) = (fake.url(), keys.honoured());
        write(
            "milepost.yml",
            &format!(
                "project: kills\ntimezone: UTC\nledger: sqlite:.milepost/ledger.db\n\
                 tables: {{people: {{csv: data/people.csv}}}}\n\
                 providers: {{main: {{resend: {{api_key: \"file:key.txt\", base_url: \"{url}\", rate: unlimited, \
                 in_flight: 16, batch: {batch}, idempotency: {honoured}}}}}}}\n\
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
        let project = Self { folder, recipients };
        let created = project.command(&["ledger", "create"]).output().expect("started");
        assert!(created.status.success(), "{created:?}");
        project
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_milepost"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_remove("MILEPOST_ENV")
            .env_remove("MILEPOST_CRASHPOINT");
        command
    }

    fn run(&self) -> Command {
        let most = self.recipients.to_string();
        self.command(&["run", "--quiet", "--as-of", AS_OF, "--replay", "--confirm", &most])
    }

    fn start(&self) -> Child {
        self.run().stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("started")
    }

    fn finish(&self) -> Output {
        self.run().output().expect("started")
    }

    fn rows(&self) -> Vec<DeliveryRow> {
        let location = LedgerLocation::Sqlite(self.folder.path().join(".milepost/ledger.db"));
        let owner = Owner { project: "kills".into(), environment: None };
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let ledger = connect(&location, &owner, CreatePolicy::Never).await.expect("the ledger opens");
            ledger.deliveries(&DeliveryFilter::default()).await.expect("rows")
        })
    }

    fn unknown(&self) -> usize {
        self.rows().iter().filter(|row| row.state == DeliveryState::Unknown).count()
    }
}

/// After whatever happened: nobody twice, nobody lost, and the ledger says what the provider says.
fn assert_promises(project: &Project, fake: &Fake, keys: Keys, last: &Output, case: &str) {
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

/// Kills as soon as the fake has seen `requests` more; false when the run ended before.
fn kill_after(project: &Project, fake: &Fake, requests: u64) -> bool {
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

/// 3,000 by default; `MILEPOST_TEST_RECIPIENTS=20000` for the full exam.
fn recipients() -> usize {
    milepost::settings::variable("MILEPOST_TEST_RECIPIENTS").and_then(|text| text.parse().ok()).unwrap_or(3_000)
}

#[test]
fn killed_at_five_random_moments() {
    let recipients = recipients();
    for keys in Keys::BOTH {
        let fake = keys.fake(&["--delay-ms", "2"]);
        let project = Project::new(&fake, keys, recipients, 1);
        // Moments that differ from run to run and are named when something fails.
        let random: [u8; 5] = milepost::clock::random_bytes().expect("randomness");
        let moments = random.map(|byte| 1 + u64::from(byte) * recipients as u64 / 2_000);
        let kills = moments.into_iter().filter(|moment| kill_after(&project, &fake, *moment)).count();
        let last = project.finish();
        let case = format!("{keys:?}, killed {kills} times after {moments:?} requests");
        assert!(kills >= 4, "{case}");
        assert_promises(&project, &fake, keys, &last, &case);
        let unknown = project.unknown();
        assert!(unknown <= kills * 4_000, "{case}: {unknown} unknown are more than two waves a crash");
        if keys.honoured() {
            assert_eq!(fake.acceptances().len(), recipients, "{case}: everybody got it");
        }
        let requests = fake.requests();
        project.finish();
        assert_eq!(fake.requests(), requests, "{case}: another run makes no request");
    }
}

#[cfg(debug_assertions)]
#[test]
fn aborted_at_every_named_point() {
    let points = [
        "before_dispatch",
        "after_dispatch",
        "after_dispatch:3",
        "before_request",
        "before_request:20",
        "after_response",
        "after_response:20",
        "before_settle",
        "before_settle:2",
        "after_settle",
    ];
    for (keys, batch) in [(Keys::Honoured, 7), (Keys::Ignored, 1)] {
        for point in points {
            let fake = keys.fake(&[]);
            let project = Project::new(&fake, keys, 150, batch);
            let aborted = project.run().env("MILEPOST_CRASHPOINT", point).output().expect("started");
            let case = format!("{keys:?}, batches of {batch}, aborted at {point}");
            if aborted.status.code().is_some() {
                // Fewer waves than asked for: the point was not reached, which is no failure of the run.
                assert!(point.contains(':'), "{case}: the point was never reached\n{aborted:?}");
            }
            let last = project.finish();
            assert_promises(&project, &fake, keys, &last, &case);
        }
    }
}

#[cfg(debug_assertions)]
#[test]
fn recovery_itself_may_be_aborted_and_still_converges() {
    let fake = Keys::Honoured.fake(&[]);
    let project = Project::new(&fake, Keys::Honoured, 150, 1);
    for point in ["after_dispatch", "before_request:3", "after_response:5", "before_settle"] {
        let aborted = project.run().env("MILEPOST_CRASHPOINT", point).output().expect("started");
        assert_eq!(aborted.status.code(), None, "{point}: {aborted:?}");
    }
    let last = project.finish();
    assert_promises(&project, &fake, Keys::Honoured, &last, "recovery aborted");
    assert_eq!(fake.acceptances().len(), 150);
}

#[test]
fn faults_of_the_provider_and_a_kill_together() {
    let faults = ["accept_then_reset=0.02", "accept_then_500=0.02", "throttle_429=0.02", "refuse_503=0.02"];
    let flags: Vec<&str> = faults.iter().flat_map(|fault| ["--fault", *fault]).chain(["--seed", "11"]).collect();
    let fake = Keys::Honoured.fake(&flags);
    let project = Project::new(&fake, Keys::Honoured, 400, 1);
    assert!(kill_after(&project, &fake, 120), "killed midway");
    let last = project.finish();
    assert_promises(&project, &fake, Keys::Honoured, &last, "faults and a kill");
    assert_eq!(fake.acceptances().len(), 400);
}
