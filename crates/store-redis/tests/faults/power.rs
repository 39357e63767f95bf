//! A server that dies, alone or with its machine: what each way of writing to disk keeps of what
//! was acknowledged, while users and workers go on with the connections they have.

use std::time::{Duration, Instant};

use tasktonic_store_redis::Class;
use tasktonic_testkit::disk::Powered;
use tasktonic_testkit::redis::{self, Aof, Redis};

use crate::PARTITIONS;
use crate::load::{self, Load, Verdict, block_on};

/// How long a server that syncs its log every second may be behind: a second, and as long again
/// while the sync before is still under way.
const EVERY_SECOND: Duration = Duration::from_millis(2_100);
/// A task that was accepted in the moment of the fault may be noted down after it.
const AT_ONCE: Duration = Duration::from_millis(500);
/// How long users and workers may stand still once the server is back.
const RESUMES: Duration = Duration::from_secs(10);
const SETTLE: Duration = Duration::from_secs(30);
/// Of the disk whose power is cut, in MiB.
const DISK: u64 = 96;

/// Breaks a server once under load, by `fault`, which starts it again. The account, and when it
/// was broken.
fn broken(redis: &mut Redis, class: Class, fault: impl FnOnce(&mut Redis)) -> (Verdict, Instant) {
    block_on(async {
        let store = load::open(&redis.url(), class, PARTITIONS).await;
        let load = Load::start(&store, 4, 3);
        load.goes_on(RESUMES).await;
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        let at = Instant::now();
        fault(redis);
        let again = load.goes_on(RESUMES).await;
        eprintln!("goes on {again:?} after the server was back");
        (load.settle(SETTLE).await, at)
    })
}

#[test]
fn a_killed_server_that_writes_every_second_has_all_but_the_last_seconds() {
    let mut redis =
        Redis::start(redis::Options { aof: Aof::EverySecond, ..redis::Options::default() });
    let (verdict, at) = broken(&mut redis, Class::Fast, Redis::restart);
    verdict.lost_at_most_within(at - EVERY_SECOND, at + AT_ONCE);
}

#[test]
fn after_a_power_cut_a_server_that_writes_every_second_has_all_but_the_last_seconds() {
    let mut disk = Powered::new(DISK);
    let options = redis::Options { aof: Aof::EverySecond, ..redis::Options::default() };
    let mut redis = Redis::start_on(&disk, options);
    let mut copy = None;
    let (verdict, at) = broken(&mut redis, Class::Fast, |redis| {
        copy = Some(redis.cut_power(&mut disk));
        redis.restart();
    });
    verdict.lost_at_most_within(at - EVERY_SECOND, at + AT_ONCE);
    drop(redis);
}

#[test]
fn after_a_power_cut_a_server_that_writes_at_once_has_all_that_was_acknowledged() {
    let mut disk = Powered::new(DISK);
    let options = redis::Options { aof: Aof::Always, ..redis::Options::default() };
    let mut redis = Redis::start_on(&disk, options);
    let mut copy = None;
    let (verdict, _) = broken(&mut redis, Class::Disk, |redis| {
        copy = Some(redis.cut_power(&mut disk));
        redis.restart();
    });
    verdict.is_clean();
    drop(redis);
}
