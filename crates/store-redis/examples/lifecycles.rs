//! Figures: full lifecycles per second over one private Redis, and what each costs that server by
//! its own counters. `cargo run --release -p tasktonic-store-redis --example lifecycles [seconds]`.

mod rounds;

use std::time::Duration;

use rounds::Spent;
use tasktonic_testkit::redis::{self, Aof, Redis};

/// Partitions of the store, each with a caller of its own.
const PARTITIONS: u16 = 8;
/// Users of each partition.
const USERS: usize = 12;

fn main() {
    let seconds = std::env::args().nth(1).map_or(5, |text| text.parse().expect("seconds"));
    let length = Duration::from_secs(seconds);
    println!("{seconds} s each, {PARTITIONS} partitions, {} users", USERS * 8);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        for aof in [Aof::Off, Aof::EverySecond, Aof::Always] {
            for batch in [1, 16, 64] {
                lifecycles(aof, batch, length).await;
            }
        }
    });
}

async fn lifecycles(aof: Aof, batch: usize, length: Duration) {
    let server = Redis::start(redis::Options { aof, ..redis::Options::default() });
    let store = rounds::open(&server.url(), PARTITIONS).await;
    let before = Spent::of(&server);
    let done = rounds::rounds(&store, &rounds::users(PARTITIONS, USERS), batch, length).await;
    let each = Spent::of(&server).since(&before, done.tasks);
    println!(
        "AOF {aof:?}, batch {batch:>2}: {:>6.0} lifecycles/s, a round p50 {} µs p99 {} µs; Redis \
         per task: {:.2} scripts, {:.2} commands in them, {:.1} µs, {:.0} B in, {:.0} B out",
        done.per_s(),
        done.wait_us(50),
        done.wait_us(99),
        each.scripts,
        each.commands,
        each.micros,
        each.bytes_in,
        each.bytes_out,
    );
}
