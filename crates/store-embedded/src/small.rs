//! Small records: facts of the partition that are neither tasks nor keys, each one text by its
//! part, its owner and its key. Here is which of `core`'s records are such, and how they are spelled;
//! journal and tables carry all parts alike, so that a new part changes neither.

use tasktonic_core::lease_time::LeaseTime;
use tasktonic_core::partition::{InQueue, KeptSchedule, LinksRow, Records};
use tasktonic_core::schedule::Schedule;
use tasktonic_core::settings::{Pauses, QueueSettings, UserSettings};
use tasktonic_core::{Links, Name, TaskId, Text, UserId};

/// What a small record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Part {
    /// What is set of a user in a queue: key the queue, text the settings.
    User,
    /// What is set of a queue: key the queue, text the settings.
    Queue,
    /// The version of what is set of queues: no key, text the number.
    Version,
    /// A user whose work is paused: no key, text by whom.
    Pause,
    /// How many bytes the tasks of a user may hold: no key, text the number.
    BytesMax,
    /// A user's schedule: key its name, text as `core` spells it.
    Schedule,
    /// Lease time and whoever was heard: no key, text as [`LeaseTime`] is displayed.
    LeaseTime,
    /// What ties a task to others: key its id, text as [`Links`] are displayed.
    Links,
}

impl Part {
    const ALL: &'static [Self] = &[
        Self::User,
        Self::Queue,
        Self::Version,
        Self::Pause,
        Self::BytesMax,
        Self::Schedule,
        Self::LeaseTime,
        Self::Links,
    ];

    /// The part as it is stored.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            // There was nothing but weights when it was named.
            Self::User => "weight",
            Self::Queue => "queue",
            Self::Version => "queues_version",
            Self::Pause => "pause",
            Self::BytesMax => "bytes_max",
            Self::LeaseTime => "lease_time",
            Self::Links => "links",
            Self::Schedule => "schedule",
        }
    }

    /// The part of this name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|part| part.name() == name)
    }
}

/// Which small record.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SmallId {
    pub(crate) part: Part,
    /// The user it belongs to, unless it is the partition's own.
    pub(crate) owner: Option<UserId>,
    pub(crate) key: Text,
}

/// What is set of a user in a queue; all defaults are not kept.
pub(crate) fn user(queue: &Name, user: UserId, settings: UserSettings) -> (SmallId, Option<Text>) {
    let id = SmallId { part: Part::User, owner: Some(user), key: queue.as_str().into() };
    (id, (!settings.is_default()).then(|| settings.to_string().into()))
}

/// What is set of a queue; all defaults are not kept.
pub(crate) fn queue(queue: &Name, settings: QueueSettings) -> (SmallId, Option<Text>) {
    let id = SmallId { part: Part::Queue, owner: None, key: queue.as_str().into() };
    (id, (!settings.is_default()).then(|| settings.to_string().into()))
}

/// The version of what is set of queues.
pub(crate) fn version(version: u64) -> (SmallId, Option<Text>) {
    let id = SmallId { part: Part::Version, owner: None, key: Text::default() };
    (id, Some(version.to_string().into()))
}

/// By whom all work of a user is paused; by nobody is not kept.
pub(crate) fn pause(user: UserId, pauses: Pauses) -> (SmallId, Option<Text>) {
    let id = SmallId { part: Part::Pause, owner: Some(user), key: Text::default() };
    (id, pauses.any().then(|| pauses.to_string().into()))
}

/// How many bytes the tasks of a user may hold; absent where nothing is set.
pub(crate) fn bytes_max(user: UserId, bytes_max: Option<u64>) -> (SmallId, Option<Text>) {
    let id = SmallId { part: Part::BytesMax, owner: Some(user), key: Text::default() };
    (id, bytes_max.map(|max| max.to_string().into()))
}

/// Lease time and whoever was heard.
pub(crate) fn lease_time(kept: &LeaseTime) -> (SmallId, Option<Text>) {
    let id = SmallId { part: Part::LeaseTime, owner: None, key: Text::default() };
    (id, Some(kept.to_string().into()))
}

/// What ties a task to others; absent where it is gone.
pub(crate) fn links(user: UserId, task: TaskId, links: Option<&Links>) -> (SmallId, Option<Text>) {
    let id = SmallId { part: Part::Links, owner: Some(user), key: task.to_string().into() };
    (id, links.map(|links| links.to_string().into()))
}

/// A user's schedule, or that there is none any more.
pub(crate) fn schedule(
    user: UserId,
    name: Name,
    schedule: Option<&Schedule>,
) -> (SmallId, Option<Text>) {
    let id = SmallId { part: Part::Schedule, owner: Some(user), key: name.as_str().into() };
    (id, schedule.map(|schedule| schedule.to_string().into()))
}

/// Adds a stored small record to what a partition is made from; absent if nothing can be made of it.
pub(crate) fn add(records: &mut Records, id: SmallId, text: &str) -> Option<()> {
    let SmallId { part, owner, key } = id;
    match part {
        Part::User => {
            let (queue, user) = (key.parse().ok()?, owner?);
            records.in_queues.push(InQueue { queue, user, settings: text.parse().ok()? });
        }
        Part::Links => {
            let (task, user, links) = (key.parse().ok()?, owner?, Links::parse(text)?);
            records.links.push(LinksRow { user, task, links });
        }
        Part::Schedule => {
            let (name, user) = (key.parse().ok()?, owner?);
            records.schedules.push(KeptSchedule { user, name, schedule: text.parse().ok()? });
        }
        Part::Queue => records.queues.push((key.parse().ok()?, text.parse().ok()?)),
        Part::Version => records.queues_version = text.parse().ok()?,
        Part::LeaseTime => records.lease_time = Some(LeaseTime::parse(text)?),
        Part::Pause => records.paused.push((owner?, text.parse().ok()?)),
        Part::BytesMax => records.bytes_max.push((owner?, text.parse().ok()?)),
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_is_found_again_and_defaults_are_not_kept() {
        let (name, ana) = ("mail".parse::<Name>().unwrap(), UserId::encode("ana"));
        let settings = UserSettings { weight: 7, ..UserSettings::default() };
        let closed = QueueSettings { paused: true, ..QueueSettings::default() };
        let both = Pauses { own: true, operator: true };
        let mut records = Records::default();
        for (id, text) in [
            user(&name, ana.clone(), settings),
            queue(&name, closed),
            version(9),
            pause(ana.clone(), both),
            bytes_max(ana.clone(), Some(u64::MAX)),
        ] {
            assert_eq!(Part::from_name(id.part.name()), Some(id.part));
            add(&mut records, id, &text.unwrap()).unwrap();
        }
        let kept = InQueue { queue: name.clone(), user: ana.clone(), settings };
        let expected = Records {
            in_queues: vec![kept],
            queues: vec![(name.clone(), closed)],
            queues_version: 9,
            paused: vec![(ana.clone(), both)],
            bytes_max: vec![(ana.clone(), u64::MAX)],
            ..Records::default()
        };
        assert_eq!(records, expected);
        assert_eq!(user(&name, ana.clone(), UserSettings::default()).1, None);
        assert_eq!(queue(&name, QueueSettings::default()).1, None);
        assert_eq!(pause(ana, Pauses::default()).1, None);
    }

    #[test]
    fn lease_time_is_found_again() {
        let until = vec![("w".parse().unwrap(), 21_000)];
        let kept = LeaseTime { lt: 12_000, at_ms: 1_700_000_000_000, until };
        let (id, text) = lease_time(&kept);
        let mut records = Records::default();
        add(&mut records, id.clone(), &text.unwrap()).unwrap();
        assert_eq!(records.lease_time, Some(kept));
        assert_eq!(add(&mut records, id, "12,soon"), None);
        assert_eq!(Part::from_name("lease_time"), Some(Part::LeaseTime));
    }

    #[test]
    fn ties_are_found_again() {
        let (user, task) = (UserId::encode("ana"), TaskId::new(5, 1));
        let ties = Links { down: vec![TaskId::new(5, 2)], ..Links::default() };
        let (id, text) = links(user.clone(), task, Some(&ties));
        let mut records = Records::default();
        add(&mut records, id, &text.unwrap()).unwrap();
        assert_eq!(records.links, [LinksRow { user, task, links: ties }]);
    }

    #[test]
    fn a_schedule_is_found_again_until_it_is_removed() {
        let (name, user) = ("nightly".parse::<Name>().unwrap(), UserId::encode("ana"));
        let kept = Schedule { version: u64::MAX, next_ms: Some(-5), text: "a|b".into() };
        let (id, text) = schedule(user.clone(), name.clone(), Some(&kept));
        let mut records = Records::default();
        add(&mut records, id.clone(), &text.unwrap()).unwrap();
        let found = KeptSchedule { user: user.clone(), name: name.clone(), schedule: kept };
        assert_eq!(records.schedules, [found]);
        assert_eq!(schedule(user, name, None), (id.clone(), None));
        assert_eq!(add(&mut records, id, "5|soon|{}"), None);
        assert_eq!(Part::from_name("schedule"), Some(Part::Schedule));
    }
}
