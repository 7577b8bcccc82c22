//! Signals, spent quotas, wrong keys, unreachable providers: nothing further starts, and nothing is lost.

use std::sync::Arc;

use milepost::clock::monotonic;
use milepost::deliver::{Shutdown, Stopped};
use milepost::model::DeliveryState;

use super::house::{House, account, assert_promises, candidates, count, quick_breaker, wording};
use super::project::{Keys, Project, Store};
use crate::providers::fake::Fake;

const RECIPIENTS: u32 = 200;

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_drains_what_is_under_way_and_gives_the_rest_back() {
    for house in [House::memory(), House::sqlite(), House::postgres()] {
        let fake = Fake::start(&["--delay-ms", "50"]);
        let folder = tempfile::tempdir().expect("a folder");
        let account =
            account(&fake.resend(folder.path(), &[("batch", 1.into()), ("in_flight", 8.into())]), folder.path());
        let run = house.run(&account, wording("Well done")).await;
        let signal = async {
            while fake.accepted().is_empty() {
                tokio::task::yield_now().await;
            }
            run.signals.send(Shutdown::Drain).expect("the session listens");
            fake.requests()
        };
        let (summary, seen) = tokio::join!(run.mail(candidates(RECIPIENTS)), signal);
        let summary = summary.expect("drained");
        assert_eq!(summary.stopped, Some(Stopped::Interrupted));
        assert!(fake.requests() <= seen + 16, "hardly anything starts after the signal");
        let states = house.states().await;
        assert_eq!(count(&states, DeliveryState::Dispatched), 0, "nothing is left in doubt");
        assert_eq!(count(&states, DeliveryState::Unknown), 0);
        assert_eq!(count(&states, DeliveryState::Accepted) as u64, summary.accepted);
        assert!(count(&states, DeliveryState::Retryable) > 0);
        drop(run);
        house.run(&account, wording("Well done")).await.whole(candidates(RECIPIENTS)).await;
        assert_promises(&house, &fake, RECIPIENTS as usize, "interrupted").await;
        assert_eq!(count(&house.states().await, DeliveryState::Accepted), RECIPIENTS as usize);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_accounts_fault_stops_it_and_rejects_nobody() {
    for (fault, code) in [("quota_429", "daily_quota_exceeded"), ("unauthorized_401", "invalid_api_key")] {
        let (house, fake) = (House::memory(), Fake::start(&["--fault", &format!("{fault}=1")]));
        let folder = tempfile::tempdir().expect("a folder");
        let account =
            account(&fake.resend(folder.path(), &[("batch", 1.into()), ("in_flight", 4.into())]), folder.path());
        let run = house.run(&account, wording("Well done")).await;
        let summary = run.mail(candidates(RECIPIENTS)).await.expect("stopped");
        let Some(Stopped::Configuration { code: found, .. } | Stopped::Quota { code: found, .. }) = &summary.stopped
        else {
            panic!("{summary:?}")
        };
        assert_eq!(found, code);
        assert!(fake.requests() <= 8, "{fault}: {} requests", fake.requests());
        assert_eq!((summary.rejected, summary.unknown, summary.accepted), (0, 0, 0));
        assert!(house.states().await.values().all(|state| *state == DeliveryState::Retryable), "claims are released");
        drop(run);
        let other_job = house.run(&account, wording("Well done")).await;
        assert_eq!(other_job.mail(candidates(1)).await.expect("stopped").requests, 0, "the account stays stopped");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_cannot_be_reached_is_given_up_and_nothing_is_lost() {
    let (house, fake) = (House::memory(), Fake::start(&["--refused"]));
    let folder = tempfile::tempdir().expect("a folder");
    let account = account(&fake.resend(folder.path(), &[("batch", 1.into())]), folder.path());
    let started = monotonic();
    let summary = house.run(&account, wording("Well done")).await.mail(candidates(RECIPIENTS)).await.expect("stopped");
    assert!(matches!(summary.stopped, Some(Stopped::Unreachable { .. })), "{summary:?}");
    assert!(started.elapsed().as_secs() < 20);
    let states = house.states().await;
    assert!(!states.is_empty() && states.values().all(|state| *state == DeliveryState::Retryable));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_loses_answers_trips_the_breaker() {
    let house = House::memory();
    let fake = Fake::start(&["--honour-keys", "false", "--fault", "accept_then_reset=1"]);
    let folder = tempfile::tempdir().expect("a folder");
    let settings = [("batch", 1.into()), ("in_flight", 2.into()), ("idempotency", false.into())];
    let account = quick_breaker(&fake.resend(folder.path(), &settings), folder.path());
    let summary = house.run(&account, wording("Well done")).await.mail(candidates(RECIPIENTS)).await.expect("stopped");
    assert!(matches!(summary.stopped, Some(Stopped::Breaker { .. })), "{summary:?}");
    assert!(
        summary.unknown >= 6 && summary.unknown <= 9,
        "five, those under way with them, and one tried: {summary:?}"
    );
    assert_promises(&house, &fake, house.states().await.len(), "breaker").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_loses_answers_for_a_while_is_tried_again_with_one_message() {
    let house = House::memory();
    let fake = Fake::start(&["--honour-keys", "false", "--fault", "accept_then_reset=1", "--faulty", "7"]);
    let folder = tempfile::tempdir().expect("a folder");
    let settings = [("batch", 1.into()), ("in_flight", 1.into()), ("idempotency", false.into())];
    let account = quick_breaker(&fake.resend(folder.path(), &settings), folder.path());
    let run = house.run(&account, wording("Well done")).await;
    let summary = run.mail(candidates(RECIPIENTS)).await.expect("stopped");
    assert!(matches!(summary.stopped, Some(Stopped::Breaker { .. })), "the sixth was lost too: {summary:?}");
    assert_eq!((summary.unknown, fake.requests()), (6, 6));

    let fake = Fake::start(&["--honour-keys", "false", "--fault", "accept_then_reset=1", "--faulty", "5"]);
    let house = House::memory();
    let account = quick_breaker(&fake.resend(folder.path(), &settings), folder.path());
    let summary = house.run(&account, wording("Well done")).await.mail(candidates(RECIPIENTS)).await.expect("mailed");
    assert_eq!(summary.stopped, None);
    assert_eq!((summary.unknown, summary.accepted), (5, u64::from(RECIPIENTS) - 5));
    assert_promises(&house, &fake, RECIPIENTS as usize, "breaker").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_of_a_provider_is_learnt_from_its_refusals() {
    let (house, fake) = (House::memory(), Fake::start(&["--limit", "100"]));
    let folder = tempfile::tempdir().expect("a folder");
    let settings = [("batch", 1.into()), ("rate", "unlimited".into())];
    let account = account(&fake.resend(folder.path(), &settings), folder.path());
    let summary = house.run(&account, wording("Well done")).await.mail(candidates(400)).await.expect("mailed");
    assert_eq!((summary.accepted, summary.stopped), (400, None));
    let refused = summary.requests - summary.accepted;
    assert!((1..=12).contains(&refused), "3 % at most: {refused}");
}

#[test]
fn a_provider_that_stalls_holds_no_job_of_another() {
    let stalled = Fake::start(&["--delay-ms", "600000"]);
    let other = Fake::start(&[]);
    let project = Project::new(&stalled, (Store::Sqlite, Keys::Honoured), 30, 1);
    project.add_job(&other);
    let mut child = project.start();
    while other.accepted().len() < 30 {
        assert!(child.try_wait().expect("asked").is_none(), "the run ended: {}", project.results());
        std::thread::yield_now();
    }
    let states: Vec<_> = project.rows().into_iter().filter(|row| row.job == "high_five").map(|row| row.state).collect();
    child.kill().expect("killed");
    child.wait().expect("ended");
    assert!(states.iter().all(|state| *state == DeliveryState::Dispatched), "nobody gave up before: {states:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_runs_at_once_mail_nobody_twice() {
    let (house, fake) = (House::sqlite(), Fake::start(&["--delay-ms", "5"]));
    let folder = tempfile::tempdir().expect("a folder");
    let account = account(&fake.resend(folder.path(), &[("batch", 1.into())]), folder.path());
    let run = Arc::new(house.run(&account, wording("Well done")).await);
    let (one, other) = tokio::join!(run.mail(candidates(60)), run.mail(candidates(60)));
    assert!(one.is_err() || other.is_err(), "one of the two cannot claim what the other claimed");
    let twice = fake.acceptances().into_values().filter(|times| *times > 1).count();
    assert_eq!(twice, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rate_is_kept_and_shared() {
    let (house, fake) = (House::memory(), Fake::start(&[]));
    let folder = tempfile::tempdir().expect("a folder");
    let settings = [("batch", 1.into()), ("rate", "50 per second".into())];
    let account = account(&fake.resend(folder.path(), &settings), folder.path());
    let started = monotonic();
    let summary = house.run(&account, wording("Well done")).await.mail(candidates(26)).await.expect("mailed");
    assert_eq!(summary.accepted, 26);
    assert!(started.elapsed().as_millis() >= 500, "25 intervals of 20 ms, not {} ms", started.elapsed().as_millis());
}
