//! starts: a rate over all users of a queue, where a store has several partitions and none of them sees
//! the others. The pool of the queue keeps the one rate and grants starts to partitions; what a partition
//! has been granted and has not used is in its hand.
//!
//! A partition counts its starts for ever, and may go on to a mark that it was told under a number. So
//! what is said late, twice or never cannot give it a start twice: see `permits`, whose numbers these
//! are. More is granted before the partition is told; less is taken back after it has agreed.
//!
//! What always holds: at any time the rate, kept by what has really started, would let everything start
//! that may be started by hands. For that the pool takes what is in hands as not started yet, and counts
//! a start when it hears of it, which is never before it was. A start may be granted for a time to come:
//! when all that is in hands before it could have been started, and the rate goes on. Times to come are
//! told as durations, so that no two clocks are compared. Knows no store and no clock.

use std::collections::BTreeMap;

use super::gcra::Rate;
use super::permits::Asked;

/// How far ahead starts are granted, ms: what a partition uses until somebody balances again. What is
/// granted together for a time to come may start at the end of it.
pub const AHEAD_MS: i64 = 100;
/// What a partition may start at once and does not start for so long, while others wait, is given to
/// others, ms.
pub const HELD_MS: i64 = 2_000;
/// As many starts as there are go to those who wait; of more the half, so that the next who comes finds
/// some.
const AT_ONCE: u64 = 16;
/// Microseconds of a millisecond.
const US: i64 = 1_000;

/// Up to which start a partition may go, counted from its first, and the number under which it was told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mark {
    /// The start.
    pub n: u64,
    /// The number: it rises with every mark that is higher.
    pub v: u64,
}

/// What a partition is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// The start up to which it may go. Without one only the number rises, so that nothing older can
    /// reach it any more, and what was for a time to come is gone.
    pub n: Option<u64>,
    /// The number.
    pub v: u64,
    /// In how many ms what is more than before may start.
    pub in_ms: u64,
    /// What it is asked to say.
    pub asked: Asked,
}

/// What a partition knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hand {
    /// Tasks that have started since it began to count.
    pub started: u64,
    /// Its mark.
    pub mark: Mark,
    /// How far it may go before a lease time, in ms, at which it may go on to its mark.
    pub until: Option<(u64, i64)>,
    /// What it is asked to say.
    pub asked: Asked,
}

impl Hand {
    /// Up to which start it may go now.
    #[must_use]
    pub fn limit(&self, lt_ms: i64) -> u64 {
        match self.until {
            Some((n, at_ms)) if lt_ms < at_ms => n.min(self.mark.n),
            _ => self.mark.n,
        }
    }

    /// How many tasks may start now.
    #[must_use]
    pub fn room(&self, lt_ms: i64) -> u64 {
        self.limit(lt_ms).saturating_sub(self.started)
    }

    /// Takes what it is told: what is older than what it knows it ignores, and under the number that it
    /// knows it only takes less.
    pub fn tell(&mut self, told: Told, lt_ms: i64) {
        let Told { n, v, in_ms, asked } = told;
        if v < self.mark.v {
            return;
        }
        self.asked = asked;
        if v == self.mark.v {
            self.mark.n = n.map_or(self.mark.n, |n| n.min(self.mark.n));
            return;
        }
        let limit = self.limit(lt_ms);
        self.until = match n {
            Some(n) if in_ms > 0 => Some((limit.min(n), lt_ms.saturating_add_unsigned(in_ms))),
            _ => None,
        };
        self.mark = Mark { n: n.unwrap_or(limit), v };
    }

    /// Another rate: what was granted by the former one is gone.
    pub fn begin_anew(&mut self) {
        self.mark.n = self.mark.n.min(self.started);
        self.until = None;
    }
}

/// A partition, as somebody saw it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// Tasks that have started.
    pub started: u64,
    /// Its mark.
    pub mark: Mark,
    /// Users with work there that nothing else keeps from starting.
    pub waiting: u64,
    /// What it was asked to say.
    pub asked: Asked,
}

impl Seen {
    /// The last start that may come until it is told more.
    #[must_use]
    pub fn keeps(&self) -> u64 {
        self.mark.n.max(self.started)
    }
}

/// What is granted to a partition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Grant {
    /// Its mark.
    pub mark: Mark,
    /// Tasks of it that are known to have started.
    pub used: u64,
    /// From when on all that it has may start, and when last one did, µs of the pool's clock. 0 where
    /// it was granted by a former rate: that is taken back.
    pub at_us: i64,
}

impl Grant {
    /// Starts that it has.
    #[must_use]
    pub fn in_hand(&self) -> u64 {
        self.mark.n.saturating_sub(self.used)
    }

    /// Those of them that it is to keep.
    fn kept(&self) -> u64 {
        if self.at_us == 0 { 0 } else { self.in_hand() }
    }
}

/// More that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Raise {
    /// The partition.
    pub p: u16,
    /// How many starts more.
    pub by: u64,
    /// The number it was seen under.
    pub v: u64,
}

/// What is granted to partitions, by their number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pool {
    /// The version of what is set of queues by which it grants. Who knows another grants nothing.
    pub version: u64,
    /// What one task takes by the rate of that version, µs.
    pub emission_us: i64,
    /// When all that is known to have started is made up for, µs of the pool's clock.
    pub full_us: i64,
    /// Grants.
    pub grants: BTreeMap<u16, Grant>,
}

impl Pool {
    /// One that is new. Where it follows one that was lost, nothing is left but what is in hands.
    #[must_use]
    pub fn new(
        version: u64,
        rate: Rate,
        now_us: i64,
        seen: &[(u16, Seen)],
        is_first: bool,
    ) -> Self {
        let grant = |(p, seen): &(u16, Seen)| {
            let mark = Mark { n: seen.keeps(), v: seen.mark.v };
            (*p, Grant { mark, used: seen.started, at_us: now_us })
        };
        let grants = seen.iter().map(grant).collect();
        let mut pool = Self { version, emission_us: rate.emission_us(), full_us: 0, grants };
        if !is_first {
            let left = u64::from(rate.burst).saturating_sub(pool.out());
            pool.full_us = now_us.saturating_add(rate.time_us(left));
        }
        pool
    }

    /// What is granted to a partition.
    #[must_use]
    pub fn of(&self, p: u16) -> Grant {
        self.grants.get(&p).copied().unwrap_or_default()
    }

    /// What is in hands.
    #[must_use]
    pub fn out(&self) -> u64 {
        self.grants.values().map(Grant::in_hand).sum()
    }

    /// From now on it grants by `version`, if it did by `before`. Answers whether it did. What partitions
    /// that know `version` were seen to have used, they have by the rate before: it is heard of by that
    /// one, and then counts for no more than a burst of the new one makes up for. Whatever may still
    /// reach a hand was granted by that one too, and is taken back.
    pub fn agree(
        &mut self,
        before: u64,
        version: u64,
        rate: Rate,
        now_us: i64,
        seen: &[(u16, Seen)],
    ) -> bool {
        let is_right = self.version == before;
        if is_right {
            self.hear(now_us, seen);
            self.version = version;
            self.emission_us = rate.emission_us();
            self.full_us = self.kept_us(rate, now_us);
            for grant in self.grants.values_mut().filter(|grant| grant.in_hand() > 0) {
                grant.at_us = 0;
            }
        }
        is_right
    }

    /// What partitions were seen to have used, and not to have any more.
    pub fn hear(&mut self, now_us: i64, seen: &[(u16, Seen)]) {
        for (p, seen) in seen {
            let grant = self.grants.entry(*p).or_default();
            let started = if seen.mark.v > grant.mark.v {
                // Of another life of the partition, or of the pool: what was in its hand has started, for
                // all that is known.
                let lost = grant.in_hand();
                let mark = Mark { n: seen.keeps(), v: seen.mark.v };
                *grant = Grant { mark, used: seen.started, at_us: now_us };
                lost
            } else if seen.mark.v == grant.mark.v {
                let more = seen.started.saturating_sub(grant.used);
                grant.used += more;
                if more > 0 && grant.at_us > 0 {
                    grant.at_us = grant.at_us.max(now_us);
                }
                grant.mark.n = grant.mark.n.min(seen.keeps());
                more
            } else {
                // It was not told yet, or was seen in an earlier life.
                0
            };
            if started > 0 {
                let time_us = times(self.emission_us, started);
                self.full_us = self.full_us.max(now_us).saturating_add(time_us);
            }
        }
    }

    /// How many starts could be in hands, each for a time until `by_us`.
    #[must_use]
    pub fn most(&self, rate: Rate, now_us: i64, by_us: i64) -> u64 {
        let ahead_us = (rate.kept_us(self.full_us, now_us) - by_us).max(0);
        let taken = (ahead_us + rate.emission_us() - 1) / rate.emission_us();
        u64::from(rate.burst).saturating_sub(taken.unsigned_abs())
    }

    /// When one more may start than is in hands, µs.
    #[must_use]
    pub fn next_us(&self, rate: Rate, now_us: i64) -> i64 {
        let rest = u64::from(rate.burst).saturating_sub(self.out() + 1);
        self.kept_us(rate, now_us).saturating_sub(rate.time_us(rest)).max(now_us)
    }

    fn kept_us(&self, rate: Rate, now_us: i64) -> i64 {
        rate.kept_us(self.full_us, now_us)
    }

    /// Grants more, as far as the rate goes; answers what each partition is to be told.
    pub fn raise(
        &mut self,
        version: u64,
        rate: Rate,
        now_us: i64,
        raises: &[Raise],
    ) -> Vec<Option<Told>> {
        let mut told = Vec::new();
        if self.version == version {
            self.full_us = self.kept_us(rate, now_us);
        }
        for raise in raises {
            let grant = self.of(raise.p);
            // One that has something for a time to come gets no more until then.
            let is_to_come = grant.in_hand() > 0 && grant.at_us > now_us;
            if self.version != version || grant.mark.v != raise.v || is_to_come {
                told.push(None);
                continue;
            }
            let out = self.out();
            let most = self.most(rate, now_us, now_us.saturating_add(AHEAD_MS * US));
            let mut by = raise.by.min(most.saturating_sub(out));
            if by == 0 && out == 0 && raise.by > 0 {
                // Somebody has to know when the next may start.
                by = 1;
            }
            if by == 0 {
                told.push(None);
                continue;
            }
            let rest = u64::from(rate.burst).saturating_sub(out + by);
            let at_us = rate.kept_us(self.full_us, now_us).saturating_sub(rate.time_us(rest));
            let at_us = at_us.max(now_us);
            let mark = Mark { n: grant.mark.n.max(grant.used) + by, v: grant.mark.v + 1 };
            self.grants.insert(raise.p, Grant { mark, at_us, ..grant });
            let in_ms = ms_until(at_us, now_us);
            told.push(Some(Told { n: Some(mark.n), v: mark.v, in_ms, asked: Asked::default() }));
        }
        told
    }
}

impl Rate {
    /// What so many tasks take, µs.
    fn time_us(&self, tasks: u64) -> i64 {
        times(self.emission_us(), tasks)
    }

    /// When all is made up for, not further ahead than a burst goes: what was kept may be of another rate
    /// or another clock.
    fn kept_us(&self, full_us: i64, now_us: i64) -> i64 {
        full_us.min(now_us.saturating_add(self.time_us(u64::from(self.burst))))
    }
}

fn times(us: i64, tasks: u64) -> i64 {
    us.saturating_mul(i64::try_from(tasks).unwrap_or(i64::MAX))
}

/// In how many ms a time is, rounded up.
#[must_use]
pub fn ms_until(at_us: i64, now_us: i64) -> u64 {
    at_us.saturating_sub(now_us).max(0).unsigned_abs().div_ceil(US.unsigned_abs())
}

/// Partitions that were seen, with their numbers.
#[must_use]
pub fn numbered(seen: &[Option<Seen>]) -> Vec<(u16, Seen)> {
    (0_u16..).zip(seen).filter_map(|(p, seen)| Some((p, (*seen)?))).collect()
}

/// How many starts each partition should have in its hand. `pool` has heard of what was `seen`.
///
/// Those with users who wait have shares by how many those are. What they have of that they keep, and what
/// is free goes to those who have less. Those without keep what they have until somebody is short of it.
#[must_use]
pub fn targets(pool: &Pool, rate: Rate, now_us: i64, seen: &[Option<Seen>]) -> Vec<u64> {
    let out = pool.out();
    let most = pool.most(rate, now_us, now_us.saturating_add(AHEAD_MS * US)).max(out);
    // Somebody has to know when the next may start.
    let most = most.max(1);
    let weights: u64 = seen.iter().flatten().map(|seen| seen.waiting).sum();
    let mut targets = vec![0; seen.len()];
    for (p, _) in numbered(seen) {
        targets[usize::from(p)] = pool.of(p).kept();
    }
    if weights == 0 {
        return targets;
    }
    let share = |waiting: u64| u128::from(most) * u128::from(waiting);
    let ceiled = |waiting: u64| {
        u64::try_from(share(waiting).div_ceil(u128::from(weights))).unwrap_or(u64::MAX)
    };
    let is_short =
        numbered(seen).iter().any(|(p, seen)| seen.waiting > 0 && targets[usize::from(*p)] == 0);
    let is_held = |p: u16| now_us.saturating_sub(pool.of(p).at_us) > HELD_MS * US;
    let (mut held, mut is_scarce) = (vec![false; seen.len()], false);
    if is_short {
        for (p, seen) in numbered(seen).into_iter().filter(|(_, seen)| seen.waiting > 0) {
            let at = usize::from(p);
            // Whatever it is that keeps it from starting them, others might.
            held[at] = targets[at] > 0 && is_held(p);
            targets[at] = if held[at] { 0 } else { targets[at].min(ceiled(seen.waiting)) };
        }
        is_scarce = most <= targets.iter().sum::<u64>();
    }
    if is_scarce {
        for (p, _) in numbered(seen).iter().filter(|(_, seen)| seen.waiting == 0) {
            targets[usize::from(*p)] = 0;
        }
    }
    let free = most.saturating_sub(targets.iter().sum());
    let give = free.min(AT_ONCE.max(free.div_ceil(2)));
    let next_us = pool.next_us(rate, now_us);
    let lacks = |(p, seen): (u16, Seen)| {
        let has = u128::from(targets[usize::from(p)]) * u128::from(weights);
        let age_us = next_us.saturating_sub(pool.of(p).at_us).max(rate.emission_us());
        (usize::from(p), share(seen.waiting).saturating_sub(has), age_us.unsigned_abs())
    };
    let lacks = numbered(seen).into_iter().map(lacks);
    let lacks: Vec<_> = lacks.filter(|(p, lack, _)| *lack > 0 && !held[*p]).collect();
    for (p, more) in divided(give, &lacks) {
        targets[p] += more;
    }
    targets
}

/// So many starts for those who lack some: number, how much, and for how long none will have been granted
/// to them when the next is due.
/// Whole parts first; what is left goes to those first who lack most and have waited longest, so that
/// everybody's time comes.
fn divided(give: u64, lacks: &[(usize, u128, u64)]) -> Vec<(usize, u64)> {
    let sum: u128 = lacks.iter().map(|(_, lack, _)| lack).sum();
    if sum == 0 {
        return Vec::new();
    }
    let whole = |lack: u128| u64::try_from(u128::from(give) * lack / sum).unwrap_or(give);
    let mut parts: Vec<_> = lacks.iter().map(|(p, lack, _)| (*p, whole(*lack))).collect();
    let left = give.saturating_sub(parts.iter().map(|(_, part)| part).sum());
    let mut order: Vec<usize> = (0..lacks.len()).collect();
    order.sort_by_key(|at| {
        let (_, lack, age_us) = lacks[*at];
        std::cmp::Reverse(lack.saturating_mul(u128::from(age_us)))
    });
    for (at, _) in order.into_iter().zip(0..left) {
        parts[at].1 += 1;
    }
    parts
}

/// What each partition is asked to say: when a task starts, since a start counts from when it is heard
/// of; and not that it has nothing, if that is known.
#[must_use]
pub fn asked(seen: &[Option<Seen>], targets: &[u64]) -> Vec<Asked> {
    let one = |(seen, target): (&Option<Seen>, &u64)| Asked {
        ends: *target > 0,
        quiet: *target == 0 && seen.is_some_and(|seen| seen.waiting > 0),
    };
    seen.iter().zip(targets).map(one).collect()
}

/// What partitions are told before anything more is granted: that they have less, or what was granted to
/// them and never told; and what they are asked to say. `pool` has heard of what was `seen`.
#[must_use]
pub fn tells(pool: &Pool, now_us: i64, seen: &[Option<Seen>], targets: &[u64]) -> Vec<(u16, Told)> {
    let asked = asked(seen, targets);
    let told = |(p, seen): (u16, Seen)| {
        let (grant, target) = (pool.of(p), targets[usize::from(p)]);
        let asked = asked[usize::from(p)];
        let n = grant.mark.n.min(seen.started.saturating_add(target.min(grant.kept())));
        // One that is to have more is told so when it is granted.
        let is_asked = asked == seen.asked || target > grant.kept();
        let is_told =
            seen.mark.v >= grant.mark.v && seen.keeps() <= n.max(seen.started) && is_asked;
        let in_ms = ms_until(grant.at_us, now_us);
        (!is_told).then_some((p, Told { n: Some(n), v: grant.mark.v, in_ms, asked }))
    };
    numbered(seen).into_iter().filter_map(told).collect()
}

/// What partitions lack.
#[must_use]
pub fn raises(seen: &[Option<Seen>], targets: &[u64]) -> Vec<Raise> {
    let lacks = |(p, seen): (u16, Seen)| {
        let has = seen.mark.n.saturating_sub(seen.started);
        let by = targets[usize::from(p)].saturating_sub(has);
        (by > 0).then_some(Raise { p, by, v: seen.mark.v })
    };
    numbered(seen).into_iter().filter_map(lacks).collect()
}

#[cfg(test)]
mod tests;
