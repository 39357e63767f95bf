//! Every task of a state that has a list is in that list, and in no other.

use std::collections::{BTreeMap, BTreeSet};

use redis::{Pipeline, cmd};
use tasktonic_core::{TaskId, TaskState, UserId};
use tasktonic_store::Result;
use tasktonic_store::filter::error_of;

use super::read::{Glance, Reader};
use super::suspect::Suspect;
use crate::open::{items_of, text_of};
use crate::store::{LISTED, split};

/// Tasks of a page of the index, and others between its ends, that are listed otherwise than their
/// states say.
pub(super) async fn unlisted<'a>(
    reader: &Reader<'_>,
    user: &UserId,
    tasks: impl Iterator<Item = (TaskId, &'a Glance)>,
    (after, until): (&str, Option<&String>),
) -> Result<Vec<Suspect>> {
    // Lists hold other words behind the id than the index.
    let id = |end: &str| split(end).0.to_owned();
    let from = if after == "-" { b"-".to_vec() } else { crate::store::above(&id(&after[1..])) };
    let to =
        until.map_or_else(|| b"+".to_vec(), |last| [b"[", id(last).as_bytes(), b"\xff"].concat());
    let mut asked = Pipeline::new();
    for state in LISTED {
        let key = reader.keys.listed(user, *state);
        asked.add_command(cmd("ZRANGE").arg(key).arg(&from).arg(&to).arg("BYLEX").clone());
    }
    let mut listed: BTreeMap<TaskId, Vec<TaskState>> = BTreeMap::new();
    for (state, reply) in LISTED.iter().zip(reader.ask(&asked).await?) {
        for member in items_of(&reply).iter().map(text_of) {
            if let Ok(task) = split(&member).0.parse() {
                listed.entry(task).or_default().push(*state);
            }
        }
    }
    let mut odd = BTreeSet::new();
    for (task, glance) in tasks {
        let Some(head) = glance.head.as_ref().filter(|_| glance.exists) else { continue };
        let should: &[TaskState] = if LISTED.contains(&head.state) { &[head.state] } else { &[] };
        if listed.remove(&task).unwrap_or_default() != should {
            odd.insert(task);
        }
    }
    odd.extend(listed.into_keys());
    let odd: Vec<TaskId> = odd.into_iter().collect();
    let mut asked = Pipeline::new();
    for task in &odd {
        asked.add_command(cmd("GET").arg(reader.keys.state(user, *task)).clone());
    }
    let texts = reader.ask(&asked).await?;
    let suspect = |(task, text): (&TaskId, _)| {
        Suspect::Listed(user.clone(), *task, error_of(&text_of(text)).unwrap_or_default())
    };
    Ok(odd.iter().zip(&texts).map(suspect).collect())
}
