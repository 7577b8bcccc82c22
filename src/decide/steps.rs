//! The way to a decision in words: what was asked, in order, and what was found. Decides nothing by itself.

use jiff::{SignedDuration, Timestamp};

use super::case::Case;
use super::shares;
use crate::model::{Decision, DeliveryState};
use crate::project::Start;

/// One reason on the way to a decision.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Step {
    /// The decision it would be.
    pub decision: Decision,
    /// What was asked.
    pub asked: &'static str,
    /// What was found.
    pub found: String,
    /// True for the last one: the decision.
    pub applies: bool,
}

fn asked(decision: Decision) -> &'static str {
    match decision {
        Decision::Known => "is it dispatched, answered or closed already?",
        Decision::Baselined => "was it reached before it began to count?",
        Decision::Skipped => "is `only_if` false?",
        Decision::Superseded => "does a higher level of the ladder take its place?",
        Decision::Expired => "is it too late?",
        Decision::InvalidAddress => "is the address invalid?",
        Decision::Suppressed => "must the profile or address not be mailed?",
        Decision::SameAddress => "does another profile with this address have it?",
        Decision::HeldOut => "is the profile in the holdout?",
        Decision::Capped => "had the profile as many marketing mails as the caps allow?",
        Decision::OutsideWindow => "is the window closed?",
        Decision::MissedWindow => "did the window pass without a run?",
        Decision::Mail => "it is mailed",
    }
}

impl Case<'_> {
    /// The steps up to the one that applies.
    pub(super) fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for decision in Decision::ALL {
            let applies = self.check(decision).is_some();
            // One window, one line: closed, missed, or neither.
            let told_by_the_other = match decision {
                Decision::OutsideWindow => self.check(Decision::MissedWindow).is_some(),
                Decision::MissedWindow => !applies,
                _ => false,
            };
            if told_by_the_other {
                continue;
            }
            steps.push(Step { decision, asked: asked(decision), found: self.found(decision), applies });
            if applies {
                break;
            }
        }
        steps
    }

    /// What is found when a reason is looked at.
    fn found(&self, decision: Decision) -> String {
        match decision {
            Decision::Known => self.found_record(),
            Decision::Baselined => self.found_start(),
            Decision::Skipped => (if self.candidate.wanted { "it is true, or not given" } else { "it is" }).to_owned(),
            Decision::Superseded => {
                self.higher.map_or("none is reached".to_owned(), |higher| format!("level {higher}"))
            }
            Decision::Expired => self.found_expiry(),
            Decision::InvalidAddress => {
                let found = self.check(decision).and_then(|decided| decided.reason);
                found.unwrap_or_else(|| "it can be mailed".to_owned())
            }
            Decision::Suppressed => self.found_suppressions(),
            Decision::SameAddress => (if self.has_twin() { "it was first" } else { "nobody else" }).to_owned(),
            Decision::HeldOut => self.found_share(),
            Decision::Capped => self.found_caps(),
            Decision::OutsideWindow => self.found_window(),
            Decision::MissedWindow => {
                let waited = self.facts.recorded.as_ref().and_then(|recorded| recorded.not_before);
                let waited = waited.map(|opening| format!("it waited for {opening}; ")).unwrap_or_default();
                format!("{waited}{}", self.found_window())
            }
            Decision::Mail => match self.variant() {
                Some(variant) => format!("variant {variant}"),
                None => String::new(),
            },
        }
    }

    fn found_record(&self) -> String {
        let Some(recorded) = &self.facts.recorded else {
            return (if self.repeated { "the same occasion stands before it" } else { "nothing is recorded" })
                .to_owned();
        };
        let reason = recorded.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        let waits = recorded.not_before.filter(|_| recorded.state == DeliveryState::Deferred);
        let waits = waits.map(|instant| format!(", not before {instant}")).unwrap_or_default();
        format!("recorded as {}{reason}{waits}", recorded.state)
    }

    fn found_start(&self) -> String {
        let reached = self.candidate.reached_at;
        match (self.rules.start, self.rules.start_of(self.candidate)) {
            (Start::All, _) => "everything counts (`start: all`)".to_owned(),
            (_, _) if !self.candidate.dated => "an own view without `reached_at`: the first run baselines".to_owned(),
            (_, Some(start)) => format!("reached {reached}, counts from {start}"),
            (_, None) => format!("reached {reached}; it begins to count with the first complete run"),
        }
    }

    fn found_expiry(&self) -> String {
        let within = self.rules.mail_within.and_then(|within| self.candidate.reached_at.checked_add(within).ok());
        match within.into_iter().chain(self.candidate.expires_at).min() {
            Some(end) => format!("may be mailed until {end}; it is {}", self.rules.wall),
            None => "it never is".to_owned(),
        }
    }

    fn found_suppressions(&self) -> String {
        let by_ledger = self.facts.recipient.suppressions.iter().map(|found| match &found.job {
            Some(job) => format!("{} (job `{job}`) in the ledger", found.reason.name()),
            None => format!("{} in the ledger", found.reason.name()),
        });
        let by_project = self.candidate.suppressed.as_ref().map(|_| "listed in the project's table".to_owned());
        let found: Vec<String> = by_ledger.chain(by_project).collect();
        if found.is_empty() {
            return "nothing stands against it".to_owned();
        }
        let listed = found.join(", ");
        let passes = self.check(Decision::Suppressed).is_none();
        if passes { format!("{listed}: about other mail than this") } else { listed }
    }

    fn found_share(&self) -> String {
        let rules = self.rules;
        match rules.holdout {
            None => "there is none".to_owned(),
            Some(holdout) => {
                let share = shares::holdout_share(&rules.project, &rules.job, &self.candidate.key.profile_id);
                format!("its hash is {share:.4}, the holdout is below {}", holdout.get())
            }
        }
    }

    fn found_caps(&self) -> String {
        if !self.rules.marketing {
            return "transactional mail has no cap".to_owned();
        }
        if self.rules.caps.is_empty() {
            return "there are none".to_owned();
        }
        let each = self.rules.caps.iter().map(|cap| {
            let count = self.dispatches_within(*cap).len();
            format!("{count} of {} within {}", cap.max, in_hours(cap.per))
        });
        let listed = each.collect::<Vec<_>>().join(", ");
        match self.check(Decision::Capped).and_then(|decided| decided.not_before) {
            Some(until) => format!("{listed}: not before {until}"),
            None => listed,
        }
    }

    fn found_window(&self) -> String {
        let Some(window) = self.rules.window else { return "there is none".to_owned() };
        let zone = self.zone();
        let zone = zone.iana_name().unwrap_or("UTC");
        let (words, wall): (String, Timestamp) = (window.window.in_words(), self.rules.wall);
        match self.closed_until() {
            None => format!("{words} in {zone} is open at {wall}"),
            Some(opens) => format!("{words} in {zone} is closed at {wall} and opens at {opens}"),
        }
    }
}

fn in_hours(duration: SignedDuration) -> String {
    let hours = duration.as_hours();
    if hours % 24 == 0 { format!("{} x 24 h", hours / 24) } else { format!("{hours} h") }
}
