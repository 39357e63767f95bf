//! Chunks of what is kept, read at a pace that leaves Redis to its work.

use std::time::{Duration, Instant};

use redis::{Cmd, Pipeline, Value, cmd};
use tasktonic_core::routing::PartitionId;
use tasktonic_core::{Name, TaskId, UserId};
use tasktonic_protocol::stored::{QUEUE_IN_BYTES, queue_in};
use tasktonic_store::Result;

use crate::keys::Keys;
use crate::open::{items_of, text_of};
use crate::router::Router;
use crate::wire::StateHead;

/// After a call the pass rests this many times as long as the call took.
const REST: u32 = 50;
/// The longest rest, in ms.
const REST_MS_MAX: u64 = 500;
/// Members read by one command.
pub(super) const CHUNK: usize = 200;
/// Bytes of a state that are looked at: its fixed beginning is shorter.
const STATE_BYTES: usize = 255;

/// Reads one partition.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    pub(super) router: &'a Router,
    pub(super) p: PartitionId,
    pub(super) keys: &'a Keys,
    /// Whether to rest between calls.
    pub(super) paced: bool,
}

/// What is looked at of a task.
#[derive(Debug, Clone)]
pub(super) struct Glance {
    /// Whether it has a descriptor.
    pub(super) exists: bool,
    /// Its queue, where the descriptor says so.
    pub(super) queue: Option<Name>,
    /// Its state; absent where nothing can be made of it.
    pub(super) head: Option<StateHead>,
    /// Bytes of its descriptor and of its state.
    pub(super) bytes: (u64, u64),
}

impl Reader<'_> {
    /// Asks, and rests.
    pub(super) async fn ask(&self, commands: &Pipeline) -> Result<Vec<Value>> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        let since = Instant::now();
        let replies = self.router.read(self.p, commands).await?;
        self.rest(since).await;
        Ok(replies)
    }

    /// Rests after a call that was begun at `since`.
    pub(super) async fn rest(&self, since: Instant) {
        if self.paced {
            let rest = since.elapsed() * REST;
            tokio::time::sleep(rest.min(Duration::from_millis(REST_MS_MAX))).await;
        }
    }

    /// Asks one thing.
    pub(super) async fn one(&self, command: &Cmd) -> Result<Value> {
        let mut commands = Pipeline::new();
        commands.add_command(command.clone());
        Ok(self.ask(&commands).await?.pop().unwrap_or_default())
    }

    /// The next chunk of a scan (`SSCAN`, `ZSCAN`, `HSCAN`), and where it goes on; 0 at its end.
    /// Scores and values stand between the members.
    pub(super) async fn scan(
        &self,
        verb: &str,
        key: &str,
        cursor: &str,
    ) -> Result<(String, Vec<String>)> {
        let reply = self.one(cmd(verb).arg(key).arg(cursor).arg("COUNT").arg(CHUNK)).await?;
        let parts = items_of(&reply);
        let next = parts.first().map(text_of).unwrap_or_else(|| "0".to_owned());
        let members = parts.get(1).map(items_of).unwrap_or_default();
        Ok((next, members.iter().map(text_of).collect()))
    }

    /// Looks at tasks, in order.
    pub(super) async fn glance(&self, tasks: &[(UserId, TaskId)]) -> Result<Vec<Glance>> {
        let mut glances = Vec::with_capacity(tasks.len());
        for tasks in tasks.chunks(CHUNK) {
            let mut asked = Pipeline::new();
            for (user, task) in tasks {
                let state = self.keys.state(user, *task);
                asked.add_command(cmd("GETRANGE").arg(&state).arg(0).arg(STATE_BYTES).clone());
                let descriptor = self.keys.descriptor(user, *task);
                asked.add_command(
                    cmd("GETRANGE").arg(&descriptor).arg(0).arg(QUEUE_IN_BYTES).clone(),
                );
                asked.add_command(cmd("STRLEN").arg(descriptor).clone());
                asked.add_command(cmd("STRLEN").arg(state).clone());
            }
            let replies = self.ask(&asked).await?;
            glances.extend(replies.chunks_exact(4).map(|of| {
                let (state, descriptor) = (text_of(&of[0]), text_of(&of[1]));
                let bytes = |at: usize| text_of(&of[at]).parse().unwrap_or(0);
                let written = !state.is_empty();
                Glance {
                    exists: !descriptor.is_empty(),
                    queue: queue_in(&descriptor),
                    head: StateHead::of(written.then_some(&state)),
                    bytes: (bytes(2), bytes(3)),
                }
            }));
        }
        Ok(glances)
    }
}

/// `user,task` and what follows.
pub(super) fn member(text: &str) -> Option<(UserId, TaskId, Vec<&str>)> {
    let mut parts = text.split(',');
    let user = parts.next()?.parse().ok()?;
    let task = parts.next()?.parse().ok()?;
    Some((user, task, parts.collect()))
}

/// What an entry of a lane stands for, without what may follow.
pub(super) fn stem(entry: &str) -> &str {
    let end = entry.match_indices(':').nth(2).map_or(entry.len(), |(at, _)| at);
    &entry[..end]
}
