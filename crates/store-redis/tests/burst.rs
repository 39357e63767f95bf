//! A hundred thousand tasks that become due in one instant, beside a long line: how much of it one
//! call of a script takes on, and that none is forgotten.

#![expect(clippy::unwrap_used, reason = "a test may panic, and so may its helpers")]

mod common;

use std::collections::HashSet;

use tasktonic_core::command::{Claim, NewTask, Op, Report, Submit, Sync, Write};
use tasktonic_core::limits::{PROMOTE_MAX, SUBMIT_TASKS_MAX};
use tasktonic_core::reply::Submitted;
use tasktonic_core::routing::PartitionId;
use tasktonic_core::{TaskId, Text, UserId};
use tasktonic_store::Store;
use tasktonic_store::clock::Clock;
use tasktonic_store_redis::RedisStore;
use tasktonic_testkit::redis::{Redis, Server};

const P: PartitionId = PartitionId(0);
const NOW_MS: i64 = 1_700_000_000_000;
/// How many become due at once, of how many users.
const DUE: u64 = 100_000;
const USERS: u64 = 100;
/// How many wait already, of one user.
const WAIT: u64 = 20_000;
const CLAIM: u32 = 128;
/// Commands that one call may make: of 128 reports, 128 claims and 128 tasks that become due, most
/// are told in one command each for all of them; each of 128 that are swept takes two.
const COMMANDS_MAX: u64 = 450;

async fn submit(
    store: &RedisStore,
    user: &UserId,
    numbers: std::ops::Range<u64>,
    due: Option<i64>,
) {
    let draft = |number| NewTask {
        due_ms: due,
        event: Text::from(r#""k":"noop","q":"noop","max":3"#),
        ..NewTask::new(
            user.clone(),
            TaskId::new(NOW_MS, number),
            "noop".parse().unwrap(),
            format!(r#"{{"v":1,"k":"noop","q":"noop","at":{NOW_MS},"max":3,"p":{{}}}}"#),
        )
    };
    let numbers: Vec<u64> = numbers.collect();
    for some in numbers.chunks(SUBMIT_TASKS_MAX) {
        let tasks = some.iter().map(|number| draft(*number)).collect();
        let told = store.submit(P, Submit { created_ms: NOW_MS, tasks }).await.unwrap();
        assert!(told.iter().all(|one| *one == Submitted::Accepted), "{told:?}");
    }
}

/// Commands that the server has carried out, those inside scripts too.
fn commands(redis: &Redis) -> u64 {
    let stats = redis.info("commandstats");
    let calls = |line: &String| -> u64 {
        let count = line.split(',').next().unwrap().trim_start_matches("calls=");
        count.parse().unwrap()
    };
    stats.values().map(calls).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_tasks_due_at_one_instant_are_taken_on_in_parts_and_all_run_once() {
    let redis = common::server(Server::Redis);
    let (clock, hand) = Clock::manual(NOW_MS);
    let store = common::open(&redis, clock, 1).await;
    let many = UserId::encode("many");
    submit(&store, &many, 0..WAIT, None).await;
    for n in 0..USERS {
        let (from, share) = (WAIT + n * DUE / USERS, DUE / USERS);
        let user = UserId::encode(&format!("user-{n}"));
        submit(&store, &user, from..from + share, Some(NOW_MS + 60_000)).await;
    }
    hand.advance(60_000);

    redis.cli(&["CONFIG", "SET", "slowlog-log-slower-than", "5000"]);
    redis.cli(&["SLOWLOG", "RESET"]);
    let mut ran = HashSet::new();
    let (mut ops, mut calls, mut most) = (Vec::new(), 0, 0);
    while ran.len() < usize::try_from(WAIT + DUE).unwrap() {
        calls += 1;
        // Maintenance is due once a second.
        hand.advance(1_000);
        let request = Sync {
            worker: "w-1".parse().unwrap(),
            call: calls,
            lease_ms: 60_000,
            ops: std::mem::take(&mut ops),
            claim: Some(Claim::new(vec!["noop".parse().unwrap()], CLAIM)),
            woken: Vec::new(),
            park: false,
        };
        let before = commands(&redis);
        let reply = store.sync(P, request).await.unwrap();
        // One is the question itself.
        most = most.max(commands(&redis) - before - 1);
        assert!(reply.refused.is_empty(), "{:?}", reply.refused);
        for held in reply.claimed {
            assert!(ran.insert(held.lease.task), "{} was taken twice", held.lease.task);
            let write = Write { n: held.n + 1, body: Text::from(r#""st":5"#), event: None };
            ops.push(Op { lease: held.lease, report: Report::Ack { write, keep_s: 60 } });
        }
        let enough = (WAIT + DUE) / u64::try_from(PROMOTE_MAX).unwrap() * 4;
        assert!(calls < enough, "{} of {} after {calls} calls", ran.len(), WAIT + DUE);
    }
    let slow = redis.cli(&["SLOWLOG", "LEN"]);
    eprintln!("{calls} calls, at most {most} commands in one; over 5 ms took {slow}");
    assert!(most <= COMMANDS_MAX, "one call made {most} commands");
    assert!(store.check(P).await.unwrap().is_empty());
}
