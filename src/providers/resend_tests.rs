//! What a rendered batch becomes on the wire, and what an answer proves.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::model::diagnostic::{Located, Place, SourceFile};
use crate::project::Setting;

fn message() -> Message {
    let mailbox = |text: &str| Mailbox::parse(text).expect("valid");
    Message {
        delivery_id: "0123456789abcdef0123456789abcdef".into(),
        from: mailbox("Acme \"Mail\", Inc. <hello@acme.test>"),
        to: mailbox("ann@example.test"),
        reply_to: None,
        subject: "Hi é".into(),
        html: "<p>\"quoted\"</p>".into(),
        text: "quoted\n".into(),
        headers: vec![("List-Unsubscribe".into(), "<https://acme.test/leave/1>".into())],
        date: "2026-11-01T06:00:00Z".parse().expect("an instant"),
    }
}

fn config(settings: &[(&str, serde_json::Value)]) -> ProviderConfig {
    let file = Arc::new(SourceFile { path: "milepost.yml".into(), text: "main: resend\n".into() });
    let place = Place::start_of(&file);
    ProviderConfig {
        name: "main".into(),
        kind: Located::new("resend".into(), place.clone()),
        settings: settings
            .iter()
            .map(|(name, value)| {
                let value = Located::new(value.clone(), place.clone());
                ((*name).to_owned(), Setting { key: place.clone(), value })
            })
            .collect(),
        place,
    }
}

#[test]
fn a_mail_as_the_api_reads_it() {
    let bytes = body(&[message()], true).expect("serialises");
    let value: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
    assert_eq!(
        value,
        serde_json::json!({
            "from": "\"Acme \\\"Mail\\\", Inc.\" <hello@acme.test>",
            "to": ["ann@example.test"],
            "subject": "Hi é",
            "html": "<p>\"quoted\"</p>",
            "text": "quoted\n",
            "headers": {"List-Unsubscribe": "<https://acme.test/leave/1>"},
            "tags": [{"name": "delivery_id", "value": "0123456789abcdef0123456789abcdef"}],
        })
    );
    let many: serde_json::Value =
        serde_json::from_slice(&body(&[message(), message()], false).expect("serialises")).expect("JSON");
    assert_eq!(many.as_array().map(Vec::len), Some(2));
}

#[test]
fn a_batch_answer_is_read_per_item_or_not_at_all() {
    let cases = [
        (r#"{"data":[{"id":"a"},{"id":"b"}]}"#, ["accepted", "accepted"]),
        (r#"{"data":[{"id":"a"}],"errors":[{"index":1,"message":"no"}]}"#, ["accepted", "rejected"]),
        (r#"{"data":[{"id":"a"}],"errors":[{"index":0,"message":"no"}]}"#, ["rejected", "accepted"]),
        (r#"{"data":[{"id":"a"}]}"#, ["unknown", "unknown"]),
        (r#"{"data":[{"id":"a"},{"id":"b"},{"id":"c"}]}"#, ["unknown", "unknown"]),
        (r#"{"data":[{"id":"a"}],"errors":[{"index":9,"message":"no"}]}"#, ["unknown", "unknown"]),
        (r#"{"errors":[{"index":0,"message":"no"},{"index":1,"message":"no"}]}"#, ["rejected", "rejected"]),
        (r#"{"data":[{"id""#, ["unknown", "unknown"]),
    ];
    for (text, expected) in cases {
        let answer = Answer { status: 200, retry_after: None, body: Some(text.as_bytes().to_vec().into()) };
        let found: Vec<_> = accepted_many(&answer, 2).iter().map(Outcome::name).collect();
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn one_accepted_without_a_readable_id_is_accepted() {
    for body in [None, Some("{}"), Some("not json")] {
        let answer = Answer { status: 200, retry_after: None, body: body.map(|text| text.as_bytes().to_vec().into()) };
        assert_eq!(accepted_one(&answer), Outcome::Accepted { provider_id: None });
    }
}

#[test]
fn settings_are_checked_without_the_secret() {
    let good = config(&[
        ("api_key", "env:NEVER_SET_ANYWHERE".into()),
        ("rate", "2 per second".into()),
        ("in_flight", 64.into()),
        ("batch", 1.into()),
        ("timeout", "15 seconds".into()),
        ("idempotency", false.into()),
        ("base_url", "http://127.0.0.1:9/".into()),
    ]);
    assert_eq!(check(&good, Path::new("/")), vec![]);
    assert!(matches!(connect(&good, Path::new("/")), Err(ProviderError::Secret { setting: "api_key", .. })));
}

#[test]
fn every_wrong_setting_is_named_at_once() {
    let cases: [(&str, serde_json::Value, &str); 10] = [
        ("api_key", "re_plain".into(), "plain-secret"),
        ("rate", "fast".into(), "wrong-type"),
        ("in_flight", 0.into(), "wrong-type"),
        ("batch", 101.into(), "wrong-type"),
        ("timeout", "5 minutes".into(), "wrong-type"),
        ("idempotency", "yes".into(), "wrong-type"),
        ("base_url", "http://api.example.test".into(), "wrong-value"),
        ("base_url", "https://api.example.test".into(), "host-not-allowed"),
        ("in_fligt", 3.into(), "unknown-key"),
        ("base_ulr", 3.into(), "unknown-key"),
    ];
    for (name, value, code) in cases.clone() {
        let found = check(&config(&[("api_key", "env:A".into()), (name, value)]), Path::new("/"));
        assert_eq!(found.iter().map(|finding| finding.code).collect::<Vec<_>>(), [code], "{name}");
    }
    let all: BTreeMap<_, _> = cases.iter().map(|(name, value, _)| (*name, value.clone())).collect();
    let all: Vec<_> = all.into_iter().collect();
    assert_eq!(check(&config(&all), Path::new("/")).len(), all.len());
    let missing = check(&config(&[]), Path::new("/"));
    assert_eq!(missing.len(), 1);
    assert_eq!(missing[0].code, "missing-key");
}
