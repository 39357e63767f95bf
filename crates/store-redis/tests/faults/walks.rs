//! Faults that go on while users submit and workers work.

use std::time::{Duration, Instant};

use tasktonic_store_redis::Class;
use tasktonic_testkit::fault_proxy::{Fault, FaultProxy};
use tasktonic_testkit::redis::{self, Aof, Redis};

use crate::PARTITIONS;
use crate::load::{self, Load, block_on};

/// How long the faults of a test go on.
const FOR: Duration = Duration::from_secs(4);
/// How long the workers may take afterwards; lost leases run out in it.
const SETTLE: Duration = Duration::from_secs(30);

/// Breaks something all the time while users submit and workers work, and counts afterwards.
fn walk(options: redis::Options, class: Class, mut fault: impl FnMut(&mut Redis, &FaultProxy)) {
    let mut redis = Redis::start(options);
    let proxy = FaultProxy::start(redis.port());
    block_on(async {
        let store = load::open(&proxy.url(), class, PARTITIONS).await;
        let load = Load::start(&store, 4, 3);
        load.goes_on(Duration::from_secs(5)).await;
        let since = Instant::now();
        while since.elapsed() < FOR {
            fault(&mut redis, &proxy);
        }
        let again = load.goes_on(Duration::from_secs(10)).await;
        eprintln!("goes on after {again:?}; {} faults by the proxy", proxy.played());
        load.settle(SETTLE).await.is_clean();
    });
}

fn pause(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

#[test]
fn forgotten_scripts_are_loaded_again() {
    walk(redis::Options::default(), Class::Fast, |redis, _| {
        redis.forget_scripts();
        pause(5);
    });
}

#[test]
fn a_paused_server_costs_time_and_nothing_else() {
    walk(redis::Options::default(), Class::Fast, |redis, _| {
        redis.cli(&["CLIENT", "PAUSE", "300", "WRITE"]);
        pause(400);
    });
}

#[test]
fn killed_connections_cost_nothing_that_was_acknowledged() {
    walk(redis::Options::default(), Class::Fast, |redis, proxy| {
        redis.cli(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        pause(100);
        proxy.cut();
        pause(100);
    });
}

#[test]
fn lost_and_doubled_answers_lose_and_double_no_task() {
    walk(redis::Options::default(), Class::Fast, |_, proxy| {
        let fault = match rand::random_range(0..6) {
            0 => Fault::ResetBefore,
            1 => Fault::ResetAfter,
            2 => Fault::Half,
            3 => Fault::Twice,
            4 => Fault::Late(Duration::from_millis(20)),
            _ => Fault::Refuse("TRYAGAIN".into()),
        };
        let verb = ["FCALL", "MGET"][rand::random_range(0..2)];
        proxy.plan(&[verb], rand::random_range(0..20), 1, fault);
        pause(20);
        proxy.clear();
    });
}

#[test]
fn a_killed_server_that_writes_at_once_comes_back_with_all_that_was_acknowledged() {
    let options = redis::Options { aof: Aof::Always, ..redis::Options::default() };
    walk(options, Class::Disk, |redis, _| {
        pause(700);
        redis.crash();
        pause(200);
        redis.restart();
    });
}
