//! A Redis Cluster: the suite of every store on it, and masters that die.

#![expect(clippy::unwrap_used, reason = "a test may panic, and so may its helpers")]

mod load;

use std::sync::Arc;
use std::time::{Duration, Instant};

use load::{Load, block_on};
use tasktonic_core::command::{Claim, Submit, Sync};
use tasktonic_core::routing::{PartitionId, partition_of, slot, tag};
use tasktonic_core::{UserId, WorkerId};
use tasktonic_store::clock::Clock;
use tasktonic_store::{Query, QueryReply, Store, UserEvent};
use tasktonic_store_redis::{Class, Options, RedisStore};
use tasktonic_testkit::cluster::Cluster;
use tasktonic_testkit::network::Apart;
use tasktonic_testkit::{redis, wait};

const PARTITIONS: u16 = 8;
/// How long users may have to wait when a master dies: two node timeouts of 1 s, the vote, and
/// ours to notice.
const RESUMES: Duration = Duration::from_secs(10);
const SETTLE: Duration = Duration::from_secs(30);

tasktonic_store::conformance!(one test the_suite_of_every_store_on_a_cluster: {
    let cluster = Arc::new(Cluster::start());
    move |clock: Clock| {
        let cluster = cluster.clone();
        async move {
            for node in 0..3 {
                cluster.node(node).cli(&["FLUSHALL"]);
            }
            let options = Options {
                clock_is_of_scripts: true,
                partitions: PARTITIONS,
                reconcile_every: None,
                ..Options::new(clock)
            };
            let url = cluster.url().parse().unwrap();
            Arc::new(RedisStore::open(&url, options).await.unwrap()) as Arc<dyn Store>
        }
    }
});

/// The node that has partition `p`.
fn master(cluster: &Cluster, p: PartitionId) -> usize {
    cluster.master_of(slot(&tag(p, PARTITIONS)))
}

#[test]
fn a_killed_master_loses_nothing_that_was_acknowledged() {
    let mut cluster = Cluster::start();
    block_on(async {
        let store = load::open(&cluster.url(), Class::Replicated, PARTITIONS).await;
        let load = Load::start(&store, 8, 3);
        load.goes_on(RESUMES).await;
        tokio::time::sleep(Duration::from_millis(700)).await;

        let p = PartitionId(0);
        let old = master(&cluster, p);
        let since = Instant::now();
        cluster.kill(old);
        while master(&cluster, p) == old {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let voted = since.elapsed();
        // Without a replica nothing is acknowledged there. The old master comes back as one.
        cluster.revive(old);
        let affected: UserId = (0..8)
            .map(|n| format!("user-{n}").parse::<UserId>().unwrap())
            .find(|user| master(&cluster, partition_of(user, PARTITIONS)) == master(&cluster, p))
            .expect("8 users over 8 partitions");
        let gone_on = loop {
            let last = load.account.last.lock().get(&affected).copied();
            if last.is_some_and(|last| last > since + voted) {
                break since.elapsed();
            }
            assert!(since.elapsed() < RESUMES + voted, "its users do not get on");
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        eprintln!("new master after {voted:?}, its users got on after {gone_on:?}");
        assert!(gone_on < RESUMES, "{gone_on:?}");
        load.settle(SETTLE).await.lost_nothing();
    });
}

/// How long the near half stands alone.
const APART: Duration = Duration::from_secs(8);
/// How long a master that hears nothing of the others goes on taking what it will lose: the node
/// timeout of 1 s, and its own next look.
const ALONE: Duration = Duration::from_secs(3);

/// How far a replica may be behind its master at that moment.
const BEHIND: Duration = Duration::from_millis(500);

/// Users, workers and one master on the near side of a link that is cut for 8 s, and all the other
/// nodes on the far side, which vote a new master. The account of it, and when it was cut.
fn cut_off(class: Class) -> (load::Verdict, Instant) {
    let apart = Apart::new();
    let cluster = Cluster::start_across(3, 1, |node| redis::Options {
        place: if node == 0 { apart.near() } else { apart.far() },
        ..redis::Options::default()
    });
    block_on(async {
        let store = load::open(&cluster.url(), class, PARTITIONS).await;
        let load = Load::start(&store, 8, 3);
        load.goes_on(RESUMES).await;
        tokio::time::sleep(Duration::from_millis(700)).await;
        let near = (0..PARTITIONS).map(PartitionId).find(|p| master(&cluster, *p) == 0).unwrap();

        let at = Instant::now();
        apart.cut();
        tokio::time::sleep(APART).await;
        apart.mend();
        cluster.wait_until_agreed();
        assert_ne!(master(&cluster, near), 0, "no new master was voted");
        let again = load.goes_on(RESUMES).await;
        eprintln!("goes on {again:?} after the cluster had agreed");
        (load.settle(SETTLE).await, at)
    })
}

#[test]
fn a_master_and_its_users_cut_off_from_the_others_lose_nothing_a_replica_confirmed() {
    let (verdict, _) = cut_off(Class::Replicated);
    verdict.lost_nothing();
}

#[test]
fn a_master_and_its_users_cut_off_from_the_others_lose_at_most_what_it_alone_took() {
    let (verdict, at) = cut_off(Class::Fast);
    eprintln!("{} of {} lost", verdict.lost, verdict.accepted);
    verdict.lost_at_most_within(at - BEHIND, at + ALONE);
}

#[test]
fn orderly_failovers_and_refusing_replicas_are_followed() {
    let cluster = Cluster::start();
    block_on(async {
        let store = load::open(&cluster.url(), Class::Fast, PARTITIONS).await;
        let load = Load::start(&store, 8, 3);
        for p in [0, 3, 7, 0].map(PartitionId) {
            load.goes_on(RESUMES).await;
            let since = Instant::now();
            cluster.failover(slot(&tag(p, PARTITIONS)));
            cluster.wait_until_agreed();
            let agreed = since.elapsed();
            load.goes_on(RESUMES).await;
            eprintln!("failover agreed after {agreed:?}");
        }
        // A failover in order hands everything over, acks too.
        load.settle(SETTLE).await.is_clean();
    });
}

#[test]
fn a_stale_replica_in_power_repeats_no_lease_token_and_resets_cursors() {
    let mut cluster = Cluster::start();
    block_on(async {
        // Acknowledged by the replica, so that it has the task and not the claim.
        let store = load::open(&cluster.url(), Class::Replicated, PARTITIONS).await;
        let ana: UserId = "ana".parse().unwrap();
        let p = partition_of(&ana, PARTITIONS);
        let worker: WorkerId = "w-1".parse().unwrap();
        let batch = Submit { created_ms: 1, tasks: vec![load::draft(&ana, 7)] };
        let since = Instant::now();
        while let Err(error) = store.submit(p, batch.clone()).await {
            assert!(since.elapsed() < RESUMES, "no replica confirms: {error:?}");
        }
        let old = master(&cluster, p);
        let replica = cluster.replicas_of(old)[0];
        let mut events = store.events(&ana);

        // The replica is sent away and cannot come back: it does not know the new password.
        // (Stopping it would leave what it has not read yet in its socket.)
        let mut talk = cluster.node(old).conversation();
        talk.ask(&["CONFIG", "SET", "requirepass", "rose"]).unwrap();
        talk.ask(&["CLIENT", "KILL", "TYPE", "replica"]).unwrap();
        let link = || cluster.node(replica).info("replication");
        wait::until("the replica to be alone", Duration::from_secs(5), || {
            link().get("master_link_status").is_some_and(|status| status == "down")
        });
        let mut call = 0;
        let mut claim = async || {
            call += 1;
            let request = Sync {
                worker: worker.clone(),
                call,
                lease_ms: 5_000,
                ops: Vec::new(),
                claim: Some(Claim::new(vec!["mail".parse().unwrap()], 4)),
                woken: Vec::new(),
                park: false,
            };
            store.sync(p, request).await
        };
        let first = claim().await.unwrap();
        assert_eq!(first.claimed.len(), 1);
        let head = |store: RedisStore, epoch, seq| {
            let query = Query::EventsSince { user: ana.clone(), epoch, seq };
            async move {
                match store.read(p, query).await {
                    Ok(QueryReply::Events(events)) => events,
                    other => panic!("{other:?}"),
                }
            }
        };
        let before = head(store.clone(), first.epoch, 0).await;
        assert_eq!((before.reset, before.seq), (false, 2), "submitted and claimed");

        cluster.kill(old);
        cluster.take_over(replica);
        let since = Instant::now();
        let second = loop {
            // The first answers may be lost with the connections.
            match claim().await {
                Ok(reply) if !reply.claimed.is_empty() => break reply,
                answer => assert!(since.elapsed() < RESUMES, "not claimed again: {answer:?}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let (old, new) = (&first.claimed[0].lease, &second.claimed[0].lease);
        assert_eq!((old.task, old.claim), (new.task, new.claim), "the claim was forgotten");
        assert_ne!(old.to_string(), new.to_string(), "and its token is not repeated");
        assert!(second.epoch > first.epoch, "{} {}", second.epoch, first.epoch);
        let after = head(store.clone(), first.epoch, before.seq).await;
        assert!(after.reset, "a cursor of the forgotten life: {after:?}");
        // A listener hears of it by number too: no event of the new life has an old epoch.
        use futures_util::StreamExt as _;
        let mut heard = Vec::new();
        while let Ok(Some(event)) =
            tokio::time::timeout(Duration::from_millis(300), events.next()).await
        {
            if let UserEvent::Logged { epoch, seq, .. } = event {
                heard.push((epoch, seq));
            }
        }
        let mut unique = heard.clone();
        unique.dedup();
        assert_eq!(unique, heard, "no number twice");
    });
}
