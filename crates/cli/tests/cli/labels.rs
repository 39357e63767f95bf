//! Workers that have something which others have not, as processes of their own: over HTTP on an
//! embedded store, with the store on Redis and on a cluster, and those that `up` starts.

use serde_json::Value;
use tasktonic_testkit::{Cluster, Process, Redis, redis, wait};

use crate::support::{Installation, PATIENCE, refused, said, tasktonic};

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

fn why(installation: &Installation, id: &str) -> Value {
    json(&said(installation.client().args(["task", "why", id, "--json"])))
}

/// Waits until as many workers are known to the server, and answers what each has.
fn labels(installation: &Installation, count: usize) -> Vec<Value> {
    wait::for_some("the workers to be known", PATIENCE, || {
        let list = json(&said(installation.client().args(["workers", "--json"])));
        let workers = list.as_array().expect("workers").clone();
        (workers.len() == count)
            .then(|| workers.iter().map(|worker| worker["labels"].clone()).collect())
    })
}

/// Tasks of which some need a label, on a worker that has it and one that has not; `with` starts a
/// worker of this installation.
fn never_starts_elsewhere(installation: &Installation, with: &dyn Fn(&[&str]) -> Process) {
    let _plain = with(&[]);
    assert_eq!(labels(installation, 1), [Value::Null]);
    let needs = ["--need", "gpu"];
    let task = installation.submit("noop", "{}", &needs);
    let plain: Vec<String> = (0..10).map(|_| installation.submit("noop", "{}", &[])).collect();
    for id in &plain {
        installation.wait_for(id, "completed", PATIENCE);
    }
    let told = why(installation, &task);
    assert_eq!(told["reason"], "no_worker_with_label", "{told}");
    assert_eq!(told["labels"], serde_json::json!(["gpu"]));
    let words = said(installation.client().args(["task", "why", &task]));
    assert!(words.contains("`gpu`"), "{words}");
    let shown = said(installation.client().args(["task", "get", &task]));
    assert!(shown.contains("needs") && shown.contains("gpu"), "{shown}");
    assert_eq!(installation.task(&task)["status"], "queued");
    let listed = said(installation.client().args(["task", "list", "--queue", "noop+gpu"]));
    assert!(listed.contains(&task) && listed.contains("noop (gpu)"), "{listed}");

    let _gpu = with(&["--label", "gpu", "--label", "eu"]);
    let first = installation.wait_for(&task, "completed", PATIENCE);
    assert_eq!((&first["queue"], &first["attempt"]), (&"noop+gpu".into(), &1.into()));
    labels(installation, 2);
    let words = said(installation.client().args(["workers"]));
    assert!(words.contains("LABELS") && words.contains("eu, gpu"), "{words}");
    let many: Vec<String> = (0..10).map(|_| installation.submit("noop", "{}", &needs)).collect();
    for id in &many {
        let task = installation.wait_for(id, "completed", PATIENCE);
        assert_eq!(task["worker"], first["worker"], "{task}");
    }
}

const NOOP: [&str; 4] = ["--kinds", "noop", "--concurrency", "2"];

#[test]
fn a_task_that_needs_a_label_never_starts_elsewhere_on_an_embedded_store() {
    let installation = Installation::up(&["--no-workers"]);
    never_starts_elsewhere(&installation, &|labels| {
        Process::start(&mut installation.work_command(&[&NOOP[..], labels].concat()))
    });
    let (code, told) = refused(&mut installation.work_command(&["--label", "GPU"]));
    assert!(code == 2 && told.contains("--label: a label is"), "{code}: {told}");
    let (code, told) = refused(installation.client().args(["submit", "noop", "--need", "GPU"]));
    assert!(code == 1 && told.contains("needs"), "{code}: {told}");
}

/// The same where workers ask a store at `url` themselves.
fn never_starts_elsewhere_over(url: &str) {
    let mut installation = Installation::new();
    let ours = |verb: &str, data: &std::path::Path| {
        let mut command = tasktonic();
        command.arg(verb).arg("--data").arg(data).env("TASKTONIC_STORE", url);
        command
    };
    let data = installation.data();
    let mut serve = ours("up", &data);
    serve.args(["--json", "--no-ui", "--no-workers", "--port", "0"]);
    installation.start_with(&mut serve);
    never_starts_elsewhere(&installation, &|labels| {
        Process::start(ours("work", &data).args(NOOP).args(labels))
    });
}

#[test]
fn a_task_that_needs_a_label_never_starts_elsewhere_on_redis() {
    let redis = Redis::start(redis::Options::default());
    never_starts_elsewhere_over(&redis.url());
}

#[test]
fn a_task_that_needs_a_label_never_starts_elsewhere_on_a_cluster() {
    let cluster = Cluster::start_with(3, 0, &redis::Options::default());
    never_starts_elsewhere_over(&cluster.url());
}

#[test]
fn the_workers_that_up_starts_have_labels_too() {
    let one = Installation::up(&["--label", "gpu"]);
    let id = one.submit("noop", "{}", &["--need", "gpu"]);
    one.wait_for(&id, "completed", PATIENCE);
    let fleet = Installation::up(&["--redis", "--label", "gpu", "--label", "eu"]);
    assert_eq!(labels(&fleet, 1), [serde_json::json!(["eu", "gpu"])]);
    let id = fleet.submit("noop", "{}", &["--need", "gpu", "--need", "eu"]);
    fleet.wait_for(&id, "completed", PATIENCE);
    for more in [&[][..], &["--redis"]] {
        let fresh = Installation::new();
        let mut command = fresh.up_command(&[&["--no-ui", "--label", "a b"], more].concat());
        let (code, told) = refused(&mut command);
        assert!(code == 2 && told.contains("--label"), "{more:?} {code}: {told}");
    }
}
