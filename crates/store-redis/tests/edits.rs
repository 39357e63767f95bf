//! Edits beside claims, ten thousand of them.

#![expect(clippy::unwrap_used, reason = "these are tests")]

mod common;

use std::collections::BTreeMap;

use tasktonic_core::command::{Claim, Control, Edit, NewTask, Submit, Sync};
use tasktonic_core::reply::Controlled;
use tasktonic_core::routing::PartitionId;
use tasktonic_core::{TaskId, Text, UserId};
use tasktonic_store::Store as _;
use tasktonic_store::clock::Clock;
use tasktonic_testkit::redis::Server;

const P: PartitionId = PartitionId(0);
const NOW_MS: i64 = 1_700_000_000_000;
const TASKS: u64 = 2_000;
/// Edits that every task is asked for.
const ROUNDS: u32 = 5;
/// Tasks in one call.
const CHUNK: u64 = 50;

fn text(round: u32) -> Text {
    format!(r#"{{"v":1,"k":"mail","q":"mail","at":1,"max":3,"p":{{"round":{round}}}}}"#).into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edits_that_race_claims_are_seen_or_refused() {
    let (clock, _) = Clock::manual(NOW_MS);
    let redis = common::server(Server::Redis);
    let store = common::open(&redis, clock, 1).await;
    let user = UserId::encode("ana");
    for from in (0..TASKS).step_by(100) {
        let draft = |number| {
            let task = TaskId::new(NOW_MS, number);
            NewTask::new(user.clone(), task, "mail".parse().unwrap(), text(0))
        };
        let tasks = (from..from + 100).map(draft).collect();
        store.submit(P, Submit { created_ms: NOW_MS, tasks }).await.unwrap();
    }

    let editing = async {
        let mut accepted: BTreeMap<TaskId, u32> = BTreeMap::new();
        let mut refused = 0;
        for round in 1..=ROUNDS {
            for from in (0..TASKS).step_by(usize::try_from(CHUNK).unwrap()) {
                let edit = |number| Edit {
                    bytes_max: u64::MAX,
                    task: TaskId::new(NOW_MS, number),
                    claim: 1,
                    n: round - 1,
                    descriptor: text(round),
                    event: Text::default(),
                };
                let tasks: Vec<_> = (from..from + CHUNK).map(edit).collect();
                let ids: Vec<_> = tasks.iter().map(|edit| edit.task).collect();
                let control = Control::Edit { at_ms: NOW_MS, user: user.clone(), tasks };
                let answers = store.control(P, control).await.unwrap();
                for (task, answer) in ids.into_iter().zip(answers) {
                    match answer {
                        Controlled::Done => drop(accepted.insert(task, round)),
                        Controlled::Unfit(_) => refused += 1,
                        other => panic!("{task}: {other:?}"),
                    }
                }
            }
        }
        (accepted, refused)
    };
    let claiming = async {
        let mut taken = BTreeMap::new();
        let mut call = 0;
        while taken.len() < usize::try_from(TASKS).unwrap() {
            call += 1;
            let claim = Claim::new(vec!["mail".parse().unwrap()], 10);
            let request = Sync {
                worker: "w-1".parse().unwrap(),
                call,
                lease_ms: 3_600_000,
                ops: Vec::new(),
                claim: Some(claim),
                woken: Vec::new(),
                park: false,
            };
            for held in store.sync(P, request).await.unwrap().claimed {
                let before = taken.insert(held.lease.task, held.descriptor);
                assert!(before.is_none(), "handed out twice");
            }
        }
        taken
    };
    let ((accepted, refused), taken) = tokio::join!(editing, claiming);
    for (task, descriptor) in taken {
        let last = accepted.get(&task).copied().unwrap_or(0);
        assert_eq!(descriptor, text(last), "{task} ran another edit than its last");
    }
    eprintln!("{} tasks were edited, {refused} edits came too late", accepted.len());
    assert!(!accepted.is_empty() && refused > 0, "they did not race");
    assert_eq!(store.check(P).await.unwrap(), Vec::<String>::new());
}
