//! What delivering came to, in counts only.

use std::collections::BTreeMap;

use crate::ledger::Settlement;
use crate::model::DeliveryState;

use super::brake::Stopped;

/// Counts of one session: messages by the state they ended in, and requests made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliverySummary {
    /// Claimed durably by this run, again or for the first time.
    pub dispatched: u64,
    /// The provider took responsibility.
    pub accepted: u64,
    /// Refused for good.
    pub rejected: u64,
    /// Not accepted, and left to the next run.
    pub retryable: u64,
    /// No proof either way, including what earlier runs left in doubt and this one could not clear.
    pub unknown: u64,
    /// The template failed for this profile's data: held.
    pub render_failed: u64,
    /// Why they failed, without personal data, and how often; the first few that differ.
    pub render_failures: BTreeMap<String, u64>,
    /// Requests made.
    pub requests: u64,
    /// Settlements by their reason, such as the provider's codes; `accepted` has none.
    pub reasons: BTreeMap<String, u64>,
    /// What the provider said to those it refused for good, and to how many.
    pub rejections: BTreeMap<String, u64>,
    /// Why no further request started, where something stopped it.
    pub stopped: Option<Stopped>,
}

impl DeliverySummary {
    /// Adds a written settlement.
    pub(super) fn add(&mut self, settlement: &Settlement) {
        match settlement.state {
            DeliveryState::Accepted => self.accepted += 1,
            DeliveryState::Rejected => self.rejected += 1,
            DeliveryState::Retryable => self.retryable += 1,
            DeliveryState::Unknown => self.unknown += 1,
            _ => {}
        }
        if let Some(reason) = &settlement.reason {
            count(&mut self.reasons, reason, 1);
            if settlement.state == DeliveryState::Rejected {
                count(&mut self.rejections, reason, 1);
            }
        }
    }

    /// Counts a mail that could not be made, and keeps the first few reasons.
    pub(super) fn render_failure(&mut self, reason: &str) {
        const KEPT: usize = 5;
        self.render_failed += 1;
        if self.render_failures.len() < KEPT || self.render_failures.contains_key(reason) {
            *self.render_failures.entry(reason.to_owned()).or_default() += 1;
        }
    }

    /// Counts a reason.
    pub(super) fn reason(&mut self, reason: &str, times: u64) {
        count(&mut self.reasons, reason, times);
    }
}

/// Adds to a count; the map stays small.
fn count(counts: &mut BTreeMap<String, u64>, reason: &str, times: u64) {
    const REASONS_MAX: usize = 100;
    let known = counts.contains_key(reason) || counts.len() < REASONS_MAX;
    let key = if known { reason } else { "other" };
    *counts.entry(key.to_owned()).or_default() += times;
}
