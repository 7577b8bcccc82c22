//! What every ledger promises.

use std::collections::BTreeMap;

use milepost::ledger::{AnchorStem, DeliveryFilter, Inquiry, Lease, LedgerError, Owner, Recorded, RunEnd, RunRequest};
use milepost::model::DeliveryState::{
    Accepted, Baselined, Deferred, Dispatched, Expired, HeldOut, InvalidAddress, Rejected, RenderFailed, Retryable,
    SameAddress, Superseded, Suppressed, Unknown, Withdrawn,
};
use milepost::model::{DeliveryKey, DeliveryState};

use super::{Place, at, batch, claim, decision, dispatch, end, key, outcome, owner, request, states};

#[tokio::test]
async fn a_claim_is_unique_and_whole() {
    for place in Place::every() {
        let ledger = place.connect().await;
        let lease = ledger.open(&request("r1")).await.expect("opens");
        let keys = [key("u1", "campaigns:50"), key("u2", "campaigns:50")];
        dispatch(&*ledger, &lease, "b1", &keys).await.expect("claims");
        assert_eq!(states(&*ledger, &lease, &keys).await, [Some(Dispatched), Some(Dispatched)]);

        let again = dispatch(&*ledger, &lease, "b2", &[key("u3", "campaigns:50"), keys[1].clone()]).await;
        assert!(matches!(again, Err(LedgerError::IllegalTransition { from, .. }) if from == "dispatched"));
        let twice = dispatch(&*ledger, &lease, "b3", &[key("u4", "x"), key("u4", "x")]).await;
        assert!(matches!(twice, Err(LedgerError::IllegalTransition { from, .. }) if from == "dispatched"));
        let untouched = [key("u3", "campaigns:50"), key("u4", "x")];
        assert_eq!(states(&*ledger, &lease, &untouched).await, [None, None], "all or none");

        let orphan = claim(&*ledger, &lease, "no such batch", (0, &key("u5", "x")));
        assert!(ledger.dispatch(&lease, &[batch("b4")], &[orphan]).await.is_err());
        dispatch(&*ledger, &lease, "b5", &untouched).await.expect("the ledger is usable after refusals");
    }
}

/// Opens a job that was just closed: a process that another test starts holds a copy of every lock for a moment.
async fn reopen(ledger: &dyn super::LedgerStore, request: &RunRequest) -> Lease {
    loop {
        match ledger.open(request).await {
            Ok(lease) => return lease,
            Err(LedgerError::Held { .. }) => tokio::task::yield_now().await,
            Err(error) => panic!("the job cannot be taken: {error}"),
        }
    }
}

/// Brings a fresh key into a state by legal steps.
async fn bring(
    place: &Place,
    state: Option<DeliveryState>,
) -> (Box<dyn super::LedgerStore>, super::Lease, DeliveryKey) {
    let ledger = place.connect_after_death().await;
    let runs = ledger.jobs().await.expect("lists").first().and_then(|job| job.last_run.clone());
    let run_id = runs.map_or("r".to_owned(), |run| format!("r{}", run.run_id));
    let lease = ledger.open(&request(&run_id)).await.expect("opens");
    let key = key(&format!("{state:?} {}", lease.epoch), "o");
    match state {
        None => {}
        Some(Dispatched) => {
            dispatch(&*ledger, &lease, &key.profile_id, std::slice::from_ref(&key)).await.expect("claims");
        }
        Some(state @ (Accepted | Rejected | Retryable | Unknown)) => {
            dispatch(&*ledger, &lease, &key.profile_id, std::slice::from_ref(&key)).await.expect("claims");
            ledger.settle(&lease, &[outcome(&*ledger, &lease, &key, state)]).await.expect("settles");
        }
        Some(Withdrawn) => {
            // A run that did not see the key again closes it.
            ledger.record(&lease, &[decision(&key, Deferred)]).await.expect("records");
            ledger.close(&lease, &end("failed")).await.expect("closes");
            let later = reopen(&*ledger, &request(&format!("{run_id} later"))).await;
            let end = RunEnd { saw_until: Some(at(0)), ..end("completed") };
            assert!(ledger.close(&later, &end).await.expect("closes") > 0);
            let last = reopen(&*ledger, &request(&format!("{run_id} last"))).await;
            return (ledger, last, key);
        }
        Some(state) => ledger.record(&lease, &[decision(&key, state)]).await.expect("records"),
    }
    (ledger, lease, key)
}

/// What the verbs together may do, written down apart from the code: `d`ispatch, `s`ettle, `r`ecord.
fn expected(verb: char, from: Option<DeliveryState>, to: DeliveryState) -> bool {
    let open = matches!(from, None | Some(Retryable | InvalidAddress | Suppressed | RenderFailed | Deferred));
    match (verb, from, to) {
        ('d', _, _) => open,
        ('s', Some(Dispatched), Accepted | Rejected | Retryable | Unknown)
        | ('s', Some(Unknown), Accepted | Rejected | Retryable)
        | ('r', None, Baselined) => true,
        (
            'r',
            _,
            Superseded | Expired | InvalidAddress | Suppressed | RenderFailed | SameAddress | HeldOut | Deferred,
        ) if open => true,
        ('r', Some(from), Superseded | Expired | Baselined | SameAddress | HeldOut) => from == to,
        _ => false,
    }
}

#[tokio::test]
async fn illegal_changes_of_state_are_refused_and_write_nothing() {
    let every = std::iter::once(None).chain(DeliveryState::ALL.map(Some));
    for place in Place::every() {
        for from in every.clone() {
            for to in DeliveryState::ALL {
                for verb in ['d', 's', 'r'] {
                    if verb == 'd' && to != Dispatched {
                        continue;
                    }
                    let (ledger, lease, key) = bring(&place, from).await;
                    let keys = std::slice::from_ref(&key);
                    let done = match verb {
                        'd' => dispatch(&*ledger, &lease, "again", keys).await,
                        's' => ledger.settle(&lease, &[outcome(&*ledger, &lease, &key, to)]).await,
                        _ => ledger.record(&lease, &[decision(&key, to)]).await,
                    };
                    let after = states(&*ledger, &lease, keys).await[0];
                    if expected(verb, from, to) {
                        assert!(done.is_ok(), "{verb} {from:?} -> {to}: {done:?}");
                        assert_eq!(after, Some(to), "{verb} {from:?} -> {to}");
                    } else {
                        assert!(
                            matches!(&done, Err(LedgerError::IllegalTransition { to: named, .. }) if named == to.name()),
                            "{verb} {from:?} -> {to}: {done:?}"
                        );
                        assert_eq!(after, from, "{verb} {from:?} -> {to} wrote nothing");
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn a_batch_of_outcomes_is_written_whole_or_not_at_all() {
    for place in Place::every() {
        let ledger = place.connect().await;
        let lease = ledger.open(&request("r1")).await.expect("opens");
        let keys = [key("u1", "o"), key("u2", "o")];
        dispatch(&*ledger, &lease, "b1", &keys).await.expect("claims");
        let good = outcome(&*ledger, &lease, &keys[0], Accepted);
        for bad in [outcome(&*ledger, &lease, &key("nobody", "o"), Accepted), good.clone()] {
            let done = ledger.settle(&lease, &[good.clone(), bad]).await;
            assert!(matches!(done, Err(LedgerError::IllegalTransition { .. })), "{done:?}");
            assert_eq!(states(&*ledger, &lease, &keys).await, [Some(Dispatched); 2]);
        }
        let records = [decision(&key("u3", "o"), Expired), decision(&keys[0], Expired)];
        assert!(ledger.record(&lease, &records).await.is_err());
        assert_eq!(states(&*ledger, &lease, &[key("u3", "o")]).await, [None]);
    }
}

#[tokio::test]
async fn retries_count_attempts_and_keep_the_first_detection() {
    for place in Place::every() {
        let ledger = place.connect().await;
        let lease = ledger.open(&request("r1")).await.expect("opens");
        let keys = [key("u1", "o")];
        ledger.record(&lease, &[decision(&keys[0], InvalidAddress)]).await.expect("records");
        for attempt in 1..=3 {
            dispatch(&*ledger, &lease, &format!("b{attempt}"), &keys).await.expect("claims");
            let answers = ledger.recorded(&lease, &Inquiry::of_keys(&keys)).await.expect("answers");
            assert_eq!(answers.recorded, [Some(Recorded::new(Dispatched, attempt))]);
            ledger.settle(&lease, &[outcome(&*ledger, &lease, &keys[0], Retryable)]).await.expect("settles");
        }
        let rows = ledger.deliveries(&DeliveryFilter::default()).await.expect("lists");
        assert_eq!(rows.len(), 1);
        let row = &rows[0];
        assert_eq!((row.attempt, row.detected_at, row.reached_at), (3, at(4), at(-10)));
        assert_eq!((row.batch_id.as_deref(), row.provider.as_deref()), (Some("b3"), Some("main")));
        assert_eq!((row.dispatched_at, row.settled_at, row.updated_at), (Some(at(2)), Some(at(3)), at(3)));
        assert_eq!((row.level, row.reason.as_deref()), (Some(50.0), Some("because")));
        assert_eq!(row.provider_message_id.as_deref(), Some("re_1"));
        assert_eq!(row.delivery_id, ledger.identity().delivery_id("high_five", &keys[0]));
    }
}

#[tokio::test]
async fn a_second_run_is_refused_until_the_first_ends_or_dies() {
    for place in Place::every() {
        let first = place.connect().await;
        let lease = first.open(&request("r1")).await.expect("opens");
        let second = place.connect().await;
        for ledger in [&first, &second] {
            let held = ledger.open(&request("r2")).await;
            assert!(matches!(held, Err(LedgerError::Held { job }) if job == "high_five"));
        }
        let renamed = RunRequest { job: "renamed".into(), aliases: vec!["high_five".into()], ..request("r2") };
        assert!(matches!(second.open(&renamed).await, Err(LedgerError::Held { job }) if job == "renamed"));
        let other = RunRequest { job: "other".into(), ..request("r3") };
        second.open(&other).await.expect("another job is free");
        assert!(second.jobs().await.expect("lists").iter().all(|job| job.held));

        first.close(&lease, &end("completed")).await.expect("closes");
        let after_close = second.open(&request("r4")).await.expect("free after the end");
        assert!(after_close.epoch > lease.epoch);
        drop(second);
        let third = place.connect_after_death().await;
        let after_death = third.open(&request("r5")).await.expect("free after death");
        assert!(after_death.epoch > after_close.epoch);
        let jobs = third.jobs().await.expect("lists");
        let held: Vec<_> = jobs.iter().map(|job| (job.job.as_str(), job.held)).collect();
        // `renamed` was never opened, and `other` died with its process.
        assert_eq!(held, [("high_five", true), ("other", false)]);
    }
}

#[tokio::test]
async fn one_run_holds_several_jobs_under_one_id() {
    for place in Place::every() {
        let ledger = place.connect().await;
        let job = |job: &str| RunRequest { job: job.into(), ..request("r1") };
        let leases = [ledger.open(&job("one")).await.expect("opens"), ledger.open(&job("two")).await.expect("opens")];
        for lease in &leases {
            dispatch(&*ledger, lease, &lease.job, &[key("u1", "o")]).await.expect("claims");
        }
        ledger.close(&leases[0], &end("failed")).await.expect("closes");
        ledger.heartbeat(&leases[1], at(5)).await.expect("the other job goes on");
        ledger.close(&leases[1], &end("completed")).await.expect("closes");
        let jobs = ledger.jobs().await.expect("lists");
        let ended: Vec<_> =
            jobs.into_iter().filter_map(|job| job.last_run).map(|run| (run.run_id, run.status)).collect();
        assert_eq!(ended, [("r1".into(), "failed".into()), ("r1".into(), "completed".into())]);
    }
}

#[tokio::test]
async fn a_run_that_lost_its_job_writes_nothing() {
    for place in Place::every() {
        let ledger = place.connect().await;
        let old = ledger.open(&request("r1")).await.expect("opens");
        let keys = [key("u1", "o")];
        dispatch(&*ledger, &old, "b1", &keys).await.expect("claims");
        ledger.close(&old, &end("completed")).await.expect("closes");
        let new = ledger.open(&request("r2")).await.expect("opens");
        let looked = ledger.look(&request("r3")).await.expect("looks");
        for lease in [&old, &looked] {
            let fenced = [
                ledger.heartbeat(lease, at(5)).await,
                ledger.recover(lease, at(5)).await.map(|_| ()),
                ledger.record(lease, &[decision(&key("u9", "o"), Expired)]).await,
                dispatch(&*ledger, lease, "b2", &[key("u9", "o")]).await,
                ledger.settle(lease, &[outcome(&*ledger, lease, &keys[0], Accepted)]).await,
                ledger.close(lease, &end("completed")).await.map(|_| ()),
            ];
            for done in fenced {
                assert!(matches!(&done, Err(LedgerError::Fenced { job }) if job == "high_five"), "{done:?}");
            }
        }
        assert_eq!(states(&*ledger, &new, &[keys[0].clone(), key("u9", "o")]).await, [Some(Dispatched), None]);
        ledger.heartbeat(&new, at(6)).await.expect("the holder lives");
    }
}

#[tokio::test]
async fn recovery_shows_every_request_in_doubt_until_it_is_settled() {
    for place in Place::every() {
        let keys = [key("u1", "o"), key("u2", "o"), key("u3", "o"), key("u4", "o")];
        {
            let ledger = place.connect().await;
            let lease = ledger.open(&request("r1")).await.expect("opens");
            dispatch(&*ledger, &lease, "b1", &keys[..3]).await.expect("claims");
            dispatch(&*ledger, &lease, "b2", &keys[3..]).await.expect("claims");
            let settled =
                [outcome(&*ledger, &lease, &keys[1], Accepted), outcome(&*ledger, &lease, &keys[3], Accepted)];
            ledger.settle(&lease, &settled).await.expect("settles");
            assert!(ledger.recover(&lease, at(5)).await.expect("recovers").is_empty(), "its own are under way");
        }
        // An orchestrator may name a run again as the one that died.
        for run in ["r1", "r1"] {
            let ledger = place.connect_after_death().await;
            let lease = ledger.open(&request(run)).await.expect("opens");
            let pending = ledger.recover(&lease, at(50)).await.expect("recovers");
            assert_eq!(pending.len(), 1, "b2 was settled");
            assert_eq!((&pending[0].batch, pending[0].size), (&batch("b1"), 3));
            let left: Vec<_> =
                pending[0].deliveries.iter().map(|one| (one.key.clone(), one.position, one.attempt)).collect();
            assert_eq!(left, [(keys[0].clone(), 0, 1), (keys[2].clone(), 2, 1)]);
            assert_eq!(pending[0].deliveries[1].body_hash, "body of 2");
            assert_eq!(states(&*ledger, &lease, &keys).await, [Unknown, Accepted, Unknown, Accepted].map(Some));
            assert_eq!(ledger.unknown_since("high_five", at(2)).await.expect("counts"), 2);
            assert_eq!(ledger.unknown_since("high_five", at(3)).await.expect("counts"), 0);
        }
        let ledger = place.connect_after_death().await;
        let lease = ledger.open(&request("r4")).await.expect("opens");
        let proof = [outcome(&*ledger, &lease, &keys[0], Accepted), outcome(&*ledger, &lease, &keys[2], Retryable)];
        ledger.settle(&lease, &proof).await.expect("evidence settles");
        assert!(ledger.recover(&lease, at(60)).await.expect("recovers").is_empty());
        let counts = ledger.counts("high_five").await.expect("counts");
        assert_eq!(counts, BTreeMap::from([(Accepted, 3), (Retryable, 1)]));
    }
}

#[tokio::test]
async fn rows_under_earlier_names_count() {
    for place in Place::every() {
        let keys = [key("u1", "o"), key("u2", "o"), key("u3", "o"), key("u4", "o")];
        {
            let ledger = place.connect().await;
            let lease = ledger.open(&request("r1")).await.expect("opens");
            dispatch(&*ledger, &lease, "b1", &keys[..3]).await.expect("claims");
            let settled =
                [outcome(&*ledger, &lease, &keys[0], Accepted), outcome(&*ledger, &lease, &keys[1], Retryable)];
            ledger.settle(&lease, &settled).await.expect("settles");
            let starts = BTreeMap::from([("campaigns:50".to_owned(), at(0))]);
            let end = RunEnd { completes_first_run: true, starts, ..end("completed") };
            ledger.close(&lease, &end).await.expect("closes");
        }
        let ledger = place.connect().await;
        let renamed = RunRequest { job: "renamed".into(), aliases: vec!["high_five".into()], ..request("r2") };
        let lease = ledger.open(&renamed).await.expect("opens");
        assert!(!lease.first_run);
        assert_eq!(lease.starts, BTreeMap::from([("campaigns:50".to_owned(), at(0))]));
        assert_eq!(lease.last_provider.as_deref(), Some("local/outbox"));
        let pending = ledger.recover(&lease, at(5)).await.expect("recovers");
        assert_eq!(pending[0].deliveries[0].key, keys[2], "recovery reaches rows under earlier names");
        let expected = [Some(Accepted), Some(Retryable), Some(Unknown), None];
        assert_eq!(states(&*ledger, &lease, &keys).await, expected);
        for known in [&keys[0], &keys[2]] {
            let claim = dispatch(&*ledger, &lease, "b2", std::slice::from_ref(known)).await;
            assert!(matches!(claim, Err(LedgerError::IllegalTransition { .. })));
            assert!(ledger.record(&lease, &[decision(known, Superseded)]).await.is_err());
        }
        dispatch(&*ledger, &lease, "b3", &[keys[1].clone(), keys[3].clone()]).await.expect("claims what is open");
        assert_eq!(states(&*ledger, &lease, &keys[1..2]).await, [Some(Dispatched)]);
        let proof = milepost::ledger::Settlement {
            delivery_id: pending[0].deliveries[0].delivery_id.clone(),
            ..outcome(&*ledger, &lease, &keys[2], Accepted)
        };
        ledger.settle(&lease, &[proof]).await.expect("settles a row under an earlier name");
        assert_eq!(states(&*ledger, &lease, &keys[2..3]).await, [Some(Accepted)]);
    }
}

#[tokio::test]
async fn starts_first_run_and_provider_are_kept_as_runs_end() {
    for place in Place::every() {
        let part = |text: &str, second| (text.to_owned(), at(second));
        let completed = |second| RunEnd {
            completes_first_run: true,
            starts: BTreeMap::from([part("campaigns:10", second), part("", second)]),
            ..end("completed")
        };
        let refused = RunEnd { provider: "main/resend".into(), ..end("refused") };
        let ends = [
            (end("failed"), true, None),
            (refused.clone(), true, Some("local/outbox")),
            (completed(10), true, Some("local/outbox")),
            (completed(20), false, Some("local/outbox")),
            (refused, false, Some("local/outbox")),
        ];
        for (number, (end, first_run, last_provider)) in ends.into_iter().enumerate() {
            let ledger = place.connect().await;
            let request = request(&format!("r{number}"));
            let looked = ledger.look(&request).await.expect("looks");
            let lease = ledger.open(&request).await.expect("opens");
            assert_eq!((lease.first_run, lease.last_provider.as_deref()), (first_run, last_provider), "run {number}");
            assert_eq!((looked.first_run, &looked.starts), (lease.first_run, &lease.starts));
            ledger.close(&lease, &end).await.expect("closes");
            let jobs = ledger.jobs().await.expect("lists");
            let run = jobs[0].last_run.as_ref().expect("a run");
            assert_eq!(
                (run.status.as_str(), run.ended_at, run.counts["mail"]),
                (end.status.as_str(), Some(at(100)), 3)
            );
        }
        let ledger = place.connect().await;
        let lease = ledger.open(&request("last")).await.expect("opens");
        assert_eq!(lease.starts, BTreeMap::from([part("", 10), part("campaigns:10", 10)]), "the first ones stay");
        drop(ledger);
        let ledger = place.connect_after_death().await;
        let lease = ledger.open(&request("after death")).await.expect("opens");
        assert_eq!(
            ledger.jobs().await.expect("lists")[0].last_run.as_ref().map(|run| run.status.as_str()),
            Some("running")
        );
        assert!(!lease.first_run);
    }
}

#[tokio::test]
async fn another_project_or_environment_is_refused() {
    for place in Place::every() {
        let ledger = place.connect().await;
        assert_eq!(ledger.owner(), &owner());
        for (project, environment) in
            [("acme", None), ("acme", Some("prod".to_owned())), ("other", Some("staging".into()))]
        {
            let request = RunRequest { project: project.into(), environment: environment.clone(), ..request("r1") };
            for foreign in [ledger.open(&request).await, ledger.look(&request).await] {
                assert!(matches!(foreign, Err(LedgerError::Foreign { reason, .. }) if reason.contains("acme")));
            }
            if !matches!(place, Place::Memory(_)) {
                let stranger = Owner { project: project.into(), environment };
                let policy = milepost::ledger::CreatePolicy::WhenMissing;
                let refused = milepost::ledger::connect(&place.location(), &stranger, policy).await;
                assert!(matches!(refused.map(|_| ()), Err(LedgerError::Foreign { .. })));
            }
        }
    }
}

#[tokio::test]
async fn hostile_ids_stay_apart_and_come_back_whole() {
    let long = "x".repeat(10_000);
    let ids = [
        "",
        " ",
        "'; drop table deliveries; --",
        "\"quoted\"",
        "a\0b",
        "a\0c",
        "a",
        "\u{1f600}\u{202e}",
        "A",
        "%",
        "?1",
        &long,
        "{{ profile }}",
        "null",
        "1",
        "1.0",
        "\r\n",
    ];
    for place in Place::every() {
        let ledger = place.connect().await;
        let lease = ledger.open(&request("r1")).await.expect("opens");
        let mut keys: Vec<DeliveryKey> = ids.iter().map(|id| key(id, "o")).collect();
        keys.extend(ids.iter().map(|id| key("p", id)));
        assert_eq!(states(&*ledger, &lease, &keys).await, vec![None; keys.len()]);
        dispatch(&*ledger, &lease, "b'1\0", &keys).await.expect("claims");
        assert_eq!(states(&*ledger, &lease, &keys).await, vec![Some(Dispatched); keys.len()]);
        for id in ids {
            let filter = DeliveryFilter { profile_id: Some(id.to_owned()), ..DeliveryFilter::default() };
            let rows = ledger.deliveries(&filter).await.expect("lists");
            let stored = ledger.identity().stored_profile_id(id);
            assert_eq!(rows.iter().map(|row| row.profile_id.as_str()).collect::<Vec<_>>(), [&stored], "{id:?}");
            assert_eq!(stored == id, id != long && !id.contains('\0'), "{id:?}");
        }
        drop(ledger);
        let ledger = place.connect_after_death().await;
        let lease = ledger.open(&request("r2")).await.expect("opens");
        let pending = ledger.recover(&lease, at(5)).await.expect("recovers");
        let found: Vec<_> = pending[0].deliveries.iter().map(|one| one.key.clone()).collect();
        let stored: Vec<_> = keys.iter().map(|key| ledger.identity().stored_key(key)).collect();
        assert_eq!(found, stored);
    }
}

#[tokio::test]
async fn lists_by_job_state_and_profile_newest_first() {
    for place in Place::every() {
        let ledger = place.connect().await;
        let lease = ledger.open(&request("r1")).await.expect("opens");
        let other = RunRequest { job: "other".into(), ..request("r2") };
        let other = ledger.open(&other).await.expect("opens");
        let address = key("Ann@Example.test", "o");
        dispatch(&*ledger, &lease, "b1", &[key("u1", "o"), key("u2", "o"), address.clone()]).await.expect("claims");
        dispatch(&*ledger, &other, "b2", &[key("u1", "o")]).await.expect("claims");
        ledger.settle(&lease, &[outcome(&*ledger, &lease, &key("u2", "o"), Accepted)]).await.expect("settles");
        let all = DeliveryFilter::default();
        let cases = [
            (all.clone(), 4),
            (DeliveryFilter { job: Some("high_five".into()), ..all.clone() }, 3),
            (DeliveryFilter { state: Some(Accepted), ..all.clone() }, 1),
            (DeliveryFilter { profile_id: Some("u1".into()), ..all.clone() }, 2),
            (DeliveryFilter { profile_id: Some("ann@example.TEST".into()), ..all.clone() }, 1),
            (DeliveryFilter { job: Some("other".into()), state: Some(Accepted), ..all.clone() }, 0),
            (DeliveryFilter { limit: Some(2), ..all.clone() }, 2),
        ];
        for (filter, count) in cases {
            let rows = ledger.deliveries(&filter).await.expect("lists");
            assert_eq!(rows.len(), count, "{filter:?}");
        }
        assert_eq!(ledger.deliveries(&all).await.expect("lists")[0].state, Accepted, "changed last");
        let counts = ledger.counts("high_five").await.expect("counts");
        assert_eq!(counts, BTreeMap::from([(Dispatched, 2), (Accepted, 1)]));
        assert_eq!(ledger.counts("no such job").await.expect("counts"), BTreeMap::new());
    }
}

#[tokio::test]
async fn streaks_are_found_under_any_first_day() {
    for place in Place::every() {
        let ledger = place.connect().await;
        let lease = ledger.open(&request("r1")).await.expect("opens");
        let keys = [
            key("u1", "days:7@2026-10-02"),
            key("u1", "days:7@2026-11-02/acct_7"),
            key("u1", "days:70@2026-10-02"),
            key("u1", "days:7"),
            key("u1", "days_2:7@2026-10-02"),
            key("u2", "days:7@2026-12-01"),
            key("ann@example.test", "quiet@2026-10-20"),
        ];
        dispatch(&*ledger, &lease, "b1", &keys).await.expect("claims");
        let stem =
            |profile_id: &str, occasion: &str| AnchorStem { profile_id: profile_id.into(), occasion: occasion.into() };
        let stems =
            [stem("u1", "days:7"), stem("u3", "days:7"), stem("ann@example.test", "quiet"), stem("u2", "days:7")];
        let found = ledger.anchored(&lease, &stems).await.expect("answers");
        let occasions: Vec<Vec<&str>> =
            found.iter().map(|rows| rows.iter().map(|row| row.occasion.as_str()).collect()).collect();
        assert_eq!(
            occasions,
            [
                vec!["days:7@2026-10-02", "days:7@2026-11-02/acct_7"],
                vec![],
                vec!["quiet@2026-10-20"],
                vec!["days:7@2026-12-01"]
            ]
        );
        assert_eq!((found[0][0].reached_at, found[0][0].recorded.clone()), (at(-10), Recorded::new(Dispatched, 1)));
        assert!(ledger.anchored(&lease, &[]).await.expect("answers").is_empty());
        let renamed = Lease { job: "other".into(), aliases: vec!["high_five".into()], ..lease };
        assert_eq!(ledger.anchored(&renamed, &stems[..1]).await.expect("answers")[0].len(), 2, "under an earlier name");
    }
}
