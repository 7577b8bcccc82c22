//! A set of (group, bytes): one table for all groups, one look-up per row, short values inside it.

use std::mem;

use datafusion::common::{Result, exec_datafusion_err};
use datafusion::logical_expr::EmitTo;
use hashbrown::HashTable;

/// Values of at most this many bytes need no room beside the table.
const SHORT: usize = 12;

/// A group with one of its values.
#[derive(Clone, Copy)]
pub(super) struct Pair {
    /// Of both; kept, so that growing reads nothing else.
    hash: u32,
    pub(super) group: u32,
    length: u32,
    /// A short value, or in the first eight bytes where a long one begins.
    value: [u8; SHORT],
}

impl Pair {
    /// Whether all fields are equal, compared as numbers: comparing the bytes would be a call for each row.
    fn is(&self, other: &Self) -> bool {
        (self.hash, self.group, self.length) == (other.hash, other.group, other.length) && self.words() == other.words()
    }

    fn words(&self) -> (u64, u32) {
        let (first, rest) = self.value.split_at(8);
        let first = first.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        (first, rest.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes)))
    }

    fn is_short(&self) -> bool {
        self.length as usize <= SHORT
    }

    /// The value; `bytes` holds the long ones.
    pub(super) fn bytes<'a>(&'a self, bytes: &'a [u8]) -> &'a [u8] {
        let length = self.length as usize;
        if self.is_short() {
            return &self.value[..length];
        }
        let begin = self.begin();
        &bytes[begin..begin + length]
    }

    fn begin(&self) -> usize {
        let begin = self.value.first_chunk().copied().unwrap_or_default();
        usize::try_from(u64::from_le_bytes(begin)).unwrap_or(usize::MAX)
    }

    fn starting(mut self, begin: usize) -> Self {
        self.value = [0; SHORT];
        self.value[..8].copy_from_slice(&(begin as u64).to_le_bytes());
        self
    }
}

/// Spreads 32 bits over 64: the table uses the upper and the lower ones.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// What a group adds to the hash of a value; taken away by the same.
fn of_group(group: u32) -> u32 {
    group.wrapping_mul(0x9e37_79b1).rotate_left(15)
}

/// The set.
#[derive(Default)]
pub(super) struct Pairs {
    table: HashTable<Pair>,
    bytes: Vec<u8>,
}

/// Pairs that have left the set.
pub(super) struct Taken {
    pub(super) pairs: Vec<Pair>,
    /// Their long values.
    pub(super) bytes: Vec<u8>,
}

impl Pairs {
    /// Adds a value with its hash to a group; false where it is there already.
    ///
    /// # Errors
    /// Beyond four billion groups, or a value of four billion bytes.
    pub(super) fn insert(&mut self, group: usize, hash: u64, value: &[u8]) -> Result<bool> {
        let too_many = |_| exec_datafusion_err!("more than four billion groups or bytes of a value to tell apart");
        let group = u32::try_from(group).map_err(too_many)?;
        let length = u32::try_from(value.len()).map_err(too_many)?;
        #[expect(clippy::cast_possible_truncation, reason = "both halves are mixed into 32 bits")]
        let hash = (hash ^ (hash >> 32)) as u32 ^ of_group(group);
        let mut pair = Pair { hash, group, length, value: [0; SHORT] };
        let found = if pair.is_short() {
            pair.value[..value.len()].copy_from_slice(value);
            self.table.find(spread(hash), |other| other.is(&pair)).is_some()
        } else {
            let same = |other: &Pair| (other.hash, other.group, other.length) == (hash, group, length);
            let bytes = &self.bytes;
            self.table.find(spread(hash), |other| same(other) && other.bytes(bytes) == value).is_some()
        };
        if found {
            return Ok(false);
        }
        if !pair.is_short() {
            pair = pair.starting(self.bytes.len());
            self.bytes.extend_from_slice(value);
        }
        self.table.insert_unique(spread(hash), pair, |pair| spread(pair.hash));
        Ok(true)
    }

    /// Takes the pairs of the emitted groups; the others move down.
    pub(super) fn take(&mut self, emit_to: EmitTo) -> Taken {
        let Self { table, bytes } = mem::take(self);
        let EmitTo::First(count) = emit_to else {
            return Taken { pairs: table.into_iter().collect(), bytes };
        };
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let (pairs, kept): (Vec<Pair>, Vec<Pair>) = table.into_iter().partition(|pair| pair.group < count);
        for pair in kept {
            let group = pair.group - count;
            let hash = pair.hash ^ of_group(pair.group) ^ of_group(group);
            let mut moved = Pair { hash, group, ..pair };
            if !moved.is_short() {
                moved = moved.starting(self.bytes.len());
                self.bytes.extend_from_slice(pair.bytes(&bytes));
            }
            self.table.insert_unique(spread(hash), moved, |pair| spread(pair.hash));
        }
        Taken { pairs, bytes }
    }

    /// Bytes of memory.
    pub(super) fn size(&self) -> usize {
        self.table.allocation_size() + self.bytes.capacity()
    }
}
