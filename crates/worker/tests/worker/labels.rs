//! What a worker has and a task needs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tasktonic_protocol::worker::{KindRecord, WorkerRecord};
use tasktonic_store::Table;
use tasktonic_worker::{AnyHandler, Context, Outcome, Settings};
use tokio_util::sync::CancellationToken;

use super::stage::{Draft, Stage, draft, handler, now_ms, settings, start, worker};

/// Who ran which task, by the ids of both.
type Ran = Arc<Mutex<BTreeMap<String, &'static str>>>;

fn with(labels: &[&str]) -> Settings {
    settings().with_labels(labels).unwrap()
}

/// A handler of `render` that writes down who ran it.
fn render(who: &'static str, ran: &Ran) -> Arc<dyn AnyHandler> {
    let ran = ran.clone();
    handler("render", move |_, cx| {
        ran.lock().unwrap().insert(cx.task().to_string(), who);
        async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            Ok(json!(0))
        }
    })
}

#[tokio::test]
async fn a_task_that_needs_a_label_never_starts_elsewhere() {
    let (stage, ran) = (Stage::new(), Ran::default());
    const NEEDS: [&[&str]; 4] = [&[], &["gpu"], &["gpu", "eu"], &["fpga"]];
    let users = ["ana", "ben", "cem", "dee"];
    let mut tasks = Vec::new();
    // Half of them before the workers are there, half when they are idle.
    let mut workers = Vec::new();
    for round in 0..2 {
        for (number, user) in users.into_iter().cycle().take(48).enumerate() {
            let needs = NEEDS[number % 3 + usize::from(number % 12 == 11)];
            tasks.push((needs, stage.submit(Draft { user, needs, ..draft("render") }).await));
        }
        if round == 0 {
            for (who, labels) in
                [("plain", &[][..]), ("gpu", &["gpu"]), ("both", &["eu", "gpu", "big"])]
            {
                let one = worker(stage.store.clone(), who, with(labels), vec![render(who, &ran)]);
                workers.push(start(one));
            }
        }
        for (needs, task) in &tasks {
            if *needs != ["fpga"] {
                stage.wait(task, "completed").await;
            }
        }
    }
    for (needs, (user, task)) in &tasks {
        let who = ran.lock().unwrap().get(&task.to_string()).copied();
        let may: &[&str] = match *needs {
            [] => &["plain", "gpu", "both"],
            ["gpu"] => &["gpu", "both"],
            ["gpu", "eu"] => &["both"],
            _ => &[],
        };
        assert_eq!(who.is_some_and(|who| may.contains(&who)), !may.is_empty(), "{needs:?} {who:?}");
        if may.is_empty() {
            assert_eq!(stage.see(&(user.clone(), *task)).await.state, "queued", "{who:?}");
        }
    }
    let by = |who: &str| ran.lock().unwrap().values().filter(|one| **one == who).count();
    assert!(by("plain") > 0 && by("gpu") > 0 && by("both") > 0, "labels take nobody's work away");
    // One that has what is needed comes, and takes what waited for it.
    let late = worker(stage.store.clone(), "late", with(&["fpga"]), vec![render("late", &ran)]);
    workers.push(start(late));
    for (_, task) in tasks.iter().filter(|(needs, _)| *needs == ["fpga"]) {
        stage.wait(task, "completed").await;
    }
}

#[tokio::test]
async fn a_worker_says_what_it_has() {
    let (stage, ran) = (Stage::new(), Ran::default());
    let one = worker(stage.store.clone(), "w-1", with(&["gpu", "eu"]), vec![render("w-1", &ran)]);
    let _running = start(one);
    let task = stage.submit(Draft { needs: &["eu"], ..draft("render") }).await;
    stage.wait(&task, "completed").await;
    let entries = stage.store.registry().list(Table::Workers).await.unwrap();
    let known: WorkerRecord = serde_json::from_str(&entries[0].value).unwrap();
    assert_eq!(known.labels, ["eu", "gpu"]);
    assert!(known.is_alive(now_ms()) && known.has().iter().eq(["eu", "gpu"]));
}

/// A kind that announces this record and never runs.
struct Only(KindRecord);

#[async_trait::async_trait]
impl AnyHandler for Only {
    fn record(&self) -> KindRecord {
        self.0.clone()
    }

    async fn run_any(&self, _: &serde_json::value::RawValue, _: &Context) -> Outcome {
        unreachable!("nothing is submitted")
    }
}

#[tokio::test]
async fn a_worker_that_cannot_serve_its_queues_with_its_labels_says_what_to_do() {
    let stage = Stage::new();
    let run = async |labels: &[&str], kinds: Vec<KindRecord>| {
        let of = |kind| Arc::new(Only(kind)) as Arc<dyn AnyHandler>;
        let handlers = kinds.into_iter().map(of).collect();
        let stop = CancellationToken::new();
        stop.cancel();
        let one = worker(stage.store.clone(), "w-1", with(labels), handlers);
        one.run_until(stop).await.map_err(|error| error.to_string())
    };
    let kinds = |count: usize| (0..count).map(|n| KindRecord::new(format!("k{n}"))).collect();
    assert_eq!(run(&["a", "b", "c"], kinds(4)).await, Ok(()));
    assert_eq!(run(&[], kinds(32)).await, Ok(()));
    let told = run(&["a", "b", "c"], kinds(5)).await.unwrap_err();
    assert!(told.contains("40") && told.contains("fewer labels"), "{told}");
    let told = run(&[], kinds(33)).await.unwrap_err();
    assert!(told.contains("second one") && !told.contains("label"), "{told}");
    let needs = |needs: &[&str]| {
        let needs = needs.iter().map(ToString::to_string).collect();
        vec![KindRecord { needs, ..KindRecord::new("k") }]
    };
    assert_eq!(run(&[], needs(&["gpu"])).await, Ok(()), "others take what it cannot");
    let told = run(&[], needs(&["GPU"])).await.unwrap_err();
    assert!(told.contains("kind k: needs: a label is"), "{told}");
    let joined = KindRecord { queue: "k+gpu".into(), ..KindRecord::new("k") };
    assert!(run(&[], vec![joined]).await.unwrap_err().contains("A-Z a-z 0-9"));
    assert!(settings().with_labels(["a", "b", "c", "d"]).is_err());
}
