//! Rules that only a store on Redis has: a promoted server, lost facts, bounded lanes, wakes that
//! go on.

#![expect(clippy::unwrap_used, reason = "these are tests")]

mod common;

use std::time::Duration;

use futures_util::StreamExt as _;
use tasktonic_core::command::{
    Claim, Control, Idempotency, NewTask, Op, Redrive, Report, Submit, Sync, Write,
};
use tasktonic_core::limits::{EVENTS_KEPT_MAX, LANE_DEAD_MAX};
use tasktonic_core::reply::{Controlled, Submitted};
use tasktonic_core::routing::{PartitionId, partition_of, tag};
use tasktonic_core::settings::QueueSettings;
use tasktonic_core::{TaskId, TaskState, Text, UserId, WorkerId};
use tasktonic_store::clock::Clock;
use tasktonic_store::{Error, EventsSince, Query, QueryReply, Store, SyncReply, Wake, WakeStream};
use tasktonic_store_redis::{Options, RedisStore};
use tasktonic_testkit::redis::{Redis, Server};

const P: PartitionId = PartitionId(0);
const NOW_MS: i64 = 1_700_000_000_000;
/// How long a signal may take in a test before it counts as lost.
const SIGNAL_WAIT: Duration = Duration::from_secs(5);

fn ana() -> UserId {
    UserId::encode("ana")
}

fn draft(user: &UserId, number: u64) -> NewTask {
    NewTask::new(
        user.clone(),
        TaskId::new(NOW_MS, number),
        "mail".parse().unwrap(),
        r#"{"v":1,"k":"mail","q":"mail","at":1,"max":3,"p":{}}"#,
    )
}

async fn submit(store: &RedisStore, user: &UserId, numbers: std::ops::Range<u64>) {
    let tasks: Vec<_> = numbers.map(|number| draft(user, number)).collect();
    let p = partition_of(user, store.partitions());
    let verdicts = store.submit(p, Submit { created_ms: NOW_MS, tasks }).await.unwrap();
    assert!(verdicts.iter().all(|verdict| *verdict == Submitted::Accepted), "{verdicts:?}");
}

fn request(worker: &str, call: u64, ops: Vec<Op>, limit: u32) -> Sync {
    let claim = Claim::new(vec!["mail".parse().unwrap()], limit);
    Sync {
        worker: worker.parse().unwrap(),
        call,
        lease_ms: 10_000,
        ops,
        claim: (limit > 0).then_some(claim),
        woken: Vec::new(),
        park: limit > 0,
    }
}

async fn claim(store: &RedisStore, p: PartitionId, call: u64, limit: u32) -> SyncReply {
    store.sync(p, request("w-1", call, Vec::new(), limit)).await.unwrap()
}

async fn control(store: &RedisStore, control: Control) -> Vec<Controlled> {
    store.control(P, control).await.unwrap()
}

async fn cancel(store: &RedisStore, user: &UserId, numbers: std::ops::Range<u64>) {
    cancel_these(store, user, &numbers.collect::<Vec<_>>()).await;
}

async fn cancel_these(store: &RedisStore, user: &UserId, numbers: &[u64]) {
    let tasks: Vec<_> = numbers.iter().map(|number| TaskId::new(NOW_MS, *number)).collect();
    let (at_ms, body, user) = (NOW_MS, Text::default(), user.clone());
    let answers = control(store, Control::Cancel { at_ms, user, tasks, body, keep_s: 60 }).await;
    assert!(answers.iter().all(|answer| *answer == Controlled::Done), "{answers:?}");
}

async fn events(store: &RedisStore, epoch: u32, seq: u64) -> EventsSince {
    let query = Query::EventsSince { user: ana(), epoch, seq };
    let QueryReply::Events(events) = store.read(P, query).await.unwrap() else { panic!() };
    events
}

async fn fresh() -> (RedisStore, Redis) {
    let (clock, _) = Clock::manual(NOW_MS);
    let redis = common::server(Server::Redis);
    (common::open(&redis, clock, 1).await, redis)
}

async fn whole(store: &RedisStore) {
    let wrong = store.check(P).await.unwrap();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn meta() -> String {
    format!("tt:{{{}}}:meta", tag(P, 1))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn x3_a_server_that_forgot_an_event_never_numbers_another_the_same() {
    let (clock, _) = Clock::manual(NOW_MS);
    let mut redis = common::server(Server::Redis);
    let store = common::open(&redis, clock.clone(), 1).await;
    submit(&store, &ana(), 1..2).await;
    // As a replica that lags: what comes now is acknowledged and forgotten.
    redis.cli(&["SAVE"]);
    submit(&store, &ana(), 2..3).await;
    let lost = events(&store, 1, 0).await;
    assert_eq!((lost.epoch, lost.seq), (1, 2));
    drop(store);
    redis.restart();
    let store = common::open(&redis, clock, 1).await;

    submit(&store, &ana(), 3..4).await;
    let after = events(&store, 1, 2).await;
    assert!(after.reset, "a cursor of the former life is told so: {after:?}");
    assert_eq!((after.epoch, after.seq), (2, 1));
    let again = events(&store, 2, 0).await;
    assert_eq!(again.entries.len(), 1);
    assert!(again.entries[0].1.contains(&TaskId::new(NOW_MS, 3).to_string()));
    let reply = claim(&store, P, 9, 4).await;
    assert_eq!((reply.epoch, reply.claimed.len()), (2, 2), "fences are above the former life's");
    // The same process stays the same life.
    submit(&store, &ana(), 4..5).await;
    assert_eq!(events(&store, 2, 0).await.seq, 3);
    whole(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn facts_that_are_missing_or_of_another_form_stop_a_call_before_it_does_anything() {
    let (store, redis) = &fresh().await;
    submit(store, &ana(), 1..2).await;
    let facts = redis.cli(&["DUMP", &meta()]);
    assert!(!facts.is_empty());
    redis.cli(&["HSET", &meta(), "schema", "99"]);
    let before = redis.cli(&["DBSIZE"]);
    let tasks = vec![draft(&ana(), 2)];
    let refused = store.submit(P, Submit { created_ms: NOW_MS, tasks }).await;
    assert!(matches!(&refused, Err(Error::Unavailable(why)) if why.contains("release")));
    assert_eq!(redis.cli(&["DBSIZE"]), before);

    redis.cli(&["HDEL", &meta(), "schema"]);
    let refused = store.sync(P, request("w-1", 1, Vec::new(), 4)).await;
    assert!(
        matches!(&refused, Err(Error::Unavailable(why)) if why.contains("again")),
        "{refused:?}"
    );
    assert_eq!(redis.cli(&["DBSIZE"]), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_is_ahead_of_lost_facts_goes_on_in_a_later_life() {
    let (store, redis) = &fresh().await;
    let log = format!("tt:{{{}}}:u:ana:e", tag(P, 1));
    redis.cli(&["XADD", &log, "7-3", "e", "[]"]);
    submit(store, &ana(), 1..2).await;
    let after = events(store, 8, 0).await;
    assert_eq!((after.epoch, after.seq, after.reset), (8, 1, false));
    assert!(events(store, 1, 0).await.reset);
    assert_eq!(claim(store, P, 1, 4).await.claimed.len(), 1);
    whole(store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_cancels_and_submits_again_does_not_grow_a_lane_for_ever() {
    let (store, redis) = &fresh().await;
    for batch in 0..24 {
        submit(store, &ana(), batch * 100..batch * 100 + 100).await;
        cancel(store, &ana(), batch * 100..batch * 100 + 100).await;
        let length = lane_length(redis);
        // While a hundred live, twice as many more may be dead.
        assert!(length <= LANE_DEAD_MAX + 2 * 100 + 1, "{length} entries");
    }
    whole(store).await;
    // Behind them another user's task and one of this user are found, in one call or a few.
    submit(store, &UserId::encode("ben"), 1..2).await;
    submit(store, &ana(), 9_000..9_001).await;
    let (mut claimed, mut calls) = (0, 0);
    while claimed < 2 {
        calls += 1;
        assert!(calls < 10, "{claimed} of 2 claimed");
        claimed += claim(store, P, calls, 4).await.claimed.len();
    }
    assert_eq!(lane_length(redis), 0);
    whole(store).await;
}

async fn submit_all(store: &RedisStore, many: u64) {
    for first in (0..many).step_by(100) {
        submit(store, &ana(), first..first + 100).await;
    }
}

fn lane_length(redis: &Redis) -> usize {
    redis.cli(&["LLEN", &format!("tt:{{{}}}:u:ana:q:mail", tag(P, 1))]).parse().unwrap()
}

/// So many tasks, in the order in which they are taken.
async fn claim_all(store: &RedisStore, many: usize) -> Vec<TaskId> {
    let mut taken = Vec::new();
    for call in 1..200 {
        if taken.len() >= many {
            break;
        }
        let reply = claim(store, P, call, 64).await;
        taken.extend(reply.claimed.into_iter().map(|claimed| claimed.lease.task));
    }
    taken
}

/// Wherever the tasks stand that are left: dead references are taken out between them, and they are
/// taken in their order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_references_are_taken_out_between_tasks_that_stay() {
    let (store, redis) = &fresh().await;
    let stays = |number: u64| number < 20 || number.is_multiple_of(50);
    let live = (0..10_000).filter(|number| stays(*number)).count();
    submit_all(store, 10_000).await;
    for first in (0..10_000).step_by(50) {
        let gone: Vec<_> = (first..first + 50).filter(|number| !stays(*number)).collect();
        cancel_these(store, &ana(), &gone).await;
    }
    assert!(lane_length(redis) <= 4 * live + 2 * LANE_DEAD_MAX, "{} entries", lane_length(redis));
    whole(store).await;
    let order =
        (0..10_000).filter(|number| stays(*number)).map(|number| TaskId::new(NOW_MS, number));
    assert_eq!(claim_all(store, live).await, order.collect::<Vec<_>>());
    whole(store).await;
}

/// All others wait while a call looks at a lane, so that one that cancels few looks at few.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_cancels_a_few_takes_out_a_few_dead_references() {
    let (store, redis) = &fresh().await;
    submit_all(store, 1_600).await;
    let mut length = 1_600;
    for first in (0..1_592).step_by(8) {
        cancel(store, &ana(), first..first + 8).await;
        let left = lane_length(redis);
        assert!(length - left <= 32, "{} taken out at once", length - left);
        length = left;
    }
    assert!(length < 1_600, "nothing was taken out");
    whole(store).await;
}

/// What an operation on many tasks does: at the end of a lane nothing has to be searched for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_back_the_newest_first_has_dead_references_taken_off_the_end() {
    let (store, redis) = &fresh().await;
    submit_all(store, 1_600).await;
    redis.cli(&["CONFIG", "RESETSTAT"]);
    for eight in (1..200).rev() {
        cancel(store, &ana(), eight * 8..eight * 8 + 8).await;
    }
    assert!(lane_length(redis) <= LANE_DEAD_MAX + 3 * 8, "{} entries", lane_length(redis));
    assert!(!redis.cli(&["INFO", "commandstats"]).contains("cmdstat_lrem"), "it was searched");
    whole(store).await;
    let order = (0..8).map(|number| TaskId::new(NOW_MS, number));
    assert_eq!(claim_all(store, 8).await, order.collect::<Vec<_>>());
    whole(store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_of_nothing_but_dead_references_leaves_the_ring() {
    let (store, redis) = &fresh().await;
    // More than a lane may hold: some are taken out by who cancels, and the rest by who claims.
    let many = LANE_DEAD_MAX as u64 + 1;
    for first in (0..many).step_by(100) {
        let numbers = first..(first + 100).min(many);
        submit(store, &ana(), numbers.clone()).await;
        cancel(store, &ana(), numbers).await;
    }
    let mut calls = 0;
    while redis.cli(&["EXISTS", &format!("tt:{{{}}}:ring:mail", tag(P, 1))]) == "1" {
        calls += 1;
        claim(store, P, calls, 4).await;
    }
    whole(store).await;
    submit(store, &ana(), 5_000..5_001).await;
    assert_eq!(claim(store, P, 99, 4).await.claimed.len(), 1);
    whole(store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_task_leaves_its_key_to_the_next_and_nothing_else_behind() {
    let (store, _redis) = &fresh().await;
    submit(store, &ana(), 1..3).await;
    let key = |hash| Idempotency::new("k", hash, 60_000);
    let mut full = draft(&ana(), 10);
    full.lane_max = 2;
    full.idempotency = Some(key(1));
    // The same key in another lane, which was judged as if the first had been accepted.
    let mut other = draft(&ana(), 11);
    other.queue = "media".parse().unwrap();
    other.lane_max = 0;
    other.idempotency = Some(key(1));
    let mut last = draft(&ana(), 12);
    last.queue = "files".parse().unwrap();
    last.descriptor = Text::from(r#"{"v":1,"k":"mail","q":"files","at":1,"max":3,"p":{}}"#);
    last.idempotency = Some(key(2));
    let tasks = vec![full.clone(), other, last, full, draft(&ana(), 13), draft(&ana(), 13)];
    let verdicts = store.submit(P, Submit { created_ms: NOW_MS, tasks }).await.unwrap();
    let (kept_by, twice) = (TaskId::new(NOW_MS, 12), TaskId::new(NOW_MS, 13));
    assert_eq!(
        verdicts,
        [
            Submitted::LaneFull,
            Submitted::LaneFull,
            Submitted::Accepted,
            Submitted::Conflict(kept_by),
            Submitted::Accepted,
            Submitted::Existing(twice),
        ]
    );
    whole(store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ended_attempt_falls_out_after_fifty_and_its_numbers_go_on() {
    let (store, _redis) = &fresh().await;
    submit(store, &ana(), 1..2).await;
    let task = TaskId::new(NOW_MS, 1);
    for round in 1..=60 {
        let held = claim(store, P, round, 1).await.claimed.remove(0);
        let write = Write { n: 2, body: Text::default(), event: None };
        let op = Op { lease: held.lease, report: Report::Bury { write, keep_s: 60 } };
        assert!(store.sync(P, request("w-1", 0, vec![op], 0)).await.unwrap().refused.is_empty());
        let claim = u32::try_from(round).unwrap();
        let attempt = Some(Text::from(format!(r#"{{"a":{round}}}"#)));
        let tasks = vec![Redrive::new(task, claim, attempt)];
        let asked = Control::Redrive { at_ms: NOW_MS, user: ana(), tasks };
        assert_eq!(control(store, asked).await, [Controlled::Done]);
    }
    let query = Query::Attempts { user: ana(), task };
    let QueryReply::Attempts(rows) = store.read(P, query).await.unwrap() else { panic!() };
    let ends = (rows.len(), rows[0].number, rows[49].number);
    assert_eq!(ends, (50, 11, 60));
    assert_eq!(&*rows[49].text, r#"{"a":60}"#);
    whole(store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_older_than_the_log_is_reset() {
    let (store, _redis) = &fresh().await;
    let (all, mut number) = (EVENTS_KEPT_MAX as u64 * 2, 0);
    while number < all {
        submit(store, &ana(), number..number + 1).await;
        number += 1;
    }
    let newest = events(store, 1, all - 5).await;
    assert_eq!((newest.seq, newest.entries.len(), newest.reset), (all, 5, false));
    assert!(events(store, 1, 1).await.reset);
    assert!(events(store, 1, all + 1).await.reset, "a cursor from the future");
}

async fn woken(wakes: &mut WakeStream) -> Wake {
    loop {
        let wake = tokio::time::timeout(SIGNAL_WAIT, wakes.next()).await.expect("woken").unwrap();
        if wake != Wake::Lagged {
            return wake;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn x5_a_worker_that_is_full_passes_its_wake_on_and_who_is_gone_swallows_none() {
    let (clock, _) = Clock::manual(NOW_MS);
    let redis = common::server(Server::Redis);
    let store = &common::open(&redis, clock, 3).await;
    let all: Vec<_> = (0..3).map(PartitionId).collect();
    let of = |p: PartitionId| {
        (0..).map(|n| UserId::encode(&format!("u{n}"))).find(|u| partition_of(u, 3) == p).unwrap()
    };
    let worker = |id: &str| id.parse::<WorkerId>().unwrap();
    let (mut first, mut second) = (store.wakes(&worker("w-1")), store.wakes(&worker("w-2")));
    for wakes in [&mut first, &mut second] {
        // They listen now: parking comes after subscribing.
        let begun = tokio::time::timeout(SIGNAL_WAIT, wakes.next()).await.unwrap().unwrap();
        assert_eq!(begun, Wake::Lagged);
    }
    // One that is gone without a word parked first, everywhere; then the two that live.
    for id in ["w-0", "w-1", "w-2"] {
        for p in &all {
            assert!(
                store.sync(*p, request(id, 1, Vec::new(), 1)).await.unwrap().claimed.is_empty()
            );
        }
    }
    // The first is woken in one partition and takes what there is: now it is full.
    submit(store, &of(all[0]), 1..2).await;
    assert_eq!(woken(&mut first).await, Wake::Work(all[0], "mail".parse().unwrap()));
    assert_eq!(
        store.sync(all[0], request("w-1", 2, Vec::new(), 1)).await.unwrap().claimed.len(),
        1
    );
    // It still stands in the other idle sets, before the second. Its wake is passed on.
    submit(store, &of(all[1]), 2..3).await;
    assert_eq!(woken(&mut first).await, Wake::Work(all[1], "mail".parse().unwrap()));
    let mut pass = request("w-1", 3, Vec::new(), 0);
    pass.woken = vec!["mail".parse().unwrap()];
    store.sync(all[1], pass).await.unwrap();
    assert_eq!(woken(&mut second).await, Wake::Work(all[1], "mail".parse().unwrap()));
    assert_eq!(
        store.sync(all[1], request("w-2", 2, Vec::new(), 1)).await.unwrap().claimed.len(),
        1
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_finds_little_ends_its_page_and_says_where_to_go_on() {
    let redis = common::server(Server::Redis);
    let (clock, _) = Clock::manual(NOW_MS);
    let options = Options {
        clock_is_of_scripts: true,
        partitions: 1,
        reconcile_every: None,
        list_examined_max: 1_000,
        ..Options::new(clock)
    };
    let store = &RedisStore::open(&redis.url().parse().unwrap(), options).await.unwrap();
    submit_all(store, 5_200).await;
    // The only one that is cancelled is the oldest.
    cancel(store, &ana(), 0..1).await;
    let id = TaskId::new(NOW_MS, 0);
    let filter = tasktonic_store::TaskFilter {
        states: vec![TaskState::Cancelled],
        ..tasktonic_store::TaskFilter::default()
    };
    // Such tasks have a list of their own; without it there is no other way than through all.
    let searched = tasktonic_store::TaskFilter {
        states: vec![TaskState::Cancelled, TaskState::Completed],
        ..filter.clone()
    };
    for (filter, most) in [(filter, 1..=1), (searched, 4..=6)] {
        let (mut cursor, mut found, mut pages) = (None, Vec::new(), 0);
        loop {
            let query = Query::List { user: ana(), filter: filter.clone(), cursor, limit: 10 };
            let QueryReply::List(page) = store.read(P, query).await.unwrap() else { panic!() };
            found.extend(page.tasks.into_iter().map(|task| task.id));
            pages += 1;
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(found, vec![id]);
        assert!(most.contains(&pages), "{pages} pages");
    }
    let QueryReply::Counts(counts) = store.read(P, Query::Counts { user: ana() }).await.unwrap()
    else {
        panic!()
    };
    assert_eq!((counts.of(TaskState::Queued), counts.of(TaskState::Cancelled)), (5_199, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counters_survive_adoption_and_script_flush() {
    let redis = common::server(Server::Redis);
    let (clock, hand) = Clock::manual(NOW_MS);
    let store = common::open(&redis, clock, 1).await;
    let running_max = Some(2);
    let settings = QueueSettings { running_max, ..QueueSettings::default() };
    let queues = vec![("mail".parse().unwrap(), settings)];
    control(&store, Control::Queues { version: 1, queues }).await;
    submit(&store, &ana(), 0..6).await;
    assert_eq!(claim(&store, P, 1, 10).await.claimed.len(), 2);
    redis.forget_scripts();
    assert_eq!(claim(&store, P, 2, 10).await.claimed.len(), 0);
    let mut adopted = Vec::new();
    for call in 10..30 {
        hand.advance(1_000);
        let reply = store.sync(P, request("w-2", call, Vec::new(), 10)).await.unwrap();
        assert_eq!(reply.claimed.len(), 0, "who was lost may still be at work");
        adopted.extend(reply.adopted);
        if !adopted.is_empty() {
            break;
        }
    }
    redis.forget_scripts();
    assert_eq!(adopted.len(), 2);
    let counts = redis.cli(&["KEYS", "tt:*:running:mail"]);
    assert_eq!(redis.cli(&["HGET", &counts, "ana"]), "2");
    let ack = |lease: &tasktonic_core::Lease| Op {
        lease: lease.clone(),
        report: Report::Ack {
            write: Write { n: 9, body: Text::default(), event: None },
            keep_s: 60,
        },
    };
    let ops = adopted.iter().map(|held| ack(&held.lease)).collect();
    let reply = store.sync(P, request("w-2", 40, ops, 0)).await.unwrap();
    assert_eq!(reply.refused, Vec::<u32>::new());
    assert_eq!(redis.cli(&["EXISTS", &counts]), "0", "nothing runs, nothing is counted");
    assert_eq!(claim(&store, P, 41, 10).await.claimed.len(), 2);
    assert_eq!(store.check(P).await.unwrap(), Vec::<String>::new());
}
