//! The twelve invariants of delivery, in one place; each violation is named by its number.
//!
//! Ten are looked at here, on what a whole scenario left. That another run makes no request (6) and that recovery
//! converges (11) are seen while the scenario is played.

use std::collections::{BTreeMap, BTreeSet};

use super::evidence::{Acceptance, LedgerRow, acceptances, half_published, leaks, ledger, struck};
use super::stage::{Ended, Stage};
use super::truth::{Expected, REFUSED};

/// Waves that may be in doubt after one crash.
const WAVES_PER_CRASH: usize = 2;

/// What happened, as far as the invariants must know.
#[derive(Default)]
pub(super) struct History {
    /// Processes that died or could not write any more.
    pub(super) crashes: usize,
    /// The wall clock jumped: ages of keys and instants of dispatches tell nothing.
    pub(super) clock_jumped: bool,
}

/// Every broken promise, once all runs are over.
pub(super) fn violations(stage: &Stage, history: &History) -> Vec<String> {
    let (rows, accepted) = (ledger(stage), acceptances(stage));
    let mut broken = Vec::new();
    nobody_twice(&accepted, &mut broken);
    dispatched_before(&rows, &accepted, history, &mut broken);
    every_key_once(stage, &rows, &mut broken);
    ledger_as_provider(stage, &rows, &accepted, &mut broken);
    unknown_bounded(stage, &rows, history, &mut broken);
    only_who_should(stage, &accepted, &mut broken);
    broken.extend(leaks(stage).into_iter().map(|leak| format!("10 {leak}")));
    broken
}

/// (1) By delivery, and by the person and occasion that the message itself names.
fn nobody_twice(accepted: &[Acceptance], broken: &mut Vec<String>) {
    let (mut ids, mut keys) = (BTreeSet::new(), BTreeSet::new());
    for message in accepted {
        if !ids.insert(&message.delivery_id) {
            broken.push(format!("1 delivery {} was accepted twice", message.delivery_id));
        } else if !keys.insert((message.key().1, &message.to)) {
            broken.push(format!("1 {:?} was accepted twice under two ids", message.key()));
        }
    }
}

/// (2)
fn dispatched_before(rows: &[LedgerRow], accepted: &[Acceptance], history: &History, broken: &mut Vec<String>) {
    let dispatched: BTreeMap<&str, Option<i64>> =
        rows.iter().map(|row| (row.delivery_id.as_str(), row.dispatched_at)).collect();
    for message in accepted {
        match dispatched.get(message.delivery_id.as_str()) {
            Some(Some(at)) if *at <= message.at || history.clock_jumped => {}
            found => {
                broken.push(format!("2 {} was accepted at {}, dispatched {found:?}", message.delivery_id, message.at));
            }
        }
    }
}

/// (3) Exactly the keys of the truth, each in a state that fits.
fn every_key_once(stage: &Stage, rows: &[LedgerRow], broken: &mut Vec<String>) {
    for group in &stage.truth.groups {
        let states: Vec<_> = rows
            .iter()
            .filter(|row| group.contains(&(row.profile.clone(), row.occasion.clone())))
            .map(|row| row.state.as_str())
            .collect();
        let mailed = states.iter().filter(|state| matches!(**state, "accepted" | "unknown")).count();
        // What was refused takes an address and counts for no cap.
        let refused = states.iter().filter(|state| **state == "rejected").count();
        if mailed > 1 || (mailed == 0 && refused == 0) {
            broken.push(format!("3 {mailed} of {group:?} are mailed: {states:?}"));
        }
    }
    let mut found: BTreeMap<(String, String), &LedgerRow> = BTreeMap::new();
    for row in rows {
        if found.insert((row.profile.clone(), row.occasion.clone()), row).is_some() {
            broken.push(format!("3 {} {} has two rows", row.profile, row.occasion));
        }
    }
    for (key, expected) in &stage.truth.keys {
        let state = found.remove(key).map_or("nothing", |row| row.state.as_str());
        let fits = match expected {
            Expected::Mailed(_) => matches!(state, "accepted" | "rejected" | "unknown"),
            Expected::Stored(name) => state == *name,
            Expected::Refused => matches!(state, "rejected" | "unknown"),
            Expected::Rival(_, loser) => matches!(state, "accepted" | "rejected" | "unknown") || state == *loser,
        };
        if !fits {
            broken.push(format!("3 {key:?} is {state}, expected {expected:?}"));
        }
    }
    broken.extend(found.into_keys().map(|key| format!("3 {key:?} should not be in the ledger")));
}

/// (4) What one of them says, the other says, or the ledger does not know.
fn ledger_as_provider(stage: &Stage, rows: &[LedgerRow], accepted: &[Acceptance], broken: &mut Vec<String>) {
    let ids: BTreeSet<&str> = accepted.iter().map(|message| message.delivery_id.as_str()).collect();
    let struck = struck(stage);
    for row in rows {
        let was_accepted = ids.contains(row.delivery_id.as_str());
        let agrees = match row.state.as_str() {
            "accepted" => was_accepted,
            "unknown" => true,
            _ => !was_accepted,
        };
        if !agrees {
            broken.push(format!("4 {} is {} and accepted is {was_accepted}", row.delivery_id, row.state));
        }
        let met = |faults: &[&str]| {
            struck.get(&row.delivery_id).is_some_and(|met| met.iter().any(|fault| faults.contains(&fault.as_str())))
        };
        let refused = is_refused(stage, row) || met(&["reject_422", "odd_422"]);
        if row.state == "rejected" && !refused {
            broken.push(format!("4 {} is rejected and was never refused: {}", row.delivery_id, row.reason));
        }
    }
}

/// Whether the provider takes no mail to the row's address.
fn is_refused(stage: &Stage, row: &LedgerRow) -> bool {
    stage.truth.addresses.get(&row.profile).is_some_and(|address| address.ends_with(REFUSED))
}

/// (5) What is unknown met a fault that loses answers, or was in one of two waves of a crash.
fn unknown_bounded(stage: &Stage, rows: &[LedgerRow], history: &History, broken: &mut Vec<String>) {
    let struck = struck(stage);
    let unknown: Vec<_> = rows.iter().filter(|row| row.state == "unknown").collect();
    if stage.setting.keys.honoured() && !history.clock_jumped {
        // Half an answer is all that this provider will ever say about a batch.
        let halved = |row: &&&LedgerRow| {
            struck.get(&row.delivery_id).is_some_and(|met| met.iter().any(|fault| fault == "partial_batch"))
        };
        let open = unknown.iter().filter(|row| !halved(row));
        broken.extend(open.map(|row| format!("5 {} is unknown though its key is honoured", row.delivery_id)));
        return;
    }
    // Where answers are hardly waited for, a machine that is busy loses some by itself.
    let hasty = matches!(stage.setting.fault, "accept_then_time_out" | "slow_drip");
    let explained = |row: &LedgerRow| {
        struck.contains_key(&row.delivery_id)
            || is_refused(stage, row)
            || (hasty && row.reason.contains("no answer in time"))
    };
    let unexplained: Vec<_> = unknown.iter().filter(|row| !explained(row)).collect();
    let waves: BTreeSet<_> = unexplained.iter().filter(|row| row.attempt == 1).map(|row| row.dispatched_at).collect();
    let allowed = history.crashes * WAVES_PER_CRASH;
    if waves.len() > allowed || (allowed == 0 && !unexplained.is_empty()) {
        let reasons: BTreeSet<_> = unexplained.iter().map(|row| &row.reason).collect();
        broken.push(format!(
            "5 {} unknown of {} waves after {} crashes: {reasons:?}",
            unexplained.len(),
            waves.len(),
            history.crashes
        ));
    }
}

/// (7) and (8) Nobody else got anything, and each message is its own person's alone.
fn only_who_should(stage: &Stage, accepted: &[Acceptance], broken: &mut Vec<String>) {
    for message in accepted {
        let key = message.key();
        let Some(Expected::Mailed(count) | Expected::Rival(count, _)) = stage.truth.keys.get(&key) else {
            broken.push(format!("7 {key:?} got a message"));
            continue;
        };
        let number = key.0.trim_start_matches("profile_");
        let own = stage.truth.addresses.get(&key.0) == Some(&message.to)
            && message.texts.contains(&format!("Name{number}end: {count} so far"))
            && message.texts.contains(&format!("first_name is Name{number}end"));
        let others = |mark: &str| {
            let digits = |rest: &str| rest.chars().take_while(char::is_ascii_digit).collect::<String>();
            // The name of a column has no number.
            let mut numbers = message.texts.split(mark).skip(1).map(digits).filter(|digits| !digits.is_empty());
            numbers.any(|found| found != number)
        };
        if !own || others("profile_") || others("Name") {
            broken.push(format!("8 the message of {key:?} to {} holds something else: {}", message.to, message.texts));
        }
    }
}

/// (9) One run that ended by itself: its exit code and results say what the ledger and the provider say.
pub(super) fn run_violations(stage: &Stage, history: &History, before: &[LedgerRow], ended: &Ended) -> Vec<String> {
    // (12) At any instant readers see a whole set, or none before the first.
    let mut broken: Vec<String> =
        half_published(stage).into_iter().map(|words| format!("12 exit {:?}: {words}", ended.code)).collect();
    let Some(code) = ended.code else { return broken };
    let has_set = stage.folder.path().join("published").exists();
    let after = ledger(stage);
    let count = |rows: &[LedgerRow], state: &str| rows.iter().filter(|row| row.state == state).count() as u64;
    let mut say = |words: String| broken.push(format!("9 exit {code}: {words}"));
    if matches!(code, 0 | 3 | 4 | 143) && count(&after, "dispatched") > 0 {
        say(format!("{} are still dispatched", count(&after, "dispatched")));
    }
    // What is unknown for longer than a day raises no alarm any more.
    let unsettled = count(&after, "retryable") + if history.clock_jumped { 0 } else { count(&after, "unknown") };
    if (code == 0 && unsettled > 0) || (code == 4 && count(&after, "unknown") == 0) {
        say(format!("{} unknown, {} retryable", count(&after, "unknown"), count(&after, "retryable")));
    }
    let Some(results) = &ended.results else {
        say("no results were written".to_owned());
        return broken;
    };
    if results["exit_code"] != code {
        say(format!("the results say {}", results["exit_code"]));
    }
    let Some(job) = results["results"].as_array().and_then(|jobs| jobs.first()) else { return broken };
    let number = |group: &str, name: &str| job[group][name].as_u64().unwrap_or(0);
    for state in ["accepted", "rejected"] {
        let (said, found) =
            (number("outcomes", state) + number("recovered", state), count(&after, state) - count(before, state));
        if said != found && code != 7 {
            say(format!("results say {said} {state}, the ledger has {found} more"));
        }
    }
    let decided: u64 = job["decisions"].as_object().into_iter().flatten().filter_map(|(_, count)| count.as_u64()).sum();
    if decided != 0 && decided != stage.truth.candidates {
        say(format!("{decided} candidates, expected {}", stage.truth.candidates));
    }
    if matches!(code, 0 | 4) && !has_set {
        say("nothing is published".to_owned());
    }
    let made = job["requests"].as_u64().unwrap_or(0);
    let never_arrived = matches!(stage.setting.fault, "refused" | "tls_failure");
    if code != 7 && made != ended.requests && !(never_arrived && made > ended.requests) {
        say(format!("results say {made} requests, the provider saw {}", ended.requests));
    }
    broken
}
