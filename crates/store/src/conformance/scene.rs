//! Short words for the scenarios.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use tasktonic_core::command::{
    Again, Claim, Control, Edit, MoveTo, NewTask, Op, Redrive, Report, Reschedule, Submit, Sync,
    Write,
};
use tasktonic_core::reply::{Controlled, Submitted};
use tasktonic_core::routing::{PartitionId, partition_of};
use tasktonic_core::{Lease, TaskId, Text, UserId};

use crate::clock::ManualClock;
use crate::{Held, Query, QueryReply, Store, StoredTask, SyncReply};

/// A store, the hand of its clock, and a cast of users and workers.
pub struct Scene {
    /// The store under test.
    pub store: Arc<dyn Store>,
    hand: ManualClock,
    now_ms: AtomicI64,
    next: AtomicU64,
}

/// The queue of most scenarios.
pub(super) const MAIL: &str = "mail";

impl Scene {
    /// A scene on `store`, whose clock `hand` moves.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, hand: ManualClock) -> Self {
        Self::at(1_700_000_000_000, store, hand)
    }

    /// One that begins at another time, which the clock shows.
    #[must_use]
    pub fn at(now_ms: i64, store: Arc<dyn Store>, hand: ManualClock) -> Self {
        let now_ms = AtomicI64::new(now_ms);
        Self { store, hand, now_ms, next: AtomicU64::new(1) }
    }

    /// Lets `ms` pass; below 0 the clock is put back.
    pub fn pass(&self, ms: i64) {
        self.hand.advance(ms);
        self.now_ms.fetch_add(ms, Ordering::SeqCst);
    }

    /// Now, ms.
    pub fn now_ms(&self) -> i64 {
        self.now_ms.load(Ordering::SeqCst)
    }

    /// A number that nothing else has here.
    pub(super) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::SeqCst)
    }

    /// A fresh task of `user`, not yet submitted.
    pub fn draft(&self, user: &str) -> NewTask {
        let number = self.number();
        let at = self.now_ms();
        NewTask {
            event: Text::from(r#""k":"mail","q":"mail","max":2"#),
            lane_max: 1_000,
            ..NewTask::new(
                user.parse().expect("a user id"),
                TaskId::new(at, number),
                MAIL.parse().expect("a queue name"),
                format!(
                    r#"{{"v":1,"k":"mail","q":"mail","at":{at},"max":2,"tags":["t{}"],"p":{{"n":{number}}}}}"#,
                    number % 3
                ),
            )
        }
    }

    /// Submits and answers what came of it.
    pub async fn submit_as(&self, new: NewTask) -> Submitted {
        let p = partition_of(&new.user, self.store.partitions());
        let batch = Submit { created_ms: self.now_ms(), tasks: vec![new] };
        self.store.submit(p, batch).await.expect("the store takes it")[0]
    }

    /// Submits a fresh task of `user`.
    pub async fn submit(&self, user: &str) -> TaskId {
        let new = self.draft(user);
        let task = new.task;
        assert_eq!(self.submit_as(new).await, Submitted::Accepted);
        task
    }

    /// One sync on every partition, merged. Operations go to the partition of their user.
    pub async fn sync(&self, worker: &str, ops: Vec<Op>, limit: u32, park: bool) -> SyncReply {
        let mut merged = SyncReply::default();
        for p in (0..self.store.partitions()).map(PartitionId) {
            let of_p = |op: &&Op| partition_of(&op.lease.user, self.store.partitions()) == p;
            let ops = ops.iter().filter(of_p).cloned().collect();
            let claim = Claim::new(vec![MAIL.parse().expect("a name")], limit);
            let request = Sync {
                worker: worker.parse().expect("a worker id"),
                call: self.number(),
                lease_ms: 10_000,
                ops,
                claim: (limit > 0).then_some(claim),
                woken: Vec::new(),
                park,
            };
            let reply = self.store.sync(p, request).await.expect("the store answers");
            merged.refused.extend(reply.refused);
            merged.cancelled.extend(reply.cancelled);
            merged.adopted.extend(reply.adopted);
            merged.claimed.extend(reply.claimed);
            merged.more += reply.more;
            merged.next_in_ms = merged.next_in_ms.into_iter().chain(reply.next_in_ms).min();
            let first = merged.schedule_in_ms.into_iter().chain(reply.schedule_in_ms).min();
            merged.schedule_in_ms = first;
            merged.epoch = reply.epoch;
            merged.queues_version = merged.queues_version.max(reply.queues_version);
        }
        merged
    }

    /// Claims from one partition.
    pub(super) async fn claim_from(&self, p: PartitionId, claim: Claim) -> Vec<Held> {
        self.call(p, "w1", 10_000, Vec::new(), Some(claim)).await.claimed
    }

    /// One call of `worker` to one partition.
    pub(super) async fn call(
        &self,
        p: PartitionId,
        worker: &str,
        lease_ms: u32,
        ops: Vec<Op>,
        claim: Option<Claim>,
    ) -> SyncReply {
        let request = Sync {
            worker: worker.parse().expect("a worker id"),
            call: self.number(),
            lease_ms,
            ops,
            claim,
            woken: Vec::new(),
            park: false,
        };
        self.store.sync(p, request).await.expect("the store answers")
    }

    /// Claims up to `limit` tasks.
    pub async fn claim(&self, worker: &str, limit: u32) -> Vec<Held> {
        self.sync(worker, Vec::new(), limit, false).await.claimed
    }

    /// Claims the one task there is.
    pub async fn claim_one(&self, worker: &str) -> Held {
        let mut held = self.claim(worker, 1).await;
        assert_eq!(held.len(), 1, "one task is waiting");
        held.remove(0)
    }

    /// Sends one report; whether it was accepted.
    pub async fn report(&self, lease: &Lease, report: Report) -> bool {
        let op = Op { lease: lease.clone(), report };
        self.sync("reporter", vec![op], 0, false).await.refused.is_empty()
    }

    /// Releases a task that was claimed and not begun.
    pub async fn release(&self, held: &Held) {
        let release = Report::Release { write: write(held.n + 1), attempt: None };
        assert!(self.report(&held.lease, release).await, "it is held");
    }

    /// Lets the lease of a worker that has fallen silent run out, and answers what `worker`
    /// adopts.
    pub async fn outlive(&self, worker: &str) -> Vec<Held> {
        let mut adopted = Vec::new();
        for _ in 0..12 {
            self.pass(1_000);
            adopted.extend(self.sync(worker, Vec::new(), 0, false).await.adopted);
        }
        adopted
    }

    /// Cancels one task.
    pub async fn cancel(&self, user: &str, task: TaskId) -> Controlled {
        let control = Control::Cancel {
            at_ms: self.now_ms(),
            user: user.parse().expect("a user id"),
            tasks: vec![task],
            body: Text::from(r#""why":"cancelled by user""#),
            keep_s: 60,
        };
        self.control(user, control).await
    }

    /// Redrives one task.
    pub async fn redrive(&self, user: &str, task: TaskId, claim: u32) -> Controlled {
        let tasks = vec![Redrive::new(task, claim, Some(Text::from(r#"{"a":1}"#)))];
        let user_id = user.parse().expect("a user id");
        let control = Control::Redrive { at_ms: self.now_ms(), user: user_id, tasks };
        self.control(user, control).await
    }

    /// Moves one waiting task.
    pub async fn reschedule(&self, user: &str, task: TaskId, claim: u32, to: MoveTo) -> Controlled {
        let tasks = vec![Reschedule { task, claim, to }];
        let user_id = user.parse().expect("a user id");
        let control = Control::Reschedule { at_ms: self.now_ms(), user: user_id, tasks };
        self.control(user, control).await
    }

    /// Changes what one waiting task is to do; `seen` are claim number and writes on it.
    pub async fn edit(
        &self,
        user: &str,
        task: TaskId,
        seen: (u32, u32),
        descriptor: &str,
    ) -> Controlled {
        let (claim, n) = seen;
        let event = Text::default();
        let tasks = vec![Edit {
            task,
            claim,
            n,
            descriptor: descriptor.into(),
            bytes_max: u64::MAX,
            event,
        }];
        let user_id = user.parse().expect("a user id");
        let control = Control::Edit { at_ms: self.now_ms(), user: user_id, tasks };
        self.control(user, control).await
    }

    /// Sends a control command about one task.
    pub(super) async fn control(&self, user: &str, control: Control) -> Controlled {
        let user: UserId = user.parse().expect("a user id");
        let p = partition_of(&user, self.store.partitions());
        self.store.control(p, control).await.expect("the store answers")[0]
    }

    /// Asks a question about `user`.
    pub async fn read(&self, user: &str, query: Query) -> QueryReply {
        let user: UserId = user.parse().expect("a user id");
        let p = partition_of(&user, self.store.partitions());
        self.store.read(p, query).await.expect("the store answers")
    }

    /// One task of `user`, if it is there.
    pub async fn task(&self, user: &str, task: TaskId) -> Option<StoredTask> {
        let query = Query::Tasks { user: user.parse().expect("a user id"), tasks: vec![task] };
        let QueryReply::Tasks(mut tasks) = self.read(user, query).await else {
            panic!("a question is answered in kind")
        };
        tasks.pop()
    }

    /// The state's name of one task: `queued` while untouched, empty if it is not there.
    pub async fn state(&self, user: &str, task: TaskId) -> String {
        let Some(stored) = self.task(user, task).await else { return String::new() };
        let Some(text) = stored.state else { return "queued".into() };
        let state: tasktonic_protocol::stored::StoredState =
            serde_json::from_str(&text).expect("a stored state");
        state.s
    }
}

/// A write with this count and nothing else to say.
#[must_use]
pub(super) fn write(n: u32) -> Write {
    Write { n, body: Text::from(r#""st":5"#), event: None }
}

/// Success, kept for a minute.
#[must_use]
pub(super) fn ack(n: u32) -> Report {
    Report::Ack { write: write(n), keep_s: 60 }
}

/// Failure, with another attempt.
#[must_use]
pub(super) fn nack(n: u32, again: Again) -> Report {
    let attempt = Text::from(r#"{"a":1,"o":"failed","en":9}"#);
    Report::Nack { write: write(n), again, attempt, keep_s: 60 }
}

/// One report of every sort.
#[must_use]
pub(super) fn every_report() -> Vec<Report> {
    let attempt = Text::from("{}");
    vec![
        Report::Heartbeat,
        Report::Progress { write: write(9) },
        Report::Log { lines: vec![Text::from(r#"{"at":1,"l":"info","x":"late"}"#)] },
        ack(9),
        nack(9, Again::Now),
        nack(9, Again::At(0)),
        Report::Bury { write: write(9), keep_s: 1 },
        Report::Cancelled { write: write(9), keep_s: 1 },
        Report::Snooze { write: write(9), due_ms: 5, attempt },
        Report::Release { write: write(9), attempt: None },
    ]
}
