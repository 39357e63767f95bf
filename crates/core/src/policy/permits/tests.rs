//! Laws of shares, and the protocol under every disorder.

use proptest::prelude::*;

use super::super::seed::Seed;
use super::*;

fn seen(running: u32, waiting: u64) -> Option<Seen> {
    Some(Seen { running, waiting, ..Seen::default() })
}

proptest! {
    /// Never more than the limit, all of it where somebody waits, and a partition in which nobody waits
    /// has no more than it uses while others wait.
    #[test]
    fn shares_are_within_the_limit_and_leave_nothing_idle_that_somebody_needs(
        limit in 1_u32..200, turn: u64,
        parts in prop::collection::vec(prop::option::of((0_u32..50, 0_u64..30)), 1..17),
    ) {
        let parts: Vec<_> =
            parts.iter().map(|of| of.and_then(|(running, waiting)| seen(running, waiting))).collect();
        let targets = targets(limit, &parts, turn);
        let sum: u64 = targets.iter().map(|n| u64::from(*n)).sum();
        let there = parts.iter().any(Option::is_some);
        prop_assert_eq!(sum, if there { u64::from(limit) } else { 0 });
        let waits = parts.iter().flatten().any(|seen| seen.waiting > 0);
        for (seen, target) in parts.iter().zip(&targets) {
            match seen {
                None => prop_assert_eq!(*target, 0),
                Some(seen) if waits && seen.waiting == 0 => prop_assert!(*target <= seen.running),
                Some(_) => {}
            }
        }
        if waits || !there {
            return Ok(());
        }
        // Nobody waits: what is idle is spread, so that the first task anywhere starts at once.
        let busy: u32 = parts.iter().flatten().map(|seen| seen.running).sum();
        let idle = limit.saturating_sub(busy) as usize;
        if idle >= parts.iter().flatten().count() {
            for (seen, target) in parts.iter().zip(&targets) {
                prop_assert!(seen.is_none_or(|seen| *target > seen.running));
            }
        }
    }

    /// Whatever the weights, everybody gets their turn within so many, and their share over many.
    #[test]
    fn what_does_not_divide_comes_round_to_everybody(
        limit in 1_u32..9, start in 0_u64..4_000_000_000,
        weights in prop::collection::vec(1_u64..6, 2..9),
    ) {
        let parts: Vec<_> = weights.iter().map(|waiting| seen(0, *waiting)).collect();
        let sum: u64 = weights.iter().sum();
        let mut last = vec![start; weights.len()];
        let mut got = vec![0_u64; weights.len()];
        // The golden ratio comes back to a stretch within 2.62 turns for each of its parts.
        const TURNS: u64 = 400;
        for turn in start..start + TURNS {
            for (p, share) in targets(limit, &parts, turn).into_iter().enumerate() {
                got[p] += u64::from(share);
                if share > 0 {
                    last[p] = turn;
                }
                let most = 3 * sum / weights[p] + 3;
                prop_assert!(turn - last[p] <= most, "{p} has waited for {} turns", turn - last[p]);
            }
        }
        for (p, weight) in weights.iter().enumerate() {
            let fair = TURNS * u64::from(limit) * weight / sum;
            prop_assert!(got[p].abs_diff(fair) <= 8 * weights.len() as u64, "{p}: {} of {fair}", got[p]);
        }
    }
}

#[test]
fn those_who_end_and_those_who_are_short_are_asked_for_what_others_need() {
    let parts = [seen(3, 2), seen(0, 1), seen(1, 0), None];
    let asked = asked(&parts, &[1, 1, 1, 0]);
    let says = |ends, quiet| Asked { ends, quiet };
    // The first runs more than its share and is short; the second has room for all who wait.
    assert_eq!(asked, [says(true, true), says(true, false), says(true, false), says(true, false)]);
    let quiet = super::asked(&[seen(1, 0), seen(0, 0)], &[2, 2]);
    assert_eq!(quiet, [Asked::default(); 2]);
}

/// One partition: what it was told, what runs, who waits, and the limit that it knows.
#[derive(Debug, Clone, Copy)]
struct Part {
    allowance: Allowance,
    running: u32,
    waiting: u64,
    asked: Asked,
    set: (u64, Option<u32>),
}

impl Part {
    fn told(&mut self, n: Option<u32>, v: u64, asked: Asked) -> Seen {
        if v >= self.allowance.v {
            self.asked = asked;
        }
        self.allowance = self.allowance.told(n, v);
        self.seen()
    }

    fn seen(&self) -> Seen {
        let Self { allowance, running, waiting, asked, .. } = *self;
        Seen { allowance, running, waiting, asked }
    }

    fn may_start(&self) -> bool {
        self.set.1.is_some_and(|limit| self.running < self.allowance.n.min(limit))
    }
}

/// Something said to a partition. It may come late, twice, or not at all.
#[derive(Debug, Clone, Copy)]
struct Message {
    p: usize,
    n: Option<u32>,
    v: u64,
    asked: Asked,
    /// Who waits for the answer, and in which of its lives.
    by: (usize, u64),
}

/// Somebody who balances, as far as they have come.
#[derive(Debug, Default)]
struct Balancer {
    life: u64,
    at: Stage,
    pool: Option<Pool>,
    seen: Vec<Option<Seen>>,
    set: (u64, Option<u32>),
    targets: Vec<u32>,
    /// Answers that are to come.
    open: usize,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    #[default]
    Rests,
    /// Has read the pool; reads the partitions, one after the other.
    Looks(usize),
    Decides,
    /// Waits for answers, of those who are to have less or of those who are to know a number.
    Lowers,
    Fences,
    Shares,
}

struct Fleet {
    parts: Vec<Part>,
    pool: Option<Pool>,
    balancers: Vec<Balancer>,
    air: Vec<Message>,
    clock: u64,
    turn: u64,
    /// What was set last everywhere, and the most that may run: what ran when it was lowered goes on.
    limit: u32,
}

const PARTS: usize = 5;
/// Whoever sets a limit balances by themselves, beside three others.
const OWN: usize = 3;

impl Fleet {
    fn new(limit: u32) -> Self {
        let part = Part {
            allowance: Allowance::default(),
            running: 0,
            waiting: 0,
            asked: Asked::default(),
            set: (1, Some(limit)),
        };
        Self {
            parts: vec![part; PARTS],
            pool: None,
            balancers: (0..=OWN).map(|_| Balancer::default()).collect(),
            air: Vec::new(),
            clock: 1_000,
            turn: 0,
            limit,
        }
    }

    fn running(&self) -> u32 {
        self.parts.iter().map(|part| part.running).sum()
    }

    fn send(&mut self, by: usize, told: Vec<(u16, Option<u32>, u64, Asked)>) {
        let life = self.balancers[by].life;
        self.balancers[by].open = told.len();
        for (p, n, v, asked) in told {
            self.air.push(Message { p: usize::from(p), n, v, asked, by: (by, life) });
        }
    }

    /// A message arrives; `again` leaves it on its way as well, and `lost` is its answer.
    fn deliver(&mut self, at: usize, again: bool, lost: bool) {
        let message = self.air[at];
        if !again {
            self.air.swap_remove(at);
        }
        let seen = self.parts[message.p].told(message.n, message.v, message.asked);
        let (by, life) = message.by;
        let who = &mut self.balancers[by];
        if !lost && !again && who.life == life && matches!(who.at, Stage::Lowers | Stage::Fences) {
            who.seen[message.p] = Some(seen);
            who.open -= 1;
        }
    }

    /// The next step of one who balances.
    fn step(&mut self, by: usize) {
        let at = self.balancers[by].at;
        match at {
            Stage::Rests => {
                let who = &mut self.balancers[by];
                *who = Balancer { life: who.life + 1, at: Stage::Looks(0), ..Balancer::default() };
                who.pool.clone_from(&self.pool);
            }
            Stage::Looks(p) if p < PARTS => {
                let part = self.parts[p];
                let who = &mut self.balancers[by];
                who.seen.push(part.set.1.map(|_| part.seen()));
                who.set = who.set.max(part.set);
                who.at = Stage::Looks(p + 1);
            }
            Stage::Looks(_) => self.balancers[by].at = Stage::Decides,
            Stage::Decides => self.decide(by),
            Stage::Lowers | Stage::Fences if self.balancers[by].open > 0 => {}
            Stage::Fences => {
                let who = &mut self.balancers[by];
                who.at = Stage::Rests;
                let kept = |(p, seen): (u16, Seen)| {
                    (p, Allowance { n: seen.keeps(), v: seen.allowance.v })
                };
                let grants = numbered(&who.seen).map(kept).collect();
                self.pool.get_or_insert(Pool { version: who.set.0, grants });
            }
            Stage::Lowers => self.balancers[by].at = Stage::Shares,
            Stage::Shares => {
                let who = &mut self.balancers[by];
                who.at = Stage::Rests;
                let (Some(pool), (version, Some(limit))) = (&mut self.pool, who.set) else {
                    return;
                };
                if pool.version != version {
                    return;
                }
                let known = who.pool.as_ref().unwrap();
                pool.lower(&lowers(known, &who.seen));
                let raised = pool.raise(version, limit, &raises(&who.seen, &who.targets));
                let asked = asked(&who.seen, &who.targets);
                let told = raised.into_iter().flatten();
                let told =
                    told.map(|(p, to)| (p, Some(to.n), to.v, asked[usize::from(p)])).collect();
                self.send(by, told);
            }
        }
    }

    fn decide(&mut self, by: usize) {
        let (clock, turn) = (self.clock, self.turn);
        let who = &mut self.balancers[by];
        let (version, Some(limit)) = who.set else {
            who.at = Stage::Rests;
            return;
        };
        let Some(pool) = &who.pool else {
            let newest = numbered(&who.seen).map(|(_, seen)| seen.allowance.v).max().unwrap_or(0);
            let v = (newest + 1).max(clock);
            who.at = Stage::Fences;
            let told = numbered(&who.seen).map(|(p, seen)| (p, None, v, seen.asked)).collect();
            self.send(by, told);
            return;
        };
        let covers = covers(pool, &who.seen);
        if pool.version != version || !covers.is_empty() {
            who.at = Stage::Rests;
            let before = pool.version;
            if let Some(pool) = &mut self.pool {
                pool.agree(before, version, &covers);
            }
            return;
        }
        who.targets = fitted(limit, pool, &who.seen, targets(limit, &who.seen, turn));
        let told = tells(pool, &who.seen, &who.targets);
        let told = told.into_iter().map(|(p, to, asked)| (p, Some(to.n), to.v, asked)).collect();
        who.at = Stage::Lowers;
        self.send(by, told);
    }

    /// Balances without a break and a loss; the others stay wherever they are.
    fn settle(&mut self) {
        self.balancers[OWN].at = Stage::Rests;
        for _ in 0..4 {
            loop {
                self.step(OWN);
                while let Some(at) = self.air.iter().position(|message| message.by.0 == OWN) {
                    self.deliver(at, false, false);
                }
                if self.balancers[OWN].at == Stage::Rests {
                    break;
                }
            }
        }
    }
}

/// What is said that comes late, twice or never, whoever balances gone at any step, three of them at once, a
/// pool that is lost and a limit that changes: never do more run than may.
fn walk(number: u64, steps: u64) {
    let mut seed = Seed(number);
    let mut fleet = Fleet::new(1 + seed.small(8));
    let mut version = 1;
    // What may run: the limit, or what ran when it was lowered.
    let mut most = fleet.limit;
    let (mut started, mut lost_pools) = (0_u64, 0_u64);
    for _ in 0..steps {
        fleet.clock += 1;
        match seed.below(40) {
            0..10 => fleet.step(seed.below(OWN)),
            10..22 if !fleet.air.is_empty() => {
                let at = seed.below(fleet.air.len());
                fleet.deliver(at, seed.below(8) == 0, seed.below(12) == 0);
            }
            22 if !fleet.air.is_empty() => {
                let at = seed.below(fleet.air.len());
                fleet.air.swap_remove(at);
            }
            // Somebody who balances is gone; what they have said is still on its way.
            23 => fleet.balancers[seed.below(OWN)].at = Stage::Rests,
            24..31 => {
                let part = &mut fleet.parts[seed.below(PARTS)];
                if part.may_start() {
                    part.running += 1;
                    started += 1;
                }
            }
            31..36 => {
                let part = &mut fleet.parts[seed.below(PARTS)];
                part.running = part.running.saturating_sub(1);
            }
            36 => fleet.parts[seed.below(PARTS)].waiting = u64::from(seed.small(5)),
            37 => fleet.turn += 1,
            38 if seed.below(60) == 0 => {
                fleet.pool = None;
                lost_pools += 1;
            }
            39 if seed.below(40) == 0 => {
                version += 1;
                let before = fleet.limit;
                fleet.limit = 1 + seed.small(8);
                // Everybody is told, and somebody balances before that is answered.
                for part in &mut fleet.parts {
                    part.set = (version, Some(fleet.limit));
                }
                fleet.settle();
                most = if fleet.limit < before {
                    fleet.limit.max(fleet.running())
                } else {
                    fleet.limit
                };
                most = most.max(fleet.running());
            }
            _ => {}
        }
        let running = fleet.running();
        most = fleet.limit.max(most.min(running));
        assert!(running <= most, "walk {number}: {running} run, {most} may: {:?}", fleet.parts);
    }
    assert!(started > steps / 200, "walk {number}: {started} have started");
    assert!(steps < 50_000 || lost_pools > 3, "{lost_pools} pools were lost");
    // Nothing is lost for ever: when all is quiet, all permits are there.
    fleet.air.clear();
    for part in &mut fleet.parts {
        part.running = 0;
        part.waiting = 1;
    }
    fleet.settle();
    let allowed: u32 = fleet.parts.iter().map(|part| part.allowance.n).sum();
    assert_eq!(allowed, fleet.limit, "walk {number}: {:?} {:?}", fleet.parts, fleet.pool);
}

#[test]
fn permits_are_never_too_many_in_a_hundred_thousand_steps_of_disorder() {
    walk(1, 100_000);
}

#[test]
fn permits_are_never_too_many_whatever_the_seed() {
    for number in 2..80 {
        walk(number, 4_000);
    }
}
