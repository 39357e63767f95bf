//! Calls whose answer waits for a replica. They have a connection of their own, because waiting
//! blocks it; those that arrive while one wait is out share the next.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use redis::Value;
use tokio::sync::{mpsc, oneshot};

use super::dial::Dialer;
use super::loaded::Loaded;
use super::node::Node;
use super::resp::command;
use super::{Addr, Miss};
use crate::errors::{Verdict, verdict};
use crate::keys;
use crate::script::Script;

/// How long an accepted call may wait for its replica.
const REPLICA_MS: u64 = 100;
/// Calls that share one wait.
const TOGETHER_MAX: usize = 64;

/// A write of no meaning. A wait counts from the last write of its own connection: a repeated
/// call that found everything done, and wrote nothing, would wait for nothing. Allowed above the
/// memory limit: of the calls it stands beside, those that may not write there are refused already.
const TOUCH: &str = "#!lua flags=allow-oom\n\
                     if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end \
                     redis.call('HSET', KEYS[1], 'touch', '1') return 1";

/// What must be true of a call's writes before it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Promise {
    /// Nothing more: the master has applied them. Also right where the server itself writes to
    /// disk before it answers (`appendfsync always`).
    Applied,
    /// A replica has them (`WAIT 1`).
    Replicated,
}

/// A call with a promise.
#[derive(Debug)]
pub(crate) struct Promised {
    pub(crate) script: Script,
    /// Its keys.
    pub(crate) keys: Arc<[String]>,
    pub(crate) args: Vec<Bytes>,
    pub(crate) answer: oneshot::Sender<Result<Value, Miss>>,
}

/// Carries the calls of one server as long as somebody may make them.
pub(crate) async fn carry(
    node: Weak<Node>,
    dialer: Dialer,
    mut queue: mpsc::UnboundedReceiver<Promised>,
) {
    let mut together = Vec::with_capacity(TOGETHER_MAX);
    while queue.recv_many(&mut together, TOGETHER_MAX).await > 0 {
        let Some(node) = node.upgrade() else { return };
        match node.promises.get(&dialer, &node.addr).await {
            Ok(loaded) => send(&loaded, &node.addr, std::mem::take(&mut together)).await,
            Err(why) => {
                for call in together.drain(..) {
                    let _: Result<_, _> = call.answer.send(Err(Miss::Dial(why.clone())));
                }
            }
        }
    }
}

async fn send(loaded: &Loaded, addr: &Addr, calls: Vec<Promised>) {
    let mut bytes = Vec::new();
    for call in &calls {
        loaded.encode(&mut bytes, call.script, &call.keys, &call.args);
    }
    // One that succeeds is enough: all writes of a server are one stream.
    let touched: BTreeSet<String> =
        calls.iter().filter_map(|call| call.keys.first()).map(|key| keys::touched(key)).collect();
    for key in &touched {
        command(&mut bytes, ["EVAL", TOUCH, "1", key].iter());
    }
    command(&mut bytes, ["WAIT", "1", &REPLICA_MS.to_string()].iter());
    let waited = calls.len() + touched.len();
    let within = Duration::from_millis(super::connection::ANSWER_MS + REPLICA_MS);
    match loaded.connection.send_within(bytes, waited + 1, within).await {
        Err(lost) => {
            for call in calls {
                let _: Result<_, _> = call.answer.send(Err(Miss::Lost(lost)));
            }
        }
        Ok(mut values) => {
            let written = values[calls.len()..waited].contains(&Value::Int(1));
            let kept = written && matches!(values[waited], Value::Int(count) if count >= 1);
            for (call, value) in calls.into_iter().zip(values.drain(..)) {
                let answer = match value {
                    Value::ServerError(error) => {
                        if verdict(&error) == Verdict::NoScript {
                            loaded.reload(addr).await;
                        }
                        Err(Miss::Reply(error))
                    }
                    value if kept => Ok(value),
                    _ => Err(Miss::Unkept),
                };
                let _: Result<_, _> = call.answer.send(answer);
            }
        }
    }
}
