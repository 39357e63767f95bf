//! What the tests of crashes share: the process under load, and whether all it acknowledged is
//! still there.
#![expect(dead_code, reason = "each test file uses its part")]
#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use tasktonic_core::command::{NewTask, Submit};
use tasktonic_core::routing::PartitionId;
use tasktonic_core::{TaskId, Text, UserId};
use tasktonic_store::clock::Clock;
use tasktonic_store::{Query, QueryReply, Store as _};
use tasktonic_store_embedded::{EmbeddedStore, OpenError, Options};

pub(crate) const P: PartitionId = PartitionId(0);

/// The program `load`, which is built with the tests.
pub(crate) fn load(dir: &Path) -> Command {
    let mut command = Command::new(load_path());
    command.arg(dir);
    command
}

pub(crate) fn load_path() -> PathBuf {
    let tests = std::env::current_exe().expect("a test knows itself");
    let path = tests.ancestors().nth(2).expect("target/debug/deps").join("examples/load");
    assert!(
        path.exists(),
        "{} is not built: run the whole crate's tests, or build --example load first",
        path.display()
    );
    path
}

/// What a process said was acknowledged.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) submitted: BTreeSet<(UserId, TaskId)>,
    pub(crate) completed: BTreeSet<(UserId, TaskId)>,
}

impl Said {
    pub(crate) fn of(output: &str) -> Self {
        let mut said = Self::default();
        // The last line may be cut off by the kill: only whole ones count.
        let whole = output.rfind('\n').map_or("", |end| &output[..end]);
        for line in whole.lines() {
            let mut words = line.split(' ');
            let set = match words.next() {
                Some("submitted") => &mut said.submitted,
                Some("completed") => &mut said.completed,
                _ => continue,
            };
            let (Some(user), Some(task)) = (words.next(), words.next()) else { continue };
            set.insert((user.parse().unwrap(), task.parse().unwrap()));
        }
        said
    }

    /// Asserts that all of it is in the store.
    pub(crate) async fn is_in(&self, store: &EmbeddedStore) {
        for ids in [&self.submitted, &self.completed] {
            for some in ids.iter().collect::<Vec<_>>().chunks(1_000) {
                let tasks: Vec<_> = some.iter().map(|id| (*id).clone()).collect();
                let exist = Query::Exist { tasks: tasks.clone() };
                let QueryReply::Exist(there) = store.read(P, exist).await.unwrap() else {
                    panic!()
                };
                let lost: Vec<_> =
                    tasks.iter().zip(there).filter(|(_, there)| !there).map(|(id, _)| id).collect();
                assert!(lost.is_empty(), "{} acknowledged tasks are lost: {lost:?}", lost.len());
            }
        }
        for (user, task) in &self.completed {
            let state = state_of(store, user, *task).await;
            assert!(
                state.starts_with(r#"{"s":"completed""#),
                "{user} {task} was completed and is {state}"
            );
        }
        assert_eq!(store.check(), Vec::<String>::new());
    }
}

/// The state's text of a task; empty if it has none.
pub(crate) async fn state_of(store: &EmbeddedStore, user: &UserId, task: TaskId) -> String {
    let query = Query::Tasks { user: user.clone(), tasks: vec![task] };
    let QueryReply::Tasks(mut tasks) = store.read(P, query).await.unwrap() else { panic!() };
    tasks.pop().and_then(|task| task.state).map(|text| text.to_string()).unwrap_or_default()
}

pub(crate) fn options() -> Options {
    Options::new(Clock::system())
}

pub(crate) fn open(dir: &Path) -> Result<EmbeddedStore, OpenError> {
    EmbeddedStore::open(dir, options())
}

/// A task of `user` with the number `number`.
pub(crate) fn draft(user: &str, number: u64) -> NewTask {
    NewTask {
        event: Text::from(r#""k":"mail""#),
        lane_max: u32::MAX,
        ..NewTask::new(
            UserId::encode(user),
            TaskId::new(1_700_000_000_000, number),
            "mail".parse().unwrap(),
            format!(
                r#"{{"v":1,"k":"mail","q":"mail","at":1700000000000,"p":{{"n":{number},"pad":"{}"}}}}"#,
                "x".repeat(300)
            ),
        )
    }
}

/// A submit of these tasks.
pub(crate) fn submit(tasks: Vec<NewTask>) -> Submit {
    Submit { created_ms: 1_700_000_000_000, tasks }
}

/// Copies the files of a store, not its subfolders.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}
