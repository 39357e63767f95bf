//! The run as a page in Markdown. Pure.

use std::fmt::Write as _;

use super::report::{Kills, Load, Report, Store};
use super::{kills, waits};
use crate::figures::rounded;
use crate::goals::{self, Aim, Goal, Way};

/// The page.
pub(crate) fn text(report: &Report) -> String {
    let mut page = format!(
        "# What one does to the others\n\n\
         Written by `cargo xtask bench -- neighbours`; every number is in \
         [neighbours.json](neighbours.json). Single figures are in [the other figures](README.md). \
         Counts hold anywhere; rates and times for this machine and this moment.\n\n\
         | | |\n|---|---|\n\
         | When | {} |\n{}\
         | The run took | {:.1} min |\n",
        report.at,
        report.machine.rows("load, bench, Redis and product share them"),
        report.minutes,
    );
    if report.quick {
        page.push_str("\n**A quick try of the bench itself: these figures mean nothing.**\n");
    }
    page.push_str(report.machine.busy_mark());
    waiting(&mut page, report);
    killing(&mut page, report);
    page.push_str("\n## Goals\n\nNothing is left out because it was missed.\n\n");
    page.push_str(&goals::table(&judge(report)));
    page
}

fn waiting(page: &mut String, report: &Report) {
    // Writing to a text cannot fail.
    let _ = writeln!(
        page,
        "\n## One user waits while another is busy\n\n\
         A user submits one task that does nothing at a time, with pauses of up to {pause} ms; from \
         its submission until its owner's socket says that it runs. First alone, then beside \
         another user with tasks of {task_ms} ms in the same queue. One worker has {places} places.\n\n\
         - **{queue}**: all places are busy, so each task of the first user also waits for the \
         next place that falls free: at most one task of {task_ms} ms, and the call in which the \
         worker says so. Tasks that all take equally long and begin in one call also end together, \
         so that places fall free by the handful, and now and then it is nearly the whole {task_ms} \
         ms. Alone it finds all of them free.\n\
         - **{keys}**: the same, but the other user's tasks belong to {key_count} keys, and of each \
         key one runs at a time.\n\
         - **lengths mixed**: both again with tasks of {shortest} to {longest} ms, all lengths equally \
         often and in no order, {task_ms} ms on average, so that places fall free one by one. The \
         difference is what it costs that tasks of one length end together.\n\
         - **{rate}**: {per_s} tasks of the other user may start per second, the rest is held back. \
         Places are free.\n\
         - **{bulk}**: nothing of the other user runs, and all that waits is cancelled by one \
         operation; timed while it goes on, again and again until there are enough tasks.\n\n\
         *Within* is the share of the single tasks that waited no longer than {busy} times the p99 alone \
         beside a queue, and {free} times where places are free. It says how likely one task keeps that \
         bound; the goal below is the stricter one, that 99 of a hundred do.\n\n\
         | beside | store | the other's waiting | done or cancelled per s | tasks timed | alone p50, \
         ms | p99, ms | beside p50, ms | p99, ms | longest, ms | p99 over p99 | within |\n\
         |---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
        pause = waits::PAUSE_MS_MAX,
        task_ms = waits::TASK_MS,
        places = waits::PLACES,
        queue = Load::Queue.words(),
        keys = Load::SerialKeys.words(),
        rate = Load::Rate.words(),
        bulk = Load::Bulk.words(),
        shortest = waits::MIXED_MS.start(),
        longest = waits::MIXED_MS.end(),
        busy = Load::Queue.bound(),
        free = Load::Rate.bound(),
        key_count = rounded(waits::KEYS as f64),
        per_s = waits::RATE_PER_S,
    );
    for wait in &report.waits {
        let cells = [
            wait.others_per_s,
            wait.beside.tasks as f64,
            wait.alone.p50_ms,
            wait.alone.p99_ms,
            wait.beside.p50_ms,
            wait.beside.p99_ms,
            wait.beside.max_ms,
        ];
        let mut cells = cells.map(rounded).to_vec();
        cells[1] = wait.beside.tasks.to_string();
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} | {:.1} % |",
            wait.load.words(),
            wait.store.words(),
            rounded(wait.waiting as f64),
            cells.join(" | "),
            or_dash(wait.ratio()),
            wait.within * 100.0,
        );
    }
}

fn killing(page: &mut String, report: &Report) {
    let _ = writeln!(
        page,
        "\n## A task kills its workers\n\n\
         {workers} worker processes with {places} places each work on tasks of {task_ms} ms of \
         {users} users, of which there are always more; they ask the server on the embedded store, \
         and Redis itself on the other. Then there is a task in another queue, and whichever \
         worker begins it is killed with `kill -9`, and another one started at once. It is tried \
         again when its lease has run out, until it has taken too many workers with it. Throughput \
         before it came, and from its submission to its end.\n\n\
         | store | before, per s | during, per s | kept | took, s | workers killed | it ended | tasks \
         of the others | of them completed |\n\
         |---|---:|---:|---:|---:|---:|---|---:|---:|",
        workers = kills::WORKERS,
        places = kills::PLACES,
        task_ms = kills::TASK_MS,
        users = kills::USERS,
    );
    for one in &report.kills {
        let Kills { before_per_s, during_per_s, during_s, kills, status, reason, .. } = one;
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} | {kills} | {status}: `{reason}` | {} | {} |",
            one.store.words(),
            rounded(*before_per_s),
            rounded(*during_per_s),
            or_dash(one.kept()),
            rounded(*during_s),
            rounded(one.tasks as f64),
            rounded(one.completed as f64),
        );
    }
}

fn or_dash(value: Option<f64>) -> String {
    value.map_or_else(|| "–".into(), rounded)
}

/// Goals of waits: which load on which store, and what it is called.
const WAITS: [(Load, Store, &str); 12] = [
    (Load::Queue, Store::Embedded, "Beside a long queue, embedded, p99 over p99"),
    (Load::Queue, Store::Redis, "The same on Redis"),
    (Load::MixedQueue, Store::Embedded, "The same with lengths mixed, embedded"),
    (Load::MixedQueue, Store::Redis, "The same with lengths mixed, on Redis"),
    (Load::SerialKeys, Store::Embedded, "Beside serial keys, embedded, p99 over p99"),
    (Load::SerialKeys, Store::Redis, "The same on Redis"),
    (Load::MixedKeys, Store::Embedded, "The same with lengths mixed, embedded"),
    (Load::MixedKeys, Store::Redis, "The same with lengths mixed, on Redis"),
    (Load::Rate, Store::Embedded, "Beside a rate limit, embedded, p99 over p99"),
    (Load::Rate, Store::Redis, "The same on Redis"),
    (Load::Bulk, Store::Embedded, "Beside a bulk operation, embedded, p99 over p99"),
    (Load::Bulk, Store::Redis, "The same on Redis"),
];

const fn why(load: Load, store: Store) -> &'static str {
    match (load, store) {
        (Load::Queue | Load::SerialKeys, _) => BUSY,
        (Load::MixedQueue | Load::MixedKeys, _) => BUSY_MIXED,
        (Load::Rate, _) => HELD_BACK,
        (Load::Bulk, Store::Embedded) => CHANGES,
        (Load::Bulk, Store::Redis) => REMOVALS,
    }
}

fn judge(report: &Report) -> Vec<Goal> {
    let waits = WAITS.map(|(load, store, figure)| {
        let (way, aim, further) = (Way::AtMost, load.bound(), None);
        let (unit, why) = ("times", why(load, store));
        let value = report.wait(load, store).and_then(super::report::Wait::ratio);
        Aim { figure, way, aim, further, unit, why }.held_against(value)
    });
    let of_kills = |store| match store {
        Store::Embedded => "Kept beside a task that kills its workers, embedded",
        Store::Redis => "The same on Redis",
    };
    let kept = Store::ALL.map(|store| {
        let (figure, way, aim, unit) = (of_kills(store), Way::AtLeast, 0.9, "of throughput");
        let value = report.kills(store).and_then(Kills::kept);
        Aim { figure, way, aim, further: None, unit, why: WORKERS_GONE }.held_against(value)
    });
    let lost = Store::ALL.map(|store| {
        let figure = match store {
            Store::Embedded => "Tasks of the others that were lost by that, embedded",
            Store::Redis => "The same on Redis, tasks lost",
        };
        let value = report.kills(store).map(|one| one.tasks.abs_diff(one.completed) as f64);
        let why = "tasks did not all complete: this is a fault, not a cost";
        Aim { figure, way: Way::AtMost, aim: 0.0, further: None, unit: "", why }.held_against(value)
    });
    waits.into_iter().chain(kept).chain(lost).collect()
}

const BUSY: &str = "alone a task finds every place free and the machine idle; here it waits for the \
    end of a task of the other, at times for nearly all of it, so that the quicker it is alone, the \
    larger this figure";
const BUSY_MIXED: &str = "alone a task finds every place free and the machine idle; here it waits for \
    the end of a task of the other, and shares the cores with all of them";
const HELD_BACK: &str = "the other's tasks that do start share the cores, and this figure is \
    made by the slowest hundredth";
const CHANGES: &str = "half of all tasks hardly notice it; now and then one waits some ms longer, \
    while more than a thousand are cancelled each second on the same cores and disk";
const REMOVALS: &str = "Redis does one thing at a time: who comes while tasks are cancelled waits for \
    the rest of that call";
const WORKERS_GONE: &str = "places are gone while a worker starts, and what the killed one had is \
    run again when its leases have run out";

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
    fn goals_are_reached_or_say_why_not() {
        let mut run = report();
        let page = text(&run);
        assert!(page.contains("16 reached, 0 not, 0 not measured"), "{page}");
        assert!(page.contains("| a bulk operation | Redis | 100,000 | 1,234 | 300 |"), "{page}");
        for wait in &mut run.waits {
            wait.beside.p99_ms = 8.0;
        }
        run.kills[0].completed -= 1;
        run.kills[1].during_per_s = 899.0;
        let page = text(&run);
        assert!(page.contains("10 reached, 6 not"), "{page}");
        assert!(page.contains(HELD_BACK) && page.contains(WORKERS_GONE), "{page}");
        assert!(!page.contains(BUSY), "{page}");
    }

    #[test]
    fn what_was_not_asked_for_is_not_measured() {
        let mut run = report();
        run.kills.clear();
        assert!(text(&run).contains("12 reached, 0 not, 4 not measured"));
    }

    #[test]
    fn a_busy_machine_and_a_quick_try_are_said_aloud() {
        let mut run = report();
        (run.quick, run.machine.load) = (true, 99.0);
        let page = text(&run);
        assert!(page.contains("mean nothing") && page.contains("was busy"), "{page}");
    }
}
