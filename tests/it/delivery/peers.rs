//! The four failures that were measured at a peer (README, "How it compares"), replayed with the same shares of the way:
//! nobody twice, nobody lost.
//!
//! 600 recipients by default; `MILEPOST_TEST_RECIPIENTS=20000` for the size at which the peer was measured.

use std::process::Output;

use milepost::model::DeliveryState;

use super::project::{Keys, Project, Store, kill_after, terminate_after};
use crate::providers::fake::Fake;

fn recipients() -> usize {
    milepost::settings::variable("MILEPOST_TEST_RECIPIENTS").and_then(|text| text.parse().ok()).unwrap_or(600)
}

fn settings() -> impl Iterator<Item = (Store, Keys)> {
    Store::every().into_iter().flat_map(|store| Keys::BOTH.map(|keys| (store, keys)))
}

/// Compares ledger and provider, runs once more, and says what it found; `refused` are rejected.
fn settled(project: &Project, fake: &Fake, (last, keys): (&Output, Keys), refused: usize, what: &str) -> usize {
    let (rows, accepted) = (project.rows(), fake.acceptances());
    let count = |state| rows.iter().filter(|row| row.state == state).count();
    let twice = accepted.values().filter(|times| **times > 1).count();
    let [unknown, rejected] = [DeliveryState::Unknown, DeliveryState::Rejected].map(count);
    let lost = recipients() - count(DeliveryState::Accepted) - unknown - rejected;
    eprintln!(
        "{what}: {} accepted, {twice} twice, {lost} lost, {unknown} unknown, {rejected} rejected, {} requests",
        accepted.len(),
        fake.requests()
    );
    assert_eq!((twice, lost, rejected), (0, 0, refused), "{what}\n{last:?}");
    assert!(rows.iter().all(|row| row.state != DeliveryState::Accepted || accepted.contains_key(&row.delivery_id)));
    assert!(!keys.honoured() || unknown == 0, "{what}: a key clears every doubt");
    assert_eq!(last.status.code(), Some(if unknown > 0 { 4 } else { 0 }), "{what}\n{last:?}");
    let requests = fake.requests();
    project.finish();
    assert_eq!(fake.requests(), requests, "{what}: another run makes no request");
    unknown
}

#[test]
fn one_is_refused_three_quarters_of_the_way() {
    for (store, keys) in settings() {
        let place = format!("reject_422={}", recipients() * 3 / 4);
        let fake = keys.fake(&["--fault-at", &place]);
        let project = Project::new(&fake, (store, keys), recipients(), 1);
        let first = project.finish();
        let what = format!("refused at {place}, {store:?}, {keys:?}");
        assert_eq!(settled(&project, &fake, (&first, keys), 1, &what), 0);
    }
}

#[test]
fn killed_two_thirds_of_the_way() {
    for (store, keys) in settings() {
        let fake = keys.fake(&["--delay-ms", "2"]);
        let project = Project::new(&fake, (store, keys), recipients(), 1);
        let moment = recipients() as u64 * 13 / 20;
        assert!(kill_after(&project, &fake, moment), "killed midway");
        let last = project.finish();
        let unknown = settled(&project, &fake, (&last, keys), 0, &format!("killed at {moment}, {store:?}, {keys:?}"));
        assert!(unknown <= 2_000, "{unknown} unknown are more than two waves");
    }
}

#[test]
fn two_runs_overlap() {
    for (store, keys) in settings() {
        let fake = keys.fake(&["--delay-ms", "2"]);
        let project = Project::new(&fake, (store, keys), recipients(), 1);
        let mut both = [project.start(), project.start()];
        let codes = both.each_mut().map(|run| run.wait().expect("ended").code());
        assert!(codes.contains(&Some(75)) && codes.contains(&Some(0)), "{codes:?}");
        let last = project.finish();
        assert_eq!(settled(&project, &fake, (&last, keys), 0, &format!("overlapping, {store:?}, {keys:?}")), 0);
    }
}

#[test]
fn terminated_while_it_mails_in_no_order() {
    for (store, keys) in settings() {
        let fake = keys.fake(&["--delay-ms", "2"]);
        let project = Project::new(&fake, (store, keys), recipients(), 1);
        let moment = recipients() as u64 / 4;
        assert_eq!(terminate_after(&project, &fake, moment), Some(143), "drained");
        assert!(fake.acceptances().len() < recipients(), "midway");
        let last = project.finish();
        let what = format!("terminated at {moment}, {store:?}, {keys:?}");
        assert_eq!(settled(&project, &fake, (&last, keys), 0, &what), 0);
    }
}
