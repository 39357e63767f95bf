//! A connection that many calls share: they are written in order, and answers are matched to them
//! by their order. It ends at the first sign of disorder, so that no answer is ever matched to
//! another call.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::StreamExt as _;
use parking_lot::Mutex;
use redis::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::dial::{Greeted, Reader, Writer};

/// How long an answer may take before the connection is given up.
pub(crate) const ANSWER_MS: u64 = 2_000;
/// Calls written with one system call.
const WRITE_TOGETHER_MAX: usize = 256;

/// Why a call has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    /// It was never written.
    Unsent,
    /// It was written, at least in part: it may have been carried out.
    Unanswered,
}

type Answer = oneshot::Sender<Result<Vec<Value>, Lost>>;

struct Request {
    bytes: Vec<u8>,
    replies: usize,
    answer: Answer,
}

struct Pending {
    missing: usize,
    replies: Vec<Value>,
    answer: Answer,
}

/// A shared connection to one process of a server.
#[derive(Debug)]
pub(crate) struct Connection {
    requests: mpsc::UnboundedSender<Request>,
    ended: CancellationToken,
    /// First characters of the id of the process that answers.
    pub(crate) run: String,
}

impl Connection {
    /// Starts to carry calls over a greeted connection.
    pub(crate) fn start(greeted: Greeted) -> Self {
        let (requests, queue) = mpsc::unbounded_channel();
        let ended = CancellationToken::new();
        let Greeted { reader, writer, run } = greeted;
        tokio::spawn(carry(reader, writer, queue, ended.clone()));
        Self { requests, ended, run }
    }

    /// Whether it can still be used.
    pub(crate) fn is_alive(&self) -> bool {
        !self.ended.is_cancelled()
    }

    /// Gives it up: everything that waits for an answer learns that there will be none.
    pub(crate) fn end(&self) {
        self.ended.cancel();
    }

    /// Sends commands in one piece and waits for their `replies` answers, error replies included.
    pub(crate) async fn send(&self, bytes: Vec<u8>, replies: usize) -> Result<Vec<Value>, Lost> {
        self.send_within(bytes, replies, Duration::from_millis(ANSWER_MS)).await
    }

    /// As [`Self::send`], for commands that take their time.
    pub(crate) async fn send_within(
        &self,
        bytes: Vec<u8>,
        replies: usize,
        within: Duration,
    ) -> Result<Vec<Value>, Lost> {
        if replies == 0 {
            return Ok(Vec::new());
        }
        let (answer, mut answered) = oneshot::channel();
        if self.requests.send(Request { bytes, replies, answer }).is_err() {
            return Err(Lost::Unsent);
        }
        if let Ok(answer) = timeout(within, &mut answered).await {
            return answer.unwrap_or(Err(Lost::Unanswered));
        }
        // The answer may still come, and would then be taken for that of another call.
        self.end();
        answered.await.unwrap_or(Err(Lost::Unanswered))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.ended.cancel();
    }
}

/// Carries calls until the connection ends, one way or the other.
async fn carry(
    reader: Reader,
    writer: Writer,
    mut queue: mpsc::UnboundedReceiver<Request>,
    ended: CancellationToken,
) {
    let waiting = Mutex::new(VecDeque::new());
    tokio::select! {
        () = ended.cancelled() => {}
        () = read(reader, &waiting) => {}
        () = write(writer, &mut queue, &waiting) => {}
    }
    ended.cancel();
    for pending in waiting.into_inner() {
        let _: Result<_, _> = pending.answer.send(Err(Lost::Unanswered));
    }
    queue.close();
    // Waits for one that is just being handed over too: nobody else would ever answer it, and its
    // sender keeps the queue alive by waiting.
    while let Some(request) = queue.recv().await {
        let _: Result<_, _> = request.answer.send(Err(Lost::Unsent));
    }
}

async fn write(
    mut writer: Writer,
    queue: &mut mpsc::UnboundedReceiver<Request>,
    waiting: &Mutex<VecDeque<Pending>>,
) {
    let mut together = Vec::with_capacity(WRITE_TOGETHER_MAX);
    let mut bytes = Vec::new();
    while queue.recv_many(&mut together, WRITE_TOGETHER_MAX).await > 0 {
        bytes.clear();
        {
            // From here on they count as sent: a part of them may reach the server.
            let mut waiting = waiting.lock();
            for request in together.drain(..) {
                bytes.extend_from_slice(&request.bytes);
                let (missing, answer) = (request.replies, request.answer);
                let replies = Vec::with_capacity(missing);
                waiting.push_back(Pending { missing, replies, answer });
            }
        }
        if writer.write_all(&bytes).await.is_err() || writer.flush().await.is_err() {
            return;
        }
    }
}

async fn read(mut reader: Reader, waiting: &Mutex<VecDeque<Pending>>) {
    while let Some(Ok(value)) = reader.next().await {
        let mut waiting = waiting.lock();
        // An answer that nobody asked for: from here on nothing could be matched.
        let Some(first) = waiting.front_mut() else { return };
        first.replies.push(value);
        first.missing -= 1;
        if first.missing == 0
            && let Some(pending) = waiting.pop_front()
        {
            let _: Result<_, _> = pending.answer.send(Ok(pending.replies));
        }
    }
}
