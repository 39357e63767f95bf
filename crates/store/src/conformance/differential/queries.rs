//! What the walk asks of both stores. Never changes anything.

use tasktonic_core::TaskId;
use tasktonic_core::search::Search;

use super::Walk;
use crate::{Query, TaskFilter};

impl Walk {
    /// Words that find some of what the walk makes.
    fn search(&mut self, task: TaskId) -> Option<Search> {
        let id = task.to_string();
        let words =
            ["x", "ORDER", "2", "m", "med", "gpu", "\u{e9}", "broke", "\"c", "zz", &id[..9]];
        let count = 1 + self.seed.pick(2);
        let words: Vec<_> = (0..count).map(|_| words[self.seed.pick(words.len())]).collect();
        Search::of(&words.join(" ")).expect("a short search")
    }

    /// One of the tags that the walk gives.
    pub(super) fn tag(&mut self) -> String {
        ["x0", "x1", "Order-12", "order-2", "\u{c9}t\u{e9} x", "a.b"][self.seed.pick(6)].into()
    }

    /// A question about something that may be there.
    pub(super) fn query(&mut self) -> Query {
        let (user, task) = self.task_of();
        match self.seed.below(20) {
            19 => Query::TurnBefore { user, task },
            16 => Query::Facts { user, queue: self.queue() },
            17 => Query::Links { user, tasks: vec![task, TaskId::new(1, 1)] },
            18 => self.parts(),
            8 => Query::DueSchedules,
            9 => Query::Schedules { user, name: None },
            10 => Query::Turns { queues: vec![self.queue(), self.queue()] },
            11 => Query::User { user, queues: vec![self.queue()] },
            12 => Query::UsersIn { queue: self.queue(), limit: self.small(4) },
            13 => Query::Paused { limit: self.small(3) },
            0 => Query::Tasks { user, tasks: vec![task, task] },
            1 | 2 | 7 => {
                let states = tasktonic_core::transitions::STATES;
                let filter = TaskFilter {
                    states: if self.seed.below(2) == 0 {
                        Vec::new()
                    } else {
                        vec![states[self.seed.pick(states.len())]]
                    },
                    kind: (self.seed.below(3) == 0).then(|| self.queue().to_string()),
                    queue: (self.seed.below(4) == 0).then(|| self.queue().to_string()),
                    tag: (self.seed.below(3) == 0).then(|| self.tag()),
                    search: if self.seed.below(2) == 0 { self.search(task) } else { None },
                    id_prefix: (self.seed.below(8) == 0).then(|| {
                        let id = task.to_string();
                        id[..1 + self.seed.pick(id.len())].to_owned()
                    }),
                    since_ms: (self.seed.below(8) == 0).then(|| task.created_ms()),
                    until_ms: (self.seed.below(8) == 0).then(|| task.created_ms() + 1),
                };
                let cursor = (self.seed.below(3) == 0).then_some(crate::Cursor(task));
                let limit = 1 + u32::try_from(self.seed.below(5)).unwrap_or(0);
                Query::List { user, filter, cursor, limit }
            }
            3 => Query::Counts { user },
            4 => Query::Attempts { user, task },
            5 => Query::Logs { user, task, after: 1, limit: 3 },
            14 | 15 => Query::Position { user, task },
            6 => Query::EventsSince { user, epoch: 1, seq: self.seed.below(20) },
            _ => Query::Exist { tasks: vec![(user, task)] },
        }
    }
}
