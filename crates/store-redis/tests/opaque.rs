//! What users and handlers write passes through the scripts byte for byte, whatever it looks like.

#![expect(clippy::unwrap_used, reason = "these are tests")]

mod common;

use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tasktonic_core::command::{Again, Claim, NewTask, Op, Report, Submit, Sync, Write};
use tasktonic_core::reply::Submitted;
use tasktonic_core::routing::PartitionId;
use tasktonic_core::{Lease, TaskId, Text, UserId};
use tasktonic_store::clock::Clock;
use tasktonic_store::{Query, QueryReply, Store, SyncReply};
use tasktonic_store_redis::RedisStore;
use tasktonic_testkit::redis::Server;

const P: PartitionId = PartitionId(0);

/// JSON values that a careless reader gets wrong.
fn value() -> impl Strategy<Value = String> {
    let nested = (1_usize..=512).prop_map(|deep| "[".repeat(deep) + &"]".repeat(deep));
    let numbers = prop_oneof![
        Just("9007199254740993".to_owned()),
        Just("-9223372036854775808".to_owned()),
        Just("18446744073709551616".to_owned()),
        Just("0.1000000000000000055511151231257827".to_owned()),
        Just("1e400".to_owned()),
        Just("-0".to_owned()),
    ];
    let alike = prop_oneof![
        Just(r#""{\"s\":\"cancelled\",\"c\":1,\"n\":0,\"at\":1,\"a\":1}""#.to_owned()),
        Just(r#"{"s":"dead","c":9,"n":9,"at":9,"a":9,"w":"w-9.9"}"#.to_owned()),
        Just(r#""mail|ana|x|1|1|w-1.1""#.to_owned()),
        Just(r#""%d%s%0 ]]..call('FLUSHALL')..[[ \u0000 \r\n""#.to_owned()),
    ];
    let text = ".{0,60}".prop_map(|text| serde_json::to_string(&text).unwrap());
    prop_oneof![nested, numbers, alike, text]
}

#[derive(Debug, Clone)]
struct Texts {
    descriptor: String,
    event: String,
    progress: String,
    line: String,
    attempt: String,
    end: String,
}

fn texts() -> impl Strategy<Value = Texts> {
    [value(), value(), value(), value(), value(), value()].prop_map(|[a, b, c, d, e, f]| Texts {
        descriptor: format!(r#"{{"v":1,"k":"mail","q":"mail","at":1,"max":3,"p":{a}}}"#),
        event: format!(r#""k":{b}"#),
        progress: format!(r#""p":{c},"s":"dead","c":7"#),
        line: d,
        attempt: e,
        end: format!(r#""out":{f}"#),
    })
}

async fn sync(store: &RedisStore, call: &AtomicU64, ops: Vec<Op>, limit: u32) -> SyncReply {
    let request = Sync {
        worker: "w-1".parse().unwrap(),
        call: call.fetch_add(1, Ordering::Relaxed),
        lease_ms: 10_000,
        ops,
        claim: Some(Claim::new(vec!["mail".parse().unwrap()], limit)),
        woken: Vec::new(),
        park: false,
    };
    let reply = store.sync(P, request).await.unwrap();
    assert!(reply.refused.is_empty(), "{:?}", reply.refused);
    reply
}

async fn state(store: &RedisStore, user: &UserId, task: TaskId) -> String {
    let query = Query::Tasks { user: user.clone(), tasks: vec![task] };
    let QueryReply::Tasks(tasks) = store.read(P, query).await.unwrap() else { panic!() };
    tasks[0].state.as_deref().unwrap_or_default().to_owned()
}

fn op(lease: &Lease, report: Report) -> Vec<Op> {
    vec![Op { lease: lease.clone(), report }]
}

fn write(n: u32, body: &str) -> Write {
    Write { n, body: body.into(), event: None }
}

async fn round(store: &RedisStore, call: &AtomicU64, texts: &Texts) {
    let user = UserId::encode("ana");
    let task = TaskId::new(1_700_000_000_000, call.fetch_add(1, Ordering::Relaxed));
    let new = NewTask {
        event: texts.event.as_str().into(),
        lane_max: 10,
        ..NewTask::new(user.clone(), task, "mail".parse().unwrap(), texts.descriptor.as_str())
    };
    let batch = Submit { created_ms: 5, tasks: vec![new] };
    assert_eq!(store.submit(P, batch).await.unwrap(), [Submitted::Accepted]);
    let held = sync(store, call, Vec::new(), 1).await.claimed.remove(0);
    assert_eq!((&*held.descriptor, held.lease.task), (&*texts.descriptor, task));

    let progress = Report::Progress { write: write(2, &texts.progress) };
    sync(store, call, op(&held.lease, progress), 0).await;
    let holder = format!("{}.{}", held.lease.worker, held.lease.call);
    let head = format!(r#"{{"s":"running","c":1,"n":2,"at":1700000000000,"a":1,"w":"{holder}","#);
    assert_eq!(state(store, &user, task).await, format!("{head}{}}}", texts.progress));

    let lines = vec![Text::from(texts.line.as_str())];
    let mut ops = op(&held.lease, Report::Log { lines });
    let attempt = Text::from(texts.attempt.as_str());
    let again = Again::Now;
    ops.extend(op(
        &held.lease,
        Report::Nack { write: write(3, &texts.progress), again, attempt, keep_s: 60 },
    ));
    let held = sync(store, call, ops, 1).await.claimed.remove(0);
    assert_eq!((held.lease.attempt, held.lease.claim, held.n), (2, 2, 1));
    let ack = Report::Ack { write: write(2, &texts.end), keep_s: 60 };
    sync(store, call, op(&held.lease, ack), 0).await;
    let head = r#"{"s":"completed","c":2,"n":2,"at":1700000000000,"a":2,"#;
    assert_eq!(state(store, &user, task).await, format!("{head}{}}}", texts.end));

    let query = Query::Logs { user: user.clone(), task, after: 0, limit: 9 };
    let QueryReply::Logs(logs) = store.read(P, query).await.unwrap() else { panic!() };
    assert_eq!(&*logs.lines[0].text, texts.line);
    let query = Query::Attempts { user: user.clone(), task };
    let QueryReply::Attempts(rows) = store.read(P, query).await.unwrap() else { panic!() };
    assert_eq!(&*rows[0].text, texts.attempt);
    let QueryReply::Events(head) =
        store.read(P, Query::EventsHead { user: user.clone() }).await.unwrap()
    else {
        panic!()
    };
    let query = Query::EventsSince { user, epoch: head.epoch, seq: head.seq - 4 };
    let QueryReply::Events(events) = store.read(P, query).await.unwrap() else { panic!() };
    let told = [&texts.event, "", &texts.progress, &texts.end].map(String::from);
    for ((_, text), body) in events.entries.iter().zip(told) {
        assert!(text.contains(&body), "{text} has {body}");
    }
}

#[test]
fn texts_pass_through_the_scripts_byte_for_byte() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (clock, _) = Clock::manual(1_700_000_000_000);
    let redis = common::server(Server::Redis);
    let store = runtime.block_on(common::open(&redis, clock, 1));
    let call = AtomicU64::new(1);
    let mut runner =
        TestRunner::new(Config { cases: 100, failure_persistence: None, ..Config::default() });
    runner
        .run(&texts(), |texts| {
            runtime.block_on(round(&store, &call, &texts));
            Ok(())
        })
        .unwrap();
    let wrong = runtime.block_on(store.check(P)).unwrap();
    assert!(wrong.is_empty(), "{wrong:?}");
}
