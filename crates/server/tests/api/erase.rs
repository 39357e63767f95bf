//! Everything of a user, erased at the user's own wish or an administrator's.

use axum::body::Body;
use serde_json::{Value, json};
use tasktonic_auth::Role;

use crate::support::{Answer, Site, ack};

async fn delete(site: &Site, role: Role, user: &str, path: &str) -> Answer {
    let token = site.token(user, role);
    site.send(site.request(Some(&token), "DELETE", path).body(Body::empty()).unwrap()).await
}

/// How an erasure ended.
async fn ended(site: &Site, user: &str) -> Value {
    let since = std::time::Instant::now();
    loop {
        let erasure = site.get(user, "/api/v1/me/data").await.expect(200);
        if erasure["state"] == "done" {
            return erasure;
        }
        assert!(since.elapsed().as_secs() < 60, "{erasure}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn who_asks_for_it_is_erased_and_nobody_else() {
    let site = Site::open().await;
    let file = site.upload("ana", "a.txt", b"of ana").await;
    let done = site.echo("ana").await;
    let (lease, n) = site.claim("w-1", 1).await.remove(0);
    assert!(site.report("w-1", &lease, ack(n)).await);
    site.submit("ana", json!({ "kind": "mail", "payload": { "to": [], "photos": [file] } })).await;
    site.echo("ana").await;
    let (held, n) = site.claim("w-1", 1).await.remove(0);
    let bens = site.echo("ben").await;
    let bens_file = site.upload("ben", "b.txt", b"of ben").await;

    site.get("ana", "/api/v1/me/data").await.refused(404, "not_found");
    for path in ["/api/v1/me/data", "/api/v1/me/data?confirm=ben"] {
        let refusal = delete(&site, Role::User, "ana", path).await.refused(400, "bad_request");
        assert!(refusal["detail"].as_str().unwrap().contains("confirm=ana"), "{refusal}");
    }
    site.get("ana", &format!("/api/v1/tasks/{done}")).await.expect(200);
    let begun = delete(&site, Role::User, "ana", "/api/v1/me/data?confirm=ana").await.expect(202);
    assert_eq!((&begun["state"], &begun["tasks"]), (&json!("removing"), &json!(3)));
    let erasure = ended(&site, "ana").await;
    assert_eq!((&erasure["tasks"], &erasure["files"]), (&json!(3), &json!(1)));
    assert_ne!(erasure["done_at"], Value::Null);

    assert_eq!(site.get("ana", "/api/v1/tasks").await.expect(200)["tasks"], json!([]));
    site.get("ana", &format!("/api/v1/tasks/{done}")).await.refused(404, "not_found");
    site.get("ana", &format!("/api/v1/files/{file}")).await.refused(404, "not_found");
    assert!(!site.report("w-1", &held, ack(n)).await, "its holder is told");
    site.get("ben", &format!("/api/v1/tasks/{bens}")).await.expect(200);
    assert_eq!(site.get("ben", &format!("/api/v1/files/{bens_file}")).await.status, 200);
    site.get("ben", "/api/v1/me/data").await.refused(404, "not_found");
    site.echo("ana").await;
}

#[tokio::test]
async fn an_administrator_erases_anybody_and_others_do_not() {
    let site = Site::open().await;
    site.echo("ana").await;
    let path = "/api/v1/users/ana/data?confirm=ana&account=true";
    for role in [Role::User, Role::Operator, Role::Service, Role::Worker] {
        delete(&site, role, "ben", path).await.refused(403, "forbidden");
    }
    delete(&site, Role::Admin, "root", "/api/v1/users/ana/data?confirm=root")
        .await
        .refused(400, "bad_request");
    delete(&site, Role::Admin, "root", path).await.expect(202);
    assert_eq!(ended(&site, "ana").await["account"], true);
    assert_eq!(site.get("ana", "/api/v1/tasks").await.expect(200)["tasks"], json!([]));
}
