//! Resend's wire format and every way an answer can go wrong.

use std::time::Duration;

use milepost::model::{Fault, Outcome};
use milepost::providers::{ProviderError, connect as connect_provider};

use super::fake::Fake;
use super::{attempt, connect, message, messages, names};

/// A fault of the fake, and what one attempt at one message and at a batch of two must come to.
const FAULTS: &[(&str, &str, [&str; 2])] = &[
    ("accept_then_time_out", "unknown", ["unknown", "unknown"]),
    ("accept_then_reset", "unknown", ["unknown", "unknown"]),
    ("accept_then_500", "unknown", ["unknown", "unknown"]),
    ("truncated_200", "accepted", ["unknown", "unknown"]),
    ("reject_422", "rejected", ["refused_together", "refused_together"]),
    ("odd_422", "rejected", ["refused_together", "refused_together"]),
    ("bad_key_400", "rejected", ["rejected", "rejected"]),
    ("domain_422", "rejected", ["rejected", "rejected"]),
    ("testing_403", "rejected", ["rejected", "rejected"]),
    ("throttle_429", "throttled", ["throttled", "throttled"]),
    ("quota_429", "rejected", ["rejected", "rejected"]),
    ("unauthorized_401", "rejected", ["rejected", "rejected"]),
    ("refuse_503", "unknown", ["unknown", "unknown"]),
    ("slow_drip", "unknown", ["unknown", "unknown"]),
    ("redirect", "unknown", ["unknown", "unknown"]),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_has_its_verdict_after_exactly_one_attempt() {
    let folder = tempfile::tempdir().expect("a folder");
    for (fault, one, two) in FAULTS {
        let fake = Fake::start(&["--fault", &format!("{fault}=1")]);
        let timeout = ("timeout", "400 ms".into());
        let single = connect(&fake.resend(folder.path(), &[timeout.clone(), ("batch", 1.into())]), folder.path());
        let found = attempt(single.as_ref(), &messages(1), "key-a").await;
        assert_eq!(names(&found), [*one], "{fault}: {found:?}");
        assert_eq!(fake.requests(), 1, "{fault}");
        let batch = connect(&fake.resend(folder.path(), &[timeout]), folder.path());
        let found = attempt(batch.as_ref(), &messages(2), "key-b").await;
        assert_eq!(names(&found), *two, "{fault}: {found:?}");
        assert_eq!(fake.requests(), 2, "{fault}");
    }
}

#[tokio::test]
async fn what_a_refusal_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let outcome = async |fault: &str| {
        let fake = Fake::start(&["--fault", &format!("{fault}=1")]);
        let provider = connect(&fake.resend(folder.path(), &[("batch", 1.into())]), folder.path());
        attempt(provider.as_ref(), &messages(1), "key").await.remove(0)
    };
    assert_eq!(
        outcome("reject_422").await,
        Outcome::Rejected {
            code: "validation_error".into(),
            fault: Fault::Address,
            detail: "Invalid `to` field: \"Person 1\" <<address>>".into(),
        }
    );
    let Outcome::Rejected { code, fault: Fault::Quota, .. } = outcome("quota_429").await else {
        panic!("a spent quota is the account's matter")
    };
    assert_eq!(code, "daily_quota_exceeded");
    let Outcome::Rejected { detail, .. } = outcome("unauthorized_401").await else { panic!("the key is wrong") };
    assert_eq!(detail, "API key <secret> is invalid", "the provider repeats the key");
    assert_eq!(outcome("throttle_429").await, Outcome::Throttled { retry_after: Some(Duration::from_millis(50)) });
}

#[tokio::test]
async fn a_bad_message_is_named_and_the_others_are_taken() {
    let folder = tempfile::tempdir().expect("a folder");
    let fake = Fake::start(&[]);
    let provider = connect(&fake.resend(folder.path(), &[]), folder.path());
    let mut batch = messages(4);
    batch[2].to = milepost::model::Mailbox::parse("person_3@example.invalid").expect("valid");
    let outcomes = attempt(provider.as_ref(), &batch, "key").await;
    assert_eq!(names(&outcomes), ["accepted", "accepted", "rejected", "accepted"]);
    assert!(matches!(&outcomes[2], Outcome::Rejected { fault: Fault::Address, .. }), "{outcomes:?}");
    assert_eq!(fake.accepted().len(), 3);
    assert_eq!(attempt(provider.as_ref(), &batch, "key").await, outcomes, "the same key and bytes, the same answer");
}

#[tokio::test]
async fn half_a_batch_answered_is_a_batch_in_doubt() {
    let folder = tempfile::tempdir().expect("a folder");
    let fake = Fake::start(&["--fault", "partial_batch=1"]);
    let provider = connect(&fake.resend(folder.path(), &[]), folder.path());
    let outcomes = attempt(provider.as_ref(), &messages(4), "key").await;
    assert_eq!(names(&outcomes), ["unknown"; 4]);
    assert_eq!(fake.accepted().len(), 2);
}

#[tokio::test]
async fn no_connection_proves_that_nothing_was_accepted() {
    let folder = tempfile::tempdir().expect("a folder");
    let refusing = Fake::start(&["--refused"]);
    let plain = Fake::start(&[]);
    let tls = ("base_url", format!("https://127.0.0.1:{}", plain.port).into());
    for entry in [refusing.resend(folder.path(), &[]), plain.resend(folder.path(), &[tls])] {
        let provider = connect(&entry, folder.path());
        let outcomes = attempt(provider.as_ref(), &messages(2), "key").await;
        assert_eq!(names(&outcomes), ["not_accepted"; 2], "{outcomes:?}");
    }
    assert_eq!(plain.accepted().len(), 0);
}

#[tokio::test]
async fn a_key_used_with_other_bytes_proves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let fake = Fake::start(&[]);
    let provider = connect(&fake.resend(folder.path(), &[]), folder.path());
    let first = attempt(provider.as_ref(), &[message(1)], "key").await;
    let other = attempt(provider.as_ref(), &[message(2)], "key").await;
    assert_eq!((names(&first), names(&other)), (vec!["accepted"], vec!["unknown"]));
    assert_eq!(fake.accepted().len(), 1);
}

#[tokio::test]
async fn keys_leave_only_where_they_are_honoured() {
    let folder = tempfile::tempdir().expect("a folder");
    let fake = Fake::start(&[]);
    for (honoured, number) in [(true, 1), (false, 2)] {
        let entry = fake.resend(folder.path(), &[("idempotency", honoured.into())]);
        let provider = connect(&entry, folder.path());
        assert_eq!(provider.capabilities().idempotency.is_some(), honoured);
        attempt(provider.as_ref(), &[message(number)], "the-key").await;
    }
    let keys: Vec<_> = fake.accepted().iter().map(|line| line["key"].clone()).collect();
    assert_eq!(keys, ["the-key".into(), serde_json::Value::Null]);
}

#[test]
fn a_missing_secret_is_named_and_never_shown() {
    let fake = Fake::start(&["--refused"]);
    let folder = tempfile::tempdir().expect("a folder");
    let entry = fake.resend(folder.path(), &[("api_key", "file:nowhere.txt".into())]);
    let Err(error @ ProviderError::Secret { .. }) = connect_provider(&entry, folder.path()) else {
        panic!("the secret is missing")
    };
    assert!(error.to_string().contains("nowhere.txt"), "{error}");
}
