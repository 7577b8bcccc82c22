//! Each reason by itself, in its order, and as a property of every chunk.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::ledger::Recorded;
use crate::model::{Suppression, TemplateContext};
use crate::project::{Limits, Start};

pub(super) fn at(day: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + day * 86_400).expect("an instant")
}

fn part(name: &str, levels: &[f64]) -> Part {
    Part {
        name: name.into(),
        aliases: vec![format!("old_{name}")],
        levels: levels.iter().filter_map(|level| Level::new(*level)).collect(),
        highest_only: true,
        own_view: false,
        anchor_slack: None,
        variants: Vec::new(),
        salt: String::new(),
    }
}

/// Today is day 0 on both clocks, and every part started at day -10.
pub(super) fn rules() -> Rules {
    let each = Part { highest_only: false, ..part("each", &[10.0, 50.0]) };
    let view = Part { highest_only: false, own_view: true, ..part("view", &[]) };
    let starts = ["campaigns:10", "campaigns:50", "every", "each:10", "each:50", "view"];
    Rules {
        project: "acme".into(),
        job: "cheers".into(),
        aliases: vec!["applause".into()],
        marketing: true,
        holdout: None,
        caps: Vec::new(),
        window: None,
        zone: jiff::tz::TimeZone::UTC,
        start: Start::FromNow,
        starts: starts.into_iter().map(|key| (key.to_owned(), at(-10))).collect(),
        as_of: at(0),
        wall: at(0),
        mail_within: Some(SignedDuration::from_hours(14 * 24)),
        parts: vec![part("campaigns", &[10.0, 50.0]), part("every", &[]), each, view],
    }
}

pub(super) fn candidate(part: usize, level: f64) -> Candidate {
    let milestone = ["campaigns", "every", "each", "view"][part];
    Candidate {
        key: DeliveryKey { profile_id: "u1".into(), occasion: format!("{milestone}:{level}") },
        address: Some(" ann@example.test ".into()),
        part,
        milestone: Some(milestone.into()),
        level: Some(level),
        reached_at: at(-1),
        dated: true,
        wanted: true,
        suppressed: None,
        variant: None,
        expires_at: None,
        timezone: None,
        context: TemplateContext::default(),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "an answer of the ledger is optional")]
fn known(state: DeliveryState) -> Option<Recorded> {
    Some(Recorded::new(state, 1))
}

fn decided_of(rules: &Rules, candidates: &[Candidate], recorded: &[Option<Recorded>]) -> Vec<Decided> {
    let recorded = recorded.iter().cloned().chain(std::iter::repeat(None));
    let facts: Vec<Facts> = candidates.iter().zip(recorded).map(|(_, recorded)| Facts::of(recorded)).collect();
    decide(rules, candidates, &facts, &mut Ahead::new(rules))
}

fn decisions(rules: &Rules, candidates: &[Candidate], recorded: &[Option<Recorded>]) -> Vec<Decision> {
    decided_of(rules, candidates, recorded).into_iter().map(|decided| decided.decision).collect()
}

fn alone(rules: &Rules, candidate: &Candidate) -> Decision {
    decisions(rules, std::slice::from_ref(candidate), &[None])[0]
}

#[test]
fn the_first_reason_that_applies_wins() {
    // Everything speaks against this one; then its reasons are taken away one by one.
    let mut one = Candidate {
        reached_at: at(-20),
        wanted: false,
        address: Some("nobody".into()),
        suppressed: Some(Suppression { reason: "bounce".into() }),
        ..candidate(0, 10.0)
    };
    let mut higher = candidate(0, 50.0);
    let mut rules = rules();
    let decided = |rules: &Rules, one: &Candidate, higher: &Candidate, recorded: Option<Recorded>| {
        decisions(rules, &[one.clone(), higher.clone()], &[recorded, None])[0]
    };
    assert_eq!(decided(&rules, &one, &higher, known(DeliveryState::Accepted)), Decision::Known);
    assert_eq!(decided(&rules, &one, &higher, None), Decision::Baselined);
    rules.starts.insert("campaigns:10".into(), at(-30));
    assert_eq!(decided(&rules, &one, &higher, None), Decision::Skipped);
    one.wanted = true;
    assert_eq!(decided(&rules, &one, &higher, None), Decision::Superseded);
    higher.wanted = false;
    assert_eq!(decided(&rules, &one, &higher, None), Decision::Expired);
    rules.mail_within = None;
    assert_eq!(decided(&rules, &one, &higher, None), Decision::InvalidAddress);
    one.address = Some("ann@example.test".into());
    assert_eq!(decided(&rules, &one, &higher, None), Decision::Suppressed);
    one.suppressed = None;
    assert_eq!(decided(&rules, &one, &higher, None), Decision::Mail);
}

#[test]
fn what_may_be_decided_again_is_not_known() {
    for state in DeliveryState::ALL {
        let decided = decisions(&rules(), &[candidate(0, 10.0)], &[known(state)])[0];
        let open = [
            DeliveryState::Retryable,
            DeliveryState::InvalidAddress,
            DeliveryState::Suppressed,
            DeliveryState::RenderFailed,
            DeliveryState::Deferred,
        ];
        assert_eq!(decided, if open.contains(&state) { Decision::Mail } else { Decision::Known }, "{state}");
    }
}

#[test]
fn a_repeated_key_is_mailed_once() {
    let twice = [candidate(3, 1.0), candidate(3, 1.0)];
    assert_eq!(decisions(&rules(), &twice, &[None, None]), [Decision::Mail, Decision::Known]);
}

#[test]
fn only_the_highest_level_of_a_ladder_is_mailed() {
    let other_profile = |mut candidate: Candidate| {
        candidate.key.profile_id = "u2".into();
        candidate
    };
    let of_entity = |mut candidate: Candidate, entity: &str| {
        candidate.key.occasion = format!("{}/{entity}", candidate.key.occasion);
        candidate
    };
    let suppressed = Candidate { suppressed: Some(Suppression { reason: "bounce".into() }), ..candidate(0, 50.0) };
    let skipped = Candidate { wanted: false, ..candidate(0, 50.0) };
    let before_start = Candidate { reached_at: at(-11), ..candidate(0, 50.0) };
    let (low, high) = (candidate(0, 10.0), candidate(0, 50.0));
    let accepted = known(DeliveryState::Accepted);
    let cases = [
        ("order does not matter", vec![high.clone(), low.clone()], None, Decision::Mail, Decision::Superseded),
        ("another profile's", vec![low.clone(), other_profile(high.clone())], None, Decision::Mail, Decision::Mail),
        ("another milestone's", vec![low.clone(), candidate(1, 50.0)], None, Decision::Mail, Decision::Mail),
        ("a mailed one", vec![low.clone(), high.clone()], accepted, Decision::Superseded, Decision::Known),
        ("a suppressed one", vec![low.clone(), suppressed], None, Decision::Superseded, Decision::Suppressed),
        ("a skipped one", vec![low.clone(), skipped], None, Decision::Mail, Decision::Skipped),
        ("a baselined one", vec![low.clone(), before_start], None, Decision::Mail, Decision::Baselined),
        ("send: each", vec![candidate(2, 10.0), candidate(2, 50.0)], None, Decision::Mail, Decision::Mail),
        ("an own view's", vec![candidate(3, 10.0), candidate(3, 50.0)], None, Decision::Mail, Decision::Mail),
        ("equal", vec![candidate(1, 10.0), of_entity(candidate(1, 10.0), "a")], None, Decision::Mail, Decision::Mail),
        (
            "another entity's",
            vec![of_entity(low.clone(), "a"), of_entity(high.clone(), "b")],
            None,
            Decision::Mail,
            Decision::Mail,
        ),
        ("one entity's", vec![of_entity(low, "a"), of_entity(high, "a")], None, Decision::Superseded, Decision::Mail),
    ];
    for (name, candidates, recorded, first, second) in cases {
        assert_eq!(decisions(&rules(), &candidates, &[None, recorded]), [first, second], "{name}");
    }
}

#[test]
fn starts_by_policy_part_and_level() {
    let undated = Candidate { dated: false, ..candidate(3, 1.0) };
    let reached = |part, level, day| Candidate { reached_at: at(day), ..candidate(part, level) };
    let empty = Rules { starts: BTreeMap::new(), ..rules() };
    let mut grown = rules();
    grown.starts.remove("campaigns:50");
    let all = Rules { start: Start::All, mail_within: None, ..empty.clone() };
    let since = Rules { start: Start::Since(at(-5)), ..empty.clone() };
    let renamed = Rules { starts: BTreeMap::from([("old_campaigns:10".into(), at(-10))]), ..empty.clone() };
    let (mail, baselined) = (Decision::Mail, Decision::Baselined);
    let cases = [
        ("before the start", &grown, reached(0, 10.0, -11), baselined),
        ("at the very start", &grown, reached(0, 10.0, -10), mail),
        ("a level added later starts now", &grown, reached(0, 50.0, -1), baselined),
        ("a level added later, reached now", &grown, reached(0, 50.0, 0), mail),
        ("every starts as a whole", &grown, reached(1, 700.0, -9), mail),
        ("first run", &empty, reached(0, 10.0, -1), baselined),
        ("first run, reached at as_of", &empty, reached(0, 10.0, 0), mail),
        ("all", &all, reached(0, 10.0, -9_000), mail),
        ("since, before", &since, reached(0, 10.0, -6), baselined),
        ("since, at", &since, reached(0, 10.0, -5), mail),
        ("undated, first seen", &empty, undated.clone(), baselined),
        ("undated since, first seen", &since, undated.clone(), baselined),
        ("undated, all", &all, undated.clone(), mail),
        ("undated, later", &rules(), undated.clone(), mail),
        ("renamed milestone", &renamed, reached(0, 10.0, -1), mail),
    ];
    for (name, rules, candidate, decision) in cases {
        assert_eq!(alone(rules, &candidate), decision, "{name}");
    }
    let kept = |rules: &Rules| rules.starts_to_keep();
    assert_eq!(kept(&grown)["campaigns:50"], at(0));
    assert_eq!(kept(&grown)["campaigns:10"], at(-10));
    assert_eq!(kept(&renamed)["campaigns:10"], at(-10), "a renamed milestone takes its start along");
    assert_eq!(kept(&empty).into_keys().collect::<Vec<_>>(), rules().starts.into_keys().collect::<Vec<_>>());
    // What keeps no start is kept as seen, so that a renamed part is told from a new one.
    let seen = |names: &[&str]| names.iter().map(|name| (format!("+{name}"), at(0))).collect::<BTreeMap<_, _>>();
    assert_eq!(kept(&all), seen(&["campaigns", "each", "every", "view"]));
    let mut since_kept = seen(&["campaigns", "each", "every"]);
    since_kept.insert("view".into(), at(0));
    assert_eq!(kept(&since), since_kept);
    let recap = Rules { parts: vec![Part { name: String::new(), ..part("", &[]) }], ..empty };
    assert_eq!(kept(&recap), BTreeMap::from([(String::new(), at(0))]));
}

#[test]
fn only_undated_baselines_are_stored() {
    let rules = Rules { starts: BTreeMap::new(), ..rules() };
    for (dated, stored) in [(true, false), (false, true)] {
        let one = Candidate { dated, ..candidate(3, 1.0) };
        let decided = &decided_of(&rules, std::slice::from_ref(&one), &[None])[0];
        assert_eq!(decided.record(&one, at(0)).map(|record| record.state), stored.then_some(DeliveryState::Baselined));
    }
}

#[test]
fn expiry_is_by_the_wall_clock() {
    let rules = rules();
    let with = |reached: i64, seconds: i64, expires_at: Option<Timestamp>| {
        let wall = at(reached + 14).checked_add(SignedDuration::from_secs(seconds)).expect("in range");
        alone(
            &Rules { start: Start::All, wall, ..rules.clone() },
            &Candidate { reached_at: at(reached), expires_at, ..candidate(0, 10.0) },
        )
    };
    assert_eq!(with(-3, 0, None), Decision::Mail, "mail_within is inclusive");
    assert_eq!(with(-3, 1, None), Decision::Expired);
    assert_eq!(with(-3, -1, Some(at(11))), Decision::Mail);
    assert_eq!(with(-3, 0, Some(at(11))), Decision::Expired, "from then on the next period is due");
    let forever = Candidate { reached_at: Timestamp::MAX, ..candidate(0, 10.0) };
    assert_eq!(alone(&rules, &forever), Decision::Mail);
}

#[test]
fn reasons_carry_nothing_personal() {
    let cases = [
        ("bounce", "bounce"),
        ("", "suppressed"),
        ("ann@example.test asked", "suppressed"),
        ("+33 6 12", "suppressed"),
    ];
    for (given, expected) in cases {
        let one = Candidate { suppressed: Some(Suppression { reason: given.into() }), ..candidate(0, 10.0) };
        let decided = &decided_of(&rules(), std::slice::from_ref(&one), &[None])[0];
        assert_eq!((decided.decision, decided.reason.as_deref()), (Decision::Suppressed, Some(expected)));
    }
    for (address, reason) in [(None, "no_address"), (Some("  "), "no_address"), (Some("ann@"), "not_an_address")] {
        let one = Candidate { address: address.map(str::to_owned), ..candidate(0, 10.0) };
        assert_eq!(decided_of(&rules(), &[one], &[None])[0].reason.as_deref(), Some(reason));
    }
}

#[test]
fn what_was_mailed_under_an_earlier_name_is_known() {
    let own_occasion = Candidate {
        key: DeliveryKey { profile_id: "u1".into(), occasion: "campaigns_of_spring".into() },
        ..candidate(0, 10.0)
    };
    let candidates = [candidate(0, 10.0), own_occasion, candidate(1, 5.0)];
    let lookup = Lookup::new(&rules(), &candidates);
    let occasions: Vec<&str> = lookup.keys().iter().map(|key| key.occasion.as_str()).collect();
    assert_eq!(occasions, ["campaigns:10", "campaigns_of_spring", "every:5", "old_campaigns:10", "old_every:5"]);
    let (accepted, retryable) = (known(DeliveryState::Accepted), known(DeliveryState::Retryable));
    let answers = vec![retryable.clone(), None, accepted.clone(), accepted.clone(), retryable];
    assert_eq!(lookup.merge(answers), [accepted.clone(), None, accepted]);
}

#[test]
fn volume_guards_name_the_number_the_limit_and_the_way_on() {
    let volume = |first_run, mails, per_run, confirm| {
        let limits = Limits { first_run: 1_000, per_run };
        guard(&Volume { usual: None, redirects_left: None, first_run, mails, limits, confirm })
            .map_err(|refusal| refusal.to_string())
    };
    for passing in [
        volume(true, 1_000, None, None),
        volume(false, 1_000_000, None, None),
        volume(false, 50, Some(50), None),
        volume(true, 5_000, Some(10), Some(5_000)),
        volume(true, 0, Some(0), None),
    ] {
        assert_eq!(passing, Ok(()));
    }
    for (refused, limit) in [
        (volume(true, 1_001, None, None), "limits.first_run` allows (1000)"),
        (volume(false, 1_001, Some(50), None), "limits.per_run` allows (50)"),
        (volume(false, 1_001, None, Some(1_000)), "--confirm 1000"),
    ] {
        let words = refused.expect_err("too many");
        assert!(
            words.contains("1001 profiles") && words.contains(limit) && words.contains("`--confirm 1001`"),
            "{words}"
        );
    }
}

prop_compose! {
    fn any_candidate()(
        profile in 0..3u8, part in 0..5usize, level in prop::option::of(prop::sample::select(vec![10.0, 50.0, 0.0, f64::NAN])),
        day in -30..3i64, dated: bool, wanted: bool, address in prop::sample::select(vec![None, Some(""), Some("a@b.test"), Some("x")]),
        suppressed: bool, expires in prop::option::of(-5..5i64),
    ) -> Candidate {
        Candidate {
            key: DeliveryKey { profile_id: format!("u{profile}"), occasion: format!("{part}:{level:?}") },
            address: address.map(str::to_owned), part, milestone: None, level, reached_at: at(day), dated, wanted,
            suppressed: suppressed.then(|| Suppression { reason: "bounce".into() }),
            variant: None, expires_at: expires.map(at), timezone: None, context: TemplateContext::default(),
        }
    }
}

prop_compose! {
    fn any_chunk()(chunk in prop::collection::vec((any_candidate(), prop::option::of(0..DeliveryState::ALL.len())), 0..12))
        -> (Vec<Candidate>, Vec<Option<Recorded>>) {
        chunk.into_iter().map(|(one, state)| (one, state.and_then(|state| known(DeliveryState::ALL[state])))).unzip()
    }
}

proptest! {
    #[test]
    fn every_candidate_gets_one_decision_that_is_true_and_first((candidates, recorded) in any_chunk()) {
        let rules = rules();
        let decided = decided_of(&rules, &candidates, &recorded);
        prop_assert_eq!(decided.len(), candidates.len());
        for (place, (one, decided)) in candidates.iter().zip(&decided).enumerate() {
            let repeated = candidates[..place].iter().any(|earlier| earlier.key == one.key);
            let is_known = repeated || recorded[place].as_ref().is_some_and(|recorded| recorded.state.is_known());
            // Each reason by itself, from the words of the contract, in order; the first that holds must be the decision.
            let start = rules.starts.get("campaigns:10").copied().expect("given");
            let new_part = one.part == 4 || (rules.parts[one.part].levels.len() == 2 && one.level().is_none());
            let baselined = match (one.dated, new_part) {
                (false, new_part) => new_part && recorded[place].is_none(),
                (true, true) => one.reached_at < rules.as_of,
                (true, false) => one.reached_at < start,
            };
            let valid = one.address.as_deref() == Some("a@b.test");
            let reasons = [
                (Decision::Known, is_known),
                (Decision::Baselined, baselined),
                (Decision::Skipped, !one.wanted),
                (Decision::Superseded, decided.decision == Decision::Superseded),
                (Decision::Expired, one.reached_at < at(-14) || one.expires_at.is_some_and(|end| end <= at(0))),
                (Decision::InvalidAddress, !valid),
                (Decision::Suppressed, one.suppressed.is_some()),
                (Decision::Mail, true),
            ];
            let first = reasons.iter().find(|(_, holds)| *holds).map(|(decision, _)| *decision);
            prop_assert_eq!(Some(decided.decision), first);
            let higher = candidates.iter().zip(&decided_of(&rules, &candidates, &recorded)).any(|(other, other_decided)| {
                (other.part, &other.key.profile_id) == (one.part, &one.key.profile_id)
                    && other.level() > one.level()
                    && !matches!(other_decided.decision, Decision::Baselined | Decision::Skipped)
            });
            if decided.decision == Decision::Superseded {
                prop_assert!(higher && one.part < 2);
            } else if decided.decision > Decision::Superseded && one.part < 2 && one.level().is_some() {
                prop_assert!(!higher);
            }
            if let Some(record) = decided.record(one, at(0)) {
                prop_assert!(record.state.may_follow(recorded[place].as_ref().map(|recorded| recorded.state)));
            }
        }
    }
}
