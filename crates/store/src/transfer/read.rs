//! A store read in. Every line is checked before anything of it is kept.

use std::io::{BufRead, Read as _};
use std::str::FromStr;

use tasktonic_core::changes::{Place, Record, Serial, TaskControl};
use tasktonic_core::command::Expiry;
use tasktonic_core::schedule::Schedule;
use tasktonic_core::{Links, Name, Priority, TaskId, TaskState, UserId};
use tasktonic_protocol::transfer::{Line, PlaceLine, TaskLine, Totals, V};

use super::{LINE_BYTES_MAX, Target, TransferError};
use crate::{Entry, Table};

/// Lines that are kept together.
const TOGETHER_MAX: usize = 500;
/// Bytes of lines that are kept together; the last one may exceed them.
const TOGETHER_BYTES_MAX: usize = 8 * 1024 * 1024;

struct Reader<'a> {
    input: &'a mut (dyn BufRead + Send),
    line: u64,
    totals: Totals,
    /// Its last user.
    user: Option<UserId>,
    /// The task that history and log lines belong to.
    task: Option<(UserId, TaskId)>,
    /// Next place at the end of a lane.
    position: i64,
    registry: Vec<(Table, Entry)>,
    records: Vec<Record>,
    bytes: usize,
}

/// Reads everything of an export into `target`, which must be empty. The store can be used when
/// this has succeeded; if it fails, run it again: what it wrote is removed first.
///
/// # Errors
/// When the lines are not a whole export, when something is in the store already, and when it does
/// not take what it is given.
pub async fn import(
    input: &mut (dyn BufRead + Send),
    target: &mut dyn Target,
    progress: &mut (dyn FnMut(&Totals) + Send),
) -> Result<Totals, TransferError> {
    let mut reader = Reader {
        input,
        line: 0,
        totals: Totals::default(),
        user: None,
        task: None,
        position: 0,
        registry: Vec::new(),
        records: Vec::new(),
        bytes: 0,
    };
    let epoch = match reader.next()? {
        Some(Line::Head { v: V, epoch, .. }) => epoch,
        Some(Line::Head { v, .. }) => {
            return Err(reader.wrong(format!(
                "it has form {v} and this release reads form {V}; use the release that wrote it, \
                 or a newer one"
            )));
        }
        _ => {
            return Err(reader.wrong(
                "this is no export of Task Tonic; make one with `tasktonic export`".to_owned(),
            ));
        }
    };
    target.begin(epoch).await?;
    loop {
        let Some(line) = reader.next()? else {
            return Err(reader.wrong(
                "the export ends too early; make it again, and see whether the disk was full"
                    .to_owned(),
            ));
        };
        if let Line::End(totals) = line {
            let found = Totals { released: totals.released, ..reader.totals };
            if found != totals {
                return Err(reader.wrong(format!(
                    "lines are missing in the export: it should hold {totals:?} and holds \
                     {found:?}; make it again"
                )));
            }
            reader.totals = totals;
            break;
        }
        reader.take(line)?;
        if reader.registry.len() + reader.records.len() >= TOGETHER_MAX
            || reader.bytes >= TOGETHER_BYTES_MAX
        {
            reader.hand_on(target).await?;
            progress(&reader.totals);
        }
    }
    reader.hand_on(target).await?;
    target.finish().await?;
    Ok(reader.totals)
}

impl Reader<'_> {
    fn wrong(&self, what: String) -> TransferError {
        TransferError::Line { line: self.line.max(1), what }
    }

    fn next(&mut self) -> Result<Option<Line>, TransferError> {
        let mut text = Vec::new();
        self.line += 1;
        let read = (&mut *self.input).take(LINE_BYTES_MAX).read_until(b'\n', &mut text)?;
        if read == 0 {
            return Ok(None);
        }
        if read as u64 == LINE_BYTES_MAX {
            return Err(self.wrong(format!("it is longer than {LINE_BYTES_MAX} bytes")));
        }
        self.bytes += read;
        // What it holds may be anybody's: the error says where, not what.
        serde_json::from_slice(&text).map(Some).map_err(|error| {
            self.wrong(format!("it is damaged or unknown ({:?})", error.classify()))
        })
    }

    fn id<T: FromStr>(&self, what: &str, text: &str) -> Result<T, TransferError> {
        text.parse().map_err(|_| self.wrong(format!("{what} is not one of ours")))
    }

    fn take(&mut self, line: Line) -> Result<(), TransferError> {
        match line {
            Line::Record { table, key, version, value } => {
                let known = Table::ALL.iter().find(|known| known.name() == table);
                let Some(known) = known else {
                    return Err(self.wrong(format!("there is no table {table:?} in this release")));
                };
                self.totals.records += 1;
                self.registry.push((*known, Entry { key, version, value }));
            }
            Line::Task(task) => self.task(task)?,
            Line::Attempts { first, rows } => {
                let (user, task) = self.of_task()?;
                for (number, text) in (first..).zip(rows) {
                    let (user, text) = (user.clone(), text.into());
                    self.records.push(Record::Attempt { user, task, number, text });
                }
            }
            Line::Log { first, rows } => {
                let (user, task) = self.of_task()?;
                let lines = rows.into_iter().map(Into::into).collect();
                self.records.push(Record::Log { user, task, first, lines });
            }
            Line::Key { user, key, task, hash, expires_ms } => {
                self.totals.keys += 1;
                let body_hash = u128::from_str_radix(&hash, 16)
                    .map_err(|_| self.wrong("the hash of a key is no number".to_owned()))?;
                let (user, task) = (self.id("a user", &user)?, self.id("a task", &task)?);
                let key = key.into();
                self.records.push(Record::Key { user, key, task, body_hash, expires_ms });
            }
            Line::User { queue, user, settings } => {
                self.totals.settings += 1;
                let (queue, user) = (self.id("a queue", &queue)?, self.id("a user", &user)?);
                let settings = self.settings(&settings)?;
                self.records.push(Record::User { queue, user, settings });
            }
            Line::Paused { user, by } => {
                self.totals.settings += 1;
                let (user, pauses) = (self.id("a user", &user)?, self.settings(&by)?);
                self.records.push(Record::Pause { user, pauses });
            }
            Line::BytesMax { user, bytes_max } => {
                self.totals.settings += 1;
                let (user, bytes_max) = (self.id("a user", &user)?, Some(bytes_max));
                self.records.push(Record::BytesMax { user, bytes_max });
            }
            Line::Queues { version, queues } => {
                self.totals.settings += queues.len() as u64;
                for (queue, settings) in queues {
                    let queue = self.id("a queue", &queue)?;
                    let settings = self.settings(&settings)?;
                    self.records.push(Record::Queue { queue, settings });
                }
                self.records.push(Record::QueuesVersion(version));
            }
            Line::Schedule { user, name, version, next_ms, text } => {
                self.totals.schedules += 1;
                let (user, name) = (self.id("a user", &user)?, self.id("a schedule", &name)?);
                let schedule = Some(Schedule { version, next_ms, text: text.into() });
                self.records.push(Record::Schedule { user, name, schedule });
            }
            Line::Head { .. } | Line::End(_) => {
                return Err(self.wrong("two exports in one; import them one by one".to_owned()));
            }
        }
        Ok(())
    }

    fn settings<T: FromStr>(&self, text: &str) -> Result<T, TransferError> {
        text.parse().map_err(|_| self.wrong("settings are not spelled as ours are".to_owned()))
    }

    fn priority(&self, name: Option<&str>) -> Result<Priority, TransferError> {
        let Some(name) = name else { return Ok(Priority::Normal) };
        name.parse().map_err(|error| self.wrong(format!("{error}")))
    }

    fn of_task(&self) -> Result<(UserId, TaskId), TransferError> {
        self.task.clone().ok_or_else(|| self.wrong("it belongs to no task".to_owned()))
    }

    fn task(&mut self, line: TaskLine) -> Result<(), TransferError> {
        let user: UserId = self.id("a user", &line.user)?;
        let task: TaskId = self.id("a task", &line.task)?;
        let queue: Name = self.id("a queue", &line.queue)?;
        let place = match line.place {
            PlaceLine::Queued => {
                self.position += 1;
                Place::Queued { position: self.position }
            }
            PlaceLine::Scheduled { due_ms } => Place::Scheduled { due_ms },
            PlaceLine::Waiting { pending } => Place::Waiting { pending },
            PlaceLine::Ended { state, at_ms, keep_s } => {
                let state = TaskState::from_name(&state)
                    .filter(|state| state.is_terminal())
                    .ok_or_else(|| self.wrong("a task ended in no state of ours".to_owned()))?;
                let bytes = bytes_of(line.state.as_deref().unwrap_or_default());
                Place::Ended { state, at_ms, keep_s, bytes }
            }
        };
        let serial = match &line.serial {
            Some(of) => {
                let key = u128::from_str_radix(&of.key, 16)
                    .map_err(|_| self.wrong("a serial key is no number".to_owned()))?;
                Some(Serial { key, holds: of.holds && !matches!(place, Place::Ended { .. }) })
            }
            None => None,
        };
        let place = match (place, &line.serial) {
            // Who waits for its turn keeps its place among those, in whatever queues they are.
            (Place::Queued { .. }, Some(of)) if !of.holds => Place::Queued { position: of.at },
            (place, _) => place,
        };
        let expires = line.expires.filter(|_| place.is_to_come());
        let expires = expires.map(|of| Expiry { at_ms: of.at_ms, keep_s: of.keep_s });
        self.totals.tasks += 1;
        if self.user.as_ref() != Some(&user) {
            self.totals.users += 1;
            self.user = Some(user.clone());
        }
        self.task = Some((user.clone(), task));
        let control = TaskControl {
            claim: line.claim,
            n: line.n,
            attempt: line.attempt,
            attempts_kept: line.attempts_kept,
            log_lines: line.log_lines,
            expires: expires.map(Box::new),
            serial: serial.map(Box::new),
            priority: self.priority(line.priority.as_deref())?,
            bytes: bytes_of(&line.descriptor),
            ..TaskControl::new(queue, place)
        };
        let text = line.descriptor.into();
        self.records.push(Record::Descriptor { user: user.clone(), task, text });
        let text = line.state.map(Into::into);
        if let Some(links) = line.links {
            let links = Links::parse(&links)
                .ok_or_else(|| self.wrong("the ties of a task cannot be read".to_owned()))?;
            self.records.push(Record::Links { user: user.clone(), task, links: Some(links) });
        }
        self.records.push(Record::Task { user, task, control, text });
        Ok(())
    }

    async fn hand_on(&mut self, target: &mut dyn Target) -> Result<(), TransferError> {
        self.bytes = 0;
        let (registry, records) =
            (std::mem::take(&mut self.registry), std::mem::take(&mut self.records));
        target.put(registry, records).await
    }
}

/// The bytes of a text, none of which is longer than a line.
fn bytes_of(text: &str) -> u32 {
    u32::try_from(text.len()).unwrap_or(u32::MAX)
}
