//! A set of (group, bytes): one table for all groups, one look-up per row, short values inside it.
//!
//! A table of millions of pairs is in no cache, so that a look-up is a wait for memory: rows are looked up some at a
//! time, their waits overlap. The table consists of segments of pairs whose hashes begin alike. A full one is split, which
//! takes one segment of fresh memory; doubling a whole table would take as much as all of them.

use std::hint::black_box;
use std::mem;

use datafusion::common::{Result, exec_datafusion_err};
use datafusion::logical_expr::EmitTo;

/// Values of at most this many bytes need no room beside the table.
const SHORT: usize = 12;
/// Slots of the first segment at first, and of a segment that is split.
const SLOTS_MIN: usize = 16;
const SLOTS: usize = 4_096;
/// Pairs whose hashes begin with as many equal bits are in one segment, however large it grows.
const DEPTH_MAX: u32 = 24;
/// Rows whose waits for memory overlap.
const AT_ONCE: usize = 32;

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

/// A slot without a pair; no value is that long.
const EMPTY: Pair = Pair { hash: 0, group: 0, length: u32::MAX, value: [0; SHORT] };

impl Pair {
    /// The pair with its value, where that is short.
    fn new(group: usize, hash: u64, value: &[u8]) -> Result<Self> {
        let too_many = || exec_datafusion_err!("more than four billion groups or bytes of a value to tell apart");
        let group = u32::try_from(group).map_err(|_| too_many())?;
        let length = u32::try_from(value.len()).ok().filter(|length| *length < EMPTY.length).ok_or_else(too_many)?;
        #[expect(clippy::cast_possible_truncation, reason = "both halves are mixed into 32 bits")]
        let hash = (hash ^ (hash >> 32)) as u32 ^ of_group(group);
        let mut pair = Self { hash, group, length, value: [0; SHORT] };
        if pair.is_short() {
            let (first, rest) = value.split_at(value.len().min(8));
            pair.value[..8].copy_from_slice(&word(first).to_le_bytes());
            pair.value[8..].copy_from_slice(&word(rest).to_le_bytes()[..4]);
        }
        Ok(pair)
    }

    fn is_empty(&self) -> bool {
        self.length == EMPTY.length
    }

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

/// At most eight bytes as a number, read by words: copying them would be a call for each row.
fn word(bytes: &[u8]) -> u64 {
    if let Some(all) = bytes.first_chunk() {
        return u64::from_le_bytes(*all);
    }
    match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(first), Some(last)) => {
            let last = u64::from(u32::from_le_bytes(*last)) << (8 * (bytes.len() - 4));
            u64::from(u32::from_le_bytes(*first)) | last
        }
        _ => bytes.iter().rev().fold(0, |word, byte| (word << 8) | u64::from(*byte)),
    }
}

/// What a group adds to the hash of a value; taken away by the same.
fn of_group(group: u32) -> u32 {
    group.wrapping_mul(0x9e37_79b1).rotate_left(15)
}

/// The pairs whose hashes begin alike, each at the place of its hash or behind it.
#[derive(Default)]
struct Segment {
    slots: Vec<Pair>,
    taken: usize,
    /// How many bits their hashes begin with.
    depth: u32,
}

impl Segment {
    /// Where a pair is looked for first: hashes and their places have the same order. Some slots are there.
    fn place(&self, hash: u32) -> usize {
        ((u64::from(hash << self.depth) * self.slots.len() as u64) >> u32::BITS) as usize
    }

    /// Where an equal pair stands, or where it would.
    fn find(&self, hash: u32, is_equal: impl Fn(&Pair) -> bool) -> Result<usize, usize> {
        let mut place = self.place(hash);
        loop {
            let slot = &self.slots[place];
            if slot.is_empty() {
                return Err(place);
            }
            if is_equal(slot) {
                return Ok(place);
            }
            place = if place + 1 < self.slots.len() { place + 1 } else { 0 };
        }
    }

    fn has_room(&self, more: usize) -> bool {
        (self.taken + more) * 4 <= self.slots.len() * 3
    }

    fn put(&mut self, place: usize, pair: Pair) {
        self.slots[place] = pair;
        self.taken += 1;
    }

    /// Adds a pair that is not there.
    fn add(&mut self, pair: Pair) {
        if let Err(place) = self.find(pair.hash, |_| false) {
            self.put(place, pair);
        }
    }

    fn grow(&mut self) {
        let slots = (self.slots.len() * 2).max(SLOTS_MIN);
        let before = mem::replace(&mut self.slots, vec![EMPTY; slots]);
        self.taken = 0;
        before.into_iter().filter(|pair| !pair.is_empty()).for_each(|pair| self.add(pair));
    }

    /// Keeps the pairs whose next bit is 0, and gives the others.
    fn split(&mut self) -> Self {
        let pairs: Vec<Pair> = self.slots.iter().filter(|pair| !pair.is_empty()).copied().collect();
        self.slots.fill(EMPTY);
        self.taken = 0;
        self.depth += 1;
        let mut upper = Self { slots: vec![EMPTY; self.slots.len()], taken: 0, depth: self.depth };
        for pair in pairs {
            let is_upper = (pair.hash << (self.depth - 1)) >> (u32::BITS - 1) == 1;
            if is_upper { upper.add(pair) } else { self.add(pair) }
        }
        upper
    }
}

/// The set.
pub(super) struct Pairs {
    segments: Vec<Segment>,
    /// The segment of each beginning of a hash.
    directory: Vec<u32>,
    /// How many bits a beginning has.
    depth: u32,
    bytes: Vec<u8>,
}

impl Default for Pairs {
    fn default() -> Self {
        Self { segments: vec![Segment::default()], directory: vec![0], depth: 0, bytes: Vec::new() }
    }
}

/// Pairs that have left the set.
pub(super) struct Taken {
    pub(super) pairs: Vec<Pair>,
    /// Their long values.
    pub(super) bytes: Vec<u8>,
}

impl Pairs {
    /// Adds rows of a group, a hash of the value and the value; calls with the group of each that was not there.
    ///
    /// # Errors
    /// Beyond four billion groups, or a value of four billion bytes.
    pub(super) fn insert<'a>(
        &mut self,
        mut rows: impl Iterator<Item = (usize, u64, &'a [u8])>,
        mut is_new: impl FnMut(usize),
    ) -> Result<()> {
        let mut wanted: [(Pair, &[u8]); AT_ONCE] = [(EMPTY, &[]); AT_ONCE];
        loop {
            let mut count = 0;
            for (wanted, (group, hash, value)) in wanted.iter_mut().zip(rows.by_ref()) {
                *wanted = (Pair::new(group, hash, value)?, value);
                count += 1;
            }
            if count == 0 {
                return Ok(());
            }
            let wanted = &wanted[..count];
            for (pair, _) in wanted {
                self.make_room(pair.hash, AT_ONCE);
            }
            // Nothing depends on what is read here: it is under way for all rows before the first needs it.
            for (pair, _) in wanted {
                let segment = &self.segments[self.segment(pair.hash)];
                black_box(segment.slots[segment.place(pair.hash)].hash);
            }
            for (pair, value) in wanted {
                if self.insert_one(*pair, value) {
                    is_new(pair.group as usize);
                }
            }
        }
    }

    fn beginning(&self, hash: u32) -> usize {
        ((u64::from(hash) << self.depth) >> u32::BITS) as usize
    }

    fn segment(&self, hash: u32) -> usize {
        self.directory[self.beginning(hash)] as usize
    }

    /// Makes room for as many more pairs where one with this hash goes.
    fn make_room(&mut self, hash: u32, more: usize) {
        loop {
            let at = self.segment(hash);
            let segment = &mut self.segments[at];
            if segment.has_room(more) {
                return;
            }
            if segment.slots.len() < SLOTS || segment.depth == DEPTH_MAX {
                segment.grow();
            } else {
                self.split(at, hash);
            }
        }
    }

    /// Splits the segment of a hash.
    fn split(&mut self, at: usize, hash: u32) {
        let upper = self.segments[at].split();
        if upper.depth > self.depth {
            self.directory = self.directory.iter().flat_map(|segment| [*segment, *segment]).collect();
            self.depth += 1;
        }
        let half = 1 << (self.depth - upper.depth);
        let begin = self.beginning(hash) / (2 * half) * (2 * half) + half;
        let added = u32::try_from(self.segments.len()).unwrap_or(u32::MAX);
        self.directory[begin..begin + half].fill(added);
        self.segments.push(upper);
    }

    /// Adds a pair for which there is room; false where it is there already.
    fn insert_one(&mut self, mut pair: Pair, value: &[u8]) -> bool {
        let at = self.segment(pair.hash);
        let Self { segments, bytes, .. } = self;
        let segment = &mut segments[at];
        let found = if pair.is_short() {
            segment.find(pair.hash, |other| other.is(&pair))
        } else {
            let same = |other: &Pair| (other.hash, other.group, other.length) == (pair.hash, pair.group, pair.length);
            segment.find(pair.hash, |other| same(other) && other.bytes(bytes) == value)
        };
        let Err(place) = found else { return false };
        if !pair.is_short() {
            pair = pair.starting(bytes.len());
            bytes.extend_from_slice(value);
        }
        segment.put(place, pair);
        true
    }

    /// Forgets the pairs of the emitted groups; the others move down.
    pub(super) fn forget(&mut self, emit_to: EmitTo) {
        match emit_to {
            // Nothing is copied: it may be most of what the process holds.
            EmitTo::All => drop(mem::take(self)),
            first @ EmitTo::First(_) => drop(self.take(first)),
        }
    }

    /// Takes the pairs of the emitted groups; the others move down.
    pub(super) fn take(&mut self, emit_to: EmitTo) -> Taken {
        let Self { segments, bytes, .. } = mem::take(self);
        let all = segments.into_iter().flat_map(|segment| segment.slots).filter(|pair| !pair.is_empty());
        let EmitTo::First(count) = emit_to else {
            return Taken { pairs: all.collect(), bytes };
        };
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let (pairs, kept): (Vec<Pair>, Vec<Pair>) = all.partition(|pair| pair.group < count);
        for pair in kept {
            let group = pair.group - count;
            let hash = pair.hash ^ of_group(pair.group) ^ of_group(group);
            let mut moved = Pair { hash, group, ..pair };
            if !moved.is_short() {
                moved = moved.starting(self.bytes.len());
                self.bytes.extend_from_slice(pair.bytes(&bytes));
            }
            self.make_room(hash, 1);
            let at = self.segment(hash);
            self.segments[at].add(moved);
        }
        Taken { pairs, bytes }
    }

    /// Bytes of memory.
    pub(super) fn size(&self) -> usize {
        let slots = self.segments.iter().map(|segment| segment.slots.capacity()).sum::<usize>();
        let segments = self.segments.capacity() * size_of::<Segment>();
        slots * size_of::<Pair>() + segments + self.directory.capacity() * size_of::<u32>() + self.bytes.capacity()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Inserts values with the given hashes and checks each answer against a set.
    fn check(rows: &[(usize, u64, String)]) -> Pairs {
        let (mut pairs, mut seen, mut new) = (Pairs::default(), BTreeSet::new(), Vec::new());
        let expected: Vec<usize> =
            rows.iter().filter(|(group, _, value)| seen.insert((*group, value))).map(|row| row.0).collect();
        for some in rows.chunks(1_000) {
            let some = some.iter().map(|(group, hash, value)| (*group, *hash, value.as_bytes()));
            pairs.insert(some, |group| new.push(group)).expect("room");
        }
        assert_eq!(new, expected);
        pairs
    }

    fn left(pairs: &mut Pairs, emit_to: EmitTo) -> BTreeSet<(u32, Vec<u8>)> {
        let taken = pairs.take(emit_to);
        let all: Vec<_> = taken.pairs.iter().map(|pair| (pair.group, pair.bytes(&taken.bytes).to_vec())).collect();
        let distinct: BTreeSet<_> = all.iter().cloned().collect();
        assert_eq!(distinct.len(), all.len());
        distinct
    }

    fn hash(value: u64) -> u64 {
        value.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    #[test]
    fn a_table_of_many_segments_tells_all_apart() {
        let value =
            |number: u64| if number.is_multiple_of(3) { format!("{number}") } else { format!("a long value {number}") };
        let rows: Vec<_> = (0..300_000_u64)
            .map(|row| {
                let number = row * 7_919 % 50_000;
                (usize::try_from(row % 5).expect("small"), hash(number), value(number))
            })
            .collect();
        let mut pairs = check(&rows);
        assert!(pairs.segments.len() > 16, "{}", pairs.segments.len());
        let expected: BTreeSet<_> =
            rows.iter().map(|row| (u32::try_from(row.0).expect("small"), row.2.as_bytes().to_vec())).collect();
        // Half of the groups leave first, the others move down.
        let first = left(&mut pairs, EmitTo::First(2));
        assert_eq!(first, expected.iter().filter(|row| row.0 < 2).cloned().collect());
        let others = expected.iter().filter(|row| row.0 >= 2).map(|row| (row.0 - 2, row.1.clone())).collect();
        assert_eq!(left(&mut pairs, EmitTo::All), others);
        assert_eq!(left(&mut pairs, EmitTo::All), BTreeSet::new());
    }

    #[test]
    fn values_of_one_hash_are_told_apart_and_end() {
        // No split parts them: their segment grows.
        let rows: Vec<_> = (0..8_000_u64).map(|row| (0, 7, format!("{}", row / 2))).collect();
        let pairs = check(&rows);
        assert!(pairs.segments.len() <= 1 + DEPTH_MAX as usize);
    }
}
