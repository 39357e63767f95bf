//! From a partition to the connection of the node that has it.
//!
//! What it never knows: what a script does. It knows which calls may be sent again, and sees to it
//! that each is carried out, refused, or reported as possibly carried out.

mod call;
mod connection;
mod dial;
mod loaded;
mod node;
mod promise;
mod refresh;
pub(crate) mod resp;
mod table;
mod upstream;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use redis::{Pipeline, ServerError, Value};
use tasktonic_core::routing::{PartitionId, slot, tag};
use tasktonic_core::{UserId, WorkerId};
use tasktonic_store::{Error, EventStream, Result, WakeStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub(crate) use dial::{Addr, DialError, Dialer, Reader, Writer};
pub(crate) use node::Node;
pub(crate) use promise::Promise;
pub(crate) use table::Table;
pub(crate) use upstream::{Echo, Upstream};

use crate::keys::{self, Keys};
use crate::script::Script;
use crate::subscriptions::Subscriptions;
use crate::url::RedisUrl;
use connection::Lost;

/// The table of slots is asked for this often though nothing is wrong, give or take a quarter.
const REFRESH_MS: u64 = 5_000;

/// Sends calls to the node of their partition, and sees to it that they are answered.
#[derive(Debug, Clone)]
pub(crate) struct Router {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    dialer: Dialer,
    table: watch::Sender<Arc<Table>>,
    nodes: Mutex<HashMap<Addr, Arc<Node>>>,
    /// When the table was last asked for; held while it is.
    refreshed: tokio::sync::Mutex<Option<Instant>>,
    partitions: OnceLock<Vec<Home>>,
    subscriptions: OnceLock<Arc<Subscriptions>>,
    /// Ends the loops of this router with it.
    ended: CancellationToken,
    /// Servers whose calls wait.
    trouble: Mutex<HashSet<Addr>>,
    /// Whether `trouble` holds anything, so that calls need no lock to know.
    troubled: AtomicBool,
    loud: Mutex<Option<Instant>>,
}

/// Where a partition lives.
#[derive(Debug)]
struct Home {
    slot: u16,
    /// `meta` and the canary.
    keys: Arc<[String]>,
}

/// Where a call goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The slot of a partition.
    Partition(PartitionId),
    /// The slot of what belongs to the installation as a whole.
    System,
    /// A slot, while it is not known yet how many partitions there are.
    Slot(u16),
}

/// Why one sending of a call brought no answer to hand on.
#[derive(Debug)]
pub(crate) enum Miss {
    /// No connection.
    Dial(DialError),
    /// The connection ended first.
    Lost(Lost),
    /// Carried out, but the replica or the disk did not confirm it in time.
    Unkept,
    /// An error reply, and nothing was done.
    Reply(ServerError),
    /// An error reply among others that are none: a part of the commands was carried out.
    Partly(ServerError),
}

/// What is sent.
#[derive(Clone, Copy)]
enum Work<'a> {
    Script { script: Script, keys: &'a Arc<[String]>, args: &'a [Bytes], promise: Promise },
    Commands { packed: &'a [u8], replies: usize },
}

impl Router {
    /// Connects to the servers of `url`. It goes on by itself from here: connections are made
    /// again when lost, and the table of slots is kept fresh.
    pub(crate) async fn connect(url: &RedisUrl) -> std::result::Result<Self, DialError> {
        let inner = Arc::new(Inner {
            dialer: Dialer::new(url.clone()),
            table: watch::Sender::new(Arc::new(Table::empty())),
            nodes: Mutex::default(),
            refreshed: tokio::sync::Mutex::default(),
            partitions: OnceLock::new(),
            subscriptions: OnceLock::new(),
            ended: CancellationToken::new(),
            trouble: Mutex::default(),
            troubled: AtomicBool::new(false),
            loud: Mutex::default(),
        });
        inner.refresh(None).await?;
        let weak = Arc::downgrade(&inner);
        tokio::spawn(async move {
            loop {
                let quarter = REFRESH_MS / 4;
                let pause = rand::random_range(REFRESH_MS - quarter..=REFRESH_MS + quarter);
                tokio::time::sleep(Duration::from_millis(pause)).await;
                let Some(inner) = weak.upgrade() else { return };
                // Calls report what is wrong; here it is only tried again.
                let _: std::result::Result<_, _> = inner.refresh(None).await;
                inner.improve().await;
            }
        });
        Ok(Self { inner })
    }

    /// Says how many partitions the store has, once it is known. Before that only the system's
    /// slot can be reached.
    pub(crate) fn set_partitions(&self, partitions: u16) {
        self.inner.partitions.get_or_init(|| {
            let home = |p| {
                let (p, keys) = (PartitionId(p), Keys::of(PartitionId(p), partitions));
                Home { slot: slot(&tag(p, partitions)), keys: [keys.meta(), keys.canary()].into() }
            };
            (0..partitions).map(home).collect()
        });
        self.inner.subscriptions.get_or_init(|| {
            let process = format!("{:016x}", rand::random::<u64>());
            let subscriptions = Arc::new(Subscriptions::new(partitions, &process));
            let upstream = Upstream::of(&self.inner);
            tokio::spawn(upstream::supervise(
                subscriptions.clone(),
                upstream,
                self.inner.ended.clone(),
            ));
            subscriptions
        });
    }

    /// Wakes for `worker`: at once, with [`Wake::Lagged`](tasktonic_store::Wake::Lagged) when its
    /// channels are subscribed, and whenever some may have been missed.
    pub(crate) fn wakes(&self, worker: &WorkerId) -> WakeStream {
        match self.inner.subscriptions.get() {
            Some(subscriptions) => subscriptions.wakes(worker),
            None => Box::pin(futures_util::stream::pending()),
        }
    }

    /// Events of `user`, likewise.
    pub(crate) fn events(&self, user: &UserId) -> EventStream {
        match self.inner.subscriptions.get() {
            Some(subscriptions) => subscriptions.events(user),
            None => Box::pin(futures_util::stream::pending()),
        }
    }

    /// Signals that came in since the start and could not be read.
    pub(crate) fn unread_signals(&self) -> u64 {
        self.inner.subscriptions.get().map_or(0, |subscriptions| subscriptions.unread())
    }

    /// Runs `script` on partition `p`. Its keys are `meta` and the canary; `args` follow the run
    /// id of the node, which is put first. May be sent again after a lost connection if
    /// `repeatable`; else a lost answer is [`Error::OutcomeUnknown`].
    ///
    /// An error that a script of ours gives by name (not `ERR`) is an answer:
    /// `Ok(Value::ServerError)`.
    pub(crate) async fn run(
        &self,
        p: PartitionId,
        script: Script,
        args: &[Bytes],
        repeatable: bool,
    ) -> Result<Value> {
        self.run_promised(p, script, args, repeatable, Promise::Applied).await
    }

    /// As [`Self::run`], answered when `promise` holds for what was written;
    /// [`Error::OutcomeUnknown`] when it was carried out and the promise did not come true in time.
    pub(crate) async fn run_promised(
        &self,
        p: PartitionId,
        script: Script,
        args: &[Bytes],
        repeatable: bool,
        promise: Promise,
    ) -> Result<Value> {
        let home = self.inner.home(p)?;
        let work = Work::Script { script, keys: &home.keys, args, promise };
        one(self.inner.call(home.slot, work, repeatable).await?.values)
    }

    /// As [`Self::run_promised`] of what is repeatable; and whether an earlier sending may have been
    /// carried out too.
    pub(crate) async fn run_repeatable(
        &self,
        p: PartitionId,
        script: Script,
        args: &[Bytes],
        promise: Promise,
    ) -> Result<(Value, bool)> {
        let home = self.inner.home(p)?;
        let work = Work::Script { script, keys: &home.keys, args, promise };
        let answered = self.inner.call(home.slot, work, true).await?;
        Ok((one(answered.values)?, answered.is_repeat))
    }

    /// Runs `script` in the system's slot, on keys of the caller's; as [`Self::run_promised`].
    pub(crate) async fn run_system(
        &self,
        script: Script,
        keys: &[String],
        args: &[Bytes],
        repeatable: bool,
        promise: Promise,
    ) -> Result<Value> {
        let keys: Arc<[String]> = keys.into();
        let work = Work::Script { script, keys: &keys, args, promise };
        one(self.inner.call(system_slot(), work, repeatable).await?.values)
    }

    /// Runs `script` in a slot, on keys of the caller's; as [`Self::run_promised`].
    pub(crate) async fn run_in(
        &self,
        slot: u16,
        script: Script,
        keys: &[String],
        args: &[Bytes],
        promise: Promise,
    ) -> Result<Value> {
        let keys: Arc<[String]> = keys.into();
        let work = Work::Script { script, keys: &keys, args, promise };
        one(self.inner.call(slot, work, false).await?.values)
    }

    /// Sends reading commands to the node of partition `p` in one round trip; their answers in
    /// order.
    pub(crate) async fn read(&self, p: PartitionId, commands: &Pipeline) -> Result<Vec<Value>> {
        self.commands(Place::Partition(p), commands, true).await
    }

    /// Sends commands of one slot in one round trip; their answers in order. If one of them meets
    /// an error that may pass, all are sent again; so unless all only read, they must bear that.
    pub(crate) async fn commands(
        &self,
        place: Place,
        commands: &Pipeline,
        repeatable: bool,
    ) -> Result<Vec<Value>> {
        let slot = match place {
            Place::Partition(p) => self.inner.home(p)?.slot,
            Place::System => system_slot(),
            Place::Slot(slot) => slot,
        };
        let packed = commands.get_packed_pipeline();
        let work = Work::Commands { packed: &packed, replies: commands.len() };
        Ok(self.inner.call(slot, work, repeatable).await?.values)
    }

    /// Asks every master the same, once; the answers of each in order, error replies included.
    pub(crate) async fn ask_masters(
        &self,
        commands: &Pipeline,
    ) -> Vec<(Addr, std::result::Result<Vec<Value>, String>)> {
        let table = self.inner.table.borrow().clone();
        let packed = commands.get_packed_pipeline();
        let asked = table.nodes.iter().map(|node| async {
            let answer = async {
                let dialed = node.calls.get(&self.inner.dialer, &node.addr).await;
                let loaded = dialed.map_err(|why| why.to_string())?;
                let sent = loaded.connection.send(packed.clone(), commands.len()).await;
                sent.map_err(|_| format!("{} does not answer", node.addr))
            };
            (node.addr.clone(), answer.await)
        });
        futures_util::future::join_all(asked).await
    }

    /// The master of partition `p` as it is known now.
    pub(crate) fn master_of(&self, p: PartitionId) -> Option<Addr> {
        let home = self.inner.home(p).ok()?;
        let table = self.inner.table.borrow();
        table.owner(home.slot).map(|node| node.addr.clone())
    }
}

fn system_slot() -> u16 {
    slot(keys::SYSTEM_TAG)
}

fn one(mut values: Vec<Value>) -> Result<Value> {
    values.pop().ok_or_else(|| Error::Unavailable("Redis gave no answer".into()))
}

impl Inner {
    /// Gives servers the library that took none when they were connected.
    async fn improve(&self) {
        let table = self.table.borrow().clone();
        for node in &table.nodes {
            for loaded in [node.calls.alive(), node.promises.alive()].into_iter().flatten() {
                loaded.improve(&node.addr).await;
            }
        }
    }

    fn home(&self, p: PartitionId) -> Result<&Home> {
        let home = self.partitions.get().and_then(|homes| homes.get(usize::from(p.0)));
        home.ok_or_else(|| Error::Invalid(format!("there is no partition {}", p.0)))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.ended.cancel();
    }
}
