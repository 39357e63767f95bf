//! The remote store against a small server: what travels, what wakes it, what it refuses.

#![expect(clippy::unwrap_used, reason = "a test fails by it, helpers included")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Json;
use axum::body::Body;
use axum::http::{Response, StatusCode};
use axum::routing::post;
use common::{Fake, Say, json, problem};
use futures_util::StreamExt as _;
use parking_lot::Mutex;
use tasktonic_client::{Client, RemoteStore, Token};
use tasktonic_core::command::{Claim, Control, Submit, Sync};
use tasktonic_core::limits::LEASE_MS_DEFAULT;
use tasktonic_core::routing::PartitionId;
use tasktonic_core::{Lease, TaskId, WorkerId};
use tasktonic_protocol::problem::Code;
use tasktonic_protocol::worker::{
    Announce, ClaimBody, KindRecord, SyncRequest, SyncResponse, WorkerRecord,
};
use tasktonic_store::{Error, Expect, Query, QueryReply, Store as _, Table, Wake, WakeStream};
use tokio::sync::Notify;

const P: PartitionId = PartitionId(0);

fn worker() -> WorkerId {
    "w-1".parse().unwrap()
}

fn lease() -> Lease {
    Lease {
        queue: "mail".parse().unwrap(),
        user: "ana".parse().unwrap(),
        task: TaskId::new(1, 2),
        attempt: 1,
        claim: 2,
        worker: worker(),
        call: 3,
    }
}

fn sync() -> Sync {
    Sync {
        worker: worker(),
        call: 7,
        lease_ms: LEASE_MS_DEFAULT,
        ops: vec![],
        claim: Some(Claim::new(vec!["mail".parse().unwrap()], 4)),
        woken: vec![],
        park: true,
    }
}

async fn next(wakes: &mut WakeStream) -> Wake {
    tokio::time::timeout(Duration::from_secs(10), wakes.next()).await.expect("a wake").unwrap()
}

#[tokio::test]
async fn a_sync_travels_whole_and_never_waits() {
    let answer = format!(
        r#"{{"v":1,"refused":[3],"cancelled":["{0}"],"claimed":[{{"lease":"{0}","n":2,"descriptor":"{{}}"}}],"more":5,"next_in_ms":250,"epoch":9}}"#,
        lease()
    );
    let fake = Fake::start(move |_, _| json(200, answer.clone())).await;
    let store = RemoteStore::new(fake.client()).unwrap();
    let reply = store.sync(P, sync()).await.unwrap();
    assert_eq!((reply.refused, reply.cancelled), (vec![3], vec![lease()]));
    assert_eq!((reply.more, reply.next_in_ms, reply.epoch), (5, Some(250), 9));
    assert_eq!((&reply.claimed[0].lease, reply.claimed[0].n), (&lease(), 2));
    let seen = fake.seen();
    assert_eq!(seen[0].target, "/api/v1/worker/sync");
    let sent: SyncRequest = serde_json::from_slice(&seen[0].body).unwrap();
    assert_eq!(sent.wait_ms, 0);
    assert_eq!(format!("{:?}", sent.into_sync().unwrap()), format!("{:?}", sync()));
}

#[tokio::test]
async fn the_claim_after_one_that_stopped_begins_where_that_was() {
    let stopped = r#"{"v":1,"epoch":1,"stopped_at":{"queue":"mail","part":5}}"#;
    let fake =
        Fake::start(move |n, _| json(200, if n == 0 { stopped } else { r#"{"v":1,"epoch":1}"# }))
            .await;
    let store = RemoteStore::new(fake.client()).unwrap();
    let places = vec![4];
    let ask = || Sync {
        claim: Some(Claim { places: places.clone(), ..sync().claim.unwrap() }),
        ..sync()
    };
    let reply = store.sync(P, ask()).await.unwrap();
    assert_eq!(reply.stopped_at, Some("mail".parse().unwrap()));
    // What is said in between, and another worker's claim, are none of it.
    store.sync(P, Sync { claim: None, park: false, ..sync() }).await.unwrap();
    store.sync(P, Sync { worker: "w-2".parse().unwrap(), ..ask() }).await.unwrap();
    for _ in 0..2 {
        assert_eq!(store.sync(P, ask()).await.unwrap().stopped_at, None);
    }
    let claims: Vec<_> = fake
        .seen()
        .iter()
        .map(|seen| serde_json::from_slice::<SyncRequest>(&seen.body).unwrap().claim)
        .collect();
    let first = |claim: &Option<ClaimBody>| claim.as_ref().and_then(|claim| claim.first);
    let firsts: Vec<_> = claims.iter().map(first).collect();
    assert_eq!(firsts, [None, None, None, Some(5), None]);
    assert_eq!(claims[0].as_ref().unwrap().places, places);
}

#[tokio::test]
async fn every_failure_says_whether_the_sync_may_have_been_carried_out() {
    let refusals = [
        (Code::StoreFull, Error::Full),
        (Code::StoreDiskFull, Error::DiskFull),
        (Code::TooManyRequests, Error::Busy),
        (Code::OutcomeUnknown, Error::OutcomeUnknown),
    ];
    for (code, expected) in refusals {
        let fake = Fake::start(move |_, _| problem(code, "", None)).await;
        let error = RemoteStore::new(fake.client()).unwrap().sync(P, sync()).await.unwrap_err();
        assert_eq!(error, expected);
        assert_eq!(fake.seen().len(), 1, "the worker's loop repeats it, not the client");
    }
    for (code, is_invalid) in [
        (Code::BadRequest, true),
        (Code::PayloadTooLarge, true),
        (Code::StoreUnavailable, false),
        (Code::Forbidden, false),
        (Code::Internal, false),
    ] {
        let fake = Fake::start(move |_, _| problem(code, "Do this.", None)).await;
        let error = RemoteStore::new(fake.client()).unwrap().sync(P, sync()).await.unwrap_err();
        assert_eq!(matches!(error, Error::Invalid(_)), is_invalid, "{code:?}: {error}");
        assert_eq!(matches!(error, Error::Unavailable(_)), !is_invalid, "{code:?}: {error}");
    }
    let fake = Fake::start(|_, _| Say::Nothing).await;
    let error = RemoteStore::new(fake.client()).unwrap().sync(P, sync()).await.unwrap_err();
    assert_eq!(error, Error::OutcomeUnknown);
    let fake = Fake::start(|_, _| json(200, r#"{"v":2,"epoch":1}"#)).await;
    let error = RemoteStore::new(fake.client()).unwrap().sync(P, sync()).await.unwrap_err();
    assert!(error.to_string().contains("version"), "{error}");
}

#[tokio::test]
async fn what_is_held_can_be_asked_of_a_server_that_knows_the_question() {
    let ask = || Query::Held { worker: worker() };
    let answer =
        format!(r#"{{"v":1,"held":[{{"lease":"{}","n":2,"descriptor":"{{}}"}}]}}"#, lease());
    let fake = Fake::start(move |_, _| json(200, answer.clone())).await;
    let store = RemoteStore::new(fake.client()).unwrap();
    let QueryReply::Held(held) = store.read(P, ask()).await.unwrap() else { panic!() };
    assert_eq!((&held[0].lease, held[0].n, held.len()), (&lease(), 2, 1));
    let seen = fake.seen();
    assert_eq!(seen[0].target, "/api/v1/worker/held");
    assert_eq!(&seen[0].body[..], br#"{"v":1,"worker":"w-1"}"#);

    // A server of an earlier release: the worker must not ask for ever.
    let fake = Fake::start(|_, _| problem(Code::NotFound, "", None)).await;
    let error = RemoteStore::new(fake.client()).unwrap().read(P, ask()).await.unwrap_err();
    assert!(matches!(error, Error::Invalid(_)), "{error}");
    let fake = Fake::start(|_, _| problem(Code::StoreUnavailable, "", None)).await;
    let error = RemoteStore::new(fake.client()).unwrap().read(P, ask()).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error}");
}

#[tokio::test]
async fn inputs_travel_byte_for_byte_and_a_lost_lease_is_told_nothing() {
    let ask = |after| Query::Inputs { lease: lease(), after, limit: 5 };
    let id = TaskId::new(1, 9);
    let answer = format!(
        r#"{{"v":1,"inputs":[{{"id":"{id}","name":"left","status":"completed","output":{{"a": 1.50}}}},{{"id":"{id}"}}],"next":"{id}","more":1}}"#
    );
    let fake = Fake::start(move |_, _| json(200, answer.clone())).await;
    let store = RemoteStore::new(fake.client()).unwrap();
    let QueryReply::Inputs(Some(page)) = store.read(P, ask(Some(id))).await.unwrap() else {
        panic!()
    };
    let output = page.inputs[0].output.as_ref().map(|output| output.get());
    assert_eq!((output, page.next), (Some(r#"{"a": 1.50}"#), Some(id)));
    assert!(page.inputs[1].status.is_none() && page.inputs[1].output.is_none(), "it is gone");
    let seen = fake.seen();
    assert_eq!(seen[0].target, "/api/v1/worker/inputs");
    let sent = format!(r#"{{"v":1,"lease":"{}","after":"{id}"}}"#, lease());
    assert_eq!(std::str::from_utf8(&seen[0].body).unwrap(), sent);

    let fake = Fake::start(|_, _| problem(Code::LostLease, "", None)).await;
    let reply = RemoteStore::new(fake.client()).unwrap().read(P, ask(None)).await.unwrap();
    assert!(matches!(reply, QueryReply::Inputs(None)), "{reply:?}");
    // A server of an earlier release: asking again would not help.
    let fake = Fake::start(|_, _| problem(Code::NotFound, "", None)).await;
    let error = RemoteStore::new(fake.client()).unwrap().read(P, ask(None)).await.unwrap_err();
    assert!(matches!(error, Error::Invalid(_)), "{error}");
    let fake = Fake::start(|_, _| problem(Code::StoreUnavailable, "", None)).await;
    let error = RemoteStore::new(fake.client()).unwrap().read(P, ask(None)).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error}");
}

#[tokio::test]
async fn what_is_no_part_of_a_worker_is_refused_in_words() {
    let fake = Fake::start(|_, _| json(200, "{}")).await;
    let store = RemoteStore::new(fake.client()).unwrap();
    let errors = [
        store.submit(P, Submit::default()).await.unwrap_err(),
        store.control(P, cancel()).await.unwrap_err(),
        store.read(P, Query::Counts { user: "ana".parse().unwrap() }).await.unwrap_err(),
        store.registry().get(Table::Accounts, "ana").await.unwrap_err(),
        store.registry().list(Table::Refresh).await.unwrap_err(),
        store.registry().delete(Table::Kinds, "mail").await.unwrap_err(),
        store.registry().put(Table::Settings, "x", "{}".into(), Expect::Any).await.unwrap_err(),
        store.sync(PartitionId(1), sync()).await.unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, Error::Invalid(_)), "{error}");
    }
    assert_eq!(fake.seen().len(), 0);
}

fn cancel() -> Control {
    Control::Cancel {
        at_ms: 0,
        user: "ana".parse().unwrap(),
        tasks: vec![],
        body: "".into(),
        keep_s: 1,
    }
}

fn kind(name: &str) -> KindRecord {
    KindRecord { schema: serde_json::json!({}), ..KindRecord::new(name) }
}

fn record() -> WorkerRecord {
    WorkerRecord {
        id: "w-1".into(),
        host: "h".into(),
        version: "1".into(),
        kinds: vec!["a".into(), "b".into()],
        labels: vec!["gpu".into()],
        concurrency: 2,
        running: 0,
        taken: None,
        seen_ms: 5,
    }
}

#[tokio::test]
async fn records_of_a_worker_become_announcements() {
    let fake = Fake::start(|n, _| match n {
        // Refused for good, so that it is not repeated by itself.
        0 => problem(Code::Internal, "", None),
        _ => Say::This(Response::builder().status(204).body(Body::empty()).unwrap()),
    })
    .await;
    let store = RemoteStore::new(fake.client()).unwrap();
    let text = |record: &KindRecord| serde_json::to_string(record).unwrap();
    let worker = serde_json::to_string(&record()).unwrap();
    let registry = store.registry();
    for name in ["a", "b"] {
        registry.put(Table::Kinds, name, text(&kind(name)), Expect::Any).await.unwrap();
    }
    assert_eq!(fake.seen().len(), 0, "kinds wait for their worker");
    registry.put(Table::Workers, "w-1", worker.clone(), Expect::Any).await.unwrap_err();
    registry.put(Table::Workers, "w-1", worker.clone(), Expect::Any).await.unwrap();
    registry.put(Table::Workers, "w-1", worker.clone(), Expect::Any).await.unwrap();
    registry.put(Table::Kinds, "c", text(&kind("c")), Expect::Any).await.unwrap();
    registry.put(Table::Workers, "w-1", worker, Expect::Any).await.unwrap();
    assert!(registry.delete(Table::Workers, "w-1").await.unwrap());
    assert!(!registry.delete(Table::Workers, "w-1").await.unwrap());
    let sent: Vec<Announce> = fake
        .seen()
        .iter()
        .inspect(|seen| assert_eq!(seen.target, "/api/v1/worker/announce"))
        .map(|seen| serde_json::from_slice(&seen.body).unwrap())
        .collect();
    let shape: Vec<_> = sent
        .iter()
        .map(|a| (a.kinds.iter().map(|k| k.kind.as_str()).collect::<String>(), a.leaving))
        .collect();
    let shape: Vec<_> = shape.iter().map(|(kinds, leaving)| (kinds.as_str(), *leaving)).collect();
    assert_eq!(shape, [("ab", false), ("ab", false), ("", false), ("c", false), ("", true)]);
    assert!(sent.iter().all(|announce| announce.worker == record()));
}

/// A server that holds waiting syncs back until there is something to say.
#[derive(Clone, Default)]
struct Holding {
    say: Arc<Mutex<Vec<SyncResponse>>>,
    news: Arc<Notify>,
    asked: Arc<Mutex<Vec<SyncRequest>>>,
    is_down: Arc<AtomicBool>,
    held: Arc<()>,
}

impl Holding {
    async fn start(&self) -> (Client, tokio::task::JoinHandle<()>) {
        let holding = self.clone();
        let route = post(move |Json(request): Json<SyncRequest>| {
            let holding = holding.clone();
            async move { holding.answer(request).await }
        });
        let router = axum::Router::new().route("/api/v1/worker/sync", route);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (Client::new(&url, Some(Token::new("t"))).unwrap(), serving)
    }

    async fn answer(&self, request: SyncRequest) -> (StatusCode, Json<SyncResponse>) {
        self.asked.lock().push(request);
        // Dropped with the request, when its sender gives up.
        let _held = Arc::downgrade(&self.held);
        loop {
            let news = self.news.notified();
            if self.is_down.load(Ordering::SeqCst) {
                return (StatusCode::BAD_GATEWAY, Json(SyncResponse::default()));
            }
            if let Some(answer) = self.say.lock().pop() {
                return (StatusCode::OK, Json(answer));
            }
            news.await;
        }
    }

    fn tell(&self, answer: SyncResponse) {
        self.say.lock().push(answer);
        self.news.notify_waiters();
    }

    fn asked(&self) -> usize {
        self.asked.lock().len()
    }
}

#[tokio::test]
async fn a_server_that_has_not_listened_so_far_makes_its_worker_look_everywhere() {
    let holding = Holding::default();
    let (client, serving) = holding.start().await;
    let store = RemoteStore::new(client).unwrap();
    let mut wakes = store.wakes(&worker());
    holding.tell(SyncResponse { v: 1, lagged: true, ..SyncResponse::default() });
    assert_eq!(next(&mut wakes).await, Wake::Lagged);
    serving.abort();
}

#[tokio::test]
async fn reports_that_were_not_heard_everywhere_are_named_and_the_rest_stands() {
    let answer = r#"{"v":1,"refused":[0],"unheard":[1,4],"epoch":1}"#;
    let fake = Fake::start(move |_, _| json(200, answer)).await;
    let store = RemoteStore::new(fake.client()).unwrap();
    let reply = store.sync(P, sync()).await.unwrap();
    assert_eq!((reply.refused, reply.unheard), (vec![0], vec![1, 4]));
    let sent: SyncRequest = serde_json::from_slice(&fake.seen()[0].body).unwrap();
    assert!(sent.partly, "it can be told of a part");
}

#[tokio::test]
async fn an_idle_worker_waits_in_one_request_and_is_woken_at_once() {
    let holding = Holding::default();
    let (client, serving) = holding.start().await;
    let store = RemoteStore::new(client).unwrap();
    let mut wakes = store.wakes(&worker());
    let nothing = tokio::time::timeout(Duration::from_secs(2), wakes.next()).await;
    assert!(nothing.is_err(), "{nothing:?}");
    assert_eq!(holding.asked(), 1, "idle is one held request");
    {
        let asked = holding.asked.lock();
        assert_eq!((asked[0].wait_ms, asked[0].claim.is_none()), (20_000, true));
        assert!(asked[0].ops.is_empty() && !asked[0].park);
    }
    let since = Instant::now();
    holding.tell(SyncResponse {
        v: 1,
        woken: vec!["mail".into()],
        cancelled: vec![lease().to_string()],
        ..SyncResponse::default()
    });
    assert_eq!(next(&mut wakes).await, Wake::Work(P, "mail".parse().unwrap()));
    assert_eq!(next(&mut wakes).await, Wake::Cancel(lease()));
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
    serving.abort();
}

#[tokio::test]
async fn a_worker_is_told_to_look_when_waiting_fails_and_when_it_works_again() {
    let holding = Holding::default();
    let (client, serving) = holding.start().await;
    let store = RemoteStore::new(client).unwrap();
    let mut wakes = store.wakes(&worker());
    holding.is_down.store(true, Ordering::SeqCst);
    holding.news.notify_waiters();
    assert_eq!(next(&mut wakes).await, Wake::Lagged);
    holding.is_down.store(false, Ordering::SeqCst);
    holding.tell(SyncResponse { v: 1, woken: vec!["mail".into()], ..SyncResponse::default() });
    assert_eq!(next(&mut wakes).await, Wake::Work(P, "mail".parse().unwrap()));
    assert_eq!(next(&mut wakes).await, Wake::Lagged);
    serving.abort();
}

#[tokio::test]
async fn answers_that_come_early_do_not_make_a_tight_circle() {
    let fake = Fake::start(|_, _| json(200, r#"{"v":1,"epoch":1}"#)).await;
    let store = RemoteStore::new(fake.client()).unwrap();
    let mut wakes = store.wakes(&worker());
    let nothing = tokio::time::timeout(Duration::from_secs(2), wakes.next()).await;
    assert!(nothing.is_err());
    let count = fake.seen().len();
    assert!((2..30).contains(&count), "{count} requests in two seconds");
}

#[tokio::test]
async fn waiting_ends_with_its_stream() {
    let holding = Holding::default();
    let (client, serving) = holding.start().await;
    let store = RemoteStore::new(client).unwrap();
    let wakes = store.wakes(&worker());
    until("the first request", || Arc::weak_count(&holding.held) == 1).await;
    drop(wakes);
    drop(store);
    // The answer to nobody's question would be followed by a second one.
    until("the held request to be given up", || Arc::weak_count(&holding.held) == 0).await;
    assert_eq!(holding.asked(), 1);
    serving.abort();
}

async fn until(what: &str, is: impl Fn() -> bool) {
    let since = Instant::now();
    while !is() {
        assert!(since.elapsed() < Duration::from_secs(10), "waited for {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_busy_runtime_does_not_delay_a_heartbeat() {
    // The server has a runtime of its own; the worker's only thread will be blocked.
    let (sender, receiver) = std::sync::mpsc::channel();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = asked.clone();
    std::thread::spawn(move || {
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let fake = Fake::start(move |_, _| {
                seen.lock().push(Instant::now());
                json(200, r#"{"v":1,"epoch":1}"#)
            })
            .await;
            sender.send(fake.client()).unwrap();
            std::future::pending::<()>().await;
        });
    });
    let client = receiver.recv().unwrap();
    // Connections that the blocked runtime has opened must not be the ones a heartbeat uses.
    let _ = client.counts().await;
    let store = Arc::new(RemoteStore::new(client).unwrap());
    let beating = store.clone();
    let beats = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let since = Instant::now();
            for _ in 0..10 {
                beating.sync(P, sync()).await.unwrap();
            }
            since.elapsed()
        })
    });
    // Blocks the one thread of this runtime, as a handler that computes would.
    let took = beats.join().unwrap();
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(asked.lock().len() >= 11);
}
