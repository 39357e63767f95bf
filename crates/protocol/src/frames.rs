//! Frames of the WebSocket `/ws`, subprotocol [`SUBPROTOCOL`]: JSON texts with their type in `t`.
//!
//! Logged events are numbered without gaps within an epoch; a client drops what is not above the
//! last it has, and says `hello` again with its cursor on a hole. Progress is not numbered: the
//! latest wins, guarded by `rev`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::{Counts, LogLine};
use crate::task::{Patch, Task};

/// The version spoken.
pub const V: u8 = 1;
/// The subprotocol of this version.
pub const SUBPROTOCOL: &str = "tt.v1";
/// Prefix of the subprotocol that carries a token. It is never answered.
pub const TOKEN_SUBPROTOCOL: &str = "tt.jwt.";
/// How often the server pings, ms.
pub const HEARTBEAT_MS: u64 = 25_000;
/// The most recent tasks that a hello may ask for.
pub const RECENT_MAX: u32 = 200;
/// Tasks that one socket may watch.
pub const WATCH_TASKS_MAX: usize = 500;
/// Logs that one socket may watch.
pub const WATCH_LOGS_MAX: usize = 32;

/// Close codes.
pub mod close {
    /// A rule was broken.
    pub const POLICY: u16 = 1008;
    /// A frame was too big.
    pub const TOO_BIG: u16 = 1009;
    /// A frame of a type that is not read here.
    pub const UNSUPPORTED: u16 = 1003;
    /// The server goes away: reconnect with the cursor.
    pub const RESTART: u16 = 1012;
    /// Too slow, or too many: reconnect later.
    pub const OVERLOADED: u16 = 1013;
    /// The token has expired: refresh it, reconnect with the cursor.
    pub const TOKEN_EXPIRED: u16 = 4401;
}

/// What a client says.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(tag = "t", rename_all = "snake_case")]
pub enum ClientFrame {
    /// First, and again on a hole.
    Hello {
        /// The version the client speaks.
        v: u8,
        /// The last cursor it has; null for a snapshot.
        #[serde(default)]
        cursor: Option<String>,
        /// What it wants to see.
        #[serde(default)]
        watch: Watch,
    },
    /// Replaces what is watched.
    Watch {
        /// Tasks.
        #[serde(default)]
        tasks: Vec<String>,
        /// Logs: task and the number of the last line it has.
        #[serde(default)]
        logs: BTreeMap<String, u32>,
    },
    /// A new token, before the old one ends.
    Auth {
        /// An access token of the same user.
        token: String,
    },
    /// Asks for a pong.
    Ping,
}

impl std::fmt::Debug for ClientFrame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Hello { v, cursor, watch } => f
                .debug_struct("Hello")
                .field("v", v)
                .field("cursor", cursor)
                .field("watch", watch)
                .finish(),
            Self::Watch { tasks, logs } => {
                f.debug_struct("Watch").field("tasks", tasks).field("logs", logs).finish()
            }
            Self::Auth { .. } => f.debug_struct("Auth").finish_non_exhaustive(),
            Self::Ping => f.write_str("Ping"),
        }
    }
}

/// What a socket wants to see.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Watch {
    /// The user's most recent tasks in the snapshot, at most [`RECENT_MAX`].
    #[serde(default)]
    pub recent: u32,
    /// These tasks in the snapshot, at most [`WATCH_TASKS_MAX`].
    #[serde(default)]
    pub tasks: Vec<String>,
    /// The logs of these tasks, above the number given; at most [`WATCH_LOGS_MAX`].
    #[serde(default)]
    pub logs: BTreeMap<String, u32>,
}

/// What the server says.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(tag = "t", rename_all = "snake_case")]
pub enum ServerFrame {
    /// The answer to the first hello.
    Welcome {
        /// The version spoken.
        v: u8,
        /// Whose tasks these are.
        user: String,
        /// When the token ends; RFC 3339.
        expires_at: String,
        /// How often the server pings.
        heartbeat_ms: u64,
    },
    /// Everything the socket watches, whole.
    Snapshot {
        /// The life of the store.
        epoch: u32,
        /// The last event it includes.
        seq: u64,
        /// The place in the stream.
        cursor: String,
        /// Without payload and output.
        tasks: Vec<Task>,
        /// Tasks by state.
        counts: Counts,
    },
    /// One entry of the log of events.
    Events {
        /// The life of the store.
        epoch: u32,
        /// Its place, gap-free.
        seq: u64,
        /// The place in the stream.
        cursor: String,
        /// What happened, in order.
        events: Vec<Event>,
    },
    /// The latest progress, not numbered.
    Progress {
        /// The life of the store.
        epoch: u32,
        /// One per task.
        patches: Vec<Patch>,
    },
    /// New lines of a watched log.
    Log {
        /// The task.
        task: String,
        /// In order.
        lines: Vec<LogLine>,
    },
    /// Tasks by state, after changes.
    Counts {
        /// Tasks by state.
        counts: Counts,
    },
    /// The cursor is too old or of another life: a snapshot follows.
    Reset,
    /// The answer to a ping.
    Pong,
    /// A frame was not understood or not allowed.
    Error {
        /// A code of the API.
        code: String,
    },
}

/// One logged event.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
#[expect(clippy::large_enum_variant, reason = "most events are changes, and none is kept")]
pub enum Event {
    /// A new task, whole but for payload and output.
    New {
        /// The task.
        task: Box<Task>,
    },
    /// A task changed.
    Changed {
        /// What changed.
        task: Patch,
    },
    /// A running task was asked to stop.
    CancelRequested {
        /// The task.
        id: String,
        /// Always true.
        cancel_requested: bool,
    },
    /// A task was removed.
    Removed {
        /// The task.
        id: String,
        /// Always true.
        removed: bool,
        /// Its last rev.
        rev: u64,
    },
}

/// A place in a user's stream, as clients keep it: opaque to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamCursor {
    /// The life of the store.
    pub epoch: u32,
    /// The last event seen.
    pub seq: u64,
}

impl std::fmt::Display for StreamCursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.epoch, self.seq)
    }
}

impl std::str::FromStr for StreamCursor {
    type Err = NotACursor;

    fn from_str(text: &str) -> Result<Self, NotACursor> {
        let (epoch, seq) = text.split_once('-').ok_or(NotACursor)?;
        let epoch = epoch.parse().map_err(|_| NotACursor)?;
        let seq = seq.parse().map_err(|_| NotACursor)?;
        Ok(Self { epoch, seq })
    }
}

/// A text that no server has given out as a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not a cursor of a stream of events")]
pub struct NotACursor;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn client_frames_read_as_they_are_documented() {
        let hello = r#"{"t":"hello","v":1,"cursor":null,"watch":{"recent":100,"tasks":["a"],"logs":{"b":7}}}"#;
        let Ok(ClientFrame::Hello { v: 1, cursor: None, watch }) = serde_json::from_str(hello)
        else {
            panic!("a hello")
        };
        assert_eq!((watch.recent, watch.tasks.len(), watch.logs["b"]), (100, 1, 7));
        let bare = r#"{"t":"hello","v":1}"#;
        assert!(matches!(serde_json::from_str(bare), Ok(ClientFrame::Hello { .. })));
        assert!(matches!(serde_json::from_str(r#"{"t":"ping"}"#), Ok(ClientFrame::Ping)));
        assert!(serde_json::from_str::<ClientFrame>(r#"{"t":"shout"}"#).is_err());
    }

    #[test]
    fn a_token_is_not_shown_in_debug_output() {
        let frame = ClientFrame::Auth { token: "secret".into() };
        assert!(!format!("{frame:?}").contains("secret"));
    }

    #[test]
    fn server_frames_name_their_type() {
        let frame = ServerFrame::Error { code: "bad_request".into() };
        assert_eq!(serde_json::to_string(&frame).unwrap(), r#"{"t":"error","code":"bad_request"}"#);
        let asked = Event::CancelRequested { id: "x".into(), cancel_requested: true };
        assert_eq!(serde_json::to_string(&asked).unwrap(), r#"{"id":"x","cancel_requested":true}"#);
    }

    proptest! {
        #[test]
        fn a_cursor_survives_its_text(epoch: u32, seq: u64) {
            let cursor = StreamCursor { epoch, seq };
            prop_assert_eq!(cursor.to_string().parse::<StreamCursor>(), Ok(cursor));
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in ".{0,40}") {
            let _ = text.parse::<StreamCursor>();
            let _ = serde_json::from_str::<ClientFrame>(&text);
        }
    }
}
