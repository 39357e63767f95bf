//! The goals, held against one run: reached or not, and why not. Pure.

use super::report::{Measured, Report};
use super::roster::OURS;
use super::spent::PerTask;
use crate::goals::{Aim, Goal, Verdict, Way};

/// All goals, in the order of their numbers.
pub(crate) fn judge(report: &Report) -> Vec<Goal> {
    let ours = report.peers.iter().find(|peer| peer.name == OURS);
    let bulk = ours.and_then(|ours| whole(ours, 100));
    let single = ours.and_then(|ours| Some(ours.submit.as_ref()?.redis.and(ours.drain(1)?.redis)));
    let drain = |concurrency| ours.and_then(move |ours| ours.drain(concurrency));
    let submit = ours.and_then(|ours| ours.submit.as_ref());
    let idle = ours.and_then(|ours| ours.idle.as_ref());
    let recovered = ours.and_then(|ours| ours.recovery.as_ref()).map(|recovery| {
        if recovery.again < recovery.killed { recovery.waited_s } else { recovery.seconds }
    });
    use Way::{AtLeast, AtMost};
    let aim = |figure, way, aim, further, unit, why| Aim { figure, way, aim, further, unit, why };
    let mut goals = vec![
        aim(
            "1 Commands of Redis per task, bulk and 100 at once, those inside scripts counted",
            AtMost,
            3.0,
            None,
            "",
            MANY_USERS,
        )
        .held_against(bulk.map(|spent| spent.commands)),
        aim("1 The same, one by one", AtMost, 23.0, None, "", EMPTY_LANES)
            .held_against(single.map(|spent| spent.commands)),
        aim("1 Script calls per task, bulk and 100 at once", AtMost, 0.15, None, "", PARTITIONS)
            .held_against(bulk.map(|spent| spent.scripts)),
        aim(
            "2 CPU of Redis per task, bulk and 100 at once",
            AtMost,
            15.0,
            Some(10.0),
            "µs",
            REDIS_CPU,
        )
        .held_against(bulk.map(|spent| spent.cpu_us)),
        aim("3 CPU of the worker per task, 100 at once", AtMost, 10.0, Some(7.0), "µs", WORKER_CPU)
            .held_against(drain(100).map(|drain| drain.cpu_us)),
        aim(
            "4 Drain, one worker process, 10 at once",
            AtLeast,
            40_000.0,
            Some(60_000.0),
            "per s",
            TURNS,
        )
        .held_against(drain(10).map(|drain| drain.per_s)),
        aim(
            "4 Drain, one worker process, 100 at once",
            AtLeast,
            40_000.0,
            Some(80_000.0),
            "per s",
            TWO_CORES,
        )
        .held_against(drain(100).map(|drain| drain.per_s)),
        aim(
            "4 Best drain over that of the best peer in this run",
            AtLeast,
            4.0,
            Some(7.0),
            "times",
            LEAD,
        )
        .held_against(lead(report)),
        aim("5 One submission after the other, p50", AtMost, 45.0, Some(36.0), "µs", ONE_TRIP)
            .held_against(submit.map(|submit| submit.p50_us)),
        aim("5 Submissions in bulk", AtLeast, 150_000.0, Some(280_000.0), "per s", ONE_REDIS)
            .held_against(submit.map(|submit| submit.bulk_per_s)),
        aim(
            "6 Submission to start of the handler, idle, p50",
            AtMost,
            0.15,
            Some(0.12),
            "ms",
            PICK_UP,
        )
        .held_against(idle.map(|idle| idle.p50_ms)),
        aim("6 The same, p99", AtMost, 0.5, None, "ms", SHARED)
            .held_against(idle.map(|idle| idle.p99_ms)),
        aim("6 The same p50, in pings of this run", AtMost, 4.0, None, "pings", PICK_UP)
            .held_against(idle.map(|idle| idle.p50_ms * 1e3 / report.ping_p50_us.max(1.0))),
    ];
    goals.push(elsewhere(
        "7 Through nginx to a browser's frame",
        "p50 at most 1 ms, p99 5 ms",
        TO_BROWSER,
    ));
    goals.extend([
        aim("8 Memory of Redis per waiting task", AtMost, 420.0, Some(300.0), "bytes", MEMORY)
            .held_against(submit.map(|submit| submit.redis.memory_bytes)),
        aim("8 Commands of an idle worker", AtMost, 1.0, Some(0.1), "per s", LOOKS)
            .held_against(idle.map(|idle| idle.commands_per_s)),
    ]);
    goals.extend([
        elsewhere(
            "9 Memory per idle socket",
            "at most 8, then 3 KiB",
            "`cargo xtask bench -- sockets`, in [the other figures](README.md)",
        ),
        elsewhere(
            "10 Frames fanned out per core",
            "100,000 per s, 350,000 together",
            "not by a bench yet",
        ),
        elsewhere(
            "11 What a token costs at the gateway",
            "at least 0.97 of the throughput without",
            "`cargo xtask bench -- gateway`",
        ),
        elsewhere(
            "12 The embedded store, durable",
            "100,000 submissions, 50,000 lifecycles per s",
            "`cargo xtask bench -- lifecycles`, in [the other figures](README.md)",
        ),
    ]);
    goals.push(
        aim("A killed worker's task begins again", AtMost, 15.0, None, "s", LEASES)
            .held_against(recovered),
    );
    goals
}

/// What a task costs Redis from submission in bulk to its end at this concurrency.
pub(crate) fn whole(peer: &Measured, concurrency: usize) -> Option<PerTask> {
    Some(peer.submit.as_ref()?.bulk_redis.and(peer.drain(concurrency)?.redis))
}

/// Our best rate over the best of all others; every one of them delivers at least once.
fn lead(report: &Report) -> Option<f64> {
    let best = |peer: &Measured| peer.drains.iter().map(|drain| drain.per_s).fold(0.0, f64::max);
    let ours = report.peers.iter().find(|peer| peer.name == OURS).map(best)?;
    let others = report.peers.iter().filter(|peer| peer.name != OURS).map(best).fold(0.0, f64::max);
    (ours > 0.0 && others > 0.0).then_some(ours / others)
}

fn elsewhere(figure: &'static str, aim: &str, why: &'static str) -> Goal {
    Goal { figure, aim: aim.into(), value: "–".into(), verdict: Verdict::Elsewhere, why }
}

const MANY_USERS: &str = "a claim takes turns between users: with a hundred of them in eight \
    partitions it touches the lane of nearly every task it hands out";
const EMPTY_LANES: &str = "a lane that is empty again after its claim is taken out of the ring and \
    put back by the next submission, which costs three commands more";
const PARTITIONS: &str = "a call is of one partition, of eight: a hundred attempts at once are a \
    dozen for each of them";
const REDIS_CPU: &str = "each task is a record, a place in a lane, a lease and three events; \
    about half of the time in scripts is Lua itself, which cuts words and spells \
    states, and the rest its commands";
const WORKER_CPU: &str = "each attempt parses its descriptor and payload, runs in a task of its \
    own, is watched for cancellation and time limits, and reports its output as JSON";
const TURNS: &str = "ten attempts at once are five in each of two calls at best, and Redis is full: \
    a call of few tasks costs it more for each of them";
const TWO_CORES: &str = "Redis has one of two cores and the worker the other one; whichever of \
    them is full is the limit (the costs per task above say which)";
const TO_BROWSER: &str = "not by a bench yet; the way to the owner's socket, without nginx and \
    browser, is `cargo xtask bench -- pickup`, in [the other figures](README.md)";
const LEAD: &str = "Redis has one core and is full of either: what one task costs it, above, is \
    the ratio. Turns between users, a fence, and each user's log and live events are part of ours";
const ONE_TRIP: &str = "a submission is one script: its round trip, and record, lane, ring, event \
    and wake-up inside";
const ONE_REDIS: &str = "one thread of Redis writes record, lane and event of each task, and the \
    program that submits builds each task's JSON on the other core";
const PICK_UP: &str = "a submission, the wake-up by pub/sub and a claim are three trips, two threads of \
    the worker are woken in turn on one core, and a script that runs seldom takes Redis twice as \
    long as one that runs all the time: about 0.2 ms each";
const SHARED: &str = "the one that submits and the worker share a core";
const MEMORY: &str = "record, state and event of each task are kept, for whoever asks or listens";
const LOOKS: &str = "the store looks after its partitions: repairs, configuration, announcements";
const LEASES: &str = "a lease lasts 10 s. Where no server looks, its time goes on by 2 s at most \
    from one look to the next, and a worker alone may come to its first look 5 s late";

#[cfg(test)]
mod tests {
    use super::super::report::tests::report;
    use super::*;

    #[test]
    fn all_twelve_figures_and_recovery_are_judged() {
        let goals = judge(&report());
        for number in 1..=12 {
            let prefix = format!("{number} ");
            assert!(goals.iter().any(|goal| goal.figure.starts_with(&prefix)), "{number}");
        }
        assert!(goals.iter().any(|goal| goal.figure.starts_with("A killed worker")));
    }

    #[test]
    fn the_lead_is_over_the_best_other_one() {
        assert_eq!(lead(&report()), Some(10.0));
        let mut alone = report();
        alone.peers.truncate(1);
        assert_eq!(lead(&alone), None);
    }

    #[test]
    fn a_task_that_never_came_back_is_no_recovery() {
        let mut run = report();
        let recovery = run.peers[0].recovery.as_mut().unwrap();
        (recovery.again, recovery.seconds) = (9, 5.0);
        let goals = judge(&run);
        assert_eq!(goals.last().unwrap().verdict, Verdict::Missed);
    }
}
