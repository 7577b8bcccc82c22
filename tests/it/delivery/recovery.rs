//! What a killed run leaves, and what the next one makes of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use milepost::clock::Clock;
use milepost::deliver::{Account, DeliverError, Shutdown};
use milepost::ledger::{Halt, LedgerError, RunEnd};
use milepost::model::DeliveryState;

use super::house::{House, account, assert_promises, candidates, count, wording};
use crate::providers::fake::Fake;

const RECIPIENTS: u32 = 300;

fn end() -> RunEnd {
    RunEnd {
        status: "failed".into(),
        now: Clock::System.now(),
        provider: "main/resend".into(),
        counts: BTreeMap::new(),
        starts: BTreeMap::new(),
        completes_first_run: false,
        volumes: BTreeMap::new(),
        saw_until: None,
    }
}

/// Mails until something is in doubt, goes away without a word, and says how much that was.
async fn killed(house: &House, account: &Arc<Account>, fake: &Fake) -> usize {
    loop {
        let run = house.run(account, wording("Well done")).await;
        let open = run.open(candidates(RECIPIENTS)).await;
        let (ledger, before) = (run.ledger.clone(), fake.accepted().len());
        let mailing = run.mail(open);
        let gone = async {
            while fake.accepted().len() == before {
                tokio::task::yield_now().await;
            }
            run.signals.send(Shutdown::Abort).expect("the session listens");
        };
        let (ended, ()) = tokio::join!(mailing, gone);
        assert_eq!(ended.expect("aborted").stopped, Some(milepost::deliver::Stopped::Aborted));
        // The tasks of a dropped session end a moment after it; a process that is killed writes nothing after its end.
        drop(run);
        while Arc::strong_count(&ledger) > 1 {
            tokio::task::yield_now().await;
        }
        // The end may have come in the moment between two waves.
        let in_doubt = count(&house.states().await, DeliveryState::Dispatched);
        if in_doubt > 0 {
            return in_doubt;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keyed_run_after_a_kill_sends_the_same_bytes_under_the_same_keys() {
    for (house, batch) in [(House::memory(), 1), (House::sqlite(), 10), (House::postgres(), 1), (House::postgres(), 10)]
    {
        let fake = Fake::start(&["--delay-ms", "30"]);
        let folder = tempfile::tempdir().expect("a folder");
        let entry = fake.resend(folder.path(), &[("batch", batch.into()), ("in_flight", 4.into())]);
        killed(&house, &account(&entry, folder.path()), &fake).await;
        let summary =
            house.run(&account(&entry, folder.path()), wording("Well done")).await.whole(candidates(RECIPIENTS)).await;
        assert_promises(&house, &fake, RECIPIENTS as usize, "killed").await;
        assert_eq!(count(&house.states().await, DeliveryState::Accepted), RECIPIENTS as usize, "{summary:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_bytes_or_no_key_are_held() {
    let cases = [
        (true, "Changed", House::memory()),
        (false, "Well done", House::memory()),
        (false, "Well done", House::postgres()),
    ];
    for (keyed, words, house) in cases {
        let fake = Fake::start(&["--delay-ms", "30"]);
        let folder = tempfile::tempdir().expect("a folder");
        let settings = [("batch", 1.into()), ("in_flight", 4.into()), ("idempotency", keyed.into())];
        let entry = fake.resend(folder.path(), &settings);
        let in_doubt = killed(&house, &account(&entry, folder.path()), &fake).await;
        let summary =
            house.run(&account(&entry, folder.path()), wording(words)).await.whole(candidates(RECIPIENTS)).await;
        assert_promises(&house, &fake, RECIPIENTS as usize, "held").await;
        let states = house.states().await;
        assert_eq!(count(&states, DeliveryState::Unknown), in_doubt, "keyed: {keyed}");
        assert_eq!(summary.unknown, in_doubt as u64, "keyed: {keyed}");
        assert_eq!(summary.reasons.get("held").copied(), Some(in_doubt as u64));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_meets_a_throttle_proves_nothing_and_stays_unknown() {
    let (house, throttling) = (House::memory(), Fake::start(&["--fault", "throttle_429=1"]));
    let fake = Fake::start(&["--delay-ms", "30"]);
    let folder = tempfile::tempdir().expect("a folder");
    let entry = fake.resend(folder.path(), &[("batch", 100.into()), ("in_flight", 1.into())]);
    let before = killed(&house, &account(&entry, folder.path()), &fake).await;
    let throttled = account(&throttling.resend(folder.path(), &[]), folder.path());
    let run = house.run(&throttled, wording("Well done")).await;
    let pending = run.recover().await;
    let summary = run.session.replay(pending, candidates(RECIPIENTS)).await.expect("replayed");
    assert_eq!((summary.unknown, summary.retryable, summary.accepted), (before as u64, 0, 0), "{summary:?}");
    assert_eq!(count(&house.states().await, DeliveryState::Unknown), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn candidates_that_are_gone_stay_unknown_and_harm_nobody() {
    let (house, fake) = (House::memory(), Fake::start(&["--delay-ms", "30"]));
    let folder = tempfile::tempdir().expect("a folder");
    let entry = fake.resend(folder.path(), &[("batch", 1.into()), ("in_flight", 4.into())]);
    killed(&house, &account(&entry, folder.path()), &fake).await;
    let run = house.run(&account(&entry, folder.path()), wording("Well done")).await;
    let pending = run.recover().await;
    let all = pending.len();
    let known: Vec<_> = candidates(RECIPIENTS)
        .into_iter()
        .filter(|candidate| candidate.key.profile_id != pending[0].deliveries[0].key.profile_id)
        .collect();
    let summary = run.session.replay(pending, known).await.expect("replayed");
    assert_eq!((summary.accepted, summary.unknown), (all as u64 - 1, 1));
    assert_eq!(summary.requests, all as u64 - 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_halt_reaches_a_run_that_claims_nothing() {
    futures::future::join_all([House::memory(), House::sqlite(), House::postgres()].map(halted_replay)).await;
}

async fn halted_replay(house: House) {
    let fake = Fake::start(&["--delay-ms", "30"]);
    let folder = tempfile::tempdir().expect("a folder");
    let quick = fake.resend(folder.path(), &[("batch", 1.into()), ("in_flight", 64.into())]);
    killed(&house, &account(&quick, folder.path()), &fake).await;
    let slow =
        fake.resend(folder.path(), &[("batch", 1.into()), ("in_flight", 1.into()), ("rate", "5 per second".into())]);
    let run = house.run(&account(&slow, folder.path()), wording("Well done")).await;
    let (pending, before) = (run.recover().await, fake.requests());
    // Those of the killed session that had not left may have been given back a moment after it.
    let in_doubt = pending.len();
    assert!(in_doubt > 30, "{in_doubt} take six seconds at least");
    let halt = Halt { job: None, reason: Some("wrong figures".into()), halted_at: Clock::System.now() };
    run.ledger.halt(&halt).await.expect("halts");
    let error = run.session.replay(pending, candidates(RECIPIENTS)).await.expect_err("halted");
    assert!(matches!(error, DeliverError::Ledger(LedgerError::Halted { .. })), "{error:?}");
    let replayed = usize::try_from(fake.requests() - before).expect("few");
    assert!(replayed < 30, "{replayed} requests in the five seconds until the next beat");
    let states = house.states().await;
    assert_eq!(count(&states, DeliveryState::Unknown), in_doubt - replayed, "what was answered is recorded");
    assert!(run.ledger.resume(None).await.expect("lifts"));
    run.ledger.close(&run.lease, &end()).await.expect("gives the job back");
    drop(run);
    house.run(&account(&quick, folder.path()), wording("Well done")).await.whole(candidates(RECIPIENTS)).await;
    assert_promises(&house, &fake, RECIPIENTS as usize, "halted").await;
    assert_eq!(count(&house.states().await, DeliveryState::Accepted), RECIPIENTS as usize);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fenced_run_starts_nothing_more() {
    for house in [House::memory(), House::postgres()] {
        fenced(&house).await;
    }
}

async fn fenced(house: &House) {
    let fake = Fake::start(&["--delay-ms", "20"]);
    let folder = tempfile::tempdir().expect("a folder");
    let account = account(&fake.resend(folder.path(), &[("batch", 1.into()), ("in_flight", 2.into())]), folder.path());
    let old = Arc::new(house.run(&account, wording("Well done")).await);
    let mailing = tokio::spawn({
        let old = old.clone();
        async move { old.mail(candidates(RECIPIENTS)).await }
    });
    while fake.accepted().is_empty() {
        tokio::task::yield_now().await;
    }
    // Whoever gave the lease back may not write any more, like a run that was taken over from.
    old.ledger.close(&old.lease, &end()).await.expect("closed");
    let error = mailing.await.expect("ends").expect_err("fenced");
    assert!(matches!(error, milepost::deliver::DeliverError::Fenced { .. }), "{error:?}");
    let requests = fake.requests();
    assert!(requests < u64::from(RECIPIENTS));
    tokio::task::yield_now().await;
    assert_eq!(fake.requests(), requests);
}
