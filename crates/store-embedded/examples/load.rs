//! A process for tests to kill: submits, claims and acks without a pause, and says what was
//! acknowledged. `load <folder> [fold window in ms]`.
//!
//! Lines: `ready`; `submitted <user> <task>`; `completed <user> <task>`; `refused <error>`;
//! `failed <why>` and the end with code 1.

use std::io::Write as _;
use std::sync::Arc;

use tasktonic_core::command::{Claim, NewTask, Op, Report, Submit, Sync, Write};
use tasktonic_core::reply::Submitted;
use tasktonic_core::routing::PartitionId;
use tasktonic_core::{Lease, TaskId, Text, UserId};
use tasktonic_store::Store;
use tasktonic_store::clock::Clock;
use tasktonic_store_embedded::{EmbeddedStore, Options};

const P: PartitionId = PartitionId(0);
const SUBMITTERS: u64 = 4;

fn main() {
    let mut args = std::env::args().skip(1);
    let dir = args.next().expect("load <folder> [fold window in ms]");
    let fold_window_ms = args.next().map_or(30, |ms| ms.parse().expect("a number of ms"));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime for one thread");
    let code = runtime.block_on(run(&dir, fold_window_ms));
    std::process::exit(code);
}

/// Says a line with one system call, so that a kill leaves it whole or not at all.
fn say(line: &str) {
    let _ = std::io::stdout().lock().write_all(format!("{line}\n").as_bytes());
}

async fn run(dir: &str, fold_window_ms: u64) -> i32 {
    let options =
        Options { fold_window_ms, disk_reserve_bytes: 128 * 1024, ..Options::new(Clock::system()) };
    let store = match EmbeddedStore::open(dir, options) {
        Ok(store) => Arc::new(store),
        Err(error) => {
            say(&format!("failed {error}"));
            return 1;
        }
    };
    say("ready");
    for submitter in 0..SUBMITTERS {
        tokio::spawn(submit(Arc::clone(&store), submitter));
    }
    tokio::spawn(work(Arc::clone(&store)));
    let why = store.failed().await;
    say(&format!("failed {why}"));
    1
}

async fn submit(store: Arc<EmbeddedStore>, submitter: u64) {
    let clock = Clock::system();
    let user = UserId::encode(&format!("user-{submitter}"));
    let pad = "x".repeat(200);
    for number in 0.. {
        let now_ms = clock.now_ms();
        let task = TaskId::new(now_ms, (submitter << 32) | number);
        let new = NewTask {
            event: Text::from(r#""k":"load""#),
            lane_max: u32::MAX,
            ..NewTask::new(
                user.clone(),
                task,
                "load".parse().expect("a name"),
                format!(r#"{{"v":1,"k":"load","q":"load","at":{now_ms},"p":"{pad}"}}"#),
            )
        };
        let batch = Submit { created_ms: now_ms, tasks: vec![new] };
        match store.submit(P, batch).await {
            Ok(answers) if answers == [Submitted::Accepted] => {
                say(&format!("submitted {user} {task}"));
            }
            Ok(answers) => say(&format!("refused {answers:?}")),
            Err(error) => {
                say(&format!("refused {error}"));
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        }
    }
}

async fn work(store: Arc<EmbeddedStore>) {
    let mut held: Vec<(Lease, u32)> = Vec::new();
    for call in 1.. {
        let ops: Vec<Op> = held
            .iter()
            .map(|(lease, n)| Op {
                lease: lease.clone(),
                report: Report::Ack {
                    write: Write { n: n + 1, body: Text::from(r#""ho":true"#), event: None },
                    keep_s: 3_600,
                },
            })
            .collect();
        let request = Sync {
            worker: "in-load".parse().expect("a worker id"),
            call,
            lease_ms: 10_000,
            ops,
            claim: Some(Claim::new(vec!["load".parse().expect("a name")], 4)),
            woken: Vec::new(),
            park: false,
        };
        match store.sync(P, request).await {
            Ok(reply) => {
                for (_, (lease, _)) in
                    (0_u32..).zip(&held).filter(|(at, _)| !reply.refused.contains(at))
                {
                    say(&format!("completed {} {}", lease.user, lease.task));
                }
                held = reply.claimed.into_iter().map(|held| (held.lease, held.n)).collect();
            }
            Err(error) => {
                say(&format!("refused {error}"));
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        }
        tokio::task::yield_now().await;
    }
}
