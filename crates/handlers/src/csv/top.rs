//! The most frequent values of a stream in constant memory: a table of counters that forgets the
//! rare ones (frequent-items sketch after Misra and Gries). Exact as long as nothing had to be
//! forgotten; after that every count is too high by at most [`Top::slack`].

/// Bytes of a value that are kept to show it.
pub(crate) const SHOWN_BYTES: usize = 64;
/// Places in the table; a power of two. Three quarters may be taken.
const PLACES: usize = 512;
const TAKEN_MAX: usize = PLACES / 4 * 3;

#[derive(Clone, Copy)]
struct Place {
    hash: u64,
    /// 0 is free.
    count: u64,
    len: u8,
    /// Whether the value is longer than what is kept.
    cut: bool,
    text: [u8; SHOWN_BYTES],
}

impl Place {
    fn text(&self) -> &[u8] {
        &self.text[..self.len as usize]
    }

    fn shown(&self) -> String {
        let text = String::from_utf8_lossy(self.text());
        if !self.cut {
            return text.into_owned();
        }
        // The cut may have gone through a character.
        format!("{}…", text.trim_end_matches('\u{FFFD}'))
    }
}

const FREE: Place = Place { hash: 0, count: 0, len: 0, cut: false, text: [0; SHOWN_BYTES] };

pub(crate) struct Top {
    places: Vec<Place>,
    taken: usize,
    slack: u64,
    /// Counts and survivors of one purge, kept to save the allocations.
    counts: Vec<u64>,
    survivors: Vec<Place>,
}

impl Top {
    pub(crate) fn new() -> Self {
        Self {
            places: vec![FREE; PLACES],
            taken: 0,
            slack: 0,
            counts: Vec::new(),
            survivors: Vec::new(),
        }
    }

    /// By how much a count may be too high; 0 while all are exact.
    pub(crate) fn slack(&self) -> u64 {
        self.slack
    }

    /// Counts a value; two values with the same 64-bit hash are taken for one.
    pub(crate) fn insert(&mut self, hash: u64, value: &[u8]) {
        let mut at = hash as usize & (PLACES - 1);
        loop {
            let place = &mut self.places[at];
            if place.count == 0 {
                break;
            }
            if place.hash == hash {
                place.count += 1;
                return;
            }
            at = (at + 1) & (PLACES - 1);
        }
        let kept = &value[..value.len().min(SHOWN_BYTES)];
        let place = &mut self.places[at];
        place.hash = hash;
        place.count = 1;
        place.len = kept.len() as u8;
        place.cut = kept.len() < value.len();
        place.text[..kept.len()].copy_from_slice(kept);
        self.taken += 1;
        if self.taken > TAKEN_MAX {
            self.purge();
        }
    }

    /// Takes the median off every count and frees those that have nothing left: at least half.
    fn purge(&mut self) {
        self.counts.clear();
        self.counts.extend(self.places.iter().map(|p| p.count).filter(|count| *count > 0));
        let middle = self.counts.len() / 2;
        let median = *self.counts.select_nth_unstable(middle).1;
        self.survivors.clear();
        for place in &mut self.places {
            if place.count > median {
                self.survivors.push(Place { count: place.count - median, ..*place });
            }
            place.count = 0;
        }
        self.taken = self.survivors.len();
        for place in &self.survivors {
            let mut at = place.hash as usize & (PLACES - 1);
            while self.places[at].count > 0 {
                at = (at + 1) & (PLACES - 1);
            }
            self.places[at] = *place;
        }
        self.slack += median;
    }

    /// The most frequent values that certainly are among the frequent ones, with the highest count
    /// each may have: at most `max` of them, the most frequent first.
    pub(crate) fn best(&self, max: usize) -> Vec<(String, u64)> {
        let mut sure: Vec<&Place> =
            self.places.iter().filter(|place| place.count > self.slack).collect();
        sure.sort_unstable_by(|a, b| b.count.cmp(&a.count).then_with(|| a.text().cmp(b.text())));
        sure.truncate(max);
        sure.iter().map(|place| (place.shown(), place.count + self.slack)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;
    use xxhash_rust::xxh3::xxh3_64;

    use super::*;

    fn fill(values: impl IntoIterator<Item = u64>) -> (Top, HashMap<String, u64>) {
        let (mut top, mut exact) = (Top::new(), HashMap::new());
        for value in values {
            let text = value.to_string();
            top.insert(xxh3_64(text.as_bytes()), text.as_bytes());
            *exact.entry(text).or_default() += 1;
        }
        (top, exact)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_count_is_never_too_low_and_too_high_by_the_slack_at_most(
            seed in any::<u64>(), n in 1_u64..40_000, spread in 1_u64..20_000, sorted in any::<bool>(),
        ) {
            let mut state = seed | 1;
            let mut values: Vec<u64> = (0..n).map(|_| {
                state ^= state << 13; state ^= state >> 7; state ^= state << 17;
                // Squared: few values are frequent, many are rare.
                let part = (state % 10_000) as f64 / 10_000.0;
                (part * part * part * spread as f64) as u64
            }).collect();
            if sorted { values.sort_unstable(); }
            let (top, exact) = fill(values);
            prop_assert!(top.slack() <= n / (TAKEN_MAX as u64 / 2), "{} of {n}", top.slack());
            for (value, count) in top.best(PLACES) {
                let real = exact[&value];
                prop_assert!(count >= real && count <= real + top.slack(), "{count} for {real}, slack {}", top.slack());
            }
            if exact.len() <= TAKEN_MAX { prop_assert_eq!(top.slack(), 0); }
        }
    }

    #[test]
    fn a_frequent_value_among_a_million_different_ones_is_found() {
        let (top, _) = fill((0..1_000_000_u64).map(|n| if n % 20 == 0 { 7 } else { 1_000 + n }));
        let best = top.best(5);
        assert_eq!(best.len(), 1, "{best:?}");
        assert_eq!(best[0].0, "7");
        assert!(best[0].1.abs_diff(50_000) <= top.slack());
    }

    #[test]
    fn of_all_different_values_none_is_frequent() {
        assert!(fill(0..100_000).0.best(5).is_empty());
    }
}
