//! The connection to one server on which signals come in. One way of recovery for every fault: a
//! lost connection, a channel that the server took away, a table of slots that changed, an echo
//! that did not come. It is dropped and made anew, and who listened is told to read.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use redis::{PushKind, Value};
use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Subscriptions;
use crate::errors::words;
use crate::router::{Addr, Echo, Reader, Upstream, Writer, resp};

/// Channels of one SSUBSCRIBE.
const CHANNELS_TOGETHER_MAX: usize = 256;
/// How long a server may take to confirm all channels.
const CONFIRM_MS: u64 = 2_000;
/// How often we call ourselves, and so the longest time in which a dead connection is not noticed,
/// times two.
const ECHO_MS: u64 = 1_500;
/// The first and the longest pause before the connection is made again.
const AGAIN_MS: u64 = 20;
const AGAIN_MS_MAX: u64 = 1_000;

/// Keeps what is wanted of the server at `addr` subscribed until `ended`.
pub(crate) async fn keep(
    subscriptions: Arc<Subscriptions>,
    upstream: Upstream,
    addr: Addr,
    ended: CancellationToken,
) {
    let mut pause_ms = AGAIN_MS;
    let mut gap = false;
    loop {
        let mut session = Session {
            subscriptions: &subscriptions,
            upstream: &upstream,
            addr: &addr,
            gap,
            parts: Vec::new(),
            asked: HashSet::new(),
            missing: HashSet::new(),
            lagging: HashSet::new(),
            heard: Vec::new(),
            turn: 0,
        };
        let end = tokio::select! {
            () = ended.cancelled() => return,
            end = session.run() => end,
        };
        let was_whole = session.missing.is_empty() && !session.heard.is_empty();
        // From here on signals are missed.
        gap |= was_whole || !session.parts.is_empty();
        match end {
            End::Elsewhere => continue,
            End::Fault(why) => {
                tracing::info!(server = %addr, why, "subscriptions are made again");
            }
        }
        pause_ms = if was_whole { AGAIN_MS } else { (pause_ms * 2).min(AGAIN_MS_MAX) };
        let pause_ms = rand::random_range(pause_ms / 2..=pause_ms);
        tokio::select! {
            () = ended.cancelled() => return,
            () = sleep(Duration::from_millis(pause_ms)) => {}
        }
        upstream.look(&addr).await;
    }
}

/// Why a session is over.
enum End {
    /// Nothing was wanted here, and that may have changed.
    Elsewhere,
    /// Something is wrong.
    Fault(String),
}

struct Session<'a> {
    subscriptions: &'a Subscriptions,
    upstream: &'a Upstream,
    addr: &'a Addr,
    /// Whether signals were missed before this session.
    gap: bool,
    /// The partitions that the server has.
    parts: Vec<usize>,
    /// Channels that we asked to be unsubscribed.
    asked: HashSet<String>,
    /// Channels of the beginning that are not confirmed yet.
    missing: HashSet<String>,
    /// Who is to be told once they all are.
    lagging: HashSet<super::Listener>,
    /// Per part of `parts`: whether the last echo came.
    heard: Vec<bool>,
    /// The part that was called last, where one is called at a time.
    turn: usize,
}

impl Session<'_> {
    async fn run(&mut self) -> End {
        let mut news = self.subscriptions.news.subscribe();
        let Some(mut moved) = self.upstream.moved() else { return End::Elsewhere };
        news.borrow_and_update();
        moved.borrow_and_update();
        self.parts = self.upstream.parts_of(self.addr);
        let parts = &self.subscriptions.parts;
        if !self.parts.iter().any(|p| parts[*p].is_wanted()) {
            // Without a listener there is no need of a connection.
            self.parts.clear();
            tokio::select! {
                _ = news.changed() => {}
                _ = moved.changed() => {}
            }
            return End::Elsewhere;
        }
        let greeted = match self.upstream.dial(self.addr).await {
            Ok(greeted) => greeted,
            Err(why) => return End::Fault(why.to_string()),
        };
        let (mut reader, mut writer) = (greeted.reader, greeted.writer);
        match timeout(Duration::from_millis(CONFIRM_MS), self.begin(&mut reader, &mut writer)).await
        {
            Ok(Ok(())) => {}
            Ok(Err(end)) => return end,
            Err(_) => return End::Fault("not all channels were confirmed".into()),
        }
        if self.gap {
            for listener in std::mem::take(&mut self.lagging) {
                self.subscriptions.lagged(&listener);
            }
        }
        self.heard = vec![true; self.parts.len()];
        let mut echo = interval_at(Instant::now(), Duration::from_millis(ECHO_MS));
        echo.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut calling = None;
        loop {
            tokio::select! {
                value = reader.next() => {
                    let Some(Ok(value)) = value else {
                        return End::Fault("the connection is lost".into());
                    };
                    if let Err(end) = self.take(value) {
                        return end;
                    }
                }
                changed = news.changed() => {
                    if changed.is_err() { return End::Elsewhere; }
                    if let Err(end) = self.add(&mut writer).await { return end; }
                }
                changed = moved.changed() => {
                    let same = self.upstream.parts_of(self.addr) == self.parts;
                    if changed.is_err() || !same {
                        return End::Fault("slots have moved".into());
                    }
                }
                _ = echo.tick() => {
                    if calling.is_some() || self.heard.contains(&false) {
                        return End::Fault("an echo did not come".into());
                    }
                    calling = Some(self.call());
                    if let Err(end) = self.drop_unwanted(&mut writer).await { return end; }
                    if let Err(end) = self.ask_again(&mut writer).await { return end; }
                }
                called = async { match &mut calling {
                    Some(calling) => calling.await,
                    None => std::future::pending().await,
                } } => {
                    calling = None;
                    if let Err(why) = called { return End::Fault(why); }
                }
            }
        }
    }

    /// Subscribes everything wanted, and waits until it is confirmed.
    async fn begin(&mut self, reader: &mut Reader, writer: &mut Writer) -> Result<(), End> {
        for at in 0..self.parts.len() {
            let channels = self.subscriptions.parts[self.parts[at]].all();
            self.missing.extend(channels.iter().cloned());
            say(writer, "SSUBSCRIBE", &channels).await?;
        }
        while !self.missing.is_empty() {
            let Some(Ok(value)) = reader.next().await else {
                return Err(End::Fault("the connection is lost".into()));
            };
            self.take(value)?;
        }
        Ok(())
    }

    /// Subscribes what is new.
    async fn add(&mut self, writer: &mut Writer) -> Result<(), End> {
        for p in &self.parts {
            say(writer, "SSUBSCRIBE", &self.subscriptions.parts[*p].news()).await?;
        }
        Ok(())
    }

    /// Subscribes again what was never confirmed; twice does no harm.
    async fn ask_again(&mut self, writer: &mut Writer) -> Result<(), End> {
        for p in &self.parts {
            say(writer, "SSUBSCRIBE", &self.subscriptions.parts[*p].unconfirmed()).await?;
        }
        Ok(())
    }

    async fn drop_unwanted(&mut self, writer: &mut Writer) -> Result<(), End> {
        for p in &self.parts {
            let channels = self.subscriptions.parts[*p].unwanted();
            self.asked.extend(channels.iter().cloned());
            say(writer, "SUNSUBSCRIBE", &channels).await?;
        }
        Ok(())
    }

    /// Calls into every partition of the server; into one in turn where it has all of them. Then
    /// no slot can have left it unheard, and one echo tells whether the connection lives.
    fn call(&mut self) -> Echo {
        let parts = &self.subscriptions.parts;
        let called = if self.parts.len() == parts.len() && !self.parts.is_empty() {
            self.turn = (self.turn + 1) % self.parts.len();
            self.turn..self.turn + 1
        } else {
            0..self.parts.len()
        };
        self.heard[called.clone()].fill(false);
        let of = |p: &usize| (*p, parts[*p].echo.clone());
        self.upstream.echo(self.parts[called].iter().map(of).collect())
    }

    fn take(&mut self, value: Value) -> Result<(), End> {
        let (kind, data) = match value {
            Value::Push { kind, data } => (kind, data),
            Value::ServerError(error) => return Err(End::Fault(words(&error))),
            _ => return Ok(()),
        };
        let (Some(Value::BulkString(channel)), Some(second)) = (data.first(), data.get(1)) else {
            return Ok(());
        };
        let channel = String::from_utf8_lossy(channel);
        let parts = &self.subscriptions.parts;
        let of = |p: &usize| channel.starts_with(parts[*p].keys.base());
        let Some(at) = self.parts.iter().position(of) else { return Ok(()) };
        let p = self.parts[at];
        match (kind, second) {
            (PushKind::SMessage, Value::BulkString(_)) if *channel == *parts[p].echo => {
                if let Some(heard) = self.heard.get_mut(at) {
                    *heard = true;
                }
            }
            (PushKind::SMessage, Value::BulkString(payload)) => {
                self.subscriptions.deliver(p, &channel, payload);
            }
            (PushKind::SSubscribe, _) => {
                let was_missing = self.missing.remove(&*channel);
                if let Some(listener) = self.subscriptions.confirmed(p, &channel)
                    && was_missing
                {
                    self.lagging.insert(listener);
                }
            }
            (PushKind::SUnsubscribe, _) if !self.asked.remove(&*channel) => {
                return Err(End::Fault("the server took a channel away".into()));
            }
            _ => {}
        }
        Ok(())
    }
}

/// Channels of one partition share a slot, so that one command may name many of them.
async fn say(writer: &mut Writer, verb: &str, channels: &[String]) -> Result<(), End> {
    let mut bytes = Vec::new();
    for channels in channels.chunks(CHANNELS_TOGETHER_MAX) {
        let words: Vec<&str> =
            std::iter::once(verb).chain(channels.iter().map(String::as_str)).collect();
        resp::command(&mut bytes, words.into_iter());
    }
    let done = async {
        writer.write_all(&bytes).await?;
        writer.flush().await
    };
    done.await.map_err(|_: std::io::Error| End::Fault("the connection is lost".into()))
}
