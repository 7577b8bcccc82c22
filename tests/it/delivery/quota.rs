//! A day's messages: what an account may not take today waits for another day, in the ledger and by name.

use milepost::model::DeliveryState::{Accepted, Deferred};

use super::project::{Keys, Project, Store};

/// How many deliveries are accepted and how many wait, and why those wait.
fn states(project: &Project) -> (usize, usize, Vec<String>) {
    let rows = project.rows();
    let of = |state| rows.iter().filter(move |row| row.state == state);
    let mut reasons: Vec<String> = of(Deferred).filter_map(|row| row.reason.clone()).collect();
    assert!(of(Deferred).all(|row| row.not_before.is_some()), "it says until when");
    reasons.dedup();
    (of(Accepted).count(), of(Deferred).count(), reasons)
}

#[test]
fn a_daily_limit_is_kept_by_all_runs_of_a_day_and_the_rest_follows_on_others() {
    for store in Store::every() {
        let fake = Keys::Honoured.fake(&[]);
        let project = Project::new(&fake, (store, Keys::Honoured), 12, 2);
        project.set("daily_limit: 5");
        let first = project.run().output().expect("started");
        assert_eq!(first.status.code(), Some(3), "{first:?}");
        assert!(project.results().contains("`daily_limit` is used up until"), "{}", project.results());
        assert_eq!(states(&project), (5, 7, vec!["daily_limit".to_owned()]));
        let again = project.run().output().expect("started");
        assert_eq!(again.status.code(), Some(3), "{again:?}");
        assert_eq!((states(&project).0, fake.requests()), (5, 3), "nothing more today");
        if store == Store::Postgres {
            // Its day is the server's.
            continue;
        }
        for (days, accepted) in [(1, 10), (2, 12)] {
            let jump = (days * 86_400).to_string();
            let ended = project.run().env("MILEPOST_CLOCK_JUMP", jump).output().expect("started");
            let code = if accepted == 12 { 0 } else { 3 };
            assert_eq!(ended.status.code(), Some(code), "{ended:?}");
            assert_eq!(states(&project).0, accepted);
        }
        assert!(fake.acceptances().values().all(|times| *times == 1));
    }
}

#[test]
fn who_waits_for_a_spent_quota_is_written_down_and_mailed_once_there_is_more() {
    let fake = Keys::Honoured.fake(&["--fault-at", "quota_429=9"]);
    let project = Project::new(&fake, (Store::Sqlite, Keys::Honoured), 400, 1);
    let first = project.run().output().expect("started");
    assert_eq!(first.status.code(), Some(3), "{first:?}");
    let (accepted, deferred, reasons) = states(&project);
    assert!(accepted < 400 && accepted + deferred <= 400 && deferred > 100, "{accepted} {deferred}\n{first:?}");
    assert_eq!(reasons, ["provider_quota"]);
    assert_eq!(project.rows().len(), 400, "everybody is in the ledger");
    let again = project.run().output().expect("started");
    assert_eq!(again.status.code(), Some(0), "{again:?}");
    assert_eq!(states(&project), (400, 0, vec![]));
    assert!(fake.acceptances().values().all(|times| *times == 1));
}
