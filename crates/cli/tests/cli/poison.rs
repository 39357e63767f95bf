//! Handlers that do harm by themselves: that eat all memory, fill their stack, abort, panic. A program
//! dies alone, and costs its attempt; a handler in Rust takes its worker along, unless it panics. Either
//! way the attempt counts, the next one waits, and tasks of another queue go on. What harms by a signal
//! is in `crash`, what loops for ever in `exec`.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tasktonic_client::{Client, RemoteFiles, RemoteStore, Token};
use tasktonic_protocol::http::KindList;
use tasktonic_testkit::{Process, wait};
use tasktonic_worker::{Context, Failure, Handler, KindInfo, Settings, Worker};
use tokio_util::sync::CancellationToken;

use crate::memory_cap::MemoryCap;
use crate::sites::{History, Site, is_by, ms, started_ms};
use crate::support::{PATIENCE, write};

/// What the poison has that is short of memory, bytes.
const MEMORY_MAX: u64 = 64 << 20;
/// What one that eats all memory takes at most: far more, and no harm to the machine where nothing
/// stops it, which fails the test.
const EATEN_MAX: usize = 512 << 20;
const MIB: usize = 1 << 20;
/// What no error may quote: a panic may hold a payload.
const SECRET: &str = "the secret is 4711";

/// The test below that is the poison when it is started by itself.
const ITSELF: &str = "poison::each_poison_ends_its_process_as_it_should";
/// Which poison a process is that a test makes of this program, and of which kinds it is a worker.
const POISON: &str = "POISON";
const WORKER_OF: &str = "POISONED_WORKER_OF";

/// The wait after a failed attempt of a program; after a lost worker, but for the first.
const WAIT_MS: u64 = 500;
const WAIT_AFTER_LOSS_MS: u64 = 3_000;
/// Attempts of a program and of a handler that panics. The others have far more than they may lose.
const ATTEMPTS: usize = 3;
/// Workers that one task may take along.
const CRASHES: usize = 3;
/// Three leases that run out, one after the other, and as many starts, on a busy machine.
const LOST_WITHIN: Duration = Duration::from_secs(150);

/// A kind that does harm.
struct Kind {
    name: &'static str,
    /// What it does, see `taken`.
    poison: &'static str,
    /// What a shell says before it becomes the process that is to die.
    prelude: String,
    dies: Death,
}

/// How a process ends.
enum Death {
    By(Signal),
    /// A panic of the only thread that matters, which is a failed test.
    Exit(i32),
}

impl Death {
    fn is(&self, status: ExitStatus) -> bool {
        match self {
            Self::By(signal) => status.signal() == Some(*signal as i32),
            Self::Exit(code) => status.code() == Some(*code),
        }
    }

    /// As an attempt quotes it.
    fn in_words(&self) -> String {
        match self {
            Self::By(signal) => format!("signal: {} ({signal})", *signal as i32),
            Self::Exit(code) => format!("exit status: {code}"),
        }
    }
}

/// What ends the process it is in. Memory is eaten under two limits: that of a control group, as a
/// container has it, where the kernel kills; and that of the process itself, which anybody may set, where
/// an allocation fails and Rust aborts. So this is tested where no control group can be made, too.
fn deadly(cap: Option<&MemoryCap>) -> Vec<Kind> {
    // A core would be large, and says nothing here.
    let kind = |name, poison, more: &str, signal| {
        let prelude = format!("ulimit -c 0; {more}");
        Kind { name, poison, prelude, dies: Death::By(signal) }
    };
    let limit = format!("ulimit -d {}", MEMORY_MAX >> 10);
    let mut kinds = vec![
        kind("aborts", "aborts", ":", Signal::SIGABRT),
        kind("overflows", "overflows", ":", Signal::SIGABRT),
        kind("eats.limited", "eats", &limit, Signal::SIGABRT),
    ];
    match cap {
        Some(cap) => kinds.push(kind("eats.capped", "eats", &cap.enter(), Signal::SIGKILL)),
        None => {
            eprintln!("no control group can be made here: memory is limited by the process alone")
        }
    }
    kinds
}

fn panics() -> Kind {
    Kind { name: "panics", poison: "panics", prelude: ":".into(), dies: Death::Exit(101) }
}

fn cap_of(site: &Site) -> Option<MemoryCap> {
    let name = site.installation.scratch.path().file_name().expect("a folder has a name");
    MemoryCap::of(MEMORY_MAX, &name.to_string_lossy())
}

/// Does what a poison is called.
fn taken(poison: &str) {
    match poison {
        "aborts" => std::process::abort(),
        "overflows" => assert_eq!(deep(0), 0, "it comes back"),
        "eats" => eat(),
        "panics" => panic!("{SECRET}"),
        // Of a queue beside the poison.
        "works" => {}
        other => panic!("no poison is called {other}"),
    }
}

/// Calls itself until there is no stack, as who follows a list that ends where it begins.
fn deep(at: u64) -> u64 {
    let frame = std::hint::black_box([at; 32]);
    if frame[0] == u64::MAX { 0 } else { deep(frame[1] + 1).wrapping_add(frame[2]) }
}

fn eat() {
    let mut eaten = Vec::new();
    while eaten.len() < EATEN_MAX / MIB {
        // Written to, or the machine would only promise it.
        eaten.push(vec![1_u8; MIB]);
    }
    std::hint::black_box(&eaten);
}

/// This program once more, as `kind` says, until it is over.
fn itself(kind: &Kind) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &become_itself(kind)]).arg(program());
    command.env_remove(POISON).env_remove(WORKER_OF);
    command
}

/// The first argument after the script is this program.
fn become_itself(kind: &Kind) -> String {
    format!("{} && exec \"$0\" --exact {ITSELF} --nocapture", kind.prelude)
}

fn program() -> String {
    let program = std::env::current_exe().expect("a test knows itself");
    program.to_str().expect("a path of ours").to_owned()
}

#[test]
fn each_poison_ends_its_process_as_it_should() {
    if let Ok(kinds) = std::env::var(WORKER_OF) {
        return works(&kinds);
    }
    if let Ok(poison) = std::env::var(POISON) {
        return taken(&poison);
    }
    let scratch = tasktonic_testkit::Scratch::new();
    let name = scratch.path().file_name().expect("a folder has a name").to_string_lossy();
    let cap = MemoryCap::of(MEMORY_MAX, &name);
    for kind in deadly(cap.as_ref()).iter().chain([&panics()]) {
        let mut process = Process::start(itself(kind).env(POISON, kind.poison));
        let status = process.wait(PATIENCE);
        assert!(kind.dies.is(status), "{}: {status}: {}", kind.name, process.output());
    }
    if let Some(cap) = &cap {
        assert_eq!(cap.kills(), 1, "the kernel killed the one that was capped, and no other");
    }
}

/// A worker with handlers in Rust, as a product has one that is built with our library; those of
/// `tasktonic work` do none of this.
fn works(kinds: &str) {
    struct Does(String);

    #[async_trait]
    impl Handler for Does {
        type Payload = Value;
        type Output = ();

        fn info(&self) -> KindInfo {
            KindInfo::new(&self.0)
        }

        async fn run(&self, _: Value, _: &Context) -> Result<(), Failure> {
            // A kind is called like its poison, and in which way it gets that.
            taken(self.0.split('.').next().unwrap_or_default());
            Ok(())
        }
    }

    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let named = |name: &str| std::env::var(name).expect("a test says where its server is");
    let token = Token::new(named("TASKTONIC_TOKEN"));
    let client = Client::new(&named("TASKTONIC_URL"), Some(token)).expect("an address");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let id = format!("w-{:016x}", rand::random::<u64>()).parse().expect("a worker id");
        let store = Arc::new(RemoteStore::new(client.clone()).expect("a store"));
        let files = Arc::new(RemoteFiles::new(client));
        let worker = Worker::new(id, store, files, Settings::new("in-rust"));
        let worker =
            kinds.split(',').fold(worker, |worker, kind| worker.register(Does(kind.into())));
        worker.run_until(CancellationToken::new()).await.expect("it works until it is killed");
    });
}

/// Starts a worker in Rust of `kind`, and of others beside it.
fn worker(site: &Site, kind: &Kind, others: &str) -> Process {
    let mut command = itself(kind);
    command.env(WORKER_OF, format!("{}{others}", kind.name));
    command.env("TASKTONIC_URL", site.installation.url());
    command.env("TASKTONIC_TOKEN", site.installation.mint("a-worker", "worker"));
    Process::start(&mut command)
}

#[track_caller]
fn wait_until_served(site: &Site, kinds: &[&str]) {
    wait::until(&format!("{kinds:?} to be served"), PATIENCE, || {
        let list: KindList = site.read(&site.demo(), &["/api/v1/kinds".into()]).remove(0);
        kinds.iter().all(|kind| list.kinds.iter().any(|one| one.kind == *kind && one.served))
    });
}

/// Submits one task of each kind.
fn submit(site: &Site, kinds: &[Kind], attempts_max: usize, wait_ms: u64) -> Vec<String> {
    let task = |kind: &Kind| {
        json!({
            "kind": kind.name, "payload": {}, "attempts_max": attempts_max,
            "backoff": { "form": "fixed", "wait_ms": wait_ms, "jitter": 0.0 },
        })
    };
    let tasks: Vec<Value> = kinds.iter().map(task).collect();
    site.submit(&site.demo(), &tasks).into_iter().map(|task| task.id).collect()
}

/// Has tasks of another queue run one after the other until all of `ids` have failed, and looks after the
/// workers meanwhile.
fn others_go_on(site: &Site, ids: &[String], kind: &str, mut look: impl FnMut()) {
    let mut others = Vec::new();
    let other = json!({ "kind": kind, "payload": {}, "attempts_max": 1 });
    wait::until("the poison to be dead", LOST_WITHIN, || {
        look();
        let id = site.submit(&site.demo(), std::slice::from_ref(&other)).remove(0).id;
        // Of those that wait beside the poison none is held up by it.
        site.installation.wait_for(&id, "completed", PATIENCE);
        others.push(id);
        let path = |id: &String| format!("/api/v1/tasks/{id}");
        let tasks: Vec<Value> = site.read(&site.demo(), &ids.iter().map(path).collect::<Vec<_>>());
        tasks.iter().all(|task| task["status"] == "failed")
    });
    eprintln!("{} tasks of another queue ran beside the poison", others.len());
    for one in site.histories(&site.demo(), &others) {
        one.ran_once();
    }
}

/// After each attempt, but for the first `at_once`, the next one waited.
fn waited(history: &History, at_once: usize, wait_ms: u64) {
    let wait_ms = i64::try_from(wait_ms).expect("a short time");
    for pair in history.rows.windows(2).skip(at_once) {
        let waited_ms = started_ms(&pair[1]) - ms(pair[0].ended_at.as_deref());
        assert!(waited_ms >= wait_ms, "again after {waited_ms} ms: {history:?}");
    }
}

fn handlers_cost_their_workers(site: &Site) {
    let cap = cap_of(site);
    let kinds = deadly(cap.as_ref());
    let names: Vec<&str> = kinds.iter().map(|kind| kind.name).collect();
    let _healthy = site.worker(&["--kinds", "noop"]);
    let mut workers: Vec<Process> = kinds.iter().map(|kind| worker(site, kind, "")).collect();
    wait_until_served(site, &[&names[..], &["noop"]].concat());
    let ids = submit(site, &kinds, 50, WAIT_AFTER_LOSS_MS);
    let mut deaths = vec![0; kinds.len()];
    others_go_on(site, &ids, "noop", || {
        for ((process, kind), deaths) in workers.iter_mut().zip(&kinds).zip(&mut deaths) {
            let Some(status) = process.ended() else { continue };
            assert!(kind.dies.is(status), "{}: {status}: {}", kind.name, process.output());
            *deaths += 1;
            *process = worker(site, kind, "");
        }
    });
    assert_eq!(deaths, vec![CRASHES; kinds.len()], "of {names:?}: so many workers, and no more");
    if let Some(cap) = &cap {
        assert_eq!(cap.kills(), CRASHES as u64, "by the kernel");
    }
    for one in site.histories(&site.demo(), &ids) {
        let code = one.task.error.as_ref().map(|error| error.code.as_str());
        assert_eq!((one.task.attempt, code), (3, Some("worker_lost")), "{one:?}");
        let reason = one.task.reason.as_deref().unwrap_or_default();
        assert!(reason.starts_with("worker_lost 3 times"), "{one:?}");
        assert_eq!(one.rows.len(), CRASHES, "{one:?}");
        for row in &one.rows {
            assert_eq!(row.outcome, "lost", "{one:?}");
            assert!(row.worker.is_some() && row.ended_at.is_some(), "{one:?}");
        }
        // The first loss is forgiven at once.
        waited(&one, 1, WAIT_AFTER_LOSS_MS);
    }
}

#[test]
fn memory_and_stack_that_a_handler_uses_up_cost_three_workers_on_an_embedded_store() {
    handlers_cost_their_workers(&Site::embedded());
}

#[test]
fn memory_and_stack_that_a_handler_uses_up_cost_three_workers_on_redis() {
    handlers_cost_their_workers(&Site::redis());
}

#[test]
fn memory_and_stack_that_a_handler_uses_up_cost_three_workers_on_a_cluster() {
    handlers_cost_their_workers(&Site::cluster());
}

fn declared(kind: &Kind) -> String {
    let Kind { name, poison, .. } = kind;
    let (script, program) = (become_itself(kind), program());
    format!(
        "[[exec]]\nkind = \"{name}\"\ncommand = [\"sh\", \"-c\", '{script}', '{program}']\n\
         env = {{ {POISON} = \"{poison}\" }}\n"
    )
}

fn programs_cost_their_attempts(site: &Site) {
    let cap = cap_of(site);
    let mut kinds = deadly(cap.as_ref());
    kinds.push(panics());
    let config = site.installation.scratch.join("tasktonic.toml");
    write(&config, &kinds.iter().map(declared).collect::<String>());
    let names: Vec<&str> = kinds.iter().map(|kind| kind.name).collect();
    let all = [&names[..], &["noop"]].concat();
    let (config, served) = (config.to_str().expect("a path of ours"), all.join(","));
    let args = ["--kinds", &served, "--config", config, "--concurrency", "4"];
    let mut worker = site.worker(&args);
    wait_until_served(site, &all);
    let ids = submit(site, &kinds, ATTEMPTS, WAIT_MS);
    others_go_on(site, &ids, "noop", || {
        assert!(worker.process.ended().is_none(), "{}", worker.process.output());
    });
    if let Some(cap) = &cap {
        assert_eq!(cap.kills(), ATTEMPTS as u64, "by the kernel");
    }
    for (one, kind) in site.histories(&site.demo(), &ids).iter().zip(&kinds) {
        assert_eq!(one.rows.len(), ATTEMPTS, "{one:?}");
        for row in &one.rows {
            let error = row.error.as_ref().unwrap_or_else(|| panic!("no error: {one:?}"));
            assert_eq!((row.outcome.as_str(), error.code.as_str()), ("failed", "exec_failed"));
            assert!(error.message.contains(&kind.dies.in_words()), "{}: {error:?}", kind.name);
            assert!(is_by(&worker.tail, row.worker.as_deref()), "by another worker: {one:?}");
        }
        waited(one, 0, WAIT_MS);
    }
}

#[test]
fn memory_and_stack_that_a_program_uses_up_cost_its_attempts_alone_on_an_embedded_store() {
    programs_cost_their_attempts(&Site::embedded());
}

#[test]
fn memory_and_stack_that_a_program_uses_up_cost_its_attempts_alone_on_redis() {
    programs_cost_their_attempts(&Site::redis());
}

#[test]
fn memory_and_stack_that_a_program_uses_up_cost_its_attempts_alone_on_a_cluster() {
    programs_cost_their_attempts(&Site::cluster());
}

fn a_panic_costs_its_attempt(site: &Site) {
    let kinds = [panics()];
    let mut process = worker(site, &kinds[0], ",works");
    wait_until_served(site, &["panics", "works"]);
    let ids = submit(site, &kinds, ATTEMPTS, WAIT_MS);
    others_go_on(site, &ids, "works", || {
        assert!(process.ended().is_none(), "{}", process.output());
    });
    let said = process.output();
    assert!(said.contains(SECRET) && said.contains(file!()), "where it panicked: {said}");
    let one = site.histories(&site.demo(), &ids).remove(0);
    assert_eq!(one.rows.len(), ATTEMPTS, "{one:?}");
    let by = one.rows[0].worker.as_deref();
    for row in &one.rows {
        let error = row.error.as_ref().unwrap_or_else(|| panic!("no error: {one:?}"));
        let found = (row.outcome.as_str(), error.code.as_str(), error.message.as_str());
        let says = "The handler panicked. The log of its worker says where.";
        assert_eq!(found, ("failed", "handler_panicked", says), "{one:?}");
        assert!(by.is_some() && row.worker.as_deref() == by, "by another worker: {one:?}");
    }
    waited(&one, 0, WAIT_MS);
    assert!(!format!("{one:?}").contains(SECRET), "{one:?}");
}

#[test]
fn a_panic_of_a_handler_costs_its_attempt_and_no_worker_on_an_embedded_store() {
    a_panic_costs_its_attempt(&Site::embedded());
}

#[test]
fn a_panic_of_a_handler_costs_its_attempt_and_no_worker_on_redis() {
    a_panic_costs_its_attempt(&Site::redis());
}

#[test]
fn a_panic_of_a_handler_costs_its_attempt_and_no_worker_on_a_cluster() {
    a_panic_costs_its_attempt(&Site::cluster());
}
