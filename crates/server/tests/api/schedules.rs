//! Schedules: made, changed, declared, looked at; and what they make.

use serde_json::{Value, json};

use crate::support::Site;

const SCHEDULES: &str = "/api/v1/schedules";
const PREVIEW: &str = "/api/v1/schedule-preview";

fn nightly(more: Value) -> Value {
    let mut body = json!({
        "name": "nightly", "cron": "0 3 * * *", "zone": "europe/berlin",
        "task": { "kind": "echo", "payload": { "n": 1.50 }, "tags": ["night"] },
    });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn every(name: &str, ms: u64) -> Value {
    json!({ "name": name, "every_ms": ms, "task": { "kind": "echo", "payload": {} } })
}

impl Site {
    async fn one(&self, name: &str) -> Value {
        self.get("ana", &format!("{SCHEDULES}/{name}")).await.expect(200)
    }

    async fn tasks(&self) -> Vec<Value> {
        let page = self.get("ana", "/api/v1/tasks?limit=200").await.expect(200);
        page["tasks"].as_array().unwrap().clone()
    }

    /// Lets `ms` pass and takes what is due then.
    async fn later(&self, ms: i64) {
        self.hand.advance(ms);
        self.ticks().await;
    }
}

#[tokio::test]
async fn a_schedule_is_made_shown_changed_and_removed() {
    let site = Site::open().await;
    let made = site.post("ana", SCHEDULES, nightly(json!({}))).await.expect(201);
    assert_eq!(made["words"], "at 03:00");
    assert_eq!((&made["zone"], &made["status"]), (&json!("Europe/Berlin"), &json!("active")));
    // It is 14 November 2023, 22:13:20 in UTC.
    assert_eq!(made["next_at"], "2023-11-15T02:00:00.000Z");
    assert_eq!(made["task"]["payload"], json!({ "n": 1.50 }));
    assert_eq!(site.one("nightly").await, made);
    let list = site.get("ana", SCHEDULES).await.expect(200);
    assert_eq!(list["schedules"], json!([made]));
    assert_eq!(site.get("ben", SCHEDULES).await.expect(200)["schedules"], json!([]));
    let path = format!("{SCHEDULES}/nightly");
    site.get("ben", &path).await.refused(404, "not_found");
    site.post("ana", SCHEDULES, nightly(json!({}))).await.refused(409, "schedule_exists");

    let stale = nightly(json!({ "version": "17" }));
    site.put("ana", &path, stale).await.refused(409, "changed_meanwhile");
    let seen = json!({ "version": made["version"], "cron": "30 4 * * mon-fri", "paused": true });
    let changed = site.put("ana", &path, nightly(seen)).await.expect(200);
    assert_eq!(changed["words"], "at 04:30 on Monday to Friday");
    assert_eq!((&changed["status"], &changed["next_at"]), (&json!("paused"), &Value::Null));
    assert_eq!(changed["created_at"], made["created_at"]);
    assert_ne!(changed["version"], made["version"]);
    let resumed = site.post("ana", &format!("{path}/resume"), json!({})).await.expect(200);
    assert_eq!(resumed["next_at"], "2023-11-15T03:30:00.000Z");
    let paused = site.post("ana", &format!("{path}/pause"), json!({})).await.expect(200);
    assert_eq!(paused["status"], "paused");
    let next = site.get("ana", &format!("{path}/next?count=2")).await.expect(200);
    assert_eq!(next["next"], json!(["2023-11-15T03:30:00.000Z", "2023-11-16T03:30:00.000Z"]));

    site.delete("ben", &path).await.refused(404, "not_found");
    site.delete("ana", &path).await.expect(204);
    site.delete("ana", &path).await.refused(404, "not_found");
    assert_eq!(site.get("ana", SCHEDULES).await.expect(200)["schedules"], json!([]));
}

#[tokio::test]
async fn each_tick_makes_one_task_that_names_its_schedule() {
    let site = Site::open().await;
    let body = nightly(json!({}));
    site.post("ana", SCHEDULES, body).await.expect(201);
    site.later(1_000).await;
    assert_eq!(site.tasks().await.len(), 0);
    site.later(4 * 3_600_000).await;
    site.ticks().await;
    let tasks = site.tasks().await;
    assert_eq!(tasks.len(), 1);
    let at = "2023-11-15T02:00:00.000Z";
    assert_eq!(tasks[0]["schedule"], json!({ "name": "nightly", "at": at }));
    assert_eq!(tasks[0]["tags"], json!(["night"]));
    let id = tasks[0]["id"].as_str().unwrap();
    let task = site.get("ana", &format!("/api/v1/tasks/{id}")).await;
    assert!(String::from_utf8_lossy(&task.body).contains(r#""payload":{"n":1.5}"#), "{task:?}");
    let shown = site.one("nightly").await;
    assert_eq!((&shown["last_at"], &shown["last_task"]), (&json!(at), &json!(id)));
    assert_eq!(shown["next_at"], "2023-11-16T02:00:00.000Z");

    let run = format!("{SCHEDULES}/nightly/run");
    let now = site.post("ana", &run, json!({})).await.expect(202);
    assert_eq!(now["schedule"], json!({ "name": "nightly", "at": null }));
    assert_eq!(site.one("nightly").await["last_task"], json!(id), "only ticks are the last");
    site.post("ben", &run, json!({})).await.refused(404, "not_found");
}

#[tokio::test]
async fn missed_ticks_are_skipped_made_up_for_once_or_one_by_one() {
    let site = Site::open().await;
    for (name, catch_up) in [("skip", "skip"), ("one", "one"), ("all", "all")] {
        let mut body = every(name, 600_000);
        body["catch_up"] = json!(catch_up);
        body["task"]["tags"] = json!([name]);
        site.post("ana", SCHEDULES, body).await.expect(201);
    }
    // Five ticks and a half have come when somebody looks.
    site.later(3_300_000).await;
    let tasks = site.tasks().await;
    let of = |name: &str| tasks.iter().filter(|task| task["tags"] == json!([name])).count();
    assert_eq!((of("skip"), of("one"), of("all")), (0, 1, 5));
    let skipped = site.one("skip").await;
    assert_eq!(skipped["passed"]["reason"], "missed");
    assert_eq!(skipped["passed"]["at"], "2023-11-14T23:03:20.000Z");
    // On time, each makes its own.
    site.later(300_000).await;
    assert_eq!(site.tasks().await.len(), 6 + 3);
}

#[tokio::test]
async fn a_schedule_that_rests_or_has_ended_makes_nothing() {
    let site = Site::open().await;
    let mut ends = every("ends", 60_000);
    ends["ends_at"] = json!("2023-11-14T22:15:30Z");
    site.post("ana", SCHEDULES, ends).await.expect(201);
    let mut rests = every("rests", 60_000);
    rests["paused"] = json!(true);
    site.post("ana", SCHEDULES, rests).await.expect(201);
    for _ in 0..5 {
        site.later(60_000).await;
    }
    assert_eq!(site.tasks().await.len(), 2);
    assert_eq!(site.one("ends").await["status"], "ended");
    site.post("ana", &format!("{SCHEDULES}/rests/resume"), json!({})).await.expect(200);
    site.later(60_000).await;
    assert_eq!(site.tasks().await.len(), 3, "what came meanwhile was passed over");
}

#[tokio::test]
async fn a_declared_set_is_brought_about_and_what_it_leaves_out_stops() {
    let site = Site::open().await;
    site.post("ana", SCHEDULES, every("mine", 60_000)).await.expect(201);
    let declare = |schedules: Value| {
        let site = &site;
        async move {
            let body = json!({ "set": "billing", "schedules": schedules });
            site.put("ana", SCHEDULES, body).await
        }
    };
    let first = declare(json!([every("a", 60_000), every("b", 60_000)])).await.expect(200);
    assert_eq!(first["added"], json!(["a", "b"]));
    site.post("ana", &format!("{SCHEDULES}/a/pause"), json!({})).await.expect(200);
    let again = json!([every("a", 60_000), every("b", 120_000), every("c", 60_000)]);
    let second = declare(again).await.expect(200);
    assert_eq!(
        second,
        json!({ "added": ["c"], "changed": ["b"], "unchanged": ["a"], "removed": [] })
    );
    assert_eq!(site.one("a").await["status"], "paused", "as somebody left it");
    let third = declare(json!([every("a", 60_000)])).await.expect(200);
    assert_eq!(third["removed"], json!(["b", "c"]));
    site.later(600_000).await;
    let made: Vec<_> =
        site.tasks().await.iter().map(|task| task["schedule"]["name"].clone()).collect();
    assert_eq!(made, ["mine"], "what was removed has stopped");

    let other = declare(json!([every("mine", 60_000)])).await;
    other.refused(409, "schedule_exists");
    let twice = declare(json!([every("x", 60_000), every("x", 60_000)])).await;
    let twice = twice.refused(422, "schedule_invalid");
    assert_eq!(twice["errors"][0]["pointer"], "/schedules/1/name");
    let wrong = declare(json!([every("x", 60_000), every("y", 1)])).await;
    let wrong = wrong.refused(422, "schedule_invalid");
    assert_eq!(wrong["errors"][0]["pointer"], "/schedules/1/every_ms");
    let names = site.get("ana", SCHEDULES).await.expect(200);
    assert_eq!(names["schedules"].as_array().unwrap().len(), 2, "nothing of it was done");
}

#[tokio::test]
async fn what_cannot_be_a_schedule_says_where_and_why() {
    let site = Site::open().await;
    for (more, pointer) in [
        (json!({ "cron": "61 * * * *" }), "/cron"),
        (json!({ "cron": "0 0 30 2 *" }), "/cron"),
        (json!({ "zone": "Mars/Base" }), "/zone"),
        (json!({ "every_ms": 60_000 }), ""),
        (json!({ "cron": null }), ""),
        (json!({ "cron": null, "every_ms": 60_000 }), "/zone"),
        (json!({ "cron": null, "zone": null, "every_ms": 999 }), "/every_ms"),
        (json!({ "starts_at": "tomorrow" }), "/starts_at"),
        (json!({ "ends_at": "2020-01-01T00:00:00Z" }), "/ends_at"),
        (json!({ "name": "two words" }), "/name"),
        (json!({ "name": ".." }), "/name"),
        (
            json!({ "task": { "kind": "echo", "payload": 1, "run_at": "2030-01-01T00:00:00Z" } }),
            "/task/run_at",
        ),
        (
            json!({ "task": { "kind": "echo", "payload": 1, "idempotency_key": "k" } }),
            "/task/idempotency_key",
        ),
        (json!({ "task": { "kind": "echo", "payload": 1, "timeout_ms": 0 } }), "/task/timeout_ms"),
        (json!({ "task": { "kind": "mail", "payload": { "to": 1 } } }), "/task/payload/to"),
    ] {
        let body = nightly(more.clone());
        let refused = site.post("ana", SCHEDULES, body).await.refused(422, "schedule_invalid");
        assert_eq!(refused["errors"][0]["pointer"], pointer, "{more}: {refused}");
    }
    let unknown = nightly(json!({ "task": { "kind": "nothing", "payload": 1 } }));
    site.post("ana", SCHEDULES, unknown).await.refused(422, "kind_unknown");
    let file = "0".repeat(64);
    let photos = json!({ "task": { "kind": "mail", "payload": { "to": [], "photos": [file] } } });
    let refused = site.post("ana", SCHEDULES, nightly(photos)).await;
    let refused = refused.refused(422, "schedule_invalid");
    assert_eq!(refused["errors"][0]["pointer"], "/task/payload/photos/0", "{refused}");
    site.post("ana", SCHEDULES, nightly(json!({ "often": true })))
        .await
        .refused(400, "bad_request");
    assert_eq!(site.get("ana", SCHEDULES).await.expect(200)["schedules"], json!([]));
}

#[tokio::test]
async fn a_preview_says_when_it_would_come_and_keeps_nothing() {
    let site = Site::open().await;
    let asked = json!({ "cron": " 30  2 * * * ", "zone": "Europe/Berlin", "count": 3,
        "starts_at": "2026-03-28T00:00:00Z" });
    let preview = site.post("ana", PREVIEW, asked).await.expect(200);
    assert_eq!(
        (&preview["words"], &preview["zone"]),
        (&json!("at 02:30"), &json!("Europe/Berlin"))
    );
    // On the 29th that hour is not there.
    assert_eq!(
        preview["next"],
        json!(["2026-03-28T01:30:00.000Z", "2026-03-30T00:30:00.000Z", "2026-03-31T00:30:00.000Z"])
    );
    let five = site.post("ana", PREVIEW, json!({ "every_ms": 90_000 })).await.expect(200);
    assert_eq!(five["words"], "every 90 seconds");
    assert_eq!(five["next"].as_array().unwrap().len(), 5);
    let wrong = site.post("ana", PREVIEW, json!({ "cron": "0 25 * * *" })).await;
    let wrong = wrong.refused(422, "schedule_invalid");
    assert!(wrong["errors"][0]["detail"].as_str().unwrap().contains("hour: `25`"), "{wrong}");
    site.post("ana", PREVIEW, json!({ "cron": "@daily", "count": 51 }))
        .await
        .refused(400, "bad_request");
    assert_eq!(site.get("ana", SCHEDULES).await.expect(200)["schedules"], json!([]));
}

#[tokio::test]
async fn a_tick_that_can_make_no_task_says_why_and_the_schedule_goes_on() {
    let limits = tasktonic_server::Limits { lane_max: 1, ..tasktonic_server::Limits::default() };
    let site = Site::open_with(limits).await;
    site.post("ana", SCHEDULES, every("often", 60_000)).await.expect(201);
    let mail = json!({ "task": { "kind": "mail", "payload": { "to": ["a"] } }, "zone": null,
        "cron": null, "every_ms": 60_000 });
    site.post("ana", SCHEDULES, nightly(mail)).await.expect(201);
    site.later(60_000).await;
    assert_eq!(site.tasks().await.len(), 2);
    // The line is full now, and the other kind wants something else.
    site.announce_strict_mail().await;
    site.later(60_000).await;
    assert_eq!(site.tasks().await.len(), 2);
    let full = site.one("often").await;
    assert_eq!(full["passed"]["reason"], "line_full");
    assert!(full["passed"]["detail"].as_str().unwrap().contains("Cancel tasks"), "{full}");
    assert_eq!(full["next_at"], "2023-11-14T22:16:20.000Z");
    let refused = site.one("nightly").await;
    assert_eq!(refused["passed"]["reason"], "refused", "{refused}");
    assert_eq!(refused["last_at"], "2023-11-14T22:14:20.000Z");
}

#[tokio::test]
async fn a_change_keeps_a_tick_that_is_due_and_brings_none_back() {
    let site = Site::open().await;
    let path = format!("{SCHEDULES}/often");
    site.post("ana", SCHEDULES, every("often", 60_000)).await.expect(201);
    site.later(60_000).await;
    assert_eq!(site.tasks().await.len(), 1);
    // The clock goes back over the tick, and somebody saves the schedule.
    site.hand.advance(-30_000);
    let changed = site.put("ana", &path, every("often", 30_000)).await.expect(200);
    assert_eq!(changed["next_at"], "2023-11-14T22:14:50.000Z", "after the tick that was taken");
    site.later(30_000).await;
    assert_eq!(site.tasks().await.len(), 1);
    // A tick is due, and another payload is not another time.
    site.hand.advance(30_000);
    let mut body = every("often", 30_000);
    body["task"]["payload"] = json!({ "new": true });
    let saved = site.put("ana", &path, body).await.expect(200);
    assert_eq!(saved["next_at"], "2023-11-14T22:14:50.000Z");
    site.ticks().await;
    assert_eq!(site.tasks().await.len(), 2);
}
