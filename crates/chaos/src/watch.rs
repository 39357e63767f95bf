//! The eyes of a user: a socket that is opened again whenever it breaks, with the last cursor. What
//! it hears goes into the history as a client would take it: what is not newer is dropped, a hole
//! is asked about.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tasktonic_client::{Client, Result};
use tasktonic_protocol::frames::{ClientFrame, Event, RECENT_MAX, ServerFrame, V, Watch};
use tasktonic_protocol::status::TaskStatus;
use tasktonic_protocol::task::{Patch, Task};
use tasktonic_protocol::time::parse_rfc3339;
use tokio_util::sync::CancellationToken;

use crate::attempt::fence_of;
use crate::board::Board;
use crate::history::{Facts, Line, Op, Phase, Recorder};

/// The pause before a broken socket is opened again.
const AGAIN_AFTER: Duration = Duration::from_millis(150);

/// What a reset says that nobody asked for but the observer itself.
pub(crate) const FORGOT: &str = "the observer let go of its cursor";

/// One user's observer.
pub(crate) struct Observer {
    user: String,
    clients: Vec<Client>,
    recorder: Recorder,
    board: Arc<Board>,
    cursor: Option<String>,
    at: Option<(u32, u64)>,
    revs: Known,
    tried: usize,
    opened: usize,
}

/// When the store wrote it.
fn stamp(updated_at: &str) -> Facts {
    Facts { at_ms: parse_rfc3339(updated_at), ..Facts::default() }
}

/// The newest epoch and rev that an observer has heard of each task.
pub(crate) type Known = Arc<Mutex<HashMap<String, (u32, u64)>>>;

impl Observer {
    /// One that listens to the servers in turn, of the user with this number.
    pub(crate) fn new(
        number: usize,
        user: String,
        clients: Vec<Client>,
        recorder: Recorder,
        board: Arc<Board>,
    ) -> Self {
        let (cursor, at, revs) = (None, None, Known::default());
        Self { user, clients, recorder, board, cursor, at, revs, tried: 0, opened: number }
    }

    /// What it knows, for who waits until it knows enough.
    pub(crate) fn known(&self) -> Known {
        self.revs.clone()
    }

    fn learn(&self, task: &str, epoch: u32, rev: u64) -> bool {
        let mut revs = self.revs.lock().unwrap_or_else(PoisonError::into_inner);
        let is_newer = revs.get(task).is_none_or(|known| *known < (epoch, rev));
        if is_newer {
            revs.insert(task.to_owned(), (epoch, rev));
        }
        is_newer
    }

    /// Listens until `over`.
    pub(crate) async fn listen(mut self, over: CancellationToken) {
        while !over.is_cancelled() {
            tokio::select! {
                () = over.cancelled() => return,
                // A line that breaks is what a run is about.
                _ = self.listen_once() => {}
            }
            tokio::time::sleep(AGAIN_AFTER).await;
        }
    }

    async fn listen_once(&mut self) -> Result<()> {
        let place = self.tried % self.clients.len();
        self.tried += 1;
        let mut socket = self.clients[place].clone().socket().await?;
        self.opened += 1;
        // Every third time it comes as one who was never there; not all observers at the same time,
        // which is why they begin to count at different numbers. Only once there is a socket: a
        // server that is away for long must not cost it every cursor.
        if self.opened.is_multiple_of(3) && self.cursor.take().is_some() {
            self.at = None;
            self.say(Line { status: Some(FORGOT.into()), ..self.line(Op::Reset) });
        }
        socket.say(&self.hello()).await?;
        let status = if self.cursor.is_some() { "resumed" } else { "fresh" };
        self.say(Line { status: Some(status.into()), ..self.line(Op::Hello) });
        while let Some(frame) = socket.hear().await? {
            if !self.hear(frame) {
                socket.say(&self.hello()).await?;
            }
        }
        Ok(())
    }

    fn hello(&self) -> ClientFrame {
        let watch = Watch { recent: RECENT_MAX, ..Watch::default() };
        ClientFrame::Hello { v: V, cursor: self.cursor.clone(), watch }
    }

    /// Takes one frame; false when a hole was seen.
    fn hear(&mut self, frame: ServerFrame) -> bool {
        match frame {
            ServerFrame::Snapshot { epoch, seq, cursor, tasks, .. } => {
                for task in tasks {
                    self.learn(&task.id, epoch, task.rev);
                    self.of_task(Op::Snapshot, epoch, seq, &task);
                }
                (self.cursor, self.at) = (Some(cursor), Some((epoch, seq)));
            }
            ServerFrame::Events { epoch, seq, cursor, events } => {
                if let Some((known, last)) = self.at {
                    if known == epoch && seq <= last {
                        return true;
                    }
                    if known != epoch || seq > last + 1 {
                        let line = self.line(Op::Gap);
                        self.say(Line { epoch: Some(epoch), seq: Some(seq), ..line });
                        return false;
                    }
                }
                for event in events {
                    self.event(epoch, seq, event);
                }
                (self.cursor, self.at) = (Some(cursor), Some((epoch, seq)));
            }
            ServerFrame::Progress { epoch, patches } => {
                for patch in patches {
                    self.progress(epoch, &patch);
                }
            }
            ServerFrame::Reset => {
                self.at = None;
                self.say(self.line(Op::Reset));
            }
            ServerFrame::Welcome { .. }
            | ServerFrame::Log { .. }
            | ServerFrame::Counts { .. }
            | ServerFrame::Pong
            | ServerFrame::Error { .. } => {}
        }
        true
    }

    fn event(&self, epoch: u32, seq: u64, event: Event) {
        match event {
            Event::New { task } => {
                self.learn(&task.id, epoch, task.rev);
                self.of_task(Op::Event, epoch, seq, &task);
            }
            Event::Changed { task } => {
                self.ended(task.status);
                self.learn(&task.id, epoch, task.rev);
                let line = self.of_patch(Op::Event, epoch, &task);
                self.say(Line { seq: Some(seq), ..line });
            }
            // Nothing is judged of them but their place in the stream.
            Event::CancelRequested { id, .. } | Event::Removed { id, .. } => {
                let (task, at) = (Some(id), (Some(epoch), Some(seq)));
                let line = self.line(Op::Event);
                self.say(Line { task, epoch: at.0, seq: at.1, ..line });
            }
        }
    }

    fn ended(&self, status: TaskStatus) {
        if status.state().is_terminal() {
            self.board.ended.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Progress that is not newer than what is known is dropped, as by every client.
    fn progress(&self, epoch: u32, patch: &Patch) {
        if self.learn(&patch.id, epoch, patch.rev) {
            self.say(self.of_patch(Op::Progress, epoch, patch));
        }
    }

    fn of_task(&self, op: Op, epoch: u32, seq: u64, task: &Task) {
        self.say(Line {
            task: Some(task.id.clone()),
            epoch: Some(epoch),
            seq: Some(seq),
            rev: Some(task.rev),
            attempt: Some(task.attempt),
            status: Some(task.status.name().into()),
            why: task.reason.clone(),
            // Only the first event of a task has all of it.
            facts: Facts { kind: Some(task.kind.clone()), ..stamp(&task.updated_at) },
            ..self.line(op)
        });
    }

    fn of_patch(&self, op: Op, epoch: u32, patch: &Patch) -> Line {
        let note = patch.progress.as_ref().and_then(|progress| progress.note.as_deref());
        Line {
            task: Some(patch.id.clone()),
            epoch: Some(epoch),
            rev: Some(patch.rev),
            attempt: Some(patch.attempt),
            status: Some(patch.status.name().into()),
            token: note.and_then(fence_of),
            why: patch.reason.clone(),
            facts: stamp(&patch.updated_at),
            ..self.line(op)
        }
    }

    fn line(&self, op: Op) -> Line {
        let user = Some(self.user.clone());
        Line { user, ..Line::new(format!("{}'s eyes", self.user), op, Phase::Ok) }
    }

    fn say(&self, line: Line) {
        self.recorder.say(&line);
    }
}
