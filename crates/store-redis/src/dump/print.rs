//! The lines of `core`'s dump, from what lies in Redis.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use tasktonic_core::partition::{
    bytes_line, bytes_max_line, good_line, lane_line, pace_line, queue_lines, rest_line, runs_line,
    started_line, total_line, user_lines,
};
use tasktonic_core::transitions::STATES;
use tasktonic_core::{Name, Priority, TaskId, TaskState, UserId};
use tasktonic_protocol::stored::queue_in;
use tasktonic_store::model::dump_texts;

use super::{Facts, Kept, Personal, entry, keys};
use crate::wire::{StateHead, Tally};

pub(super) fn dump(facts: &Facts, now_ms: i64) -> String {
    let mut lines = BTreeSet::new();
    let epoch: u64 = facts.meta_number("epoch");
    for (user, personal) in &facts.users {
        counts(&mut lines, user, personal);
        for (task, kept) in tasks(personal) {
            lines.insert(task_line(facts, user, *task, kept));
            if let Some(links) = &kept.links {
                lines.insert(format!("links {user} {task} = {links}"));
            }
        }
        for (flow, parts) in personal.parts.iter().filter(|(_, parts)| !parts.is_empty()) {
            if personal.tasks.get(flow).is_some_and(|kept| kept.links.is_some()) {
                let ids: Vec<_> = parts.iter().map(TaskId::to_string).collect();
                lines.insert(format!("parts {user} {flow} = {}", ids.join(" ")));
            }
        }
        let lists = |(queue, lane)| std::iter::repeat(queue).zip(lane);
        let lists = personal.lanes.iter().flat_map(lists);
        for (queue, (priority, list)) in lists {
            let live = list.iter().filter_map(|text| entry(text)).filter(|(task, _, claim)| {
                personal.tasks.get(task).is_some_and(|kept| is_queued(kept, *claim))
            });
            let ids: Vec<_> = live.map(|(task, _, claim)| format!("{task}:{claim}")).collect();
            lines.extend(lane_line(queue, user, *priority, &ids));
        }
        for (key, line) in &personal.lines {
            let waiting = line.iter().filter(|one| !one.holds);
            let ids: Vec<_> = waiting.map(|one| one.task.to_string()).collect();
            if !ids.is_empty() {
                lines.insert(format!("line {key} {user} = {}", ids.join(" ")));
            }
        }
        lines.extend(keys::lines(user, personal, now_ms));
        for (name, kept) in &personal.schedules {
            lines.insert(format!("schedule {user} {name} = {kept}"));
        }
        if !personal.aside.is_empty() {
            let queues: Vec<_> = personal.aside.iter().map(Name::as_str).collect();
            lines.insert(format!("aside {user} = {}", queues.join(" ")));
        }
        if let Some((_, at)) = personal.newest.filter(|(of, _)| *of == epoch) {
            lines.insert(format!("seq {user} = {}", at + 1));
        }
    }
    for (queue, users) in facts.rings.iter().filter(|(_, users)| !users.is_empty()) {
        let users: Vec<_> = users.iter().map(UserId::as_str).collect();
        lines.insert(format!("ring {queue} = {}", users.join(" ")));
    }
    if !facts.leads.is_empty() {
        lines.insert(format!("leads = {}", facts.leads.join(" ")));
    }
    for (queue, of) in &facts.credit {
        for (user, number) in of {
            lines.insert(format!("credit {queue} {user} = {number}"));
        }
    }
    for (queue, users) in &facts.full {
        let users: Vec<_> = users.iter().map(UserId::as_str).collect();
        lines.insert(format!("full {queue} = {}", users.join(" ")));
    }
    for (queue, of) in &facts.running {
        lines.extend(of.iter().map(|(user, count)| runs_line(queue, user, *count)));
    }
    let lt_us = facts.meta_number::<i64>("lt") * 1_000;
    for (queue, of) in &facts.paces {
        // What is made up for says nothing any more.
        let ahead = of.iter().filter(|(_, full_us)| **full_us > lt_us);
        lines.extend(ahead.map(|(user, full_us)| pace_line(queue, user, *full_us)));
    }
    let ahead = facts.started().into_iter().filter(|(_, full_us)| *full_us > lt_us);
    lines.extend(ahead.map(|(queue, full_us)| started_line(&queue, full_us)));
    lines.extend(super::times::lines(facts));
    for (member, at) in &facts.throttled {
        let lane = member.split_once(',').and_then(|(queue, user)| {
            Some(good_line(&queue.parse().ok()?, &user.parse().ok()?, *at))
        });
        let queue = member.parse().ok().map(|queue| rest_line(&queue, *at));
        lines.insert(
            lane.or(queue).unwrap_or_else(|| format!("throttled {member:?}, which is no lane")),
        );
    }
    for (queue, (_, settings)) in facts.queues() {
        lines.extend(queue_lines(&queue, &settings));
    }
    lines.extend(facts.totals().iter().filter_map(|(queue, run)| total_line(queue, *run)));
    for (queue, of) in &facts.overrides {
        for (user, settings) in of {
            lines.extend(user_lines(queue, user, settings));
        }
    }
    lines.extend(facts.paused.iter().map(|(user, by)| format!("paused {user} by {by}")));
    match facts.meta_number::<u64>("queues_version") {
        0 => {}
        version => {
            lines.insert(format!("version of queues {version}"));
        }
    }
    let mut text = format!("epoch {epoch} lease time {}\n", facts.meta_number::<i64>("lt"));
    for line in lines {
        text.push_str(&line);
        text.push('\n');
    }
    for (user, personal) in &facts.users {
        for (task, kept) in tasks(personal) {
            text.push_str(&dump_texts(
                user,
                *task,
                kept.descriptor.as_deref().unwrap_or_default(),
                kept.state.as_deref(),
                kept.attempts.iter().map(|(number, text)| (*number, &**text)),
                kept.log.iter().map(|(number, text)| (*number, &**text)),
            ));
        }
    }
    text
}

fn tasks(personal: &Personal) -> impl Iterator<Item = (&TaskId, &Kept)> {
    personal.tasks.iter().filter(|(_, kept)| kept.descriptor.is_some())
}

pub(super) fn is_queued(kept: &Kept, claim: u32) -> bool {
    let head = StateHead::of(kept.state.as_deref());
    kept.descriptor.is_some()
        && head.is_some_and(|head| head.state == TaskState::Queued && head.claim == claim)
}

/// What is kept of them, which is what [`check`](super::check) compares with the tasks.
fn counts(lines: &mut BTreeSet<String>, user: &UserId, personal: &Personal) {
    let Some(tally) = personal.tally.as_deref().and_then(Tally::of) else { return };
    lines.extend(tally.bytes_max.map(|max| bytes_max_line(user, max)));
    if tally.bytes > 0 {
        lines.insert(bytes_line(user, tally.bytes));
    }
    for (state, count) in STATES.iter().zip(tally.tasks).filter(|(_, count)| *count > 0) {
        lines.insert(format!("count {user} {} = {count}", state.name()));
    }
}

/// The queue that a descriptor names.
fn queue(kept: &Kept) -> String {
    let text = kept.descriptor.as_deref().unwrap_or_default();
    queue_in(text).map_or_else(|| "?".into(), |queue| queue.to_string())
}

fn task_line(facts: &Facts, user: &UserId, task: TaskId, kept: &Kept) -> String {
    let Some(head) = StateHead::of(kept.state.as_deref()) else {
        return format!("task {user} {task} in no state of ours");
    };
    let StateHead { state, attempt, .. } = head.clone();
    let lease = facts.leases.iter().find(|(_, lease)| lease.user == *user && lease.task == task);
    let held = lease.filter(|_| state == TaskState::Running);
    // An adopted lease has the next claim number, and nothing has been written under it.
    let (claim, n) = match held {
        Some((_, lease)) if lease.claim != head.claim => (lease.claim, 0),
        _ => (head.claim, head.n),
    };
    let history = kept.attempts.last().map_or(0, |(number, _)| *number);
    let log = kept.log.last().map_or(0, |(number, _)| *number);
    let mut line = format!("task {user} {task} {} {}", queue(kept), state.name());
    // Writing to a String cannot fail.
    let _ = write!(line, " c{claim} n{n} a{attempt} history {history} log {log}");
    let _ = match state {
        TaskState::Scheduled => write!(line, " due {}", head.due_ms.unwrap_or_default()),
        TaskState::Waiting => write!(line, " for {}", head.pending.unwrap_or_default()),
        TaskState::Running => match held {
            Some((ends, lease)) => {
                let asked = facts.cancels.contains(&format!("{user},{task}"));
                let (worker, call) = (&lease.worker, lease.call);
                write!(line, " held by {worker}.{call} until {ends} asked {asked}")
            }
            None => write!(line, " held by nobody"),
        },
        state if state.is_terminal() => {
            let entry = format!("{user},{task},{claim},{}", head.at_ms);
            let keep = facts.sweeps.iter().find(|(_, list)| list.contains(&entry));
            match keep {
                Some((keep_s, _)) => write!(line, " at {} kept {keep_s}", head.at_ms),
                None => write!(line, " at {} kept by nothing", head.at_ms),
            }
        }
        _ => Ok(()),
    };
    if let Some(key) = head.serial {
        let holds = facts.users[user].turn(&task) == Some(true);
        let _ = write!(line, " serial {key:032x} holds {holds}");
    }
    if head.priority != Priority::Normal {
        let _ = write!(line, " {}", head.priority);
    }
    if let Some(expiry) = head.expires {
        let _ = write!(line, " expires {} kept {}", expiry.at_ms, expiry.keep_s);
    }
    line
}
