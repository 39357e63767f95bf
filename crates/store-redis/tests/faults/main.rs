//! One Redis, and everything that can go wrong between it and us: every error at every call, lost
//! and doubled answers, restarts, a full memory. After each an uninvolved reader counts.

#![expect(clippy::unwrap_used, reason = "a test may panic, and so may its helpers")]

mod clock;
mod errors;
#[path = "../load/mod.rs"]
mod load;
mod power;
mod walks;

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use load::block_on;
use tasktonic_core::command::{
    Claim, Control, MoveTo, Op, Report, Reschedule, Submit, Sync, Write,
};
use tasktonic_core::reply::{Controlled, Submitted};
use tasktonic_core::routing::{PartitionId, partition_of};
use tasktonic_core::{Text, UserId};
use tasktonic_store::clock::Clock;
use tasktonic_store::{Error, Expect, Held, Query, Result, Store, SyncReply, Table};
use tasktonic_store_redis::{Class, Options, RedisStore};
use tasktonic_testkit::Scratch;
use tasktonic_testkit::fault_proxy::{Fault, FaultProxy};
use tasktonic_testkit::redis::{self, Redis};

const PARTITIONS: u16 = 2;
fn user(name: &str) -> UserId {
    name.parse().unwrap()
}

async fn submit(store: &RedisStore, user: &UserId) -> Result<Vec<Submitted>> {
    let batch = Submit { created_ms: 1, tasks: vec![load::draft(user, rand::random())] };
    store.submit(partition_of(user, store.partitions()), batch).await
}

async fn sync(store: &RedisStore, user: &UserId, ops: Vec<Op>, limit: u32) -> Result<SyncReply> {
    let claim = Claim::new(vec!["mail".parse().unwrap()], limit);
    let request = Sync {
        worker: "w-1".parse().unwrap(),
        call: rand::random_range(0..1 << 53),
        lease_ms: 5_000,
        ops,
        claim: (limit > 0).then_some(claim),
        woken: Vec::new(),
        park: false,
    };
    store.sync(partition_of(user, store.partitions()), request).await
}

fn ack(held: &Held) -> Op {
    let write = Write { n: held.n + 1, body: Text::from(""), event: None };
    Op { lease: held.lease.clone(), report: Report::Ack { write, keep_s: 60 } }
}

#[test]
fn a_full_line_is_refused_at_once() {
    let redis = Redis::start(redis::Options::default());
    block_on(async {
        let store = load::open(&redis.url(), Class::Fast, PARTITIONS).await;
        submit(&store, &user("ana")).await.unwrap();
        redis.freeze();
        let asking: Vec<_> = (0..4_200)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move {
                    let since = Instant::now();
                    let head = Query::EventsHead { user: user("ana") };
                    let p = partition_of(&user("ana"), PARTITIONS);
                    (store.read(p, head).await.map(|_| ()), since.elapsed())
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(300)).await;
        redis.thaw();
        let (mut answered, mut busy) = (0, 0);
        for asked in asking {
            match asked.await.unwrap() {
                (Ok(()), _) => answered += 1,
                (Err(Error::Busy), took) => {
                    assert!(took < Duration::from_secs(1), "{took:?}");
                    busy += 1;
                }
                (error, _) => panic!("{error:?}"),
            }
        }
        assert!(busy >= 100 && answered >= 4_000, "{busy} busy, {answered} answered");
        submit(&store, &user("ana")).await.unwrap();
    });
}

#[test]
fn a_claim_whose_answer_was_lost_runs_out_and_is_adopted() {
    let redis = Redis::start(redis::Options::default());
    let proxy = FaultProxy::start(redis.port());
    block_on(async {
        let (clock, hand) = Clock::manual(1_700_000_000_000);
        let options = Options {
            clock_is_of_scripts: true,
            partitions: PARTITIONS,
            reconcile_every: None,
            ..Options::new(clock)
        };
        let url = proxy.url().parse().unwrap();
        let store = RedisStore::open(&url, options).await.unwrap();
        let ana = user("ana");
        submit(&store, &ana).await.unwrap();
        proxy.plan(&["FCALL"], 0, 1, Fault::ResetAfter);
        assert_eq!(sync(&store, &ana, Vec::new(), 1).await, Err(Error::OutcomeUnknown));
        assert_eq!(proxy.played(), 1);
        let mut adopted = Vec::new();
        for _ in 0..8 {
            hand.advance(1_000);
            adopted.extend(sync(&store, &ana, Vec::new(), 0).await.unwrap().adopted);
        }
        assert_eq!(adopted.len(), 1, "the lost claim is adopted, once");
        assert_eq!(adopted[0].lease.claim, 2);
    });
}

#[test]
fn a_change_whose_answer_was_lost_is_not_said_to_be_refused() {
    let redis = Redis::start(redis::Options::default());
    let proxy = FaultProxy::start(redis.port());
    block_on(async {
        let store = load::open(&proxy.url(), Class::Fast, PARTITIONS).await;
        let ana = user("ana");
        let task = load::draft(&ana, 1);
        let p = partition_of(&ana, PARTITIONS);
        let batch = Submit { created_ms: 1, tasks: vec![task.clone()] };
        store.submit(p, batch).await.unwrap();
        let to_front = |claim| Control::Reschedule {
            at_ms: 2,
            user: ana.clone(),
            tasks: vec![Reschedule { task: task.task, claim, to: MoveTo::Front }],
        };
        // The first sending moves it, and the second meets another claim number.
        proxy.plan(&["FCALL"], 0, 1, Fault::ResetAfter);
        assert_eq!(store.control(p, to_front(1)).await, Err(Error::OutcomeUnknown));
        assert_eq!(proxy.played(), 1);
        assert_eq!(store.control(p, to_front(1)).await, Ok(vec![Controlled::Changed]));
        // Where the first was not carried out, the second is.
        proxy.plan(&["FCALL"], 0, 1, Fault::ResetBefore);
        assert_eq!(store.control(p, to_front(2)).await, Ok(vec![Controlled::Done]));
    });
}

#[test]
fn above_the_memory_limit_submits_are_refused_and_work_goes_on() {
    let options =
        redis::Options { memory_max: Some(12 * 1024 * 1024), ..redis::Options::default() };
    let redis = Redis::start(options);
    block_on(async {
        let store = load::open(&redis.url(), Class::Fast, PARTITIONS).await;
        let ana = user("ana");
        for _ in 0..20 {
            submit(&store, &ana).await.unwrap();
        }
        // Large ones first, so that the last bytes are taken too.
        for size in [256 * 1024, 8 * 1024, 64] {
            let filler = "x".repeat(size);
            for n in 0.. {
                if redis.ask(&["SET", &format!("filler-{size}-{n}"), &filler]).is_error() {
                    break;
                }
            }
        }
        let mut waiting = 20;
        while submit(&store, &ana).await != Err(Error::Full) {
            waiting += 1;
            assert!(waiting < 200, "submits are not refused");
        }
        let mut done = 0;
        while done < waiting {
            let claimed = sync(&store, &ana, Vec::new(), 4).await.unwrap().claimed;
            assert!(!claimed.is_empty(), "a claim goes on");
            let reply = sync(&store, &ana, claimed.iter().map(ack).collect(), 0).await.unwrap();
            assert!(reply.refused.is_empty());
            done += claimed.len();
        }
        assert_eq!(submit(&store, &ana).await, Err(Error::Full));
        redis.cli(&["CONFIG", "SET", "maxmemory", "100mb"]);
        let since = Instant::now();
        while submit(&store, &ana).await.is_err() {
            assert!(since.elapsed() < Duration::from_secs(5), "submits stay refused");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
}

#[test]
fn above_the_memory_limit_a_cancel_and_a_record_are_kept_on_the_replica_too() {
    let master = Redis::start(redis::Options::default());
    let lines = vec![format!("replicaof 127.0.0.1 {}", master.port())];
    let _replica = Redis::start(redis::Options { lines, ..redis::Options::default() });
    tasktonic_testkit::wait::until("the replica to follow", Duration::from_secs(10), || {
        master.info("replication").get("slave0").is_some_and(|line| line.contains("state=online"))
    });
    block_on(async {
        let store = load::open(&master.url(), Class::Replicated, PARTITIONS).await;
        let ana = user("ana");
        let p = partition_of(&ana, PARTITIONS);
        let task = load::draft(&ana, rand::random());
        let batch = Submit { created_ms: 1, tasks: vec![task.clone()] };
        // A replica on a busy machine may take longer than a call may wait for it.
        let since = Instant::now();
        while let Err(error) = store.submit(p, batch.clone()).await {
            assert_eq!(error, Error::OutcomeUnknown);
            assert!(since.elapsed() < Duration::from_secs(10), "no replica confirms a submit");
        }
        master.cli(&["CONFIG", "SET", "maxmemory", "1"]);
        assert_eq!(submit(&store, &ana).await, Err(Error::Full));
        let cancel = || Control::Cancel {
            at_ms: 1,
            user: ana.clone(),
            tasks: vec![task.task],
            body: Text::from(""),
            keep_s: 60,
        };
        while let Err(error) = store.control(p, cancel()).await {
            assert_eq!(error, Error::OutcomeUnknown);
            assert!(since.elapsed() < Duration::from_secs(10), "no replica confirms a cancel");
        }
        let put = || store.registry().put(Table::Kinds, "mail", "{}".into(), Expect::Any);
        while let Err(error) = put().await {
            assert_eq!(error, Error::OutcomeUnknown);
            assert!(since.elapsed() < Duration::from_secs(10), "no replica confirms a record");
        }
    });
}

#[test]
fn a_store_is_worked_on_while_somebody_syncs_though_nobody_listens() {
    let redis = Redis::start(redis::Options::default());
    block_on(async {
        let store = load::open(&redis.url(), Class::Fast, PARTITIONS).await;
        let ana = user("ana");
        assert!(!store.is_worked_on().await.unwrap(), "a new store");
        submit(&store, &ana).await.unwrap();
        let server = {
            let (store, ana) = (store.clone(), ana.clone());
            tokio::spawn(async move {
                loop {
                    sync(&store, &ana, Vec::new(), 0).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
            })
        };
        let looked = Instant::now();
        while !store.is_worked_on().await.unwrap() {
            assert!(looked.elapsed() < Duration::from_secs(10), "nobody is seen working");
        }
        assert_eq!(store.listeners().await.unwrap(), 0);
        server.abort();
        let _: std::result::Result<(), _> = server.await;
        let stopped = Instant::now();
        assert!(!store.is_worked_on().await.unwrap(), "it has stopped");
        assert!(stopped.elapsed() < Duration::from_secs(8), "{:?}", stopped.elapsed());
    });
}

#[test]
fn a_submit_that_no_replica_confirms_is_not_acknowledged_however_often_it_is_sent() {
    let master = Redis::start(redis::Options::default());
    let lines = vec![format!("replicaof 127.0.0.1 {}", master.port())];
    let replica = Redis::start(redis::Options { lines, ..redis::Options::default() });
    tasktonic_testkit::wait::until("the replica to follow", Duration::from_secs(10), || {
        master.info("replication").get("slave0").is_some_and(|line| line.contains("state=online"))
    });
    block_on(async {
        let store = load::open(&master.url(), Class::Replicated, PARTITIONS).await;
        let ana = user("ana");
        let p = partition_of(&ana, PARTITIONS);
        let since = Instant::now();
        let asking = (0..200).map(|_| submit(&store, &ana));
        for answer in join_all(asking).await {
            // A replica on a busy machine may take longer than a call may wait for it.
            assert!(matches!(answer, Ok(_) | Err(Error::OutcomeUnknown)), "{answer:?}");
        }
        let took = since.elapsed();
        let stats = master.info("commandstats");
        let calls = |name: &str| -> u64 {
            let line = stats.get(name).map(String::as_str).unwrap_or_default();
            let calls = line.split(',').next().and_then(|part| part.strip_prefix("calls="));
            calls.and_then(|calls| calls.parse().ok()).unwrap_or(0)
        };
        let waits = calls("cmdstat_wait");
        eprintln!("200 replicated submits at once: {took:?}, {waits} waits");
        assert!((1..=50).contains(&waits), "{waits} waits for 200 submits");

        master.forget_scripts();
        let since = Instant::now();
        while let Err(error) = submit(&store, &ana).await {
            assert_eq!(error, Error::OutcomeUnknown);
            assert!(since.elapsed() < Duration::from_secs(10), "the scripts are not loaded again");
        }

        replica.freeze();
        let batch = Submit { created_ms: 1, tasks: vec![load::draft(&ana, 7)] };
        for _ in 0..3 {
            assert_eq!(store.submit(p, batch.clone()).await, Err(Error::OutcomeUnknown));
        }
        // Another process has no write of its own to wait for, and must not be fooled either.
        let options = Options {
            class: Class::Replicated,
            declared: true,
            reconcile_every: None,
            ..Options::new(Clock::system())
        };
        let other = RedisStore::open(&master.url().parse().unwrap(), options).await.unwrap();
        assert_eq!(other.submit(p, batch.clone()).await, Err(Error::OutcomeUnknown));
        replica.thaw();
        let since = Instant::now();
        let known = [Submitted::Existing(batch.tasks[0].task)];
        while store.submit(p, batch.clone()).await.as_deref() != Ok(&known) {
            assert!(since.elapsed() < Duration::from_secs(10), "the replica is back");
        }
    });
}

#[test]
fn a_wrong_password_and_missing_rights_are_told_and_not_tried_for_ever() {
    let redis =
        Redis::start(redis::Options { password: Some("rose".into()), ..redis::Options::default() });
    block_on(async {
        let url = format!("redis://:thorn@127.0.0.1:{}", redis.port());
        let since = Instant::now();
        let error = RedisStore::open(&url.parse().unwrap(), Options::new(Clock::system())).await;
        let said = error.unwrap_err().to_string();
        assert!(said.contains("WRONGPASS") && !said.contains("thorn"), "{said}");
        assert!(since.elapsed() < Duration::from_secs(2));
        let store = load::open(&redis.url(), Class::Fast, PARTITIONS).await;
        submit(&store, &user("ana")).await.unwrap();
        redis.cli(&["ACL", "SETUSER", "default", "-fcall"]);
        let since = Instant::now();
        let error = submit(&store, &user("ana")).await.unwrap_err();
        assert!(matches!(&error, Error::Unavailable(said) if said.contains("NOPERM")), "{error:?}");
        assert!(since.elapsed() < Duration::from_secs(1));
    });
}

#[test]
fn two_stores_of_one_process_do_not_disturb_each_other() {
    let redis = Redis::start(redis::Options::default());
    block_on(async {
        let one = Arc::new(load::open(&redis.url(), Class::Fast, PARTITIONS).await);
        let two = load::open(&redis.url(), Class::Fast, PARTITIONS).await;
        submit(&one, &user("ana")).await.unwrap();
        drop(one);
        submit(&two, &user("ana")).await.unwrap();
        assert_eq!(two.partitions(), PARTITIONS);
        assert!(two.check(PartitionId(0)).await.unwrap().is_empty());
    });
}

/// Where the test below finds the server, when it is its own child.
const TLS_URL: &str = "TASKTONIC_TEST_TLS_URL";

#[test]
fn tls_is_spoken_to_a_server_whose_certificate_the_machine_trusts_and_to_no_other() {
    if let Ok(url) = std::env::var(TLS_URL) {
        return block_on(async {
            let store = load::open(&url, Class::Fast, PARTITIONS).await;
            let ana = user("ana");
            let mut events = store.events(&ana);
            let confirmed = futures_util::StreamExt::next(&mut events);
            tokio::time::timeout(Duration::from_secs(5), confirmed).await.unwrap();
            assert_eq!(submit(&store, &ana).await.unwrap(), [Submitted::Accepted]);
        });
    }
    let dir = Scratch::new();
    let file = |name: &str| dir.join(name).display().to_string();
    let (key, certificate) = (file("key.pem"), file("certificate.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-days", "2", "-subj", "/CN=redis of a test", "-keyout", &key, "-out", &certificate])
        .args(["-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .output()
        .expect("this test needs openssl (apt-get install openssl)");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let port = tasktonic_testkit::ports::free();
    let lines = vec![
        format!("tls-port {port}"),
        format!("tls-cert-file {certificate}"),
        format!("tls-key-file {key}"),
        format!("tls-ca-cert-file {certificate}"),
        "tls-auth-clients no".into(),
    ];
    let _redis = Redis::start(redis::Options { lines, ..redis::Options::default() });
    // What a machine trusts is read from its environment, which only a new process can have.
    let child = |trusted: &str| {
        let this = std::env::current_exe().unwrap();
        let name = "tls_is_spoken_to_a_server_whose_certificate_the_machine_trusts_and_to_no_other";
        let mut child = Command::new(this);
        child.args(["--exact", name, "--nocapture"]).env("SSL_CERT_FILE", trusted);
        child.env(TLS_URL, format!("rediss://127.0.0.1:{port}")).env_remove("SSL_CERT_DIR");
        let output = child.output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (opened, said) = child(&certificate);
    assert!(opened, "{said}");
    let other = file("other.pem");
    std::fs::write(&other, "").unwrap();
    let (opened, said) = child(&other);
    assert!(!opened && said.contains("certificate"), "{said}");
}
