//! What of a person waits: tasks in every place, with keys, in flows and batches, under schedules;
//! and what of it was changed, removed, paused.

use tasktonic_core::command::{
    After, Claim, Control, Expiry, Gathers, Idempotency, KeyMode, MoveTo, NewTask, Node, Purge,
    Redrive, Replaced, Rewrite, Sync,
};
use tasktonic_core::limits::LEASE_MS_DEFAULT;
use tasktonic_core::links::OnFailure;
use tasktonic_core::reply::Controlled;
use tasktonic_core::schedule::{Schedule, Tick};
use tasktonic_core::settings::By;
use tasktonic_core::{Priority, TaskId, Text};

use super::{KEEP_S, LATER_MS, MAIL, MEDIA, Maker, WEIGHED};

/// Parts of a flow that is too long to be stopped by one call.
const PARTS: usize = 100;
/// Of these flows.
const FLOWS: usize = 3;
/// Calls in which all their ends are told; there are far fewer.
const CALLS_MAX: u32 = 100;

impl Maker<'_> {
    /// Everything that waits, or has ended without ever being taken.
    pub(super) async fn waits(&mut self) {
        self.stands_in_line().await;
        self.has_keys().await;
        self.is_changed().await;
        self.has_flows().await;
        self.has_schedules().await;
        self.is_paused().await;
    }

    async fn stands_in_line(&self) {
        for priority in [Priority::Normal, Priority::High, Priority::Low, Priority::Normal] {
            self.submit(NewTask { priority, ..self.draft(MAIL) }).await;
        }
        let later_ms = self.scene.now_ms() + LATER_MS;
        self.submit(NewTask { due_ms: Some(later_ms), ..self.draft(MAIL) }).await;
        let expires = Some(Expiry { at_ms: later_ms, keep_s: KEEP_S });
        self.submit(NewTask { expires, ..self.draft(MAIL) }).await;
    }

    fn keyed(&self, key: &str, mode: KeyMode) -> (Text, NewTask) {
        let key = Text::from(self.say(key));
        let idempotency = Idempotency { key: key.clone(), body_hash: 7, ttl_ms: LATER_MS, mode };
        (key, NewTask { idempotency: Some(idempotency), ..self.draft(MAIL) })
    }

    async fn has_keys(&mut self) {
        use KeyMode::{Throttle, Ttl, Unique, UntilDone, UntilStarted};
        let modes = [Ttl, UntilDone, UntilStarted, Unique, Throttle];
        for (at, mode) in modes.into_iter().enumerate() {
            let (key, new) = self.keyed(&format!("key-{at}"), mode);
            self.person.keys.push((key, self.submit(new).await));
        }
        let mut last = None;
        for _ in 0..2 {
            let body = format!(r#""why":"{}""#, self.say("why")).into();
            let mode = KeyMode::Replace(Replaced { body, keep_s: KEEP_S });
            let (key, new) = self.keyed("key-replaced", mode);
            last = Some((key, self.submit(new).await));
        }
        self.person.keys.extend(last);
        // One that is gone with its task.
        let (key, new) = self.keyed("key-purged", Ttl);
        let task = self.submit(new).await;
        assert_eq!(self.cancel(vec![task]).await, [Controlled::Done]);
        let (at_ms, user) = (self.scene.now_ms(), self.person.user.clone());
        let tasks = vec![Purge { task, claim: 1, key: Some(key) }];
        assert_eq!(self.ask(Control::Purge { at_ms, user, tasks }).await, [Controlled::Done]);
        self.person.purged.push(task);
    }

    async fn is_changed(&self) {
        let cancelled = self.submit(self.draft(MAIL)).await;
        assert_eq!(self.cancel(vec![cancelled]).await, [Controlled::Done]);
        let edited = self.submit(self.draft(MAIL)).await;
        let other = self.descriptor(MAIL, "edited");
        let told = self.scene.edit(&self.who, edited, (1, 0), &other).await;
        assert_eq!(told, Controlled::Done);
        let moved = self.submit(self.draft(MAIL)).await;
        let told = self.scene.reschedule(&self.who, moved, 1, MoveTo::Front).await;
        assert_eq!(told, Controlled::Done);

        let (task, claim) = self.dead.expect("one was buried");
        let (at_ms, user) = (self.scene.now_ms(), self.person.user.clone());
        let descriptor = self.descriptor(MAIL, "corrected");
        let event = Text::from(format!(r#""told":"{}""#, self.say("event")));
        let change = Some(Rewrite { descriptor, bytes_max: u64::MAX, event });
        let attempt = Text::from(format!(r#"{{"a":1,"why":"{}"}}"#, self.say("attempt")));
        let again = Redrive { change, ..Redrive::new(task, claim, Some(attempt)) };
        let redrive = Control::Redrive { at_ms, user, tasks: vec![again] };
        assert_eq!(self.ask(redrive).await, [Controlled::Done]);
    }

    fn node(&self, queue: &str, part_of: Option<TaskId>, after: &[(TaskId, OnFailure)]) -> Node {
        let after =
            after.iter().map(|(task, on_failure)| After { task: *task, on_failure: *on_failure });
        let after = after.collect();
        Node { new: self.draft(queue), part_of, gathers: None, after }
    }

    fn root(&self, queue: &str, gathers: Gathers) -> Node {
        Node { gathers: Some(gathers), ..self.node(queue, None, &[]) }
    }

    async fn flow(&self, nodes: Vec<Node>) {
        let count = nodes.len();
        let (at_ms, user) = (self.scene.now_ms(), self.person.user.clone());
        let told = self.ask(Control::Flow { at_ms, user, nodes }).await;
        assert_eq!(told, vec![Controlled::Done; count]);
    }

    async fn has_flows(&self) {
        let root = self.root(MAIL, Gathers::Flow);
        let part = |after: &[_]| self.node(MAIL, Some(root.new.task), after);
        let first = part(&[]);
        let second = part(&[(first.new.task, OnFailure::Fail)]);
        let (one, two) = (first.new.task, second.new.task);
        let third = part(&[(one, OnFailure::Ignore), (two, OnFailure::Continue)]);
        self.flow(vec![root, first, second, third]).await;
        // Behind one that is no part of anything.
        let older = self.submit(self.draft(MAIL)).await;
        self.flow(vec![self.node(MAIL, None, &[(older, OnFailure::Fail)])]).await;
        // One batch may still grow, the other is whole.
        for (runs, is_sealed) in [(true, false), (false, true)] {
            let batch = self.root(MAIL, Gathers::Batch { runs });
            let task = batch.new.task;
            let parts = (0..2).map(|_| self.node(MAIL, Some(task), &[]));
            self.flow(std::iter::once(batch).chain(parts).collect()).await;
            if is_sealed {
                let (at_ms, user) = (self.scene.now_ms(), self.person.user.clone());
                assert_eq!(self.ask(Control::Seal { at_ms, user, task }).await, [Controlled::Done]);
            }
        }
    }

    fn schedule(&self, version: u64, next_ms: Option<i64>) -> Schedule {
        let text = format!(r#"{{"every":"{}"}}"#, self.say("plan")).into();
        Schedule { version, next_ms, text }
    }

    async fn has_schedules(&self) {
        let (user, now_ms) = (&self.person.user, self.scene.now_ms());
        for (what, next_ms) in
            [("daily", Some(now_ms + LATER_MS)), ("rests", None), ("ticks", Some(now_ms))]
        {
            let (name, becomes) = (self.say(what).parse().unwrap(), self.schedule(5, next_ms));
            let (user, seen, becomes) = (user.clone(), None, Some(becomes));
            let told = self.ask(Control::Schedule { user, name, seen, becomes }).await;
            assert_eq!(told, [Controlled::Done]);
        }
        let tick = Tick {
            created_ms: now_ms,
            user: user.clone(),
            name: self.say("ticks").parse().unwrap(),
            seen: 5,
            becomes: self.schedule(6, Some(now_ms + LATER_MS)),
            task: Some(self.draft(MAIL)),
        };
        assert_eq!(self.ask(Control::Tick(Box::new(tick))).await, [Controlled::Done]);
    }

    /// Paused by both who may, with work that was found to be so at its turn.
    async fn is_paused(&mut self) {
        // Of its turn there are more to come; the others do not take part any more.
        for _ in 0..3 {
            self.submit(self.draft(WEIGHED)).await;
        }
        self.person.running.push(self.take(WEIGHED).await.lease);
        self.submit(self.draft(MEDIA)).await;
        self.is_stopped_in(MEDIA).await;
        self.gets_nothing_of(MEDIA).await;
        for by in [By::Owner, By::Operator] {
            let user = self.person.user.clone();
            let told = self.ask(Control::Pause { user, by, paused: true }).await;
            assert_eq!(told, [Controlled::Done]);
        }
        self.gets_nothing_of(MAIL).await;
    }

    pub(super) async fn gets_nothing_of(&self, queue: &str) {
        let claim = Claim::new(vec![queue.parse().unwrap()], 5);
        assert_eq!(self.scene.claim_from(self.p, claim).await, Vec::new(), "{queue}");
    }

    /// Flows that are stopped with more parts than one call stops, so that there are ends which
    /// nobody has been told of.
    pub(super) async fn stops_flows(&self) {
        let mut roots = Vec::new();
        for _ in 0..FLOWS {
            let root = self.root(MEDIA, Gathers::Flow);
            let task = root.new.task;
            let first = self.node(MEDIA, Some(task), &[]);
            let tie = [(first.new.task, OnFailure::Fail)];
            let others = (1..PARTS).map(|_| self.node(MEDIA, Some(task), &tie));
            self.flow([root, first].into_iter().chain(others).collect()).await;
            roots.push(task);
        }
        assert_eq!(self.cancel(roots).await, [Controlled::Done; FLOWS]);
    }

    /// Lets the partition go on until everybody there has been told of every end.
    pub(super) async fn comes_to_rest(&self) {
        for _ in 0..CALLS_MAX {
            let request = Sync {
                worker: "w1".parse().unwrap(),
                call: self.scene.number(),
                lease_ms: LEASE_MS_DEFAULT,
                ops: Vec::new(),
                claim: Some(Claim::new(vec!["none".parse().unwrap()], 1)),
                woken: Vec::new(),
                park: false,
            };
            let reply = self.scene.store.sync(self.p, request).await.unwrap();
            assert_eq!((reply.claimed, reply.adopted), (Vec::new(), Vec::new()));
            if reply.next_in_ms != Some(0) {
                return;
            }
        }
        panic!("it never comes to rest");
    }
}
