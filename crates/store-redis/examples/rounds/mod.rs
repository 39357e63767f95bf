//! What the figures of this folder share: users of every partition, tasks that are worked off as
//! fast as they come, and what that costs each server by its own counters.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tasktonic_core::command::{Claim, NewTask, Op, Report, Submit, Sync, Write};
use tasktonic_core::routing::{PartitionId, partition_of};
use tasktonic_core::{TaskId, Text, UserId};
use tasktonic_store::clock::Clock;
use tasktonic_store::{Held, Store};
use tasktonic_store_redis::{Options, RedisStore};
use tasktonic_testkit::redis::Redis;

/// Bytes of a payload.
const PAYLOAD_BYTES: usize = 120;

static NUMBER: AtomicU64 = AtomicU64::new(1);

/// Opens the store at `url`, or makes it with so many partitions.
pub(crate) async fn open(url: &str, partitions: u16) -> Arc<RedisStore> {
    // Nothing is repaired meanwhile: a pass reads all there is, which is measured by itself.
    let options = Options { partitions, reconcile_every: None, ..Options::new(Clock::system()) };
    let url = url.parse().expect("a URL");
    Arc::new(RedisStore::open(&url, options).await.expect("it opens"))
}

/// So many users in each partition.
pub(crate) fn users(partitions: u16, each: usize) -> Vec<Vec<UserId>> {
    let mut users = vec![Vec::new(); usize::from(partitions)];
    let mut full = 0;
    for number in 0.. {
        if full == users.len() {
            break;
        }
        let user = UserId::encode(&format!("user-{number}"));
        let PartitionId(p) = partition_of(&user, partitions);
        let of_p = &mut users[usize::from(p)];
        if of_p.len() < each {
            of_p.push(user);
            full += usize::from(of_p.len() == each);
        }
    }
    users
}

pub(crate) fn draft(user: &UserId, now_ms: i64) -> NewTask {
    let pad = "x".repeat(PAYLOAD_BYTES);
    NewTask {
        event: Text::from(r#""k":"noop","max":3"#),
        lane_max: u32::MAX,
        ..NewTask::new(
            user.clone(),
            TaskId::new(now_ms, NUMBER.fetch_add(1, Ordering::Relaxed)),
            "noop".parse().expect("a name"),
            format!(r#"{{"k":"noop","at":{now_ms},"max":3,"p":"{pad}"}}"#),
        )
    }
}

/// Acks what is `held` and claims up to `batch`; none if that is 0.
pub(crate) fn sync(p: u16, call: u64, held: &[Held], batch: usize) -> Sync {
    let ack = |held: &Held| Op {
        lease: held.lease.clone(),
        report: Report::Ack {
            write: Write { n: held.n + 1, body: Text::from(r#""st":1,"ho":true"#), event: None },
            keep_s: 3_600,
        },
    };
    let limit = u32::try_from(batch).expect("a small batch");
    let queues = vec!["noop".parse().expect("a name")];
    Sync {
        worker: format!("w-{p}").parse().expect("a worker id"),
        call,
        lease_ms: 30_000,
        ops: held.iter().map(ack).collect(),
        claim: (batch > 0).then_some(Claim::new(queues, limit)),
        woken: Vec::new(),
        park: false,
    }
}

/// What was done in a while.
pub(crate) struct Done {
    pub(crate) tasks: u64,
    pub(crate) took: Duration,
    /// Of every round, a submit and a sync side by side; sorted.
    pub(crate) waits: Vec<Duration>,
}

impl Done {
    pub(crate) fn per_s(&self) -> f64 {
        self.tasks as f64 / self.took.as_secs_f64()
    }

    /// A share of 100 of the rounds took no longer, µs.
    pub(crate) fn wait_us(&self, share: usize) -> u128 {
        self.waits.get(self.waits.len() * share / 100).map_or(0, Duration::as_micros)
    }
}

/// Submits and syncs at the same time, `batch` tasks of one user each, by a caller per partition
/// that has users; each acks in the end what it still holds.
pub(crate) async fn rounds(
    store: &Arc<RedisStore>,
    users: &[Vec<UserId>],
    batch: usize,
    length: Duration,
) -> Done {
    let since = Instant::now();
    let mut callers = Vec::new();
    for (p, users) in (0_u16..).zip(users).filter(|(_, users)| !users.is_empty()) {
        let (store, users) = (Arc::clone(store), users.clone());
        callers.push(tokio::spawn(async move {
            let clock = Clock::system();
            let (mut done, mut held, mut waits) = (0_u64, Vec::<Held>::new(), Vec::new());
            let mut calls = 1..;
            for call in &mut calls {
                if since.elapsed() >= length {
                    break;
                }
                let now_ms = clock.now_ms();
                let user = &users[usize::try_from(call).unwrap_or(0) % users.len()];
                let tasks = (0..batch).map(|_| draft(user, now_ms)).collect();
                let at = Instant::now();
                let submit = store.submit(PartitionId(p), Submit { created_ms: now_ms, tasks });
                let sync = store.sync(PartitionId(p), sync(p, call, &held, batch));
                let (submitted, synced) = tokio::join!(submit, sync);
                waits.push(at.elapsed());
                submitted.expect("accepted");
                let synced = synced.expect("answered");
                assert!(synced.refused.is_empty(), "every lease is held");
                done += held.len() as u64;
                held = synced.claimed;
            }
            let last = sync(p, calls.start, &held, 0);
            done += held.len() as u64;
            store.sync(PartitionId(p), last).await.expect("answered");
            (done, waits)
        }));
    }
    let (mut tasks, mut waits) = (0, Vec::new());
    for caller in callers {
        let (more, some) = caller.await.expect("a caller ends");
        tasks += more;
        waits.extend(some);
    }
    waits.sort_unstable();
    Done { tasks, took: since.elapsed(), waits }
}

/// What a server says it has done since its start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spent {
    pub(crate) scripts: f64,
    pub(crate) commands: f64,
    pub(crate) micros: f64,
    pub(crate) bytes_in: f64,
    pub(crate) bytes_out: f64,
    /// Memory it takes now.
    pub(crate) memory: f64,
}

impl Spent {
    pub(crate) fn of(server: &Redis) -> Self {
        let (mut scripts, mut commands) = (0.0, 0.0);
        for (name, value) in server.info("commandstats") {
            let calls = value.split(',').next().and_then(|part| part.strip_prefix("calls="));
            let calls: f64 = calls.and_then(|text| text.parse().ok()).unwrap_or(0.0);
            let name = name.trim_start_matches("cmdstat_");
            match name.split('|').next().unwrap_or(name) {
                "fcall" | "evalsha" => scripts += calls,
                // Not called by scripts.
                "info" | "config" | "client" | "hello" | "script" | "function" | "cluster"
                | "command" | "ssubscribe" | "ping" | "auth" => {}
                _ => commands += calls,
            }
        }
        let number = |section: &str, name: &str| {
            let found = server.info(section).get(name).and_then(|text| text.parse().ok());
            found.unwrap_or(0.0_f64)
        };
        let seconds =
            number("cpu", "used_cpu_user_main_thread") + number("cpu", "used_cpu_sys_main_thread");
        Self {
            scripts,
            commands,
            micros: seconds * 1e6,
            bytes_in: number("stats", "total_net_input_bytes"),
            bytes_out: number("stats", "total_net_output_bytes"),
            memory: number("memory", "used_memory"),
        }
    }

    /// What came since `before`, for each of `tasks`.
    pub(crate) fn since(&self, before: &Self, tasks: u64) -> Self {
        let each = |after: f64, before: f64| (after - before) / tasks.max(1) as f64;
        Self {
            scripts: each(self.scripts, before.scripts),
            commands: each(self.commands, before.commands),
            micros: each(self.micros, before.micros),
            bytes_in: each(self.bytes_in, before.bytes_in),
            bytes_out: each(self.bytes_out, before.bytes_out),
            memory: each(self.memory, before.memory),
        }
    }
}
