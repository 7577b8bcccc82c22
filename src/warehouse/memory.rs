//! What queries may hold in memory: a limit shared fairly by all that can spill, of which one may hold more while most of it
//! is free, and, when one of them cannot go on within it, the least limit with which it could have.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::common::DataFusionError;
use datafusion::execution::memory_pool::{FairSpillPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};

use super::error::WarehouseError;

/// What queries need at least to sort, group and join by spilling: so much, and so much more for each thread. Measured on
/// the four queries of `benches/engines.sh` with 20,000,000 events, which come to their end with 96 MB and two threads
/// and with 192 MB and eight; `ladders` gives up with 48 MB and two.
const LEAST_BYTES: u64 = 64_000_000;
const LEAST_BYTES_PER_THREAD: u64 = 16_000_000;
/// Rows that operators hand on at once, where memory is no concern.
const ROWS_AT_ONCE: usize = 8_192;
/// Fewer than these make every operator slow.
const LEAST_ROWS_AT_ONCE: usize = 1_024;
/// A thread with this much memory hands on as many rows as there may be.
const COMFORTABLE_BYTES_PER_THREAD: u64 = 128_000_000;

/// From this limit on, what nobody holds is lent.
const LENDING_LIMIT_BYTES: usize = 1_000_000_000;

/// How much may be held before everybody is held to an equal share: the last quarter is for those who come later, such as
/// the sort of what a grouping is about to give.
fn lent_bytes(limit_bytes: usize) -> usize {
    if limit_bytes >= LENDING_LIMIT_BYTES { limit_bytes / 4 * 3 } else { 0 }
}

/// Refuses a limit with which many a query would not come to its end.
pub(super) fn check_limit(limit_bytes: u64, threads: usize) -> Result<(), WarehouseError> {
    let least_bytes = LEAST_BYTES + LEAST_BYTES_PER_THREAD * threads as u64;
    if limit_bytes < least_bytes {
        return Err(WarehouseError::LowLimit { limit: megabytes(limit_bytes), least: megabytes(least_bytes), threads });
    }
    Ok(())
}

/// The threads among which a limit can be shared, of those that there are: small containers often see many cores.
pub(super) fn threads_within(limit_bytes: u64, threads: usize) -> usize {
    let sharing = limit_bytes.saturating_sub(LEAST_BYTES) / LEAST_BYTES_PER_THREAD;
    threads.min(usize::try_from(sharing).unwrap_or(usize::MAX)).max(1)
}

/// How many rows operators hand on at once: what an operator must hold before it can spill grows with them.
pub(super) fn rows_at_once(limit_bytes: u64, threads: usize) -> usize {
    let share = limit_bytes / threads.max(1) as u64;
    let rows = ROWS_AT_ONCE as u64 * share.min(COMFORTABLE_BYTES_PER_THREAD) / COMFORTABLE_BYTES_PER_THREAD;
    let power = rows.checked_ilog2().unwrap_or_default();
    (1 << power).clamp(LEAST_ROWS_AT_ONCE, ROWS_AT_ONCE)
}

/// Bytes as the option takes them, rounded up.
fn megabytes(bytes: u64) -> String {
    format!("{}MB", bytes.div_ceil(1_000_000))
}

/// The engine's fair pool; a refusal says which limit would have been enough.
#[derive(Debug)]
pub(super) struct QueryMemory {
    limit_bytes: usize,
    fair: FairSpillPool,
    /// Consumers that can spill: each may hold an equal share of what the others leave.
    spillers: AtomicUsize,
    /// Bytes of consumers that cannot.
    fixed_bytes: AtomicUsize,
}

impl QueryMemory {
    pub(super) fn new(limit_bytes: usize) -> Self {
        Self {
            limit_bytes,
            fair: FairSpillPool::new(limit_bytes),
            spillers: AtomicUsize::new(0),
            fixed_bytes: AtomicUsize::new(0),
        }
    }

    /// Grants within the limit: a fair share, or more of it while most is free. Equal shares alone would leave most of the
    /// limit unused, since of the many steps of a plan only a few hold much at a time.
    fn granted(&self, reservation: &MemoryReservation, additional: usize) -> bool {
        let total = self.fair.reserved().saturating_add(additional);
        if !reservation.consumer().can_spill() {
            return self.fair.try_grow(reservation, additional).is_ok();
        }
        if total > self.limit_bytes {
            return false;
        }
        if total <= lent_bytes(self.limit_bytes) {
            self.fair.grow(reservation, additional);
            return true;
        }
        self.fair.try_grow(reservation, additional).is_ok()
    }

    /// The least limit that grants this request, as things are.
    fn least_bytes(&self, reservation: &MemoryReservation, additional: usize) -> usize {
        if reservation.consumer().can_spill() {
            let share = reservation.size().saturating_add(additional);
            let spillers = self.spillers.load(Ordering::Relaxed).max(1);
            share.saturating_mul(spillers).saturating_add(self.fixed_bytes.load(Ordering::Relaxed))
        } else {
            self.fair.reserved().saturating_add(additional)
        }
    }
}

impl MemoryPool for QueryMemory {
    fn name(&self) -> &'static str {
        "query memory"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.fair.register(consumer);
        if consumer.can_spill() {
            self.spillers.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.fair.unregister(consumer);
        if consumer.can_spill() {
            self.spillers.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.fair.grow(reservation, additional);
        if !reservation.consumer().can_spill() {
            self.fixed_bytes.fetch_add(additional, Ordering::Relaxed);
        }
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.fair.shrink(reservation, shrink);
        if !reservation.consumer().can_spill() {
            self.fixed_bytes.fetch_sub(shrink, Ordering::Relaxed);
        }
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<(), DataFusionError> {
        if !self.granted(reservation, additional) {
            let least = megabytes(self.least_bytes(reservation, additional) as u64);
            let limit = megabytes(self.limit_bytes as u64);
            let step = reservation.consumer().name();
            let reason = format!("the limit is {limit}, and {step} needs one of {least} at least");
            return Err(DataFusionError::ResourcesExhausted(reason));
        }
        if !reservation.consumer().can_spill() {
            self.fixed_bytes.fetch_add(additional, Ordering::Relaxed);
        }
        Ok(())
    }

    fn reserved(&self) -> usize {
        self.fair.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.limit_bytes)
    }
}

impl fmt::Display for QueryMemory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} of {}", self.name(), megabytes(self.limit_bytes as u64))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_refusal_names_a_limit_that_would_have_been_enough() {
        let ask = |limit: usize| {
            let pool: Arc<dyn MemoryPool> = Arc::new(QueryMemory::new(limit));
            let fixed = MemoryConsumer::new("fixed").register(&pool);
            let _idle = MemoryConsumer::new("idle").with_can_spill(true).register(&pool);
            let sort = MemoryConsumer::new("sort").with_can_spill(true).register(&pool);
            fixed.try_grow(2_000_000)?;
            sort.try_grow(1_000_000)?;
            sort.try_grow(9_000_000)?;
            fixed.try_grow(1_000_000)
        };
        let words = |limit| ask(limit).expect_err("too little").message().into_owned();
        assert_eq!(words(1_000_000), "the limit is 1MB, and fixed needs one of 2MB at least");
        assert_eq!(words(20_000_000), "the limit is 20MB, and sort needs one of 22MB at least");
        assert!(ask(22_000_000).is_ok());
    }

    #[test]
    fn what_nobody_holds_is_lent_but_for_the_last_quarter() {
        let pool: Arc<dyn MemoryPool> = Arc::new(QueryMemory::new(2_000_000_000));
        let spilling = |name: &str| MemoryConsumer::new(name).with_can_spill(true).register(&pool);
        let (grouping, sort) = (spilling("grouping"), spilling("sort"));
        let _idle: Vec<_> = (0..8).map(|_| spilling("idle")).collect();
        grouping.try_grow(1_500_000_000).expect("three quarters are lent");
        assert!(grouping.try_grow(1).is_err(), "more than its share, and the rest is for others");
        sort.try_grow(200_000_000).expect("its share");
        assert!(sort.try_grow(1).is_err(), "beyond its share, and most is held");
        let fixed = MemoryConsumer::new("fixed").register(&pool);
        fixed.try_grow(300_000_000).expect("what is left");
        assert!(fixed.try_grow(1).is_err(), "the limit is the limit");
        drop(grouping);
        sort.try_grow(900_000_000).expect("it is free again");
    }

    #[test]
    fn little_memory_is_shared_in_small_pieces() {
        assert_eq!(rows_at_once(2_000_000_000, 2), 8_192);
        assert_eq!(rows_at_once(256_000_000, 2), 8_192);
        assert_eq!(rows_at_once(128_000_000, 2), 4_096);
        assert_eq!(rows_at_once(96_000_000, 2), 2_048);
        assert_eq!(rows_at_once(1, 64), 1_024);
        assert!(check_limit(96_000_000, 2).is_ok());
        assert!(check_limit(95_999_999, 2).is_err_and(|error| error.to_string().contains("need 96MB at least")));
        assert_eq!(threads_within(2_000_000_000, 8), 8);
        assert_eq!(threads_within(192_000_000, 64), 8);
        assert_eq!(threads_within(1, 64), 1);
    }
}
