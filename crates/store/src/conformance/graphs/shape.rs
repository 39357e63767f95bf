//! The graphs of the walk, and how the tasks of each must end.

use tasktonic_core::command::{Gathers, Node};
use tasktonic_core::links::OnFailure;
use tasktonic_core::reply::Controlled;
use tasktonic_core::{TaskId, TaskState};

use super::Walk;

/// Tasks of a graph, beside the one that stands for it.
const NODES_MIN: u64 = 3;
const NODES_MAX: u64 = 8;

/// A flow, or a batch that calls back.
#[derive(Debug)]
pub(super) struct Graph {
    pub(super) user: String,
    pub(super) root: TaskId,
    /// Whether the root runs when all its parts have ended.
    pub(super) calls_back: bool,
    /// Each after all that it waits for.
    pub(super) nodes: Vec<TaskId>,
}

impl Graph {
    pub(super) fn all(&self) -> impl Iterator<Item = TaskId> {
        std::iter::once(self.root).chain(self.nodes.iter().copied())
    }
}

/// What is known of a task by what was said to the store and what it answered.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) after: Vec<(TaskId, OnFailure)>,
    /// Its number in the list of graphs.
    pub(super) graph: usize,
    /// The attempt that the next start is, and the newest claim.
    pub(super) attempt: u32,
    pub(super) claim: u32,
    /// Claims that were handed out.
    pub(super) starts: Vec<u32>,
    pub(super) is_held: bool,
    /// Whether its worker was lost, and nobody has settled that yet.
    pub(super) is_lost: bool,
    pub(super) end: Option<TaskState>,
}

/// Whether who waits may run after one that ended so.
pub(super) fn lets(end: TaskState, on_failure: OnFailure) -> bool {
    end == TaskState::Completed || on_failure != OnFailure::Fail
}

impl Walk<'_> {
    /// Hands over a graph of some tasks, in which each waits for some of those before it.
    pub(super) async fn submit_graph(&mut self, number: usize) {
        let user = self.users[self.seed.pick(self.users.len())].clone();
        let calls_back = self.seed.below(2) == 0;
        let mut root = self.scene.root(&user);
        if calls_back {
            root.gathers = Some(Gathers::Batch { runs: true });
        }
        let id = root.new.task;
        let mut graph = Graph { user, root: id, calls_back, nodes: Vec::new() };
        self.tasks.insert(id, Known::new(number, Vec::new()));
        let mut nodes: Vec<Node> = vec![root];
        for _ in 0..NODES_MIN + self.seed.below(NODES_MAX - NODES_MIN + 1) {
            let mut after = Vec::new();
            for before in &graph.nodes {
                if self.seed.below(2) == 0 {
                    after.push((*before, OnFailure::ALL[self.seed.pick(3)]));
                }
            }
            let node = self.scene.part(&graph.user, id, &after);
            graph.nodes.push(node.new.task);
            self.tasks.insert(node.new.task, Known::new(number, after));
            nodes.push(node);
        }
        let answers = self.scene.flow(&graph.user, nodes).await;
        assert_eq!(answers, vec![Controlled::Done; graph.nodes.len() + 1]);
        if calls_back {
            assert_eq!(self.scene.seal(&graph.user, id).await, Controlled::Done);
        }
        self.graphs.push(graph);
    }

    /// A task has ended, and with it all that ends because of it.
    pub(super) fn ends(&mut self, task: TaskId, state: TaskState) {
        let known = self.tasks.get_mut(&task).expect("it was handed out");
        assert_eq!(known.end.replace(state), None, "{task} has ended before");
        let graph = &self.graphs[known.graph];
        // Ties go to older tasks only, so once through the graph is enough.
        for node in &graph.nodes {
            let known = &self.tasks[node];
            let stops = |(of, on_failure): &(TaskId, OnFailure)| {
                self.tasks[of].end.is_some_and(|end| !lets(end, *on_failure))
            };
            if known.end.is_none() && known.after.iter().any(stops) {
                assert!(known.starts.is_empty(), "{node} ran before those it waits for");
                self.tasks.get_mut(node).expect("looked at above").end = Some(TaskState::Cancelled);
            }
        }
        let ends: Option<Vec<TaskState>> =
            graph.nodes.iter().map(|node| self.tasks[node].end).collect();
        if let Some(ends) = ends.filter(|_| !graph.calls_back) {
            let worst = [TaskState::Dead, TaskState::Cancelled];
            let worst = worst.into_iter().find(|state| ends.contains(state));
            let root = self.tasks.get_mut(&graph.root).expect("it was submitted");
            root.end = Some(worst.unwrap_or(TaskState::Completed));
        }
    }
}

impl Known {
    fn new(graph: usize, after: Vec<(TaskId, OnFailure)>) -> Self {
        Self {
            after,
            graph,
            attempt: 1,
            claim: 0,
            starts: Vec::new(),
            is_held: false,
            is_lost: false,
            end: None,
        }
    }
}
