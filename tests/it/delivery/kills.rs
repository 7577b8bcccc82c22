//! The binary itself, killed at random moments and aborted at named points, then run again.

use super::project::{Keys, Project, Store, assert_promises, kill_after};

/// 3,000 by default; `MILEPOST_TEST_RECIPIENTS=20000` for the full exam.
fn recipients() -> usize {
    milepost::settings::variable("MILEPOST_TEST_RECIPIENTS").and_then(|text| text.parse().ok()).unwrap_or(3_000)
}

#[test]
fn killed_at_five_random_moments() {
    let recipients = recipients();
    for (store, keys) in Store::BOTH.into_iter().flat_map(|store| Keys::BOTH.map(|keys| (store, keys))) {
        let fake = keys.fake(&["--delay-ms", "2"]);
        let project = Project::new(&fake, (store, keys), recipients, 1);
        // Moments that differ from run to run and are named when something fails.
        let random: [u8; 5] = milepost::clock::random_bytes().expect("randomness");
        let moments = random.map(|byte| 1 + u64::from(byte) * recipients as u64 / 2_000);
        let kills = moments.into_iter().filter(|moment| kill_after(&project, &fake, *moment)).count();
        let last = project.finish();
        let case = format!("{store:?}, {keys:?}, killed {kills} times after {moments:?} requests");
        assert!(kills >= 4, "{case}");
        assert_promises(&project, &fake, keys, &last, &case);
        let unknown = project.unknown();
        assert!(unknown <= kills * 4_000, "{case}: {unknown} unknown are more than two waves a crash");
        if keys.honoured() {
            assert_eq!(fake.acceptances().len(), recipients, "{case}: everybody got it");
        }
        let requests = fake.requests();
        project.finish();
        assert_eq!(fake.requests(), requests, "{case}: another run makes no request");
    }
}

#[cfg(debug_assertions)]
#[test]
fn aborted_at_every_named_point() {
    let points = [
        "before_dispatch",
        "after_dispatch",
        "after_dispatch:3",
        "before_request",
        "before_request:20",
        "after_response",
        "after_response:20",
        "before_settle",
        "before_settle:2",
        "after_settle",
    ];
    let cases = [(Keys::Honoured, 7), (Keys::Ignored, 1)];
    for (store, (keys, batch)) in Store::BOTH.into_iter().flat_map(|store| cases.map(|case| (store, case))) {
        for point in points {
            let fake = keys.fake(&[]);
            let project = Project::new(&fake, (store, keys), 150, batch);
            let aborted = project.run().env("MILEPOST_CRASHPOINT", point).output().expect("started");
            let case = format!("{store:?}, {keys:?}, batches of {batch}, aborted at {point}");
            if aborted.status.code().is_some() {
                // Fewer waves than asked for: the point was not reached, which is no failure of the run.
                assert!(point.contains(':'), "{case}: the point was never reached\n{aborted:?}");
            }
            let last = project.finish();
            assert_promises(&project, &fake, keys, &last, &case);
        }
    }
}

#[cfg(debug_assertions)]
#[test]
fn recovery_itself_may_be_aborted_and_still_converges() {
    for store in Store::BOTH {
        let fake = Keys::Honoured.fake(&[]);
        let project = Project::new(&fake, (store, Keys::Honoured), 150, 1);
        for point in ["after_dispatch", "before_request:3", "after_response:5", "before_settle"] {
            project.let_go();
            let aborted = project.run().env("MILEPOST_CRASHPOINT", point).output().expect("started");
            assert_eq!(aborted.status.code(), None, "{point}: {aborted:?}");
        }
        let last = project.finish();
        assert_promises(&project, &fake, Keys::Honoured, &last, "recovery aborted");
        assert_eq!(fake.acceptances().len(), 150);
    }
}

#[test]
fn faults_of_the_provider_and_a_kill_together() {
    let faults = ["accept_then_reset=0.02", "accept_then_500=0.02", "throttle_429=0.02", "refuse_503=0.02"];
    let flags: Vec<&str> = faults.iter().flat_map(|fault| ["--fault", *fault]).chain(["--seed", "11"]).collect();
    for store in Store::BOTH {
        let fake = Keys::Honoured.fake(&flags);
        let project = Project::new(&fake, (store, Keys::Honoured), 400, 1);
        assert!(kill_after(&project, &fake, 120), "killed midway");
        let last = project.finish();
        assert_promises(&project, &fake, Keys::Honoured, &last, &format!("{store:?}, faults and a kill"));
        assert_eq!(fake.acceptances().len(), 400);
    }
}
