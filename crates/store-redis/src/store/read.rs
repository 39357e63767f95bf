//! Answers from the record, by plain reading commands: no script, no write.

use redis::{Pipeline, Value, cmd};
use tasktonic_core::routing::PartitionId;
use tasktonic_core::transitions::STATES;
use tasktonic_core::{Lease, TaskId, TaskState, UserId, WorkerId};
use tasktonic_store::limits::LOGS_MAX;
use tasktonic_store::{
    AttemptRow, Counts, EventsSince, Held, LogLines, LogRow, Query, QueryReply, Result, StoredTask,
};

use super::RedisStore;
use crate::wire::{
    StateHead, Tally, entries, items, kept, number, pairs, parsed, score, strange, text, word,
};

/// Tasks looked at in one round trip.
pub(super) const CHUNK: usize = 200;
/// Bytes of a state that are looked at for its name: its fixed beginning is shorter.
pub(super) const STATE_BYTES: usize = 255;
/// Leases looked at in one round trip for those of one worker.
const SCAN_COUNT: usize = 1_000;

impl RedisStore {
    pub(super) async fn answer(&self, p: PartitionId, query: Query) -> Result<QueryReply> {
        self.keys(p)?;
        Ok(match query {
            Query::Tasks { user, tasks } => {
                let found = self.tasks(p, &user, &tasks).await?;
                QueryReply::Tasks(found.into_iter().flatten().map(|(task, _)| task).collect())
            }
            Query::List { user, filter, cursor, limit } => {
                QueryReply::List(self.list(p, &user, &filter, cursor, limit).await?)
            }
            Query::Counts { user } => QueryReply::Counts(self.counts(p, &user).await?),
            Query::Attempts { user, task } => {
                QueryReply::Attempts(self.attempts(p, &user, task).await?)
            }
            Query::Logs { user, task, after, limit } => {
                QueryReply::Logs(self.logs(p, &user, task, after, limit).await?)
            }
            Query::EventsSince { user, epoch, seq } => {
                QueryReply::Events(self.events_since(p, &user, epoch, seq).await?)
            }
            Query::EventsHead { user } => QueryReply::Events(self.events_head(p, &user).await?),
            Query::Held { worker } => QueryReply::Held(self.held(p, &worker).await?),
            Query::Inputs { lease, after, limit } => {
                QueryReply::Inputs(self.inputs(p, &lease, after, limit).await?)
            }
            Query::Links { user, tasks } => QueryReply::Links(self.links(p, &user, &tasks).await?),
            Query::Parts { user, task, after, limit } => {
                QueryReply::Parts(self.parts(p, &user, task, after, limit).await?)
            }
            Query::Position { user, task } => {
                QueryReply::Position(self.standing(p, &user, task).await?)
            }
            Query::TurnBefore { user, task } => {
                QueryReply::TurnBefore(self.turn_before(p, &user, task).await?)
            }
            Query::Exist { tasks } => QueryReply::Exist(self.exist(p, &tasks).await?),
            Query::Schedules { user, name } => {
                QueryReply::Schedules(self.schedules_of(p, &user, name.as_ref()).await?)
            }
            Query::DueSchedules => QueryReply::DueSchedules(self.due_schedules(p).await?),
            Query::Turns { queues } => QueryReply::Turns(self.turns(p, &queues).await?),
            Query::User { user, queues } => {
                QueryReply::User(self.user_view(p, &user, &queues).await?)
            }
            Query::Facts { user, queue } => {
                QueryReply::Facts(self.facts_of(p, &user, &queue).await?)
            }
            Query::UsersIn { queue, limit } => {
                QueryReply::UsersIn(self.users_in(p, &queue, limit).await?)
            }
            Query::Paused { limit } => {
                let (users, more) = self.paused(p, limit).await?;
                QueryReply::Paused(users, more)
            }
        })
    }

    pub(super) async fn ask(&self, p: PartitionId, commands: &Pipeline) -> Result<Vec<Value>> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        let answers = self.shared.router.read(p, commands).await?;
        if answers.len() == commands.len() { Ok(answers) } else { Err(strange()) }
    }

    /// Tasks by id, in the order asked, each with its state; absent where there is none.
    pub(super) async fn tasks(
        &self,
        p: PartitionId,
        user: &UserId,
        tasks: &[TaskId],
    ) -> Result<Vec<Option<(StoredTask, TaskState)>>> {
        let keys = self.keys(p)?;
        let mut found = Vec::with_capacity(tasks.len());
        for chunk in tasks.chunks(CHUNK) {
            let mut asked = Pipeline::new();
            let mut marks = cmd("SMISMEMBER");
            marks.arg(keys.cancels());
            for task in chunk {
                asked.mget(&[keys.descriptor(user, *task), keys.state(user, *task)]);
                marks.arg(format!("{user},{task}"));
            }
            asked.add_command(marks);
            let answers = self.ask(p, &asked).await?;
            let marked = items(&answers[chunk.len()])?;
            for ((id, texts), mark) in chunk.iter().zip(&answers).zip(marked) {
                let [descriptor, state] = items(texts)? else { return Err(strange()) };
                found.push(stored(*id, descriptor, state, number::<i64>(mark)? == 1)?);
            }
        }
        Ok(found)
    }

    async fn counts(&self, p: PartitionId, user: &UserId) -> Result<Counts> {
        let mut asked = Pipeline::new();
        asked.get(self.keys(p)?.tally(user));
        let answers = self.ask(p, &asked).await?;
        let tally = Tally::of(text(&answers[0])?.unwrap_or_default()).ok_or_else(strange)?;
        Ok(Counts::new(tally.bytes, tally.bytes_max, |state| tally.tasks[state as usize]))
    }

    async fn attempts(
        &self,
        p: PartitionId,
        user: &UserId,
        task: TaskId,
    ) -> Result<Vec<AttemptRow>> {
        let mut asked = Pipeline::new();
        asked.lrange(self.keys(p)?.attempts(user, task), 0, -1);
        let answers = self.ask(p, &asked).await?;
        let row = |one| {
            let (number, text) = word(one)?.split_once('|').ok_or_else(strange)?;
            Ok(AttemptRow { number: parsed(number)?, text: text.into() })
        };
        items(&answers[0])?.iter().map(row).collect()
    }

    async fn logs(
        &self,
        p: PartitionId,
        user: &UserId,
        task: TaskId,
        after: u32,
        limit: u32,
    ) -> Result<LogLines> {
        let name = self.keys(p)?.log(user, task);
        let mut asked = Pipeline::new();
        let from = format!("0-{}", u64::from(after) + 1);
        let limit = limit.min(LOGS_MAX);
        asked.add_command(range("XRANGE", &name, &from, "+", limit));
        asked.add_command(range("XRANGE", &name, "-", "+", 1));
        asked.add_command(range("XREVRANGE", &name, "+", "-", 1));
        let answers = self.ask(p, &asked).await?;
        let numbered = |(_, number, text)| -> Result<LogRow> {
            Ok(LogRow { number: u32::try_from(number).map_err(|_| strange())?, text })
        };
        let rows = |reply| entries(reply)?.into_iter().map(numbered).collect::<Result<Vec<_>>>();
        let end = |reply| Ok(rows(reply)?.first().map_or(0, |row| row.number));
        Ok(LogLines {
            // Redis takes a count of 0 for none at all.
            lines: if limit == 0 { Vec::new() } else { rows(&answers[0])? },
            first: end(&answers[1])?,
            last: end(&answers[2])?,
        })
    }

    async fn events_head(&self, p: PartitionId, user: &UserId) -> Result<EventsSince> {
        let asked = self.head_of(p, user)?;
        let answers = self.ask(p, &asked).await?;
        let (epoch, seq) = head(&answers)?;
        Ok(EventsSince { epoch, seq, ..EventsSince::default() })
    }

    fn head_of(&self, p: PartitionId, user: &UserId) -> Result<Pipeline> {
        let keys = self.keys(p)?;
        let mut asked = Pipeline::new();
        asked.hget(keys.meta(), "epoch");
        asked.add_command(range("XREVRANGE", &keys.events(user), "+", "-", 1));
        Ok(asked)
    }

    async fn events_since(
        &self,
        p: PartitionId,
        user: &UserId,
        epoch: u32,
        seq: u64,
    ) -> Result<EventsSince> {
        let mut asked = self.head_of(p, user)?;
        let mut after = cmd("XRANGE");
        // Redis counts an epoch's entries from 0.
        after.arg(self.keys(p)?.events(user)).arg(format!("{epoch}-{seq}")).arg(epoch);
        asked.add_command(after);
        let answers = self.ask(p, &asked).await?;
        let (now_epoch, known) = head(&answers)?;
        let missed: Vec<_> =
            entries(&answers[2])?.into_iter().map(|(_, at, text)| (at + 1, text)).collect();
        // Read after the head, so it may go further.
        let newest = missed.last().map_or(known, |(at, _)| known.max(*at));
        let first = missed.first().map_or(newest + 1, |(at, _)| *at);
        let reset = epoch != now_epoch || seq > newest || first != seq + 1;
        let seq = if epoch == now_epoch { newest } else { known };
        let entries = if reset { Vec::new() } else { missed };
        Ok(EventsSince { epoch: now_epoch, seq, reset, entries })
    }

    async fn held(&self, p: PartitionId, worker: &WorkerId) -> Result<Vec<Held>> {
        let keys = self.keys(p)?;
        let mut leases: Vec<(i64, Lease)> = Vec::new();
        let mut cursor = "0".to_owned();
        loop {
            let mut scan = cmd("ZSCAN");
            // The other parts of a token hold no character that means something to a pattern.
            scan.arg(keys.leases()).arg(&cursor).arg("MATCH").arg(format!("*|{worker}.*"));
            scan.arg("COUNT").arg(SCAN_COUNT);
            let mut asked = Pipeline::new();
            asked.add_command(scan);
            let answers = self.ask(p, &asked).await?;
            let [next, found] = items(&answers[0])? else { return Err(strange()) };
            for (token, ends) in pairs(found)? {
                leases.push((score(ends)?, parsed(word(token)?)?));
            }
            cursor = word(next)?.to_owned();
            if cursor == "0" {
                break;
            }
        }
        leases.sort_by(|(a, one), (b, other)| {
            (a, &one.user, one.task).cmp(&(b, &other.user, other.task))
        });
        // A scan may name a lease twice.
        leases.dedup();
        let mut held = Vec::with_capacity(leases.len());
        for chunk in leases.chunks(CHUNK) {
            let mut asked = Pipeline::new();
            for (_, lease) in chunk {
                let Lease { user, task, .. } = lease;
                asked.mget(&[keys.descriptor(user, *task), keys.state(user, *task)]);
            }
            let answers = self.ask(p, &asked).await?;
            for ((_, lease), texts) in chunk.iter().zip(&answers) {
                let [descriptor, state] = items(texts)? else { return Err(strange()) };
                let head = StateHead::of(text(state)?).filter(|head| head.claim == lease.claim);
                held.push(Held {
                    lease: lease.clone(),
                    n: head.map_or(0, |head| head.n),
                    descriptor: kept(descriptor)?.unwrap_or_default(),
                    state: kept(state)?,
                });
            }
        }
        Ok(held)
    }

    async fn exist(&self, p: PartitionId, tasks: &[(UserId, TaskId)]) -> Result<Vec<bool>> {
        let keys = self.keys(p)?;
        let mut known = Vec::with_capacity(tasks.len());
        for chunk in tasks.chunks(CHUNK) {
            let mut asked = Pipeline::new();
            for (user, task) in chunk {
                asked.exists(keys.descriptor(user, *task));
            }
            for answer in self.ask(p, &asked).await? {
                known.push(number::<i64>(&answer)? == 1);
            }
        }
        Ok(known)
    }
}

fn range(verb: &str, name: &str, from: &str, to: &str, count: u32) -> redis::Cmd {
    let mut range = cmd(verb);
    range.arg(name).arg(from).arg(to).arg("COUNT").arg(count);
    range
}

/// Epoch and newest number, of the first two answers.
fn head(answers: &[Value]) -> Result<(u32, u64)> {
    let epoch = text(&answers[0])?.map_or(Ok(0), parsed)?;
    let newest = entries(&answers[1])?;
    let of_epoch = newest.first().filter(|(of, ..)| *of == u64::from(epoch));
    Ok((epoch, of_epoch.map_or(0, |(_, at, _)| at + 1)))
}

fn stored(
    id: TaskId,
    descriptor: &Value,
    state: &Value,
    asked: bool,
) -> Result<Option<(StoredTask, TaskState)>> {
    let Some(descriptor) = kept(descriptor)? else { return Ok(None) };
    let state = kept(state)?;
    let head = StateHead::of(state.as_deref());
    // What is not one of ours is shown all the same, in no state that anybody asks for.
    let of = head.map_or(STATES[1], |head| head.state);
    let cancel_asked = asked && of == TaskState::Running;
    Ok(Some((StoredTask { id, descriptor, state, cancel_asked }, of)))
}
