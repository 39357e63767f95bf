//! A partition from its kept records, after a restart.

use super::links::{FIRST, Lead};
use super::submit::End;
use super::{Ended, Entry, KeyOwner, Partition, User};
use crate::Text;
use crate::changes::{Place, Serial, TaskControl};
use crate::ids::{Name, TaskId, UserId};
use crate::lease_time::LeaseTime;
use crate::links::Links;
use crate::schedule::Schedule;
use crate::settings::{Pauses, QueueSettings, UserSettings};
use crate::transitions::TaskState;

/// A kept task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The owner.
    pub user: UserId,
    /// The task.
    pub task: TaskId,
    /// What was kept of it.
    pub control: TaskControl,
}

/// A kept idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The owner.
    pub user: UserId,
    /// The key.
    pub key: Text,
    /// The task that holds it.
    pub task: TaskId,
    /// Hash of the body submitted under it.
    pub body_hash: u128,
    /// Wall clock, ms.
    pub expires_ms: i64,
}

/// What is set of a user in a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InQueue {
    /// The queue.
    pub queue: Name,
    /// The user.
    pub user: UserId,
    /// What is set of them.
    pub settings: UserSettings,
}

/// The ties of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinksRow {
    /// The owner.
    pub user: UserId,
    /// The task.
    pub task: TaskId,
    /// All of them.
    pub links: Links,
}

/// A kept schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptSchedule {
    /// The owner.
    pub user: UserId,
    /// Its name.
    pub name: Name,
    /// What it is.
    pub schedule: Schedule,
}

/// All that is kept of a partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Records {
    /// Tasks, in any order.
    pub rows: Vec<Row>,
    /// Idempotency keys, in any order.
    pub keys: Vec<Key>,
    /// Ties of tasks, in any order.
    pub links: Vec<LinksRow>,
    /// Schedules, in any order.
    pub schedules: Vec<KeptSchedule>,
    /// What is set of users in queues, in any order.
    pub in_queues: Vec<InQueue>,
    /// What is set of queues, in any order.
    pub queues: Vec<(Name, QueueSettings)>,
    /// The version of that.
    pub queues_version: u64,
    /// Users whose work is paused, in any order, and by whom.
    pub paused: Vec<(UserId, Pauses)>,
    /// How many bytes the tasks of users may hold, where it is set, in any order.
    pub bytes_max: Vec<(UserId, u64)>,
    /// Lease time as it was last written down; absent if it never was.
    pub lease_time: Option<LeaseTime>,
}

impl Partition {
    /// The partition after a restart at `now_ms`, in a higher `epoch`, from its records in any
    /// order.
    ///
    /// Lanes keep their order; rings start with the lane whose head has waited longest, and lanes
    /// that were set aside are in them again until they are looked at. Workers of
    /// the former process are gone, so their leases are lost at once (a task that kills its process
    /// must use up attempts). To others a restart is a pause: lease time goes on from where it was
    /// kept, and the time without us counts as one step of it, so that live ones carry on and those
    /// of the dead end although we restart again and again. Where it was never kept they get a fresh
    /// lease. Who was idle is forgotten: workers park again.
    #[must_use]
    pub fn restore(epoch: u32, now_ms: i64, records: Records) -> Self {
        let Records {
            mut rows,
            keys,
            in_queues,
            queues,
            queues_version,
            paused,
            bytes_max,
            schedules,
            links,
            lease_time,
        } = records;
        let mut partition = Self::new(epoch);
        partition.resume_lease_time(now_ms, lease_time);
        rows.sort_by(|a, b| order(a).cmp(&order(b)));
        for Row { user, task, mut control } in rows {
            let serial = control.serial.as_deref().copied();
            if let Some(Serial { key, holds: true }) = serial {
                partition.user(&user).lines.entry(key).or_default().holder = Some(task);
            }
            match &mut control.place {
                Place::Scheduled { due_ms } => {
                    partition.due.insert((*due_ms, user.clone(), task));
                }
                Place::Waiting { .. } => {}
                Place::Queued { position } => {
                    partition.back = partition.back.max(*position + 1);
                    partition.front = partition.front.min(*position - 1);
                    if let Some(Serial { key, holds: false }) = serial {
                        let line = partition.user(&user).lines.entry(key).or_default();
                        line.waiting.insert((*position, task), ());
                        partition.put(&user, task, control);
                        continue;
                    }
                    let entry = Entry { task, claim: control.claim };
                    let lanes = &mut partition.user(&user).lanes;
                    let lane = lanes.entry(control.queue.clone()).or_default();
                    lane.push(control.priority, End::Back, entry);
                    if lane.len() == 1 {
                        partition.queue(&control.queue).ring.push_back(user.clone());
                    }
                }
                Place::Running { worker, deadline_lt, .. } => {
                    *deadline_lt = partition.resumed(worker, now_ms);
                    partition.leases.insert((*deadline_lt, user.clone(), task));
                    partition.queue(&control.queue).running += 1;
                }
                Place::Ended { at_ms, keep_s, .. } => {
                    let claim = control.claim;
                    let ended = Ended { user: user.clone(), task, claim, at_ms: *at_ms };
                    partition.sweeps.entry(*keep_s).or_default().push_back(ended);
                }
            }
            partition.put(&user, task, control);
        }
        for Key { user, key, task, body_hash, expires_ms } in keys {
            partition.expiring.insert((expires_ms, user.clone(), key.clone()));
            let owner = KeyOwner { task, body_hash, expires_ms };
            partition.user(&user).keys.insert(key, owner);
        }
        for InQueue { queue, user, settings } in in_queues {
            partition.queue(&queue).set_user(user, settings);
        }
        for LinksRow { user, task, links } in links {
            if partition.task(&user, &task).is_none() {
                continue;
            }
            let of = partition.user(&user);
            if let Some(part) = links.part {
                of.parts.entry(part.of).or_default().insert(task);
            }
            of.links.insert(task, links);
        }
        partition.find_leads();
        for KeptSchedule { user, name, schedule } in schedules {
            partition.keep_schedule(&user, name, Some(schedule));
        }
        for (queue, settings) in queues {
            partition.queue(&queue).settings = settings;
        }
        partition.queues_version = queues_version;
        partition.paused = paused.into_iter().collect();
        for (user, max) in bytes_max {
            partition.user(&user).bytes_max = Some(max);
        }
        partition
    }

    /// The records from which [`Partition::restore`] makes this partition again.
    #[must_use]
    pub fn records(&self) -> Records {
        let mut rows = Vec::new();
        for (user, known) in &self.users {
            for (task, control) in &known.tasks {
                let (user, control) = (user.clone(), control.clone());
                rows.push(Row { user, task: *task, control });
            }
        }
        Records {
            rows,
            keys: self.kept_keys(),
            links: self.kept_links(),
            schedules: self.kept_schedules(),
            in_queues: self.kept_in_queues(),
            queues: self.kept_queues(),
            queues_version: self.queues_version,
            paused: self.kept_pauses(),
            bytes_max: self.kept_bytes_max(),
            lease_time: self.kept_lt.clone(),
        }
    }

    /// The idempotency keys of all users, in no order.
    #[must_use]
    pub fn kept_keys(&self) -> Vec<Key> {
        let mut keys = Vec::new();
        for (user, known) in &self.users {
            for (key, owner) in &known.keys {
                let KeyOwner { task, body_hash, expires_ms } = *owner;
                let (user, key) = (user.clone(), key.clone());
                keys.push(Key { user, key, task, body_hash, expires_ms });
            }
        }
        keys
    }

    /// The ties of all tasks, in no order.
    #[must_use]
    pub fn kept_links(&self) -> Vec<LinksRow> {
        let mut rows = Vec::new();
        for (user, known) in &self.users {
            for (task, links) in &known.links {
                let (user, links) = (user.clone(), links.clone());
                rows.push(LinksRow { user, task: *task, links });
            }
        }
        rows
    }

    /// Puts the ends into the line that somebody has yet to be told of: the line itself is not kept.
    fn find_leads(&mut self) {
        let mut leads = Vec::new();
        for (user, known) in &self.users {
            for (task, links) in &known.links {
                let Some(state) = self.state_of(user, task).filter(|s| s.is_terminal()) else {
                    continue;
                };
                let lead = Lead { user: user.clone(), task: *task, parts_after: None };
                if untold(known, *task, links) {
                    leads.push(lead.clone());
                }
                let lives = |part: &TaskId| match known.tasks.get(part).map(|task| &task.place) {
                    Some(Place::Running { cancel_asked, .. }) => !cancel_asked,
                    Some(place) => place.is_to_come(),
                    None => false,
                };
                let parts = known.parts.get(task);
                if state == TaskState::Cancelled && parts.is_some_and(|p| p.iter().any(lives)) {
                    leads.push(Lead { parts_after: Some(FIRST), ..lead });
                }
            }
        }
        let order = |lead: &Lead| (lead.user.clone(), lead.task, lead.parts_after);
        leads.sort_by_key(order);
        self.leads = leads.into();
    }

    /// What is set of users in queues, by queue.
    #[must_use]
    pub fn kept_in_queues(&self) -> Vec<InQueue> {
        let mut all = Vec::new();
        for (name, queue) in &self.queues {
            for (user, settings) in &queue.users {
                let (queue, user) = (name.clone(), user.clone());
                all.push(InQueue { queue, user, settings: *settings });
            }
        }
        all
    }

    /// What is set of queues, by name.
    #[must_use]
    pub fn kept_queues(&self) -> Vec<(Name, QueueSettings)> {
        let set = self.queues.iter().filter(|(_, queue)| !queue.settings.is_default());
        set.map(|(name, queue)| (name.clone(), queue.settings)).collect()
    }

    /// The version of what is set of queues.
    #[must_use]
    pub fn queues_version(&self) -> u64 {
        self.queues_version
    }

    /// Users whose work is paused, by id, and by whom.
    #[must_use]
    pub fn kept_pauses(&self) -> Vec<(UserId, Pauses)> {
        self.paused.iter().map(|(user, pauses)| (user.clone(), *pauses)).collect()
    }
}

/// Lane order for queued tasks, order of ending for ended ones; ties by name.
fn order(row: &Row) -> (i64, &UserId, TaskId) {
    let at = match row.control.place {
        Place::Queued { position } => position,
        Place::Ended { at_ms, .. } => at_ms,
        Place::Scheduled { .. } | Place::Waiting { .. } | Place::Running { .. } => 0,
    };
    (at, &row.user, row.task)
}

/// Whether somebody has yet to be told of the end of a task.
pub(super) fn untold(user: &User, task: TaskId, links: &Links) -> bool {
    let uncounted = links.part.is_some_and(|part| {
        let gathers = user.links.get(&part.of).is_some_and(|flow| flow.gather.is_some());
        part.counted.is_none() && gathers
    });
    let waits = |child: &TaskId| {
        let links = user.links.get(child);
        links.is_some_and(|links| links.up.iter().any(|up| up.task == task && !up.told))
    };
    uncounted || links.down.iter().any(waits)
}
