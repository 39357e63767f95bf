//! Lists, counts, attempts and logs.

use serde_json::{Value, json};
use tasktonic_core::limits::LOG_LINES_MAX;
use tasktonic_each_store::{On, on_each_store};

use crate::support::{Site, ack, bury};

fn ids(page: &Value) -> Vec<String> {
    let tasks = page["tasks"].as_array().unwrap();
    tasks.iter().map(|task| task["id"].as_str().unwrap().to_owned()).collect()
}

on_each_store! {
    pages_hold_every_task_once_newest_first_while_others_arrive
    filters_narrow_a_list_together
    a_task_that_waits_for_its_next_attempt_is_retrying_and_not_scheduled
    counts_follow_every_status
    an_ended_task_shows_output_and_the_attempt_that_made_it
    each_task_of_a_list_is_member_by_member_as_it_is_read_alone
    three_failed_attempts_are_three_rows_each_with_its_own_times
    logs_are_numbered_and_read_on_from_any_line
    of_a_hundred_thousand_lines_the_newest_are_kept_and_the_log_says_that_it_was_cut
}

async fn pages_hold_every_task_once_newest_first_while_others_arrive(on: On) {
    let site = Site::over(on).await;
    let mut expected = Vec::new();
    for _ in 0..25 {
        site.hand.advance(1);
        expected.insert(0, site.echo("ana").await);
    }
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = site.get("ana", &format!("/api/v1/tasks?limit=10{cursor}")).await.expect(200);
        found.extend(ids(&page));
        assert!(page["tasks"][0].get("payload").is_none(), "lists come without payloads");
        site.hand.advance(1);
        site.echo("ana").await;
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(found, expected);
}

async fn filters_narrow_a_list_together(on: On) {
    let site = Site::over(on).await;
    let a = site.submit("ana", json!({ "kind": "echo", "payload": 1, "tags": ["x", "é &"] })).await;
    site.hand.advance(1_000);
    let b =
        site.submit("ana", json!({ "kind": "mail", "payload": { "to": [] }, "tags": ["x"] })).await;
    let later = json!({ "kind": "echo", "payload": 1, "delay_ms": 5_000 });
    let c = site.submit("ana", later).await;
    let (a, b, c) = (&a["id"], &b["id"], &c["id"]);
    for (query, want) in [
        ("", vec![c, b, a]),
        ("?kind=echo", vec![c, a]),
        ("?tag=x", vec![b, a]),
        ("?tag=%C3%A9%20%26", vec![a]),
        ("?kind=echo&tag=x", vec![a]),
        ("?status=queued", vec![b, a]),
        ("?status=scheduled,running", vec![c]),
        ("?status=retrying", vec![]),
        ("?since=2023-11-14T22:13:21Z", vec![c, b]),
        ("?until=2023-11-14T22:13:21Z", vec![a]),
        ("?kind=&tag=&status=", vec![c, b, a]),
        ("?q=*", vec![]),
        ("?q=ECH", vec![c, a]),
        ("?q=x+ech", vec![a]),
        ("?q=%C3%89", vec![a]),
        ("?q=cho", vec![]),
        ("?q=x&kind=echo&status=queued", vec![a]),
    ] {
        let page = site.get("ana", &format!("/api/v1/tasks{query}")).await.expect(200);
        let mut found = ids(&page);
        let mut want: Vec<_> = want.iter().map(|id| id.as_str().unwrap().to_owned()).collect();
        found.sort();
        want.sort();
        assert_eq!(found, want, "{query}");
    }
    let prefix = &a.as_str().unwrap()[..12];
    let page = site.get("ana", &format!("/api/v1/tasks?q={prefix}")).await.expect(200);
    assert_eq!(ids(&page), [a.as_str().unwrap()]);
}

#[tokio::test]
async fn a_query_that_cannot_be_meant_is_refused() {
    let site = Site::open().await;
    for query in [
        "limit=0",
        "limit=201",
        "limit=x",
        "status=done",
        "since=yesterday",
        "cursor=!",
        "page=2",
        "kind=a&kind=b",
        "limit=1;2",
        "q=a+b+c+d+e+f+g+h+i",
    ] {
        let path = format!("/api/v1/tasks?{query}");
        site.get("ana", &path).await.refused(400, "bad_request");
    }
    site.get("ana", "/api/v1/tasks?limit=200").await.expect(200);
    site.get("ana", "/api/v1/tasks?limit=1").await.expect(200);
}

async fn a_task_that_waits_for_its_next_attempt_is_retrying_and_not_scheduled(on: On) {
    let site = Site::over(on).await;
    let id = site.echo("ana").await;
    let (lease, n) = site.claim("w-1", 1).await.remove(0);
    let nack = json!({
        "report": "nack", "due_ms": 1_700_000_060_000_i64, "keep_s": 60,
        "attempt": r#"{"a":1,"o":"failed","wk":"w-1","st":1700000000000,"en":1700000000500,"err":{"code":"x","message":"y"}}"#,
        "write": { "n": n + 1, "body": r#""err":{"code":"x","message":"y"}"# },
    });
    assert!(site.report("w-1", &lease, nack).await);
    let task = site.get("ana", &format!("/api/v1/tasks/{id}")).await.expect(200);
    assert_eq!((&task["status"], &task["attempt"]), (&json!("retrying"), &json!(1)));
    let list = async |status: &str| {
        ids(&site.get("ana", &format!("/api/v1/tasks?status={status}")).await.expect(200)).len()
    };
    assert_eq!((list("retrying").await, list("scheduled").await), (1, 0));
    let path = format!("/api/v1/tasks/{id}/attempts");
    let attempts = site.get("ana", &path).await.expect(200);
    let attempts = attempts["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 1);
    assert_eq!(attempts[0]["outcome"], "failed");
    assert_eq!(attempts[0]["duration_ms"], 500);
    assert_eq!(attempts[0]["error"]["message"], "y");
}

async fn counts_follow_every_status(on: On) {
    let site = Site::over(on).await;
    for _ in 0..4 {
        site.echo("ana").await;
    }
    site.submit("ana", json!({ "kind": "echo", "payload": 1, "delay_ms": 9_000 })).await;
    let held = site.claim("w-1", 3).await;
    assert!(site.report("w-1", &held[0].0, ack(held[0].1)).await);
    assert!(site.report("w-1", &held[1].0, bury(held[1].1)).await);
    let counts = site.get("ana", "/api/v1/tasks/counts").await.expect(200);
    let want = json!({
        "all": 5, "scheduled": 1, "waiting": 0, "queued": 1, "running": 1, "completed": 1,
        "failed": 1, "cancelled": 0, "bytes": counts["bytes"],
    });
    assert_eq!(counts, want);
    assert!(counts["bytes"].as_u64().is_some_and(|bytes| bytes > 100), "{counts}");
    assert_eq!(site.get("ben", "/api/v1/tasks/counts").await.expect(200)["all"], 0);
}

async fn an_ended_task_shows_output_and_the_attempt_that_made_it(on: On) {
    let site = Site::over(on).await;
    let id = site.echo("ana").await;
    let path = format!("/api/v1/tasks/{id}");
    let (lease, n) = site.claim("w-1", 1).await.remove(0);
    let running = site.get("ana", &format!("{path}/attempts")).await.expect(200);
    assert_eq!(running["attempts"][0]["outcome"], "running");
    assert_eq!(running["attempts"][0]["worker"], "-w-1");
    assert_eq!(running["attempts"][0]["ended_at"], Value::Null);
    assert!(site.report("w-1", &lease, ack(n)).await);
    let answer = site.get("ana", &path).await;
    assert!(String::from_utf8_lossy(&answer.body).contains(r#""output":{"a":1.50}"#));
    let task = answer.expect(200);
    assert_eq!((&task["status"], &task["has_output"]), (&json!("completed"), &json!(true)));
    let done = site.get("ana", &format!("{path}/attempts")).await.expect(200);
    assert_eq!(done["attempts"].as_array().unwrap().len(), 1);
    assert_eq!(done["attempts"][0]["outcome"], "succeeded");
}

/// A failed attempt of 500 ms that began now, and the wait after it.
fn nack(site: &Site, attempt: u32, n: u64) -> Value {
    let now_ms = site.clock.now_ms();
    let row = json!({
        "a": attempt, "o": "failed", "wk": "w-1", "st": now_ms, "en": now_ms + 500,
        "err": { "code": "no_luck", "message": format!("attempt {attempt}") },
    });
    json!({
        "report": "nack", "due_ms": now_ms + 60_000, "keep_s": 60, "attempt": row.to_string(),
        "write": { "n": n + 1, "body": r#""err":{"code":"no_luck","message":"again"}"# },
    })
}

async fn each_task_of_a_list_is_member_by_member_as_it_is_read_alone(on: On) {
    /// What only the whole task has.
    const ONLY_WHOLE: [&str; 4] = ["payload", "output", "policy", "serial_key"];
    let site = Site::over(on).await;
    let echo = |more: Value| {
        let mut body = json!({ "kind": "echo", "payload": { "n": 1 } });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    // One of each status, by what is done with the tasks in their order.
    let report = json!({ "report": "progress", "write": { "n": 2, "body": r#""p":{"done":1,"total":3,"unit":"rows","note":"one"}"# } });
    for number in 0..5 {
        site.submit(
            "ana",
            echo(json!({ "tags": ["x", "é &"], "idempotency_key": number.to_string() })),
        )
        .await;
        site.hand.advance(1_500);
        let (lease, n) = site.claim("w-1", 1).await.remove(0);
        let said = match number {
            0 => ack(n),
            1 => bury(n),
            2 => nack(&site, 1, n),
            _ => report.clone(),
        };
        assert!(site.report("w-1", &lease, said).await);
        if number == 4 {
            let task = lease.split('|').nth(2).unwrap();
            site.post("ana", &format!("/api/v1/tasks/{task}/cancel"), "").await.expect(200);
        }
    }
    site.submit("ana", echo(json!({ "serial_key": "orders", "priority": "high" }))).await;
    site.submit("ana", echo(json!({ "expire_after_ms": 60_000, "needs": ["gpu"] }))).await;
    site.submit("ana", echo(json!({ "delay_ms": 90_000, "timeout_ms": 5_000 }))).await;
    let stopped = site.echo("ana").await;
    site.post("ana", &format!("/api/v1/tasks/{stopped}/cancel"), "").await.expect(200);
    // The flow itself waits too.
    let parts = json!([
        { "name": "a", "after": [], "task": echo(json!({})) },
        { "name": "b", "after": ["a"], "task": echo(json!({})) },
    ]);
    site.post("ana", "/api/v1/flows", json!({ "tasks": parts })).await.expect(202);

    let all = site.get("ana", "/api/v1/tasks?limit=200").await.expect(200);
    let all = all["tasks"].as_array().unwrap();
    let counts = site.get("ana", "/api/v1/tasks/counts").await.expect(200);
    assert_eq!(all.len() as u64, counts["all"].as_u64().unwrap());
    let mut statuses: Vec<_> = all.iter().map(|task| task["status"].as_str().unwrap()).collect();
    statuses.sort_unstable();
    let mut expected = Vec::new();
    for (status, count) in [
        ("cancelled", 1),
        ("cancelling", 1),
        ("completed", 1),
        ("failed", 1),
        ("queued", 3),
        ("retrying", 1),
        ("running", 1),
        ("scheduled", 1),
        ("waiting", 2),
    ] {
        expected.extend(vec![status; count]);
        // The same, whatever list it is in.
        let list = site.get("ana", &format!("/api/v1/tasks?status={status}")).await.expect(200);
        let own = all.iter().filter(|task| task["status"] == status).collect::<Vec<_>>();
        assert_eq!(list["tasks"].as_array().unwrap().iter().collect::<Vec<_>>(), own, "{status}");
    }
    assert_eq!(statuses, expected);
    for task in all {
        let path = format!("/api/v1/tasks/{}", task["id"].as_str().unwrap());
        let mut whole = site.get("ana", &path).await.expect(200);
        let members = whole.as_object_mut().unwrap();
        assert!(members.contains_key("payload") && members.contains_key("policy"), "{task}");
        assert_eq!(members.contains_key("output"), task["has_output"] == true, "{task}");
        members.retain(|name, _| !ONLY_WHOLE.contains(&name.as_str()));
        assert_eq!(task, &whole);
    }
}

async fn three_failed_attempts_are_three_rows_each_with_its_own_times(on: On) {
    let site = Site::over(on).await;
    let id = site.echo("ana").await;
    let path = format!("/api/v1/tasks/{id}/attempts");
    let rows =
        async || site.get("ana", &path).await.expect(200)["attempts"].as_array().unwrap().clone();
    let mut first = Value::Null;
    for attempt in 1..=3 {
        let (lease, n) = site.claim("w-1", 1).await.remove(0);
        let mut said = nack(&site, attempt, n);
        if attempt == 3 {
            // The last one stands in the record of the task.
            let at = site.clock.now_ms();
            let body =
                format!(r#""st":{at},"wk":"w-1","err":{{"code":"no_luck","message":"attempt 3"}}"#);
            said = json!({ "report": "bury", "keep_s": 60, "write": { "n": n + 1, "body": body } });
            site.hand.advance(500);
        }
        assert!(site.report("w-1", &lease, said).await);
        let rows = rows().await;
        assert_eq!(rows.len(), attempt as usize, "{rows:?}");
        if attempt == 1 {
            first = rows[0].clone();
        }
        site.hand.advance(60_000);
    }
    let rows = rows().await;
    assert_eq!(rows[0], first, "it never changes after it ended");
    let of = |row: &Value| {
        ["number", "outcome", "worker", "started_at", "ended_at", "duration_ms"]
            .map(|name| row[name].clone())
    };
    for (row, start, end) in [
        (&rows[0], "2023-11-14T22:13:20.000Z", "2023-11-14T22:13:20.500Z"),
        (&rows[1], "2023-11-14T22:14:20.000Z", "2023-11-14T22:14:20.500Z"),
        (&rows[2], "2023-11-14T22:15:20.000Z", "2023-11-14T22:15:20.500Z"),
    ] {
        let number = row["number"].as_u64().unwrap();
        let expected = json!([number, "failed", "w-1", start, end, 500]);
        assert_eq!(json!(of(row)), expected);
        assert_eq!(row["error"]["message"], format!("attempt {number}"));
    }
    assert_eq!(rows.iter().map(|row| &row["number"]).collect::<Vec<_>>(), [1, 2, 3]);
}

async fn logs_are_numbered_and_read_on_from_any_line(on: On) {
    let site = Site::over(on).await;
    let id = site.echo("ana").await;
    let path = format!("/api/v1/tasks/{id}/logs");
    let none = site.get("ana", &path).await.expect(200);
    assert_eq!(none, json!({ "lines": [], "first": 0, "last": 0, "capped": false }));
    let (lease, _) = site.claim("w-1", 1).await.remove(0);
    let line = |n: u32| format!(r#"{{"at":1700000000000,"l":"info","x":"line {n}"}}"#);
    let lines: Vec<_> = (1..=5).map(line).collect();
    assert!(site.report("w-1", &lease, json!({ "report": "log", "lines": lines })).await);
    let page = site.get("ana", &format!("{path}?after=2&limit=2")).await.expect(200);
    assert_eq!(page["lines"].as_array().unwrap().len(), 2);
    let first =
        json!({ "n": 3, "at": "2023-11-14T22:13:20.000Z", "level": "info", "text": "line 3" });
    assert_eq!(page["lines"][0], first);
    assert_eq!(
        (&page["first"], &page["last"], &page["capped"]),
        (&json!(1), &json!(5), &json!(false))
    );
    site.get("ana", &format!("{path}?limit=10000")).await.expect(200);
    site.get("ana", &format!("{path}?limit=10001")).await.refused(400, "bad_request");
    site.get("ana", &format!("{path}?after=-1")).await.refused(400, "bad_request");
}

async fn of_a_hundred_thousand_lines_the_newest_are_kept_and_the_log_says_that_it_was_cut(on: On) {
    const LINES: u64 = 100_000;
    const REPORTS: u64 = 100;
    const PER_REPORT: u64 = LINES / REPORTS;
    /// Reports that come before whoever follows reads on: of fewer lines than are kept.
    const READ_AFTER: u64 = 9;
    let kept = u64::from(LOG_LINES_MAX);
    let site = Site::over(on).await;
    let id = site.echo("ana").await;
    let (lease, _) = site.claim("w-1", 1).await.remove(0);
    let line = |n: u64| format!(r#"{{"at":1700000000000,"l":"info","x":"line {n}"}}"#);
    let read = async |after: u64| {
        let path = format!("/api/v1/tasks/{id}/logs?after={after}&limit=10000");
        site.get("ana", &path).await.expect(200)
    };
    // Whoever follows reads on from the last line it has.
    let mut followed = 0;
    for report in 1..=REPORTS {
        let before = (report - 1) * PER_REPORT;
        let lines: Vec<_> = (1..=PER_REPORT).map(|n| line(before + n)).collect();
        assert!(site.report("w-1", &lease, json!({ "report": "log", "lines": lines })).await);
        if report % READ_AFTER == 0 || report == REPORTS {
            let page = read(followed).await;
            for line in page["lines"].as_array().unwrap() {
                followed += 1;
                assert_eq!(line["n"], followed, "no gap and no repeat");
                assert_eq!(line["text"], format!("line {followed}"));
            }
        }
    }
    assert_eq!(followed, LINES);
    let whole = read(0).await;
    assert_eq!(
        (&whole["first"], &whole["last"], &whole["capped"]),
        (&json!(LINES - kept + 1), &json!(LINES), &json!(true))
    );
    let lines = whole["lines"].as_array().unwrap();
    assert_eq!(lines.len() as u64, kept);
    assert_eq!(lines[0]["text"], format!("line {}", LINES - kept + 1));
}
