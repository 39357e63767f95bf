//! What must hold of a partition, compared with what lies in Redis.

use std::collections::{BTreeMap, BTreeSet};

use tasktonic_core::gate::{Facts as GateFacts, Gate, user_gate};
use tasktonic_core::schedule::Schedule;
use tasktonic_core::settings::{QueueSettings, UserSettings, rate};
use tasktonic_core::{Name, Priority, TaskId, TaskState, UserId};

use tasktonic_store::filter::{entry_of, error_of};

use super::print::is_queued;
use super::{Facts, Kept, Personal, due, entry, keys};
use crate::store::LISTED;
use crate::wire::{StateHead, Tally};

/// Checked: each task is in exactly the one structure that its state names, and no structure names
/// another; a lane that is not empty is in its ring exactly once or set aside; the numbers kept of lanes, cancel
/// marks and sweep lists are those of the facts, and what is counted of users is what they have; the index names the tasks;
/// a key is kept until its date, and not for ever.
pub(super) fn check(facts: &Facts, now_ms: i64) -> Vec<String> {
    let mut wrong = Vec::new();
    for name in &facts.strange {
        wrong.push(format!("a key of no sort of ours: {name}"));
    }
    for (user, personal) in &facts.users {
        tasks(facts, user, personal, &mut wrong);
        lanes(facts, user, personal, &mut wrong);
        lines(user, personal, &mut wrong);
        counts(user, personal, &mut wrong);
        index(user, personal, &mut wrong);
        wrong.extend(keys::check(user, personal, now_ms));
    }
    links(facts, &mut wrong);
    rings(facts, &mut wrong);
    references(facts, &mut wrong);
    schedules(facts, &mut wrong);
    wrong
}

/// The index names the tasks, and those of each state that has a list are in it. An entry that says
/// more than the id says what is so.
fn index(user: &UserId, personal: &Personal, wrong: &mut Vec<String>) {
    let mut compare = |what: &str,
                       are: &[(TaskId, Option<String>)],
                       should: Vec<(TaskId, String)>| {
        let agree = |((a, said), (b, truth)): (&(TaskId, Option<String>), &(TaskId, String))| {
            a == b && said.as_ref().is_none_or(|said| said == truth)
        };
        if are.len() != should.len() || !are.iter().zip(&should).all(agree) {
            wrong.push(format!("{what} of {user} names {are:?}, not {should:?}"));
        }
    };
    let called = |(task, kept): (&TaskId, &Kept)| {
        (*task, entry_of(kept.descriptor.as_deref().unwrap_or_default()).unwrap_or_default())
    };
    compare("the index", &personal.index, of(personal).map(called).collect());
    for state in LISTED {
        let is_in = |kept: &Kept| {
            StateHead::of(kept.state.as_deref()).is_some_and(|head| head.state == *state)
        };
        let error = |kept: &Kept| kept.state.as_deref().and_then(error_of).unwrap_or_default();
        let should = of(personal).filter(|(_, kept)| is_in(kept));
        let should = should.map(|(task, kept)| (*task, error(kept))).collect();
        let are = personal.listed.get(state.name()).map(Vec::as_slice).unwrap_or_default();
        compare(&format!("the list of what is {}", state.name()), are, should);
    }
}

fn starts(member: &str, user: &UserId, task: TaskId) -> bool {
    member.starts_with(&format!("{user},{task},"))
}

fn of(personal: &Personal) -> impl Iterator<Item = (&TaskId, &Kept)> {
    personal.tasks.iter().filter(|(_, kept)| kept.descriptor.is_some())
}

fn find<'a>(facts: &'a Facts, user: &UserId, task: &TaskId) -> Option<&'a Kept> {
    facts.users.get(user)?.tasks.get(task).filter(|kept| kept.descriptor.is_some())
}

fn tasks(facts: &Facts, user: &UserId, personal: &Personal, wrong: &mut Vec<String>) {
    for (task, kept) in &personal.tasks {
        if kept.descriptor.is_none() {
            wrong.push(format!("{user} {task} has texts and no descriptor"));
            continue;
        }
        let Some(head) = StateHead::of(kept.state.as_deref()) else {
            wrong.push(format!("{user} {task} has a state that is none"));
            continue;
        };
        let claim = head.claim;
        if let Some(expiry) = head.expires {
            let listed = facts.unstarted.iter().find(|(m, _)| starts(m, user, *task));
            let waits =
                matches!(head.state, TaskState::Scheduled | TaskState::Waiting | TaskState::Queued);
            if !waits || listed.is_none_or(|(_, at)| *at != expiry.at_ms) {
                wrong.push(format!("{user} {task} expires and is listed as {listed:?}"));
            }
        }
        let leases =
            facts.leases.iter().filter(|(_, l)| l.user == *user && l.task == *task).count();
        let due = facts.due.iter().filter_map(|(_, member)| due(member));
        let due = due.filter(|(of, id, _, under)| of == user && id == task && *under == claim);
        // Whoever waits does so in the list of its priority.
        let lists = personal.lanes.values().flatten();
        let lists =
            lists.filter(|(of, _)| head.state != TaskState::Queued || **of == head.priority);
        let entries = lists.flat_map(|(_, list)| list).filter_map(|text| entry(text));
        let lanes = entries.filter(|(id, _, of)| id == task && *of == claim).count();
        let ended = format!("{user},{task},{claim},");
        let swept =
            facts.sweeps.values().flatten().filter(|entry| entry.starts_with(&ended)).count();
        let places = (leases, due.count(), lanes, swept);
        let turn = personal.turn(task);
        let stands_in_line = head.serial.is_some() && turn == Some(false);
        let right = match head.state {
            // A lane entry of a claim is there no more.
            TaskState::Running => matches!(places, (1, 0, 0, 0)),
            TaskState::Scheduled => matches!(places, (0, 1, 0, 0)),
            TaskState::Queued if stands_in_line => matches!(places, (0, 0, 0, 0)),
            TaskState::Queued => matches!(places, (0, 0, 1, 0)),
            TaskState::Waiting => matches!(places, (0, 0, _, 0)),
            // One that was cancelled while it was queued leaves a dead reference.
            _ => matches!(places, (0, 0, _, 1)),
        };
        let right_turn = match head.state {
            _ if head.serial.is_none() => turn.is_none(),
            TaskState::Running => turn == Some(true),
            TaskState::Queued => turn.is_some(),
            TaskState::Scheduled => turn != Some(false),
            _ => turn.is_none(),
        };
        if !right_turn {
            wrong.push(format!("{user} {task} is {} and in line {turn:?}", head.state.name()));
        }
        if !right {
            let state = head.state.name();
            wrong.push(format!(
                "{user} {task} is {state} and has (leases, due, lanes, sweeps) {places:?}"
            ));
        }
    }
}

/// What is counted is what there is; nothing is kept of a user who has no tasks and no limit.
fn counts(user: &UserId, personal: &Personal, wrong: &mut Vec<String>) {
    let mut tally = Tally::default();
    for (_, kept) in of(personal) {
        let bytes = |text: Option<&str>| text.map_or(0, str::len) as u64;
        let head = StateHead::of(kept.state.as_deref());
        tally.count(head.as_ref(), bytes(kept.descriptor.as_deref()), bytes(kept.state.as_deref()));
    }
    let is_right = match &personal.tally {
        Some(kept) => Tally::of(kept).is_some_and(|kept| {
            let is_needed = kept.bytes_max.is_some() || tally.tasks.iter().any(|count| *count > 0);
            is_needed && Tally { bytes_max: None, ..kept } == tally
        }),
        None => tally == Tally::default(),
    };
    if !is_right {
        wrong.push(format!("{user} counts {:?}, has {tally}", personal.tally));
    }
}

/// Every line has one holder, in front, and names tasks of its key.
fn lines(user: &UserId, personal: &Personal, wrong: &mut Vec<String>) {
    for (key, line) in &personal.lines {
        let holders: Vec<_> = line.iter().map(|one| one.holds).collect();
        let is_led = holders.iter().position(|holds| *holds) == Some(0);
        if !is_led || holders.iter().filter(|holds| **holds).count() != 1 {
            wrong.push(format!("line {key} of {user} has holders {holders:?}"));
        }
        for one in line {
            let kept = personal.tasks.get(&one.task).filter(|kept| kept.descriptor.is_some());
            let of = kept.and_then(|kept| StateHead::of(kept.state.as_deref())?.serial);
            if of.map(|of| format!("{of:032x}")).as_ref() != Some(key) {
                wrong.push(format!("line {key} of {user} names {}, which has {of:?}", one.task));
            }
        }
    }
}

fn lanes(facts: &Facts, user: &UserId, personal: &Personal, wrong: &mut Vec<String>) {
    let mut waits_by_queue: BTreeMap<Name, (usize, usize)> = BTreeMap::new();
    for (queue, lane) in &personal.lanes {
        let turns = facts.rings.get(queue).into_iter().flatten().filter(|u| *u == user).count();
        let full = facts.full.get(queue).is_some_and(|users| users.contains(user));
        let places = turns + usize::from(full) + usize::from(personal.aside.contains(queue));
        if places != 1 {
            wrong.push(format!("lane {queue} {user}: {lane:?}, {places} places"));
        }
        let said = facts.meta.get("pr").map(String::as_str).unwrap_or_default();
        let is_said = said == "*" || said.split(' ').any(|one| one == queue.as_str());
        if !is_said && lane.keys().any(|priority| *priority != Priority::Normal) {
            wrong.push(format!("lane {queue} {user} has priorities, meta says {said:?}"));
        }
        let is_live = |text: &&String| {
            entry(text).is_some_and(|(task, _, claim)| {
                personal.tasks.get(&task).is_some_and(|kept| is_queued(kept, claim))
            })
        };
        let entries = || lane.values().flatten();
        let dead = entries().count() - entries().filter(is_live).count();
        waits_by_queue.entry(queue.clone()).or_default().0 = dead;
    }
    for (_, member) in &facts.due {
        if let Some((of, _, queue, _)) = due(member)
            && of == *user
        {
            waits_by_queue.entry(queue).or_default().1 += 1;
        }
    }
    for (_, kept) in of(personal) {
        let waits = StateHead::of(kept.state.as_deref()).is_some_and(|h| h.pending.is_some());
        let queue = kept.descriptor.as_deref().and_then(tasktonic_protocol::stored::queue_in);
        if let Some(queue) = queue.filter(|_| waits) {
            waits_by_queue.entry(queue).or_default().1 += 1;
        }
    }
    for one in personal.lines.values().flatten().filter(|one| !one.holds) {
        waits_by_queue.entry(one.queue.clone()).or_default().1 += 1;
    }
    for queue in facts.meta.keys().filter_map(|field| field.strip_prefix("x:")?.rsplit_once(':')) {
        if queue.1 == user.as_str()
            && let Ok(queue) = queue.0.parse()
        {
            waits_by_queue.entry(queue).or_default();
        }
    }
    for (queue, facts_of) in waits_by_queue {
        let said = facts.meta.get(&format!("x:{queue}:{user}"));
        let kept = said.map_or(Some((0, 0, 0)), |said| numbers(said));
        let needless = said.is_some() && kept == Some((0, 0, 0));
        if needless || kept.map(|(dead, scheduled, _)| (dead, scheduled)) != Some(facts_of) {
            wrong.push(format!(
                "lane {queue} {user} has {facts_of:?} dead and scheduled, meta says {said:?}"
            ));
        }
    }
}

/// The numbers kept of a lane: dead references, what is scheduled, and turns that have passed over its
/// low tasks.
fn numbers(text: &str) -> Option<(usize, usize, u32)> {
    let mut parts = text.split(',');
    let (dead, scheduled) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    Some((dead, scheduled, parts.next().map_or(Ok(0), str::parse).ok()?))
}

/// Ties are of tasks that are there and are counted; a task that waits waits for something, that has
/// not ended or is about to be told; what has ended is counted in its flow, or about to be.
fn links(facts: &Facts, wrong: &mut Vec<String>) {
    let mut tied = BTreeSet::new();
    for (user, personal) in &facts.users {
        let state = |task: &TaskId| {
            let kept = personal.tasks.get(task).filter(|kept| kept.descriptor.is_some())?;
            StateHead::of(kept.state.as_deref())
        };
        let ended = |task: &TaskId| state(task).is_none_or(|head| head.state.is_terminal());
        let in_line = |task: &TaskId| {
            facts
                .leads
                .iter()
                .any(|lead| format!("{lead},").starts_with(&format!("{user},{task},")))
        };
        let gathers = |task: &TaskId| {
            let kept = personal.tasks.get(task);
            kept.and_then(|kept| kept.links.as_ref()).and_then(|links| links.gather)
        };
        for (task, kept) in &personal.tasks {
            let waits = state(task).and_then(|head| head.pending);
            let Some(links) = &kept.links else {
                if waits.is_some() {
                    wrong.push(format!("{user} {task} waits for nothing"));
                }
                continue;
            };
            tied.insert(format!("{user},{task}"));
            if let Some(pending) = waits
                && (pending != links.pending() || pending == 0)
            {
                wrong.push(format!("{user} {task} waits for {pending} ends, its ties: {links}"));
            }
            for up in links.up.iter().filter(|up| !up.told && waits.is_some()) {
                if ended(&up.task) && !in_line(&up.task) {
                    wrong.push(format!("{user} {task} was not told of {}", up.task));
                }
            }
            if let Some(part) = links.part
                && gathers(&part.of).is_some()
            {
                if part.counted.is_none() && ended(task) && !in_line(task) {
                    wrong.push(format!("{user} {task} has ended and is not counted"));
                }
                if !personal.parts.get(&part.of).is_some_and(|parts| parts.contains(task)) {
                    wrong.push(format!("{user} {task} is not listed as a part of {}", part.of));
                }
            }
        }
        for (flow, parts) in &personal.parts {
            for part in parts.iter().filter(|_| gathers(flow).is_some()) {
                let links = personal.tasks.get(part).and_then(|kept| kept.links.as_ref());
                if links.is_none_or(|links| links.part.is_none_or(|part| part.of != *flow)) {
                    wrong.push(format!("{user} {part} is listed as a part of {flow}, and is none"));
                }
            }
        }
    }
    let (nodes, leads): (usize, usize) = (facts.meta_number("fl"), facts.meta_number("ld"));
    if tied != facts.nodes || nodes != tied.len() {
        let listed = facts.nodes.len();
        wrong.push(format!("{} tasks have ties, {listed} are listed, {nodes} counted", tied.len()));
    }
    if leads != facts.leads.len() {
        wrong.push(format!("{} ends are to be told, {leads} counted", facts.leads.len()));
    }
}

/// Schedules that do not rest are listed by their next tick, and the first time is announced.
fn schedules(facts: &Facts, wrong: &mut Vec<String>) {
    let mut ticks = BTreeMap::new();
    for (user, personal) in &facts.users {
        for (name, kept) in &personal.schedules {
            match kept.parse::<Schedule>() {
                Ok(Schedule { next_ms: Some(next_ms), .. }) => {
                    ticks.insert(format!("{user},{name}"), next_ms);
                }
                Ok(_) => {}
                Err(error) => wrong.push(format!("schedule {user} {name}: {error}")),
            }
        }
    }
    if ticks != facts.schedules {
        wrong.push(format!("schedules listed are {:?}, not {ticks:?}", facts.schedules));
    }
    let (first, said) = (ticks.values().min().map(i64::to_string), facts.meta.get("sc"));
    if said != first.as_ref() {
        wrong.push(format!("the first schedule comes at {first:?}, meta says {said:?}"));
    }
}

/// Users in a queue whom what is set of them limits.
fn limited(of: &BTreeMap<UserId, UserSettings>) -> usize {
    of.values().filter(|settings| settings.limits_starts()).count()
}

/// What decides about a user in a queue, but for pauses of all their work.
fn gate_facts(facts: &Facts, queue: &Name, user: &UserId) -> GateFacts {
    let of = |users: &BTreeMap<UserId, UserSettings>| users.get(user).copied();
    let of_queue = facts.queues().get(queue).map(|(_, set)| *set).unwrap_or_default();
    let of_user = facts.overrides.get(queue).and_then(of).unwrap_or_default();
    let full_us = facts.paces.get(queue).and_then(|of| of.get(user)).copied().unwrap_or(0);
    let is_paced = rate(&of_queue, &of_user).is_some();
    GateFacts {
        queue: of_queue,
        user: of_user,
        running: facts.running.get(queue).and_then(|of| of.get(user)).copied().unwrap_or(0),
        ..GateFacts::paced(is_paced, full_us, facts.meta_number("lt"))
    }
}

fn rings(facts: &Facts, wrong: &mut Vec<String>) {
    for (queue, users) in &facts.rings {
        let has_lane = |user: &&UserId| {
            facts.users.get(*user).is_some_and(|user| user.lanes.contains_key(queue))
        };
        for user in users.iter().filter(|user| !has_lane(user)) {
            wrong.push(format!("ring {queue} names {user}, who has no lane there"));
        }
    }
    for (user, personal) in &facts.users {
        for queue in &personal.aside {
            if !personal.lanes.contains_key(queue) || !facts.paused.contains_key(user) {
                wrong.push(format!("{user} is set aside in {queue} without a lane or a pause"));
            }
        }
    }
    for (queue, users) in &facts.full {
        for user in users {
            let has_lane = facts.users.get(user).is_some_and(|user| user.lanes.contains_key(queue));
            let looks = facts.throttled.contains_key(&format!("{queue},{user}"));
            let gate = user_gate(&gate_facts(facts, queue, user));
            let is_kept = looks || !matches!(gate, Gate::Open | Gate::Rate { .. });
            if !has_lane || !is_kept {
                wrong.push(format!("{user} is kept out of {queue} without a lane or a reason"));
            }
        }
    }
    for (queue, of) in &facts.credit {
        if !facts.overrides.contains_key(queue) {
            wrong.push(format!("queue {queue} has credit and nothing is set of its users"));
        }
        for user in of.keys() {
            if !facts.users.get(user).is_some_and(|user| user.lanes.contains_key(queue)) {
                wrong.push(format!("credit {queue} names {user}, who has no lane there"));
            }
        }
    }
    let queues = facts.queues();
    let said = |which: &dyn Fn(&(usize, QueueSettings)) -> bool| -> Vec<&Name> {
        queues.iter().filter(|(_, of)| which(of)).map(|(name, _)| name).collect()
    };
    let flagged: BTreeMap<&Name, usize> =
        queues.iter().map(|(name, (users, _))| (name, *users)).filter(|of| of.1 > 0).collect();
    let have = facts.overrides.iter().map(|(name, of)| (name, 1 + limited(of)));
    let have: BTreeMap<&Name, usize> = have.collect();
    if flagged != have {
        wrong.push(format!("meta says that users of {flagged:?} have settings, {have:?} have"));
    }
    let counted = |queue: &Name| {
        let of_queue = queues.get(queue).is_some_and(|(_, set)| set.running_max.is_some());
        of_queue || facts.overrides.get(queue).is_some_and(|of| limited(of) > 0)
    };
    let mut running: BTreeMap<Name, BTreeMap<UserId, u32>> = BTreeMap::new();
    for (_, lease) in facts.leases.iter().filter(|(_, lease)| counted(&lease.queue)) {
        let of = running.entry(lease.queue.clone()).or_default();
        *of.entry(lease.user.clone()).or_default() += 1;
    }
    for queue in facts.paces.keys() {
        let of_queue = queues.get(queue).is_some_and(|(_, set)| set.rate.is_some());
        if !of_queue && facts.overrides.get(queue).is_none_or(|of| limited(of) == 0) {
            wrong.push(format!("what started in {queue} is kept, and nothing limits it"));
        }
    }
    super::times::check(facts, wrong);
    let looks = (facts.throttled.len(), facts.meta_number::<usize>("th"));
    if looks.0 != looks.1 {
        wrong.push(format!("(lanes looked at again, counted) are {looks:?}"));
    }
    if running != facts.running {
        wrong.push(format!("(running, counted) are {:?}", (running, &facts.running)));
    }
    let fields = facts.meta.keys().filter(|field| field.starts_with("q:")).count();
    if fields != queues.len() || queues.values().any(|of| *of == Default::default()) {
        wrong.push("meta has a field of a queue that says nothing".to_owned());
    }
    let set: Vec<_> =
        said(&|(_, set)| !set.is_default()).iter().map(|name| name.as_str()).collect();
    let listed = facts.meta.get("queues").map(String::as_str).unwrap_or_default();
    if set.join(" ") != listed {
        wrong.push(format!("meta lists {listed:?} as queues with settings, {set:?} have"));
    }
    let may_close = |set: &QueueSettings| {
        set.paused || set.running_total_max.is_some() || set.rate_total.is_some()
    };
    wrong.extend(facts.unlimited(&queues));
    let closed = (said(&|(_, set)| may_close(set)).len(), facts.meta_number::<usize>("closed"));
    if closed.0 != closed.1 {
        wrong.push(format!("(queues that may be closed, counted) are {closed:?}"));
    }
    wrong.extend(facts.miscounted(&queues));
    let paused = (facts.paused.len(), facts.meta_number::<usize>("paused"));
    if paused.0 != paused.1 {
        wrong.push(format!("(paused users, counted) are {paused:?}"));
    }
}

fn references(facts: &Facts, wrong: &mut Vec<String>) {
    for (_, lease) in &facts.leases {
        let held = find(facts, &lease.user, &lease.task)
            .and_then(|kept| StateHead::of(kept.state.as_deref()))
            .is_some_and(|head| head.state == TaskState::Running);
        if !held {
            wrong.push(format!("lease {lease} is of a task that does not run"));
        }
    }
    for (at, member) in &facts.due {
        let of = (|| {
            let (user, task, ..) = due(member)?;
            StateHead::of(find(facts, &user, &task)?.state.as_deref())
        })();
        if of.is_none_or(|head| head.due_ms != Some(*at)) {
            wrong.push(format!("due member {member} at {at} is of no task scheduled then"));
        }
    }
    let expiring = facts.users.values().flat_map(of).filter(|(_, kept)| {
        StateHead::of(kept.state.as_deref()).is_some_and(|head| head.expires.is_some())
    });
    let counts = (expiring.count(), facts.unstarted.len(), facts.meta_number::<usize>("ex"));
    if counts.0 != counts.1 || counts.1 != counts.2 {
        wrong.push(format!("(tasks that expire, listed, counted) are {counts:?}"));
    }
    for mark in &facts.cancels {
        let is_held = facts.leases.iter().any(|(_, l)| format!("{},{}", l.user, l.task) == *mark);
        if !is_held {
            wrong.push(format!("cancel mark {mark} is of no lease"));
        }
    }
    let marks: usize = facts.meta_number("cx");
    if marks != facts.cancels.len() {
        wrong.push(format!("meta counts {marks} cancel marks, there are {}", facts.cancels.len()));
    }
    let said = facts.meta.get("keeps").map(String::as_str).unwrap_or_default();
    for keep in facts.sweeps.keys() {
        if !said.split(' ').any(|word| word == keep.to_string()) {
            wrong.push(format!("sweep list {keep} is not among those in use: {said}"));
        }
    }
}
