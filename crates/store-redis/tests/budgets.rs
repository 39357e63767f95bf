//! What a task costs, counted by Redis itself: script calls, and commands inside them. No clock.

#![expect(clippy::unwrap_used, reason = "these are tests")]

mod common;

use std::collections::BTreeMap;

use tasktonic_core::command::{
    After, Claim, Control, Gathers, Idempotency, NewTask, Node, Op, Report, Submit, Sync, Write,
};
use tasktonic_core::links::OnFailure;
use tasktonic_core::reply::{Controlled, Submitted};
use tasktonic_core::routing::{PartitionId, partition_of};
use tasktonic_core::settings::{QueueSettings, Rate, Turns};
use tasktonic_core::{Lease, Priority, TaskId, Text, UserId};
use tasktonic_store::Store;
use tasktonic_store::clock::Clock;
use tasktonic_store_redis::RedisStore;
use tasktonic_testkit::redis::{Redis, Server};

/// Users that submit in turn.
const USERS: u64 = 100;
/// Partitions of a new store.
const PARTITIONS: u16 = 8;
/// As many again: fewer users in each, so fewer lanes in a claim.
const PARTITIONS_TWICE: u16 = 16;
const NOW_MS: i64 = 1_700_000_000_000;
/// What counting the tasks and bytes of users adds: a submission reads them beside what it reads
/// anyway and writes them with the descriptors, which is one command more. A sync reads and writes
/// them with the states.
const TALLY_ONE: f64 = 1.0;
/// The same where sixteen are submitted at once.
const TALLY_SIXTEEN: f64 = 0.07;

/// Commands that no script of ours calls.
const OUTSIDE: [&str; 10] = [
    "fcall",
    "evalsha",
    "info",
    "config",
    "client",
    "hello",
    "function",
    "cluster",
    "command",
    "ssubscribe",
];

/// One worker, what it holds, and the tasks it has been given to do.
struct Load {
    store: RedisStore,
    redis: Redis,
    partitions: u16,
    held: BTreeMap<PartitionId, Vec<Lease>>,
    next: u64,
    done: u64,
    /// Priorities that tasks have in turn.
    priorities: &'static [Priority],
    /// Whether each task has a key of its own.
    has_keys: bool,
    /// Places that each takes.
    places: u32,
}

/// What so many finished tasks cost, each.
#[derive(Debug)]
struct Cost {
    calls: f64,
    inner: f64,
}

impl Load {
    async fn new(partitions: u16) -> Self {
        let redis = common::server(Server::Redis);
        // A clock that stands still: no maintenance, which is paid by the second and not by task.
        let (clock, _) = Clock::manual(NOW_MS);
        let store = common::open(&redis, clock, partitions).await;
        Self {
            store,
            redis,
            partitions,
            held: BTreeMap::new(),
            next: 0,
            done: 0,
            priorities: &[Priority::Normal],
            has_keys: false,
            places: 1,
        }
    }

    fn user(number: u64) -> UserId {
        UserId::encode(&format!("user-{}", number % USERS))
    }

    async fn submit(&mut self, user: &UserId, count: u64) {
        let (priorities, has_keys) = (self.priorities, self.has_keys);
        let key = |number: u64| {
            Idempotency::new(format!("once-{number:032x}"), number.into(), 86_400_000)
        };
        let draft = |number: u64| NewTask {
            idempotency: has_keys.then(|| key(number)),
            event: Text::from(r#""k":"noop","q":"noop","max":3"#),
            priority: priorities[usize::try_from(number).unwrap() % priorities.len()],
            ..NewTask::new(
                user.clone(),
                TaskId::new(NOW_MS, number),
                "noop".parse().unwrap(),
                format!(
                    r#"{{"v":1,"k":"noop","q":"noop","at":{NOW_MS},"max":3,"p":{{"text":"{}"}}}}"#,
                    "x".repeat(120)
                ),
            )
        };
        let tasks: Vec<_> = (self.next..self.next + count).map(draft).collect();
        self.next += count;
        let p = partition_of(user, self.partitions);
        let verdicts = self.store.submit(p, Submit { created_ms: NOW_MS, tasks }).await.unwrap();
        assert!(verdicts.iter().all(|verdict| *verdict == Submitted::Accepted));
    }

    /// Sets what holds for everybody in the queue, in every partition.
    async fn set(&self, settings: QueueSettings) {
        for p in (0..self.partitions).map(PartitionId) {
            let queues = vec![("noop".parse().unwrap(), settings)];
            self.store.control(p, Control::Queues { version: 1, queues }).await.unwrap();
        }
    }

    /// Acks what is held of a partition and claims up to `limit`.
    async fn sync(&mut self, p: PartitionId, limit: u32) {
        let held = self.held.remove(&p).unwrap_or_default();
        self.done += held.len() as u64;
        let ack = |lease| {
            let write = Write { n: 2, body: Text::from(r#""st":5"#), event: None };
            Op { lease, report: Report::Ack { write, keep_s: 86_400 } }
        };
        self.next += 1;
        let places = if self.places > 1 { vec![self.places] } else { Vec::new() };
        let queues = vec!["noop".parse().unwrap()];
        let request = Sync {
            worker: "w-1".parse().unwrap(),
            call: self.next,
            lease_ms: 10_000,
            ops: held.into_iter().map(ack).collect(),
            claim: Some(Claim { queues, limit: limit * self.places, places }),
            woken: Vec::new(),
            park: false,
        };
        let reply = self.store.sync(p, request).await.unwrap();
        assert!(reply.refused.is_empty(), "{:?}", reply.refused);
        self.held.insert(p, reply.claimed.into_iter().map(|held| held.lease).collect());
    }

    /// Submits and syncs in turn, `batch` at a time, `rounds` times, and answers the cost.
    async fn run(&mut self, rounds: u64, batch: u32) -> Cost {
        let before = (self.counted(), self.done);
        for round in 0..rounds {
            let user = Self::user(round);
            self.submit(&user, u64::from(batch)).await;
            self.sync(partition_of(&user, self.partitions), batch).await;
        }
        let after = (self.counted(), self.done);
        let tasks = as_float(after.1 - before.1);
        // The scripts were told the time; in use each sync asks for it.
        let inner = after.0.1 - before.0.1 + rounds;
        Cost { calls: as_float(after.0.0 - before.0.0) / tasks, inner: as_float(inner) / tasks }
    }

    /// Script calls, and commands inside them, since the server started.
    fn counted(&self) -> (u64, u64) {
        let (mut calls, mut inner) = (0, 0);
        for (name, value) in self.redis.info("commandstats") {
            let name = name.trim_start_matches("cmdstat_").split('|').next().unwrap().to_owned();
            let count = value.split(',').next().unwrap().trim_start_matches("calls=");
            let count: u64 = count.parse().unwrap();
            if name == "fcall" {
                calls += count;
            }
            if !OUTSIDE.contains(&name.as_str()) {
                inner += count;
            }
        }
        (calls, inner)
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a test are small")]
fn as_float(count: u64) -> f64 {
    count as f64
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_task_at_a_time_costs_at_most_2_calls_and_21_commands() {
    let mut load = Load::new(PARTITIONS).await;
    // Every user has something waiting, so that turns are real.
    for number in 0..USERS {
        load.submit(&Load::user(number), 2).await;
    }
    for p in (0..PARTITIONS).map(PartitionId) {
        load.sync(p, 1).await;
    }
    let cost = load.run(2_000, 1).await;
    println!("one at a time: {cost:.3?}");
    // A hundredth for what looks after the store meanwhile.
    assert!(cost.calls <= 2.02 && cost.inner <= 20.02 + TALLY_ONE, "{cost:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_at_a_time_cost_at_most_0_15_calls_and_3_commands() {
    let mut load = Load::new(PARTITIONS).await;
    load.run(USERS * 2, 16).await;
    let cost = load.run(USERS * 4, 16).await;
    println!("sixteen at a time: {cost:.3?}");
    assert!(cost.calls <= 0.15 && cost.inner <= 1.45 + TALLY_SIXTEEN, "{cost:?}");

    // With all users waiting every claim is of many lanes, each with its own commands.
    for partitions in [PARTITIONS_TWICE, PARTITIONS] {
        let mut load = Load::new(partitions).await;
        for number in 0..USERS {
            load.submit(&Load::user(number), 64).await;
        }
        load.run(USERS, 16).await;
        let cost = load.run(USERS * 4, 16).await;
        println!(
            "sixteen at a time, all of {USERS} users waiting, {partitions} partitions: {cost:.3?}"
        );
        assert!(cost.calls <= 0.15, "{cost:?}");
        // With twice the users in a partition a claim of sixteen is of twelve lanes.
        assert!(cost.inner <= if partitions == PARTITIONS { 4.0 } else { 3.0 }, "{cost:?}");
    }
}

/// The pages, the command line and the SDK give each submission a key of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_of_its_own_costs_a_task_one_command_and_its_submission_one_more() {
    for batch in [1, 16] {
        let mut costs = Vec::new();
        for has_keys in [false, true] {
            let mut load = Load::new(PARTITIONS).await;
            load.has_keys = has_keys;
            for number in 0..USERS {
                load.submit(&Load::user(number), 2 * u64::from(batch)).await;
            }
            for p in (0..PARTITIONS).map(PartitionId) {
                load.sync(p, batch).await;
            }
            costs.push(load.run(USERS * 4, batch).await);
        }
        let [plain, keyed] = &costs[..] else { panic!("two") };
        // Keys have dates: in use each submission of some asks for the time.
        let inner = keyed.inner + 1.0 / f64::from(batch);
        println!("{batch} at a time: {plain:.3?}, each with a key: {inner:.3} commands");
        assert!(keyed.calls <= plain.calls + 0.01, "{costs:?}");
        assert!(inner <= plain.inner + 1.0 + 1.0 / f64::from(batch) + 0.02, "{costs:?}");
    }
}

/// What flows add while they are in use, for every task of a chain: accepted by one call, each told
/// of by the end before it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_of_a_flow_costs_at_most_2_commands_more() {
    let mut load = Load::new(1).await;
    for number in 0..USERS {
        load.submit(&Load::user(number), 2).await;
    }
    let p = PartitionId(0);
    load.sync(p, 1).await;
    let plain = load.run(200, 1).await;
    // One task with ties is enough that every end is looked at; that alone costs next to nothing.
    let user = Load::user(0);
    load.chain(&user, 2, u32::MAX).await;
    let beside = load.run(200, 1).await;
    println!("one at a time: {plain:.3?}, beside a flow: {beside:.3?}");
    assert!(beside.calls <= 2.02 && beside.inner <= plain.inner + 1.5, "{beside:?}");

    let mut load = Load::new(1).await;
    let before = (load.counted(), load.done);
    for round in 0..20 {
        let user = Load::user(round);
        load.chain(&user, 101, u32::MAX).await;
        for _ in 0..101 {
            load.sync(p, 1).await;
        }
    }
    let after = (load.counted(), load.done);
    let (tasks, rounds) = (as_float(after.1 - before.1), 20 * 101);
    let inner = as_float(after.0.1 - before.0.1 + rounds) / tasks;
    let calls = as_float(after.0.0 - before.0.0) / tasks;
    println!("in a chain: {calls:.3} calls, {inner:.3} commands");
    assert!(calls <= 1.05 && inner <= plain.inner + 2.0, "{calls} {inner}");
}

impl Load {
    /// Submits a flow of `length` tasks, the flow among them, each waiting for the one before.
    async fn chain(&mut self, user: &UserId, length: u64, lane_max: u32) {
        let draft = |number| NewTask {
            event: Text::from(r#""k":"noop","q":"noop","max":3"#),
            lane_max,
            ..NewTask::new(
                user.clone(),
                TaskId::new(NOW_MS, number),
                "noop".parse().unwrap(),
                format!(r#"{{"v":1,"k":"noop","q":"noop","at":{NOW_MS},"max":3,"p":{{}}}}"#),
            )
        };
        let root = TaskId::new(NOW_MS, self.next);
        let node = |number: u64| Node {
            new: draft(number),
            part_of: (number > self.next).then_some(root),
            gathers: (number == self.next).then_some(Gathers::Flow),
            after: (number > self.next + 1)
                .then(|| After {
                    task: TaskId::new(NOW_MS, number - 1),
                    on_failure: OnFailure::Fail,
                })
                .into_iter()
                .collect(),
        };
        let nodes: Vec<Node> = (self.next..self.next + length).map(node).collect();
        self.next += length;
        let p = partition_of(user, self.partitions);
        let control = Control::Flow { at_ms: NOW_MS, user: user.clone(), nodes };
        let verdicts = self.store.control(p, control).await.unwrap();
        assert!(verdicts.iter().all(|verdict| *verdict == Controlled::Done));
    }
}

/// What priorities cost in a queue in which tasks have some.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_with_a_priority_costs_so_much_and_no_more() {
    const HIGH: &[Priority] = &[Priority::High];
    for (name, priorities, batch, most) in [
        ("high tasks, one at a time", HIGH, 1, 30.0),
        ("tasks of all priorities, one at a time", &Priority::ALL, 1, 34.0),
        ("high tasks, sixteen at a time", HIGH, 16, 5.0),
        ("tasks of all priorities, sixteen at a time", &Priority::ALL, 16, 7.0),
    ] {
        let mut load = Load::new(PARTITIONS).await;
        load.priorities = priorities;
        for number in 0..USERS {
            load.submit(&Load::user(number), 2 * u64::from(batch)).await;
        }
        load.run(USERS, batch).await;
        let cost = load.run(USERS * 4, batch).await;
        println!("{name}: {cost:.3?}");
        assert!(cost.inner <= most, "{name}: {cost:?}, at most {most}");
    }
}

/// What a limit on what runs or starts costs, where there is one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_on_what_runs_costs_so_much_and_no_more() {
    let at_most = |max| QueueSettings { running_max: Some(max), ..QueueSettings::default() };
    let in_all = |max| QueueSettings { running_total_max: Some(max), ..QueueSettings::default() };
    let rate = Rate { tasks: 1_000_000, per_ms: 1, burst: 1_000_000 };
    let paced = QueueSettings { rate: Some(rate), ..QueueSettings::default() };
    let over_all = QueueSettings { rate_total: Some(rate), ..QueueSettings::default() };
    let timed = QueueSettings { turns: Turns::RunTime, ..QueueSettings::default() };
    for (name, settings, batch, most) in [
        ("a limit that nobody reaches, one at a time", at_most(1_000), 1, 27.0),
        ("a limit of one, one at a time", at_most(1), 1, 27.0),
        ("a limit that nobody reaches, sixteen at a time", at_most(1_000), 16, 4.3),
        ("a limit of one that everybody reaches, sixteen at a time", at_most(1), 16, 5.5),
        ("a limit over all that nobody reaches, one at a time", in_all(1_000), 1, 26.0),
        ("a limit over all that nobody reaches, sixteen at a time", in_all(1_000), 16, 4.2),
        ("a rate that nobody uses up, one at a time", paced, 1, 25.0),
        ("a rate that nobody uses up, sixteen at a time", paced, 16, 4.2),
        ("a rate over all that nobody uses up, one at a time", over_all, 1, 27.0),
        ("a rate over all that nobody uses up, sixteen at a time", over_all, 16, 4.4),
        ("turns by run time, one at a time", timed, 1, 28.0),
        ("turns by run time, sixteen at a time", timed, 16, 3.5),
    ] {
        let mut load = Load::new(PARTITIONS).await;
        load.set(settings).await;
        for number in 0..USERS {
            load.submit(&Load::user(number), 2 * u64::from(batch)).await;
        }
        load.run(USERS, batch).await;
        let cost = load.run(USERS * 4, batch).await;
        println!("{name}: {cost:.3?}");
        assert!(cost.inner <= most, "{name}: {cost:?}, at most {most}");
    }
}

/// What it costs that tasks take several places of their worker; and a claim that stops at one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_of_several_places_costs_what_others_cost() {
    for (batch, most) in [(1, 20.02 + TALLY_ONE), (16, 4.0)] {
        let mut load = Load::new(PARTITIONS).await;
        load.places = 3;
        for number in 0..USERS {
            load.submit(&Load::user(number), 2 * u64::from(batch)).await;
        }
        load.run(USERS, batch).await;
        let cost = load.run(USERS * 4, batch).await;
        println!("three places each, {batch} at a time: {cost:.3?}");
        assert!(cost.inner <= most, "{cost:?}, at most {most}");
    }
    const CALLS: u64 = 100;
    let mut load = Load::new(1).await;
    for number in 0..USERS {
        load.submit(&Load::user(number), 2).await;
    }
    let before = load.counted().1;
    for call in 1..=CALLS {
        let queues = vec!["noop".parse().unwrap()];
        let request = Sync {
            worker: "w-1".parse().unwrap(),
            call,
            lease_ms: 10_000,
            ops: Vec::new(),
            claim: Some(Claim { queues, limit: 2, places: vec![3] }),
            woken: Vec::new(),
            park: true,
        };
        let reply = load.store.sync(PartitionId(0), request).await.unwrap();
        assert!(reply.stopped_at.is_some() && reply.claimed.is_empty());
    }
    let cost = as_float(load.counted().1 - before) / as_float(CALLS);
    println!("a claim that stops: {cost:.2} commands");
    assert!(cost <= 10.0, "{cost}");
}

/// Tasks that wait for a time, or fail, are in lists of their states.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_is_delayed_or_fails_costs_a_command_more_for_each_list_it_enters() {
    const TASKS: u64 = 100;
    let mut load = Load::new(1).await;
    let (user, p) = (Load::user(0), PartitionId(0));
    load.submit(&user, 1).await;
    let before = load.counted().1;
    for _ in 0..TASKS {
        load.submit(&user, 1).await;
    }
    let plain = as_float(load.counted().1 - before) / as_float(TASKS);
    let before = load.counted().1;
    for number in 0..TASKS {
        let id = TaskId::new(NOW_MS, 1_000_000 + number);
        let new = NewTask::new(user.clone(), id, "noop".parse().unwrap(), r#"{"k":"noop"}"#);
        let tasks = vec![NewTask { due_ms: Some(NOW_MS + 60_000), ..new }];
        load.store.submit(p, Submit { created_ms: NOW_MS, tasks }).await.unwrap();
    }
    let delayed = as_float(load.counted().1 - before) / as_float(TASKS);
    println!("a submission: {plain:.2} commands; of a delayed task: {delayed:.2}");
    // Its state, its date, the numbers of its lane, and its place in the list of what is delayed.
    assert!(delayed <= plain + 4.0, "{delayed}");

    let mut ends = Vec::new();
    for is_good in [true, false] {
        let before = load.counted().1;
        for _ in 0..TASKS / 2 {
            load.next += 1;
            let claim = Claim::new(vec!["noop".parse().unwrap()], 1);
            let held = load.held.remove(&p).unwrap_or_default();
            let write = || Write { n: 2, body: Text::from(r#""st":5"#), event: None };
            let report = |lease| {
                let (write, keep_s) = (write(), 86_400);
                let good = Report::Ack { write: write.clone(), keep_s };
                Op { lease, report: if is_good { good } else { Report::Bury { write, keep_s } } }
            };
            let request = Sync {
                worker: "w-1".parse().unwrap(),
                call: load.next,
                lease_ms: 10_000,
                ops: held.into_iter().map(report).collect(),
                claim: Some(claim),
                woken: Vec::new(),
                park: false,
            };
            let reply = load.store.sync(p, request).await.unwrap();
            load.held.insert(p, reply.claimed.into_iter().map(|held| held.lease).collect());
        }
        ends.push(as_float(load.counted().1 - before) / as_float(TASKS / 2));
    }
    println!("an end and a claim: {:.2} commands; a failure and a claim: {:.2}", ends[0], ends[1]);
    assert!(ends[1] <= ends[0] + 1.1, "{ends:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asking_whether_a_partition_rests_costs_one_command_and_what_comes_due_is_seen() {
    let mut load = Load::new(PARTITIONS).await;
    let user = Load::user(0);
    let p = partition_of(&user, PARTITIONS);
    // Somebody is parked, and the store learns for which queue.
    let park = Sync {
        worker: "w-1".parse().unwrap(),
        call: 1,
        lease_ms: 10_000,
        ops: Vec::new(),
        claim: Some(Claim::new(vec!["noop".parse().unwrap()], 1)),
        woken: Vec::new(),
        park: true,
    };
    load.store.sync(p, park).await.unwrap();
    assert!(load.store.rests(p).await.unwrap(), "nothing was ever there");
    let before = load.counted().1;
    for _ in 0..10 {
        assert!(load.store.rests(p).await.unwrap());
    }
    assert_eq!(load.counted().1 - before, 10);

    load.submit(&user, 1).await;
    assert!(!load.store.rests(p).await.unwrap(), "work waits for who is parked");
    load.sync(p, 1).await;
    assert!(!load.store.rests(p).await.unwrap(), "there is a lease");
    load.sync(p, 1).await;
    assert!(load.store.rests(p).await.unwrap(), "it has ended");

    let draft = |number| {
        NewTask::new(user.clone(), TaskId::new(NOW_MS, number), "noop".parse().unwrap(), "{}")
    };
    let later = NewTask { due_ms: Some(NOW_MS + 1_000), ..draft(9_001) };
    let batch = Submit { created_ms: NOW_MS, tasks: vec![later] };
    load.store.submit(p, batch).await.unwrap();
    assert!(!load.store.rests(p).await.unwrap(), "something comes due");
}
