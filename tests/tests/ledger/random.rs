/// Seeded and repeatable: a failing run prints its seed.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// The seed that is used, and its numbers: that of `DOHLE_SEED`, or a new one.
    pub(crate) fn seeded() -> (u64, Self) {
        let seed = match std::env::var("DOHLE_SEED") {
            Ok(seed) => seed.parse().expect("DOHLE_SEED is a number"),
            Err(_unset) => u64::from(std::process::id()),
        };
        (seed, Self(seed))
    }

    /// `SplitMix64`; good enough to choose moments by.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}
