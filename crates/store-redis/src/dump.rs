//! A partition as it lies in Redis, read as a whole: what differential tests compare with the
//! model, and what a check of its invariants looks at. For small partitions; nothing on the way of
//! a task calls it.

mod check;
mod keys;
mod print;
mod times;

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use redis::{Pipeline, Value, cmd};
use tasktonic_core::routing::PartitionId;
use tasktonic_core::settings::{Pauses, QueueSettings, UserSettings};
use tasktonic_core::{Lease, Links, Name, Priority, TaskId, Text, UserId};
use tasktonic_store::Result;

use crate::RedisStore;
use crate::store::{Running, Started};
use crate::wire::{entries, is_first, items, kept, pairs, parsed, score, strange, text, word};

/// Keys found or read in one round trip.
const CHUNK: usize = 500;

/// All that is kept of a partition, by the names of its keys.
#[derive(Debug, Default)]
struct Facts {
    meta: BTreeMap<String, String>,
    rings: BTreeMap<Name, Vec<UserId>>,
    full: BTreeMap<Name, BTreeSet<UserId>>,
    /// How many tasks of a user run, where that is counted.
    running: BTreeMap<Name, BTreeMap<UserId, u32>>,
    /// When all that started of a user is made up for, where that is kept, µs of lease time.
    paces: BTreeMap<Name, BTreeMap<UserId, i64>>,
    /// What is kept of run times, where it is.
    times: BTreeMap<Name, BTreeMap<String, String>>,
    /// Members by the lease time at which a lane is looked at again.
    throttled: BTreeMap<String, i64>,
    overrides: BTreeMap<Name, BTreeMap<UserId, UserSettings>>,
    credit: BTreeMap<Name, BTreeMap<UserId, u32>>,
    paused: BTreeMap<UserId, Pauses>,
    /// By end of the lease.
    leases: Vec<(i64, Lease)>,
    /// Members by due time.
    due: Vec<(i64, String)>,
    cancels: BTreeSet<String>,
    /// Members by the time they expire.
    unstarted: BTreeMap<String, i64>,
    /// Members, `user,task`.
    nodes: BTreeSet<String>,
    leads: Vec<String>,
    /// Members of the list of schedules by the time of their next tick.
    schedules: BTreeMap<String, i64>,
    /// Entries by retention.
    sweeps: BTreeMap<u32, Vec<String>>,
    users: BTreeMap<UserId, Personal>,
    /// Names that are not ours.
    strange: Vec<String>,
}

/// What is kept of one user.
#[derive(Debug, Default)]
struct Personal {
    tasks: BTreeMap<TaskId, Kept>,
    /// Lists of each lane that are not empty.
    lanes: BTreeMap<Name, BTreeMap<Priority, Vec<String>>>,
    keys: BTreeMap<String, String>,
    /// In how many ms Redis forgets each of them.
    lives: BTreeMap<String, i64>,
    /// Members of the line of each serial key, in order.
    lines: BTreeMap<String, Vec<Member>>,
    /// With what lists find them by, where that is known.
    index: Vec<(TaskId, Option<String>)>,
    /// By the name of the state.
    listed: BTreeMap<String, Vec<(TaskId, Option<String>)>>,
    /// By flow or batch.
    parts: BTreeMap<TaskId, BTreeSet<TaskId>>,
    /// What is counted, as it is kept.
    tally: Option<String>,
    /// As they are kept.
    schedules: BTreeMap<Name, String>,
    /// Queues in which all work of this user is set aside.
    aside: BTreeSet<Name>,
    /// Id of the newest event entry.
    newest: Option<(u64, u64)>,
}

/// A task in a line.
#[derive(Debug)]
struct Member {
    task: TaskId,
    queue: Name,
    /// Whether it is its turn.
    holds: bool,
}

/// What is kept of one task.
#[derive(Debug, Default)]
struct Kept {
    descriptor: Option<Text>,
    state: Option<Text>,
    links: Option<Links>,
    attempts: Vec<(u32, String)>,
    log: Vec<(u32, Text)>,
}

impl RedisStore {
    /// The whole of partition `p` as text: exactly what the model's dump says of the same tasks.
    /// A broken invariant adds a line, which no model has.
    ///
    /// # Errors
    /// When it cannot be read.
    #[doc(hidden)]
    pub async fn dump(&self, p: PartitionId) -> Result<String> {
        let facts = self.facts(p).await?;
        let mut text = print::dump(&facts, self.shared.options.clock.now_ms());
        for wrong in self.wrong(&facts) {
            text.push_str(&format!("broken: {wrong}\n"));
        }
        Ok(text)
    }

    /// Every broken invariant of partition `p`, in words; empty when all is well.
    ///
    /// # Errors
    /// When it cannot be read.
    #[doc(hidden)]
    pub async fn check(&self, p: PartitionId) -> Result<Vec<String>> {
        Ok(self.wrong(&self.facts(p).await?))
    }

    fn wrong(&self, facts: &Facts) -> Vec<String> {
        check::check(facts, self.shared.options.clock.now_ms())
    }

    async fn facts(&self, p: PartitionId) -> Result<Facts> {
        let base = self.keys(p)?.base().to_owned();
        let names = self.names(p, &base).await?;
        let mut facts = Facts::default();
        for chunk in names.chunks(CHUNK) {
            let known: Vec<_> = chunk
                .iter()
                .filter_map(|name| {
                    Some((&name[base.len()..], question(name, &name[base.len()..])?))
                })
                .collect();
            let mut asked = Pipeline::new();
            for (_, question) in &known {
                asked.add_command(question.clone());
            }
            let answers = if known.is_empty() {
                Vec::new()
            } else {
                self.shared.router.read(p, &asked).await?
            };
            for ((name, _), answer) in known.into_iter().zip(&answers) {
                if facts.learn(name, answer)?.is_none() {
                    facts.strange.push(name.to_owned());
                }
            }
        }
        self.learn_lives(p, &mut facts).await?;
        Ok(facts)
    }

    async fn names(&self, p: PartitionId, base: &str) -> Result<Vec<String>> {
        let mut names = BTreeSet::new();
        let mut cursor = "0".to_owned();
        loop {
            let mut scan = cmd("SCAN");
            // The braces of a tag mean nothing to a pattern.
            scan.arg(&cursor).arg("MATCH").arg(format!("{base}*")).arg("COUNT").arg(CHUNK);
            let mut asked = Pipeline::new();
            asked.add_command(scan);
            let answers = self.shared.router.read(p, &asked).await?;
            let [next, found] = items(answers.first().ok_or_else(strange)?)? else {
                return Err(strange());
            };
            for name in items(found)? {
                names.insert(word(name)?.to_owned());
            }
            cursor = word(next)?.to_owned();
            if cursor == "0" {
                return Ok(names.into_iter().collect());
            }
        }
    }
}

/// The command that reads the key `name`, whose name in its partition is `rest`; none where it
/// says nothing about tasks.
fn question(name: &str, rest: &str) -> Option<redis::Cmd> {
    let ask = |words: &[&str]| {
        let mut ask = cmd(words[0]);
        ask.arg(name);
        for word in &words[1..] {
            ask.arg(*word);
        }
        Some(ask)
    };
    let kind = rest.split(':').next()?;
    match kind {
        "meta" | "overrides" | "paused" | "credit" | "running" | "pace" | "times" => {
            ask(&["HGETALL"])
        }
        "ring" | "sweep" | "leads" => ask(&["LRANGE", "0", "-1"]),
        "leases" | "due" | "unstarted" | "schedules" | "throttled" => {
            ask(&["ZRANGE", "0", "-1", "WITHSCORES"])
        }
        "cancels" | "nodes" => ask(&["SMEMBERS"]),
        "full" => ask(&["ZRANGE", "0", "-1"]),
        "u" => match rest.split(':').nth(2)? {
            "q" | "h" | "l" | "a" => ask(&["LRANGE", "0", "-1"]),
            "d" | "t" | "f" | "k" | "n" => ask(&["GET"]),
            "o" => ask(&["XRANGE", "-", "+"]),
            "e" => ask(&["XREVRANGE", "+", "-", "COUNT", "1"]),
            "i" | "m" | "s" => ask(&["ZRANGE", "0", "-1"]),
            "w" => ask(&["ZRANGE", "0", "-1", "WITHSCORES"]),
            "sc" => ask(&["HGETALL"]),
            "z" => ask(&["SMEMBERS"]),
            _ => None,
        },
        _ => None,
    }
}

impl Facts {
    /// Takes in what was read of one key. Absent when the name is none of ours.
    fn learn(&mut self, rest: &str, answer: &Value) -> Result<Option<()>> {
        let (kind, of) = rest.split_once(':').unwrap_or((rest, ""));
        match kind {
            "meta" => {
                for (field, value) in pairs(answer)? {
                    self.meta.insert(word(field)?.to_owned(), word(value)?.to_owned());
                }
            }
            "ring" => {
                self.rings.insert(parsed(of)?, words(answer)?);
            }
            "credit" => {
                self.credit.insert(parsed(of)?, by_user(answer)?);
            }
            "running" => {
                self.running.insert(parsed(of)?, by_user(answer)?);
            }
            "pace" => {
                self.paces.insert(parsed(of)?, by_user(answer)?);
            }
            "times" => {
                let fields = self.times.entry(parsed(of)?).or_default();
                for (field, value) in pairs(answer)? {
                    fields.insert(word(field)?.to_owned(), word(value)?.to_owned());
                }
            }
            "throttled" => {
                for (member, at) in pairs(answer)? {
                    self.throttled.insert(word(member)?.to_owned(), score(at)?);
                }
            }
            "overrides" => {
                self.overrides.insert(parsed(of)?, by_user(answer)?);
            }
            "full" => {
                self.full.insert(parsed(of)?, words(answer)?.into_iter().collect());
            }
            "paused" => self.paused = by_user(answer)?,
            "leases" => {
                for (token, ends) in pairs(answer)? {
                    self.leases.push((score(ends)?, parsed(word(token)?)?));
                }
            }
            "due" => {
                for (member, at) in pairs(answer)? {
                    self.due.push((score(at)?, word(member)?.to_owned()));
                }
            }
            "unstarted" => {
                for (member, at) in pairs(answer)? {
                    self.unstarted.insert(word(member)?.to_owned(), score(at)?);
                }
            }
            "schedules" => {
                for (member, at) in pairs(answer)? {
                    self.schedules.insert(word(member)?.to_owned(), score(at)?);
                }
            }
            "cancels" => self.cancels = members(answer)?,
            "nodes" => self.nodes = members(answer)?,
            "leads" => self.leads = words(answer)?,
            "sweep" => {
                self.sweeps.insert(parsed(of)?, words(answer)?);
            }
            "u" => return self.learn_of_user(of, answer),
            _ => return Ok(None),
        }
        Ok(Some(()))
    }

    fn learn_of_user(&mut self, of: &str, answer: &Value) -> Result<Option<()>> {
        let mut parts = of.splitn(3, ':');
        let user = parsed::<UserId>(parts.next().unwrap_or_default())?;
        let personal = self.users.entry(user).or_default();
        let (letter, of) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        match letter {
            "q" | "h" | "l" => {
                let priority = Priority::of_letter(letter).unwrap_or_default();
                let lane = personal.lanes.entry(parsed(of)?).or_default();
                lane.insert(priority, words(answer)?);
            }
            "k" => {
                if let Some(value) = text(answer)? {
                    personal.keys.insert(of.to_owned(), value.to_owned());
                }
            }
            "w" => {
                for (member, place) in pairs(answer)? {
                    let (task, queue) = word(member)?.split_once(',').ok_or_else(strange)?;
                    let (task, queue) = (parsed(task)?, parsed(queue)?);
                    let holds = is_first(place)?;
                    let line = personal.lines.entry(of.to_owned()).or_default();
                    line.push(Member { task, queue, holds });
                }
            }
            "sc" => {
                for (name, kept) in pairs(answer)? {
                    personal.schedules.insert(parsed(word(name)?)?, word(kept)?.to_owned());
                }
            }
            "i" => personal.index = indexed(answer)?,
            "s" => {
                personal.listed.insert(of.to_owned(), indexed(answer)?);
            }
            "m" => {
                let parts = words(answer)?.into_iter().collect();
                personal.parts.insert(parsed(of)?, parts);
            }
            "f" => {
                let ties = text(answer)?.and_then(crate::wire::links);
                personal.task(of)?.links = Some(ties.ok_or_else(strange)?.1);
            }
            "n" => personal.tally = text(answer)?.map(str::to_owned),
            "z" => personal.aside = members(answer)?,
            "e" => personal.newest = entries(answer)?.first().map(|(of, at, _)| (*of, *at)),
            "d" => personal.task(of)?.descriptor = kept(answer)?,
            "t" => personal.task(of)?.state = kept(answer)?,
            "a" => {
                let task = personal.task(of)?;
                for attempt in words::<String>(answer)? {
                    let (number, text) = attempt.split_once('|').ok_or_else(strange)?;
                    task.attempts.push((parsed(number)?, text.to_owned()));
                }
            }
            "o" => {
                let numbered =
                    |(_, at, text)| Ok((u32::try_from(at).map_err(|_| strange())?, text));
                personal.task(of)?.log =
                    entries(answer)?.into_iter().map(numbered).collect::<Result<_>>()?;
            }
            _ => return Ok(None),
        }
        Ok(Some(()))
    }

    /// What `meta` says of queues: whether anything is set of their users, more by one for each of
    /// them whom it limits, and what is set of the queue.
    fn queues(&self) -> BTreeMap<Name, (usize, QueueSettings)> {
        let field = |(field, text): (&String, &String)| {
            let name = field.strip_prefix("q:")?.parse().ok()?;
            let (users, settings) = text.split_once(',')?;
            Some((name, (users.parse().unwrap_or(0), settings.parse().ok()?)))
        };
        self.meta.iter().filter_map(field).collect()
    }

    /// How many tasks run in queues that have a limit over all users.
    fn totals(&self) -> BTreeMap<Name, u32> {
        let field = |(field, text): (&String, &String)| {
            let name = field.strip_prefix("t:")?.parse().ok()?;
            Some((name, Running::of(text).ok()?.running))
        };
        self.meta.iter().filter_map(field).collect()
    }

    /// When all that started in queues that have a rate over all users is made up for, µs of lease time,
    /// where there is one partition.
    fn started(&self) -> BTreeMap<Name, i64> {
        let field = |(field, text): (&String, &String)| {
            let name = field.strip_prefix("r:")?.parse().ok()?;
            match Started::of(text).ok()? {
                Started::Full(full_us) => Some((name, full_us)),
                Started::Hand { .. } => None,
            }
        };
        self.meta.iter().filter_map(field).collect()
    }

    /// What is kept of starts over all users though nothing limits those.
    fn unlimited(&self, queues: &BTreeMap<Name, (usize, QueueSettings)>) -> Vec<String> {
        let named = self.meta.keys().filter_map(|field| field.strip_prefix("r:")?.parse().ok());
        let is_limited =
            |queue: &Name| queues.get(queue).is_some_and(|(_, of)| of.rate_total.is_some());
        let odd = named.filter(|queue| !is_limited(queue));
        odd.map(|queue| format!("starts in {queue} are counted, and nothing limits them")).collect()
    }

    /// What is wrong with those numbers, by the leases.
    fn miscounted(&self, queues: &BTreeMap<Name, (usize, QueueSettings)>) -> Option<String> {
        let is_limited =
            |queue: &Name| queues.get(queue).is_some_and(|(_, of)| of.running_total_max.is_some());
        let mut run: BTreeMap<Name, u32> = BTreeMap::new();
        for (_, lease) in self.leases.iter().filter(|(_, lease)| is_limited(&lease.queue)) {
            *run.entry(lease.queue.clone()).or_default() += 1;
        }
        let mut said = self.totals();
        let is_odd = said.keys().any(|queue| !is_limited(queue));
        // Where nobody has looked yet since it was read in, nothing runs.
        said.retain(|_, run| *run > 0);
        (is_odd || run != said).then(|| format!("(running in all, counted) are {:?}", (run, said)))
    }

    fn meta_number<T: FromStr + Default>(&self, field: &str) -> T {
        self.meta.get(field).and_then(|text| text.parse().ok()).unwrap_or_default()
    }
}

impl Personal {
    /// Whether it is a task's turn in the line of its key; absent where it is in none.
    fn turn(&self, task: &TaskId) -> Option<bool> {
        self.lines.values().flatten().find(|one| one.task == *task).map(|one| one.holds)
    }

    fn task(&mut self, id: &str) -> Result<&mut Kept> {
        Ok(self.tasks.entry(parsed(id)?).or_default())
    }
}

/// Members of a set.
fn members<T: FromStr + Ord>(answer: &Value) -> Result<BTreeSet<T>> {
    match answer {
        Value::Set(all) => all.iter().map(|one| parsed(word(one)?)).collect(),
        other => Ok(words(other)?.into_iter().collect()),
    }
}

/// What a hash says of users.
fn by_user<T: FromStr>(answer: &Value) -> Result<BTreeMap<UserId, T>> {
    let one = |(user, of): (&Value, &Value)| Ok((parsed(word(user)?)?, parsed(word(of)?)?));
    pairs(answer)?.into_iter().map(one).collect()
}

/// Entries of a list of tasks.
fn indexed(answer: &Value) -> Result<Vec<(TaskId, Option<String>)>> {
    let one = |entry| {
        let (id, said) = crate::store::split(word(entry)?);
        Ok((parsed(id)?, said.map(ToOwned::to_owned)))
    };
    items(answer)?.iter().map(one).collect()
}

fn words<T: FromStr>(answer: &Value) -> Result<Vec<T>> {
    items(answer)?.iter().map(|one| parsed(word(one)?)).collect()
}

/// What a lane entry names: task, attempt, claim. Further parts may follow.
fn entry(text: &str) -> Option<(TaskId, u32, u32)> {
    let mut parts = text.split(':');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// What a member of `due` names: user, task, queue, claim. Further parts may follow.
fn due(text: &str) -> Option<(UserId, TaskId, Name, u32)> {
    let mut parts = text.split(',');
    let (user, task) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let queue = parts.next()?.parse().ok()?;
    Some((user, task, queue, parts.nth(1)?.parse().ok()?))
}
