//! Whether any of a query's values comes twice: hashes in memory, sorted, at eight bytes each.

use std::sync::{Mutex, PoisonError};

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::UInt64Type;
use datafusion::execution::memory_pool::MemoryConsumer;
use futures::TryStreamExt;

use super::error::WarehouseError;
use super::session::Session;
use super::threads::{cores, on_threads};

/// Hashes whose first bits are equal are sorted together, in a processor's cache.
const PART_BITS: u32 = 8;
/// Vectors grow to twice what they hold.
const BYTES_PER_HASH: usize = 2 * size_of::<u64>();

impl Session {
    /// The number of rows of a query whose one column is `hash_of_texts(...)`, and whether two of them are alike; `None`
    /// where the memory of queries does not hold all hashes at once. `what` names the query in errors.
    ///
    /// # Errors
    /// When it does not plan or fails on data.
    pub async fn count_hashes(&self, what: &str, sql: &str) -> Result<Option<(u64, bool)>, WarehouseError> {
        let held = MemoryConsumer::new("hashes").register(&self.context.runtime_env().memory_pool);
        let mut parts: Vec<Vec<u64>> = vec![Vec::new(); 1 << PART_BITS];
        let mut rows = self.stream(what, sql).await?;
        while let Some(batch) = rows.try_next().await? {
            if held.try_grow(batch.num_rows() * BYTES_PER_HASH).is_err() {
                return Ok(None);
            }
            for hash in batch.column(0).as_primitive::<UInt64Type>().values() {
                parts[(hash >> (u64::BITS - PART_BITS)) as usize].push(*hash);
            }
        }
        let count = parts.iter().map(Vec::len).sum::<usize>() as u64;
        Ok(Some((count, any_repeats(&mut parts))))
    }
}

/// Sorts each part on one of the cores.
fn any_repeats(parts: &mut [Vec<u64>]) -> bool {
    let parts = Mutex::new(parts.iter_mut());
    let look = || {
        loop {
            let next = parts.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(part) = next else { return false };
            part.sort_unstable();
            if part.windows(2).any(|pair| pair[0] == pair[1]) {
                return true;
            }
        }
    };
    on_threads(cores(), look).contains(&true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeat_is_found_wherever_it_is() {
        let mix = |value: u64| value.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let parts = |values: &[u64]| {
            let mut parts = vec![Vec::new(); 1 << PART_BITS];
            for value in values {
                parts[(mix(*value) >> (u64::BITS - PART_BITS)) as usize].push(mix(*value));
            }
            parts
        };
        let mut values: Vec<u64> = (0..5_000).collect();
        assert!(!any_repeats(&mut parts(&values)));
        assert!(!any_repeats(&mut parts(&[])));
        assert!(any_repeats(&mut parts(&[7, 7])));
        for place in [0, 1, 2_500, 4_999] {
            values.push(place);
            assert!(any_repeats(&mut parts(&values)), "{place}");
            values.pop();
        }
    }
}
