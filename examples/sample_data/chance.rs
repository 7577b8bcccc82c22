//! Chance by seed: `SplitMix64` and the few draws the sample needs. Integer and IEEE arithmetic only, so that every
//! platform draws the same numbers.

/// A stream of pseudo-random numbers.
pub(crate) struct Chance {
    state: u64,
}

impl Chance {
    /// A stream of its own for one purpose (`topic`) and one thing (`index`): adding things elsewhere never changes it.
    pub(crate) fn new(seed: u64, topic: u64, index: u64) -> Self {
        let mut chance = Self { state: seed ^ topic.wrapping_mul(0x9E37_79B9_7F4A_7C15) };
        chance.state = chance.next() ^ index.wrapping_mul(0xD1B5_4A32_D192_ED03);
        chance.next();
        chance
    }

    /// The next 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Uniform in `[0, 1)`.
    pub(crate) fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True once in `1 / probability` draws.
    pub(crate) fn happens(&mut self, probability: f64) -> bool {
        self.share() < probability
    }

    /// Uniform in `low..=high`.
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        let span = high.abs_diff(low) + 1;
        low.saturating_add_unsigned(self.next() % span)
    }

    /// One of `items`, each as likely.
    pub(crate) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.index(items.len())]
    }

    /// A position below `length`.
    pub(crate) fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.next() % length.max(1) as u64).expect("a position below a length fits")
    }

    /// The position of a weight, as likely as it is heavy.
    pub(crate) fn weighted(&mut self, weights: &[u32]) -> usize {
        let total: u32 = weights.iter().sum();
        let mut left = self.next() % u64::from(total.max(1));
        for (position, weight) in weights.iter().enumerate() {
            match left.checked_sub(u64::from(*weight)) {
                Some(rest) => left = rest,
                None => return position,
            }
        }
        0
    }
}
