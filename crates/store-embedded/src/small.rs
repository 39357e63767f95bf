//! Small records: facts of the partition that are neither tasks nor keys, each one text by its
//! part, its owner and its key. Here is which of `core`'s records are such, and how they are spelled;
//! journal and tables carry all parts alike, so that a new part changes neither.

use tasktonic_core::partition::{KeptSchedule, Records, Weight};
use tasktonic_core::schedule::Schedule;
use tasktonic_core::{Name, Text, UserId};

/// What a small record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Part {
    /// A user's weight in a queue: key the queue, text the number.
    Weight,
    /// A user's schedule: key its name, text as `core` spells it.
    Schedule,
}

impl Part {
    const ALL: &'static [Self] = &[Self::Weight, Self::Schedule];

    /// The part as it is stored.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Weight => "weight",
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

/// A user's weight in a queue; 1 is the default and is not kept.
pub(crate) fn weight(queue: Name, user: UserId, weight: u32) -> (SmallId, Option<Text>) {
    let id = SmallId { part: Part::Weight, owner: Some(user), key: queue.as_str().into() };
    (id, (weight > 1).then(|| weight.to_string().into()))
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
        Part::Weight => {
            let (queue, user) = (key.parse().ok()?, owner?);
            records.weights.push(Weight { queue, user, weight: text.parse().ok()? });
        }
        Part::Schedule => {
            let (name, user) = (key.parse().ok()?, owner?);
            records.schedules.push(KeptSchedule { user, name, schedule: text.parse().ok()? });
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_is_found_again_and_the_default_is_not_kept() {
        let (queue, user) = ("mail".parse::<Name>().unwrap(), UserId::encode("ana"));
        let (id, text) = weight(queue.clone(), user.clone(), 7);
        let mut records = Records::default();
        add(&mut records, id.clone(), &text.unwrap()).unwrap();
        assert_eq!(
            records.weights,
            [Weight { queue: queue.clone(), user: user.clone(), weight: 7 }]
        );
        assert_eq!(weight(queue, user, 1), (id, None));
        assert_eq!(Part::from_name("weight"), Some(Part::Weight));
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
