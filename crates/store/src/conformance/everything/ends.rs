//! Tasks of a person that were taken by workers: that run, and that have come to every end there is.

use tasktonic_core::command::{Again, Control, Expiry, NewSerial, NewTask, Report, Write};
use tasktonic_core::limits::RATE_PER_MS_MAX;
use tasktonic_core::reply::Controlled;
use tasktonic_core::settings::{Rate, UserSettings};
use tasktonic_core::{Priority, TaskId, Text};

use super::{BULK, KEEP_S, LATER_MS, MAIL, MEDIA, Maker, PACED, WEIGHED};
use crate::Held;

/// When the one expires that nobody takes, in ms: before a lease ends.
const EXPIRES_MS: i64 = 2_000;

impl Maker<'_> {
    /// A task whose worker falls silent, and one that nobody takes in time.
    pub(super) async fn is_left_alone(&self) {
        let at_ms = self.scene.now_ms() + EXPIRES_MS;
        let expires = Some(Expiry { at_ms, keep_s: KEEP_S });
        self.submit(NewTask { expires, ..self.draft(MEDIA) }).await;
        self.started(MAIL).await;
    }

    /// Who has taken over the one that was lost.
    pub(super) fn takes_over(&mut self, adopted: &[Held]) {
        let mine = adopted.iter().filter(|held| held.lease.user == self.person.user);
        let mine: Vec<_> = mine.map(|held| held.lease.clone()).collect();
        assert_eq!(mine.len(), 1, "one was lost");
        self.person.running.extend(mine);
    }

    /// Everything that has to be taken from its queue.
    pub(super) async fn works(&mut self) {
        self.is_limited().await;
        self.ends().await;
        self.comes_back().await;
        self.runs().await;
    }

    async fn set(&self, queue: &str, settings: UserSettings) {
        let (user, queue) = (self.person.user.clone(), queue.parse().unwrap());
        let told = self.ask(Control::User { queue, user, settings }).await;
        assert_eq!(told, [Controlled::Done]);
    }

    async fn is_limited(&self) {
        let usual = UserSettings::default();
        let (running_max, waiting_max) = (Some(50), Some(500));
        self.set(MAIL, UserSettings { running_max, waiting_max, ..usual }).await;
        self.set(WEIGHED, UserSettings { weight: 3, ..usual }).await;
        let rate = Some(Rate { tasks: 1, per_ms: RATE_PER_MS_MAX, burst: 1 });
        self.set(PACED, UserSettings { rate, ..usual }).await;
        let (user, bytes_max) = (self.person.user.clone(), Some(1 << 30));
        assert_eq!(self.ask(Control::Bytes { user, bytes_max }).await, [Controlled::Done]);
    }

    fn error(&self) -> String {
        format!(r#""st":5,"err":{{"code":"broke","message":"{}"}}"#, self.say("error"))
    }

    /// The record of an attempt.
    fn attempt(&self) -> Text {
        let said = self.say("attempt");
        format!(r#"{{"a":1,"o":"failed","err":{{"code":"broke","message":"{said}"}}}}"#).into()
    }

    async fn log(&self, held: &Held) {
        let line = |number| format!(r#"{{"at":{number},"l":"info","x":"{}"}}"#, self.say("log"));
        let lines = (0..3).map(|number| line(number).into()).collect();
        assert!(self.scene.report(&held.lease, Report::Log { lines }).await);
    }

    async fn progress(&self, held: &mut Held) {
        let members = format!(
            r#""st":5,"wk":"host-w1","p":{{"done":1,"total":3,"note":"{}"}}"#,
            self.say("note")
        );
        self.report(held, &members, |write| Report::Progress { write }).await;
    }

    async fn ends(&mut self) {
        // Tried again, with an output in the end.
        let mut held = self.started(MAIL).await;
        self.log(&held).await;
        self.progress(&mut held).await;
        let attempt = self.attempt();
        let fails = |write| Report::Nack { write, again: Again::Now, attempt, keep_s: KEEP_S };
        self.report(&mut held, &self.error(), fails).await;
        let ack = |write: Write| Report::Ack { write, keep_s: KEEP_S };
        let mut held = self.take(MAIL).await;
        self.log(&held).await;
        let output = format!(r#""st":5,"ho":true,"out":{{"is":"{}"}}"#, self.say("output"));
        self.report(&mut held, &output, ack).await;
        // With an output that is a file.
        let mut held = self.started(MAIL).await;
        let output = format!(
            r#""st":5,"ho":true,"fo":true,"out":{{"file":"{}","name":"output.json","type":"application/json","size":9}}"#,
            self.say("file")
        );
        self.report(&mut held, &output, ack).await;
        // Dead letters, one of which is to be sent back.
        for _ in 0..2 {
            let mut held = self.started(MAIL).await;
            self.log(&held).await;
            let bury = |write| Report::Bury { write, keep_s: KEEP_S };
            self.report(&mut held, &self.error(), bury).await;
            self.dead = Some((held.lease.task, held.lease.claim));
        }
        // Stopped as asked.
        let mut held = self.started(MAIL).await;
        assert_eq!(self.cancel(vec![held.lease.task]).await, [Controlled::Asked]);
        let why = format!(r#""st":5,"why":"{}""#, self.say("why"));
        let stopped = |write| Report::Cancelled { write, keep_s: KEEP_S };
        self.report(&mut held, &why, stopped).await;
    }

    /// Cancels with words of this person.
    pub(super) async fn cancel(&self, tasks: Vec<TaskId>) -> Vec<Controlled> {
        let (at_ms, user) = (self.scene.now_ms(), self.person.user.clone());
        let body = format!(r#""why":"{}""#, self.say("why")).into();
        self.ask(Control::Cancel { at_ms, user, tasks, body, keep_s: KEEP_S }).await
    }

    /// Tasks that were taken and wait again.
    async fn comes_back(&self) {
        let due_ms = self.scene.now_ms() + LATER_MS;
        let mut held = self.started(MAIL).await;
        let attempt = self.attempt();
        let snooze = |write| Report::Snooze { write, due_ms, attempt };
        self.report(&mut held, r#""st":5"#, snooze).await;
        let mut held = self.started(MAIL).await;
        let (again, attempt) = (Again::At(due_ms), self.attempt());
        let fails = |write| Report::Nack { write, again, attempt, keep_s: KEEP_S };
        self.report(&mut held, &self.error(), fails).await;
    }

    /// Tasks that run, and those that wait for that.
    async fn runs(&mut self) {
        let mut held = self.started(MAIL).await;
        let attempt = Some(self.attempt());
        self.report(&mut held, r#""st":5"#, |write| Report::Release { write, attempt }).await;
        let again = self.take(MAIL).await;
        assert_eq!(again.lease.task, held.lease.task, "given back, it goes first");
        self.person.running.push(again.lease);

        let mut held = self.started(MAIL).await;
        self.log(&held).await;
        self.progress(&mut held).await;
        assert_eq!(self.cancel(vec![held.lease.task]).await, [Controlled::Asked]);
        self.person.asked.push(held.lease);

        self.person.running.push(self.started(MEDIA).await.lease);

        // The second may not start for a day.
        self.submit(self.draft(PACED)).await;
        self.submit(NewTask { priority: Priority::High, ..self.draft(PACED) }).await;
        self.person.running.push(self.take(PACED).await.lease);
        self.gets_nothing_of(PACED).await;

        // An operation on many tasks.
        let mut held = self.started(BULK).await;
        self.progress(&mut held).await;
        self.person.running.push(held.lease);

        // A line of a serial key, in which the first has its turn.
        let serial = Some(NewSerial { key: self.person.serial, stops_running: false });
        self.submit(NewTask { serial, ..self.draft(MAIL) }).await;
        self.person.running.push(self.take(MAIL).await.lease);
        for _ in 0..2 {
            self.submit(NewTask { serial, ..self.draft(MAIL) }).await;
        }
        let due_ms = Some(self.scene.now_ms() + LATER_MS);
        self.submit(NewTask { serial, due_ms, ..self.draft(MAIL) }).await;
    }

    /// Pauses a queue for this person alone.
    pub(super) async fn is_stopped_in(&self, queue: &str) {
        self.set(queue, UserSettings { paused: true, ..UserSettings::default() }).await;
    }
}
