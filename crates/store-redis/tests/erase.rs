//! After a user is erased, no key names them and no value holds them.

#![expect(clippy::unwrap_used, reason = "these are tests")]

mod common;

use tasktonic_core::command::{
    After, Claim, Control, Expiry, Gathers, Idempotency, NewSerial, NewTask, Node, Op, Report,
    Submit, Sync, Write,
};
use tasktonic_core::links::OnFailure;
use tasktonic_core::reply::Controlled;
use tasktonic_core::routing::PartitionId;
use tasktonic_core::schedule::Schedule;
use tasktonic_core::settings::{By, QueueSettings, Turns, UserSettings};
use tasktonic_core::{TaskId, UserId};
use tasktonic_store::clock::Clock;
use tasktonic_store::{Held, Store as _};
use tasktonic_store_redis::RedisStore;
use tasktonic_testkit::redis::{Redis, Reply, Server};

const P: PartitionId = PartitionId(0);
const NOW_MS: i64 = 1_700_000_000_000;
const WHO: &str = "erasable-person";

async fn submit(store: &RedisStore, user: &str, numbers: std::ops::Range<u64>, queue: &str) {
    let user: UserId = user.parse().unwrap();
    let new = |number: u64| {
        let text =
            format!(r#"{{"v":1,"k":"{queue}","q":"{queue}","at":1,"max":2,"p":"of {user}"}}"#);
        let key = format!("key of {user} {number}");
        NewTask {
            idempotency: Some(Idempotency::new(key, 7, 3_600_000)),
            due_ms: (number % 5 == 1).then_some(NOW_MS + 60_000),
            serial: (number % 9 == 4)
                .then_some(NewSerial { key: u128::from(number % 2), stops_running: false }),
            expires: (number % 7 == 1).then_some(Expiry { at_ms: NOW_MS + 70_000, keep_s: 60 }),
            ..NewTask::new(user.clone(), TaskId::new(1, number), queue.parse().unwrap(), text)
        }
    };
    let tasks: Vec<_> = numbers.map(new).collect();
    for tasks in tasks.chunks(128) {
        let batch = Submit { created_ms: NOW_MS, tasks: tasks.to_vec() };
        store.submit(P, batch).await.unwrap();
    }
}

async fn sync(store: &RedisStore, call: u64, ops: Vec<Op>, queue: &str, limit: u32) -> Vec<Held> {
    let claim = Claim::new(vec![queue.parse().unwrap()], limit);
    let request = Sync {
        worker: "w-1".parse().unwrap(),
        call,
        lease_ms: 10_000,
        ops,
        claim: (limit > 0).then_some(claim),
        woken: Vec::new(),
        park: false,
    };
    store.sync(P, request).await.unwrap().claimed
}

/// Three flows of a hundred parts, cancelled by one command.
async fn cancelled_flows(store: &RedisStore) {
    let who: UserId = WHO.parse().unwrap();
    let mut roots = Vec::new();
    for flow in 0..3 {
        let id = |part: u64| TaskId::new(2, 1_000 * flow + part);
        let node = |part: u64| Node {
            new: NewTask::new(
                who.clone(),
                id(part),
                "media".parse().unwrap(),
                format!(r#"{{"v":1,"k":"media","at":1,"max":2,"p":"of {WHO}"}}"#),
            ),
            part_of: (part > 0).then(|| id(0)),
            gathers: (part == 0).then_some(Gathers::Flow),
            after: (part > 1)
                .then(|| After { task: id(1), on_failure: OnFailure::Fail })
                .into_iter()
                .collect(),
        };
        roots.push(id(0));
        let nodes = (0..100).map(node).collect();
        store.control(P, Control::Flow { at_ms: NOW_MS, user: who.clone(), nodes }).await.unwrap();
    }
    let (user, body) = (who, "".into());
    let cancel = Control::Cancel { at_ms: NOW_MS, user, tasks: roots, body, keep_s: 60 };
    store.control(P, cancel).await.unwrap();
}

/// Everything there is, as text: names and values.
fn everything(redis: &Redis) -> String {
    let mut all = String::new();
    for key in redis.ask(&["KEYS", "*"]).items() {
        let key = key.text();
        let question: &[&str] = match redis.ask(&["TYPE", &key]).text().as_str() {
            "string" => &["GET", &key],
            "list" => &["LRANGE", &key, "0", "-1"],
            "set" => &["SMEMBERS", &key],
            "zset" => &["ZRANGE", &key, "0", "-1", "WITHSCORES"],
            "hash" => &["HGETALL", &key],
            "stream" => &["XRANGE", &key, "-", "+"],
            other => panic!("{key} is a {other}"),
        };
        let value: Reply = redis.ask(question);
        all.push_str(&format!("{key} = {}\n", words(&value)));
    }
    all
}

/// An answer with all that is in it, as text.
fn words(reply: &Reply) -> String {
    match reply {
        Reply::List(items) => items.iter().map(words).collect::<Vec<_>>().join(" "),
        other => other.text(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_key_and_no_value_holds_a_trace_of_an_erased_user() {
    for sort in Server::installed() {
        let redis = common::server(sort);
        let (clock, _hand) = Clock::manual(NOW_MS);
        let store = common::open(&redis, clock, 1).await;
        submit(&store, "ben", 0..200, "mail").await;
        submit(&store, WHO, 1_000..1_400, "mail").await;
        submit(&store, WHO, 2_000..2_010, "media").await;
        let who: UserId = WHO.parse().unwrap();
        let (queue, user) = ("mail".parse().unwrap(), who.clone());
        let settings =
            UserSettings { weight: 3, running_max: Some(1_000), ..UserSettings::default() };
        store.control(P, Control::User { queue, user, settings }).await.unwrap();
        let by_time = QueueSettings { turns: Turns::RunTime, ..QueueSettings::default() };
        let queues = vec![("mail".parse().unwrap(), by_time)];
        store.control(P, Control::Queues { version: 1, queues }).await.unwrap();
        let becomes = Schedule { version: 1, next_ms: Some(NOW_MS + 9), text: WHO.into() };
        let (user, name, seen) = (who.clone(), "daily".parse().unwrap(), None);
        let schedule = Control::Schedule { user, name, seen, becomes: Some(becomes) };
        store.control(P, schedule).await.unwrap();
        // Ended, dead, with logs and history, running, asked to stop.
        let mut ended = Vec::new();
        for call in 0..4 {
            let held = sync(&store, call, Vec::new(), "mail", 100).await;
            let mine = held.into_iter().filter(|held| held.lease.user == who);
            ended.extend(mine);
        }
        let body = |n| Write { n, body: r#""st":5"#.into(), event: None };
        let report = |at: usize, n| match at % 3 {
            0 => Report::Ack { write: body(n), keep_s: 60 },
            1 => Report::Bury { write: body(n), keep_s: 600 },
            _ => Report::Log { lines: vec![r#"{"at":1,"l":"info","x":"of"}"#.into()] },
        };
        let op = |(at, held): (usize, &Held)| Op {
            lease: held.lease.clone(),
            report: report(at, held.n + 1),
        };
        for (call, held) in ended.chunks(100).enumerate() {
            let ops = held.iter().enumerate().map(op).collect();
            sync(&store, 10 + call as u64, ops, "mail", 0).await;
        }
        let tasks = ended.iter().skip(2).step_by(3).take(5).map(|held| held.lease.task).collect();
        let cancel = Control::Cancel {
            at_ms: NOW_MS,
            user: who.clone(),
            tasks,
            body: "".into(),
            keep_s: 60,
        };
        store.control(P, cancel).await.unwrap();
        // With flows that were cancelled, and more ends to be told than one call tells.
        cancelled_flows(&store).await;
        // Paused, with a line set aside at its turn.
        submit(&store, WHO, 3_000..3_010, "mail").await;
        let pause = Control::Pause { user: who.clone(), by: By::Operator, paused: true };
        store.control(P, pause).await.unwrap();
        sync(&store, 30, Vec::new(), "mail", 100).await;
        let before = everything(&redis);
        assert!(before.contains(WHO), "the scan finds what is there");
        let counts = before.lines().find(|line| line.contains("running:mail"));
        assert!(counts.is_some_and(|line| line.contains(WHO)), "{counts:?}");
        let times = before.lines().find(|line| line.contains("times:mail"));
        assert!(times.is_some_and(|line| line.contains(WHO)), "{times:?}");

        let mut steps = 0;
        loop {
            steps += 1;
            let control = Control::Erase { user: who.clone() };
            if store.control(P, control).await.unwrap() == [Controlled::Done] {
                break;
            }
        }
        assert!(steps > 2, "in steps: {steps}");
        let left = everything(&redis);
        let lines: Vec<_> = left.lines().filter(|line| line.contains(WHO)).collect();
        assert_eq!(lines, Vec::<&str>::new());
        assert_eq!(store.check(P).await.unwrap(), Vec::<String>::new());
        assert!(left.contains("of ben"), "another user's are there");
    }
}
