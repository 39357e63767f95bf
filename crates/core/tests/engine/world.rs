//! A partition with a clock and short words for commands. Knows no law.

use std::sync::Arc;

use tasktonic_core::changes::Changes;
use tasktonic_core::command::{
    Again, Claim, Command, Control, Edit, MoveTo, NewTask, Op, Redrive, Report, Reschedule, Submit,
    Sync, Write,
};
use tasktonic_core::reply::{Controlled, Reply, Submitted, Synced};
use tasktonic_core::settings::{By, QueueSettings, UserSettings};
use tasktonic_core::{Lease, Partition, TaskId, TaskState, UserId};

/// A partition with a clock and short words for commands.
pub(crate) struct World {
    pub(crate) partition: Partition,
    pub(crate) now_ms: i64,
    pub(crate) calls: u64,
    pub(crate) steps: u64,
    pub(crate) last: Changes,
}

impl World {
    pub(crate) fn new() -> Self {
        let now_ms = 1_000_000;
        Self { partition: Partition::new(1), now_ms, calls: 0, steps: 0, last: Changes::default() }
    }

    pub(crate) fn apply(&mut self, command: Command) -> Reply {
        let (reply, changes) = self.partition.apply(command, self.now_ms);
        self.steps += 1;
        // The check looks at everything; in the few long tests now and then is enough.
        if self.steps < 300 || self.steps.is_multiple_of(200) {
            assert_eq!(self.partition.check(), Vec::<String>::new());
        }
        self.last = changes;
        reply
    }

    pub(crate) fn submit(&mut self, user: &str, number: u64) -> TaskId {
        let task = TaskId::new(1, number);
        let reply = self.apply(Command::Submit(Submit {
            created_ms: self.now_ms,
            tasks: vec![new_task(user, task)],
        }));
        assert_eq!(reply, Reply::Submit(vec![Submitted::Accepted]));
        task
    }

    pub(crate) fn sync(&mut self, worker: &str, ops: Vec<Op>, limit: u32) -> Synced {
        self.calls += 1;
        let claim = Claim::new(vec!["mail".parse().unwrap()], limit);
        let reply = self.apply(Command::Sync(Sync {
            worker: worker.parse().unwrap(),
            call: self.calls,
            lease_ms: 10_000,
            ops,
            claim: (limit > 0).then_some(claim),
            woken: Vec::new(),
            park: false,
        }));
        let Reply::Sync(synced) = reply else { panic!("{reply:?}") };
        synced
    }

    pub(crate) fn claim(&mut self, worker: &str, limit: u32) -> Vec<Lease> {
        self.sync(worker, Vec::new(), limit).claimed.into_iter().map(|c| c.lease).collect()
    }

    pub(crate) fn report(&mut self, lease: &Lease, report: Report) -> bool {
        let op = Op { lease: lease.clone(), report };
        self.sync("helper", vec![op], 0).refused.is_empty()
    }

    pub(crate) fn cancel(&mut self, user: &str, task: TaskId) -> Controlled {
        self.control(Control::Cancel {
            at_ms: self.now_ms,
            user: user.parse().unwrap(),
            tasks: vec![task],
            body: Arc::from(""),
            keep_s: 60,
        })
    }

    pub(crate) fn redrive(&mut self, user: &str, task: TaskId) -> Controlled {
        let user: UserId = user.parse().unwrap();
        let claim = self.partition.task(&user, &task).map_or(1, |t| t.claim);
        let (at_ms, tasks) = (self.now_ms, vec![Redrive::new(task, claim, None)]);
        self.control(Control::Redrive { at_ms, user, tasks })
    }

    fn control(&mut self, control: Control) -> Controlled {
        let reply = self.apply(Command::Control(control));
        let Reply::Control(answers) = reply else { panic!("{reply:?}") };
        answers[0]
    }

    pub(crate) fn reschedule(&mut self, user: &str, task: TaskId, to: MoveTo) -> Controlled {
        let user: UserId = user.parse().unwrap();
        let claim = self.partition.task(&user, &task).map_or(1, |t| t.claim);
        let (at_ms, tasks) = (self.now_ms, vec![Reschedule { task, claim, to }]);
        self.control(Control::Reschedule { at_ms, user, tasks })
    }

    pub(crate) fn edit(&mut self, user: &str, task: TaskId, text: &str) -> Controlled {
        let user: UserId = user.parse().unwrap();
        let (claim, n) = self.partition.task(&user, &task).map_or((1, 0), |t| (t.claim, t.n));
        let (descriptor, event) = (Arc::from(text), Arc::from(""));
        let (at_ms, tasks) =
            (self.now_ms, vec![Edit { task, claim, n, descriptor, bytes_max: u64::MAX, event }]);
        self.control(Control::Edit { at_ms, user, tasks })
    }

    pub(crate) fn set_queue(&mut self, version: u64, settings: QueueSettings) -> Controlled {
        let queues = vec![("mail".parse().unwrap(), settings)];
        self.control(Control::Queues { version, queues })
    }

    pub(crate) fn set_user(&mut self, user: &str, settings: UserSettings) {
        let (queue, user) = ("mail".parse().unwrap(), user.parse().unwrap());
        assert_eq!(self.control(Control::User { queue, user, settings }), Controlled::Done);
    }

    pub(crate) fn pause(&mut self, user: &str, by: By, paused: bool) {
        let user = user.parse().unwrap();
        assert_eq!(self.control(Control::Pause { user, by, paused }), Controlled::Done);
    }

    pub(crate) fn state(&self, user: &str, task: TaskId) -> Option<TaskState> {
        self.partition.task(&user.parse().unwrap(), &task).map(|t| t.place.state())
    }

    pub(crate) fn pass(&mut self, ms: i64) {
        self.now_ms += ms;
    }
}

pub(crate) fn new_task(user: &str, task: TaskId) -> NewTask {
    NewTask {
        event: Arc::from(""),
        lane_max: 1_000,
        ..NewTask::new(user.parse().unwrap(), task, "mail".parse().unwrap(), Arc::from("{}"))
    }
}

pub(crate) fn write(n: u32) -> Write {
    Write { n, body: Arc::from(""), event: None }
}

pub(crate) fn ack(n: u32) -> Report {
    Report::Ack { write: write(n), keep_s: 60 }
}

pub(crate) fn nack(again: Again) -> Report {
    Report::Nack { write: write(0), again, attempt: Arc::from("{}"), keep_s: 60 }
}

pub(crate) fn every_report() -> Vec<Report> {
    let (attempt, write) = (Arc::from("{}"), write(9));
    vec![
        Report::Heartbeat,
        Report::Progress { write: write.clone() },
        Report::Log { lines: vec![Arc::from("{}")] },
        ack(9),
        nack(Again::Now),
        nack(Again::At(0)),
        Report::Bury { write: write.clone(), keep_s: 1 },
        Report::Cancelled { write: write.clone(), keep_s: 1 },
        Report::Snooze { write: write.clone(), due_ms: 5, attempt },
        Report::Release { write, attempt: None },
    ]
}

pub(crate) fn heartbeat(lease: &Lease) -> Op {
    Op { lease: lease.clone(), report: Report::Heartbeat }
}

/// The answer to one more task of this user, without waiting for it to be taken.
pub(crate) fn one_more(
    world: &mut World,
    user: &str,
    number: u64,
    lane_max: u32,
    due_ms: Option<i64>,
) -> Submitted {
    let new = NewTask { lane_max, due_ms, ..new_task(user, TaskId::new(2, number)) };
    let submit = Submit { created_ms: world.now_ms, tasks: vec![new] };
    let Reply::Submit(answers) = world.apply(Command::Submit(submit)) else { panic!() };
    answers[0]
}
