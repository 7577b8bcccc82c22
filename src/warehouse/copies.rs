//! Rows in memory, of which each id keeps its first copy: one look-up per row, and a comparison only where a copy is met.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::make_comparator;
use datafusion::arrow::array::{Array, ArrayRef, BooleanArray, BooleanBufferBuilder, RecordBatch, UInt32Array};
use datafusion::arrow::compute::{SortOptions, filter_record_batch, take_record_batch};
use datafusion::common::hash_utils::{RandomState, create_hashes};
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::physical_expr::{PhysicalExpr, PhysicalSortExpr};
use hashbrown::HashTable;

/// Any seed that the engine's exchanges do not use: rows of one thread must differ in more than these bits.
const SEED: RandomState = RandomState::with_seed(0x6669_7273_745f_6f66);

/// Into how many parts rows are cut that do not fit in memory.
pub(super) const PARTS: usize = 16;

/// Which rows are copies of each other, and which of them is the first.
#[derive(Clone, Debug)]
pub(super) struct CopyRule {
    /// What copies have in common.
    pub(super) id: Vec<Arc<dyn PhysicalExpr>>,
    /// Their order.
    pub(super) order: Vec<PhysicalSortExpr>,
    /// The part of the id without which a row has no copies and stays; else rows without it are copies of each other.
    pub(super) needed: Option<usize>,
}

impl CopyRule {
    fn ids(&self, rows: &RecordBatch) -> Result<Vec<ArrayRef>> {
        self.id.iter().map(|part| evaluated(part, rows)).collect()
    }
}

/// A row that is held.
#[derive(Clone, Copy)]
struct Place {
    hash: u64,
    batch: u32,
    row: u32,
}

struct Held {
    rows: RecordBatch,
    /// A bit for each row, set where it stays; `None` where all do.
    stays: Option<BooleanBufferBuilder>,
}

/// The rows.
pub(super) struct Copies {
    rule: CopyRule,
    held: Vec<Held>,
    held_bytes: usize,
    firsts: HashTable<Place>,
    /// Reused from batch to batch.
    hashes: Vec<u64>,
}

impl Copies {
    pub(super) fn new(rule: CopyRule) -> Self {
        Self { rule, held: Vec::new(), held_bytes: 0, firsts: HashTable::new(), hashes: Vec::new() }
    }

    /// Bytes of memory while these rows are added to the others.
    pub(super) fn bytes_with(&self, rows: &RecordBatch) -> usize {
        let table = self.firsts.allocation_size();
        let is_full = self.firsts.len() + rows.num_rows() > self.firsts.capacity();
        // A table that grows is twice as large, and the old one is there until it has.
        let table = if is_full { 3 * table + rows.num_rows() * 4 * size_of::<Place>() } else { table };
        self.held_bytes + rows.get_array_memory_size() + table
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        self.held_bytes + self.firsts.allocation_size()
    }

    /// Bytes of the rows alone: what is held once nobody looks for copies any more.
    pub(super) fn row_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Adds rows; of copies that are held then, one stays.
    pub(super) fn add(&mut self, rows: RecordBatch) -> Result<()> {
        let ids = self.rule.ids(&rows)?;
        let mut hashes = std::mem::take(&mut self.hashes);
        hashes.clear();
        hashes.resize(rows.num_rows(), 0);
        create_hashes(&ids, &SEED, &mut hashes)?;
        let batch = number(self.held.len())?;
        self.held_bytes += rows.get_array_memory_size();
        self.held.push(Held { rows, stays: None });
        let mut rivals = Rivals { batch, by_batch: HashMap::new() };
        let needed = self.rule.needed.map(|part| &ids[part]).filter(|part| part.null_count() > 0);
        for (row, hash) in hashes.iter().copied().enumerate() {
            if needed.is_some_and(|part| part.is_null(row)) {
                continue;
            }
            self.add_row(Place { hash, batch, row: number(row)? }, &mut rivals)?;
        }
        self.hashes = hashes;
        Ok(())
    }

    fn add_row(&mut self, new: Place, rivals: &mut Rivals) -> Result<()> {
        let (rule, held, mut failure) = (&self.rule, &self.held, None);
        let first = self.firsts.find_mut(new.hash, |old| {
            old.hash == new.hash
                && rivals.are_copies(rule, held, *old, new).unwrap_or_else(|error| failed(&mut failure, error))
        });
        if let Some(error) = failure {
            return Err(error);
        }
        let Some(first) = first else {
            self.firsts.insert_unique(new.hash, new, |place| place.hash);
            return Ok(());
        };
        let loser = if rivals.order(rule, held, *first, new)?.is_gt() { std::mem::replace(first, new) } else { new };
        self.held[loser.batch as usize].leaves(loser.row);
        Ok(())
    }

    /// All rows, copies too, in the order in which they came.
    pub(super) fn into_all(self) -> impl Iterator<Item = RecordBatch> {
        self.held.into_iter().map(|held| held.rows)
    }

    /// The rows that stay, with the bytes of memory that each batch of them gives back.
    pub(super) fn into_firsts(self) -> impl Iterator<Item = Result<(RecordBatch, usize)>> {
        drop(self.firsts);
        self.held.into_iter().map(|held| {
            let bytes = held.rows.get_array_memory_size();
            Ok((held.into_firsts()?, bytes))
        })
    }
}

impl Held {
    fn leaves(&mut self, row: u32) {
        let count = self.rows.num_rows();
        let stays = self.stays.get_or_insert_with(|| {
            let mut all = BooleanBufferBuilder::new(count);
            all.append_n(count, true);
            all
        });
        stays.set_bit(row as usize, false);
    }

    fn into_firsts(self) -> Result<RecordBatch> {
        match self.stays {
            None => Ok(self.rows),
            Some(mut stays) => Ok(filter_record_batch(&self.rows, &BooleanArray::new(stays.finish(), None))?),
        }
    }
}

/// Comparisons of rows of one batch with rows of others, made when they are first needed.
struct Rivals {
    batch: u32,
    by_batch: HashMap<u32, Comparison>,
}

/// Of ids, and of what orders copies.
struct Comparison {
    id: Vec<Comparator>,
    order: Vec<Comparator>,
}

type Comparator = datafusion::arrow::array::DynComparator;

impl Rivals {
    fn with(&mut self, rule: &CopyRule, held: &[Held], batch: u32) -> Result<&Comparison> {
        use std::collections::hash_map::Entry;
        match self.by_batch.entry(batch) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(place) => {
                let (old, new) = (&held[batch as usize].rows, &held[self.batch as usize].rows);
                let compare = |value: &Arc<dyn PhysicalExpr>, options: SortOptions| -> Result<Comparator> {
                    Ok(make_comparator(&evaluated(value, old)?, &evaluated(value, new)?, options)?)
                };
                let id = rule.id.iter().map(|part| compare(part, SortOptions::default())).collect::<Result<_>>()?;
                let order = rule.order.iter().map(|by| compare(&by.expr, by.options)).collect::<Result<_>>()?;
                Ok(place.insert(Comparison { id, order }))
            }
        }
    }

    fn are_copies(&mut self, rule: &CopyRule, held: &[Held], old: Place, new: Place) -> Result<bool> {
        let comparison = self.with(rule, held, old.batch)?;
        Ok(comparison.id.iter().all(|compare| compare(old.row as usize, new.row as usize).is_eq()))
    }

    fn order(&mut self, rule: &CopyRule, held: &[Held], old: Place, new: Place) -> Result<Ordering> {
        let comparison = self.with(rule, held, old.batch)?;
        let orders = comparison.order.iter().map(|compare| compare(old.row as usize, new.row as usize));
        Ok(orders.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal))
    }
}

/// Rows of which copies are in the same part, and ids in each part are few of all.
pub(super) fn parts(rule: &CopyRule, rows: &RecordBatch) -> Result<Vec<(usize, RecordBatch)>> {
    let mut hashes = vec![0; rows.num_rows()];
    create_hashes(&rule.ids(rows)?, &SEED, &mut hashes)?;
    let mut places = vec![Vec::new(); PARTS];
    for (row, hash) in hashes.into_iter().enumerate() {
        // Bits that neither tell where in a table of one part an id is, nor which ids are compared there.
        let part = usize::try_from((hash >> 40) % PARTS as u64).unwrap_or_default();
        places[part].push(number(row)?);
    }
    let of_part = |(part, rows_of_it): (usize, Vec<u32>)| {
        let taken = take_record_batch(rows, &UInt32Array::from(rows_of_it))?;
        Ok((part, taken))
    };
    places.into_iter().enumerate().filter(|(_, rows)| !rows.is_empty()).map(of_part).collect()
}

/// Keeps an error for later; the row is taken for another.
fn failed(
    failure: &mut Option<datafusion::common::DataFusionError>,
    error: datafusion::common::DataFusionError,
) -> bool {
    *failure = Some(error);
    false
}

fn evaluated(value: &Arc<dyn PhysicalExpr>, rows: &RecordBatch) -> Result<ArrayRef> {
    value.evaluate(rows)?.into_array(rows.num_rows())
}

fn number(place: usize) -> Result<u32> {
    u32::try_from(place).map_err(|_| exec_datafusion_err!("more than four billion batches of rows to find copies in"))
}
