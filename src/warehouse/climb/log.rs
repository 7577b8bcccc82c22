//! The rows of many groups in one log: appended as they come, gathered by group at the end.
//!
//! Guarantees: memory grows with rows, by segments and without copies; a group without rows costs nothing here.

use std::collections::VecDeque;

/// Rows per segment.
const SEGMENT: usize = 1 << 16;

/// Rows of groups: a number, a time, and perhaps a value.
#[derive(Debug)]
pub(super) struct Log<V> {
    segments: VecDeque<Segment<V>>,
    rows: usize,
}

#[derive(Debug)]
struct Segment<V> {
    groups: Vec<u32>,
    rows: Vec<(i64, V)>,
}

/// Rows beside each other by group, in any order within it.
#[derive(Debug)]
pub(super) struct Gathered<V> {
    rows: Vec<(i64, V)>,
    /// Where the rows of each group end.
    ends: Vec<usize>,
}

impl<V> Default for Log<V> {
    fn default() -> Self {
        Self { segments: VecDeque::new(), rows: 0 }
    }
}

fn place(group: u32) -> usize {
    usize::try_from(group).unwrap_or(usize::MAX)
}

impl<V: Copy + Default> Log<V> {
    /// How many rows it has.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// The bytes it takes, with those that gathering will take.
    pub(super) fn bytes(&self) -> usize {
        let row = size_of::<(i64, V)>();
        self.segments.len() * SEGMENT * (size_of::<u32>() + row) + self.rows * row
    }

    /// Adds a row.
    pub(super) fn push(&mut self, group: u32, time: i64, value: V) {
        self.rows += 1;
        match self.segments.back_mut() {
            Some(segment) if segment.groups.len() < SEGMENT => {
                segment.groups.push(group);
                segment.rows.push((time, value));
            }
            _ => {
                let mut segment = Segment { groups: Vec::with_capacity(SEGMENT), rows: Vec::with_capacity(SEGMENT) };
                segment.groups.push(group);
                segment.rows.push((time, value));
                self.segments.push_back(segment);
            }
        }
    }

    /// Takes all rows, by group; the log is empty afterwards.
    pub(super) fn gather(&mut self, groups: usize) -> Gathered<V> {
        let mut ends = vec![0; groups];
        for group in self.segments.iter().flat_map(|segment| &segment.groups) {
            ends[place(*group)] += 1;
        }
        let mut begin = 0;
        for end in &mut ends {
            begin += std::mem::replace(end, begin);
        }
        let mut rows = vec![(0, V::default()); self.rows];
        // Each end begins as the start of its group and moves with every row that is put there.
        while let Some(segment) = self.segments.pop_front() {
            for (group, row) in segment.groups.iter().zip(segment.rows) {
                let end = &mut ends[place(*group)];
                rows[*end] = row;
                *end += 1;
            }
        }
        self.rows = 0;
        Gathered { rows, ends }
    }
}

impl<V> Gathered<V> {
    /// The rows of each group, in the order of groups.
    pub(super) fn groups(&mut self) -> impl Iterator<Item = &mut [(i64, V)]> {
        let mut left = self.rows.as_mut_slice();
        let mut begin = 0;
        self.ends.iter().map(move |end| {
            let (group, rest) = std::mem::take(&mut left).split_at_mut(end - begin);
            (left, begin) = (rest, *end);
            group
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_by_group_and_in_order() {
        let mut log = Log::default();
        for row in 0..200_000_u32 {
            log.push(row * 7 % 5, i64::from(row), row);
        }
        let mut gathered = log.gather(6);
        assert_eq!((log.rows(), log.bytes()), (0, 0));
        let groups: Vec<&mut [(i64, u32)]> = gathered.groups().collect();
        assert_eq!(
            groups.iter().map(|group| group.len()).collect::<Vec<_>>(),
            [40_000, 40_000, 40_000, 40_000, 40_000, 0]
        );
        for (number, group) in groups.iter().enumerate() {
            assert!(group.iter().all(|(time, row)| i64::from(*row) == *time && place(*row * 7 % 5) == number));
            assert!(group.is_sorted());
        }
    }
}
