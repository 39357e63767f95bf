//! Scenarios of many who do something about the same tasks at the same time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tasktonic_core::command::{Again, Claim, Control, Edit, NewTask, Op, Report, Submit, Sync};
use tasktonic_core::limits::{CLAIM_MAX, SUBMIT_TASKS_MAX};
use tasktonic_core::reply::{Controlled, Submitted};
use tasktonic_core::routing::partition_of;
use tasktonic_core::settings::QueueSettings;
use tasktonic_core::{TaskId, TaskState, Text, UserId};
use tokio::task::JoinSet;

use super::scene::{MAIL, Scene, ack, nack, write};
use crate::{Held, Query, QueryReply, SyncReply};

/// Tasks of one round, as many as one claim takes.
const ROUND: usize = 100;
const _: () = assert!(ROUND <= SUBMIT_TASKS_MAX && ROUND <= CLAIM_MAX as usize);
/// Rounds of tasks whose cancellation and end race.
const END_ROUNDS: usize = 100;
/// Rounds of tasks whose cancellation and start race.
const START_ROUNDS: usize = 20;
/// Tasks that are edited while they are claimed, how often each, and how many in one call.
const EDITED: usize = 2_000;
const EDITS: u32 = 5;
const EDITS_A_CALL: usize = 50;
/// Submissions at once.
const SUBMITS: usize = 1_000;

const ANA: &str = "ana";

fn ana() -> UserId {
    ANA.parse().unwrap()
}

impl Scene {
    /// Submits so many tasks of `ana`.
    async fn submit_many(&self, count: usize) -> Vec<TaskId> {
        self.submit_all((0..count).map(|_| self.draft(ANA)).collect()).await
    }

    /// Submits all of these tasks of `ana`, however many they are.
    async fn submit_all(&self, drafts: Vec<NewTask>) -> Vec<TaskId> {
        let ids = drafts.iter().map(|draft| draft.task).collect();
        for some in drafts.chunks(SUBMIT_TASKS_MAX) {
            let unbounded = |draft: &NewTask| NewTask { lane_max: u32::MAX, ..draft.clone() };
            let tasks = some.iter().map(unbounded).collect();
            let batch = Submit { created_ms: self.now_ms(), tasks };
            let p = partition_of(&ana(), self.store.partitions());
            let answers = self.store.submit(p, batch).await.unwrap();
            assert!(answers.iter().all(|answer| *answer == Submitted::Accepted));
        }
        ids
    }

    /// A call of a worker about tasks of `ana`, for a task of its own to make.
    fn calls(&self, ops: Vec<Op>, limit: u32) -> impl Future<Output = SyncReply> + Send + 'static {
        let (store, call) = (Arc::clone(&self.store), self.number());
        async move {
            let claim = Claim::new(vec![MAIL.parse().unwrap()], limit);
            let request = Sync {
                worker: "w1".parse().unwrap(),
                call,
                lease_ms: 3_600_000,
                ops,
                claim: (limit > 0).then_some(claim),
                woken: Vec::new(),
                park: false,
            };
            let p = partition_of(&ana(), store.partitions());
            // A store in this process answers at once: the others get their turn all the same.
            tokio::task::yield_now().await;
            store.sync(p, request).await.unwrap()
        }
    }

    /// A cancellation of one task of `ana`, for a task of its own to make.
    fn cancels(&self, task: TaskId) -> impl Future<Output = (TaskId, Controlled)> + Send + 'static {
        let (store, at_ms) = (Arc::clone(&self.store), self.now_ms());
        async move {
            let body = Text::from(r#""why":"cancelled by user""#);
            let tasks = vec![task];
            let control = Control::Cancel { at_ms, user: ana(), tasks, body, keep_s: 60 };
            let p = partition_of(&ana(), store.partitions());
            tokio::task::yield_now().await;
            (task, store.control(p, control).await.unwrap()[0])
        }
    }

    /// The number of the newest event of `ana`, and the epoch.
    async fn head(&self) -> (u32, u64) {
        let QueryReply::Events(head) = self.read(ANA, Query::EventsHead { user: ana() }).await
        else {
            panic!()
        };
        (head.epoch, head.seq)
    }

    /// What was logged of `ana` since then: task and status, in order.
    async fn told_since(&self, (epoch, seq): (u32, u64)) -> Vec<(String, String)> {
        let query = Query::EventsSince { user: ana(), epoch, seq };
        let QueryReply::Events(events) = self.read(ANA, query).await else { panic!() };
        assert!(!events.reset, "more was logged than is kept");
        let mut told = Vec::new();
        for (_, entry) in events.entries {
            let of_entry: serde_json::Value = serde_json::from_str(&entry).unwrap();
            for event in of_entry.as_array().into_iter().flatten() {
                let member = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
                told.push((member("t"), member("s")));
            }
        }
        told
    }
}

/// The ends that a holder may send while its task is being cancelled, and the states they may lead to.
fn ends(held: &Held, number: usize) -> (Report, &'static [&'static str]) {
    let n = held.n + 1;
    match number % 3 {
        0 => (ack(n), &["completed"]),
        1 => (nack(n, Again::Now), &["cancelled"]),
        _ => (Report::Bury { write: write(n), keep_s: 60 }, &["dead", "cancelled"]),
    }
}

/// A cancellation and the end of an attempt, ten thousand times at once: each task has one end, which
/// is told once, and who came too late is told which.
pub async fn ten_thousand_cancellations_race_ends_to_one_end_each(scene: Scene) {
    let mut late = 0;
    for _ in 0..END_ROUNDS {
        scene.submit_many(ROUND).await;
        let before = scene.head().await;
        let held = scene.calls(Vec::new(), CLAIM_MAX).await.claimed;
        assert_eq!(held.len(), ROUND);
        let (mut cancels, mut calls) = (JoinSet::new(), JoinSet::new());
        for (number, held) in held.iter().enumerate() {
            let (report, _) = ends(held, number);
            let end = scene.calls(vec![Op { lease: held.lease.clone(), report }], 0);
            let cancel = scene.cancels(held.lease.task);
            // Neither is always the first to be sent.
            if number % 2 == 0 {
                calls.spawn(end);
                cancels.spawn(cancel);
            } else {
                cancels.spawn(cancel);
                calls.spawn(end);
            }
        }
        let answers: BTreeMap<_, _> = cancels.join_all().await.into_iter().collect();
        for reply in calls.join_all().await {
            assert_eq!(reply.refused, Vec::<u32>::new(), "its lease was its own");
        }
        let mut ended = BTreeMap::<String, u32>::new();
        for (task, status) in scene.told_since(before).await {
            if TaskState::from_name(&status).is_some_and(TaskState::is_terminal) {
                *ended.entry(task).or_default() += 1;
            }
        }
        for (number, held) in held.iter().enumerate() {
            let task = held.lease.task;
            let (_, states) = ends(held, number);
            let state = scene.state(ANA, task).await;
            let answer = answers[&task];
            assert!(states.contains(&&*state), "{task} is {state}, {answer:?}");
            match answer {
                Controlled::Done => assert_eq!(state, "cancelled"),
                Controlled::Asked => {}
                Controlled::Unfit(is) => {
                    assert_eq!(is.name(), state, "who is too late is told the end");
                    late += 1;
                }
                other => panic!("{task}: {other:?}"),
            }
            assert_eq!(ended.get(&task.to_string()), Some(&1), "the ends of {task} that were told");
        }
        // Whatever its holder says now is of a lease that is gone.
        let again = |held: &Held| Op { lease: held.lease.clone(), report: ack(held.n + 9) };
        let reply = scene.calls(held.iter().map(again).collect(), 0).await;
        assert_eq!(reply.refused.len(), ROUND);
    }
    assert!(late > 0, "no end was before a cancellation: they did not race");
    let counts = scene.assert_counted(ANA, "after all races").await;
    assert_eq!(counts.all() as usize, END_ROUNDS * ROUND);
}

/// A cancellation and a claim at once: either nobody gets the task, or its holder is asked.
pub async fn cancellations_that_race_claims_stop_a_task_or_ask_its_holder(scene: Scene) {
    for _ in 0..START_ROUNDS {
        let tasks = scene.submit_many(ROUND).await;
        let (mut cancels, mut calls) = (JoinSet::new(), JoinSet::new());
        for (number, task) in tasks.iter().enumerate() {
            // From both ends of the line, so that they meet.
            let task = if number % 2 == 0 { *task } else { tasks[ROUND - number] };
            cancels.spawn(scene.cancels(task));
            if number % 10 == 0 {
                calls.spawn(scene.calls(Vec::new(), 5));
            }
        }
        let answers = cancels.join_all().await;
        let claimed = calls.join_all().await.into_iter().flat_map(|reply| reply.claimed);
        let claimed: Vec<Held> = claimed.collect();
        let ran: BTreeSet<_> = claimed.iter().map(|held| held.lease.task).collect();
        assert_eq!(ran.len(), claimed.len(), "a task was handed out twice");
        for (task, answer) in &answers {
            let expected = if ran.contains(task) { "running" } else { "cancelled" };
            assert_eq!(scene.state(ANA, *task).await, expected, "{task}: {answer:?}");
            let fits = match answer {
                Controlled::Done => !ran.contains(task),
                Controlled::Asked => ran.contains(task),
                _ => false,
            };
            assert!(fits, "{task}: {answer:?}");
        }
        let stopped = |held: &Held| Op {
            lease: held.lease.clone(),
            report: Report::Cancelled { write: write(held.n + 1), keep_s: 60 },
        };
        let ops: Vec<_> = claimed.iter().map(stopped).collect();
        assert_eq!(scene.calls(ops, 0).await.refused, Vec::<u32>::new());
        // What a claim had passed by.
        while scene.calls(Vec::new(), CLAIM_MAX).await.more > 0 {}
    }
    let counts = scene.assert_counted(ANA, "after all races").await;
    assert_eq!(counts.of(TaskState::Cancelled), counts.all());
}

/// Ten thousand edits beside claims: a run sees the last edit that was accepted, and all of it.
pub async fn ten_thousand_edits_race_claims_and_are_seen_or_refused(scene: Scene) {
    let text = |round: u32| -> Text {
        let payload = format!(r#"{{"round":{round}}}"#);
        format!(r#"{{"v":1,"k":"mail","q":"mail","at":1,"max":3,"p":{payload}}}"#).into()
    };
    let draft = |_| NewTask { descriptor: text(0), ..scene.draft(ANA) };
    let tasks = scene.submit_all((0..EDITED).map(draft).collect()).await;
    let p = partition_of(&ana(), scene.store.partitions());
    let editing = async {
        let (mut accepted, mut refused) = (BTreeMap::new(), 0);
        for round in 1..=EDITS {
            for some in tasks.chunks(EDITS_A_CALL) {
                let edit = |task: &TaskId| Edit {
                    bytes_max: u64::MAX,
                    task: *task,
                    claim: 1,
                    n: round - 1,
                    descriptor: text(round),
                    event: Text::default(),
                };
                let edits = some.iter().map(edit).collect();
                let control = Control::Edit { at_ms: scene.now_ms(), user: ana(), tasks: edits };
                let answers = scene.store.control(p, control).await.unwrap();
                for (task, answer) in some.iter().zip(answers) {
                    match answer {
                        Controlled::Done => drop(accepted.insert(*task, round)),
                        Controlled::Unfit(_) => refused += 1,
                        other => panic!("{task}: {other:?}"),
                    }
                }
                tokio::task::yield_now().await;
            }
        }
        (accepted, refused)
    };
    let claiming = async {
        let mut taken = BTreeMap::new();
        while taken.len() < EDITED {
            for held in scene.calls(Vec::new(), 10).await.claimed {
                let before = taken.insert(held.lease.task, held.descriptor);
                assert!(before.is_none(), "handed out twice");
            }
        }
        taken
    };
    let ((accepted, refused), taken) = tokio::join!(editing, claiming);
    for (task, descriptor) in taken {
        let last = accepted.get(&task).copied().unwrap_or(0);
        assert_eq!(descriptor, text(last), "{task} ran another edit than its last");
    }
    assert!(!accepted.is_empty() && refused > 0, "they did not race");
    scene.assert_counted(ANA, "after all races").await;
}

/// However many submit at once, no more wait than may.
pub async fn a_thousand_submits_at_once_never_pass_the_limit_of_what_waits(scene: Scene) {
    let fit = 137;
    let limit = QueueSettings { waiting_max: Some(fit), ..QueueSettings::default() };
    scene.set_queue(1, limit).await;
    let answers = scene.at_once((0..SUBMITS).map(|_| scene.draft(ANA)).collect()).await;
    let count = |of: Submitted| answers.iter().filter(|(_, one)| *one == of).count();
    assert_eq!(count(Submitted::Accepted), fit as usize);
    assert_eq!(count(Submitted::LaneFull), SUBMITS - fit as usize);
    let counts = scene.assert_counted(ANA, "after all at once").await;
    assert_eq!(counts.all(), u64::from(fit), "nothing is kept of who was refused");
    // As many as begin to run may wait anew.
    assert_eq!(scene.claim("w1", 7).await.len(), 7);
    let answers = scene.at_once((0..SUBMITS).map(|_| scene.draft(ANA)).collect()).await;
    let accepted = answers.iter().filter(|(_, one)| *one == Submitted::Accepted);
    assert_eq!(accepted.count(), 7);
}

/// While one of a key runs, a thousand come at once: by each policy at most one runs, and by those
/// that let the newest win, the one that came last waits.
pub async fn of_a_thousand_of_a_running_key_the_policy_says_who_waits(scene: Scene) {
    for stops_running in [false, true] {
        let first = scene.newest(ANA, stops_running);
        assert_eq!(scene.submit_as(first.clone()).await, Submitted::Accepted);
        let held = scene.claim_one("w1").await;
        assert_eq!(held.lease.task, first.task);
        // The log keeps the newest of so many; what was before it does not matter here.
        let drafts = (0..SUBMITS).map(|_| scene.newest(ANA, stops_running)).collect();
        let answers = scene.at_once(drafts).await;
        assert!(answers.iter().all(|(_, answer)| *answer == Submitted::Accepted));
        assert_eq!(scene.claim("w1", 9).await, Vec::new(), "two of one key at once");
        let stored = scene.task(ANA, first.task).await.unwrap();
        assert_eq!(stored.cancel_asked, stops_running);
        let (epoch, seq) = scene.head().await;
        let told = scene.told_since((epoch, seq - 5)).await;
        let last = told.iter().rfind(|(_, status)| status == "queued").expect("it was told");
        let mut left = Vec::new();
        for (task, _) in &answers {
            if scene.state(ANA, *task).await != "cancelled" {
                left.push(task.to_string());
            }
        }
        assert_eq!(left, [last.0.as_str()], "the last one waits, and no other");
        let end = if stops_running {
            Report::Cancelled { write: write(held.n + 1), keep_s: 60 }
        } else {
            ack(held.n + 1)
        };
        assert!(scene.report(&held.lease, end).await);
        let next = scene.claim_one("w1").await;
        assert_eq!(next.lease.task.to_string(), last.0);
        assert!(scene.report(&next.lease, ack(next.n + 1)).await);
    }
}

/// While one of a serial key runs, a thousand more come at once: they run one at a time.
pub async fn of_a_thousand_of_one_serial_key_one_runs(scene: Scene) {
    let drafts = (0..SUBMITS).map(|_| scene.serial(ANA, 1)).collect();
    let first = scene.serial(ANA, 1);
    assert_eq!(scene.submit_as(first.clone()).await, Submitted::Accepted);
    let mut held = scene.claim_one("w1").await;
    assert_eq!(held.lease.task, first.task);
    let answers = scene.at_once(drafts).await;
    assert!(answers.iter().all(|(_, answer)| *answer == Submitted::Accepted));
    for _ in 0..20 {
        assert_eq!(scene.claim("w1", 9).await, Vec::new(), "two of one key at once");
        assert!(scene.report(&held.lease, ack(held.n + 1)).await);
        let mut next = scene.claim("w1", 9).await;
        assert_eq!(next.len(), 1, "one of the key, and no more");
        held = next.remove(0);
    }
    let counts = scene.assert_counted(ANA, "while one runs").await;
    assert_eq!(counts.of(TaskState::Running), 1);
    assert_eq!(counts.of(TaskState::Completed), 20);
}
