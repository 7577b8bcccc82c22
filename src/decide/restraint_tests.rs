//! What holds mail back although it is due: suppressions of the ledger, shared addresses, holdouts, caps and windows.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::tests::{at, candidate, rules};
use super::*;
use crate::ledger::{InForce, RecipientFacts, Recorded};
use crate::model::{Suppression, SuppressionReason, Window};
use crate::project::{Cap, JobWindow, Share, WindowZone};

const DAY: SignedDuration = SignedDuration::from_hours(24);

fn one(rules: &Rules, candidate: &Candidate, facts: Facts) -> Decided {
    let mut ahead = Ahead::new(rules);
    let last = decide(rules, std::slice::from_ref(candidate), std::slice::from_ref(&facts), &mut ahead).remove(0);
    let told = explain(rules, std::slice::from_ref(candidate), &[facts], &mut Ahead::new(rules)).remove(0).1;
    let said: Vec<Decision> = told.iter().filter(|step| step.applies).map(|step| step.decision).collect();
    assert_eq!(said, [last.decision], "the steps lead to the decision: {told:#?}");
    last
}

fn with_address(hash: &str) -> Facts {
    Facts { address_hash: Some(hash.into()), ..Facts::default() }
}

fn recorded(state: DeliveryState, reason: &str, not_before: Timestamp) -> Facts {
    Facts::of(Some(Recorded {
        reason: Some(reason.into()),
        not_before: Some(not_before),
        variant: Some("b".into()),
        ..Recorded::new(state, 0)
    }))
}

#[test]
fn suppressions_block_by_reason_job_and_category() {
    use SuppressionReason::{Bounce, Complaint, Erase, Manual, Unsubscribed};
    let found = |reason, job: Option<&str>| InForce { reason, job: job.map(str::to_owned) };
    let cases = [
        (found(Unsubscribed, None), true, false),
        (found(Unsubscribed, Some("cheers")), true, false),
        (found(Unsubscribed, Some("applause")), true, false),
        (found(Unsubscribed, Some("digest")), false, false),
        (found(Bounce, None), true, true),
        (found(Complaint, None), true, true),
        (found(Manual, None), true, true),
        (found(Manual, Some("digest")), false, false),
        (found(Erase, None), true, true),
    ];
    for (found, marketing_blocked, transactional_blocked) in cases {
        for (marketing, blocked) in [(true, marketing_blocked), (false, transactional_blocked)] {
            let rules = Rules { marketing, ..rules() };
            let recipient = RecipientFacts { suppressions: vec![found.clone()], ..RecipientFacts::default() };
            let decided = one(&rules, &candidate(1, 5.0), Facts { recipient, ..Facts::default() });
            let expected = if blocked { Decision::Suppressed } else { Decision::Mail };
            assert_eq!(decided.decision, expected, "{found:?} marketing: {marketing}");
            if blocked {
                assert_eq!(decided.reason.as_deref(), Some(found.reason.name()));
                assert_eq!(decided.stored.is_some(), found.reason != Erase, "who is forgotten is not written again");
            }
        }
    }
    let listed =
        |reason: &str| Candidate { suppressed: Some(Suppression { reason: reason.into() }), ..candidate(1, 5.0) };
    let transactional = Rules { marketing: false, ..rules() };
    assert_eq!(one(&transactional, &listed("unsubscribed"), Facts::default()).decision, Decision::Mail);
    assert_eq!(one(&transactional, &listed("bounce"), Facts::default()).decision, Decision::Suppressed);
    assert_eq!(one(&rules(), &listed("unsubscribed"), Facts::default()).decision, Decision::Suppressed);
}

#[test]
fn the_first_profile_of_an_address_has_the_occasion() {
    let of = |profile: &str| {
        let mut candidate = candidate(1, 5.0);
        candidate.key.profile_id = profile.into();
        candidate
    };
    let rules = rules();
    let mut ahead = Ahead::new(&rules);
    let chunk = [of("u1"), of("u2"), of("u3")];
    let facts = [with_address("a"), with_address("a"), with_address("b")];
    let decisions = |decided: Vec<Decided>| decided.into_iter().map(|one| one.decision).collect::<Vec<_>>();
    let first = decide(&rules, &chunk, &facts, &mut ahead);
    assert_eq!(first[1].record(&chunk[1], at(0)).expect("stored").address_hash, None, "the first is found by it");
    assert_eq!(decisions(first), [Decision::Mail, Decision::SameAddress, Decision::Mail]);
    let later = decide(&rules, &[of("u4"), of("u5")], &[with_address("b"), Facts::default()], &mut ahead);
    assert_eq!(decisions(later), [Decision::SameAddress, Decision::Mail], "also in a later chunk");
    let taken = RecipientFacts { address_taken: true, ..RecipientFacts::default() };
    let decided = one(&rules, &of("u6"), Facts { recipient: taken, ..with_address("c") });
    assert_eq!(decided.decision, Decision::SameAddress, "by what the ledger has");
    // Who may not be mailed takes nobody's place.
    let suppressed = Candidate { suppressed: Some(Suppression { reason: "bounce".into() }), ..of("u1") };
    let mut ahead = Ahead::new(&rules);
    let decided = decide(&rules, &[suppressed, of("u2")], &facts[..2], &mut ahead);
    assert_eq!(decisions(decided), [Decision::Suppressed, Decision::Mail]);
}

#[test]
fn the_holdout_is_stable_and_decided_once() {
    let rules = Rules { holdout: Share::of_percent(50.0), ..rules() };
    let of = |number: u32| {
        let mut candidate = candidate(1, 5.0);
        candidate.key.profile_id = format!("u{number}");
        candidate
    };
    let held: Vec<u32> =
        (0..200).filter(|number| one(&rules, &of(*number), with_address("a")).decision == Decision::HeldOut).collect();
    assert!((70..130).contains(&held.len()), "{} of 200", held.len());
    let again = one(&rules, &of(held[0]), with_address("a"));
    let record = again.record(&of(held[0]), at(0)).expect("stored");
    assert_eq!((record.state, record.address_hash.as_deref()), (DeliveryState::HeldOut, Some("a")));
    for state in [DeliveryState::Deferred, DeliveryState::Retryable, DeliveryState::RenderFailed] {
        let decided = one(&rules, &of(held[0]), recorded(state, "capped", at(-1)));
        assert_eq!(decided.decision, Decision::Mail, "it had qualified when it became {state}");
    }
}

#[test]
fn caps_count_dispatches_of_the_last_days_and_of_this_run() {
    let cap = |max, days| Cap { max, per: DAY * days };
    let rules = |caps: &[Cap]| Rules { caps: caps.to_vec(), ..rules() };
    let dispatched = |days: &[i64]| Facts {
        recipient: RecipientFacts {
            dispatched: days.iter().map(|day| at(*day)).collect(),
            ..RecipientFacts::default()
        },
        ..Facts::default()
    };
    let cases: [(&[Cap], &[i64], Option<Timestamp>); 8] = [
        (&[cap(2, 7)], &[-6], None),
        (&[cap(2, 7)], &[-6, -1], Some(at(1))),
        (&[cap(2, 7)], &[-7, -1], None),
        (&[cap(1, 7)], &[-6, -1], Some(at(6))),
        (&[cap(1, 1), cap(2, 30)], &[-20, -10], Some(at(10))),
        (&[cap(1, 1), cap(3, 30)], &[-20, -10], None),
        (&[cap(1, 20), cap(2, 30)], &[-20, -10], Some(at(10))),
        (&[], &[-1, -1, -1], None),
    ];
    for (caps, days, until) in cases {
        let decided = one(&rules(caps), &candidate(1, 5.0), dispatched(days));
        assert_eq!(decided.not_before, until, "{caps:?} {days:?}");
        let expected = if until.is_some() { Decision::Capped } else { Decision::Mail };
        assert_eq!(decided.decision, expected, "{caps:?} {days:?}");
        let transactional = Rules { marketing: false, ..rules(caps) };
        assert_eq!(one(&transactional, &candidate(1, 5.0), dispatched(days)).decision, Decision::Mail);
    }
    // Within one run, also across chunks and, where nothing is recorded, across jobs.
    let capped = rules(&[cap(2, 7)]);
    let mut ahead = Ahead::new(&capped);
    let mail = |occasion: &str, ahead: &mut Ahead| {
        let mut candidate = candidate(1, 5.0);
        candidate.key.occasion = occasion.into();
        decide(&capped, &[candidate], &[dispatched(&[-6])], ahead).remove(0)
    };
    assert_eq!(mail("a", &mut ahead).decision, Decision::Mail);
    let second = mail("b", &mut ahead);
    assert_eq!((second.decision, second.not_before), (Decision::Capped, Some(at(1))));
    let mut next = ahead.next_job(&capped);
    assert_eq!(mail("c", &mut next).decision, Decision::Capped);
}

#[test]
fn windows_open_by_the_profiles_clock_and_are_missed_when_nobody_runs() {
    // Day 0 is 2026-09-21T13:33:20Z, a Monday.
    let morning = Window::new(9 * 60, 12 * 60, [true; 7]).expect("a window");
    let with = |zone| Rules { window: Some(JobWindow { window: morning, zone }), ..rules() };
    let of = |timezone: serde_json::Value| {
        let mut candidate = candidate(1, 5.0);
        candidate.timezone = timezone.as_str().map(str::to_owned);
        candidate
    };
    let instant = |text: &str| text.parse::<Timestamp>().expect("an instant");
    let cases = [
        (WindowZone::Profile, json!("America/New_York"), None),
        (WindowZone::Profile, json!("Europe/Paris"), Some("2026-09-22T07:00:00Z")),
        (WindowZone::Profile, json!("Mars/Olympus"), Some("2026-09-22T09:00:00Z")),
        (WindowZone::Profile, json!(null), Some("2026-09-22T09:00:00Z")),
        (WindowZone::Project, json!("America/New_York"), Some("2026-09-22T09:00:00Z")),
    ];
    for (zone, timezone, opens) in cases {
        let decided = one(&with(zone), &of(timezone.clone()), Facts::default());
        assert_eq!(decided.not_before, opens.map(instant), "{timezone}");
        assert_eq!(decided.decision, if opens.is_some() { Decision::OutsideWindow } else { Decision::Mail });
    }
    let rules = with(WindowZone::Project);
    let paris = of(json!("Europe/Paris"));
    let opening = instant("2026-09-21T09:00:00Z");
    for (facts, decision) in [
        (recorded(DeliveryState::Deferred, "outside_window", opening), Decision::MissedWindow),
        (recorded(DeliveryState::Deferred, "missed_window", opening), Decision::MissedWindow),
        (recorded(DeliveryState::Deferred, "outside_window", instant("2026-09-22T09:00:00Z")), Decision::OutsideWindow),
        (recorded(DeliveryState::Deferred, "capped", opening), Decision::OutsideWindow),
    ] {
        let decided = one(&rules, &paris, facts.clone());
        assert_eq!(decided.decision, decision, "{facts:?}");
        let record = decided.record(&paris, at(0)).expect("stored");
        assert_eq!((record.state, record.reason.as_deref()), (DeliveryState::Deferred, Some(decision.name())));
    }
    let open = Rules { wall: instant("2026-09-22T10:00:00Z"), ..rules };
    let late = one(&open, &paris, recorded(DeliveryState::Deferred, "outside_window", opening));
    assert_eq!(late.decision, Decision::Mail, "a later window is as good");
}

#[test]
fn what_waits_and_is_not_wanted_now_keeps_waiting() {
    let unwanted = Candidate { wanted: false, ..candidate(1, 5.0) };
    let decided = one(&rules(), &unwanted, recorded(DeliveryState::Deferred, "capped", at(3)));
    let record = decided.record(&unwanted, at(0)).expect("renewed, so that it is not withdrawn");
    assert_eq!(decided.decision, Decision::Skipped);
    assert_eq!(
        (record.state, record.reason.as_deref(), record.not_before),
        (DeliveryState::Deferred, Some("capped"), Some(at(3)))
    );
    assert_eq!(one(&rules(), &unwanted, Facts::default()).record(&unwanted, at(0)).map(|record| record.state), None);
}

#[test]
fn a_variant_stays_the_one_it_qualified_for() {
    let mut rules = rules();
    rules.parts[1].variants = vec![("a".into(), 1.0), ("b".into(), 1.0)];
    let fresh = one(&rules, &candidate(1, 5.0), Facts::default()).variant.expect("a variant");
    assert!(["a", "b"].contains(&fresh.as_str()));
    let waited = recorded(DeliveryState::Deferred, "capped", at(-1));
    assert_eq!(one(&rules, &candidate(1, 5.0), waited.clone()).variant.as_deref(), Some("b"));
    rules.parts[1].variants[1].0 = "c".into();
    let renamed = one(&rules, &candidate(1, 5.0), waited).variant.expect("a variant");
    assert!(["a", "c"].contains(&renamed.as_str()), "one that is gone is chosen anew");
}

#[test]
fn what_is_usual_is_the_median_of_the_last() {
    assert_eq!(usual(vec![], 5), None);
    assert_eq!(usual(vec![10], 5), Some(10));
    assert_eq!(usual(vec![1, 100, 10, 5, 50, 9_000, 9_000], 5), Some(10));
    assert_eq!(usual(vec![4, 1, 3, 2], 7), Some(2));
    let volume = |usual, mails, confirm| Volume {
        usual,
        redirects_left: None,
        first_run: false,
        mails,
        limits: crate::project::Limits { first_run: 1, per_run: None },
        confirm,
    };
    for passing in [volume(Some(1), 1_000, None), volume(Some(300), 1_500, None), volume(None, 9_999, None)] {
        assert_eq!(guard(&passing), Ok(()), "{passing:?}");
    }
    assert_eq!(guard(&volume(Some(300), 1_501, Some(1_501))), Ok(()), "a person agreed");
    let refused = guard(&volume(Some(300), 1_501, None)).expect_err("five times the usual");
    assert!(refused.to_string().contains("5 times the usual 300") && refused.to_string().contains("--confirm 1501"));
    let redirected = Volume { redirects_left: Some(20), ..volume(None, 21, Some(30)) };
    assert!(guard(&redirected).expect_err("too many").to_string().contains("--limit 20"), "no person may lift it");
    assert_eq!(guard(&Volume { mails: 20, ..redirected }), Ok(()));
}
