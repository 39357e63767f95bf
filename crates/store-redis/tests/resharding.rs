//! Slots that move from node to node while users submit and workers work.

#![expect(clippy::unwrap_used, reason = "a test may panic, and so may its helpers")]

mod load;

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use load::{Load, block_on};
use tasktonic_core::UserId;
use tasktonic_core::command::Submit;
use tasktonic_core::routing::{PartitionId, partition_of, slot, tag};
use tasktonic_store::{EventStream, Store, UserEvent};
use tasktonic_store_redis::Class;
use tasktonic_testkit::cluster::Cluster;
use tasktonic_testkit::redis::{Options, Server};

const PARTITIONS: u16 = 8;
/// How long slots move, in seconds, unless `TASKTONIC_RESHARD_S` says otherwise.
const FOR_S: u64 = 6;
const SETTLE: Duration = Duration::from_secs(30);

fn moves_for() -> Duration {
    let named = std::env::var("TASKTONIC_RESHARD_S").ok();
    Duration::from_secs(named.and_then(|text| text.parse().ok()).unwrap_or(FOR_S))
}

fn resharding(server: Server) {
    let cluster = Cluster::start_with(3, 0, &Options { server, ..Options::default() });
    block_on(async {
        let store = load::open(&cluster.url(), Class::Fast, PARTITIONS).await;
        let mut listeners: Vec<(UserId, EventStream)> = (0..16)
            .map(|n| format!("user-{n}").parse::<UserId>().unwrap())
            .map(|user| (user.clone(), store.events(&user)))
            .collect();
        let load = Load::start_slow(&store, 8, 3, 10);
        load.goes_on(Duration::from_secs(5)).await;

        let (since, mut moved) = (Instant::now(), 0_u32);
        while since.elapsed() < moves_for() {
            let p = PartitionId(u16::try_from(moved % u32::from(PARTITIONS)).unwrap());
            let slot = slot(&tag(p, PARTITIONS));
            cluster.migrate_slot(slot, (cluster.master_of(slot) + 1) % 3);
            moved += 1;
        }
        // The proof that calls met slots on their way, and were turned away before they began.
        let mut met = [0_u64; 3];
        for node in cluster.nodes() {
            let stats = node.info("errorstats");
            for (met, code) in met.iter_mut().zip(["TRYAGAIN", "ASK", "MOVED"]) {
                let line = stats.get(&format!("errorstat_{code}"));
                let count = line.and_then(|line| line.strip_prefix("count="));
                *met += count.and_then(|count| count.parse::<u64>().ok()).unwrap_or(0);
            }
        }
        eprintln!("{moved} moves; TRYAGAIN, ASK, MOVED: {met:?}");
        assert!(met[0] > 0 && met[2] > 0, "no call met a slot on its way: {met:?}");

        load.goes_on(Duration::from_secs(5)).await;
        let since = Instant::now();
        for (user, stream) in &mut listeners {
            hears(&store, user, stream, since).await;
        }
        eprintln!("all listeners hear {:?} after the last move", since.elapsed());
        load.settle(SETTLE).await.is_clean();
    });
}

async fn hears(
    store: &tasktonic_store_redis::RedisStore,
    user: &UserId,
    stream: &mut EventStream,
    since: Instant,
) {
    // What waits in the stream is of before; a new event is what counts.
    while tokio::time::timeout(Duration::from_millis(1), stream.next()).await.is_ok() {}
    loop {
        let batch = Submit { created_ms: 1, tasks: vec![load::draft(user, rand::random())] };
        store.submit(partition_of(user, PARTITIONS), batch).await.unwrap();
        let wait = Duration::from_millis(100);
        while let Ok(Some(event)) = tokio::time::timeout(wait, stream.next()).await {
            if matches!(event, UserEvent::Logged { .. }) {
                return;
            }
        }
        assert!(since.elapsed() < Duration::from_secs(5), "{user} hears nothing");
    }
}

#[test]
fn slots_that_move_all_the_time_lose_no_task_and_no_listener() {
    resharding(Server::Redis);
}

#[test]
fn so_on_valkey() {
    if Server::installed().contains(&Server::Valkey) {
        resharding(Server::Valkey);
    } else {
        eprintln!("not run: this machine has no valkey-server");
    }
}
