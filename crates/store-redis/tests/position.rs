//! What it costs to ask where a task stands, counted by Redis itself: the same however many wait. No clock.

#![expect(clippy::unwrap_used, reason = "these are tests")]

mod common;

use std::collections::BTreeMap;

use tasktonic_core::command::{Claim, Control, NewTask, Submit, Sync};
use tasktonic_core::limits::{POSITION_MAX, SUBMIT_TASKS_MAX};
use tasktonic_core::reply::{Controlled, Submitted};
use tasktonic_core::routing::PartitionId;
use tasktonic_core::{TaskId, Text, UserId};
use tasktonic_store::clock::Clock;
use tasktonic_store::position::SEEN_MAX;
use tasktonic_store::{Position, Query, QueryReply, Store};
use tasktonic_store_redis::RedisStore;
use tasktonic_testkit::redis::{Redis, Server};

const NOW_MS: i64 = 1_700_000_000_000;
const P: PartitionId = PartitionId(0);
/// How many wait.
const WAITING: [usize; 3] = [10, 1_000, 20_000];
/// Places that are looked at one by one where some before the task are dead references, and what is
/// asked of each.
const LOOKS_MAX: usize = 200;
const ASKED_OF_EACH: usize = 2;

/// A user with a long line, which has moved as often as anybody looks at.
struct Line {
    store: RedisStore,
    redis: Redis,
    user: UserId,
    waiting: Vec<TaskId>,
    next: u64,
}

/// What one request cost.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cost {
    /// How often each command was called, inside scripts as well.
    commands: BTreeMap<String, usize>,
    /// Keys that were looked up, there or not.
    keys: u64,
}

impl Cost {
    fn all(&self) -> usize {
        self.commands.values().sum()
    }
}

impl Line {
    async fn new(waiting: usize) -> Self {
        let redis = common::server(Server::Redis);
        // A clock that stands still: no maintenance beside what is counted.
        let (clock, _) = Clock::manual(NOW_MS);
        let store = common::open(&redis, clock, 1).await;
        let user = UserId::encode("ana");
        let mut line = Self { store, redis, user, waiting: Vec::new(), next: 1 };
        let mut tasks = Vec::new();
        let before = SEEN_MAX + waiting - 1;
        while tasks.len() < before {
            tasks.extend(line.submit(SUBMIT_TASKS_MAX.min(before - tasks.len())).await);
        }
        for _ in 0..SEEN_MAX {
            line.start_one().await;
        }
        // The newest event is not of a start, so that one more of that sort changes nothing of what is
        // read.
        tasks.extend(line.submit(1).await);
        line.waiting = tasks.split_off(SEEN_MAX);
        line.redis.cli(&["CONFIG", "SET", "slowlog-log-slower-than", "0"]);
        line.redis.cli(&["CONFIG", "SET", "slowlog-max-len", "100000"]);
        line
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    async fn submit(&mut self, count: usize) -> Vec<TaskId> {
        let ids: Vec<_> = (0..count).map(|_| TaskId::new(NOW_MS, self.number())).collect();
        let draft = |id: &TaskId| NewTask {
            event: Text::from(r#""k":"noop","max":3"#),
            ..NewTask::new(
                self.user.clone(),
                *id,
                "noop".parse().unwrap(),
                format!(r#"{{"v":1,"k":"noop","at":{NOW_MS},"max":3,"p":{{}}}}"#),
            )
        };
        let batch = Submit { created_ms: NOW_MS, tasks: ids.iter().map(draft).collect() };
        let answers = self.store.submit(P, batch).await.unwrap();
        assert!(answers.iter().all(|answer| *answer == Submitted::Accepted));
        ids
    }

    async fn start_one(&mut self) {
        let request = Sync {
            worker: "w-1".parse().unwrap(),
            call: self.number(),
            lease_ms: 60_000,
            ops: Vec::new(),
            claim: Some(Claim::new(vec!["noop".parse().unwrap()], 1)),
            woken: Vec::new(),
            park: false,
        };
        assert_eq!(self.store.sync(P, request).await.unwrap().claimed.len(), 1);
    }

    /// Cancels the first of those that wait: what they leave in the lane is taken out when its turn
    /// comes.
    async fn cancel_first(&mut self, count: usize) {
        let tasks: Vec<TaskId> = self.waiting.drain(..count).collect();
        let (user, body) = (self.user.clone(), Text::from(r#""why":"asked""#));
        let control = Control::Cancel { at_ms: NOW_MS, user, tasks, body, keep_s: 60 };
        let answers = self.store.control(P, control).await.unwrap();
        assert_eq!(answers, vec![Controlled::Done; count]);
    }

    /// Asks where a task stands and how many users wait beside its own, as a page does; what Redis did for
    /// it.
    async fn ask(&self, task: TaskId) -> (Position, Cost) {
        self.redis.cli(&["SLOWLOG", "RESET"]);
        let before = self.looked_up();
        let query = Query::Position { user: self.user.clone(), task };
        let QueryReply::Position(position) = self.store.read(P, query).await.unwrap() else {
            panic!("a question is answered in kind")
        };
        let turns = Query::Turns { queues: vec!["noop".parse().unwrap()] };
        self.store.read(P, turns).await.unwrap();
        let keys = self.looked_up() - before;
        let mut commands = BTreeMap::new();
        for words in self.commands() {
            assert_bounded(&words);
            *commands.entry(words[0].to_lowercase()).or_default() += 1;
        }
        (*position.expect("it is queued"), Cost { commands, keys })
    }

    fn looked_up(&self) -> u64 {
        let stats = self.redis.info("stats");
        let count = |name: &str| stats[name].parse::<u64>().unwrap();
        count("keyspace_hits") + count("keyspace_misses")
    }

    /// Commands about our keys since the log was emptied, with their words.
    fn commands(&self) -> Vec<Vec<String>> {
        let log = self.redis.ask(&["SLOWLOG", "GET", "-1"]);
        let words = log.items().iter().map(|entry| {
            entry.items()[3].items().iter().map(tasktonic_testkit::redis::Reply::text).collect()
        });
        let is_ours = |words: &Vec<String>| words.get(1).is_some_and(|key| key.starts_with("tt:"));
        words.filter(is_ours).collect()
    }
}

/// A command that could read as much as a list or stream holds says where it stops.
fn assert_bounded(words: &[String]) {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let number = |at: usize| words[at].parse::<usize>().unwrap();
    let is_bounded = match words[0].to_lowercase().as_str() {
        // Of one value, or of a number that is kept.
        "getrange" | "exists" | "llen" | "hlen" | "zcard" | "scard" | "hmget" | "hget" => true,
        "lindex" => words[2] == "0",
        "lrange" => number(2) == 0 && number(3) < LOOKS_MAX,
        "lpos" => words[3..] == ["MAXLEN", &POSITION_MAX.to_string()],
        "xrevrange" => words[4] == "COUNT" && number(5) <= 64,
        _ => false,
    };
    assert!(is_bounded, "{words:?} may read all there is");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_costs_as_much_among_20_000_as_among_10() {
    let mut costs = Vec::new();
    for waiting in WAITING {
        let line = Line::new(waiting).await;
        for at in [0, waiting / 2, waiting - 1] {
            let (position, cost) = line.ask(line.waiting[at]).await;
            let ahead = u32::try_from(at).unwrap().min(POSITION_MAX);
            assert_eq!((position.ahead, position.more), ((ahead, ahead), ahead == POSITION_MAX));
            println!("{at} of {waiting}: {} commands, {} keys: {cost:?}", cost.all(), cost.keys);
            costs.push(cost);
        }
    }
    for cost in &costs {
        assert_eq!(*cost, costs[0], "it grows with what waits");
    }
    // As often as the limits of the history say, and some.
    assert!(costs[0].all() <= SEEN_MAX + 16, "{:?}", costs[0]);
}

/// Where places before the task are dead references, as many are looked at as a limit says, and where
/// there are more places than that, none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_behind_cancelled_tasks_costs_no_more_among_20_000_than_among_1_000() {
    const CANCELLED: usize = 5;
    let mut costs = Vec::new();
    for waiting in &WAITING[1..] {
        let mut line = Line::new(*waiting).await;
        let (_, plain) = line.ask(line.waiting[0]).await;
        line.cancel_first(CANCELLED).await;
        let mut of_line = Vec::new();
        for at in [LOOKS_MAX - CANCELLED, LOOKS_MAX + 1, line.waiting.len() - 1] {
            let (position, cost) = line.ask(line.waiting[at]).await;
            let ahead = u32::try_from(at).unwrap().min(POSITION_MAX);
            assert!(position.ahead.0 <= ahead && ahead <= position.ahead.1, "{position:?}");
            println!("{at} of {waiting}, some cancelled: {} commands, {cost:?}", cost.all());
            of_line.push(cost);
        }
        assert!(of_line[0].all() <= plain.all() + ASKED_OF_EACH * LOOKS_MAX + 1, "{of_line:?}");
        assert_eq!(of_line[1..], [plain.clone(), plain]);
        costs.push(of_line);
    }
    assert_eq!(costs[0], costs[1], "it grows with what waits");
}
