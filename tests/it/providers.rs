//! One suite for every provider against a misbehaving fake.

pub(crate) mod fake;
mod outbox;
mod resend;

use std::path::Path;
use std::sync::Arc;

use milepost::model::diagnostic::{Located, Place, SourceFile};
use milepost::model::{Mailbox, Message, Outcome};
use milepost::project::{ProviderConfig, Setting};
use milepost::providers::{self, Attempt, Provider};
use serde_json::Value;

/// A provider's entry as the project layer would hand it over.
pub(crate) fn config(kind: &str, settings: &[(&str, Value)]) -> ProviderConfig {
    let file = Arc::new(SourceFile { path: "milepost.yml".into(), text: "providers:\n".into() });
    let place = Place::start_of(&file);
    let setting = |(name, value): &(&str, Value)| {
        let value = Located::new(value.clone(), place.clone());
        ((*name).to_owned(), Setting { key: place.clone(), value })
    };
    ProviderConfig {
        name: "main".into(),
        kind: Located::new(kind.into(), place.clone()),
        settings: settings.iter().map(setting).collect(),
        place: place.clone(),
    }
}

/// A message whose delivery id is `number` in hexadecimal.
pub(crate) fn message(number: u32) -> Message {
    let mailbox = |text: &str| Mailbox::parse(text).expect("a valid mailbox");
    Message {
        delivery_id: format!("{number:032x}"),
        from: mailbox("Acme <hello@acme.test>"),
        to: mailbox(&format!("Person {number} <person_{number}@example.test>")),
        reply_to: None,
        subject: format!("Milestone {number}"),
        html: format!("<p>Well done, {number}</p>"),
        text: format!("Well done, {number}"),
        headers: vec![("List-Unsubscribe".into(), "<https://acme.test/leave/1>".into())],
        date: "2026-11-01T06:00:00Z".parse().expect("an instant"),
    }
}

pub(crate) fn messages(count: u32) -> Vec<Message> {
    (1..=count).map(message).collect()
}

fn connect(config: &ProviderConfig, root: &Path) -> Box<dyn Provider> {
    assert_eq!(providers::check(config, root), vec![]);
    providers::connect(config, root).expect("the provider connects")
}

async fn attempt(provider: &dyn Provider, messages: &[Message], key: &str) -> Vec<Outcome> {
    provider.attempt(Attempt { job: "milestones", messages, idempotency_key: key }).await
}

fn names(outcomes: &[Outcome]) -> Vec<&'static str> {
    outcomes.iter().map(Outcome::name).collect()
}

#[test]
fn an_unknown_provider_is_named_with_the_nearest_known_one() {
    let findings = providers::check(&config("resent", &[]), Path::new("/"));
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].code, "unknown-provider");
    assert_eq!(findings[0].help.as_deref(), Some("did you mean `resend`?"));
}

#[tokio::test]
async fn every_member_answers_for_each_message_in_order_and_takes_a_delivery_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let fake = fake::Fake::start(&[]);
    for member in providers::FAMILY {
        let entry = match member.kind {
            "outbox" => config("outbox", &[("dir", "mails".into())]),
            "resend" => fake.resend(folder.path(), &[]),
            other => panic!("{other} has no settings in this suite yet"),
        };
        let provider = connect(&entry, folder.path());
        let capabilities = provider.capabilities();
        assert!(capabilities.batch >= 1 && capabilities.in_flight >= 1, "{}", member.kind);
        assert!(capabilities.idempotency.is_some(), "{}: both members today honour keys", member.kind);
        let batch = messages(3);
        let first = attempt(provider.as_ref(), &batch, "key-1").await;
        let again = attempt(provider.as_ref(), &batch, "key-1").await;
        assert_eq!(names(&first), ["accepted"; 3], "{}", member.kind);
        assert_eq!(first, again, "{}: the same key and bytes have the same answer", member.kind);
        provider.finish().await.expect("the provider finishes");
    }
    assert_eq!(fake.accepted().len(), 3);
    let mails = std::fs::read_dir(folder.path().join("mails")).expect("the outbox").filter(|entry| {
        entry.as_ref().is_ok_and(|entry| entry.path().extension().is_some_and(|extension| extension == "eml"))
    });
    assert_eq!(mails.count(), 3);
}
