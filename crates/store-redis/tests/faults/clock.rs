//! The clock of the server's machine steps, as it does when somebody sets it.

use std::path::Path;
use std::time::Duration;

use tasktonic_store_redis::Class;
use tasktonic_testkit::redis::{self, Redis};
use tasktonic_testkit::{Scratch, wait};

use crate::load::{self, Load, block_on};
use crate::{PARTITIONS, submit, sync, user};

/// Of Debian's package libfaketime.
const FAKETIME: &str = "/usr/lib/*/faketime/libfaketime.so.1";
/// The server may look at its clock only now and then.
const STEPS: Duration = Duration::from_secs(5);
const RESUMES: Duration = Duration::from_secs(10);
const SETTLE: Duration = Duration::from_secs(30);

/// The library that answers questions for the time with another.
fn library() -> String {
    let found = std::fs::read_dir("/usr/lib").unwrap().flatten().find_map(|entry| {
        let file = entry.path().join("faketime/libfaketime.so.1");
        file.is_file().then(|| file.to_string_lossy().into_owned())
    });
    found.unwrap_or_else(|| {
        panic!("this test needs {FAKETIME} (Debian: apt-get install libfaketime)")
    })
}

/// Sets the clock of the server that reads `file` so far from that of the machine.
fn step(file: &Path, by: &str) {
    // In one piece: who reads half of it takes the time for what it is.
    let whole = file.with_extension("new");
    std::fs::write(&whole, by).unwrap();
    std::fs::rename(whole, file).unwrap();
}

#[test]
fn a_clock_that_steps_ends_no_lease_early_and_keeps_none_for_hours() {
    let scratch = Scratch::new();
    let file = scratch.join("clock");
    step(&file, "+0");
    let env = [
        ("LD_PRELOAD", library()),
        ("FAKETIME_TIMESTAMP_FILE", file.to_string_lossy().into_owned()),
        ("FAKETIME_NO_CACHE", "1".into()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec();
    // The allocator that Debian's Redis is linked with asks for the time before the library can
    // answer.
    let server = redis::Server::Valkey;
    assert!(
        server.program().is_some(),
        "this test needs Valkey, which `cargo xtask test` installs"
    );
    let redis = Redis::start(redis::Options { server, env, ..redis::Options::default() });
    let clock = || redis.cli(&["TIME"]).lines().next().unwrap().parse::<i64>().unwrap();
    let before = clock();
    block_on(async {
        let store = load::open(&redis.url(), Class::Fast, PARTITIONS).await;
        let load = Load::start(&store, 4, 3);
        load.goes_on(RESUMES).await;

        step(&file, "+60s");
        wait::until("the server's clock to step", STEPS, || clock() >= before + 60);
        load.goes_on(RESUMES).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let adopted = load.account.adopted.load(std::sync::atomic::Ordering::SeqCst);
        assert_eq!(adopted, 0, "a minute that nobody lived through ended leases");

        // One who takes a task and is never heard of again, in a line of its own.
        let lost = user("lost");
        let mut taken = Vec::new();
        // The workers of the load may be quicker.
        while taken.is_empty() {
            submit(&store, &lost).await.unwrap();
            taken = sync(&store, &lost, Vec::new(), 128).await.unwrap().claimed;
        }
        step(&file, "-3600s");
        wait::until("the server's clock to step back", STEPS, || clock() < before);
        load.goes_on(RESUMES).await;
        // The lease of 5 s runs out by time that passes: others take over what was taken.
        let since = std::time::Instant::now();
        while load.account.adopted.load(std::sync::atomic::Ordering::SeqCst) < taken.len() as u64 {
            assert!(since.elapsed() < SETTLE, "a lease outlives its worker by the hour set back");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        eprintln!("{} taken over after {:?}", taken.len(), since.elapsed());
        load.settle(SETTLE).await.is_clean();
    });
}
