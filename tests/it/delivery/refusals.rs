//! Whose fault a refusal is: one message of a batch, the account, or nobody knows yet. Nobody is settled for another's.

use milepost::deliver::Stopped;
use milepost::model::{Candidate, DeliveryState};
use serde_json::Value;

use super::house::{House, account, candidates, count, wording};
use super::project::{Keys, Project, Store};
use crate::providers::fake::Fake;

/// Faults of the account, and of nobody's address, under many statuses and codes.
const ACCOUNT_FAULTS: [(&str, &str); 4] = [
    ("unauthorized_401", "API key <secret> is invalid"),
    ("bad_key_400", "API key is invalid"),
    ("domain_422", "domain is not verified"),
    ("testing_403", "only send testing emails to your own email address (<address>)"),
];

/// Candidates of whom some have an address that the provider refuses.
fn some_refused(all: u32, refused: &[usize]) -> Vec<Candidate> {
    let mut people = candidates(all);
    for place in refused {
        people[*place].address = Some(format!("person_{}@example.invalid", place + 1));
    }
    people
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_address_in_a_batch_is_rejected_alone() {
    for (house, flags) in [
        (House::memory(), &[][..]),
        (House::memory(), &["--strict"][..]),
        (House::sqlite(), &["--strict"]),
        (House::postgres(), &["--strict"]),
        (House::memory(), &["--strict", "--honour-keys", "false"]),
    ] {
        for refused in [&[137][..], &[0], &[249], &[0, 1, 2, 3], &[10, 60, 110, 160, 210], &[98, 99, 100]] {
            let house = match &house {
                House::Memory(_) => House::memory(),
                House::Sqlite(_) => House::sqlite(),
                House::Postgres(_) => House::postgres(),
            };
            let (fake, folder) = (Fake::start(flags), tempfile::tempdir().expect("a folder"));
            let keyed = !flags.contains(&"--honour-keys");
            let settings = [("batch", 100.into()), ("idempotency", keyed.into())];
            let account = account(&fake.resend(folder.path(), &settings), folder.path());
            let case = format!("{flags:?} {refused:?}");
            let summary = house.run(&account, wording("Well done")).await.whole(some_refused(250, refused)).await;
            let expected = (250 - refused.len() as u64, refused.len() as u64, None);
            assert_eq!((summary.accepted, summary.rejected, summary.stopped.clone()), expected, "{case}: {summary:?}");
            let states = house.states().await;
            assert_eq!(count(&states, DeliveryState::Rejected), refused.len(), "{case}");
            assert_eq!(count(&states, DeliveryState::Accepted), 250 - refused.len(), "{case}");
            assert_eq!(summary.rejections.values().sum::<u64>(), refused.len() as u64, "{case}");
            assert!(fake.acceptances().values().all(|times| *times == 1), "{case}: nobody twice");
            let most = if flags.is_empty() { 3 } else { 3 + 14 * refused.len() as u64 };
            assert!(fake.requests() <= most, "{case}: {} requests", fake.requests());
            let before = fake.requests();
            house.run(&account, wording("Well done")).await.whole(some_refused(250, refused)).await;
            assert_eq!(fake.requests(), before, "{case}: another run makes no request");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_of_the_account_settles_nobody() {
    for (fault, words) in ACCOUNT_FAULTS {
        for batch in [1, 100] {
            let (house, fake) = (House::memory(), Fake::start(&["--fault", &format!("{fault}=1")]));
            let folder = tempfile::tempdir().expect("a folder");
            let account = account(&fake.resend(folder.path(), &[("batch", batch.into())]), folder.path());
            let run = house.run(&account, wording("Well done")).await;
            let summary = run.mail(candidates(250)).await.expect("stopped");
            let Some(Stopped::Configuration { detail, .. }) = &summary.stopped else { panic!("{fault}: {summary:?}") };
            assert!(detail.contains(words), "{fault}: {detail}");
            assert_eq!((summary.rejected, summary.unknown, summary.accepted), (0, 0, 0), "{fault}: {summary:?}");
            assert!(house.states().await.values().all(|state| *state == DeliveryState::Retryable), "{fault}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_shared_by_all_of_the_first_is_the_accounts() {
    for (people, batch, flags) in [
        (250, 1, &[][..]),
        (250, 100, &[]),
        (250, 100, &["--strict"]),
        (1, 1, &[]),
        (3, 1, &[]),
        (3, 100, &["--strict"]),
    ] {
        let fake = Fake::start(&[&["--fault", "odd_422=1"], flags].concat());
        let (house, folder) = (House::memory(), tempfile::tempdir().expect("a folder"));
        let settings = [("batch", batch.into()), ("in_flight", 4.into())];
        let account = account(&fake.resend(folder.path(), &settings), folder.path());
        let run = house.run(&account, wording("Well done")).await;
        let summary = run.mail(candidates(people)).await.expect("stopped");
        let case = format!("{people} in batches of {batch}, {flags:?}");
        let Some(Stopped::RefusedAll { code, detail, .. }) = &summary.stopped else { panic!("{case}: {summary:?}") };
        assert_eq!((code.as_str(), detail.as_str()), ("unheard_of", "Computer says no"), "{case}");
        assert_eq!((summary.rejected, summary.accepted), (0, 0), "{case}: {summary:?}");
        let states = house.states().await;
        assert!(states.values().all(|state| *state == DeliveryState::Retryable), "{case}: {states:?}");
        assert!(fake.requests() <= 24, "{case}: {} requests", fake.requests());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_refusals_are_final_once_anything_is_accepted() {
    let (house, fake) = (House::memory(), Fake::start(&[]));
    let folder = tempfile::tempdir().expect("a folder");
    let settings = [("batch", 1.into()), ("in_flight", 1.into())];
    let account = account(&fake.resend(folder.path(), &settings), folder.path());
    let summary = house.run(&account, wording("Well done")).await.whole(some_refused(50, &[0, 1, 2, 3, 4])).await;
    assert_eq!((summary.accepted, summary.rejected, summary.stopped), (45, 5, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_address_that_nobody_takes_is_no_fault_of_the_account() {
    let (house, fake) = (House::memory(), Fake::start(&[]));
    let folder = tempfile::tempdir().expect("a folder");
    let account = account(&fake.resend(folder.path(), &[("batch", 1.into())]), folder.path());
    let summary = house.run(&account, wording("Well done")).await.whole(some_refused(1, &[0])).await;
    assert_eq!((summary.accepted, summary.rejected, summary.stopped), (0, 1, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_in_doubt_that_is_refused_whole_is_decided_anew() {
    let (house, slow) =
        (House::memory(), Fake::start(&["--honour-keys", "false", "--fault", "accept_then_time_out=1"]));
    let strict = Fake::start(&["--strict"]);
    let folder = tempfile::tempdir().expect("a folder");
    let people = some_refused(20, &[7]);
    let timeout = [("batch", 20.into()), ("timeout", "200 ms".into())];
    let lost = account(&slow.resend(folder.path(), &timeout), folder.path());
    // Nothing answers, and nothing of it is what the strict one will ever see.
    house.run(&lost, wording("Well done")).await.whole(people.clone()).await;
    assert_eq!(count(&house.states().await, DeliveryState::Unknown), 20);
    let answers = account(&strict.resend(folder.path(), &[("batch", 20.into())]), folder.path());
    let summary = house.run(&answers, wording("Well done")).await.whole(people).await;
    let states = house.states().await;
    assert_eq!(count(&states, DeliveryState::Accepted), 19, "{summary:?}");
    assert_eq!(count(&states, DeliveryState::Rejected), 1, "{summary:?}");
}

/// What a run says: its exit code, what it prints, and the job's results.
fn told(project: &Project) -> (Option<i32>, String, Value) {
    let mut command = project.run();
    let output = command.output().expect("started");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let results: Value = serde_json::from_str(&project.results()).expect("JSON");
    (output.status.code(), said, results["results"][0].clone())
}

#[test]
fn a_run_tells_the_accounts_fault_in_the_providers_words_and_ends_with_2() {
    let faults = ACCOUNT_FAULTS.into_iter().chain([("odd_422", "Computer says no")]);
    for (fault, words) in faults {
        let fake = Keys::Honoured.fake(&["--fault", &format!("{fault}=1"), "--control"]);
        let mut fake = fake;
        let project = Project::new(&fake, (Store::Sqlite, Keys::Honoured), 30, 1);
        let (code, _, job) = told(&project);
        assert_eq!(code, Some(2), "{fault}: {job}");
        let message = job["message"].as_str().unwrap_or_default();
        assert!(message.contains(words), "{fault}: {message}");
        assert!(!project.results().contains("re_secret_of_the_test"), "{fault}");
        assert!(project.rows().iter().all(|row| row.state == DeliveryState::Retryable), "{fault}");
        fake.calm();
        let (code, _, job) = told(&project);
        assert_eq!(code, Some(0), "{fault}: {job}");
        assert!(project.rows().iter().all(|row| row.state == DeliveryState::Accepted), "{fault}");
    }
}

#[test]
fn a_run_with_rejections_tells_them() {
    let fake = Keys::Honoured.fake(&[]);
    let project = Project::new(&fake, (Store::Sqlite, Keys::Honoured), 30, 10);
    project.give_address(7, "person_7@example.invalid");
    let output = project.run_aloud().output().expect("started");
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(said.contains("1 rejected for good: validation_error: Invalid `to` field."), "{said}");
    let results: Value = serde_json::from_str(&project.results()).expect("JSON");
    let job = &results["results"][0];
    assert_eq!((&job["outcomes"]["rejected"], &job["outcomes"]["accepted"]), (&1.into(), &29.into()));
    assert_eq!(job["rejections"].as_object().map(serde_json::Map::len), Some(1), "{job}");
    let status = project.command(&["status"]).output().expect("started");
    let said = String::from_utf8_lossy(&status.stdout);
    let columns: Vec<&str> = said.lines().next().unwrap_or_default().split_whitespace().collect();
    assert!(columns.contains(&"REJECTED") && said.contains("--state rejected"), "{said}");
}
