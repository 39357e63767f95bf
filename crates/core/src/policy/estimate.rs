//! When a waiting task will probably start: a range of time, from when the user's own tasks of that
//! line started lately. Those starts already contain everything that decides about it (turns,
//! weights, limits, how many workers there are), so none of that is modelled here. Knows no clock
//! and no store.
//!
//! A task with `n` of its user's tasks before it starts with the `n + 1`st start from now. The times
//! between starts are laid end to end as often as needed; every place in them that could be the
//! present one (the line has been waiting for this long since its last start) gives one answer, and
//! the answers are a distribution. It is widened by what a short history cannot know: the error of
//! its mean, and a drift of the rate.

/// How often a true start lies inside the range: half of the misses on either side.
pub const PROBABILITY: f64 = 0.8;
/// Starts that followed another one while somebody waited, below which nothing is said.
pub const STARTS_MIN: usize = 8;
/// Starts looked at, the newest.
pub const STARTS_MAX: usize = 64;
/// Starts further back are another time.
pub const START_FRESH_MS: i64 = 6 * 3_600_000;
/// Gaps of a size that counts, below which nothing is said: sixteen starts at once and sixteen more
/// ten seconds later are thirty-two starts and one gap.
const GAPS_MIN: usize = 3;
/// A line that waits for this many times its longest gap, and [`STILL_MS_MIN`], stands still.
const STILL_FACTOR: i64 = 3;
/// How long a line may wait for its next start before it can be said to stand still, ms.
const STILL_MS_MIN: i64 = 5_000;
/// Places in the history that must fit the present one before only these are asked.
const PLACES_MIN: usize = 2;
/// Where a tenth of a normal distribution lies outside, in standard deviations.
const Z: f64 = 1.281_55;
/// How much a rate is taken to drift while one waits as long as the history is: one standard
/// deviation, as a part of it. What the history itself shows is added.
const DRIFT: f64 = 0.15;
/// The least of it.
const DRIFT_MIN: f64 = 0.03;
/// The drift grows with the root of the way; of this many histories' length, no more.
const FAR_MAX: f64 = 1.5;
/// By how many standard deviations the newer half of a history differs from the older one where the
/// older one is another time.
const CHANGE: f64 = 3.0;
/// Parts of a history whose sums are compared to find how sums scatter.
const BLOCKS: usize = 4;
/// What any answer may be off, ms: workers are woken, reports travel.
const SLACK_MS: f64 = 50.0;

/// One start of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// When, wall clock, ms.
    pub at_ms: i64,
    /// Since when it had been in its line, ms.
    pub entered_ms: i64,
}

/// A place in a line, and what is known of how that line moves.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// Starts of the user's tasks in this line, oldest first.
    pub starts: &'a [Start],
    /// Tasks of the user before the one in question, at least and at most.
    pub ahead: (u32, u32),
    /// Since when the first of the line has been in it, ms.
    pub head_since_ms: i64,
    /// Wall clock, ms.
    pub now_ms: i64,
}

/// How long it will take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Estimate {
    /// Probably ([`PROBABILITY`]) between these many ms from now.
    Range {
        /// At least.
        from_ms: u64,
        /// At most.
        to_ms: u64,
    },
    /// Too few starts of late: so many of [`STARTS_MIN`].
    FewStarts(u32),
    /// Nothing has started for so many ms, much longer than before.
    Still(u64),
}

/// When the task will start.
#[must_use]
pub fn estimate(line: &Line<'_>) -> Estimate {
    let fresh = line.starts.iter().filter(|start| start.at_ms >= line.now_ms - START_FRESH_MS);
    let starts: Vec<Start> = fresh.copied().collect();
    let starts = &starts[starts.len().saturating_sub(STARTS_MAX)..];
    let last_ms = starts.last().map_or(i64::MIN, |start| start.at_ms);
    let quiet_ms = (line.now_ms - last_ms.max(line.head_since_ms)).max(0);
    let Gaps { busy, lone } = gaps(starts);

    // Who comes to an empty line waits as others did who came to an empty one.
    let is_lone = line.ahead.1 == 0 && line.head_since_ms > last_ms && lone.len() >= STARTS_MIN;
    let known = if is_lone { lone } else { busy };
    let known = since_the_last_change(&known);
    if known.len() < STARTS_MIN {
        return Estimate::FewStarts(u32::try_from(known.len()).unwrap_or(0));
    }
    let longest = known.iter().copied().max().unwrap_or(0);
    if quiet_ms > STILL_MS_MIN.max(STILL_FACTOR.saturating_mul(longest)) {
        return Estimate::Still(quiet_ms.unsigned_abs());
    }
    let mean = mean(known);
    let counts = known.iter().filter(|gap| **gap as f64 > mean / 2.0).count();
    if !is_lone && counts < GAPS_MIN && mean > SLACK_MS {
        let few = known.len().min(STARTS_MIN - 1);
        return Estimate::FewStarts(u32::try_from(few).unwrap_or(0));
    }
    let (from, _) = range(known, line.ahead.0, quiet_ms, mean);
    let (_, to) = range(known, line.ahead.1, quiet_ms, mean);
    Estimate::Range { from_ms: whole(from), to_ms: whole(to.max(from)) }
}

struct Gaps {
    /// Between starts, while somebody waited all the time.
    busy: Vec<i64>,
    /// How long who came to an empty line was its first.
    lone: Vec<i64>,
}

fn gaps(starts: &[Start]) -> Gaps {
    let mut gaps = Gaps { busy: Vec::new(), lone: Vec::new() };
    for pair in starts.windows(2) {
        let (before, start) = (pair[0], pair[1]);
        if start.entered_ms <= before.at_ms {
            gaps.busy.push((start.at_ms - before.at_ms).max(0));
        } else {
            gaps.lone.push((start.at_ms - start.entered_ms).max(0));
        }
    }
    gaps
}

/// The newest gaps: where their newer half plainly has another mean than the older one, that alone,
/// and so on.
fn since_the_last_change(gaps: &[i64]) -> &[i64] {
    let mut known = gaps;
    while known.len() >= 2 * STARTS_MIN {
        let (older, newer) = known.split_at(known.len() / 2);
        let (a, b) = (mean(older), mean(newer));
        // Variances of the two means; blocks, because gaps come in bunches.
        let noise = (a * a * scatter(older, a) / older.len() as f64)
            + (b * b * scatter(newer, b) / newer.len() as f64);
        if (a - b).abs() <= CHANGE * noise.sqrt() + SLACK_MS {
            break;
        }
        known = newer;
    }
    known
}

/// 10 % and 90 % of the time to the `ahead + 1`st start, in ms from now.
fn range(known: &[i64], ahead: u32, quiet_ms: i64, mean: f64) -> (f64, f64) {
    let count = known.len();
    let laid = Laid::of(known);
    let fits = |from: &usize| known[*from] >= quiet_ms;
    let mut waits: Vec<f64> = (0..count)
        .filter(fits)
        .map(|from| (known[from] - quiet_ms) as f64 + laid.sum(from + 1, ahead))
        .collect();
    if waits.len() < PLACES_MIN {
        // Hardly ever waited as long: then the next start is as far as from anywhere.
        waits.extend((0..count).map(|from| laid.sum(from, ahead + 1)));
    }
    waits.sort_by(f64::total_cmp);
    let at = |part: f64| quantile(&waits, part);
    let middle = at(0.5);

    let steps = f64::from(ahead) + 1.0;
    let scatter = scatter(known, mean);
    // The history laid end to end repeats itself: it scatters less than it should over long ways.
    let own = if steps > count as f64 / 2.0 { Z * mean * (steps * scatter).sqrt() } else { 0.0 };
    let of_mean = steps * steps * scatter / count as f64;
    let (older, newer) = known.split_at(count / 2);
    let seen = (self::mean(older) - self::mean(newer)).abs() / mean.max(1.0);
    let far = (steps / count as f64).sqrt().min(FAR_MAX);
    let of_drift = (DRIFT_MIN.max((DRIFT + seen) * far) * steps).powi(2);
    // A rate is off by a factor: half as many workers are twice the wait.
    let off = Z * (of_mean + of_drift).sqrt() / steps;
    let (sooner, later) = (1.0 - (-off).exp(), off.exp() - 1.0);
    let way = mean * steps;
    let below = (middle - at((1.0 - PROBABILITY) / 2.0)).max(own).hypot(way * sooner) + SLACK_MS;
    let above = (at((1.0 + PROBABILITY) / 2.0) - middle).max(own).hypot(way * later) + SLACK_MS;
    ((middle - below).max(0.0), middle + above)
}

/// Gaps laid end to end for ever, with their sums.
struct Laid {
    /// `sums[n]`: of the first `n` of two rounds.
    sums: Vec<f64>,
    count: usize,
}

impl Laid {
    fn of(gaps: &[i64]) -> Self {
        let mut sums = vec![0.0];
        let mut sum = 0.0;
        for gap in gaps.iter().chain(gaps) {
            sum += *gap as f64;
            sums.push(sum);
        }
        Self { sums, count: gaps.len() }
    }

    /// The sum of `many` gaps from the one numbered `from`.
    fn sum(&self, from: usize, many: u32) -> f64 {
        let (from, many) = (from % self.count, many as usize);
        let rounds = (many / self.count) as f64 * self.sums[self.count];
        rounds + self.sums[from + many % self.count] - self.sums[from]
    }
}

fn mean(gaps: &[i64]) -> f64 {
    gaps.iter().map(|gap| *gap as f64).sum::<f64>() / (gaps.len().max(1)) as f64
}

/// The variance of a sum of gaps per gap, as a part of the square of their mean. From sums of
/// neighbours: single gaps scatter more than their sums where starts come in bunches, and less where
/// long ones follow each other.
fn scatter(gaps: &[i64], mean: f64) -> f64 {
    if mean <= 0.0 {
        return 0.0;
    }
    let block = (gaps.len() / BLOCKS).max(1);
    let laid = Laid::of(gaps);
    let width = u32::try_from(block).unwrap_or(1);
    let wanted = mean * block as f64;
    let squares: f64 = (0..gaps.len()).map(|from| (laid.sum(from, width) - wanted).powi(2)).sum();
    let freedom = (gaps.len() - block).max(1) as f64;
    squares / freedom / block as f64 / (mean * mean)
}

fn quantile(sorted: &[f64], part: f64) -> f64 {
    let at = part * (sorted.len() - 1) as f64;
    let (below, above) = (at.floor(), at.ceil());
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index: between 0 and the length"
    )]
    let value = |index: f64| sorted[index as usize];
    value(below) + (value(above) - value(below)) * (at - below)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a time from now in ms, not negative; too long a one saturates"
)]
fn whole(ms: f64) -> u64 {
    ms.round().max(0.0) as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW_MS: i64 = 1_700_000_000_000;

    /// Starts of a line in which somebody has always waited, the last one `quiet` ms ago.
    fn busy(gaps: &[i64], quiet: i64) -> Vec<Start> {
        let mut at_ms = NOW_MS - quiet - gaps.iter().sum::<i64>();
        let entered_ms = at_ms - 1;
        let mut starts = vec![Start { at_ms, entered_ms }];
        for gap in gaps {
            at_ms += gap;
            starts.push(Start { at_ms, entered_ms });
        }
        starts
    }

    fn ask(starts: &[Start], ahead: (u32, u32)) -> Estimate {
        let head_since_ms = starts.first().map_or(0, |start| start.entered_ms);
        estimate(&Line { starts, ahead, head_since_ms, now_ms: NOW_MS })
    }

    fn bounds(estimate: Estimate) -> (u64, u64) {
        let Estimate::Range { from_ms, to_ms } = estimate else { panic!("{estimate:?}") };
        (from_ms, to_ms)
    }

    fn some_gaps() -> impl Strategy<Value = Vec<i64>> {
        prop::collection::vec(200..20_000_i64, STARTS_MIN..STARTS_MAX)
    }

    proptest! {
        #[test]
        fn any_history_gives_an_answer_and_a_range_has_its_ends_in_order(
            times in prop::collection::vec((0..40_000_000_i64, 0..90_000_i64), 0..90),
            ahead in 0..20_000_u32, more in 0..100_u32, head in 0..100_000_i64,
        ) {
            let mut starts: Vec<Start> = times
                .into_iter()
                .map(|(ago, wait)| Start { at_ms: NOW_MS - ago, entered_ms: NOW_MS - ago - wait })
                .collect();
            starts.sort_by_key(|start| start.at_ms);
            let line = Line {
                starts: &starts,
                ahead: (ahead, ahead + more),
                head_since_ms: NOW_MS - head,
                now_ms: NOW_MS,
            };
            match estimate(&line) {
                Estimate::Range { from_ms, to_ms } => prop_assert!(from_ms <= to_ms),
                Estimate::FewStarts(few) => prop_assert!((few as usize) < STARTS_MIN),
                Estimate::Still(ms) => prop_assert!(ms >= STILL_MS_MIN.unsigned_abs()),
            }
        }

        #[test]
        fn whoever_is_further_back_starts_no_earlier(gaps in some_gaps(), ahead in 0..500_u32) {
            let starts = busy(&gaps, 0);
            let (near, far) = (ask(&starts, (ahead, ahead)), ask(&starts, (ahead * 2 + 1, ahead * 2 + 1)));
            prop_assume!(matches!(near, Estimate::Range { .. }));
            prop_assert!(bounds(near).1 <= bounds(far).1);
        }

        #[test]
        fn a_range_of_places_gives_a_range_at_least_as_wide(
            gaps in some_gaps(), least in 0..300_u32, more in 0..300_u32,
        ) {
            let starts = busy(&gaps, 0);
            let both = ask(&starts, (least, least + more));
            prop_assume!(matches!(both, Estimate::Range { .. }));
            let (first, last) = (ask(&starts, (least, least)), ask(&starts, (least + more, least + more)));
            prop_assert_eq!(bounds(both).0, bounds(first).0);
            prop_assert!(bounds(both).1 >= bounds(last).1.max(bounds(both).0));
        }

        #[test]
        fn a_line_twice_as_slow_takes_twice_as_long(gaps in some_gaps(), ahead in 5..200_u32) {
            let slow: Vec<i64> = gaps.iter().map(|gap| gap * 2).collect();
            // What a change is depends on a slack in ms too: only the same history is comparable.
            let same = since_the_last_change(&gaps).len() == since_the_last_change(&slow).len();
            prop_assume!(same);
            let (quick, slow) = (ask(&busy(&gaps, 0), (ahead, ahead)), ask(&busy(&slow, 0), (ahead, ahead)));
            prop_assume!(matches!((quick, slow), (Estimate::Range { .. }, Estimate::Range { .. })));
            let (quick, slow) = (bounds(quick).1 as f64, bounds(slow).1 as f64);
            prop_assert!((slow / quick - 2.0).abs() < 0.2, "{quick} {slow}");
        }
    }

    #[test]
    fn an_even_line_is_foretold_closely() {
        let (from, to) = bounds(ask(&busy(&[2_000; 40], 500), (9, 9)));
        assert!(from > 17_000 && to < 22_000 && from < 19_500 && to > 19_500, "{from} to {to}");
    }

    #[test]
    fn scattered_gaps_make_a_wider_range_than_even_ones() {
        let scattered: Vec<i64> =
            (0..40).map(|n| if n % 5 == n % 3 { 7_000 } else { 500 }).collect();
        let even = vec![scattered.iter().sum::<i64>() / 40; 40];
        let width = |gaps: &[i64]| {
            let (from, to) = bounds(ask(&busy(gaps, 0), (4, 4)));
            to - from
        };
        assert!(width(&scattered) > 2 * width(&even));
    }

    #[test]
    fn too_few_starts_say_nothing() {
        assert_eq!(ask(&[], (0, 0)), Estimate::FewStarts(0));
        assert_eq!(ask(&busy(&[1_000; STARTS_MIN - 1], 0), (0, 0)), Estimate::FewStarts(7));
        let old: Vec<Start> = busy(&[1_000; 40], START_FRESH_MS + 1);
        assert_eq!(ask(&old, (0, 0)), Estimate::FewStarts(0));
    }

    #[test]
    fn starts_that_found_the_line_empty_say_nothing_about_a_line_that_is_not() {
        let lone: Vec<Start> = (0..40)
            .map(|n| NOW_MS - 400_000 + n * 10_000)
            .map(|at_ms| Start { at_ms, entered_ms: at_ms - 5 })
            .collect();
        assert_eq!(ask(&lone, (50, 50)), Estimate::FewStarts(0));
        // But who comes to an empty line may know how they fared.
        let line = Line { starts: &lone, ahead: (0, 0), head_since_ms: NOW_MS, now_ms: NOW_MS };
        assert!(bounds(estimate(&line)).1 < 1_000);
    }

    #[test]
    fn sixteen_at_once_are_one_gap() {
        let mut gaps = vec![0; 15];
        assert_eq!(
            ask(&busy(&[vec![10_000], gaps.clone()].concat(), 2_000), (20, 20)),
            Estimate::FewStarts(7)
        );
        for _ in 0..3 {
            gaps.push(10_000);
            gaps.extend([0; 15]);
        }
        // Two more rounds have to go by, and this one has two seconds behind it.
        let (from, to) = bounds(ask(&busy(&gaps, 2_000), (20, 20)));
        assert!(from < 18_000 && to > 18_000 && to < 40_000, "{from} to {to}");
    }

    #[test]
    fn a_line_that_stands_still_is_said_to() {
        let starts = busy(&[2_000; 20], 60_000);
        assert_eq!(ask(&starts, (3, 3)), Estimate::Still(60_000));
        assert!(matches!(ask(&busy(&[2_000; 20], 3_000), (3, 3)), Estimate::Range { .. }));
    }

    #[test]
    fn after_a_change_of_pace_only_the_new_one_counts() {
        let gaps = [vec![10_000; 31], vec![1_000; 31]].concat();
        let (_, to) = bounds(ask(&busy(&gaps, 0), (20, 20)));
        assert!(to < 40_000, "{to}");
    }
}
