//! Users who submit and workers who work, for as long as a test breaks things around them; and the
//! account of it, by somebody who was not involved.

#![expect(dead_code, reason = "every test file uses some of it")]

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tasktonic_core::command::{Claim, NewTask, Op, Report, Submit, Sync, Write};
use tasktonic_core::reply::Submitted;
use tasktonic_core::routing::{PartitionId, partition_of};
use tasktonic_core::{TaskId, Text, UserId, WorkerId};
use tasktonic_store::clock::Clock;
use tasktonic_store::{Error, Held, Query, QueryReply, Store, settle};
use tasktonic_store_redis::{Class, Options, RedisStore};

const KEEP_S: u32 = 3_600;

/// Opens a store that repairs nothing: what is lost stays lost, and is seen.
pub(crate) async fn open(url: &str, class: Class, partitions: u16) -> RedisStore {
    let options =
        Options { class, partitions, reconcile_every: None, ..Options::new(Clock::system()) };
    RedisStore::open(&url.parse().unwrap(), options).await.unwrap()
}

/// A runtime like that of a server.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().unwrap().block_on(future)
}

/// What happened.
#[derive(Debug, Default)]
pub(crate) struct Account {
    /// Tasks whose submit was answered with a yes.
    pub(crate) accepted: Mutex<HashMap<TaskId, UserId>>,
    /// When it was.
    pub(crate) accepted_at: Mutex<HashMap<TaskId, Instant>>,
    /// Attempts that were taken over from a worker that was thought lost.
    pub(crate) adopted: AtomicU64,
    /// Acks that were answered with a yes, per task.
    pub(crate) acked: Mutex<HashMap<TaskId, u32>>,
    /// Every lease token ever handed out.
    pub(crate) tokens: Mutex<HashSet<String>>,
    /// Lease tokens that were handed out twice by claims.
    pub(crate) shared_tokens: AtomicU64,
    /// Answers of each sort to submits.
    pub(crate) unknown: AtomicU64,
    pub(crate) refused: AtomicU64,
    /// Answers of each sort to syncs.
    pub(crate) lost_syncs: AtomicU64,
    /// Errors that no table names.
    pub(crate) odd: Mutex<Vec<String>>,
    /// When a submit of each user was last accepted, and the longest time without.
    pub(crate) last: Mutex<HashMap<UserId, Instant>>,
    pub(crate) longest_gap: Mutex<Duration>,
}

/// A running load.
pub(crate) struct Load {
    pub(crate) store: RedisStore,
    pub(crate) account: Arc<Account>,
    submitting: Arc<AtomicBool>,
    working: Arc<AtomicBool>,
    running: Vec<tokio::task::JoinHandle<()>>,
    submitters: Vec<tokio::task::JoinHandle<()>>,
}

pub(crate) fn draft(user: &UserId, number: u64) -> NewTask {
    let at = Clock::system().now_ms();
    NewTask {
        event: Text::from(r#""k":"mail","q":"mail","max":20"#),
        ..NewTask::new(
            user.clone(),
            TaskId::new(at, number),
            "mail".parse().unwrap(),
            format!(r#"{{"v":1,"k":"mail","q":"mail","at":{at},"max":20,"p":{{}}}}"#),
        )
    }
}

fn ack(held: &Held) -> Op {
    let write = Write { n: held.n + 1, body: Text::from(r#""st":5"#), event: None };
    Op { lease: held.lease.clone(), report: Report::Ack { write, keep_s: KEEP_S } }
}

impl Load {
    /// Starts `users` who submit one batch after the other and `workers` who work them off.
    pub(crate) fn start(store: &RedisStore, users: u64, workers: u64) -> Self {
        Self::start_slow(store, users, workers, 2)
    }

    /// As [`Load::start`], with a pause in ms between two batches of a user.
    pub(crate) fn start_slow(store: &RedisStore, users: u64, workers: u64, pause_ms: u64) -> Self {
        let account = Arc::new(Account::default());
        let submitting = Arc::new(AtomicBool::new(true));
        let working = Arc::new(AtomicBool::new(true));
        let submitters = (0..users)
            .map(|user| {
                let (store, account) = (store.clone(), account.clone());
                tokio::spawn(submit(store, account, submitting.clone(), user, pause_ms))
            })
            .collect();
        let running = (0..workers)
            .map(|_| {
                let (store, account) = (store.clone(), account.clone());
                tokio::spawn(work(store, account, working.clone()))
            })
            .collect();
        let store = store.clone();
        Self { store, account, submitting, working, running, submitters }
    }

    /// How many submits were answered with a yes so far.
    pub(crate) fn accepted(&self) -> usize {
        self.account.accepted.lock().len()
    }

    /// Waits until submits are accepted that were not before.
    pub(crate) async fn goes_on(&self, within: Duration) -> Duration {
        let (before, since) = (self.accepted(), Instant::now());
        while self.accepted() < before + 20 {
            assert!(since.elapsed() < within, "no submit was accepted for {within:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        since.elapsed()
    }

    /// Ends the submits, lets the workers finish what is there, and accounts for every task.
    pub(crate) async fn settle(self, within: Duration) -> Verdict {
        self.submitting.store(false, Ordering::SeqCst);
        for submitter in self.submitters {
            submitter.await.unwrap();
        }
        let accepted = self.account.accepted.lock().clone();
        let since = Instant::now();
        let mut open = accepted;
        let mut lost = Vec::new();
        while !open.is_empty() && since.elapsed() < within {
            let (still, gone) = ask(&self.store, &open).await;
            lost = gone;
            open = still;
            if open.len() == lost.len() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.working.store(false, Ordering::SeqCst);
        for worker in self.running {
            worker.await.unwrap();
        }
        let acked_twice = self.account.acked.lock().values().filter(|count| **count > 1).count();
        let verdict = Verdict {
            accepted: self.account.accepted.lock().len(),
            lost: lost.len(),
            lost_within: {
                let accepted_at = self.account.accepted_at.lock();
                let at = || lost.iter().filter_map(|task| accepted_at.get(task).copied());
                at().min().zip(at().max())
            },
            stranded: open.len() - lost.len(),
            adopted: self.account.adopted.load(Ordering::SeqCst),
            acked_twice,
            shared_tokens: self.account.shared_tokens.load(Ordering::SeqCst),
            unknown: self.account.unknown.load(Ordering::SeqCst),
            refused: self.account.refused.load(Ordering::SeqCst),
            lost_syncs: self.account.lost_syncs.load(Ordering::SeqCst),
            longest_gap: *self.account.longest_gap.lock(),
            odd: self.account.odd.lock().clone(),
        };
        eprintln!("{verdict:?}");
        // What the records say of themselves must hold too.
        for p in (0..self.store.partitions()).map(PartitionId) {
            let broken = self.store.check(p).await.unwrap();
            assert!(broken.is_empty(), "partition {}: {broken:?}", p.0);
        }
        verdict
    }
}

/// What an uninvolved reader of the records found.
#[derive(Debug, Clone)]
pub(crate) struct Verdict {
    pub(crate) accepted: usize,
    /// Accepted, and not there.
    pub(crate) lost: usize,
    /// When the first and the last of those were accepted.
    pub(crate) lost_within: Option<(Instant, Instant)>,
    /// Accepted, and not ended.
    pub(crate) stranded: usize,
    pub(crate) adopted: u64,
    /// Ended twice, as their workers were told.
    pub(crate) acked_twice: usize,
    pub(crate) shared_tokens: u64,
    pub(crate) unknown: u64,
    pub(crate) refused: u64,
    pub(crate) lost_syncs: u64,
    pub(crate) longest_gap: Duration,
    pub(crate) odd: Vec<String>,
}

impl Verdict {
    /// Nothing was lost, stranded or done twice.
    #[track_caller]
    pub(crate) fn is_clean(&self) {
        self.lost_nothing();
        assert_eq!(self.acked_twice, 0, "acked twice");
    }

    /// Nothing was lost but what was accepted from `since` to `until`, and nothing stranded.
    #[track_caller]
    pub(crate) fn lost_at_most_within(&self, since: Instant, until: Instant) {
        if let Some((first, last)) = self.lost_within {
            assert!(first >= since, "a task that is lost was accepted {:?} before", since - first);
            assert!(last <= until, "a task that is lost was accepted {:?} after", last - until);
        }
        assert_eq!(self.stranded, 0, "stranded");
        assert_eq!(self.shared_tokens, 0, "lease tokens handed out twice");
        assert!(self.odd.is_empty(), "{:?}", self.odd);
        assert!(self.accepted > 100, "the test had no load");
    }

    /// Nothing was lost or stranded; where a failover forgot acks, tasks ran again.
    #[track_caller]
    pub(crate) fn lost_nothing(&self) {
        assert_eq!((self.lost, self.stranded), (0, 0), "lost, stranded");
        assert_eq!(self.shared_tokens, 0, "lease tokens handed out twice");
        assert!(self.odd.is_empty(), "{:?}", self.odd);
        assert!(self.accepted > 100, "the test had no load");
    }
}

/// Those of `tasks` that have not ended, and which of them are not there at all.
async fn ask(
    store: &RedisStore,
    tasks: &HashMap<TaskId, UserId>,
) -> (HashMap<TaskId, UserId>, Vec<TaskId>) {
    let mut of_user: HashMap<&UserId, Vec<TaskId>> = HashMap::new();
    for (task, user) in tasks {
        of_user.entry(user).or_default().push(*task);
    }
    let (mut open, mut lost) = (HashMap::new(), Vec::new());
    for (user, ids) in of_user {
        for ids in ids.chunks(500) {
            let query = Query::Tasks { user: user.clone(), tasks: ids.to_vec() };
            let p = partition_of(user, store.partitions());
            let found = match store.read(p, query).await {
                Ok(QueryReply::Tasks(found)) => found,
                _ => {
                    open.extend(ids.iter().map(|id| (*id, user.clone())));
                    continue;
                }
            };
            let found: HashMap<TaskId, Option<Text>> =
                found.into_iter().map(|task| (task.id, task.state)).collect();
            for id in ids {
                match found.get(id) {
                    None => {
                        lost.push(*id);
                        open.insert(*id, user.clone());
                    }
                    Some(Some(state)) if state.starts_with(r#"{"s":"completed""#) => {}
                    Some(_) => {
                        open.insert(*id, user.clone());
                    }
                }
            }
        }
    }
    (open, lost)
}

async fn submit(
    store: RedisStore,
    account: Arc<Account>,
    going: Arc<AtomicBool>,
    user: u64,
    pause_ms: u64,
) {
    let user: UserId = format!("user-{user}").parse().unwrap();
    let p = partition_of(&user, store.partitions());
    while going.load(Ordering::SeqCst) {
        let tasks: Vec<NewTask> = (0..4).map(|_| draft(&user, rand::random())).collect();
        let ids: Vec<TaskId> = tasks.iter().map(|task| task.task).collect();
        // As a client does: the same batch again until there is an answer.
        while going.load(Ordering::SeqCst) {
            let batch = Submit { created_ms: Clock::system().now_ms(), tasks: tasks.clone() };
            match store.submit(p, batch).await {
                Ok(answers) => {
                    let mut accepted = account.accepted.lock();
                    for (id, answer) in ids.iter().zip(&answers) {
                        match answer {
                            Submitted::Accepted | Submitted::Existing(_) => {
                                accepted.insert(*id, user.clone());
                                account.accepted_at.lock().insert(*id, Instant::now());
                            }
                            other => account.odd.lock().push(format!("{other:?}")),
                        }
                    }
                    let mut last = account.last.lock();
                    let before = last.insert(user.clone(), Instant::now());
                    let gap = before.map_or(Duration::ZERO, |before| before.elapsed());
                    let mut longest = account.longest_gap.lock();
                    *longest = gap.max(*longest);
                    break;
                }
                Err(Error::OutcomeUnknown) => {
                    account.unknown.fetch_add(1, Ordering::SeqCst);
                }
                Err(Error::Invalid(why)) => account.odd.lock().push(why),
                Err(_) => {
                    account.refused.fetch_add(1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
    }
}

async fn work(store: RedisStore, account: Arc<Account>, going: Arc<AtomicBool>) {
    let worker: WorkerId = format!("w-{:08x}", rand::random::<u32>()).parse().unwrap();
    let mut call = 0;
    let mut ops: Vec<Vec<Op>> = vec![Vec::new(); usize::from(store.partitions())];
    while going.load(Ordering::SeqCst) {
        let mut idle = true;
        for p in 0..store.partitions() {
            call += 1;
            let said = std::mem::take(&mut ops[usize::from(p)]);
            let request = Sync {
                worker: worker.clone(),
                call,
                lease_ms: 5_000,
                ops: said.clone(),
                claim: Some(Claim::new(vec!["mail".parse().unwrap()], 16)),
                woken: Vec::new(),
                park: false,
            };
            let to_do = match store.sync(PartitionId(p), request).await {
                Ok(reply) => {
                    for (at, op) in said.iter().enumerate() {
                        let refused = reply.refused.contains(&u32::try_from(at).unwrap());
                        if !refused && matches!(op.report, Report::Ack { .. }) {
                            *account.acked.lock().entry(op.lease.task).or_default() += 1;
                        }
                    }
                    for held in &reply.claimed {
                        if !account.tokens.lock().insert(held.lease.to_string()) {
                            account.shared_tokens.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                    let adopted = reply.adopted.len();
                    account.adopted.fetch_add(adopted as u64, Ordering::SeqCst);
                    idle &= reply.claimed.is_empty();
                    let now_ms = Clock::system().now_ms();
                    let settled = settle(&reply.adopted, &reply.cancelled, now_ms, || 0.0);
                    reply.claimed.iter().map(ack).chain(settled).collect()
                }
                Err(error) => {
                    if matches!(error, Error::Invalid(_)) {
                        account.odd.lock().push(error.to_string());
                    }
                    account.lost_syncs.fetch_add(1, Ordering::SeqCst);
                    // As a worker does after an answer that never came: what do I hold?
                    match store.read(PartitionId(p), Query::Held { worker: worker.clone() }).await {
                        Ok(QueryReply::Held(held)) => held.iter().map(ack).collect(),
                        _ => Vec::new(),
                    }
                }
            };
            ops[usize::from(p)] = to_do;
        }
        if idle {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
