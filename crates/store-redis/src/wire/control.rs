//! Words of the script `control`.

use bytes::Bytes;
use redis::Value;
use tasktonic_core::command::{After, Control, Gathers, MoveTo, Node};
use tasktonic_core::limits::BYTES_MAX_MAX;
use tasktonic_core::policy::permits::Asked;
use tasktonic_core::policy::starts::Told;
use tasktonic_core::reply::{Controlled, Refusal};
use tasktonic_core::{Name, TaskId, TaskState, UserId};
use tasktonic_protocol::stored::queue_in;
use tasktonic_store::{Error, Result};

use super::submit::{entry, serial, work};
use super::{Shared, Words, items, parsed, strange, text, word};

/// The tasks a control command is about.
pub(crate) struct Named<'a> {
    /// Their owner.
    pub(crate) user: &'a UserId,
    /// Their ids.
    pub(crate) tasks: Vec<TaskId>,
}

/// What `control` names; nothing where no task is meant.
pub(crate) fn named(control: &Control) -> Option<Named<'_>> {
    match control {
        Control::Cancel { user, tasks, .. } => Some(Named { user, tasks: tasks.clone() }),
        Control::Redrive { user, tasks, .. } => {
            Some(Named { user, tasks: tasks.iter().map(|asked| asked.task).collect() })
        }
        Control::Reschedule { user, tasks, .. } => {
            Some(Named { user, tasks: tasks.iter().map(|asked| asked.task).collect() })
        }
        Control::Edit { user, tasks, .. } => {
            Some(Named { user, tasks: tasks.iter().map(|edit| edit.task).collect() })
        }
        Control::Purge { user, tasks, .. } => {
            Some(Named { user, tasks: tasks.iter().map(|asked| asked.task).collect() })
        }
        Control::Erase { .. }
        | Control::Flow { .. }
        | Control::Seal { .. }
        | Control::Schedule { .. }
        | Control::Tick(_)
        | Control::Queues { .. }
        | Control::User { .. }
        | Control::Pause { .. }
        | Control::Bytes { .. } => None,
    }
}

/// The queue a descriptor names, or its kind where it names none: the one thing the scripts need
/// that only it says. Absent when there is no descriptor.
pub(crate) fn queue(descriptor: &Value) -> Result<Option<Name>> {
    let Some(text) = text(descriptor)? else { return Ok(None) };
    let unreadable = "the stored description of this task cannot be read; it is buried when a \
                      worker takes it";
    queue_in(text).map(Some).ok_or_else(|| Error::Invalid(unreadable.into()))
}

/// A control command; `descriptors` are those of the tasks it names, in order.
pub(crate) fn control(
    now_ms: Option<i64>,
    control: &Control,
    descriptors: &[Value],
) -> Result<Vec<Bytes>> {
    let mut words = Words::new(now_ms);
    let mut queues = descriptors.iter();
    let mut task = |words: &mut Words, task: &TaskId| {
        words.put(task);
        let queue = queue(queues.next().unwrap_or(&Value::Nil))?;
        words.text(queue.as_ref().map_or("", Name::as_str));
        Ok::<_, Error>(())
    };
    match control {
        Control::Cancel { at_ms, user, tasks, body, keep_s } => {
            words.text("cancel");
            words.put(at_ms);
            words.text(user.as_str());
            words.text(body);
            words.put(keep_s);
            words.put(tasks.len());
            for id in tasks {
                task(&mut words, id)?;
            }
        }
        Control::Redrive { at_ms, user, tasks } => {
            words.text("redrive");
            words.put(at_ms);
            words.text(user.as_str());
            words.put(tasks.len());
            for asked in tasks {
                task(&mut words, &asked.task)?;
                words.put(asked.claim);
                words.maybe(asked.attempt.as_deref());
                let change = asked.change.as_ref();
                words.put(change.map_or(0, |change| change.bytes_max));
                words.maybe(change.map(|change| &*change.descriptor));
                words.text(&change.map_or_else(String::new, |change| entry(&change.descriptor)));
                words.text(change.map_or("", |change| &change.event));
            }
        }
        Control::Reschedule { at_ms, user, tasks } => {
            words.text("reschedule");
            words.put(at_ms);
            words.text(user.as_str());
            words.put(tasks.len());
            for asked in tasks {
                task(&mut words, &asked.task)?;
                words.put(asked.claim);
                match asked.to {
                    MoveTo::Due(due_ms) => words.put(due_ms),
                    MoveTo::Front => words.text("f"),
                    MoveTo::Back => words.text("b"),
                }
            }
        }
        Control::Edit { at_ms, user, tasks } => {
            words.text("edit");
            words.put(at_ms);
            words.text(user.as_str());
            words.put(tasks.len());
            for edit in tasks {
                task(&mut words, &edit.task)?;
                words.put(edit.claim);
                words.put(edit.n);
                words.put(edit.bytes_max);
                words.text(&edit.descriptor);
                words.text(&entry(&edit.descriptor));
                words.text(&edit.event);
            }
        }
        Control::Flow { at_ms, user, nodes } => flow(&mut words, *at_ms, user, nodes),
        Control::Seal { user, task, .. } => {
            words.text("seal");
            words.text(user.as_str());
            words.put(task);
        }
        Control::Purge { at_ms, user, tasks } => {
            words.text("purge");
            words.put(at_ms);
            words.text(user.as_str());
            words.put(tasks.len());
            for asked in tasks {
                task(&mut words, &asked.task)?;
                words.put(asked.claim);
                words.maybe(asked.key.as_deref());
            }
        }
        // It takes several calls, see `store::erase`.
        Control::Erase { user } => return Ok(erase(now_ms, user, &[], None)),
        Control::Schedule { user, name, seen, becomes } => {
            super::schedule::change(&mut words, user, name, *seen, becomes.as_ref());
        }
        Control::Tick(_) => return Err(Error::Invalid("a tick has a script of its own".into())),
        Control::Queues { version, queues } => {
            words.text("queues");
            words.put(version);
            words.put(queues.len());
            for (queue, settings) in queues {
                let settings = &settings.bounded();
                words.text(queue.as_str());
                words.unless(settings.is_default(), settings);
            }
        }
        Control::User { queue, user, settings } => {
            words.text("user");
            words.text(queue.as_str());
            words.text(user.as_str());
            let settings = settings.bounded();
            words.unless(settings.is_default(), &settings);
        }
        Control::Bytes { user, bytes_max } => {
            words.text("bytes");
            words.text(user.as_str());
            match bytes_max {
                Some(max) => words.put(*max.min(&BYTES_MAX_MAX)),
                None => words.text(""),
            }
        }
        Control::Pause { user, by, paused } => {
            words.text("pause");
            words.text(user.as_str());
            words.put(by);
            words.flag(*paused);
        }
    }
    Ok(words.done())
}

fn flow(words: &mut Words, at_ms: i64, user: &UserId, nodes: &[Node]) {
    words.put(at_ms);
    words.text(user.as_str());
    words.put(nodes.len());
    for Node { new, part_of, gathers, after } in nodes {
        work(words, new);
        serial(words, new);
        match part_of {
            Some(of) => words.put(of),
            None => words.text(""),
        }
        words.text(match gathers {
            None => "",
            Some(Gathers::Flow) => "f",
            Some(Gathers::Batch { runs: false }) => "b",
            Some(Gathers::Batch { runs: true }) => "r",
        });
        words.put(after.len());
        for After { task, on_failure } in after {
            words.put(task);
            words.put(on_failure.letter());
        }
    }
}

/// What else is there of a user, beside tasks.
#[derive(Debug, Default)]
pub(crate) struct Rest {
    /// Queues that may know the user.
    pub(crate) queues: std::collections::BTreeSet<Name>,
    /// Keys of the user's.
    pub(crate) keys: Vec<String>,
}

/// A task to remove, with the queue that its descriptor names and the lease that was found of it.
pub(crate) type Erased = (TaskId, Option<Name>, Option<String>);

/// Removes tasks of a user; with `rest` everything.
pub(crate) fn erase(
    now_ms: Option<i64>,
    user: &UserId,
    tasks: &[Erased],
    rest: Option<&Rest>,
) -> Vec<Bytes> {
    let mut words = Words::new(now_ms);
    words.text("erase");
    words.text(user.as_str());
    words.put(tasks.len());
    for (task, queue, lease) in tasks {
        words.put(task);
        words.text(queue.as_ref().map_or("", Name::as_str));
        words.text(lease.as_deref().unwrap_or_default());
    }
    words.flag(rest.is_some());
    let nothing = Rest::default();
    let Rest { queues, keys } = rest.unwrap_or(&nothing);
    words.put(queues.len());
    queues.iter().for_each(|queue| words.text(queue.as_str()));
    words.put(keys.len());
    keys.iter().for_each(|key| words.text(key));
    words.done()
}

/// Takes a user out of entries of a list of ended tasks, counted from its end.
pub(crate) fn unlist(
    now_ms: Option<i64>,
    user: &UserId,
    keep_s: u32,
    (first, last): (i64, i64),
) -> Vec<Bytes> {
    let mut words = Words::new(now_ms);
    words.text("unlist");
    words.text(user.as_str());
    words.put(keep_s);
    words.put(first);
    words.put(last);
    words.done()
}

/// The answer to what is set of queues, and the queues of which the partitions share something.
pub(crate) fn queues_set(reply: &Value) -> Result<(Controlled, Vec<(Shared, Name)>)> {
    let (answer, queues) = items(reply)?.split_first().ok_or_else(strange)?;
    let shared = |name| {
        let name = word(name)?;
        match name.strip_prefix("r:") {
            Some(name) => Ok((Shared::Starts, parsed(name)?)),
            None => Ok((Shared::Permits, parsed(name)?)),
        }
    };
    Ok((one(word(answer)?)?, queues.iter().map(shared).collect::<Result<_>>()?))
}

/// What a partition is told of the starts that it may make.
pub(crate) fn hand(now_ms: Option<i64>, queue: &Name, told: Told) -> Vec<Bytes> {
    let Told { n, v, in_ms, asked } = told;
    let mut words = Words::new(now_ms);
    words.text("hand");
    words.text(queue.as_str());
    match n {
        Some(n) => words.put(n),
        None => words.text(""),
    }
    words.put(v);
    words.put(in_ms);
    words.put(u8::from(asked.ends) + 2 * u8::from(asked.quiet));
    words.done()
}

/// What a partition is told of its permits: how many at most, or none to leave them as they are; the
/// number; and what it is asked to say.
pub(crate) fn permits(
    now_ms: Option<i64>,
    queue: &Name,
    (n, v): (Option<u32>, u64),
    asked: Asked,
) -> Vec<Bytes> {
    let mut words = Words::new(now_ms);
    words.text("permits");
    words.text(queue.as_str());
    match n {
        Some(n) => words.put(n),
        None => words.text(""),
    }
    words.put(v);
    words.put(u8::from(asked.ends) + 2 * u8::from(asked.quiet));
    words.done()
}

/// The answers to a control command.
pub(crate) fn controlled(reply: &Value) -> Result<Vec<Controlled>> {
    items(reply)?.iter().map(|answer| one(word(answer)?)).collect()
}

fn one(answer: &str) -> Result<Controlled> {
    Ok(match answer {
        "done" => Controlled::Done,
        "asked" => Controlled::Asked,
        "changed" => Controlled::Changed,
        "absent" => Controlled::Absent,
        refused if refused.starts_with('-') => {
            let why = Refusal::ALL.into_iter().find(|why| why.name() == &refused[1..]);
            Controlled::Refused(why.ok_or_else(strange)?)
        }
        "full" => Controlled::Full,
        other => {
            let state = other.strip_prefix('!').and_then(TaskState::from_name);
            Controlled::Unfit(state.ok_or_else(strange)?)
        }
    })
}
