//! One candidate against one rule at a time, in the order in which reasons apply.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::shares::{self, Choice};
use super::{Ahead, Decided, Facts, Rules};
use crate::model::{Candidate, Decision, DeliveryState, EmailAddress, Level, Opening, SuppressionReason};
use crate::project::{Cap, WindowZone};

/// Why a deferred delivery waits.
pub(super) const CAPPED: &str = "capped";
pub(super) const OUTSIDE_WINDOW: &str = "outside_window";
pub(super) const MISSED_WINDOW: &str = "missed_window";

/// A candidate with everything its decision depends on.
#[derive(Clone, Copy)]
pub(super) struct Case<'a> {
    pub(super) rules: &'a Rules,
    pub(super) candidate: &'a Candidate,
    pub(super) facts: &'a Facts,
    pub(super) ahead: &'a Ahead,
    /// The higher level that takes its place.
    pub(super) higher: Option<Level>,
    /// The same key stood before it in this run.
    pub(super) repeated: bool,
}

impl Case<'_> {
    /// The first three reasons, which depend on the candidate alone.
    pub(super) fn settle(&self) -> Option<Decided> {
        [Decision::Known, Decision::Baselined, Decision::Skipped].into_iter().find_map(|decision| self.check(decision))
    }

    /// The first of the other reasons that applies.
    pub(super) fn decide_open(&self) -> Decided {
        let open = Decision::ALL.into_iter().filter(|decision| *decision > Decision::Skipped);
        open.into_iter().find_map(|decision| self.check(decision)).unwrap_or_else(|| self.mail())
    }

    /// The decision, if its reason applies; the reasons before it are not looked at.
    pub(super) fn check(&self, decision: Decision) -> Option<Decided> {
        match decision {
            Decision::Known => self.known(),
            Decision::Baselined => self.baselined(),
            Decision::Skipped => self.skipped(),
            Decision::Superseded => self
                .higher
                .map(|higher| Decided::stored(decision, DeliveryState::Superseded, Some(format!("level {higher}")))),
            Decision::Expired => {
                self.rules.is_expired(self.candidate).then(|| Decided::stored(decision, DeliveryState::Expired, None))
            }
            Decision::InvalidAddress => self.invalid_address(),
            Decision::Suppressed => self.suppressed(),
            // Kept without the hash: however many share an address, one row of an occasion is found by it.
            Decision::SameAddress => {
                self.has_twin().then(|| Decided::stored(decision, DeliveryState::SameAddress, None))
            }
            Decision::HeldOut => self.is_held_out().then(|| Decided {
                address_hash: self.facts.address_hash.clone(),
                ..Decided::stored(decision, DeliveryState::HeldOut, None)
            }),
            Decision::Capped => self.capped_until().map(|until| self.deferred(decision, CAPPED, until)),
            Decision::OutsideWindow => {
                let until = self.closed_until().filter(|_| !self.missed())?;
                Some(self.deferred(decision, OUTSIDE_WINDOW, until))
            }
            Decision::MissedWindow => {
                let until = self.closed_until().filter(|_| self.missed())?;
                Some(self.deferred(decision, MISSED_WINDOW, until))
            }
            Decision::Mail => Some(self.mail()),
        }
    }

    fn known(&self) -> Option<Decided> {
        let known = self.facts.recorded.as_ref().filter(|recorded| recorded.state.is_known());
        if let Some(recorded) = known {
            return Some(Decided::counted(Decision::Known, Some(recorded.state.name())));
        }
        self.repeated.then(|| Decided::counted(Decision::Known, Some("repeated_in_run")))
    }

    fn baselined(&self) -> Option<Decided> {
        let candidate = self.candidate;
        // What the ledger has without an instant of its own was seen after the start: it must not fall back behind it.
        let applies = self.rules.is_baselined(candidate) && (candidate.dated || self.facts.recorded.is_none());
        let stored = (!candidate.dated).then_some(DeliveryState::Baselined);
        applies.then(|| Decided { stored, ..Decided::counted(Decision::Baselined, None) })
    }

    fn skipped(&self) -> Option<Decided> {
        if self.candidate.wanted {
            return None;
        }
        let skipped = Decided::counted(Decision::Skipped, None);
        // What waits is still seen: the ledger keeps it, since it may be wanted again.
        let waiting = self.facts.recorded.as_ref().filter(|recorded| recorded.state == DeliveryState::Deferred);
        Some(match waiting {
            Some(recorded) => Decided {
                stored: Some(DeliveryState::Deferred),
                reason: recorded.reason.clone(),
                not_before: recorded.not_before,
                variant: recorded.variant.clone(),
                ..skipped
            },
            None => skipped,
        })
    }

    fn invalid_address(&self) -> Option<Decided> {
        let address = self.candidate.address.as_deref().unwrap_or_default();
        if EmailAddress::parse(address).is_some() {
            return None;
        }
        let reason = if address.trim().is_empty() { "no_address" } else { "not_an_address" };
        Some(Decided::stored(Decision::InvalidAddress, DeliveryState::InvalidAddress, Some(reason.to_owned())))
    }

    fn suppressed(&self) -> Option<Decided> {
        let rules = self.rules;
        let by_ledger = self.facts.recipient.suppressions.iter().find(|found| {
            let about_this_job = found.job.as_ref().is_none_or(|job| *job == rules.job || rules.aliases.contains(job));
            about_this_job && (rules.marketing || !SuppressionReason::is_about_marketing(found.reason.name()))
        });
        if let Some(found) = by_ledger {
            let reason = Some(found.reason.name().to_owned());
            // Somebody who asked to be forgotten is not written down again.
            return Some(match found.reason {
                SuppressionReason::Erase => Decided { reason, ..Decided::counted(Decision::Suppressed, None) },
                _ => Decided::stored(Decision::Suppressed, DeliveryState::Suppressed, reason),
            });
        }
        let by_project = self.candidate.suppressed.as_ref()?;
        let stands = rules.marketing || !SuppressionReason::is_about_marketing(&by_project.reason);
        let reason = Some(presentable(&by_project.reason));
        stands.then(|| Decided::stored(Decision::Suppressed, DeliveryState::Suppressed, reason))
    }

    /// Another profile with this address has the occasion in the ledger or earlier in this run.
    pub(super) fn has_twin(&self) -> bool {
        self.facts.recipient.address_taken || self.ahead.has_address(self.candidate, self.facts)
    }

    fn is_held_out(&self) -> bool {
        // Who qualified once stays qualified, whatever becomes of the share.
        let qualified = self.facts.recorded.as_ref().is_some_and(|recorded| {
            matches!(recorded.state, DeliveryState::Deferred | DeliveryState::Retryable | DeliveryState::RenderFailed)
        });
        let rules = self.rules;
        !qualified
            && rules.holdout.is_some_and(|share| {
                shares::is_held_out(&rules.project, &rules.job, &self.candidate.key.profile_id, share.get())
            })
    }

    /// When the last of the caps that are reached lets another mail pass.
    fn capped_until(&self) -> Option<Timestamp> {
        if !self.rules.marketing {
            return None;
        }
        self.rules.caps.iter().filter_map(|cap| self.free_again(*cap)).max()
    }

    /// The instants that count for a cap, ascending.
    pub(super) fn dispatches_within(&self, cap: Cap) -> Vec<Timestamp> {
        let since = self.rules.wall.checked_sub(cap.per).unwrap_or(Timestamp::MIN);
        let recorded = self.facts.recipient.dispatched.iter().copied().filter(|instant| *instant > since);
        let in_this_run = self.ahead.mails_to(&self.candidate.key.profile_id);
        recorded.chain((0..in_this_run).map(|_| self.rules.wall)).collect()
    }

    fn free_again(&self, cap: Cap) -> Option<Timestamp> {
        let instants = self.dispatches_within(cap);
        let reached = instants.len().checked_sub(usize::try_from(cap.max).ok()?)?;
        Some(instants[reached].checked_add(cap.per).unwrap_or(Timestamp::MAX))
    }

    /// Whose clock the window goes by.
    pub(super) fn zone(&self) -> TimeZone {
        let rules = self.rules;
        let by_profile = rules.window.is_some_and(|window| window.zone == WindowZone::Profile);
        let named = self.candidate.timezone.as_deref().filter(|_| by_profile);
        let zone = named.and_then(|name| TimeZone::get(name.trim()).ok()).filter(|zone| zone.iana_name().is_some());
        zone.unwrap_or_else(|| rules.zone.clone())
    }

    /// When the window opens next; `None` while it is open or there is none.
    pub(super) fn closed_until(&self) -> Option<Timestamp> {
        match self.rules.window?.window.at(self.rules.wall, &self.zone()) {
            Opening::Open => None,
            Opening::OpensAt(instant) => Some(instant),
        }
    }

    /// Whether it waited for an opening that has passed.
    fn missed(&self) -> bool {
        self.facts.recorded.as_ref().is_some_and(|recorded| {
            let waited = matches!(recorded.reason.as_deref(), Some(OUTSIDE_WINDOW | MISSED_WINDOW));
            let passed = recorded.not_before.is_some_and(|opening| opening <= self.rules.wall);
            recorded.state == DeliveryState::Deferred && waited && passed
        })
    }

    /// The variant it qualified for, else the one its hash says.
    pub(super) fn variant(&self) -> Option<String> {
        let rules = self.rules;
        let part = rules.parts.get(self.candidate.part)?;
        let declared = |name: &String| part.variants.iter().any(|(declared, _)| declared == name);
        let recorded = self.facts.recorded.as_ref().and_then(|recorded| recorded.variant.clone());
        recorded.filter(declared).or_else(|| {
            let profile_id = &self.candidate.key.profile_id;
            let choice = Choice { project: &rules.project, job: &rules.job, salt: &part.salt, profile_id };
            shares::variant_of(&choice, &part.variants).map(str::to_owned)
        })
    }

    fn deferred(&self, decision: Decision, reason: &str, until: Timestamp) -> Decided {
        Decided {
            not_before: Some(until),
            variant: self.variant(),
            address_hash: self.facts.address_hash.clone(),
            ..Decided::stored(decision, DeliveryState::Deferred, Some(reason.to_owned()))
        }
    }

    fn mail(&self) -> Decided {
        Decided { variant: self.variant(), ..Decided::counted(Decision::Mail, None) }
    }
}

/// A suppression's reason comes from the project's data and is kept only when it cannot be personal.
fn presentable(reason: &str) -> String {
    let plain = |character: char| character.is_ascii_alphabetic() || matches!(character, '_' | '-' | ' ');
    let fits = !reason.is_empty() && reason.len() <= 40 && reason.chars().all(plain);
    if fits { reason.to_owned() } else { "suppressed".to_owned() }
}
