//! Limits over all users of a queue, shared by partitions: by several processes at once, with what they
//! share them by lost under their hands.

#![expect(clippy::unwrap_used, reason = "these are tests")]

mod permits;
mod starts;

use std::time::Duration;

use tasktonic_core::command::{Claim, Control, NewTask, Op, Report, Submit, Sync, Write};
use tasktonic_core::reply::{Controlled, Submitted};
use tasktonic_core::routing::{PartitionId, partition_of, tag};
use tasktonic_core::settings::QueueSettings;
use tasktonic_core::{TaskId, Text, UserId};
use tasktonic_store::clock::Clock;
use tasktonic_store::{Held, Store, SyncReply};
use tasktonic_store_redis::{Options, RedisStore};
use tasktonic_testkit::redis::Redis;

const PARTITIONS: u16 = 8;
const USERS: u64 = 40;
/// Only a failing test waits that long.
const ALL_DONE: Duration = Duration::from_secs(90);

/// Where the facts of a partition are.
fn meta(p: u16) -> String {
    format!("tt:{{{}}}:meta", tag(PartitionId(p), PARTITIONS))
}

async fn open(redis: &Redis) -> RedisStore {
    let options =
        Options { partitions: PARTITIONS, reconcile_every: None, ..Options::new(Clock::system()) };
    RedisStore::open(&redis.url().parse().unwrap(), options).await.unwrap()
}

/// Sets what holds of the queue everywhere.
async fn set(store: &RedisStore, version: u64, settings: QueueSettings) {
    for p in (0..PARTITIONS).map(PartitionId) {
        let queues = vec![("mail".parse().unwrap(), settings)];
        let answer = store.control(p, Control::Queues { version, queues }).await.unwrap();
        assert_eq!(answer, [Controlled::Done]);
    }
}

/// So many tasks of each of these users, numbered from `from` on.
async fn submit(store: &RedisStore, users: std::ops::Range<u64>, each: u64, from: u64) {
    for number in users {
        let user = UserId::encode(&format!("user-{number}"));
        let task = |at| {
            NewTask::new(
                user.clone(),
                TaskId::new(1, from + number * 1_000 + at),
                "mail".parse().unwrap(),
                r#"{"v":1,"k":"mail","q":"mail","at":1,"max":2,"p":{}}"#,
            )
        };
        let batch = Submit { created_ms: 1, tasks: (0..each).map(task).collect() };
        let told = store.submit(partition_of(&user, PARTITIONS), batch).await.unwrap();
        assert!(told.iter().all(|one| *one == Submitted::Accepted), "{told:?}");
    }
}

async fn sync(
    store: &RedisStore,
    worker: &str,
    call: &mut u64,
    p: PartitionId,
    over: Vec<Held>,
    limit: u32,
) -> SyncReply {
    *call += 1;
    let ack = |held: Held| {
        let write = Write { n: held.n + 1, body: Text::from(r#""st":5"#), event: None };
        Op { lease: held.lease, report: Report::Ack { write, keep_s: 60 } }
    };
    let claim = Claim::new(vec!["mail".parse().unwrap()], limit);
    let request = Sync {
        worker: worker.parse().unwrap(),
        call: *call,
        lease_ms: 30_000,
        ops: over.into_iter().map(ack).collect(),
        claim: (limit > 0).then_some(claim),
        woken: Vec::new(),
        park: false,
    };
    store.sync(p, request).await.unwrap()
}
