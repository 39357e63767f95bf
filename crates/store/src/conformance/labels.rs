//! A queue whose name ends with labels is one of its own, to every verb that names it.

use tasktonic_core::command::{Claim, Sync};
use tasktonic_core::reply::Submitted;
use tasktonic_core::routing::{PartitionId, partition_of};
use tasktonic_core::{Labels, Name, TaskId};

use super::lists::heard;
use super::scene::{MAIL, Scene, ack};
use crate::{Held, Wake};

/// The queue for mail that needs these labels.
fn mail(labels: &[&str]) -> Name {
    let plain: Name = MAIL.parse().unwrap();
    plain.with_labels(&Labels::new(labels).unwrap())
}

impl Scene {
    async fn submit_to(&self, queue: &Name) -> TaskId {
        let mut new = self.draft("ana");
        new.queue = queue.clone();
        new.descriptor = format!(r#"{{"k":"mail","q":"{queue}","at":1,"max":2,"p":{{}}}}"#).into();
        let task = new.task;
        assert_eq!(self.submit_as(new).await, Submitted::Accepted);
        task
    }

    /// Claims from one queue where the user of these scenarios is, and parks if there is nothing.
    async fn claim_in(&self, queue: &Name) -> Vec<Held> {
        let request = Sync {
            worker: "w1".parse().unwrap(),
            call: u64::try_from(self.now_ms()).unwrap(),
            lease_ms: 10_000,
            ops: Vec::new(),
            claim: Some(Claim::new(vec![queue.clone()], 10)),
            woken: Vec::new(),
            park: true,
        };
        // Each call has a name of its own.
        self.pass(1);
        self.store.sync(self.of_ana(), request).await.unwrap().claimed
    }

    fn of_ana(&self) -> PartitionId {
        partition_of(&"ana".parse().unwrap(), self.store.partitions())
    }
}

/// A task that needs labels is handed to who names all of them, is woken for by that name, and comes
/// back to the same line.
pub async fn a_task_that_needs_labels_waits_where_only_their_workers_look(scene: Scene) {
    let queue = mail(&["gpu", "eu"]);
    assert_eq!(queue.as_str(), "mail+eu+gpu");
    let task = scene.submit_to(&queue).await;
    let plain = scene.submit("ana").await;
    for other in [mail(&["eu"]), mail(&["gpu"]), mail(&["eu", "gpu", "big"])] {
        assert!(scene.claim_in(&other).await.is_empty(), "{other}");
    }
    let claimed = scene.claim_in(&mail(&[])).await;
    assert_eq!(claimed.iter().map(|held| held.lease.task).collect::<Vec<_>>(), [plain]);
    let held = scene.claim_in(&queue).await.remove(0);
    assert_eq!((&held.lease.queue, held.lease.task), (&queue, task));
    assert_eq!(held.lease.to_string().parse(), Ok(held.lease.clone()));
    // Lost with its worker, it is settled under the same name.
    let adopted = scene.outlive("w2").await;
    let lost = adopted.iter().find(|held| held.lease.task == task).unwrap();
    assert_eq!(lost.lease.queue, queue);
    assert!(scene.report(&lost.lease, ack(lost.n + 1)).await);
    assert_eq!(scene.state("ana", task).await, "completed");

    let mut wakes = scene.store.wakes(&"w1".parse().unwrap());
    loop {
        assert!(scene.claim_in(&queue).await.is_empty());
        scene.submit_to(&queue).await;
        match heard(&mut wakes).await {
            Wake::Work(p, woken) => return assert_eq!((p, woken), (scene.of_ana(), queue)),
            // It may have been missed: look, and park again.
            Wake::Lagged => drop(scene.claim_in(&queue).await),
            Wake::Cancel(lease) => panic!("{lease} is not to be cancelled"),
        }
    }
}
