//! One task, live, until it has ended: by the socket, resumed by cursor; by waiting requests where
//! nothing on the way lets a socket through.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use tasktonic_protocol::frames::{ClientFrame, Event, ServerFrame, V, Watch};
use tasktonic_protocol::http::LogLine;
use tasktonic_protocol::problem::Code;
use tasktonic_protocol::status::TaskStatus;
use tasktonic_protocol::task::{Patch, Task};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::socket::{Ending, Socket};
use crate::tasks::{check, has_ended};
use crate::{Client, Error, Pauses, Result};

/// Updates that may wait for whoever follows.
const UPDATES_WAITING_MAX: usize = 64;
/// Log lines read in one request.
const LINES_AT_ONCE: u32 = 1_000;
/// Sockets that are refused by something on the way before waiting requests take over.
const SOCKETS_TRIED: u32 = 2;
/// How long one waiting request waits where there is no socket.
const WAIT: Duration = Duration::from_secs(2);

/// Something new about a followed task.
#[derive(Debug, Clone)]
pub enum Update {
    /// The task as it is now; without payload and output, but for the first.
    Now(Box<Task>),
    /// New lines of its log, each once, in order.
    Log(Vec<LogLine>),
    /// The line was cut and is being mended; nothing is lost by it.
    Reconnecting(String),
    /// It has ended; with payload and output. The last update.
    Ended(Box<Task>),
}

/// Updates of one task until it has ended. Dropping it stops following.
#[derive(Debug)]
pub struct Following {
    updates: mpsc::Receiver<Result<Update>>,
    service: JoinHandle<()>,
}

impl Stream for Following {
    type Item = Result<Update>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.updates.poll_recv(cx)
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.service.abort();
    }
}

impl Client {
    /// Follows a task until it has ended: its state first, then what changes, and the lines of its
    /// log. A line that is cut is mended for as long as it takes.
    ///
    /// Must be called on a tokio runtime. The stream ends after [`Update::Ended`] or an error.
    #[must_use]
    pub fn follow(&self, id: &str) -> Following {
        let (sender, updates) = mpsc::channel(UPDATES_WAITING_MAX);
        let mut follower = Follower {
            client: self.clone(),
            id: id.to_owned(),
            task: None,
            cursor: None,
            line: 0,
            sender,
        };
        let service = tokio::spawn(async move {
            if let Err(error) = follower.run().await {
                let _ = follower.sender.send(Err(error)).await;
            }
        });
        Following { updates, service }
    }
}

struct Follower {
    client: Client,
    id: String,
    task: Option<Task>,
    cursor: Option<String>,
    line: u32,
    sender: mpsc::Sender<Result<Update>>,
}

/// What to do after a frame.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Listen,
    SayHello,
}

impl Follower {
    async fn run(&mut self) -> Result<()> {
        check(&self.id)?;
        self.look().await?;
        loop {
            self.follow_to_end().await?;
            self.read_lines().await?;
            let task = self.client.task(&self.id).await?;
            if has_ended(&task) {
                return self.tell(Update::Ended(Box::new(task))).await;
            }
            // Somebody has sent it back to its queue meanwhile.
            self.know(task).await?;
        }
    }

    async fn follow_to_end(&mut self) -> Result<()> {
        let mut pauses = Pauses::default();
        let mut refused = 0;
        while !self.has_ended() {
            let heard = match self.client.socket().await {
                Ok(mut socket) => {
                    refused = 0;
                    let cursor = self.cursor.clone();
                    let heard = self.listen(&mut socket).await;
                    if self.cursor != cursor {
                        pauses = Pauses::default();
                    }
                    heard
                }
                Err(error) if is_no_way_for_sockets(&error) => {
                    refused += 1;
                    if refused >= SOCKETS_TRIED { self.poll().await } else { Err(error) }
                }
                Err(error) => Err(error),
            };
            let Err(error) = heard else { continue };
            if !(error.is_passing() || is_no_way_for_sockets(&error)) {
                return Err(error);
            }
            self.tell(Update::Reconnecting(error.to_string())).await?;
            tokio::time::sleep(pauses.pause()).await;
        }
        Ok(())
    }

    fn has_ended(&self) -> bool {
        self.task.as_ref().is_some_and(has_ended)
    }

    async fn tell(&self, update: Update) -> Result<()> {
        let gone = |_| Error::Invalid("nobody follows any more".into());
        self.sender.send(Ok(update)).await.map_err(gone)
    }

    async fn know(&mut self, task: Task) -> Result<()> {
        self.task = Some(task.clone());
        self.tell(Update::Now(Box::new(task))).await
    }

    fn hello(&self) -> ClientFrame {
        let watch = Watch {
            recent: 0,
            tasks: vec![self.id.clone()],
            logs: BTreeMap::from([(self.id.clone(), self.line)]),
        };
        ClientFrame::Hello { v: V, cursor: self.cursor.clone(), watch }
    }

    /// Listens until the task has ended, or the line.
    async fn listen(&mut self, socket: &mut Socket) -> Result<()> {
        socket.say(&self.hello()).await?;
        while !self.has_ended() {
            match socket.hear_or_end().await? {
                Ok(frame) => {
                    if self.hear(frame).await? == Next::SayHello {
                        socket.say(&self.hello()).await?;
                    }
                }
                Err(Ending::TokenExpired) => {
                    let token = socket.token();
                    if !self.client.renew(token).await? {
                        return Err(Error::Token(
                            "the access token has expired; sign in again".into(),
                        ));
                    }
                    return Ok(());
                }
                Err(Ending::Refused(code)) => {
                    return Err(Error::Invalid(format!(
                        "the server closed the socket with code {code}; bring this program and \
                         the server to one release"
                    )));
                }
                Err(Ending::Passing) => {
                    return Err(Error::Broken { cause: "the server closed the socket".into() });
                }
            }
        }
        Ok(())
    }

    async fn hear(&mut self, frame: ServerFrame) -> Result<Next> {
        match frame {
            ServerFrame::Snapshot { cursor, tasks, .. } => {
                self.cursor = Some(cursor);
                match tasks.into_iter().find(|task| task.id == self.id) {
                    // Of another life of the store its revs say nothing, so it is taken as it is.
                    Some(task) if self.is_unlike(&task) => {
                        self.know(task).await?;
                    }
                    Some(_) => {}
                    None => self.look().await?,
                }
            }
            ServerFrame::Events { epoch, seq, cursor, events } => {
                if self.has_missed(epoch, seq) {
                    return Ok(Next::SayHello);
                }
                self.cursor = Some(cursor);
                for event in events {
                    self.event(event).await?;
                }
            }
            ServerFrame::Progress { patches, .. } => {
                for patch in patches {
                    self.patch(patch).await?;
                }
            }
            ServerFrame::Log { task, lines } if task == self.id => self.lines(lines).await?,
            ServerFrame::Reset => self.cursor = None,
            ServerFrame::Error { code } => tracing::debug!(code, "the server refused a frame"),
            ServerFrame::Welcome { .. }
            | ServerFrame::Counts { .. }
            | ServerFrame::Log { .. }
            | ServerFrame::Pong => {}
        }
        Ok(Next::Listen)
    }

    /// Whether there is a hole before this entry.
    fn has_missed(&self, epoch: u32, seq: u64) -> bool {
        let known = self
            .cursor
            .as_deref()
            .and_then(|text| text.parse::<tasktonic_protocol::frames::StreamCursor>().ok());
        known.is_some_and(|known| known.epoch == epoch && seq > known.seq + 1)
    }

    async fn event(&mut self, event: Event) -> Result<()> {
        match event {
            Event::New { task } if task.id == self.id && self.is_news(task.rev) => {
                self.know(*task).await
            }
            Event::Changed { task } => self.patch(task).await,
            Event::CancelRequested { id, .. } if id == self.id => {
                let Some(mut task) = self.task.clone() else { return Ok(()) };
                if task.status != TaskStatus::Running {
                    return Ok(());
                }
                task.status = TaskStatus::Cancelling;
                self.know(task).await
            }
            // Its end came before, so it is only removed while nobody looked.
            Event::Removed { id, .. } if id == self.id => self.look().await,
            _ => Ok(()),
        }
    }

    fn is_news(&self, rev: u64) -> bool {
        self.task.as_ref().is_none_or(|task| rev > task.rev)
    }

    fn is_unlike(&self, now: &Task) -> bool {
        self.task.as_ref().is_none_or(|task| (task.rev, task.status) != (now.rev, now.status))
    }

    async fn patch(&mut self, patch: Patch) -> Result<()> {
        if patch.id != self.id || !self.is_news(patch.rev) {
            return Ok(());
        }
        let Some(mut task) = self.task.clone() else { return self.look().await };
        apply(&mut task, patch);
        self.know(task).await
    }

    async fn lines(&mut self, mut lines: Vec<LogLine>) -> Result<()> {
        lines.retain(|line| line.n > self.line);
        let Some(last) = lines.last() else { return Ok(()) };
        self.line = last.n;
        self.tell(Update::Log(lines)).await
    }

    /// Reads the task itself.
    async fn look(&mut self) -> Result<()> {
        let task = self.client.task(&self.id).await?;
        self.know(task).await
    }

    /// One turn without a socket.
    async fn poll(&mut self) -> Result<()> {
        let task = self.client.wait(&self.id, WAIT).await?;
        if self.is_unlike(&task) {
            self.know(task).await?;
        }
        self.read_lines().await
    }

    async fn read_lines(&mut self) -> Result<()> {
        loop {
            let page = self.client.logs(&self.id, self.line, LINES_AT_ONCE).await?;
            let is_last =
                page.lines.is_empty() || page.lines.last().map(|l| l.n) >= Some(page.last);
            self.lines(page.lines).await?;
            if is_last {
                return Ok(());
            }
        }
    }
}

/// Whether something between here and the server does not let sockets through.
fn is_no_way_for_sockets(error: &Error) -> bool {
    matches!(error, Error::BadAnswer { .. }) || error.code() == Some(Code::UpgradeRequired)
}

fn apply(task: &mut Task, patch: Patch) {
    task.rev = patch.rev;
    task.status = patch.status;
    task.state = patch.state;
    task.attempt = patch.attempt;
    task.progress = patch.progress;
    task.error = patch.error;
    task.reason = patch.reason;
    task.worker = patch.worker;
    task.run_at = patch.run_at.or(task.run_at.take());
    task.started_at = patch.started_at;
    task.ended_at = patch.ended_at;
    task.updated_at = patch.updated_at;
    task.has_output = patch.has_output;
}
