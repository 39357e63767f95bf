//! The laws of the engine: scenarios with names, and random walks whose invariants are checked
//! after every step.

use std::sync::Arc;

use proptest::prelude::*;
use tasktonic_core::changes::{Changes, Place, Record};
use tasktonic_core::command::{
    Again, Claim, Command, Control, NewTask, Op, Redrive, Report, Submit, Sync, Write,
};
use tasktonic_core::reply::{Controlled, Reply, Submitted, Synced};
use tasktonic_core::{Lease, Partition, TaskId, TaskState, UserId};

/// A partition with a clock and short words for commands.
struct World {
    partition: Partition,
    now_ms: i64,
    calls: u64,
    steps: u64,
    last: Changes,
}

impl World {
    fn new() -> Self {
        let now_ms = 1_000_000;
        Self { partition: Partition::new(1), now_ms, calls: 0, steps: 0, last: Changes::default() }
    }

    fn apply(&mut self, command: Command) -> Reply {
        let (reply, changes) = self.partition.apply(command, self.now_ms);
        self.steps += 1;
        // The check looks at everything; in the few long tests now and then is enough.
        if self.steps < 300 || self.steps.is_multiple_of(200) {
            assert_eq!(self.partition.check(), Vec::<String>::new());
        }
        self.last = changes;
        reply
    }

    fn submit(&mut self, user: &str, number: u64) -> TaskId {
        let task = TaskId::new(1, number);
        let reply = self.apply(Command::Submit(Submit {
            created_ms: self.now_ms,
            tasks: vec![new_task(user, task)],
        }));
        assert_eq!(reply, Reply::Submit(vec![Submitted::Accepted]));
        task
    }

    fn sync(&mut self, worker: &str, ops: Vec<Op>, limit: u32) -> Synced {
        self.calls += 1;
        let claim = Claim { queues: vec!["mail".parse().unwrap()], limit };
        let reply = self.apply(Command::Sync(Sync {
            worker: worker.parse().unwrap(),
            call: self.calls,
            lease_ms: 10_000,
            ops,
            claim: (limit > 0).then_some(claim),
            woken: Vec::new(),
            park: false,
        }));
        let Reply::Sync(synced) = reply else { panic!("{reply:?}") };
        synced
    }

    fn claim(&mut self, worker: &str, limit: u32) -> Vec<Lease> {
        self.sync(worker, Vec::new(), limit).claimed.into_iter().map(|c| c.lease).collect()
    }

    fn report(&mut self, lease: &Lease, report: Report) -> bool {
        let op = Op { lease: lease.clone(), report };
        self.sync("helper", vec![op], 0).refused.is_empty()
    }

    fn cancel(&mut self, user: &str, task: TaskId) -> Controlled {
        let reply = self.apply(Command::Control(Control::Cancel {
            at_ms: self.now_ms,
            user: user.parse().unwrap(),
            tasks: vec![task],
            body: Arc::from(""),
            keep_s: 60,
        }));
        let Reply::Control(answers) = reply else { panic!("{reply:?}") };
        answers[0]
    }

    fn redrive(&mut self, user: &str, task: TaskId) -> Controlled {
        let user: UserId = user.parse().unwrap();
        let claim = self.partition.task(&user, &task).map_or(1, |t| t.claim);
        let reply = self.apply(Command::Control(Control::Redrive {
            at_ms: self.now_ms,
            user,
            tasks: vec![Redrive { task, claim, attempt: None }],
        }));
        let Reply::Control(answers) = reply else { panic!("{reply:?}") };
        answers[0]
    }

    fn state(&self, user: &str, task: TaskId) -> Option<TaskState> {
        self.partition.task(&user.parse().unwrap(), &task).map(|t| t.place.state())
    }

    fn pass(&mut self, ms: i64) {
        self.now_ms += ms;
    }
}

fn new_task(user: &str, task: TaskId) -> NewTask {
    NewTask {
        user: user.parse().unwrap(),
        task,
        queue: "mail".parse().unwrap(),
        due_ms: None,
        descriptor: Arc::from("{}"),
        event: Arc::from(""),
        idempotency: None,
        lane_max: 1_000,
    }
}

fn write(n: u32) -> Write {
    Write { n, body: Arc::from(""), event: None }
}

fn ack(n: u32) -> Report {
    Report::Ack { write: write(n), keep_s: 60 }
}

fn nack(again: Again) -> Report {
    Report::Nack { write: write(0), again, attempt: Arc::from("{}"), keep_s: 60 }
}

#[test]
fn x1_a_cancelled_and_redriven_task_is_claimed_once() {
    let mut world = World::new();
    let task = world.submit("ana", 1);
    assert_eq!(world.cancel("ana", task), Controlled::Done);
    assert_eq!(world.redrive("ana", task), Controlled::Done);
    // Two lane entries now name the task; one of them is a dead reference.
    let leases = world.claim("w1", 10);
    assert_eq!(leases.len(), 1);
    assert!(world.report(&leases[0], ack(2)));
    assert_eq!(world.claim("w1", 10), Vec::new());
    assert_eq!(world.state("ana", task), Some(TaskState::Completed));
}

#[test]
fn x2_the_sweep_of_an_earlier_end_leaves_a_redriven_task_alone() {
    let mut world = World::new();
    let task = world.submit("ana", 1);
    world.cancel("ana", task);
    world.redrive("ana", task);
    let lease = world.claim("w1", 1).remove(0);
    world.pass(61_000);
    world.report(&lease, Report::Heartbeat);
    assert_eq!(world.state("ana", task), Some(TaskState::Running));
    assert!(world.report(&lease, ack(2)));
    world.pass(61_000);
    world.sync("w1", Vec::new(), 0);
    assert_eq!(world.state("ana", task), None, "its own end is swept in its time");
}

#[test]
fn a_stale_holder_is_refused_every_report() {
    let mut world = World::new();
    let task = world.submit("ana", 1);
    let stale = world.claim("zombie", 1).remove(0);
    world.pass(1_000);
    world.sync("w2", Vec::new(), 0);
    for _ in 0..12 {
        world.pass(1_000);
        world.sync("w2", Vec::new(), 0);
    }
    assert_ne!(world.state("ana", task), None);
    let before = world.partition.dump(world.now_ms);
    for report in every_report() {
        assert!(!world.report(&stale, report.clone()), "{report:?}");
        assert!(world.last.records.is_empty() && world.last.events.is_empty());
        assert!(world.last.signals.is_empty());
    }
    assert_eq!(world.partition.dump(world.now_ms), before);
}

fn every_report() -> Vec<Report> {
    let (attempt, write) = (Arc::from("{}"), write(9));
    vec![
        Report::Heartbeat,
        Report::Progress { write: write.clone() },
        Report::Log { lines: vec![Arc::from("{}")] },
        ack(9),
        nack(Again::Now),
        nack(Again::At(0)),
        Report::Bury { write: write.clone(), keep_s: 1 },
        Report::Cancelled { write: write.clone(), keep_s: 1 },
        Report::Snooze { write: write.clone(), due_ms: 5, attempt },
        Report::Release { write, attempt: None },
    ]
}

#[test]
fn the_same_worker_never_gets_the_same_lease_twice() {
    let mut world = World::new();
    world.submit("ana", 1);
    let first = world.claim("w1", 1).remove(0);
    assert!(world.report(&first, Report::Release { write: write(2), attempt: None }));
    let second = world.claim("w1", 1).remove(0);
    assert_ne!(first, second);
    assert_eq!(first.attempt, second.attempt, "a release is not counted");
    assert!(!world.report(&first, ack(2)));
    assert!(world.report(&second, ack(2)));
}

#[test]
fn a_lost_lease_is_adopted_once_and_its_mark_carried_over() {
    let mut world = World::new();
    let task = world.submit("ana", 1);
    world.claim("w1", 1);
    assert_eq!(world.cancel("ana", task), Controlled::Asked);
    for _ in 0..6 {
        world.pass(2_000);
        let synced = world.sync("w2", Vec::new(), 0);
        if let [lease] = &synced.adopted[..] {
            assert_eq!(synced.cancelled, synced.adopted);
            assert!(world.report(lease, nack(Again::Now)));
            assert_eq!(world.state("ana", task), Some(TaskState::Cancelled), "cancel sticks");
            return;
        }
    }
    panic!("never adopted");
}

#[test]
fn clock_steps_end_no_live_lease_and_delay_recovery_by_no_more_than_a_step() {
    for step_ms in [60_000, -3_600_000, 3_600_000] {
        let mut world = World::new();
        world.submit("ana", 1);
        world.submit("ben", 2);
        let live = world.claim("w1", 1).remove(0);
        world.claim("dead", 1);
        world.pass(step_ms);
        let mut adopted = Vec::new();
        let mut waited_ms = 0;
        while adopted.is_empty() {
            world.pass(300);
            waited_ms += 300;
            let synced = world.sync("w1", vec![heartbeat(&live)], 0);
            assert!(synced.refused.is_empty(), "the live lease held");
            adopted = synced.adopted;
            assert!(waited_ms <= 12_500, "recovery came too late after a step of {step_ms} ms");
        }
        assert!(waited_ms >= 7_500, "too early after a step of {step_ms} ms: {waited_ms}");
    }
}

fn heartbeat(lease: &Lease) -> Op {
    Op { lease: lease.clone(), report: Report::Heartbeat }
}

#[test]
fn weights_share_the_turns_exactly() {
    for limit in [1, 7, 10] {
        let mut world = World::new();
        for (offset, user) in ["ana", "ben", "cleo"].into_iter().enumerate() {
            for i in 0..400 {
                world.submit(user, offset as u64 * 1_000 + i);
            }
        }
        world.apply(Command::Control(Control::Weigh {
            queue: "mail".parse().unwrap(),
            user: "ben".parse().unwrap(),
            weight: 3,
        }));
        let mut taken = std::collections::BTreeMap::new();
        let mut left = 400;
        while left > 0 {
            for lease in world.claim("w1", limit.min(left)) {
                *taken.entry(lease.user.to_string()).or_insert(0) += 1;
                left -= 1;
            }
        }
        assert_eq!(taken.into_values().collect::<Vec<_>>(), [80, 240, 80], "limit {limit}");
    }
}

#[test]
fn one_users_flood_delays_another_by_one_turn() {
    let mut world = World::new();
    for i in 0..900 {
        world.submit("flood", i);
    }
    world.claim("w1", 1);
    world.submit("ana", 5_000);
    let users: Vec<_> = (0..2).map(|_| world.claim("w1", 1).remove(0).user).collect();
    assert!(users.contains(&"ana".parse().unwrap()));
}

#[test]
fn tasks_of_one_user_are_claimed_in_order() {
    let mut world = World::new();
    let tasks: Vec<_> = (0..50).map(|i| world.submit("ana", i)).collect();
    let claimed: Vec<_> = (0..10).flat_map(|_| world.claim("w1", 5)).map(|l| l.task).collect();
    assert_eq!(claimed, tasks);
}

#[test]
fn a_thousand_cancelled_entries_do_not_hide_the_next_task() {
    let mut world = World::new();
    for i in 0..999 {
        let task = world.submit("ana", i);
        world.cancel("ana", task);
    }
    let last = world.submit("ana", 5_000);
    let mut calls = 0;
    loop {
        calls += 1;
        let synced = world.sync("w1", Vec::new(), 1);
        if let [claimed] = &synced.claimed[..] {
            assert_eq!(claimed.lease.task, last);
            break;
        }
        assert!(synced.more > 0 && calls < 10, "the caller is told that there is more");
    }
}

#[test]
fn a_wake_goes_to_one_idle_worker_and_is_passed_on() {
    let mut world = World::new();
    let park = |worker: &str, woken: bool, limit: u32| {
        let queue: tasktonic_core::Name = "mail".parse().unwrap();
        Command::Sync(Sync {
            worker: worker.parse().unwrap(),
            call: 1,
            lease_ms: 10_000,
            ops: Vec::new(),
            claim: (limit > 0).then(|| Claim { queues: vec![queue.clone()], limit }),
            woken: if woken { vec![queue] } else { Vec::new() },
            park: limit > 0,
        })
    };
    let wakes = |world: &World| -> Vec<String> {
        let of = |signal: &tasktonic_core::Signal| match signal {
            tasktonic_core::Signal::Wake { worker, .. } => Some(worker.to_string()),
            _ => None,
        };
        world.last.signals.iter().filter_map(of).collect()
    };
    world.apply(park("w1", false, 4));
    world.pass(10);
    world.apply(park("w2", false, 4));
    world.submit("ana", 1);
    assert_eq!(wakes(&world), ["w1"], "the one idle for longest");
    world.submit("ana", 2);
    assert_eq!(wakes(&world), Vec::<String>::new(), "the lane was not empty");
    world.apply(park("w1", true, 0));
    assert_eq!(wakes(&world), ["w2"], "woken while full: passed on");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever happens in whatever order: invariants hold, claim numbers and revs only rise, a
    /// task ends once per life, a restart changes nothing but what it says.
    #[test]
    fn a_random_walk_keeps_every_invariant(steps in prop::collection::vec(any::<(u8, u16, u16)>(), 1..250)) {
        let users = ["ana", "ben", "cleo"];
        let mut world = World::new();
        let mut tasks: Vec<(&str, TaskId)> = Vec::new();
        let mut leases: Vec<Lease> = Vec::new();
        let mut revs = std::collections::HashMap::<(UserId, TaskId), u64>::new();
        for (verb, a, b) in steps {
            let pick = usize::from(a);
            match verb % 14 {
                0..=2 => {
                    let user = users[pick % 3];
                    let id = TaskId::new(1, tasks.len() as u64);
                    let mut new = new_task(user, id);
                    if b % 4 == 0 { new.due_ms = Some(world.now_ms + i64::from(b)); }
                    let submit = Submit { created_ms: world.now_ms, tasks: vec![new] };
                    world.apply(Command::Submit(submit));
                    tasks.push((user, id));
                }
                3..=5 => leases.extend(world.claim("w1", u32::from(b % 5))),
                6 => world.pass(i64::from(b) % 5_000 - 500),
                7 => {
                    let synced = world.sync("w2", Vec::new(), 0);
                    leases.extend(synced.adopted);
                }
                8 if !tasks.is_empty() => {
                    let (user, task) = tasks[pick % tasks.len()];
                    world.cancel(user, task);
                }
                9 if !tasks.is_empty() => {
                    let (user, task) = tasks[pick % tasks.len()];
                    world.redrive(user, task);
                }
                10 => {
                    let (records, now_ms) = (world.partition.records(), world.now_ms);
                    let epoch = world.partition.epoch() + 1;
                    world.partition = Partition::restore(epoch, now_ms, records);
                    prop_assert_eq!(world.partition.check(), Vec::<String>::new());
                }
                _ if !leases.is_empty() => {
                    let lease = leases[pick % leases.len()].clone();
                    let held = world.partition.task(&lease.user, &lease.task)
                        .is_some_and(|t| t.claim == lease.claim && matches!(t.place, Place::Running { .. }));
                    let n = world.partition.task(&lease.user, &lease.task).map_or(0, |t| t.n) + 1;
                    let mut report = every_report()[usize::from(b) % every_report().len()].clone();
                    match &mut report {
                        Report::Heartbeat | Report::Log { .. } => {}
                        Report::Progress { write } | Report::Ack { write, .. }
                        | Report::Nack { write, .. } | Report::Bury { write, .. }
                        | Report::Cancelled { write, .. } | Report::Snooze { write, .. }
                        | Report::Release { write, .. } => write.n = n,
                    }
                    let accepted = world.report(&lease, report);
                    prop_assert!(held || !accepted, "a lease that is not held was accepted");
                }
                _ => {}
            }
            for record in &std::mem::take(&mut world.last).records {
                if let Record::Task { user, task, control, .. } = record {
                    let rev = u64::from(control.claim) * 100_000_000 + u64::from(control.n);
                    let before = revs.insert((user.clone(), *task), rev);
                    prop_assert!(before.is_none_or(|before| rev >= before), "rev went back");
                }
            }
        }
    }

    /// A retained partition restored twice is the same as restored once.
    #[test]
    fn restoring_is_deterministic(count in 1_u64..60, claims in 0_u32..20) {
        let mut world = World::new();
        for i in 0..count {
            world.submit(["ana", "ben"][(i % 2) as usize], i);
        }
        world.claim("w1", claims);
        let once = Partition::restore(2, 5, world.partition.records());
        let twice = Partition::restore(2, 5, once.records());
        prop_assert_eq!(once.dump(5), twice.dump(5));
    }
}
