//! The scripts against the same steps of `core`, on a server.

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use tasktonic_core::command::Control;
use tasktonic_store::Store;
use tasktonic_store::clock::Clock;
use tasktonic_testkit::redis::{Options as OfServer, Redis};

use super::*;
use crate::Options;

const PARTITIONS: u16 = 4;

type Word = (u8, u16, u32, u64);

/// Changes of the pool in any order, by whoever knows its version or another: the script does what
/// `core` does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pool_is_changed_as_core_changes_it() {
    let redis = Redis::start(OfServer::default());
    let (clock, _) = Clock::manual(1_700_000_000_000);
    let options = Options { reconcile_every: None, partitions: PARTITIONS, ..Options::new(clock) };
    let store = RedisStore::open(&redis.url().parse().unwrap(), options).await.unwrap();
    let queue: Name = "mail".parse().unwrap();
    let mut model: Option<Pool> = None;
    let mut runner = TestRunner::deterministic();
    let words = prop::collection::vec((0_u8..9, 0..PARTITIONS, 0_u32..12, 0_u64..4), 600);
    let words: Vec<Word> = words.new_tree(&mut runner).unwrap().current();
    let mut raised = 0;
    for some in words.chunks(3) {
        let (verb, .., which) = some[0];
        let version = which % 2;
        let grants: Vec<(u16, Allowance)> =
            some.iter().map(|(_, p, n, v)| (*p, Allowance { n: *n, v: *v })).collect();
        let mut args = vec![version];
        match (&mut model, verb) {
            (None, _) => {
                let mut grants = grants;
                grants.sort_by_key(|(p, _)| *p);
                grants.dedup_by_key(|(p, _)| *p);
                put_all(&mut args, &grants);
                store.change(&queue, "make", &args).await.unwrap();
                model = Some(Pool { version, grants: grants.into_iter().collect() });
            }
            (Some(pool), 0) => {
                store.change(&queue, "drop", &args).await.unwrap();
                if version >= pool.version {
                    model = None;
                }
            }
            (Some(pool), 1..4) => {
                let next = u64::from(verb) % 2;
                args.push(next);
                put_all(&mut args, &grants);
                store.change(&queue, "agree", &args).await.unwrap();
                pool.agree(version, next, &grants);
            }
            (Some(pool), _) => {
                let limit = u32::from(verb) * 4;
                let raises: Vec<Raise> = grants
                    .iter()
                    .map(|(p, to)| {
                        let v = pool.of(*p).v.max(u64::from(to.n % 3 == 0));
                        Raise { p: *p, to: to.n, seen: Allowance { n: to.n / 3, v } }
                    })
                    .collect();
                args.push(u64::from(limit));
                put_all(&mut args, &grants);
                args.push(raises.len() as u64);
                for raise in &raises {
                    let Raise { p, to, seen } = *raise;
                    args.extend([u64::from(p), u64::from(to), seen.v, u64::from(seen.n)]);
                }
                let reply = store.change(&queue, "share", &args).await.unwrap();
                let (answer, told) = items(&reply).unwrap().split_first().unwrap();
                let is_known = word(answer).unwrap() == "1";
                assert_eq!(is_known, pool.version == version);
                if is_known {
                    pool.lower(&grants);
                    let expected = pool.raise(version, limit, &raises);
                    for (to, expected) in told.chunks_exact(2).zip(expected) {
                        let told = (!word(&to[0]).unwrap().is_empty()).then(|| Allowance {
                            n: number(&to[0]).unwrap(),
                            v: number(&to[1]).unwrap(),
                        });
                        assert_eq!(told, expected.map(|(_, to)| to));
                        raised += u32::from(told.is_some());
                    }
                }
            }
        }
        assert_eq!(store.pool(&queue).await.unwrap(), model);
    }
    assert!(raised > 20, "{raised} were raised");
}

/// What a partition is told in any order it takes or ignores as `core` says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_is_told_of_its_permits_as_core_says() {
    let redis = Redis::start(OfServer::default());
    let (clock, _) = Clock::manual(1_700_000_000_000);
    let options = Options {
        reconcile_every: None,
        partitions: 2,
        clock_is_of_scripts: true,
        ..Options::new(clock)
    };
    let store = RedisStore::open(&redis.url().parse().unwrap(), options).await.unwrap();
    let queue: Name = "mail".parse().unwrap();
    let settings = QueueSettings { running_total_max: Some(9), ..QueueSettings::default() };
    for p in [0, 1].map(PartitionId) {
        let queues = vec![(queue.clone(), settings)];
        store.control(p, Control::Queues { version: 1, queues }).await.unwrap();
    }
    let mut allowance = store.look(&queue).await.unwrap().seen[0].unwrap().allowance;
    assert!(allowance.v >= 1_700_000_000_000_000, "numbers rise with the time");
    let base = allowance.v;
    let mut runner = TestRunner::deterministic();
    let said = prop::collection::vec((prop::option::of(0_u32..12), 0_u64..9, 0_u8..4), 200);
    let mut asked_before = Asked::default();
    for (at, (n, v, asked)) in said.new_tree(&mut runner).unwrap().current().into_iter().enumerate()
    {
        let v = base + v + at as u64 / 20;
        let mut seen = [Some(Seen::default()), None];
        store.tell(&queue, vec![(0, (n, v), super::said(asked))], &mut seen).await.unwrap();
        if v >= allowance.v {
            asked_before = super::said(asked);
        }
        allowance = allowance.told(n, v);
        let seen = seen[0].unwrap();
        assert_eq!((seen.allowance, seen.asked), (allowance, asked_before));
    }
}
