//! The clock of the server's machine steps, as it does when somebody sets it.

use std::time::Duration;

use tasktonic_store_redis::Class;
use tasktonic_testkit::redis::{self, Redis};
use tasktonic_testkit::{OtherClock, Scratch, wait};

use crate::load::{self, Load, block_on};
use crate::{PARTITIONS, submit, sync, user};

/// The server may look at its clock only now and then.
const STEPS: Duration = Duration::from_secs(5);
const RESUMES: Duration = Duration::from_secs(10);
const SETTLE: Duration = Duration::from_secs(30);

#[test]
fn a_clock_that_steps_ends_no_lease_early_and_keeps_none_for_hours() {
    let scratch = Scratch::new();
    let clock = OtherClock::new(scratch.join("clock"));
    // The allocator that Debian's Redis is linked with asks for the time before the library can
    // answer.
    let server = redis::Server::Valkey;
    assert!(
        server.program().is_some(),
        "this test needs Valkey, which `cargo xtask test` installs"
    );
    let redis =
        Redis::start(redis::Options { server, env: clock.env(), ..redis::Options::default() });
    let now_s = || redis.cli(&["TIME"]).lines().next().unwrap().parse::<i64>().unwrap();
    let before = now_s();
    block_on(async {
        let store = load::open(&redis.url(), Class::Fast, PARTITIONS).await;
        let load = Load::start(&store, 4, 3);
        load.goes_on(RESUMES).await;

        clock.set(60);
        wait::until("the server's clock to step", STEPS, || now_s() >= before + 60);
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
        clock.set(-3_600);
        wait::until("the server's clock to step back", STEPS, || now_s() < before);
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
