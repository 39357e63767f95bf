//! What every process agrees on, and the facts of each partition: made once, looked after ever
//! since. A lost one is made again, under an epoch that was never used.

use bytes::Bytes;
use parking_lot::Mutex;
use redis::{Pipeline, cmd};
use tasktonic_core::limits::LEASE_MS_DEFAULT;
use tasktonic_core::routing::{PARTITIONS_MAX, PartitionId, slot, tag};
use tasktonic_store::Error;

use super::info::{items_of, text_of};
use super::{OpenError, Options, SCHEMA};
use crate::keys::{self, Keys};
use crate::router::{Place, Promise, Router};
use crate::script::Script;
use crate::url::RedisUrl;

/// How often the facts of each partition and the memory of each master are looked at, in ms.
pub(crate) const LOOK_EVERY_MS: u64 = 1_000;
/// The same while nobody wants to know what is seen, in ms.
pub(crate) const REST_EVERY_MS: u64 = 30_000;
/// How often the configuration is looked at, and the newest epoch written down, in ms.
pub(crate) const CONFIG_EVERY_MS: u64 = 3_000;
/// How far epochs may have risen since the newest one was written down: a partition whose facts
/// are lost goes on so far above it. They rise once per failover or restart of a server, and are
/// written down every few seconds.
const EPOCHS_UNSEEN: u32 = 1_000;

/// What every process agrees on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Config {
    /// How many partitions there are.
    pub(crate) partitions: u16,
    /// Random, made with the store: names this installation.
    pub(crate) installation: String,
    /// The newest epoch known of any partition; 0 for a new store.
    pub(crate) epoch: u32,
    /// Whether an import was begun and not finished.
    pub(crate) importing: bool,
}

fn args<const N: usize>(words: [&str; N]) -> [Bytes; N] {
    words.map(|word| Bytes::copy_from_slice(word.as_bytes()))
}

/// Reads the configuration, or writes it if there is none.
pub(super) async fn agree(
    router: &Router,
    options: &Options,
    url: &RedisUrl,
) -> Result<Config, OpenError> {
    let lost = |error: Error| super::unreachable(url, error.to_string());
    let mut exists = Pipeline::new();
    exists.add_command(cmd("HEXISTS").arg(keys::config()).arg("partitions").clone());
    let exists = router.commands(Place::System, &exists, true).await.map_err(lost)?;
    let (partitions, epoch) = if exists.first().map(text_of).as_deref() == Some("1") {
        (options.partitions, 0)
    } else {
        // It may have been lost: then the partitions themselves say how many there are, and those
        // that are left under which epochs they were.
        let found = found_partitions(router).await.map_err(lost)?.unwrap_or(options.partitions);
        (found, found_epoch(router, found).await.map_err(lost)?)
    };
    let installation = format!("{:032x}", rand::random::<u128>());
    let wanted = Config { partitions, installation, epoch, importing: false };
    let config = write(router, &wanted).await.map_err(lost)?;
    match config {
        Stored::Config(config) if config.importing && !options.importing => {
            Err(OpenError::HalfImported)
        }
        Stored::Config(config) => Ok(config),
        Stored::Newer(found) => Err(OpenError::Newer { found, known: SCHEMA }),
        Stored::Damaged(what) => Err(OpenError::Damaged { what }),
    }
}

enum Stored {
    Config(Config),
    Newer(u32),
    Damaged(String),
}

/// Writes what is missing of `wanted`, raises the epoch to its own, and answers what is stored.
async fn write(router: &Router, wanted: &Config) -> Result<Stored, Error> {
    let names = [keys::config(), keys::system_canary()];
    let (schema, partitions, epoch) =
        (SCHEMA.to_string(), wanted.partitions.to_string(), wanted.epoch.to_string());
    let args = args([&schema, &partitions, &wanted.installation, &epoch]);
    let reply = router.run_system(Script::Config, &names, &args, true, Promise::Applied).await?;
    let fields: Vec<String> = items_of(&reply).iter().map(text_of).collect();
    let damaged = || Stored::Damaged(format!("{} does not say what it should", keys::config()));
    let [schema, partitions, installation, epoch, importing] = &fields[..] else {
        return Ok(damaged());
    };
    match schema.parse() {
        Ok(SCHEMA) => {}
        Ok(found) if found > SCHEMA => return Ok(Stored::Newer(found)),
        _ => return Ok(damaged()),
    }
    let (Ok(partitions), Ok(epoch)) = (partitions.parse(), epoch.parse()) else {
        return Ok(damaged());
    };
    if !(1..=PARTITIONS_MAX).contains(&partitions) {
        return Ok(damaged());
    }
    let (installation, importing) = (installation.clone(), !importing.is_empty());
    Ok(Stored::Config(Config { partitions, installation, epoch, importing }))
}

/// How many partitions a store has whose configuration is lost, from what its first partition
/// says; absent when there is none.
async fn found_partitions(router: &Router) -> Result<Option<u16>, Error> {
    // Partition 0 of however many lies in the first slots, which a few tags share.
    let mut tags: Vec<String> = (1..=PARTITIONS_MAX).map(|n| tag(PartitionId(0), n)).collect();
    tags.sort();
    tags.dedup();
    for tag in tags {
        let mut asked = Pipeline::new();
        asked.add_command(cmd("HGET").arg(Keys::of_tag(&tag).meta()).arg("partitions").clone());
        let reply = router.commands(Place::Slot(slot(&tag)), &asked, true).await?;
        if let Some(Ok(found)) = reply.first().map(text_of).map(|text| text.parse()) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The newest epoch that any of so many partitions says; 0 when there is none.
async fn found_epoch(router: &Router, count: u16) -> Result<u32, Error> {
    let mut newest = 0;
    for tag in (0..count).map(|p| tag(PartitionId(p), count)) {
        let mut asked = Pipeline::new();
        asked.add_command(cmd("HGET").arg(Keys::of_tag(&tag).meta()).arg("epoch").clone());
        let reply = router.commands(Place::Slot(slot(&tag)), &asked, true).await?;
        newest = newest.max(reply.first().and_then(|e| text_of(e).parse().ok()).unwrap_or(0));
    }
    Ok(newest)
}

/// Sees to it that every partition has its facts.
pub(super) async fn ensure_metas(
    router: &Router,
    keys: &[Keys],
    config: &mut Config,
    options: &Options,
    url: &RedisUrl,
) -> Result<(), OpenError> {
    let lost = |error: Error| super::unreachable(url, error.to_string());
    let mut newest = 0;
    for (p, keys) in partitions(keys) {
        let found = ensure_meta(router, p, config, options).await.map_err(lost)?;
        if found.schema > SCHEMA {
            return Err(OpenError::Newer { found: found.schema, known: SCHEMA });
        }
        if found.partitions != config.partitions {
            let what = format!(
                "{} is of a store with {} partitions, and {} says {}",
                keys.meta(),
                found.partitions,
                keys::config(),
                config.partitions
            );
            return Err(OpenError::Damaged { what });
        }
        newest = newest.max(found.epoch);
    }
    config.epoch = config.epoch.max(newest);
    write(router, config).await.map_err(lost)?;
    Ok(())
}

fn partitions(keys: &[Keys]) -> impl Iterator<Item = (PartitionId, &Keys)> {
    (0..).map(PartitionId).zip(keys)
}

struct Meta {
    schema: u32,
    partitions: u16,
    epoch: u32,
    made: bool,
}

async fn ensure_meta(
    router: &Router,
    p: PartitionId,
    config: &Config,
    options: &Options,
) -> Result<Meta, Error> {
    let epoch = if config.epoch == 0 { 1 } else { config.epoch.saturating_add(EPOCHS_UNSEEN) };
    let now = options.script_now_ms().map(|now| now.to_string()).unwrap_or_default();
    let (schema, partitions, epoch, lease) = (
        SCHEMA.to_string(),
        config.partitions.to_string(),
        epoch.to_string(),
        LEASE_MS_DEFAULT.to_string(),
    );
    let args = args([&now, &schema, &partitions, &epoch, &lease]);
    let reply = router.run(p, Script::Meta, &args, true).await?;
    let fields: Vec<String> = items_of(&reply).iter().map(text_of).collect();
    let number = |at: usize| fields.get(at).and_then(|text| text.parse::<u32>().ok());
    let damaged =
        || Error::Unavailable(format!("the facts of partition {} say something strange", p.0));
    Ok(Meta {
        schema: number(0).ok_or_else(damaged)?,
        partitions: number(1).and_then(|n| n.try_into().ok()).ok_or_else(damaged)?,
        epoch: number(2).ok_or_else(damaged)?,
        made: number(3) == Some(1),
    })
}

/// One look at the facts of partition `p`, which are under `keys`: makes lost ones again.
///
/// # Errors
/// Why it could not be asked, or that it is of a newer form.
pub(crate) async fn look_after_meta(
    router: &Router,
    p: PartitionId,
    keys: &Keys,
    config: &Mutex<Config>,
    options: &Options,
) -> Result<(), Error> {
    // Nearly always they are there, and say so to a plain question.
    let mut asked = Pipeline::new();
    asked.add_command(
        cmd("HMGET").arg(keys.meta()).arg("schema").arg("partitions").arg("epoch").clone(),
    );
    let reply = router.read(p, &asked).await?;
    let facts: Vec<String> =
        reply.first().map(items_of).unwrap_or_default().iter().map(text_of).collect();
    let number = |at: usize| facts.get(at).and_then(|text| text.parse::<u32>().ok());
    let meta = match (number(0), number(1), number(2)) {
        (Some(schema), Some(partitions), Some(epoch)) => Meta {
            schema,
            partitions: partitions.try_into().unwrap_or_default(),
            epoch,
            made: false,
        },
        _ => {
            let known = config.lock().clone();
            ensure_meta(router, p, &known, options).await?
        }
    };
    {
        let mut config = config.lock();
        config.epoch = config.epoch.max(meta.epoch);
    }
    if meta.made {
        tracing::warn!(
            key = keys.meta(),
            epoch = meta.epoch,
            "the facts of a partition were lost and have been made again"
        );
    }
    if meta.schema > SCHEMA {
        return Err(Error::Unavailable(format!(
            "the store has form {} and this release knows form {SCHEMA}; run a newer release",
            meta.schema
        )));
    }
    Ok(())
}

/// Writes the newest epoch down.
pub(crate) async fn look_after_config(router: &Router, config: &Mutex<Config>) {
    // Written also when nothing is new: the configuration may have been lost.
    let wanted = config.lock().clone();
    // Failing, the next look tries again.
    if let Ok(Stored::Config(stored)) = write(router, &wanted).await {
        let mut config = config.lock();
        config.epoch = config.epoch.max(stored.epoch);
    }
}
