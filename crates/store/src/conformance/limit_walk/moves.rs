//! The steps of the walk: what people and workers do, by chance.

use tasktonic_core::command::{Again, Control, NewTask, Op, Report, Submit};
use tasktonic_core::limits::SUBMIT_TASKS_MAX;
use tasktonic_core::reply::{Controlled, Submitted};
use tasktonic_core::routing::PartitionId;
use tasktonic_core::{TaskId, Text};

use super::super::scene::{ack, nack, write};
use super::{Lane, QUEUES, Running, SILENT, User, Waiting, Walk};

/// Tasks of one user that may wait in one queue.
const LANE_MAX: u32 = 80;
/// The most of one user in a queue, and of all users, that a limit of the walk lets run.
const EACH_MAX: u64 = 24;
const TOTAL_MAX: u64 = 100;

/// An attempt that is over.
pub(super) struct End {
    pub(super) task: TaskId,
    pub(super) op: Op,
    /// Whether its task waits again.
    pub(super) then: Option<Waiting>,
}

impl Walk<'_> {
    pub(super) async fn step(&mut self) {
        match self.seed.below(100) {
            0..30 => {
                let count = 1 + self.seed.pick(SUBMIT_TASKS_MAX);
                self.submit(count).await;
            }
            30..76 => self.turn().await,
            76..83 => self.cancel().await,
            83..91 => self.pass().await,
            91..98 => self.change().await,
            _ => {
                let lane = (self.seed.pick(self.users.len()), self.seed.pick(QUEUES.len()));
                self.assert_counted(lane).await;
            }
        }
    }

    /// Tasks of users of one partition, in one call.
    async fn submit(&mut self, count: usize) {
        let p = self.partition();
        let here: Vec<usize> =
            (0..self.users.len()).filter(|user| self.users[*user].p == p).collect();
        let mut lanes = Vec::with_capacity(count);
        for _ in 0..count {
            lanes.push((here[self.seed.pick(here.len())], self.seed.pick(QUEUES.len())));
        }
        self.submit_to(p, lanes, LANE_MAX).await;
    }

    /// One task to each of these lanes of a partition.
    pub(super) async fn submit_to(&mut self, p: PartitionId, lanes: Vec<Lane>, lane_max: u32) {
        let tasks: Vec<NewTask> = lanes.iter().map(|lane| self.draft(*lane, lane_max)).collect();
        let ids: Vec<TaskId> = tasks.iter().map(|new| new.task).collect();
        let batch = Submit { created_ms: self.scene.now_ms(), tasks };
        let answers = self.scene.store.submit(p, batch).await.unwrap();
        for ((lane, task), answer) in lanes.into_iter().zip(ids).zip(answers) {
            match answer {
                Submitted::Accepted => {
                    self.waiting.insert(task, Waiting { lane, is_delayed: false });
                    self.steps.accepted += 1;
                }
                Submitted::LaneFull => {}
                other => panic!("{task}: {other:?}"),
            }
        }
    }

    fn draft(&self, (user, queue): Lane, lane_max: u32) -> NewTask {
        let (at, name) = (self.scene.now_ms(), QUEUES[queue]);
        NewTask {
            event: format!(r#""k":"{name}","max":3"#).into(),
            lane_max,
            ..NewTask::new(
                self.users[user].id.clone(),
                TaskId::new(at, self.scene.number()),
                self.queues[queue].clone(),
                format!(r#"{{"v":1,"k":"{name}","at":{at},"max":3,"p":{{}}}}"#),
            )
        }
    }

    /// A worker says how some of what runs in a partition ended, and takes more in the same call.
    async fn turn(&mut self) {
        let p = self.partition();
        let mut runs: Vec<TaskId> = self.at_work(p);
        let mut ends = Vec::new();
        for _ in 0..self.seed.pick(101).min(runs.len()) {
            let task = runs.swap_remove(self.seed.pick(runs.len()));
            ends.push(self.end(task));
        }
        let worker = ["w1", "w2", "w3", "w4", "w5", SILENT][self.seed.pick(6)];
        let limit = u32::try_from(self.seed.below(65)).unwrap();
        self.call(p, worker, ends, limit).await;
    }

    /// What runs in a partition at workers that speak.
    pub(super) fn at_work(&self, p: PartitionId) -> Vec<TaskId> {
        let speaks = |of: &Running| !of.is_silent && self.users[of.lane.0].p == p;
        self.running.iter().filter(|(_, of)| speaks(of)).map(|(task, _)| *task).collect()
    }

    fn end(&mut self, task: TaskId) -> End {
        let (sort, later_ms) = (self.seed.below(10), self.seed.below(2_000));
        let running = &self.running[&task];
        let (n, lane) = (running.n + 1, running.lane);
        let later = self.scene.now_ms() + i64::try_from(later_ms).unwrap();
        let (report, is_delayed) = match sort {
            0 => (nack(n, Again::Now), Some(false)),
            1 => (nack(n, Again::At(later)), Some(true)),
            2 => (Report::Release { write: write(n), attempt: None }, Some(false)),
            3 => (Report::Bury { write: write(n), keep_s: 60 }, None),
            _ => (ack(n), None),
        };
        // An accepted cancellation sticks.
        let is_delayed = is_delayed.filter(|_| !running.is_asked);
        let then = is_delayed.map(|is_delayed| Waiting { lane, is_delayed });
        End { task, op: Op { lease: running.lease.clone(), report }, then }
    }

    pub(super) fn success(&self, task: TaskId) -> End {
        let running = &self.running[&task];
        let op = Op { lease: running.lease.clone(), report: ack(running.n + 1) };
        End { task, op, then: None }
    }

    /// Somebody cancels some of their tasks: those that wait end, those that run are asked to.
    async fn cancel(&mut self) {
        let user = self.seed.pick(self.users.len());
        let waiting = self.waiting.iter().map(|(task, waits)| (task, waits.lane));
        let running = self.running.iter().map(|(task, running)| (task, running.lane));
        let all = waiting.chain(running).filter(|(_, lane)| lane.0 == user);
        let mut all: Vec<TaskId> = all.map(|(task, _)| *task).collect();
        let mut tasks = Vec::new();
        for _ in 0..(1 + self.seed.pick(12)).min(all.len()) {
            tasks.push(all.swap_remove(self.seed.pick(all.len())));
        }
        if tasks.is_empty() {
            return;
        }
        let User { id, p, .. } = &self.users[user];
        let body = Text::from(r#""why":"cancelled by user""#);
        let (at_ms, id, p) = (self.scene.now_ms(), id.clone(), *p);
        let control = Control::Cancel { at_ms, user: id, tasks: tasks.clone(), body, keep_s: 60 };
        let answers = self.scene.store.control(p, control).await.unwrap();
        for (task, answer) in tasks.into_iter().zip(answers) {
            if self.waiting.remove(&task).is_some() {
                assert_eq!(answer, Controlled::Done, "{task} waits");
                self.steps.cancelled += 1;
                continue;
            }
            assert_eq!(answer, Controlled::Asked, "{task} runs");
            let running = self.running.get_mut(&task).expect("it was picked from there");
            self.steps.cancelled += u64::from(!running.is_asked);
            running.is_asked = true;
        }
    }

    /// Time passes, and whoever looks then takes over what silent workers had.
    pub(super) async fn pass(&mut self) {
        self.scene.pass(200 + i64::try_from(self.seed.below(1_300)).unwrap());
        for p in self.partitions() {
            self.call(p, "w2", Vec::new(), 0).await;
        }
    }

    /// A limit is set, changed or taken back, and holds at the next claim.
    async fn change(&mut self) {
        let queue = self.seed.pick(QUEUES.len());
        let is_taken_back = self.seed.below(3) == 0;
        let mut most = |max: u64, least: u64| {
            let max = least + self.seed.below(max);
            u32::try_from(max).ok().filter(|_| !is_taken_back)
        };
        let (total, each, own) = (most(TOTAL_MAX, 1), most(EACH_MAX, 1), most(EACH_MAX, 0));
        let sort = self.seed.below(4);
        match sort {
            0 => self.limits.total[queue] = total,
            1 => self.limits.each[queue] = each,
            _ => {
                let lane = (self.seed.pick(self.users.len()), queue);
                self.limits.own.remove(&lane);
                self.limits.own.extend(own.map(|max| (lane, max)));
                self.set_user(lane).await;
            }
        }
        if sort < 2 {
            self.set_queues().await;
        }
        self.steps.changed += 1;
        self.starts_at_once().await;
        // It takes the time of permits to move, so not after every change.
        if sort == 0 && self.seed.below(4) == 0 {
            self.starts_in_time(queue).await;
        }
    }
}
