//! Ids that hold addresses: nobody reads them in what a run leaves, and nobody is mailed twice because of that.

use milepost::model::DeliveryState;

use super::project::{Keys, Project, Store};

#[test]
fn ids_that_hold_an_address_are_kept_as_hashes_and_found_again() {
    for store in Store::every() {
        let fake = Keys::Honoured.fake(&[]);
        let project = Project::new(&fake, (store, Keys::Honoured), 12, 4);
        project.give_ids("mailto:person_{}@example.test");
        let died = project.run().env("MILEPOST_CRASHPOINT", "after_response").output().expect("started");
        assert_eq!(died.status.code(), None, "{died:?}");
        let last = project.finish();
        assert_eq!(last.status.code(), Some(0), "{last:?}");
        let rows = project.rows();
        assert_eq!(rows.len(), 12);
        for row in rows {
            assert!(row.profile_id.starts_with("hmac:"), "{row:?}");
            assert_eq!(row.state, DeliveryState::Accepted, "{row:?}");
        }
        assert!(fake.acceptances().values().all(|times| *times == 1) && fake.acceptances().len() == 12);
        project.assert_no_secrets(&format!("{store:?}"));
    }
}

#[test]
fn what_was_asked_for_stands_in_the_results_without_addresses() {
    let fake = Keys::Honoured.fake(&[]);
    let project = Project::new(&fake, (Store::Sqlite, Keys::Honoured), 3, 1);
    project.give_ids("mailto:person_{}@example.test");
    let ended = project.run().args(["--only", "mailto:person_2@example.test"]).output().expect("started");
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert_eq!(fake.accepted().len(), 1);
    assert!(project.results().contains("\"only\": true"), "{}", project.results());
    project.assert_no_secrets("--only");
}
