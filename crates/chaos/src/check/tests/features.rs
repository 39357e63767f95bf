//! Histories of limits, labels and schedules that break one law each.

use super::*;
use crate::history::Facts;

impl Tale {
    /// A task that was handed over with these facts.
    pub(super) fn submit_as(
        &mut self,
        t: u64,
        nonce: &str,
        task: &str,
        key: Option<&str>,
        facts: &Facts,
    ) {
        self.call(t, Op::Submit, Phase::Ok, |line| {
            line.nonce = Some(nonce.into());
            line.key = key.map(str::to_owned);
            line.task = Some(task.into());
            line.status = Some("new".into());
            line.facts = facts.clone();
        });
    }

    /// An event of epoch 1 that the store wrote when it was heard.
    pub(super) fn heard(&mut self, t: u64, task: &str, seq: u64, status: &str) {
        let is_first = self
            .lines
            .iter()
            .all(|line| line.op != Op::Event || line.task.as_deref() != Some(task));
        let begun = self.lines.iter().filter(|line| {
            line.task.as_deref() == Some(task) && line.status.as_deref() == Some("running")
        });
        let attempt = begun.count() + usize::from(status == "running");
        self.event(t, task, seq, 10_000 + seq, status);
        self.lines.last_mut().unwrap().attempt = u32::try_from(attempt).ok();
        let facts = &mut self.lines.last_mut().unwrap().facts;
        facts.at_ms = Some(i64::try_from(t).unwrap());
        facts.kind = is_first.then(|| "chaos.step".into());
    }

    /// Its work, in `ms`, by a worker.
    pub(super) fn work(&mut self, (t, ms): (u64, u64), task: &str, nonce: &str, token: u64) {
        self.attempt(t, Op::Start, task, nonce, token, 1);
        self.attempt(t + ms, Op::Commit, task, nonce, token, 1);
    }

    pub(super) fn fact(&mut self, t: u64, op: Op, phase: Phase, facts: &Facts) {
        self.call(t, op, phase, |line| line.facts = facts.clone());
    }

    /// How it is in the end, as the last that was heard of it.
    pub(super) fn closes(&mut self, task: &str, nonce: &str, status: &str, token: u64) {
        let last = self
            .lines
            .iter()
            .filter(|line| line.op == Op::Event && line.task.as_deref() == Some(task));
        let rev = last.filter_map(|line| line.rev).max().unwrap_or(1);
        self.end(40_000, task, nonce, status, token, rev);
    }
}

fn looked_at(mut tale: Tale, law: Law) -> usize {
    tale.lines.sort_by_key(|line| line.t);
    let verdict = check(&tale.lines);
    verdict.rulings.iter().find(|ruling| ruling.law == law).unwrap().looked_at
}

#[test]
fn a_law_that_saw_nothing_says_so() {
    for law in [Law::Ties, Law::Callback, Law::Modes, Law::Rate, Law::Ticks, Law::Paused] {
        assert_eq!(looked_at(good(), law), 0, "{law:?}");
    }
    for law in [Law::Lost, Law::EndsOnce, Law::Effects, Law::Order, Law::Agreement] {
        assert!(looked_at(good(), law) > 0, "{law:?}");
    }
    let mut tale = good();
    tale.lines.sort_by_key(|line| line.t);
    let missing = unmet(&tale.lines);
    assert!(missing.contains(&Law::Ties.sentence()) && !missing.contains(&Law::Order.sentence()));
}

#[test]
fn what_was_removed_and_is_there_is_found_and_what_is_gone_is_not_lost() {
    let removed = |phase: Phase, status: &'static str| {
        with(move |tale| {
            tale.submit(2_000, "n2", "t2");
            tale.call(3_000, Op::Purge, phase, |line| line.task = Some("t2".into()));
            tale.end(40_000, "t2", "n2", status, 0, 300);
        })
    };
    assert_eq!(removed(Phase::Ok, "cancelled"), [Law::Removed]);
    assert_eq!(removed(Phase::Ok, "absent"), []);
    assert_eq!(removed(Phase::Info, "absent"), []);
    assert_eq!(removed(Phase::Info, "cancelled"), []);
    assert_eq!(removed(Phase::Fail, "absent"), [Law::Lost]);
}

/// Three tasks in a queue in which two may run, the third begins to run at `third`.
#[test]
fn more_at_once_than_may_run_are_found() {
    let third_runs = |third: u64| {
        with(move |tale| {
            let queue = Some("q".into());
            let limit = Facts { queue: queue.clone(), max: Some(2), ..Facts::default() };
            tale.fact(1_900, Op::Limit, Phase::Ok, &limit);
            let facts = Facts { queue, bound: Some("limit".into()), ..Facts::default() };
            let mut heard = Vec::new();
            for n in 1..=3_u64 {
                tale.submit_as(2_000 + n, &format!("l{n}"), &format!("t-l{n}"), None, &facts);
                let begins = if n == 3 { third } else { 2_100 + n };
                heard.push((begins, n, "running"));
                heard.push((2_200 + 10 * n, n, "completed"));
                tale.work((begins + 1, 3), &format!("t-l{n}"), &format!("l{n}"), 20 + n);
            }
            heard.sort_unstable();
            for (seq, (t, n, status)) in (4..).zip(heard) {
                tale.heard(t, &format!("t-l{n}"), seq, status);
            }
            for n in 1..=3_u64 {
                tale.closes(&format!("t-l{n}"), &format!("l{n}"), "completed", 20 + n);
            }
        })
    };
    assert_eq!(third_runs(2_215), [], "one had ended");
    assert_eq!(third_runs(2_150), [Law::Running]);
}

/// Where one may run, one runs and then another; before their events comes a snapshot that says of
/// the second that it runs, as of this `rev`.
#[test]
fn what_a_snapshot_tells_early_is_not_taken_for_the_time_before_its_event() {
    let snapshot_of = |rev: u64| {
        with(move |tale| {
            let queue = Some("q".into());
            let limit = Facts { queue: queue.clone(), max: Some(1), ..Facts::default() };
            tale.fact(1_900, Op::Limit, Phase::Ok, &limit);
            let facts = Facts { queue, bound: Some("limit".into()), ..Facts::default() };
            for (task, nonce) in [("t-s1", "s1"), ("t-s2", "s2")] {
                tale.submit_as(2_000, nonce, task, None, &facts);
            }
            tale.event(2_050, "t-s2", 3, rev, "running");
            tale.lines.last_mut().unwrap().op = Op::Snapshot;
            for (begins, seq, (task, nonce)) in
                [(2_100, 4, ("t-s1", "s1")), (2_200, 6, ("t-s2", "s2"))]
            {
                tale.heard(begins, task, seq, "running");
                tale.work((begins + 1, 3), task, nonce, 20 + seq);
                tale.heard(begins + 50, task, seq + 1, "completed");
                tale.closes(task, nonce, "completed", 20 + seq);
            }
        })
    };
    assert_eq!(snapshot_of(10_006), [], "its event comes behind it");
    assert_eq!(snapshot_of(10_003), [Law::Running], "it ran before the first");
}

/// Of two users one task each, in a queue in which one may run: the second begins at `second`.
#[test]
fn more_of_all_users_at_once_than_may_run_are_found() {
    let second_runs = |second: u64| {
        with(move |tale| {
            let queue = Some("q".into());
            let limit =
                Facts { queue: queue.clone(), max: Some(1), over_all: true, ..Facts::default() };
            tale.fact(1_900, Op::Limit, Phase::Ok, &limit);
            let facts = Facts { queue, bound: Some("limit".into()), ..Facts::default() };
            for (n, begins) in [(1, 2_100), (2, second)] {
                let (nonce, task) = (format!("o{n}"), format!("t-o{n}"));
                tale.submit_as(2_000, &nonce, &task, None, &facts);
                for (seq, (t, status)) in
                    (4..).zip([(2_010, "queued"), (begins, "running"), (begins + 300, "completed")])
                {
                    let seq = if n == 1 { seq } else { seq - 3 };
                    tale.heard(t, &task, seq, status);
                    // The second is somebody else's, with eyes of their own.
                    if n == 2 {
                        let line = tale.lines.last_mut().unwrap();
                        (line.proc, line.user) = ("bob's eyes".into(), Some("bob".into()));
                    }
                }
                tale.work((begins + 1, 3), &task, &nonce, 20 + n);
                tale.closes(&task, &nonce, "completed", 20 + n);
            }
        })
    };
    assert_eq!(second_runs(2_400), [], "one had ended");
    assert_eq!(second_runs(2_300), [Law::Total]);
}

#[test]
fn more_starts_in_a_time_than_the_rate_makes_are_found() {
    let starts = |apart_ms: u64| {
        with(move |tale| {
            let queue = Some("q".into());
            let rate = Facts {
                queue: queue.clone(),
                max: Some(1),
                per_ms: Some(1_000),
                burst: Some(1),
                ..Facts::default()
            };
            tale.fact(1_900, Op::Limit, Phase::Ok, &rate);
            let facts = Facts { queue, bound: Some("limit".into()), ..Facts::default() };
            for n in 0..6_u64 {
                let (task, nonce, t) = (format!("t-r{n}"), format!("r{n}"), 2_000 + n * apart_ms);
                tale.submit_as(1_950, &nonce, &task, None, &facts);
                tale.heard(t, &task, 4 + 2 * n, "running");
                tale.work((t + 1, 10), &task, &nonce, 20 + n);
                tale.heard(t + 20, &task, 5 + 2 * n, "completed");
                tale.closes(&task, &nonce, "completed", 20 + n);
            }
        })
    };
    assert_eq!(starts(1_000), []);
    assert_eq!(starts(500), [Law::Rate]);
}

#[test]
fn what_is_handed_out_while_it_is_paused_is_found() {
    let begins = |t: u64| {
        with(move |tale| {
            let said = |t: u64| Facts {
                queue: Some("q".into()),
                at_ms: i64::try_from(t).ok(),
                ..Facts::default()
            };
            tale.fact(2_000, Op::Pause, Phase::Ok, &said(2_001));
            tale.fact(5_000, Op::Resume, Phase::Ok, &said(5_000));
            let facts =
                Facts { queue: Some("q".into()), bound: Some("limit".into()), ..Facts::default() };
            tale.submit_as(1_900, "q1", "t-q1", None, &facts);
            tale.heard(t, "t-q1", 4, "running");
            tale.work((t + 1, 10), "t-q1", "q1", 21);
            tale.heard(t + 50, "t-q1", 5, "completed");
            tale.closes("t-q1", "q1", "completed", 21);
        })
    };
    assert_eq!(begins(1_950), []);
    assert_eq!(begins(5_100), []);
    assert_eq!(begins(3_000), [Law::Paused]);
}

#[test]
fn a_start_at_a_worker_that_lacks_a_label_is_found() {
    let needs = |label: &'static str| {
        with(move |tale| {
            let has = tale.line(900, "worker-1", Op::Labels, Phase::Ok);
            has.facts.labels = vec!["gpu".into()];
            let facts = Facts {
                labels: vec![label.into()],
                bound: Some("label".into()),
                ..Facts::default()
            };
            tale.submit_as(2_000, "g1", "t-g1", None, &facts);
            tale.work((2_010, 10), "t-g1", "g1", 21);
            tale.end(40_000, "t-g1", "g1", "completed", 21, 300);
        })
    };
    assert_eq!(needs("gpu"), []);
    assert_eq!(needs("eu"), [Law::Labels]);
}

#[test]
fn one_of_many_that_is_judged_by_another_is_found() {
    let one = |phase: Phase, is_bad: bool, why: Option<&'static str>| {
        with(move |tale| {
            tale.call(2_000, Op::Submit, phase, |line| {
                line.nonce = Some("m1".into());
                line.facts.is_bad = is_bad;
                line.why = why.map(str::to_owned);
                if phase == Phase::Ok {
                    line.task = Some("t-m1".into());
                }
            });
            if phase == Phase::Ok {
                tale.end(40_000, "t-m1", "m1", "cancelled", 0, 300);
            }
        })
    };
    assert_eq!(one(Phase::Ok, false, None), []);
    assert_eq!(one(Phase::Fail, true, Some("kind_unknown")), []);
    assert_eq!(one(Phase::Ok, true, None), [Law::Items]);
    assert_eq!(one(Phase::Fail, false, Some("kind_unknown")), [Law::Items]);
    assert_eq!(one(Phase::Fail, false, Some("store_unavailable")), []);
}

/// A schedule that comes each second and makes up for all, with tasks for these times.
fn ticks(times: &[i64], removed_at: u64) -> Vec<Law> {
    with(move |tale| {
        let said = |at_ms: u64| Facts {
            schedule: Some("each".into()),
            mode: Some("all".into()),
            per_ms: Some(1_000),
            at_ms: i64::try_from(at_ms).ok(),
            ..Facts::default()
        };
        tale.call(2_000, Op::Schedule, Phase::Ok, |line| {
            (line.nonce, line.facts) = (Some("e".into()), said(2_000));
        });
        tale.fact(removed_at, Op::Unschedule, Phase::Ok, &said(removed_at));
        for (n, tick) in (0_u64..).zip(times) {
            let task = format!("t-e{n}");
            tale.work((31_000, 10), &task, "e", 50 + n);
            tale.end(40_000, &task, "e", "completed", 50 + n, 300);
            let end = tale.lines.last_mut().unwrap();
            (end.facts.schedule, end.facts.tick_ms) = (Some("each".into()), Some(*tick));
        }
    })
}

#[test]
fn a_time_that_made_two_tasks_or_none_is_found() {
    let all: Vec<i64> = (3..=31).map(|n| n * 1_000).collect();
    assert_eq!(ticks(&all, 31_500), []);
    let twice = [&all[..], &all[4..5]].concat();
    assert_eq!(ticks(&twice, 31_500), [Law::Ticks]);
    let hole = [&all[..4], &all[5..]].concat();
    assert_eq!(ticks(&hole, 31_500), [Law::Ticks]);
    assert_eq!(ticks(&all[..5], 31_500), [Law::Ticks], "it went quiet");
    assert_eq!(ticks(&all, 20_000), [Law::Ticks], "it went on after it was removed");
    assert_eq!(ticks(&[3_000, 4_500], 5_000), [Law::Ticks], "a time that is not its own");
}
