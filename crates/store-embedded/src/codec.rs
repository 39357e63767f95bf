//! The bytes of a journal row and of a control record: postcard, with a format number beside a row.
//! The texts inside are opaque.
//!
//! A control record is its fixed part and then a tail of `(tag, bytes)`: what came later has a tag
//! and is written only where it says something, so that a record of an older form is one without a
//! tail. A tag that is not known here is refused: it may decide what becomes of the task. A row of
//! form 2 carries control records as these very bytes, and small records by their part; one of form
//! 1 is still read.

use serde::{Deserialize, Serialize};
use tasktonic_core::changes::{Place, Serial, TaskControl};
use tasktonic_core::command::Expiry;
use tasktonic_core::ids::IdError;
use tasktonic_core::settings::UserSettings;
use tasktonic_core::{Priority, TaskId, TaskState, Text, UserId};
use tasktonic_store::Table;

use crate::delta::{Delta, KeyValue, TaskDelta};
use crate::small::{self, Part, SmallId};

/// The form written today.
pub(crate) const FORMAT: u32 = 2;
/// Tag of the time after which nobody may take a task, and how long it is kept then.
const EXPIRES: u8 = 1;
/// Tag of the serial key, and whether it is the task's turn.
const SERIAL: u8 = 2;
/// Tag of the priority.
const PRIORITY: u8 = 3;
/// Every form that is read.
pub(crate) const FORMATS: std::ops::RangeInclusive<u32> = 1..=FORMAT;

/// Why bytes are not what they should be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the bytes are of no form known here")]
    Form(#[from] postcard::Error),
    #[error("{0}")]
    Id(#[from] IdError),
    #[error("an unknown state, table or sort of record")]
    Word,
    #[error(
        "it says something (tag {0}) that this version does not know; use the version that wrote it"
    )]
    Tag(u8),
}

/// `C` is how a control record stands in it, `S` a small record.
#[derive(Serialize, Deserialize)]
struct RoundForm<'a, C, S> {
    #[serde(borrow)]
    tasks: Vec<TaskForm<'a, C>>,
    #[serde(borrow)]
    keys: Vec<KeyForm<'a>>,
    small: Vec<S>,
    #[serde(borrow)]
    registry: Vec<RegistryForm<'a>>,
}

/// Part, owner, key, and text unless the record is gone.
type SmallForm<'a> = (&'a str, Option<&'a str>, &'a str, Option<&'a str>);

/// The small records of form 1: queue, user, weight.
type WeightForm<'a> = (&'a str, &'a str, u32);

/// Table, key, and version and value unless the record is gone.
type RegistryForm<'a> = (&'a str, &'a str, Option<(u64, &'a str)>);

#[derive(Serialize, Deserialize)]
struct TaskForm<'a, C> {
    user: &'a str,
    task: [u8; 12],
    born: bool,
    gone: bool,
    descriptor: Option<&'a str>,
    control: Option<C>,
    state: Option<Option<&'a str>>,
    attempts: Vec<(u32, &'a str)>,
    log: Vec<(u32, &'a str)>,
}

#[derive(Serialize, Deserialize)]
struct KeyForm<'a> {
    user: &'a str,
    key: &'a str,
    value: Option<([u8; 12], u128, i64)>,
}

#[derive(Serialize, Deserialize)]
struct ControlForm<'a> {
    queue: &'a str,
    claim: u32,
    n: u32,
    attempt: u32,
    attempts_kept: u32,
    log_lines: u32,
    #[serde(borrow)]
    place: PlaceForm<'a>,
}

#[derive(Serialize, Deserialize)]
enum PlaceForm<'a> {
    Scheduled { due_ms: i64 },
    Queued { position: i64 },
    Running { worker: &'a str, call: u64, deadline_lt: i64, cancel_asked: bool },
    Ended { state: &'a str, at_ms: i64, keep_s: u32 },
    Waiting { pending: u32 },
}

fn texts(list: &[(u32, Text)]) -> Vec<(u32, &str)> {
    list.iter().map(|(number, text)| (*number, &**text)).collect()
}

fn owned(list: Vec<(u32, &str)>) -> Vec<(u32, Text)> {
    list.into_iter().map(|(number, text)| (number, text.into())).collect()
}

impl<'a> From<&'a TaskControl> for ControlForm<'a> {
    fn from(control: &'a TaskControl) -> Self {
        let TaskControl { queue, claim, n, attempt, attempts_kept, log_lines, place, .. } = control;
        let place = match place {
            Place::Scheduled { due_ms } => PlaceForm::Scheduled { due_ms: *due_ms },
            Place::Waiting { pending } => PlaceForm::Waiting { pending: *pending },
            Place::Queued { position } => PlaceForm::Queued { position: *position },
            Place::Running { worker, call, deadline_lt, cancel_asked } => PlaceForm::Running {
                worker: worker.as_str(),
                call: *call,
                deadline_lt: *deadline_lt,
                cancel_asked: *cancel_asked,
            },
            Place::Ended { state, at_ms, keep_s, .. } => {
                PlaceForm::Ended { state: state.name(), at_ms: *at_ms, keep_s: *keep_s }
            }
        };
        Self {
            queue: queue.as_str(),
            claim: *claim,
            n: *n,
            attempt: *attempt,
            attempts_kept: *attempts_kept,
            log_lines: *log_lines,
            place,
        }
    }
}

impl TryFrom<ControlForm<'_>> for TaskControl {
    type Error = Error;

    fn try_from(form: ControlForm<'_>) -> Result<Self, Error> {
        let place = match form.place {
            PlaceForm::Scheduled { due_ms } => Place::Scheduled { due_ms },
            PlaceForm::Waiting { pending } => Place::Waiting { pending },
            PlaceForm::Queued { position } => Place::Queued { position },
            PlaceForm::Running { worker, call, deadline_lt, cancel_asked } => {
                Place::Running { worker: worker.parse()?, call, deadline_lt, cancel_asked }
            }
            PlaceForm::Ended { state, at_ms, keep_s } => {
                let state = TaskState::from_name(state).ok_or(Error::Word)?;
                Place::Ended { state, at_ms, keep_s, bytes: 0 }
            }
        };
        let ControlForm { queue, claim, n, attempt, attempts_kept, log_lines, .. } = form;
        let queue = queue.parse()?;
        let control = Self::new(queue, place);
        Ok(Self { claim, n, attempt, attempts_kept, log_lines, ..control })
    }
}

/// The bytes of a control record.
pub(crate) fn control_bytes(control: &TaskControl) -> Vec<u8> {
    let fixed = postcard::to_stdvec(&ControlForm::from(control));
    let mut bytes = fixed.expect("a control record has a form");
    if let Some(Expiry { at_ms, keep_s }) = control.expires.as_deref() {
        let said = postcard::to_stdvec(&(at_ms, keep_s)).expect("numbers have a form");
        bytes = postcard::to_extend(&(EXPIRES, &said[..]), bytes).expect("bytes have a form");
    }
    if let Some(Serial { key, holds }) = control.serial.as_deref() {
        let said = postcard::to_stdvec(&(key, holds)).expect("numbers have a form");
        bytes = postcard::to_extend(&(SERIAL, &said[..]), bytes).expect("bytes have a form");
    }
    if let Some(letter) = control.priority.letter() {
        let said = letter.as_bytes();
        bytes = postcard::to_extend(&(PRIORITY, said), bytes).expect("bytes have a form");
    }
    bytes
}

/// The control record of these bytes.
pub(crate) fn control(bytes: &[u8]) -> Result<TaskControl, Error> {
    let (fixed, mut tail) = postcard::take_from_bytes::<ControlForm<'_>>(bytes)?;
    let mut control = TaskControl::try_from(fixed)?;
    while !tail.is_empty() {
        let ((tag, said), rest) = postcard::take_from_bytes::<(u8, &[u8])>(tail)?;
        match tag {
            EXPIRES => {
                let (at_ms, keep_s) = postcard::from_bytes(said)?;
                control.expires = Some(Box::new(Expiry { at_ms, keep_s }));
            }
            SERIAL => {
                let (key, holds) = postcard::from_bytes(said)?;
                control.serial = Some(Box::new(Serial { key, holds }));
            }
            PRIORITY => {
                let letter = std::str::from_utf8(said).map_err(|_| Error::Word)?;
                control.priority = Priority::of_letter(letter).ok_or(Error::Word)?;
            }
            other => return Err(Error::Tag(other)),
        }
        tail = rest;
    }
    Ok(control)
}

/// The body of a journal row, appended to `out`.
pub(crate) fn encode(delta: &Delta, out: Vec<u8>) -> Vec<u8> {
    let Delta { tasks, keys, small, registry } = delta;
    let form = RoundForm {
        tasks: tasks.iter().map(task_form).collect(),
        keys: keys
            .iter()
            .map(|((user, key), value)| KeyForm {
                user: user.as_str(),
                key,
                value: value.as_ref().map(|v| (v.task.to_bytes(), v.body_hash, v.expires_ms)),
            })
            .collect(),
        small: small
            .iter()
            .map(|(SmallId { part, owner, key }, text)| -> SmallForm<'_> {
                (part.name(), owner.as_ref().map(UserId::as_str), key, text.as_deref())
            })
            .collect(),
        registry: registry
            .iter()
            .map(|((table, key), value)| {
                let value = value.as_ref().map(|(version, value)| (*version, value.as_str()));
                (table.name(), key.as_str(), value)
            })
            .collect(),
    };
    postcard::to_extend(&form, out).expect("a delta has a form")
}

fn task_form<'a>((id, delta): (&'a (UserId, TaskId), &'a TaskDelta)) -> TaskForm<'a, Vec<u8>> {
    TaskForm {
        user: id.0.as_str(),
        task: id.1.to_bytes(),
        born: delta.born,
        gone: delta.gone,
        descriptor: delta.descriptor.as_deref(),
        control: delta.control.as_ref().map(control_bytes),
        state: delta.state.as_ref().map(|state| state.as_deref()),
        attempts: texts(&delta.attempts),
        log: texts(&delta.log),
    }
}

/// The delta of a journal row's body in one of [`FORMATS`].
pub(crate) fn decode(format: u32, bytes: &[u8]) -> Result<Delta, Error> {
    if format == 1 {
        return decoded(
            postcard::from_bytes::<RoundForm<'_, ControlForm<'_>, WeightForm<'_>>>(bytes)?,
            TaskControl::try_from,
            |(queue, user, weight)| {
                let settings = UserSettings { weight, ..UserSettings::default() };
                Ok(small::user(&queue.parse()?, user.parse()?, settings.bounded()))
            },
        );
    }
    decoded(
        postcard::from_bytes::<RoundForm<'_, &[u8], SmallForm<'_>>>(bytes)?,
        control,
        |(part, owner, key, text)| {
            let part = Part::from_name(part).ok_or(Error::Word)?;
            let owner = owner.map(str::parse).transpose()?;
            Ok((SmallId { part, owner, key: key.into() }, text.map(Text::from)))
        },
    )
}

fn decoded<C, S>(
    form: RoundForm<'_, C, S>,
    control: impl Fn(C) -> Result<TaskControl, Error>,
    small: impl Fn(S) -> Result<(SmallId, Option<Text>), Error>,
) -> Result<Delta, Error> {
    let mut delta = Delta::default();
    for task in form.tasks {
        let value = TaskDelta {
            born: task.born,
            gone: task.gone,
            descriptor: task.descriptor.map(Text::from),
            control: task.control.map(&control).transpose()?,
            state: task.state.map(|state| state.map(Text::from)),
            attempts: owned(task.attempts),
            log: owned(task.log),
        };
        delta.tasks.insert((task.user.parse()?, TaskId::from_bytes(task.task)), value);
    }
    for KeyForm { user, key, value } in form.keys {
        let value = value.map(|(task, body_hash, expires_ms)| KeyValue {
            task: TaskId::from_bytes(task),
            body_hash,
            expires_ms,
        });
        delta.keys.insert((user.parse()?, key.into()), value);
    }
    for record in form.small {
        let (id, text) = small(record)?;
        delta.small.insert(id, text);
    }
    for (table, key, value) in form.registry {
        let value = value.map(|(version, value)| (version, value.to_owned()));
        delta.registry.insert((self::table(table)?, key.to_owned()), value);
    }
    Ok(delta)
}

/// The registry table of this name.
pub(crate) fn table(name: &str) -> Result<Table, Error> {
    Table::ALL.iter().copied().find(|table| table.name() == name).ok_or(Error::Word)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place() -> impl Strategy<Value = Place> {
        prop_oneof![
            any::<i64>().prop_map(|due_ms| Place::Scheduled { due_ms }),
            any::<i64>().prop_map(|position| Place::Queued { position }),
            any::<u32>().prop_map(|pending| Place::Waiting { pending }),
            (any::<u64>(), any::<i64>(), any::<bool>()).prop_map(
                |(call, deadline_lt, cancel_asked)| Place::Running {
                    worker: "in-7".parse().unwrap(),
                    call,
                    deadline_lt,
                    cancel_asked
                }
            ),
            (any::<i64>(), any::<u32>()).prop_map(|(at_ms, keep_s)| Place::Ended {
                state: TaskState::Dead,
                at_ms,
                keep_s,
                bytes: 0,
            }),
        ]
    }

    prop_compose! {
        fn task_delta()(
            place in proptest::option::of(place()), descriptor: Option<String>, born: bool,
            state: Option<Option<String>>, lines: Vec<(u32, String)>, gone: bool, claim: u32,
            expires: Option<(i64, u32)>, serial: Option<(u128, bool)>, priority in 0_usize..3,
        ) -> TaskDelta {
            let serial = serial.map(|(key, holds)| Box::new(Serial { key, holds }));
            let expires = expires.map(|(at_ms, keep_s)| Box::new(Expiry { at_ms, keep_s }));
            let control = |place| TaskControl {
                expires,
                serial,
                priority: Priority::ALL[priority],
                claim, n: 2, attempt: 3, attempts_kept: 4, log_lines: 5,
                ..TaskControl::new("a.b-c_9".parse().unwrap(), place)
            };
            let lines: Vec<_> = lines.into_iter().map(|(n, s)| (n, Text::from(s))).collect();
            TaskDelta {
                born, gone, descriptor: descriptor.map(Text::from), control: place.map(control),
                state: state.map(|s| s.map(Text::from)), attempts: lines.clone(), log: lines,
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            tasks in proptest::collection::vec(task_delta(), 0..4),
            key: String, hash: u128, expires_ms: i64, weight: u32, version: u64,
        ) {
            let mut delta = Delta::default();
            let user = UserId::encode(&key);
            for (n, task) in (0..).zip(tasks) {
                delta.tasks.insert((user.clone(), TaskId::new(n, 1)), task);
            }
            let value = KeyValue { task: TaskId::new(9, 9), body_hash: hash, expires_ms };
            delta.keys.insert((user.clone(), key.as_str().into()), Some(value));
            delta.keys.insert((user.clone(), "gone".into()), None);
            let settings = UserSettings { weight, ..UserSettings::default() }.bounded();
            let (id, text) = small::user(&"q".parse().unwrap(), user.clone(), settings);
            delta.small.insert(id.clone(), text);
            delta.small.insert(SmallId { owner: None, ..id }, Some(key.as_str().into()));
            delta.registry.insert((Table::Kinds, key.clone()), Some((version, key.clone())));
            delta.registry.insert((Table::Accounts, key), None);
            let bytes = encode(&delta, Vec::new());
            prop_assert_eq!(decode(FORMAT, &bytes).unwrap(), delta);
        }

        #[test]
        fn rows_of_form_1_are_still_read(
            mut tasks in proptest::collection::vec(task_delta(), 0..4), weight in 0_u32..5,
        ) {
            for control in tasks.iter_mut().filter_map(|task| task.control.as_mut()) {
                (control.expires, control.serial) = (None, None);
                control.priority = Priority::Normal;
            }
            let user = UserId::encode("ana");
            let ids: Vec<_> = (0..).zip(&tasks).map(|(n, _)| (user.clone(), TaskId::new(n, 1))).collect();
            let form = RoundForm {
                tasks: ids.iter().zip(&tasks).map(|(id, task)| {
                    let TaskForm { user, task: number, born, gone, descriptor, state, attempts, log, .. } =
                        task_form((id, task));
                    let control = task.control.as_ref().map(ControlForm::from);
                    TaskForm { user, task: number, born, gone, descriptor, control, state, attempts, log }
                }).collect(),
                keys: Vec::new(),
                small: vec![("q", user.as_str(), weight)],
                registry: Vec::new(),
            };
            let bytes = postcard::to_stdvec(&form).unwrap();
            let mut delta = Delta { tasks: ids.iter().cloned().zip(tasks).collect(), ..Delta::default() };
            let settings = UserSettings { weight, ..UserSettings::default() }.bounded();
            let (id, text) = small::user(&"q".parse().unwrap(), user.clone(), settings);
            delta.small.insert(id, text);
            prop_assert_eq!(decode(1, &bytes).unwrap(), delta);
        }

        #[test]
        fn what_is_not_known_of_a_task_is_refused(place in place(), tag in 100_u8.., what: Vec<u8>) {
            let control = TaskControl::new("q".parse().unwrap(), place);
            let bytes = postcard::to_extend(&(tag, &what[..]), control_bytes(&control)).unwrap();
            prop_assert!(matches!(self::control(&bytes), Err(Error::Tag(told)) if told == tag));
        }

        #[test]
        fn other_bytes_are_refused_without_a_panic(bytes: Vec<u8>) {
            let _ = decode(1, &bytes);
            let _ = decode(FORMAT, &bytes);
            let _ = control(&bytes);
        }
    }
}
