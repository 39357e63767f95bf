//! Histories that break a law of keys each: what a key means in its mode, and whose turn it is of a
//! serial key.

use super::*;
use crate::history::Facts;

/// Two tasks of one key in a mode. What became of the first before the second was accepted, and
/// after.
fn keyed(mode: &str, before: &[&str], after: &[&str]) -> Vec<Law> {
    let facts = Facts {
        mode: Some(mode.into()),
        bound: Some("key".into()),
        window_ms: (mode == "throttle").then_some(2_000),
        ..Facts::default()
    };
    with(move |tale| {
        tale.submit_as(2_000, "k1", "t-k1", Some("k"), &facts);
        let mut seq = 4;
        for (n, status) in (0..).zip(before) {
            tale.heard(2_010 + n, "t-k1", seq, status);
            seq += 1;
        }
        tale.submit_as(3_000, "k2", "t-k2", Some("k"), &facts);
        tale.heard(3_010, "t-k2", seq, "queued");
        for (n, status) in (0..).zip(after) {
            seq += 1;
            tale.heard(3_020 + n, "t-k1", seq, status);
        }
        tale.heard(3_500, "t-k2", seq + 1, "cancelled");
        let last = before.iter().chain(after).last().copied().unwrap_or("cancelled");
        if last == "completed" {
            tale.work((2_020, 10), "t-k1", "k1", 21);
        }
        tale.closes("t-k1", "k1", last, 21);
        tale.closes("t-k2", "k2", "cancelled", 0);
    })
}

#[test]
fn a_key_that_did_not_mean_what_its_mode_says_is_found() {
    let done = ["queued", "running", "completed"];
    for mode in ["unique", "until_done", "until_started", "replace", "debounce", "latest"] {
        assert_eq!(keyed(mode, &done, &[]), [], "{mode}");
    }
    for mode in ["unique", "until_done"] {
        assert_eq!(keyed(mode, &["queued", "running"], &["completed"]), [Law::Modes], "{mode}");
        assert_eq!(keyed(mode, &["queued"], &["cancelled"]), [Law::Modes], "{mode}");
    }
    assert_eq!(keyed("until_started", &["queued", "running"], &["completed"]), []);
    assert_eq!(keyed("until_started", &["queued"], &["cancelled"]), [Law::Modes]);
    for mode in ["replace", "debounce", "latest", "restart"] {
        assert_eq!(keyed(mode, &["queued"], &["cancelled"]), [], "{mode}: it gave way");
        let ran = keyed(mode, &["queued"], &["running", "completed"]);
        assert_eq!(ran, [Law::Modes], "{mode}: it ran all the same");
        assert_eq!(keyed(mode, &["queued", "running"], &["completed"]), [], "{mode}: it ran");
    }
    assert_eq!(keyed("throttle", &done, &[]), [Law::Modes], "within its window");
}

/// The worker of the first died, and it waits again; the key is of the second, which gives way to the
/// third.
#[test]
fn one_that_has_run_and_waits_again_gives_way_to_nobody() {
    for mode in ["replace", "debounce", "latest"] {
        let third = |gives_way: &'static str, goes_on: &'static str| {
            let facts =
                Facts { mode: Some(mode.into()), bound: Some("key".into()), ..Facts::default() };
            with(move |tale| {
                tale.submit_as(2_000, "k1", "t-k1", Some("k"), &facts);
                for (seq, status) in [(4, "queued"), (5, "running")] {
                    tale.heard(2_010 + seq, "t-k1", seq, status);
                }
                tale.submit_as(2_100, "k2", "t-k2", Some("k"), &facts);
                tale.heard(2_110, "t-k2", 6, "queued");
                tale.heard(2_120, "t-k1", 7, "queued");
                tale.submit_as(2_200, "k3", "t-k3", Some("k"), &facts);
                tale.heard(2_210, "t-k3", 8, "queued");
                tale.heard(2_220, gives_way, 9, "cancelled");
                tale.heard(2_230, goes_on, 10, "running");
                tale.heard(2_240, "t-k3", 11, "cancelled");
                tale.heard(2_250, goes_on, 12, "cancelled");
                for (task, nonce) in [("t-k1", "k1"), ("t-k2", "k2"), ("t-k3", "k3")] {
                    tale.closes(task, nonce, "cancelled", 0);
                }
            })
        };
        assert_eq!(third("t-k2", "t-k1"), [], "{mode}");
        assert_eq!(third("t-k1", "t-k2"), [Law::Modes], "{mode}: the wrong one");
    }
}

/// The worker of the first died, and it waits again; the key is of the second, and with it free.
#[test]
fn one_that_has_run_and_waits_again_does_not_stand_for_the_key_that_another_took() {
    let third = |second: &'static [&'static str]| {
        let facts = Facts {
            mode: Some("until_started".into()),
            bound: Some("key".into()),
            ..Facts::default()
        };
        with(move |tale| {
            tale.submit_as(2_000, "k1", "t-k1", Some("k"), &facts);
            tale.heard(2_010, "t-k1", 4, "queued");
            tale.heard(2_020, "t-k1", 5, "running");
            tale.submit_as(2_100, "k2", "t-k2", Some("k"), &facts);
            let mut seq = 6;
            for status in second {
                tale.heard(2_110 + seq, "t-k2", seq, status);
                seq += 1;
            }
            tale.heard(2_150, "t-k1", seq, "queued");
            tale.submit_as(2_200, "k3", "t-k3", Some("k"), &facts);
            tale.heard(2_210, "t-k3", seq + 1, "queued");
            for (after, task) in [(2, "t-k1"), (3, "t-k2"), (4, "t-k3")] {
                tale.heard(2_300 + after, task, seq + after, "cancelled");
            }
            for (task, nonce) in [("t-k1", "k1"), ("t-k2", "k2"), ("t-k3", "k3")] {
                tale.closes(task, nonce, "cancelled", 0);
            }
        })
    };
    assert_eq!(third(&["queued", "running"]), []);
    assert_eq!(third(&["queued"]), [Law::Modes], "the one that has the key waits");
}

/// The server of the second was frozen when it had stamped it: its answer comes late, and so does
/// what is heard of it.
#[test]
fn a_task_is_in_the_window_in_which_it_was_taken_and_not_in_that_of_its_stamp() {
    let second = |taken_at: u64| {
        let facts = Facts {
            mode: Some("throttle".into()),
            bound: Some("key".into()),
            window_ms: Some(1_000),
            ..Facts::default()
        };
        with(move |tale| {
            tale.submit_as(2_000, "k1", "t-k1", Some("k"), &facts);
            tale.heard(2_010, "t-k1", 4, "queued");
            tale.submit_as(2_300, "k2", "t-k2", Some("k"), &facts);
            let answer = tale.lines.last_mut().unwrap();
            answer.t = taken_at + 20;
            tale.heard(taken_at + 10, "t-k2", 5, "queued");
            tale.lines.last_mut().unwrap().facts.at_ms = Some(2_300);
            tale.heard(4_600, "t-k2", 6, "cancelled");
            tale.heard(4_610, "t-k1", 7, "cancelled");
            tale.closes("t-k1", "k1", "cancelled", 0);
            tale.closes("t-k2", "k2", "cancelled", 0);
        })
    };
    assert_eq!(second(2_310), [Law::Modes]);
    assert_eq!(second(4_300), []);
}

/// Two tasks of a serial key, and what is heard of them: (which, what).
fn line(heard: &[(u8, &str)]) -> Vec<Law> {
    let facts = Facts { serial: Some("s".into()), bound: Some("key".into()), ..Facts::default() };
    with(move |tale| {
        for n in 1..=2_u64 {
            tale.submit_as(2_000 + n, &format!("s{n}"), &format!("t-s{n}"), None, &facts);
        }
        for (seq, (which, status)) in (4..).zip(heard) {
            tale.heard(2_010 + seq, &format!("t-s{which}"), seq, status);
        }
        for n in 1..=2_u64 {
            tale.work((2_050, 10), &format!("t-s{n}"), &format!("s{n}"), 20 + n);
            tale.closes(&format!("t-s{n}"), &format!("s{n}"), "completed", 20 + n);
        }
    })
}

#[test]
fn two_of_a_serial_key_at_once_or_out_of_order_are_found() {
    let (a, b) = (1, 2);
    let (queued, running, done) = ("queued", "running", "completed");
    let good = [(a, queued), (b, queued), (a, running), (a, done), (b, running), (b, done)];
    assert_eq!(line(&good), []);
    let again = [
        (a, queued),
        (a, running),
        (a, "retrying"),
        (b, queued),
        (a, queued),
        (a, running),
        (a, done),
        (b, running),
        (b, done),
    ];
    assert_eq!(line(&again), [], "it had its turn, and kept it");
    let beside = [(a, queued), (b, queued), (a, running), (b, running), (a, done), (b, done)];
    assert_eq!(line(&beside), [Law::Serial]);
    let between = [
        (a, queued),
        (b, queued),
        (a, running),
        (a, "retrying"),
        (b, running),
        (b, done),
        (a, running),
        (a, done),
    ];
    assert_eq!(line(&between), [Law::Serial], "it was the other's turn");
    let turned = [(a, queued), (b, queued), (b, running), (b, done), (a, running), (a, done)];
    assert_eq!(line(&turned), [Law::Serial], "out of order");
}
