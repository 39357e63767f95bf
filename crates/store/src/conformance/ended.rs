//! Scenarios of tasks that have ended: sent back with another payload, removed by hand.

use tasktonic_core::command::{Control, Idempotency, Purge, Redrive, Report, Rewrite};
use tasktonic_core::reply::{Controlled, Submitted};
use tasktonic_core::routing::partition_of;
use tasktonic_core::{TaskId, TaskState, Text, UserId};

use super::scene::{Scene, ack, write};
use crate::{Query, QueryReply};

impl Scene {
    /// Removes one task; `claim` is the number seen.
    async fn purge(&self, user: &str, task: TaskId, claim: u32, key: Option<&str>) -> Controlled {
        let tasks = vec![Purge { task, claim, key: key.map(Text::from) }];
        let user_id = user.parse().unwrap();
        self.control(user, Control::Purge { at_ms: self.now_ms(), user: user_id, tasks }).await
    }
}

/// Nothing of a removed task stays: no record, no history, no log, no place in lists and counts; and
/// what referred to it finds nothing.
pub async fn a_purged_task_is_gone_with_all_that_was_kept_of_it(scene: Scene) {
    let task = scene.submit("ana").await;
    assert_eq!(scene.purge("ana", task, 1, None).await, Controlled::Unfit(TaskState::Queued));
    let held = scene.claim_one("w1").await;
    assert_eq!(scene.purge("ana", task, 1, None).await, Controlled::Unfit(TaskState::Running));
    let lines = vec![Text::from(r#"{"at":1,"l":"info","x":"hello"}"#)];
    assert!(scene.report(&held.lease, Report::Log { lines }).await);
    assert!(scene.report(&held.lease, Report::Bury { write: write(2), keep_s: 60 }).await);
    assert_eq!(scene.redrive("ana", task, 1).await, Controlled::Done);
    let held = scene.claim_one("w1").await;
    assert!(scene.report(&held.lease, ack(held.n + 1)).await);
    assert_eq!(scene.purge("ana", task, 1, None).await, Controlled::Changed);
    assert_eq!(scene.purge("ben", task, 2, None).await, Controlled::Absent);
    assert_eq!(scene.purge("ana", task, 2, None).await, Controlled::Done);
    assert_eq!(scene.purge("ana", task, 2, None).await, Controlled::Absent);
    assert!(scene.task("ana", task).await.is_none());
    let user: UserId = "ana".parse().unwrap();
    let read = |query| scene.read("ana", query);
    let QueryReply::Attempts(rows) = read(Query::Attempts { user: user.clone(), task }).await
    else {
        panic!()
    };
    assert_eq!(rows, Vec::new());
    let logs = Query::Logs { user: user.clone(), task, after: 0, limit: 9 };
    let QueryReply::Logs(logs) = read(logs).await else { panic!() };
    assert_eq!(logs.lines, Vec::new());
    let QueryReply::Counts(counts) = read(Query::Counts { user: user.clone() }).await else {
        panic!()
    };
    assert_eq!(counts.all(), 0);
    let QueryReply::Exist(known) = read(Query::Exist { tasks: vec![(user, task)] }).await else {
        panic!()
    };
    assert_eq!(known, [false]);
    // Its place in the list of what is to be swept is a dead reference.
    scene.pass(700_000);
    scene.sync("w1", Vec::new(), 0, false).await;
    assert_eq!(scene.claim("w1", 5).await, Vec::new());
}

/// One that was cancelled while it waited has left an entry in its lane; removed, it is not taken
/// for a task that nobody has touched.
pub async fn a_purged_task_is_not_claimed_from_the_entry_it_left(scene: Scene) {
    let task = scene.submit("ana").await;
    let next = scene.submit("ana").await;
    assert_eq!(scene.cancel("ana", task).await, Controlled::Done);
    assert_eq!(scene.purge("ana", task, 1, None).await, Controlled::Done);
    assert_eq!(scene.claim_one("w1").await.lease.task, next);
    assert_eq!(scene.claim("w1", 5).await, Vec::new());
    assert_eq!(scene.state("ana", task).await, "");
}

/// The key of a removed task may be used again; that of another stays.
pub async fn the_key_of_a_purged_task_is_free_again(scene: Scene) {
    let keyed = |key: &str| {
        let mut new = scene.draft("ana");
        new.idempotency = Some(Idempotency::new(key, 7, 60_000));
        new
    };
    let (first, other) = (keyed("one"), keyed("other"));
    let (task, kept) = (first.task, other.task);
    assert_eq!(scene.submit_as(first).await, Submitted::Accepted);
    assert_eq!(scene.submit_as(other).await, Submitted::Accepted);
    assert_eq!(scene.cancel("ana", task).await, Controlled::Done);
    assert_eq!(scene.cancel("ana", kept).await, Controlled::Done);
    assert_eq!(scene.submit_as(keyed("one")).await, Submitted::Existing(task));
    // It names a key that is not its own: that one stays.
    assert_eq!(scene.purge("ana", kept, 1, Some("one")).await, Controlled::Done);
    assert_eq!(scene.submit_as(keyed("one")).await, Submitted::Existing(task));
    assert_eq!(scene.purge("ana", task, 1, Some("one")).await, Controlled::Done);
    assert_eq!(scene.submit_as(keyed("one")).await, Submitted::Accepted);
}

/// A dead letter whose payload was wrong begins its new life with another, and keeps its history.
pub async fn a_dead_letter_is_sent_back_with_another_payload(scene: Scene) {
    let task = scene.submit("ana").await;
    let held = scene.claim_one("w1").await;
    assert!(scene.report(&held.lease, Report::Bury { write: write(2), keep_s: 600 }).await);
    let text = r#"{"v":1,"k":"mail","q":"mail","at":1,"max":2,"p":{"mended":true}}"#;
    let asked = |claim| {
        let event = Text::from(r#""ed":["new"]"#);
        let change = Some(Rewrite { descriptor: text.into(), bytes_max: u64::MAX, event });
        let attempt = Some(Text::from(r#"{"a":1}"#));
        let tasks = vec![Redrive { change, ..Redrive::new(task, claim, attempt) }];
        Control::Redrive { at_ms: scene.now_ms(), user: "ana".parse().unwrap(), tasks }
    };
    assert_eq!(scene.control("ana", asked(7)).await, Controlled::Changed);
    let stored = scene.task("ana", task).await.unwrap();
    assert_ne!(&*stored.descriptor, text, "what is refused changes nothing");
    assert_eq!(scene.control("ana", asked(1)).await, Controlled::Done);
    let again = scene.claim_one("w1").await;
    assert_eq!((&*again.descriptor, again.lease.attempt, again.lease.claim), (text, 1, 2));
    let query = Query::Attempts { user: held.lease.user, task };
    let QueryReply::Attempts(rows) = scene.read("ana", query).await else { panic!() };
    assert_eq!(rows.len(), 1, "the history of the first life is kept");
}

/// A list has a page for each queue.
pub async fn a_list_is_restricted_to_a_queue(scene: Scene) {
    let task = scene.submit("ana").await;
    let mut other = scene.draft("ana");
    other.queue = "media".parse().unwrap();
    other.descriptor = r#"{"v":1,"k":"mail","q":"media","at":1,"max":2,"p":{}}"#.into();
    let elsewhere = other.task;
    assert_eq!(scene.submit_as(other).await, Submitted::Accepted);
    let user: UserId = "ana".parse().unwrap();
    for (queue, expected) in [("mail", vec![task]), ("media", vec![elsewhere]), ("x", vec![])] {
        let filter = crate::TaskFilter { queue: Some(queue.into()), ..Default::default() };
        let query = Query::List { user: user.clone(), filter, cursor: None, limit: 9 };
        let p = partition_of(&user, scene.store.partitions());
        let QueryReply::List(page) = scene.store.read(p, query).await.unwrap() else { panic!() };
        let ids: Vec<_> = page.tasks.into_iter().map(|task| task.id).collect();
        assert_eq!(ids, expected, "{queue}");
    }
}
