//! Everything of a user, erased at the user's own wish or an administrator's.

use axum::body::Body;
use serde_json::{Value, json};
use tasktonic_auth::Role;
use tasktonic_each_store::traces::{Found, Texts};
use tasktonic_each_store::{On, on_each_store};
use tasktonic_protocol::http::BULK_KIND;
use tasktonic_protocol::worker::KindRecord;
use tasktonic_server::Limits;
use tasktonic_store::clock::Clock;
use tasktonic_store::{Expect, Table};

use crate::support::{Answer, Site, UNLIMITED, ack};

on_each_store! {
    nothing_of_whoever_is_erased_is_left_in_the_store_or_in_files
}

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

/// Everything that the API makes of a user, each text with the mark.
struct Everything<'a> {
    site: &'a Site,
    user: &'a str,
    mark: &'a str,
}

impl Everything<'_> {
    fn say(&self, what: &str) -> String {
        format!("{}-{what}", self.mark)
    }

    fn task(&self, more: Value) -> Value {
        let payload = json!({ "text": self.say("payload") });
        let mut task = json!({ "kind": "echo", "payload": payload, "tags": [self.say("tag")] });
        task.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        task
    }

    async fn accepts(&self, path: &str, body: Value) -> Value {
        let answer = self.site.post(self.user, path, body).await;
        assert!(answer.status.is_success(), "{path}: {answer:?}");
        let status = answer.status.as_u16();
        answer.expect(status)
    }

    /// Starts a task; its id, the lease and the count of writes.
    async fn started(&self, task: Value) -> (String, String, u64) {
        let task = self.site.submit(self.user, task).await;
        let (lease, n) = self.site.claim("w-1", 1).await.remove(0);
        let id = task["id"].as_str().unwrap().to_owned();
        assert!(lease.contains(&format!("|{}|{id}|", self.user)), "{lease}");
        (id, lease, n)
    }

    async fn reports(&self, lease: &str, report: &str, n: u64, body: &str) {
        let write = json!({ "n": n, "body": body });
        let report = match report {
            "progress" => json!({ "report": report, "write": write }),
            _ => json!({ "report": report, "keep_s": 3_600, "write": write }),
        };
        assert!(self.site.report("w-1", lease, report).await);
    }

    /// What has to be started, by nobody else meanwhile.
    async fn works(&self) {
        let (_, lease, n) = self.started(self.task(json!({}))).await;
        let line = json!({ "at": 1, "l": "info", "x": self.say("log") }).to_string();
        assert!(self.site.report("w-1", &lease, json!({ "report": "log", "lines": [line] })).await);
        let note = format!(r#""p":{{"done":1,"total":3,"note":"{}"}}"#, self.say("note"));
        self.reports(&lease, "progress", n + 1, &note).await;
        let output = format!(r#""st":5,"ho":true,"out":{{"is":"{}"}}"#, self.say("output"));
        self.reports(&lease, "ack", n + 2, &output).await;

        let (_, lease, n) = self.started(self.task(json!({}))).await;
        let file = self.keeps(&lease).await;
        let output = format!(r#""st":5,"ho":true,"fo":true,"out":{file}"#);
        self.reports(&lease, "ack", n + 1, &output).await;

        let (_, lease, n) = self.started(self.task(json!({}))).await;
        let error = format!(r#""st":5,"err":{{"code":"boom","message":"{}"}}"#, self.say("error"));
        self.reports(&lease, "bury", n + 1, &error).await;

        let (id, ..) = self.started(self.task(json!({}))).await;
        self.accepts(&format!("/api/v1/tasks/{id}/cancel"), json!({})).await;

        let file = self.site.upload(self.user, &self.say("photo.txt"), self.mark.as_bytes()).await;
        let payload = json!({ "to": [self.say("to")], "photos": [file] });
        self.started(json!({ "kind": "mail", "payload": payload })).await;
        // One has begun to make its output, and not ended.
        let (_, lease, _) = self.started(self.task(json!({}))).await;
        self.keeps(&lease).await;
    }

    /// Keeps a file as the output of the task that is held under the lease; as an output names it.
    async fn keeps(&self, lease: &str) -> Value {
        let token = self.site.token("crew", Role::Worker);
        let path = "/api/v1/files?name=output.json&output=1";
        let request = self.site.request(Some(&token), "POST", path);
        let content = json!({ "is": self.say("long-output") }).to_string();
        let request = request.header("tasktonic-lease", lease).body(Body::from(content)).unwrap();
        let file = self.site.send(request).await.expect(201);
        json!({
            "file": file["id"], "name": file["name"], "type": file["type"], "size": file["size"],
        })
    }

    async fn waits(&self) {
        let tasks = "/api/v1/tasks";
        for at in 0..3 {
            let key = self.say(&format!("key-{at}"));
            let line = self.say("line");
            let keyed = json!({ "idempotency_key": key, "serial_key": line });
            self.accepts(tasks, self.task(keyed)).await;
        }
        self.accepts(tasks, self.task(json!({ "delay_ms": 3_600_000, "priority": "high" }))).await;
        // A file that no task names.
        self.site.upload(self.user, &self.say("spare.txt"), self.mark.as_bytes()).await;
        let part = |name: &str, after: Value| json!({ "name": name, "after": after, "task": self.task(json!({})) });
        let (one, two) = (self.say("one"), self.say("two"));
        let parts = [part(&one, json!([])), part(&two, json!([one]))];
        let flow = json!({ "tags": [self.say("tag")], "tasks": parts });
        self.accepts("/api/v1/flows", flow).await;
        self.accepts("/api/v1/batches", json!({ "then": self.task(json!({})) })).await;
        for (name, rests) in [("often", false), ("never", true)] {
            let (name, task) = (self.say(name), self.task(json!({})));
            let schedule =
                json!({ "name": name, "every_ms": 60_000, "paused": rests, "task": task });
            self.accepts("/api/v1/schedules", schedule).await;
        }
        let order = json!({
            "verb": "purge", "filter": { "tag": self.say("tag"), "status": ["failed"] },
            "idempotency_key": self.say("order"),
        });
        self.accepts("/api/v1/tasks/bulk", order).await;
        self.accepts("/api/v1/me/pause", json!({ "paused": true })).await;
        let operators = [
            (
                "/api/v1/queues/echo/users".to_owned(),
                json!({ "user": self.user, "weight": 3, "running_max": 9 }),
            ),
            (format!("/api/v1/users/{}/bytes", self.user), json!({ "bytes_max": 9_000_000 })),
            (format!("/api/v1/users/{}/pause", self.user), json!({ "paused": true })),
        ];
        for (path, body) in operators {
            self.site.post_as(Role::Operator, "olga", &path, body).await.expect(200);
        }
    }

    /// All that the API tells of it.
    async fn told(&self) -> Vec<Value> {
        let mut told = Vec::new();
        let lists = ["tasks?limit=200", "tasks/counts", "schedules", "me/bytes", "me/pause"];
        for path in lists {
            told.push(self.site.get(self.user, &format!("/api/v1/{path}")).await.expect(200));
        }
        let tasks = told[0]["tasks"].as_array().unwrap().clone();
        assert!(tasks.len() >= 15, "{tasks:?}");
        for task in tasks {
            for rest in ["", "/attempts", "/logs", "/links"] {
                let path = format!("/api/v1/tasks/{}{rest}", task["id"].as_str().unwrap());
                told.push(self.site.get(self.user, &path).await.expect(200));
            }
        }
        told
    }
}

async fn nothing_of_whoever_is_erased_is_left_in_the_store_or_in_files(on: On) {
    let (clock, hand) = Clock::manual(1_700_000_000_000);
    let under = on.open_at(clock.clone(), crate::PARTITIONS).await;
    let record = serde_json::to_string(&KindRecord::new(BULK_KIND)).unwrap();
    under.store.registry().put(Table::Kinds, BULK_KIND, record, Expect::Any).await.unwrap();
    let limits = Limits { requests: UNLIMITED, ..Limits::default() };
    let site = Site::standing_with(under, clock, hand, limits).await;
    let of = |user, mark| Everything { site: &site, user, mark };
    let (gone, beside) = (of("erasable-person", "erasable-text"), of("beside", "others-text"));
    for one in [&gone, &beside] {
        one.works().await;
    }
    for one in [&gone, &beside] {
        one.waits().await;
    }
    let tasks = gone.told().await.remove(0);
    let ids = tasks["tasks"].as_array().unwrap().iter().map(|task| task["id"].as_str().unwrap());
    let texts = Texts::new([gone.user, gone.mark].into_iter().chain(ids));
    let before = beside.told().await;
    if on != On::Model {
        for text in [gone.user, gone.mark] {
            assert!(!site.traces(&Texts::new([text])).is_empty(), "the scan finds {text}");
        }
    }

    let path = format!("/api/v1/me/data?confirm={}", gone.user);
    delete(&site, Role::User, gone.user, &path).await.expect(202);
    let erasure = ended(&site, gone.user).await;
    assert_eq!(erasure["files"], json!(4), "{erasure}");
    assert_eq!(site.traces(&texts), Vec::<Found>::new());
    assert_eq!(beside.told().await, before, "another one is whole");
    assert!(!site.traces(&Texts::new([beside.mark])).is_empty(), "and has their files");
}
