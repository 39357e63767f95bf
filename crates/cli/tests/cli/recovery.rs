//! Workers killed at all four places at which that matters, and started again at once: nothing is
//! lost, nothing ends twice, and what a worker had in hand is taken over in time.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tasktonic_store::clock::Clock;
use tasktonic_testkit::kill_point;

use crate::sites::{History, Site, Worker, is_by, percentile, started_ms};

const USERS: [&str; 4] = ["ana", "bea", "cem", "dov"];
const TASKS_OF_EACH: usize = 50;
const TASKS: u64 = 200;
const WORKERS: usize = 4;
/// Where a worker dies, and when it passes there for which time: late enough that it has done
/// something, early enough that all die while there is work.
const POINTS: [(&str, u32); 4] = [
    ("worker_after_claim", 2),
    ("worker_mid_run", 3),
    ("worker_before_ack", 3),
    ("worker_after_ack", 3),
];
/// With so many dead workers those that follow may live.
const KILLS: usize = 16;
/// From the death of a worker until what it had begun is begun again.
const TAKEN_OVER_WITHIN_MS: i64 = 15_000;
/// How long all may take.
const DONE_WITHIN: Duration = Duration::from_secs(120);
/// How often it is looked whether a worker has died, and asked whether all is done.
const LOOK_EVERY: Duration = Duration::from_millis(5);
const ASK_EVERY: Duration = Duration::from_millis(500);

const WORK: [&str; 4] = ["--kinds", "noop", "--concurrency", "2"];

/// A worker that died.
struct Killed {
    /// The end of its id.
    tail: String,
    point: &'static str,
    /// When it was last seen alive, by the clock that the store reads too.
    at_ms: i64,
}

/// A worker, and where it is to die if it is.
struct Slot {
    worker: Worker,
    point: Option<&'static str>,
    alive_ms: i64,
}

struct Fleet<'s> {
    site: &'s Site,
    clock: Clock,
    slots: Vec<Slot>,
    killed: Vec<Killed>,
    started: usize,
}

impl<'s> Fleet<'s> {
    fn start(site: &'s Site) -> Self {
        let (clock, killed) = (Clock::system(), Vec::new());
        let mut fleet = Self { site, clock, slots: Vec::new(), killed, started: 0 };
        for _ in 0..WORKERS {
            let slot = fleet.next();
            fleet.slots.push(slot);
        }
        site.wait_until_known(fleet.slots.iter().map(|slot| &slot.worker));
        fleet
    }

    fn next(&mut self) -> Slot {
        let alive_ms = self.clock.now_ms();
        if self.killed.len() >= KILLS {
            return Slot { worker: self.site.worker(&WORK), point: None, alive_ms };
        }
        let (point, nth) = POINTS[self.started % POINTS.len()];
        self.started += 1;
        let worker = self.site.doomed_worker(&WORK, point, nth);
        Slot { worker, point: Some(point), alive_ms }
    }

    /// Starts those again that have died since the last look.
    fn look(&mut self) {
        for at in 0..self.slots.len() {
            let slot = &mut self.slots[at];
            let now_ms = self.clock.now_ms();
            let Some(status) = slot.worker.process.ended() else {
                slot.alive_ms = now_ms;
                continue;
            };
            let (tail, at_ms) = (slot.worker.tail.clone(), slot.alive_ms);
            let point = slot.point.unwrap_or_else(|| panic!("{tail} was to live: {status}"));
            assert!(kill_point::killed(status), "{tail} at {point}: {status}");
            self.killed.push(Killed { tail, point, at_ms });
            self.slots[at] = self.next();
        }
    }
}

fn task(n: usize) -> Value {
    // No wait of its own after a second loss: what is measured is the taking over.
    json!({
        "kind": "noop",
        "payload": { "sleep_ms": 100 + n % 5 * 50, "progress_steps": 2 },
        "crashes_max": 50,
        "attempts_max": 100,
        "backoff": { "form": "fixed", "wait_ms": 0, "jitter": 0.0 },
    })
}

fn killed_workers_cost_nothing_but_time(site: &Site) {
    let tokens = USERS.map(|user| site.installation.mint(user, "user"));
    let mut fleet = Fleet::start(site);
    let tasks: Vec<Value> = (0..TASKS_OF_EACH).map(task).collect();
    let ids = tokens.each_ref().map(|token| -> Vec<String> {
        site.submit(token, &tasks).into_iter().map(|task| task.id).collect()
    });
    let (since, mut asked) = (Instant::now(), Instant::now());
    loop {
        fleet.look();
        if asked.elapsed() > ASK_EVERY {
            let ended = |token: &String| {
                let counts = site.counts(token);
                counts.completed + counts.failed + counts.cancelled
            };
            if tokens.iter().map(ended).sum::<u64>() >= TASKS {
                break;
            }
            asked = Instant::now();
        }
        assert!(since.elapsed() < DONE_WITHIN, "not done within {DONE_WITHIN:?}");
        std::thread::sleep(LOOK_EVERY);
    }
    let took = since.elapsed();

    for token in &tokens {
        let counts = site.counts(token);
        let here = u64::try_from(TASKS_OF_EACH).expect("a small number");
        assert_eq!((counts.all, counts.completed), (here, here), "{counts:?}");
    }
    let all = tokens.iter().zip(&ids).flat_map(|(token, ids)| site.histories(token, ids));
    judge(&all.collect::<Vec<_>>(), &fleet.killed, took);
}

fn judge(all: &[History], killed: &[Killed], took: Duration) {
    let mut taken_over_ms = Vec::new();
    for one in all {
        one.completed_once_after(&["lost", "released"]);
        for pair in one.rows.windows(2) {
            // Of several whose ids end alike it is the one that died while it ran this.
            let its = killed.iter().filter(|dead| is_by(&dead.tail, pair[0].worker.as_deref()));
            let its = its.min_by_key(|dead| (dead.at_ms - started_ms(&pair[0])).abs());
            let its = its.unwrap_or_else(|| panic!("no last attempt of one that lived: {one:?}"));
            taken_over_ms.push(started_ms(&pair[1]) - its.at_ms);
        }
    }
    for Killed { tail, point, .. } in killed {
        let rows = all.iter().flat_map(|one| &one.rows);
        let of_it: Vec<_> = rows.filter(|row| is_by(tail, row.worker.as_deref())).collect();
        // Its ack was taken, or it had begun what was not over: it died where it was to.
        let proof = if *point == "worker_after_ack" { "succeeded" } else { "lost" };
        assert!(of_it.iter().any(|row| row.outcome == proof), "{point}: {of_it:?}");
    }
    for (point, _) in POINTS {
        let died = killed.iter().filter(|dead| dead.point == point).count();
        assert!(died >= 2, "{died} workers were killed at {point}");
    }
    let (count, p99) = (taken_over_ms.len(), percentile(&mut taken_over_ms, 99));
    eprintln!(
        "{} kills, {count} attempts taken over in {:?} to {:?} ms, p99 {p99} ms; all done in {took:?}",
        killed.len(),
        taken_over_ms.first(),
        taken_over_ms.last(),
    );
    assert!(p99 <= TAKEN_OVER_WITHIN_MS, "taken over after {taken_over_ms:?} ms");
}

#[test]
fn two_hundred_tasks_outlive_workers_killed_at_every_point_on_an_embedded_store() {
    killed_workers_cost_nothing_but_time(&Site::embedded());
}

#[test]
fn two_hundred_tasks_outlive_workers_killed_at_every_point_on_redis() {
    killed_workers_cost_nothing_but_time(&Site::redis());
}

#[test]
fn two_hundred_tasks_outlive_workers_killed_at_every_point_on_a_cluster() {
    killed_workers_cost_nothing_but_time(&Site::cluster());
}
