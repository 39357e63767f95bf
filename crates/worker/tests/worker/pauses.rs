//! Pauses, and what idle workers make of their end.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use tasktonic_core::command::Control;
use tasktonic_core::routing::{PartitionId, partition_of};
use tasktonic_core::settings::{By, QueueSettings, UserSettings};
use tasktonic_core::{Name, UserId};
use tasktonic_each_store::{On, on_each_store};

use super::stage::{Stage, draft, handler, settings, start, worker};

/// How soon a worker that waits starts what a pause held back.
const WITHIN: Duration = Duration::from_secs(1);

on_each_store! {
    an_idle_worker_starts_what_was_paused_within_a_second_of_the_resume
}

/// Who or what is paused.
#[derive(Debug, Clone, Copy)]
enum Paused {
    Queue,
    User(By),
    UserInQueue,
}

/// Pauses or resumes, wherever tasks of it may be; answers when all have answered.
async fn say(stage: &Stage, what: Paused, version: u64, paused: bool) {
    let (user, queue): (_, Name) = (UserId::encode("ana"), "held".parse().unwrap());
    let control = match what {
        Paused::Queue => {
            let settings = QueueSettings { paused, ..QueueSettings::default() };
            Control::Queues { version, queues: vec![(queue, settings)] }
        }
        Paused::User(by) => Control::Pause { user: user.clone(), by, paused },
        Paused::UserInQueue => {
            let settings = UserSettings { paused, ..UserSettings::default() };
            Control::User { queue, user: user.clone(), settings }
        }
    };
    let own = partition_of(&user, stage.store.partitions());
    for p in (0..stage.store.partitions()).map(PartitionId) {
        if p == own || matches!(what, Paused::Queue) {
            stage.store.control(p, control.clone()).await.unwrap();
        }
    }
}

async fn an_idle_worker_starts_what_was_paused_within_a_second_of_the_resume(on: On) {
    let stage = Stage::over(on).await;
    let started: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let starts = started.clone();
    let held = handler("held", move |_, _| {
        starts.lock().unwrap().push(Instant::now());
        async { Ok(json!(0)) }
    });
    let _running = start(worker(stage.store.clone(), "w-1", settings(), vec![held]));
    // It is idle from here on.
    let task = stage.submit(draft("held")).await;
    stage.wait(&task, "completed").await;
    let mut version = 0;
    for what in
        [Paused::Queue, Paused::User(By::Owner), Paused::User(By::Operator), Paused::UserInQueue]
    {
        version += 1;
        say(&stage, what, version, true).await;
        let before = started.lock().unwrap().len();
        let task = stage.submit(draft("held")).await;
        // Time in which nothing may happen is what this test is about.
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(started.lock().unwrap().len(), before, "{what:?}: it ran in the pause");
        assert_eq!(stage.see(&task).await.state, "queued", "{what:?}");
        version += 1;
        say(&stage, what, version, false).await;
        let resumed = Instant::now();
        stage.wait(&task, "completed").await;
        let took = started.lock().unwrap()[before].saturating_duration_since(resumed);
        assert!(took <= WITHIN, "{what:?}: started {took:?} after the resume");
    }
}
