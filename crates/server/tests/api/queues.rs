//! Queues paused, users weighed, paused and limited.

use serde_json::{Value, json};
use tasktonic_auth::Role;

use crate::support::{Answer, Site, ack};

async fn set(site: &Site, queue: &str, body: Value) -> Answer {
    let path = format!("/api/v1/queues/{queue}/settings");
    site.post_as(Role::Operator, "olga", &path, body).await
}

async fn set_user(site: &Site, queue: &str, body: Value) -> Answer {
    let path = format!("/api/v1/queues/{queue}/users");
    site.post_as(Role::Operator, "olga", &path, body).await
}

async fn get(site: &Site, path: &str) -> Value {
    let token = site.token("olga", Role::Operator);
    let request = site.request(Some(&token), "GET", path).body(axum::body::Body::empty()).unwrap();
    site.send(request).await.expect(200)
}

#[tokio::test]
async fn a_queue_is_paused_and_goes_on_in_every_partition() {
    let site = Site::with_partitions(5).await;
    for number in 0..10 {
        site.echo(&format!("user-{number}")).await;
    }
    let answer = set(&site, "echo", json!({ "paused": true })).await.expect(200);
    assert_eq!((&answer["queue"], &answer["paused"]), (&json!("echo"), &json!(true)));
    assert_eq!((&answer["kinds"], &answer["users_waiting"]), (&json!(["echo"]), &json!(10)));
    assert_eq!(site.claim("w-1", 50).await, []);
    site.submit("ana", json!({ "kind": "mail", "payload": { "to": [] } })).await;
    assert_eq!(site.claim("w-1", 50).await.len(), 1, "another queue goes on");
    let list = get(&site, "/api/v1/queues").await;
    let names: Vec<_> = list["queues"].as_array().unwrap().iter().map(|q| &q["queue"]).collect();
    assert_eq!(names, ["echo", "mail"]);
    assert_eq!(list["queues"][0]["paused"], true);
    set(&site, "echo", json!({ "paused": false })).await.expect(200);
    assert_eq!(site.claim("w-1", 50).await.len(), 10);
}

#[tokio::test]
async fn a_user_waits_with_as_many_tasks_as_is_set_and_hears_why_not_more() {
    let site = Site::open().await;
    set(&site, "echo", json!({ "waiting_max": 1 })).await.expect(200);
    set_user(&site, "echo", json!({ "user": "ben", "waiting_max": 2, "weight": 3 }))
        .await
        .expect(200);
    let submit = |user: &'static str| {
        let site = &site;
        async move { site.post(user, "/api/v1/tasks", json!({ "kind": "echo", "payload": {} })).await }
    };
    submit("ana").await.expect(202);
    submit("ana").await.refused(429, "quota_exceeded");
    submit("ben").await.expect(202);
    submit("ben").await.expect(202);
    submit("ben").await.refused(429, "quota_exceeded");
    let detail = get(&site, "/api/v1/queues/echo").await;
    assert_eq!(detail["waiting_max"], 1);
    let ben = json!({ "user": "ben", "weight": 3, "paused": false, "waiting_max": 2 });
    assert_eq!(detail["users"], json!([ben]));
    // What is absent stays; null is the default again.
    let now = set_user(&site, "echo", json!({ "user": "ben", "waiting_max": null })).await;
    assert_eq!(now.expect(200), json!({ "user": "ben", "weight": 3, "paused": false }));
    submit("ben").await.refused(429, "quota_exceeded");
    set(&site, "echo", json!({ "waiting_max": null })).await.expect(200);
    submit("ben").await.expect(202);
    set_user(&site, "echo", json!({ "user": "ben", "weight": 1 })).await.expect(200);
    assert_eq!(get(&site, "/api/v1/queues/echo").await["users"], json!([]));
}

#[tokio::test]
async fn a_user_runs_as_many_tasks_at_once_as_is_set_and_hears_why_not_more() {
    let site = Site::with_partitions(3).await;
    let answer = set(&site, "echo", json!({ "running_max": 2 })).await.expect(200);
    assert_eq!(answer["running_max"], 2);
    for user in ["ana", "ana", "ana", "ben", "ben", "ben"] {
        site.echo(user).await;
    }
    let waits = site.echo("ana").await;
    let mut held = site.claim("w-1", 50).await;
    assert_eq!(held.len(), 4);
    assert_eq!(site.claim("w-1", 50).await, []);
    let why = site.get("ana", &format!("/api/v1/tasks/{waits}/why")).await.expect(200);
    let said = (&why["reason"], &why["running"], &why["running_max"]);
    assert_eq!(said, (&json!("user_limit"), &json!(2), &json!(2)), "{why}");
    assert_eq!(get(&site, "/api/v1/queues/echo").await["users_held_back"], 2);
    let more = json!({ "user": "ben", "running_max": 3 });
    assert_eq!(set_user(&site, "echo", more).await.expect(200)["running_max"], 3);
    let more = site.claim("w-1", 50).await;
    assert!(more.len() == 1 && more[0].0.contains("|ben|"), "{more:?}");
    let (lease, n) =
        held.swap_remove(held.iter().position(|(of, _)| of.contains("|ana|")).unwrap());
    assert!(site.report("w-1", &lease, ack(n)).await);
    let more = site.claim("w-1", 50).await;
    assert!(more.len() == 1 && more[0].0.contains("|ana|"), "{more:?}");
    let answer = set(&site, "echo", json!({ "running_max": null })).await.expect(200);
    assert_eq!(answer.get("running_max"), None, "{answer}");
    assert_eq!(site.claim("w-1", 50).await.len(), 1);
}

#[tokio::test]
async fn what_a_turn_is_is_set_and_told_to_everybody_there() {
    let site = Site::with_partitions(3).await;
    let own = async || {
        let all = site.get("ana", "/api/v1/me/queues?queue=echo").await.expect(200);
        all["queues"].as_array().unwrap().iter().find(|of| of["queue"] == "echo").cloned().unwrap()
    };
    assert_eq!(own().await.get("turns"), None);
    let answer = set(&site, "echo", json!({ "turns": "run_time" })).await.expect(200);
    assert_eq!(answer["turns"], "run_time");
    // What is absent stays.
    let answer = set(&site, "echo", json!({ "running_max": 2 })).await.expect(200);
    assert_eq!((&answer["turns"], &answer["running_max"]), (&json!("run_time"), &json!(2)));
    assert_eq!(own().await["turns"], "run_time");
    site.echo("ana").await;
    let (lease, n) = site.claim("w-1", 5).await.remove(0);
    assert!(site.report("w-1", &lease, ack(n)).await);
    set(&site, "echo", json!({ "turns": "time" })).await.refused(400, "bad_request");
    let answer = set(&site, "echo", json!({ "turns": "count" })).await.expect(200);
    assert_eq!(answer.get("turns"), None, "{answer}");
    assert_eq!(own().await.get("turns"), None);
}

#[tokio::test]
async fn a_user_starts_as_many_tasks_in_so_long_as_is_set_and_hears_when_the_next_may() {
    let site = Site::open().await;
    let rate = json!({ "tasks": 1, "per_ms": 60_000, "burst": 2 });
    let answer = set(&site, "echo", json!({ "rate": rate })).await.expect(200);
    assert_eq!(answer["rate"], rate);
    for _ in 0..3 {
        site.echo("ana").await;
    }
    let waits = site.echo("ana").await;
    assert_eq!(site.claim("w-1", 50).await.len(), 2);
    assert_eq!(site.claim("w-1", 50).await, []);
    let why = site.get("ana", &format!("/api/v1/tasks/{waits}/why")).await.expect(200);
    assert_eq!((&why["reason"], &why["good_in_ms"]), (&json!("rate"), &json!(60_000)), "{why}");
    // One's own goes before the queue's; without a burst as many at once as in the whole time.
    let own = json!({ "user": "ana", "rate": { "tasks": 5, "per_ms": 1_000 } });
    let now = set_user(&site, "echo", own).await.expect(200);
    assert_eq!(now["rate"], json!({ "tasks": 5, "per_ms": 1_000, "burst": 5 }));
    assert_eq!(set(&site, "echo", json!({ "rate": null })).await.expect(200).get("rate"), None);
    let now = set_user(&site, "echo", json!({ "user": "ana", "rate": null })).await.expect(200);
    assert_eq!(now, json!({ "user": "ana", "weight": 1, "paused": false }));
    assert_eq!(site.claim("w-1", 50).await.len(), 2);
}

#[tokio::test]
async fn people_pause_their_own_work_and_nobody_elses() {
    let site = Site::open().await;
    site.echo("ana").await;
    site.echo("ben").await;
    let own = "/api/v1/me/pause";
    let is = |by_user: bool, by_operator: bool| {
        let paused = by_user || by_operator;
        json!({ "paused": paused, "by_user": by_user, "by_operator": by_operator })
    };
    let say = |paused: bool| site.post("ana", own, json!({ "paused": paused }));
    assert_eq!(say(true).await.expect(200), is(true, false));
    assert_eq!(site.get("ana", own).await.expect(200), is(true, false));
    assert_eq!(site.get("ben", own).await.expect(200), is(false, false));
    let claimed = site.claim("w-1", 5).await;
    assert!(claimed.len() == 1 && claimed[0].0.contains("|ben|"), "{claimed:?}");
    let listed = json!([{ "user": "ana", "by_user": true, "by_operator": false }]);
    assert_eq!(get(&site, "/api/v1/queues").await["paused_users"], listed);
    let theirs = "/api/v1/users/ana/pause";
    site.post("ben", theirs, json!({ "paused": false })).await.refused(403, "forbidden");
    site.get("ana", theirs).await.refused(403, "forbidden");
    assert_eq!(get(&site, theirs).await, is(true, false));
    // The operator's word and one's own stand beside each other.
    let operator =
        |paused: bool| site.post_as(Role::Operator, "olga", theirs, json!({ "paused": paused }));
    assert_eq!(operator(true).await.expect(200), is(true, true));
    assert_eq!(say(false).await.expect(200), is(false, true));
    assert_eq!(site.claim("w-1", 5).await, []);
    assert_eq!(operator(false).await.expect(200), is(false, false));
    assert_eq!(site.claim("w-1", 5).await.len(), 1);
}

#[tokio::test]
async fn settings_out_of_bounds_and_of_nothing_are_refused_with_what_to_do() {
    let site = Site::open().await;
    set(&site, "echo", json!({ "waiting_max": 10_000_000 })).await.expect(200);
    for body in [
        json!({ "waiting_max": 10_000_001 }),
        json!({ "running_max": 0 }),
        json!({ "pause": true }),
        json!("paused"),
    ] {
        set(&site, "echo", body).await.refused(400, "bad_request");
    }
    for body in [
        json!({ "weight": 2 }),
        json!({ "user": "", "weight": 2 }),
        json!({ "user": "ana", "weight": 0 }),
        json!({ "user": "ana", "weight": 1_001 }),
        json!({ "user": "ana", "waiting_max": -1 }),
        json!({ "user": "ana", "running_max": 0 }),
        json!({ "user": "ana", "running_max": 100_001 }),
        json!({ "user": "ana", "rate": { "tasks": 0, "per_ms": 1_000 } }),
        json!({ "user": "ana", "rate": { "tasks": 1, "per_ms": 86_400_001 } }),
        json!({ "user": "ana", "rate": { "tasks": 1, "per_ms": 1_000, "burst": 0 } }),
        json!({ "user": "ana", "rate": { "tasks": 1 } }),
    ] {
        set_user(&site, "echo", body).await.refused(400, "bad_request");
    }
    // A form shows it at its field.
    let burst = json!({ "rate": { "tasks": 1, "per_ms": 1_000, "burst": 0 } });
    for (body, place) in [(json!({ "running_max": 0 }), "/running_max"), (burst, "/rate/burst")] {
        let problem = set(&site, "echo", body).await.expect(400);
        assert_eq!(problem["errors"][0]["pointer"], place, "{problem}");
    }
    set(&site, "no%20name", json!({ "paused": true })).await.refused(404, "not_found");
    site.post("ana", "/api/v1/me/pause", json!({})).await.refused(400, "bad_request");
    for number in 0..255 {
        let queue = format!("q-{number}");
        set(&site, &queue, json!({ "paused": true })).await.expect(200);
    }
    set(&site, "one-more", json!({ "paused": true })).await.refused(400, "bad_request");
    set(&site, "q-0", json!({ "paused": false })).await.expect(200);
    set(&site, "one-more", json!({ "paused": true })).await.expect(200);
}

#[tokio::test]
async fn a_limit_over_all_users_holds_in_all_partitions_and_why_tells_it() {
    let site = Site::with_partitions(3).await;
    let mut tasks = Vec::new();
    for user in ["ana", "ben", "cleo", "dan"] {
        for _ in 0..2 {
            tasks.push((user, site.echo(user).await));
        }
    }
    for wrong in [0, 100_001] {
        let refused = set(&site, "echo", json!({ "running_total_max": wrong })).await.expect(400);
        assert_eq!(refused["errors"][0]["pointer"], "/running_total_max", "{refused}");
    }
    let now = set(&site, "echo", json!({ "running_total_max": 3 })).await.expect(200);
    assert_eq!((&now["running_total_max"], &now["running_total"]), (&json!(3), &json!(0)));
    let mut held = site.claim("w-1", 50).await;
    assert_eq!(held.len(), 3);
    assert_eq!(site.claim("w-1", 50).await, []);
    assert_eq!(get(&site, "/api/v1/queues/echo").await["running_total"], 3);
    let mut waits = 0;
    for (user, task) in &tasks {
        let why = site.get(user, &format!("/api/v1/tasks/{task}/why")).await.expect(200);
        if why["reason"] != "running" {
            let said = (&why["reason"], &why["running"], &why["running_max"]);
            assert_eq!(said, (&json!("queue_limit"), &json!(3), &json!(3)), "{why}");
            waits += 1;
        }
    }
    assert_eq!(waits, 5);
    let (lease, n) = held.remove(0);
    assert!(site.report("w-1", &lease, ack(n)).await);
    assert_eq!(site.claim("w-1", 50).await.len(), 1, "one for the one that is over");
    let now = set(&site, "echo", json!({ "running_total_max": null })).await.expect(200);
    assert_eq!((now.get("running_total_max"), now.get("running_total")), (None, None));
    assert_eq!(site.claim("w-1", 50).await.len(), 4);
}

#[tokio::test]
async fn a_rate_over_all_users_holds_in_all_partitions_and_why_tells_it() {
    let site = Site::with_partitions(3).await;
    let mut tasks = Vec::new();
    for user in ["ana", "ben", "cleo", "dan"] {
        for _ in 0..2 {
            tasks.push((user, site.echo(user).await));
        }
    }
    let rate = |tasks: u32, burst: u32| json!({ "tasks": tasks, "per_ms": 60_000, "burst": burst });
    for (wrong, pointer) in
        [(rate(0, 1), "tasks"), (rate(5, 0), "burst"), (rate(1_000_001, 1), "tasks")]
    {
        let refused = set(&site, "echo", json!({ "rate_total": wrong })).await.expect(400);
        let said = &refused["errors"][0]["pointer"];
        assert_eq!(said, &json!(format!("/rate_total/{pointer}")), "{refused}");
    }
    let without_burst = json!({ "tasks": 60, "per_ms": 60_000 });
    let now = set(&site, "echo", json!({ "rate_total": without_burst })).await.expect(200);
    assert_eq!((&now["rate_total"], now.get("rate")), (&rate(60, 60), None));
    let now = set(&site, "echo", json!({ "rate_total": rate(60, 3) })).await.expect(200);
    assert_eq!(now["rate_total"], rate(60, 3));
    assert_eq!(site.claim("w-1", 50).await.len(), 3);
    assert_eq!(site.claim("w-1", 50).await, []);
    let mut waits = 0;
    for (user, task) in &tasks {
        let why = site.get(user, &format!("/api/v1/tasks/{task}/why")).await.expect(200);
        if why["reason"] != "running" {
            let good_in_ms = why["good_in_ms"].as_u64().unwrap_or(0);
            assert!(why["reason"] == "queue_rate" && good_in_ms > 0, "{why}");
            assert!(good_in_ms <= 1_000, "{why}");
            waits += 1;
        }
    }
    assert_eq!(waits, 5);
    site.hand.advance(1_000);
    assert_eq!(site.claim("w-1", 50).await.len(), 1, "one a second, whose it is");
    let now = set(&site, "echo", json!({ "rate_total": null })).await.expect(200);
    assert_eq!(now.get("rate_total"), None);
    assert_eq!(site.claim("w-1", 50).await.len(), 4);
}

#[tokio::test]
async fn people_see_what_holds_for_them_in_each_queue_and_nothing_of_others() {
    let site = Site::with_partitions(3).await;
    site.echo("ana").await;
    let own = "/api/v1/me/queues";
    let nothing = json!({ "paused": false, "by_user": false, "by_operator": false });
    let seen = site.get("ana", own).await.expect(200);
    let plain = json!({
        "queue": "echo", "kinds": ["echo"], "served": true, "paused": false,
        "paused_for_you": false, "weight": 1, "waiting_max": seen["queues"][0]["waiting_max"],
    });
    assert_eq!((&seen["queues"][0], &seen["pause"]), (&plain, &nothing));
    assert!(seen["queues"][0]["waiting_max"].as_u64() > Some(0), "{seen}");
    let of_all = json!({ "tasks": 9, "per_ms": 1_000, "burst": 1 });
    let limits = json!({ "paused": true, "waiting_max": 7, "running_max": 4, "rate": of_all });
    set(&site, "echo", limits).await.expect(200);
    set(&site, "apart", json!({ "paused": true })).await.expect(200);
    // What is set of her goes first, each by itself.
    let of_ana = json!({
        "user": "ana", "paused": true, "weight": 3, "waiting_max": 2, "running_max": 5,
    });
    set_user(&site, "echo", of_ana).await.expect(200);
    site.post("ana", "/api/v1/me/pause", json!({ "paused": true })).await.expect(200);
    let seen = site.get("ana", own).await.expect(200);
    let echo = json!({
        "queue": "echo", "kinds": ["echo"], "served": true, "paused": true,
        "paused_for_you": true, "weight": 3, "waiting_max": 2, "running_max": 5, "rate": of_all,
    });
    assert_eq!((&seen["queues"][0], &seen["pause"]["by_user"]), (&echo, &json!(true)));
    let names = |list: &Value| -> Vec<Value> {
        list["queues"].as_array().unwrap().iter().map(|one| one["queue"].clone()).collect()
    };
    assert!(!names(&seen).contains(&json!("apart")), "a name nobody told her: {seen}");
    let asked = site.get("ana", "/api/v1/me/queues?queue=apart,echo").await.expect(200);
    let apart = asked["queues"].as_array().unwrap().iter().find(|one| one["queue"] == "apart");
    assert_eq!(apart.map(|one| &one["paused"]), Some(&json!(true)), "{asked}");
    let of_ben = site.get("ben", own).await.expect(200);
    let echo = json!({
        "queue": "echo", "kinds": ["echo"], "served": true, "paused": true,
        "paused_for_you": false, "weight": 1, "waiting_max": 7, "running_max": 4, "rate": of_all,
    });
    assert_eq!((&of_ben["queues"][0], &of_ben["pause"]), (&echo, &nothing));
    site.hand.advance(3_600_000);
    let later = site.get("ben", own).await.expect(200);
    assert_eq!(later["queues"][0]["served"], false, "its worker was not heard of for an hour");
    site.get("ben", "/api/v1/me/queues?queue=no%20name").await.refused(400, "bad_request");
    let many = (0..101).map(|n| format!("q-{n}")).collect::<Vec<_>>().join(",");
    site.get("ben", &format!("/api/v1/me/queues?queue={many}")).await.refused(400, "bad_request");
}
