//! flow: accept tasks that wait for each other, all or none; and seal a batch.
//!
//! moves: nothing -> waiting, nothing -> queued, nothing -> scheduled; see also `links`

use std::collections::{BTreeMap, HashMap};

use super::Partition;
use super::links::Lead;
use super::step::{StateText, Step};
use super::submit::{End, bytes_of};
use crate::changes::{Place, Record, Serial, TaskControl};
use crate::command::{After, Gathers, NewSerial, NewTask, Node};
use crate::ids::{Name, TaskId, UserId};
use crate::limits::{LINKS_MAX, PARTS_MAX};
use crate::links::{Gather, Links, Part, Up};
use crate::reply::{Controlled, Refusal};
use crate::settings::waiting_max;
use crate::transitions::TaskState;

impl Partition {
    pub(super) fn flow(
        &mut self,
        step: &mut Step,
        at_ms: i64,
        user: &UserId,
        nodes: Vec<Node>,
    ) -> Vec<Controlled> {
        let known = |node: &Node| self.task(user, &node.new.task).is_some();
        if nodes.iter().all(known) {
            // The same call once more.
            return vec![Controlled::Done; nodes.len()];
        }
        let refusals = self.judge(user, &nodes);
        if refusals.iter().any(Option::is_some) {
            let said = |why: Option<Refusal>| Controlled::Refused(why.unwrap_or(Refusal::Withheld));
            return refusals.into_iter().map(said).collect();
        }
        let count = nodes.len();
        // Older tasks whose ties change, in the order in which they are met.
        let mut touched: Vec<TaskId> = Vec::new();
        for node in &nodes {
            let task = node.new.task;
            let up =
                |after: &After| Up { task: after.task, on_failure: after.on_failure, told: false };
            let gather = node.gathers.map(|gathers| match gathers {
                Gathers::Flow => Gather { grows: true, sealed: true, ..Gather::default() },
                Gathers::Batch { runs } => Gather { runs, ..Gather::default() },
            });
            let part = node.part_of.map(|of| Part { of, counted: None });
            let links =
                Links { part, gather, up: node.after.iter().map(up).collect(), down: Vec::new() };
            self.user(user).links.insert(task, links);
            if let Some(of) = node.part_of {
                self.user(user).parts.entry(of).or_default().insert(task);
                let gather = self.links_mut(user, of).and_then(|links| links.gather.as_mut());
                gather.expect("judged above").total += 1;
                touch(&mut touched, of);
            }
            for after in &node.after {
                self.user(user).links.entry(after.task).or_default().down.push(task);
                touch(&mut touched, after.task);
            }
        }
        let new: HashMap<TaskId, usize> =
            nodes.iter().enumerate().map(|(at, node)| (node.new.task, at)).collect();
        touched.retain(|task| !new.contains_key(task));
        let mut ringed = Vec::new();
        for node in nodes {
            self.accept_node(step, at_ms, user, node, &mut ringed);
        }
        for task in touched {
            self.keep_links(step, user, task);
            if self.state_of(user, &task).is_some_and(TaskState::is_terminal) {
                let user = user.clone();
                self.leads.push_back(Lead { user, task, parts_after: None });
            } else if self.links(user, &task).is_some_and(|links| links.gather.is_some()) {
                self.gathered(step, user, task, &mut ringed);
            }
        }
        self.wake_for(step, ringed);
        vec![Controlled::Done; count]
    }

    /// Why each task cannot be accepted, in order.
    fn judge(&self, user: &UserId, nodes: &[Node]) -> Vec<Option<Refusal>> {
        let mut new: HashMap<TaskId, &Node> = HashMap::new();
        let mut lanes: BTreeMap<Name, u32> = BTreeMap::new();
        let (mut downs, mut parts) = (HashMap::new(), HashMap::new());
        let mut more = 0;
        let mut judge = |node: &Node, new: &HashMap<TaskId, &Node>| {
            let task = node.new.task;
            if self.task(user, &task).is_some() || new.contains_key(&task) {
                return Some(Refusal::Exists);
            }
            if let Some(of) = node.part_of {
                match new.get(&of) {
                    Some(flow) if flow.gathers.is_some() => {}
                    Some(_) => return Some(Refusal::NoFlow),
                    None => {
                        let gather = self.links(user, &of).and_then(|links| links.gather);
                        let Some(gather) = gather else { return Some(Refusal::NoFlow) };
                        let more = parts.entry(of).or_insert(0_u32);
                        *more += 1;
                        let waits = self.state_of(user, &of) == Some(TaskState::Waiting);
                        let takes = waits && (gather.grows || !gather.sealed);
                        if !takes || gather.total + *more > PARTS_MAX {
                            return Some(Refusal::Closed);
                        }
                    }
                }
            }
            for after in &node.after {
                let (flow, count) = match new.get(&after.task) {
                    Some(older) => (older.part_of, 0),
                    None if self.task(user, &after.task).is_none() => return Some(Refusal::NoTask),
                    None => self.links(user, &after.task).map_or((None, 0), |links| {
                        (links.part.map(|part| part.of), links.down.len())
                    }),
                };
                // What a flow waits for must not wait for the flow, nor for who waits for it.
                if node.part_of.is_some() && flow != node.part_of {
                    return Some(Refusal::Outside);
                }
                let down = downs.entry(after.task).or_insert(count);
                *down += 1;
                if *down > LINKS_MAX {
                    return Some(Refusal::LinksFull);
                }
            }
            let queue = &node.new.queue;
            let waiting = self.users.get(user).and_then(|user| user.waiting.get(queue));
            let lane = lanes.entry(queue.clone()).or_insert(waiting.copied().unwrap_or(0));
            *lane += 1;
            let facts = self.facts_at(queue, user, self.lt);
            let most = waiting_max(&facts.queue, &facts.user, node.new.lane_max);
            if *lane > most {
                return Some(Refusal::LaneFull);
            }
            more += u64::from(bytes_of(&node.new.descriptor));
            let fits = self.has_room(user, self.bytes(user), more, node.new.bytes_max);
            (!fits).then_some(Refusal::BytesFull)
        };
        let mut said = Vec::with_capacity(nodes.len());
        for node in nodes {
            said.push(judge(node, &new));
            new.insert(node.new.task, node);
        }
        said
    }

    fn accept_node(
        &mut self,
        step: &mut Step,
        at_ms: i64,
        user: &UserId,
        node: Node,
        ringed: &mut Vec<Name>,
    ) {
        let NewTask { task, queue, priority, due_ms, descriptor, event, expires, .. } = node.new;
        let asked = node.new.serial;
        let bytes = bytes_of(&descriptor);
        step.record(Record::Descriptor { user: user.clone(), task, text: descriptor });
        let links = self.links(user, &task).expect("put there before");
        let (pending, gather) = (links.pending(), links.gather);
        if *links == Links::default() {
            self.user(user).links.remove(&task);
        } else {
            self.keep_links(step, user, task);
        }
        let place = match due_ms.filter(|due_ms| *due_ms > step.now_ms) {
            _ if pending > 0 => Place::Waiting { pending },
            Some(due_ms) => Place::Scheduled { due_ms },
            None => Place::Queued { position: 0 },
        };
        let expires = expires.map(Box::new);
        let serial = asked.map(|NewSerial { key, .. }| Box::new(Serial { key, holds: false }));
        let mut control =
            TaskControl { expires, serial, priority, bytes, ..TaskControl::new(queue, place) };
        let queue = control.queue.clone();
        self.put(user, task, control.clone());
        match control.place {
            Place::Scheduled { due_ms } => {
                self.due.insert((due_ms, user.clone(), task));
            }
            Place::Queued { .. } if control.serial.is_some() => {
                control = self.enter_line(step, user, task, End::Back);
            }
            Place::Queued { .. } => {
                control = self.enter_lane(user, task, End::Back, ringed, queue);
            }
            _ => {}
        }
        let body = gather.map(|gather| gather.body()).unwrap_or_default();
        let told = match (event.is_empty(), body.is_empty()) {
            (false, false) => format!("{event},{body}").into(),
            (true, _) => body.as_str().into(),
            (_, true) => event,
        };
        let state = StateText { at_ms, body: &body, event: Some(&told), logged: true };
        if matches!(control.place, Place::Queued { .. }) && control.is_plain() {
            let told = StateText { body: &told, event: None, ..state };
            step.event(user, &told.event_only(task, &control));
            step.record(Record::Task { user: user.clone(), task, control, text: None });
        } else {
            step.write(user, task, &control, &state);
        }
        if let Some(NewSerial { key, stops_running: true }) = asked {
            self.stop_holder(step, at_ms, user, key);
        }
    }

    pub(super) fn seal(&mut self, step: &mut Step, user: &UserId, task: TaskId) -> Controlled {
        let Some(state) = self.state_of(user, &task) else { return Controlled::Absent };
        let gather = self.links_mut(user, task).and_then(|links| links.gather.as_mut());
        match gather {
            Some(gather) if gather.sealed && !gather.grows => Controlled::Done,
            Some(gather) if state == TaskState::Waiting && !gather.grows => {
                gather.sealed = true;
                self.keep_links(step, user, task);
                let mut ringed = Vec::new();
                self.gathered(step, user, task, &mut ringed);
                self.wake_for(step, ringed);
                Controlled::Done
            }
            _ => Controlled::Unfit(state),
        }
    }
}

fn touch(touched: &mut Vec<TaskId>, task: TaskId) {
    if !touched.contains(&task) {
        touched.push(task);
    }
}
