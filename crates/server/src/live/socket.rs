//! One socket from its upgrade to its close. What it shows is read by its user's id alone, so that
//! nothing a client writes can name another user's task.

mod reads;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tasktonic_core::{TaskId, TaskState, UserId};
use tasktonic_protocol::frames::{
    ClientFrame, HEARTBEAT_MS, RECENT_MAX, ServerFrame, StreamCursor, V, WATCH_LOGS_MAX,
    WATCH_TASKS_MAX, Watch, close,
};
use tasktonic_protocol::problem::Code;
use tasktonic_protocol::time::rfc3339;
use tasktonic_store::limits::LIST_MAX;
use tasktonic_store::{KillPoint, Query, QueryReply, StoredTask};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame};
use tokio_tungstenite::tungstenite::{Error as WsError, Message, Utf8Bytes};

use super::convert::{self, Converter};
use super::feed::Seat;
use crate::App;
use crate::api::access::{Need, check};
use crate::door::Caller;
use reads::unlike;

/// A socket that has not said hello by then is closed.
const HELLO_WAIT: Duration = Duration::from_secs(10);
/// A write that does not get through for this long: the client is too slow.
const WRITE_STALL: Duration = Duration::from_secs(10);
/// How long a close frame may take to leave, and its answer to arrive.
const CLOSE_WAIT: Duration = Duration::from_secs(5);
/// Longer frames travel in fragments of this many bytes, so that a socket keeps no large buffer.
const FRAGMENT_BYTES: usize = 8 * 1024;
/// Log lines in one frame.
const LOG_PAGE: u32 = 500;
/// Messages a client may send at once, and how many more each second.
const MESSAGES_BURST: f64 = 60.0;
const MESSAGES_PER_S: f64 = 20.0;
/// A hello makes us read a page of tasks: it counts for this many messages.
const HELLO_COST: f64 = 10.0;
/// Close codes of RFC 6455 that are not ours.
const CLOSE_PROTOCOL: u16 = 1002;
const CLOSE_NOT_UTF8: u16 = 1007;

/// How a socket ends.
#[derive(Debug)]
pub(super) enum End {
    /// We close it.
    Close(u16, &'static str),
    /// The client said that it closes.
    Closed,
    /// The connection is gone.
    Gone,
}

pub(super) type Stream = WebSocketStream<TokioIo<Upgraded>>;

/// What an error of the stream means for the connection.
pub(super) fn end_of(error: &WsError) -> End {
    match error {
        WsError::Capacity(_) => End::Close(close::TOO_BIG, "the message is too big"),
        WsError::Utf8(_) => End::Close(CLOSE_NOT_UTF8, "a text must be UTF-8"),
        WsError::Protocol(
            tokio_tungstenite::tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
        ) => End::Gone,
        WsError::Protocol(_) => End::Close(CLOSE_PROTOCOL, "this breaks the protocol"),
        _ => End::Gone,
    }
}

/// Says goodbye as `end` demands, within bounds.
pub(super) async fn finish(ws: &mut Stream, end: &End) {
    match end {
        End::Gone => return,
        End::Closed => {}
        End::Close(code, reason) => {
            let frame = CloseFrame { code: (*code).into(), reason: Utf8Bytes::from_static(reason) };
            if !matches!(timeout(CLOSE_WAIT, ws.close(Some(frame))).await, Ok(Ok(()))) {
                return;
            }
        }
    }
    // Until the peer has answered: data left unread would turn our close into a reset.
    let _ = timeout(CLOSE_WAIT, async { while let Some(Ok(_)) = ws.next().await {} }).await;
}

/// Serves one socket of `user` until it ends, or its token does at `expires_s` (since 1970).
pub(super) async fn run(app: Arc<App>, seat: Seat, user: UserId, expires_s: i64, ws: Stream) {
    let durability = app.store.durability().name();
    let (now, expires_ms) = (Instant::now(), expires_s.saturating_mul(1_000));
    let mut socket = Socket {
        app,
        seat,
        user,
        durability,
        expires_ms,
        ws,
        sent: None,
        watch: Watch::default(),
        logs: HashMap::new(),
        allowance: MESSAGES_BURST,
        allowed_at: now,
        beat_at: now + HELLO_WAIT,
        pinged: false,
    };
    let end = socket.serve().await;
    if let End::Close(code, _) = end {
        socket.app.metrics.socket_closed(code);
    }
    finish(&mut socket.ws, &end).await;
}

struct Socket {
    app: Arc<App>,
    seat: Seat,
    user: UserId,
    durability: &'static str,
    expires_ms: i64,
    ws: Stream,
    /// The last numbered entry the client has; absent until its hello.
    sent: Option<StreamCursor>,
    watch: Watch,
    /// Watched logs, with the number of the last line sent.
    logs: HashMap<TaskId, u32>,
    allowance: f64,
    allowed_at: Instant,
    beat_at: Instant,
    pinged: bool,
}

type Step = Result<(), End>;

impl Socket {
    async fn serve(&mut self) -> End {
        let stop = self.app.stop.clone();
        loop {
            let wake_at = self.wake_at();
            let step = tokio::select! {
                biased;
                () = stop.cancelled() => Err(End::Close(close::RESTART, "the server restarts")),
                message = self.ws.next() => self.hear(message).await,
                () = self.seat.outbox().changed(), if self.sent.is_some() => {
                    Box::pin(self.tell()).await
                }
                () = sleep_until(wake_at) => self.beat().await,
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    fn wake_at(&self) -> Instant {
        let left_ms = self.expires_ms.saturating_sub(self.app.clock.now_ms()).max(0);
        let left = Duration::from_millis(left_ms.unsigned_abs());
        Instant::now().checked_add(left).map_or(self.beat_at, |end| end.min(self.beat_at))
    }

    fn is_expired(&self) -> bool {
        self.app.clock.now_ms() >= self.expires_ms
    }

    async fn beat(&mut self) -> Step {
        if self.is_expired() {
            return Err(End::Close(close::TOKEN_EXPIRED, "the token has expired"));
        }
        if Instant::now() < self.beat_at {
            return Ok(());
        }
        if self.sent.is_none() {
            return Err(End::Close(close::POLICY, "say hello first"));
        }
        if self.pinged {
            return Err(End::Close(close::POLICY, "no answer to a ping"));
        }
        self.pinged = true;
        self.beat_at = Instant::now() + Duration::from_millis(HEARTBEAT_MS);
        self.write(Message::Ping(Bytes::new())).await
    }

    async fn hear(&mut self, message: Option<Result<Message, WsError>>) -> Step {
        let message = match message {
            None => return Err(End::Gone),
            Some(Err(error)) => return Err(end_of(&error)),
            Some(Ok(message)) => message,
        };
        self.pinged = false;
        self.allow(1.0)?;
        match message {
            Message::Text(text) => {
                // Boxed: a socket that is idle should not carry the space of its busiest moment.
                Box::pin(self.obey(&text)).await
            }
            Message::Binary(_) => Err(End::Close(close::UNSUPPORTED, "texts only")),
            Message::Close(_) => Err(End::Closed),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Ok(()),
        }
    }

    fn allow(&mut self, cost: f64) -> Step {
        let now = Instant::now();
        let earned = (now - self.allowed_at).as_secs_f64() * MESSAGES_PER_S;
        self.allowed_at = now;
        self.allowance = (self.allowance + earned).min(MESSAGES_BURST) - cost;
        if self.allowance < 0.0 {
            return Err(End::Close(close::POLICY, "too many messages"));
        }
        Ok(())
    }

    async fn obey(&mut self, text: &str) -> Step {
        match serde_json::from_str::<ClientFrame>(text) {
            Ok(ClientFrame::Hello { v: V, cursor, watch }) => {
                self.allow(HELLO_COST)?;
                self.hello(cursor.as_deref(), watch).await
            }
            Ok(ClientFrame::Watch { tasks, logs }) if self.sent.is_some() => {
                self.allow(HELLO_COST / 2.0)?;
                self.rewatch(tasks, logs).await
            }
            Ok(ClientFrame::Auth { token }) => self.renew(&token).await,
            Ok(ClientFrame::Ping) => self.say(&ServerFrame::Pong).await,
            Ok(ClientFrame::Hello { .. } | ClientFrame::Watch { .. }) | Err(_) => {
                self.refuse(Code::BadRequest).await
            }
        }
    }

    async fn refuse(&mut self, code: Code) -> Step {
        self.say(&ServerFrame::Error { code: code.name().to_owned() }).await
    }

    async fn welcome(&mut self) -> Step {
        self.say(&ServerFrame::Welcome {
            v: V,
            user: self.user.as_str().to_owned(),
            expires_at: rfc3339(self.expires_ms),
            heartbeat_ms: HEARTBEAT_MS,
        })
        .await
    }

    async fn renew(&mut self, token: &str) -> Step {
        match self.app.identity.verify(token) {
            Ok(claims) if claims.user == self.user => {
                let expires_s = claims.expires_s;
                if let Err(refusal) = check(&Caller(claims), Need::ReadTasks) {
                    return self.refuse(refusal.code).await;
                }
                self.expires_ms = expires_s.saturating_mul(1_000);
                self.welcome().await
            }
            Ok(_) => self.refuse(Code::Forbidden).await,
            Err(refusal) => self.refuse(refusal.code()).await,
        }
    }

    async fn hello(&mut self, cursor: Option<&str>, watch: Watch) -> Step {
        if watch.tasks.len() > WATCH_TASKS_MAX || watch.logs.len() > WATCH_LOGS_MAX {
            return self.refuse(Code::BadRequest).await;
        }
        if self.sent.is_none() {
            self.beat_at = Instant::now() + Duration::from_millis(HEARTBEAT_MS);
            self.welcome().await?;
        }
        self.logs.clear();
        self.watch_logs(&watch.logs);
        self.watch = watch;
        match cursor.map(str::parse::<StreamCursor>) {
            None => self.snapshot().await?,
            Some(Ok(cursor)) => {
                self.sent = Some(cursor);
                if self.replay(cursor).await? {
                    self.catch_up().await?;
                }
            }
            Some(Err(_)) => {
                self.say(&ServerFrame::Reset).await?;
                self.snapshot().await?;
            }
        }
        let logs: Vec<_> = self.logs.keys().copied().collect();
        for task in logs {
            self.tell_log(task).await?;
        }
        Ok(())
    }

    async fn rewatch(&mut self, tasks: Vec<String>, logs: BTreeMap<String, u32>) -> Step {
        if tasks.len() > WATCH_TASKS_MAX || logs.len() > WATCH_LOGS_MAX {
            return self.refuse(Code::BadRequest).await;
        }
        let known: BTreeSet<&String> = self.watch.tasks.iter().collect();
        let new: Vec<String> = tasks.iter().filter(|task| !known.contains(task)).cloned().collect();
        self.watch.tasks = tasks;
        let fresh = self.watch_logs(&logs);
        let found = self.tasks(&new).await?;
        self.tell_patches(&found).await?;
        for task in fresh {
            self.tell_log(task).await?;
        }
        Ok(())
    }

    /// Watches these logs from now on; answers those that were not watched before.
    fn watch_logs(&mut self, logs: &BTreeMap<String, u32>) -> Vec<TaskId> {
        let asked =
            logs.iter().filter_map(|(id, after)| Some((id.parse::<TaskId>().ok()?, *after)));
        let before = std::mem::take(&mut self.logs);
        let mut fresh = Vec::new();
        for (task, after) in asked {
            let last = before.get(&task).copied().unwrap_or_else(|| {
                fresh.push(task);
                after
            });
            self.logs.insert(task, last);
        }
        self.seat.outbox().watch(self.logs.keys().copied().collect());
        fresh
    }

    /// Sends what waits.
    async fn tell(&mut self) -> Step {
        let waiting = self.seat.outbox().take();
        if waiting.over {
            return Err(End::Close(close::RESTART, "the store restarts"));
        }
        if waiting.look
            && let Some(cursor) = self.sent
        {
            self.replay(cursor).await?;
        }
        for entry in waiting.entries {
            let Some(sent) = self.sent else { break };
            let follows = sent.seq.checked_add(1) == Some(entry.seq);
            if entry.epoch > sent.epoch {
                self.reset().await?;
            } else if entry.epoch < sent.epoch || entry.seq <= sent.seq {
                // Known already: the snapshot or the replay had it.
            } else if follows {
                self.send(entry.frame).await?;
                self.sent = Some(StreamCursor { epoch: entry.epoch, seq: entry.seq });
            } else {
                self.replay(sent).await?;
            }
        }
        if !waiting.progress.is_empty()
            && let Some(sent) = self.sent
        {
            let patches = waiting.progress.values().map(|patch| &**patch);
            self.send(convert::progress(sent.epoch, patches)).await?;
        }
        if let Some(frame) = waiting.counts {
            self.send(frame).await?;
        }
        for task in waiting.grown {
            self.tell_log(task).await?;
        }
        Ok(())
    }

    /// Sends every entry after `cursor`; false if that could not be done and a snapshot was sent.
    async fn replay(&mut self, cursor: StreamCursor) -> Result<bool, End> {
        let StreamCursor { epoch, seq } = cursor;
        let since = self.events(Query::EventsSince { user: self.user.clone(), epoch, seq }).await?;
        if since.reset || since.epoch != epoch || since.seq < seq {
            self.reset().await?;
            return Ok(false);
        }
        let mut converter = Converter::default();
        for (seq, text) in since.entries {
            // Spelled one by one: a thousand entries never stand in memory at once.
            let frame = converter.logged(epoch, seq, &text, self.durability);
            self.send(frame).await?;
            self.sent = Some(StreamCursor { epoch, seq });
        }
        Ok(true)
    }

    async fn reset(&mut self) -> Step {
        self.say(&ServerFrame::Reset).await?;
        self.snapshot().await
    }

    async fn snapshot(&mut self) -> Step {
        KillPoint::ServerBeforeSnapshot.pass();
        // The head first: what happens while the tasks are read comes again as an event, and its
        // rev says whether it is news.
        let head = self.events(Query::EventsHead { user: self.user.clone() }).await?;
        let mut tasks = self.recent(Vec::new(), self.watch.recent.min(RECENT_MAX)).await?;
        let listed: BTreeSet<String> = tasks.iter().map(|task| task.id.to_string()).collect();
        let others: Vec<String> =
            self.watch.tasks.iter().filter(|id| !listed.contains(*id)).cloned().collect();
        tasks.extend(self.tasks(&others).await?);
        let counts = match self.read(Query::Counts { user: self.user.clone() }).await? {
            QueryReply::Counts(counts) => convert::counts(&counts),
            _ => return Err(unlike()),
        };
        let cursor = StreamCursor { epoch: head.epoch, seq: head.seq };
        let shown = tasks.iter().filter_map(|task| convert::task(task, self.durability)).collect();
        self.say(&ServerFrame::Snapshot {
            epoch: head.epoch,
            seq: head.seq,
            cursor: cursor.to_string(),
            tasks: shown,
            counts,
        })
        .await?;
        self.sent = Some(cursor);
        Ok(())
    }

    /// What a replay does not say: the present progress, watched tasks, the counts.
    async fn catch_up(&mut self) -> Step {
        let mut found = self.recent(vec![TaskState::Running], LIST_MAX).await?;
        let watched = self.watch.tasks.clone();
        found.extend(self.tasks(&watched).await?);
        self.tell_patches(&found).await?;
        match self.read(Query::Counts { user: self.user.clone() }).await? {
            QueryReply::Counts(counts) => {
                self.say(&ServerFrame::Counts { counts: convert::counts(&counts) }).await
            }
            _ => Err(unlike()),
        }
    }

    async fn tell_patches(&mut self, tasks: &[StoredTask]) -> Step {
        let Some(sent) = self.sent else { return Ok(()) };
        let patches: Vec<_> =
            tasks.iter().filter_map(|task| convert::patch(task, self.durability)).collect();
        if patches.is_empty() {
            return Ok(());
        }
        self.send(convert::progress(sent.epoch, patches.iter().map(|patch| &**patch))).await
    }

    /// Sends the lines of a watched log that the client does not have.
    async fn tell_log(&mut self, task: TaskId) -> Step {
        while let Some(after) = self.logs.get(&task).copied() {
            let query = Query::Logs { user: self.user.clone(), task, after, limit: LOG_PAGE };
            let QueryReply::Logs(found) = self.read(query).await? else { return Err(unlike()) };
            let Some(last) = found.lines.last().map(|row| row.number) else { break };
            let whole_page = found.lines.len() == LOG_PAGE as usize;
            let lines = found.lines.iter().filter_map(convert::line).collect();
            self.logs.insert(task, last.max(after));
            self.say(&ServerFrame::Log { task: task.to_string(), lines }).await?;
            if !whole_page || last <= after {
                break;
            }
        }
        Ok(())
    }

    async fn say(&mut self, frame: &ServerFrame) -> Step {
        self.send(convert::encode(frame)).await
    }

    async fn send(&mut self, text: Utf8Bytes) -> Step {
        if text.len() <= FRAGMENT_BYTES {
            return self.write(Message::Text(text)).await;
        }
        let mut rest = Bytes::from(text);
        let mut kind = Data::Text;
        while !rest.is_empty() {
            let piece = rest.split_to(FRAGMENT_BYTES.min(rest.len()));
            let frame = Frame::message(piece, OpCode::Data(kind), rest.is_empty());
            self.write(Message::Frame(frame)).await?;
            kind = Data::Continue;
        }
        Ok(())
    }

    async fn write(&mut self, message: Message) -> Step {
        // Also in the midst of a long replay to a client that reads slowly.
        if self.is_expired() {
            return Err(End::Close(close::TOKEN_EXPIRED, "the token has expired"));
        }
        match timeout(WRITE_STALL, self.ws.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Gone),
            Err(_) => Err(End::Close(close::OVERLOADED, "too slow")),
        }
    }
}
