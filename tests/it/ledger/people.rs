//! What every ledger knows beside deliveries: who must not be mailed, shared addresses, caps, halts, what is usual, and
//! deferrals that come and go.

use std::collections::BTreeMap;

use jiff::Timestamp;
use milepost::ledger::{
    DeliveryFilter, Erased, Halt, InForce, Inquiry, Lease, LedgerError, LedgerStore, Recipient, RecipientFacts, RunEnd,
    RunRequest, SuppressionChange, SuppressionSubject,
};
use milepost::model::DeliveryState::{
    Accepted, Deferred, Dispatched, HeldOut, Rejected, Retryable, SameAddress, Withdrawn,
};
use milepost::model::{DeliveryKey, EmailAddress, SuppressionReason};

use super::{Place, at, decision, dispatch, end, key, outcome, request, states};

const ADDRESS: &str = "ann@example.test";

fn hash(ledger: &dyn LedgerStore, address: &str) -> String {
    ledger.identity().address_hash(&EmailAddress::parse(address).expect("an address"))
}

/// What stands against one recipient.
async fn facts(
    ledger: &dyn LedgerStore,
    lease: &Lease,
    (key, address): (&DeliveryKey, Option<&str>),
    since: Option<Timestamp>,
) -> RecipientFacts {
    let address_hash = address.map(|address| hash(ledger, address));
    let recipients = vec![Recipient { key: key.clone(), address_hash }];
    let inquiry = Inquiry { keys: Vec::new(), recipients, dispatched_since: since };
    ledger.recorded(lease, &inquiry).await.expect("answers").recipients.remove(0)
}

fn change(
    subject: SuppressionSubject,
    reason: Option<SuppressionReason>,
    job: Option<&str>,
    second: i64,
) -> SuppressionChange {
    SuppressionChange { subject, reason, job: job.map(str::to_owned), origin: "test".into(), at: at(second) }
}

#[tokio::test]
async fn suppressions_are_found_by_profile_and_by_address_until_they_are_lifted() {
    use SuppressionReason::{Bounce, Manual, Unsubscribed};
    for place in Place::every() {
        let ledger = place.connect().await;
        let lease = ledger.open(&request("r1")).await.expect("opens");
        let profile = |id: &str| SuppressionSubject::Profile(id.into());
        let address = |address: &str| SuppressionSubject::Address(hash(&*ledger, address));
        for written in [
            change(profile("u1"), Some(Manual), None, 1),
            change(address(ADDRESS), Some(Bounce), None, 2),
            change(address(ADDRESS), Some(Unsubscribed), Some("other"), 3),
            change(profile("Ann@example.test"), Some(Manual), None, 4),
        ] {
            ledger.suppress(&written).await.expect("writes");
        }
        let found = |reason, job: Option<&str>| InForce { reason, job: job.map(str::to_owned) };
        let by_address = vec![found(Bounce, None), found(Unsubscribed, Some("other"))];
        let cases = [
            (key("u1", "o"), None, vec![found(Manual, None)]),
            (key("u2", "o"), None, vec![]),
            (key("u2", "o"), Some("ANN@example.test"), by_address.clone()),
            (
                key("u1", "o"),
                Some(ADDRESS),
                vec![found(Bounce, None), found(Manual, None), found(Unsubscribed, Some("other"))],
            ),
            (key("ann@EXAMPLE.test", "o"), None, vec![found(Manual, None)]),
        ];
        for (key, address, expected) in cases {
            let facts = facts(&*ledger, &lease, (&key, address), None).await;
            assert_eq!(facts.suppressions, expected, "{key:?} {address:?}");
        }
        assert_eq!(ledger.unsuppress(&change(address(ADDRESS), Some(Bounce), None, 5)).await.expect("lifts"), 1);
        assert_eq!(ledger.unsuppress(&change(address(ADDRESS), Some(Bounce), None, 5)).await.expect("lifts"), 0);
        assert_eq!(ledger.unsuppress(&change(profile("u1"), None, None, 6)).await.expect("lifts"), 1);
        let left = facts(&*ledger, &lease, (&key("u1", "o"), Some(ADDRESS)), None).await;
        assert_eq!(left.suppressions, by_address[1..]);
        ledger.suppress(&change(profile("u1"), Some(Manual), None, 9)).await.expect("writes");
        let rows = ledger.suppressions(Some(&profile("u1"))).await.expect("lists");
        assert_eq!((rows.len(), rows[0].created_at, rows[0].lifted_at), (1, at(9), None), "it stands anew");
        assert_eq!(ledger.suppressions(None).await.expect("lists").len(), 4);
        assert!(ledger.suppress(&change(profile("u1"), None, None, 9)).await.is_err(), "a reason is needed");
    }
}

#[tokio::test]
async fn an_address_is_taken_by_another_profile_of_the_same_job_and_occasion() {
    for place in Place::every() {
        for (state, taken) in [
            (Dispatched, true),
            (Accepted, true),
            (Rejected, true),
            (Retryable, true),
            (HeldOut, true),
            (Deferred, true),
            (SameAddress, false),
        ] {
            let ledger = place.connect_after_death().await;
            let lease = ledger.open(&request(&format!("{state}"))).await.expect("opens");
            let occasion = format!("o:{state}");
            let first = key("u1", &occasion);
            match state {
                HeldOut | Deferred | SameAddress => {
                    let address_hash = Some(hash(&*ledger, ADDRESS));
                    let record = milepost::ledger::DecisionRecord { address_hash, ..decision(&first, state) };
                    ledger.record(&lease, &[record]).await.expect("records");
                }
                _ => {
                    dispatch(&*ledger, &lease, &occasion, std::slice::from_ref(&first)).await.expect("claims");
                    if state != Dispatched {
                        ledger.settle(&lease, &[outcome(&*ledger, &lease, &first, state)]).await.expect("settles");
                    }
                }
            }
            let renamed = Lease { job: "new name".into(), aliases: vec!["high_five".into()], ..lease.clone() };
            let other_job = Lease { job: "other".into(), ..lease.clone() };
            let cases = [
                (&lease, key("u2", &occasion), ADDRESS, taken),
                (&renamed, key("u2", &occasion), ADDRESS, taken),
                (&other_job, key("u2", &occasion), ADDRESS, false),
                (&lease, first.clone(), ADDRESS, false),
                (&lease, key("u2", "another"), ADDRESS, false),
                (&lease, key("u2", &occasion), "ben@example.test", false),
            ];
            for (lease, key, address, expected) in cases {
                let facts = facts(&*ledger, lease, (&key, Some(address)), None).await;
                assert_eq!(facts.address_taken, expected, "{state} {key:?} {address} in {}", lease.job);
            }
        }
    }
}

#[tokio::test]
async fn marketing_dispatches_are_told_across_jobs() {
    for place in Place::every() {
        let ledger = place.connect().await;
        let job = |job: &str, marketing| RunRequest { job: job.into(), marketing, ..request(job) };
        let mut keys = Vec::new();
        for (name, marketing) in [("cheers", true), ("recap", true), ("receipts", false)] {
            let lease = ledger.open(&job(name, marketing)).await.expect("opens");
            let own = [key("u1", name), key("u1", &format!("{name} again")), key("u2", name)];
            dispatch(&*ledger, &lease, name, &own).await.expect("claims");
            ledger.settle(&lease, &[outcome(&*ledger, &lease, &own[0], Accepted)]).await.expect("settles");
            ledger.settle(&lease, &[outcome(&*ledger, &lease, &own[1], Retryable)]).await.expect("settles");
            keys.push(lease);
        }
        for (since, expected) in [(Some(at(1)), vec![at(2), at(2)]), (Some(at(2)), vec![]), (None, vec![])] {
            let facts = facts(&*ledger, &keys[0], (&key("u1", "x"), Some(ADDRESS)), since).await;
            assert_eq!(facts.dispatched, expected, "since {since:?}: one of each marketing job was not refused");
        }
    }
}

#[tokio::test]
async fn what_is_forgotten_is_a_tombstone_and_never_mailed_again() {
    for place in Place::every() {
        let ledger = place.connect().await;
        let lease = ledger.open(&request("r1")).await.expect("opens");
        dispatch(&*ledger, &lease, "b1", &[key("u1", "o"), key("u2", "o")]).await.expect("claims");
        let subject = SuppressionSubject::Profile("u1".into());
        ledger.suppress(&change(subject.clone(), Some(SuppressionReason::Manual), None, 3)).await.expect("writes");
        let erased = ledger.erase("u1", at(5)).await.expect("forgets");
        assert_eq!(erased, Erased { deliveries: 1, addresses: 1 });
        let rows = ledger.deliveries(&DeliveryFilter::default()).await.expect("lists");
        let row = rows.iter().find(|row| row.profile_id.starts_with("hmac:")).expect("a tombstone");
        assert_eq!((row.state, row.occasion.as_str(), row.address_hash.as_deref()), (Dispatched, "o", None));
        assert!(rows.iter().all(|row| row.profile_id != "u1"));
        let erasure = vec![InForce { reason: SuppressionReason::Erase, job: None }];
        for (id, address) in [("u1", None), ("u1", Some("new@example.test")), ("u9", Some(ADDRESS))] {
            let facts = facts(&*ledger, &lease, (&key(id, "o"), address), None).await;
            assert_eq!(facts.suppressions, erasure, "{id} {address:?}");
        }
        assert_eq!(ledger.unsuppress(&change(subject.clone(), None, None, 6)).await.expect("asks"), 0, "never lifted");
        assert_eq!(ledger.suppressions(Some(&subject)).await.expect("lists").len(), 1);
        // A run that was under way may have written the person again: that goes too, the tombstone stays.
        dispatch(&*ledger, &lease, "b2", &[key("u1", "p")]).await.expect("claims");
        assert_eq!(ledger.erase("u1", at(7)).await.expect("forgets").deliveries, 1);
        assert_eq!(ledger.deliveries(&DeliveryFilter::default()).await.expect("lists").len(), 3);
        assert_eq!(ledger.erase("nobody", at(7)).await.expect("forgets"), Erased::default());
    }
}

#[tokio::test]
async fn a_halt_stands_against_claims_until_it_is_lifted() {
    for place in Place::every() {
        for job in [None, Some("high_five".to_owned())] {
            let ledger = place.connect_after_death().await;
            let run = request(&format!("{job:?}"));
            let lease = ledger.open(&run).await.expect("opens");
            let keys = [key(&format!("{job:?}"), "o"), key(&format!("{job:?}"), "p")];
            let halt = Halt { job: job.clone(), reason: Some("wrong figures".into()), halted_at: at(1) };
            ledger.halt(&halt).await.expect("halts");
            ledger.halt(&Halt { halted_at: at(2), ..halt.clone() }).await.expect("halts again");
            assert_eq!(ledger.halts().await.expect("lists"), std::slice::from_ref(&halt));
            let refused = dispatch(&*ledger, &lease, &format!("{job:?}"), &keys).await;
            assert!(
                matches!(&refused, Err(LedgerError::Halted { reason, .. }) if reason.as_deref() == Some("wrong figures")),
                "{refused:?}"
            );
            assert_eq!(states(&*ledger, &lease, &keys).await, [None, None]);
            let told = ledger.heartbeat(&lease, at(3)).await;
            assert!(matches!(&told, Err(LedgerError::Halted { .. })), "{told:?}");
            assert_eq!(ledger.look(&run).await.expect("looks").halt, Some(halt));
            let other = RunRequest { job: "other".into(), ..request("other") };
            assert_eq!(ledger.look(&other).await.expect("looks").halt.is_some(), job.is_none());
            assert!(ledger.resume(job.as_deref()).await.expect("lifts"));
            assert!(!ledger.resume(job.as_deref()).await.expect("nothing stands"));
            ledger.heartbeat(&lease, at(4)).await.expect("goes on");
            dispatch(&*ledger, &lease, &format!("{job:?}"), &keys).await.expect("claims");
        }
    }
}

#[tokio::test]
async fn deferrals_are_renewed_or_withdrawn() {
    for place in Place::every() {
        let ledger = place.connect().await;
        let keys = [key("u1", "o"), key("u2", "o"), key("u3", "o")];
        let lease = ledger.open(&request("r1")).await.expect("opens");
        let waiting = |key: &DeliveryKey, reason: &str, second| milepost::ledger::DecisionRecord {
            reason: Some(reason.into()),
            not_before: Some(at(second)),
            variant: Some("a".into()),
            ..decision(key, Deferred)
        };
        let all: Vec<_> = keys.iter().map(|key| waiting(key, "capped", 50)).collect();
        ledger.record(&lease, &all).await.expect("records");
        ledger.close(&lease, &RunEnd { saw_until: Some(at(-5)), ..end("completed") }).await.expect("closes");
        assert_eq!(ledger.deferring_jobs().await.expect("lists"), ["high_five"]);

        let renamed = RunRequest { job: "renamed".into(), aliases: vec!["high_five".into()], ..request("r2") };
        let lease = ledger.open(&renamed).await.expect("opens");
        ledger.record(&lease, &[waiting(&keys[0], "outside_window", 70)]).await.expect("renews");
        dispatch(&*ledger, &lease, "b1", &keys[1..2]).await.expect("claims what waited");
        ledger.close(&lease, &end("completed")).await.expect("a restricted run withdraws nothing");
        let earlier = ledger.open(&RunRequest { run_id: "r3".into(), ..renamed.clone() }).await.expect("opens");
        let until = RunEnd { saw_until: Some(at(-6)), ..end("completed") };
        assert_eq!(
            ledger.close(&earlier, &until).await.expect("closes"),
            0,
            "what was reached later was invisible to it"
        );
        let lease = ledger.open(&RunRequest { run_id: "r4".into(), ..renamed }).await.expect("opens");
        ledger.record(&lease, &[waiting(&keys[0], "outside_window", 70)]).await.expect("renews");
        let withdrawn =
            ledger.close(&lease, &RunEnd { saw_until: Some(at(-5)), ..end("completed") }).await.expect("closes");
        assert_eq!(withdrawn, 3, "of the three under the earlier name none was decided again under it");
        let answers = ledger.recorded(&lease, &Inquiry::of_keys(&keys)).await.expect("answers").recorded;
        let found = answers[0].clone().expect("a row");
        assert_eq!(
            (found.state, found.reason.as_deref(), found.not_before, found.variant.as_deref()),
            (Deferred, Some("outside_window"), Some(at(70)), Some("a"))
        );
        let states: Vec<_> = answers.iter().flatten().map(|found| found.state).collect();
        assert_eq!(states, [Deferred, Dispatched, Withdrawn]);
    }
}

#[tokio::test]
async fn what_is_usual_is_kept_by_period_or_day() {
    for place in Place::every() {
        let ledger = place.connect().await;
        for (number, (bucket, mails)) in [("2026-W44", 10), ("2026-W45", 20), ("2026-W44", 5)].into_iter().enumerate() {
            let lease = ledger.open(&request(&format!("r{number}"))).await.expect("opens");
            let volumes = BTreeMap::from([(bucket.to_owned(), mails)]);
            let now = at(100 + i64::try_from(number).expect("small"));
            ledger.close(&lease, &RunEnd { volumes, now, ..end("completed") }).await.expect("closes");
        }
        let lease = ledger.look(&request("r9")).await.expect("looks");
        assert_eq!(lease.volumes, [("2026-W44".to_owned(), 15), ("2026-W45".to_owned(), 20)]);
    }
}
