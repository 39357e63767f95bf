//! The law of the rate under every disorder, and who gets what.

use super::super::seed::Seed;
use super::*;

/// One partition: what it knows, who waits, and how far its lease time is behind.
#[derive(Debug, Clone, Copy)]
struct Part {
    hand: Hand,
    waiting: u64,
    behind_ms: i64,
}

impl Part {
    fn seen(&self) -> Seen {
        let Hand { started, mark, asked, .. } = self.hand;
        Seen { started, mark, waiting: self.waiting, asked }
    }
}

/// Something said to a partition. It may come late, twice, or not at all.
#[derive(Debug, Clone, Copy)]
struct Message {
    p: usize,
    told: Told,
    /// Who waits for the answer, and in which of its lives.
    by: (usize, u64),
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

/// Somebody who balances, as far as they have come.
#[derive(Debug, Default)]
struct Balancer {
    life: u64,
    at: Stage,
    pool: Option<Pool>,
    /// What the partitions knew of the rate when it looked.
    version: u64,
    rate: Option<Rate>,
    seen: Vec<Option<Seen>>,
    targets: Vec<u64>,
    /// Answers that are to come.
    open: usize,
}

struct Fleet {
    rate: Rate,
    now_ms: i64,
    parts: Vec<Part>,
    pool: Option<Pool>,
    was_made: bool,
    version: u64,
    balancers: Vec<Balancer>,
    air: Vec<Message>,
    /// The rate as whoever saw every start would keep it.
    full_us: i64,
    starts: Vec<u64>,
}

const BEGIN_MS: i64 = 1_000_000;

impl Fleet {
    fn new(rate: Rate, parts: usize, balancers: usize) -> Self {
        let part = Part { hand: Hand::default(), waiting: 0, behind_ms: 0 };
        Self {
            rate,
            now_ms: BEGIN_MS,
            parts: vec![part; parts],
            pool: None,
            was_made: false,
            version: 1,
            balancers: (0..balancers).map(|_| Balancer::default()).collect(),
            air: Vec::new(),
            full_us: 0,
            starts: vec![0; parts],
        }
    }

    fn now_us(&self) -> i64 {
        self.now_ms * US
    }

    fn send(&mut self, by: usize, told: Vec<(u16, Told)>) {
        let life = self.balancers[by].life;
        self.balancers[by].open = told.len();
        for (p, told) in told {
            self.air.push(Message { p: usize::from(p), told, by: (by, life) });
        }
    }

    /// A message arrives; `again` leaves it on its way as well, and `lost` is its answer.
    fn deliver(&mut self, at: usize, again: bool, lost: bool) {
        let message = self.air[at];
        if !again {
            self.air.swap_remove(at);
        }
        let part = &mut self.parts[message.p];
        part.hand.tell(message.told, self.now_ms - part.behind_ms);
        let seen = part.seen();
        let (by, life) = message.by;
        let who = &mut self.balancers[by];
        if !lost && !again && who.life == life && matches!(who.at, Stage::Lowers | Stage::Fences) {
            who.seen[message.p] = Some(seen);
            who.open -= 1;
        }
    }

    /// The next step of one who balances.
    fn step(&mut self, by: usize) {
        let now_us = self.now_us();
        let who = &self.balancers[by];
        let (rate, version) = (who.rate.unwrap_or(self.rate), who.version);
        match self.balancers[by].at {
            Stage::Rests => {
                let who = &mut self.balancers[by];
                *who = Balancer { life: who.life + 1, at: Stage::Looks(0), ..Balancer::default() };
                who.pool.clone_from(&self.pool);
            }
            Stage::Looks(p) if p < self.parts.len() => {
                let seen = self.parts[p].seen();
                let (version, rate) = (self.version, self.rate);
                let who = &mut self.balancers[by];
                (who.version, who.rate) = (version, Some(rate));
                who.seen.push(Some(seen));
                who.at = Stage::Looks(p + 1);
            }
            Stage::Looks(_) => self.balancers[by].at = Stage::Decides,
            Stage::Decides => {
                let who = &mut self.balancers[by];
                let Some(pool) = &mut who.pool else {
                    let newest = who.seen.iter().flatten().map(|seen| seen.mark.v).max();
                    let v = (newest.unwrap_or(0) + 1).max(now_us.unsigned_abs());
                    let told = Told { n: None, v, in_ms: 0, asked: Asked::default() };
                    who.at = Stage::Fences;
                    let all = (0_u16..).zip(&self.parts).map(|(p, _)| (p, told)).collect();
                    return self.send(by, all);
                };
                if pool.version != version {
                    who.at = Stage::Rests;
                    let before = pool.version;
                    let seen = numbered(&who.seen);
                    if let Some(pool) = &mut self.pool {
                        pool.agree(before, version, rate, now_us, &seen);
                    }
                    return;
                }
                pool.hear(now_us, &numbered(&who.seen));
                who.targets = targets(pool, rate, now_us, &who.seen);
                let told = tells(pool, now_us, &who.seen, &who.targets);
                who.at = Stage::Lowers;
                self.send(by, told);
            }
            Stage::Lowers | Stage::Fences if self.balancers[by].open > 0 => {}
            Stage::Lowers => self.balancers[by].at = Stage::Shares,
            Stage::Fences => {
                let who = &mut self.balancers[by];
                who.at = Stage::Rests;
                let seen = numbered(&who.seen);
                if self.pool.is_none() {
                    let pool = Pool::new(version, rate, now_us, &seen, !self.was_made);
                    (self.pool, self.was_made) = (Some(pool), true);
                }
            }
            Stage::Shares => {
                let who = &mut self.balancers[by];
                who.at = Stage::Rests;
                let (seen, raises) = (numbered(&who.seen), raises(&who.seen, &who.targets));
                let asked = asked(&who.seen, &who.targets);
                let Some(pool) = &mut self.pool else { return };
                if pool.version != version {
                    return;
                }
                pool.hear(now_us, &seen);
                let raised = pool.raise(version, rate, now_us, &raises);
                let told = raises.iter().zip(raised).filter_map(|(raise, told)| {
                    Some((raise.p, Told { asked: asked[usize::from(raise.p)], ..told? }))
                });
                let told = told.collect();
                self.send(by, told);
            }
        }
    }

    /// Balances without a break and a loss.
    fn settle(&mut self, by: usize) {
        self.balancers[by].at = Stage::Rests;
        for _ in 0..2 {
            loop {
                self.step(by);
                while let Some(at) = self.air.iter().position(|message| message.by.0 == by) {
                    self.deliver(at, false, false);
                }
                if self.balancers[by].at == Stage::Rests {
                    break;
                }
            }
        }
    }

    /// Another rate: every partition is told, and then somebody balances.
    fn change(&mut self, rate: Rate, by: usize) {
        self.rate = rate;
        self.version += 1;
        for part in &mut self.parts {
            part.hand.begin_anew();
        }
        self.full_us = rate.counted_us(self.full_us, self.now_ms);
        self.settle(by);
    }

    /// A task starts where it may, and then it must be right to.
    fn start(&mut self, p: usize) -> bool {
        let part = &mut self.parts[p];
        if part.hand.room(self.now_ms - part.behind_ms) == 0 {
            return false;
        }
        part.hand.started += 1;
        self.starts[p] += 1;
        assert!(
            self.rate.allowed(self.full_us, self.now_ms) > 0,
            "{p} has started one too many at {}: {:?} {:?}",
            self.now_ms - BEGIN_MS,
            self.parts,
            self.pool
        );
        self.full_us = self.rate.spent(self.full_us, self.now_ms, 1);
        true
    }
}

/// What is said that comes late, twice or never, whoever balances gone at any step, three of them at
/// once, lease times that stand still, and a pool or a partition that forgets all: never does a task start
/// that the rate would not let start.
fn walk(number: u64, steps: u64) {
    let mut seed = Seed(number);
    let rate = Rate {
        tasks: 1 + seed.small(40),
        per_ms: 100 + seed.small(4_000),
        burst: 1 + seed.small(if number.is_multiple_of(2) { 3 } else { 12 }),
    };
    let (parts, own) = (5, 3);
    let mut fleet = Fleet::new(rate, parts, own + 1);
    let mut forgot = 0;
    for _ in 0..steps {
        match seed.below(44) {
            0..12 => fleet.step(seed.below(own)),
            12..24 if !fleet.air.is_empty() => {
                let at = seed.below(fleet.air.len());
                fleet.deliver(at, seed.below(8) == 0, seed.below(12) == 0);
            }
            24 if !fleet.air.is_empty() => {
                let at = seed.below(fleet.air.len());
                fleet.air.swap_remove(at);
            }
            25 => fleet.balancers[seed.below(own)].at = Stage::Rests,
            26..36 => {
                fleet.start(seed.below(parts));
            }
            36 => fleet.parts[seed.below(parts)].waiting = u64::from(seed.small(5)),
            37..41 => fleet.now_ms += i64::from(seed.small(60)),
            41 => fleet.now_ms += i64::from(rate.per_ms) / i64::from(rate.tasks),
            // Nobody looks: lease time stands still.
            42 => fleet.parts[seed.below(parts)].behind_ms += i64::from(seed.small(20)),
            43 if seed.below(150) == 0 => {
                fleet.pool = None;
                forgot += 1;
            }
            43 if seed.below(150) == 0 => {
                let v = fleet.now_us().unsigned_abs();
                let part = &mut fleet.parts[seed.below(parts)];
                part.hand =
                    Hand { mark: Mark { n: 0, v: v.max(part.hand.mark.v + 1) }, ..Hand::default() };
                forgot += 1;
            }
            43 if seed.below(20) == 0 => {
                fleet.version += 1;
            }
            43 if seed.below(20) == 0 => {
                let tasks = 1 + seed.small(40);
                let burst = 1 + seed.small(12);
                fleet.change(Rate { tasks, burst, ..fleet.rate }, own);
            }
            _ => {}
        }
    }
    let started: u64 = fleet.starts.iter().sum();
    assert!(started > steps / 2_000, "walk {number}: {started} have started by {rate:?}");
    assert!(steps < 50_000 || forgot > 3, "{forgot} have forgotten all");
    // Nothing is lost for ever: when all is quiet and everybody waits, all of a burst may start.
    fleet.air.clear();
    for part in &mut fleet.parts {
        part.waiting = 3;
    }
    fleet.settle(own);
    let rate = fleet.rate;
    fleet.now_ms += rate.emission_us() * i64::from(rate.burst) / US + HELD_MS + 1_000;
    for _ in 0..20 {
        fleet.settle(own);
        fleet.now_ms += 1;
    }
    let may = |part: &Part| part.hand.room(fleet.now_ms - part.behind_ms);
    let room: u64 = fleet.parts.iter().map(may).sum();
    assert_eq!(room, u64::from(rate.burst), "walk {number}: {:?} {:?}", fleet.parts, fleet.pool);
}

#[test]
fn starts_are_never_too_many_in_a_hundred_thousand_steps_of_disorder() {
    walk(1, 100_000);
    walk(2, 100_000);
}

#[test]
fn starts_are_never_too_many_whatever_the_seed() {
    for number in 3..120 {
        walk(number, 4_000);
    }
}

/// Everybody has work: each ms whoever may starts one, and one who balances does when something has
/// started. Answers how many have started by partition.
fn busy(rate: Rate, weights: &[u64], for_ms: i64) -> Vec<u64> {
    let mut fleet = Fleet::new(rate, weights.len(), 1);
    for (part, weight) in fleet.parts.iter_mut().zip(weights) {
        part.waiting = *weight;
    }
    fleet.settle(0);
    for _ in 0..for_ms {
        fleet.now_ms += 1;
        let mut any = false;
        for p in 0..weights.len() {
            while fleet.start(p) {
                any = true;
            }
        }
        if any {
            fleet.settle(0);
        }
    }
    fleet.starts
}

#[test]
fn everybody_who_waits_has_their_share_of_all_that_the_rate_gives() {
    for (tasks, per_ms, burst) in
        [(60, 60_000, 1), (600, 60_000, 1), (89, 89_000, 1), (10, 1_000, 4), (100, 1_000, 50)]
    {
        let rate = Rate { tasks, per_ms, burst };
        for weights in [vec![1; 8], vec![1, 1, 4, 2], vec![1, 30]] {
            let for_ms = 400 * i64::from(per_ms) / i64::from(tasks);
            let starts = busy(rate, &weights, for_ms);
            let (sum, all): (u64, u64) = (weights.iter().sum(), starts.iter().sum());
            let said = 400 + u64::from(burst);
            // One ms is lost with each start at the most: whoever looks does so once in it.
            assert!(all <= said && all * 20 >= said * 17, "{all} of {said}: {rate:?}");
            for (p, weight) in weights.iter().enumerate() {
                let fair = all * weight / sum;
                // What is left of the first burst goes to whoever asks first.
                let most = fair + fair / 8 + u64::from(burst) + 2;
                let is_fair = (fair * 3 / 4..=most).contains(&starts[p]);
                assert!(is_fair && starts[p] > 0, "{p} of {weights:?}: {starts:?} by {rate:?}");
            }
        }
    }
}

#[test]
fn who_waits_alone_gets_all_of_a_burst() {
    let rate = Rate { tasks: 60, per_ms: 60_000, burst: 60 };
    let mut fleet = Fleet::new(rate, 8, 1);
    // First one and then another: what the first did not use comes back.
    for p in [2, 5] {
        for (at, part) in fleet.parts.iter_mut().enumerate() {
            part.waiting = u64::from(at == p);
        }
        fleet.settle(0);
        let mut started = 0;
        while started < 30 {
            if !fleet.start(p) {
                fleet.settle(0);
                assert!(fleet.start(p), "{started} have started: {:?}", fleet.parts);
            }
            started += 1;
        }
    }
}

#[test]
fn what_is_held_and_not_started_goes_to_others() {
    let rate = Rate { tasks: 1, per_ms: 1_000, burst: 1 };
    let mut fleet = Fleet::new(rate, 4, 1);
    fleet.parts[0].waiting = 1;
    fleet.settle(0);
    assert_eq!(fleet.parts[0].hand.room(fleet.now_ms), 1);
    fleet.parts[3].waiting = 1;
    fleet.settle(0);
    assert_eq!(fleet.parts[0].hand.room(fleet.now_ms), 1, "it was there first");
    fleet.now_ms += HELD_MS + 1;
    fleet.settle(0);
    assert_eq!(fleet.parts[3].hand.room(fleet.now_ms), 1);
    // One that nobody needs there goes at once.
    fleet.parts[3].waiting = 0;
    fleet.settle(0);
    assert_eq!(fleet.parts[0].hand.room(fleet.now_ms), 1);
}

#[test]
fn another_rate_takes_what_was_granted_and_an_older_word_changes_nothing() {
    let mut hand = Hand::default();
    let told = |n, v, in_ms| Told { n: Some(n), v, in_ms, asked: Asked::default() };
    hand.tell(told(3, 1, 0), 100);
    hand.started = 1;
    hand.tell(told(5, 2, 50), 100);
    assert_eq!((hand.room(100), hand.room(149), hand.room(150)), (2, 2, 4));
    hand.tell(told(9, 1, 0), 100);
    hand.tell(told(9, 2, 0), 100);
    assert_eq!((hand.room(149), hand.room(150)), (2, 4), "under its number it only takes less");
    hand.tell(Told { n: None, ..told(0, 3, 0) }, 120);
    assert_eq!((hand.room(150), hand.mark), (2, Mark { n: 3, v: 3 }), "what was to come is gone");
    hand.begin_anew();
    assert_eq!(hand.room(1_000), 0);
}
