//! The scripts against the same steps of `core`, on a server.

use tasktonic_core::command::Control;
use tasktonic_core::limits::LEASE_TIME_STEP_MS_MAX;
use tasktonic_store::Store;
use tasktonic_store::clock::Clock;
use tasktonic_testkit::redis::{Options as OfServer, Redis};

use super::*;
use crate::Options;

const PARTITIONS: u16 = 4;
const BEGIN_MS: i64 = 1_700_000_000_000;

/// A small generator of numbers: the same walk every time.
struct Seed(u64);

impl Seed {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Changes of the pool in any order, by whoever knows its version or another: the script does what
/// `core` does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pool_of_starts_is_changed_as_core_changes_it() {
    let redis = Redis::start(OfServer::default());
    let (clock, hand) = Clock::manual(BEGIN_MS);
    let options = Options {
        reconcile_every: None,
        partitions: PARTITIONS,
        clock_is_of_scripts: true,
        ..Options::new(clock)
    };
    let store = RedisStore::open(&redis.url().parse().unwrap(), options).await.unwrap();
    let queue: Name = "mail".parse().unwrap();
    let rates =
        [Rate { tasks: 7, per_ms: 1_000, burst: 5 }, Rate { tasks: 3, per_ms: 100, burst: 40 }];
    let (mut seed, mut now_ms) = (Seed(1), BEGIN_MS);
    let mut model: Option<Pool> = None;
    let (mut raised, mut heard) = (0, 0);
    for step in 0..500 {
        let passed = i64::try_from(seed.below(120)).unwrap();
        hand.advance(passed);
        now_ms += passed;
        let (now_us, rate, version) = (now_ms * 1_000, rates[step / 250], seed.below(2));
        let of = |pool: &Option<Pool>, p| pool.as_ref().map(|pool| pool.of(p)).unwrap_or_default();
        let mut seen = Vec::new();
        for p in 0..PARTITIONS {
            let grant = of(&model, p);
            let v = (grant.mark.v + u64::from(seed.below(12) == 0))
                .saturating_sub(u64::from(seed.below(6) == 0));
            let started = grant.used + seed.below(3);
            let mark = Mark { n: grant.mark.n.saturating_sub(seed.below(2)), v };
            if seed.below(4) > 0 {
                seen.push((p, Seen { started, mark, ..Seen::default() }));
            }
        }
        let mut words = store.rate_words(version, rate);
        match (&mut model, seed.below(12)) {
            (None, is_first) => {
                words.push(u8::from(is_first > 6).to_string());
                put_seen(&mut words, &seen);
                store.change_starts(&queue, "make", words).await.unwrap();
                model = Some(Pool::new(version, rate, now_us, &seen, is_first > 6));
            }
            (Some(pool), 0) => {
                let words = vec![version.to_string()];
                store.change_starts(&queue, "drop", words).await.unwrap();
                if version >= pool.version {
                    model = None;
                }
            }
            (Some(pool), 1 | 2) => {
                words.push((1 - version).to_string());
                put_seen(&mut words, &seen);
                store.change_starts(&queue, "agree", words).await.unwrap();
                pool.agree(version, 1 - version, rate, now_us, &seen);
            }
            (Some(pool), _) => {
                let mut raises = Vec::new();
                for p in 0..PARTITIONS {
                    let v = pool.of(p).mark.v + u64::from(seed.below(9) == 0);
                    raises.push(Raise { p, by: seed.below(4), v });
                }
                words.push((AHEAD_MS * 1_000).to_string());
                put_seen(&mut words, &seen);
                words.push(raises.len().to_string());
                for Raise { p, by, v } in &raises {
                    words.extend([p.to_string(), by.to_string(), v.to_string()]);
                }
                let reply = store.change_starts(&queue, "share", words).await.unwrap();
                let (answer, told) = items(&reply).unwrap().split_first().unwrap();
                let is_known = word(answer).unwrap() == "1";
                assert_eq!(is_known, pool.version == version);
                if is_known {
                    let before = pool.full_us;
                    pool.hear(now_us, &seen);
                    heard += u32::from(pool.full_us > before);
                    let expected = pool.raise(version, rate, now_us, &raises);
                    for (to, expected) in told.chunks_exact(3).zip(expected) {
                        let told = told_of(to).unwrap();
                        assert_eq!(told, expected, "step {step}: {pool:?}");
                        raised += u32::from(told.is_some());
                    }
                }
            }
        }
        let mut expected = model.clone();
        // Of whom nothing is known, nothing is written.
        if let Some(pool) = &mut expected {
            pool.grants.retain(|_, grant| *grant != Grant::default());
        }
        assert_eq!(store.starts(&queue).await.unwrap(), (expected, now_us), "step {step}");
    }
    assert!(raised > 20 && heard > 20, "{raised} were raised, {heard} heard");
}

/// What a partition is told in any order it takes or ignores as `core` says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_is_told_of_its_starts_as_core_says() {
    let redis = Redis::start(OfServer::default());
    let (clock, hand_of_clock) = Clock::manual(BEGIN_MS);
    let options = Options {
        reconcile_every: None,
        partitions: 2,
        clock_is_of_scripts: true,
        ..Options::new(clock)
    };
    let store = RedisStore::open(&redis.url().parse().unwrap(), options).await.unwrap();
    let queue: Name = "mail".parse().unwrap();
    let rate_total = Some(Rate { tasks: 9, per_ms: 1_000, burst: 9 });
    let settings = QueueSettings { rate_total, ..QueueSettings::default() };
    for p in [0, 1].map(PartitionId) {
        let queues = vec![(queue.clone(), settings)];
        store.control(p, Control::Queues { version: 1, queues }).await.unwrap();
    }
    let keys = store.keys(PartitionId(0)).unwrap().clone();
    let read = async || {
        let mut asked = Pipeline::new();
        asked.hget(keys.meta(), hand_field(&queue));
        let answers = store.ask(PartitionId(0), &asked).await.unwrap();
        Started::of(word(&answers[0]).unwrap()).unwrap()
    };
    let Started::Hand { mut hand, is_new } = read().await else { panic!("it has its part") };
    assert!(hand.mark.v >= 1_700_000_000_000_000, "numbers rise with the time");
    assert!(!is_new, "it was told when the rate was set");
    let (base, mut seed) = (hand.mark.v, Seed(3));
    let mut now_ms = BEGIN_MS;
    for at in 0..200_u64 {
        hand_of_clock.advance(7);
        now_ms += 7;
        if at % 40 == 0 {
            // Somebody maintains, and lease time goes on.
            let request = tasktonic_core::command::Sync {
                worker: "w-1".parse().unwrap(),
                call: at,
                lease_ms: 5_000,
                ops: Vec::new(),
                claim: None,
                woken: Vec::new(),
                park: false,
            };
            store.sync(PartitionId(0), request).await.unwrap();
        }
        let mut asked = Pipeline::new();
        asked.hget(keys.meta(), "lt").hget(keys.meta(), "mt");
        let answers = store.ask(PartitionId(0), &asked).await.unwrap();
        let of = |at: usize| text(&answers[at]).unwrap().map_or(0, |text| text.parse().unwrap());
        let (lt, mt): (i64, i64) = (of(0), of(1));
        let lt_ms = lt + (now_ms - mt).clamp(0, LEASE_TIME_STEP_MS_MAX);
        let n = (seed.below(4) > 0).then(|| seed.below(12));
        let v = base + seed.below(9) + at / 20;
        let asked = said(u8::try_from(seed.below(4)).unwrap());
        let told = Told { n, v, in_ms: seed.below(3) * 40, asked };
        let mut seen = [Some(Seen::default()), None];
        store.hand_out(&queue, vec![(0, told)], &mut seen).await.unwrap();
        hand.tell(told, lt_ms);
        let Started::Hand { hand: now, .. } = read().await else { panic!("it has its part") };
        assert_eq!(now, hand, "{told:?}");
        let seen = seen[0].unwrap();
        assert_eq!((seen.mark, seen.asked), (hand.mark, hand.asked));
    }
}
