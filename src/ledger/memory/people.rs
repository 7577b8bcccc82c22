//! What stands against mailing somebody, in memory: suppressions, shared addresses, recent dispatches, tombstones.

use jiff::Timestamp;

use super::{MemoryLedger, Store};
use crate::ledger::{Erased, InForce, Inquiry, Lease, Recipient, RecipientFacts, SuppressionRow, SuppressionSubject};
use crate::model::{DeliveryKey, DeliveryState, SuppressionReason};

const PROFILE: &str = "profile";
const ADDRESS: &str = "address";

/// Kind, subject, reason and job: what makes a suppression one.
pub(super) type SuppressionKey = (&'static str, String, SuppressionReason, Option<String>);

impl MemoryLedger {
    pub(super) fn suppression_key(&self, subject: &SuppressionSubject) -> (&'static str, String) {
        match subject {
            SuppressionSubject::Profile(id) => (PROFILE, self.identity.stored_profile_id(id)),
            SuppressionSubject::Address(hash) => (ADDRESS, hash.clone()),
        }
    }

    pub(super) fn facts(&self, store: &Store, lease: &Lease, inquiry: &Inquiry) -> Vec<RecipientFacts> {
        let facts = |recipient: &Recipient| RecipientFacts {
            suppressions: self.in_force(store, recipient),
            address_taken: self.address_taken(store, lease, recipient),
            dispatched: inquiry
                .dispatched_since
                .map(|since| self.dispatched(store, recipient, since))
                .unwrap_or_default(),
        };
        inquiry.recipients.iter().map(facts).collect()
    }

    fn in_force(&self, store: &Store, recipient: &Recipient) -> Vec<InForce> {
        let id = &recipient.key.profile_id;
        let profiles = [self.identity.stored_profile_id(id), self.identity.erased_profile_id(id)];
        let about = |kind: &str, subject: &String| match kind {
            PROFILE => profiles.contains(subject),
            _ => recipient.address_hash.as_ref() == Some(subject),
        };
        let standing = store.suppressions.iter().filter(|(_, row)| row.lifted_at.is_none());
        let mut found: Vec<InForce> = standing
            .filter(|((kind, subject, ..), _)| about(kind, subject))
            .map(|((_, _, reason, job), _)| InForce { reason: *reason, job: job.clone() })
            .collect();
        found.sort_by(|left, right| (left.reason.name(), &left.job).cmp(&(right.reason.name(), &right.job)));
        found
    }

    fn address_taken(&self, store: &Store, lease: &Lease, recipient: &Recipient) -> bool {
        let Some(address_hash) = &recipient.address_hash else { return false };
        let own = self.identity.stored_key(&recipient.key);
        store.deliveries.iter().any(|((job, key), entry)| {
            (*job == lease.job || lease.aliases.contains(job))
                && key.occasion == own.occasion
                && key.profile_id != own.profile_id
                && entry.row.state.takes_address()
                && entry.row.address_hash.as_ref() == Some(address_hash)
        })
    }

    fn dispatched(&self, store: &Store, recipient: &Recipient, since: Timestamp) -> Vec<Timestamp> {
        let id = self.identity.stored_profile_id(&recipient.key.profile_id);
        let is_marketing = |job: &String| store.jobs.get(job).is_some_and(|job| job.marketing);
        let rows = store.deliveries.iter().filter(|((job, key), entry)| {
            is_marketing(job) && key.profile_id == id && entry.row.state.counts_for_caps()
        });
        let mut instants: Vec<Timestamp> =
            rows.filter_map(|(_, entry)| entry.row.dispatched_at).filter(|instant| *instant > since).collect();
        instants.sort_unstable();
        instants
    }
}

impl Store {
    pub(super) fn suppress(&mut self, key: SuppressionKey, origin: &str, at: Timestamp) {
        let (kind, subject, reason, job) = key.clone();
        let stands = self.suppressions.get(&key).filter(|row| row.lifted_at.is_none());
        let created_at = stands.map_or(at, |row| row.created_at);
        let row = SuppressionRow {
            kind: kind.to_owned(),
            subject,
            reason,
            job,
            origin: origin.to_owned(),
            created_at,
            lifted_at: None,
        };
        self.suppressions.insert(key, row);
    }

    pub(super) fn forget(&mut self, (stored_id, erased_id): &(String, String), at: Timestamp) -> Erased {
        let keys: Vec<(String, DeliveryKey)> =
            self.deliveries.keys().filter(|(_, key)| key.profile_id == *stored_id).cloned().collect();
        let mut addresses = std::collections::BTreeSet::new();
        for place in &keys {
            let mut entry = self.deliveries.remove(place).expect("the key was just seen");
            let (job, key) = place;
            let buried = (job.clone(), DeliveryKey { profile_id: erased_id.clone(), occasion: key.occasion.clone() });
            addresses.extend(entry.row.address_hash.take());
            let row = &mut entry.row;
            row.profile_id.clone_from(erased_id);
            row.reason = Some("erased".to_owned());
            (row.level, row.provider_message_id, row.body_hash, row.variant) = (None, None, None, None);
            row.updated_at = at;
            self.by_delivery_id.insert(row.delivery_id.clone(), buried.clone());
            self.deliveries.insert(buried, entry);
        }
        for hash in &addresses {
            self.suppress((ADDRESS, hash.clone(), SuppressionReason::Erase, None), "erase", at);
        }
        self.suppressions.retain(|(kind, subject, reason, _), _| {
            *kind != PROFILE || subject != stored_id || *reason == SuppressionReason::Erase
        });
        self.suppress((PROFILE, erased_id.clone(), SuppressionReason::Erase, None), "erase", at);
        Erased { deliveries: keys.len() as u64, addresses: addresses.len() as u64 }
    }

    /// Closes deferred rows that the run did not decide again.
    pub(super) fn withdraw(&mut self, lease: &Lease, seen: Timestamp, now: Timestamp) -> u64 {
        let mut withdrawn = 0;
        for ((job, _), entry) in &mut self.deliveries {
            let ours = *job == lease.job || lease.aliases.contains(job);
            let decided_now = *job == lease.job && entry.epoch == lease.epoch;
            let waits = entry.row.state == DeliveryState::Deferred && entry.row.reached_at <= seen;
            if ours && waits && !decided_now {
                entry.row.state = DeliveryState::Withdrawn;
                (entry.row.reason, entry.row.not_before) = (None, None);
                entry.row.updated_at = now;
                withdrawn += 1;
            }
        }
        withdrawn
    }
}
