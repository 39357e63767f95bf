//! Lists and searches: each finds what the record says, wherever a task has been.

use tasktonic_core::command::{
    After, Control, Edit, Node, Purge, Redrive, Report, Rewrite, Submit, Write,
};
use tasktonic_core::links::OnFailure;
use tasktonic_core::reply::{Controlled, Submitted};
use tasktonic_core::routing::partition_of;
use tasktonic_core::search::Search;
use tasktonic_core::transitions::STATES;
use tasktonic_core::{TaskId, TaskState, Text, UserId};

use super::scene::{Scene, ack};
use crate::{Query, QueryReply, TaskFilter};

fn ana() -> UserId {
    "ana".parse().unwrap()
}

fn in_state(state: TaskState) -> TaskFilter {
    TaskFilter { states: vec![state], ..TaskFilter::default() }
}

fn search(words: &str) -> TaskFilter {
    TaskFilter { search: Search::of(words).unwrap(), ..TaskFilter::default() }
}

async fn ids(scene: &Scene, filter: TaskFilter) -> Vec<TaskId> {
    let query = Query::List { user: ana(), filter, cursor: None, limit: 200 };
    let QueryReply::List(page) = scene.read("ana", query).await else { panic!() };
    assert_eq!(page.next, None);
    page.tasks.into_iter().map(|task| task.id).collect()
}

async fn submit(scene: &Scene, kind: &str, tags: &str) -> TaskId {
    let mut new = scene.draft("ana");
    let at = scene.now_ms();
    new.descriptor = format!(
        r#"{{"v":1,"k":"{kind}","q":"mail","at":{at},"max":2,"tags":[{tags}],"p":{{"n":"hidden"}}}}"#
    )
    .into();
    let task = new.task;
    assert_eq!(scene.submit_as(new).await, Submitted::Accepted);
    scene.pass(10);
    task
}

async fn change(scene: &Scene, control: Control) {
    let p = partition_of(&ana(), scene.store.partitions());
    assert_eq!(scene.store.control(p, control).await.unwrap(), [Controlled::Done]);
}

fn failed(message: &str) -> Report {
    let body = format!(r#""st":1,"err":{{"code":"too_big","message":"{message}"}}"#);
    Report::Bury { write: Write { n: 2, body: body.into(), event: None }, keep_s: 60 }
}

/// By words of id, kind, queue and tags, in whatever case, and by nothing else.
pub async fn a_search_finds_words_where_they_begin(scene: Scene) {
    let resize = submit(&scene, "images.resize", r#""Order-12","b\u00fcro""#).await;
    let report = submit(&scene, "report", r#""order-13""#).await;
    let plain = submit(&scene, "mail", "").await;
    for (words, found) in [
        ("order", vec![report, resize]),
        ("ORDER-12", vec![resize]),
        ("12 res", vec![resize]),
        ("12 report", vec![]),
        ("B\u{dc}RO", vec![resize]),
        ("size", vec![]),
        ("mail", vec![plain, report, resize]),
        ("hidden", vec![]),
    ] {
        assert_eq!(ids(&scene, search(words)).await, found, "{words}");
    }
    let id = report.to_string();
    assert_eq!(ids(&scene, search(&id.to_lowercase())).await, [report]);
    assert_eq!(ids(&scene, search(&format!("{} order", &id[..7]))).await, [report, resize]);
    let both = TaskFilter { tag: Some("Order-12".into()), ..search("res") };
    assert_eq!(ids(&scene, both.clone()).await, [resize]);
    let other_case = TaskFilter { tag: Some("order-12".into()), ..both };
    assert_eq!(ids(&scene, other_case).await, [], "a tag is asked for as it is spelled");
    let until = TaskFilter { until_ms: Some(report.created_ms()), ..TaskFilter::default() };
    assert_eq!(ids(&scene, until).await, [resize]);
    let since = TaskFilter { since_ms: Some(report.created_ms()), ..TaskFilter::default() };
    assert_eq!(ids(&scene, since).await, [plain, report]);
}

/// By words of the error of what failed, until it is sent back.
pub async fn a_search_finds_what_failed_by_its_error(scene: Scene) {
    let task = submit(&scene, "images", r#""t1""#).await;
    let other = submit(&scene, "images", r#""t2""#).await;
    for report in [failed("The file is larger than 5 MB"), failed("No such page")] {
        let held = scene.claim_one("w1").await;
        assert!(scene.report(&held.lease, report).await);
    }
    assert_eq!(ids(&scene, search("LARGER")).await, [task]);
    assert_eq!(ids(&scene, search("too_big")).await, [other, task]);
    assert_eq!(ids(&scene, search("t1 5 images")).await, [task]);
    assert_eq!(ids(&scene, search("t1 page")).await, []);
    let dead = TaskFilter { states: vec![TaskState::Dead], ..search("page t2") };
    assert_eq!(ids(&scene, dead).await, [other]);
    let tasks = vec![Redrive::new(task, 1, None)];
    change(&scene, Control::Redrive { at_ms: scene.now_ms(), user: ana(), tasks }).await;
    assert_eq!(ids(&scene, search("larger")).await, [], "it has not failed any more");
    assert_eq!(ids(&scene, search("t1")).await, [task]);
}

/// Other tags by an edit or with another try are found at once, and the former ones no more.
pub async fn a_search_follows_what_a_task_is_called(scene: Scene) {
    let task = submit(&scene, "images", r#""before""#).await;
    let called = |tag: &str| {
        Text::from(format!(
            r#"{{"v":1,"k":"images","q":"mail","at":1,"max":2,"tags":["{tag}"],"p":{{}}}}"#
        ))
    };
    let event = Text::default();
    let edit = Edit {
        task,
        claim: 1,
        n: 0,
        bytes_max: u64::MAX,
        descriptor: called("after"),
        event: event.clone(),
    };
    change(&scene, Control::Edit { at_ms: scene.now_ms(), user: ana(), tasks: vec![edit] }).await;
    assert_eq!(ids(&scene, search("before")).await, []);
    assert_eq!(ids(&scene, search("after images")).await, [task]);
    let held = scene.claim_one("w1").await;
    assert!(scene.report(&held.lease, failed("x")).await);
    let tag = |tag: &str| TaskFilter { tag: Some(tag.into()), ..TaskFilter::default() };
    assert_eq!(ids(&scene, tag("after")).await, [task]);
    let again = Some(Rewrite { bytes_max: u64::MAX, descriptor: called("again"), event });
    let tasks = vec![Redrive { change: again, ..Redrive::new(task, 1, None) }];
    change(&scene, Control::Redrive { at_ms: scene.now_ms(), user: ana(), tasks }).await;
    assert_eq!(ids(&scene, tag("after")).await, []);
    assert_eq!(ids(&scene, tag("again")).await, [task]);
}

/// A list by state is of those that are in it, through every move.
pub async fn a_list_by_state_follows_every_move(scene: Scene) {
    let expect = async |state: TaskState, tasks: &[TaskId]| {
        assert_eq!(ids(&scene, in_state(state)).await, tasks, "{}", state.name());
        let called = TaskFilter { kind: Some("mail".into()), ..in_state(state) };
        assert_eq!(ids(&scene, called).await, tasks, "{} mail", state.name());
    };
    let mut late = scene.draft("ana");
    late.due_ms = Some(scene.now_ms() + 1_000);
    let task = late.task;
    assert_eq!(scene.submit_as(late).await, Submitted::Accepted);
    expect(TaskState::Scheduled, &[task]).await;
    scene.pass(1_500);
    scene.sync("w1", Vec::new(), 0, false).await;
    expect(TaskState::Scheduled, &[]).await;
    expect(TaskState::Queued, &[task]).await;
    let held = scene.claim_one("w1").await;
    expect(TaskState::Running, &[task]).await;
    assert!(scene.report(&held.lease, failed("x")).await);
    expect(TaskState::Dead, &[task]).await;
    expect(TaskState::Running, &[]).await;
    let tasks = vec![Redrive::new(task, 1, None)];
    change(&scene, Control::Redrive { at_ms: scene.now_ms(), user: ana(), tasks }).await;
    expect(TaskState::Dead, &[]).await;
    let body = Text::from(r#""why":"asked""#);
    let (user, at_ms) = (ana(), scene.now_ms());
    let cancel = Control::Cancel { at_ms, user, tasks: vec![task], body, keep_s: 60 };
    change(&scene, cancel).await;
    expect(TaskState::Cancelled, &[task]).await;
    let tasks = vec![Purge { task, claim: 2, key: None }];
    change(&scene, Control::Purge { at_ms: scene.now_ms(), user: ana(), tasks }).await;
    for state in STATES {
        expect(*state, &[]).await;
    }

    // One that waits for another.
    let (first, second) = (scene.draft("ana"), scene.draft("ana"));
    let (before, after) = (first.task, second.task);
    let ties = vec![After { task: before, on_failure: OnFailure::Fail }];
    let nodes = [(first, Vec::new()), (second, ties)].map(|(new, after)| Node {
        new,
        part_of: None,
        gathers: None,
        after,
    });
    let p = partition_of(&ana(), scene.store.partitions());
    let flow = Control::Flow { at_ms: scene.now_ms(), user: ana(), nodes: nodes.into() };
    scene.store.control(p, flow).await.unwrap();
    expect(TaskState::Waiting, &[after]).await;
    let held = scene.claim_one("w1").await;
    assert!(scene.report(&held.lease, ack(2)).await);
    expect(TaskState::Waiting, &[]).await;
    expect(TaskState::Queued, &[after]).await;
    expect(TaskState::Completed, &[before]).await;
    // What is over its retention is in no list.
    scene.pass(10 * 86_400_000);
    for _ in 0..3 {
        scene.sync("w1", Vec::new(), 0, false).await;
        scene.pass(1_000);
    }
    expect(TaskState::Completed, &[]).await;
    let two =
        TaskFilter { states: vec![TaskState::Queued, TaskState::Dead], ..TaskFilter::default() };
    assert_eq!(ids(&scene, two).await, [after]);
}

/// Pages of a rare tag and of two states follow each other without a gap and without a repetition,
/// while tasks arrive and move.
pub async fn pages_of_a_search_follow_each_other(scene: Scene) {
    let mut rare = Vec::new();
    for round in 0..30 {
        let p = partition_of(&ana(), scene.store.partitions());
        let mut drafts: Vec<_> = (0..20).map(|_| scene.draft("ana")).collect();
        if round % 3 == 0 {
            let new = &mut drafts[7];
            new.descriptor = r#"{"v":1,"k":"mail","at":1,"max":2,"tags":["rare"],"p":{}}"#.into();
            if round % 2 == 0 {
                new.due_ms = Some(scene.now_ms() + 1_000_000);
            }
            rare.push(new.task);
        }
        let batch = Submit { created_ms: scene.now_ms(), tasks: drafts };
        scene.store.submit(p, batch).await.unwrap();
        scene.pass(10);
    }
    rare.reverse();
    let tag = TaskFilter { tag: Some("rare".into()), ..TaskFilter::default() };
    let moves = TaskFilter { states: vec![TaskState::Scheduled, TaskState::Dead], ..tag.clone() };
    let odd: Vec<_> = rare.iter().rev().step_by(2).rev().copied().collect();
    for (filter, expected) in [(tag, &rare), (search("RAR ma"), &rare), (moves, &odd)] {
        let (mut found, mut cursor) = (Vec::new(), None);
        loop {
            let filter = filter.clone();
            let query = Query::List { user: ana(), filter, cursor, limit: 3 };
            let QueryReply::List(page) = scene.read("ana", query).await else { panic!() };
            found.extend(page.tasks.into_iter().map(|task| task.id));
            submit(&scene, "mail", r#""rare""#).await;
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(found.len(), expected.len(), "{filter:?}");
        assert_eq!(found, *expected, "{filter:?}");
        rare_is_gone(&scene, expected).await;
    }
}

/// Takes away what arrived meanwhile.
async fn rare_is_gone(scene: &Scene, stay: &[TaskId]) {
    let newest = stay.iter().max().expect("there are some");
    let since = TaskFilter { since_ms: Some(newest.created_ms() + 1), ..search("rare") };
    for task in ids(scene, since).await {
        let (user, at_ms) = (ana(), scene.now_ms());
        let cancel =
            Control::Cancel { at_ms, user, tasks: vec![task], body: Text::default(), keep_s: 60 };
        change(scene, cancel).await;
        let tasks = vec![Purge { task, claim: 1, key: None }];
        change(scene, Control::Purge { at_ms: scene.now_ms(), user: ana(), tasks }).await;
    }
}
