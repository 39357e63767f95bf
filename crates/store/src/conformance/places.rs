//! Tasks that take several places of a worker.

use tasktonic_core::Name;
use tasktonic_core::command::{Claim, Control, NewTask, Sync};
use tasktonic_core::reply::Submitted;
use tasktonic_core::routing::{PartitionId, partition_of};
use tasktonic_core::settings::{By, QueueSettings, Turns, UserSettings};
use tasktonic_core::{Priority, TaskId};

use super::lists::heard;
use super::scene::{Scene, ack};
use crate::{SyncReply, Wake};

fn name(queue: &str) -> Name {
    queue.parse().expect("a name")
}

impl Scene {
    /// Submits to a queue where the user of these scenarios is, unless it is another user's.
    async fn submit_in(&self, queue: &str, user: &str, priority: Priority) -> TaskId {
        let new = NewTask { queue: name(queue), priority, ..self.draft(user) };
        let task = new.task;
        assert_eq!(self.submit_as(new).await, Submitted::Accepted);
        task
    }

    /// Claims where ana is, from queues each with what its tasks take, and parks if there is nothing.
    async fn claim_sized(&self, worker: &str, queues: &[(&str, u32)], limit: u32) -> SyncReply {
        let (queues, places) = queues.iter().map(|(queue, takes)| (name(queue), *takes)).unzip();
        let request = Sync {
            worker: worker.parse().unwrap(),
            call: u64::try_from(self.now_ms()).unwrap(),
            lease_ms: 10_000,
            ops: Vec::new(),
            claim: Some(Claim { queues, limit, places }),
            woken: Vec::new(),
            park: true,
        };
        // Each call has a name of its own.
        self.pass(1);
        self.store.sync(self.of_first(), request).await.unwrap()
    }

    fn of_first(&self) -> PartitionId {
        partition_of(&"ana".parse().unwrap(), self.store.partitions())
    }

    /// Somebody else whose tasks are where ana's are.
    fn beside_ana(&self, count: usize) -> Vec<String> {
        let users = (0..).map(|number| format!("user-{number}"));
        let here = |user: &String| {
            partition_of(&user.parse().unwrap(), self.store.partitions()) == self.of_first()
        };
        users.filter(here).take(count).collect()
    }
}

fn queues(reply: &SyncReply) -> Vec<&str> {
    reply.claimed.iter().map(|held| held.lease.queue.as_str()).collect()
}

fn stopped(reply: &SyncReply) -> Option<&str> {
    reply.stopped_at.as_ref().map(Name::as_str)
}

/// A claim takes what fits in its order, stops at the first that does not, and holds nothing for it; a
/// queue that had its turn leaves the rest to the others.
pub async fn a_claim_takes_no_more_places_than_there_are_and_stops_at_what_does_not_fit(
    scene: Scene,
) {
    for user in scene.beside_ana(3) {
        scene.submit_in("small", &user, Priority::Normal).await;
        scene.submit_in("other", &user, Priority::Normal).await;
    }
    let large = scene.submit_in("large", "ana", Priority::Normal).await;
    let all = [("small", 1), ("large", 4), ("other", 1)];
    let reply = scene.claim_sized("w1", &all, 6).await;
    assert_eq!((queues(&reply), stopped(&reply)), (vec!["small"; 3], Some("large")));
    for limit in 1..4 {
        let reply = scene.claim_sized("w1", &all, limit).await;
        assert_eq!((queues(&reply), stopped(&reply), reply.more), (vec![], Some("large"), 0));
    }
    assert_eq!(scene.state("ana", large).await, "queued");
    scene.submit_in("large", "ana", Priority::Normal).await;
    let reply = scene.claim_sized("w2", &all[1..], 7).await;
    assert_eq!((queues(&reply), stopped(&reply)), (vec!["large", "other", "other", "other"], None));
    assert_eq!(reply.claimed[0].lease.task, large);
    // Ends and what is claimed in their place.
    assert!(scene.report(&reply.claimed[0].lease, ack(reply.claimed[0].n + 1)).await);
    let reply = scene.claim_sized("w2", &all, 4).await;
    assert_eq!((queues(&reply), stopped(&reply)), (vec!["large"], None));
    let reply = scene.claim_sized("w2", &all, 4).await;
    assert_eq!((queues(&reply), stopped(&reply)), (vec![], None));
}

/// Nobody saves up for who may not start: paused, at a limit, or with nothing but what was cancelled.
pub async fn nobody_is_stopped_for_who_may_not_start(scene: Scene) {
    let users = scene.beside_ana(12);
    let mut version = 0;
    for turns in [Turns::Count, Turns::RunTime] {
        let plain = QueueSettings { turns, ..QueueSettings::default() };
        let mut set = async |settings| {
            version += 1;
            scene.set_queue(version, settings).await;
        };
        set(plain).await;
        let stops = async || {
            let reply = scene.claim_sized("w1", &[("mail", 3)], 2).await;
            assert_eq!(queues(&reply), Vec::<&str>::new());
            reply.stopped_at.is_some()
        };
        for (user, priority) in users.iter().zip(Priority::ALL.into_iter().cycle()) {
            let task = scene.submit_in("mail", user, priority).await;
            scene.cancel(user, task).await;
        }
        assert!(!stops().await, "only what was cancelled");
        let task = scene.submit_in("mail", "ana", Priority::Low).await;
        assert!(stops().await && stops().await);
        let pause = async |paused| {
            let (user, by) = ("ana".parse().unwrap(), By::Operator);
            let control = Control::Pause { user, by, paused };
            scene.store.control(scene.of_first(), control).await.unwrap();
        };
        pause(true).await;
        assert!(!stops().await);
        pause(false).await;
        assert!(stops().await);
        set(QueueSettings { paused: true, ..plain }).await;
        assert!(!stops().await);
        set(plain).await;
        let user = async |settings| {
            let (queue, user) = (name("mail"), "ana".parse().unwrap());
            let control = Control::User { queue, user, settings };
            scene.store.control(scene.of_first(), control).await.unwrap();
        };
        user(UserSettings { weight: 3, running_max: Some(1), ..UserSettings::default() }).await;
        assert!(stops().await);
        let reply = scene.claim_sized("w1", &[("mail", 3)], 9).await;
        assert_eq!(reply.claimed[0].lease.task, task);
        scene.submit_in("mail", "ana", Priority::High).await;
        assert!(!stops().await, "as many of theirs run as may");
        assert!(scene.report(&reply.claimed[0].lease, ack(reply.claimed[0].n + 1)).await);
        assert!(stops().await);
        user(UserSettings::default()).await;
        let reply = scene.claim_sized("w1", &[("mail", 3)], 3).await;
        assert_eq!(queues(&reply), ["mail"]);
        assert!(scene.report(&reply.claimed[0].lease, ack(reply.claimed[0].n + 1)).await);
    }
}

/// Who was stopped looks again by itself: a wake is for another one.
pub async fn who_is_stopped_is_not_parked(scene: Scene) {
    let large = [("large", 4)];
    let mut wakes = scene.store.wakes(&"w2".parse().unwrap());
    loop {
        assert_eq!(stopped(&scene.claim_sized("w1", &large, 3).await), None);
        let task = scene.submit_in("large", "ana", Priority::Normal).await;
        // Whom the wake was for is stopped by it; it is told to the one who came to be idle later.
        assert_eq!(stopped(&scene.claim_sized("w1", &large, 3).await), Some("large"));
        let reply = scene.claim_sized("w2", &large, 4).await;
        assert_eq!(reply.claimed[0].lease.task, task);
        assert_eq!(scene.claim_sized("w2", &large, 4).await.claimed, []);
        scene.submit_in("large", "ana", Priority::Normal).await;
        match heard(&mut wakes).await {
            Wake::Work(p, queue) => {
                return assert_eq!((p, queue), (scene.of_first(), name("large")));
            }
            Wake::Lagged => drop(scene.claim_sized("w2", &large, 4).await),
            Wake::Cancel(lease) => panic!("{lease} is not to be cancelled"),
        }
    }
}

/// What a claim says of places is looked at at the door.
pub async fn places_that_cannot_be_are_refused(scene: Scene) {
    let claim = |queues: Vec<Name>, places: Vec<u32>, limit| Claim { queues, limit, places };
    let one = || vec![name("mail")];
    for (claim, fits) in [
        (claim(one(), vec![4], 1_024), true),
        (claim(one(), vec![4], 1_025), false),
        (claim(one(), vec![0], 4), false),
        (claim(one(), vec![1_025], 4), false),
        (claim(one(), vec![4, 4], 4), false),
        (claim(vec![name("mail"), name("b")], vec![4], 4), false),
    ] {
        let request = Sync {
            worker: "w1".parse().unwrap(),
            call: 1,
            lease_ms: 10_000,
            ops: Vec::new(),
            claim: Some(claim.clone()),
            woken: Vec::new(),
            park: false,
        };
        let answer = scene.store.sync(scene.of_first(), request).await;
        assert_eq!(answer.is_ok(), fits, "{claim:?}: {answer:?}");
    }
}
