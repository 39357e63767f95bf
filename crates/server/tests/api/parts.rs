//! Workers in other processes over a store of several partitions, some of which are away or have
//! begun anew.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};

use async_trait::async_trait;
use serde_json::{Value, json};
use tasktonic_core::Lease;
use tasktonic_core::command::{Control, Submit, Sync as SyncCommand};
use tasktonic_core::reply::{Controlled, Submitted};
use tasktonic_core::routing::{PartitionId, partition_of};
use tasktonic_core::{UserId, WorkerId};
use tasktonic_server::Limits;
use tasktonic_store::clock::Clock;
use tasktonic_store::model::ModelStore;
use tasktonic_store::{
    Durability, Error, EventStream, Query, QueryReply, Registry, Result, Store, SyncReply,
    WakeStream,
};

use crate::support::Site;

const PARTS: u16 = 3;
const NONE: u16 = u16::MAX;

/// A store of which one part may be away, and which may be asked everything twice because its first
/// answer was lost.
pub(crate) struct Parted {
    inner: ModelStore,
    away: AtomicU16,
    pub(crate) twice: AtomicBool,
}

#[async_trait]
impl Store for Parted {
    async fn submit(&self, p: PartitionId, batch: Submit) -> Result<Vec<Submitted>> {
        self.inner.submit(p, batch).await
    }

    async fn sync(&self, p: PartitionId, request: SyncCommand) -> Result<SyncReply> {
        if self.away.load(Ordering::SeqCst) == p.0 {
            return Err(Error::Unavailable("this part of it is down".into()));
        }
        self.inner.sync(p, request).await
    }

    async fn control(&self, p: PartitionId, control: Control) -> Result<Vec<Controlled>> {
        if self.twice.load(Ordering::SeqCst) {
            self.inner.control(p, control.clone()).await?;
        }
        self.inner.control(p, control).await
    }

    async fn read(&self, p: PartitionId, query: Query) -> Result<QueryReply> {
        self.inner.read(p, query).await
    }

    fn wakes(&self, worker: &WorkerId) -> WakeStream {
        self.inner.wakes(worker)
    }

    fn events(&self, user: &UserId) -> EventStream {
        self.inner.events(user)
    }

    fn partitions(&self) -> u16 {
        PARTS
    }

    fn durability(&self) -> Durability {
        Durability::Memory
    }

    fn registry(&self) -> &dyn Registry {
        self.inner.registry()
    }
}

pub(crate) async fn open() -> (Site, Arc<Parted>) {
    let (clock, hand) = Clock::manual(1_700_000_000_000);
    let inner = ModelStore::with_partitions(clock.clone(), PARTS);
    let store =
        Arc::new(Parted { inner, away: AtomicU16::new(NONE), twice: AtomicBool::new(false) });
    let site = Site::on(store.clone(), clock, hand, Limits::default()).await;
    (site, store)
}

fn part_of(lease: &str) -> u16 {
    partition_of(&lease.parse::<Lease>().unwrap().user, PARTS).0
}

fn request(call: u64) -> Value {
    json!({ "v": 1, "worker": "w-1", "call": call, "lease_ms": 10_000 })
}

#[tokio::test]
async fn a_part_that_is_away_is_named_and_costs_the_others_nothing() {
    let (site, store) = open().await;
    for n in 0..12 {
        site.echo(&format!("user-{n}")).await;
    }
    let held = site.claim("w-1", 100).await;
    assert_eq!(held.len(), 12);
    store.away.store(1, Ordering::SeqCst);
    let beat = |lease: &String| json!({ "lease": lease, "report": "heartbeat" });
    let mut beats = request(2);
    beats["ops"] = held.iter().map(|(lease, _)| beat(lease)).collect();
    // A worker that does not know of parts hears that it failed as a whole.
    site.sync(beats.clone()).await.refused(503, "store_unavailable");
    beats["partly"] = true.into();
    let answer = site.sync(beats).await.expect(200);
    let unheard: BTreeSet<u64> =
        answer["unheard"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect();
    let expected: BTreeSet<u64> =
        (0..).zip(&held).filter(|(_, (lease, _))| part_of(lease) == 1).map(|(n, _)| n).collect();
    assert!(!expected.is_empty() && expected.len() < 12);
    assert_eq!(unheard, expected);
    assert!(answer.get("refused").is_none(), "{answer}");

    // Work of the others is handed out, whichever part has the first turn.
    for call in 3..6 {
        for n in 0..12 {
            site.echo(&format!("user-{n}")).await;
        }
        let mut look = request(call);
        look["claim"] = json!({ "queues": ["echo"], "limit": 100 });
        look["park"] = true.into();
        let answer = site.sync(look).await.expect(200);
        let parts: BTreeSet<u16> = answer["claimed"]
            .as_array()
            .unwrap()
            .iter()
            .map(|held| part_of(held["lease"].as_str().unwrap()))
            .collect();
        assert_eq!(parts, [0, 2].into());
        assert!(answer["next_in_ms"].as_u64().unwrap() <= 1_000, "it comes back: {answer}");
    }
}

#[tokio::test]
async fn fences_of_one_task_rise_though_parts_live_in_different_epochs() {
    let (site, store) = open().await;
    store.inner.restart_partition(PartitionId(0));
    for n in 0..12 {
        site.echo(&format!("user-{n}")).await;
    }
    let (mut seen, mut claimed) = (BTreeSet::new(), 0);
    for call in 1..8 {
        let mut look = request(call);
        look["claim"] = json!({ "queues": ["echo"], "limit": 100 });
        let answer = site.sync(look).await.expect(200);
        let epoch = answer["epoch"].as_u64().unwrap();
        for held in answer["claimed"].as_array().into_iter().flatten() {
            let part = part_of(held["lease"].as_str().unwrap());
            assert_eq!(epoch, if part == 0 { 2 } else { 1 }, "the epoch of its own part");
            seen.insert(part);
            claimed += 1;
        }
    }
    assert_eq!((seen.len(), claimed), (3, 12), "and nothing stays behind");
}
