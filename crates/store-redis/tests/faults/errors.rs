//! Every error at every call.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tasktonic_core::Text;
use tasktonic_core::UserId;
use tasktonic_core::command::{Control, Submit};
use tasktonic_core::reply::Submitted;
use tasktonic_core::routing::partition_of;
use tasktonic_store::{Error, Expect, Query, QueryReply, Store, Table};
use tasktonic_store_redis::Class;
use tasktonic_testkit::fault_proxy::{Fault, FaultProxy};
use tasktonic_testkit::redis::{self, Redis};

use crate::load::{self, block_on};
use crate::{PARTITIONS, ack, submit, sync, user};

/// A call of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Site {
    Submit,
    Claim,
    Ack,
    Cancel,
    Read,
    Put,
    Get,
}

impl Site {
    /// The command that carries it.
    fn words(self) -> &'static [&'static str] {
        match self {
            Self::Read => &["MGET"],
            Self::Get => &["HGET"],
            _ => &["FCALL"],
        }
    }

    /// Whether it may be sent again after it may have been carried out.
    fn is_repeatable(self) -> bool {
        !matches!(self, Self::Claim | Self::Ack)
    }
}

/// What a call may answer.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Wanted {
    Answer,
    Error(Error),
    Unavailable,
}

fn refused(line: &str) -> Fault {
    Fault::Refuse(line.to_owned())
}

/// Every fault, and what `site` must make of it when it happens once.
fn table(site: Site) -> Vec<(Fault, Wanted)> {
    let unknown = || {
        if site.is_repeatable() { Wanted::Answer } else { Wanted::Error(Error::OutcomeUnknown) }
    };
    let misconf = match site {
        Site::Claim | Site::Ack => Wanted::Answer,
        _ => Wanted::Error(Error::DiskFull),
    };
    vec![
        (refused("MOVED 3 127.0.0.1:PORT"), Wanted::Answer),
        (refused("MOVED 3 :PORT"), Wanted::Answer),
        (refused("ASK 3 127.0.0.1:PORT"), Wanted::Answer),
        (refused("TRYAGAIN Multiple keys request during rehashing of slot"), Wanted::Answer),
        (refused("CLUSTERDOWN The cluster is down"), Wanted::Answer),
        (refused("READONLY You can't write against a read only replica."), Wanted::Answer),
        (refused("LOADING Redis is loading the dataset in memory"), Wanted::Answer),
        (refused("MASTERDOWN Link with MASTER is down"), Wanted::Answer),
        (refused("BUSY Redis is busy running a script."), Wanted::Answer),
        (refused("NOREPLICAS Not enough good replicas to write."), Wanted::Answer),
        (refused("NOSCRIPT No matching script."), Wanted::Answer),
        (refused("ERR Function not found"), Wanted::Answer),
        (refused("OOM command not allowed"), Wanted::Error(Error::Full)),
        (refused("MISCONF Errors writing to the AOF file"), misconf),
        (refused("CROSSSLOT Keys in request don't hash to the same slot"), Wanted::Unavailable),
        (refused("NOAUTH Authentication required."), Wanted::Unavailable),
        (refused("NOPERM this user has no permissions"), Wanted::Unavailable),
        (refused("UNKILLABLE Sorry"), Wanted::Unavailable),
        (refused("UNBLOCKED force unblock"), unknown()),
        (refused("EXECABORT Transaction discarded"), unknown()),
        (Fault::ResetBefore, unknown()),
        (Fault::ResetAfter, unknown()),
        (Fault::Silence, unknown()),
        (Fault::Half, unknown()),
        (Fault::Late(Duration::from_millis(2_300)), unknown()),
        (Fault::Late(Duration::from_millis(50)), Wanted::Answer),
        (Fault::Twice, Wanted::Answer),
    ]
}

/// Meets every fault at `site`, with other calls around it, and looks whether each call got its
/// own answer.
fn every_error_at(site: Site) {
    let redis = Redis::start(redis::Options::default());
    let proxy = FaultProxy::start(redis.port());
    block_on(async {
        let store = load::open(&proxy.url(), Class::Fast, PARTITIONS).await;
        let direct = load::open(&redis.url(), Class::Fast, PARTITIONS).await;
        for (nth, (fault, wanted)) in table(site).into_iter().enumerate() {
            let fault = match fault {
                Fault::Refuse(line) => {
                    Fault::Refuse(line.replace("PORT", &proxy.port().to_string()))
                }
                other => other,
            };
            // Each round has users of its own, so that nothing of another is in the way.
            let ana = user(&format!("ana-{nth}"));
            let task = load::draft(&ana, rand::random());
            let p = partition_of(&ana, PARTITIONS);
            let batch = Submit { created_ms: 1, tasks: vec![task.clone()] };
            let mut held = None;
            if site != Site::Submit {
                direct.submit(p, batch.clone()).await.unwrap();
            }
            if site == Site::Ack {
                held = sync(&direct, &ana, Vec::new(), 1).await.unwrap().claimed.pop();
            }
            let others: Vec<UserId> = (0..8).map(|n| user(&format!("o-{nth}-{n}"))).collect();
            let mut theirs = Vec::new();
            for other in &others {
                let one = load::draft(other, rand::random());
                let batch = Submit { created_ms: 1, tasks: vec![one.clone()] };
                direct.submit(partition_of(other, PARTITIONS), batch).await.unwrap();
                theirs.push(one);
            }

            let before = proxy.played();
            proxy.plan(site.words(), 0, 1, fault.clone());
            let call = async {
                match site {
                    Site::Submit => store.submit(p, batch).await.map(|answers| {
                        let known = Submitted::Existing(task.task);
                        assert!(answers == [Submitted::Accepted] || answers == [known]);
                    }),
                    Site::Claim => sync(&store, &ana, Vec::new(), 1).await.map(|_| ()),
                    Site::Ack => {
                        sync(&store, &ana, vec![ack(held.as_ref().unwrap())], 0).await.map(|_| ())
                    }
                    Site::Cancel => {
                        let control = Control::Cancel {
                            at_ms: 1,
                            user: ana.clone(),
                            tasks: vec![task.task],
                            body: Text::from(""),
                            keep_s: 60,
                        };
                        store.control(p, control).await.map(|_| ())
                    }
                    Site::Read => {
                        let query = Query::Tasks { user: ana.clone(), tasks: vec![task.task] };
                        store.read(p, query).await.map(|reply| {
                            let QueryReply::Tasks(tasks) = reply else { panic!("{reply:?}") };
                            assert_eq!(tasks[0].id, task.task);
                            assert_eq!(tasks[0].descriptor, task.descriptor);
                        })
                    }
                    Site::Put => {
                        let value = "{}".to_owned();
                        let key = format!("key-{nth}");
                        let put = store.registry().put(Table::Kinds, &key, value, Expect::Any);
                        put.await.map(|_| ())
                    }
                    Site::Get => {
                        let none = store.registry().get(Table::Kinds, "absent").await;
                        none.map(|none| assert_eq!(none, None))
                    }
                }
            };
            // Around it others ask other things; each must get its own answer, or an error.
            let around = others.iter().zip(&theirs).map(|(other, own)| {
                let store = &store;
                async move {
                    let head = Query::Exist { tasks: vec![(other.clone(), own.task)] };
                    let reply = store.read(partition_of(other, PARTITIONS), head).await;
                    if let Ok(reply) = reply {
                        let QueryReply::Exist(found) = reply else { panic!("{reply:?}") };
                        assert_eq!(found, [true], "the answer of another call");
                    }
                }
            });
            let since = Instant::now();
            let (answer, _) = tokio::join!(call, join_all(around));
            let took = since.elapsed();
            let fits = match (&wanted, &answer) {
                (Wanted::Answer, Ok(())) => true,
                (Wanted::Error(wanted), Err(error)) => wanted == error,
                (Wanted::Unavailable, Err(Error::Unavailable(_))) => true,
                _ => false,
            };
            assert!(fits, "{site:?} {fault:?}: wanted {wanted:?}, got {answer:?} after {took:?}");
            assert_eq!(proxy.played() - before, 1, "{site:?} {fault:?} did not happen");
            proxy.clear();

            // And what was left behind is in order.
            let broken = direct.check(p).await.unwrap();
            assert!(broken.is_empty(), "{site:?} {fault:?}: {broken:?}");
            // Leases of this round must not be in the way of the next.
            sync(&direct, &ana, Vec::new(), 1).await.unwrap();
        }
    });
}

#[test]
fn every_error_is_borne_by_a_submit() {
    every_error_at(Site::Submit);
}

#[test]
fn every_error_is_borne_by_a_claim() {
    every_error_at(Site::Claim);
}

#[test]
fn every_error_is_borne_by_an_ack() {
    every_error_at(Site::Ack);
}

#[test]
fn every_error_is_borne_by_a_cancellation() {
    every_error_at(Site::Cancel);
}

#[test]
fn every_error_is_borne_by_a_read() {
    every_error_at(Site::Read);
}

#[test]
fn every_error_is_borne_by_a_change_of_the_registry() {
    every_error_at(Site::Put);
}

#[test]
fn every_error_is_borne_by_a_look_into_the_registry() {
    every_error_at(Site::Get);
}

#[test]
fn patience_has_an_end_and_the_caller_is_told_what_kept_it() {
    let redis = Redis::start(redis::Options::default());
    block_on(async {
        let cases = [
            ("BUSY Redis is busy running a script.", Error::Busy),
            ("LOADING Redis is loading", Error::Unavailable("LOADING".into())),
            ("TRYAGAIN while moving", Error::Unavailable("TRYAGAIN".into())),
            ("CLUSTERDOWN The cluster is down", Error::Unavailable("CLUSTERDOWN".into())),
            ("READONLY replica", Error::Unavailable("READONLY".into())),
        ];
        let mut waiting = Vec::new();
        for (line, wanted) in cases {
            let proxy = FaultProxy::start(redis.port());
            let store = load::open(&proxy.url(), Class::Fast, PARTITIONS).await;
            proxy.plan(&["FCALL"], 0, u64::MAX, refused(line));
            waiting.push(async move {
                let since = Instant::now();
                let error = submit(&store, &user("ana")).await.unwrap_err();
                let fits = match (&error, &wanted) {
                    (Error::Unavailable(said), Error::Unavailable(code)) => said.contains(code),
                    (error, wanted) => error == wanted,
                };
                assert!(fits, "{line}: {error:?}");
                let took = since.elapsed();
                assert!((9..12).contains(&took.as_secs()), "{line}: {took:?}");
                drop(proxy);
            });
        }
        join_all(waiting).await;
    });
}
