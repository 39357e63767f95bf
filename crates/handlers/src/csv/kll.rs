//! Quantiles of a stream of numbers in constant memory: a KLL sketch (Karnin, Lang, Liberty 2016).
//! It is deterministic: the same numbers in the same order give the same answer.

/// Values kept in the topmost compactor. An error of at most 1 % of the rank is several times what
/// to expect: about 0.4 % at 99 % confidence.
const K: usize = 600;
/// Each compactor below holds two thirds of the one above it, and never less than this.
const SMALLEST: usize = 64;

#[derive(Debug, Clone)]
pub(crate) struct Kll {
    /// `levels[n]` holds values that stand for 2^n each.
    levels: Vec<Vec<f64>>,
    /// How many values each level may hold.
    capacities: Vec<usize>,
    count: u64,
    min: f64,
    max: f64,
    /// Source of the coin: which half of a compactor survives.
    coin: u64,
}

impl Kll {
    pub(crate) fn new() -> Self {
        Self {
            levels: vec![Vec::new()],
            capacities: vec![K],
            count: 0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            coin: 0x9E37_79B9_7F4A_7C15,
        }
    }

    /// Takes a finite number.
    pub(crate) fn insert(&mut self, value: f64) {
        self.count += 1;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        self.levels[0].push(value);
        if self.levels[0].len() >= self.capacities[0] {
            self.compact();
        }
    }

    fn compact(&mut self) {
        let mut level = 0;
        while level < self.levels.len() {
            if self.levels[level].len() < self.capacities[level] {
                level += 1;
                continue;
            }
            if level + 1 == self.levels.len() {
                // A new top: what is below it shrinks.
                self.levels.push(Vec::new());
                let last = self.capacities[0];
                self.capacities.insert(0, (last * 2 / 3).max(SMALLEST));
            }
            let mut full = std::mem::take(&mut self.levels[level]);
            full.sort_unstable_by(f64::total_cmp);
            // An odd value stays where it is, so that weights add up.
            let odd = (full.len() % 2 == 1).then(|| full.pop()).flatten();
            let skip = usize::from(self.toss());
            self.levels[level + 1].extend(full.iter().skip(skip).step_by(2));
            full.clear();
            full.extend(odd);
            self.levels[level] = full;
            level += 1;
        }
    }

    fn toss(&mut self) -> bool {
        // xorshift64
        self.coin ^= self.coin << 13;
        self.coin ^= self.coin >> 7;
        self.coin ^= self.coin << 17;
        self.coin & 1 == 1
    }

    /// The values by size with what they stand for, summed up.
    pub(crate) fn sorted(&self) -> Sorted {
        let mut all: Vec<(f64, u64)> = Vec::new();
        for (level, values) in self.levels.iter().enumerate() {
            all.extend(values.iter().map(|value| (*value, 1_u64 << level)));
        }
        all.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let mut sum = 0;
        for (_, weight) in &mut all {
            sum += *weight;
            *weight = sum;
        }
        Sorted { values: all, count: self.count, min: self.min, max: self.max }
    }
}

/// A sketch that is complete, ready to answer.
#[derive(Debug)]
pub(crate) struct Sorted {
    /// Value, and how many are not above it.
    values: Vec<(f64, u64)>,
    count: u64,
    min: f64,
    max: f64,
}

impl Sorted {
    /// The value below which the part `q` of all lies; `None` if there are none.
    pub(crate) fn quantile(&self, q: f64) -> Option<f64> {
        if self.count == 0 {
            return None;
        }
        if q <= 0.0 {
            return Some(self.min);
        }
        if q >= 1.0 {
            return Some(self.max);
        }
        let rank = (q * self.count as f64).ceil() as u64;
        let at = self.values.partition_point(|(_, up_to)| *up_to < rank);
        self.values.get(at).or(self.values.last()).map(|(value, _)| *value)
    }

    /// About how many are not above `value`.
    pub(crate) fn rank(&self, value: f64) -> u64 {
        if value >= self.max {
            return self.count;
        }
        let at = self.values.partition_point(|(one, _)| *one <= value);
        if at == 0 { 0 } else { self.values[at - 1].1 }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ASKED: [f64; 9] = [0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0];

    /// How far the answer for `q` lies from its place in the sorted values, as a part of all.
    /// With ties an answer has a whole range of places; the nearest counts.
    fn off(sorted: &[f64], q: f64, answer: f64) -> f64 {
        let n = sorted.len() as f64;
        let below = sorted.partition_point(|v| *v < answer) as f64 / n;
        let up_to = sorted.partition_point(|v| *v <= answer) as f64 / n;
        if q < below {
            below - q
        } else if q > up_to {
            q - up_to
        } else {
            0.0
        }
    }

    fn check(values: &[f64]) -> Result<(), String> {
        let mut kll = Kll::new();
        for value in values {
            kll.insert(*value);
        }
        let mut exact = values.to_vec();
        exact.sort_unstable_by(f64::total_cmp);
        let sketch = kll.sorted();
        let kept: usize = kll.levels.iter().map(Vec::len).sum();
        if kept > 3 * K + SMALLEST * kll.levels.len() {
            return Err(format!("{kept} values kept"));
        }
        for q in ASKED {
            let answer = sketch.quantile(q).ok_or("no answer")?;
            let off = off(&exact, q, answer);
            if off > 0.01 {
                return Err(format!(
                    "{q} of {} is off by {:.2} % of the rank",
                    values.len(),
                    off * 100.0
                ));
            }
            let rank = sketch.rank(answer) as f64 / values.len() as f64;
            let (low, high) = (
                exact.partition_point(|v| *v < answer) as f64 / values.len() as f64,
                exact.partition_point(|v| *v <= answer) as f64 / values.len() as f64,
            );
            if rank < low - 0.01 || rank > high + 0.01 {
                return Err(format!(
                    "the rank of {answer} is said to be {rank}, it is {low} to {high}"
                ));
            }
        }
        Ok(())
    }

    #[test]
    fn orders_meant_to_mislead_stay_within_one_percent() {
        let n = 1_000_000_u64;
        let rising: Vec<f64> = (0..n).map(|v| v as f64).collect();
        let falling: Vec<f64> = rising.iter().rev().copied().collect();
        let zigzag: Vec<f64> =
            (0..n).map(|v| if v % 2 == 0 { v as f64 } else { (n - v) as f64 }).collect();
        let saw: Vec<f64> = (0..n).map(|v| (v % 600) as f64).collect();
        let outwards: Vec<f64> =
            (0..n).map(|v| v as f64 * if v % 2 == 0 { 1.0 } else { -1.0 }).collect();
        let two: Vec<f64> = (0..n).map(|v| f64::from(u8::from(v % 3 == 0))).collect();
        let late: Vec<f64> = (0..n).map(|v| if v < n / 2 { 7.0 } else { v as f64 }).collect();
        for (name, values) in [
            ("rising", rising),
            ("falling", falling),
            ("zigzag", zigzag),
            ("saw", saw),
            ("outwards", outwards),
            ("two values", two),
            ("ties, then none", late),
        ] {
            check(&values).unwrap_or_else(|found| panic!("{name}: {found}"));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn quantiles_are_within_one_percent_of_the_rank(
            seed in any::<u64>(), n in 1_usize..60_000, spread in 1_u64..1_000_000, sorted in any::<bool>(),
        ) {
            let mut state = seed | 1;
            let mut values: Vec<f64> = (0..n).map(|_| {
                state ^= state << 13; state ^= state >> 7; state ^= state << 17;
                (state % spread) as f64
            }).collect();
            if sorted { values.sort_unstable_by(f64::total_cmp); }
            prop_assert_eq!(check(&values), Ok(()));
        }
    }

    #[test]
    fn few_values_are_exact_and_none_have_no_quantile() {
        let mut kll = Kll::new();
        assert_eq!(kll.sorted().quantile(0.5), None);
        for value in [3.0, 1.0, 2.0] {
            kll.insert(value);
        }
        let sorted = kll.sorted();
        assert_eq!([0.0, 0.5, 1.0].map(|q| sorted.quantile(q)), [Some(1.0), Some(2.0), Some(3.0)]);
    }
}
