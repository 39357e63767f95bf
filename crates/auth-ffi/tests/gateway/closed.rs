//! What cannot be asked about is refused: libraries that are missing, cut, foreign or of another
//! ABI, and no keys. Nothing of it makes nginx fall, and a reload heals it.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tasktonic_testkit::nginx::{Guard, Nginx};
use tasktonic_testkit::wait;

use crate::support::{Behind, SOON, ask, bearer, ready};

/// Puts a library in its place as one should: whole, by renaming.
fn put(place: &Path, content: &[u8]) {
    let unfinished = place.with_extension("new");
    std::fs::write(&unfinished, content).unwrap();
    std::fs::rename(unfinished, place).unwrap();
}

/// Every path is refused with a document, and nobody falls.
fn is_closed(nginx: &Nginx, behind: &Behind, why: &str) {
    let token = bearer(&behind.token("ada"));
    let workers = nginx.workers();
    behind.pages.forget();
    for path in
        ["/", "/login", "/healthz", "/api/v1/tasks", "/api/v1/files", "/ws", "/_next/static/a"]
    {
        for _ in 0..3 {
            let answer = ask(nginx.address(), "GET", path, &[("Authorization", &token)], "");
            assert_eq!(answer.status, 503, "{why}: {path} {answer:?}");
            assert_eq!(answer.code().as_deref(), Some("server_unavailable"), "{why}: {path}");
            assert_eq!(answer.header("retry-after").as_deref(), Some("2"));
            let kind = answer.header("content-type");
            assert_eq!(kind.as_deref(), Some("application/problem+json"));
        }
    }
    assert!(behind.pages.seen().is_empty(), "{why}");
    assert_eq!(nginx.workers(), workers, "{why}: no worker fell");
}

/// A library that C compiles from `source`.
fn compiled(scratch: &Path, source: &str) -> Vec<u8> {
    let (code, library) = (scratch.join("other.c"), scratch.join("other.so"));
    std::fs::write(&code, source).unwrap();
    let mut cc = Command::new("cc");
    let done = cc
        .args(["-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(&code)
        .output()
        .expect("cc links Rust, so it is here");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    std::fs::read(library).unwrap()
}

/// The inodes of the library's file that a process has mapped.
fn mapped(process: u32, library: &Path) -> Vec<u64> {
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).unwrap_or_default();
    let lines = maps.lines().filter(|line| line.contains(library.to_str().unwrap()));
    let mut inodes: Vec<u64> =
        lines.map(|line| line.split_whitespace().nth(4).unwrap().parse().unwrap()).collect();
    inodes.dedup();
    inodes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_library_that_cannot_be_used_refuses_everything_and_a_reload_heals_it() {
    let behind = Behind::start().await;
    let mut gateway = behind.gateway();
    let good = std::fs::read(&gateway.parts.library).unwrap();
    let place: PathBuf = behind.scratch.join("library.so");
    gateway.parts.library = place.clone();

    // Missing from the start.
    let nginx = Nginx::start(gateway);
    is_closed(&nginx, &behind, "missing");
    assert!(nginx.error_log().contains("library.so"), "{}", nginx.error_log());

    let other = compiled(behind.scratch.path(), "unsigned tt_abi(void) { return 1; }");
    let foreign = compiled(behind.scratch.path(), "int nothing(void) { return 0; }");
    let cut = |part: usize| good[..part].to_vec();
    for (why, content) in [
        ("text", b"this is no library\n".repeat(100)),
        ("empty", Vec::new()),
        ("a head alone", cut(64)),
        ("a third", cut(good.len() / 3)),
        ("two thirds", cut(good.len() / 3 * 2)),
        ("all but one byte", cut(good.len() - 1)),
        ("another ABI", other),
        ("another library", foreign),
    ] {
        put(&place, &content);
        nginx.reload();
        is_closed(&nginx, &behind, why);
    }
    let log = nginx.error_log();
    assert!(log.contains("no complete ELF file") && log.contains("another ABI"), "{log}");

    put(&place, &good);
    nginx.reload();
    ready(&nginx);
    let first = std::fs::metadata(&place).unwrap().ino();
    assert!(nginx.workers().iter().all(|worker| mapped(*worker, &place) == [first]));
    assert_eq!(mapped(nginx.master(), &place), Vec::<u64>::new(), "nothing stays in the master");

    // A newer one is what new workers load.
    put(&place, &good);
    nginx.reload();
    ready(&nginx);
    let second = std::fs::metadata(&place).unwrap().ino();
    assert_ne!(first, second);
    assert!(nginx.workers().iter().all(|worker| mapped(*worker, &place) == [second]));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_keys_everything_is_refused_until_they_come() {
    let behind = Behind::start().await;
    let mut gateway = behind.gateway();
    let (late, first) = (behind.scratch.join("late.sock"), gateway.door.remove(0));
    gateway.door = vec![format!("unix:{}", late.display())];
    let nginx = Nginx::start(gateway);
    is_closed(&nginx, &behind, "no keys");
    // The same socket under the name that nginx asks by.
    std::os::unix::fs::symlink(first.strip_prefix("unix:").unwrap(), &late).unwrap();
    ready(&nginx);
    let token = bearer(&behind.token("ada"));
    let answer = ask(nginx.address(), "GET", "/api/v1/tasks", &[("Authorization", &token)], "");
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_is_not_noticed_by_those_who_ask() {
    let behind = Behind::start().await;
    let mut gateway = behind.gateway();
    gateway.servers = vec![behind.pages.address.to_string()];
    (gateway.limits.user_rate_per_s, gateway.limits.user_burst) = (100_000, 100_000);
    let nginx = behind.nginx_of(gateway);
    let (at, token) = (nginx.address(), bearer(&behind.token("ada")));
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let asking = {
        let stop = stop.clone();
        std::thread::spawn(move || {
            let mut asked = 0;
            while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                let answer = ask(at, "GET", "/api/v1/tasks", &[("Authorization", &token)], "");
                assert_eq!(answer.status, 200, "request {asked}: {answer:?}");
                asked += 1;
            }
            asked
        })
    };
    for _ in 0..3 {
        nginx.reload();
    }
    stop.store(true, std::sync::atomic::Ordering::SeqCst);
    assert!(asking.join().unwrap() > 10);
}

/// What shows that the tests of this folder can fail.
#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_without_its_guard_lets_everything_through() {
    let behind = Behind::start().await;
    let mut gateway = behind.gateway();
    gateway.guard = Guard::Off;
    gateway.servers = vec![behind.pages.address.to_string()];
    let nginx = Nginx::start(gateway);
    wait::until("an answer", SOON, || {
        ask(nginx.address(), "GET", "/api/v1/tasks", &[], "").status == 200
    });
    assert!(behind.pages.seen().contains(&"GET /api/v1/tasks".to_owned()));
}
