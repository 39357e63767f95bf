//! A simulated installation: the real partition hands out tasks of several users to workers that
//! come and go, and now and then one of ana's waiting tasks is asked when it will start. Seeded: the
//! same numbers everywhere.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};

use tasktonic_core::command::{Claim, Command, Control, NewTask, Op, Report, Submit, Sync, Write};
use tasktonic_core::limits::{LEASE_MS_MAX, POSITION_MAX};
use tasktonic_core::policy::estimate::{Estimate, Line, START_FRESH_MS, Start, estimate};
use tasktonic_core::settings::UserSettings;
use tasktonic_core::{Lease, Name, Partition, Reply, TaskId, UserId};

/// How long work takes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Work {
    /// Always as long, ms.
    Constant(f64),
    /// Memoryless around a mean, ms.
    Exponential(f64),
    /// Mostly short, now and then twenty times as long (Pareto, 1.3, cut at a hundred times the
    /// least), from a least time, ms.
    HeavyTail(f64),
}

/// How a user submits.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Habit {
    /// Everything at the beginning.
    Backlog(u32),
    /// So many at once, again and again after a random time around `every_ms`.
    Bursts {
        /// Tasks of one burst.
        size: u32,
        /// Between bursts, ms, on average.
        every_ms: f64,
    },
}

/// One setting.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scenario {
    /// For people.
    pub(crate) name: &'static str,
    /// Ana, and the others.
    pub(crate) users: &'static [(u32, Habit)],
    /// How long tasks take.
    pub(crate) work: Work,
    /// Tasks at once of each worker.
    pub(crate) concurrency: u32,
    /// Workers, at least and at most.
    pub(crate) workers: (u32, u32),
    /// Between changes of their number, ms, on average.
    pub(crate) change_ms: f64,
}

/// What came of the questions of one setting.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outcome {
    /// Questions about tasks that started later.
    pub(crate) asked: u32,
    /// Too little was known.
    pub(crate) few: u32,
    /// The line stood still.
    pub(crate) still: u32,
    /// Sooner than the range.
    pub(crate) sooner: u32,
    /// Inside.
    pub(crate) inside: u32,
    /// Later.
    pub(crate) later: u32,
    /// Width of the range as a part of the true wait.
    pub(crate) widths: Vec<f64>,
    /// Ranges and true waits, ms, for the picture.
    pub(crate) pairs: Vec<(u64, u64, u64)>,
}

impl Outcome {
    /// Questions that got a range.
    pub(crate) fn ranges(&self) -> u32 {
        self.sooner + self.inside + self.later
    }

    /// The share of true starts inside the range.
    pub(crate) fn share(&self) -> f64 {
        f64::from(self.inside) / f64::from(self.ranges().max(1))
    }

    /// Half of the ranges are narrower than this part of the true wait.
    pub(crate) fn width(&self) -> f64 {
        let mut widths = self.widths.clone();
        widths.sort_by(f64::total_cmp);
        widths.get(widths.len() / 2).copied().unwrap_or(0.0)
    }

    /// Takes in another run of the same setting.
    pub(crate) fn add(&mut self, other: Self) {
        self.asked += other.asked;
        self.few += other.few;
        self.still += other.still;
        self.sooner += other.sooner;
        self.inside += other.inside;
        self.later += other.later;
        self.widths.extend(other.widths);
        self.pairs.extend(other.pairs);
    }
}

/// Simulated time of one run, ms.
const RUN_MS: i64 = 15 * 60_000;
/// Between questions, ms, on average.
const ASK_MS: f64 = 4_000.0;
const START_MS: i64 = 1_700_000_000_000;

/// What the settings are.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "alone, even work",
        users: &[(1, Habit::Backlog(600))],
        work: Work::Constant(4_000.0),
        concurrency: 2,
        workers: (2, 2),
        change_ms: 1e12,
    },
    Scenario {
        name: "one worker of sixteen, even work",
        users: &[(1, Habit::Backlog(900)), (1, Habit::Backlog(900))],
        work: Work::Constant(9_000.0),
        concurrency: 16,
        workers: (1, 1),
        change_ms: 1e12,
    },
    Scenario {
        name: "four users, random work",
        users: &[
            (1, Habit::Backlog(400)),
            (1, Habit::Backlog(400)),
            (1, Habit::Backlog(400)),
            (1, Habit::Backlog(400)),
        ],
        work: Work::Exponential(4_000.0),
        concurrency: 4,
        workers: (2, 2),
        change_ms: 1e12,
    },
    Scenario {
        name: "heavy tail",
        users: &[(1, Habit::Backlog(400)), (1, Habit::Backlog(400)), (1, Habit::Backlog(400))],
        work: Work::HeavyTail(1_000.0),
        concurrency: 4,
        workers: (2, 2),
        change_ms: 1e12,
    },
    Scenario {
        name: "weights 1 : 3 : 1",
        users: &[(1, Habit::Backlog(400)), (3, Habit::Backlog(900)), (1, Habit::Backlog(400))],
        work: Work::Exponential(3_000.0),
        concurrency: 4,
        workers: (2, 2),
        change_ms: 1e12,
    },
    Scenario {
        name: "others come in bursts",
        users: &[
            (1, Habit::Backlog(400)),
            (1, Habit::Bursts { size: 40, every_ms: 120_000.0 }),
            (1, Habit::Bursts { size: 40, every_ms: 120_000.0 }),
            (1, Habit::Bursts { size: 80, every_ms: 240_000.0 }),
        ],
        work: Work::Exponential(3_000.0),
        concurrency: 3,
        workers: (2, 2),
        change_ms: 1e12,
    },
    Scenario {
        name: "own bursts among others",
        users: &[
            (1, Habit::Bursts { size: 60, every_ms: 120_000.0 }),
            (1, Habit::Bursts { size: 30, every_ms: 60_000.0 }),
            (1, Habit::Bursts { size: 30, every_ms: 60_000.0 }),
        ],
        work: Work::Exponential(2_500.0),
        concurrency: 3,
        workers: (2, 2),
        change_ms: 1e12,
    },
    Scenario {
        name: "workers come and go",
        users: &[(1, Habit::Backlog(400)), (1, Habit::Backlog(400)), (1, Habit::Backlog(400))],
        work: Work::Exponential(3_000.0),
        concurrency: 3,
        workers: (1, 4),
        change_ms: 120_000.0,
    },
    Scenario {
        name: "all at once",
        users: &[
            (1, Habit::Bursts { size: 60, every_ms: 120_000.0 }),
            (2, Habit::Bursts { size: 30, every_ms: 90_000.0 }),
            (1, Habit::Bursts { size: 100, every_ms: 300_000.0 }),
            (1, Habit::Backlog(200)),
        ],
        work: Work::HeavyTail(700.0),
        concurrency: 3,
        workers: (1, 4),
        change_ms: 120_000.0,
    },
    Scenario {
        name: "one task at a time",
        users: &[
            (1, Habit::Bursts { size: 1, every_ms: 8_000.0 }),
            (1, Habit::Backlog(700)),
            (1, Habit::Bursts { size: 20, every_ms: 60_000.0 }),
        ],
        work: Work::Exponential(3_000.0),
        concurrency: 2,
        workers: (2, 2),
        change_ms: 1e12,
    },
];

/// A setting, `runs` times.
pub(crate) fn run(scenario: &Scenario, runs: u64) -> Outcome {
    let mut outcome = Outcome::default();
    for seed in 0..runs {
        outcome.add(World::new(scenario, seed).run());
    }
    outcome
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Submit(usize),
    Done(usize, u64),
    Change,
    Ask,
}

struct Worker {
    busy: u32,
    is_there: bool,
}

struct World<'a> {
    scenario: &'a Scenario,
    seed: u64,
    now_ms: i64,
    partition: Partition,
    events: BinaryHeap<Reverse<(i64, u64, Event)>>,
    count: u64,
    workers: Vec<Worker>,
    running: HashMap<u64, Lease>,
    waiting: VecDeque<TaskId>,
    starts: Vec<Start>,
    asked: HashMap<TaskId, Vec<(i64, Estimate)>>,
    outcome: Outcome,
}

const QUEUE: &str = "mail";

fn queue() -> Name {
    QUEUE.parse().expect("a queue name")
}

fn user(index: usize) -> UserId {
    UserId::encode(["ana", "ben", "cleo", "dora"][index])
}

impl<'a> World<'a> {
    fn new(scenario: &'a Scenario, seed: u64) -> Self {
        let mut world = Self {
            scenario,
            seed: seed.wrapping_mul(0x9e37_79b9) + 1,
            now_ms: START_MS,
            partition: Partition::new(1),
            events: BinaryHeap::new(),
            count: 0,
            workers: Vec::new(),
            running: HashMap::new(),
            waiting: VecDeque::new(),
            starts: Vec::new(),
            asked: HashMap::new(),
            outcome: Outcome::default(),
        };
        for (index, (weight, _)) in scenario.users.iter().enumerate() {
            let settings = UserSettings { weight: *weight, ..UserSettings::default() };
            let set = Control::User { queue: queue(), user: user(index), settings };
            world.partition.apply(Command::Control(set), START_MS);
        }
        world
    }

    fn chance(&mut self) -> f64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A random time around `mean_ms`.
    fn around(&mut self, mean_ms: f64) -> i64 {
        whole(-mean_ms * (1.0 - self.chance()).ln())
    }

    fn work_ms(&mut self) -> i64 {
        match self.scenario.work {
            Work::Constant(ms) => whole(ms),
            Work::Exponential(mean) => self.around(mean).max(20),
            Work::HeavyTail(least) => {
                whole((least * (1.0 - self.chance()).powf(-1.0 / 1.3)).min(100.0 * least))
            }
        }
    }

    fn at(&mut self, in_ms: i64, event: Event) {
        self.count += 1;
        self.events.push(Reverse((self.now_ms + in_ms, self.count, event)));
    }

    fn run(mut self) -> Outcome {
        for index in 0..self.scenario.users.len() {
            self.at(0, Event::Submit(index));
        }
        self.set_workers(self.scenario.workers.1);
        let first = self.around(self.scenario.change_ms);
        self.at(first, Event::Change);
        self.at(1_000, Event::Ask);
        while let Some(Reverse((at_ms, _, event))) = self.events.pop() {
            self.now_ms = at_ms;
            let is_over = at_ms > START_MS + RUN_MS;
            match event {
                Event::Submit(index) => {
                    self.submit(index, is_over);
                    self.look();
                }
                Event::Done(worker, id) => self.done(worker, id),
                Event::Change if !is_over => {
                    let (least, most) = self.scenario.workers;
                    let more = f64::from(most - least + 1) * self.chance();
                    self.set_workers(least + u32::try_from(whole(more.floor())).unwrap_or(0));
                    let next = self.around(self.scenario.change_ms);
                    self.at(next, Event::Change);
                }
                Event::Ask if !is_over => {
                    self.ask();
                    let next = self.around(ASK_MS);
                    self.at(next, Event::Ask);
                }
                Event::Change | Event::Ask => {}
            }
        }
        self.outcome
    }

    fn submit(&mut self, index: usize, is_over: bool) {
        let size = match self.scenario.users[index].1 {
            _ if is_over => return,
            Habit::Backlog(size) => size,
            Habit::Bursts { size, every_ms } => {
                let next = self.around(every_ms);
                self.at(next, Event::Submit(index));
                size
            }
        };
        let mut tasks = Vec::new();
        for _ in 0..size {
            self.count += 1;
            let task = TaskId::new(self.now_ms, self.count);
            if index == 0 {
                self.waiting.push_back(task);
            }
            tasks.push(NewTask::new(user(index), task, queue(), "{}"));
        }
        let submit = Submit { created_ms: self.now_ms, tasks };
        self.partition.apply(Command::Submit(submit), self.now_ms);
    }

    /// Workers with room ask for work.
    fn look(&mut self) {
        for worker in 0..self.workers.len() {
            self.sync(worker, None);
        }
    }

    fn set_workers(&mut self, wanted: u32) {
        let wanted = wanted as usize;
        while self.workers.len() < wanted {
            self.workers.push(Worker { busy: 0, is_there: false });
        }
        for (index, worker) in self.workers.iter_mut().enumerate() {
            worker.is_there = index < wanted;
        }
        self.look();
    }

    fn done(&mut self, worker: usize, id: u64) {
        let lease = self.running.remove(&id).expect("it runs once");
        self.workers[worker].busy -= 1;
        let write = Write { n: 2, body: "".into(), event: None };
        self.sync(worker, Some(Op { lease, report: Report::Ack { write, keep_s: 60 } }));
    }

    fn sync(&mut self, index: usize, op: Option<Op>) {
        let worker = &self.workers[index];
        let limit = if worker.is_there { self.scenario.concurrency - worker.busy } else { 0 };
        if op.is_none() && limit == 0 {
            return;
        }
        self.count += 1;
        let sync = Sync {
            worker: format!("w-{index}").parse().expect("a worker id"),
            call: self.count,
            lease_ms: LEASE_MS_MAX,
            ops: op.into_iter().collect(),
            claim: Some(Claim::new(vec![queue()], limit)),
            woken: Vec::new(),
            park: false,
        };
        let (reply, _) = self.partition.apply(Command::Sync(sync), self.now_ms);
        let Reply::Sync(synced) = reply else { panic!("a sync is answered in kind") };
        for claimed in synced.claimed {
            self.count += 1;
            let (id, lease) = (self.count, claimed.lease);
            if lease.user == user(0) {
                self.started(lease.task);
            }
            self.running.insert(id, lease);
            self.workers[index].busy += 1;
            let takes = self.work_ms();
            self.at(takes, Event::Done(index, id));
        }
    }

    fn started(&mut self, task: TaskId) {
        self.starts.push(Start { at_ms: self.now_ms, entered_ms: task.created_ms() });
        assert_eq!(self.waiting.pop_front(), Some(task), "a lane is first in, first out");
        for (asked_ms, answer) in self.asked.remove(&task).unwrap_or_default() {
            let outcome = &mut self.outcome;
            outcome.asked += 1;
            let waited = (self.now_ms - asked_ms).unsigned_abs();
            match answer {
                Estimate::FewStarts(_) => outcome.few += 1,
                Estimate::Still(_) => outcome.still += 1,
                Estimate::Range { from_ms, to_ms } => {
                    let side = match waited {
                        _ if waited < from_ms => &mut outcome.sooner,
                        _ if waited > to_ms => &mut outcome.later,
                        _ => &mut outcome.inside,
                    };
                    *side += 1;
                    outcome.widths.push((to_ms - from_ms) as f64 / waited.max(100) as f64);
                    outcome.pairs.push((from_ms, to_ms, waited));
                }
            }
        }
    }

    /// When will one of ana's tasks start, whichever waits?
    fn ask(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let at = self.chance() * self.waiting.len().min(150) as f64;
        let task = self.waiting[usize::try_from(whole(at.floor())).unwrap_or(0)];
        let standing = self.partition.standing(&user(0), &task).expect("it waits");
        assert!(standing.ahead < POSITION_MAX);
        let line = Line {
            starts: &self.starts,
            ahead: (standing.ahead, standing.ahead),
            head_since_ms: standing.head.0.created_ms(),
            now_ms: self.now_ms,
        };
        const { assert!(RUN_MS < START_FRESH_MS) };
        self.asked.entry(task).or_default().push((self.now_ms, estimate(&line)));
    }
}

#[expect(clippy::cast_possible_truncation, reason = "simulated times are small")]
fn whole(ms: f64) -> i64 {
    ms.round() as i64
}
