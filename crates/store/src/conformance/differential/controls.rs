//! What people and operators ask for in a walk: cancellations, edits, other times, settings,
//! schedules.

use tasktonic_core::command::{
    Control, Edit, MoveTo, NewTask, Purge, Redrive, Reschedule, Rewrite,
};
use tasktonic_core::schedule::{Schedule, Tick};
use tasktonic_core::settings::{By, QueueSettings, Rate, Turns, UserSettings};
use tasktonic_core::{TaskId, Text, UserId};

use super::{Of, QUEUES, Walk};

impl Walk {
    pub(super) fn control(&mut self) -> Control {
        let at_ms = self.clock.now_ms();
        let (user, task) = self.task_of();
        match self.seed.below(20) {
            15 if self.seed.below(4) == 0 => Control::Erase { user },
            16 | 17 => self.flow(),
            18 => self.grow(),
            19 => self.seal(),
            9..=12 => self.schedule(user),
            5 | 6 => {
                let later = i64::try_from(self.seed.below(4_000)).unwrap_or(0) - 500;
                let to = [MoveTo::Due(at_ms + later), MoveTo::Front, MoveTo::Back];
                let claim = 1 + u32::try_from(self.seed.below(2)).unwrap_or(0);
                let asked = Reschedule { task, claim, to: to[self.seed.pick(3)] };
                Control::Reschedule { at_ms, user, tasks: vec![asked] }
            }
            7 | 8 => Control::Edit { at_ms, user, tasks: vec![self.edit(task)] },
            0 | 1 => {
                let body = Text::from(r#""why":"asked""#);
                Control::Cancel { at_ms, user, tasks: vec![task], body, keep_s: 60 }
            }
            2 | 3 => {
                let claim = 1 + u32::try_from(self.seed.below(3)).unwrap_or(0);
                let attempt = (self.seed.below(2) == 0).then(|| Text::from(r#"{"a":9}"#));
                let change = (self.seed.below(3) == 0).then(|| {
                    let Edit { descriptor, bytes_max, event, .. } = self.edit(task);
                    Rewrite { descriptor, bytes_max, event }
                });
                let asked = Redrive { change, ..Redrive::new(task, claim, attempt) };
                Control::Redrive { at_ms, user, tasks: vec![asked] }
            }
            13 | 14 => {
                let key = (self.seed.below(2) == 0)
                    .then(|| Text::from(format!("k\u{e9}{}", self.seed.below(6))));
                let mut purge = |task| {
                    let claim = 1 + u32::try_from(self.seed.below(3)).unwrap_or(0);
                    Purge { task, claim, key: key.clone() }
                };
                // Twice in one command: the second finds nothing.
                let tasks = vec![purge(task), purge(task)];
                Control::Purge { at_ms, user, tasks }
            }
            _ => self.settings(user),
        }
    }

    /// Something set of a queue or a user. Versions stay, rise and fall.
    pub(super) fn settings(&mut self, user: UserId) -> Control {
        let waiting_max = (self.seed.below(4) == 0).then(|| 1 + self.small(6));
        let running_max = (self.seed.below(3) == 0).then(|| self.small(4));
        let rate = (self.seed.below(3) == 0).then(|| Rate {
            tasks: 1 + self.small(3),
            per_ms: [7, 300, 1_000, 20_000][self.seed.pick(4)],
            burst: 1 + self.small(3),
        });
        match self.seed.below(7) {
            0 => {
                self.version = (self.version + self.seed.below(4)).saturating_sub(1);
                let mut queues = Vec::new();
                for name in QUEUES {
                    let paused = self.seed.below(3) == 0;
                    let turns = [Turns::Count, Turns::RunTime][self.seed.pick(2)];
                    let running_total_max = (self.seed.below(4) == 0).then(|| 1 + self.small(6));
                    let rate_total = (self.seed.below(3) == 0).then(|| Rate {
                        tasks: 1 + self.small(3),
                        per_ms: [7, 300, 1_000, 20_000][self.seed.pick(4)],
                        burst: 1 + self.small(3),
                    });
                    let is_apart = matches!(self.of, Of::Apart(_));
                    let settings = QueueSettings {
                        paused,
                        waiting_max,
                        running_max,
                        rate,
                        turns,
                        running_total_max: running_total_max.filter(|_| !is_apart),
                        rate_total: rate_total.filter(|_| !is_apart),
                    };
                    if self.seed.below(2) == 0 {
                        queues.push((name.parse().expect("a queue name"), settings));
                    }
                }
                Control::Queues { version: self.version, queues }
            }
            2 => Control::Bytes {
                user,
                bytes_max: (self.seed.below(2) == 0).then(|| self.seed.below(5_000)),
            },
            1 => {
                let by = [By::Owner, By::Operator][self.seed.pick(2)];
                Control::Pause { user, by, paused: self.seed.below(3) == 0 }
            }
            _ => {
                let (weight, paused) = (1 + self.small(4), self.seed.below(4) == 0);
                let settings = UserSettings { weight, paused, waiting_max, running_max, rate };
                Control::User { queue: self.queue(), user, settings }
            }
        }
    }

    pub(super) fn small(&mut self, limit: u64) -> u32 {
        u32::try_from(self.seed.below(limit)).unwrap_or(0)
    }

    /// A schedule made, changed, removed or taken on, mostly by who knows its version.
    fn schedule(&mut self, user: UserId) -> Control {
        let name: tasktonic_core::Name =
            ["a", "b.c", "d-9"][self.seed.pick(3)].parse().expect("a name");
        let id = (user.clone(), name.clone());
        let seen = self.schedules.get(&id).copied().filter(|_| self.seed.below(8) > 0);
        let now_ms = self.clock.now_ms();
        let later = now_ms + i64::try_from(self.seed.below(4_000)).unwrap_or(0) - 900;
        let becomes = Schedule {
            version: self.seed.next(),
            next_ms: (self.seed.below(5) > 0).then_some(later),
            text: format!(r#"{{"n":{},"s":"|,\u00e9é"}}"#, self.seed.below(99)).into(),
        };
        if let Some(seen) = seen
            && self.seed.below(2) == 0
        {
            self.schedules.insert(id, becomes.version);
            let task = self.submit().tasks.pop();
            let task = task.map(|new| NewTask { user: user.clone(), ..new });
            let task = task.filter(|_| self.seed.below(3) > 0);
            let tick = Tick { created_ms: now_ms, user, name, seen, becomes, task };
            return Control::Tick(Box::new(tick));
        }
        if self.seed.below(5) == 0 {
            self.schedules.remove(&id);
            return Control::Schedule { user, name, seen, becomes: None };
        }
        self.schedules.insert(id, becomes.version);
        Control::Schedule { user, name, seen, becomes: Some(becomes) }
    }

    fn edit(&mut self, task: TaskId) -> Edit {
        let claim = 1 + u32::try_from(self.seed.below(2)).unwrap_or(0);
        let n = u32::try_from(self.seed.below(2)).unwrap_or(0);
        // A task's queue never changes; nobody but the walk knows it of a task here.
        let queue = self.queues.get(&task).cloned().unwrap_or_else(|| self.queue());
        let descriptor = format!(
            r#"{{"v":1,"k":"{queue}","q":"{queue}","at":1,"max":3,"tags":["{}"],"p":{{"edited":{}}}}}"#,
            self.tag(),
            self.seed.next()
        );
        let (descriptor, bytes_max) = (descriptor.into(), self.bytes_max());
        Edit { task, claim, n, descriptor, bytes_max, event: Text::from(r#""ed":true"#) }
    }
}
