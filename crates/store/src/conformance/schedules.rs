//! Scenarios of schedules: each tick is taken once, whoever looks and whatever the clock does.

use tasktonic_core::Name;
use tasktonic_core::command::{Control, NewTask};
use tasktonic_core::limits::{SCHEDULE_BYTES_MAX, SCHEDULES_MAX};
use tasktonic_core::partition::KeptSchedule;
use tasktonic_core::reply::Controlled;
use tasktonic_core::routing::partition_of;
use tasktonic_core::schedule::{Schedule, Tick};
use tasktonic_core::{TaskId, UserId};

use super::scene::Scene;
use crate::{DueSchedules, Query, QueryReply};

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn schedule(version: u64, next_ms: Option<i64>, text: &str) -> Schedule {
    Schedule { version, next_ms, text: text.into() }
}

impl Scene {
    /// Makes, changes or removes a schedule.
    pub async fn put_schedule(
        &self,
        user: &str,
        of: &str,
        seen: Option<u64>,
        becomes: Option<Schedule>,
    ) -> Controlled {
        let user: UserId = user.parse().expect("a user id");
        let p = partition_of(&user, self.store.partitions());
        let control = Control::Schedule { user, name: name(of), seen, becomes };
        self.store.control(p, control).await.expect("the store answers")[0]
    }

    /// Takes a schedule on by a tick.
    pub async fn tick(
        &self,
        user: &str,
        of: &str,
        seen: u64,
        becomes: Schedule,
        task: Option<NewTask>,
    ) -> Controlled {
        let user: UserId = user.parse().expect("a user id");
        let p = partition_of(&user, self.store.partitions());
        let created_ms = self.now_ms();
        let tick = Tick { created_ms, user, name: name(of), seen, becomes, task };
        let control = Control::Tick(Box::new(tick));
        self.store.control(p, control).await.expect("the store answers")[0]
    }

    async fn schedules(&self, user: &str, of: Option<&str>) -> Vec<KeptSchedule> {
        let query = Query::Schedules { user: user.parse().expect("a user id"), name: of.map(name) };
        let QueryReply::Schedules(found) = self.read(user, query).await else {
            panic!("a question is answered in kind")
        };
        found
    }

    /// Those that are due in the partition of `user`, by name.
    async fn due(&self, user: &str) -> Vec<String> {
        let QueryReply::DueSchedules(DueSchedules { now_ms, schedules }) =
            self.read(user, Query::DueSchedules).await
        else {
            panic!("a question is answered in kind")
        };
        assert_eq!(now_ms, self.now_ms(), "by the store's clock");
        schedules.iter().map(|of| of.name.to_string()).collect()
    }

    async fn schedule_in_ms(&self) -> Option<u64> {
        self.sync("looks", Vec::new(), 0, false).await.schedule_in_ms
    }
}

/// A schedule is made, changed and removed by who has seen how it is.
pub async fn a_schedule_is_changed_only_by_who_saw_it_last(scene: Scene) {
    let at = scene.now_ms() + 5_000;
    let first = schedule(7, Some(at), r#"{"a":"é|\"{}"}"#);
    assert_eq!(
        scene.put_schedule("ana", "nightly", Some(7), Some(first.clone())).await,
        Controlled::Absent
    );
    assert_eq!(
        scene.put_schedule("ana", "nightly", None, Some(first.clone())).await,
        Controlled::Done
    );
    let kept = |schedule: &Schedule| KeptSchedule {
        user: "ana".parse().expect("a user id"),
        name: name("nightly"),
        schedule: schedule.clone(),
    };
    assert_eq!(scene.schedules("ana", None).await, [kept(&first)]);
    assert_eq!(
        scene.put_schedule("ana", "nightly", None, Some(first.clone())).await,
        Controlled::Changed
    );
    let second = schedule(9, None, "{}");
    for stale in [None, Some(6), Some(9)] {
        let answer = scene.put_schedule("ana", "nightly", stale, Some(second.clone())).await;
        assert_eq!(answer, Controlled::Changed, "{stale:?}");
    }
    assert_eq!(
        scene.put_schedule("ana", "nightly", Some(7), Some(second.clone())).await,
        Controlled::Done
    );
    assert_eq!(scene.schedules("ana", Some("nightly")).await, [kept(&second)]);
    assert_eq!(scene.schedules("ben", None).await, []);
    assert_eq!(scene.schedules("ana", Some("other")).await, []);
    assert_eq!(scene.put_schedule("ana", "nightly", Some(7), None).await, Controlled::Changed);
    assert_eq!(scene.put_schedule("ana", "nightly", Some(9), None).await, Controlled::Done);
    assert_eq!(scene.put_schedule("ana", "nightly", Some(9), None).await, Controlled::Absent);
    assert_eq!(scene.put_schedule("ana", "nightly", None, None).await, Controlled::Absent);
    assert_eq!(scene.schedules("ana", None).await, []);
    assert_eq!(scene.schedule_in_ms().await, None);
}

/// Everybody is told when the next schedule comes, and which are due, until they went on.
pub async fn a_schedule_is_due_from_its_time_until_it_went_on(scene: Scene) {
    assert_eq!(scene.schedule_in_ms().await, None);
    let now = scene.now_ms();
    let rests = schedule(1, None, "{}");
    assert_eq!(scene.put_schedule("ana", "rests", None, Some(rests)).await, Controlled::Done);
    assert_eq!(scene.schedule_in_ms().await, None);
    for (of, at) in [("later", now + 9_000), ("soon", now + 4_000)] {
        let made = scene.put_schedule("ana", of, None, Some(schedule(1, Some(at), "{}"))).await;
        assert_eq!(made, Controlled::Done);
    }
    assert_eq!(scene.schedule_in_ms().await, Some(4_000));
    assert_eq!(scene.due("ana").await, [""; 0]);
    scene.pass(4_000);
    assert_eq!(scene.schedule_in_ms().await, Some(0));
    assert_eq!(scene.due("ana").await, ["soon"]);
    scene.pass(6_000);
    assert_eq!(scene.due("ana").await, ["soon", "later"]);
    let next = schedule(2, Some(now + 60_000), "{}");
    assert_eq!(scene.tick("ana", "soon", 1, next, None).await, Controlled::Done);
    assert_eq!(scene.due("ana").await, ["later"]);
    assert_eq!(
        scene.tick("ana", "later", 1, schedule(2, None, "{}"), None).await,
        Controlled::Done
    );
    assert_eq!(scene.due("ana").await, [""; 0]);
    assert_eq!(scene.schedule_in_ms().await, Some(50_000));
}

/// Of any number who saw the same tick one takes it, and its task is there with it.
pub async fn a_tick_is_taken_once_and_makes_its_task_in_the_same_step(scene: Scene) {
    let at = scene.now_ms();
    scene.put_schedule("ana", "nightly", None, Some(schedule(1, Some(at), "{}"))).await;
    for round in 1..=20 {
        let mut tasks = Vec::new();
        let looks = (0..8_u64).map(|server| {
            let new = NewTask {
                // Servers would give the same id; that it is another shows whose task it is.
                task: TaskId::new(at + i64::try_from(round).unwrap(), server),
                ..scene.draft("ana")
            };
            tasks.push(new.task);
            let becomes =
                schedule(round * 100 + server, Some(at), &format!(r#"{{"by":{server}}}"#));
            (becomes, new)
        });
        let looks: Vec<_> = looks.collect();
        let seen = scene.schedules("ana", None).await[0].schedule.version;
        let race = looks
            .into_iter()
            .map(|(becomes, new)| scene.tick("ana", "nightly", seen, becomes, Some(new)));
        let answers = futures_util::future::join_all(race).await;
        let won: Vec<_> = (0..8).filter(|at| answers[*at] == Controlled::Done).collect();
        assert_eq!(won.len(), 1, "{answers:?}");
        assert_eq!(answers.iter().filter(|answer| **answer == Controlled::Changed).count(), 7);
        let kept = &scene.schedules("ana", None).await[0].schedule;
        assert_eq!(&*kept.text, format!(r#"{{"by":{}}}"#, won[0]));
        for (server, task) in tasks.into_iter().enumerate() {
            let there = scene.task("ana", task).await.is_some();
            assert_eq!(there, server == won[0], "the task of server {server}");
        }
    }
    assert_eq!(scene.claim("w1", 100).await.len(), 20);
}

/// A second tick with a task that exists goes on and changes nothing about the task.
pub async fn a_tick_whose_task_exists_only_goes_on(scene: Scene) {
    let at = scene.now_ms();
    scene.put_schedule("ana", "nightly", None, Some(schedule(1, Some(at), "{}"))).await;
    let new = scene.draft("ana");
    let next = |version| schedule(version, Some(at), "{}");
    assert_eq!(scene.tick("ana", "nightly", 1, next(2), Some(new.clone())).await, Controlled::Done);
    let held = scene.claim_one("w1").await;
    assert_eq!(scene.tick("ana", "nightly", 2, next(3), Some(new)).await, Controlled::Done);
    assert_eq!(scene.claim("w1", 5).await, []);
    assert_eq!(scene.state("ana", held.lease.task).await, "running");
    assert_eq!(scene.tick("ana", "gone", 3, next(4), None).await, Controlled::Absent);
}

/// Where the line is full nothing is done, so that the tick may be taken later or passed over.
pub async fn a_tick_into_a_full_line_changes_nothing(scene: Scene) {
    let at = scene.now_ms();
    let before = schedule(1, Some(at), "{}");
    scene.put_schedule("ana", "nightly", None, Some(before.clone())).await;
    scene.submit("ana").await;
    let full = NewTask { lane_max: 1, ..scene.draft("ana") };
    let task = full.task;
    let next = schedule(2, Some(at + 60_000), r#"{"n":2}"#);
    let answer = scene.tick("ana", "nightly", 1, next.clone(), Some(full.clone())).await;
    assert_eq!(answer, Controlled::Full);
    assert_eq!(scene.schedules("ana", None).await[0].schedule, before);
    assert_eq!(scene.task("ana", task).await, None);
    assert_eq!(scene.due("ana").await, ["nightly"]);
    scene.claim_one("w1").await;
    assert_eq!(scene.tick("ana", "nightly", 1, next.clone(), Some(full)).await, Controlled::Done);
    assert_eq!(scene.schedules("ana", None).await[0].schedule, next);
    assert_eq!(scene.state("ana", task).await, "queued");
}

/// The clock goes back over a tick, and far ahead: a tick that was taken does not come again.
pub async fn a_clock_that_steps_repeats_no_tick(scene: Scene) {
    let at = scene.now_ms() + 60_000;
    scene.put_schedule("ana", "nightly", None, Some(schedule(1, Some(at), "{}"))).await;
    scene.pass(60_000);
    assert_eq!(scene.due("ana").await, ["nightly"]);
    let next = schedule(2, Some(at + 60_000), "{}");
    let new = scene.draft("ana");
    assert_eq!(scene.tick("ana", "nightly", 1, next, Some(new)).await, Controlled::Done);
    scene.pass(-3_600_000);
    assert_eq!(scene.due("ana").await, [""; 0]);
    assert_eq!(scene.schedule_in_ms().await, Some(3_660_000));
    scene.pass(3_600_000);
    assert_eq!(scene.due("ana").await, [""; 0], "the tick of before is over");
    scene.pass(60_000);
    assert_eq!(scene.due("ana").await, ["nightly"]);
    let held = scene.claim("w1", 5).await;
    assert_eq!(held.len(), 1);
}

/// So many schedules and no more, each of them of so many bytes and no more.
pub async fn a_user_has_so_many_schedules_and_no_more(scene: Scene) {
    let one = || Some(schedule(1, None, "{}"));
    for at in 0..SCHEDULES_MAX {
        assert_eq!(
            scene.put_schedule("ana", &format!("s{at}"), None, one()).await,
            Controlled::Done
        );
    }
    assert_eq!(scene.put_schedule("ana", "more", None, one()).await, Controlled::Full);
    assert_eq!(scene.put_schedule("ben", "more", None, one()).await, Controlled::Done);
    assert_eq!(scene.put_schedule("ana", "s5", Some(1), None).await, Controlled::Done);
    assert_eq!(scene.put_schedule("ana", "more", None, one()).await, Controlled::Done);
    let names: Vec<_> = scene.schedules("ana", None).await;
    assert_eq!(names.len(), SCHEDULES_MAX);
    assert!(names.is_sorted_by(|a, b| a.name < b.name), "by name");
    let user: UserId = "ana".parse().expect("a user id");
    let p = partition_of(&user, scene.store.partitions());
    let long = schedule(2, None, &"x".repeat(SCHEDULE_BYTES_MAX + 1));
    let control =
        Control::Schedule { user, name: name("more"), seen: Some(1), becomes: Some(long) };
    let refused = scene.store.control(p, control).await;
    assert!(matches!(refused, Err(crate::Error::Invalid(_))), "{refused:?}");
}
