//! Histories written by hand: one that keeps every law, and for each law ways to break it alone.

mod features;
mod flows;
mod keys;

use super::*;
use crate::history::{Op, Phase};

/// A history in the making.
struct Tale {
    lines: Vec<Line>,
    calls: u64,
}

impl Tale {
    fn line(&mut self, t: u64, proc: &str, op: Op, phase: Phase) -> &mut Line {
        self.lines.push(Line { t, ..Line::new(proc, op, phase) });
        self.lines.last_mut().unwrap()
    }

    /// A call and its end, a millisecond later.
    fn call(&mut self, t: u64, op: Op, end: Phase, fill: impl Fn(&mut Line)) {
        self.calls += 1;
        for (t, phase) in [(t, Phase::Invoke), (t + 1, end)] {
            let call = self.calls;
            let line = self.line(t, "ana", op, phase);
            (line.call, line.user) = (Some(call), Some("ana".into()));
            fill(line);
            if phase == Phase::Invoke && op == Op::Submit {
                line.task = None;
            }
        }
    }

    fn submit(&mut self, t: u64, nonce: &str, task: &str) {
        self.call(t, Op::Submit, Phase::Ok, |line| {
            line.nonce = Some(nonce.into());
            line.key = Some(format!("key-{nonce}"));
            line.task = Some(task.into());
            line.status = Some("new".into());
        });
    }

    fn event(&mut self, t: u64, task: &str, seq: u64, rev: u64, status: &str) {
        let line = self.line(t, "ana's eyes", Op::Event, Phase::Ok);
        (line.user, line.task) = (Some("ana".into()), Some(task.into()));
        (line.epoch, line.seq, line.rev) = (Some(1), Some(seq), Some(rev));
        line.status = Some(status.into());
    }

    fn attempt(&mut self, t: u64, op: Op, task: &str, nonce: &str, token: u64, attempt: u32) {
        let line = self.line(t, "worker-1", op, Phase::Ok);
        (line.task, line.nonce) = (Some(task.into()), Some(nonce.into()));
        (line.token, line.attempt, line.version) = (Some(token), Some(attempt), Some(0));
    }

    fn end(&mut self, t: u64, task: &str, nonce: &str, status: &str, token: u64, rev: u64) {
        let line = self.line(t, "the end", Op::Final, Phase::Ok);
        (line.user, line.task, line.nonce) =
            (Some("ana".into()), Some(task.into()), Some(nonce.into()));
        (line.status, line.token, line.rev) = (Some(status.into()), Some(token), Some(rev));
        (line.attempt, line.attempts_max, line.version) = (Some(1), Some(3), Some(0));
    }

    fn mark(&mut self, t: u64, name: &str) {
        self.line(t, "run", Op::Mark, Phase::Ok).status = Some(name.into());
    }

    fn progress(&mut self, t: u64, task: &str, token: u64, rev: u64) {
        let line = self.line(t, "ana's eyes", Op::Progress, Phase::Ok);
        (line.task, line.token) = (Some(task.into()), Some(token));
        (line.epoch, line.rev) = (Some(1), Some(rev));
    }

    /// The loss of a server that may have forgotten something.
    fn loss(&mut self, t: u64) {
        let line = self.line(t, "node-1", Op::Fault, Phase::Invoke);
        (line.status, line.forgets) = (Some("kill -9 of a master".into()), true);
    }
}

/// One task, from its submission to its end, and nothing wrong.
fn good() -> Tale {
    let mut tale = Tale { lines: Vec::new(), calls: 0 };
    tale.submit(1_000, "n1", "t1");
    tale.event(1_002, "t1", 1, 100, "queued");
    tale.event(1_010, "t1", 2, 200, "running");
    tale.attempt(1_020, Op::Start, "t1", "n1", 11, 1);
    tale.progress(1_030, "t1", 11, 201);
    tale.attempt(1_050, Op::Commit, "t1", "n1", 11, 1);
    tale.event(1_060, "t1", 3, 202, "completed");
    tale.mark(30_000, "healed");
    tale.mark(31_000, "drained");
    tale.end(40_000, "t1", "n1", "completed", 11, 202);
    tale
}

/// The laws that a history breaks.
fn broken(mut tale: Tale) -> Vec<Law> {
    tale.lines.sort_by_key(|line| line.t);
    let verdict = check(&tale.lines);
    assert_eq!(verdict.rulings.len(), Law::ALL.len());
    verdict.rulings.iter().filter(|ruling| ruling.broken > 0).map(|ruling| ruling.law).collect()
}

/// A second task that runs and ends well, up to the changes of `tell`.
fn with(tell: impl Fn(&mut Tale)) -> Vec<Law> {
    let mut tale = good();
    tell(&mut tale);
    broken(tale)
}

#[test]
fn a_history_in_which_all_went_well_breaks_no_law() {
    let tale = good();
    let verdict = check(&tale.lines);
    assert!(verdict.is_clean(), "{verdict:#?}");
    let figures = verdict.figures;
    assert_eq!((figures.accepted, figures.attempts, figures.completed), (1, 1, 1));
    assert_eq!(figures.drained_after_ms, 1_000);
}

#[test]
fn what_a_history_has_not_met_with_is_known() {
    let mut tale = good();
    let before = unmet(&tale.lines);
    assert!(before.contains(&"an ended task sent back") && !before.contains(&"progress shown"));
    tale.call(2_000, Op::Retry, Phase::Ok, |line| line.task = Some("t1".into()));
    let after = unmet(&tale.lines);
    assert_eq!(after.len() + 1, before.len(), "{after:?}");
}

#[test]
fn an_accepted_task_that_is_nowhere_is_lost() {
    assert_eq!(with(|tale| tale.submit(2_000, "n2", "t2")), [Law::Lost]);
    let absent = with(|tale| {
        tale.submit(2_000, "n2", "t2");
        tale.end(40_000, "t2", "n2", "absent", 0, 0);
        tale.lines.last_mut().unwrap().nonce = None;
    });
    assert_eq!(absent, [Law::Lost]);
}

#[test]
fn one_whose_submission_nobody_answered_may_be_there_or_not() {
    for is_there in [false, true] {
        let laws = with(|tale| {
            tale.call(2_000, Op::Submit, Phase::Info, |line| line.nonce = Some("n2".into()));
            if is_there {
                tale.end(40_000, "t2", "n2", "cancelled", 0, 300);
            }
        });
        assert_eq!(laws, []);
    }
}

#[test]
fn one_that_still_waits_at_the_end_has_not_ended() {
    let laws = with(|tale| {
        tale.submit(2_000, "n2", "t2");
        tale.end(40_000, "t2", "n2", "queued", 0, 300);
    });
    assert_eq!(laws, [Law::Unended]);
}

#[test]
fn one_that_goes_on_16_s_after_all_was_healed_is_late() {
    let at = |t: u64, due: Option<u64>| {
        with(move |tale| {
            tale.submit(2_000, "n2", "t2");
            let count = tale.lines.len();
            tale.lines[count - 2].due = due;
            tale.attempt(t, Op::Start, "t2", "n2", 21, 1);
            tale.attempt(t + 1, Op::Commit, "t2", "n2", 21, 1);
            tale.end(60_000, "t2", "n2", "completed", 21, 300);
        })
    };
    assert_eq!(at(30_000 + 14_000, None), []);
    assert_eq!(at(30_000 + 16_000, None), [Law::Late]);
    assert_eq!(at(30_000 + 16_000, Some(40_000)), [], "its time came later");
}

/// A worker that dies had begun a task, of which its attempt had failed at `failed`, if it had.
#[test]
fn a_task_is_taken_over_from_who_still_had_it() {
    let taken_over = |failed: Option<u64>| {
        let mut tale = good();
        tale.submit(2_000, "n2", "t2");
        tale.event(2_010, "t2", 4, 101, "running");
        tale.attempt(2_020, Op::Start, "t2", "n2", 21, 1);
        if let Some(t) = failed {
            tale.event(t, "t2", 5, 200, "queued");
        }
        tale.line(3_000, "worker-1", Op::Fault, Phase::Ok).status =
            Some("kill -9 of a worker".into());
        tale.attempt(9_000, Op::Start, "t2", "n2", 22, 2);
        tale.lines.sort_by_key(|line| line.t);
        let figures = check(&tale.lines).figures;
        (figures.taken_over, figures.taken_over_max_ms)
    };
    assert_eq!(taken_over(None), (1, 6_000));
    assert_eq!(taken_over(Some(3_500)), (1, 500));
    assert_eq!(taken_over(Some(2_500)), (0, 0), "it waited for its turn when the worker died");
}

#[test]
fn what_nobody_asked_for_and_what_was_refused_must_not_run() {
    let nobody = with(|tale| tale.attempt(2_000, Op::Start, "t2", "n2", 21, 1));
    assert_eq!(nobody, [Law::Unexpected]);
    let refused = |again: bool| {
        with(move |tale| {
            let nonce = |line: &mut Line| line.nonce = Some("n2".into());
            tale.call(2_000, Op::Submit, Phase::Fail, nonce);
            if again {
                tale.call(2_100, Op::Submit, Phase::Info, nonce);
            }
            tale.attempt(2_200, Op::Start, "t2", "n2", 21, 1);
        })
    };
    assert_eq!(refused(false), [Law::Unexpected]);
    assert_eq!(refused(true), [], "a later sending may have been carried out");
}

#[test]
fn a_key_that_became_two_tasks_or_took_two_bodies_is_found() {
    let two_tasks = with(|tale| {
        tale.submit(2_000, "n1", "t2");
        tale.end(40_000, "t2", "n1", "cancelled", 0, 300);
    });
    assert_eq!(two_tasks, [Law::Keys]);
    // The first of a key is removed, the next one is heard: when, and in which place of the stream.
    let removed = |gone: (u64, u64), next: (u64, u64)| {
        with(move |tale| {
            tale.submit(2_000, "n2", "t2");
            tale.call(3_000, Op::Purge, Phase::Ok, |line| line.task = Some("t2".into()));
            tale.event(gone.0, "t2", gone.1, 300, "");
            tale.lines.last_mut().unwrap().status = None;
            tale.event(next.0, "t3", next.1, 100, "queued");
            tale.event(next.0 + 10, "t3", next.1 + 1, 101, "cancelled");
            tale.end(40_000, "t2", "n2", "absent", 0, 300);
            tale.end(40_000, "t3", "n2", "cancelled", 0, 101);
        })
    };
    assert_eq!(removed((3_010, 4), (3_020, 5)), [], "its key was free again");
    assert_eq!(removed((3_040, 6), (3_020, 4)), [Law::Keys], "it was not free yet");
    assert_eq!(removed((3_010, 6), (2_900, 4)), [Law::Keys], "nobody had asked for that yet");
    let ran_twice = with(|tale| tale.attempt(2_000, Op::Start, "t2", "n1", 21, 1));
    assert_eq!(ran_twice, [Law::Keys]);
    let two_bodies = with(|tale| {
        tale.call(2_000, Op::Submit, Phase::Ok, |line| {
            line.nonce = Some("n2".into());
            line.key = Some("key-n1".into());
            line.task = Some("t1".into());
        });
    });
    assert_eq!(two_bodies, [Law::Keys]);
    let found_again = with(|tale| tale.submit(2_000, "n1", "t1"));
    assert_eq!(found_again, []);
}

#[test]
fn a_second_end_in_one_life_is_found_and_one_after_a_redrive_is_right() {
    let again = |sent_back: Option<Phase>, loss: bool| {
        with(move |tale| {
            if let Some(phase) = sent_back {
                tale.call(1_500, Op::Retry, phase, |line| line.task = Some("t1".into()));
            }
            if loss {
                tale.loss(1_300);
            }
            tale.event(2_000, "t1", 4, 300, "queued");
            tale.event(2_010, "t1", 5, 400, "running");
            tale.attempt(2_020, Op::Start, "t1", "n1", 12, 1);
            tale.attempt(2_030, Op::Commit, "t1", "n1", 12, 1);
            tale.event(2_040, "t1", 6, 402, "completed");
            let end = tale.lines.iter_mut().find(|line| line.op == Op::Final).unwrap();
            (end.rev, end.token) = (Some(402), Some(12));
        })
    };
    assert_eq!(again(None, false), [Law::EndsOnce]);
    assert_eq!(again(Some(Phase::Fail), false), [Law::EndsOnce]);
    assert_eq!(again(Some(Phase::Ok), false), []);
    assert_eq!(again(Some(Phase::Info), false), []);
    assert_eq!(again(None, true), [], "the first end was forgotten with its server");
}

#[test]
fn a_redrive_that_is_repeated_because_its_answer_was_lost_does_it_once() {
    let twice = |answered: u64| {
        with(move |tale| {
            tale.call(1_500, Op::Retry, Phase::Ok, |line| line.task = Some("t1".into()));
            tale.lines.last_mut().unwrap().t = answered;
            for (at, seq, rev, token) in [(2_000, 4, 300, 12), (2_100, 7, 400, 13)] {
                tale.event(at, "t1", seq, rev, "queued");
                tale.event(at + 10, "t1", seq + 1, rev + 1, "running");
                tale.attempt(at + 20, Op::Start, "t1", "n1", token, 1);
                tale.attempt(at + 30, Op::Commit, "t1", "n1", token, 1);
                tale.event(at + 40, "t1", seq + 2, rev + 2, "completed");
            }
            let end = tale.lines.iter_mut().find(|line| line.op == Op::Final).unwrap();
            (end.rev, end.token) = (Some(402), Some(13));
        })
    };
    assert_eq!(twice(2_110), [Law::EndsOnce]);
    assert_eq!(twice(1_520), [Law::EndsOnce]);
}

#[test]
fn an_end_progress_or_log_of_a_superseded_attempt_is_found() {
    let second_start = |tale: &mut Tale| tale.attempt(1_040, Op::Start, "t1", "n1", 12, 2);
    assert_eq!(with(second_start), [Law::Stale], "the end is of fence 11");
    let progress = with(|tale| {
        tale.progress(1_031, "t1", 12, 202);
        tale.progress(1_032, "t1", 11, 203);
    });
    assert_eq!(progress, [Law::Stale]);
    let log = |tokens: [u64; 2]| {
        with(move |tale| {
            for (seq, token) in (1..).zip(tokens) {
                let line = tale.line(40_000, "the end", Op::LogLine, Phase::Ok);
                (line.task, line.seq, line.token) = (Some("t1".into()), Some(seq), Some(token));
            }
        })
    };
    assert_eq!(log([10, 11]), []);
    assert_eq!(log([11, 10]), [Law::Stale]);
    let forgotten = with(|tale| {
        second_start(tale);
        tale.loss(1_045);
    });
    assert_eq!(forgotten, [], "the second claim was forgotten with its server");
}

#[test]
fn a_fence_that_two_attempts_have_or_that_falls_is_found() {
    let twice = with(|tale| tale.attempt(1_040, Op::Start, "t1", "n1", 11, 1));
    assert_eq!(twice, [Law::Fences]);
    let falls = with(|tale| tale.attempt(1_015, Op::Start, "t1", "n1", 10, 2));
    assert_eq!(falls, [Law::Fences], "attempt 2 had fence 10, and attempt 1 has 11");
}

#[test]
fn more_attempts_than_the_maximum_are_found() {
    let laws = with(|tale| tale.attempt(1_015, Op::Start, "t1", "n1", 9, 4));
    assert!(laws.contains(&Law::Attempts), "{laws:?}");
}

#[test]
fn a_completion_that_nobody_did_is_found() {
    let mut tale = good();
    tale.lines.retain(|line| line.op != Op::Commit);
    assert_eq!(broken(tale), [Law::Effects]);
    let mut other = good();
    for line in other.lines.iter_mut().filter(|line| line.op == Op::Commit) {
        line.token = Some(10);
    }
    assert_eq!(broken(other), [Law::Effects]);
}

#[test]
fn a_start_before_its_time_is_found_unless_it_was_moved() {
    let delayed = |moved: bool| {
        let mut tale = good();
        for line in tale.lines.iter_mut().filter(|line| line.op == Op::Submit) {
            line.due = Some(5_000);
        }
        if moved {
            tale.call(1_003, Op::Reschedule, Phase::Ok, |line| {
                (line.task, line.due) = (Some("t1".into()), Some(1_003));
            });
        }
        broken(tale)
    };
    assert_eq!(delayed(false), [Law::Early]);
    assert_eq!(delayed(true), []);
}

#[test]
fn a_start_after_an_answered_cancellation_is_found() {
    let cancelled = |status: &'static str, sent_back: bool| {
        with(move |tale| {
            tale.submit(2_000, "n2", "t2");
            tale.call(2_100, Op::Cancel, Phase::Ok, |line| {
                (line.task, line.status) = (Some("t2".into()), Some(status.into()));
            });
            if sent_back {
                tale.call(2_200, Op::Retry, Phase::Info, |line| line.task = Some("t2".into()));
            }
            tale.attempt(2_300, Op::Start, "t2", "n2", 21, 1);
            tale.attempt(2_400, Op::Commit, "t2", "n2", 21, 1);
            tale.end(40_000, "t2", "n2", "completed", 21, 300);
        })
    };
    assert_eq!(cancelled("cancelled", false), [Law::Cancelled]);
    assert_eq!(cancelled("cancelled", true), []);
    assert_eq!(cancelled("cancelling", false), [], "it was running, and may end well");
}

#[test]
fn a_run_with_the_payload_from_before_an_edit_is_found() {
    let edited = |phase: Phase, ran: u32| {
        with(move |tale| {
            tale.submit(2_000, "n2", "t2");
            tale.call(2_100, Op::Edit, phase, |line| {
                (line.task, line.version) = (Some("t2".into()), Some(1));
            });
            tale.attempt(2_300, Op::Start, "t2", "n2", 21, 1);
            tale.lines.last_mut().unwrap().version = Some(ran);
            tale.attempt(2_400, Op::Commit, "t2", "n2", 21, 1);
            tale.end(40_000, "t2", "n2", "completed", 21, 300);
        })
    };
    assert_eq!(edited(Phase::Ok, 1), []);
    assert_eq!(edited(Phase::Ok, 0), [Law::Edited]);
    assert_eq!(edited(Phase::Info, 0), []);
    assert_eq!(edited(Phase::Info, 1), []);
    assert_eq!(edited(Phase::Fail, 1), [Law::Edited], "a refused edit is in no run");
}

#[test]
fn a_hole_in_the_events_and_a_rev_that_does_not_rise_are_found() {
    let hole = with(|tale| tale.event(1_061, "t1", 5, 203, "completed"));
    assert!(hole.contains(&Law::Order), "{hole:?}");
    let reset = with(|tale| {
        tale.line(1_061, "ana's eyes", Op::Reset, Phase::Ok);
        tale.event(1_062, "t2", 9, 203, "queued");
    });
    assert_eq!(reset, [], "what follows a reset is numbered anew");
    let falls = with(|tale| tale.event(1_061, "t1", 4, 150, "completed"));
    assert!(falls.contains(&Law::Order), "{falls:?}");
}

#[test]
fn an_end_that_was_never_heard_is_found() {
    let mut tale = good();
    tale.lines.retain(|line| line.seq != Some(3));
    assert_eq!(broken(tale), [Law::Agreement]);
}

#[test]
fn a_process_that_ends_by_itself_or_in_disorder_is_found() {
    let laws = with(|tale| {
        let line = tale.line(5_000, "server-0", Op::Mark, Phase::Fail);
        (line.status, line.why) = (Some("ended by itself".into()), Some("exit code 1".into()));
    });
    assert_eq!(laws, [Law::Processes]);
}
