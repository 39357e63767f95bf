//! A user with very many tasks, and how long the first page of what is rare among them takes. For
//! figures and tests alike; neither judges the time.

use std::fmt;
use std::time::{Duration, Instant};

use tasktonic_core::command::{Claim, NewTask, Op, Report, Submit, Sync, Write};
use tasktonic_core::limits::SUBMIT_TASKS_MAX;
use tasktonic_core::routing::partition_of;
use tasktonic_core::search::Search;
use tasktonic_core::{TaskId, TaskState, UserId};

use crate::{Query, QueryReply, Store, TaskFilter};

/// Tasks with the rare tag, however many others there are; fewer than a page.
pub const RARE: u64 = 10;
/// Tasks that fail.
const FAILED: u32 = 8;
/// Tasks on the page that is asked for: so many are never found, so all is looked through.
const PAGE: u32 = 50;
const FIRST_MS: i64 = 1_700_000_000_000;

/// How long the first page of one sort took.
#[derive(Debug, Clone)]
pub struct FirstPage {
    /// What was asked for.
    pub what: &'static str,
    /// How many were on it.
    pub found: usize,
    /// Sorted.
    pub times: Vec<Duration>,
}

impl FirstPage {
    /// The time that so many of a hundred did not take longer than.
    #[must_use]
    pub fn of_hundred(&self, count: usize) -> Duration {
        let at = (self.times.len() * count / 100).min(self.times.len().saturating_sub(1));
        self.times.get(at).copied().unwrap_or_default()
    }
}

impl fmt::Display for FirstPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |count| self.of_hundred(count).as_secs_f64() * 1_000.0;
        let Self { what, found, .. } = self;
        write!(f, "{what}: {found} found, p50 {:.1} ms, p95 {:.1} ms", ms(50), ms(95))
    }
}

/// A user with `count` tasks that wait, of which some have a tag that is rare, and some that failed.
///
/// # Panics
/// When the store refuses anything.
pub async fn crowd(store: &dyn Store, count: u64) -> UserId {
    let user: UserId = "crowd".parse().expect("a user id");
    let p = partition_of(&user, store.partitions());
    let every = (count / RARE).max(1);
    let draft = |number: u64| {
        let at = FIRST_MS + i64::try_from(number / 16).expect("a small number");
        let rare = if number % every == every / 2 { r#","Rare one""# } else { "" };
        let tags = format!(r#""order-{number}","batch-{}"{rare}"#, number % 97);
        NewTask {
            lane_max: u32::MAX,
            ..NewTask::new(
                user.clone(),
                TaskId::new(at, number),
                "mail".parse().expect("a queue name"),
                format!(r#"{{"k":"mail","at":{at},"max":3,"tags":[{tags}],"p":{{"n":{number}}}}}"#),
            )
        }
    };
    let step = SUBMIT_TASKS_MAX as u64;
    for from in (0..count).step_by(SUBMIT_TASKS_MAX) {
        let tasks = (from..(from + step).min(count)).map(draft).collect();
        store.submit(p, Submit { created_ms: FIRST_MS, tasks }).await.expect("it is accepted");
    }
    let sync = |call, ops, claim| Sync {
        worker: "w-1".parse().expect("a worker id"),
        call,
        lease_ms: 30_000,
        ops,
        claim,
        woken: Vec::new(),
        park: false,
    };
    let claim = Claim::new(vec!["mail".parse().expect("a queue name")], FAILED);
    let claimed =
        store.sync(p, sync(1, Vec::new(), Some(claim))).await.expect("it answers").claimed;
    let body = r#""err":{"code":"broken","message":"It broke in the middle"}"#;
    let fail = |held: crate::Held| Op {
        lease: held.lease,
        report: Report::Bury {
            write: Write { n: 2, body: body.into(), event: None },
            keep_s: 86_400,
        },
    };
    let ops = claimed.into_iter().map(fail).collect();
    store.sync(p, sync(2, ops, None)).await.expect("it answers");
    user
}

/// The first pages of what is rare in a [`crowd`], each asked for `times`.
///
/// # Panics
/// When the store does not answer.
pub async fn first_pages(store: &dyn Store, user: &UserId, times: usize) -> Vec<FirstPage> {
    let tag = |tag: &str| TaskFilter { tag: Some(tag.into()), ..TaskFilter::default() };
    let words = |words: &str| TaskFilter {
        search: Search::of(words).expect("a short search"),
        ..TaskFilter::default()
    };
    let failed = |filter: TaskFilter| TaskFilter { states: vec![TaskState::Dead], ..filter };
    let mut pages = Vec::new();
    for (what, filter) in [
        ("everything", TaskFilter::default()),
        ("a tag that is rare", tag("Rare one")),
        ("a tag that nobody has", tag("never given")),
        ("a word of a tag that is rare", words("rar")),
        ("a word of an error", words("middle")),
        ("what failed", failed(TaskFilter::default())),
        ("what failed, by a word of its error", failed(words("broke"))),
        (
            "what is delayed, of which there is none",
            TaskFilter { states: vec![TaskState::Scheduled], ..TaskFilter::default() },
        ),
    ] {
        let (mut found, mut took) = (0, Vec::with_capacity(times));
        for _ in 0..times {
            let since = Instant::now();
            let mut cursor = None;
            loop {
                let (owner, filter) = (user.clone(), filter.clone());
                let query = Query::List { user: owner, filter, cursor, limit: PAGE };
                let p = partition_of(user, store.partitions());
                let reply = store.read(p, query).await.expect("it answers");
                let QueryReply::List(page) = reply else { panic!("another answer") };
                found = page.tasks.len();
                cursor = page.next.filter(|_| found == 0);
                if cursor.is_none() {
                    break;
                }
            }
            took.push(since.elapsed());
        }
        took.sort_unstable();
        pages.push(FirstPage { what, found, times: took });
    }
    pages
}
