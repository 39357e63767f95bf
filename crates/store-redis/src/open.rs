//! Opening: what the store must find, what it puts there, and what it refuses. Knows no task.

mod config;
mod error;
mod info;
mod rights;
mod survey;

use std::sync::Arc;
use std::time::Duration;

use tasktonic_core::routing::{PARTITIONS_MAX, PartitionId};
use tasktonic_store::clock::Clock;
use tasktonic_store::limits::LIST_EXAMINED_MAX;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use error::OpenError;
pub(crate) use info::{Info, items_of, text_of};

use crate::durability;
use crate::health::Watch;
use crate::keys::Keys;
use crate::reconcile::Reconciler;
use crate::registry::RedisRegistry;
use crate::router::{DialError, Router};
use crate::store::RedisStore;
use crate::url::RedisUrl;

pub(crate) use config::{
    CONFIG_EVERY_MS, Config, LOOK_EVERY_MS, REST_EVERY_MS, look_after_config, look_after_meta,
};

/// The form of what is stored. Each script refuses a partition of another form.
pub(crate) const SCHEMA: u32 = 1;
/// Partitions of a new store, unless told otherwise.
pub(crate) const PARTITIONS_DEFAULT: u16 = 8;
const _: () = assert!(PARTITIONS_DEFAULT <= PARTITIONS_MAX);

/// How sure an accepted submit is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// In the memory of the master.
    Fast,
    /// On the master's disk.
    Disk,
    /// On a replica too.
    Replicated,
}

impl Class {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Disk => "disk",
            Self::Replicated => "replicated",
        }
    }
}

/// How to open.
#[derive(Debug, Clone)]
pub struct Options {
    /// Time for what is written outside the scripts. A clock that tests set by hand also gives the
    /// scripts their time.
    pub clock: Clock,
    /// Whether `clock` is the time of the scripts as well; else they ask Redis.
    pub clock_is_of_scripts: bool,
    /// The promise to keep.
    pub class: Class,
    /// The operator vouches that the servers are set up for `class`, where they may not be asked
    /// (a managed Redis without `CONFIG GET`). What can be asked is still checked.
    pub declared: bool,
    /// Partitions of a store that is new; an existing one keeps what it has.
    pub partitions: u16,
    /// How often each partition is compared with itself and repaired; never if absent, as in tests
    /// that look at exactly what was written.
    pub reconcile_every: Option<Duration>,
    /// Tasks passed by or looked at for one page of a list, at most.
    pub list_examined_max: usize,
    /// For an import: opens also a store into which an import was begun and not finished, which is
    /// refused otherwise.
    pub importing: bool,
}

impl Options {
    /// The usual ones.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            clock_is_of_scripts: false,
            class: Class::Fast,
            declared: false,
            partitions: PARTITIONS_DEFAULT,
            reconcile_every: Some(Duration::from_millis(crate::reconcile::EVERY_MS)),
            list_examined_max: LIST_EXAMINED_MAX,
            importing: false,
        }
    }

    /// The time that scripts are given; absent when they ask Redis.
    pub(crate) fn script_now_ms(&self) -> Option<i64> {
        self.clock_is_of_scripts.then(|| self.clock.now_ms())
    }
}

/// What all clones of a store share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Sends calls where their partition is.
    pub(crate) router: Router,
    /// The names of each partition.
    pub(crate) keys: Vec<Keys>,
    /// As it was opened.
    pub(crate) options: Options,
    /// What is known of its health; says whether submits are admitted.
    pub(crate) watch: Arc<Watch>,
    /// What is not a task.
    pub(crate) registry: RedisRegistry,
    /// Repairs what contradicts itself.
    pub(crate) reconciler: Arc<Reconciler>,
    /// What is known of a partition that is being written out.
    pub(crate) known: tokio::sync::Mutex<crate::transfer::Known>,
    /// Ends the loops.
    pub(crate) ended: CancellationToken,
    _end: DropGuard,
}

impl Shared {
    /// How many partitions there are.
    pub(crate) fn partitions(&self) -> u16 {
        u16::try_from(self.keys.len()).expect("at most 256 partitions")
    }
}

impl RedisStore {
    /// Opens the store at `url`; on an empty Redis it makes one. Loops that look after it run
    /// until the last clone is dropped or it is closed.
    ///
    /// # Errors
    /// When no server answers or all refuse, when they are too old, a proxy or not set up for the
    /// class of durability, and when the store is of a newer form. Each error says what to do.
    pub async fn open(url: &RedisUrl, options: Options) -> Result<Self, OpenError> {
        if !(1..=PARTITIONS_MAX).contains(&options.partitions) {
            let (asked, max) = (options.partitions, PARTITIONS_MAX);
            return Err(OpenError::Partitions { asked, max });
        }
        let router = Router::connect(url).await.map_err(|error| match error {
            DialError::Unreachable(why) => unreachable(url, why),
            DialError::Refused(why) => OpenError::Refused { url: url.to_string(), why },
        })?;
        let standings = survey::survey(&router, url).await?;
        rights::check(&router).await?;
        durability::refuse(options.class, &standings, options.declared)?;

        let mut config = config::agree(&router, &options, url).await?;
        router.set_partitions(config.partitions);
        let keys: Vec<Keys> =
            (0..config.partitions).map(|p| Keys::of(PartitionId(p), config.partitions)).collect();
        config::ensure_metas(&router, &keys, &mut config, &options, url).await?;

        let ended = CancellationToken::new();
        let promise = durability::promise(options.class);
        let shared = Arc::new(Shared {
            registry: RedisRegistry::new(router.clone(), promise),
            watch: Arc::new(Watch::new(config.partitions, options.class, options.declared)),
            reconciler: Arc::new(Reconciler::new(router.clone(), keys.clone(), options.clone())),
            router,
            keys,
            options,
            known: tokio::sync::Mutex::default(),
            _end: ended.clone().drop_guard(),
            ended,
        });
        shared.watch.standings(&shared, standings);
        crate::health::start(&shared, config);
        crate::reconcile::start(&shared);
        Ok(Self::of(shared))
    }
}

impl RedisStore {
    /// Ends what looks after the store in this process. Calls that are under way are still
    /// answered, and what was acknowledged is kept. A second call does nothing.
    pub async fn close(&self) {
        self.shared.ended.cancel();
    }
}

fn unreachable(url: &RedisUrl, why: String) -> OpenError {
    OpenError::Unreachable { url: url.to_string(), why }
}
