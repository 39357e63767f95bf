//! Instructions that the hottest paths take, counted by valgrind and held below a limit each. They
//! are the same on a busy machine as on a quiet one, so a limit that is passed means that the code
//! does more. Knows nothing of time.
//!
//! A limit is a quarter above what was counted when it was set: compilers differ by less, and a
//! copy or a search too many costs more. Run by `cargo xtask test --only instructions`.

#![expect(missing_docs, reason = "the modules are of the macros' making")]

use std::hint::black_box;
use std::sync::Arc;

use gungraun::{
    Callgrind, EventKind, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main,
};
use tasktonic_auth::{Issuer, NewToken, Role, SigningKey, TrustedIssuer, Verifier};
use tasktonic_core::command::{Claim, Command, NewTask, Op, Report, Submit, Sync, Write};
use tasktonic_core::reply::{Reply, Synced};
use tasktonic_core::{Lease, Partition, TaskId};
use tasktonic_protocol::stored::{Descriptor, StoredState};

const NOW_MS: i64 = 1_700_000_000_000;
/// Tasks of a call.
const BATCH: u64 = 64;
/// Users who take turns.
const USERS: u64 = 12;
/// Tasks that wait meanwhile.
const WAITING: u64 = 4_096;

/// At most so many instructions.
fn at_most(instructions: u64) -> LibraryBenchmarkConfig {
    let mut config = LibraryBenchmarkConfig::default();
    config.tool(Callgrind::default().hard_limits([(EventKind::Ir, instructions)]));
    config
}

fn tasks(numbers: std::ops::Range<u64>) -> Command {
    let descriptor: Arc<str> = Arc::from(r#"{"k":"mail","at":1700000000000,"max":5,"p":{"n":1}}"#);
    let tasks = numbers
        .map(|number| NewTask {
            event: Arc::from(r#""k":"mail""#),
            lane_max: 100_000,
            ..NewTask::new(
                format!("user-{}", number % USERS).parse().expect("a user"),
                TaskId::new(1, number),
                "mail".parse().expect("a name"),
                Arc::clone(&descriptor),
            )
        })
        .collect();
    Command::Submit(Submit { created_ms: NOW_MS, tasks })
}

fn sync(ops: Vec<Op>, limit: u32) -> Command {
    let queues = vec!["mail".parse().expect("a name")];
    Command::Sync(Sync {
        worker: "w1".parse().expect("a name"),
        call: 1,
        lease_ms: 10_000,
        ops,
        claim: (limit > 0).then_some(Claim::new(queues, limit)),
        woken: Vec::new(),
        park: false,
    })
}

fn partition() -> Partition {
    let mut partition = Partition::new(1);
    for from in (0..WAITING).step_by(128) {
        partition.apply(tasks(from..from + 128), NOW_MS);
    }
    partition
}

fn to_submit() -> (Partition, Command) {
    (partition(), tasks(WAITING..WAITING + BATCH))
}

fn to_claim() -> (Partition, Command) {
    (partition(), sync(Vec::new(), u32::try_from(BATCH).expect("few")))
}

fn claimed(partition: &mut Partition) -> Vec<Lease> {
    let command = sync(Vec::new(), u32::try_from(BATCH).expect("few"));
    let (Reply::Sync(Synced { claimed, .. }), _) = partition.apply(command, NOW_MS) else {
        unreachable!("a sync is answered as one")
    };
    claimed.into_iter().map(|one| one.lease).collect()
}

fn to_ack() -> (Partition, Command) {
    let mut partition = partition();
    let write = || Write { n: 2, body: Arc::from(r#""o":{"ok":true}"#), event: None };
    let acks = claimed(&mut partition)
        .into_iter()
        .map(|lease| Op { lease, report: Report::Ack { write: write(), keep_s: 3_600 } })
        .collect();
    (partition, sync(acks, 0))
}

#[library_benchmark(config = at_most(SUBMIT_MAX))]
#[bench::of_64(to_submit())]
fn submit((mut partition, command): (Partition, Command)) -> (Partition, Reply) {
    let (reply, _) = black_box(partition.apply(command, NOW_MS));
    (partition, reply)
}

#[library_benchmark(config = at_most(CLAIM_MAX))]
#[bench::of_64(to_claim())]
fn claim((mut partition, command): (Partition, Command)) -> (Partition, Reply) {
    let (reply, _) = black_box(partition.apply(command, NOW_MS));
    (partition, reply)
}

#[library_benchmark(config = at_most(ACK_MAX))]
#[bench::of_64(to_ack())]
fn ack((mut partition, command): (Partition, Command)) -> (Partition, Reply) {
    let (reply, _) = black_box(partition.apply(command, NOW_MS));
    (partition, reply)
}

const NOW_S: i64 = NOW_MS / 1_000;

fn door() -> (Verifier, String) {
    let issuer = Issuer::new("tasktonic", SigningKey::generate());
    let trusted = TrustedIssuer::built_in("tasktonic", "tasktonic", issuer.key_set());
    let token = issuer.mint(
        &NewToken {
            subject: "ana".to_owned(),
            role: Role::User,
            name: None,
            scopes: Vec::new(),
            ttl_s: 600,
            audience: "tasktonic".to_owned(),
        },
        NOW_S,
    );
    (Verifier::new(vec![trusted], 60).expect("one issuer"), token)
}

fn known_token() -> (Verifier, String) {
    let (verifier, token) = door();
    verifier.verify(&token, NOW_S).expect("a good token");
    (verifier, token)
}

// What every request pays at the door but the first with its token.
#[library_benchmark(config = at_most(KNOWN_TOKEN_MAX))]
#[bench::again(known_token())]
fn verify((verifier, token): (Verifier, String)) -> (Verifier, bool) {
    let is_good = black_box(verifier.verify(&token, NOW_S).is_ok());
    (verifier, is_good)
}

const DESCRIPTOR: &str = r#"{"k":"mail.send","q":"mail","at":1700000000000,"max":5,"tags":["spring","vip"],"p":{"to":"somebody@example.org","subject":"Hello","lines":[1,2,3,4,5,6,7,8]}}"#;
const STATE: &str = r#"{"s":"running","c":1,"n":3,"at":1700000000500,"a":1,"w":"w1.7","st":1700000000400,"p":{"done":3,"total":10,"note":"third"}}"#;

// A task as it is read for a page or a worker.
#[library_benchmark(config = at_most(READ_MAX))]
fn read() -> bool {
    let descriptor = Descriptor::parse(black_box(DESCRIPTOR));
    let state = serde_json::from_str::<StoredState>(black_box(STATE));
    black_box((&descriptor, &state));
    descriptor.is_ok() && state.is_ok()
}

const SUBMIT_MAX: u64 = 610_000;
const CLAIM_MAX: u64 = 780_000;
const ACK_MAX: u64 = 806_000;
const KNOWN_TOKEN_MAX: u64 = 20_200;
const READ_MAX: u64 = 18_900;

library_benchmark_group!(name = engine, benchmarks = [submit, claim, ack]);
library_benchmark_group!(name = edges, benchmarks = [verify, read]);

main!(library_benchmark_groups = [engine, edges]);
