//! Kinds whose tasks take several places of a worker.

use serde_json::{Value, json};
use tasktonic_auth::Role;
use tasktonic_core::routing::partition_of;

use crate::support::{Answer, Site};

/// A worker of `echo` and `mail`, of which the tasks of `echo` take so many places.
async fn announce(site: &Site, worker: &str, concurrency: u32, places: Value) -> Answer {
    let record = json!({
        "id": worker, "host": "h", "version": "1", "kinds": ["echo", "mail"],
        "concurrency": concurrency, "running": 1, "taken": 3,
    });
    let kind = json!({
        "kind": "echo", "queue": "echo", "schema": true, "attempts_max": 2, "places": places,
    });
    let body = json!({ "v": 1, "worker": record, "kinds": [kind] });
    site.post_as(Role::Worker, "crew", "/api/v1/worker/announce", body).await
}

#[tokio::test]
async fn a_task_says_how_many_places_it_takes_and_how_many_there_are() {
    let site = Site::open().await;
    announce(&site, "w-1", 4, json!(3)).await.expect(204);
    let kinds = site.get("ana", "/api/v1/kinds").await.expect(200);
    let of = |name: &str| {
        let kinds = kinds["kinds"].as_array().unwrap();
        kinds.iter().find(|kind| kind["kind"] == name).unwrap().clone()
    };
    assert_eq!((&of("echo")["places"], of("mail").get("places")), (&json!(3), None));
    let workers = site.get("ana", "/api/v1/workers").await.expect(200);
    let shown = workers["workers"].as_array().unwrap().iter().find(|w| w["taken"] == 3).unwrap();
    assert_eq!((&shown["running"], &shown["concurrency"]), (&json!(1), &json!(4)));

    let id = site.echo("ana").await;
    let why = async || site.get("ana", &format!("/api/v1/tasks/{id}/why")).await.expect(200);
    let told = why().await;
    assert_eq!((&told["reason"], &told["places"]), (&json!("turn"), &json!(3)), "{told}");
    assert!(told["text"].as_str().unwrap().contains("takes 3 places"), "{told}");
    // What is announced last holds: no worker is as large now.
    announce(&site, "w-1", 4, json!(900)).await.expect(204);
    let told = why().await;
    assert_eq!(told["reason"], "no_worker_with_places", "{told}");
    assert_eq!(told["places"], 900, "{told}");
    let text = told["text"].as_str().unwrap();
    assert!(text.contains("takes 900 places") && told["places_max"].as_u64() < Some(900), "{told}");
    for bad in [json!(0), json!(1_025)] {
        announce(&site, "w-1", 4, bad).await.refused(400, "bad_request");
    }
}

/// One claim of four queues at most: what it took, by queue, and where it stopped.
async fn claim(site: &Site, queues: Value, places: Value, limit: u32, first: Value) -> Value {
    let claim = json!({ "queues": queues, "places": places, "limit": limit, "first": first });
    let call: u64 = rand::random::<u32>().into();
    let body = json!({
        "v": 1, "worker": "w-1", "call": call, "lease_ms": 10_000, "claim": claim, "park": true,
    });
    site.sync(body).await.expect(200)
}

fn taken(answer: &Value) -> Vec<String> {
    let claimed = answer["claimed"].as_array().cloned().unwrap_or_default();
    let queue =
        |held: &Value| held["lease"].as_str().unwrap().split('|').next().unwrap().to_owned();
    claimed.iter().map(queue).collect()
}

#[tokio::test]
async fn a_claim_of_several_partitions_begins_where_the_last_one_stopped() {
    let site = Site::with_partitions(3).await;
    // Small ones everywhere, and one large one.
    let users: Vec<String> = (0..30).map(|number| format!("user-{number}")).collect();
    for user in &users {
        for _ in 0..4 {
            site.submit(user, json!({ "kind": "mail", "payload": { "to": [] } })).await;
        }
    }
    let part = partition_of(&users[0].parse().unwrap(), 3).0;
    let large = site.echo(&users[0]).await;
    let (queues, places) = (json!(["echo", "mail"]), json!([4, 1]));
    // Sooner or later it is the turn of that partition; each place that is left until then is filled.
    let mut found = Value::Null;
    for _ in 0..40 {
        let answer = claim(&site, queues.clone(), places.clone(), 3, Value::Null).await;
        assert!(taken(&answer).iter().all(|queue| queue == "mail") && taken(&answer).len() <= 3);
        if answer.get("stopped_at").is_some() {
            found = answer["stopped_at"].clone();
            break;
        }
        assert_eq!(taken(&answer).len(), 3);
    }
    assert_eq!(found, json!({ "queue": "echo", "part": part }));
    // With as many places as it takes it is had, whichever call it is.
    let answer = claim(&site, queues.clone(), places.clone(), 4, json!(part)).await;
    assert_eq!(taken(&answer), ["echo"]);
    assert!(answer["claimed"][0]["lease"].as_str().unwrap().contains(&large), "{answer}");
    // What a task takes is counted over all partitions.
    for user in &users {
        site.echo(user).await;
    }
    let answer = claim(&site, json!(["echo"]), json!([4]), 14, json!(99)).await;
    assert_eq!(taken(&answer), ["echo"; 3]);
    for (places, limit) in [(json!([4]), 4), (json!([0, 1]), 4), (json!([4, 1]), 2_000)] {
        let claim = json!({ "queues": queues, "places": places, "limit": limit });
        let body =
            json!({ "v": 1, "worker": "w-1", "call": 1, "lease_ms": 10_000, "claim": claim });
        site.sync(body).await.refused(400, "bad_request");
    }
}
