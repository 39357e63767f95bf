//! [`RedisStore`]: the trait's verbs, each one call. Never knows how a call reaches its node.

mod balance;
mod erase;
mod list;
mod permits;
mod position;
mod read;
mod read_links;
mod rest;
mod schedules;
mod settings;
mod starts;

use std::sync::Arc;

use async_trait::async_trait;
use redis::{Pipeline, Value};
use tasktonic_core::command::{Control, Submit, Sync as SyncCommand};
use tasktonic_core::reply::{Controlled, Submitted};
use tasktonic_core::routing::PartitionId;
use tasktonic_core::schedule::Tick;
use tasktonic_core::{UserId, WorkerId};
use tasktonic_store::limits::{check_control, check_submit, check_sync};
use tasktonic_store::{
    Durability, Error, EventStream, Health, Query, QueryReply, Registry, Result, Store, SyncReply,
    WakeStream,
};

use crate::keys::Keys;
use crate::open::{Shared, items_of, text_of};
use crate::script::Script;
use crate::{durability, wire};
use balance::Balance;
pub(crate) use list::{LISTED, above, indexed, of_task, split};
pub(crate) use permits::{Running, total_field};
use rest::Rest;
pub(crate) use starts::{Started, hand_field};

/// A store on Redis. Cheap to clone; all clones share their connections.
#[derive(Debug, Clone)]
pub struct RedisStore {
    pub(crate) shared: Arc<Shared>,
    rest: Arc<Rest>,
    balance: Arc<Balance>,
}

impl RedisStore {
    /// The store that `shared` makes up.
    pub(crate) fn of(shared: Arc<Shared>) -> Self {
        let rest = Arc::new(Rest::new(shared.partitions()));
        Self { shared, rest, balance: Arc::default() }
    }

    /// The names of partition `p`.
    pub(crate) fn keys(&self, p: PartitionId) -> Result<&Keys> {
        let of = self.shared.keys.len();
        self.shared
            .keys
            .get(usize::from(p.0))
            .ok_or_else(|| Error::Invalid(format!("partition {}; there are {of}", p.0)))
    }

    async fn tick(&self, p: PartitionId, tick: &Tick) -> Result<Controlled> {
        if tick.task.is_some() {
            self.shared.watch.admit(p)?;
        }
        let words = wire::tick(self.shared.options.script_now_ms(), tick);
        let promise = durability::promise(self.shared.options.class);
        // Repeatable: a second one meets another version.
        let reply = self.shared.router.run_promised(p, Script::Tick, &words, true, promise).await?;
        wire::ticked(&reply)
    }
}

#[async_trait]
impl Store for RedisStore {
    async fn submit(&self, p: PartitionId, batch: Submit) -> Result<Vec<Submitted>> {
        check_submit(&batch)?;
        self.shared.watch.admit(p)?;
        if batch.tasks.is_empty() {
            return Ok(Vec::new());
        }
        let words = wire::submit(self.shared.options.script_now_ms(), &batch);
        let promise = durability::promise(self.shared.options.class);
        let router = &self.shared.router;
        // Repeatable: tasks have their ids before the call, and known ones are not accepted twice.
        let reply = router.run_promised(p, Script::Submit, &words, true, promise).await?;
        self.shared.watch.heard(p, &reply);
        wire::submitted(&reply, batch.tasks.len())
    }

    async fn sync(&self, p: PartitionId, request: SyncCommand) -> Result<SyncReply> {
        check_sync(&request)?;
        let words = wire::sync(self.shared.options.script_now_ms(), &request);
        // Not repeatable, whatever it says: a repeated report is refused though the first was
        // taken, a repeated claim takes other tasks, and even an empty sync may have adopted
        // leases that a second would not name again. The caller asks what it holds.
        let reply = self.shared.router.run(p, Script::Sync, &words, false).await?;
        self.shared.watch.heard(p, &reply);
        let (reply, uneven) = wire::synced(&reply)?;
        self.balance_later(uneven);
        Ok(reply)
    }

    async fn rests(&self, p: PartitionId) -> Result<bool> {
        let keys = self.keys(p)?;
        let mut parked = self.rest.parked(p);
        if parked.is_none() {
            let mut asked = Pipeline::new();
            asked.smembers(keys.parked());
            let reply = self.shared.router.read(p, &asked).await?;
            let queues = reply.first().map(items_of).unwrap_or_default();
            let queues = queues.iter().filter_map(|name| text_of(name).parse().ok()).collect();
            parked = Some(self.rest.learn(p, queues));
        }
        let mut asked = Pipeline::new();
        let comes = [
            keys.leases(),
            keys.due(),
            keys.unstarted(),
            keys.schedules(),
            keys.leads(),
            keys.throttled(),
        ];
        let waits = parked.iter().flat_map(|queues| queues.iter()).map(|queue| keys.ring(queue));
        asked.exists(comes.into_iter().chain(waits).collect::<Vec<_>>());
        let reply = self.shared.router.read(p, &asked).await?;
        let rests = matches!(reply[..], [Value::Int(0)]);
        if let Some(reply) = reply.first() {
            self.shared.watch.heard(p, reply);
        }
        Ok(rests)
    }

    async fn control(&self, p: PartitionId, control: Control) -> Result<Vec<Controlled>> {
        check_control(&control)?;
        let mut script = Script::Control;
        match &control {
            Control::Erase { user } => {
                return self.erase(p, user).await.map(|answer| vec![answer]);
            }
            Control::Tick(tick) => return self.tick(p, tick).await.map(|answer| vec![answer]),
            Control::Schedule { becomes: Some(_), .. } => self.shared.watch.admit(p)?,
            Control::Flow { nodes, .. } if nodes.is_empty() => return Ok(Vec::new()),
            Control::Flow { .. } => {
                self.shared.watch.admit(p)?;
                script = Script::Flow;
            }
            _ => {}
        }
        let keys = self.keys(p)?;
        let mut descriptors = Vec::new();
        if let Some(named) = wire::named(&control) {
            if named.tasks.is_empty() {
                return Ok(Vec::new());
            }
            let mut asked = Pipeline::new();
            for task in named.tasks {
                asked.get(keys.descriptor(named.user, task));
            }
            descriptors = self.shared.router.read(p, &asked).await?;
        }
        let now_ms = self.shared.options.script_now_ms();
        let words = wire::control(now_ms, &control, &descriptors)?;
        let promise = durability::promise(self.shared.options.class);
        let router = &self.shared.router;
        // Repeatable: what is cancelled, sealed or removed stays so, a flow that is known is not
        // accepted twice, a second redrive meets another claim number, and settings are set to
        // values. Only the second answer is less friendly.
        let (reply, is_repeat) = router.run_repeatable(p, script, &words, promise).await?;
        self.shared.watch.heard(p, &reply);
        if let Control::Queues { .. } = &control {
            let (answer, queues) = wire::queues_set(&reply)?;
            for (what, queue) in &queues {
                self.balance_now(*what, queue).await?;
            }
            return Ok(vec![answer]);
        }
        let answers = wire::controlled(&reply)?;
        // What the first sending moved or changed, the second may be refused for.
        let is_refused = |answer| matches!(answer, &Controlled::Changed | &Controlled::Unfit(_));
        let is_told = matches!(control, Control::Reschedule { .. } | Control::Edit { .. });
        if is_repeat && is_told && answers.iter().any(is_refused) {
            return Err(Error::OutcomeUnknown);
        }
        Ok(answers)
    }

    async fn read(&self, p: PartitionId, query: Query) -> Result<QueryReply> {
        self.answer(p, query).await
    }

    fn wakes(&self, worker: &WorkerId) -> WakeStream {
        self.shared.router.wakes(worker)
    }

    fn events(&self, user: &UserId) -> EventStream {
        self.shared.router.events(user)
    }

    fn partitions(&self) -> u16 {
        self.shared.partitions()
    }

    fn durability(&self) -> Durability {
        self.shared.watch.durability()
    }

    async fn health(&self) -> Health {
        self.shared.watch.health()
    }

    fn name(&self) -> &'static str {
        "redis"
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn registry(&self) -> &dyn Registry {
        &self.shared.registry
    }
}
