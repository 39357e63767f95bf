//! How long to wait before asking again: growing, scattered, bounded.

use std::time::Duration;

/// Pauses between repetitions of one thing: each is a random part of a bound that doubles.
#[derive(Debug, Clone)]
pub struct Pauses {
    bound: Duration,
    max: Duration,
}

/// The first bound.
const FIRST: Duration = Duration::from_millis(100);
/// The last.
const LAST: Duration = Duration::from_secs(5);

impl Default for Pauses {
    fn default() -> Self {
        Self::between(FIRST, LAST)
    }
}

impl Pauses {
    /// Pauses whose bound grows from `first` to `max`.
    #[must_use]
    pub fn between(first: Duration, max: Duration) -> Self {
        Self { bound: first, max }
    }

    /// The next pause: between half of the bound and the bound, so that many clients do not come
    /// back at once and none comes back at once.
    pub fn pause(&mut self) -> Duration {
        let pause = self.bound.mul_f64(0.5 + rand::random::<f64>() / 2.0);
        self.bound = (self.bound * 2).min(self.max);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_bound_and_no_further() {
        let (first, max) = (Duration::from_millis(10), Duration::from_millis(100));
        let mut pauses = Pauses::between(first, max);
        let all: Vec<_> = (0..20).map(|_| pauses.pause()).collect();
        assert!(all.iter().all(|pause| *pause >= first / 2 && *pause <= max), "{all:?}");
        assert!(all[10..].iter().all(|pause| *pause >= max / 2), "{all:?}");
    }
}
