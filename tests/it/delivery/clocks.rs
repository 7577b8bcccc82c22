//! Runs that read the machine's clock, as cron lines and orchestrators start them: what was lost is asked for again with the
//! same bytes, whatever the clock has below a microsecond.

use std::collections::BTreeMap;
use std::process::Output;

use super::project::{Keys, Project, Store, kill_after};
use crate::providers::fake::Fake;

fn recipients() -> usize {
    milepost::settings::variable("MILEPOST_TEST_RECIPIENTS").and_then(|text| text.parse().ok()).unwrap_or(400)
}

/// Everybody accepted once, and the ledger says so.
fn assert_everybody_once(fake: &Fake, recipients: usize, last: &Output, case: &str) {
    let accepted: BTreeMap<String, usize> = fake.acceptances();
    assert_eq!(last.status.code(), Some(0), "{case}: {last:?}");
    assert_eq!(accepted.len(), recipients, "{case}");
    assert!(accepted.values().all(|times| *times == 1), "{case}: {accepted:?}");
}

#[test]
fn a_lost_answer_is_asked_for_again_on_a_plain_run() {
    for store in Store::every() {
        for batch in [1, 7] {
            let fake = Keys::Honoured.fake(&[]);
            let project = Project::by_the_clock(&fake, (store, Keys::Honoured), 30, batch);
            for point in ["after_response", "before_replay", "after_replay"] {
                project.let_go();
                let died = project.plain_run().env("MILEPOST_CRASHPOINT", point).output().expect("started");
                assert_eq!(died.status.code(), None, "{point}: {died:?}");
            }
            project.let_go();
            let last = project.plain_run().output().expect("started");
            assert_everybody_once(&fake, 30, &last, &format!("{store:?}, batches of {batch}"));
        }
    }
}

/// 400 recipients by default; `MILEPOST_TEST_RECIPIENTS=20000` for the size at which it was measured.
#[test]
fn killed_five_times_on_a_plain_run() {
    for store in Store::every() {
        let fake = Keys::Honoured.fake(&["--delay-ms", "3"]);
        let recipients = recipients();
        let project = Project::by_the_clock(&fake, (store, Keys::Honoured), recipients, 10);
        let random = u64::from_le_bytes(milepost::clock::random_bytes().expect("randomness"));
        let mut kills = 0;
        for turn in 0..5 {
            // Each at its own moment of the way that is left, now and then within the replay of the one before.
            let most = (recipients as u64 / 10 / 5).max(2);
            kills += usize::from(kill_after(&project, &fake, random.rotate_left(13 * turn) % most));
        }
        project.let_go();
        let last = project.plain_run().output().expect("started");
        assert_everybody_once(&fake, recipients, &last, &format!("{store:?}"));
        eprintln!(
            "{store:?}: {recipients} recipients, {kills} kills (seed {random}), {} accepted once each, {} requests, exit {:?}",
            fake.acceptances().len(),
            fake.requests(),
            last.status.code()
        );
    }
}
