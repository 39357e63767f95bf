//! What a fleet asks of its Redis while it has nothing to do, and that it is no slower for that.

use std::time::{Duration, Instant};

use tasktonic_testkit::{redis, wait};

use crate::support::{Installation, PATIENCE};

/// Commands in a second, those inside scripts counted.
const COMMANDS_PER_S_MAX: f64 = 30.0;
/// How long they are counted.
const COUNTED: Duration = Duration::from_secs(10);
/// How late a task may start that is due while everybody rests: a second until somebody looks, and
/// what a loaded machine adds.
const LATE_MAX: Duration = Duration::from_secs(4);

/// Commands so far, without those by which that is asked.
fn commands(redis: &redis::Redis) -> f64 {
    let calls = |(name, value): (String, String)| {
        let calls = value.strip_prefix("calls=")?.split(',').next()?.parse::<f64>().ok()?;
        (name != "cmdstat_info").then_some(calls)
    };
    redis.info("commandstats").into_iter().filter_map(calls).sum()
}

#[test]
fn a_fleet_that_rests_asks_at_most_30_commands_a_second_and_sees_what_comes_due() {
    let redis = redis::Redis::start(redis::Options::default());
    let installation = Installation::up(&["--store", &redis.url(), "--workers", "2"]);
    let mut seen = Vec::new();
    // Whoever was asked how it is goes on looking for a while.
    wait::until(&format!("{COMMANDS_PER_S_MAX} commands a second"), 2 * PATIENCE, || {
        let (before, since) = (commands(&redis), Instant::now());
        std::thread::sleep(COUNTED);
        let per_s = (commands(&redis) - before) / since.elapsed().as_secs_f64();
        seen.push(per_s);
        eprintln!("commands a second: {seen:.1?}");
        per_s <= COMMANDS_PER_S_MAX
    });
    let delay = Duration::from_secs(2);
    let since = Instant::now();
    let id = installation.submit("noop", "{}", &["--delay-ms", &delay.as_millis().to_string()]);
    installation.wait_for(&id, "completed", PATIENCE);
    let late = since.elapsed().saturating_sub(delay);
    assert!(late < LATE_MAX, "it came {late:?} after it was due");
}
