//! A small generator: the same seed chooses the same way everywhere (splitmix64). It decides what
//! is done and what is broken, never when something answers.

/// Where choices come from.
#[derive(Debug, Clone)]
pub(crate) struct Seed(u64);

impl Seed {
    /// The choices of `seed` for the part of a run called `part`.
    pub(crate) fn of(seed: u64, part: &str) -> Self {
        let mixed = part.bytes().fold(seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(mixed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 up to, not including, `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// From `low` up to, not including, `high`.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low)
    }

    /// Whether one of `of` chances came true.
    pub(crate) fn one_in(&mut self, of: u64) -> bool {
        self.below(of) == 0
    }

    /// One of these.
    pub(crate) fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.place(all.len())]
    }

    /// A place in a list of `count`.
    pub(crate) fn place(&mut self, count: usize) -> usize {
        usize::try_from(self.below(count as u64)).expect("below a usize")
    }

    /// Mixes a list.
    pub(crate) fn shuffle<T>(&mut self, all: &mut [T]) {
        for at in (1..all.len()).rev() {
            let other = self.place(at + 1);
            all.swap(at, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_chooses_the_same_again_and_parts_choose_apart() {
        let draw = |seed, part| {
            let mut seed = Seed::of(seed, part);
            (0..8).map(|_| seed.next()).collect::<Vec<_>>()
        };
        assert_eq!(draw(7, "users"), draw(7, "users"));
        assert_ne!(draw(7, "users"), draw(8, "users"));
        assert_ne!(draw(7, "users"), draw(7, "faults"));
    }

    #[test]
    fn a_shuffled_deck_has_every_card_once() {
        let mut deck: Vec<u32> = (0..50).collect();
        Seed::of(1, "deck").shuffle(&mut deck);
        assert_ne!(deck, (0..50).collect::<Vec<_>>());
        deck.sort_unstable();
        assert_eq!(deck, (0..50).collect::<Vec<_>>());
    }
}
