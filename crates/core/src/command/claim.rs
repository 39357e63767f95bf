//! What a worker has room for. Knows no task.

use crate::ids::Name;

/// Room for work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Queues in the order of this call.
    pub queues: Vec<Name>,
    /// How many places there are for tasks of all queues together: how many tasks, where each takes
    /// one.
    pub limit: u32,
    /// How many places a task takes, 1 to [`PLACES_MAX`](crate::limits::PLACES_MAX), by queue in
    /// their order; nothing where each takes one.
    pub places: Vec<u32>,
}

impl Claim {
    /// Room for so many tasks that take one place each.
    #[must_use]
    pub fn new(queues: Vec<Name>, limit: u32) -> Self {
        Self { queues, limit, places: Vec::new() }
    }

    /// The queues, each with how many places a task of it takes.
    pub fn each(&self) -> impl Iterator<Item = (&Name, u32)> {
        let places = self.places.iter().copied().map(|places| places.max(1));
        self.queues.iter().zip(places.chain(std::iter::repeat(1)))
    }

    /// How many places a task of a queue takes.
    #[must_use]
    pub fn places_of(&self, queue: &Name) -> u32 {
        self.each().find(|(name, _)| *name == queue).map_or(1, |(_, places)| places)
    }
}
