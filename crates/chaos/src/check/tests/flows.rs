//! Histories of flows and batches that break one law each.

use super::*;
use crate::history::Facts;

fn of_flow(after: &[&str], after_any: &[&str]) -> Facts {
    let all = |nonces: &[&str]| nonces.iter().map(|nonce| (*nonce).to_owned()).collect();
    let (flow, bound) = (Some("f".into()), Some("flow".into()));
    let (after, after_any) = (all(after), all(after_any));
    Facts { flow, bound, after, after_any, of_call: Some(77), ..Facts::default() }
}

/// Two tasks of a flow, of which the second begins at `second`; what the first came to.
fn flow(second: u64, first_ends: &'static str, ties: (&[&str], &[&str])) -> Vec<Law> {
    let facts = of_flow(ties.0, ties.1);
    with(move |tale| {
        tale.submit_as(2_000, "p1", "t-p1", None, &of_flow(&[], &[]));
        tale.submit_as(2_000, "p2", "t-p2", None, &facts);
        tale.heard(2_002, "t-p1", 4, "queued");
        tale.heard(2_003, "t-p2", 5, "waiting");
        tale.heard(2_010, "t-p1", 6, "running");
        tale.attempt(2_020, Op::Start, "t-p1", "p1", 21, 1);
        if first_ends == "completed" {
            tale.attempt(2_100, Op::Commit, "t-p1", "p1", 21, 1);
        }
        let early = second < 2_110;
        if early {
            tale.heard(second, "t-p2", 7, "running");
        }
        tale.heard(2_110, "t-p1", if early { 8 } else { 7 }, first_ends);
        if !early {
            tale.heard(second, "t-p2", 8, "running");
        }
        tale.work((second + 1, 10), "t-p2", "p2", 22);
        tale.heard(second.max(2_110) + 50, "t-p2", 9, "completed");
        tale.closes("t-p1", "p1", first_ends, 21);
        tale.closes("t-p2", "p2", "completed", 22);
    })
}

#[test]
fn a_part_that_begins_before_what_it_waits_for_is_found() {
    assert_eq!(flow(2_200, "completed", (&["p1"], &[])), []);
    assert_eq!(flow(2_050, "completed", (&["p1"], &[])), [Law::Ties]);
    assert_eq!(flow(2_200, "failed", (&["p1"], &[])), [Law::Ties], "its tie says completed");
    assert_eq!(flow(2_200, "failed", (&[], &["p1"])), [], "its tie says ended");
    assert_eq!(flow(2_050, "failed", (&[], &["p1"])), [Law::Ties]);
}

/// Whether it was found that the part of a flow ended twice more, after one call to send the flow back
/// that was answered at `answered`.
fn ends_again_and_again(answered: u64) -> bool {
    let laws = with(move |tale| {
        tale.submit_as(2_000, "p1", "t-p1", None, &of_flow(&[], &[]));
        tale.call(3_000, Op::Retry, Phase::Ok, |line| line.task = Some("f".into()));
        tale.lines.last_mut().unwrap().t = answered;
        let lives = [(2_010, 4, 300, 21), (3_010, 7, 400, 22), (3_110, 10, 500, 23)];
        for (at, seq, rev, token) in lives {
            tale.event(at, "t-p1", seq, rev, "queued");
            tale.event(at + 10, "t-p1", seq + 1, rev + 1, "running");
            tale.attempt(at + 20, Op::Start, "t-p1", "p1", token, 1);
            tale.event(at + 40, "t-p1", seq + 2, rev + 2, "failed");
        }
        tale.end(40_000, "t-p1", "p1", "failed", 23, 502);
        tale.end(40_000, "f", "", "failed", 0, 300);
    });
    laws.contains(&Law::EndsOnce)
}

#[test]
fn a_flow_that_is_sent_back_by_a_repeated_call_may_be_sent_back_twice() {
    assert!(!ends_again_and_again(3_200));
    assert!(ends_again_and_again(3_020), "by then the call was over");
}

#[test]
fn half_a_flow_is_found() {
    let half = with(|tale| {
        for (nonce, phase) in [("p1", Phase::Info), ("p2", Phase::Info)] {
            tale.call(2_000, Op::Submit, phase, |line| {
                (line.nonce, line.facts) = (Some(nonce.into()), of_flow(&[], &[]));
            });
        }
        tale.end(40_000, "t-p1", "p1", "cancelled", 0, 300);
    });
    assert_eq!(half, [Law::Whole]);
}

/// A flow of one part that ended as `part`, and what the flow says of itself.
fn gathered(part: &'static str, says: &'static str, numbers: [u64; 4], stopped: bool) -> Vec<Law> {
    with(move |tale| {
        tale.submit_as(2_000, "p1", "t-p1", None, &of_flow(&[], &[]));
        if stopped {
            tale.call(2_500, Op::Cancel, Phase::Info, |line| line.task = Some("f".into()));
        }
        if part == "completed" {
            tale.work((2_020, 10), "t-p1", "p1", 21);
        }
        tale.end(40_000, "t-p1", "p1", part, 21, 300);
        let line = tale.line(40_000, "the end", Op::RollUp, Phase::Ok);
        let [total, done, failed, cancelled] = numbers.map(Some);
        let flow = Some("f".into());
        line.facts = Facts { flow, total, done, failed, cancelled, ..Facts::default() };
        tale.end(40_000, "f", "", says, 0, 300);
        let end = tale.lines.last_mut().unwrap();
        (end.nonce, end.facts.kind) = (None, Some("tasktonic.flow".into()));
    })
}

#[test]
fn a_flow_whose_numbers_or_end_are_not_those_of_its_parts_is_found() {
    assert_eq!(gathered("completed", "completed", [1, 1, 0, 0], false), []);
    assert_eq!(gathered("failed", "failed", [1, 0, 1, 0], false), []);
    assert_eq!(gathered("completed", "cancelled", [1, 1, 0, 0], true), [], "it was stopped");
    assert_eq!(gathered("completed", "completed", [2, 1, 0, 0], false), [Law::Gathered]);
    assert_eq!(gathered("failed", "completed", [1, 0, 1, 0], false), [Law::Gathered]);
    assert_eq!(gathered("completed", "cancelled", [1, 1, 0, 0], false), [Law::Gathered]);
}

/// A batch of one part, closed at `sealed`; what follows it begins at `then`.
fn batch(sealed: u64, then: u64) -> Vec<Law> {
    with(move |tale| {
        let flow = Facts { flow: Some("f".into()), ..Facts::default() };
        tale.submit_as(2_000, "then", "f", None, &of_flow(&[], &[]));
        tale.submit_as(2_010, "p1", "t-p1", None, &of_flow(&[], &[]));
        tale.heard(2_012, "f", 4, "waiting");
        tale.heard(2_013, "t-p1", 5, "queued");
        tale.heard(2_020, "t-p1", 6, "running");
        tale.work((2_030, 70), "t-p1", "p1", 21);
        tale.fact(sealed, Op::Seal, Phase::Ok, &flow);
        let early = then < 2_110;
        if early {
            tale.heard(then, "f", 7, "running");
        }
        tale.heard(2_110, "t-p1", if early { 8 } else { 7 }, "completed");
        if !early {
            tale.heard(then, "f", 8, "running");
        }
        tale.work((then + 1, 10), "f", "then", 22);
        tale.heard(then.max(2_110) + 20, "f", 9, "completed");
        tale.closes("t-p1", "p1", "completed", 21);
        tale.closes("f", "then", "completed", 22);
    })
}

#[test]
fn what_follows_a_batch_too_early_is_found() {
    assert_eq!(batch(2_050, 2_200), []);
    assert_eq!(batch(2_300, 2_200), [Law::Callback], "it was not closed");
    assert_eq!(batch(2_015, 2_050), [Law::Callback], "a part ran");
}
