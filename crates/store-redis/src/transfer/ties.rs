//! Ties of a task that is read in. Never reads anything.

use redis::{Cmd, cmd};
use tasktonic_core::{Links, Name, TaskId, UserId};

use crate::keys::Keys;

/// Lists a task as one with ties, and as a part of its flow.
pub(super) fn list(keys: &Keys, user: &UserId, task: TaskId, links: &Links, to: &mut Vec<Cmd>) {
    if let Some(part) = links.part {
        let name = keys.parts(user, part.of);
        to.push(cmd("ZADD").arg(name).arg(0).arg(task.to_string()).clone());
    }
    to.push(cmd("SADD").arg(keys.nodes()).arg(format!("{user},{task}")).clone());
    to.push(cmd("HINCRBY").arg(keys.meta()).arg("fl").arg(1).clone());
}

/// Keeps the ties of a task whose queue is known. Who waits for one that is over may not have been
/// told; to be told twice does no harm.
pub(super) fn keep(
    keys: &Keys,
    (user, task, queue): (&UserId, TaskId, &Name),
    links: &Links,
    over: bool,
    to: &mut Vec<Cmd>,
) {
    to.push(cmd("SET").arg(keys.links(user, task)).arg(format!("{queue}|{links}")).clone());
    if !over {
        return;
    }
    let mut leads = vec![format!("{user},{task}")];
    if links.gather.is_some() {
        leads.push(format!("{user},{task},{}", TaskId::from_bytes([0; 12])));
    }
    to.push(cmd("RPUSH").arg(keys.leads()).arg(&leads).clone());
    to.push(cmd("HINCRBY").arg(keys.meta()).arg("ld").arg(leads.len()).clone());
}
