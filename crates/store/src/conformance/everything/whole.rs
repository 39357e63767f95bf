//! All that can be read of one person, member by member.

use std::collections::{BTreeMap, BTreeSet};

use tasktonic_core::routing::partition_of;
use tasktonic_core::search::Search;
use tasktonic_core::transitions::STATES;
use tasktonic_core::{TaskId, TaskState, UserId};
use tasktonic_protocol::stored::Descriptor;

use crate::limits::{LIST_MAX, LOGS_MAX, PARTS_PAGE_MAX};
use crate::{Query, QueryReply, Store, StoredTask, TaskFilter};

/// All that can be read of one person.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Whole {
    /// Tasks by id, each asked for by itself.
    pub tasks: BTreeMap<TaskId, OfTask>,
    /// Lists by what they were asked for, newest first.
    pub lists: BTreeMap<String, Vec<TaskId>>,
    /// How many tasks are in each state, by its name.
    pub counts: BTreeMap<&'static str, u64>,
    /// What they hold, in bytes.
    pub bytes: u64,
    /// How many they may hold.
    pub bytes_max: Option<u64>,
    /// Schedules by name, as they are kept.
    pub schedules: BTreeMap<String, String>,
    /// By whom all of it is paused.
    pub pauses: String,
    /// What is set in queues, by name.
    pub settings: BTreeMap<String, String>,
}

/// All that can be read of one task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfTask {
    /// The task as it is stored.
    pub stored: StoredTask,
    /// Ended attempts by number.
    pub attempts: Vec<(u32, String)>,
    /// Log lines by number.
    pub log: Vec<(u32, String)>,
    /// Ties, as they are kept.
    pub links: Option<String>,
    /// Parts, of a flow or batch.
    pub parts: Vec<TaskId>,
}

impl Whole {
    /// The list of the tasks in `state`.
    #[must_use]
    pub fn in_state(&mut self, state: TaskState) -> &mut Vec<TaskId> {
        self.lists.entry(list_of(state)).or_default()
    }

    /// What another one says otherwise, in words.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let (mine, others) = (self.members(), other.members());
        let names: BTreeSet<&String> = mine.keys().chain(others.keys()).collect();
        let differ = names.into_iter().filter(|name| mine.get(*name) != others.get(*name));
        differ.map(|name| format!("{name}: {:?}, {:?}", mine.get(name), others.get(name))).collect()
    }

    fn members(&self) -> BTreeMap<String, String> {
        let Self { tasks, lists, counts, bytes, bytes_max, schedules, pauses, settings } = self;
        let mut all = BTreeMap::new();
        let mut say = |name: String, said: String| assert_eq!(all.insert(name, said), None);
        for (id, OfTask { stored, attempts, log, links, parts }) in tasks {
            say(format!("task {id}"), format!("{stored:?}"));
            say(format!("attempts of {id}"), format!("{attempts:?}"));
            say(format!("log of {id}"), format!("{log:?}"));
            say(format!("ties of {id}"), format!("{links:?}"));
            say(format!("parts of {id}"), format!("{parts:?}"));
        }
        for (name, ids) in lists {
            say(format!("list of {name}"), format!("{ids:?}"));
        }
        for (state, count) in counts {
            say(format!("count of {state}"), count.to_string());
        }
        say("bytes".into(), format!("{bytes} of {bytes_max:?}"));
        say("pauses".into(), pauses.clone());
        for (name, kept) in schedules {
            say(format!("schedule {name}"), kept.clone());
        }
        for (queue, set) in settings {
            say(format!("settings in {queue}"), set.clone());
        }
        all
    }
}

fn list_of(state: TaskState) -> String {
    format!("state {}", state.name())
}

/// Everything of `user` in this store.
///
/// # Panics
/// When the store does not answer, or a list and the task itself say different things.
pub async fn whole(store: &dyn Store, user: &UserId) -> Whole {
    let asker = Asker { store, user };
    let mut all = Whole::default();
    let listed = asker.list(TaskFilter::default()).await;
    all.lists.insert("all".into(), listed.iter().map(|task| task.id).collect());
    let (mut kinds, mut queues, mut tags) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for task in listed {
        let of: Descriptor = serde_json::from_str(&task.descriptor).unwrap();
        kinds.insert(of.kind);
        queues.insert(of.queue);
        tags.extend(of.tags);
        let found = asker.task(task.id).await;
        assert_eq!(found.stored, task, "in a list it is as by itself");
        all.tasks.insert(task.id, found);
    }
    let any = TaskFilter::default;
    let mut lists: Vec<(String, TaskFilter)> = Vec::new();
    lists.extend(
        STATES.iter().map(|state| (list_of(*state), TaskFilter { states: vec![*state], ..any() })),
    );
    lists.extend(
        kinds.into_iter().map(|of| (format!("kind {of}"), TaskFilter { kind: Some(of), ..any() })),
    );
    for queue in &queues {
        lists.push((format!("queue {queue}"), TaskFilter { queue: Some(queue.clone()), ..any() }));
    }
    for tag in tags.into_iter().chain(["broke".to_owned()]) {
        let search = Search::of(&tag).unwrap();
        lists.push((format!("search for {tag}"), TaskFilter { search, ..any() }));
        lists.push((format!("tag {tag}"), TaskFilter { tag: Some(tag), ..any() }));
    }
    for (name, filter) in lists {
        let ids = asker.list(filter).await.into_iter().map(|task| task.id).collect();
        all.lists.insert(name, ids);
    }
    asker.the_rest(&mut all, queues).await;
    all
}

struct Asker<'a> {
    store: &'a dyn Store,
    user: &'a UserId,
}

impl Asker<'_> {
    async fn ask(&self, query: Query) -> QueryReply {
        let p = partition_of(self.user, self.store.partitions());
        self.store.read(p, query).await.unwrap()
    }

    /// All pages of a list.
    async fn list(&self, filter: TaskFilter) -> Vec<StoredTask> {
        let (mut cursor, mut all) = (None, Vec::new());
        loop {
            let (user, filter) = (self.user.clone(), filter.clone());
            let page = Query::List { user, filter, cursor, limit: LIST_MAX };
            let QueryReply::List(page) = self.ask(page).await else { panic!() };
            all.extend(page.tasks);
            cursor = page.next;
            if cursor.is_none() {
                return all;
            }
        }
    }

    async fn task(&self, task: TaskId) -> OfTask {
        let user = || self.user.clone();
        let query = Query::Tasks { user: user(), tasks: vec![task] };
        let QueryReply::Tasks(mut stored) = self.ask(query).await else { panic!() };
        let query = Query::Attempts { user: user(), task };
        let QueryReply::Attempts(attempts) = self.ask(query).await else { panic!() };
        let query = Query::Logs { user: user(), task, after: 0, limit: LOGS_MAX };
        let QueryReply::Logs(log) = self.ask(query).await else { panic!() };
        let query = Query::Links { user: user(), tasks: vec![task] };
        let QueryReply::Links(mut links) = self.ask(query).await else { panic!() };
        let query = Query::Parts { user: user(), task, after: None, limit: PARTS_PAGE_MAX };
        let QueryReply::Parts(parts) = self.ask(query).await else { panic!() };
        OfTask {
            stored: stored.pop().expect("what is in a list is there"),
            attempts: attempts.into_iter().map(|row| (row.number, row.text.to_string())).collect(),
            log: log.lines.into_iter().map(|row| (row.number, row.text.to_string())).collect(),
            links: links.pop().flatten().map(|links| links.to_string()),
            parts,
        }
    }

    async fn the_rest(&self, all: &mut Whole, queues: BTreeSet<String>) {
        let user = || self.user.clone();
        let QueryReply::Counts(counts) = self.ask(Query::Counts { user: user() }).await else {
            panic!()
        };
        all.counts = STATES.iter().map(|state| (state.name(), counts.of(*state))).collect();
        (all.bytes, all.bytes_max) = (counts.bytes, counts.bytes_max);
        let query = Query::Schedules { user: user(), name: None };
        let QueryReply::Schedules(kept) = self.ask(query).await else { panic!() };
        let line = |kept: tasktonic_core::partition::KeptSchedule| {
            (kept.name.to_string(), kept.schedule.to_string())
        };
        all.schedules = kept.into_iter().map(line).collect();
        let names = queues.iter().map(|queue| queue.parse().unwrap()).collect();
        let query = Query::User { user: user(), queues: names };
        let QueryReply::User(view) = self.ask(query).await else { panic!() };
        all.pauses = format!("{:?}", view.pauses);
        let set = view.settings.iter().map(ToString::to_string);
        all.settings = queues.into_iter().zip(set).collect();
    }
}
