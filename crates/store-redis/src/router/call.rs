//! One call from its first sending to its end: what is sent again, after which pause, and what its
//! caller is told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::Value;
use tasktonic_store::{Error, Result};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::sleep;

use super::connection::Lost;
use super::promise::{self, Promise, Promised};
use super::{Addr, DialError, Inner, Miss, Node, Work};
use crate::errors::{self, Verdict};
use crate::script::Script;

/// How long a call is tried before its caller is told.
pub(crate) const PATIENCE_MS: u64 = 10_000;
/// The first pause before a call is sent again.
const PAUSE_MS: u64 = 5;
/// The longest pause while a slot is being moved.
const PAUSE_MOVING_MS_MAX: u64 = 50;
/// The longest pause while a server cannot serve or be reached.
const PAUSE_STALLED_MS_MAX: u64 = 500;
/// Faults of settings are logged this often.
const LOUD_MS: u64 = 10_000;

/// What follows a sending that brought no answer.
#[derive(Debug)]
enum Next {
    /// The end.
    Tell(Result<Vec<Value>>),
    /// The end, by a fault that people must mend.
    TellLoudly(Error),
    /// Send again.
    Again(Again),
}

/// How to send again.
#[derive(Debug)]
struct Again {
    why: String,
    /// The longest pause before it, ms.
    pause_ms_max: u64,
    /// The first time without a pause: the cause is most likely mended by `look`.
    at_once: bool,
    /// Ask where the slots are.
    look: bool,
    /// This sending may have been carried out.
    maybe_done: bool,
    /// Out of patience, the caller is told that the store is busy.
    busy: bool,
}

/// What follows `miss`.
fn next(miss: Miss, addr: &Addr, script: Option<Script>, repeatable: bool) -> Next {
    let partly = matches!(miss, Miss::Partly(_));
    match next_of(miss, addr, script, repeatable) {
        // What was done of it would be done twice.
        Next::Again(_) if partly && !repeatable => Next::Tell(Err(Error::OutcomeUnknown)),
        next => next,
    }
}

/// What follows `miss`, if no part of the call was carried out.
fn next_of(miss: Miss, addr: &Addr, script: Option<Script>, repeatable: bool) -> Next {
    let again = Again {
        why: String::new(),
        pause_ms_max: PAUSE_STALLED_MS_MAX,
        at_once: false,
        look: true,
        maybe_done: false,
        busy: false,
    };
    let error = match miss {
        Miss::Dial(DialError::Refused(why)) => return Next::TellLoudly(Error::Unavailable(why)),
        Miss::Dial(DialError::Unreachable(why)) => return Next::Again(Again { why, ..again }),
        Miss::Lost(Lost::Unanswered) if !repeatable => {
            return Next::Tell(Err(Error::OutcomeUnknown));
        }
        Miss::Lost(lost) => {
            let why = format!("the connection to {addr} is lost");
            let maybe_done = lost == Lost::Unanswered;
            return Next::Again(Again { why, maybe_done, at_once: true, ..again });
        }
        Miss::Unkept => return Next::Tell(Err(Error::OutcomeUnknown)),
        Miss::Reply(error) | Miss::Partly(error) => error,
    };
    let why = format!("{addr} answers: {}", errors::words(&error));
    match errors::verdict(&error) {
        Verdict::Moved => Next::Again(Again {
            why,
            // A replica that stays one is no matter of milliseconds.
            at_once: errors::moved(&error).is_some(),
            pause_ms_max: PAUSE_MOVING_MS_MAX,
            ..again
        }),
        Verdict::Later => {
            Next::Again(Again { why, pause_ms_max: PAUSE_MOVING_MS_MAX, look: false, ..again })
        }
        Verdict::Stalled => Next::Again(Again { why, ..again }),
        Verdict::Busy => Next::Again(Again { why, busy: true, look: false, ..again }),
        // It was loaded again before this was told.
        Verdict::NoScript => Next::Again(Again {
            why,
            at_once: true,
            pause_ms_max: PAUSE_MOVING_MS_MAX,
            look: false,
            ..again
        }),
        Verdict::Full => Next::Tell(Err(Error::Full)),
        // What a worker has to say waits for the disk.
        Verdict::DiskFull if script == Some(Script::Sync) => {
            Next::Again(Again { why, look: false, ..again })
        }
        Verdict::DiskFull => Next::Tell(Err(Error::DiskFull)),
        Verdict::Unknown if !repeatable => Next::Tell(Err(Error::OutcomeUnknown)),
        Verdict::Unknown => Next::Again(Again { why, maybe_done: true, ..again }),
        Verdict::Misconfigured => Next::TellLoudly(Error::Unavailable(why)),
        // Named by a script of ours, for whoever called it.
        Verdict::Other if script.is_some() && error.code() != "ERR" => {
            Next::Tell(Ok(vec![Value::ServerError(error)]))
        }
        Verdict::Other => Next::TellLoudly(Error::Unavailable(why)),
    }
}

/// Replies without an error among them.
fn without_errors(values: Vec<Value>) -> std::result::Result<Vec<Value>, Miss> {
    match errors::first(&values) {
        None => Ok(values),
        Some(error) if values.iter().all(|value| matches!(value, Value::ServerError(_))) => {
            Err(Miss::Reply(error.clone()))
        }
        Some(error) => Err(Miss::Partly(error.clone())),
    }
}

/// The pauses of one call: each twice as long as the last, and a part of it by chance.
#[derive(Debug, Default)]
struct Pauses {
    taken: u32,
}

impl Pauses {
    fn next_ms(&mut self, at_once: bool, longest_ms: u64) -> u64 {
        let nth = self.taken;
        self.taken += 1;
        if at_once && nth == 0 {
            return 0;
        }
        let ms = PAUSE_MS.saturating_mul(1 << nth.min(16)).min(longest_ms);
        rand::random_range(ms / 2..=ms)
    }
}

/// What a call was answered.
pub(super) struct Answered {
    /// The answers of its commands, in order.
    pub(super) values: Vec<Value>,
    /// Whether an earlier sending, whose answer was lost, may have been carried out too.
    pub(super) is_repeat: bool,
}

impl Inner {
    /// Sends a call until it is answered, refused for good, or out of patience.
    pub(super) async fn call(
        &self,
        slot: u16,
        work: Work<'_>,
        repeatable: bool,
    ) -> Result<Answered> {
        let until = Instant::now() + Duration::from_millis(PATIENCE_MS);
        let script = match work {
            Work::Script { script, .. } => Some(script),
            Work::Commands { .. } => None,
        };
        let mut pauses = Pauses::default();
        let mut maybe_done = false;
        // Kept between sendings too: whoever waits takes up room.
        let mut room: Option<(Arc<Node>, OwnedSemaphorePermit)> = None;
        loop {
            let node = self.table.borrow().owner(slot).cloned();
            let (addr, moved, next) = match node {
                None => {
                    let why = "no server has this part of the keys".to_owned();
                    let unreachable = Miss::Dial(DialError::Unreachable(why));
                    let nowhere = Addr { host: String::new(), port: 0 };
                    let next = next(unreachable, &nowhere, script, repeatable);
                    (nowhere, None, next)
                }
                Some(node) => {
                    if room.as_ref().is_none_or(|(of, _)| !Arc::ptr_eq(of, &node)) {
                        let Ok(permit) = node.room.clone().try_acquire_owned() else {
                            return Err(if maybe_done {
                                Error::OutcomeUnknown
                            } else {
                                Error::Busy
                            });
                        };
                        room = Some((node.clone(), permit));
                    }
                    let miss = match self.once(&node, work).await {
                        Ok(values) => {
                            self.goes_on(&node.addr);
                            return Ok(Answered { values, is_repeat: maybe_done });
                        }
                        Err(miss) => miss,
                    };
                    let moved = match &miss {
                        Miss::Reply(error) | Miss::Partly(error) => errors::moved(error),
                        _ => None,
                    };
                    (node.addr.clone(), moved, next(miss, &node.addr, script, repeatable))
                }
            };
            let again = match next {
                Next::Again(again) => again,
                // Whatever an earlier sending may have done is not taken back by a refusal.
                Next::Tell(Err(_)) if maybe_done => return Err(Error::OutcomeUnknown),
                Next::Tell(answer) => {
                    return answer.map(|values| Answered { values, is_repeat: maybe_done });
                }
                Next::TellLoudly(error) => {
                    self.say_loudly(&error);
                    return Err(if maybe_done { Error::OutcomeUnknown } else { error });
                }
            };
            maybe_done |= again.maybe_done;
            let pause_ms = pauses.next_ms(again.at_once, again.pause_ms_max);
            if pause_ms > 0 {
                self.stalls(&addr, &again.why);
            }
            if Instant::now() + Duration::from_millis(pause_ms) >= until {
                return Err(match again {
                    _ if maybe_done => Error::OutcomeUnknown,
                    Again { busy: true, .. } => Error::Busy,
                    Again { why, .. } => Error::Unavailable(why),
                });
            }
            sleep(Duration::from_millis(pause_ms)).await;
            if let Some((slot, host, port)) = moved {
                let host = if host.is_empty() { addr.host.clone() } else { host };
                self.has_moved(slot, &Addr { host, port });
            }
            if again.look {
                // Failing, the next sending says so.
                let _: std::result::Result<_, _> = self.refresh(Some(&addr)).await;
            }
        }
    }

    /// Sends once. Answers are whole: an error reply of any command is a miss.
    async fn once(
        &self,
        node: &Arc<Node>,
        work: Work<'_>,
    ) -> std::result::Result<Vec<Value>, Miss> {
        let values = match work {
            Work::Script { script, keys, args, promise } if promise != Promise::Applied => {
                let (answer, answered) = oneshot::channel();
                let queue = node.promised.get_or_init(|| {
                    let (calls, queue) = tokio::sync::mpsc::unbounded_channel();
                    let node = Arc::downgrade(node);
                    tokio::spawn(promise::carry(node, self.dialer.clone(), queue));
                    calls
                });
                let (keys, args) = (keys.clone(), args.to_vec());
                if queue.send(Promised { script, keys, args, answer }).is_err() {
                    return Err(Miss::Lost(Lost::Unsent));
                }
                vec![answered.await.unwrap_or(Err(Miss::Lost(Lost::Unanswered)))?]
            }
            Work::Script { script, keys, args, .. } => {
                let loaded = node.calls.get(&self.dialer, &node.addr).await.map_err(Miss::Dial)?;
                let mut bytes = Vec::new();
                loaded.encode(&mut bytes, script, keys, args);
                let values = loaded.connection.send(bytes, 1).await.map_err(Miss::Lost)?;
                if errors::first(&values).map(errors::verdict) == Some(Verdict::NoScript) {
                    loaded.reload(&node.addr).await;
                }
                values
            }
            Work::Commands { packed, replies } => {
                let loaded = node.calls.get(&self.dialer, &node.addr).await.map_err(Miss::Dial)?;
                let sent = loaded.connection.send(packed.to_vec(), replies).await;
                sent.map_err(Miss::Lost)?
            }
        };
        without_errors(values)
    }

    /// Notes that calls to a server do not get on, and says so once.
    fn stalls(&self, addr: &Addr, why: &str) {
        if self.trouble.lock().insert(addr.clone()) {
            tracing::warn!(server = %addr, why, "calls to Redis wait");
        }
        self.troubled.store(true, std::sync::atomic::Ordering::Relaxed);
    }

    /// Notes that calls to a server get on.
    fn goes_on(&self, addr: &Addr) {
        if !self.troubled.load(std::sync::atomic::Ordering::Relaxed) {
            return;
        }
        let mut trouble = self.trouble.lock();
        let known = self.table.borrow().clone();
        // Servers that have gone for good trouble nobody.
        trouble.retain(|at| at != addr && known.nodes.iter().any(|node| node.addr == *at));
        if trouble.is_empty() {
            self.troubled.store(false, std::sync::atomic::Ordering::Relaxed);
            tracing::info!(server = %addr, "calls to Redis get on again");
        }
    }

    fn say_loudly(&self, error: &Error) {
        let mut loud = self.loud.lock();
        if loud.is_none_or(|last| last.elapsed() >= Duration::from_millis(LOUD_MS)) {
            *loud = Some(Instant::now());
            tracing::error!(%error, "Redis refuses calls of ours; its settings or rights are wrong");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_partly_done_is_sent_again_only_if_it_may_be_done_twice() {
        let error =
            |line: &str| redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap();
        let addr = Addr { host: "h".into(), port: 1 };
        let follows =
            |values, repeatable| next(without_errors(values).unwrap_err(), &addr, None, repeatable);
        for line in ["TRYAGAIN moving", "MOVED 3 h:1", "LOADING data", "BUSY script", "ASK 3 h:1"] {
            let partly = || vec![Value::Int(1), error(line), Value::Okay];
            let unknown = Next::Tell(Err(Error::OutcomeUnknown));
            assert_eq!(format!("{:?}", follows(partly(), false)), format!("{unknown:?}"), "{line}");
            assert!(matches!(follows(partly(), true), Next::Again(_)), "{line}");
            // Where nothing was done, nothing is done twice.
            let refused = vec![error(line), error(line)];
            assert!(matches!(follows(refused, false), Next::Again(_)), "{line}");
        }
        // What ends a call is told as it is: people must know what to mend.
        let full = vec![Value::Okay, error("OOM command not allowed")];
        assert!(matches!(follows(full, false), Next::Tell(Err(Error::Full))));
        assert_eq!(without_errors(vec![Value::Okay]).unwrap(), [Value::Okay]);
    }
}
