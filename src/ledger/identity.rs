//! The ledger's secret: delivery ids, batch ids and address hashes are HMACs with it, so none can be guessed or linked.

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::Sha256;

use crate::model::redaction::holds_address;
use crate::model::{DeliveryKey, EmailAddress};

/// Longer ids are stored as their hash.
const PLAIN_BYTES_MAX: usize = 1_000;

/// 48 bits: enough until the year 10889.
const TIMED_MILLISECONDS_MAX: i64 = (1 << 48) - 1;

/// The secret made by `ledger create`; copying a ledger carries it.
#[derive(Clone)]
pub struct Identity {
    /// Keyed once: every hash begins with a copy.
    mac: Hmac<Sha256>,
    project: String,
}

impl Identity {
    /// The identity of a project's ledger.
    #[must_use]
    pub fn new(key: [u8; 32], project: impl Into<String>) -> Self {
        let mac = Hmac::new_from_slice(&key).expect("HMAC takes keys of any length");
        Self { mac, project: project.into() }
    }

    /// The only id of a delivery that leaves for a provider: `[0-9a-f]{32}`.
    #[must_use]
    pub fn delivery_id(&self, job: &str, key: &DeliveryKey) -> String {
        self.hash("delivery", &[&self.project, job, &key.profile_id, &key.occasion])
    }

    /// An id of the given parts: the same parts in the same order have the same.
    #[must_use]
    pub fn request_id(&self, parts: &[&str]) -> String {
        self.hash("batch", parts)
    }

    /// An id of the given parts that sorts by time: rows written together lie together, in the table and in its index.
    #[must_use]
    pub fn timed_id(&self, at: Timestamp, parts: &[&str]) -> String {
        let milliseconds = at.as_millisecond().clamp(0, TIMED_MILLISECONDS_MAX);
        format!("{milliseconds:012x}{}", &self.request_id(parts)[..20])
    }

    /// A hash that tells equal addresses without showing them.
    #[must_use]
    pub fn address_hash(&self, address: &EmailAddress) -> String {
        self.hash("address", &[&address.normalised()])
    }

    /// The profile id as it is stored: an id that is an address or holds one is kept as its hash, and so is one that not
    /// every database can index as text.
    #[must_use]
    pub fn stored_profile_id(&self, profile_id: &str) -> String {
        if let Some(address) = profile_id.contains('@').then(|| EmailAddress::parse(profile_id)).flatten() {
            return format!("hmac:{}", self.address_hash(&address));
        }
        if is_plain(profile_id) && !holds_address(profile_id) {
            profile_id.to_owned()
        } else {
            format!("hmac:{}", self.hash("id", &[profile_id]))
        }
    }

    /// The profile id of a tombstone: nothing of the id is left but its hash.
    #[must_use]
    pub fn erased_profile_id(&self, profile_id: &str) -> String {
        let stored = self.stored_profile_id(profile_id);
        if stored.starts_with("hmac:") { stored } else { format!("hmac:{}", self.hash("profile", &[&stored])) }
    }

    /// The key as it is stored, without addresses; a key that is stored already stays as it is.
    #[must_use]
    pub fn stored_key(&self, key: &DeliveryKey) -> DeliveryKey {
        DeliveryKey {
            profile_id: self.stored_profile_id(&key.profile_id),
            occasion: self.stored_occasion(&key.occasion),
        }
    }

    /// Entity ids stand between slashes and may be addresses; `gone_quiet@2026-10-20` has no domain with a dot and is none.
    pub(super) fn stored_occasion(&self, occasion: &str) -> String {
        if is_plain(occasion) && !holds_address(occasion) {
            return occasion.to_owned();
        }
        let anchored = |piece: &str| piece.rsplit_once('@').is_some_and(|(_, day)| !day.contains('.'));
        let pieces = occasion.split('/').map(|piece| match piece {
            _ if is_plain(piece) && (anchored(piece) || !holds_address(piece)) => piece.to_owned(),
            _ => self.stored_profile_id(piece),
        });
        let stored = pieces.collect::<Vec<_>>().join("/");
        if is_plain(&stored) { stored } else { format!("hmac:{}", self.hash("id", &[&stored])) }
    }

    fn hash(&self, purpose: &str, parts: &[&str]) -> String {
        let mut mac = self.mac.clone();
        for part in std::iter::once(&purpose).chain(parts) {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        let digest = mac.finalize().into_bytes();
        hexadecimal(&digest[..16])
    }
}

/// Whether a database can index a text as it is: PostgreSQL has no NUL and indexes no more than 2,700 bytes of a key.
fn is_plain(text: &str) -> bool {
    text.len() <= PLAIN_BYTES_MAX && !text.contains('\0')
}

/// 32 bytes from two digits each.
pub(super) fn key_from_hexadecimal(text: &str) -> Option<[u8; 32]> {
    let bytes = text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    bytes.collect::<Option<Vec<u8>>>()?.try_into().ok()
}

/// Two digits per byte, in lower case.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for digit in bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]) {
        text.push(char::from(DIGITS[usize::from(digit)]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_depend_on_every_part_and_on_the_key() {
        let identity = Identity::new([7; 32], "acme");
        let key = |profile: &str, occasion: &str| DeliveryKey { profile_id: profile.into(), occasion: occasion.into() };
        let id = identity.delivery_id("job", &key("ab", "c"));
        assert_eq!(id.len(), 32);
        assert_eq!(id, identity.delivery_id("job", &key("ab", "c")));
        assert_ne!(id, identity.delivery_id("job", &key("a", "bc")));
        assert_ne!(id, Identity::new([8; 32], "acme").delivery_id("job", &key("ab", "c")));
        assert_ne!(id, Identity::new([7; 32], "other").delivery_id("job", &key("ab", "c")));
    }

    #[test]
    fn timed_ids_sort_by_time_and_differ_by_their_parts() {
        let identity = Identity::new([7; 32], "acme");
        let at = |text: &str| text.parse::<Timestamp>().expect("an instant");
        let early = identity.timed_id(at("2026-11-01T06:00:00Z"), &["b"]);
        let late = identity.timed_id(at("2026-11-01T06:00:00.001Z"), &["a"]);
        assert_eq!((early.len(), late.len()), (32, 32));
        assert!(early < late, "{early} {late}");
        assert_ne!(early, identity.timed_id(at("2026-11-01T06:00:00Z"), &["c"]));
        assert_eq!(identity.timed_id(Timestamp::MIN, &["b"]).len(), 32);
        assert_eq!(identity.timed_id(Timestamp::MAX, &["b"]).len(), 32);
    }

    #[test]
    fn addresses_are_never_stored_as_profile_ids() {
        let identity = Identity::new([7; 32], "acme");
        assert_eq!(identity.stored_profile_id("u1"), "u1");
        let stored = identity.stored_profile_id("Ann@example.test");
        assert!(!stored.contains('@'));
        assert_eq!(stored, identity.stored_profile_id("ann@example.test"));
        for id in ["mailto:ann@example.test", "Ann Lee <ann@example.test>", "crm:ann%40example.test", "\u{e4}nn@b.test"]
        {
            let stored = identity.stored_profile_id(id);
            assert!(stored.starts_with("hmac:") && stored.len() == 37, "{id}");
            assert_eq!(stored, identity.stored_profile_id(&stored), "storing twice changes nothing");
        }
    }

    #[test]
    fn what_no_index_can_hold_is_stored_as_its_hash() {
        let identity = Identity::new([7; 32], "acme");
        let (long, longer) = ("x".repeat(1_001), "x".repeat(10_000));
        let stored = |profile_id: &str, occasion: &str| {
            let key = DeliveryKey { profile_id: profile_id.into(), occasion: occasion.into() };
            let stored = identity.stored_key(&key);
            assert_eq!(stored, identity.stored_key(&stored), "storing twice changes nothing");
            stored
        };
        let keys = [stored("a\0b", "o"), stored("a\0c", "o"), stored(&long, "o"), stored(&longer, "o")];
        for (place, key) in keys.iter().enumerate() {
            assert_eq!(key.profile_id.len(), 37, "{key:?}");
            assert!(!keys[..place].contains(key));
        }
        let parts = stored("u1", &format!("2026-W46/{long}/acct_7")).occasion;
        assert!(parts.starts_with("2026-W46/hmac:") && parts.ends_with("/acct_7"), "{parts}");
        assert_eq!(stored("u1", &"x/".repeat(1_000)).occasion.len(), 37);
    }

    #[test]
    fn addresses_are_never_stored_as_entities_and_anchors_stay() {
        let identity = Identity::new([7; 32], "acme");
        let stored = |occasion: &str| {
            let key = DeliveryKey { profile_id: "u1".into(), occasion: occasion.into() };
            let stored = identity.stored_key(&key);
            assert_eq!(stored, identity.stored_key(&stored), "storing twice changes nothing");
            stored.occasion
        };
        for plain in ["campaigns:50", "gone_quiet@2026-10-20", "daily_writer:30@2026-10-02/acct_7"] {
            assert_eq!(stored(plain), plain);
        }
        for address in [
            "2026-W46/ann@example.test",
            "ann@example.test",
            "a:1@2026-10-02/b/ann@example.test",
            "a:1@2026-10-02/mailto:ann@example.test",
            "2026-W46/crm:ann%40example.test",
            "2026-W46/Ann <ann@example.test>",
        ] {
            assert!(!stored(address).contains("example.test"), "{address}");
        }
    }
}
