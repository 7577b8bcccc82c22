//! A run that is stopped (SIGSTOP) for longer than its lease lives, while another wants the job.
//!
//! A lease of 3 s stands for the real one; `MILEPOST_TEST_PAUSE_SECONDS=60` takes the real one and pauses that long.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use milepost::model::DeliveryState;

use super::project::{Keys, Project, Store, assert_promises};
use crate::providers::fake::Fake;

const LEASE_SECONDS: u64 = 12;

fn real_pause() -> Option<u64> {
    milepost::settings::variable("MILEPOST_TEST_PAUSE_SECONDS").and_then(|text| text.parse().ok())
}

/// A run of the project under the lease of this test.
fn run(project: &Project) -> Command {
    let mut command = project.run();
    if real_pause().is_none() {
        command.env("MILEPOST_LEASE_SECONDS", LEASE_SECONDS.to_string());
    }
    command
}

fn signal(child: &Child, name: &str) {
    let done = Command::new("kill").args([name, &child.id().to_string()]).status().expect("kill runs");
    assert!(done.success(), "{name}");
}

/// Starts a run and stops it in the midst of its requests.
fn stopped(project: &Project, fake: &Fake) -> Child {
    let child = run(project).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
    while fake.requests() < 40 {
        std::thread::yield_now();
    }
    signal(&child, "-STOP");
    child
}

#[test]
fn a_stopped_run_that_was_taken_over_from_wakes_and_does_nothing() {
    if !crate::postgres::is_here() {
        return;
    }
    let fake = Keys::Ignored.fake(&["--delay-ms", "30"]);
    let project = Project::new(&fake, (Store::Postgres, Keys::Ignored), 400, 1);
    let first = stopped(&project, &fake);
    if let Some(seconds) = real_pause() {
        std::thread::sleep(Duration::from_secs(seconds));
    }
    let held = run(&project).output().expect("started");
    if real_pause().is_none() {
        assert_eq!(held.status.code(), Some(75), "the lease still lives\n{held:?}");
    }
    let second = run(&project).args(["--lock-timeout", "20s"]).output().expect("started");
    assert_promises(&project, &fake, Keys::Ignored, &second, "taken over");
    let (requests, rows) = (fake.requests(), project.rows());
    assert!(requests > 300, "the second run mailed the others: {requests}");
    let in_doubt = rows.iter().filter(|row| row.state == DeliveryState::Unknown).count();
    assert!(in_doubt > 0, "what the first had under way is in doubt");

    signal(&first, "-CONT");
    let first = first.wait_with_output().expect("ended");
    assert_eq!(first.status.code(), Some(6), "{first:?}");
    assert!(project.results().contains("took over"), "{}", project.results());
    assert_eq!(fake.requests(), requests, "it started no request");
    assert_eq!(project.rows(), rows, "it wrote nothing");
}

#[test]
fn a_stopped_run_keeps_a_sqlite_ledger_and_goes_on_when_woken() {
    let fake = Keys::Honoured.fake(&["--delay-ms", "30"]);
    let project = Project::new(&fake, (Store::Sqlite, Keys::Honoured), 400, 1);
    let first = stopped(&project, &fake);
    // Longer than the lease lives: a clock plays no part where the system's lock says who lives.
    std::thread::sleep(Duration::from_secs(real_pause().unwrap_or(LEASE_SECONDS + 1)));
    let second = run(&project).output().expect("started");
    assert_eq!(second.status.code(), Some(75), "{second:?}");
    signal(&first, "-CONT");
    let first = first.wait_with_output().expect("ended");
    assert_promises(&project, &fake, Keys::Honoured, &first, "woken");
    assert_eq!(fake.acceptances().len(), 400);
}
