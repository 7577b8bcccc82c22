//! Every observation and the verdict that it has.

use std::time::Duration;

use bytes::Bytes;

use super::*;

const VOCABULARY: Vocabulary = Vocabulary {
    codes: &[("slow_down", Meaning::Throttled), ("no_quota", Meaning::Quota), ("bad_key", Meaning::Configuration)],
    phrases: &[("the moon is full", Meaning::Configuration)],
    read: words,
};

/// `code|text`, either of which may be empty.
fn words(body: &[u8]) -> Words {
    let text = String::from_utf8_lossy(body).into_owned();
    let (code, text) = text.split_once('|').unwrap_or((&text, ""));
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Words { code: given(code), text: given(text) }
}

fn answered(status: u16, said: &'static str) -> Exchange {
    let body = Some(Bytes::from_static(said.as_bytes()));
    Exchange::Answer(Answer { status, retry_after: Some(Duration::from_secs(7)), body })
}

fn named(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Rejected { fault: Fault::Configuration, .. } => "configuration",
        Outcome::Rejected { fault: Fault::Quota, .. } => "quota",
        Outcome::Rejected { fault: Fault::Address, .. } => "address",
        Outcome::Rejected { fault: Fault::Message, .. } => "message",
        other => other.name(),
    }
}

#[test]
fn the_table() {
    let cases = [
        (Exchange::NoConnection("refused".into()), "not_accepted"),
        (Exchange::Silence("reset".into()), "unknown"),
        (answered(429, ""), "throttled"),
        (answered(400, "slow_down"), "throttled"),
        (answered(500, "slow_down"), "throttled"),
        (answered(429, "no_quota"), "quota"),
        (answered(403, "no_quota"), "quota"),
        (answered(422, "bad_key"), "configuration"),
        (answered(401, ""), "configuration"),
        (answered(402, ""), "configuration"),
        (answered(403, ""), "configuration"),
        (answered(404, ""), "configuration"),
        (answered(400, "odd"), "message"),
        (answered(413, ""), "message"),
        (answered(422, ""), "message"),
        (answered(408, ""), "unknown"),
        (answered(409, ""), "unknown"),
        (answered(500, ""), "unknown"),
        (answered(503, "odd|your account is suspended"), "unknown"),
        (answered(302, ""), "unknown"),
        (answered(100, ""), "unknown"),
    ];
    for (exchange, name) in cases {
        let outcome = verdict(&exchange, &VOCABULARY, 1).expect("a failure");
        assert_eq!(named(&outcome), name, "{exchange:?}");
    }
    assert!(verdict(&answered(200, ""), &VOCABULARY, 1).is_none());
    assert_eq!(
        verdict(&answered(429, ""), &VOCABULARY, 1),
        Some(Outcome::Throttled { retry_after: Some(Duration::from_secs(7)) })
    );
}

/// The account's faults come under every status and code; what is said of a recipient or of a content is theirs.
#[test]
fn words_tell_whose_fault_it_is_under_every_status() {
    let cases = [
        ("validation_error|API key is invalid", "configuration"),
        ("|The acme.test domain is not verified. Please, add and verify your domain", "configuration"),
        (
            "validation_error|You can only send testing emails to your own email address (x). To send emails to other \
             recipients, please verify a domain",
            "configuration",
        ),
        ("invalid_from_address|Invalid `from` field.", "configuration"),
        ("validation_error|Invalid `from` field. The email address needs to follow the format", "configuration"),
        ("validation_error|Your account has been suspended", "configuration"),
        ("suspended_api_key|", "configuration"),
        ("|This feature is not available on your plan, please upgrade", "configuration"),
        ("|You do not have permission to send from this sender", "configuration"),
        ("|the moon is full", "configuration"),
        ("|You have reached your daily email sending quota", "quota"),
        ("|Daily limit exceeded", "quota"),
        ("monthly_quota_exceeded|", "quota"),
        ("|Maximum sending rate exceeded", "throttled"),
        ("validation_error|Invalid `to` field. The email address needs to follow the format", "address"),
        ("|The recipient is inactive", "address"),
        ("validation_error|Missing `subject` field.", "message"),
        ("|The explanation of the planet", "message"),
    ];
    for (said, expected) in cases {
        for status in [400, 422, 451] {
            let outcome = verdict(&answered(status, said), &VOCABULARY, 1).expect("a failure");
            assert_eq!(named(&outcome), expected, "{status} {said}");
            let of_many = verdict(&answered(status, said), &VOCABULARY, 100).expect("a failure");
            let together = matches!(expected, "address" | "message");
            assert_eq!(named(&of_many), if together { "refused_together" } else { expected }, "{status} {said}");
        }
    }
}

#[test]
fn advice_in_a_throttling_answer_is_no_fault_of_the_account() {
    let said = "|Too many requests: upgrade your plan or write to support to raise the limit of your account";
    assert_eq!(named(&verdict(&answered(429, said), &VOCABULARY, 1).expect("a failure")), "throttled");
}

#[test]
fn an_unreadable_refusal_still_counts_by_its_status() {
    let exchange = Exchange::Answer(Answer { status: 422, retry_after: None, body: None });
    assert_eq!(verdict(&exchange, &VOCABULARY, 1).expect("a failure").name(), "rejected");
    assert_eq!(verdict(&exchange, &VOCABULARY, 2).expect("a failure").name(), "refused_together");
}
