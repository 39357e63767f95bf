//! The run as a page in Markdown, with its pictures. Pure.

use std::fmt::Write as _;

use super::goals::{judge, whole};
use super::report::{Measured, Report};
use crate::figures::rounded;
use crate::goals::table as table_of;
use crate::plot::Bars;

/// Concurrencies that are measured.
pub(crate) const CONCURRENCIES: [usize; 3] = [1, 10, 100];

/// The pictures: names of files, and what is in them.
pub(crate) fn pictures(report: &Report) -> Vec<(&'static str, String)> {
    let groups = |values: &dyn Fn(&Measured) -> Vec<Option<f64>>| {
        report.peers.iter().map(|peer| (peer.title.clone(), values(peer))).collect()
    };
    let bars = |title: &str, subtitle: &str, series: Vec<&'static str>, groups| {
        Bars { title: title.into(), subtitle: subtitle.into(), series, groups }.svg()
    };
    vec![
        (
            "peers-drain.svg",
            bars(
                "No-op tasks per second, one worker",
                "attempts at once; longer is better; logarithmic",
                vec!["1", "10", "100"],
                groups(&|peer| {
                    CONCURRENCIES.map(|c| peer.drain(c).map(|drain| drain.per_s)).into()
                }),
            ),
        ),
        (
            "peers-waits.svg",
            bars(
                "From submission to start of the handler, ms",
                "shorter is better; logarithmic",
                vec!["idle p50", "idle p99", "half load p50", "half load p99"],
                groups(&|peer| {
                    let (idle, load) = (peer.idle.as_ref(), peer.load.as_ref());
                    vec![
                        idle.map(|idle| idle.p50_ms),
                        idle.map(|idle| idle.p99_ms),
                        load.map(|load| load.p50_ms),
                        load.map(|load| load.p99_ms),
                    ]
                }),
            ),
        ),
        (
            "peers-cost.svg",
            bars(
                "What one task costs, µs of CPU",
                "submitted one by one and drained 10 at once; shorter is better; logarithmic",
                vec!["Redis", "worker", "the one that submits"],
                groups(&|peer| {
                    let (submit, drain) = (peer.submit.as_ref(), peer.drain(10));
                    let redis = submit.zip(drain).map(|(s, d)| s.redis.and(d.redis).cpu_us);
                    vec![redis, drain.map(|d| d.cpu_us), submit.map(|s| s.cpu_us)]
                }),
            ),
        ),
    ]
}

/// The page.
pub(crate) fn text(report: &Report) -> String {
    let mut page = head(report);
    speed(&mut page, report);
    cost(&mut page, report);
    delivery(&mut page, report);
    goals(&mut page, report);
    settings(&mut page, report);
    page
}

fn head(report: &Report) -> String {
    let Report { at, machine, redis_version, aof, quick, payload_bytes, ping_p50_us, .. } = report;
    let aof = if *aof { "AOF, always" } else { "none: all in memory" };
    let mut page = format!(
        "# Beside its peers\n\n\
         Written by `cargo xtask bench -- peers` ([how it is measured, and how to read \
         it](peers-method.md); all numbers in [peers.json](peers.json)). One run, one machine, one \
         kind of Redis for all; compare columns of this page, not pages of other machines.\n\n\
         | | |\n|---|---|\n\
         | When | {at} |\n\
         | Commit | {} |\n\
         | Processor | {}, {} cores; Redis has the first, all else the others |\n\
         | Memory | {:.1} GiB |\n\
         | Kernel, file system | {}, {} |\n\
         | Redis | {redis_version}; persistence: {aof} |\n\
         | PING and answer, p50 | {} µs |\n\
         | Payload | {payload_bytes} bytes of JSON |\n\
         | Load before | {:.2} |\n\
         | The run took | {:.1} min |\n",
        machine.commit,
        machine.processor,
        machine.cores,
        machine.memory_bytes as f64 / f64::from(1 << 30),
        machine.kernel,
        machine.file_system,
        rounded(*ping_p50_us),
        machine.load,
        report.minutes,
    );
    if *quick {
        page.push_str("\n**A quick try of the bench itself: these figures mean nothing.**\n");
    }
    page.push_str(machine.busy_mark());
    page
}

/// A heading, then a row for each peer; a cell without a value is a dash.
fn table(
    page: &mut String,
    report: &Report,
    heads: &[&str],
    cells: &dyn Fn(&Measured) -> Vec<String>,
) {
    let _ = writeln!(page, "\n| | {} |\n|---|{}", heads.join(" | "), "---:|".repeat(heads.len()));
    for peer in &report.peers {
        let _ = writeln!(page, "| {} | {} |", peer.title, cells(peer).join(" | "));
    }
}

fn cell(value: Option<f64>) -> String {
    value.map_or_else(|| "–".into(), rounded)
}

fn pair(values: Option<(f64, f64)>) -> String {
    values.map_or_else(|| "–".into(), |(a, b)| format!("{} / {}", rounded(a), rounded(b)))
}

fn speed(page: &mut String, report: &Report) {
    page.push_str("\n## Speed\n\n![No-op tasks per second](../images/peers-drain.svg)\n");
    let heads = [
        "drain per s, 1 at once",
        "10",
        "100",
        "submit per s, one by one",
        "p50 / p99, µs",
        "in bulk per s",
        "idle: start p50 / p99, ms",
        "half load: per s",
        "start p50 / p99, ms",
    ];
    table(page, report, &heads, &|peer| {
        let (submit, idle, load) = (peer.submit.as_ref(), peer.idle.as_ref(), peer.load.as_ref());
        let mut cells: Vec<String> =
            CONCURRENCIES.map(|c| cell(peer.drain(c).map(|drain| drain.per_s))).into();
        cells.extend([
            cell(submit.map(|s| s.per_s)),
            pair(submit.map(|s| (s.p50_us, s.p99_us))),
            cell(submit.map(|s| s.bulk_per_s)),
            pair(idle.map(|i| (i.p50_ms, i.p99_ms))),
            cell(load.map(|l| l.per_s)),
            pair(load.map(|l| (l.p50_ms, l.p99_ms))),
        ]);
        cells
    });
    page.push_str("\n![From submission to start](../images/peers-waits.svg)\n");
}

fn cost(page: &mut String, report: &Report) {
    page.push_str(
        "\n## What one task costs\n\nFrom its submission to its end, by Redis's own counters: \
         submitted one by one and drained 10 at once, and after the slash submitted in bulk and \
         drained 100 at once.\n\n![CPU of one task](../images/peers-cost.svg)\n",
    );
    let heads = [
        "commands",
        "reads from sockets",
        "bytes in + out",
        "CPU of Redis, µs",
        "CPU of the worker, µs, 10 / 100 at once",
        "CPU of the one that submits, µs",
        "bytes of Redis while it waits",
        "idle: commands per s",
        "idle: CPU, ms per s",
    ];
    table(page, report, &heads, &|peer| {
        let submit = peer.submit.as_ref();
        let single = submit.zip(peer.drain(10)).map(|(s, d)| s.redis.and(d.redis));
        let bulk = whole(peer, 100);
        let both = |of: &dyn Fn(super::spent::PerTask) -> f64| {
            format!("{} / {}", cell(single.map(of)), cell(bulk.map(of)))
        };
        let worker = |concurrency| cell(peer.drain(concurrency).map(|drain| drain.cpu_us));
        vec![
            both(&|spent| spent.commands),
            both(&|spent| spent.reads),
            both(&|spent| spent.bytes_in + spent.bytes_out),
            both(&|spent| spent.cpu_us),
            format!("{} / {}", worker(10), worker(100)),
            cell(submit.map(|s| s.cpu_us)),
            cell(submit.map(|s| s.redis.memory_bytes)),
            cell(peer.idle.as_ref().map(|idle| idle.commands_per_s)),
            cell(peer.idle.as_ref().map(|idle| idle.cpu_ms_per_s)),
        ]
    });
}

fn delivery(page: &mut String, report: &Report) {
    page.push_str(
        "\n## Delivery\n\nOf all tasks drained, those that never began and those that began more \
         than once; then a worker is killed (`kill -9`) at ten tasks and another started at \
         once.\n",
    );
    let heads = ["drained", "never began", "began again", "after the kill", "which is said by"];
    table(page, report, &heads, &|peer| {
        let sum = |of: &dyn Fn(&super::report::Drain) -> u64| {
            let sum: u64 = peer.drains.iter().map(of).sum();
            if peer.drains.is_empty() { "–".into() } else { rounded(sum as f64) }
        };
        let count = |of: &dyn Fn(&super::report::Drain) -> u64| {
            let sum: u64 = peer.drains.iter().map(of).sum();
            if peer.drains.is_empty() { "–".into() } else { sum.to_string() }
        };
        let killed = peer.recovery.as_ref().map_or_else(
            || "–".into(),
            |r| {
                if r.again < r.killed {
                    format!("{} of {} within {} s", r.again, r.killed, rounded(r.waited_s))
                } else {
                    format!("all again after {} s", rounded(r.seconds))
                }
            },
        );
        vec![
            sum(&|drain| drain.tasks),
            count(&|drain| drain.missing),
            count(&|drain| drain.again),
            killed,
            peer.recovered_by.clone(),
        ]
    });
    let failures: Vec<(&str, &String)> = report
        .peers
        .iter()
        .flat_map(|peer| peer.failures.iter().map(|why| (peer.title.as_str(), why)))
        .collect();
    if !failures.is_empty() {
        page.push_str("\n### Not measured\n\n");
        for (title, why) in failures {
            let _ = writeln!(page, "- {title}: {}", line(why));
        }
    }
}

fn goals(page: &mut String, report: &Report) {
    page.push_str(
        "\n## Goals\n\nEvery goal that was set, by its number; nothing is left out because it was \
         missed.\n\n",
    );
    page.push_str(&table_of(&judge(report)));
}

fn settings(page: &mut String, report: &Report) {
    page.push_str(
        "\n## Who, and with which settings\n\nEach as it delivers at least once.\n\n| | Version | \
         Language | Settings | Bulk |\n|---|---|---|---|---|\n",
    );
    for peer in &report.peers {
        let Measured { title, version, language, settings, bulk, .. } = peer;
        let _ = writeln!(page, "| {title} | {version} | {language} | {settings} | {bulk} |");
    }
}

/// Words of a program on one line that is no markup.
fn line(text: &str) -> String {
    let one = text.split_whitespace().collect::<Vec<_>>().join(" ");
    format!("`{}`", one.replace('`', "'"))
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::report;
    use super::*;

    #[test]
    fn a_peer_that_could_not_take_part_is_in_every_table_and_its_reason_is_told() {
        let page = text(&report());
        assert_eq!(page.matches("\n| ARQ | ").count(), 4, "{page}");
        assert!(page.contains("- ARQ: `not installed: no such | version`"), "{page}");
        assert!(page.contains("| TASKTONIC | 50,000 | 50,000 | 50,000 | 1,000 | 40.0 / 90.0 |"));
        assert!(page.contains("all again after 11.0 s"), "{page}");
    }

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
    fn a_busy_machine_and_a_quick_try_are_said_aloud() {
        let mut run = report();
        (run.quick, run.machine.load) = (true, 99.0);
        let page = text(&run);
        assert!(page.contains("mean nothing") && page.contains("was busy"), "{page}");
    }

    #[test]
    fn pictures_have_every_peer() {
        for (name, svg) in pictures(&report()) {
            assert!(svg.contains(">ARQ<") && svg.contains("not measured"), "{name}");
        }
    }
}
