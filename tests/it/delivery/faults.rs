//! Fault modes x keyed or not x single or batch: the promises hold, and what can be settled is settled.

use milepost::model::DeliveryState;

use super::house::{House, account, assert_promises, candidates, count, wording};
use crate::providers::fake::Fake;

const RECIPIENTS: u32 = 120;

#[tokio::test(flavor = "multi_thread")]
async fn without_faults_everybody_is_mailed_once_and_nobody_again() {
    for (house, batch) in [
        (House::memory(), 1),
        (House::sqlite(), 1),
        (House::sqlite(), 100),
        (House::postgres(), 1),
        (House::postgres(), 100),
    ] {
        let (fake, folder) = (Fake::start(&[]), tempfile::tempdir().expect("a folder"));
        let account = account(&fake.resend(folder.path(), &[("batch", batch.into())]), folder.path());
        let first = house.run(&account, wording("Well done")).await.whole(candidates(1_000)).await;
        assert_eq!((first.accepted, first.dispatched, first.stopped), (1_000, 1_000, None));
        assert_eq!(first.requests, 1_000_u64.div_ceil(batch));
        assert_promises(&house, &fake, 1_000, "no faults").await;
        let requests = fake.requests();
        let second = house.run(&account, wording("Well done")).await.whole(candidates(1_000)).await;
        assert_eq!((second.dispatched, second.requests), (0, 0));
        assert_eq!(fake.requests(), requests, "a second run makes no request");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keyed_provider_clears_its_own_doubts() {
    let every =
        ["accept_then_time_out", "accept_then_reset", "accept_then_500", "truncated_200", "throttle_429", "refuse_503"];
    for (house, batch) in [(House::sqlite(), 1), (House::sqlite(), 10), (House::postgres(), 1), (House::postgres(), 10)]
    {
        let mut flags = vec!["--seed".to_owned(), "7".to_owned()];
        for fault in every {
            flags.extend(["--fault".to_owned(), format!("{fault}=0.03")]);
        }
        let fake = Fake::start(&flags.iter().map(String::as_str).collect::<Vec<_>>());
        let folder = tempfile::tempdir().expect("a folder");
        let settings = [("batch", batch.into()), ("timeout", "300 ms".into())];
        let account = account(&fake.resend(folder.path(), &settings), folder.path());
        let summary = house.run(&account, wording("Well done")).await.whole(candidates(RECIPIENTS)).await;
        assert_promises(&house, &fake, RECIPIENTS as usize, &format!("keyed, batch {batch}")).await;
        assert_eq!(summary.accepted, u64::from(RECIPIENTS), "batch {batch}: {summary:?}");
        assert!(summary.requests > u64::from(RECIPIENTS.div_ceil(batch)), "the faults struck");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_keys_a_lost_answer_stays_unknown() {
    let faults = ["accept_then_time_out", "accept_then_reset", "accept_then_500", "refuse_503", "redirect"];
    let houses = || [House::memory(), House::postgres()];
    for (fault, house) in faults.into_iter().flat_map(|fault| houses().map(|house| (fault, house))) {
        let fake = Fake::start(&["--honour-keys", "false", "--fault", &format!("{fault}=0.04"), "--seed", "3"]);
        let folder = tempfile::tempdir().expect("a folder");
        let settings = [("idempotency", false.into()), ("batch", 1.into()), ("timeout", "300 ms".into())];
        let account = account(&fake.resend(folder.path(), &settings), folder.path());
        let summary = house.run(&account, wording("Well done")).await.whole(candidates(RECIPIENTS)).await;
        assert_promises(&house, &fake, RECIPIENTS as usize, fault).await;
        let states = house.states().await;
        let unknown = count(&states, DeliveryState::Unknown);
        assert!(unknown > 0, "{fault} struck");
        assert_eq!(count(&states, DeliveryState::Accepted) + unknown, RECIPIENTS as usize, "{fault}: {summary:?}");
        let requests = fake.requests();
        let again = house.run(&account, wording("Well done")).await.whole(candidates(RECIPIENTS)).await;
        assert_eq!(fake.requests(), requests, "{fault}: unknown is held, not sent again");
        assert_eq!(again.unknown, unknown as u64, "{fault}: and still counted");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_final_and_a_throttle_is_not() {
    let house = House::memory();
    let fake = Fake::start(&["--fault", "reject_422=0.04", "--fault", "throttle_429=0.05", "--seed", "5"]);
    let folder = tempfile::tempdir().expect("a folder");
    let account = account(&fake.resend(folder.path(), &[("batch", 1.into())]), folder.path());
    let summary = house.run(&account, wording("Well done")).await.whole(candidates(RECIPIENTS)).await;
    assert_promises(&house, &fake, RECIPIENTS as usize, "refusals").await;
    assert!(summary.rejected > 0, "{summary:?}");
    assert_eq!(summary.accepted + summary.rejected, u64::from(RECIPIENTS), "{summary:?}");
    assert!(summary.dispatched > u64::from(RECIPIENTS), "a throttled message is claimed anew");
    assert!(summary.reasons.keys().all(|reason| !reason.contains('@')), "{summary:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_cannot_be_made_is_held_and_the_others_leave() {
    let (house, fake) = (House::sqlite(), Fake::start(&[]));
    let folder = tempfile::tempdir().expect("a folder");
    let account = account(&fake.resend(folder.path(), &[]), folder.path());
    let mut people = candidates(50);
    people[10].address = Some("broken_11@example.test".into());
    let summary = house.run(&account, wording("Well done")).await.whole(people.clone()).await;
    assert_eq!((summary.accepted, summary.render_failed), (49, 1));
    assert_eq!(count(&house.states().await, DeliveryState::RenderFailed), 1);
    people[10].address = Some("person_11@example.test".into());
    let mended = house.run(&account, wording("Well done")).await.whole(people).await;
    assert_eq!((mended.accepted, mended.requests), (1, 1));
    assert_promises(&house, &fake, 50, "render failure").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_fails_leaves_nothing_in_doubt() {
    let (house, fake) = (House::memory(), Fake::start(&[]));
    let folder = tempfile::tempdir().expect("a folder");
    let account = account(&fake.resend(folder.path(), &[]), folder.path());
    let run = house.run(&account, wording("Well done")).await;
    let chunks = vec![Ok(candidates(40)), Err("the bucket is gone".into())];
    let error = run.session.mail(futures::stream::iter(chunks)).await.expect_err("the source failed");
    assert!(matches!(error, milepost::deliver::DeliverError::Source(_)), "{error:?}");
    assert_eq!(run.session.summary().accepted, 40);
    assert_promises(&house, &fake, 40, "source").await;
}
