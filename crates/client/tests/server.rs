//! The client, and a worker over it, against the real server.

#![expect(clippy::unwrap_used, reason = "a test fails by it, helpers included")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::{Deserialize, Serialize};
use serde_json::value::to_raw_value;
use tasktonic_auth::Role;
use tasktonic_client::{Client, Filter, RemoteFiles, RemoteStore, Token, Update, submission};
use tasktonic_core::WorkerId;
use tasktonic_core::limits::LEASE_MS_DEFAULT;
use tasktonic_files::{FileLimits, Files};
use tasktonic_protocol::task::Task;
use tasktonic_server::{Config, Identity, Limits, Server};
use tasktonic_store::Store;
use tasktonic_store::clock::Clock;
use tasktonic_store::model::ModelStore;
use tasktonic_testkit::Scratch;
use tasktonic_worker::{Context, Failure, Handler, KindInfo, RunError, Settings, Worker};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const SOON: Duration = Duration::from_secs(20);

/// A server on a port of its own, seen through a counter of requests.
struct Rig {
    scratch: Scratch,
    store: Arc<ModelStore>,
    address: SocketAddr,
    url: String,
    syncs: Arc<AtomicUsize>,
    losing: Arc<AtomicUsize>,
    identity: Identity,
    stop: CancellationToken,
    running: Option<JoinHandle<()>>,
}

impl Rig {
    async fn start() -> Self {
        let scratch = Scratch::new();
        let clock = Clock::system();
        let store = Arc::new(ModelStore::new(clock.clone()));
        let shared: Arc<dyn Store> = store.clone();
        let identity = Identity::open(shared, &scratch.join("keys"), vec![], clock).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], tasktonic_testkit::ports::free()));
        let syncs = Arc::new(AtomicUsize::new(0));
        let losing = Arc::new(AtomicUsize::new(0));
        let url = count(address, syncs.clone(), losing.clone()).await;
        let (stop, running) = (CancellationToken::new(), None);
        let mut rig = Self { scratch, store, address, url, syncs, losing, identity, stop, running };
        rig.serve().await;
        rig
    }

    async fn serve(&mut self) {
        let clock = Clock::system();
        let folder = format!("file://{}", self.scratch.join("files").display());
        let files =
            Files::open(&folder, FileLimits::default(), || Clock::system().now_ms()).await.unwrap();
        let config = Config {
            listen: self.address,
            origins: vec![self.url.clone()],
            pages: None,
            pages_static: None,
            metrics_public: false,
            gateway: None,
            trusted_proxies: Vec::new(),
            limits: Limits::default(),
        };
        let identity = self.identity.clone();
        let server =
            Server::bind(config, self.store.clone(), files, identity, clock).await.unwrap();
        self.stop = CancellationToken::new();
        let stop = self.stop.clone();
        self.running = Some(tokio::spawn(async move { server.run_until(stop).await.unwrap() }));
    }

    async fn stop(&mut self) {
        self.stop.cancel();
        self.running.take().unwrap().await.unwrap();
    }

    fn client(&self, name: &str, role: Role) -> Client {
        let token = self.identity.mint(name, role, 600).unwrap();
        Client::new(&self.url, Some(Token::new(token))).unwrap()
    }

    /// A worker as a process of its own would be one.
    fn worker(&self) -> Working {
        let client = self.client("crew", Role::Worker);
        let id: WorkerId = format!("w-{:016x}", rand::random::<u64>()).parse().unwrap();
        let store = Arc::new(RemoteStore::new(client.clone()).unwrap());
        let files = Arc::new(RemoteFiles::new(client));
        let mut settings = Settings::new("far-away");
        settings.drain = Duration::from_secs(5);
        let worker = Worker::new(id, store, files, settings).register(Copy).register(Hold);
        let stop = CancellationToken::new();
        let until = stop.clone();
        let running = tokio::spawn(async move { worker.run_until(until).await.unwrap() });
        Working { stop, running }
    }

    async fn kinds_are_known(&self, client: &Client) {
        until("the worker's kinds", || async {
            client.kinds().await.unwrap().iter().filter(|kind| kind.served).count() == 2
        })
        .await;
    }
}

struct Working {
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Working {
    async fn end(self) {
        self.stop.cancel();
        tokio::time::timeout(SOON, self.running).await.expect("a drained worker").unwrap();
    }
}

async fn until<F: Future<Output = bool>>(what: &str, is: impl Fn() -> F) {
    let since = Instant::now();
    while !is().await {
        assert!(since.elapsed() < SOON, "waited for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A way to `target` that counts the syncs that pass, and breaks instead of handing on the next
/// `losing` answers with a claim; its address.
async fn count(target: SocketAddr, syncs: Arc<AtomicUsize>, losing: Arc<AtomicUsize>) -> String {
    const CLAIMED: &[u8] = br#""claimed":[{"#;
    const NEEDLE: &[u8] = b"POST /api/v1/worker/sync";
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let (syncs, losing) = (syncs.clone(), losing.clone());
            tokio::spawn(async move {
                // Dropping `near` is what a server that is not there looks like from here.
                let Ok(far) = TcpStream::connect(target).await else { return };
                let (mut near_in, mut near_out) = near.into_split();
                let (mut far_in, mut far_out) = far.into_split();
                let up = async {
                    let mut part = vec![0; 64 * 1024];
                    while let Ok(n @ 1..) = near_in.read(&mut part).await {
                        let heads = part[..n].windows(NEEDLE.len()).filter(|w| *w == NEEDLE);
                        syncs.fetch_add(heads.count(), Ordering::SeqCst);
                        if far_out.write_all(&part[..n]).await.is_err() {
                            break;
                        }
                    }
                };
                let down = async {
                    let mut part = vec![0; 64 * 1024];
                    while let Ok(n @ 1..) = far_in.read(&mut part).await {
                        let has_claim = part[..n].windows(CLAIMED.len()).any(|w| w == CLAIMED);
                        let one_less = |left: usize| left.checked_sub(1);
                        let (set, get) = (Ordering::SeqCst, Ordering::SeqCst);
                        if has_claim && losing.fetch_update(set, get, one_less).is_ok() {
                            break;
                        }
                        if near_out.write_all(&part[..n]).await.is_err() {
                            break;
                        }
                    }
                };
                tokio::select! { () = up => {} () = down => {} }
            });
        }
    });
    url
}

/// Copies a file, slowly enough to be seen.
struct Copy;

#[derive(Deserialize, schemars::JsonSchema)]
struct CopyOf {
    #[schemars(extend("format" = "file"))]
    file: String,
}

#[derive(Serialize)]
struct Copied {
    file: String,
    was: String,
}

#[async_trait]
impl Handler for Copy {
    type Payload = CopyOf;
    type Output = Copied;

    fn info(&self) -> KindInfo {
        KindInfo::new("test.copy")
    }

    async fn run(&self, payload: CopyOf, cx: &Context) -> Result<Copied, Failure> {
        let id = payload.file.parse()?;
        let (meta, content) = cx.read_file(&id).await?;
        cx.info(format!("read {}", meta.name));
        cx.progress(1, 2, "files", None);
        let kept = cx.keep_file("copy.txt", content).await?;
        cx.info("kept it");
        Ok(Copied { file: kept.id.to_string(), was: meta.name })
    }
}

/// Runs until it is cancelled.
struct Hold;

#[derive(Deserialize, schemars::JsonSchema)]
struct HoldFor {
    ms: u64,
}

#[async_trait]
impl Handler for Hold {
    type Payload = HoldFor;
    type Output = ();

    fn info(&self) -> KindInfo {
        KindInfo::new("test.hold")
    }

    async fn run(&self, payload: HoldFor, cx: &Context) -> Result<(), Failure> {
        tokio::select! {
            () = cx.cancelled() => Err(Failure::Cancelled),
            () = tokio::time::sleep(Duration::from_millis(payload.ms)) => Ok(()),
        }
    }
}

async fn hold(client: &Client, ms: u64) -> Task {
    let payload = to_raw_value(&serde_json::json!({ "ms": ms })).unwrap();
    client.submit(submission("test.hold", payload)).await.unwrap().task
}

async fn has_status(client: &Client, id: &str, status: &str) {
    until(&format!("{id} to be {status}"), || async {
        client.task(id).await.unwrap().status.name() == status
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_far_away_works_with_the_users_files_and_its_owner_sees_it_live() {
    let rig = Rig::start().await;
    let ana = rig.client("ana", Role::User);
    let worker = rig.worker();
    rig.kinds_are_known(&ana).await;
    let workers = rig.client("ops", Role::Operator).workers().await.unwrap();
    assert_eq!(workers.iter().map(|worker| worker.host.as_str()).collect::<Vec<_>>(), ["far-away"]);

    let content = Box::pin(stream::iter([Ok("hello ".into()), Ok("world".into())]));
    let file = ana.upload("ü.txt", Some("text/plain"), content).await.unwrap();
    let payload = to_raw_value(&serde_json::json!({ "file": file.id })).unwrap();
    let submitted = ana.submit(submission("test.copy", payload)).await.unwrap();
    assert!(submitted.is_new);
    let mut following = ana.follow(&submitted.task.id);
    let (mut lines, mut ended) = (Vec::new(), None);
    while let Some(update) = following.next().await {
        match update.unwrap() {
            Update::Log(more) => lines.extend(more.into_iter().map(|line| line.text)),
            Update::Ended(task) => ended = Some(task),
            Update::Now(_) | Update::Reconnecting(_) => {}
        }
    }
    let ended = ended.expect("an end");
    assert_eq!(ended.status.name(), "completed", "{ended:?}");
    assert_eq!(lines, ["read ü.txt", "kept it"]);
    let output: serde_json::Value = serde_json::from_str(ended.output.unwrap().get()).unwrap();
    assert_eq!(output["was"], "ü.txt");
    let copy = ana.download(output["file"].as_str().unwrap()).await.unwrap();
    let parts: Vec<_> = copy.content.try_collect().await.unwrap();
    assert_eq!(parts.concat(), b"hello world");

    let stranger = rig.client("ben", Role::User);
    assert!(stranger.task(&ended.id).await.is_err());
    assert!(stranger.download(output["file"].as_str().unwrap()).await.is_err());
    worker.end().await;
    until("the worker to have left", || async {
        ana.kinds().await.unwrap().iter().all(|kind| !kind.served)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_worker_far_away_is_quiet_and_is_woken_and_stopped_at_once() {
    let rig = Rig::start().await;
    let ana = rig.client("ana", Role::User);
    let worker = rig.worker();
    rig.kinds_are_known(&ana).await;
    // Its first round: one sync that parks, one that waits.
    until("the first syncs", || async { rig.syncs.load(Ordering::SeqCst) >= 2 }).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = rig.syncs.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let idle = rig.syncs.load(Ordering::SeqCst) - before;
    assert!(idle <= 1, "{idle} syncs in five idle seconds");

    let task = hold(&ana, 60_000).await;
    let since = Instant::now();
    has_status(&ana, &task.id, "running").await;
    let picked_up = since.elapsed();
    assert!(picked_up < Duration::from_secs(2), "{picked_up:?}");
    let since = Instant::now();
    ana.cancel(&task.id).await.unwrap();
    let ended = ana.wait_until_ended(&task.id, Some(SOON)).await.unwrap();
    assert_eq!(ended.status.name(), "cancelled");
    // Sooner than the next heartbeat would have told it.
    assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());
    worker.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_whose_answer_was_lost_costs_a_worker_far_away_no_attempt() {
    let rig = Rig::start().await;
    let ana = rig.client("ana", Role::User);
    let worker = rig.worker();
    rig.kinds_are_known(&ana).await;
    rig.losing.store(2, Ordering::SeqCst);
    let since = Instant::now();
    let task = hold(&ana, 1).await;
    let ended = ana.wait_until_ended(&task.id, Some(SOON)).await.unwrap();
    assert_eq!(rig.losing.load(Ordering::SeqCst), 0, "both answers were lost");
    assert_eq!((ended.status.name(), ended.attempt), ("completed", 1), "{ended:?}");
    let lease = Duration::from_millis(LEASE_MS_DEFAULT.into());
    assert!(since.elapsed() < lease, "it waited for a lease to run out: {:?}", since.elapsed());
    worker.end().await;
    assert_eq!(rig.store.check(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_and_a_follower_outlive_a_restart_of_the_server() {
    let mut rig = Rig::start().await;
    let ana = rig.client("ana", Role::User);
    let worker = rig.worker();
    rig.kinds_are_known(&ana).await;
    let task = hold(&ana, 3_000).await;
    has_status(&ana, &task.id, "running").await;
    let following = ana.follow(&task.id);
    rig.stop().await;
    rig.serve().await;
    let updates: Vec<_> = tokio::time::timeout(SOON, following.collect()).await.unwrap();
    let last = updates.into_iter().last().unwrap().unwrap();
    let Update::Ended(ended) = last else { panic!("{last:?}") };
    assert_eq!((ended.status.name(), ended.attempt), ("completed", 1), "{ended:?}");

    let again = hold(&ana, 1).await;
    let ended = ana.wait_until_ended(&again.id, Some(SOON)).await.unwrap();
    assert_eq!((ended.status.name(), ended.attempt), ("completed", 1), "{ended:?}");
    worker.end().await;
    assert_eq!(rig.store.check(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_of_the_client_is_one_of_the_server() {
    let rig = Rig::start().await;
    rig.identity.create_account("ana", "correct horse battery", Role::User).await.unwrap();
    let bare = Client::new(&rig.url, None).unwrap();
    bare.alive().await.unwrap();
    let tokens = bare.login("ana", "correct horse battery").await.unwrap();
    let next = bare.refresh(&tokens.refresh_token).await.unwrap();
    bare.logout(&next.refresh_token).await.unwrap();
    assert_eq!(bare.refresh(&next.refresh_token).await.unwrap_err().code().unwrap().status(), 401);
    let ana = bare.signed_in("ana", "correct horse battery").await.unwrap();
    assert_eq!(ana.me().await.unwrap().role, "user");

    let worker = rig.worker();
    rig.kinds_are_known(&ana).await;
    let payload = || to_raw_value(&serde_json::json!({ "ms": 1 })).unwrap();
    let mut tagged = submission("test.hold", payload());
    tagged.tags = vec!["red".into()];
    let mut later = submission("test.hold", payload());
    later.delay_ms = Some(3_600_000);
    let wrong = submission("test.hold", to_raw_value(&serde_json::json!({ "ms": "x" })).unwrap());
    let results = ana.submit_batch(vec![tagged, later, wrong]).await.unwrap();
    assert_eq!(results.len(), 3);
    assert_eq!(results[2].error.as_ref().unwrap().code, "payload_invalid");
    let [done, waiting] = [0, 1].map(|n: usize| results[n].task.as_ref().unwrap().id.clone());
    ana.wait_until_ended(&done, Some(SOON)).await.unwrap();
    assert_eq!(ana.attempts(&done).await.unwrap().len(), 1);
    assert_eq!(ana.logs(&done, 0, 10).await.unwrap().last, 0);

    let filter = Filter { tag: Some("red".into()), ..Filter::default() };
    let page = ana.tasks(&filter, 10, None).await.unwrap();
    assert_eq!((page.tasks.len(), page.tasks[0].id.as_str()), (1, done.as_str()));
    let first = ana.tasks(&Filter::default(), 1, None).await.unwrap();
    let rest = ana.tasks(&Filter::default(), 1, first.next_cursor.as_deref()).await.unwrap();
    assert_ne!(first.tasks[0].id, rest.tasks[0].id);
    assert_eq!(ana.counts().await.unwrap().all, 2);

    assert_eq!(ana.cancel(&waiting).await.unwrap().status.name(), "cancelled");
    assert_eq!(ana.cancel(&done).await.unwrap_err().code().unwrap().name(), "already_ended");
    let many = ana.retry_many(vec![waiting.clone(), done.clone()]).await.unwrap();
    assert!(many[0].task.is_some() && many[1].error.is_some());
    let many = ana.cancel_many(vec![waiting.clone()]).await.unwrap();
    assert_eq!(many[0].id, waiting);
    worker.end().await;
}

/// A kind that shares its queue with others.
struct Shares(&'static str);

#[async_trait]
impl tasktonic_worker::AnyHandler for Shares {
    fn record(&self) -> tasktonic_protocol::worker::KindRecord {
        tasktonic_protocol::worker::KindRecord {
            queue: "test.shared".into(),
            schema: serde_json::json!({}),
            attempts_max: 3,
            ..tasktonic_protocol::worker::KindRecord::new(self.0)
        }
    }

    async fn run_any(
        &self,
        _: &serde_json::value::RawValue,
        _: &Context,
    ) -> tasktonic_worker::Outcome {
        tasktonic_worker::Outcome::Completed(serde_json::value::RawValue::NULL.to_owned())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_far_away_that_lacks_a_kind_of_its_queue_is_refused_at_start() {
    let rig = Rig::start().await;
    let shares = |kinds: &[&'static str]| {
        let client = rig.client("crew", Role::Worker);
        let id: WorkerId = format!("w-{:016x}", rand::random::<u64>()).parse().unwrap();
        let store = Arc::new(RemoteStore::new(client.clone()).unwrap());
        let files = Arc::new(RemoteFiles::new(client));
        kinds.iter().fold(Worker::new(id, store, files, Settings::new("far-away")), |all, kind| {
            all.register_any(Arc::new(Shares(kind)))
        })
    };
    let stop = CancellationToken::new();
    let both = tokio::spawn(shares(&["test.one", "test.two"]).run_until(stop.clone()));
    let ana = rig.client("ana", Role::User);
    rig.kinds_are_known(&ana).await;

    let one = shares(&["test.one"]).run_until(CancellationToken::new());
    let refused = tokio::time::timeout(SOON, one).await.expect("it is said at once").unwrap_err();
    assert!(
        matches!(&refused, RunError::KindMissing { kind, queue }
            if kind == "test.two" && queue == "test.shared"),
        "{refused}"
    );
    stop.cancel();
    both.await.unwrap().unwrap();
}
