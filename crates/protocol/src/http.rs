//! Bodies of the HTTP API, by area. Members are `snake_case`, times RFC 3339 in UTC, durations end
//! in `_ms`. Unknown members of a request are refused, so that a misspelt one is noticed.

mod auth;
mod bytes;
mod catalogue;
mod erase;
mod files;
mod flows;
mod keys;
mod own_queues;
mod position;
mod queues;
mod schedules;
mod tasks;
mod waiting;
mod why;

pub use crate::bulk::{
    BUILT_IN, BULK_KIND, BulkCount, BulkDone, BulkFilter, BulkOrder, BulkPayload, BulkVerb,
    RetryRequest,
};
pub use crate::priority::Priority;
pub use auth::{LoginRequest, LogoutRequest, Me, RefreshRequest, Tokens};
pub use bytes::{BytesChange, BytesHeld, BytesLimit};
pub use catalogue::{Kind, KindList, Worker, WorkerList};
pub(crate) use catalogue::{is_one_place, one_place};
pub use erase::{Erasure, ErasureState};
pub use files::StoredFile;
pub use flows::{
    After, AfterWith, BatchOpenRequest, FLOW_KIND, FLOW_NAME_CHARS_MAX, FLOW_PAGE_MAX,
    FLOW_TASKS_MAX, Flow, FlowAddRequest, FlowNode, FlowRequest, FlowRetried, FlowSort, FlowTask,
    LinkedTask, OnFailure, PartOf, RollUp, TaskLinks, Tie,
};
pub use keys::{
    KEY_BYTES_MAX, KEY_TTL_MS_DEFAULT, KEY_WAIT_MS_DEFAULT, KEY_WINDOW_MS_MAX, KeyMode,
};
pub use own_queues::{OwnQueue, OwnQueueList};
pub use position::{Ahead, StartEstimate, TaskPosition};
pub use queues::{
    Pause, PauseRequest, PausedUser, Queue, QueueChange, QueueDetail, QueueList, QueueSettings,
    QueueUser, QueueUserChange, Rate, RateChange, Turns,
};
pub use schedules::{
    CatchUp, PREVIEW_DEFAULT, PREVIEW_MAX, Passed, PassedReason, Preview, PreviewRequest, Schedule,
    ScheduleList, ScheduleRequest, ScheduleSet, ScheduleSetReply, ScheduleStatus, Timing,
};
pub use tasks::{
    Attempt, AttemptList, BATCH_TASKS_MAX, BatchItem, BatchReply, BatchRequest, BulkItem,
    BulkReply, BulkRequest, Counts, IDS_MAX, LogLine, LogPage, SubmitRequest, TaskPage,
};
pub use waiting::{EditRequest, LinePlace, RescheduleRequest};
pub use why::{Why, WhyReason};
