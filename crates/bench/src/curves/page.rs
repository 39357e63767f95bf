//! The run as a page in Markdown, with its pictures. Pure.

use std::fmt::Write as _;

use super::report::{Point, Report};
use crate::figures::rounded;
use crate::goals::{self, Aim, Goal, Way};
use crate::plot::{Line, Lines};

/// The pictures: names of files, and what is in them.
pub(crate) fn pictures(report: &Report) -> Vec<(&'static str, String)> {
    let line = |name, group: &str, value: &str| Line { name, points: report.along(group, value) };
    let lines = |title: &str, subtitle: &str, lines: Vec<Line>| {
        Lines { title: title.into(), subtitle: subtitle.into(), lines }.svg()
    };
    vec![
        (
            "curves-cost.svg",
            lines(
                "CPU of Redis per task, µs",
                "from submission to end in batches of 16, by how many wait or how many users take \
                 turns; lower is better",
                vec![
                    line("tasks that wait", "redis.waiting", "redis_cpu_us"),
                    line("users", "redis.users", "redis_cpu_us"),
                ],
            ),
        ),
        (
            "curves-rate.svg",
            lines(
                "Tasks per second, by how many wait",
                "submitted and worked off at the same time; higher is better",
                vec![
                    line("embedded, on disk", "embedded.waiting", "per_s"),
                    line("Redis", "redis.waiting", "per_s"),
                ],
            ),
        ),
        (
            "curves-claim.svg",
            lines(
                "One claim, µs, by how many tasks wait",
                "one caller, its ack in the same call; lower is better",
                vec![
                    line("embedded p50", "embedded.waiting", "claim_p50_us"),
                    line("embedded p99", "embedded.waiting", "claim_p99_us"),
                    line("Redis p50", "redis.waiting", "claim_p50_us"),
                    line("Redis p99", "redis.waiting", "claim_p99_us"),
                ],
            ),
        ),
        (
            "curves-memory.svg",
            lines(
                "Memory per waiting task, bytes",
                "record, place in its lane, index and event; lower is better",
                vec![
                    line("embedded", "embedded.waiting", "bytes"),
                    line("Redis", "redis.waiting", "bytes"),
                ],
            ),
        ),
    ]
}

/// The page.
pub(crate) fn text(report: &Report) -> String {
    let head = &report.head;
    let mut page = format!(
        "# When there is more of it\n\n\
         Written by `cargo xtask bench -- curves`; every point is a line of \
         [curves.jsonl](curves.jsonl). Single figures are in [the other figures](README.md). Counts hold anywhere; rates and times for this machine and \
         this moment.\n\n\
         | | |\n|---|---|\n\
         | When | {} |\n{}\
         | The run took | {:.1} min |\n",
        head.at,
        head.machine.rows("load, bench, Redis and product share them"),
        head.minutes,
    );
    if head.quick {
        page.push_str("\n**A quick try of the bench itself: these figures mean nothing.**\n");
    }
    page.push_str(head.machine.busy_mark());
    waiting(&mut page, report);
    users(&mut page, report);
    masters(&mut page, report);
    classes(&mut page, report);
    recovery(&mut page, report);
    idle(&mut page, report);
    page.push_str("\n## Goals\n\nNothing is left out because it was missed.\n\n");
    page.push_str(&goals::table(&judge(report)));
    page
}

/// A row for each point; a value that was not measured is a dash.
fn table(page: &mut String, first: &str, columns: &[(&str, &str)], points: &[&Point]) {
    let heads: Vec<&str> = columns.iter().map(|(head, _)| *head).collect();
    let marks = "---:|".repeat(columns.len());
    // Writing to a text cannot fail.
    let _ = writeln!(page, "\n| {first} | {} |\n|---:|{marks}", heads.join(" | "));
    for point in points {
        let cells: Vec<String> = columns
            .iter()
            .map(|(_, value)| point.get(value).map_or_else(|| "–".into(), rounded))
            .collect();
        let _ = writeln!(page, "| {} | {} |", point.place(), cells.join(" | "));
    }
}

/// Columns of Redis, and those of them that the embedded store has.
const OF_REDIS: [(&str, &str); 8] = [
    ("tasks per s", "per_s"),
    ("CPU of Redis per task, µs", "redis_cpu_us"),
    ("commands per task", "commands"),
    ("script calls per task", "scripts"),
    ("claim p50, µs", "claim_p50_us"),
    ("p99, µs", "claim_p99_us"),
    ("bytes per waiting task", "bytes"),
    ("submitted per s", "submit_per_s"),
];
const OF_EMBEDDED: [(&str, &str); 5] =
    [OF_REDIS[0], OF_REDIS[4], OF_REDIS[5], OF_REDIS[6], OF_REDIS[7]];

fn waiting(page: &mut String, report: &Report) {
    page.push_str(
        "\n## More tasks wait\n\nSo many tasks of a hundred users wait, with 120 bytes of payload \
         each; meanwhile as many are submitted as are worked off, 16 in one call on Redis and 64 \
         embedded. A claim is timed alone, one at a time. Bytes are those by which memory grew, of \
         at least 10,000 tasks.\n\n\
         ![CPU of Redis per task](../images/curves-cost.svg)\n\n\
         ![Tasks per second](../images/curves-rate.svg)\n\n\
         ![One claim](../images/curves-claim.svg)\n\n\
         ![Memory per waiting task](../images/curves-memory.svg)\n\n### Redis\n",
    );
    table(page, "waiting", &OF_REDIS, &report.points("redis.waiting"));
    page.push_str("\n### Embedded, every task on disk before its answer\n");
    table(page, "waiting", &OF_EMBEDDED, &report.points("embedded.waiting"));
    let mut notes = report.notes().peekable();
    if notes.peek().is_some() {
        page.push('\n');
    }
    for (group, note) in notes {
        let _ = writeln!(page, "- `{group}`: {note}");
    }
}

fn users(page: &mut String, report: &Report) {
    page.push_str(
        "\n## More users take turns\n\n100,000 tasks wait, of so many users together. One user \
         is in one partition, and one caller works there; hundreds are in all eight.\n\n\
         ### Redis\n",
    );
    table(page, "users", &OF_REDIS[..7], &report.points("redis.users"));
    page.push_str("\n### Embedded\n");
    table(page, "users", &OF_EMBEDDED[..3], &report.points("embedded.users"));
}

fn masters(page: &mut String, report: &Report) {
    page.push_str(
        "\n## One master and three\n\nThe same load on one Redis and on a Redis Cluster of three \
         masters, 24 partitions in both. On a machine with fewer cores than masters the rate cannot \
         rise; what each master has to do can fall.\n",
    );
    let columns = [
        ("tasks per s", "per_s"),
        ("CPU of all per task, µs", "redis_cpu_us"),
        ("of the busiest, µs", "redis_cpu_us_most"),
    ];
    table(page, "masters", &columns, &report.points("redis.masters"));
}

fn classes(page: &mut String, report: &Report) {
    page.push_str(
        "\n## What durability costs the embedded store\n\nLifecycles in batches of 64, then \
         submissions of one task each by one producer and by 256. Flushes are those of the \
         machine's disks, by their own counters: every fsync is at least one.\n",
    );
    let columns = [
        ("lifecycles per s", "per_s"),
        ("flushes per task", "flushes"),
        ("submit p50, µs", "submit_p50_us"),
        ("p99, µs", "submit_p99_us"),
        ("256 producers: per s", "many_per_s"),
        ("p50, µs", "many_p50_us"),
        ("p99, µs", "many_p99_us"),
        ("flushes per task", "many_flushes"),
    ];
    table(page, "durability", &columns, &report.points("embedded.classes"));
}

fn recovery(page: &mut String, report: &Report) {
    page.push_str(
        "\n## After `kill -9`\n\nAll workers of a fleet are killed at once while they are at two \
         tasks each; embedded it is the whole process at eight, which is started again. From the \
         kill until each of those tasks runs again. The time is a lease of 10 s, less what had \
         passed since its last heartbeat, and up to a second until somebody looks.\n",
    );
    let columns = [
        ("kills", "kills"),
        ("tasks", "tasks"),
        ("runs again p50, s", "p50_s"),
        ("p99, s", "p99_s"),
        ("process ready again p50, ms", "ready_p50_ms"),
        ("at most, ms", "ready_max_ms"),
    ];
    table(page, "store", &columns, &report.points("recovery"));
}

fn idle(page: &mut String, report: &Report) {
    page.push_str(
        "\n## What rests costs\n\nWhat Redis is asked each second, commands inside scripts \
         counted, while nothing waits and nothing runs. A fleet is a server and a worker; a worker \
         is what each of four more adds.\n",
    );
    let columns = [
        ("commands per s", "commands_per_s"),
        ("reads from sockets per s", "reads_per_s"),
        ("CPU of Redis, µs per s", "redis_cpu_us_per_s"),
    ];
    table(page, "", &columns, &report.points("idle"));
}

/// The largest value along a curve over the smallest.
fn spread(points: &[(f64, f64)]) -> Option<f64> {
    let values = || points.iter().map(|(_, y)| *y);
    let (low, high) = (values().fold(f64::MAX, f64::min), values().fold(0.0, f64::max));
    (points.len() > 1 && low > 0.0).then_some(high / low)
}

fn judge(report: &Report) -> Vec<Goal> {
    use Way::{AtLeast, AtMost};
    let aim = |figure, way, aim, further, unit, why| Aim { figure, way, aim, further, unit, why };
    let along = |group: &str, value: &str| report.along(group, value);
    let last = |points: Vec<(f64, f64)>| points.last().map(|(_, y)| *y);
    let of = |group: &str, name: &str, value: &str| report.named(group, name)?.get(value);
    let of_masters = |count: f64, value: &str| report.counted("redis.masters", count)?.get(value);
    let share = of_masters(3.0, "redis_cpu_us_most")
        .zip(of_masters(1.0, "redis_cpu_us"))
        .map(|(three, one)| three / one);
    let recovered = ["embedded", "redis", "cluster"]
        .map(|form| of("recovery", form, "p99_s"))
        .into_iter()
        .try_fold(0.0_f64, |most, p99| Some(most.max(p99?)));
    vec![
        aim(
            "CPU of Redis per task, most over least, by tasks that wait",
            AtMost,
            1.25,
            None,
            "times",
            MORE_TASKS,
        )
        .held_against(spread(&along("redis.waiting", "redis_cpu_us"))),
        aim("The same, by users", AtMost, 1.25, None, "times", MORE_USERS)
            .held_against(spread(&along("redis.users", "redis_cpu_us"))),
        aim(
            "Claim p50 on Redis, most over least, by tasks that wait",
            AtMost,
            1.25,
            None,
            "times",
            MORE_TASKS,
        )
        .held_against(spread(&along("redis.waiting", "claim_p50_us"))),
        aim("8 Memory of Redis per waiting task", AtMost, 420.0, Some(300.0), "bytes", MEMORY)
            .held_against(last(along("redis.waiting", "bytes"))),
        aim("8 Commands of an idle worker", AtMost, 1.0, Some(0.1), "per s", LOOKS)
            .held_against(of("idle", "a worker", "commands_per_s")),
        aim("Commands of an idle fleet", AtMost, 30.0, None, "per s", ROUNDS).held_against(of(
            "idle",
            "a fleet",
            "commands_per_s",
        )),
        aim(
            "CPU of the busiest of three masters, of what one alone needs",
            AtMost,
            0.37,
            None,
            "times",
            SLOTS,
        )
        .held_against(share),
        aim("12 Embedded, durable lifecycles", AtLeast, 50_000.0, None, "per s", DISK)
            .held_against(of("embedded.classes", "disk", "per_s")),
        aim("12 Embedded, submissions of 256 producers", AtLeast, 100_000.0, None, "per s", DISK)
            .held_against(of("embedded.classes", "disk", "many_per_s")),
        aim("12 Embedded, one producer, p50", AtMost, 240.0, None, "µs", DISK).held_against(of(
            "embedded.classes",
            "disk",
            "submit_p50_us",
        )),
        aim("A killed worker's tasks run again, the worst p99", AtMost, 15.0, None, "s", LEASES)
            .held_against(recovered),
    ]
}

const MORE_TASKS: &str = "indexes and lanes are trees and lists of what waits: reaching into ten \
    million of them misses the caches of the processor";
const MORE_USERS: &str = "one user's tasks share their lane, log and index; of many users each task \
    of a batch touches its own";
const MEMORY: &str = "two keys of Redis with their names and headers, a place in a lane and in an \
    index, and a part of the log";
const LOOKS: &str = "a store looks now and then whether its servers, slots and settings are what \
    they were";
const ROUNDS: &str = "a server asks each of eight partitions once a second whether something comes \
    due, and each process looks after its connection";
const SLOTS: &str = "partitions have users of their own; where those do more, so does their master";
const DISK: &str = "an fsync of this disk, and two cores that the load shares";
const LEASES: &str = "a lease lasts 10 s, and its time goes on by 2 s at most from one look at its \
    partition to the next";

#[cfg(test)]
mod tests {
    use super::super::report::tests::report;
    use super::*;

    #[test]
    fn every_row_has_as_many_cells_as_its_head() {
        let page = text(&report());
        let mut width = None;
        for line in page.lines() {
            let cells = line.starts_with('|').then(|| line.matches('|').count());
            if let (Some(cells), Some(width)) = (cells, width) {
                assert_eq!(cells, width, "{line}");
            }
            width = cells;
        }
    }

    #[test]
    fn the_page_says_where_a_curve_ends_and_what_was_not_reached() {
        let mut run = report();
        let page = text(&run);
        assert!(page.contains("- `redis.waiting`: ended after 90 s"), "{page}");
        assert!(page.contains("| 1,000,000 | 40,000 | 20.0 | 2.00 |"), "{page}");
        assert!(!page.contains("**not reached**"), "{page}");
        for line in &mut run.lines {
            if let super::super::report::Line::Point(point) = line {
                for (name, value) in &mut point.values {
                    if name == "p99_s" {
                        *value = 16.0;
                    }
                }
            }
        }
        assert_eq!(text(&run).matches("**not reached**").count(), 1);
    }

    #[test]
    fn a_busy_machine_and_a_quick_try_are_said_aloud() {
        let mut run = report();
        (run.head.quick, run.head.machine.load) = (true, 99.0);
        let page = text(&run);
        assert!(page.contains("mean nothing") && page.contains("was busy"), "{page}");
    }

    #[test]
    fn a_spread_needs_two_points() {
        assert_eq!(spread(&[(1.0, 2.0)]), None);
        assert_eq!(spread(&[(1.0, 2.0), (2.0, 3.0)]), Some(1.5));
    }
}
