//! Lists, counts, logs, events, wakes: what is read and what is heard.

use std::time::Duration;

use futures_util::StreamExt as _;
use tasktonic_core::command::{Op, Report};
use tasktonic_core::reply::Controlled;
use tasktonic_core::transitions::STATES;
use tasktonic_core::{TaskId, TaskState, Text, UserId};

use super::scene::{Scene, ack, write};
use crate::{Query, QueryReply, TaskFilter, TaskPage, UserEvent, Wake};

/// How long a signal may take in a test before it counts as lost.
const SIGNAL_WAIT: Duration = Duration::from_secs(5);

fn user(name: &str) -> UserId {
    name.parse().unwrap()
}

async fn page(
    scene: &Scene,
    filter: &TaskFilter,
    cursor: Option<crate::Cursor>,
    limit: u32,
) -> TaskPage {
    let query = Query::List { user: user("ana"), filter: filter.clone(), cursor, limit };
    let QueryReply::List(page) = scene.read("ana", query).await else { panic!() };
    page
}

async fn ids(scene: &Scene, filter: TaskFilter) -> Vec<TaskId> {
    page(scene, &filter, None, 200).await.tasks.into_iter().map(|task| task.id).collect()
}

/// Newest first, in pages that stay put while tasks arrive, by every filter.
pub async fn lists_page_and_filter(scene: Scene) {
    let mut tasks = Vec::new();
    for _ in 0..7 {
        tasks.push(scene.submit("ana").await);
        scene.pass(10);
    }
    scene.submit("ben").await;
    let held = scene.claim("w1", 2).await;
    let ana = held.iter().find(|held| held.lease.user == user("ana")).unwrap();
    assert!(scene.report(&ana.lease, ack(2)).await);
    tasks.reverse();

    let mut seen = Vec::new();
    let mut cursor = None;
    loop {
        let page = page(&scene, &TaskFilter::default(), cursor, 3).await;
        seen.extend(page.tasks.into_iter().map(|task| task.id));
        scene.pass(10);
        if seen.len() == 3 {
            tasks.insert(0, scene.submit("ana").await);
        }
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, tasks[1..], "a task that arrived meanwhile moves no page");

    let completed = TaskFilter { states: vec![TaskState::Completed], ..TaskFilter::default() };
    assert_eq!(ids(&scene, completed).await, vec![ana.lease.task]);
    let kind = TaskFilter { kind: Some("other".into()), ..TaskFilter::default() };
    assert_eq!(ids(&scene, kind).await, Vec::new());
    let kind = TaskFilter { kind: Some("mail".into()), ..TaskFilter::default() };
    assert_eq!(ids(&scene, kind).await, tasks);
    let text = tasks[2].to_string();
    let prefix = TaskFilter { id_prefix: Some(text), ..TaskFilter::default() };
    assert_eq!(ids(&scene, prefix).await, vec![tasks[2]]);
    let tagged = TaskFilter { tag: Some("t1".into()), ..TaskFilter::default() };
    let tagged = ids(&scene, tagged).await;
    assert!(!tagged.is_empty() && tagged.len() < tasks.len());
    let since = TaskFilter { since_ms: Some(scene.now_ms() - 15), ..TaskFilter::default() };
    assert!(ids(&scene, since).await.len() < tasks.len());
}

/// Counts are those of the lists.
pub async fn counts_agree_with_lists(scene: Scene) {
    for _ in 0..5 {
        scene.submit("ana").await;
    }
    let held = scene.claim("w1", 3).await;
    scene.report(&held[0].lease, ack(2)).await;
    scene.report(&held[1].lease, Report::Bury { write: write(2), keep_s: 60 }).await;
    let query = Query::Counts { user: user("ana") };
    let QueryReply::Counts(counts) = scene.read("ana", query).await else { panic!() };
    for state in STATES {
        let filter = TaskFilter { states: vec![*state], ..TaskFilter::default() };
        let listed = ids(&scene, filter).await.len() as u64;
        assert_eq!(counts.of(*state), listed, "{}", state.name());
    }
    assert_eq!(counts.all(), 5);
}

/// Log lines are numbered from 1.
pub async fn logs_are_numbered_and_read_from_anywhere(scene: Scene) {
    let task = scene.submit("ana").await;
    let held = scene.claim_one("w1").await;
    for chunk in 0..3 {
        let line = |i| Text::from(format!(r#"{{"at":1,"l":"info","x":"{}"}}"#, chunk * 10 + i));
        let lines = (0..10).map(line).collect();
        assert!(scene.report(&held.lease, Report::Log { lines }).await);
    }
    let query = Query::Logs { user: user("ana"), task, after: 12, limit: 5 };
    let QueryReply::Logs(logs) = scene.read("ana", query).await else { panic!() };
    assert_eq!((logs.first, logs.last), (1, 30));
    let numbers: Vec<_> = logs.lines.iter().map(|line| line.number).collect();
    assert_eq!(numbers, [13, 14, 15, 16, 17]);
    assert!(logs.lines[0].text.contains(r#""x":"12""#));
}

/// A cursor gets every entry after it, once and in order.
pub async fn events_are_numbered_without_gaps_and_resume(scene: Scene) {
    let head = Query::EventsHead { user: user("ana") };
    let QueryReply::Events(start) = scene.read("ana", head).await else { panic!() };
    for _ in 0..3 {
        scene.submit("ana").await;
    }
    scene.claim("w1", 3).await;
    let epoch = start.epoch;
    let since = |seq| Query::EventsSince { user: user("ana"), epoch, seq };
    let QueryReply::Events(all) = scene.read("ana", since(start.seq)).await else { panic!() };
    assert!(!all.reset);
    let numbers: Vec<_> = all.entries.iter().map(|(seq, _)| *seq).collect();
    assert_eq!(numbers, (start.seq + 1..=all.seq).collect::<Vec<_>>());
    assert_eq!(all.entries.len(), 4, "three submits, then one entry for one claiming call");
    let QueryReply::Events(tail) = scene.read("ana", since(all.seq - 1)).await else { panic!() };
    assert_eq!(tail.entries, all.entries[3..]);
    let QueryReply::Events(none) = scene.read("ana", since(all.seq)).await else { panic!() };
    assert!(none.entries.is_empty() && !none.reset);
}

/// A cursor that cannot be served says so.
pub async fn a_cursor_of_another_epoch_is_reset(scene: Scene) {
    scene.submit("ana").await;
    for (epoch, seq) in [(999, 0), (0, 0)] {
        let query = Query::EventsSince { user: user("ana"), epoch, seq };
        let QueryReply::Events(events) = scene.read("ana", query).await else { panic!() };
        assert!(events.reset && events.entries.is_empty());
    }
}

/// The next item of a subscription.
pub(super) async fn heard<T>(stream: &mut (impl futures_util::Stream<Item = T> + Unpin)) -> T {
    tokio::time::timeout(SIGNAL_WAIT, stream.next()).await.expect("something is heard").unwrap()
}

/// Subscribers hear everything of their user and nothing of another.
pub async fn a_subscriber_hears_events_progress_and_log_lines(scene: Scene) {
    let mut events = scene.store.events(&user("ana"));
    let text = |event: &UserEvent| match event {
        UserEvent::Logged { text, .. } | UserEvent::Passing(text) => text.to_string(),
        UserEvent::Lagged => String::new(),
    };
    // A store elsewhere may begin with `Lagged`, when it listens: what came before may be lost.
    let first = scene.submit("ana").await;
    if heard(&mut events).await == UserEvent::Lagged {
        let again = scene.submit("ana").await;
        while !text(&heard(&mut events).await).contains(&again.to_string()) {}
        assert_eq!(scene.cancel("ana", again).await, Controlled::Done);
        assert!(text(&heard(&mut events).await).contains(&again.to_string()));
    }
    assert_eq!(scene.cancel("ana", first).await, Controlled::Done);
    assert!(text(&heard(&mut events).await).contains(&first.to_string()));

    scene.submit("ben").await;
    let task = scene.submit("ana").await;
    let held = scene.claim("w1", 4).await;
    let lease = &held.iter().find(|h| h.lease.task == task).unwrap().lease;
    scene.report(lease, Report::Progress { write: write(2) }).await;
    scene.report(lease, Report::Log { lines: vec![Text::from(r#"{"x":"line"}"#)] }).await;
    let mut told = Vec::new();
    for _ in 0..4 {
        told.push(heard(&mut events).await);
    }
    let id = task.to_string();
    assert!(told.iter().all(|event| text(event).contains(&id)), "{told:?}");
    assert!(text(&told[0]).contains(r#""s":"queued""#) && text(&told[0]).contains(r#""k":"#));
    assert!(text(&told[1]).contains(r#""s":"running""#));
    assert!(matches!(&told[2], UserEvent::Passing(_)));
    assert!(text(&told[3]).contains(r#""log":{"first":1,"#));
}

/// A parked worker hears of work.
pub async fn a_parked_worker_is_woken_for_work(scene: Scene) {
    let worker = "w1".parse().unwrap();
    let mut wakes = scene.store.wakes(&worker);
    loop {
        assert!(scene.sync("w1", Vec::new(), 4, true).await.claimed.is_empty());
        scene.submit("ana").await;
        match heard(&mut wakes).await {
            Wake::Work(_, queue) => return assert_eq!(queue.as_str(), "mail"),
            // It may have been missed: look everywhere, and park again.
            Wake::Lagged => assert_eq!(scene.claim("w1", 4).await.len(), 1),
            Wake::Cancel(lease) => panic!("{lease} is not to be cancelled"),
        }
    }
}

/// The holder hears of a cancellation without asking.
pub async fn the_holder_is_told_of_a_cancellation(scene: Scene) {
    let worker = "w1".parse().unwrap();
    let mut wakes = scene.store.wakes(&worker);
    let mut cancelled = Vec::new();
    loop {
        let task = scene.submit("ana").await;
        cancelled.push(scene.claim_one("w1").await.lease);
        scene.cancel("ana", task).await;
        match heard(&mut wakes).await {
            Wake::Lagged => {}
            Wake::Cancel(lease) => return assert!(cancelled.contains(&lease), "{lease}"),
            wake @ Wake::Work(..) => panic!("nobody is parked: {wake:?}"),
        }
    }
}

/// Every question about another user's task is answered as for one that does not exist.
pub async fn nobody_sees_anothers_tasks(scene: Scene) {
    let task = scene.submit("ana").await;
    let held = scene.claim_one("w1").await;
    let op =
        Op { lease: held.lease.clone(), report: Report::Log { lines: vec![Text::from("{}")] } };
    scene.sync("w1", vec![op], 0, false).await;
    assert!(scene.task("ben", task).await.is_none());
    assert_eq!(scene.cancel("ben", task).await, Controlled::Absent);
    assert_eq!(scene.redrive("ben", task, 1).await, Controlled::Absent);
    let logs = Query::Logs { user: user("ben"), task, after: 0, limit: 10 };
    let QueryReply::Logs(logs) = scene.read("ben", logs).await else { panic!() };
    assert_eq!(logs, crate::LogLines::default());
    let attempts = Query::Attempts { user: user("ben"), task };
    let QueryReply::Attempts(rows) = scene.read("ben", attempts).await else { panic!() };
    assert!(rows.is_empty());
    let exist = Query::Exist { tasks: vec![(user("ben"), task)] };
    let QueryReply::Exist(answers) = scene.read("ben", exist).await else { panic!() };
    assert_eq!(answers, vec![false]);
    let counts = Query::Counts { user: user("ben") };
    let QueryReply::Counts(counts) = scene.read("ben", counts).await else { panic!() };
    assert_eq!(counts.all(), 0);
}
