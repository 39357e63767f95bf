//! Scenarios of serial keys: tasks that run one at a time, in order.

use tasktonic_core::TaskId;
use tasktonic_core::command::{
    Again, Control, Expiry, Idempotency, KeyMode, MoveTo, NewSerial, NewTask, Replaced, Report,
};
use tasktonic_core::reply::{Controlled, Submitted};

use super::scene::{Scene, ack, nack, write};
use crate::{Held, Query, QueryReply};

impl Scene {
    /// A task of `user` that runs beside no other of the serial key `key`.
    pub(super) fn serial(&self, user: &str, key: u128) -> NewTask {
        let serial = Some(NewSerial { key, stops_running: false });
        NewTask { serial, ..self.draft(user) }
    }

    /// Submits so many of one serial key, in order.
    async fn submit_serial(&self, user: &str, key: u128, count: usize) -> Vec<TaskId> {
        let mut tasks = Vec::new();
        for _ in 0..count {
            let new = self.serial(user, key);
            tasks.push(new.task);
            assert_eq!(self.submit_as(new).await, Submitted::Accepted);
        }
        tasks
    }

    /// A task that takes the place of those of its key: of one that waits at once, of one that runs
    /// as soon as that has ended.
    pub(super) fn newest(&self, user: &str, stops_running: bool) -> NewTask {
        let replaced = Replaced { body: r#""why":"replaced""#.into(), keep_s: 60 };
        let key = Idempotency::new("k", 1, 86_400_000);
        NewTask {
            idempotency: Some(Idempotency { mode: KeyMode::Replace(replaced), ..key }),
            serial: Some(NewSerial { key: 7, stops_running }),
            ..self.draft(user)
        }
    }
}

impl Scene {
    /// Whose turn it is before a task, and whether that stands in a lane.
    async fn turn_before(&self, user: &str, task: TaskId) -> (Option<TaskId>, bool) {
        let owner: tasktonic_core::UserId = user.parse().unwrap();
        let ask = Query::TurnBefore { user: owner.clone(), task };
        let QueryReply::TurnBefore(turn) = self.read(user, ask).await else { panic!() };
        let ask = Query::Position { user: owner, task };
        let QueryReply::Position(position) = self.read(user, ask).await else { panic!() };
        (turn, position.is_some())
    }
}

fn tasks(held: &[Held]) -> Vec<TaskId> {
    held.iter().map(|held| held.lease.task).collect()
}

/// One of a key is handed out at a time, the oldest first, whatever room there is; other keys, users
/// and tasks without a key are not delayed.
pub async fn tasks_of_one_serial_key_run_one_at_a_time_in_order(scene: Scene) {
    let first = scene.submit_serial("ana", 1, 3).await;
    let other = scene.submit_serial("ana", 2, 1).await;
    let bens = scene.submit_serial("ben", 1, 1).await;
    let plain = scene.submit("ana").await;
    let mut held = scene.claim("w1", 9).await;
    held.sort_by_key(|held| held.lease.task);
    assert_eq!(tasks(&held), [first[0], other[0], bens[0], plain]);
    for next in first {
        assert_eq!(scene.claim("w1", 9).await, Vec::new(), "one at a time");
        assert_eq!(scene.state("ana", next).await, "running");
        let turn = held.iter().position(|held| held.lease.task == next).unwrap();
        assert!(scene.report(&held.remove(turn).lease, ack(9)).await);
        held.extend(scene.claim("w1", 9).await);
    }
    assert_eq!(held.len(), 3, "all of the key are done");
}

/// Attempts, snoozes and lost workers do not let another in between.
pub async fn a_serial_task_keeps_its_turn_until_it_ends(scene: Scene) {
    let line = scene.submit_serial("ana", 1, 2).await;
    for (n, again) in (0..).zip([Again::At(scene.now_ms() + 5_000), Again::Now]) {
        let held = scene.claim_one("w1").await;
        assert_eq!((held.lease.task, n), (line[0], n));
        assert!(scene.report(&held.lease, nack(9, again)).await);
        if n == 0 {
            assert_eq!(scene.claim("w1", 5).await, Vec::new(), "it is still its turn");
            scene.pass(5_100);
        }
    }
    let held = scene.claim_one("w1").await;
    let later =
        Report::Snooze { write: write(9), due_ms: scene.now_ms() + 1_000, attempt: "{}".into() };
    assert!(scene.report(&held.lease, later).await);
    assert_eq!(scene.claim("w1", 5).await, Vec::new());
    scene.pass(1_100);
    assert_eq!(scene.claim_one("w1").await.lease.task, line[0]);
    let adopted = scene.outlive("w2").await;
    assert_eq!(tasks(&adopted), [line[0]]);
    assert_eq!(scene.claim("w1", 5).await, Vec::new());
    let bury = Report::Bury { write: write(1), keep_s: 60 };
    assert!(scene.report(&adopted[0].lease, bury).await);
    assert_eq!(scene.claim_one("w1").await.lease.task, line[1]);
}

/// Who is cancelled, expires or is moved leaves the line; the next one's turn comes, and who is sent
/// back stands at its end.
pub async fn who_leaves_a_line_lets_the_next_one_go(scene: Scene) {
    let mut expiring = scene.serial("ana", 1);
    let first = expiring.task;
    expiring.expires = Some(Expiry { at_ms: scene.now_ms() + 1_000, keep_s: 60 });
    assert_eq!(scene.submit_as(expiring).await, Submitted::Accepted);
    let line = scene.submit_serial("ana", 1, 4).await;
    // One from the middle, then the one whose turn it is.
    assert_eq!(scene.cancel("ana", line[1]).await, Controlled::Done);
    // A turn passes on at the end of a call: the next one finds it.
    scene.pass(1_100);
    scene.sync("w0", Vec::new(), 0, false).await;
    let held = scene.claim_one("w1").await;
    assert_eq!((held.lease.task, &*scene.state("ana", first).await), (line[0], "cancelled"));
    assert!(scene.report(&held.lease, ack(9)).await);
    let to = MoveTo::Due(scene.now_ms() + 5_000);
    assert_eq!(scene.reschedule("ana", line[2], 1, to).await, Controlled::Done);
    assert_eq!(scene.redrive("ana", line[1], 1).await, Controlled::Done);
    for expected in [line[3], line[1]] {
        let held = scene.claim_one("w1").await;
        assert_eq!(held.lease.task, expected);
        assert!(scene.report(&held.lease, ack(9)).await);
    }
    assert_eq!(scene.claim("w1", 5).await, Vec::new());
    scene.pass(5_100);
    scene.sync("w0", Vec::new(), 0, false).await;
    assert_eq!(scene.claim_one("w1").await.lease.task, line[2]);
}

/// A delayed task stands in line from when it is due, and those in line count as waiting.
pub async fn a_delayed_serial_task_stands_in_line_when_it_is_due(scene: Scene) {
    let mut later = scene.serial("ana", 1);
    let delayed = later.task;
    later.due_ms = Some(scene.now_ms() + 5_000);
    assert_eq!(scene.submit_as(later).await, Submitted::Accepted);
    let line = scene.submit_serial("ana", 1, 2).await;
    let refused = NewTask { lane_max: 3, ..scene.serial("ana", 1) };
    assert_eq!(scene.submit_as(refused).await, Submitted::LaneFull);
    let held = scene.claim_one("w1").await;
    scene.pass(5_100);
    assert_eq!(scene.claim("w1", 5).await, Vec::new());
    assert_eq!(scene.state("ana", delayed).await, "queued");
    assert!(scene.report(&held.lease, ack(9)).await);
    let held = scene.claim_one("w1").await;
    assert_eq!(held.lease.task, line[1]);
    assert!(scene.report(&held.lease, ack(9)).await);
    assert_eq!(scene.claim_one("w1").await.lease.task, delayed);
}

/// The newest waits for the one that runs, and is the only one that does.
pub async fn of_a_key_the_newest_runs_next_and_alone(scene: Scene) {
    let first = scene.newest("ana", false);
    assert_eq!(scene.submit_as(first.clone()).await, Submitted::Accepted);
    let held = scene.claim_one("w1").await;
    let mut drafts = Vec::new();
    for _ in 0..5 {
        let new = scene.newest("ana", false);
        assert_eq!(scene.submit_as(new.clone()).await, Submitted::Accepted);
        assert_eq!(scene.claim("w1", 5).await, Vec::new());
        drafts.push(new.task);
    }
    let last = drafts.pop().unwrap();
    for task in drafts {
        assert_eq!(scene.state("ana", task).await, "cancelled");
    }
    assert_eq!(scene.state("ana", first.task).await, "running", "nobody asked it to stop");
    assert!(scene.report(&held.lease, ack(9)).await);
    assert_eq!(scene.claim_one("w1").await.lease.task, last);
}

/// A thousand submissions of one key, many at once: never do two run, each that runs is asked to
/// stop for a newer one, and the last one of all wins.
pub async fn of_a_thousand_that_restart_each_other_one_runs_and_the_last_wins(scene: Scene) {
    let mut running: Option<Held> = None;
    let (mut made, mut ran) = (Vec::new(), 0);
    for _ in 0..20 {
        let drafts: Vec<_> = (0..50).map(|_| scene.newest("ana", true)).collect();
        for (task, answer) in scene.at_once(drafts).await {
            assert_eq!(answer, Submitted::Accepted);
            made.push(task);
        }
        if let Some(held) = running.take() {
            // The holder hears of it with whatever it says next.
            let beat = tasktonic_core::command::Op {
                lease: held.lease.clone(),
                report: Report::Heartbeat,
            };
            let reply = scene.sync("w1", vec![beat], 9, false).await;
            assert_eq!(reply.claimed, Vec::new(), "two of one key at once");
            assert_eq!(reply.cancelled, std::slice::from_ref(&held.lease));
            let stopped = Report::Cancelled { write: write(9), keep_s: 60 };
            assert!(scene.report(&held.lease, stopped).await);
        }
        let mut held = scene.claim("w1", 9).await;
        assert_eq!(held.len(), 1, "one of the key, and no more");
        running = held.pop();
        ran += 1;
    }
    assert_eq!((made.len(), ran), (1_000, 20));
    let last = scene.newest("ana", true);
    assert_eq!(scene.submit_as(last.clone()).await, Submitted::Accepted);
    let held = running.unwrap();
    assert!(scene.report(&held.lease, Report::Cancelled { write: write(9), keep_s: 60 }).await);
    assert_eq!(tasks(&scene.claim("w1", 9).await), [last.task]);
    for task in made {
        assert_eq!(scene.state("ana", task).await, "cancelled");
    }
}

/// Who waits is told whose end that is for, and has no place in a lane; whose turn it is waits for
/// nobody and has one.
pub async fn who_waits_in_a_line_is_told_whose_turn_it_is(scene: Scene) {
    let [first, second, third] = scene.submit_serial("ana", 1, 3).await[..] else { panic!() };
    let plain = scene.submit("ana").await;
    assert_eq!(scene.turn_before("ana", first).await, (None, true));
    assert_eq!(scene.turn_before("ana", second).await, (Some(first), false));
    assert_eq!(scene.turn_before("ana", third).await, (Some(first), false));
    assert_eq!(scene.turn_before("ana", plain).await, (None, true));
    assert_eq!(scene.turn_before("ben", second).await, (None, false));
    let held = scene.claim("w1", 9).await;
    let turn = held.iter().find(|held| held.lease.task == first).expect("its turn");
    assert_eq!(scene.turn_before("ana", first).await, (None, false));
    assert_eq!(scene.turn_before("ana", second).await, (Some(first), false));
    assert!(scene.report(&turn.lease, ack(turn.n + 1)).await);
    assert_eq!(scene.turn_before("ana", second).await, (None, true));
    assert_eq!(scene.turn_before("ana", third).await, (Some(second), false));
}

/// Whoever is erased leaves no line behind, whether its holder runs, waits or is due later; what is
/// submitted under the same keys afterwards stands in no old line.
pub async fn a_line_is_erased_with_its_user(scene: Scene) {
    let running = scene.submit_serial("ana", 1, 3).await;
    let [held] = &scene.claim("w1", 1).await[..] else { panic!() };
    assert_eq!(held.lease.task, running[0]);
    scene.submit_serial("ana", 2, 2).await;
    let due_ms = Some(scene.now_ms() + 1_000);
    scene.submit_as(NewTask { due_ms, ..scene.serial("ana", 3) }).await;
    let [bens, next] = scene.submit_serial("ben", 1, 2).await[..] else { panic!() };
    let erase = Control::Erase { user: "ana".parse().unwrap() };
    assert_eq!(scene.control("ana", erase).await, Controlled::Done);
    assert!(!scene.report(&held.lease, ack(held.n + 1)).await, "its lease is gone");
    scene.pass(2_000);
    assert_eq!(tasks(&scene.claim("w1", 9).await), [bens]);
    assert_eq!(scene.turn_before("ben", next).await, (Some(bens), false));
    let again = scene.submit_serial("ana", 1, 2).await;
    assert_eq!(tasks(&scene.claim("w1", 9).await), [again[0]]);
}
