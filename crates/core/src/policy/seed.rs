//! A small generator of numbers for random walks: the same walk for the same seed.

pub(super) struct Seed(pub(super) u64);

impl Seed {
    /// Below `limit`.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % limit as u64).unwrap()
    }

    /// The same as a small number.
    pub(super) fn small(&mut self, limit: usize) -> u32 {
        u32::try_from(self.below(limit)).unwrap()
    }
}
