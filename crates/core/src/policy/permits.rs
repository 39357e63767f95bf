//! permits: a limit on what runs in a queue over all users, where a store has several partitions and
//! none of them sees the others. The pool of the queue grants permits to partitions; a partition has
//! what it was last told, its allowance, and starts tasks only while fewer run than that.
//!
//! What always holds: a partition's allowance is never above what the pool has granted it under the
//! same number or a later one, and grants together are never above the limit, but for tasks that
//! already run. More is granted before the partition is told; less is granted after the partition has
//! agreed. So whoever balances may be slow, die half way or not be alone: permits may be idle for a
//! while, and never are there too many. Knows no store and no clock.

use std::collections::BTreeMap;

/// So many permits, under a number that rises with every grant that is higher.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allowance {
    /// Tasks that may run.
    pub n: u32,
    /// The number.
    pub v: u64,
}

impl Allowance {
    /// What a partition has when it is told `n` under `v`: what is older than what it knows it ignores,
    /// and under the number that it knows it only takes less. Without an `n` only the number rises, so
    /// that nothing older can reach it any more.
    #[must_use]
    pub fn told(self, n: Option<u32>, v: u64) -> Self {
        match v.cmp(&self.v) {
            std::cmp::Ordering::Less => self,
            std::cmp::Ordering::Equal => Self { n: n.unwrap_or(self.n).min(self.n), v },
            std::cmp::Ordering::Greater => Self { n: n.unwrap_or(self.n), v },
        }
    }
}

/// A partition, as somebody saw it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// What it was told.
    pub allowance: Allowance,
    /// Tasks that run there.
    pub running: u32,
    /// Users with work there.
    pub waiting: u64,
    /// What it was asked to say.
    pub asked: Asked,
}

/// What a partition is asked to say, beside what it says anyway.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Asked {
    /// When fewer tasks run: others wait for what it leaves.
    pub ends: bool,
    /// Not that it has too few permits: that is known.
    pub quiet: bool,
}

impl Seen {
    /// The most that may run there until it is told more: nothing less may be granted to it.
    #[must_use]
    pub fn keeps(&self) -> u32 {
        self.allowance.n.max(self.running)
    }
}

/// What is granted to partitions, by their number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pool {
    /// The version of what is set of queues by which it grants. Who knows another grants nothing.
    pub version: u64,
    /// Grants.
    pub grants: BTreeMap<u16, Allowance>,
}

/// A higher grant that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Raise {
    /// The partition.
    pub p: u16,
    /// How many permits it is to have.
    pub to: u32,
    /// What it has, and the number it was seen under.
    pub seen: Allowance,
}

impl Pool {
    /// What is granted to a partition.
    #[must_use]
    pub fn of(&self, p: u16) -> Allowance {
        self.grants.get(&p).copied().unwrap_or_default()
    }

    /// What is granted in all.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.grants.values().map(|grant| u64::from(grant.n)).sum()
    }

    /// From now on it grants by `version`, if it did by `before`; and it covers what partitions were
    /// seen to have. Answers whether it did.
    pub fn agree(&mut self, before: u64, version: u64, covers: &[(u16, Allowance)]) -> bool {
        if self.version != before {
            return false;
        }
        self.version = version;
        for (p, seen) in covers {
            let grant = self.grants.entry(*p).or_default();
            if seen.v >= grant.v {
                *grant = Allowance { n: grant.n.max(seen.n), v: seen.v };
            }
        }
        true
    }

    /// Takes back what partitions do not have any more, as long as nothing more was granted to them
    /// since.
    pub fn lower(&mut self, lowers: &[(u16, Allowance)]) {
        for (p, to) in lowers {
            if let Some(grant) = self.grants.get_mut(p)
                && grant.v == to.v
            {
                grant.n = grant.n.min(to.n);
            }
        }
    }

    /// Grants more, as far as the limit goes; answers what each partition is to be told.
    pub fn raise(
        &mut self,
        version: u64,
        limit: u32,
        raises: &[Raise],
    ) -> Vec<Option<(u16, Allowance)>> {
        let one = |raise: &Raise| {
            let grant = self.of(raise.p);
            if self.version != version || grant.v != raise.seen.v {
                return None;
            }
            let free = u64::from(limit).saturating_sub(self.sum());
            let most = u64::from(grant.n).saturating_add(free);
            let to = raise.to.min(u32::try_from(most).unwrap_or(u32::MAX));
            if to <= raise.seen.n {
                return None;
            }
            let v = grant.v + 1;
            self.grants.insert(raise.p, Allowance { n: to.max(grant.n), v });
            Some((raise.p, Allowance { n: to, v }))
        };
        raises.iter().map(one).collect()
    }
}

/// What partitions are seen to have above what is granted to them. The pool has lost something, or a
/// limit was set while tasks ran.
#[must_use]
pub fn covers(pool: &Pool, seen: &[Option<Seen>]) -> Vec<(u16, Allowance)> {
    let above = |(p, seen): (u16, Seen)| {
        let (grant, v) = (pool.of(p), seen.allowance.v);
        let n = seen.keeps();
        (v > grant.v || (v == grant.v && n > grant.n)).then_some((p, Allowance { n, v }))
    };
    numbered(seen).filter_map(above).collect()
}

/// What partitions do not have any more of what is granted to them.
#[must_use]
pub fn lowers(pool: &Pool, seen: &[Option<Seen>]) -> Vec<(u16, Allowance)> {
    let below = |(p, seen): (u16, Seen)| {
        let (grant, n) = (pool.of(p), seen.keeps());
        (seen.allowance.v == grant.v && n < grant.n).then_some((p, Allowance { n, v: grant.v }))
    };
    numbered(seen).filter_map(below).collect()
}

/// What partitions lack.
#[must_use]
pub fn raises(seen: &[Option<Seen>], targets: &[u32]) -> Vec<Raise> {
    let lacks = |(p, seen): (u16, Seen)| {
        let to = targets[usize::from(p)];
        (to > seen.allowance.n).then_some(Raise { p, to, seen: seen.allowance })
    };
    numbered(seen).filter_map(lacks).collect()
}

/// What partitions are told before anything more is granted, by number: how many permits they have at
/// most, under which number, and what they are asked to say.
#[must_use]
pub fn tells(pool: &Pool, seen: &[Option<Seen>], targets: &[u32]) -> Vec<(u16, Allowance, Asked)> {
    let asked = asked(seen, targets);
    let told = |(p, seen): (u16, Seen)| {
        let (grant, to) = (pool.of(p), targets[usize::from(p)]);
        let Seen { allowance, asked: before, .. } = seen;
        let asked = asked[usize::from(p)];
        // One that was never told of its grant is told now: whoever granted it may be gone.
        let is_told = allowance.v >= grant.v && allowance.n <= to && asked == before;
        (!is_told).then_some((p, Allowance { n: to.min(grant.n), v: grant.v }, asked))
    };
    numbered(seen).filter_map(told).collect()
}

/// What each partition is asked to say.
#[must_use]
pub fn asked(seen: &[Option<Seen>], targets: &[u32]) -> Vec<Asked> {
    let of = |seen: &Option<Seen>, target: &u32| {
        let Some(seen) = seen else { return (false, false) };
        let is_short = u64::from(target.saturating_sub(seen.running)) < seen.waiting;
        (is_short, seen.running > *target)
    };
    let all: Vec<_> = seen.iter().zip(targets).map(|(seen, target)| of(seen, target)).collect();
    let short = all.iter().filter(|(is_short, _)| *is_short).count();
    let one = |(is_short, is_over): &(bool, bool)| Asked {
        ends: *is_over || short > usize::from(*is_short),
        quiet: *is_short,
    };
    all.iter().map(one).collect()
}

fn numbered(seen: &[Option<Seen>]) -> impl Iterator<Item = (u16, Seen)> {
    (0_u16..).zip(seen).filter_map(|(p, seen)| Some((p, (*seen)?)))
}

/// How many permits each partition should have of a limit. Those with users who wait have shares by
/// how many those are; those without have what they use, up to their share. What nobody needs is spread
/// over all, so that the next task starts at once wherever it comes. What does not divide goes round
/// with `turn`, which rises with time.
#[must_use]
pub fn targets(limit: u32, seen: &[Option<Seen>], turn: u64) -> Vec<u32> {
    let mut targets = vec![0; seen.len()];
    let mut left = limit;
    let mut open: Vec<(usize, u64, Option<u32>)> = Vec::new();
    for (p, seen) in numbered(seen) {
        let p = usize::from(p);
        if seen.waiting > 0 {
            open.push((p, seen.waiting, None));
        } else if seen.running > 0 {
            open.push((p, u64::from(seen.running), Some(seen.running)));
        }
    }
    // Whoever uses less than their share leaves the rest to the others.
    loop {
        let weights: u64 = open.iter().map(|(_, weight, _)| weight).sum();
        let share = |weight: u64| u128::from(left) * u128::from(weight) / u128::from(weights);
        let has_enough = |(_, weight, cap): &(usize, u64, Option<u32>)| {
            cap.is_some_and(|cap| u128::from(cap) <= share(*weight))
        };
        let enough: Vec<_> = open.iter().filter(|one| has_enough(one)).copied().collect();
        if enough.is_empty() {
            break;
        }
        open.retain(|(p, ..)| !enough.iter().any(|(of, ..)| of == p));
        for (p, _, cap) in enough {
            let cap = cap.unwrap_or(0);
            targets[p] = cap;
            left -= cap;
        }
    }
    let weights: Vec<(usize, u64)> = if open.is_empty() {
        numbered(seen).map(|(p, _)| (usize::from(p), 1)).collect()
    } else {
        open.iter().map(|(p, weight, _)| (*p, *weight)).collect()
    };
    for (p, share) in divided(left, &weights, turn) {
        targets[p] += share;
    }
    targets
}

/// These, or less where more is granted than the limit allows, because that was lowered: until so much
/// has ended that it fits, nobody starts anything instead of what ends.
#[must_use]
pub fn fitted(limit: u32, pool: &Pool, seen: &[Option<Seen>], targets: Vec<u32>) -> Vec<u32> {
    let held = |seen: &Seen, target: u32| seen.allowance.n.min(target).max(seen.running);
    let all =
        seen.iter().zip(&targets).filter_map(|(seen, target)| Some((seen.as_ref()?, *target)));
    let held: u64 = all.map(|(seen, target)| u64::from(held(seen, target))).sum();
    if pool.sum() <= u64::from(limit) || held <= u64::from(limit) {
        return targets;
    }
    let running = seen.iter().flatten().map(|seen| u64::from(seen.running)).sum();
    let mut free = u32::try_from(u64::from(limit).saturating_sub(running)).unwrap_or(0);
    if free == 0 {
        return vec![0; targets.len()];
    }
    let fit = |(seen, target): (&Option<Seen>, u32)| {
        let Some(seen) = seen else { return 0 };
        let n = seen.allowance.n.min(target);
        let more = n.saturating_sub(seen.running).min(free);
        free -= more;
        n.min(seen.running + more)
    };
    seen.iter().zip(targets).map(fit).collect()
}

/// 2⁶⁴ divided by the golden ratio: steps of it come round everywhere soon.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// So many permits by weights. Whole parts first; what is left goes to those on whose stretch of a line,
/// as long as the rest of their share, a point falls: the points lie one permit apart, and move with
/// every turn.
fn divided(limit: u32, weights: &[(usize, u64)], turn: u64) -> Vec<(usize, u32)> {
    let sum: u128 = weights.iter().map(|(_, weight)| u128::from(*weight)).sum();
    if sum == 0 {
        return Vec::new();
    }
    let first = (u128::from(turn.wrapping_mul(GOLDEN)) * sum) >> 64;
    let mut at = 0;
    let one = |(p, weight): &(usize, u64)| {
        let whole = u128::from(limit) * u128::from(*weight);
        let (share, rest) = (whole / sum, whole % sum);
        // Points before a place: at first, first + sum, first + 2 sum and so on.
        let points = |place: u128| (place + sum - 1 - first) / sum;
        let more = points(at + rest) - points(at);
        at += rest;
        (*p, u32::try_from(share + more).unwrap_or(u32::MAX))
    };
    weights.iter().map(one).collect()
}

#[cfg(test)]
mod tests;
