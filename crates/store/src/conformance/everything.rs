//! People of whom a store keeps everything that it can keep of anybody, and all that can be read of
//! one of them: for tests of what becomes of the whole of it. Never knows which store it is.

mod ends;
mod waits;
mod whole;

use tasktonic_core::command::{Claim, Control, NewTask, Op, Report, Write};
use tasktonic_core::reply::{Controlled, Submitted};
use tasktonic_core::routing::PartitionId;
use tasktonic_core::settings::{QueueSettings, Turns};
use tasktonic_core::{Lease, TaskId, Text, UserId};

use super::scene::{MAIL, Scene};
use crate::Held;

pub use whole::{OfTask, Whole, whole};

/// Where turns are by run time.
const MEDIA: &str = "media";
/// Where a turn of theirs is several tasks.
const WEIGHED: &str = "weighed";
/// Where one task of theirs starts in a day.
const PACED: &str = "paced";
/// Where operations on many tasks wait.
const BULK: &str = "tasktonic.bulk";
/// How long everything is kept that ends, in seconds; no test takes that long.
const KEEP_S: u32 = 36_000;
/// What lies ahead is so far off, in ms.
const LATER_MS: i64 = 3_600_000;

/// Of whom there is everything.
#[derive(Debug, Clone)]
pub struct Person {
    /// Who.
    pub user: UserId,
    /// What every text of theirs begins with, and nobody else's: payloads, tags, keys, logs, notes,
    /// outputs, errors, names of schedules.
    pub mark: String,
    /// The serial key of some of their tasks.
    pub serial: u128,
    /// Who holds which of their tasks.
    pub running: Vec<Lease>,
    /// Who holds one and is asked to stop.
    pub asked: Vec<Lease>,
    /// Idempotency keys, each with the task that it stands for.
    pub keys: Vec<(Text, TaskId)>,
    /// Tasks that were removed with all that was kept of them.
    pub purged: Vec<TaskId>,
}

impl Person {
    /// Texts of which none may be left where nothing of this person is, who had all this.
    #[must_use]
    pub fn traces(&self, whole: &Whole) -> Vec<String> {
        let mut traces =
            vec![self.user.to_string(), self.mark.clone(), format!("{:032x}", self.serial)];
        traces.extend(whole.tasks.keys().chain(&self.purged).map(TaskId::to_string));
        traces
    }
}

/// Makes everything there can be of each of these people, of whom the store knows nothing yet: user
/// and mark. Takes a while of the scene's time in the beginning and none afterwards, so that leases
/// last. Only of the last one there are flows that are still being stopped: what the others have stays
/// as it is, whatever is done about the last.
///
/// # Panics
/// When the store does not do what every store does.
pub async fn everything(scene: &Scene, people: &[(&str, &str)]) -> Vec<Person> {
    let timed = QueueSettings { turns: Turns::RunTime, ..QueueSettings::default() };
    for p in (0..scene.store.partitions()).map(PartitionId) {
        let queues = vec![(MEDIA.parse().unwrap(), timed)];
        let told = scene.store.control(p, Control::Queues { version: 1, queues }).await;
        assert_eq!(told, Ok(vec![Controlled::Done]));
    }
    let mut makers: Vec<Maker<'_>> =
        people.iter().map(|(user, mark)| Maker::of(scene, user, mark)).collect();
    for one in &makers {
        one.is_left_alone().await;
    }
    let adopted = scene.outlive("w1").await;
    // One thing after the other for all of them: what one has to wait for is nobody else's to take.
    for one in &mut makers {
        one.takes_over(&adopted);
        one.works().await;
    }
    for one in &mut makers {
        one.waits().await;
    }
    for (number, one) in (1..).zip(&makers) {
        one.stops_flows().await;
        if number < makers.len() {
            one.comes_to_rest().await;
        }
    }
    makers.into_iter().map(|one| one.person).collect()
}

/// Makes everything of one of them.
struct Maker<'a> {
    scene: &'a Scene,
    /// The user's name.
    who: String,
    /// The partition of the user.
    p: PartitionId,
    person: Person,
    /// A dead letter, and the claim that ended it.
    dead: Option<(TaskId, u32)>,
}

impl<'a> Maker<'a> {
    fn of(scene: &'a Scene, who: &str, mark: &str) -> Self {
        let user: UserId = who.parse().unwrap();
        let fold = |number: u128, byte| number.wrapping_mul(0x0100_0000_01b3) ^ u128::from(byte);
        let person = Person {
            user,
            mark: mark.to_owned(),
            serial: mark.bytes().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d, fold),
            running: Vec::new(),
            asked: Vec::new(),
            keys: Vec::new(),
            purged: Vec::new(),
        };
        let p = scene.partition(who);
        Self { scene, who: who.to_owned(), p, person, dead: None }
    }

    /// A text of this person.
    fn say(&self, what: &str) -> String {
        format!("{}-{what}", self.person.mark)
    }

    fn descriptor(&self, queue: &str, payload: &str) -> Text {
        let (at, tag, payload) = (self.scene.now_ms(), self.say("tag"), self.say(payload));
        let text = format!(
            r#"{{"v":1,"k":"{queue}","q":"{queue}","at":{at},"max":3,"tags":["{tag}"],"p":{{"text":"{payload}"}}}}"#
        );
        text.into()
    }

    /// A task that is not yet submitted.
    fn draft(&self, queue: &str) -> NewTask {
        let number = self.scene.number();
        let event = format!(r#""k":"{queue}","told":"{}""#, self.say("event"));
        NewTask {
            event: event.into(),
            ..NewTask::new(
                self.person.user.clone(),
                TaskId::new(self.scene.now_ms(), number),
                queue.parse().unwrap(),
                self.descriptor(queue, &format!("payload-{number}")),
            )
        }
    }

    async fn submit(&self, new: NewTask) -> TaskId {
        let task = new.task;
        assert_eq!(self.scene.submit_as(new).await, Submitted::Accepted);
        task
    }

    /// Takes a task of this person: there is no other that may start in the queue.
    async fn take(&self, queue: &str) -> Held {
        let claim = Claim::new(vec![queue.parse().unwrap()], 1);
        let mut held = self.scene.claim_from(self.p, claim).await;
        assert_eq!(held.len(), 1, "one may start in {queue}");
        assert_eq!(held[0].lease.user, self.person.user);
        held.remove(0)
    }

    /// Submits a task and takes it.
    async fn started(&self, queue: &str) -> Held {
        let task = self.submit(self.draft(queue)).await;
        let held = self.take(queue).await;
        assert_eq!(held.lease.task, task);
        held
    }

    /// What its holder says of a task, with these members of its state.
    async fn report(&self, held: &mut Held, members: &str, of: impl FnOnce(Write) -> Report) {
        held.n += 1;
        let write = Write { n: held.n, body: members.into(), event: None };
        let op = Op { lease: held.lease.clone(), report: of(write) };
        let reply = self.scene.sync("reporter", vec![op], 0, false).await;
        assert_eq!(reply.refused, Vec::<u32>::new(), "{:?}", held.lease);
    }

    /// What a person or a program asks for; answered for each task.
    async fn ask(&self, control: Control) -> Vec<Controlled> {
        self.scene.store.control(self.p, control).await.unwrap()
    }
}
