//! A key vanishes while everything runs: whatever it was, nothing is stuck afterwards.
#![expect(clippy::unwrap_used, reason = "these are tests")]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use tasktonic_core::command::{
    After, Again, Claim, Control, Gathers, NewSerial, Node, Op, Report, Sync, Write,
};
use tasktonic_core::links::OnFailure;
use tasktonic_core::routing::PartitionId;
use tasktonic_core::schedule::Schedule;
use tasktonic_core::settings::{By, QueueSettings, Rate, Turns, UserSettings};
use tasktonic_core::{Labels, Name, Priority, TaskId, TaskState, UserId};
use tasktonic_store::clock::Clock;
use tasktonic_store::conformance::Scene;
use tasktonic_store::{Query, QueryReply, Store as _};
use tasktonic_store_redis::RedisStore;
use tasktonic_testkit::redis::{Redis, Server};

const P: PartitionId = PartitionId(0);
/// Passes after which everything must be right again: what looks odd must look so twice.
const PASSES: u32 = 4;
const USERS: [&str; 4] = ["ana", "bob", "eve", "~ZZZZZZZZZZZZZZZZZZZZZZ"];

struct Stage {
    redis: Redis,
    store: Arc<RedisStore>,
    scene: Scene,
    random: StdRng,
    flows: Vec<(String, TaskId)>,
    /// Of what is set of queues.
    version: u64,
}

async fn stage(seed: u64) -> Stage {
    let redis = common::server(Server::Redis);
    let (clock, hand) = Clock::manual(1_700_000_000_000);
    let store = Arc::new(common::open(&redis, clock, 1).await);
    let scene = Scene::new(store.clone(), hand);
    let random = StdRng::seed_from_u64(seed);
    Stage { redis, store, scene, random, flows: Vec::new(), version: 0 }
}

impl Stage {
    /// Does something that people and workers do.
    async fn step(&mut self) {
        let user = *USERS.choose(&mut self.random).unwrap();
        match self.random.random_range(0..13) {
            8 | 9 => self.schedule(user).await,
            10 => {
                let control = self.setting(user);
                self.store.control(P, control).await.unwrap();
            }
            11..13 => self.flow(user).await,
            0..3 => {
                let mut new = self.scene.draft(user);
                if self.random.random_bool(0.2) {
                    new.due_ms = Some(self.scene.now_ms() + self.random.random_range(1..20_000));
                }
                if self.random.random_bool(0.3) {
                    new.priority = *Priority::ALL.choose(&mut self.random).unwrap();
                }
                if self.random.random_bool(0.3) {
                    let key = self.random.random_range(0..2);
                    new.serial = Some(NewSerial { key, stops_running: false });
                }
                self.scene.submit_as(new).await;
            }
            3..5 => {
                let limit = self.random.random_range(1..4);
                for held in self.scene.claim("w", limit).await {
                    let write = Write { n: 2, body: "".into(), event: None };
                    let report = match self.random.random_range(0..5) {
                        0..2 => Report::Ack { write, keep_s: 3_600 },
                        2 => Report::Nack {
                            write,
                            again: Again::At(self.scene.now_ms() + 3_000),
                            attempt: "{}".into(),
                            keep_s: 3_600,
                        },
                        _ => continue,
                    };
                    self.scene.report(&held.lease, report).await;
                }
            }
            5 => {
                let QueryReply::List(page) = self
                    .scene
                    .read(
                        user,
                        Query::List {
                            user: UserId::encode(user),
                            filter: tasktonic_store::TaskFilter::default(),
                            cursor: None,
                            limit: 50,
                        },
                    )
                    .await
                else {
                    unreachable!()
                };
                if let Some(task) = page.tasks.choose(&mut self.random) {
                    self.scene.cancel(user, task.id).await;
                }
            }
            _ => self.scene.pass(self.random.random_range(1..3_000)),
        }
    }

    /// Submits a flow, a batch, or parts of one that may be over.
    async fn flow(&mut self, user: &str) {
        let now_ms = self.scene.now_ms();
        let node = |gathers| Node {
            new: self.scene.draft(user),
            part_of: None,
            gathers,
            after: Vec::new(),
        };
        let mut nodes = Vec::new();
        let known = self.flows.iter().rfind(|(of, _)| *of == user).map(|(_, flow)| *flow);
        let flow = match known.filter(|_| self.random.random_bool(0.3)) {
            Some(flow) => flow,
            None => {
                let runs = self.random.random_bool(0.5);
                let is_flow = self.random.random_bool(0.6);
                let root =
                    node(Some(if is_flow { Gathers::Flow } else { Gathers::Batch { runs } }));
                let flow = root.new.task;
                nodes.push(root);
                self.flows.push((user.to_owned(), flow));
                flow
            }
        };
        let first = nodes.len();
        for _ in 0..self.random.random_range(1..5) {
            let mut part = node(None);
            part.part_of = Some(flow);
            if let Some(older) = nodes[first..].choose(&mut self.random)
                && self.random.random_bool(0.7)
            {
                let on_failure = *OnFailure::ALL.choose(&mut self.random).unwrap();
                part.after.push(After { task: older.new.task, on_failure });
            }
            nodes.push(part);
        }
        let user: UserId = user.parse().unwrap();
        let control = Control::Flow { at_ms: now_ms, user: user.clone(), nodes };
        self.store.control(P, control).await.unwrap();
        if self.random.random_bool(0.5) {
            let control = Control::Seal { at_ms: now_ms, user, task: flow };
            self.store.control(P, control).await.unwrap();
        }
    }

    /// Seals every batch that is still open.
    async fn seal_all(&self) {
        for (user, task) in &self.flows {
            let at_ms = self.scene.now_ms();
            let control = Control::Seal { at_ms, user: user.parse().unwrap(), task: *task };
            self.store.control(P, control).await.unwrap();
        }
    }

    /// Something set of a queue or a user.
    fn setting(&mut self, user: &str) -> Control {
        let (queue, user) = ("mail".parse().unwrap(), UserId::encode(user));
        let rate = Rate { tasks: 1, per_ms: 8_000, burst: 2 };
        match self.random.random_range(0..4) {
            0 => Control::Pause { user, by: By::Owner, paused: self.random.random_bool(0.6) },
            1 => {
                self.version += 1;
                let settings = QueueSettings {
                    paused: self.random.random_bool(0.3),
                    waiting_max: Some(500),
                    running_max: self.random.random_bool(0.5).then_some(2),
                    rate: self.random.random_bool(0.3).then_some(rate),
                    running_total_max: self.random.random_bool(0.4).then_some(3),
                    rate_total: self.random.random_bool(0.4).then_some(Rate {
                        tasks: 5,
                        per_ms: 1_000,
                        burst: 4,
                    }),
                    turns: *[Turns::Count, Turns::RunTime].choose(&mut self.random).unwrap(),
                };
                Control::Queues { version: self.version, queues: vec![(queue, settings)] }
            }
            _ => {
                let (weight, paused) =
                    (self.random.random_range(1..4), self.random.random_bool(0.4));
                let running_max = self.random.random_bool(0.3).then_some(1);
                let settings =
                    UserSettings { weight, paused, running_max, ..UserSettings::default() };
                let rate = self.random.random_bool(0.3).then_some(rate);
                let settings = UserSettings { rate, ..settings };
                Control::User { queue, user, settings }
            }
        }
    }

    /// Nothing is set of anything any more.
    async fn set_nothing(&mut self) {
        self.version += 1;
        let mut all = vec![Control::Queues { version: self.version, queues: Vec::new() }];
        for user in USERS.map(UserId::encode) {
            all.push(Control::Pause { user: user.clone(), by: By::Owner, paused: false });
            let settings = UserSettings::default();
            all.push(Control::User { queue: "mail".parse().unwrap(), user, settings });
        }
        for control in all {
            self.store.control(P, control).await.unwrap();
        }
    }

    /// Makes a schedule, takes it on, lets it rest, or removes it.
    async fn schedule(&mut self, user: &str) {
        let names = ["a", "b", "c"];
        let name = *names.choose(&mut self.random).unwrap();
        let user_id = UserId::encode(user);
        let asked = Query::Schedules { user: user_id, name: Some(name.parse().unwrap()) };
        let QueryReply::Schedules(known) = self.scene.read(user, asked).await else {
            unreachable!()
        };
        let seen = known.first().map(|known| known.schedule.version);
        let in_ms = self.random.random_range(1..20_000);
        let next_ms = self.random.random_bool(0.8).then_some(self.scene.now_ms() + in_ms);
        let becomes = Schedule { version: self.random.random(), next_ms, text: "{}".into() };
        match seen {
            Some(seen) if self.random.random_bool(0.5) => {
                let task = self.random.random_bool(0.5).then(|| self.scene.draft(user));
                self.scene.tick(user, name, seen, becomes, task).await;
            }
            Some(seen) if self.random.random_bool(0.3) => {
                self.scene.put_schedule(user, name, Some(seen), None).await;
            }
            seen => drop(self.scene.put_schedule(user, name, seen, Some(becomes)).await),
        }
    }

    /// Settles everything that was lost, and runs everything that can be run, to its end.
    async fn run_out(&mut self) {
        self.set_nothing().await;
        for _ in 0..400 {
            self.scene.pass(2_000);
            let reply = self.scene.sync("last", Vec::new(), 64, false).await;
            let ops: Vec<Op> = reply
                .claimed
                .into_iter()
                .chain(reply.adopted)
                .map(|held| {
                    let write = Write { n: 9, body: "".into(), event: None };
                    Op { lease: held.lease, report: Report::Ack { write, keep_s: 3_600 } }
                })
                .collect();
            if !ops.is_empty() {
                self.scene.sync("last", ops, 0, false).await;
            }
        }
    }

    /// Tasks that have not ended, in words.
    async fn stuck(&self) -> Vec<String> {
        let mut stuck = Vec::new();
        for key in self.redis.cli(&["KEYS", "tt:*:d:*"]).lines() {
            let state = self.redis.cli(&["GET", &key.replace(":d:", ":t:")]);
            let ended = [TaskState::Completed, TaskState::Cancelled, TaskState::Dead]
                .iter()
                .any(|ended| state.starts_with(&format!("{{\"s\":\"{}\"", ended.name())));
            if !ended {
                stuck.push(format!("{key}: {state}"));
            }
        }
        stuck
    }

    async fn repair(&self) -> u64 {
        let mut repaired = 0;
        for _ in 0..PASSES {
            repaired += self.store.reconcile(P).await.unwrap();
        }
        repaired
    }
}

/// Keys by the sort of what they hold.
fn sorts(redis: &Redis) -> BTreeMap<String, Vec<String>> {
    let mut sorts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for key in redis.cli(&["KEYS", "tt:{00*"]).lines() {
        let rest = key.split_once("}:").unwrap().1;
        let sort = match rest.strip_prefix("u:") {
            Some(personal) => format!("u:{}", personal.split(':').nth(1).unwrap()),
            None => rest.split(':').next().unwrap().to_owned(),
        };
        sorts.entry(sort).or_default().push(key.to_owned());
    }
    sorts
}

/// Whether a task is where it says, but for the lists of the sweep. An ended task whose state is
/// lost runs again, and then stands there twice, or too early; whose list is lost goes when its
/// descriptor says so. The end of the test sees that all do.
fn only_the_sweep(line: &str) -> bool {
    let Some((_, found)) = line.split_once("(leases, due, lanes, sweeps) (") else { return false };
    let places: Vec<u32> =
        found.split([',', ')', ' ']).filter_map(|number| number.parse().ok()).take(3).collect();
    let ended = ["completed", "cancelled", "dead"].iter().any(|state| line.contains(state));
    // A lane may still hold the dead reference of a task that was cancelled; one that waits for
    // others is nowhere.
    if ended || line.contains(" is waiting ") {
        places[..2] == [0, 0]
    } else {
        places.iter().sum::<u32>() == 1
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_wrong_nothing_is_repaired() {
    let mut stage = stage(1).await;
    for step in 0..300 {
        stage.step().await;
        if step % 10 == 0 {
            let repaired = stage.store.reconcile(P).await.unwrap();
            assert_eq!(repaired, 0, "{:?}", stage.store.repairs());
        }
    }
    let wrong = stage.store.check(P).await.unwrap();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(stage.store.repairs().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_beside_live_work_finds_nothing_either() {
    let mut stage = stage(2).await;
    for _ in 0..50 {
        stage.step().await;
    }
    let store = stage.store.clone();
    let beside = tokio::spawn(async move {
        let mut repaired = 0;
        for _ in 0..40 {
            repaired += store.reconcile(P).await.unwrap();
        }
        repaired
    });
    while !beside.is_finished() {
        stage.step().await;
    }
    assert_eq!(beside.await.unwrap(), 0, "{:?}", stage.store.repairs());
}

/// A task whose state is lost has lost its serial key with it. Its place in the line stays until the
/// next task of that key comes: only then is the line looked at.
fn left_in_line(line: &str) -> bool {
    line.ends_with(" is queued and in line Some(true)") || line.ends_with(", which has None")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_any_kind_may_vanish_and_no_task_is_stuck() {
    let mut met = BTreeMap::<String, u32>::new();
    for seed in 0..12 {
        let mut stage = stage(seed).await;
        for _ in 0..120 {
            stage.step().await;
        }
        // One key of every kind in turn, and life goes on in between. Lists for the sweep last: an
        // ended task that neither a list nor its user's index names is found by nobody.
        let mut kinds: Vec<String> = sorts(&stage.redis).into_keys().collect();
        // What is set aside of paused users comes first: without those it is gone by itself.
        kinds.sort_by_key(|sort| (sort == "sweep", sort != "u:z"));
        for sort in kinds {
            let now = sorts(&stage.redis);
            let Some(keys) = now.get(&sort) else { continue };
            let key = keys.choose(&mut stage.random).unwrap();
            stage.redis.cli(&["DEL", key]);
            *met.entry(sort.clone()).or_default() += 1;
            if sort == "meta" {
                // Whoever looks after the facts does so every second.
                tasktonic_testkit::wait::until(
                    "the facts to be there again",
                    std::time::Duration::from_secs(10),
                    || stage.redis.cli(&["EXISTS", key]) == "1",
                );
            }
            stage.repair().await;
            for _ in 0..5 {
                stage.step().await;
            }
            stage.repair().await;
            let mut wrong = stage.store.check(P).await.unwrap();
            wrong.retain(|line| !only_the_sweep(line) && !left_in_line(line));
            assert!(wrong.is_empty(), "seed {seed}, {key} removed: {wrong:#?}");
        }
        stage.seal_all().await;
        stage.run_out().await;
        stage.repair().await;
        stage.seal_all().await;
        stage.run_out().await;
        let stuck = stage.stuck().await;
        assert!(stuck.is_empty(), "seed {seed}: {stuck:#?}");
        assert_eq!(stage.store.reconcile(P).await.unwrap(), 0);
        // Nor is anything kept for ever.
        stage.scene.pass(15 * 86_400_000);
        for round in 0..40 {
            stage.scene.pass(1_000);
            stage.scene.sync("last", Vec::new(), 0, false).await;
            if round == 20 {
                stage.repair().await;
            }
        }
        let left = stage.redis.cli(&["KEYS", "tt:*:d:*"]);
        assert!(left.is_empty(), "seed {seed}: {left}");
    }
    for sort in [
        "meta",
        "leases",
        "due",
        "ring",
        "users",
        "u:d",
        "u:t",
        "u:i",
        "u:q",
        "u:e",
        "schedules",
        "u:sc",
        "u:f",
        "u:m",
        "nodes",
        "u:w",
        "full",
        "overrides",
        "paused",
        "running",
        "throttled",
        "u:z",
        "u:n",
    ] {
        assert!(met.contains_key(sort), "no {sort} was ever removed: {met:?}");
    }
    eprintln!("removed: {met:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_with_labels_is_put_right_like_any_other() {
    let stage = stage(5).await;
    // The longest names there are: what is read of a descriptor has to hold them.
    let (kind, label) = ("k".repeat(64), |letter: &str| letter.repeat(32));
    let labels = Labels::new([label("a"), label("b"), label("c")]).unwrap();
    let queue = "q".repeat(64).parse::<Name>().unwrap().with_labels(&labels);
    let descriptor = format!(r#"{{"k":"{kind}","q":"{queue}","at":1,"max":2,"p":{{}}}}"#);
    let mut tasks = Vec::new();
    for number in 0..6 {
        let mut new = stage.scene.draft("ana");
        new.queue = queue.clone();
        new.descriptor = descriptor.clone().into();
        new.due_ms = (number == 5).then(|| stage.scene.now_ms() + 1_000);
        tasks.push(new.task);
        stage.scene.submit_as(new).await;
    }
    let claim = async |call, limit| {
        let request = Sync {
            worker: "w".parse().unwrap(),
            call,
            lease_ms: 10_000,
            ops: Vec::new(),
            claim: Some(Claim::new(vec![queue.clone()], limit)),
            woken: Vec::new(),
            park: false,
        };
        let claimed = stage.store.sync(P, request).await.unwrap().claimed;
        claimed.into_iter().map(|held| held.lease.task).collect::<Vec<_>>()
    };
    assert_eq!(claim(1, 1).await, tasks[..1]);
    for key in ["ring", "u:ana:q", "leases", "due"] {
        let keys = stage.redis.cli(&["KEYS", &format!("tt:{{00*}}:{key}*")]);
        stage.redis.cli(&["DEL", &keys]);
    }
    assert!(stage.repair().await > 0);
    let wrong = stage.store.check(P).await.unwrap();
    assert!(wrong.is_empty(), "{wrong:#?}");
    stage.scene.pass(2_000);
    claim(2, 0).await;
    let mut claimed = claim(3, 10).await;
    claimed.sort();
    assert_eq!(claimed, tasks, "the one whose lease is gone among them");
    let shown = stage.redis.cli(&["KEYS", "tt:*:u:ana:q:*"]);
    assert!(shown.is_empty(), "nothing waits elsewhere: {shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nothing_can_be_made_of_is_put_aside() {
    let stage = stage(3).await;
    stage.scene.submit("ana").await;
    let base = {
        let meta = stage.redis.cli(&["KEYS", "tt:{00*}:meta"]);
        meta.strip_suffix("meta").unwrap().to_owned()
    };
    let lane = stage.redis.cli(&["KEYS", &format!("{base}u:ana:q:*")]);
    stage.redis.cli(&["ZADD", &format!("{base}leases"), "1", "nonsense"]);
    stage.redis.cli(&["ZADD", &format!("{base}due"), "1", "non,sense"]);
    stage.redis.cli(&["ZADD", &format!("{base}schedules"), "1", "nonsense"]);
    stage.redis.cli(&["RPUSH", &lane, "nonsense"]);
    assert_eq!(stage.store.reconcile(P).await.unwrap(), 4);
    assert_eq!(stage.redis.cli(&["LLEN", &format!("{base}quarantine")]), "4");
    assert_eq!(stage.store.reconcile(P).await.unwrap(), 0);
    assert_eq!(stage.scene.claim("w", 5).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_without_tasks_keeps_one_event_and_no_number_comes_again() {
    let stage = stage(4).await;
    let ana = UserId::encode("ana");
    let finish = async || {
        let held = stage.scene.claim_one("w").await;
        let write = Write { n: 2, body: "".into(), event: None };
        assert!(stage.scene.report(&held.lease, Report::Ack { write, keep_s: 60 }).await);
    };
    for _ in 0..5 {
        stage.scene.submit("ana").await;
        finish().await;
    }
    stage.scene.submit("ana").await;
    let since = async |epoch, seq| {
        let query = Query::EventsSince { user: ana.clone(), epoch, seq };
        let QueryReply::Events(events) = stage.scene.read("ana", query).await else {
            unreachable!()
        };
        events
    };
    let head = since(0, 0).await;
    let kept = |count: &str| {
        let log = stage.redis.cli(&["KEYS", "tt:*:u:ana:e"]);
        assert_eq!(stage.redis.cli(&["XLEN", &log]), count);
    };
    // As long as there is a task, all of them are kept.
    stage.store.reconcile(P).await.unwrap();
    assert_eq!(since(head.epoch, 2).await.entries.len() as u64, head.seq - 2);
    finish().await;
    for _ in 0..200 {
        stage.scene.pass(1_000);
        stage.scene.sync("w", Vec::new(), 0, false).await;
    }
    let head = since(0, 0).await;
    assert_eq!(stage.store.reconcile(P).await.unwrap(), 0);
    assert!(stage.store.repairs().is_empty());
    kept("1");
    let up_to_date = since(head.epoch, head.seq).await;
    assert!(!up_to_date.reset && up_to_date.seq == head.seq, "{up_to_date:?}");
    assert!(since(head.epoch, head.seq - 2).await.reset, "an old cursor is told so");
    stage.scene.submit("ana").await;
    let next = since(head.epoch, head.seq).await;
    assert_eq!((next.reset, next.entries.len(), next.seq), (false, 1, head.seq + 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_whose_clock_is_ahead_lists_no_ended_task_twice() {
    let redis = common::server(Server::Redis);
    let (clock, hand) = Clock::manual(Clock::system().now_ms() + 10 * 86_400_000);
    // The scripts ask the server for the time.
    let options = tasktonic_store_redis::Options {
        partitions: 1,
        reconcile_every: None,
        ..tasktonic_store_redis::Options::new(clock)
    };
    let store = RedisStore::open(&redis.url().parse().unwrap(), options).await.unwrap();
    let store = Arc::new(store);
    let scene = Scene::new(store.clone(), hand);
    scene.submit("ana").await;
    let held = scene.claim_one("w").await;
    let write = Write { n: 2, body: "".into(), event: None };
    assert!(scene.report(&held.lease, Report::Ack { write, keep_s: 86_400 }).await);
    let list = redis.cli(&["KEYS", "tt:*:sweep:86400"]);
    assert_eq!(store.reconcile(P).await.unwrap(), 0);
    assert_eq!(redis.cli(&["LLEN", &list]), "1");
    // Nor where its list is too long to be searched.
    let others = vec!["someone-else"; 10_001];
    redis.cli(&[&["LPUSH", list.as_str()], &others[..]].concat());
    assert_eq!(store.reconcile(P).await.unwrap(), 0);
    assert_eq!(redis.cli(&["LLEN", &list]), "10002");
}
