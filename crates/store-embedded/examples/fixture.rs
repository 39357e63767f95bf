//! Makes a pair of files as a crash leaves them, half in the tables and half in the journal, for
//! the test that later versions still open them: `cargo run -p tasktonic-store-embedded --example
//! fixture -- crates/store-embedded/tests/fixtures/form-<n>`. To be run once per form.

use tasktonic_core::command::{
    Claim, Control, Expiry, Idempotency, NewTask, Op, Report, Submit, Sync, Write,
};
use tasktonic_core::routing::PartitionId;
use tasktonic_core::settings::UserSettings;
use tasktonic_core::{TaskId, Text};
use tasktonic_store::clock::Clock;
use tasktonic_store::{Expect, Store as _, Table};
use tasktonic_store_embedded::{EmbeddedStore, Options};

const P: PartitionId = PartitionId(0);
const AT_MS: i64 = 1_700_000_000_000;

fn main() {
    let dir = std::env::args().nth(1).expect("fixture <folder>");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime for one thread");
    runtime.block_on(async {
        let (clock, _) = Clock::manual(AT_MS);
        let options = || Options { fold_window_ms: 600_000, ..Options::new(clock.clone()) };
        let store = EmbeddedStore::open(&dir, options()).expect("it opens");
        life(&store, 1).await;
        store.close().await;
        drop(store);
        let store = EmbeddedStore::open(&dir, options()).expect("it opens");
        life(&store, 11).await;
        print!("{}", store.dump().await.expect("it answers"));
        store.abandon();
    });
}

/// Four tasks: one waits, one is due later, one runs, one has ended with an output and a log.
async fn life(store: &EmbeddedStore, first: u64) {
    let draft = |number| NewTask {
        expires: (number == first + 3)
            .then_some(Expiry { at_ms: AT_MS + 7_200_000, keep_s: 1_000_000_000 }),
        due_ms: (number == first + 3).then_some(AT_MS + 3_600_000),
        idempotency: Some(Idempotency::new(format!("key-{number}"), 7, 1_000_000_000)),
        lane_max: 100,
        ..NewTask::new(
            "ana".parse().expect("a user id"),
            TaskId::new(AT_MS, number),
            "mail".parse().expect("a name"),
            format!(r#"{{"v":1,"k":"mail","q":"mail","at":{AT_MS},"p":{{"n":{number}}}}}"#),
        )
    };
    let tasks = (first..first + 4).map(draft).collect();
    store.submit(P, Submit { created_ms: AT_MS, tasks }).await.expect("accepted");
    let sync = |call, ops, limit| Sync {
        worker: "w-1".parse().expect("a worker id"),
        call,
        lease_ms: 60_000,
        ops,
        claim: Some(Claim::new(vec!["mail".parse().expect("a name")], limit)),
        woken: Vec::new(),
        park: false,
    };
    let held = store.sync(P, sync(first, Vec::new(), 2)).await.expect("answered").claimed;
    let write = Write { n: 2, body: Text::from(r#""out":{"ok":1}"#), event: None };
    let log = Report::Log { lines: vec![Text::from(r#"{"x":"line"}"#)] };
    let ops = vec![
        Op { lease: held[0].lease.clone(), report: log },
        Op { lease: held[0].lease.clone(), report: Report::Ack { write, keep_s: 1_000_000_000 } },
    ];
    store.sync(P, sync(first + 1, ops, 0)).await.expect("answered");
    let weight = Control::User {
        queue: format!("queue-{first}").parse().expect("a name"),
        user: "ana".parse().expect("a user id"),
        settings: UserSettings { weight: 3, ..UserSettings::default() },
    };
    store.control(P, weight).await.expect("answered");
    let value = format!("value-{first}");
    store.registry().put(Table::Settings, "name", value, Expect::Any).await.expect("kept");
}
