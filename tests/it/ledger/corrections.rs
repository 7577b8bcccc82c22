//! What people correct: only what no run can decide, never while a run holds the job, always with the reason on record.

use milepost::ledger::{Correction, LedgerError, LedgerStore};
use milepost::model::DeliveryState::{self, Accepted, Rejected, Retryable, Unknown};

use super::{Place, at, dispatch, end, key, outcome, request, states};

fn correction(from: DeliveryState, to: DeliveryState, second: i64) -> Correction {
    Correction { from, to, reason: "seen in the provider's log".into(), by: "ann".into(), at: at(second) }
}

/// One delivery in each of these states, and their ids.
async fn deliveries(ledger: &dyn LedgerStore, run: &str, found: &[DeliveryState]) -> Vec<String> {
    let lease = ledger.open(&request(run)).await.expect("opens");
    let mut ids = Vec::new();
    for (number, state) in found.iter().enumerate() {
        let key = key(&format!("u{number}"), run);
        dispatch(ledger, &lease, &format!("{run} {number}"), std::slice::from_ref(&key)).await.expect("claims");
        if *state != DeliveryState::Dispatched {
            ledger.settle(&lease, &[outcome(ledger, &lease, &key, *state)]).await.expect("settles");
        }
        ids.push(ledger.identity().delivery_id(&lease.job, &key));
    }
    ledger.close(&lease, &end("completed")).await.expect("closes");
    ids
}

#[tokio::test]
async fn only_what_no_run_can_decide_is_corrected() {
    let allowed = [(Unknown, Accepted), (Unknown, Rejected), (Unknown, Retryable), (Rejected, Retryable)];
    for place in Place::every() {
        let ledger = place.connect().await;
        for (number, from) in
            [DeliveryState::Dispatched, Accepted, Rejected, Retryable, Unknown].into_iter().enumerate()
        {
            for to in DeliveryState::ALL {
                let ids = deliveries(&*ledger, &format!("r{number} {to}"), &[from]).await;
                let done = ledger.correct(&ids, &correction(from, to, 200)).await;
                let kept = ledger.corrections(&ids[0]).await.expect("lists");
                if allowed.contains(&(from, to)) {
                    done.unwrap_or_else(|error| panic!("{from} -> {to}: {error}"));
                    assert_eq!(kept.len(), 1);
                    assert_eq!(kept[0].correction, correction(from, to, 200));
                } else {
                    assert!(matches!(done, Err(LedgerError::IllegalTransition { .. })), "{from} -> {to}: {done:?}");
                    assert!(kept.is_empty());
                }
            }
        }
    }
}

#[tokio::test]
async fn corrections_are_whole_and_kept_in_order() {
    for place in Place::every() {
        let ledger = place.connect().await;
        let ids = deliveries(&*ledger, "r1", &[Unknown, Unknown, Accepted]).await;
        let both = correction(Unknown, Rejected, 200);
        for wrong in [&ids[..], &[ids[0].clone(), "0".repeat(32)], &[ids[0].clone(), ids[0].clone()]] {
            let done = ledger.correct(wrong, &both).await;
            assert!(matches!(done, Err(LedgerError::IllegalTransition { .. })), "{done:?}");
        }
        ledger.correct(&ids[..2], &both).await.expect("corrects");
        ledger.correct(&ids[..1], &correction(Rejected, Retryable, 300)).await.expect("tries again");
        let kept = ledger.corrections(&ids[0]).await.expect("lists");
        assert_eq!(kept.iter().map(|row| row.correction.to).collect::<Vec<_>>(), [Rejected, Retryable]);
        let lease = ledger.open(&request("r2")).await.expect("opens");
        let keys = [key("u0", "r1"), key("u1", "r1"), key("u2", "r1")];
        assert_eq!(states(&*ledger, &lease, &keys).await, [Retryable, Rejected, Accepted].map(Some));
        dispatch(&*ledger, &lease, "again", &keys[..1]).await.expect("a run may claim it again");
    }
}

#[tokio::test]
async fn nobody_corrects_under_a_run() {
    for place in Place::every() {
        let ledger = place.connect().await;
        let ids = deliveries(&*ledger, "r1", &[Unknown]).await;
        let other = place.connect().await;
        let lease = ledger.open(&request("r2")).await.expect("opens");
        let held = other.correct(&ids, &correction(Unknown, Accepted, 200)).await;
        assert!(matches!(&held, Err(LedgerError::Held { job }) if job == "high_five"), "{held:?}");
        ledger.close(&lease, &end("completed")).await.expect("closes");
        other.correct(&ids, &correction(Unknown, Accepted, 200)).await.expect("corrects after the run");
    }
}
