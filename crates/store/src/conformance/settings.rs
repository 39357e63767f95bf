//! Scenarios of what is set of queues and users: pauses, turns, how many may wait.

use tasktonic_core::TaskState;
use tasktonic_core::command::Control;
use tasktonic_core::reply::{Controlled, Submitted};
use tasktonic_core::routing::{PartitionId, partition_of};
use tasktonic_core::settings::{By, Pauses, QueueSettings, UserSettings};

use super::lists::heard;
use super::scene::{MAIL, Scene, ack};
use crate::{Held, Query, QueryReply, Turns, UserView, Wake};

const PAUSED: QueueSettings = QueueSettings {
    paused: true,
    waiting_max: None,
    running_max: None,
    rate: None,
    running_total_max: None,
    rate_total: None,
    turns: tasktonic_core::settings::Turns::Count,
};

impl Scene {
    /// Sets what holds in the queue of most scenarios, in every partition.
    pub(super) async fn set_queue(&self, version: u64, settings: QueueSettings) -> Vec<Controlled> {
        let mut answers = Vec::new();
        for p in (0..self.store.partitions()).map(PartitionId) {
            let queues = vec![(MAIL.parse().expect("a name"), settings)];
            let control = Control::Queues { version, queues };
            answers.extend(self.store.control(p, control).await.expect("the store answers"));
        }
        answers
    }

    pub(super) async fn set_user(&self, user: &str, settings: UserSettings) {
        let queue = MAIL.parse().expect("a name");
        let id = user.parse().expect("a user id");
        let control = Control::User { queue, user: id, settings };
        assert_eq!(self.control(user, control).await, Controlled::Done);
    }

    pub(super) async fn pause(&self, user: &str, paused: bool) {
        self.pause_by(By::Owner, user, paused).await;
    }

    async fn pause_by(&self, by: By, user: &str, paused: bool) {
        let id = user.parse().expect("a user id");
        let control = Control::Pause { user: id, by, paused };
        assert_eq!(self.control(user, control).await, Controlled::Done);
    }

    async fn view(&self, user: &str) -> UserView {
        let queues = vec![MAIL.parse().expect("a name")];
        let query = Query::User { user: user.parse().expect("a user id"), queues };
        let QueryReply::User(view) = self.read(user, query).await else { panic!() };
        view
    }

    /// Users with work in the queue of most scenarios, over all partitions.
    pub(super) async fn turns(&self) -> Turns {
        let mut sum = Turns::default();
        for p in (0..self.store.partitions()).map(PartitionId) {
            let query = Query::Turns { queues: vec![MAIL.parse().expect("a name")] };
            let reply = self.store.read(p, query).await.expect("the store answers");
            let QueryReply::Turns(turns) = reply else { panic!() };
            sum.users += turns[0].users;
            sum.held_back += turns[0].held_back;
            sum.running = match (sum.running, turns[0].running) {
                (Some(one), Some(other)) => Some(one + other),
                (one, other) => one.or(other),
            };
        }
        sum
    }
}

pub(super) fn of(held: &[Held], user: &str) -> usize {
    held.iter().filter(|held| held.lease.user.as_str() == user).count()
}

/// A pause hands out nothing from the moment it is answered; whoever runs goes on, and what waits
/// is there afterwards, in its order.
pub async fn a_paused_queue_hands_out_nothing_and_loses_nothing(scene: Scene) {
    let running = scene.submit("ana").await;
    let held = scene.claim_one("w1").await;
    let mut waiting = Vec::new();
    for _ in 0..3 {
        waiting.push(scene.submit("ana").await);
    }
    scene.submit("ben").await;
    assert!(scene.set_queue(1, PAUSED).await.iter().all(|answer| *answer == Controlled::Done));
    waiting.push(scene.submit("ana").await);
    for _ in 0..3 {
        scene.pass(1_000);
        assert_eq!(scene.claim("w1", 10).await, Vec::new());
    }
    assert!(scene.report(&held.lease, ack(held.n + 1)).await, "a running task ends as ever");
    assert_eq!(scene.state("ana", running).await, "completed");
    scene.set_queue(2, QueueSettings::default()).await;
    let taken = scene.claim("w1", 10).await;
    assert_eq!(of(&taken, "ben"), 1);
    let tasks = taken.iter().filter(|held| held.lease.user.as_str() == "ana");
    assert_eq!(tasks.map(|held| held.lease.task).collect::<Vec<_>>(), waiting);
}

/// Who is idle hears of a queue that goes on, and of a user who does.
pub async fn a_resume_wakes_who_is_idle(scene: Scene) {
    let worker = "w1".parse().unwrap();
    let mut wakes = scene.store.wakes(&worker);
    // Until a stream hears, it says that it may have missed something.
    scene.heard_work_for(&mut wakes).await;
    scene.set_queue(1, PAUSED).await;
    scene.pause("cleo", true).await;
    scene.submit("ana").await;
    assert!(scene.sync("w1", Vec::new(), 4, true).await.claimed.is_empty());
    scene.set_queue(2, QueueSettings::default()).await;
    let Wake::Work(_, queue) = heard(&mut wakes).await else { panic!("not of work") };
    assert_eq!(queue.as_str(), MAIL);
    assert_eq!(of(&scene.claim("w1", 4).await, "ana"), 1);

    scene.submit("cleo").await;
    assert!(scene.sync("w1", Vec::new(), 4, true).await.claimed.is_empty());
    scene.pause("cleo", false).await;
    loop {
        let Wake::Work(..) = heard(&mut wakes).await else { panic!("not of work") };
        // The first may be of the submission.
        if of(&scene.sync("w1", Vec::new(), 4, true).await.claimed, "cleo") == 1 {
            return;
        }
    }
}

impl Scene {
    pub(super) async fn heard_work_for(&self, wakes: &mut crate::WakeStream) {
        loop {
            assert!(self.sync("w1", Vec::new(), 4, true).await.claimed.is_empty());
            self.submit("ana").await;
            let wake = heard(wakes).await;
            for held in self.claim("w1", 4).await {
                assert!(self.report(&held.lease, ack(held.n + 1)).await);
            }
            if matches!(wake, Wake::Work(..)) {
                return;
            }
        }
    }
}

/// A paused user waits in every queue; the others go on as if there were no such user.
pub async fn a_paused_user_delays_nobody_else(scene: Scene) {
    for _ in 0..20 {
        scene.submit("ana").await;
    }
    for _ in 0..4 {
        scene.submit("ben").await;
    }
    scene.pause("ana", true).await;
    assert!(scene.view("ana").await.pauses.own && !scene.view("ben").await.pauses.any());
    scene.submit("ana").await;
    let mut taken = Vec::new();
    for _ in 0..4 {
        taken.extend(scene.claim("w1", 1).await);
    }
    assert_eq!((of(&taken, "ana"), of(&taken, "ben")), (0, 4));
    assert_eq!(scene.claim("w1", 10).await, Vec::new());
    let first = scene.cancel_first("ana").await;
    scene.pause("ana", false).await;
    let taken = scene.claim("w1", 30).await;
    assert_eq!(of(&taken, "ana"), 20, "all but the one that was cancelled meanwhile");
    assert!(taken.iter().all(|held| held.lease.task != first));
}

impl Scene {
    /// Cancels the oldest task of a user.
    async fn cancel_first(&self, user: &str) -> tasktonic_core::TaskId {
        let query = Query::List {
            user: user.parse().expect("a user id"),
            filter: crate::TaskFilter::default(),
            cursor: None,
            limit: 200,
        };
        let QueryReply::List(page) = self.read(user, query).await else { panic!() };
        let first = page.tasks.last().expect("there are some").id;
        assert_eq!(self.cancel(user, first).await, Controlled::Done);
        first
    }
}

/// Who is paused by the operator and by themselves goes on when both say so.
pub async fn nobody_takes_back_anothers_pause(scene: Scene) {
    scene.submit("ana").await;
    scene.pause_by(By::Operator, "ana", true).await;
    scene.pause("ana", true).await;
    assert_eq!(scene.view("ana").await.pauses, Pauses { own: true, operator: true });
    assert_eq!(scene.claim("w1", 5).await, Vec::new());
    scene.pause("ana", false).await;
    assert_eq!(scene.claim("w1", 5).await, Vec::new());
    scene.pause_by(By::Operator, "ana", false).await;
    assert_eq!(scene.view("ana").await.pauses, Pauses::default());
    assert_eq!(scene.claim("w1", 5).await.len(), 1);
}

/// A user who is paused in one queue only keeps out of it, with whatever else is set of them.
pub async fn a_user_paused_in_one_queue_waits_there_and_nowhere_else(scene: Scene) {
    for _ in 0..5 {
        scene.submit("ana").await;
        scene.submit("ben").await;
    }
    let mut other = scene.draft("ana");
    other.queue = "media".parse().unwrap();
    scene.submit_as(other).await;
    let paused = UserSettings { paused: true, ..UserSettings::default() };
    scene.set_user("ana", paused).await;
    assert_eq!(scene.view("ana").await.settings, [paused]);
    let taken = scene.claim("w1", 20).await;
    assert_eq!((of(&taken, "ana"), of(&taken, "ben")), (0, 5));
    assert_eq!(scene.turns().await, Turns { held_back: 1, ..Turns::default() });
    let claim = tasktonic_core::command::Claim::new(vec!["media".parse().unwrap()], 5);
    let p = partition_of(&"ana".parse().unwrap(), scene.store.partitions());
    assert_eq!(scene.claim_from(p, claim).await.len(), 1, "in another queue they are served");
    scene.set_user("ana", UserSettings::default()).await;
    assert_eq!(scene.turns().await, Turns { users: 1, ..Turns::default() });
    assert_eq!(of(&scene.claim("w1", 20).await, "ana"), 5);
}

/// Of two who set something, the later one's holds, whoever comes last.
pub async fn an_older_version_of_settings_changes_nothing(scene: Scene) {
    let set = |answers: Vec<Controlled>, answer| answers.iter().all(|one| *one == answer);
    scene.submit("ana").await;
    assert!(set(scene.set_queue(7, PAUSED).await, Controlled::Done));
    assert!(set(scene.set_queue(6, QueueSettings::default()).await, Controlled::Changed));
    assert_eq!(scene.claim("w1", 5).await, Vec::new());
    assert!(set(scene.set_queue(7, PAUSED).await, Controlled::Done), "as often as one likes");
    let reply = scene.sync("w1", Vec::new(), 0, false).await;
    assert_eq!(reply.queues_version, 7, "a sync tells what holds");
    let p = partition_of(&"ana".parse().unwrap(), scene.store.partitions());
    let none = Control::Queues { version: 8, queues: Vec::new() };
    assert_eq!(scene.store.control(p, none).await.unwrap(), [Controlled::Done]);
    assert_eq!(of(&scene.claim("w1", 5).await, "ana"), 1, "what is not named is not set any more");
}

/// Users get turns by their weights.
pub async fn users_take_turns_by_their_weights(scene: Scene) {
    let same = partition_of(&"ana".parse().unwrap(), scene.store.partitions());
    let mut others = (0..)
        .map(|number| format!("user-{number}"))
        .filter(|name| partition_of(&name.parse().unwrap(), scene.store.partitions()) == same);
    let (light, heavy) = ("ana".to_owned(), others.next().unwrap());
    for _ in 0..12 {
        scene.submit(&light).await;
        scene.submit(&heavy).await;
    }
    scene.set_user(&heavy, UserSettings { weight: 3, ..UserSettings::default() }).await;
    let mut taken = Vec::new();
    for _ in 0..8 {
        taken.extend(scene.claim("w1", 1).await);
    }
    assert_eq!((of(&taken, &light), of(&taken, &heavy)), (2, 6));
}

/// Of four hundred turns each of three users gets what their weight says, however much all have.
pub async fn weights_of_one_three_and_one_get_80_240_and_80_of_400_turns(scene: Scene) {
    let names = scene.neighbours(3);
    for name in &names {
        for _ in 0..300 {
            scene.submit(name).await;
        }
    }
    scene.set_user(&names[1], UserSettings { weight: 3, ..UserSettings::default() }).await;
    let mut taken = Vec::new();
    for _ in 0..400 {
        taken.extend(scene.claim("w1", 1).await);
    }
    let served: Vec<_> = names.iter().map(|name| of(&taken, name)).collect();
    assert_eq!(served, [80, 240, 80]);
}

/// How many tasks of a user may wait: what is set of them there, of the queue, or asked.
pub async fn a_user_waits_with_as_many_tasks_as_is_set(scene: Scene) {
    scene.set_queue(1, QueueSettings { waiting_max: Some(2), ..QueueSettings::default() }).await;
    for verdict in [Submitted::Accepted, Submitted::Accepted, Submitted::LaneFull] {
        assert_eq!(scene.submit_as(scene.draft("ana")).await, verdict);
    }
    scene.set_user("ana", UserSettings { waiting_max: Some(3), ..UserSettings::default() }).await;
    for verdict in [Submitted::Accepted, Submitted::LaneFull] {
        assert_eq!(scene.submit_as(scene.draft("ana")).await, verdict);
    }
    assert_eq!(scene.claim("w1", 3).await.len(), 3);
    scene.set_user("ana", UserSettings { waiting_max: Some(0), ..UserSettings::default() }).await;
    let refused = scene.draft("ana");
    let id = refused.task;
    assert_eq!(scene.submit_as(refused).await, Submitted::LaneFull);
    assert!(scene.task("ana", id).await.is_none());
    scene.set_queue(2, QueueSettings::default()).await;
    scene.set_user("ana", UserSettings::default()).await;
    let task = scene.submit("ana").await;
    assert_eq!(scene.state("ana", task).await, TaskState::Queued.name());
}
