//! What the walk does with flows and batches.

use tasktonic_core::command::{After, Control, Expiry, Gathers, NewTask, Node};
use tasktonic_core::links::OnFailure;
use tasktonic_core::{TaskId, Text, UserId};

use super::Walk;
use crate::Query;

impl Walk {
    /// A flow, a batch, or a few tasks that come after others; sometimes what may not be.
    pub(super) fn flow(&mut self) -> Control {
        let user = self.user();
        let gathers = match self.seed.below(4) {
            0 => Some(Gathers::Flow),
            1 => Some(Gathers::Flow),
            2 => Some(Gathers::Batch { runs: self.seed.below(2) == 0 }),
            _ => None,
        };
        let mut nodes = Vec::new();
        if let Some(gathers) = gathers {
            let mut root = self.node(&user);
            root.gathers = Some(gathers);
            self.flows.push((user.clone(), root.new.task));
            nodes.push(root);
        }
        self.parts_of(&user, gathers.map(|_| nodes[0].new.task), nodes)
    }

    /// More parts for a flow that may not be there any more, or be another user's.
    pub(super) fn grow(&mut self) -> Control {
        let Some((user, flow)) = self.some_flow() else { return self.flow() };
        self.parts_of(&user, Some(flow), Vec::new())
    }

    pub(super) fn seal(&mut self) -> Control {
        let Some((user, task)) = self.some_flow() else { return self.flow() };
        Control::Seal { at_ms: self.clock.now_ms(), user, task }
    }

    pub(super) fn parts(&mut self) -> Query {
        let (user, task) =
            self.some_flow().unwrap_or_else(|| (self.user(), TaskId::new(7, self.seed.next())));
        let after = (self.seed.below(2) == 0).then(|| self.task_of().1);
        Query::Parts { user, task, after, limit: 1 + u32::from(self.seed.below(2) == 0) * 9 }
    }

    fn some_flow(&mut self) -> Option<(UserId, TaskId)> {
        if self.flows.is_empty() {
            return None;
        }
        // The newest ones are the ones that still wait.
        let newest = self.flows.len().min(6);
        let at = self.flows.len() - 1 - self.seed.pick(newest);
        Some(self.flows[at].clone())
    }

    fn parts_of(&mut self, user: &UserId, flow: Option<TaskId>, mut nodes: Vec<Node>) -> Control {
        for _ in 0..1 + self.seed.below(5) {
            let mut node = self.node(user);
            node.part_of = flow;
            for _ in 0..self.seed.below(3) {
                let inside = self.seed.below(8) > 0 && nodes.len() > 1;
                let task = if inside {
                    nodes[1 + self.seed.pick(nodes.len() - 1)].new.task
                } else {
                    self.task_of().1
                };
                let on_failure = OnFailure::ALL[self.seed.pick(3)];
                let known = node.after.iter().any(|after| after.task == task);
                if !known && Some(task) != flow {
                    node.after.push(After { task, on_failure });
                }
            }
            if node.after.is_empty() && self.seed.below(4) == 0 {
                node.new.due_ms = Some(self.clock.now_ms() + 500);
            }
            nodes.push(node);
        }
        Control::Flow { at_ms: self.clock.now_ms(), user: user.clone(), nodes }
    }

    fn node(&mut self, user: &UserId) -> Node {
        let now_ms = self.clock.now_ms();
        let queue = self.queue();
        let task = TaskId::new(now_ms, self.seed.next());
        self.tasks.push((user.clone(), task));
        self.queues.insert(task, queue.clone());
        let descriptor = format!(r#"{{"v":1,"k":"{queue}","q":"{queue}","at":{now_ms},"max":3}}"#);
        let expires = (self.seed.below(6) == 0).then(|| Expiry {
            at_ms: now_ms + i64::try_from(self.seed.below(6_000)).unwrap_or(0) - 200,
            keep_s: [0, 1, 60][self.seed.pick(3)],
        });
        let event = [r#""k":"mail""#, ""][self.seed.pick(2)];
        let new = NewTask {
            event: Text::from(event),
            expires,
            serial: self.serial(),
            priority: self.priority(),
            lane_max: 14,
            bytes_max: self.bytes_max(),
            ..NewTask::new(user.clone(), task, queue, descriptor)
        };
        Node { new, part_of: None, gathers: None, after: Vec::new() }
    }
}
